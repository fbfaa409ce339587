#include "train/trainer/config.h"

#include <set>
#include <utility>

#include "core/base/error.h"

namespace kind {

void TrainConfig::validate(const std::string& path) const {
  check(!stages.empty(), key_path(path, "stages"), ": expected at least one stage");
  std::set<std::string> names;
  for (const StageConfig& stage : stages) {
    check(names.insert(stage.name).second, key_path(path, "stages"), ": two stages are named \"", stage.name, "\"");
  }
}

}  // namespace kind
