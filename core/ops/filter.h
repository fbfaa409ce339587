#pragma once

#include "core/autograd/variable.h"

namespace kind {

/// Correlates every channel of x [n, c, h, w] with the same fixed kernel [kh, kw], with zero padding:
///   y[n, c, i, j] = sum over a, b of x[n, c, i + a - pad_top, j + b - pad_left] kernel[a, b]
/// y is [n, c, h + pad_top + pad_bottom - kh + 1, w + pad_left + pad_right - kw + 1]. The gradient flows only to x:
///   dx[n, c, i, j] = sum over a, b of g[n, c, i - a + pad_top, j - b + pad_left] kernel[a, b]
struct FilterPadding {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
};

/// Throws Error unless x has four axes and the kernel two, if a padding is negative or above Shape::kMaxSize, or if the
/// kernel is larger than the padded picture. An empty batch (n = 0) gives an empty result.
template <class T>
Variable<T> depthwise_filter(const Variable<T>& x, const Tensor<T>& kernel, const FilterPadding& padding = {});

/// A normalised Gaussian of `size` taps as a row [1, size]; size must be odd and sigma positive.
template <class T>
Tensor<T> gaussian_row(std::int64_t size, double sigma);

}  // namespace kind
