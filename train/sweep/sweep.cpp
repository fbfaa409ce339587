// Long because expanding the axes, sharing stages and maps, and the plan as text and JSON work on one plan.

#include "train/sweep/sweep.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/random.h"
#include "train/trainer/config.h"

namespace kind {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::uint64_t kDrawStream = 0x53EE9;

std::string key_of(const std::string& text) { return hash_text(mix64(fnv1a(text))); }

/// A number as it would be typed: few digits, so that 0.1 times 10 is 1.
double rounded(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::stod(text);
}

double on_scale(const std::string& scale, double from, double to, double t) {
  return scale == "log" ? from * std::pow(to / from, t) : from + (to - from) * t;
}

void check_scale(const std::string& path, const std::string& scale, double from, double to) {
  check(scale != "log" || (from > 0 && to > 0), path, ": a logarithmic scale takes numbers greater than 0");
  check(from != to, path, ": from and to are the same, expected a range");
}

/// What an axis does to a config: assignments for --set, and what tables call them.
struct Change {
  json value;
  std::vector<std::string> assignments;
};

std::string assignment(const std::string& path, const json& value) { return path + "=" + value.dump(); }

/// `folder` is the sweep file's, from which paths count.
std::vector<Change> changes_of(const SweepAxis& axis, const std::string& folder) {
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

std::size_t count_of(const SweepAxis& axis) {
  if (axis.values) return axis.values->size();
  if (axis.choices) return axis.choices->size();
  return static_cast<std::size_t>(axis.range ? axis.range->count : axis.random->count);
}

/// Throws Error where there would be more than `max_runs` runs, before any of them is made.
void check_count(const SweepConfig& config, const std::string& path, std::size_t max_runs) {
  double points = config.combine == "each" ? 1 : 0;
  for (const SweepAxis& axis : config.axes) {
    const auto count = static_cast<double>(count_of(axis));
    points = config.combine == "cross" ? std::max(1.0, points) * count
             : config.combine == "zip" ? std::max(points, count)
                                       : points + count;
  }
  const double runs = points * static_cast<double>(config.seeds.size());
  check(runs <= static_cast<double>(max_runs), path, ": ", counted(points, "point"), " with ",
        counted(config.seeds.size(), "seed"), " are ", counted(runs, "run"), ", expected at most ", max_runs);
}

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

/// The change that each axis takes in each point; -1: the base's own.
std::vector<std::vector<std::int64_t>> combinations(const SweepConfig& config,
                                                    const std::vector<std::vector<Change>>& changes) {
  const std::size_t axes = changes.size();
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

/// The config as every run of it would resolve it, with all defaults.
ordered_json resolved(const json& config, const std::string& source) {
  return to_json(parse_config<TrainConfig>(config, source));
}

/// All that decides what the first `count` stages of a run become.
std::string prefix_text(const ordered_json& config, std::size_t count) {
  ordered_json prefix = config;
  prefix["fit_light"] = false;
  prefix.erase("tensorboard");
  erase_places(prefix["data"]);
  ordered_json& stages = prefix["stages"];
  while (stages.size() > count) stages.erase(stages.size() - 1);
  return prefix.dump();
}

/// Finds the first stages that several runs have in common, makes tasks of them, and lets the runs branch from them.
void share_stages(SweepPlan& plan, const std::vector<ordered_json>& resolved_runs) {
  struct Prefix {
    std::size_t stages = 0, users = 0, first = 0;
  };
  std::map<std::string, Prefix> prefixes;
  std::vector<std::vector<std::string>> keys(plan.runs.size());  // of each run, by number of stages less one
  for (std::size_t r = 0; r < plan.runs.size(); ++r) {
    for (std::size_t n = 1; n < resolved_runs[r]["stages"].size(); ++n) {
      keys[r].push_back(key_of(prefix_text(resolved_runs[r], n)));
      Prefix& prefix = prefixes.try_emplace(keys[r].back(), Prefix{n, 0, r}).first->second;
      ++prefix.users;
    }
  }
  // A task of its own is what several runs use, unless they all use a longer one, too.
  std::set<std::string> chosen;
  for (const auto& run : keys) {
    for (std::size_t i = 0; i < run.size(); ++i) {
      const std::size_t longer = i + 1 < run.size() ? prefixes[run[i + 1]].users : 0;
      if (prefixes[run[i]].users >= 2 && longer < prefixes[run[i]].users) chosen.insert(run[i]);
    }
  }
  std::map<std::string, std::size_t> tasks;  // key to index in plan.shared
  const auto parent_of = [&](const std::vector<std::string>& run, std::size_t stages, SweepTask& task) {
    for (std::size_t n = stages; n-- > 0;) {
      if (chosen.count(run[n]) == 0) continue;
      task.branch_from = "shared-" + run[n];
      task.level = plan.shared[tasks.at(run[n])].level + 1;
      return;
    }
  };
  for (std::size_t r = 0; r < plan.runs.size(); ++r) {
    for (std::size_t i = 0; i < keys[r].size(); ++i) {
      const std::string& key = keys[r][i];
      if (chosen.count(key) == 0 || tasks.count(key)) continue;
      SweepTask task{"shared-" + key, "shared/" + key, plan.runs[r].config, "", "", 0, 0, true};
      task.config["fit_light"] = false;
      json& stages = task.config["stages"];
      while (stages.size() > i + 1) stages.erase(stages.size() - 1);
      parent_of(keys[r], i, task);
      tasks[key] = plan.shared.size();
      plan.shared.push_back(std::move(task));
    }
    parent_of(keys[r], keys[r].size(), plan.runs[r]);
  }
}

/// Tasks whose frozen decomposition will be the same, and which use its outputs, get a folder for them in common. The
/// outputs themselves are told apart by the weights; this only finds those that have something to share.
void share_maps(SweepPlan& plan) {
  std::map<std::string, std::vector<SweepTask*>> groups;
  const auto add = [&](SweepTask& task) {
    const ordered_json config = resolved(task.config, task.name);
    const ordered_json& stages = config["stages"];
    std::size_t trained = 0;  // number of stages up to the last that trains decomposition
    for (std::size_t i = 0; i < stages.size(); ++i) {
      if (!stages[i]["net"]["decomposition"].is_null()) trained = i + 1;
    }
    // Nothing looks at a whole picture's maps before decomposition is finished.
    if (trained == stages.size() && !config["fit_light"].get<bool>()) return;
    std::string key = prefix_text(config, trained);
    if (trained == 0) {
      ordered_json of = {config["input"], config["data"], config["exact"]};
      for (const ordered_json& stage : stages) of.push_back(stage["init"]);
      key = of.dump();
    }
    groups[key].push_back(&task);
  };
  for (SweepTask& task : plan.shared) add(task);
  for (SweepTask& task : plan.runs) add(task);
  for (auto& [key, tasks] : groups) {
    if (tasks.size() < 2) continue;
    for (SweepTask* task : tasks) task->maps = "shared/maps-" + key_of(key);
  }
}

}  // namespace

void SweepRange::validate(const std::string& path) const { check_scale(path, scale, from, to); }
void SweepRandom::validate(const std::string& path) const { check_scale(path, scale, from, to); }

void SweepAxis::validate(const std::string& here) const {
  const int count = values.has_value() + range.has_value() + random.has_value() + choices.has_value();
  check(count == 1, here, ": expected exactly one of \"values\", \"range\", \"random\", \"choices\", got ", count);
  check(choices.has_value() != path.has_value(), here,
        !choices ? ".path: missing; which value of the config is it?" : ".path: choices name their own paths");
  check(!values || !values->empty(), here, ".values: expected at least one value");
  check(!choices || !choices->empty(), here, ".choices: expected at least one choice");
}

void SweepConfig::validate(const std::string& path) const {
  check(!axes.empty(), key_path(path, "axes"), ": expected at least one axis");
  check(axes.size() <= kMaxSweepAxes, key_path(path, "axes"), ": expected at most ", kMaxSweepAxes, " axes, got ",
        axes.size());
  check(!seeds.empty(), key_path(path, "seeds"), ": expected at least one seed");
  check(std::set<std::int64_t>(seeds.begin(), seeds.end()).size() == seeds.size(), key_path(path, "seeds"),
        ": a seed is listed twice");
  std::set<std::string> names;
  for (const SweepAxis& axis : axes) {
    check(names.insert(axis.name).second, key_path(path, "axes"), ": two axes are named \"", axis.name, "\"");
  }
}

namespace {

/// Throws what is wrong with the config since the command line's --set, with its name. What was wrong before may be for
/// an axis to mend, and is said of the points.
void blame_set(const json& before, const json& after, const std::vector<std::string>& set) {
  try {
    parse_config<TrainConfig>(after, "config");
  } catch (const Error& error) {
    const std::string blamed = blamed_set(before, set, "config", error.what());
    if (!blamed.empty()) fail(blamed, error.what());
  }
}

/// The config that all points begin with: the sweep's base as its `set`, its budget and the command line change it.
json base_of(const SweepConfig& config, const std::string& path, const ConfigChanges& changes, const ReadConfig& read,
             MissingPlaces& missing) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const std::string base_path = (std::filesystem::path(path).parent_path() / config.base).string();
  RunConfigFile file = read_run_config(base_path, read);
  missing = std::move(file.missing);
  json& base = file.config;
  try {
    for (const auto& [to, value] : config.set) set_in_run(base, assignment(to, placed_value(to, value, folder)));
    if (config.budget.steps) set_in_run(base, join("steps=", *config.budget.steps));
    for (const auto& [stage, steps] : config.budget.stages) {
      set_in_run(base, join("stages.", stage, ".steps=", steps));
    }
    const json before = base;
    for (const std::string& text : changes.set) set_in_run(base, text);
    set_data(base, changes.data);
    if (!changes.set.empty()) blame_set(before, base, changes.set);
  } catch (const Error& error) {
    fail(path, ": base ", base_path, ": ", error.what());
  }
  return base;
}

/// Makes the base in `own` the config of a point, of which `pick` has a change on each axis, or -1 for none.
SweepPoint set_point(const SweepConfig& config, const std::string& path,
                     const std::vector<std::vector<Change>>& changes, const std::vector<std::int64_t>& pick,
                     json& own) {
  SweepPoint point;
  for (std::size_t a = 0; a < pick.size(); ++a) {
    point.values.emplace_back();
    if (pick[a] < 0) continue;
    const Change& change = changes[a][static_cast<std::size_t>(pick[a])];
    try {
      for (const std::string& text : change.assignments) set_in_run(own, text);
    } catch (const Error& error) {
      fail(path, ": axis \"", config.axes[a].name, "\", value ", text_of(change.value), ": ", error.what());
    }
    point.values.back() = change.value;
    point.label += (point.label.empty() ? "" : ", ") + config.axes[a].name + "=" + text_of(change.value);
  }
  if (point.label.empty()) point.label = "base";
  return point;
}

/// p0, p1 ..., with as many digits as the last one has.
void name_points(std::vector<SweepPoint>& points) {
  const std::size_t digits = std::to_string(points.size() - 1).size();
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::string number = std::to_string(i);
    points[i].name = "p" + std::string(digits - number.size(), '0') + number;
  }
}

}  // namespace

