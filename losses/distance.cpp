#include "losses/distance.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/ops/broadcast.h"
#include "losses/batch_sum.h"

namespace kind {

void check_same_pictures(const char* term, const Shape& a, const Shape& b) {
  check(a.rank() == 4 && a.size() > 0 && a == b, term, ": expected two pictures [n, c, h, w] of the same shape, got ",
        a, " and ", b);
}

void check_illumination(const char* term, const Shape& l, const Shape& picture) {
  check(picture.rank() == 4 && picture.size() > 0 && l == picture.with(1, 1), term,
        ": expected an illumination [n, 1, h, w] of a picture [n, c, h, w], got ", l, " and ", picture);
}

namespace {

template <class T>
T sign(T v) {
  return v > 0 ? T(1) : v < 0 ? T(-1) : T(0);
}

}  // namespace

// One operation of its own: a difference, its norm and their mean would each go through memory, there and back.
template <class T>
Variable<T> mean_distance(const char* term, const Variable<T>& a, const Variable<T>& b, Norm norm) {
  check_same_pictures(term, a.shape(), b.shape());
  const Tensor<T>&va = a.value(), &vb = b.value();
  const T *pa = va.data(), *pb = vb.data();
  const double count = whole_count(va.shape());
  const bool l1 = norm == Norm::kL1;
  const double sum = l1 ? batch_sum(va.shape(), [=](std::int64_t i) { return std::abs(pa[i] - pb[i]); })
                        : batch_sum(va.shape(), [=](std::int64_t i) { return (pa[i] - pb[i]) * (pa[i] - pb[i]); });
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    const double share = static_cast<double>(g.item()) / count;
    for (std::size_t i = 0; i < 2; ++i) {
      if (!inputs[i].requires_grad()) continue;
      const T one = static_cast<T>(i == 0 ? share : -share);
      inputs[i].add_grad(l1 ? map2("gradient", va, vb, [=](T x, T y) { return one * sign(x - y); })
                            : map2("gradient", va, vb, [=](T x, T y) { return 2 * one * (x - y); }));
    }
  };
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(sum / count)), {a, b}, backward);
}

template <class T>
Variable<T> batch_mean(const Variable<T>& x) {
  const Shape shape = x.shape();
  const double count = whole_count(shape);
  const T* from = x.value().data();
  const double sum = batch_sum(shape, [=](std::int64_t i) { return from[i]; });
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(sum / count)), {x},
                              [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
                                const double share = static_cast<double>(g.item()) / count;
                                inputs[0].add_grad(Tensor<T>::full(shape, static_cast<T>(share)));
                              });
}

template <class T>
Variable<T> mean_weighted_distance(const char* term, const Variable<T>& a, const Variable<T>& b,
                                   const Tensor<T>& weight, Norm norm) {
  check_same_pictures(term, a.shape(), b.shape());
  check(weight.shape() == a.shape().with(1, 1), term, ": expected a weight ", a.shape().with(1, 1), ", got ",
        weight.shape());
  const Shape shape = a.shape();
  const Tensor<T>&va = a.value(), &vb = b.value();
  const std::int64_t planes = shape[0] * shape[1], plane = shape[2] * shape[3];
  const double count = whole_count(shape);
  const bool l1 = norm == Norm::kL1;
  // Calls use(plane, values of a, of b, weights) for each plane, shared out among threads.
  const auto each_plane = [=](const auto& use) {
    parallel_for(planes, std::max<std::int64_t>(1, 16384 / plane), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        use(p, va.data() + p * plane, vb.data() + p * plane, weight.data() + p / shape[1] * plane);
      }
    });
  };
  std::vector<double> sums(static_cast<std::size_t>(planes));
  each_plane([&](std::int64_t p, const T* pa, const T* pb, const T* w) {
    sums[static_cast<std::size_t>(p)] = sum_of(0, plane, [=](std::int64_t i) {
      const T d = w[i] * (pa[i] - pb[i]);
      return l1 ? std::abs(d) : d * d;
    });
  });
  std::vector<double> of_pictures(static_cast<std::size_t>(shape[0]));
  for (std::size_t p = 0; p < sums.size(); ++p) of_pictures[p / static_cast<std::size_t>(shape[1])] += sums[p];
  const double sum = BatchPart::total(of_pictures);
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    const double share = static_cast<double>(g.item()) / count;
    for (std::size_t k = 0; k < 2; ++k) {
      if (!inputs[k].requires_grad()) continue;
      const T one = static_cast<T>(k == 0 ? share : -share);
      Tensor<T> slope(shape);
      each_plane([&](std::int64_t p, const T* pa, const T* pb, const T* w) {
        T* to = slope.data() + p * plane;
        if (l1) {
          for (std::int64_t i = 0; i < plane; ++i) to[i] = one * w[i] * sign(pa[i] - pb[i]);
        } else {
          for (std::int64_t i = 0; i < plane; ++i) to[i] = 2 * one * w[i] * w[i] * (pa[i] - pb[i]);
        }
      });
      inputs[k].add_grad(slope);
    }
  };
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(sum / count)), {a, b}, backward);
}

template Variable<float> mean_weighted_distance(const char*, const Variable<float>&, const Variable<float>&,
                                                const Tensor<float>&, Norm);
template Variable<double> mean_weighted_distance(const char*, const Variable<double>&, const Variable<double>&,
                                                 const Tensor<double>&, Norm);
template Variable<float> batch_mean(const Variable<float>&);
template Variable<double> batch_mean(const Variable<double>&);
template Variable<float> mean_distance(const char*, const Variable<float>&, const Variable<float>&, Norm);
template Variable<double> mean_distance(const char*, const Variable<double>&, const Variable<double>&, Norm);

}  // namespace kind
