#include "layers/pool.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using Data = std::vector<double>;

Variable<double> leaf(const Shape& shape, const Data& values) {
  return Variable<double>(Tensor<double>(shape, values), true);
}

/// Values that all differ by at least 0.01, in random order: no kink lies near.
Tensor<double> distinct(const Shape& shape, std::uint64_t seed) {
  Tensor<double> x(shape);
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = 0.01 * static_cast<double>(i) - 1;
  Random random(seed);
  for (std::int64_t i = x.size() - 1; i > 0; --i) {
    std::swap(x[i], x[static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(i + 1)))]);
  }
  return x;
}

TEST_CASE("max_pool2d: cases worked out by hand") {
  const Variable<double> x = leaf({1, 1, 3, 5}, {1, 5, 2, 0, -3,  //
                                                 4, 3, 9, 8, -1,  //
                                                 7, 6, 0, 2, -2});
  SECTION("2x2, stride 2, SAME: an odd size has a smaller last window") {
    const Variable<double> y = max_pool2d(x);
    CHECK(y.shape() == Shape{1, 1, 2, 3});
    CHECK(y.value().to_vector() == Data{5, 9, -1, 7, 2, -2});
  }
  SECTION("stride 1, no padding") {
    const Variable<double> y = max_pool2d(x, {2, 3, {1, 1, false}});
    CHECK(y.shape() == Shape{1, 1, 2, 3});
    CHECK(y.value().to_vector() == Data{9, 9, 9, 9, 9, 9});
  }
  SECTION("a stride beyond the window skips") {
    const Variable<double> y = max_pool2d(x, {1, 1, {2, 3, false}});
    CHECK(y.value().to_vector() == Data{1, 0, 7, 2});
  }
  SECTION("paddings that differ") {
    const Variable<double> y = max_pool2d(x, {3, 2, {2, 3, false, 2, 1, 1, 0}});
    CHECK(y.shape() == Shape{1, 1, 2, 2});
    CHECK(y.value().to_vector() == Data{1, 2, 7, 9});
  }
}

TEST_CASE("max_pool2d: padding is -inf, not 0") {
  for (const std::int64_t size : {1, 2, 3, 5}) {
    const Variable<double> x(Tensor<double>::full({1, 2, size, size}, -5));
    for (const double v : max_pool2d(x).value().to_vector()) CHECK(v == -5);
    for (const double v : max_pool2d(x, {3, 3, {1, 1, true}}).value().to_vector()) CHECK(v == -5);
  }
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(max_pool2d(leaf({1, 1, 1, 2}, {-inf, -inf})).value().to_vector() == Data{-inf});
}

TEST_CASE("max_pool2d: the gradient goes to the first maximum of each window") {
  Variable<double> x = leaf({1, 1, 4, 4}, {1, 1, 3, 4,  //
                                           1, 1, 4, 4,  //
                                           0, 2, 7, 7,  //
                                           2, 2, 7, 7});
  max_pool2d(x).backward(Tensor<double>({1, 1, 2, 2}, {1, 10, 100, 1000}));
  CHECK(x.grad().to_vector() == Data{1, 0, 0, 10, 0, 0, 0, 0, 0, 100, 1000, 0, 0, 0, 0, 0});
}

TEST_CASE("max_pool2d: windows that overlap add up") {
  Variable<double> x = leaf({1, 1, 1, 4}, {0, 9, 1, 2});
  max_pool2d(x, {1, 2, {1, 1, false}}).backward(Tensor<double>({1, 1, 1, 3}, {1, 10, 100}));
  CHECK(x.grad().to_vector() == Data{0, 11, 0, 100});
}

TEST_CASE("max_pool2d: a NaN is not lost") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (int at = 0; at < 4; ++at) {
    Data values{1, 2, 3, 4};
    values[static_cast<std::size_t>(at)] = nan;
    CHECK(std::isnan(max_pool2d(leaf({1, 1, 2, 2}, values)).value()[0]));
  }
}

