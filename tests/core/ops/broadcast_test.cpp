#include "core/ops/broadcast.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Var = Variable<double>;

/// Index into an operand of the given shape for element `flat` of the broadcast result.
std::int64_t source_index(const Shape& out, const Shape& operand, std::int64_t flat) {
  std::int64_t index = 0, step = 1;
  for (int axis = 1; axis <= out.rank(); ++axis) {
    const std::int64_t at = flat % out[-axis];
    flat /= out[-axis];
    if (axis > operand.rank()) continue;
    if (operand[-axis] != 1) index += at * step;
    step *= operand[-axis];
  }
  return index;
}

struct Binary {
  std::string name;
  std::function<Var(const Var&, const Var&)> op;
  std::function<double(double, double)> value, slope_a, slope_b;
};

const std::vector<Binary>& binary_operations() {
  using D = double;
  static const std::vector<Binary> all{
      {"add", [](const Var& a, const Var& b) { return a + b; }, [](D a, D b) { return a + b; }, [](D, D) { return 1; },
       [](D, D) { return 1; }},
      {"sub", sub<D>, [](D a, D b) { return a - b; }, [](D, D) { return 1; }, [](D, D) { return -1; }},
      {"mul", [](const Var& a, const Var& b) { return a * b; }, [](D a, D b) { return a * b; },
       [](D, D b) { return b; }, [](D a, D) { return a; }},
      {"div", div<D>, [](D a, D b) { return a / b; }, [](D, D b) { return 1 / b; },
       [](D a, D b) { return -a / b / b; }},
      {"minimum", minimum<D>, [](D a, D b) { return std::min(a, b); }, [](D a, D b) { return a < b ? 1 : 0; },
       [](D a, D b) { return b < a ? 1 : 0; }},
      {"maximum", maximum<D>, [](D a, D b) { return std::max(a, b); }, [](D a, D b) { return a > b ? 1 : 0; },
       [](D a, D b) { return b > a ? 1 : 0; }},
  };
  return all;
}

/// Largest difference between two lists, NaN where either has one.
double worst(const Tensor<double>& got, const std::vector<double>& expected) {
  double result = 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(got[i] - expected[static_cast<std::size_t>(i)]);
    if (!(difference <= result)) result = difference;
  }
  return result;
}

void check_pair(const Shape& a, const Shape& b, std::uint64_t seed) {
  const Shape out = broadcast_shape("test", a, b);
  INFO(a.text() << " with " << b.text());
  for (const Binary& binary : binary_operations()) {
    INFO(binary.name);
    // Distances of at least 0.5 from zero: div stays away from it.
    Var va(random_tensor(a, seed, 0.5, 2), true), vb(random_tensor(b, seed + 1, 0.5, 2), true);
    const Tensor<double> g = random_tensor(out, seed + 2);
    Var y = binary.op(va, vb);
    std::vector<double> value(static_cast<std::size_t>(out.size())), da(static_cast<std::size_t>(a.size())),
        db(static_cast<std::size_t>(b.size()));
    for (std::int64_t i = 0; i < out.size(); ++i) {
      const std::int64_t ia = source_index(out, a, i), ib = source_index(out, b, i);
      const double x = va.value()[ia], z = vb.value()[ib];
      value[static_cast<std::size_t>(i)] = binary.value(x, z);
      da[static_cast<std::size_t>(ia)] += g[i] * binary.slope_a(x, z);
      db[static_cast<std::size_t>(ib)] += g[i] * binary.slope_b(x, z);
    }
    REQUIRE(y.shape() == out);
    CHECK(worst(y.value(), value) == 0);
    y.backward(g);
    REQUIRE(va.grad().shape() == a);
    REQUIRE(vb.grad().shape() == b);
    const double tolerance = 1e-15 * static_cast<double>(std::max<std::int64_t>(out.size(), 100));
    CHECK(worst(va.grad(), da) < tolerance);
    CHECK(worst(vb.grad(), db) < tolerance);
  }
}

