#include "losses/lab.h"

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "losses/distance.h"

namespace kind {
namespace {

template <class T>
using Three = std::array<T, 3>;

// Linear sRGB to XYZ as in srgb_to_lab (losses/metrics/color.cpp), each row divided by its sum, the white point.
constexpr std::array<std::array<double, 3>, 3> kToXyz = {
    {{0.4339499, 0.3762098, 0.1898403}, {0.2126729, 0.7151521, 0.0721750}, {0.0177566, 0.1094680, 0.8727754}}};

/// A function's value and its derivative.
template <class T>
struct Curve {
  T value, slope;
};

/// sRGB's curve to linear light.
template <class T>
Curve<T> linear(T encoded) {
  if (encoded <= T(0.04045)) return {encoded / T(12.92), T(1 / 12.92)};
  const T base = (encoded + T(0.055)) / T(1.055), power = std::pow(base, T(1.4));
  return {power * base, T(2.4 / 1.055) * power};
}

/// CIELAB's cube root with its straight beginning.
template <class T>
Curve<T> lab_curve(T light) {
  constexpr T kEdge = T(6.0 / 29.0);
  if (light <= kEdge * kEdge * kEdge) {
    constexpr T kSlope = 1 / (3 * kEdge * kEdge);
    return {light * kSlope + T(4.0 / 29.0), kSlope};
  }
  const T root = std::cbrt(light);
  return {root, 1 / (3 * root * root)};
}

/// A pixel in CIELAB, and what takes a gradient back from there.
template <class T>
struct LabPixel {
  explicit LabPixel(const Three<T>& rgb) {
    for (std::size_t c = 0; c < 3; ++c) light[c] = linear(rgb[c]);
    for (std::size_t k = 0; k < 3; ++k) {
      T xyz = 0;
      for (std::size_t c = 0; c < 3; ++c) xyz += T(kToXyz[k][c]) * light[c].value;
      f[k] = lab_curve(xyz);
    }
    l = 116 * f[1].value - 16;
    a = 500 * (f[0].value - f[1].value);
    b = 200 * (f[1].value - f[2].value);
    // A constant below what the eye sees keeps the root differentiable at gray.
    chroma = std::sqrt(a * a + b * b + T(0.01));
  }

  /// The gradient by R, G and B of what has the given one by L*, a* and b*.
  Three<T> back(T by_l, T by_a, T by_b) const {
    const Three<T> by_f = {500 * by_a, 116 * by_l - 500 * by_a + 200 * by_b, -200 * by_b};
    Three<T> by_rgb{};
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t k = 0; k < 3; ++k) by_rgb[c] += T(kToXyz[k][c]) * f[k].slope * by_f[k];
      by_rgb[c] *= light[c].slope;
    }
    return by_rgb;
  }

  std::array<Curve<T>, 3> light, f;
  T l, a, b, chroma;
};

/// The difference of one pixel, and its gradients by the output's and the target's channels.
template <class T>
struct PixelDifference {
  T value;
  Three<T> by_output, by_target;
};

template <class T>
PixelDifference<T> cie94(const Three<T>& output, const Three<T>& target, T epsilon) {
  const LabPixel<T> x(output), t(target);
  const T dl = x.l - t.l, da = x.a - t.a, db = x.b - t.b, dc = x.chroma - t.chroma;
  const T hue = da * da + db * db - dc * dc;  // dH^2
  const T chroma_scale = 1 + T(0.045) * t.chroma, hue_scale = 1 + T(0.015) * t.chroma;
  const T p = 1 / (chroma_scale * chroma_scale), q = 1 / (hue_scale * hue_scale);
  const T root = std::sqrt(dl * dl + p * dc * dc + q * hue + epsilon * epsilon);
  // Halves of the derivatives of the square under the root; both of its parts share the root's own.
  const T by_dc = (p - q) * dc;
  const T by_target_chroma = -by_dc - T(0.045) * p / chroma_scale * dc * dc - T(0.015) * q / hue_scale * hue;
  const T of_x = by_dc / x.chroma, of_t = by_target_chroma / t.chroma;
  return {root - epsilon, x.back(dl / root, (q * da + of_x * x.a) / root, (q * db + of_x * x.b) / root),
          t.back(-dl / root, (of_t * t.a - q * da) / root, (of_t * t.b - q * db) / root)};
}