TEST_CASE("max_pool2d: gradients", "[grad]") {
  const ThreadScope one(1);  // for many tiny calls
  struct Case {
    Shape x;
    PoolSpec spec;
  };
  const Case cases[] = {{{1, 1, 1, 1}, {}},
                        {{2, 3, 5, 7}, {}},
                        {{1, 2, 6, 4}, {}},
                        {{1, 2, 5, 6}, {3, 3, {1, 1, true}}},
                        {{1, 1, 7, 6}, {3, 2, {2, 1, true}}},
                        {{2, 1, 6, 7}, {2, 4, {3, 2, false}}},
                        {{1, 2, 5, 5}, {3, 4, {2, 3, false, 2, 1, 1, 3}}},
                        {{1, 1, 3, 1}, {3, 1, {1, 1, false, 1, 0, 2, 0}}}};
  std::uint64_t seed = 1;
  for (const Case& c : cases) {
    INFO("x " << c.x.text() << " window " << c.spec.window_h << "x" << c.spec.window_w);
    CHECK(gradcheck([&](const auto& in) { return max_pool2d(in[0], c.spec); }, {distinct(c.x, seed++)}));
  }
}

TEST_CASE("max_pool2d: the same bits for any number of threads") {
  const Tensor<float> x = random_tensor<float>({3, 5, 9, 11}, 1), dy = random_tensor<float>({3, 5, 5, 6}, 2);
  std::vector<float> y, dx;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    Variable<float> v(x, true);
    Variable<float> pooled = max_pool2d(v);
    const std::vector<float> now = pooled.value().to_vector();
    pooled.backward(dy.clone());
    if (y.empty()) y = now, dx = v.grad().to_vector();
    CHECK(now == y);
    CHECK(v.grad().to_vector() == dx);
  }
}

TEST_CASE("max_pool2d: without a graph nothing is kept, and the result is the same") {
  const Tensor<double> x = random_tensor({1, 2, 5, 5}, 1);
  const Variable<double> with = max_pool2d(Variable<double>(x, true)), without = max_pool2d(Variable<double>(x));
  CHECK(with.value().to_vector() == without.value().to_vector());
  CHECK_FALSE(without.requires_grad());
}

TEST_CASE("max_pool2d: what does not fit is named") {
  const auto message = [](const Shape& x, const PoolSpec& spec = {}) {
    return error_of([&] { max_pool2d(Variable<float>(Tensor<float>::zeros(x)), spec); });
  };
  CHECK_THAT(message({3, 4, 4}), Contains("max_pool2d: expected a picture [n, c, h, w], got [3, 4, 4]"));
  CHECK_THAT(message({1, 0, 4, 4}), Contains("got [1, 0, 4, 4]"));
  CHECK_THAT(message({1, 1, 4, 4}, {0, 2}), Contains("max_pool2d: expected a window of at least 1x1, got 0x2"));
  CHECK_THAT(message({1, 1, 4, 4}, {2, 2, {0, 1}}), Contains("max_pool2d: expected a stride of at least 1, got 0"));
  CHECK_THAT(message({1, 1, 4, 4}, {2, 3, {1, 1, false, 2, 0, 0, 0}}),
             Contains("max_pool2d: a padding of 2 would leave windows of 2 rows without a pixel"));
  CHECK_THAT(message({1, 1, 4, 4}, {2, 3, {1, 1, false, 0, 0, 0, 3}}),
             Contains("max_pool2d: a padding of 3 would leave windows of 3 columns without a pixel"));
  CHECK_THAT(message({1, 1, 4, 4}, {2, 2, {1, 1, false, -1, 0, 0, 0}}),
             Contains("paddings of at least 0, got -1 and 0"));
  CHECK_THAT(message({1, 1, 4, 4}, {5, 2, {1, 1, false}}),
             Contains("max_pool2d: a kernel of 5 does not fit into 4 elements"));
}

}  // namespace
}  // namespace kind::testing
