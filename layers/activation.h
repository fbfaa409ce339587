#pragma once

#include <string>

#include "core/ops/elementwise.h"

namespace kind {

/// The activation after a convolution.
struct Activation {
  enum class Type { kNone, kRelu, kLeakyRelu, kSigmoid } type = Type::kLeakyRelu;
  double slope = 0.2;  // of leaky ReLU below zero

  /// "relu" or "leaky_relu"; throws Error for other names, and for a slope outside 0..1.
  static Activation from_name(const std::string& name, double slope);

  template <class T>
  Variable<T> operator()(const Variable<T>& x) const {
    switch (type) {
      case Type::kRelu:
        return relu(x);
      case Type::kLeakyRelu:
        return leaky_relu(x, static_cast<T>(slope));
      case Type::kSigmoid:
        return sigmoid(x);
      case Type::kNone:
        break;
    }
    return x;
  }
};

}  // namespace kind
