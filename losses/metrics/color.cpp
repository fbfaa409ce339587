#include "losses/metrics/color.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "losses/metrics/psnr.h"

namespace kind {
namespace {

// Linear sRGB to XYZ. The rows' sums are the white point, so that R = G = B has no colour to within rounding.
constexpr std::array<std::array<double, 3>, 3> kToXyz = {
    {{0.4124564, 0.3575761, 0.1804375}, {0.2126729, 0.7151522, 0.0721750}, {0.0193339, 0.1191920, 0.9503041}}};

double linear(double encoded) {
  return encoded <= 0.04045 ? encoded / 12.92 : std::pow((encoded + 0.055) / 1.055, 2.4);
}

double lab_curve(double t) {
  constexpr double kEdge = 6.0 / 29.0;
  return t > kEdge * kEdge * kEdge ? std::cbrt(t) : t / (3 * kEdge * kEdge) + 4.0 / 29.0;
}

/// Mean of C*ab over pictures [n, 3, h, w] in CIELAB.
double mean_chroma_of_lab(const Tensor<double>& lab) {
  const Shape& s = lab.shape();
  const std::int64_t pixels = s[2] * s[3];
  double sum = 0;
  for (std::int64_t n = 0; n < s[0]; ++n) {
    const double* a = lab.data() + (3 * n + 1) * pixels;
    for (std::int64_t i = 0; i < pixels; ++i) sum += std::hypot(a[i], a[pixels + i]);
  }
  return sum / static_cast<double>(s[0] * pixels);
}

/// The a* and b* of a pair of pictures.
struct Planes {
  explicit Planes(const LabPair& pictures)
      : pixels(pictures.output.size() / 3),
        a(pictures.output.data() + pixels),
        b(a + pixels),
        target_a(pictures.target.data() + pixels),
        target_b(target_a + pixels) {}

  /// Sum over the pixels of term(a, b, target's a, target's b).
  template <class Term>
  double sum(const Term& term) const {
    return parallel_sum(pixels, [&](std::int64_t i) { return term(a[i], b[i], target_a[i], target_b[i]); });
  }

  std::int64_t pixels;
  const double *a, *b, *target_a, *target_b;
};

}  // namespace

template <class T>
Tensor<double> srgb_to_lab(const Tensor<T>& rgb) {
  const Shape& s = rgb.shape();
  check(s.rank() == 4 && s[1] == 3, "srgb_to_lab: expected RGB pictures [n, 3, h, w], got ", s);
  Tensor<double> lab(s);
  const std::int64_t pixels = s[2] * s[3];
  parallel_for(s[0] * pixels, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t at = p / pixels * 3 * pixels + p % pixels;
      std::array<double, 3> light{}, f{};
      for (std::size_t c = 0; c < 3; ++c) {
        light[c] = linear(static_cast<double>(rgb[at + static_cast<std::int64_t>(c) * pixels]) / 255);
      }
      for (std::size_t k = 0; k < 3; ++k) {
        const auto& m = kToXyz[k];
        f[k] = lab_curve((m[0] * light[0] + m[1] * light[1] + m[2] * light[2]) / (m[0] + m[1] + m[2]));
      }
      lab[at] = 116 * f[1] - 16;
      lab[at + pixels] = 500 * (f[0] - f[1]);
      lab[at + 2 * pixels] = 200 * (f[1] - f[2]);
    }
  });
  return lab;
}

template <class T>
double mean_chroma(const Tensor<T>& rgb) {
  const Shape& s = rgb.shape();
  check(s.rank() == 4 && s[1] == 3 && s.size() > 0, "mean_chroma: expected RGB pictures [n, 3, h, w], got ", s);
  return mean_chroma_of_lab(srgb_to_lab(rgb));
}

