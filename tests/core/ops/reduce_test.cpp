#include "core/ops/reduce.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

using Var = Variable<double>;
using Vars = std::vector<Var>;
using Values = std::vector<double>;

Var leaf(const Shape& shape, const Values& values) { return Var(Tensor<double>(shape, values), true); }

struct Reducer {
  std::string name;
  std::function<Var(const Var&, const std::vector<int>&, bool)> op;
  std::function<double(const Values&)> expected;
};

const std::vector<Reducer>& reducers() {
  static const std::vector<Reducer> all{
      {"sum", sum<double>, [](const Values& v) { return std::accumulate(v.begin(), v.end(), 0.0); }},
      {"mean", mean<double>,
       [](const Values& v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); }},
      {"min", min<double>, [](const Values& v) { return *std::min_element(v.begin(), v.end()); }},
      {"max", max<double>, [](const Values& v) { return *std::max_element(v.begin(), v.end()); }},
  };
  return all;
}

/// Different values in -2..2 in a random order, so far apart that no difference step changes which is the smallest.
Tensor<double> distinct(const Shape& shape, std::uint64_t seed) {
  Tensor<double> x(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = 4.0 * static_cast<double>(i) / static_cast<double>(x.size()) - 2;
  for (std::int64_t i = x.size() - 1; i > 0; --i) {
    std::swap(x[i], x[static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(i + 1)))]);
  }
  return x;
}

/// Every set of axes of a rank; the empty one means all of them.
std::vector<std::vector<int>> axis_subsets(int rank) {
  std::vector<std::vector<int>> subsets;
  for (unsigned bits = 0; bits < (1u << rank); ++bits) {
    std::vector<int> axes;
    for (int axis = 0; axis < rank; ++axis) {
      if (bits >> axis & 1) axes.push_back(axis);
    }
    subsets.push_back(axes);
  }
  return subsets;
}

/// The elements that go into each element of the result, in plain terms; the result's shape with kept axes in `kept`.
std::vector<Values> groups(const Tensor<double>& x, const std::vector<int>& axes, Shape& kept) {
  kept = x.shape();
  for (int axis = 0; axis < x.shape().rank(); ++axis) {
    if (axes.empty() || std::count(axes.begin(), axes.end(), axis) > 0) kept = kept.with(axis, 1);
  }
  std::vector<Values> result(static_cast<std::size_t>(kept.size()));
  for (std::int64_t i = 0; i < x.size(); ++i) {
    std::int64_t rest = i, index = 0, step = 1;
    for (int axis = x.shape().rank() - 1; axis >= 0; --axis) {
      const std::int64_t at = rest % x.shape()[axis];
      rest /= x.shape()[axis];
      if (kept[axis] != 1) index += at * step;
      step *= kept[axis];
    }
    result[static_cast<std::size_t>(index)].push_back(x[i]);
  }
  return result;
}

Shape without_axes(const Shape& shape, const std::vector<int>& axes) {
  std::vector<std::int64_t> sizes;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!axes.empty() && std::count(axes.begin(), axes.end(), axis) == 0) sizes.push_back(shape[axis]);
  }
  return Shape(sizes);
}

TEST_CASE("reduce: every set of axes, kept or not, against plain indexing") {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{3, 5}, Shape{2, 3, 5, 7}, Shape{3, 1, 4, 1},
                             Shape{2, 1, 3, 2, 1, 3}, Shape{1, 1}, Shape{2, 3, 80, 90}}) {
    const Tensor<double> x = distinct(shape, 3);
    for (const std::vector<int>& axes : axis_subsets(shape.rank())) {
      Shape kept;
      const std::vector<Values> expected = groups(x, axes, kept);
      for (const Reducer& reducer : reducers()) {
        for (const bool keep : {false, true}) {
          INFO(reducer.name << " of " << shape.text() << " over axes "
                            << Catch::StringMaker<std::vector<int>>::convert(axes) << (keep ? ", kept" : ""));
          const Tensor<double> y = reducer.op(Var(x), axes, keep).value();
          REQUIRE(y.shape() == (keep ? kept : without_axes(shape, axes)));
          double worst = 0;
          for (std::int64_t i = 0; i < y.size(); ++i) {
            const double e = reducer.expected(expected[static_cast<std::size_t>(i)]);
            worst = std::max(worst, std::abs(y[i] - e) / std::max(1.0, std::abs(e)));
          }
          CHECK(worst < 1e-12);
        }
      }
    }
  }
}

