#include "train/trainer/config.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "core/base/error.h"

namespace kind {
namespace {

/// Checks the weights of sources that a stage has for itself against the sources that there are.
void check_source_weights(const StageConfig& stage, const DataConfig& data, const std::string& path) {
  if (stage.source_weights.empty()) return;
  check(!data.sources.empty(), path, ": there are no data.sources to weigh");
  std::string known;
  std::map<std::string, double> weights;
  for (const SourceConfig& source : data.all()) {
    known += (known.empty() ? "" : ", ") + source.name;
    weights[source.name] = source.weight;
  }
  std::set<std::string> met;
  for (const SourceWeight& other : stage.source_weights) {
    check(met.insert(other.name).second, path, ": two weights for the source \"", other.name, "\"");
    const auto at = weights.find(other.name);
    check(at != weights.end(), path, ": there is no source \"", other.name, "\"; data.sources has ", known);
    check(at->second > 0 || other.weight == 0, path, ": the source \"", other.name,
          "\" has weight 0 in data.sources, which is for validation only; give it a weight there");
    at->second = other.weight;
  }
  check(std::any_of(weights.begin(), weights.end(), [](const auto& source) { return source.second > 0; }), path,
        ": with these every weight is 0, expected a source to train on");
}

}  // namespace

void TrainConfig::validate(const std::string& path) const {
  const std::string here = key_path(path, "stages");
  check(!stages.empty(), here, ": expected at least one stage");
  std::set<std::string> names;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    check(names.insert(stages[i].name).second, here, ": two stages are named \"", stages[i].name, "\"");
    check_source_weights(stages[i], data, here + "[" + std::to_string(i) + "].source_weights");
  }
}

}  // namespace kind
