#include "core/ops/matmul.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <vector>

#include "core/ops/shape_ops.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"

namespace kind::testing {
namespace {

using Var = Variable<double>;
using Vars = std::vector<Var>;
using Values = std::vector<double>;

TEST_CASE("matmul: by hand, values and gradients") {
  Var a(Tensor<double>(Shape{2, 3}, {1, 2, 3, 4, 5, 6}), true), b(Tensor<double>(Shape{3, 1}, {1, 0, -1}), true);
  Var y = matmul(a, b);
  CHECK(y.shape() == Shape{2, 1});
  CHECK(y.value().to_vector() == Values{-2, -2});
  y.backward(Tensor<double>(Shape{2, 1}, {1, 10}));
  CHECK(a.grad().to_vector() == Values{1, 0, -1, 10, 0, -10});
  CHECK(b.grad().to_vector() == Values{41, 52, 63});
}

TEST_CASE("matmul: gradients agree with differences, of single matrices and of many", "[grad]") {
  const auto f = [](const Vars& v) { return matmul(v[0], v[1]); };
  CHECK(gradcheck(f, {random_tensor({5, 7}, 1), random_tensor({7, 3}, 2)}));
  CHECK(gradcheck(f, {random_tensor({2, 3, 4, 5}, 3), random_tensor({2, 3, 5, 1}, 4)}));
  CHECK(gradcheck(f, {random_tensor({1, 1}, 5), random_tensor({1, 1}, 6)}));
}

TEST_CASE("matmul: large ones are the sums of their definition, and empty ones empty or 0") {
  const Tensor<float> a = random_tensor<float>({130, 70}, 1), b = random_tensor<float>({70, 90}, 2);
  const Tensor<float> y = matmul(Variable<float>(a), Variable<float>(b)).value();
  for (const std::int64_t i : {0, 64, 129}) {
    for (const std::int64_t j : {0, 45, 89}) {
      double sum = 0;
      for (std::int64_t l = 0; l < 70; ++l)
        sum += static_cast<double>(a[i * 70 + l]) * static_cast<double>(b[l * 90 + j]);
      CHECK(y[i * 90 + j] == static_cast<float>(sum));
    }
  }
  CHECK(matmul(Var(Tensor<double>(Shape{2, 0})), Var(Tensor<double>(Shape{0, 2}))).value().to_vector() ==
        Values(4, 0.0));
  CHECK(matmul(Var(Tensor<double>(Shape{0, 3})), Var(random_tensor({3, 2}, 1))).shape() == Shape{0, 2});
}

TEST_CASE("matmul: matrices that do not fit are refused with their shapes") {
  const auto error = [](const Shape& a, const Shape& b) {
    return error_of([&] { matmul(Var(Tensor<double>::zeros(a)), Var(Tensor<double>::zeros(b))); });
  };
  CHECK_THAT(error({2, 3}, {4, 2}), Catch::Contains("[2, 3]") && Catch::Contains("[4, 2]"));
  CHECK_THAT(error({3}, {3}), Catch::Contains("matmul"));
  CHECK_THAT(error({2, 2, 3}, {3, 3, 2}), Catch::Contains("do not fit"));
  CHECK_THAT(error({2, 3}, {1, 3, 2}), Catch::Contains("matmul"));
}

TEST_CASE("permute: by hand, values and gradients") {
  Var x(Tensor<double>(Shape{2, 3}, {1, 2, 3, 4, 5, 6}), true);
  Var y = permute(x, {1, 0});
  CHECK(y.shape() == Shape{3, 2});
  CHECK(y.value().to_vector() == Values{1, 4, 2, 5, 3, 6});
  y.backward(Tensor<double>(Shape{3, 2}, {10, 20, 30, 40, 50, 60}));
  CHECK(x.grad().to_vector() == Values{10, 30, 50, 20, 40, 60});
  CHECK(permute(x, {-1, -2}).value().to_vector() == y.value().to_vector());
}

TEST_CASE("permute: gradients agree with differences for all orders of four axes", "[grad]") {
  std::vector<int> axes{0, 1, 2, 3};
  do {
    CHECK(gradcheck([&](const Vars& v) { return permute(v[0], axes); }, {random_tensor({2, 3, 1, 4}, 7)}));
  } while (std::next_permutation(axes.begin(), axes.end()));
}

TEST_CASE("permute: axes that are not each axis once are refused, and scalars and empty tensors are none") {
  const auto error = [](const std::vector<int>& axes) {
    return error_of([&] { permute(Var(Tensor<double>::zeros({2, 3, 4})), axes); });
  };
  CHECK_THAT(error({0, 1}), Catch::Contains("expected 3 axes"));
  CHECK_THAT(error({0, 1, 1}), Catch::Contains("axis 1 is named twice"));
  CHECK_THAT(error({0, 1, 3}), Catch::Contains("axis"));
  CHECK(permute(Var(Tensor<double>(Shape{}, {5})), {}).value().to_vector() == Values{5});
  CHECK(permute(Var(Tensor<double>(Shape{0, 3})), {1, 0}).shape() == Shape{3, 0});
}

}  // namespace
}  // namespace kind::testing
