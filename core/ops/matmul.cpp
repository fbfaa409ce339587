#include "core/ops/matmul.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

/// A stack of matrices as they lie in memory, read as they are or transposed.
struct Matrices {
  std::int64_t count = 1, rows, columns;
  bool transposed = false;

  Matrices(const Shape& shape, bool turned) : rows(shape[-2]), columns(shape[-1]), transposed(turned) {
    for (int i = 0; i < shape.rank() - 2; ++i) count *= shape[i];
  }
  std::int64_t row_step() const { return transposed ? 1 : columns; }
  std::int64_t column_step() const { return transposed ? columns : 1; }
};

/// y = a b, each of them turned where asked for.
template <class T>
Tensor<T> product(const Tensor<T>& a, bool turn_a, const Tensor<T>& b, bool turn_b, const Shape& shape) {
  const Matrices left(a.shape(), turn_a), right(b.shape(), turn_b);
  const std::int64_t m = shape[-2], n = shape[-1], k = turn_a ? left.rows : left.columns;
  Tensor<T> y(shape);
  if (y.size() == 0) return y;
  parallel_for(left.count * m, std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, k * n)),
               [&](std::int64_t begin, std::int64_t end) {
                 std::vector<double> sums(static_cast<std::size_t>(n));
                 for (std::int64_t row = begin; row < end; ++row) {
                   const T* const from = a.data() + row / m * left.rows * left.columns + row % m * left.row_step();
                   const T* const other = b.data() + row / m * right.rows * right.columns;
                   std::fill(sums.begin(), sums.end(), 0.0);
                   for (std::int64_t l = 0; l < k; ++l) {
                     const auto factor = static_cast<double>(from[l * left.column_step()]);
                     const T* const line = other + l * right.row_step();
                     for (std::int64_t j = 0; j < n; ++j) {
                       sums[static_cast<std::size_t>(j)] += factor * static_cast<double>(line[j * right.column_step()]);
                     }
                   }
                   for (std::int64_t j = 0; j < n; ++j)
                     y[row * n + j] = static_cast<T>(sums[static_cast<std::size_t>(j)]);
                 }
               });
  return y;
}

}  // namespace

template <class T>
Variable<T> matmul(const Variable<T>& a, const Variable<T>& b) {
  const Shape &left = a.shape(), &right = b.shape();
  check(left.rank() >= 2 && right.rank() == left.rank(), "matmul: expected matrices [..., m, k] and [..., k, n], got ",
        left, " and ", right);
  check(left[-1] == right[-2] && left.with(-1, 1).with(-2, 1) == right.with(-1, 1).with(-2, 1), "matmul: shapes ", left,
        " and ", right, " do not fit");
  const Shape shape = left.with(-1, right[-1]);
  return Variable<T>::from_op(product(a.value(), false, b.value(), false, shape), {a, b},
                              [](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
                                const Tensor<T>&x = inputs[0].value(), &w = inputs[1].value();
                                if (inputs[0].requires_grad()) {
                                  inputs[0].add_grad(product(g, false, w, true, x.shape()));
                                }
                                if (inputs[1].requires_grad()) {
                                  inputs[1].add_grad(product(x, true, g, false, w.shape()));
                                }
                              });
}

template Variable<float> matmul(const Variable<float>&, const Variable<float>&);
template Variable<double> matmul(const Variable<double>&, const Variable<double>&);

}  // namespace kind
