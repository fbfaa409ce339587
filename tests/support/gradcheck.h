#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "core/autograd/variable.h"
#include "core/base/random.h"

namespace kind::testing {

/// A tensor of uniform values in [low, high), the same for the same seed everywhere.
template <class T = double>
Tensor<T> random_tensor(const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor<T> x(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(random.uniform(low, high));
  return x;
}

/// The function under test. It is called many times and must give the same result for the same values.
using GradcheckFunction = std::function<Variable<double>(const std::vector<Variable<double>>& inputs)>;

struct GradcheckOptions {
  double eps = 1e-6;   // half the step of the central differences
  double rtol = 1e-3;  // |backward - difference| <= atol + rtol |difference|
  double atol = 1e-5;
  std::int64_t entries = 0;  // how many random entries of each input are checked; 0: all of them
  /// Leaves out entries where the differences to the left and to the right disagree by more than the tolerance: there
  /// the function has a kink within eps. Only forward passes decide this, so that no wrong gradient is excused.
  bool skip_kinks = false;
  double most_skipped = 0.25;  // the check fails where a larger share was left out
  std::uint64_t seed = 1;      // of the upstream gradient and of the choice of entries
};

/// True where the gradients agree; CHECK(gradcheck(...)) prints what did not.
struct GradcheckResult {
  std::string failure;
  std::int64_t checked = 0;
  std::int64_t skipped = 0;

  explicit operator bool() const { return failure.empty(); }
};

std::ostream& operator<<(std::ostream& out, const GradcheckResult& result);

/// Compares backward(), seeded with a random upstream gradient, with central differences of f for every input that
/// requires a gradient. The inputs' elements are changed in place and restored, so f may as well reach the same
/// variables in another way (a layer's parameters). A NaN on either side is a failure.
GradcheckResult gradcheck(const GradcheckFunction& f, const std::vector<Variable<double>>& inputs,
                          const GradcheckOptions& options = {});
/// The same with a leaf made of a copy of each tensor.
GradcheckResult gradcheck(const GradcheckFunction& f, const std::vector<Tensor<double>>& inputs,
                          const GradcheckOptions& options = {});

}  // namespace kind::testing
