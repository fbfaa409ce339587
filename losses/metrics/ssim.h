#pragma once

#include <optional>

#include "core/tensor/tensor.h"

namespace kind {

/// Structural similarity of two RGB pictures [1, 3, h, w] of values 0..255, computed in double: losses/ssim.h with a
/// window of 11 x 11, sigma 1.5 and range 255, the mean over channels. Nothing if a picture is smaller than the
/// window. Throws Error if the shapes do not fit.
template <class T>
std::optional<double> ssim_rgb(const Tensor<T>& a, const Tensor<T>& b);

/// The same of their gray_bt601 (losses/metrics/psnr.h).
template <class T>
std::optional<double> ssim_gray(const Tensor<T>& a, const Tensor<T>& b);

}  // namespace kind
