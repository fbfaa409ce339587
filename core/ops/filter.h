#pragma once

#include "core/autograd/variable.h"

namespace kind {

/// Every channel of x [n, c, h, w] correlated with the same fixed kernel [kh, kw], on zero-padded borders:
///   y[n, c, i, j] = sum over a, b of x[n, c, i + a - pad_top, j + b - pad_left] kernel[a, b]
/// y is [n, c, h + pad_top + pad_bottom - kh + 1, w + pad_left + pad_right - kw + 1]. The gradient flows to x alone:
///   dx[n, c, i, j] = sum over a, b of g[n, c, i - a + pad_top, j - b + pad_left] kernel[a, b]
struct FilterPadding {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
};

/// Throws Error where x has not four axes or the kernel not two, a padding is negative or above Shape::kMaxSize, or the
/// kernel is larger than the padded picture. No pictures (n = 0) give no results.
template <class T>
Variable<T> depthwise_filter(const Variable<T>& x, const Tensor<T>& kernel, const FilterPadding& padding = {});

/// A normalised Gaussian of `size` taps as a row [1, size]; size must be odd and sigma positive.
template <class T>
Tensor<T> gaussian_row(std::int64_t size, double sigma);

}  // namespace kind
