#include "losses/gradient.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace kind {
namespace {

struct Extent {
  std::int64_t h, w;
};

struct Offset {
  std::int64_t i, j;
};

/// to[i, j] = from[i + plus.i, j + plus.j] - from[i + minus.i, j + minus.j] in every plane for (i, j) in `to_extent`,
/// and 0 beyond it; `from` counts as 0 beyond `from_extent`. The adjoint is the same with extents swapped and offsets
/// negated.
template <class T>
Tensor<T> difference(const Tensor<T>& from, const Shape& shape, Extent from_extent, Extent to_extent, Offset plus,
                     Offset minus) {
  Tensor<T> to(shape);
  const std::int64_t h = shape[2], w = shape[3], from_h = from.shape()[2], from_w = from.shape()[3];
  const std::int64_t rows = shape[0] * shape[1] * h;
  const T* source = from.data();
  T* target = to.data();
  parallel_for(rows, std::max<std::int64_t>(1, 16384 / w), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t plane = row / h, i = row % h;
      T* out = target + row * w;
      std::fill_n(out, w, T(0));
      if (i >= to_extent.h) continue;
      const auto add = [&](Offset offset, T sign) {
        const std::int64_t line = i + offset.i;
        if (line < 0 || line >= from_extent.h) return;
        const T* in = source + (plane * from_h + line) * from_w;
        const std::int64_t first = std::max<std::int64_t>(0, -offset.j);
        const std::int64_t last = std::min(to_extent.w, from_extent.w - offset.j);
        for (std::int64_t j = first; j < last; ++j) out[j] += sign * in[j + offset.j];
      };
      add(plus, T(1));
      add(minus, T(-1));
    }
  });
  return to;
}

/// The map of differences `shape`, of which `active` is computed and the rest 0.
template <class T>
Variable<T> difference_map(const Variable<T>& x, const Shape& shape, Extent active, Offset plus, Offset minus) {
  const Shape in = x.shape();
  const Extent whole{in[2], in[3]};
  return Variable<T>::from_op(
      difference(x.value(), shape, whole, active, plus, minus), {x},
      [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
        inputs[0].add_grad(difference(g, in, active, whole, {-plus.i, -plus.j}, {-minus.i, -minus.j}));
      });
}

/// (g - min) / (max - min + 1e-4).
template <class T>
Variable<T> normalized(const Variable<T>& g) {
  const Variable<T> low = min(g);
  return (g - low) / add(max(g) - low, static_cast<T>(1e-4));
}

constexpr std::array<double, 3> kGrayWeights = {0.2989, 0.5870, 0.1140};

}  // namespace

template <class T>
ImageGradients<T> image_gradients(const Variable<T>& x, const GradientSpec& spec) {
  const Shape& s = x.shape();
  check(s.rank() == 4 && s.size() > 0, "gradient: expected pictures [n, c, h, w], got ", s.text());
  const std::int64_t h = s[2], w = s[3];
  if (spec.form == GradientForm::kOfficial) {
    return {normalized(abs(difference_map(x, s, {h, w}, {1, 1}, {1, 0}))),
            normalized(abs(difference_map(x, s, {h, w}, {1, 1}, {0, 1})))};
  }
  const bool valid = spec.border == GradientBorder::kValid;
  check(!valid || (h > 1 && w > 1), "gradient: valid borders need pictures of at least 2 x 2 pixels, got ", s.text(),
        "; zero borders take any size");
  return {difference_map(x, valid ? s.with(3, w - 1) : s, {h, w - 1}, {0, 1}, {0, 0}),
          difference_map(x, valid ? s.with(2, h - 1) : s, {h - 1, w}, {1, 0}, {0, 0})};
}

template <class T>
ImageGradients<T> gradient_magnitudes(const Variable<T>& x, const GradientSpec& spec) {
  const ImageGradients<T> g = image_gradients(x, spec);
  if (spec.form == GradientForm::kOfficial) return g;
  return {abs(g.x), abs(g.y)};
}

template <class T>
Variable<T> gray(const Variable<T>& x) {
  const Shape s = x.shape();
  check(s.rank() == 4 && s[1] == 3, "gray: expected RGB pictures [n, 3, h, w], got ", s.text());
  const T r = static_cast<T>(kGrayWeights[0]), g = static_cast<T>(kGrayWeights[1]), b = static_cast<T>(kGrayWeights[2]);
  const std::int64_t pixels = s[2] * s[3];
  Tensor<T> y(s.with(1, 1));
  for (std::int64_t n = 0; n < s[0]; ++n) {
    const T* from = x.value().data() + n * 3 * pixels;
    T* to = y.data() + n * pixels;
    for (std::int64_t i = 0; i < pixels; ++i) to[i] = r * from[i] + g * from[pixels + i] + b * from[2 * pixels + i];
  }
  return Variable<T>::from_op(std::move(y), {x}, [=](std::vector<Variable<T>>& inputs, const Tensor<T>& grad) {
    Tensor<T> dx(s);
    for (std::int64_t n = 0; n < s[0]; ++n) {
      const T* from = grad.data() + n * pixels;
      T* to = dx.data() + n * 3 * pixels;
      for (std::int64_t i = 0; i < pixels; ++i) {
        to[i] = r * from[i];
        to[pixels + i] = g * from[i];
        to[2 * pixels + i] = b * from[i];
      }
    }
    inputs[0].add_grad(dx);
  });
}

#define KIND_INSTANTIATE(T)                                                                \
  template ImageGradients<T> image_gradients(const Variable<T>&, const GradientSpec&);     \
  template ImageGradients<T> gradient_magnitudes(const Variable<T>&, const GradientSpec&); \
  template Variable<T> gray(const Variable<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
