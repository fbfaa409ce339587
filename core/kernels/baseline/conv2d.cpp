#include "core/kernels/baseline/conv2d.h"

// Eigen's own threads would cut its sums by their number; the work is shared out here instead, in fixed pieces.
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>
#include <algorithm>

#include "core/base/memory.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using MatrixMap = Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>;
template <class T>
using ConstMatrixMap = Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>;

// Output pixels in one patch matrix. Fixed, because a sum's order must not depend on the number of threads.
constexpr std::int64_t kPixels = 512;

/// Calls body(row of the patch matrix, column, x index) for each element that lies inside the picture; pixels
/// first..first+count of sample n.
template <class Body>
void for_each_patch_element(const Conv2dGeometry& g, std::int64_t n, std::int64_t first, std::int64_t count,
                            const Body& body) {
  std::int64_t row = 0;
  for (std::int64_t ic = 0; ic < g.ic; ++ic) {
    for (std::int64_t ky = 0; ky < g.kh; ++ky) {
      for (std::int64_t kx = 0; kx < g.kw; ++kx, ++row) {
        std::int64_t oy = first / g.ow, ox = first % g.ow;
        for (std::int64_t j = 0; j < count; ++j) {
          const std::int64_t iy = oy * g.stride_h + ky - g.pad_top;
          const std::int64_t ix = ox * g.stride_w + kx - g.pad_left;
          if (iy >= 0 && iy < g.h && ix >= 0 && ix < g.w) body(row, j, ((n * g.ic + ic) * g.h + iy) * g.w + ix);
          if (++ox == g.ow) {
            ox = 0;
            ++oy;
          }
        }
      }
    }
  }
}

template <class T>
void patches(const Conv2dGeometry& g, const T* x, std::int64_t n, std::int64_t first, std::int64_t count, T* to) {
  std::fill_n(to, g.ic * g.kh * g.kw * count, T(0));
  for_each_patch_element(g, n, first, count,
                         [&](std::int64_t row, std::int64_t j, std::int64_t i) { to[row * count + j] = x[i]; });
}

template <class T>
void conv2d(const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y) {
  const std::int64_t k = g.ic * g.kh * g.kw, plane = g.oh * g.ow;
  const std::int64_t pieces = (plane + kPixels - 1) / kPixels;
  const ConstMatrixMap<T> w(weight, g.oc, k, Eigen::OuterStride<>(k));
  parallel_for(g.n * pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffer<T> columns(k * kPixels);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / pieces, first = i % pieces * kPixels, count = std::min(kPixels, plane - first);
      patches(g, x, n, first, count, columns.data());
      MatrixMap<T> out(y + n * g.oc * plane + first, g.oc, count, Eigen::OuterStride<>(plane));
      out.noalias() = w * MatrixMap<T>(columns.data(), k, count, Eigen::OuterStride<>(count));
      if (bias) out.colwise() += Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(bias, g.oc);
    }
  });
}

template <class T>
void conv2d_input_gradient(const Conv2dGeometry& g, const T* weight, const T* dy, T* dx) {
  const std::int64_t k = g.ic * g.kh * g.kw, plane = g.oh * g.ow;
  const ConstMatrixMap<T> w(weight, g.oc, k, Eigen::OuterStride<>(k));
  // Patches overlap, so one thread adds up a whole sample.
  parallel_for(g.n, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffer<T> columns(k * kPixels);
    for (std::int64_t n = begin; n < end; ++n) {
      std::fill_n(dx + n * g.ic * g.h * g.w, g.ic * g.h * g.w, T(0));
      for (std::int64_t first = 0; first < plane; first += kPixels) {
        const std::int64_t count = std::min(kPixels, plane - first);
        MatrixMap<T> c(columns.data(), k, count, Eigen::OuterStride<>(count));
        c.noalias() =
            w.transpose() * ConstMatrixMap<T>(dy + n * g.oc * plane + first, g.oc, count, Eigen::OuterStride<>(plane));
        for_each_patch_element(g, n, first, count, [&](std::int64_t row, std::int64_t j, std::int64_t i) {
          dx[i] += columns[row * count + j];
        });
      }
    }
  });
}

template <class T>
void conv2d_weight_gradient(const Conv2dGeometry& g, const T* x, const T* dy, T* dweight) {
  const std::int64_t k = g.ic * g.kh * g.kw, plane = g.oh * g.ow;
  Buffer<T> partial(g.n * g.oc * k);
  parallel_for(g.n, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffer<T> columns(k * kPixels);
    for (std::int64_t n = begin; n < end; ++n) {
      MatrixMap<T> sum(partial.data() + n * g.oc * k, g.oc, k, Eigen::OuterStride<>(k));
      sum.setZero();
      for (std::int64_t first = 0; first < plane; first += kPixels) {
        const std::int64_t count = std::min(kPixels, plane - first);
        patches(g, x, n, first, count, columns.data());
        sum.noalias() += ConstMatrixMap<T>(dy + n * g.oc * plane + first, g.oc, count, Eigen::OuterStride<>(plane)) *
                         MatrixMap<T>(columns.data(), k, count, Eigen::OuterStride<>(count)).transpose();
      }
    }
  });
  std::fill_n(dweight, g.oc * k, T(0));
  for (std::int64_t n = 0; n < g.n; ++n) {
    for (std::int64_t i = 0; i < g.oc * k; ++i) dweight[i] += partial[n * g.oc * k + i];
  }
}

}  // namespace

template <class T>
const Kernels<T>& baseline_kernels() {
  static const Kernels<T> table{"baseline", conv2d<T>, conv2d_input_gradient<T>, conv2d_weight_gradient<T>};
  return table;
}

template const Kernels<float>& baseline_kernels<float>();
template const Kernels<double>& baseline_kernels<double>();

}  // namespace kind
