#include "train/sweep/sweep.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/count.h"
#include "core/base/error.h"
#include "losses/metrics/metrics.h"
#include "train/sweep/sweep_plan.h"
#include "train/trainer/config.h"

namespace kind {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

void check_scale(const std::string& path, const std::string& scale, double from, double to) {
  check(scale != "log" || (from > 0 && to > 0), path, ": a logarithmic scale takes numbers greater than 0");
  check(from != to, path, ": from and to are the same, expected a range");
}

}  // namespace

void SweepRange::validate(const std::string& path) const { check_scale(path, scale, from, to); }
void SweepRandom::validate(const std::string& path) const { check_scale(path, scale, from, to); }

void SweepDraw::validate(const std::string& path) const {
  check(low < high, path, ": expected low to be less than high, got ", low, " and ", high);
  check(!log || low > 0, path, ": a logarithmic scale takes numbers greater than 0");
}

void SweepHalving::validate(const std::string& path) const {
  check(rungs.size() >= 2, path, ".rungs: expected at least two numbers of steps");
  for (std::size_t i = 1; i < rungs.size(); ++i) {
    check(rungs[i - 1] < rungs[i], path, ".rungs: expected numbers of steps that rise, got ", rungs[i - 1], " before ",
          rungs[i]);
  }
  const std::string figure = metric.substr(metric.find('/') + 1);  // npos + 1 is 0
  std::string names = "psnr_reconstruction";
  bool known = figure == names;
  for (const Metric& each : all_metrics()) {
    if (each.taken == Taken::kNamed || each.better == Better::kNeither) continue;
    known = known || figure == each.figure();
    names += ", " + each.figure();
  }
  check(known, path, ".metric: there is no figure \"", figure,
        "\" of a validation that has a better direction, expected one of ", names);
}

void SweepAxis::validate(const std::string& here) const {
  const int count =
      values.has_value() + range.has_value() + random.has_value() + draw.has_value() + choices.has_value();
  check(count == 1, here, ": expected exactly one of \"values\", \"range\", \"random\", \"draw\", \"choices\", got ",
        count);
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
    const std::string of_axis = key_path(path, "axes") + ": \"" + axis.name + "\": ";
    check(search || !axis.draw, of_axis, "\"draw\" needs a \"search\"; \"range\" and \"random\" make lists of values");
    check(!search || !axis.random, of_axis, "a search draws by itself; use \"draw\" in place of \"random\"");
  }
  check(!search || combine == "cross", key_path(path, "combine"), ": a search combines the axes by itself");
  check(!halving || !budget.minutes, key_path(path, "halving"), ": its rungs count steps, not budget.minutes");
  check(!keep || !keep_checkpoints || *keep == "all", key_path(path, "keep_checkpoints"), ": \"keep\" says otherwise");
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

/// Makes the last stage as long as the last rung.
void set_rungs(const SweepConfig& config, json& base) {
  check(base.is_object() && base.contains("stages") && base["stages"].is_array() && !base["stages"].empty() &&
            base["stages"].back().is_object(),
        "halving needs a config with stages");
  json& stage = base["stages"].back();
  const std::string name = stage.value("name", std::string());
  check(config.budget.stages.count(name) == 0, "budget.stages.", name,
        ": halving.rungs says how long the last stage is");
  stage.erase("epochs");
  stage["steps"] = config.halving->rungs.back();
}

/// Throws where something else has changed that.
void check_rungs(const SweepConfig& config, const ordered_json& whole, const std::string& where) {
  if (!config.halving) return;
  const ordered_json& stage = whole.at("stages").back();
  check(stage.at("steps") == config.halving->rungs.back(), where, ": stage ", stage.at("name").get<std::string>(),
        " has another number of steps than the last of halving.rungs, which says how long it is");
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
    if (config.halving) set_rungs(config, base);
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

/// What stays of finished runs. The config says nothing of it any more: the first stages of several runs need their
/// checkpoints.
std::string take_keep(const SweepConfig& config, json& base) {
  std::string keep = config.keep_checkpoints ? "all" : config.keep.value_or("models");
  if (!base.is_object() || !base.contains("keep")) return keep;
  const json own = base["keep"];
  if (own != "all" && own != "models" && own != "model") return keep;  // for parsing to complain of
  base.erase("keep");
  return config.keep || config.keep_checkpoints ? keep : own.get<std::string>();
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
  json base = base_of(config, path, {set, data}, read, plan.missing);
  plan.keep = take_keep(config, base);
  std::vector<std::vector<Change>> changes;
  for (const SweepAxis& axis : config.axes) changes.push_back(changes_of(config, axis, folder));
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
    const std::string where = path + ": point \"" + point.label + "\"";
    ordered_json whole = resolved_config(own, where);
    check_rungs(config, whole, where);
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
  if (!config.budget.minutes) share_work(plan, resolved_runs);
  return plan;
}

}  // namespace kind
