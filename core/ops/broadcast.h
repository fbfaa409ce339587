#pragma once

#include <algorithm>
#include <array>

#include "core/base/parallel.h"
#include "core/tensor/tensor.h"

namespace kind {

/// Minimum number of elements per thread in elementwise loops.
inline constexpr std::int64_t kElementGrain = 32768;

/// Two operands' strides over a common shape, with neighbouring axes merged where both operands allow: equal shapes
/// become one axis, [n, 1, h, w] against [n, c, h, w] three.
class BroadcastPlan {
 public:
  /// `out` must be broadcast_shape of the two.
  BroadcastPlan(const Shape& out, const Shape& a, const Shape& b) {
    std::int64_t step_a = 1, step_b = 1;
    for (int i = 1; i <= out.rank(); ++i) {
      const std::int64_t size = out[-i];
      const std::int64_t size_a = i <= a.rank() ? a[-i] : 1, size_b = i <= b.rank() ? b[-i] : 1;
      const std::int64_t stride_a = size_a == 1 ? 0 : step_a, stride_b = size_b == 1 ? 0 : step_b;
      step_a *= size_a;
      step_b *= size_b;
      if (size == 1) continue;
      if (axes_ > 0) {
        Axis& last = axis_[static_cast<std::size_t>(axes_ - 1)];
        if (stride_a == last.a * last.size && stride_b == last.b * last.size) {
          last.size *= size;
          continue;
        }
      }
      axis_[static_cast<std::size_t>(axes_++)] = {size, stride_a, stride_b};
    }
    if (axes_ == 0) axis_[static_cast<std::size_t>(axes_++)] = {1, 1, 1};
    size_ = out.size();
  }

  /// Calls run(out index, a index, b index, count, a stride, b stride) for each run of the innermost axis, in order of
  /// the out index, in this thread.
  template <class Run>
  void for_each_run(const Run& run) const {
    const std::int64_t inner = axis_[0].size;
    if (size_ > 0) for_runs(0, size_ / inner, run);
  }

  /// The same in parallel.
  template <class Run>
  void parallel_runs(const Run& run) const {
    const Axis& inner = axis_[0];
    if (axes_ == 1) {
      parallel_for(inner.size, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        run(begin, begin * inner.a, begin * inner.b, end - begin, inner.a, inner.b);
      });
      return;
    }
    if (size_ == 0) return;
    parallel_for(size_ / inner.size, std::max<std::int64_t>(1, kElementGrain / inner.size),
                 [&](std::int64_t begin, std::int64_t end) { for_runs(begin, end, run); });
  }

 private:
  struct Axis {
    std::int64_t size, a, b;
  };

  template <class Run>
  void for_runs(std::int64_t begin, std::int64_t end, const Run& run) const {
    const Axis& inner = axis_[0];
    for (std::int64_t i = begin; i < end; ++i) {
      std::int64_t rest = i, at_a = 0, at_b = 0;
      for (int axis = 1; axis < axes_; ++axis) {
        const Axis& x = axis_[static_cast<std::size_t>(axis)];
        at_a += rest % x.size * x.a;
        at_b += rest % x.size * x.b;
        rest /= x.size;
      }
      run(i * inner.size, at_a, at_b, inner.size, inner.a, inner.b);
    }
  }

  std::array<Axis, Shape::kMaxRank> axis_{};  // innermost first
  int axes_ = 0;
  std::int64_t size_ = 0;
};

/// y = f(a, b) elementwise with broadcasting.
template <class T, class F>
Tensor<T> map2(const char* op, const Tensor<T>& a, const Tensor<T>& b, const F& f) {
  const Shape shape = broadcast_shape(op, a.shape(), b.shape());
  Tensor<T> y(shape);
  T* to = y.data();
  const T *pa = a.data(), *pb = b.data();
  BroadcastPlan(shape, a.shape(), b.shape())
      .parallel_runs(
          [=](std::int64_t o, std::int64_t ia, std::int64_t ib, std::int64_t n, std::int64_t sa, std::int64_t sb) {
            if (sa == 1 && sb == 1) {
              for (std::int64_t i = 0; i < n; ++i) to[o + i] = f(pa[ia + i], pb[ib + i]);
            } else {
              for (std::int64_t i = 0; i < n; ++i) to[o + i] = f(pa[ia + i * sa], pb[ib + i * sb]);
            }
          });
  return y;
}

/// y = f(x) elementwise.
template <class T, class F>
Tensor<T> map1(const Tensor<T>& x, const F& f) {
  Tensor<T> y(x.shape());
  T* to = y.data();
  const T* from = x.data();
  parallel_for(x.size(), kElementGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
  });
  return y;
}

/// The sums of x over the axes along which `shape` was broadcast to x's shape: the gradient of broadcasting. Added in
/// double and in the order of x's elements.
template <class T>
Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Tensor<double> sums = Tensor<double>::zeros(shape);
  double* to = sums.data();
  const T* from = x.data();
  BroadcastPlan(x.shape(), x.shape(), shape)
      .for_each_run([=](std::int64_t, std::int64_t ix, std::int64_t is, std::int64_t n, std::int64_t, std::int64_t ss) {
        if (ss == 0) {
          double sum = 0;
          for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(from[ix + i]);
          to[is] += sum;
        } else {
          for (std::int64_t i = 0; i < n; ++i) to[is + i * ss] += static_cast<double>(from[ix + i]);
        }
      });
  return cast<T>(sums);
}

}  // namespace kind
