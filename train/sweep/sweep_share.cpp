#include <algorithm>
#include <set>

#include "train/sweep/sweep_plan.h"
#include "train/trainer/config.h"

namespace kind {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// All that decides what the first `count` stages of a run become.
std::string prefix_text(const ordered_json& config, std::size_t count) {
  ordered_json prefix = config;
  prefix["fit_light"] = false;
  erase_incidental(prefix);
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
    const ordered_json config = resolved_config(task.config, task.name);
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

ordered_json resolved_config(const json& config, const std::string& source) {
  return to_json(parse_config<TrainConfig>(config, source));
}

void share_work(SweepPlan& plan, const std::vector<ordered_json>& resolved_runs) {
  share_stages(plan, resolved_runs);
  share_maps(plan);
}

}  // namespace kind
