#include "losses/comparison.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/ops/elementwise.h"
#include "losses/blur.h"

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

void SsimLoss::validate(const std::string& path) const {
  check(spec.window % 2 == 1, key_path(path, "window"), ": expected an odd number, got ", spec.window);
}

template <class T>
Variable<T> SsimLoss::operator()(const Variable<T>& x, const Variable<T>& t) const {
  return add(neg(ssim(x, t, spec)), T(1));
}

template <class T>
Variable<T> ColorDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check_same_pictures("color", x.shape(), t.shape());
  // Blurring is linear, so the difference is blurred once.
  const Variable<T> blurred = gaussian_blur("color", x - t, sigma);
  return batch_mean(norm == Norm::kL1 ? abs(blurred) : square(blurred));
}

namespace {

/// The Laplacian of every plane; it is its own adjoint.
template <class T>
Tensor<T> laplacian(const Tensor<T>& x) {
  const std::int64_t h = x.shape()[2], w = x.shape()[3], rows = x.shape()[0] * x.shape()[1] * h;
  Tensor<T> y(x.shape());
  parallel_for(rows, std::max<std::int64_t>(1, 8192 / w), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const T* const at = x.data() + r * w;
      const T *const above = r % h > 0 ? at - w : at, *const below = r % h < h - 1 ? at + w : at;
      T* const to = y.data() + r * w;
      const auto put = [=](std::int64_t j, std::int64_t left, std::int64_t right) {
        to[j] = (above[j] + below[j]) + (at[left] + at[right]) - 4 * at[j];
      };
      for (std::int64_t j = 1; j < w - 1; ++j) put(j, j - 1, j + 1);
      put(0, 0, std::min<std::int64_t>(1, w - 1));
      put(w - 1, std::max<std::int64_t>(0, w - 2), w - 1);
    }
  });
  return y;
}

}  // namespace

template <class T>
Variable<T> EdgeDifference::operator()(const Variable<T>& x, const Variable<T>& t) const {
  check_same_pictures("edge", x.shape(), t.shape());
  const Variable<T> difference = x - t;
  return batch_mean(abs(Variable<T>::from_op(
      laplacian(difference.value()), {difference},
      [](std::vector<Variable<T>>& inputs, const Tensor<T>& g) { inputs[0].add_grad(laplacian(g)); })));
}

#define KIND_INSTANTIATE(T)                                                                          \
  template Variable<T> Square::operator()(const Variable<T>&, const Variable<T>&) const;             \
  template Variable<T> GradientDifference::operator()(const Variable<T>&, const Variable<T>&) const; \
  template Variable<T> SsimLoss::operator()(const Variable<T>&, const Variable<T>&) const;           \
  template Variable<T> ColorDifference::operator()(const Variable<T>&, const Variable<T>&) const;    \
  template Variable<T> EdgeDifference::operator()(const Variable<T>&, const Variable<T>&) const;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
