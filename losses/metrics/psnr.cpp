#include "losses/metrics/psnr.h"

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/base/sum.h"

namespace kind {
namespace {

template <class T>
double psnr(const Tensor<T>& a, const Tensor<T>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  if (sum == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.size()) / sum);
}

}  // namespace

void check_rgb_pair(const char* metric, const Shape& a, const Shape& b) {
  check(a.rank() == 4 && a[0] == 1 && a[1] == 3 && a.size() > 0 && a == b, metric,
        ": expected two RGB pictures [1, 3, h, w] of the same shape, got ", a, " and ", b);
}

template <class T>
Tensor<double> gray_bt601(const Tensor<T>& rgb) {
  check_rgb_pair("gray_bt601", rgb.shape(), rgb.shape());
  Tensor<double> y(rgb.shape().with(1, 1));
  const std::int64_t pixels = y.size();
  for (std::int64_t i = 0; i < pixels; ++i) {
    y[i] = 0.299 * static_cast<double>(rgb[i]) + 0.587 * static_cast<double>(rgb[pixels + i]) +
           0.114 * static_cast<double>(rgb[2 * pixels + i]);
  }
  return y;
}

template <class T>
double psnr_rgb(const Tensor<T>& a, const Tensor<T>& b) {
  check_rgb_pair("psnr_rgb", a.shape(), b.shape());
  return psnr(a, b);
}

template <class T>
double psnr_gray(const Tensor<T>& a, const Tensor<T>& b) {
  check_rgb_pair("psnr_gray", a.shape(), b.shape());
  return psnr(gray_bt601(a), gray_bt601(b));
}

template <class T>
double mean_absolute_error(const Tensor<T>& a, const Tensor<T>& b) {
  check_rgb_pair("mean_absolute_error", a.shape(), b.shape());
  const double sum = parallel_sum(
      a.size(), [&](std::int64_t i) { return std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])); });
  return sum / (255.0 * static_cast<double>(a.size()));
}

#define KIND_INSTANTIATE(T)                                      \
  template Tensor<double> gray_bt601(const Tensor<T>&);          \
  template double psnr_rgb(const Tensor<T>&, const Tensor<T>&);  \
  template double psnr_gray(const Tensor<T>&, const Tensor<T>&); \
  template double mean_absolute_error(const Tensor<T>&, const Tensor<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
