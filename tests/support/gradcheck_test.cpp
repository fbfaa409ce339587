#include "tests/support/gradcheck.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"

// A check that cannot fail proves nothing: these tests hand gradcheck wrong gradients.

namespace kind::testing {
namespace {

using Inputs = std::vector<Variable<double>>;

/// y = x^2 whose backward() is off by a factor, and by an addend at one element.
GradcheckFunction square_with(double factor, std::int64_t at = -1, double addend = 0) {
  return [=](const Inputs& in) {
    const Tensor<double> x = in[0].value();
    Tensor<double> y(x.shape());
    for (std::int64_t i = 0; i < x.size(); ++i) y[i] = x[i] * x[i];
    return Variable<double>::from_op(y, {in[0]}, [=](Inputs& inputs, const Tensor<double>& g) {
      Tensor<double> dx(x.shape());
      for (std::int64_t i = 0; i < x.size(); ++i) dx[i] = factor * 2 * x[i] * g[i] + (i == at ? addend : 0);
      inputs[0].add_grad(dx);
    });
  };
}

std::string text(const GradcheckResult& result) {
  std::ostringstream out;
  out << result;
  return out.str();
}

TEST_CASE("gradcheck accepts a right gradient and restores its inputs") {
  const Tensor<double> x = random_tensor(Shape{2, 3}, 1, 0.5, 2);
  const std::vector<double> before = x.to_vector();
  const Variable<double> leaf(x, true);
  const GradcheckResult result = gradcheck(square_with(1), Inputs{leaf});
  CHECK(result);
  CHECK(result.checked == 6);
  CHECK(result.skipped == 0);
  CHECK(text(result) == "gradcheck: 6 entries agree, 0 left out");
  CHECK(x.to_vector() == before);
  CHECK_FALSE(leaf.grad().defined());
}

TEST_CASE("gradcheck finds a wrong gradient and says where") {
  const Tensor<double> x = random_tensor(Shape{2, 3}, 1, 0.5, 2);
  CHECK_FALSE(gradcheck(square_with(1.01), {x}));
  CHECK_FALSE(gradcheck(square_with(-1), {x}));
  CHECK_FALSE(gradcheck(square_with(0), {x}));
  const std::string message = text(gradcheck(square_with(1, 4, 0.5), {x}));
  CHECK_THAT(message, Catch::Contains("input 0 of shape [2, 3] at [1, 1]"));
  CHECK_THAT(message, Catch::Contains("apart by 0.5"));
  CHECK_THAT(message, Catch::Contains("1 of 6 entries failed, seed 1"));
}

TEST_CASE("gradcheck counts a missing gradient as zero, and as wrong") {
  const GradcheckFunction f = [](const Inputs& in) {
    return Variable<double>::from_op(in[0].value().clone(), {in[0]}, [](Inputs&, const Tensor<double>&) {});
  };
  CHECK_THAT(text(gradcheck(f, {random_tensor(Shape{3}, 1)})), Catch::Contains("backward gives 0"));
  const GradcheckFunction constant = [](const Inputs& in) { return in[0].detach(); };
  CHECK_THAT(text(gradcheck(constant, {random_tensor(Shape{3}, 1)})), Catch::Contains("requires no gradient"));
}

TEST_CASE("gradcheck fails on NaN, in the gradient and in the function") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor<double> x = random_tensor(Shape{5}, 1, 0.5, 2);
  CHECK_THAT(text(gradcheck(square_with(1, 3, nan), {x})), Catch::Contains("at [3]") && Catch::Contains("nan"));
  CHECK_FALSE(gradcheck(square_with(nan), {x}));
  GradcheckOptions kinks;
  kinks.skip_kinks = true;
  const GradcheckFunction f = [](const Inputs& in) { return log(in[0]); };
  CHECK_FALSE(gradcheck(f, {Tensor<double>(Shape{2}, {1.0, -1.0})}));
  CHECK_FALSE(gradcheck(f, {Tensor<double>(Shape{2}, {1.0, -1.0})}, kinks));
}

TEST_CASE("gradcheck reaches variables that are not among the function's arguments") {
  const Variable<double> weight(random_tensor(Shape{3}, 2), true), x(random_tensor(Shape{3}, 3), false);
  const GradcheckFunction right = [&](const Inputs&) { return mul(x, weight); };
  CHECK(gradcheck(right, Inputs{weight, x}).checked == 3);
  const GradcheckFunction wrong = [&](const Inputs&) { return mul(x, square_with(1.1)({weight})); };
  CHECK_FALSE(gradcheck(wrong, Inputs{weight, x}));
}

TEST_CASE("gradcheck is not misled where the result shares the input's elements") {
  const GradcheckFunction f = [](const Inputs& in) { return reshape(in[0], Shape{6}); };
  CHECK(gradcheck(f, {random_tensor(Shape{2, 3}, 2)}));
}

TEST_CASE("gradcheck checks as many different entries as asked for") {
  GradcheckOptions options;
  options.entries = 7;
  const Tensor<double> x = random_tensor(Shape{4, 5}, 1, 0.5, 2);
  CHECK(gradcheck(square_with(1), {x}, options).checked == 7);
  // Over several seeds every entry has its turn.
  int found = 0;
  for (options.seed = 1; options.seed <= 30; ++options.seed)
    found += gradcheck(square_with(1, 13, 1), {x}, options) ? 0 : 1;
  CHECK(found >= 3);
  CHECK(found <= 20);
}

TEST_CASE("gradcheck leaves out kinks where asked to, without excusing what is wrong elsewhere") {
  GradcheckOptions kinks;
  kinks.skip_kinks = true;
  const GradcheckFunction f = [](const Inputs& in) { return abs(in[0]); };
  const Tensor<double> x(Shape{8}, {-1.0, 0.0, 1.0, 2.0, 5e-7, -3e-7, 4.0, 5.0});
  CHECK_FALSE(gradcheck(f, {x}));
  kinks.most_skipped = 0.5;
  const GradcheckResult result = gradcheck(f, {x}, kinks);
  CHECK(result);
  CHECK(result.checked == 5);
  CHECK(result.skipped == 3);
  kinks.most_skipped = 0.25;
  CHECK_THAT(text(gradcheck(f, {x}, kinks)), Catch::Contains("3 of 8 entries lie at kinks"));
  CHECK_THAT(text(gradcheck(f, {Tensor<double>::zeros(Shape{2})}, kinks)), Catch::Contains("no entry was checked"));
  CHECK_FALSE(gradcheck(square_with(1.01), {random_tensor(Shape{4}, 1, 0.5, 2)}, kinks));
}

TEST_CASE("random_tensor depends on its seed and keeps its limits") {
  const Tensor<float> a = random_tensor<float>(Shape{1000}, 5, 2, 3), b = random_tensor<float>(Shape{1000}, 6, 2, 3);
  CHECK(a.to_vector() == random_tensor<float>(Shape{1000}, 5, 2, 3).to_vector());
  CHECK(a.to_vector() != b.to_vector());
  for (const float v : a.to_vector()) CHECK((v >= 2.0f && v <= 3.0f));
}

}  // namespace
}  // namespace kind::testing
