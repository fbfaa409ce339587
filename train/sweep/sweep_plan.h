#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/sweep/sweep.h"

/// Parts of planning a sweep.
namespace kind {

/// What an axis does to a config: assignments for --set, and what tables call them.
struct Change {
  nlohmann::json value;
  std::vector<std::string> assignments;
};

/// The changes of an axis, in order; of a draw as many as the search has points. `folder` is the sweep file's, from
/// which paths count.
std::vector<Change> changes_of(const SweepConfig& config, const SweepAxis& axis, const std::string& folder);

/// The change that each axis takes in each point; -1: the base's own. Throws Error if axes that are zipped have
/// different lengths, or a search finds too few points.
std::vector<std::vector<std::int64_t>> combinations(const SweepConfig& config,
                                                    const std::vector<std::vector<Change>>& changes);

/// Throws Error where there would be more than `max_runs` runs, before any of them is made.
void check_count(const SweepConfig& config, const std::string& path, std::size_t max_runs);

/// "PATH=JSON" for --set.
std::string assignment(const std::string& path, const nlohmann::json& value);
/// A value as tables show it.
std::string text_of(const nlohmann::json& value);
/// 16 digits that name a text.
std::string key_of(const std::string& text);

/// The steps of a config's last stage; nothing where they are not given, or as epochs.
std::optional<std::int64_t> last_steps(const nlohmann::json& config);

/// The config as every run of it would resolve it, with all defaults. Errors name `source`.
nlohmann::ordered_json resolved_config(const nlohmann::json& config, const std::string& source);

/// Finds the first stages that several runs have in common, makes tasks of them and lets the runs branch from them.
/// Tasks whose frozen decomposition will be the same get a folder for its outputs in common. `resolved_runs` are the
/// configs of the plan's runs.
void share_work(SweepPlan& plan, const std::vector<nlohmann::ordered_json>& resolved_runs);

}  // namespace kind
