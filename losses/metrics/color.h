#pragma once

#include "core/tensor/tensor.h"

namespace kind {

/// CIELAB (CIE 15, D65, 2 degree observer) of sRGB pictures (IEC 61966-2-1) [n, 3, h, w] of values 0..255: the channels
/// become L* (0..100), a* and b*. Grays have a* = b* = 0. Throws Error where there are not three channels.
template <class T>
Tensor<double> srgb_to_lab(const Tensor<T>& rgb);

/// Mean over the pixels of C*ab = sqrt(a*^2 + b*^2), how colourful a picture is: 0 for gray ones. Errors as above.
template <class T>
double mean_chroma(const Tensor<T>& rgb);

}  // namespace kind
