#include "losses/comparison.h"

#include <cmath>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/filter.h"
#include "core/ops/reduce.h"

namespace kind {

template <class T>
Variable<T> Square::operator()(const Variable<T>& x, const Variable<T>& t) const {
  return mean_distance("square", x, t, norm);
}

template <class T>
Variable<T> GradientDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check_same_pictures("gradient", x.shape(), t.shape());
  const auto gradients = [this](const Variable<T>& v) {
    const Variable<T> planes = channels == GradientChannels::kGray && v.shape()[1] != 1 ? gray(v) : v;
    return magnitude ? gradient_magnitudes(planes, gradient) : image_gradients(planes, gradient);
  };
  const ImageGradients<T> of_x = gradients(x), of_t = gradients(t);
  return mean_distance("gradient", of_x.x, of_t.x, Norm::kL2) + mean_distance("gradient", of_x.y, of_t.y, Norm::kL2);
}

template <class T>
Variable<T> SsimLoss::operator()(const Variable<T>& x, const Variable<T>& t) const {
  return add(neg(ssim(x, t, spec)), T(1));
}

template <class T>
Variable<T> ColorDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check_same_pictures("color", x.shape(), t.shape());
  check(sigma > 0 && sigma <= 1000, "color: expected a sigma greater than 0, at most 1000, got ", sigma);
  const std::int64_t radius = static_cast<std::int64_t>(std::ceil(10 * sigma / 3));
  const Tensor<T> row = gaussian_row<T>(2 * radius + 1, sigma);
  const Tensor<T> column = row.reshape({2 * radius + 1, 1});
  const auto filter = [&](const Variable<T>& v) {
    return depthwise_filter(depthwise_filter(v, row, {0, radius, 0, radius}), column, {radius, 0, radius, 0});
  };
  // Blurring is linear, so the difference is blurred once; what the filter makes of ones is the part of it inside.
  const Variable<T> inside = filter(Variable<T>(Tensor<T>::full({1, 1, x.shape()[2], x.shape()[3]}, T(1))));
  const Variable<T> blurred = filter(x - t) / inside;
  return mean(norm == Norm::kL1 ? abs(blurred) : square(blurred));
}

#define KIND_INSTANTIATE(T)                                                                          \
  template Variable<T> Square::operator()(const Variable<T>&, const Variable<T>&) const;             \
  template Variable<T> GradientDifference::operator()(const Variable<T>&, const Variable<T>&) const; \
  template Variable<T> SsimLoss::operator()(const Variable<T>&, const Variable<T>&) const;           \
  template Variable<T> ColorDifference::operator()(const Variable<T>&, const Variable<T>&) const;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
