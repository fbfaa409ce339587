#pragma once

#include <algorithm>

#include "core/ops/shape_ops.h"

/// Planes of samples and batches.
namespace kind {

/// Copies planes [.., h, w] of `from` behind one another into `to`, beginning at plane `at`.
inline void put_planes(const Tensor<float>& from, Tensor<float>& to, std::int64_t at) {
  const std::int64_t plane = to.shape()[-1] * to.shape()[-2];
  std::copy_n(from.data(), from.size(), to.data() + at * plane);
}

/// Channels first..end-1 of a batch, outside any graph.
inline Variable<float> channels(const Tensor<float>& batch, std::int64_t first, std::int64_t end) {
  const NoGrad no_grad;
  return slice(Variable<float>(batch), 1, first, end);
}

/// Planes first..end-1 of [c, h, w].
inline Tensor<float> planes(const Tensor<float>& maps, std::int64_t first, std::int64_t end) {
  const NoGrad no_grad;
  return slice(Variable<float>(maps), 0, first, end).value();
}

}  // namespace kind
