#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "infer/eval/eval_outputs.h"
#include "losses/metrics/interval.h"
#include "losses/metrics/metrics.h"

namespace kind {

/// The figures of one picture made in one way.
struct EvalRow {
  std::string pair, way;
  std::optional<double> ratio;                // that adjustment was given
  std::vector<std::optional<double>> values;  // by metric
};

/// All that was measured.
struct EvalReport {
  std::string scored, data, split;  // model or folder of results, folder of pairs, part of split.json or empty
  std::vector<std::string> pairs;
  std::vector<Way> ways;
  std::vector<Metric> metrics;
  std::vector<Cost> costs;
  std::vector<EvalRow> rows;  // pair by pair, in the order of ways

  /// Of one metric, by the pairs that have it.
  std::vector<double> values(const std::string& way, std::size_t metric) const;
  /// The mean of one metric over the pairs that have it; nothing where none has.
  std::optional<MeanInterval> mean(const std::string& way, std::size_t metric) const;
  /// The metrics whose costs are told: psnr and color-slope, where they are among `metrics`. Their places there.
  std::vector<std::size_t> cost_metrics() const;
  /// How much higher a metric is by one way than by the other: mean over the pairs of the differences that are finite.
  std::optional<MeanInterval> cost(const Cost& cost, std::size_t metric) const;
};

/// A figure for people: "inf" for infinity, "-" where there is none.
std::string figure_text(const std::optional<double>& value, int digits);

/// Lines of the table of pairs, each with its line end.
std::string heading_line(const EvalReport& report);
std::string row_line(const EvalReport& report, const EvalRow& row);

/// What follows the table of pairs: the means with their intervals, what each stage costs, and last one line a way:
/// "NAME psnr=20.91 ssim=0.8012 pairs=15".
std::string means_text(const EvalReport& report);

/// For spreadsheets: one line a picture and way, and one a way and metric. Full precision; empty where there is no
/// figure.
std::string pictures_csv(const EvalReport& report);
std::string means_csv(const EvalReport& report);

/// All of it; what is infinite is null.
nlohmann::ordered_json report_json(const EvalReport& report);

}  // namespace kind
