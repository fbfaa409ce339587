#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/config/config_file.h"
#include "train/trainer/config.h"

/// Reads run configs as the command line names them.
namespace kind {

/// A relative path of a config that exists neither in the config's folder nor in the current one: as it was written,
/// and the path in the config's folder.
using MissingPlaces = std::vector<std::pair<std::string, std::string>>;

struct RunConfigFile {
  nlohmann::json config;  ///< With its bases, and its paths from the current folder.
  MissingPlaces missing;
};

/// Reads a run config with what it builds on (read_layered_config). Its paths (data.root, the root and split_file of
/// sources, and init of stages) count from the folder of the file that has them or, if there is nothing there, from the
/// current folder. Throws Error naming the file.
RunConfigFile read_run_config(const std::string& path, const ReadConfig& read = read_config_file);

/// The same for a value that --set would give to `path`, in a file of `folder`; other values are returned as they are.
nlohmann::json placed_value(const std::string& path, const nlohmann::json& value, const std::string& folder);

/// Applies `--set PATH=JSON` as set_path does with the keys of run configs. "losses.TERM..." is set in every stage that
/// has the term; throws Error if none has it, except that a whole term (losses.TERM=JSON) is then set in every stage.
void set_in_run(nlohmann::json& config, const std::string& assignment);

/// The command line's changes of a config.
struct ConfigChanges {
  std::vector<std::string> set, data;  ///< Of --set and --data.
};

/// Applies --set, then --data, and parses. An error that a --set causes names it.
TrainConfig parse_run_config(nlohmann::json& config, const ConfigChanges& changes, const std::string& source);

/// The --set whose value makes parsing `config` fail with `message`: a text such as `--set batch=0: `, for the front of
/// the message; empty if the config is so by itself.
std::string blamed_set(nlohmann::json config, const std::vector<std::string>& set, const std::string& source,
                       const std::string& message);

/// The text of an error, with both places that were tried if it is about one of the missing paths.
std::string with_places(const std::string& message, const MissingPlaces& missing);

}  // namespace kind
