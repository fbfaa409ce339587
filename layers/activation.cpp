#include "layers/activation.h"

#include "core/base/error.h"

namespace kind {

Activation Activation::from_name(const std::string& name, double slope) {
  check(slope >= 0 && slope <= 1, "activation: expected a slope from 0 to 1, got ", slope);
  if (name == "relu") return {Type::kRelu, 0};
  if (name == "leaky_relu") return {Type::kLeakyRelu, slope};
  fail("activation: expected relu or leaky_relu, got '", name, "'");
}

}  // namespace kind
