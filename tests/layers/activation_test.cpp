#include "layers/activation.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"

namespace kind::testing {
namespace {

using Data = std::vector<double>;

Data apply(const Activation& activation, const Data& x) {
  const Shape shape{static_cast<std::int64_t>(x.size())};
  return activation(Variable<double>(Tensor<double>(shape, x))).value().to_vector();
}

TEST_CASE("activations: values") {
  const Data x{-2, -0.5, 0, 0.25, 3};
  CHECK(apply({Activation::Type::kRelu, 0.2}, x) == Data{0, 0, 0, 0.25, 3});
  CHECK(apply({Activation::Type::kLeakyRelu, 0.5}, x) == Data{-1, -0.25, 0, 0.25, 3});
  CHECK(apply({Activation::Type::kNone, 0.2}, x) == x);
  const Data s = apply({Activation::Type::kSigmoid, 0.2}, x);
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(s[i] == Approx(1 / (1 + std::exp(-x[i]))).epsilon(1e-14));
}

TEST_CASE("activations: by name") {
  CHECK(apply(Activation::from_name("relu", 0.3), {-1, 2}) == Data{0, 2});
  CHECK(apply(Activation::from_name("leaky_relu", 0.3), {-1, 2}) == Data{-0.3, 2});
  CHECK(apply(Activation{}, {-1}) == Data{-0.2});  // the authors' slope
  CHECK(error_of([] { Activation::from_name("sigmoid", 0); }) ==
        "activation: expected relu or leaky_relu, got 'sigmoid'");
  CHECK(error_of([] { Activation::from_name("", 0); }) == "activation: expected relu or leaky_relu, got ''");
}

TEST_CASE("activations: gradients", "[grad]") {
  using Type = Activation::Type;
  Tensor<double> x = random_tensor({2, 3, 4}, 1, 0.1, 2);
  for (std::int64_t i = 0; i < x.size(); i += 2) x[i] = -x[i];
  for (const Type type : {Type::kNone, Type::kRelu, Type::kLeakyRelu, Type::kSigmoid}) {
    for (const double slope : {0.0, 0.2, 1.0}) {
      INFO("type " << static_cast<int>(type) << " slope " << slope);
      const Activation activation{type, slope};
      CHECK(gradcheck([&](const auto& in) { return activation(in[0]); }, {x}));
    }
  }
}

TEST_CASE("activations: the slope at exactly 0 is the lower one") {
  Variable<double> x(Tensor<double>::zeros({1}), true);
  Activation{}(x).backward();
  CHECK(x.grad().item() == 0.2);
  x.zero_grad();
  Activation::from_name("relu", 0.2)(x).backward();
  CHECK(x.grad().item() == 0);
}

}  // namespace
}  // namespace kind::testing
