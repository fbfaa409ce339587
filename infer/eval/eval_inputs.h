#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kind {

/// Something to score: a model, or a folder of results.
struct EvalInput {
  std::string name;  ///< Of its row; inputs of one name are seeds of one row.
  std::string path;  ///< The model file or the folder.
  bool results = false;
  std::int64_t seed = 0;
};

/// What the paths of a command line name, in order: model files; run folders of kind-train (their model.safetensors);
/// sweep folders (the finished runs, a row for each point with all of its seeds); other folders, which are results of
/// any program. Runs whose configs differ only in the seed and in where data lie share a row. `left_out` gets a line for
/// each run that is not finished. Throws Error if a path does not exist, a folder's files are not kind-train's, nothing
/// is left to score, or two rows would have the same input twice.
std::vector<EvalInput> eval_inputs(const std::vector<std::string>& paths, std::vector<std::string>& left_out);

}  // namespace kind