double ciede2000(const std::array<double, 3>& lab1, const std::array<double, 3>& lab2) {
  constexpr double kPi = std::numbers::pi, kDegree = kPi / 180;
  const auto power7 = [](double x) { return x * x * x * x * x * x * x; };
  const double far7 = power7(25);
  const double chroma = (std::hypot(lab1[1], lab1[2]) + std::hypot(lab2[1], lab2[2])) / 2;
  // a* is stretched near the gray axis.
  const double stretch = 1 + 0.5 * (1 - std::sqrt(power7(chroma) / (power7(chroma) + far7)));
  const double a1 = stretch * lab1[1], a2 = stretch * lab2[1];
  const double c1 = std::hypot(a1, lab1[2]), c2 = std::hypot(a2, lab2[2]);
  // Hues in 0..2 pi; a gray has none, and then the other's counts.
  const auto hue = [](double a, double b) {
    const double h = a == 0 && b == 0 ? 0 : std::atan2(b, a);
    return h < 0 ? h + 2 * kPi : h;
  };
  const double h1 = hue(a1, lab1[2]), h2 = hue(a2, lab2[2]);
  const bool gray = c1 * c2 == 0;
  double dh = gray ? 0 : h2 - h1;
  if (dh > kPi) dh -= 2 * kPi;
  if (dh < -kPi) dh += 2 * kPi;
  double h = h1 + h2;
  if (!gray) {
    if (std::abs(h1 - h2) > kPi) h += h < 2 * kPi ? 2 * kPi : -2 * kPi;
    h /= 2;
  }
  const double dl = lab2[0] - lab1[0], dc = c2 - c1, dhue = 2 * std::sqrt(c1 * c2) * std::sin(dh / 2);
  const double l = (lab1[0] + lab2[0]) / 2, c = (c1 + c2) / 2;
  const double t = 1 - 0.17 * std::cos(h - 30 * kDegree) + 0.24 * std::cos(2 * h) +
                   0.32 * std::cos(3 * h + 6 * kDegree) - 0.20 * std::cos(4 * h - 63 * kDegree);
  const double from_blue = (h / kDegree - 275) / 25;
  const double turn =
      2 * std::sqrt(power7(c) / (power7(c) + far7)) * std::sin(60 * kDegree * std::exp(-from_blue * from_blue));
  const double sl = 1 + 0.015 * (l - 50) * (l - 50) / std::sqrt(20 + (l - 50) * (l - 50));
  const double sc = 1 + 0.045 * c, sh = 1 + 0.015 * c * t;
  const double x = dl / sl, y = dc / sc, z = dhue / sh;
  return std::sqrt(std::max(0.0, x * x + y * y + z * z - turn * y * z));
}

template <class T>
LabPair to_lab_pair(const Tensor<T>& output, const Tensor<T>& target) {
  check_rgb_pair("to_lab_pair", output.shape(), target.shape());
  return {srgb_to_lab(output), srgb_to_lab(target)};
}

double mean_delta_e(const LabPair& pictures) {
  const Tensor<double>&x = pictures.output, &y = pictures.target;
  const std::int64_t pixels = x.size() / 3;
  const double sum = parallel_sum(pixels, [&](std::int64_t i) {
    return ciede2000({x[i], x[pixels + i], x[2 * pixels + i]}, {y[i], y[pixels + i], y[2 * pixels + i]});
  });
  return sum / static_cast<double>(pixels);
}

template <class T>
double mean_delta_e(const Tensor<T>& a, const Tensor<T>& b) {
  check_rgb_pair("mean_delta_e", a.shape(), b.shape());
  return mean_delta_e(LabPair{srgb_to_lab(a), srgb_to_lab(b)});
}

std::optional<double> color_slope(const LabPair& pictures) {
  const Planes planes(pictures);
  const double square = planes.sum([](double, double, double ta, double tb) { return ta * ta + tb * tb; });
  if (square < kGrayTarget * static_cast<double>(planes.pixels)) return std::nullopt;
  return planes.sum([](double a, double b, double ta, double tb) { return a * ta + b * tb; }) / square;
}

std::optional<double> hue_error(const LabPair& pictures) {
  const Planes planes(pictures);
  const auto counts = [](double a, double b, double ta, double tb) {
    constexpr double kSquare = kHueChroma * kHueChroma;
    return a * a + b * b >= kSquare && ta * ta + tb * tb >= kSquare;
  };
  const double count =
      planes.sum([&](double a, double b, double ta, double tb) { return counts(a, b, ta, tb) ? 1.0 : 0.0; });
  if (count == 0) return std::nullopt;
  const double radians = planes.sum([&](double a, double b, double ta, double tb) {
    return counts(a, b, ta, tb) ? std::atan2(std::abs(a * tb - b * ta), a * ta + b * tb) : 0.0;
  });
  return radians / count * (180 / std::numbers::pi);
}

double chroma_error(const LabPair& pictures) {
  const Planes planes(pictures);
  const double sum = planes.sum([](double a, double b, double ta, double tb) { return std::hypot(a - ta, b - tb); });
  return sum / static_cast<double>(planes.pixels);
}

std::optional<double> chroma_ratio(const LabPair& pictures) {
  constexpr double kGray = 0.001;  // what rounding leaves of grays
  const double target = mean_chroma_of_lab(pictures.target);
  if (target < kGray) return std::nullopt;
  return mean_chroma_of_lab(pictures.output) / target;
}

#define KIND_INSTANTIATE(T)                                         \
  template Tensor<double> srgb_to_lab(const Tensor<T>&);            \
  template double mean_chroma(const Tensor<T>&);                    \
  template LabPair to_lab_pair(const Tensor<T>&, const Tensor<T>&); \
  template double mean_delta_e(const Tensor<T>&, const Tensor<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
