#include "core/kernels/ref/conv2d.h"

#include <algorithm>

#include "core/base/parallel.h"

namespace kind {
namespace {

/// The range of outputs whose tap `k` lies inside an input of `size`: outputs o with 0 <= o * stride + k - pad < size.
struct Range {
  std::int64_t begin, end;

  Range(std::int64_t k, std::int64_t stride, std::int64_t pad, std::int64_t size, std::int64_t outputs) {
    begin = k >= pad ? 0 : (pad - k + stride - 1) / stride;
    const std::int64_t last = size - 1 + pad - k;
    end = last < 0 ? begin : std::max(begin, std::min(outputs, last / stride + 1));
  }
};

/// Calls body(y index, x index, weight index) of the first pixel of each run along ox, and the run's length.
template <class Body>
void for_each_run(const Conv2dGeometry& g, std::int64_t n, std::int64_t oc, std::int64_t ic, const Body& body) {
  for (std::int64_t ky = 0; ky < g.kh; ++ky) {
    const Range rows(ky, g.stride_h, g.pad_top, g.h, g.oh);
    for (std::int64_t kx = 0; kx < g.kw; ++kx) {
      const Range cols(kx, g.stride_w, g.pad_left, g.w, g.ow);
      const std::int64_t weight = ((oc * g.ic + ic) * g.kh + ky) * g.kw + kx;
      for (std::int64_t oy = rows.begin; oy < rows.end; ++oy) {
        const std::int64_t iy = oy * g.stride_h + ky - g.pad_top;
        body(((n * g.oc + oc) * g.oh + oy) * g.ow + cols.begin,
             ((n * g.ic + ic) * g.h + iy) * g.w + cols.begin * g.stride_w + kx - g.pad_left, weight,
             cols.end - cols.begin);
      }
    }
  }
}

template <class T>
void conv2d(const Conv2dGeometry& g, const T* x, const T* weight, const T* bias, T* y) {
  parallel_for(g.n * g.oc, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / g.oc, oc = i % g.oc;
      std::fill_n(y + i * g.oh * g.ow, g.oh * g.ow, bias ? bias[oc] : T(0));
      for (std::int64_t ic = 0; ic < g.ic; ++ic) {
        for_each_run(g, n, oc, ic, [&](std::int64_t yi, std::int64_t xi, std::int64_t wi, std::int64_t count) {
          for (std::int64_t j = 0; j < count; ++j) y[yi + j] += weight[wi] * x[xi + j * g.stride_w];
        });
      }
    }
  });
}

template <class T>
void conv2d_input_gradient(const Conv2dGeometry& g, const T* weight, const T* dy, T* dx) {
  parallel_for(g.n * g.ic, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / g.ic, ic = i % g.ic;
      std::fill_n(dx + i * g.h * g.w, g.h * g.w, T(0));
      for (std::int64_t oc = 0; oc < g.oc; ++oc) {
        for_each_run(g, n, oc, ic, [&](std::int64_t yi, std::int64_t xi, std::int64_t wi, std::int64_t count) {
          for (std::int64_t j = 0; j < count; ++j) dx[xi + j * g.stride_w] += weight[wi] * dy[yi + j];
        });
      }
    }
  });
}

template <class T>
void conv2d_weight_gradient(const Conv2dGeometry& g, const T* x, const T* dy, T* dweight) {
  parallel_for(g.oc * g.ic, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t oc = i / g.ic, ic = i % g.ic;
      std::fill_n(dweight + i * g.kh * g.kw, g.kh * g.kw, T(0));
      for (std::int64_t n = 0; n < g.n; ++n) {
        for_each_run(g, n, oc, ic, [&](std::int64_t yi, std::int64_t xi, std::int64_t wi, std::int64_t count) {
          T sum = 0;
          for (std::int64_t j = 0; j < count; ++j) sum += dy[yi + j] * x[xi + j * g.stride_w];
          dweight[wi] += sum;
        });
      }
    }
  });
}

}  // namespace

template <class T>
const Kernels<T>& ref_kernels() {
  static const Kernels<T> table{"ref", conv2d<T>, conv2d_input_gradient<T>, conv2d_weight_gradient<T>};
  return table;
}

template const Kernels<float>& ref_kernels<float>();
template const Kernels<double>& ref_kernels<double>();

}  // namespace kind
