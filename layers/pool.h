#pragma once

#include "layers/conv2d.h"

namespace kind {

/// Largest element of each window of x [n, c, h, w]; padding counts as -inf:
///   y[n, c, i, j] = max over a, b of x[n, c, i sh + a - top, j sw + b - left]
/// The gradient goes to the first maximum in row-major order of the window. A NaN in a window is its maximum. Throws
/// Error if the window is not positive, does not fit, or can lie in the padding alone.
struct PoolSpec {
  std::int64_t window_h = 2, window_w = 2;
  WindowSpec window{2, 2, true, 0, 0, 0, 0};
};
template <class T>
Variable<T> max_pool2d(const Variable<T>& x, const PoolSpec& spec = {});

}  // namespace kind
