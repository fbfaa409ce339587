#pragma once

#include <cstdint>

#include "core/kernels/gemm_kernel.h"
#include "core/kernels/kernels.h"

namespace kind {

/// The three convolutions as blocked matrix products over implicit patches ("im2col" without the matrix): panels of the
/// patches are packed into the cache on demand. Follows the blocking of Goto and van de Geijn, "Anatomy of
/// high-performance matrix multiplication" (ACM TOMS 2008).
template <class T>
void gemm_conv2d(const GemmMicroKernel<T>& micro, const Conv2dGeometry& g, const T* x, const T* weight, const T* bias,
                 T* y);
template <class T>
void gemm_conv2d_input_gradient(const GemmMicroKernel<T>& micro, const Conv2dGeometry& g, const T* weight, const T* dy,
                                T* dx);
template <class T>
void gemm_conv2d_weight_gradient(const GemmMicroKernel<T>& micro, const Conv2dGeometry& g, const T* x, const T* dy,
                                 T* dweight);

}  // namespace kind
