#pragma once

#include "core/autograd/variable.h"

namespace kind {

/// Gaussian blur of pictures [n, c, h, w], sigma in pixels. The window has 2 ceil(10 sigma / 3) + 1 taps; at the border
/// it is truncated and renormalised. Accepts any size. Throws Error naming `term` if x is not a picture or sigma is not
/// above 0 and at most 1000.
template <class T>
Variable<T> gaussian_blur(const char* term, const Variable<T>& x, double sigma);

}  // namespace kind
