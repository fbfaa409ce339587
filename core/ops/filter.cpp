#include "core/ops/filter.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

/// y[p, i, j] = sum over a, b of x[p, i + a - top, j + b - left] k[a, b] for each plane p; x = 0 outside.
template <class T>
Tensor<T> correlate(const Tensor<T>& x, const Tensor<T>& k, std::int64_t top, std::int64_t left, std::int64_t oh,
                    std::int64_t ow) {
  const Shape& s = x.shape();
  const std::int64_t h = s[2], w = s[3], kh = k.shape()[0], kw = k.shape()[1];
  Tensor<T> y(Shape{s[0], s[1], oh, ow});
  if (y.size() == 0) return y;
  const std::int64_t rows = s[0] * s[1] * oh;
  parallel_for(rows, std::max<std::int64_t>(1, 16384 / (ow * kh * kw)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t plane = r / oh, i = r % oh;
      T* to = y.data() + r * ow;
      std::fill_n(to, ow, T(0));
      for (std::int64_t a = 0; a < kh; ++a) {
        const std::int64_t row = i + a - top;
        if (row < 0 || row >= h) continue;
        const T* from = x.data() + (plane * h + row) * w;
        for (std::int64_t b = 0; b < kw; ++b) {
          const T weight = k[a * kw + b];
          const std::int64_t shift = b - left;
          const std::int64_t first = std::max<std::int64_t>(0, -shift), last = std::min(ow, w - shift);
          for (std::int64_t j = first; j < last; ++j) to[j] += from[j + shift] * weight;
        }
      }
    }
  });
  return y;
}

}  // namespace

template <class T>
Variable<T> depthwise_filter(const Variable<T>& x, const Tensor<T>& kernel, const FilterPadding& p) {
  const Shape& s = x.shape();
  check(s.rank() == 4, "depthwise_filter: expected a picture [n, c, h, w], got ", s);
  kernel.check_defined("depthwise_filter: the kernel");
  check(kernel.shape().rank() == 2 && kernel.size() > 0, "depthwise_filter: expected a kernel [kh, kw], got ",
        kernel.shape());
  check(p.top >= 0 && p.left >= 0 && p.bottom >= 0 && p.right >= 0,
        "depthwise_filter: expected paddings of at least 0");
  check(std::max({p.top, p.left, p.bottom, p.right}) <= Shape::kMaxSize,
        "depthwise_filter: paddings of more than memory can address");
  const std::int64_t kh = kernel.shape()[0], kw = kernel.shape()[1];
  const std::int64_t oh = s[2] + p.top + p.bottom - kh + 1, ow = s[3] + p.left + p.right - kw + 1;
  check(oh >= 1 && ow >= 1, "depthwise_filter: the kernel ", kernel.shape(), " is larger than the picture ", s);
  Tensor<T> y = correlate(x.value(), kernel, p.top, p.left, oh, ow);
  return Variable<T>::from_op(std::move(y), {x}, [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    Tensor<T> flipped = kernel.clone();
    std::reverse(flipped.data(), flipped.data() + flipped.size());
    inputs[0].add_grad(
        correlate(g, flipped, kh - 1 - p.top, kw - 1 - p.left, inputs[0].shape()[2], inputs[0].shape()[3]));
  });
}

template <class T>
Tensor<T> gaussian_row(std::int64_t size, double sigma) {
  check(size >= 1 && size % 2 == 1, "gaussian_row: expected an odd size, got ", size);
  check(sigma > 0, "gaussian_row: expected a sigma greater than 0, got ", sigma);
  Tensor<double> row(Shape{1, size});
  double total = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t from_middle = i - size / 2;
    const double d = static_cast<double>(from_middle) / sigma;
    row[i] = std::exp(-0.5 * d * d);
    total += row[i];
  }
  for (std::int64_t i = 0; i < size; ++i) row[i] /= total;
  return cast<T>(row);
}

#define KIND_INSTANTIATE(T)                                                                          \
  template Variable<T> depthwise_filter(const Variable<T>&, const Tensor<T>&, const FilterPadding&); \
  template Tensor<T> gaussian_row(std::int64_t, double);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
