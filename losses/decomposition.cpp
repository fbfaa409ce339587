#include "losses/decomposition.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/ops/broadcast.h"
#include "core/ops/elementwise.h"
#include "losses/batch_sum.h"
#include "losses/blur.h"

namespace kind {
namespace {

/// mean(l / max(i, floor)), as one operation.
template <class T>
Variable<T> mean_quotient(const Variable<T>& l, const Variable<T>& i, T floor) {
  const Tensor<T>&vl = l.value(), &vi = i.value();
  const T *pl = vl.data(), *pi = vi.data();
  const double count = whole_count(vl.shape());
  // Written so that a NaN is kept.
  const auto divisor = [floor](T v) { return v < floor ? floor : v; };
  const double sum = batch_sum(vl.shape(), [=](std::int64_t k) { return pl[k] / divisor(pi[k]); });
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    const T share = static_cast<T>(static_cast<double>(g.item()) / count);
    if (inputs[0].requires_grad()) inputs[0].add_grad(map1(vi, [=](T v) { return share / divisor(v); }));
    if (inputs[1].requires_grad()) {
      inputs[1].add_grad(map2("gradient", vl, vi, [=](T u, T v) {
        // The larger one has the derivative, half of it where both are equal.
        const T all = -share * u / (v * v);
        return v > floor ? all : v == floor ? all / 2 : T(0);
      }));
    }
  };
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(sum / count)), {l, i}, backward);
}

/// mean(m exp(-c m)) with m = a + b, as one operation; both have the derivative (1 - c m) exp(-c m).
template <class T>
Variable<T> mean_kept(const Variable<T>& a, const Variable<T>& b, T c) {
  const double count = whole_count(a.shape());
  const Tensor<T> m = map2("mutual_consistency", a.value(), b.value(), [](T u, T v) { return u + v; });
  const Tensor<T> weight = map1(m, [c](T v) { return std::exp(-c * v); });
  const T *pm = m.data(), *pw = weight.data();
  const double sum = batch_sum(m.shape(), [=](std::int64_t k) { return pm[k] * pw[k]; });
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    const T share = static_cast<T>(static_cast<double>(g.item()) / count);
    const Tensor<T> slope = map2("gradient", m, weight, [=](T v, T e) { return share * (1 - c * v) * e; });
    for (Variable<T>& input : inputs) {
      if (input.requires_grad()) input.add_grad(slope);
    }
  };
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(sum / count)), {a, b}, backward);
}

/// The mean of the channels of pictures [n, c, h, w]: [n, 1, h, w].
template <class T>
Tensor<T> light_of(const Tensor<T>& pictures) {
  const Shape& s = pictures.shape();
  const std::int64_t channels = s[1], plane = s[2] * s[3];
  Tensor<T> result(s.with(1, 1));
  parallel_for(s[0], std::max<std::int64_t>(1, 16384 / plane), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      T* const to = result.data() + n * plane;
      std::fill_n(to, plane, T(0));
      for (std::int64_t c = 0; c < channels; ++c) {
        const T* const from = pictures.data() + (n * channels + c) * plane;
        for (std::int64_t i = 0; i < plane; ++i) to[i] += from[i];
      }
      for (std::int64_t i = 0; i < plane; ++i) to[i] /= static_cast<T>(channels);
    }
  });
  return result;
}

template <class T>
Tensor<T> one_over(const Tensor<T>& light, double e) {
  const T more = static_cast<T>(e);
  return map1(light, [more](T v) { return 1 / (v + more); });
}

}  // namespace

template <class T>
Variable<T> Reconstruction::operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const {
  check_illumination("reconstruction", l.shape(), r.shape());
  if (!relative) return mean_distance("reconstruction", i, r * l, norm);
  check(*relative > 0, "reconstruction: expected relative to be greater than 0, got ", *relative);
  check_same_pictures("reconstruction", i.shape(), r.shape());
  return mean_weighted_distance("reconstruction", i, r * l, one_over(light_of(i.value()), *relative), norm);
}

template <class T>
Variable<T> BlurredReconstruction::operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const {
  constexpr const char* kTerm = "blurred_reconstruction";
  check_illumination(kTerm, l.shape(), r.shape());
  check_same_pictures(kTerm, i.shape(), r.shape());
  check(epsilon > 0, kTerm, ": expected an epsilon greater than 0, got ", epsilon);
  // Blurring is linear, so the difference is blurred once.
  const Variable<T> blurred = gaussian_blur(kTerm, r * l - i, sigma);
  const Tensor<T> light = gaussian_blur(kTerm, Variable<T>(light_of(i.value())), sigma).value();
  return mean_weighted_distance(kTerm, blurred, Variable<T>(Tensor<T>::zeros(i.shape())), one_over(light, epsilon),
                                norm);
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
  const T floor = static_cast<T>(epsilon);
  return mean_quotient(of_l.x, of_i.x, floor) + mean_quotient(of_l.y, of_i.y, floor);
}

template <class T>
Variable<T> MutualConsistency::operator()(const Variable<T>& l_low, const Variable<T>& l_high) const {
  check_same_pictures("mutual_consistency", l_low.shape(), l_high.shape());
  check(c >= 0, "mutual_consistency: expected c of at least 0, got ", c);
  const ImageGradients<T> low = gradient_magnitudes(l_low, gradient), high = gradient_magnitudes(l_high, gradient);
  return mean_kept(low.x, high.x, static_cast<T>(c)) + mean_kept(low.y, high.y, static_cast<T>(c));
}

#define KIND_INSTANTIATE(T)                                                                                          \
  template Variable<T> Reconstruction::operator()(const Variable<T>&, const Variable<T>&, const Variable<T>&) const; \
  template Variable<T> BlurredReconstruction::operator()(const Variable<T>&, const Variable<T>&, const Variable<T>&) \
      const;                                                                                                         \
  template Variable<T> ReflectanceSimilarity::operator()(const Variable<T>&, const Variable<T>&) const;              \
  template Variable<T> IlluminationSmoothness::operator()(const Variable<T>&, const Variable<T>&) const;             \
  template Variable<T> MutualConsistency::operator()(const Variable<T>&, const Variable<T>&) const;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
