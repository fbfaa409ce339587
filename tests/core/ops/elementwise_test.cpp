#include "core/ops/elementwise.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/ops/broadcast.h"
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

Var leaf(const Values& values) {
  return Var(Tensor<double>(Shape{static_cast<std::int64_t>(values.size())}, values), true);
}

using BinaryOp = std::function<Var(const Var&, const Var&)>;

const BinaryOp kBinaries[] = {
    [](const Var& a, const Var& b) { return a + b; },
    [](const Var& a, const Var& b) { return a - b; },
    [](const Var& a, const Var& b) { return a * b; },
    [](const Var& a, const Var& b) { return a / b; },
    minimum<double>,
    maximum<double>,
};

/// A unary operation, what it should compute, and where it is smooth.
struct Unary {
  std::string name;
  std::function<Var(const Var&)> op;
  std::function<double(double)> expected;
  double low, high;
};

const std::vector<Unary>& unary_operations() {
  static const std::vector<Unary> all{
      {"add number", [](const Var& x) { return add(x, 2.5); }, [](double v) { return v + 2.5; }, -2, 2},
      {"mul number", [](const Var& x) { return mul(x, -1.5); }, [](double v) { return v * -1.5; }, -2, 2},
      {"neg", [](const Var& x) { return -x; }, [](double v) { return -v; }, -2, 2},
      {"exp", [](const Var& x) { return exp(x); }, [](double v) { return std::exp(v); }, -3, 3},
      {"log", [](const Var& x) { return log(x); }, [](double v) { return std::log(v); }, 0.1, 5},
      {"sqrt", [](const Var& x) { return sqrt(x); }, [](double v) { return std::sqrt(v); }, 0.1, 5},
      {"pow 2.5", [](const Var& x) { return pow(x, 2.5); }, [](double v) { return std::pow(v, 2.5); }, 0.1, 3},
      {"pow -1", [](const Var& x) { return pow(x, -1.0); }, [](double v) { return 1 / v; }, 0.3, 3},
      {"pow 3", [](const Var& x) { return pow(x, 3.0); }, [](double v) { return v * v * v; }, -2, 2},
      {"pow 1", [](const Var& x) { return pow(x, 1.0); }, [](double v) { return v; }, -2, 2},
      {"square", [](const Var& x) { return square(x); }, [](double v) { return v * v; }, -2, 2},
      {"abs above", [](const Var& x) { return abs(x); }, [](double v) { return v; }, 0.01, 2},
      {"abs below", [](const Var& x) { return abs(x); }, [](double v) { return -v; }, -2, -0.01},
      {"clamp inside", [](const Var& x) { return clamp(x, -1.0, 1.0); }, [](double v) { return v; }, -0.99, 0.99},
      {"clamp above", [](const Var& x) { return clamp(x, -1.0, 1.0); }, [](double) { return 1; }, 1.01, 3},
      {"clamp below", [](const Var& x) { return clamp(x, -1.0, 1.0); }, [](double) { return -1; }, -3, -1.01},
      {"sigmoid", [](const Var& x) { return sigmoid(x); }, [](double v) { return 1 / (1 + std::exp(-v)); }, -5, 5},
      {"relu above", [](const Var& x) { return relu(x); }, [](double v) { return v; }, 0.01, 2},
      {"relu below", [](const Var& x) { return relu(x); }, [](double) { return 0; }, -2, -0.01},
      {"leaky relu above", [](const Var& x) { return leaky_relu(x, 0.2); }, [](double v) { return v; }, 0.01, 2},
      {"leaky relu below", [](const Var& x) { return leaky_relu(x, 0.2); }, [](double v) { return 0.2 * v; }, -2,
       -0.01},
  };
  return all;
}

TEST_CASE("elementwise: unary values, over ranks and odd sizes") {
  for (const Unary& u : unary_operations()) {
    CAPTURE(u.name);
    for (const Shape& shape : {Shape{}, Shape{1, 1}, Shape{7}, Shape{3, 1, 5, 7}, Shape{2, 0, 3}, Shape{40007}}) {
      const Tensor<double> x = random_tensor(shape, 1, u.low, u.high);
      const Tensor<double> y = u.op(Var(x)).value();
      REQUIRE(y.shape() == shape);
      double worst = 0;
      for (std::int64_t i = 0; i < x.size(); ++i) {
        const double expected = u.expected(x[i]);
        worst = std::max(worst, std::abs(y[i] - expected) / std::max(1.0, std::abs(expected)));
      }
      CHECK(worst < 1e-14);
    }
  }
}