/// A pixel's a* and b* as a vector shorter than 1, and what takes a gradient back from there.
template <class T>
struct HueVector {
  HueVector(const Three<T>& rgb, T chroma)
      : lab(rgb),
        scale(1 / std::sqrt(lab.a * lab.a + lab.b * lab.b + chroma * chroma)),
        a(lab.a * scale),
        b(lab.b * scale) {}

  Three<T> back(T by_a, T by_b) const {
    const T along = a * by_a + b * by_b;
    return lab.back(0, scale * (by_a - a * along), scale * (by_b - b * along));
  }

  LabPixel<T> lab;
  T scale, a, b;
};

template <class T>
PixelDifference<T> hue_difference(const Three<T>& output, const Three<T>& target, T chroma, T epsilon) {
  const HueVector<T> x(output, chroma), t(target, chroma);
  const T da = x.a - t.a, db = x.b - t.b, root = std::sqrt(da * da + db * db + epsilon * epsilon);
  return {root - epsilon, x.back(da / root, db / root), t.back(-da / root, -db / root)};
}

/// The mean over the pixels of what difference(RGB of x, RGB of t) gives, times `scale`.
template <class T, class Difference>
Variable<T> mean_difference(const char* name, const Variable<T>& x, const Variable<T>& t, T scale,
                            const Difference& difference) {
  check_same_pictures(name, x.shape(), t.shape());
  check(x.shape()[1] == 3, name, ": expected RGB pictures [n, 3, h, w], got ", x.shape());
  const Shape shape = x.shape();
  const std::int64_t plane = shape[2] * shape[3];
  Tensor<T> values(shape.with(1, 1)), by_output(shape), by_target(shape);
  const Tensor<T>&vx = x.value(), &vt = t.value();
  parallel_for(shape[0] * plane, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i / plane * 3 * plane + i % plane;
      const auto pixel = [&](const Tensor<T>& of) {
        return Three<T>{of.data()[at], of.data()[at + plane], of.data()[at + 2 * plane]};
      };
      const PixelDifference<T> d = difference(pixel(vx), pixel(vt));
      values.data()[i] = scale * d.value;
      for (std::size_t c = 0; c < 3; ++c) {
        const std::int64_t channel = at + static_cast<std::int64_t>(c) * plane;
        by_output.data()[channel] = scale * d.by_output[c];
        by_target.data()[channel] = scale * d.by_target[c];
      }
    }
  });
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    for (std::size_t k = 0; k < 2; ++k) {
      if (!inputs[k].requires_grad()) continue;
      const Tensor<T>& slopes = k == 0 ? by_output : by_target;
      Tensor<T> gradient(shape);
      parallel_for(shape[0] * plane, 8192, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          for (std::int64_t c = 0; c < 3; ++c) {
            const std::int64_t at = (i / plane * 3 + c) * plane + i % plane;
            gradient.data()[at] = g.data()[i] * slopes.data()[at];
          }
        }
      });
      inputs[k].add_grad(gradient);
    }
  };
  return batch_mean(Variable<T>::from_op(std::move(values), {x, t}, backward));
}

}  // namespace

template <class T>
Variable<T> LabDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check(epsilon > 0, kName, ": expected an epsilon greater than 0, got ", epsilon);
  return mean_difference(kName, x, t, T(0.01), [e = static_cast<T>(epsilon)](const Three<T>& a, const Three<T>& b) {
    return cie94(a, b, e);
  });
}

template <class T>
Variable<T> HueDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check(epsilon > 0, kName, ": expected an epsilon greater than 0, got ", epsilon);
  check(chroma > 0, kName, ": expected a chroma greater than 0, got ", chroma);
  return mean_difference(kName, x, t, T(1),
                         [c = static_cast<T>(chroma), e = static_cast<T>(epsilon)](
                             const Three<T>& a, const Three<T>& b) { return hue_difference(a, b, c, e); });
}

#define KIND_INSTANTIATE(T)                                                                     \
  template Variable<T> LabDifference::operator()(const Variable<T>&, const Variable<T>&) const; \
  template Variable<T> HueDifference::operator()(const Variable<T>&, const Variable<T>&) const;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
