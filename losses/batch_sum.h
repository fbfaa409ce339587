#pragma once

#include <algorithm>
#include <vector>

#include "core/autograd/batch_part.h"
#include "core/base/error.h"
#include "core/base/sum.h"
#include "core/tensor/shape.h"

/// Sums and counts over the whole batch (BatchPart) that pictures [n, ...] belong to, one picture a pair.
namespace kind {

/// The number of elements that the tensor would have if it was made from the whole batch.
inline double whole_count(const Shape& shape) {
  const std::int64_t count = shape.size() / shape[0] * BatchPart::whole(shape[0]);
  return static_cast<double>(count);
}

/// The sum over the whole batch of term(i), i an element of a tensor of this shape: picture by picture in double, then
/// in the order of merge_pairs.
template <class Term>
double batch_sum(const Shape& shape, const Term& term) {
  const std::int64_t n = shape[0], size = shape.size() / n;
  check(BatchPart::pairs_of(n) == n, "batch_sum: expected one picture of each pair, got ", shape);
  std::vector<double> sums(static_cast<std::size_t>(n));
  parallel_for(n, std::max<std::int64_t>(1, 65536 / size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      sums[static_cast<std::size_t>(i)] = parallel_sum(size, [&](std::int64_t k) { return term(i * size + k); });
    }
  });
  return BatchPart::total(sums);
}

}  // namespace kind