TEST_CASE("elementwise: unary gradients", "[grad]") {
  for (const Unary& u : unary_operations()) {
    CAPTURE(u.name);
    const auto f = [&](const Vars& in) { return u.op(in[0]); };
    for (const Shape& shape : {Shape{}, Shape{1, 1}, Shape{3, 1, 5}}) {
      CHECK(gradcheck(f, {random_tensor(shape, 2, u.low, u.high)}));
    }
  }
}

TEST_CASE("elementwise: a NaN stays one through every operation") {
  for (const Unary& u : unary_operations()) {
    CAPTURE(u.name);
    const Values y = u.op(leaf({1, kNan, 2})).value().to_vector();
    CHECK(std::isnan(y[1]));
    CHECK_FALSE(std::isnan(y[0]));
    CHECK_FALSE(std::isnan(y[2]));
  }
  for (const BinaryOp& op : kBinaries) {
    const Values y = op(leaf({kNan, 1, kNan, 1}), leaf({1, kNan, kNan, 1})).value().to_vector();
    CHECK(std::isnan(y[0]));
    CHECK(std::isnan(y[1]));
    CHECK(std::isnan(y[2]));
    CHECK_FALSE(std::isnan(y[3]));
  }
}

TEST_CASE("elementwise: values at the edges of what an operation takes") {
  CHECK(log(leaf({0})).value().item() == -kInf);
  CHECK(std::isnan(log(leaf({-1})).value().item()));
  CHECK(std::isnan(sqrt(leaf({-1})).value().item()));
  CHECK(div(leaf({1, -1}), leaf({0, 0})).value().to_vector() == Values{kInf, -kInf});
  CHECK(sigmoid(leaf({-1000, 1000, -kInf, kInf})).value().to_vector() == Values{0, 1, 0, 1});
  CHECK(abs(leaf({-0.0})).value().item() == 0);
  CHECK(clamp(leaf({-kInf, kInf}), -1.0, 2.0).value().to_vector() == Values{-1, 2});
  CHECK(leaky_relu(leaf({-kInf, kInf}), 0.2).value().to_vector() == Values{-kInf, kInf});
  Variable<float> x(Tensor<float>(Shape{2}, {-200.0f, 200.0f}), true);
  Variable<float> y = sigmoid(x);
  CHECK(y.value().to_vector() == std::vector<float>{0, 1});
  y.backward();
  CHECK(x.grad().to_vector() == std::vector<float>{0, 0});
}

TEST_CASE("elementwise: gradients at kinks are as documented") {
  const auto slope = [](const std::function<Var(const Var&)>& f, double at) {
    Var x = leaf({at});
    f(x).backward(Tensor<double>(Shape{1}, {8}));
    return x.grad().item();
  };
  CHECK(slope([](const Var& x) { return abs(x); }, 0) == 0);
  CHECK(slope([](const Var& x) { return relu(x); }, 0) == 0);
  CHECK(slope([](const Var& x) { return leaky_relu(x, 0.25); }, 0) == 2);
  CHECK(slope([](const Var& x) { return leaky_relu(x, 0.0); }, -1) == 0);
  CHECK(slope([](const Var& x) { return leaky_relu(x, 1.0); }, -1) == 8);
  CHECK(slope([](const Var& x) { return clamp(x, -1.0, 1.0); }, 1) == 8);
  CHECK(slope([](const Var& x) { return clamp(x, -1.0, 1.0); }, -1) == 8);
  CHECK(slope([](const Var& x) { return clamp(x, -1.0, 1.0); }, 1.5) == 0);
  CHECK(slope([](const Var& x) { return sqrt(x); }, 0) == kInf);
  CHECK(slope([](const Var& x) { return pow(x, 2.0); }, 0) == 0);
  CHECK(slope([](const Var& x) { return pow(x, 1.0); }, 0) == 8);
  CHECK(slope([](const Var& x) { return pow(x, 0.0); }, 0) == 0);
  CHECK(slope([](const Var& x) { return clamp(x, 0.5, 0.5); }, 0.5) == 8);
}

TEST_CASE("elementwise: binary values and operators by hand") {
  const Var a = leaf({1, 2, -3}), b = leaf({4, -5, 0.5});
  CHECK((a + b).value().to_vector() == Values{5, -3, -2.5});
  CHECK((a - b).value().to_vector() == Values{-3, 7, -3.5});
  CHECK((a * b).value().to_vector() == Values{4, -10, -1.5});
  CHECK((a / b).value().to_vector() == Values{0.25, -0.4, -6});
  CHECK((-a).value().to_vector() == Values{-1, -2, 3});
  CHECK(minimum(a, b).value().to_vector() == Values{1, -5, -3});
  CHECK(maximum(a, b).value().to_vector() == Values{4, 2, 0.5});
}

