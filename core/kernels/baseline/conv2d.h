#pragma once

#include "core/kernels/kernels.h"

namespace kind {

/// Convolutions as explicit patch matrices times Eigen's matrix product, which is vectorised for whatever the program
/// is built for (SSE2 on x86-64, NEON on ARM): what runs without AVX2, and for double.
template <class T>
const Kernels<T>& baseline_kernels();

}  // namespace kind
