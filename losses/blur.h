#pragma once

#include "core/autograd/variable.h"

namespace kind {

/// Gaussian blur of pictures [n, c, h, w], sigma in pixels. The window has 2 ceil(10 sigma / 3) + 1 taps; where it
/// reaches beyond the picture it is cut off and what remains is normalised again. Any size is taken. Throws Error
/// naming `term` where x is no picture or sigma is not above 0 and at most 1000.
template <class T>
Variable<T> gaussian_blur(const char* term, const Variable<T>& x, double sigma);

}  // namespace kind
