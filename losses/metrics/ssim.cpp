#include "losses/metrics/ssim.h"

#include <algorithm>

#include "losses/metrics/psnr.h"
#include "losses/ssim.h"

namespace kind {
namespace {

std::optional<double> ssim_of(const Tensor<double>& a, const Tensor<double>& b) {
  const SsimSpec spec{11, 1.5, 255};
  if (std::min(a.shape()[2], a.shape()[3]) < spec.window) return std::nullopt;
  return ssim(Variable<double>(a), Variable<double>(b), spec).value().item();
}

}  // namespace

template <class T>
std::optional<double> ssim_rgb(const Tensor<T>& a, const Tensor<T>& b) {
  check_rgb_pair("ssim_rgb", a.shape(), b.shape());
  return ssim_of(cast<double>(a), cast<double>(b));
}

template <class T>
std::optional<double> ssim_gray(const Tensor<T>& a, const Tensor<T>& b) {
  check_rgb_pair("ssim_gray", a.shape(), b.shape());
  return ssim_of(gray_bt601(a), gray_bt601(b));
}

#define KIND_INSTANTIATE(T)                                                    \
  template std::optional<double> ssim_rgb(const Tensor<T>&, const Tensor<T>&); \
  template std::optional<double> ssim_gray(const Tensor<T>&, const Tensor<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
