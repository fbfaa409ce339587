#include "infer/eval/eval_inputs.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/config/config.h"
#include "nets/data/places.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// The last part of a path: "kind.safetensors" of a file, "mine" of runs/mine/.
std::string last_name(const std::string& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

/// All of a run's config but for its seed and places.
std::string config_key(json config) {
  config.erase("seed");
  erase_incidental(config);
  return config.dump();
}

class Finder {
 public:
  explicit Finder(std::vector<std::string>& left_out) : left_out_(left_out) {}

  void add(const std::string& path) {
    check(exists(path), "there is no file or folder ", path);
    if (!fs::is_directory(path)) {
      put({unused(last_name(path)), path, false, 0});
    } else if (exists(path + "/sweep.json")) {
      add_sweep(path);
    } else if (exists(path + "/config.json") || exists(path + "/metrics.jsonl")) {
      add_run(path);
    } else {
      put({unused(last_name(path)), path, true, 0});
    }
  }

  std::vector<EvalInput> take() { return std::move(inputs_); }

 private:
  void add_run(const std::string& folder) {
    const std::string model = folder + "/model.safetensors";
    if (!exists(model)) {
      left_out_.push_back(folder + ": the run is not finished (it has no model.safetensors)");
      return;
    }
    std::int64_t seed = 0;
    std::string key = folder;
    if (exists(folder + "/config.json")) {
      const json config = read_json_file(folder + "/config.json");
      check(config.is_object(), folder, "/config.json: it is not what kind-train writes");
      if (config.contains("seed") && config["seed"].is_number_integer()) seed = config["seed"].get<std::int64_t>();
      key = config_key(config);
    }
    const auto known = rows_.find(key);
    const std::string name = known != rows_.end() ? known->second : unused(last_name(folder));
    rows_[key] = name;
    put({name, model, false, seed});
  }

  void add_sweep(const std::string& folder) {
    const json sweep = read_json_file(folder + "/sweep.json");
    try {
      std::map<std::string, std::string> labels;
      for (const json& point : sweep.at("points")) {
        const std::string point_name = point.at("name").get<std::string>(),
                          label = point.at("label").get<std::string>();
        labels[point_name] = label;
      }
      // Folders of the same sweep with other seeds share rows; other sweeps with a point of that label do not.
      const std::string sweep_name = sweep.at("name").get<std::string>();
      for (const json& run : sweep.at("runs")) {
        const std::string name = run.at("name").get<std::string>(), model = folder + "/" + name + "/model.safetensors";
        if (!exists(model)) {
          left_out_.push_back(folder + "/" + name + ": the run is not finished (it has no model.safetensors)");
          continue;
        }
        const std::string& label = labels.at(run.at("point").get<std::string>());
        const std::string key = sweep_name + "\n" + label;
        if (rows_.count(key) == 0) rows_[key] = unused(names_.count(label) ? sweep_name + ": " + label : label);
        put({rows_[key], model, false, run.at("seed").get<std::int64_t>()});
      }
    } catch (const json::exception&) {
      fail(folder, "/sweep.json: it is not what kind-train writes");
    } catch (const std::out_of_range&) {
      fail(folder, "/sweep.json: a run is of a point that is not listed");
    }
  }

  /// A name that no row has yet: with a number where it has to be.
  std::string unused(const std::string& name) {
    std::string free = name;
    for (int i = 2; names_.count(free); ++i) free = join(name, " (", i, ")");
    names_.insert(free);
    return free;
  }

  void put(EvalInput input) {
    check(paths_.insert(fs::weakly_canonical(input.path).string()).second, input.path, ": is named twice");
    inputs_.push_back(std::move(input));
  }

  std::vector<std::string>& left_out_;
  std::vector<EvalInput> inputs_;
  std::map<std::string, std::string> rows_;  // of runs, by config or by sweep and label
  std::set<std::string> names_, paths_;
};

}  // namespace

std::vector<EvalInput> eval_inputs(const std::vector<std::string>& paths, std::vector<std::string>& left_out) {
  Finder finder(left_out);
  for (const std::string& path : paths) finder.add(path);
  std::vector<EvalInput> inputs = finder.take();
  check(!inputs.empty(), "there is nothing to score: ", left_out.empty() ? "no input" : left_out.front());
  return inputs;
}

}  // namespace kind
