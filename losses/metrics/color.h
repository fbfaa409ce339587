#pragma once

#include <array>

#include "core/tensor/tensor.h"

namespace kind {

/// CIELAB (CIE 15, D65, 2 degree observer) of sRGB pictures (IEC 61966-2-1) [n, 3, h, w] of values 0..255: the channels
/// become L* (0..100), a* and b*. Grays have a* = b* = 0. Throws Error where there are not three channels.
template <class T>
Tensor<double> srgb_to_lab(const Tensor<T>& rgb);

/// Mean over the pixels of C*ab = sqrt(a*^2 + b*^2), how colourful a picture is: 0 for gray ones. Errors as above.
template <class T>
double mean_chroma(const Tensor<T>& rgb);

/// The colour difference CIEDE2000 of two colours L*, a*, b*, with kL = kC = kH = 1, as Sharma, Wu and Dalal write it
/// out ("The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data, and Mathematical
/// Observations", Color Research and Application 30, 2005). 0 for the same colour; about 1 is just seen.
double ciede2000(const std::array<double, 3>& lab1, const std::array<double, 3>& lab2);

/// Mean of ciede2000 over the pixels of two sRGB pictures [1, 3, h, w] of values 0..255. Throws Error where the shapes
/// do not fit.
template <class T>
double mean_delta_e(const Tensor<T>& a, const Tensor<T>& b);

}  // namespace kind
