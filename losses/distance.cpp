#include "losses/distance.h"

#include <cmath>

#include "core/base/error.h"
#include "core/base/sum.h"
#include "core/ops/broadcast.h"

namespace kind {

void check_same_pictures(const char* term, const Shape& a, const Shape& b) {
  check(a.rank() == 4 && a.size() > 0 && a == b, term, ": expected two pictures [n, c, h, w] of the same shape, got ",
        a.text(), " and ", b.text());
}

void check_illumination(const char* term, const Shape& l, const Shape& picture) {
  check(picture.rank() == 4 && picture.size() > 0 && l == picture.with(1, 1), term,
        ": expected an illumination [n, 1, h, w] of a picture [n, c, h, w], got ", l.text(), " and ", picture.text());
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
  const Tensor<T> va = a.value(), vb = b.value();
  const T *pa = va.data(), *pb = vb.data();
  const double count = static_cast<double>(va.size());
  const bool l1 = norm == Norm::kL1;
  const double sum = l1 ? parallel_sum(va.size(), [=](std::int64_t i) { return std::abs(pa[i] - pb[i]); })
                        : parallel_sum(va.size(), [=](std::int64_t i) { return (pa[i] - pb[i]) * (pa[i] - pb[i]); });
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

template Variable<float> mean_distance(const char*, const Variable<float>&, const Variable<float>&, Norm);
template Variable<double> mean_distance(const char*, const Variable<double>&, const Variable<double>&, Norm);

}  // namespace kind
