#include "losses/metrics/color.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/error.h"
#include "core/base/parallel.h"

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

}  // namespace

template <class T>
Tensor<double> srgb_to_lab(const Tensor<T>& rgb) {
  const Shape& s = rgb.shape();
  check(s.rank() == 4 && s[1] == 3, "srgb_to_lab: expected RGB pictures [n, 3, h, w], got ", s.text());
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
  check(s.rank() == 4 && s[1] == 3 && s.size() > 0, "mean_chroma: expected RGB pictures [n, 3, h, w], got ", s.text());
  const Tensor<double> lab = srgb_to_lab(rgb);
  const std::int64_t pixels = s[2] * s[3];
  double sum = 0;
  for (std::int64_t n = 0; n < s[0]; ++n) {
    const double* a = lab.data() + (3 * n + 1) * pixels;
    for (std::int64_t i = 0; i < pixels; ++i) sum += std::hypot(a[i], a[pixels + i]);
  }
  return sum / static_cast<double>(s[0] * pixels);
}

#define KIND_INSTANTIATE(T)                              \
  template Tensor<double> srgb_to_lab(const Tensor<T>&); \
  template double mean_chroma(const Tensor<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