SweepPlan plan_sweep(const std::string& path, const std::vector<std::string>& set, const std::vector<std::string>& data,
                     std::size_t max_runs, const ReadConfig& read) {
  SweepPlan plan;
  plan.name = std::filesystem::path(path).stem().string();
  plan.config = parse_config<SweepConfig>(read(path), path);
  const SweepConfig& config = plan.config;
  check_count(config, path, max_runs);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const json base = base_of(config, path, {set, data}, read, plan.missing);

  std::vector<std::vector<Change>> changes;
  for (const SweepAxis& axis : config.axes) changes.push_back(changes_of(axis, folder));
  std::vector<std::vector<std::int64_t>> picks;
  try {
    picks = combinations(config, changes);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }

  std::vector<json> configs;  // of the points
  std::vector<ordered_json> resolved_points;
  std::map<std::string, std::size_t> seen;  // resolved config to its point
  for (const std::vector<std::int64_t>& pick : picks) {
    json own = base;
    SweepPoint point = set_point(config, path, changes, pick, own);
    ordered_json whole = resolved(own, path + ": point \"" + point.label + "\"");
    const auto [at, is_new] = seen.try_emplace(whole.dump(), plan.points.size());
    if (is_new) {
      plan.points.push_back(std::move(point));
      configs.push_back(std::move(own));
      resolved_points.push_back(std::move(whole));
    } else {
      // The base under another name: it says something on that axis, too.
      std::vector<std::optional<json>>& values = plan.points[at->second].values;
      for (std::size_t a = 0; a < values.size(); ++a) {
        if (!values[a]) values[a] = point.values[a];
      }
    }
  }
  name_points(plan.points);

  std::vector<ordered_json> resolved_runs;
  for (const std::int64_t seed : config.seeds) {
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      SweepTask run;
      run.name = run.folder = join(plan.points[i].name, "-s", seed);
      run.config = configs[i];
      run.config["seed"] = seed;
      run.point = i;
      plan.runs.push_back(std::move(run));
      resolved_runs.push_back(resolved_points[i]);
      resolved_runs.back()["seed"] = seed;
    }
  }
  // By the clock, a run that begins with another's stages would have more of it than one that does not.
  if (!config.budget.minutes) {
    share_stages(plan, resolved_runs);
    share_maps(plan);
  }
  return plan;
}

