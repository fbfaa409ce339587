#include "losses/gradient.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/autograd/batch_part.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/ops/broadcast.h"
#include "core/ops/elementwise.h"

namespace kind {
namespace {

// Elements that are searched in one go, and how many goes a thread takes at least.
constexpr std::int64_t kPiece = 8192, kPiecesAtOnce = 8;

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

/// The least and the greatest absolute value, in a fixed order; a NaN is passed over, since the stretched map has it.
template <class T>
std::pair<T, T> absolute_range(const Tensor<T>& x) {
  const std::int64_t pieces = (x.size() + kPiece - 1) / kPiece;
  std::vector<std::pair<T, T>> found(static_cast<std::size_t>(pieces));
  const T* from = x.data();
  parallel_for(pieces, kPiecesAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t first = piece * kPiece, last = std::min(x.size(), first + kPiece);
      constexpr std::int64_t kLanes = 64;  // enough that compilers make vectors of them
      T low[kLanes], high[kLanes];
      std::fill_n(low, kLanes, std::numeric_limits<T>::infinity());
      std::fill_n(high, kLanes, T(0));
      std::int64_t i = first;
      for (; i + kLanes <= last; i += kLanes) {
        for (std::int64_t l = 0; l < kLanes; ++l) {
          const T v = std::abs(from[i + l]);
          low[l] = v < low[l] ? v : low[l];
          high[l] = v > high[l] ? v : high[l];
        }
      }
      for (; i < last; ++i) {
        low[0] = std::min(low[0], std::abs(from[i]));
        high[0] = std::max(high[0], std::abs(from[i]));
      }
      found[static_cast<std::size_t>(piece)] = {*std::min_element(low, low + kLanes),
                                                *std::max_element(high, high + kLanes)};
    }
  });
  std::pair<T, T> range = found[0];
  for (const auto& [low, high] : found) range = {std::min(range.first, low), std::max(range.second, high)};
  return range;
}

/// The official form's map: u = |difference|, stretched to (u - min) / (max - min + 1e-4). One operation of its own,
/// with the derivative of docs/formulas.md.
template <class T>
Variable<T> stretched_difference(const Variable<T>& x, Offset plus, Offset minus) {
  const Shape shape = x.shape();
  const Extent whole{shape[2], shape[3]};
  const Tensor<T> signed_map = difference(x.value(), shape, whole, whole, plus, minus);
  const std::pair<T, T> range = absolute_range(signed_map);
  double least = static_cast<double>(range.first), greatest = static_cast<double>(range.second);
  BatchPart::extend(least, greatest);
  const BatchPart* const part = BatchPart::current();
  const T low = static_cast<T>(least), high = static_cast<T>(greatest), span = high - low + static_cast<T>(1e-4);
  const auto stretched = [=](T d) { return (std::abs(d) - low) / span; };
  return Variable<T>::from_op(
      map1(signed_map, stretched), {x}, [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
        const T *d = signed_map.data(), *pg = g.data();
        // Over the whole batch: the gradient, the gradient times the map, and how many are the least and the greatest.
        const BatchScope scope(part);
        const std::int64_t n = shape[0], size = g.size() / n;
        std::vector<double> sums(static_cast<std::size_t>(4 * n));
        parallel_for(n, std::max<std::int64_t>(1, kElementGrain / size), [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t p = begin; p < end; ++p) {
            const auto put = [&](std::int64_t which, const auto& term) {
              sums[static_cast<std::size_t>(which * n + p)] =
                  parallel_sum(size, [&](std::int64_t i) { return term(p * size + i); });
            };
            put(0, [=](std::int64_t i) { return pg[i]; });
            put(1, [=](std::int64_t i) { return pg[i] * stretched(d[i]); });
            put(2, [=](std::int64_t i) { return std::abs(d[i]) == low ? 1.0 : 0.0; });
            put(3, [=](std::int64_t i) { return std::abs(d[i]) == high ? 1.0 : 0.0; });
          }
        });
        BatchPart::totals(sums, n);
        const auto sum = [&](std::int64_t which) { return sums[static_cast<std::size_t>(which * n)]; };
        const double total = sum(0), weighted = sum(1), lowest = sum(2), highest = sum(3);
        const double s = static_cast<double>(span);
        const T to_low = static_cast<T>((weighted - total) / s / std::max(lowest, 1.0));
        const T to_high = static_cast<T>(-weighted / s / std::max(highest, 1.0));
        const Tensor<T> slope = map2("gradient", signed_map, g, [=](T v, T gv) {
          const T u = std::abs(v), all = gv / span + (u == low ? to_low : T(0)) + (u == high ? to_high : T(0));
          return v > 0 ? all : v < 0 ? -all : T(0);
        });
        inputs[0].add_grad(difference(slope, shape, whole, whole, {-plus.i, -plus.j}, {-minus.i, -minus.j}));
      });
}

