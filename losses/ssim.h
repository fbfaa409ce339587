#pragma once

#include "core/autograd/variable.h"

namespace kind {

/// The structural similarity index of Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error
/// Visibility to Structural Similarity" (IEEE Transactions on Image Processing 13, 2004), for windows entirely within
/// the picture.
struct SsimSpec {
  std::int64_t window = 11;  ///< Pixels along a side of the Gaussian window; odd.
  double sigma = 1.5;        ///< Its standard deviation in pixels.
  double range = 1;          ///< Largest minus smallest value a pixel can have.
};

/// The mean over windows, channels and pictures [n, c, h, w] of
///   (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2))
/// with Gaussian-weighted means m and population (co)variances s, C1 = (0.01 range)^2 and C2 = (0.03 range)^2. It is 1
/// for the same picture. Throws Error if the shapes differ or the pictures are smaller than the window.
template <class T>
Variable<T> ssim(const Variable<T>& x, const Variable<T>& y, const SsimSpec& spec = {});

}  // namespace kind
