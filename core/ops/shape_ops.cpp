#include "core/ops/shape_ops.h"

#include <algorithm>

#include "core/base/error.h"

namespace kind {
namespace {

/// A tensor seen as [outer, size of one axis, inner].
struct AxisView {
  std::int64_t outer = 1, size, inner = 1;

  AxisView(const Shape& shape, int axis) : size(shape[axis]) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
};

/// Copies `count` positions along the axis, from position `from_at` of `from` to position `to_at` of `to`.
template <class T>
void copy_along(const Tensor<T>& from, std::int64_t from_at, Tensor<T>& to, std::int64_t to_at, std::int64_t count,
                int axis) {
  const AxisView f(from.shape(), axis), t(to.shape(), axis);
  for (std::int64_t o = 0; o < f.outer; ++o) {
    std::copy_n(from.data() + (o * f.size + from_at) * f.inner, count * f.inner,
                to.data() + (o * t.size + to_at) * t.inner);
  }
}

template <class T>
Tensor<T> sliced(const Tensor<T>& x, int axis, std::int64_t begin, std::int64_t count) {
  Tensor<T> y(x.shape().with(axis, count));
  copy_along(x, begin, y, 0, count, axis);
  return y;
}

template <class T>
Tensor<T> padded(const Tensor<T>& x, int axis, std::int64_t before, std::int64_t after, T value) {
  Tensor<T> y = Tensor<T>::full(x.shape().with(axis, x.shape()[axis] + before + after), value);
  copy_along(x, 0, y, before, x.shape()[axis], axis);
  return y;
}

/// y[..., i_k, ...] = x[..., i_axes[k], ...]
template <class T>
Tensor<T> permuted(const Tensor<T>& x, const std::vector<int>& axes) {
  const int rank = x.shape().rank();
  std::vector<std::int64_t> strides(static_cast<std::size_t>(rank), 1), sides, steps;
  for (int i = rank - 2; i >= 0; --i) {
    strides[static_cast<std::size_t>(i)] = strides[static_cast<std::size_t>(i) + 1] * x.shape()[i + 1];
  }
  for (const int axis : axes) {
    sides.push_back(x.shape()[axis]);
    steps.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  Tensor<T> y{Shape(sides)};
  std::vector<std::int64_t> at(static_cast<std::size_t>(rank), 0);
  std::int64_t from = 0;
  for (std::int64_t i = 0; i < y.size(); ++i) {
    y[i] = x[from];
    for (int k = rank - 1; k >= 0; --k) {
      const auto axis = static_cast<std::size_t>(k);
      from += steps[axis];
      if (++at[axis] < sides[axis]) break;
      from -= steps[axis] * sides[axis];
      at[axis] = 0;
    }
  }
  return y;
}

}  // namespace

template <class T>
Variable<T> permute(const Variable<T>& x, const std::vector<int>& axes) {
  const int rank = x.shape().rank();
  check(static_cast<int>(axes.size()) == rank, "permute: expected ", rank, " axes for ", x.shape(), ", got ",
        axes.size());
  std::vector<int> order, back(axes.size(), -1);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int axis = x.shape().normalize_axis(axes[i]);
    check(back[static_cast<std::size_t>(axis)] < 0, "permute: axis ", axis, " is named twice");
    back[static_cast<std::size_t>(axis)] = static_cast<int>(i);
    order.push_back(axis);
  }
  return Variable<T>::from_op(permuted(x.value(), order), {x},
                              [back](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
                                if (inputs[0].requires_grad()) inputs[0].add_grad(permuted(g, back));
                              });
}

template <class T>
Variable<T> concat(const std::vector<Variable<T>>& parts, int axis) {
  check(!parts.empty(), "concat: expected at least one tensor");
  const Shape& first = parts[0].shape();
  const int at = first.normalize_axis(axis);
  std::int64_t total = 0;
  for (const Variable<T>& part : parts) {
    check(part.shape().rank() == first.rank() && part.shape().with(at, 0) == first.with(at, 0), "concat: shapes ",
          first, " and ", part.shape(), " differ in more than axis ", at);
    total += part.shape()[at];
    check(total <= Shape::kMaxSize, "concat: more elements on axis ", at, " than memory can address");
  }
  Tensor<T> y(first.with(at, total));
  std::int64_t begin = 0;
  for (const Variable<T>& part : parts) {
    copy_along(part.value(), 0, y, begin, part.shape()[at], at);
    begin += part.shape()[at];
  }
  return Variable<T>::from_op(std::move(y), parts, [at](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    std::int64_t from = 0;
    for (Variable<T>& input : inputs) {
      const std::int64_t size = input.shape()[at];
      if (input.requires_grad()) input.add_grad(sliced(g, at, from, size));
      from += size;
    }
  });
}

template <class T>
Variable<T> slice(const Variable<T>& x, int axis, std::int64_t begin, std::int64_t end) {
  const int at = x.shape().normalize_axis(axis);
  const std::int64_t size = x.shape()[at];
  check(0 <= begin && begin <= end && end <= size, "slice: expected 0 <= begin <= end <= ", size, " on axis ", at,
        " of ", x.shape(), ", got ", begin, " and ", end);
  return Variable<T>::from_op(sliced(x.value(), at, begin, end - begin), {x},
                              [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
                                inputs[0].add_grad(padded(g, at, begin, size - end, T(0)));
                              });
}

template <class T>
Variable<T> pad(const Variable<T>& x, int axis, std::int64_t before, std::int64_t after, T value) {
  const int at = x.shape().normalize_axis(axis);
  check(before >= 0 && after >= 0, "pad: expected counts of at least 0, got ", before, " and ", after);
  check(std::max(before, after) <= Shape::kMaxSize, "pad: ", before, " and ", after,
        " elements are more than memory can address");
  const std::int64_t size = x.shape()[at];
  return Variable<T>::from_op(
      padded(x.value(), at, before, after, value), {x},
      [=](std::vector<Variable<T>>& inputs, const Tensor<T>& g) { inputs[0].add_grad(sliced(g, at, before, size)); });
}

template <class T>
Variable<T> reshape(const Variable<T>& x, const Shape& shape) {
  return Variable<T>::from_op(x.value().reshape(shape), {x}, [](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
    inputs[0].add_grad(g.reshape(inputs[0].shape()));
  });
}

#define KIND_INSTANTIATE(T)                                                         \
  template Variable<T> concat(const std::vector<Variable<T>>&, int);                \
  template Variable<T> slice(const Variable<T>&, int, std::int64_t, std::int64_t);  \
  template Variable<T> pad(const Variable<T>&, int, std::int64_t, std::int64_t, T); \
  template Variable<T> permute(const Variable<T>&, const std::vector<int>&);        \
  template Variable<T> reshape(const Variable<T>&, const Shape&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
