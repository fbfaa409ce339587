#include "core/ops/shape_ops.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "core/ops/elementwise.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"

namespace kind::testing {
namespace {

using Var = Variable<double>;
using Vars = std::vector<Var>;
using Values = std::vector<double>;

Var leaf(const Shape& shape, const Values& values) { return Var(Tensor<double>(shape, values), true); }

/// Element at [i, j, k] of a tensor of rank 3.
double at(const Tensor<double>& x, std::int64_t i, std::int64_t j, std::int64_t k) {
  return x[(i * x.shape()[1] + j) * x.shape()[2] + k];
}

TEST_CASE("concat: by hand, values and gradients") {
  Var a = leaf(Shape{2, 1}, {1, 2}), b = leaf(Shape{2, 2}, {3, 4, 5, 6});
  Var y = concat(Vars{a, b}, 1);
  CHECK(y.shape() == Shape{2, 3});
  CHECK(y.value().to_vector() == Values{1, 3, 4, 2, 5, 6});
  y.backward(Tensor<double>(Shape{2, 3}, {10, 20, 30, 40, 50, 60}));
  CHECK(a.grad().to_vector() == Values{10, 40});
  CHECK(b.grad().to_vector() == Values{20, 30, 50, 60});
  CHECK(concat(Vars{a, b}, -1).value().to_vector() == y.value().to_vector());
  CHECK(concat(Vars{a}, 0).value().to_vector() == Values{1, 2});
}

TEST_CASE("concat: every axis of three tensors of odd sizes, empty ones too") {
  for (int axis = 0; axis < 3; ++axis) {
    const Shape shape{3, 2, 5};
    const Shape shapes[] = {shape.with(axis, 1), shape.with(axis, 0), shape.with(axis, 4)};
    Vars parts;
    for (const Shape& s : shapes) parts.emplace_back(random_tensor(s, 1 + parts.size()));
    const Tensor<double> y = concat(parts, axis).value();
    REQUIRE(y.shape() == shape.with(axis, 5));
    int wrong = 0;
    for (std::int64_t i = 0; i < y.shape()[0]; ++i) {
      for (std::int64_t j = 0; j < y.shape()[1]; ++j) {
        for (std::int64_t k = 0; k < y.shape()[2]; ++k) {
          std::int64_t place[] = {i, j, k};
          const bool first = place[axis] == 0;
          if (!first) place[axis] -= 1;
          wrong += at(y, i, j, k) != at(parts[first ? 0 : 2].value(), place[0], place[1], place[2]);
        }
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("concat: gradients", "[grad]") {
  for (int axis = 0; axis < 3; ++axis) {
    const Shape shape{2, 3, 2};
    const auto f = [=](const Vars& in) { return square(concat(Vars{in[0], in[1], in[0]}, axis)); };
    CHECK(gradcheck(f, {random_tensor(shape, 1), random_tensor(shape.with(axis, 1), 2)}));
  }
  // One part is a constant.
  const Var constant(random_tensor(Shape{2, 2}, 3));
  CHECK(gradcheck([&](const Vars& in) { return concat(Vars{constant, in[0]}, 1); }, {random_tensor(Shape{2, 3}, 4)}));
}

TEST_CASE("concat: refused by name, both shapes named") {
  const Var a(Tensor<double>::zeros(Shape{2, 3})), b(Tensor<double>::zeros(Shape{2, 4}));
  const Var c(Tensor<double>::zeros(Shape{2, 3, 1}));
  CHECK(error_of([&] { concat(Vars{}, 0); }) == "concat: expected at least one tensor");
  CHECK(error_of([&] { concat(Vars{a, b}, 0); }) == "concat: shapes [2, 3] and [2, 4] differ in more than axis 0");
  CHECK(error_of([&] { concat(Vars{a, c}, 1); }) == "concat: shapes [2, 3] and [2, 3, 1] differ in more than axis 1");
  CHECK(error_of([&] { concat(Vars{a, a}, 2); }) == "shape: there is no axis 2 in [2, 3]");
  CHECK(error_of([&] { concat(Vars{Var(Tensor<double>::scalar(1))}, 0); }) == "shape: there is no axis 0 in []");
}

TEST_CASE("slice: by hand, values and gradients") {
  Var x = leaf(Shape{2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  Var y = slice(x, 1, 1, 3);
  CHECK(y.shape() == Shape{2, 2});
  CHECK(y.value().to_vector() == Values{2, 3, 6, 7});
  y.backward(Tensor<double>(Shape{2, 2}, {10, 20, 30, 40}));
  CHECK(x.grad().to_vector() == Values{0, 10, 20, 0, 0, 30, 40, 0});
  CHECK(slice(x, 0, 1, 2).value().to_vector() == Values{5, 6, 7, 8});
  CHECK(slice(x, -1, 0, 4).value().to_vector() == x.value().to_vector());
  CHECK(slice(x, 1, 2, 2).shape() == Shape{2, 0});
  CHECK(slice(x, 1, 4, 4).shape() == Shape{2, 0});
  x.zero_grad();
  slice(x, 1, 2, 2).backward();
  CHECK(x.grad().to_vector() == Values(8));
}

TEST_CASE("slice and concat undo each other") {
  const Var x(random_tensor(Shape{3, 5, 7}, 1));
  for (int axis = 0; axis < 3; ++axis) {
    for (std::int64_t cut = 0; cut <= x.shape()[axis]; ++cut) {
      const Vars parts{slice(x, axis, 0, cut), slice(x, axis, cut, x.shape()[axis])};
      CHECK(concat(parts, axis).value().to_vector() == x.value().to_vector());
    }
  }
}

TEST_CASE("slice: gradients", "[grad]") {
  for (int axis = 0; axis < 3; ++axis) {
    const auto f = [=](const Vars& in) { return square(slice(in[0], axis, 1, 3)); };
    CHECK(gradcheck(f, {random_tensor(Shape{3, 4, 5}, 1)}));
  }
}

TEST_CASE("slice: refused") {
  const Var x(Tensor<double>::zeros(Shape{2, 4}));
  const auto message = [&](int axis, std::int64_t begin, std::int64_t end) {
    return error_of([&] { slice(x, axis, begin, end); });
  };
  CHECK(message(1, -1, 2) == "slice: expected 0 <= begin <= end <= 4 on axis 1 of [2, 4], got -1 and 2");
  CHECK(message(1, 3, 2) == "slice: expected 0 <= begin <= end <= 4 on axis 1 of [2, 4], got 3 and 2");
  CHECK(message(-1, 0, 5) == "slice: expected 0 <= begin <= end <= 4 on axis 1 of [2, 4], got 0 and 5");
  CHECK(message(2, 0, 1) == "shape: there is no axis 2 in [2, 4]");
}

TEST_CASE("pad: by hand, values and gradients") {
  Var x = leaf(Shape{2, 2}, {1, 2, 3, 4});
  Var y = pad(x, 1, 1, 2, -9.0);
  CHECK(y.shape() == Shape{2, 5});
  CHECK(y.value().to_vector() == Values{-9, 1, 2, -9, -9, -9, 3, 4, -9, -9});
  y.backward(Tensor<double>(Shape{2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  CHECK(x.grad().to_vector() == Values{2, 3, 7, 8});
  CHECK(pad(x, 0, 0, 1).value().to_vector() == Values{1, 2, 3, 4, 0, 0});
  CHECK(pad(x, -2, 0, 0).value().to_vector() == Values{1, 2, 3, 4});
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(pad(x, 1, 0, 1, -inf).value().to_vector() == Values{1, 2, -inf, 3, 4, -inf});
  CHECK(pad(Var(Tensor<double>::zeros(Shape{2, 0})), 1, 1, 1, 3.0).value().to_vector() == Values{3, 3, 3, 3});
}

TEST_CASE("pad: gradients", "[grad]") {
  for (int axis = 0; axis < 3; ++axis) {
    const auto f = [=](const Vars& in) { return square(pad(in[0], axis, 2, 1, 0.5)); };
    CHECK(gradcheck(f, {random_tensor(Shape{3, 1, 2}, 1)}));
  }
}

TEST_CASE("pad: refused") {
  const Var x(Tensor<double>::zeros(Shape{2, 4}));
  CHECK(error_of([&] { pad(x, 0, -1, 2); }) == "pad: expected counts of at least 0, got -1 and 2");
  CHECK(error_of([&] { pad(x, 0, 1, -2); }) == "pad: expected counts of at least 0, got 1 and -2");
  CHECK(error_of([&] { pad(x, 3, 1, 2); }) == "shape: there is no axis 3 in [2, 4]");
}

TEST_CASE("reshape: values, gradients and refusal") {
  Var x = leaf(Shape{2, 3}, {1, 2, 3, 4, 5, 6});
  Var y = reshape(x, Shape{3, 2});
  CHECK(y.shape() == Shape{3, 2});
  CHECK(y.value().to_vector() == x.value().to_vector());
  y.backward(Tensor<double>(Shape{3, 2}, {6, 5, 4, 3, 2, 1}));
  CHECK(x.grad().shape() == Shape{2, 3});
  CHECK(x.grad().to_vector() == Values{6, 5, 4, 3, 2, 1});
  CHECK(reshape(leaf(Shape{1}, {4}), Shape{}).value().item() == 4);
  CHECK(error_of([&] { reshape(x, Shape{4}); }) == "reshape: [2, 3] has 6 elements, [4] has 4");
  CHECK(gradcheck([](const Vars& in) { return square(reshape(in[0], Shape{6})); }, {random_tensor(Shape{2, 3}, 1)}));
}

TEST_CASE("shape operations carry a NaN to where it belongs") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Var x = leaf(Shape{3}, {1, nan, 3});
  CHECK(std::isnan(pad(x, 0, 2, 0).value()[3]));
  CHECK(std::isnan(slice(x, 0, 1, 2).value()[0]));
  CHECK(std::isnan(concat(Vars{x, x}, 0).value()[4]));
}

}  // namespace
}  // namespace kind::testing
