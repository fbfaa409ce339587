#include <algorithm>
#include <set>

#include "core/base/count.h"
#include "core/base/error.h"
#include "train/sweep/sweep_plan.h"
#include "train/trainer/config.h"

namespace kind {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

/// Names the config of a run, wherever its pictures lie.
std::string run_key(json config) {
  if (config.contains("data") && config["data"].is_object()) erase_places(config["data"]);
  return key_of(config.dump());
}

/// A run of a sweep.json: its config, with the seed.
using RunKey = std::pair<std::string, std::int64_t>;

/// The runs of the sweep in a folder, and which of them are those of a plan.
class Before {
 public:
  explicit Before(const json& before) {
    for (const json& run : before.at("runs")) {
      runs_[{run.at("config").get<std::string>(), run.at("seed").get<std::int64_t>()}] = &run;
      if (run.contains("steps")) lengths_.insert(run["steps"].get<std::int64_t>());
    }
  }

  std::size_t count() const { return runs_.size(); }

  /// For each run of the plan the one before; null where it is new.
  std::vector<const json*> find(const std::vector<SweepTask>& runs) {
    std::vector<const json*> found;
    found.reserve(runs.size());
    for (const SweepTask& run : runs) found.push_back(take(run.config));
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (!found[i]) found[i] = take_shorter(runs[i].config);
    }
    return found;
  }

 private:
  /// The run with this config, once.
  const json* take(const json& config) {
    const auto same = runs_.find({run_key(config), config.at("seed").get<std::int64_t>()});
    if (same == runs_.end() || !taken_.insert(same->second).second) return nullptr;
    return same->second;
  }

  /// One with fewer steps of the last stage and else this config.
  const json* take_shorter(json config) {
    const std::optional<std::int64_t> steps = last_steps(config);
    for (const std::int64_t fewer : lengths_) {
      if (!steps || fewer >= *steps) break;
      config["stages"].back()["steps"] = fewer;
      if (const json* grown = take(config)) return grown;
    }
    return nullptr;
  }

  std::map<RunKey, const json*> runs_;
  std::set<const json*> taken_;
  std::set<std::int64_t> lengths_;
};

/// Throws unless what all runs of a sweep have in common is as before. Earlier versions said less.
template <class Refuse>
void check_common(const json& before, const json& now, const Refuse& refuse_unless) {
  for (const char* key : {"name", "combine", "base", "minutes", "search", "halving"}) {
    const bool said = before.contains(key) || (std::string(key) != "combine" && std::string(key) != "base");
    refuse_unless(!said || before.value(key, json()) == now.value(key, json()), std::string(key) + " differs");
  }
  refuse_unless(before.at("axes").size() == now.at("axes").size(), "the axes differ");
  for (std::size_t a = 0; a < now["axes"].size(); ++a) {
    refuse_unless(before["axes"][a].at("name") == now["axes"][a].at("name"), "the axes differ");
  }
}

}  // namespace

std::optional<std::int64_t> last_steps(const json& config) {
  if (!config.is_object() || !config.contains("stages") || !config["stages"].is_array() || config["stages"].empty()) {
    return std::nullopt;
  }
  const json& stage = config["stages"].back();
  if (!stage.is_object() || !stage.contains("steps") || !stage["steps"].is_number_integer()) return std::nullopt;
  return stage["steps"].get<std::int64_t>();
}

std::size_t adopt_names(SweepPlan& plan, const json& before, const std::string& where) {
  const json now = to_json(plan);
  const auto refuse_unless = [&where](bool same, const std::string& what) {
    check(same, where, ": the sweep in it has other points, seeds or values than this one (", what,
          "); it may grow by values, seeds and steps of the last stage, for anything else name another folder with "
          "--out");
  };
  try {
    check_common(before, now, refuse_unless);
    Before there(before);
    std::size_t found = 0;
    std::map<std::size_t, std::string> renamed;  // points of the plan
    const std::vector<const json*> same = there.find(plan.runs);
    for (std::size_t i = 0; i < same.size(); ++i) {
      if (!same[i]) continue;
      ++found;
      renamed[plan.runs[i].point] = same[i]->at("point").get<std::string>();
    }
    const bool budget = !before.contains("budget") || before["budget"] == now["budget"];
    refuse_unless(found == there.count(),
                  join(there.count() - found, there.count() - found == 1 ? " of its runs is" : " of its runs are",
                       " not in this one", budget ? "" : "; budget differs"));
    const std::size_t fresh = plan.runs.size() - found;
    check(fresh == 0 || !plan.config.halving, where,
          ": a sweep with halving cannot grow, since what it has stopped was "
          "compared with fewer runs; name another folder with --out");
    std::size_t free = 0;
    for (const json& point : before.at("points")) {
      free = std::max(free, static_cast<std::size_t>(std::stoull(point.at("name").get<std::string>().substr(1))) + 1);
    }
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      const auto name = renamed.find(i);
      plan.points[i].name = name != renamed.end() ? name->second : join("p", free++);
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
  if (plan.config.search) out["search"] = {{"type", plan.config.search->type}, {"seed", plan.config.search->seed}};
  if (plan.config.halving) out["halving"] = to_json(*plan.config.halving);
  for (std::size_t a = 0; a < plan.config.axes.size(); ++a) {
    ordered_json values = ordered_json::array();
    for (const Change& change : changes_of(plan.config, plan.config.axes[a], ""))
      values.push_back(ordered_json(change.value));
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
    ordered_json entry{{"name", run.name},
                       {"point", plan.points[run.point].name},
                       {"seed", run.config["seed"]},
                       {"config", run_key(run.config)}};
    if (const std::optional<std::int64_t> steps = last_steps(run.config)) entry["steps"] = *steps;
    out["runs"].push_back(std::move(entry));
  }
  return out;
}
}  // namespace kind
