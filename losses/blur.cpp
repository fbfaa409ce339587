#include "losses/blur.h"

#include <cmath>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/filter.h"

namespace kind {

template <class T>
Variable<T> gaussian_blur(const char* term, const Variable<T>& x, double sigma) {
  check(x.shape().rank() == 4 && x.shape().size() > 0, term, ": expected pictures [n, c, h, w], got ", x.shape());
  check(sigma > 0 && sigma <= 1000, term, ": expected a sigma greater than 0, at most 1000, got ", sigma);
  const std::int64_t radius = static_cast<std::int64_t>(std::ceil(10 * sigma / 3));
  const Tensor<T> row = gaussian_row<T>(2 * radius + 1, sigma);
  const Tensor<T> column = row.reshape({2 * radius + 1, 1});
  const auto filter = [&](const Variable<T>& v) {
    return depthwise_filter(depthwise_filter(v, row, {0, radius, 0, radius}), column, {radius, 0, radius, 0});
  };
  // What the filter makes of ones is the part of it inside.
  const Variable<T> inside = filter(Variable<T>(Tensor<T>::full({1, 1, x.shape()[2], x.shape()[3]}, T(1))));
  return filter(x) / inside;
}

template Variable<float> gaussian_blur(const char*, const Variable<float>&, double);
template Variable<double> gaussian_blur(const char*, const Variable<double>&, double);

}  // namespace kind
