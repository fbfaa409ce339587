#include "infer/eval/eval_report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/base/error.h"
#include "core/base/quote.h"

namespace kind {
namespace {

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width > text.size() ? width - text.size() : 0, ' ');
  return right ? space + text : text + space;
}

/// A pair's name as it stands in the table: a terminal obeys control characters.
std::string shown(const std::string& pair) { return printable(pair, pair.size()); }

std::size_t pair_width(const EvalReport& report) {
  std::size_t width = 4;
  for (const std::string& pair : report.pairs) width = std::max(width, shown(pair).size());
  return width;
}

std::size_t way_width(const EvalReport& report) {
  std::size_t width = 8;
  for (const Way& way : report.ways) width = std::max(width, way.name.size());
  return width;
}

std::size_t metric_width(const Metric& metric) { return std::max<std::size_t>(9, metric.name.size() + 1); }

/// As short as it can be and still be the same number.
std::string exact_text(const std::optional<double>& value) {
  if (!value) return "";
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, *value).ptr);
}

/// One cell, in quotes where it needs them.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

nlohmann::ordered_json number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json interval_json(const std::optional<MeanInterval>& mean) {
  nlohmann::ordered_json json;
  json["mean"] = mean ? number(mean->mean) : nullptr;
  json["low"] = mean ? number(mean->low) : nullptr;
  json["high"] = mean ? number(mean->high) : nullptr;
  return json;
}

std::string interval_text(const MeanInterval& mean, int digits) {
  return figure_text(mean.mean, digits) + " [" + figure_text(mean.low, digits) + ", " + figure_text(mean.high, digits) +
         "]";
}

/// What each stage costs in one metric, a line for each; empty where no pair has it.
std::string costs_text(const EvalReport& report, std::size_t metric) {
  std::vector<std::pair<std::string, std::string>> losses;
  std::size_t width = 0;
  for (const Cost& cost : report.costs) {
    if (const std::optional<MeanInterval> loss = report.cost(cost, metric)) {
      losses.emplace_back(interval_text(*loss, report.metrics[metric].digits),
                          cost.what + ": " + cost.without + " -> " + cost.with + "\n");
      width = std::max(width, losses.back().first.size() + 2);
    }
  }
  if (losses.empty()) return "";
  const std::string& name = report.metrics[metric].name;
  std::string text = "\nlost, " + (name == "psnr" ? "dB of PSNR" : name) + "\n";
  for (const auto& [loss, what] : losses) text += padded(loss, width, false) + what;
  return text;
}

}  // namespace

std::vector<double> EvalReport::values(const std::string& way, std::size_t metric) const {
  std::vector<double> there;
  for (const EvalRow& row : rows) {
    if (row.way == way && row.values[metric]) there.push_back(*row.values[metric]);
  }
  return there;
}

std::optional<MeanInterval> EvalReport::mean(const std::string& way, std::size_t metric) const {
  return mean_interval(values(way, metric));
}

std::vector<std::size_t> EvalReport::cost_metrics() const {
  std::vector<std::size_t> there;
  for (std::size_t m = 0; m < metrics.size(); ++m) {
    if (metrics[m].name == "psnr" || metrics[m].name == "color-slope") there.push_back(m);
  }
  return there;
}

std::optional<MeanInterval> EvalReport::cost(const Cost& cost, std::size_t metric) const {
  std::vector<std::optional<double>> with, without;
  for (const EvalRow& row : rows) {
    if (row.way == cost.with) with.push_back(row.values[metric]);
    if (row.way == cost.without) without.push_back(row.values[metric]);
  }
  std::vector<double> differences;
  for (std::size_t i = 0; i < std::min(with.size(), without.size()); ++i) {
    if (!with[i] || !without[i]) continue;
    const double difference = *without[i] - *with[i];
    if (std::isfinite(difference)) differences.push_back(difference);
  }
  return mean_interval(differences);
}

std::string figure_text(const std::optional<double>& value, int digits) {
  if (!value) return "-";
  if (std::isinf(*value)) return *value > 0 ? "inf" : "-inf";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, *value);
  return text;
}

std::string heading_line(const EvalReport& report) {
  std::string line = padded("pair", pair_width(report), false) + "  " + padded("protocol", way_width(report), false) +
                     padded("ratio", 8, true);
  for (const Metric& metric : report.metrics) line += padded(metric.name, metric_width(metric), true);
  return line + "\n";
}

std::string row_line(const EvalReport& report, const EvalRow& row) {
  std::string line = padded(shown(row.pair), pair_width(report), false) + "  " +
                     padded(row.way, way_width(report), false) + padded(figure_text(row.ratio, 2), 8, true);
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    const Metric& metric = report.metrics[i];
    line += padded(figure_text(row.values[i], metric.digits), metric_width(metric), true);
  }
  return line + "\n";
}

