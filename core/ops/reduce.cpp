#include "core/ops/reduce.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "core/base/sum.h"
#include "core/ops/broadcast.h"
#include "core/ops/elementwise.h"

namespace kind {
namespace {

struct Reduction {
  Shape kept;    // reduced axes have size 1
  Shape result;  // as the caller wants it
  std::int64_t count;

  Reduction(const char* op, const Shape& shape, const std::vector<int>& axes, bool keep_axes) : kept(shape) {
    std::array<bool, Shape::kMaxRank> reduced{};
    for (const int axis : axes) {
      bool& seen = reduced[static_cast<std::size_t>(shape.normalize_axis(axis))];
      check(!seen, op, ": axis ", axis, " is named twice");
      seen = true;
    }
    if (axes.empty()) std::fill_n(reduced.begin(), shape.rank(), true);
    std::vector<std::int64_t> sizes;
    for (int i = 0; i < shape.rank(); ++i) {
      if (reduced[static_cast<std::size_t>(i)]) {
        kept = kept.with(i, 1);
        if (keep_axes) sizes.push_back(1);
      } else {
        sizes.push_back(shape[i]);
      }
    }
    check(shape.size() > 0, op, ": there is nothing to reduce in ", shape);
    result = Shape(sizes);
    count = shape.size() / kept.size();
  }
};

template <class T>
Tensor<T> sum_all(const Tensor<T>& x) {
  const T* from = x.data();
  return Tensor<T>::scalar(static_cast<T>(parallel_sum(x.size(), [=](std::int64_t i) { return from[i]; })));
}

template <class T>
Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape, T factor) {
  Tensor<T> y(shape);
  T* to = y.data();
  const T* from = x.data();
  BroadcastPlan(shape, shape, x.shape())
      .parallel_runs([=](std::int64_t o, std::int64_t, std::int64_t ix, std::int64_t n, std::int64_t, std::int64_t sx) {
        for (std::int64_t i = 0; i < n; ++i) to[o + i] = from[ix + i * sx] * factor;
      });
  return y;
}

template <class T>
Variable<T> scaled_sum(const Reduction& r, const Variable<T>& x, T factor) {
  Tensor<T> y = r.kept.size() == 1 ? sum_all(x.value()).reshape(r.result) : sum_to(x.value(), r.kept).reshape(r.result);
  // sum_to returns x's own elements where there was nothing to add.
  if (factor != T(1)) y = map1(y, [factor](T v) { return v * factor; });
  const Shape shape = x.shape();
  return Variable<T>::from_op(std::move(y), {x}, [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    inputs[0].add_grad(broadcast_to(g.reshape(r.kept), shape, factor));
  });
}

template <class T, class Better>
Variable<T> extreme(const char* op, const Variable<T>& x, const std::vector<int>& axes, bool keep_axes,
                    const Better& better) {
  const Reduction r(op, x.shape(), axes, keep_axes);
  const Tensor<T>& values = x.value();
  Tensor<T> best(r.kept);
  Tensor<double> ties = Tensor<double>::zeros(r.kept);  // a float cannot count beyond 2^24
  const BroadcastPlan plan(x.shape(), x.shape(), r.kept);
  plan.for_each_run([&](std::int64_t, std::int64_t ix, std::int64_t ib, std::int64_t n, std::int64_t, std::int64_t sb) {
    for (std::int64_t i = 0; i < n; ++i) {
      const T v = values[ix + i];
      T& b = best[ib + i * sb];
      double& count = ties[ib + i * sb];
      // A NaN, once met, stays: nothing is better than it, and better() must not hide it.
      if (count == 0 || better(v, b) || (v != v && b == b)) {
        b = v;
        count = 1;
      } else if (v == b) {
        count += 1;
      }
    }
  });
  const auto backward = [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    Tensor<T> dx(values.shape());
    T* to = dx.data();
    plan.for_each_run(
        [&](std::int64_t, std::int64_t ix, std::int64_t ib, std::int64_t n, std::int64_t, std::int64_t sb) {
          for (std::int64_t i = 0; i < n; ++i) {
            const std::int64_t b = ib + i * sb;
            to[ix + i] = values[ix + i] == best[b] ? g[b] / static_cast<T>(ties[b]) : T(0);
          }
        });
    inputs[0].add_grad(dx);
  };
  return Variable<T>::from_op(best.reshape(r.result), {x}, backward);
}

}  // namespace

template <class T>
Variable<T> sum(const Variable<T>& x, const std::vector<int>& axes, bool keep_axes) {
  return scaled_sum(Reduction("sum", x.shape(), axes, keep_axes), x, T(1));
}

template <class T>
Variable<T> mean(const Variable<T>& x, const std::vector<int>& axes, bool keep_axes) {
  const Reduction r("mean", x.shape(), axes, keep_axes);
  return scaled_sum(r, x, T(1) / static_cast<T>(r.count));
}

template <class T>
Variable<T> min(const Variable<T>& x, const std::vector<int>& axes, bool keep_axes) {
  return extreme("min", x, axes, keep_axes, [](T a, T b) { return a < b; });
}

template <class T>
Variable<T> max(const Variable<T>& x, const std::vector<int>& axes, bool keep_axes) {
  return extreme("max", x, axes, keep_axes, [](T a, T b) { return a > b; });
}

#define KIND_INSTANTIATE(T)                                                     \
  template Variable<T> sum(const Variable<T>&, const std::vector<int>&, bool);  \
  template Variable<T> mean(const Variable<T>&, const std::vector<int>&, bool); \
  template Variable<T> min(const Variable<T>&, const std::vector<int>&, bool);  \
  template Variable<T> max(const Variable<T>&, const std::vector<int>&, bool);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
