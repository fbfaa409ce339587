#include "train/sweep/halving.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/files/file.h"
#include "losses/metrics/metrics.h"
#include "train/trainer/checkpoint.h"

namespace kind {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string file_of(const std::string& out) { return out + "/halving.json"; }

/// How good a figure is; higher is better, and what is no number is worst.
double merit(const std::string& metric, double figure) {
  if (std::isnan(figure)) return -HUGE_VAL;
  const std::string name = metric.substr(metric.find('/') + 1);  // npos + 1 is 0
  for (const Metric& each : all_metrics()) {
    if (each.figure() != name) continue;
    if (each.better == Better::kLower) return -figure;
    if (each.better == Better::kNearOne) return -std::abs(figure - 1);
  }
  return figure;
}

/// The figure in a validation's line of metrics.jsonl; "SET/FIGURE" is of one of several sources.
double figure_in(const json& entry, const std::string& metric, const std::string& folder) {
  const std::size_t slash = metric.find('/');
  const json none = json::object();
  const json sets = entry.value("sets", none);
  const json figures = slash == std::string::npos ? entry.at("validation") : sets.value(metric.substr(0, slash), none);
  const auto found = figures.find(metric.substr(slash + 1));  // npos + 1 is 0
  if (found == figures.end()) {
    std::string names;
    for (const auto& [name, value] : entry.at("validation").items()) names += (names.empty() ? "" : ", ") + name;
    fail("halving.metric: the validation of ", folder, " has no ", metric, "; it has ",
         names.empty() ? "nothing" : names);
  }
  return found->get<double>();
}

}  // namespace

std::optional<double> rung_figure(const std::string& folder, const std::string& last_stage, std::int64_t steps,
                                  const std::string& metric) {
  std::ifstream file(folder + "/metrics.jsonl");
  std::int64_t begun = 0;  // steps of the stages before
  std::optional<double> figure;
  std::int64_t at = 0;
  for (std::string line; std::getline(file, line);) {
    const json entry = json::parse(line, nullptr, false);
    if (!entry.is_object() || !entry.contains("stage") || !entry.contains("step")) continue;  // cut short by a kill
    const std::int64_t step = entry["step"].get<std::int64_t>();
    if (entry["stage"] != last_stage) {
      begun = std::max(begun, step);
    } else if (entry.contains("validation") && step - begun == steps) {
      figure = figure_in(entry, metric, folder);
      at = step;
    }
  }
  // Without it the run would take these steps again.
  if (figure && Checkpoints(folder).newest().value_or(0) < at) return std::nullopt;
  return figure;
}

Rung decide_rung(const SweepHalving& halving, std::int64_t steps, std::vector<RungPoint> points) {
  std::stable_sort(points.begin(), points.end(), [&](const RungPoint& a, const RungPoint& b) {
    if (!a.figure || !b.figure) return a.figure.has_value() && !b.figure;
    return merit(halving.metric, *a.figure) > merit(halving.metric, *b.figure);
  });
  const double share = std::round(halving.keep * static_cast<double>(points.size()));
  const auto count = static_cast<std::size_t>(std::max(1.0, share));
  for (std::size_t i = 0; i < points.size(); ++i) points[i].kept = i < count && points[i].figure.has_value();
  return {steps, std::move(points)};
}

std::vector<Rung> read_rungs(const std::string& out) {
  const std::string path = file_of(out);
  std::error_code error;  // other than "not there" is for reading to complain of
  std::vector<Rung> rungs;
  if (!std::filesystem::exists(path, error) && !error) return rungs;
  const json file = read_json_file(path);
  try {
    for (const json& entry : file.at("rungs")) {
      Rung rung{entry.at("steps").get<std::int64_t>(), {}};
      for (const json& point : entry.at("points")) {
        RungPoint& to = rung.points.emplace_back();
        to.point = point.at("point").get<std::string>();
        if (!point.at("figure").is_null()) to.figure = point["figure"].get<double>();
        to.kept = point.at("kept").get<bool>();
      }
      rungs.push_back(std::move(rung));
    }
  } catch (const json::exception&) {
    fail(path, ": it is not what kind-train writes");
  }
  return rungs;
}

void write_rungs(const std::string& out, const std::string& metric, const std::vector<Rung>& rungs) {
  ordered_json file{{"format", 1}, {"metric", metric}, {"rungs", ordered_json::array()}};
  for (const Rung& rung : rungs) {
    ordered_json points = ordered_json::array();
    for (const RungPoint& point : rung.points) {
      points.push_back({{"point", point.point},
                        {"figure", point.figure ? ordered_json(*point.figure) : ordered_json()},
                        {"kept", point.kept}});
    }
    file["rungs"].push_back({{"steps", rung.steps}, {"points", std::move(points)}});
  }
  write_file_atomic(file_of(out), file.dump(2) + "\n");
}

std::map<std::string, std::size_t> stopped_points(const std::vector<Rung>& rungs) {
  std::map<std::string, std::size_t> stopped;
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    for (const RungPoint& point : rungs[i].points) {
      if (!point.kept) stopped[point.point] = i;
    }
  }
  return stopped;
}

}  // namespace kind
