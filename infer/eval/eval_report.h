#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "infer/eval/eval_outputs.h"
#include "losses/metrics/interval.h"
#include "losses/metrics/metrics.h"

namespace kind {

/// The metrics of one picture for one protocol or stage.
struct EvalRow {
  std::string pair, way;
  std::optional<double> ratio;                // input of adjustment
  std::vector<std::optional<double>> values;  // by metric
};

/// All results of an evaluation.
struct EvalReport {
  std::string scored, data, split;  // model or folder of results, folder of pairs, part of split.json or empty
  std::vector<std::string> pairs;
  std::vector<Way> ways;
  std::vector<Metric> metrics;
  std::vector<Cost> costs;
  std::vector<EvalRow> rows;  // pair by pair, in the order of ways

  /// What reading took for granted of the pictures' colours: by what, the first picture and how many there are.
  struct ColorNote {
    std::string first;
    int count = 0;
  };
  std::map<std::string, ColorNote> color_notes;

  /// Of one metric, by the pairs that have it.
  std::vector<double> values(const std::string& way, std::size_t metric) const;
  /// The mean of one metric over the pairs that have it; nothing if none has.
  std::optional<MeanInterval> mean(const std::string& way, std::size_t metric) const;
  /// Indices in `metrics` of the metrics with costs: psnr and color-slope, if they are among them.
  std::vector<std::size_t> cost_metrics() const;
  /// The difference of a metric between two ways: the mean of the finite differences over the pairs.
  std::optional<MeanInterval> cost(const Cost& cost, std::size_t metric) const;
};

/// A metric as text: "inf" for infinity, "-" if undefined.
std::string figure_text(const std::optional<double>& value, int digits);

/// Lines of the table of pairs, including line ends.
std::string heading_line(const EvalReport& report);
std::string row_line(const EvalReport& report, const EvalRow& row);

/// The text after the table of pairs: means with their intervals, the costs of stages, and finally one line per way:
/// "NAME psnr=20.91 ssim=0.8012 pairs=15".
std::string means_text(const EvalReport& report);

/// CSV: one line per picture and way, and one per way and metric. Full precision; empty if undefined.
std::string pictures_csv(const EvalReport& report);
std::string means_csv(const EvalReport& report);

/// The report as JSON; infinite values are null.
nlohmann::ordered_json report_json(const EvalReport& report);

}  // namespace kind