TEST_CASE("broadcast: chosen pairs of shapes against plain indexing") {
  const std::pair<Shape, Shape> pairs[] = {
      {Shape{}, Shape{}},
      {Shape{}, Shape{3}},
      {Shape{1}, Shape{}},
      {Shape{1, 1, 1}, Shape{1}},
      {Shape{5}, Shape{5}},
      {Shape{2, 3}, Shape{3}},
      {Shape{2, 3}, Shape{2, 1}},
      {Shape{2, 1}, Shape{1, 3}},
      {Shape{2, 3, 5, 7}, Shape{2, 1, 5, 7}},  // a map spread over channels
      {Shape{2, 3, 5, 7}, Shape{1, 3, 1, 1}},  // a bias
      {Shape{2, 3, 5, 7}, Shape{2, 1, 1, 1}},
      {Shape{2, 1, 5, 1}, Shape{1, 3, 1, 7}},
      {Shape{2, 1, 1, 7}, Shape{3, 5, 1}},
      {Shape{2, 3, 1, 1, 5, 7}, Shape{1, 1, 2, 3, 1, 1}},
      {Shape{1, 1, 1, 1, 1, 1}, Shape{2, 2, 2, 2, 2, 2}},
      {Shape{0}, Shape{1}},
      {Shape{2, 0, 3}, Shape{3}},
      {Shape{0, 1}, Shape{1, 4}},
      {Shape{2, 3, 0}, Shape{2, 3, 1}},
      {Shape{1, 1, 80, 90}, Shape{2, 3, 80, 90}},  // large enough for several threads
      {Shape{20000, 1}, Shape{2}},
      {Shape{40000}, Shape{1}},
  };
  const ThreadScope scope(3);
  std::uint64_t seed = 1;
  for (const auto& [a, b] : pairs) {
    check_pair(a, b, seed += 10);
    check_pair(b, a, seed += 10);
  }
}

TEST_CASE("broadcast: random pairs of shapes against plain indexing") {
  Random random(7);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto rank = random.below(7);
    std::vector<std::int64_t> a, b;
    for (std::uint64_t axis = 0; axis < rank; ++axis) {
      const std::int64_t sizes[] = {1, 2, 3, 4};
      const std::int64_t size = sizes[random.below(4)];
      a.push_back(random.below(3) == 0 ? 1 : size);
      b.push_back(random.below(3) == 0 ? 1 : size);
    }
    // Leading axes may be missing from one of them.
    std::vector<std::int64_t>& shorter = random.below(2) == 0 ? a : b;
    shorter.erase(shorter.begin(), shorter.begin() + static_cast<std::ptrdiff_t>(random.below(rank + 1)));
    check_pair(Shape(a), Shape(b), seed);
  }
}

TEST_CASE("broadcast: gradients", "[grad]") {
  for (const Binary& binary : binary_operations()) {
    CAPTURE(binary.name);
    const auto f = [&](const std::vector<Var>& in) { return binary.op(in[0], in[1]); };
    CHECK(gradcheck(f, {random_tensor(Shape{2, 3, 5}, 1, 0.5, 2), random_tensor(Shape{2, 3, 5}, 2, 0.5, 2)}));
    CHECK(gradcheck(f, {random_tensor(Shape{2, 1, 5}, 3, 0.5, 2), random_tensor(Shape{3, 1}, 4, 0.5, 2)}));
    CHECK(gradcheck(f, {random_tensor(Shape{}, 5, 0.5, 2), random_tensor(Shape{1, 3, 1, 1}, 6, 0.5, 2)}));
  }
}

TEST_CASE("broadcast: shapes that do not fit are refused by the operation's name, both shapes named") {
  const Var a(Tensor<double>::zeros(Shape{2, 3})), b(Tensor<double>::zeros(Shape{2, 4}));
  for (const Binary& binary : binary_operations()) {
    CHECK(error_of([&] { binary.op(a, b); }) ==
          binary.name + ": shapes [2, 3] and [2, 4] cannot be broadcast together");
  }
}

TEST_CASE("broadcast: the gradient of a broadcast number is summed in double") {
  // In float the sum of these 2^24 + 1000 ones would stop at 2^24.
  const std::int64_t count = (1 << 24) + 1000;
  const Tensor<float> ones = Tensor<float>::full(Shape{count}, 1.0f);
  CHECK(sum_to(ones, Shape{}).item() == static_cast<float>(count));
  CHECK(sum_to(ones, Shape{1}).item() == static_cast<float>(count));
}

TEST_CASE("sum_to: equal shapes are handed through") {
  const Tensor<float> x = random_tensor<float>(Shape{2, 3}, 1);
  CHECK(sum_to(x, Shape{2, 3}).data() == x.data());
}

}  // namespace
}  // namespace kind::testing
