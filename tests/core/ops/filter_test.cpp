#include "core/ops/filter.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Var = Variable<double>;
using Vars = std::vector<Var>;
using Values = std::vector<double>;

/// The formula of core/ops/filter.h, element by element.
Tensor<double> formula(const Tensor<double>& x, const Tensor<double>& k, const FilterPadding& p) {
  const Shape& s = x.shape();
  const std::int64_t kh = k.shape()[0], kw = k.shape()[1];
  Tensor<double> y(Shape{s[0], s[1], s[2] + p.top + p.bottom - kh + 1, s[3] + p.left + p.right - kw + 1});
  const std::int64_t oh = y.shape()[2], ow = y.shape()[3];
  for (std::int64_t o = 0; o < y.size(); ++o) {
    const std::int64_t plane = o / (oh * ow), i = o / ow % oh, j = o % ow;
    double sum = 0;
    for (std::int64_t a = 0; a < kh; ++a) {
      for (std::int64_t b = 0; b < kw; ++b) {
        const std::int64_t row = i + a - p.top, column = j + b - p.left;
        if (row < 0 || row >= s[2] || column < 0 || column >= s[3]) continue;
        sum += x[(plane * s[2] + row) * s[3] + column] * k[a * kw + b];
      }
    }
    y[o] = sum;
  }
  return y;
}

TEST_CASE("depthwise_filter: by hand") {
  const Var x(Tensor<double>(Shape{1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}));
  // y[i, j] = x[i, j] + 10 x[i, j + 1] + 100 x[i + 1, j] + 1000 x[i + 1, j + 1]
  const Tensor<double> k(Shape{2, 2}, {1, 10, 100, 1000});
  CHECK(depthwise_filter(x, k).value().to_vector() == Values{5421, 6532});
  const Var padded = depthwise_filter(x, k, {0, 0, 1, 1});
  CHECK(padded.shape() == Shape{1, 1, 2, 3});
  CHECK(padded.value().to_vector() == Values{5421, 6532, 603, 54, 65, 6});
}

TEST_CASE("depthwise_filter: random sizes, kernels and paddings against the formula") {
  Random random(1);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::int64_t h = pick(1, 13), w = pick(1, 13), kh = pick(1, 6), kw = pick(1, 6);
    // Paddings up to more than the kernel, so that some outputs see nothing of the picture.
    FilterPadding p{pick(0, kh + 1), pick(0, kw + 1), pick(0, kh + 1), pick(0, kw + 1)};
    p.bottom = std::max(p.bottom, kh - h - p.top);
    p.right = std::max(p.right, kw - w - p.left);
    const Tensor<double> x = random_tensor(Shape{pick(1, 3), pick(1, 4), h, w}, seed);
    const Tensor<double> k = random_tensor(Shape{kh, kw}, seed + 1000);
    const Tensor<double> y = depthwise_filter(Var(x), k, p).value(), expected = formula(x, k, p);
    CAPTURE(seed, x.shape().text(), k.shape().text(), p.top, p.left, p.bottom, p.right);
    REQUIRE(y.shape() == expected.shape());
    double worst = 0;
    for (std::int64_t i = 0; i < y.size(); ++i) {
      const double difference = std::abs(y[i] - expected[i]);
      if (!(difference <= worst)) worst = difference;
    }
    CHECK(worst < 1e-13);
  }
}