constexpr std::array<double, 3> kGrayWeights = {0.2989, 0.5870, 0.1140};

template <class Body>
void for_each_picture(const Shape& s, const Body& body) {
  const std::int64_t pixels = std::max<std::int64_t>(1, s[2] * s[3]);
  parallel_for(s[0], std::max<std::int64_t>(1, kElementGrain / pixels), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) body(n);
  });
}

}  // namespace

void GradientSpec::validate(const std::string& path) const {
  check(form == GradientForm::kPaper || border == GradientBorder::kZero, key_path(path, "border"),
        ": is for gradient \"paper\" alone; \"official\" has a border of its own: leave the key out");
}

template <class T>
ImageGradients<T> image_gradients(const Variable<T>& x, const GradientSpec& spec) {
  const Shape& s = x.shape();
  check(s.rank() == 4 && s.size() > 0, "gradient: expected pictures [n, c, h, w], got ", s);
  const std::int64_t h = s[2], w = s[3];
  if (spec.form == GradientForm::kOfficial) {
    return {stretched_difference(x, {1, 1}, {1, 0}), stretched_difference(x, {1, 1}, {0, 1})};
  }
  const bool valid = spec.border == GradientBorder::kValid;
  check(!valid || (h > 1 && w > 1), "gradient: valid borders need pictures of at least 2 x 2 pixels, got ", s,
        "; zero borders take any size");
  return {difference_map(x, valid ? s.with(3, w - 1) : s, {h, w - 1}, {0, 1}, {0, 0}),
          difference_map(x, valid ? s.with(2, h - 1) : s, {h - 1, w}, {1, 0}, {0, 0})};
}

template <class T>
ImageGradients<T> gradient_magnitudes(const Variable<T>& x, const GradientSpec& spec) {
  ImageGradients<T> g = image_gradients(x, spec);
  if (spec.form == GradientForm::kOfficial) return g;
  return {abs(g.x), abs(g.y)};
}

template <class T>
Variable<T> gray(const Variable<T>& x) {
  const Shape s = x.shape();
  check(s.rank() == 4 && s[1] == 3, "gray: expected RGB pictures [n, 3, h, w], got ", s);
  const T r = static_cast<T>(kGrayWeights[0]), g = static_cast<T>(kGrayWeights[1]), b = static_cast<T>(kGrayWeights[2]);
  const std::int64_t pixels = s[2] * s[3];
  Tensor<T> y(s.with(1, 1));
  for_each_picture(s, [&](std::int64_t n) {
    const T* from = x.value().data() + n * 3 * pixels;
    T* to = y.data() + n * pixels;
    for (std::int64_t i = 0; i < pixels; ++i) to[i] = r * from[i] + g * from[pixels + i] + b * from[2 * pixels + i];
  });
  return Variable<T>::from_op(std::move(y), {x}, [=](std::vector<Variable<T>>& inputs, const Tensor<T>& grad) {
    Tensor<T> dx(s);
    for_each_picture(s, [&](std::int64_t n) {
      const T* from = grad.data() + n * pixels;
      T* to = dx.data() + n * 3 * pixels;
      for (std::int64_t i = 0; i < pixels; ++i) {
        to[i] = r * from[i];
        to[pixels + i] = g * from[i];
        to[2 * pixels + i] = b * from[i];
      }
    });
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