std::string means_text(const EvalReport& report) {
  std::string text = join("\nmeans over ", report.pairs.size(), report.pairs.size() == 1 ? " pair" : " pairs",
                          " [95 % confidence interval]\n");
  std::vector<std::vector<std::string>> table(report.ways.size() + 1);
  table[0].emplace_back("protocol");
  for (const Metric& metric : report.metrics) table[0].push_back(metric.name);
  for (std::size_t w = 0; w < report.ways.size(); ++w) {
    table[w + 1].push_back(report.ways[w].name);
    for (std::size_t m = 0; m < report.metrics.size(); ++m) {
      const std::optional<MeanInterval> mean = report.mean(report.ways[w].name, m);
      table[w + 1].push_back(mean ? interval_text(*mean, report.metrics[m].digits) : "-");
    }
  }
  for (const std::vector<std::string>& cells : table) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      std::size_t width = 0;
      for (const std::vector<std::string>& others : table) width = std::max(width, others[i].size());
      line += i + 1 < cells.size() ? padded(cells[i], width + 2, false) : cells[i];
    }
    text += line + "\n";
  }
  text += "\n";
  for (const Way& way : report.ways) text += padded(way.name, way_width(report), false) + "  " + way.what + "\n";
  for (const std::size_t metric : report.costs.empty() ? std::vector<std::size_t>() : report.cost_metrics()) {
    text += costs_text(report, metric);
  }
  text += "\n";
  for (const Way& way : report.ways) {
    text += way.name;
    for (std::size_t m = 0; m < report.metrics.size(); ++m) {
      const std::optional<MeanInterval> mean = report.mean(way.name, m);
      const Metric& metric = report.metrics[m];
      text +=
          " " + metric.name + "=" + figure_text(mean ? std::optional<double>(mean->mean) : std::nullopt, metric.digits);
    }
    text += join(" pairs=", report.pairs.size(), "\n");
  }
  return text;
}

std::string pictures_csv(const EvalReport& report) {
  std::string text = "pair,protocol,ratio";
  for (const Metric& metric : report.metrics) text += "," + metric.name;
  text += "\n";
  for (const EvalRow& row : report.rows) {
    text += cell(row.pair) + "," + cell(row.way) + "," + exact_text(row.ratio);
    for (const std::optional<double>& value : row.values) text += "," + exact_text(value);
    text += "\n";
  }
  return text;
}

std::string means_csv(const EvalReport& report) {
  std::string text = "protocol,metric,mean,low,high,pairs\n";
  for (const Way& way : report.ways) {
    for (std::size_t m = 0; m < report.metrics.size(); ++m) {
      const std::optional<MeanInterval> mean = report.mean(way.name, m);
      text += cell(way.name) + "," + report.metrics[m].name;
      text += mean ? join(",", exact_text(mean->mean), ",", exact_text(mean->low), ",", exact_text(mean->high))
                   : std::string(",,,");
      text += join(",", report.values(way.name, m).size(), "\n");
    }
  }
  return text;
}

nlohmann::ordered_json report_json(const EvalReport& report) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["scored"] = report.scored;
  json["data"] = report.data;
  json["split"] = report.split.empty() ? Json(nullptr) : Json(report.split);
  json["interval"] = {{"level", 0.95}, {"method", "percentile bootstrap over pairs"}, {"resamples", kResamples}};
  json["metrics"] = Json::array();
  for (const Metric& metric : report.metrics) json["metrics"].push_back({{"name", metric.name}, {"what", metric.what}});
  json["protocols"] = Json::array();
  for (const Way& way : report.ways) {
    Json means;
    for (std::size_t m = 0; m < report.metrics.size(); ++m) {
      Json mean = interval_json(report.mean(way.name, m));
      mean["pairs"] = report.values(way.name, m).size();
      means[report.metrics[m].name] = mean;
    }
    json["protocols"].push_back({{"name", way.name}, {"what", way.what}, {"means", means}});
  }
  if (!report.costs.empty()) json["costs"] = Json::array();
  for (const Cost& cost : report.costs) {
    Json entry = {{"what", cost.what}, {"from", cost.without}, {"to", cost.with}};
    for (const std::size_t m : report.cost_metrics())
      entry[report.metrics[m].name] = interval_json(report.cost(cost, m));
    json["costs"].push_back(entry);
  }
  json["pictures"] = Json::array();
  for (const EvalRow& row : report.rows) {
    Json picture = {{"pair", row.pair}, {"protocol", row.way}, {"ratio", number(row.ratio)}};
    for (std::size_t m = 0; m < row.values.size(); ++m) picture[report.metrics[m].name] = number(row.values[m]);
    json["pictures"].push_back(picture);
  }
  return json;
}

}  // namespace kind
