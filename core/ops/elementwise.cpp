#include "core/ops/elementwise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/ops/broadcast.h"

namespace kind {
namespace {

/// y = f(x), with dx = slope(x, y, g). Only what `slope` may read is kept: x or y, not both.
enum class Keep { kInput, kResult };

template <Keep kKeep, class T, class F, class Slope>
Variable<T> unary(const Variable<T>& x, const F& f, const Slope& slope) {
  Tensor<T> y = map1(x.value(), f);
  const Tensor<T> kept = kKeep == Keep::kInput ? x.value() : y;
  return Variable<T>::from_op(std::move(y), {x}, [kept, slope](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    inputs[0].add_grad(map2("gradient", kept, g, slope));
  });
}

/// y = f(a, b) with da = slope_a(a, b, g) and db = slope_b(a, b, g), evaluated over the common shape.
template <class T, class F, class SlopeA, class SlopeB>
Variable<T> binary(const char* op, const Variable<T>& a, const Variable<T>& b, const F& f, const SlopeA& slope_a,
                   const SlopeB& slope_b) {
  Tensor<T> y = map2(op, a.value(), b.value(), f);
  const Tensor<T>&va = a.value(), &vb = b.value();
  const auto backward = [va, vb, slope_a, slope_b](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    const auto gradient = [&](const auto& slope, const Shape& shape) {
      Tensor<T> full(g.shape());
      T* to = full.data();
      const T *pa = va.data(), *pb = vb.data(), *pg = g.data();
      BroadcastPlan(g.shape(), va.shape(), vb.shape())
          .parallel_runs(
              [=](std::int64_t o, std::int64_t ia, std::int64_t ib, std::int64_t n, std::int64_t sa, std::int64_t sb) {
                if (sa == 1 && sb == 1) {
                  for (std::int64_t i = 0; i < n; ++i) to[o + i] = slope(pa[ia + i], pb[ib + i], pg[o + i]);
                } else {
                  for (std::int64_t i = 0; i < n; ++i) to[o + i] = slope(pa[ia + i * sa], pb[ib + i * sb], pg[o + i]);
                }
              });
      return sum_to(full, shape);
    };
    if (inputs[0].requires_grad()) inputs[0].add_grad(gradient(slope_a, va.shape()));
    if (inputs[1].requires_grad()) inputs[1].add_grad(gradient(slope_b, vb.shape()));
  };
  return Variable<T>::from_op(std::move(y), {a, b}, backward);
}

}  // namespace

template <class T>
Variable<T> add(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> y = map2("add", a.value(), b.value(), [](T x, T z) { return x + z; });
  return Variable<T>::from_op(std::move(y), {a, b}, [](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    for (Variable<T>& input : inputs) {
      if (input.requires_grad()) input.add_grad(sum_to(g, input.shape()));
    }
  });
}

template <class T>
Variable<T> sub(const Variable<T>& a, const Variable<T>& b) {
  Tensor<T> y = map2("sub", a.value(), b.value(), [](T x, T z) { return x - z; });
  return Variable<T>::from_op(std::move(y), {a, b}, [](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    if (inputs[0].requires_grad()) inputs[0].add_grad(sum_to(g, inputs[0].shape()));
    if (inputs[1].requires_grad()) {
      inputs[1].add_grad(sum_to(map1(g, [](T x) { return -x; }), inputs[1].shape()));
    }
  });
}

template <class T>
Variable<T> mul(const Variable<T>& a, const Variable<T>& b) {
  return binary(
      "mul", a, b, [](T x, T z) { return x * z; }, [](T, T z, T g) { return g * z; },
      [](T x, T, T g) { return g * x; });
}

template <class T>
Variable<T> div(const Variable<T>& a, const Variable<T>& b) {
  return binary(
      "div", a, b, [](T x, T z) { return x / z; }, [](T, T z, T g) { return g / z; },
      // Where the square leaves the range of normal numbers (in float beyond 1.8e19 and below 1e-19), divided twice.
      [](T x, T z, T g) {
        const T square = z * z;
        const bool normal = square >= std::numeric_limits<T>::min() && square <= std::numeric_limits<T>::max();
        return normal ? -g * x / square : -(g / z) * (x / z);
      });
}

template <class T>
Variable<T> minimum(const Variable<T>& a, const Variable<T>& b) {
  // Written so that a NaN in either operand is kept.
  return binary(
      "minimum", a, b, [](T x, T z) { return x < z || x != x ? x : z; },
      [](T x, T z, T g) { return x < z    ? g
                                 : x == z ? g / 2
                                          : T(0); },
      [](T x, T z, T g) { return z < x    ? g
                                 : x == z ? g / 2
                                          : T(0); });
}

template <class T>
Variable<T> maximum(const Variable<T>& a, const Variable<T>& b) {
  return binary(
      "maximum", a, b, [](T x, T z) { return x > z || x != x ? x : z; },
      [](T x, T z, T g) { return x > z    ? g
                                 : x == z ? g / 2
                                          : T(0); },
      [](T x, T z, T g) { return z > x    ? g
                                 : x == z ? g / 2
                                          : T(0); });
}

template <class T>
Variable<T> add(const Variable<T>& a, T s) {
  return unary<Keep::kResult>(
      a, [s](T x) { return x + s; }, [](T, T g) { return g; });
}

template <class T>
Variable<T> mul(const Variable<T>& a, T s) {
  return unary<Keep::kResult>(
      a, [s](T x) { return x * s; }, [s](T, T g) { return g * s; });
}

template <class T>
Variable<T> neg(const Variable<T>& x) {
  return mul(x, T(-1));
}

template <class T>
Variable<T> exp(const Variable<T>& x) {
  return unary<Keep::kResult>(
      x, [](T v) { return std::exp(v); }, [](T y, T g) { return g * y; });
}

template <class T>
Variable<T> log(const Variable<T>& x) {
  return unary<Keep::kInput>(
      x, [](T v) { return std::log(v); }, [](T v, T g) { return g / v; });
}

template <class T>
Variable<T> sqrt(const Variable<T>& x) {
  return unary<Keep::kResult>(
      x, [](T v) { return std::sqrt(v); }, [](T y, T g) { return g / (2 * y); });
}

template <class T>
Variable<T> pow(const Variable<T>& x, T p) {
  return unary<Keep::kInput>(
      x, [p](T v) { return std::pow(v, p); }, [p](T v, T g) { return p == 0 ? T(0) : g * p * std::pow(v, p - 1); });
}

template <class T>
Variable<T> square(const Variable<T>& x) {
  return unary<Keep::kInput>(
      x, [](T v) { return v * v; }, [](T v, T g) { return 2 * g * v; });
}

template <class T>
Variable<T> abs(const Variable<T>& x) {
  return unary<Keep::kInput>(
      x, [](T v) { return std::abs(v); }, [](T v, T g) { return v > 0   ? g
                                                                : v < 0 ? -g
                                                                        : T(0); });
}

template <class T>
Variable<T> clamp(const Variable<T>& x, T low, T high) {
  check(low <= high, "clamp: expected low <= high, got ", low, " and ", high);
  return unary<Keep::kInput>(
      x, [=](T v) { return v < low    ? low
                           : v > high ? high
                                      : v; },
      [=](T v, T g) { return v >= low && v <= high ? g : T(0); });
}

template <class T>
Variable<T> sigmoid(const Variable<T>& x) {
  return unary<Keep::kResult>(
      x, [](T v) { return 1 / (1 + std::exp(-v)); }, [](T y, T g) { return g * y * (1 - y); });
}

template <class T>
Variable<T> relu(const Variable<T>& x) {
  // Where the result is positive the input was; NaN stays NaN.
  return unary<Keep::kResult>(
      x, [](T v) { return v < 0 ? T(0) : v; }, [](T y, T g) { return y > 0 ? g : T(0); });
}

template <class T>
Variable<T> leaky_relu(const Variable<T>& x, T slope) {
  check(slope >= 0 && slope <= 1, "leaky_relu: expected a slope between 0 and 1, got ", slope);
  return unary<Keep::kResult>(
      x, [slope](T v) { return v > 0 ? v : v * slope; }, [slope](T y, T g) { return y > 0 ? g : g * slope; });
}

#define KIND_INSTANTIATE(T)                                             \
  template Variable<T> add(const Variable<T>&, const Variable<T>&);     \
  template Variable<T> sub(const Variable<T>&, const Variable<T>&);     \
  template Variable<T> mul(const Variable<T>&, const Variable<T>&);     \
  template Variable<T> div(const Variable<T>&, const Variable<T>&);     \
  template Variable<T> minimum(const Variable<T>&, const Variable<T>&); \
  template Variable<T> maximum(const Variable<T>&, const Variable<T>&); \
  template Variable<T> add(const Variable<T>&, T);                      \
  template Variable<T> mul(const Variable<T>&, T);                      \
  template Variable<T> neg(const Variable<T>&);                         \
  template Variable<T> exp(const Variable<T>&);                         \
  template Variable<T> log(const Variable<T>&);                         \
  template Variable<T> sqrt(const Variable<T>&);                        \
  template Variable<T> pow(const Variable<T>&, T);                      \
  template Variable<T> square(const Variable<T>&);                      \
  template Variable<T> abs(const Variable<T>&);                         \
  template Variable<T> clamp(const Variable<T>&, T, T);                 \
  template Variable<T> sigmoid(const Variable<T>&);                     \
  template Variable<T> relu(const Variable<T>&);                        \
  template Variable<T> leaky_relu(const Variable<T>&, T);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
