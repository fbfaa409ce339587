#pragma once

#include "core/kernels/kernels.h"

namespace kind {

/// Convolutions by im2col and Eigen's matrix product, which is vectorised for the target of the build (SSE2 on x86-64,
/// NEON on ARM). Used without AVX2, and for double.
template <class T>
const Kernels<T>& baseline_kernels();

}  // namespace kind