TEST_CASE("depthwise_filter: gradients", "[grad]") {
  struct Case {
    Shape x, k;
    FilterPadding p;
  };
  const Case cases[] = {
      {Shape{2, 3, 5, 7}, Shape{3, 2}, {}},
      {Shape{1, 2, 4, 5}, Shape{3, 3}, {1, 1, 1, 1}},
      {Shape{1, 1, 1, 1}, Shape{1, 1}, {}},
      {Shape{1, 1, 1, 1}, Shape{4, 5}, {2, 3, 1, 1}},
      {Shape{1, 2, 3, 4}, Shape{2, 3}, {0, 2, 3, 0}},
      {Shape{1, 1, 3, 3}, Shape{2, 2}, {4, 3, 4, 3}},  // more than the kernel
      {Shape{1, 1, 12, 13}, Shape{1, 11}, {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.x.text(), c.k.text());
    const Tensor<double> k = random_tensor(c.k, 2);
    CHECK(gradcheck([&](const Vars& in) { return depthwise_filter(in[0], k, c.p); }, {random_tensor(c.x, 1)}));
  }
}

TEST_CASE("depthwise_filter: empty batches and pictures have empty results and gradients") {
  const Tensor<double> k = Tensor<double>::full(Shape{3, 3}, 1.0);
  for (const Shape& shape : {Shape{0, 3, 4, 4}, Shape{2, 0, 4, 4}, Shape{1, 2, 0, 4}, Shape{1, 2, 4, 0}}) {
    CAPTURE(shape.text());
    Var x(Tensor<double>::zeros(shape), true);
    Var y = depthwise_filter(x, k, {2, 2, 2, 2});
    CHECK(y.shape() == Shape{shape[0], shape[1], shape[2] + 2, shape[3] + 2});
    for (const double v : y.value().to_vector()) CHECK(v == 0);
    y.backward();
    CHECK(x.grad().shape() == shape);
  }
}

TEST_CASE("depthwise_filter: refused, shapes named") {
  const auto zeros = [](const Shape& shape) { return Tensor<double>::zeros(shape); };
  const auto message = [&](const Shape& x, const Shape& k, const FilterPadding& p) {
    return error_of([&] { depthwise_filter(Var(zeros(x)), zeros(k), p); });
  };
  CHECK(message(Shape{3, 4, 4}, Shape{1, 1}, {}) == "depthwise_filter: expected a picture [n, c, h, w], got [3, 4, 4]");
  CHECK(message(Shape{1, 3, 4, 4}, Shape{3}, {}) == "depthwise_filter: expected a kernel [kh, kw], got [3]");
  CHECK(message(Shape{1, 3, 4, 4}, Shape{3, 0}, {}) == "depthwise_filter: expected a kernel [kh, kw], got [3, 0]");
  CHECK(message(Shape{1, 3, 4, 4}, Shape{1, 1}, {0, -1, 0, 0}) == "depthwise_filter: expected paddings of at least 0");
  CHECK(message(Shape{1, 3, 4, 9}, Shape{5, 1}, {}) ==
        "depthwise_filter: the kernel [5, 1] is larger than the picture [1, 3, 4, 9]");
  CHECK(message(Shape{1, 3, 9, 4}, Shape{1, 6}, {0, 1, 0, 0}) ==
        "depthwise_filter: the kernel [1, 6] is larger than the picture [1, 3, 9, 4]");
}

TEST_CASE("depthwise_filter: a NaN reaches the outputs that see it, and no others") {
  Tensor<double> x = Tensor<double>::zeros(Shape{1, 2, 5, 5});
  x[25 + 2 * 5 + 2] = std::numeric_limits<double>::quiet_NaN();
  const Tensor<double> y = depthwise_filter(Var(x), Tensor<double>::full(Shape{3, 3}, 1.0), {1, 1, 1, 1}).value();
  int wrong = 0;
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const bool near = i >= 25 && std::abs(i / 5 % 5 - 2) <= 1 && std::abs(i % 5 - 2) <= 1;
    wrong += std::isnan(y[i]) != near;
  }
  CHECK(wrong == 0);
}

TEST_CASE("depthwise_filter: the same bits for any number of threads") {
  const Tensor<float> x = random_tensor<float>(Shape{2, 3, 61, 67}, 1), k = random_tensor<float>(Shape{5, 4}, 2);
  std::vector<std::vector<float>> results;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    Variable<float> v(x, true);
    Variable<float> y = depthwise_filter(v, k, {1, 2, 3, 0});
    y.backward();
    std::vector<float> all = y.value().to_vector();
    for (const float g : v.grad().to_vector()) all.push_back(g);
    results.push_back(all);
  }
  for (const std::vector<float>& other : results) CHECK((other == results[0]));
}

TEST_CASE("gaussian_row: a symmetric row that sums to one") {
  const Tensor<double> row = gaussian_row<double>(11, 1.5);
  CHECK(row.shape() == Shape{1, 11});
  CHECK(std::accumulate(row.data(), row.data() + 11, 0.0) == Approx(1).epsilon(1e-15));
  double total = 0;
  for (int i = -5; i <= 5; ++i) total += std::exp(-i * i / (2 * 1.5 * 1.5));
  for (int i = -5; i <= 5; ++i) {
    CHECK(row[i + 5] == Approx(std::exp(-i * i / (2 * 1.5 * 1.5)) / total).epsilon(1e-14));
    CHECK(row[5 + i] == row[5 - i]);
  }
  CHECK(gaussian_row<float>(1, 3).to_vector() == std::vector<float>{1});
  CHECK(error_of([] { gaussian_row<double>(4, 1); }) == "gaussian_row: expected an odd size, got 4");
  CHECK(error_of([] { gaussian_row<double>(0, 1); }) == "gaussian_row: expected an odd size, got 0");
  CHECK(error_of([] { gaussian_row<double>(-1, 1); }) == "gaussian_row: expected an odd size, got -1");
  CHECK(error_of([] { gaussian_row<double>(3, 0); }) == "gaussian_row: expected a sigma greater than 0, got 0");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([&] { gaussian_row<double>(3, nan); }) == "gaussian_row: expected a sigma greater than 0, got nan");
}

}  // namespace
}  // namespace kind::testing