std::size_t adopt_names(SweepPlan& plan, const json& before, const std::string& where) {
  const json now = to_json(plan);
  const auto refuse_unless = [&where](bool same, const std::string& what) {
    check(same, where, ": the sweep in it has other points, seeds or values than this one (", what,
          "); it may grow by values and seeds, for anything else name another folder with --out");
  };
  try {
    for (const char* key : {"name", "combine", "base", "budget", "minutes"}) {
      const bool known = before.contains(key) || std::string(key) == "minutes";  // earlier versions said less
      refuse_unless(!known || before.value(key, json()) == now.value(key, json()), std::string(key) + " differs");
    }
    refuse_unless(before.at("axes").size() == now.at("axes").size(), "the axes differ");
    for (std::size_t a = 0; a < now["axes"].size(); ++a) {
      refuse_unless(before["axes"][a].at("name") == now["axes"][a].at("name"), "the axes differ");
    }
    std::map<std::pair<std::string, std::int64_t>, const json*> there;  // by config and seed
    for (const json& run : before.at("runs")) {
      there[{run.at("config").get<std::string>(), run.at("seed").get<std::int64_t>()}] = &run;
    }
    std::size_t found = 0;
    std::map<std::string, std::string> renamed;
    for (const json& run : now.at("runs")) {
      const auto same = there.find({run.at("config").get<std::string>(), run.at("seed").get<std::int64_t>()});
      if (same == there.end()) continue;
      ++found;
      renamed[run.at("point").get<std::string>()] = same->second->at("point").get<std::string>();
    }
    refuse_unless(found == there.size(), join(there.size() - found, " of its runs are not in this one"));
    std::size_t free = 0;
    for (const json& point : before.at("points")) {
      free = std::max(free, static_cast<std::size_t>(std::stoull(point.at("name").get<std::string>().substr(1))) + 1);
    }
    const std::size_t fresh = plan.runs.size() - found;
    for (SweepPoint& point : plan.points) {
      const auto name = renamed.find(point.name);
      point.name = name != renamed.end() ? name->second : join("p", free++);
    }
    for (SweepTask& run : plan.runs) {
      run.name = run.folder = join(plan.points[run.point].name, "-s", run.config["seed"].get<std::int64_t>());
    }
    return fresh;
  } catch (const json::exception&) {
    fail(where, ": it is not what kind-train writes");
  } catch (const std::logic_error&) {
    fail(where, ": it is not what kind-train writes");
  }
}

