#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/kernels/block_kernels.h"

namespace kind {

/// One convolution's sizes, shared by its forward pass and its gradients. Cross-correlation, as nets use it:
///   y[n, oc, oy, ox] = b[oc] + sum over ic, ky, kx of
///       x[n, ic, oy * stride_h - pad_top + ky, ox * stride_w - pad_left + kx] * w[oc, ic, ky, kx]
/// with x = 0 outside. The padding at the bottom and at the right follows from oh and ow and may be negative (the last
/// rows are then not read).
struct Conv2dGeometry {
  std::int64_t n, ic, h, w;  // x
  std::int64_t oc, oh, ow;   // y
  std::int64_t kh, kw;       // weight: [oc, ic, kh, kw]
  std::int64_t stride_h, stride_w;
  std::int64_t pad_top, pad_left;
};

/// The kernels of one instruction set. Every entry overwrites (never accumulates into) its output, gives the same bits
/// for any number of threads, and is thread-safe. All tensors are dense NCHW / OIHW.
template <class T>
struct Kernels {
  const char* name;
  /// y from x, weight and bias (null for none).
  void (*conv2d)(const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y);
  /// dx = gradient of dot(y, dy) to x.
  void (*conv2d_input_gradient)(const Conv2dGeometry& g, const T* weight, const T* dy, T* dx);
  /// dweight = gradient of dot(y, dy) to weight.
  void (*conv2d_weight_gradient)(const Conv2dGeometry& g, const T* x, const T* dy, T* dweight);
};

/// The table in use. Selected once: the best this machine can run, or the one named by the environment variable
/// KIND_ISA ("ref", "baseline", "avx2", "avx512"); throws Error if that is unknown or this machine cannot run it.
template <class T>
const Kernels<T>& kernels();

/// The inner loops of the fast nets for the set in use, or null: the reference set has none, and nets then run layer by
/// layer with the table above.
const BlockKernels* block_kernels();

/// Names of the sets that this build has and this machine can run, best first.
std::vector<std::string> available_isas();
/// Name of the set in use.
std::string current_isa();
/// Selects another set (for tests and benchmarks); throws Error as kernels() does.
void select_isa(const std::string& name);

}  // namespace kind
