#include "layers/pool.h"

#include <algorithm>
#include <memory>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kind {

template <class T>
Variable<T> max_pool2d(const Variable<T>& x, const PoolSpec& spec) {
  const Shape& s = x.shape();
  check_pictures("max_pool2d", s);
  check(spec.window_h >= 1 && spec.window_w >= 1, "max_pool2d: expected a window of at least 1x1, got ", spec.window_h,
        "x", spec.window_w);
  const WindowSpec& w = spec.window;
  check(w.same || std::max({w.pad_top, w.pad_bottom}) < spec.window_h, "max_pool2d: a padding of ",
        std::max(w.pad_top, w.pad_bottom), " would leave windows of ", spec.window_h, " rows without a pixel");
  check(w.same || std::max({w.pad_left, w.pad_right}) < spec.window_w, "max_pool2d: a padding of ",
        std::max(w.pad_left, w.pad_right), " would leave windows of ", spec.window_w, " columns without a pixel");
  const WindowAxis rows = window_rows("max_pool2d", w, s[2], spec.window_h);
  const WindowAxis cols = window_cols("max_pool2d", w, s[3], spec.window_w);
  const std::int64_t planes = s[0] * s[1], height = s[2], width = s[3];
  Tensor<T> y(Shape{s[0], s[1], rows.out, cols.out});
  // Where each maximum lay in its plane; only backward asks.
  const bool keep = Variable<T>::needs_graph({x});
  const auto chosen = std::make_shared<std::vector<std::int64_t>>(keep ? static_cast<std::size_t>(y.size()) : 0);
  const Tensor<T>& in = x.value();
  parallel_for(planes, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const T* from = in.data() + p * height * width;
      std::int64_t out = p * rows.out * cols.out;
      for (std::int64_t i = 0; i < rows.out; ++i) {
        const std::int64_t top = i * w.stride_h - rows.pad;
        const std::int64_t first_y = std::max<std::int64_t>(0, top), last_y = std::min(height, top + spec.window_h);
        for (std::int64_t j = 0; j < cols.out; ++j, ++out) {
          const std::int64_t left = j * w.stride_w - cols.pad;
          const std::int64_t first_x = std::max<std::int64_t>(0, left), last_x = std::min(width, left + spec.window_w);
          std::int64_t best = first_y * width + first_x;
          for (std::int64_t a = first_y; a < last_y; ++a) {
            for (std::int64_t b = first_x; b < last_x; ++b) {
              const std::int64_t at = a * width + b;
              if (from[at] > from[best] || (from[at] != from[at] && from[best] == from[best])) best = at;
            }
          }
          y[out] = from[best];
          if (keep) (*chosen)[static_cast<std::size_t>(out)] = best;
        }
      }
    }
  });
  const std::int64_t out_plane = rows.out * cols.out;
  return Variable<T>::from_op(std::move(y), {x}, [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    Tensor<T> dx(inputs[0].shape());
    parallel_for(planes, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        T* to = dx.data() + p * height * width;
        std::fill_n(to, height * width, T(0));
        for (std::int64_t i = p * out_plane; i < (p + 1) * out_plane; ++i) {
          to[(*chosen)[static_cast<std::size_t>(i)]] += g[i];
        }
      }
    });
    inputs[0].add_grad(dx);
  });
}

template Variable<float> max_pool2d(const Variable<float>&, const PoolSpec&);
template Variable<double> max_pool2d(const Variable<double>&, const PoolSpec&);

}  // namespace kind
