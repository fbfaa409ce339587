#include "losses/ssim.h"

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/filter.h"
#include "core/ops/reduce.h"
#include "losses/distance.h"

namespace kind {

template <class T>
Variable<T> ssim(const Variable<T>& x, const Variable<T>& y, const SsimSpec& spec) {
  const Shape& s = x.shape();
  check_same_pictures("ssim", s, y.shape());
  check(spec.range > 0, "ssim: expected a range greater than 0, got ", spec.range);
  check(s[2] >= spec.window && s[3] >= spec.window, "ssim: pictures ", s.text(), " are smaller than the window of ",
        spec.window, " x ", spec.window, " pixels; use larger pictures or a smaller window");
  const Tensor<T> row = gaussian_row<T>(spec.window, spec.sigma);
  const Tensor<T> column = row.reshape({spec.window, 1});
  const auto blur = [&](const Variable<T>& v) { return depthwise_filter(depthwise_filter(v, row), column); };
  const T c1 = static_cast<T>(0.01 * spec.range * 0.01 * spec.range);
  const T c2 = static_cast<T>(0.03 * spec.range * 0.03 * spec.range);

  const Variable<T> mx = blur(x), my = blur(y);
  const Variable<T> product = mx * my, squares = square(mx) + square(my);
  // Only the sum of the variances is needed, so both squares go through one filter.
  const Variable<T> covariance = blur(x * y) - product, variances = blur(square(x) + square(y)) - squares;
  const T two = T(2);
  const Variable<T> above = add(mul(product, two), c1) * add(mul(covariance, two), c2);
  return mean(above / (add(squares, c1) * add(variances, c2)));
}

template Variable<float> ssim(const Variable<float>&, const Variable<float>&, const SsimSpec&);
template Variable<double> ssim(const Variable<double>&, const Variable<double>&, const SsimSpec&);

}  // namespace kind