TEST_CASE("elementwise: minimum and maximum share the gradient where operands are equal") {
  for (const bool lower : {true, false}) {
    CAPTURE(lower);
    Var a = leaf({1, 2, 3}), b = leaf({3, 2, 1});
    (lower ? minimum(a, b) : maximum(a, b)).backward(Tensor<double>(Shape{3}, {10, 20, 30}));
    CHECK(a.grad().to_vector() == (lower ? Values{10, 10, 0} : Values{0, 10, 30}));
    CHECK(b.grad().to_vector() == (lower ? Values{0, 10, 30} : Values{10, 10, 0}));
    Var x = leaf({4});
    (lower ? minimum(x, x) : maximum(x, x)).backward();
    CHECK(x.grad().item() == 1);
  }
}

TEST_CASE("elementwise: the gradient to a divisor whose square is out of range") {
  struct Row {
    float a, b, g, expected;
  };
  // -g a / b^2
  const Row rows[] = {{1e20f, 1e20f, 1, -1e-20f},
                      {3e30f, -1e25f, 2, -6e-20f},
                      {1e-20f, 1e-20f, 1, -1e20f},
                      {1, 1e-25f, 1e-30f, -1e20f},
                      {2, 4, 8, -1},
                      {1e-20f, -2e-22f, 1, -2.5e23f}};
  for (const Row& row : rows) {
    INFO(row.a << " / " << row.b);
    const Variable<float> a(Tensor<float>::scalar(row.a));
    Variable<float> b(Tensor<float>::scalar(row.b), true);
    div(a, b).backward(Tensor<float>::scalar(row.g));
    CHECK(b.grad().item() == Approx(row.expected).epsilon(1e-6));
  }
  Variable<double> wide(Tensor<double>::scalar(1e200), true);
  div(Variable<double>(Tensor<double>::scalar(1e200)), wide).backward();
  CHECK(wide.grad().item() == Approx(-1e-200).epsilon(1e-12));
  Variable<float> zero(Tensor<float>::scalar(0), true);
  div(Variable<float>(Tensor<float>::scalar(1)), zero).backward();
  CHECK(zero.grad().item() == -std::numeric_limits<float>::infinity());
}

TEST_CASE("elementwise: only the operand that needs a gradient gets one") {
  for (const BinaryOp& op : kBinaries) {
    for (const bool left : {true, false}) {
      Var a(random_tensor(Shape{2, 3}, 1, 1, 2), left), b(random_tensor(Shape{3}, 2, 3, 4), !left);
      op(a, b).backward();
      CHECK(a.grad().defined() == left);
      CHECK(b.grad().defined() == !left);
    }
  }
}

TEST_CASE("elementwise: bad parameters are refused") {
  const Var x = leaf({1});
  CHECK(error_of([&] { clamp(x, 2.0, 1.0); }) == "clamp: expected low <= high, got 2 and 1");
  CHECK(error_of([&] { clamp(x, 0.0, kNan); }) == "clamp: expected low <= high, got 0 and nan");
  CHECK(error_of([&] { leaky_relu(x, -0.1); }) == "leaky_relu: expected a slope between 0 and 1, got -0.1");
  CHECK(error_of([&] { leaky_relu(x, 1.5); }) == "leaky_relu: expected a slope between 0 and 1, got 1.5");
}

TEST_CASE("elementwise: the same bits for any number of threads") {
  const Tensor<float> x = random_tensor<float>(Shape{3, 5, 101, 103}, 1, 0.1, 1);
  const Tensor<float> c = random_tensor<float>(Shape{3, 1, 101, 103}, 2, 0.1, 1);
  std::vector<std::vector<float>> results;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    Variable<float> a(x, true), b(c, true);
    Variable<float> y = div(mul(sigmoid(a), b), add(exp(b), 1.0f));
    y.backward();
    std::vector<float> all = y.value().to_vector();
    for (const float v : a.grad().to_vector()) all.push_back(v);
    for (const float v : b.grad().to_vector()) all.push_back(v);
    results.push_back(all);
  }
  for (const std::vector<float>& other : results) CHECK((other == results[0]));
}

}  // namespace
}  // namespace kind::testing
