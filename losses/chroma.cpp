#include "losses/chroma.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/ops/broadcast.h"
#include "core/ops/elementwise.h"
#include "losses/batch_sum.h"
#include "losses/blur.h"

namespace kind {
namespace {

void check_color(const char* term, const Shape& x, const Shape& t) {
  check_same_pictures(term, x, t);
  check(x[1] == 3, term, ": expected RGB pictures [n, 3, h, w], got ", x);
}

/// Calls use(picture) for each of n pictures of `plane` pixels, shared out among threads.
template <class Use>
void each_picture(std::int64_t n, std::int64_t plane, const Use& use) {
  parallel_for(n, std::max<std::int64_t>(1, 8192 / plane), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) use(i);
  });
}

/// The opponent planes of x - t, [n, 2, h, w], as one operation.
template <class T>
Variable<T> opponent_difference(const Variable<T>& x, const Variable<T>& t) {
  const T half = static_cast<T>(1 / std::sqrt(2.0)), sixth = static_cast<T>(1 / std::sqrt(6.0));
  const Shape shape = x.shape();
  const std::int64_t n = shape[0], plane = shape[2] * shape[3];
  Tensor<T> planes(shape.with(1, 2));
  const Tensor<T>&vx = x.value(), &vt = t.value();
  each_picture(n, plane, [&](std::int64_t p) {
    const T *a = vx.data() + 3 * p * plane, *b = vt.data() + 3 * p * plane;
    T* to = planes.data() + 2 * p * plane;
    for (std::int64_t i = 0; i < plane; ++i) {
      const T red = a[i] - b[i], green = a[plane + i] - b[plane + i], blue = a[2 * plane + i] - b[2 * plane + i];
      to[i] = half * (red - green);
      to[plane + i] = sixth * (red + green - 2 * blue);
    }
  });
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    for (std::size_t k = 0; k < 2; ++k) {
      if (!inputs[k].requires_grad()) continue;
      const T h = k == 0 ? half : -half, s = k == 0 ? sixth : -sixth;
      Tensor<T> slope(shape);
      each_picture(n, plane, [&](std::int64_t p) {
        const T* from = g.data() + 2 * p * plane;
        T* to = slope.data() + 3 * p * plane;
        for (std::int64_t i = 0; i < plane; ++i) {
          const T first = h * from[i], second = s * from[plane + i];
          to[i] = second + first;
          to[plane + i] = second - first;
          to[2 * plane + i] = -2 * second;
        }
      });
      inputs[k].add_grad(slope);
    }
  };
  return Variable<T>::from_op(std::move(planes), {x, t}, backward);
}

/// The sum over a picture's pixels of o(a) o(b): of a (b - mean of b's channels), since the planes' axes are those
/// across gray.
template <class T>
double color_product(const T* a, const T* b, std::int64_t plane) {
  return sum_of(0, plane, [=](std::int64_t i) {
    const T mean = (b[i] + b[plane + i] + b[2 * plane + i]) / 3;
    return a[i] * (b[i] - mean) + a[plane + i] * (b[plane + i] - mean) + a[2 * plane + i] * (b[2 * plane + i] - mean);
  });
}

}  // namespace

template <class T>
Variable<T> ChromaDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check_color("chroma", x.shape(), t.shape());
  check(sigma >= 0, "chroma: expected a sigma of at least 0, got ", sigma);
  // Planes and blur are linear, so they are taken of the difference, once.
  const Variable<T> difference = opponent_difference(x, t);
  const Variable<T> blurred = sigma > 0 ? gaussian_blur("chroma", difference, sigma) : difference;
  return batch_mean(norm == Norm::kL1 ? abs(blurred) : square(blurred));
}

template <class T>
Variable<T> Saturation::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check_color("saturation", x.shape(), t.shape());
  check(epsilon > 0, "saturation: expected an epsilon greater than 0, got ", epsilon);
  const Shape shape = x.shape();
  const std::int64_t n = shape[0], plane = shape[2] * shape[3];
  const Tensor<T>&vx = x.value(), &vt = t.value();
  const double e = epsilon * static_cast<double>(plane);
  std::vector<double> slopes(static_cast<std::size_t>(n)), whole(slopes);
  each_picture(n, plane, [&](std::int64_t p) {
    const T *a = vx.data() + 3 * p * plane, *b = vt.data() + 3 * p * plane;
    const auto at = static_cast<std::size_t>(p);
    whole[at] = color_product(b, b, plane) + e;
    slopes[at] = (color_product(a, b, plane) + e) / whole[at];
  });
  std::vector<double> squares;
  squares.reserve(slopes.size());
  for (const double s : slopes) squares.push_back((s - 1) * (s - 1));
  const double sum = BatchPart::total(squares), all = static_cast<double>(BatchPart::whole(n));
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    const double share = 2 * static_cast<double>(g.item()) / all;
    for (std::size_t k = 0; k < 2; ++k) {
      if (!inputs[k].requires_grad()) continue;
      Tensor<T> gradient(shape);
      each_picture(n, plane, [&](std::int64_t p) {
        const auto at = static_cast<std::size_t>(p);
        const double by_slope = share * (slopes[at] - 1) / whole[at];
        // d s = (o(t) dx + (o(x) - 2 s o(t)) dt) / whole, o taken back to the channels
        const T of_x = k == 0 ? T(0) : static_cast<T>(by_slope);
        const T of_t = static_cast<T>(k == 0 ? by_slope : -2 * slopes[at] * by_slope);
        const T *a = vx.data() + 3 * p * plane, *b = vt.data() + 3 * p * plane;
        T* to = gradient.data() + 3 * p * plane;
        for (std::int64_t i = 0; i < plane; ++i) {
          T channels[3], mean = 0;
          for (std::int64_t c = 0; c < 3; ++c) {
            channels[c] = of_x * a[c * plane + i] + of_t * b[c * plane + i];
            mean += channels[c] / 3;
          }
          for (std::int64_t c = 0; c < 3; ++c) to[c * plane + i] = channels[c] - mean;
        }
      });
      inputs[k].add_grad(gradient);
    }
  };
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(sum / all)), {x, t}, backward);
}

#define KIND_INSTANTIATE(T)                                                                        \
  template Variable<T> ChromaDifference::operator()(const Variable<T>&, const Variable<T>&) const; \
  template Variable<T> Saturation::operator()(const Variable<T>&, const Variable<T>&) const;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
