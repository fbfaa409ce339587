#pragma once

#include <optional>

#include "core/tensor/tensor.h"

namespace kind {

/// Lightness order error of an enhanced picture against the dark one it was made from, both RGB [1, 3, h, w] of values
/// 0..255 (Wang, Zheng, Hu and Li, "Naturalness Preserved Enhancement Algorithm for Non-Uniform Illumination Images",
/// IEEE Transactions on Image Processing 22, 2013):
///   (1/m) sum over x, y of [ (Q(x) >= Q(y)) differs from (Q'(x) >= Q'(y)) ]
/// Q and Q' are max(R, G, B) of the two at m sampled pixels: 50 along the shorter side, as many as keep their distance
/// along the longer one, each the pixel under the middle of its cell. 0 if all pixels keep their order; at most m.
/// Nothing if a side is shorter than 50. Throws Error if the shapes do not fit.
std::optional<double> lightness_order_error(const Tensor<float>& output, const Tensor<float>& low);

}  // namespace kind