std::string summary_of(const SweepPlan& plan) {
  return join(counted(plan.points.size(), "point"), ", ", counted(plan.config.seeds.size(), "seed"), ": ",
              counted(plan.runs.size(), "run"), "; ", plan.shared.size(), plan.shared.size() == 1 ? " set" : " sets",
              " of stages that several need");
}

ordered_json to_json(const SweepPlan& plan) {
  ordered_json out{{"format", 1},
                   {"name", plan.name},
                   {"base", plan.config.base},
                   {"budget", to_json(plan.config.budget)},
                   {"combine", plan.config.combine}};
  for (std::size_t a = 0; a < plan.config.axes.size(); ++a) {
    ordered_json values = ordered_json::array();
    for (const Change& change : changes_of(plan.config.axes[a], "")) values.push_back(ordered_json(change.value));
    out["axes"].push_back({{"name", plan.config.axes[a].name}, {"values", std::move(values)}});
  }
  for (const SweepPoint& point : plan.points) {
    ordered_json entry{{"name", point.name}, {"label", point.label}, {"values", ordered_json::object()}};
    for (std::size_t a = 0; a < point.values.size(); ++a) {
      if (point.values[a]) entry["values"][plan.config.axes[a].name] = *point.values[a];
    }
    out["points"].push_back(std::move(entry));
  }
  out["seeds"] = plan.config.seeds;
  if (plan.config.budget.minutes) out["minutes"] = *plan.config.budget.minutes;
  for (const SweepTask& run : plan.runs) {
    json config = run.config;  // where the pictures lie may change between machines
    if (config.contains("data") && config["data"].is_object()) erase_places(config["data"]);
    out["runs"].push_back({{"name", run.name},
                           {"point", plan.points[run.point].name},
                           {"seed", run.config["seed"]},
                           {"config", key_of(config.dump())}});
  }
  return out;
}

}  // namespace kind
