#pragma once

#include <vector>

#include "layers/fused/fused_net.h"

namespace kind {

/// FusedNet::operator() with gradients: keeps the activations that backward() needs. `leaves`: the inputs, then weight
/// and bias of each layer in order.
Variable<float> fused_with_gradients(const FusedNet& net, const std::vector<Variable<float>>& inputs,
                                     const std::vector<Variable<float>>& leaves);

}  // namespace kind
