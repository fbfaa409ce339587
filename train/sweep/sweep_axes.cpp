#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/random.h"
#include "train/sweep/sweep_plan.h"

namespace kind {
namespace {

using nlohmann::json;

constexpr std::uint64_t kDrawStream = 0x53EE9, kPickStream = 0x53EEA;

/// A number as it would be typed: few digits, so that 0.1 times 10 is 1.
double rounded(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::stod(text);
}

double on_scale(const std::string& scale, double from, double to, double t) {
  return scale == "log" ? from * std::pow(to / from, t) : from + (to - from) * t;
}

std::size_t count_of(const SweepAxis& axis) {
  if (axis.values) return axis.values->size();
  if (axis.choices) return axis.choices->size();
  if (axis.draw) return 1;  // counted by the search
  return static_cast<std::size_t>(axis.range ? axis.range->count : axis.random->count);
}

/// The points of a random search: every axis has a stream of its own, so that more runs add points to those before. A
/// combination of listed values counts once.
std::vector<std::vector<std::int64_t>> drawn(const SweepConfig& config,
                                             const std::vector<std::vector<Change>>& changes) {
  const auto wanted = static_cast<std::size_t>(config.search->runs);
  double all = 1;
  bool listed = true;
  std::vector<Random> streams;
  for (std::size_t a = 0; a < changes.size(); ++a) {
    const SweepAxis& axis = config.axes[a];
    streams.emplace_back(static_cast<std::uint64_t>(config.search->seed),
                         std::initializer_list<std::uint64_t>{kPickStream, mix64(fnv1a(axis.name))});
    all *= static_cast<double>(changes[a].size());
    listed = listed && !axis.draw;
  }
  check(!listed || static_cast<double>(wanted) <= all, "search.runs: ", wanted,
        " points are asked for, but the axes have only ", all, " combinations");
  std::vector<std::vector<std::int64_t>> points;
  std::set<std::vector<std::int64_t>> seen;
  // Where nearly all combinations are asked for, the last ones are long in coming.
  for (std::size_t tries = 0; points.size() < wanted; ++tries) {
    check(tries < 1000 * wanted + 1000, "search.runs: ", wanted, " points are asked for, nearly all of the ", all,
          " combinations; use \"combine\": \"cross\" in place of a search");
    std::vector<std::int64_t> point;
    for (std::size_t a = 0; a < changes.size(); ++a) {
      const double at = streams[a].uniform() * static_cast<double>(changes[a].size());
      point.push_back(static_cast<std::int64_t>(config.axes[a].draw ? points.size() : static_cast<std::size_t>(at)));
    }
    if (seen.insert(point).second) points.push_back(std::move(point));
  }
  return points;
}

}  // namespace

std::vector<Change> changes_of(const SweepConfig& config, const SweepAxis& axis, const std::string& folder) {
  std::vector<json> values;
  std::vector<Change> changes;
  if (axis.values) values = *axis.values;
  if (const auto& range = axis.range) {
    for (std::int64_t i = 0; i < range->count; ++i) {
      const double t = static_cast<double>(i) / static_cast<double>(range->count - 1);
      values.emplace_back(rounded(on_scale(range->scale, range->from, range->to, t), 6));
    }
  }
  if (const auto& random = axis.random) {
    Random draws(static_cast<std::uint64_t>(random->seed), {kDrawStream, mix64(fnv1a(axis.name))});
    for (std::int64_t i = 0; i < random->count; ++i) {
      values.emplace_back(rounded(on_scale(random->scale, random->from, random->to, draws.uniform()), 10));
    }
  }
  if (const auto& draw = axis.draw) {
    Random draws(static_cast<std::uint64_t>(config.search->seed), {kDrawStream, mix64(fnv1a(axis.name))});
    for (std::int64_t i = 0; i < config.search->runs; ++i) {
      values.emplace_back(rounded(on_scale(draw->log ? "log" : "linear", draw->low, draw->high, draws.uniform()), 6));
    }
  }
  for (json& value : values) {
    // What was meant as an integer stays one: paths of steps and seeds take no 10.0.
    if (value.is_number_float() && std::abs(value.get<double>()) < 1e15 &&
        value.get<double>() == std::floor(value.get<double>())) {
      value = static_cast<std::int64_t>(value.get<double>());
    }
    changes.push_back({value, {assignment(*axis.path, placed_value(*axis.path, value, folder))}});
  }
  if (axis.choices) {
    for (const SweepChoice& choice : *axis.choices) {
      changes.push_back({choice.name, {}});
      for (const auto& [path, value] : choice.set) {
        changes.back().assignments.push_back(assignment(path, placed_value(path, value, folder)));
      }
    }
  }
  return changes;
}

std::string assignment(const std::string& path, const json& value) { return path + "=" + value.dump(); }

std::string key_of(const std::string& text) { return hash_text(mix64(fnv1a(text))); }

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

void check_count(const SweepConfig& config, const std::string& path, std::size_t max_runs) {
  double points = config.combine == "each" ? 1 : 0;
  if (config.search) points = static_cast<double>(config.search->runs);
  for (const SweepAxis& axis : config.axes) {
    if (config.search) break;
    const auto count = static_cast<double>(count_of(axis));
    points = config.combine == "cross" ? std::max(1.0, points) * count
             : config.combine == "zip" ? std::max(points, count)
                                       : points + count;
  }
  const double runs = points * static_cast<double>(config.seeds.size());
  check(runs <= static_cast<double>(max_runs), path, ": ", counted(points, "point"), " with ",
        counted(config.seeds.size(), "seed"), " are ", counted(runs, "run"), ", expected at most ", max_runs);
}

std::vector<std::vector<std::int64_t>> combinations(const SweepConfig& config,
                                                    const std::vector<std::vector<Change>>& changes) {
  const std::size_t axes = changes.size();
  if (config.search) return drawn(config, changes);
  std::vector<std::vector<std::int64_t>> points;
  if (config.combine == "zip") {
    for (const auto& axis : changes) {
      check(axis.size() == changes[0].size(), "axes are zipped, but \"", config.axes[0].name, "\" has ",
            changes[0].size(), " values and \"", config.axes[static_cast<std::size_t>(&axis - changes.data())].name,
            "\" has ", axis.size());
    }
    for (std::size_t i = 0; i < changes[0].size(); ++i) points.emplace_back(axes, static_cast<std::int64_t>(i));
  } else if (config.combine == "each") {
    points.emplace_back(axes, -1);
    for (std::size_t a = 0; a < axes; ++a) {
      for (std::size_t i = 0; i < changes[a].size(); ++i) {
        points.emplace_back(axes, -1);
        points.back()[a] = static_cast<std::int64_t>(i);
      }
    }
  } else {
    std::vector<std::int64_t> at(axes, 0);
    for (std::size_t a = 0; a != axes;) {
      points.push_back(at);
      // The last axis goes fastest.
      for (a = 0; a < axes; ++a) {
        std::int64_t& i = at[axes - 1 - a];
        if (++i < static_cast<std::int64_t>(changes[axes - 1 - a].size())) break;
        i = 0;
      }
    }
  }
  return points;
}
}  // namespace kind
