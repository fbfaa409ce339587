#pragma once

#include <string>
#include <vector>

#include "core/autograd/variable.h"

namespace kind {

/// A trainable tensor and its name in model files, such as "decomposition.conv1.weight".
template <class T>
struct Parameter {
  std::string name;
  Variable<T> variable;
};

/// A module's parameters in a fixed order. Variables are handles: writing to one changes the module.
template <class T>
using Parameters = std::vector<Parameter<T>>;

}  // namespace kind
