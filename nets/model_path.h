#pragma once

#include <string>
#include <vector>

// Programs that link an installed kind get the path of its model from the exported target kind::nets.
#ifdef KIND_INSTALLED_MODEL
#define KIND_MORE_MODELS \
  { KIND_INSTALLED_MODEL }
#else
#define KIND_MORE_MODELS \
  {}
#endif

namespace kind {

/// The model file to use: `option` where it is not empty, else $KIND_MODEL, else the first that exists of the build
/// tree's nets/pretrained/kind.safetensors, the files of `more`, and ../share/kind/kind.safetensors of the program's
/// folder. A file that option or environment name is returned whether it exists or not; throws Error, naming every
/// place looked at, if nothing is found.
std::string find_model(const std::string& option = "", const std::vector<std::string>& more = KIND_MORE_MODELS);

}  // namespace kind