TEST_CASE("reduce: by hand") {
  const Var x = leaf(Shape{2, 3}, {1, 5, 3, 4, 2, 6});
  CHECK(sum(x).value().item() == 21);
  CHECK(sum(x).shape() == Shape{});
  CHECK(mean(x, {0}).value().to_vector() == Values{2.5, 3.5, 4.5});
  CHECK(min(x, {1}).value().to_vector() == Values{1, 2});
  CHECK(max(x, {-1}, true).value().to_vector() == Values{5, 6});
  CHECK(max(x, {-1}, true).shape() == Shape{2, 1});
  CHECK(max(x, {-2, 1}, true).shape() == Shape{1, 1});
}

TEST_CASE("reduce: gradients for every set of axes", "[grad]") {
  for (const Shape& shape : {Shape{}, Shape{1, 1}, Shape{2, 3, 5}}) {
    const Tensor<double> x = distinct(shape, 4);
    for (const std::vector<int>& axes : axis_subsets(shape.rank())) {
      for (const Reducer& reducer : reducers()) {
        for (const bool keep : {false, true}) {
          INFO(reducer.name << " of " << shape.text() << " over axes "
                            << Catch::StringMaker<std::vector<int>>::convert(axes));
          CHECK(gradcheck([&](const Vars& in) { return reducer.op(in[0], axes, keep); }, {x}));
        }
      }
    }
  }
}

TEST_CASE("reduce: gradients over a picture larger than one thread's share", "[grad]") {
  const ThreadScope scope(3);
  GradcheckOptions options;
  options.entries = 20;
  const Tensor<double> x = distinct(Shape{2, 3, 90, 91}, 5);
  for (const Reducer& reducer : reducers()) {
    INFO(reducer.name);
    CHECK(gradcheck([&](const Vars& in) { return reducer.op(in[0], {}, false); }, {x}, options));
    CHECK(gradcheck([&](const Vars& in) { return reducer.op(in[0], {0, 2}, true); }, {x}, options));
  }
}

TEST_CASE("reduce: ties of min and max share the gradient") {
  Var x = leaf(Shape{2, 4}, {3, 1, 1, 2, 5, 5, 5, 0});
  min(x, {1}).backward(Tensor<double>(Shape{2}, {8, 9}));
  CHECK(x.grad().to_vector() == Values{0, 4, 4, 0, 0, 0, 0, 9});
  x.zero_grad();
  max(x, {1}).backward(Tensor<double>(Shape{2}, {8, 9}));
  CHECK(x.grad().to_vector() == Values{8, 0, 0, 0, 3, 3, 3, 0});
  x.zero_grad();
  max(x, {0}).backward(Tensor<double>(Shape{4}, {1, 1, 1, 1}));
  CHECK(x.grad().to_vector() == Values{0, 0, 0, 1, 1, 1, 1, 0});
  Var equal = leaf(Shape{2, 2}, {7, 7, 7, 7});
  max(equal).backward();
  CHECK(equal.grad().to_vector() == Values{0.25, 0.25, 0.25, 0.25});
  Var infinite = leaf(Shape{3}, {kInf, kInf, kInf});
  Var y = min(infinite);
  CHECK(y.value().item() == kInf);
  y.backward(Tensor<double>::scalar(3));
  CHECK(infinite.grad().to_vector() == Values{1, 1, 1});
}

