#pragma once

#include "core/tensor/tensor.h"

namespace kind {

/// 0.299 R + 0.587 G + 0.114 B (BT.601), not rounded: [1, 3, h, w] to [1, 1, h, w].
template <class T>
Tensor<double> gray_bt601(const Tensor<T>& rgb);

/// Peak signal-to-noise ratio in dB of two RGB pictures [1, 3, h, w] of values 0..255: 10 log10(255^2 / mse), mse the
/// mean squared difference of all values. Infinity where they are the same. Throws Error if the shapes do not fit.
template <class T>
double psnr_rgb(const Tensor<T>& a, const Tensor<T>& b);

/// The same of their gray_bt601.
template <class T>
double psnr_gray(const Tensor<T>& a, const Tensor<T>& b);

/// Mean of |a - b| / 255 over all values of two RGB pictures [1, 3, h, w] of values 0..255: 0..1. Errors as above.
template <class T>
double mean_absolute_error(const Tensor<T>& a, const Tensor<T>& b);

/// Throws Error naming `metric` and both shapes unless a and b are RGB pictures [1, 3, h, w] of the same shape.
void check_rgb_pair(const char* metric, const Shape& a, const Shape& b);

}  // namespace kind
