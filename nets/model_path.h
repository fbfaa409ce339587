#pragma once

#include <string>

namespace kind {

/// The model file to use: `option` where it is not empty, else $KIND_MODEL, else the build tree's
/// nets/pretrained/kind.safetensors, else ../share/kind/kind.safetensors of the program's folder. A file that option or
/// environment name is returned whether it exists or not; throws Error, naming every place looked at, where nothing is
/// found.
std::string find_model(const std::string& option);

}  // namespace kind
