#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "tests/support/program.h"
#include "tests/train/run_folder.h"

/// Sweeps as users start them. The source that includes this knows KIND_TRAIN_PROGRAM.
namespace kind::testing {

struct Result {
  int code;
  std::string out, err;
};

inline Result run(const TempDir& dir, const std::vector<std::string>& arguments,
                  const std::string& program = KIND_TRAIN_PROGRAM) {
  RunningProgram running(program, dir.path(), arguments);
  const int code = running.wait();
  return {code, running.out(), running.err()};
}

/// c.json: decomposition and adjustment, which goes on in a third stage; restoration's weights would take their time.
/// s.json: three points with two seeds, one of which fails in its second stage.
inline void put_sweep(const TempDir& dir, const std::string& more = "") {
  put_run(dir);
  nlohmann::json config = read_json_file(dir / "c.json");
  nlohmann::json& stages = config["stages"];
  stages[2] = stages[1];
  stages[2]["name"] = "again";
  config["fit_light"] = false;
  dir.put("c.json", config.dump());
  dir.put("s.json", R"({"base": "c.json", "seeds": [1, 2], "axes": [{"name": "what", "choices": [
    {"name": "all", "set": {}},
    {"name": "l1", "set": {"stages.again.losses.square.norm": "l1"}},
    {"name": "too fast", "set": {"stages.adjust.optimizer": {"type": "sgd", "learning_rate": 1e38},
                                 "stages.adjust.clip_norm": null, "stages.adjust.ema": null}}]}])" +
                        more + "}");
}

/// A sweep's folder but for what tells of time or of how it was carried out.
inline std::map<std::string, std::string> results(const TempDir& dir, const std::string& out) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir / out)) {
    const std::string name = entry.path().filename().string();
    if (name[0] != 'p' || name == "points" || !entry.is_directory()) continue;
    for (const auto& [file, content] : snapshot(entry.path().string())) {
      // Reasons name the folder.
      if (file != "failed.json" && file.rfind("checkpoints/", 0) != 0) files[name + "/" + file] = content;
    }
  }
  return files;
}

}  // namespace kind::testing