TEST_CASE("reduce: ties are counted beyond what a float can") {
  const std::int64_t count = (std::int64_t{1} << 24) + 64;
  for (const auto& op : {min<float>, max<float>}) {
    Variable<float> x(Tensor<float>::full(Shape{count}, 1), true);
    op(x, {}, false).backward();
    CHECK(x.grad()[0] == 1 / static_cast<float>(count));
    CHECK(x.grad()[count - 1] == x.grad()[0]);
  }
}

TEST_CASE("reduce: a NaN anywhere makes the result NaN, and only the results it goes into") {
  for (const Reducer& reducer : reducers()) {
    for (std::size_t at = 0; at < 6; ++at) {
      CAPTURE(reducer.name, at);
      Values values{1, 2, 3, 4, 5, 6};
      values[at] = kNan;
      const Var x = leaf(Shape{2, 3}, values);
      CHECK(std::isnan(reducer.op(x, {}, false).value().item()));
      const Values rows = reducer.op(x, {1}, false).value().to_vector();
      CHECK(std::isnan(rows[at / 3]));
      CHECK_FALSE(std::isnan(rows[1 - at / 3]));
      const Values columns = reducer.op(x, {0}, false).value().to_vector();
      for (std::size_t c = 0; c < 3; ++c) CHECK(std::isnan(columns[c]) == (c == at % 3));
    }
  }
  CHECK(std::isnan(max(leaf(Shape{3}, {kNan, kInf, -kInf})).value().item()));
  CHECK(std::isnan(min(leaf(Shape{3}, {-kInf, kInf, kNan})).value().item()));
}

TEST_CASE("reduce: what cannot be reduced is refused by name") {
  const Var x(Tensor<double>::zeros(Shape{2, 3})), empty(Tensor<double>::zeros(Shape{2, 0}));
  for (const Reducer& reducer : reducers()) {
    const auto message = [&](const Var& v, const std::vector<int>& axes) {
      return error_of([&] { reducer.op(v, axes, false); });
    };
    CHECK(message(x, {2}) == "shape: there is no axis 2 in [2, 3]");
    CHECK(message(x, {-3}) == "shape: there is no axis -3 in [2, 3]");
    CHECK(message(x, {1, 1}) == reducer.name + ": axis 1 is named twice");
    CHECK(message(x, {1, -1}) == reducer.name + ": axis -1 is named twice");
    CHECK(message(empty, {}) == reducer.name + ": there is nothing to reduce in [2, 0]");
    CHECK(message(empty, {0}) == reducer.name + ": there is nothing to reduce in [2, 0]");
  }
}

TEST_CASE("reduce: float sums are added in double") {
  // 3 million times 0.1f: added in float the error would be in the third digit.
  const std::int64_t count = 3000000;
  const Variable<float> x(Tensor<float>::full(Shape{3, count / 3}, 0.1f));
  const double exact = static_cast<double>(0.1f) * static_cast<double>(count);
  CHECK(sum(x).value().item() == static_cast<float>(exact));
  CHECK(std::abs(mean(x).value().item() - 0.1f) <= 0.1f * std::numeric_limits<float>::epsilon());
  for (const float v : sum(x, {1}).value().to_vector()) CHECK(v == static_cast<float>(exact / 3));
}

TEST_CASE("reduce: the same bits for any number of threads") {
  const Tensor<float> x = random_tensor<float>(Shape{3, 7, 101, 103}, 1);
  const std::vector<std::vector<int>> all_axes{{}, {0}, {1, 2}, {3}, {0, 2, 3}};
  std::vector<std::vector<float>> results;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    std::vector<float> all;
    for (const std::vector<int>& axes : all_axes) {
      for (const auto& op : {sum<float>, mean<float>, min<float>, max<float>}) {
        Variable<float> v(x, true);
        Variable<float> y = op(v, axes, false);
        y.backward();
        for (const float value : y.value().to_vector()) all.push_back(value);
        for (const float value : v.grad().to_vector()) all.push_back(value);
      }
    }
    results.push_back(std::move(all));
  }
  for (const std::vector<float>& other : results) CHECK((other == results[0]));
}

}  // namespace
}  // namespace kind::testing
