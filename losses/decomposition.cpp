#include "losses/decomposition.h"

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace kind {

template <class T>
Variable<T> Reconstruction::operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const {
  check_illumination("reconstruction", l.shape(), r.shape());
  return mean_distance("reconstruction", i, r * l, norm);
}

template <class T>
Variable<T> ReflectanceSimilarity::operator()(const Variable<T>& r_low, const Variable<T>& r_high) const {
  return mean_distance("reflectance_similarity", r_low, r_high, norm);
}

template <class T>
Variable<T> IlluminationSmoothness::operator()(const Variable<T>& l, const Variable<T>& i) const {
  check_illumination("illumination_smoothness", l.shape(), i.shape());
  check(epsilon > 0, "illumination_smoothness: expected an epsilon greater than 0, got ", epsilon);
  const ImageGradients<T> of_l = gradient_magnitudes(l, gradient), of_i = gradient_magnitudes(gray(i), gradient);
  const Variable<T> floor(Tensor<T>::scalar(static_cast<T>(epsilon)));
  return mean(of_l.x / maximum(of_i.x, floor)) + mean(of_l.y / maximum(of_i.y, floor));
}

template <class T>
Variable<T> MutualConsistency::operator()(const Variable<T>& l_low, const Variable<T>& l_high) const {
  check_same_pictures("mutual_consistency", l_low.shape(), l_high.shape());
  check(c >= 0, "mutual_consistency: expected c of at least 0, got ", c);
  const ImageGradients<T> low = gradient_magnitudes(l_low, gradient), high = gradient_magnitudes(l_high, gradient);
  const auto kept = [this](const Variable<T>& m) { return mean(m * exp(mul(m, static_cast<T>(-c)))); };
  return kept(low.x + high.x) + kept(low.y + high.y);
}

#define KIND_INSTANTIATE(T)                                                                                          \
  template Variable<T> Reconstruction::operator()(const Variable<T>&, const Variable<T>&, const Variable<T>&) const; \
  template Variable<T> ReflectanceSimilarity::operator()(const Variable<T>&, const Variable<T>&) const;              \
  template Variable<T> IlluminationSmoothness::operator()(const Variable<T>&, const Variable<T>&) const;             \
  template Variable<T> MutualConsistency::operator()(const Variable<T>&, const Variable<T>&) const;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
