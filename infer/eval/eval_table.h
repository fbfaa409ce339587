#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "infer/eval/eval_report.h"
#include "losses/metrics/statistics.h"

namespace kind {

/// The scores of one input on the pairs that all inputs were scored on.
struct EvalEntry {
  std::string name;  ///< Of its row; entries of one name are seeds of one row.
  std::int64_t seed = 0;
  EvalReport report;
};

/// One row's figure of one metric under one protocol.
struct EvalCell {
  /// Of each picture's mean over the seeds; nothing: undefined. With several seeds the interval is for other seeds and
  /// pictures (paired_difference of losses/metrics/statistics.h), with one for other pictures (mean_interval).
  std::optional<MeanInterval> mean;
  bool interval = false;  ///< Whether there is one: not of a single figure.
  Difference difference;  ///< From the reference, paired by seed and picture; count 0: none.
  double adjusted_p = 1;  ///< By Holm, for the number of rows compared.
  bool best = false;
};

/// Several inputs in one table, of protocols that all of them have.
struct EvalTable {
  std::vector<EvalEntry> entries;
  std::vector<std::string> rows;   ///< Names in order.
  std::vector<std::size_t> seeds;  ///< The number of entries of each row.
  std::size_t reference = 0;
  std::vector<Way> ways;
  std::vector<Metric> metrics;
  std::vector<std::vector<std::vector<EvalCell>>> cells;  ///< [way][metric][row]
};

/// Compares entries. `reference` is the name of the row that the others are compared with; empty: the first one. Seeds
/// that both rows have are paired, as are pictures with a finite figure in all entries; without a common seed each row
/// counts by its means over its seeds. Throws Error if there is no such row.
EvalTable make_eval_table(std::vector<EvalEntry> entries, const std::string& reference);

enum class EvalTableFormat { kText, kMarkdown, kLatex };
/// A table for each protocol: means with their 95 % intervals, then differences with theirs.
std::string eval_table_text(const EvalTable& table, EvalTableFormat format);

/// RFC 4180, all digits: a line for each picture and seed, each seed's mean, and each row's mean with its interval and
/// its difference. Columns: kind (picture, seed, row), name, seed, picture, protocol, metric, value, low, high,
/// difference, difference_low, difference_high, p, p_holm.
std::string eval_table_csv(const EvalTable& table);

}  // namespace kind
