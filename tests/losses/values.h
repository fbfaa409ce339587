#pragma once

#include <limits>
#include <vector>

#include "tests/support/gradcheck.h"

namespace kind::testing {

/// Random pictures of values within 0..1.
inline Tensor<double> random_pictures(const Shape& shape, std::uint64_t seed) {
  return random_tensor(shape, seed, 0.05, 0.95);
}

/// Data, which needs no gradient.
inline Variable<double> data(const Shape& shape, const std::vector<double>& values) {
  return Variable<double>(Tensor<double>(shape, values));
}

/// Leaves NaN in freed memory of the sizes that tensors of this shape have: whoever allocates one and forgets to write
/// an element gets it.
inline void poison(const Shape& shape) {
  std::vector<Tensor<double>> held;
  for (int i = 0; i < 16; ++i) held.push_back(Tensor<double>::full(shape, std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace kind::testing
