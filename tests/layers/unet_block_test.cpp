#include "layers/unet_block.h"

#include <catch2/catch.hpp>

#include "core/ops/shape_ops.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using Names = std::vector<std::string>;

const Activation kLeaky{Activation::Type::kLeakyRelu, 0.2};

Names names_of(const Parameters<double>& parameters) {
  Names names;
  for (const Parameter<double>& p : parameters) names.push_back(p.name);
  return names;
}

std::vector<Variable<double>> variables_of(const Parameters<double>& parameters) {
  std::vector<Variable<double>> variables;
  for (const Parameter<double>& p : parameters) variables.push_back(p.variable);
  return variables;
}

TEST_CASE("ConvBlock: each convolution, then the activation") {
  Random random(1);
  const ConvBlock<double> block({2, 3, 4}, kLeaky, Initializer::kHeNormal, random);
  Parameters<double> p;
  block.collect({"first", "second"}, p);
  CHECK(names_of(p) == Names{"first.weight", "first.bias", "second.weight", "second.bias"});
  CHECK(p[0].variable.shape() == Shape{3, 2, 3, 3});
  CHECK(p[2].variable.shape() == Shape{4, 3, 3, 3});
  const Variable<double> x(random_tensor({2, 2, 5, 3}, 2));
  const Variable<double> middle = kLeaky(conv2d(x, p[0].variable, p[1].variable));
  const Variable<double> y = kLeaky(conv2d(middle, p[2].variable, p[3].variable));
  CHECK(block(x).shape() == Shape{2, 4, 5, 3});
  CHECK(block(x).value().to_vector() == y.value().to_vector());
}

TEST_CASE("ConvBlock: the names must be as many as the convolutions") {
  Random random(1);
  const ConvBlock<double> block({2, 3, 4}, kLeaky, Initializer::kZeros, random);
  Parameters<double> p;
  CHECK_THAT(error_of([&] { block.collect({"one"}, p); }), Contains("conv block: expected 2 names, got 1"));
}

TEST_CASE("UpBlock: up, cut to the skip tensor, joined as [up, skip], then the block") {
  Random random(1);
  const UpBlock<double> block(2, 1, kLeaky, Initializer::kHeNormal, random);
  Parameters<double> p;
  block.collect("up", {"conv"}, p);
  CHECK(names_of(p) == Names{"up.weight", "conv.weight", "conv.bias"});
  CHECK(p[0].variable.shape() == Shape{4, 2, 2, 2});
  CHECK(p[1].variable.shape() == Shape{2, 4, 3, 3});
  for (const auto& [h, w] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {4, 6}, {5, 3}, {1, 2}, {7, 8}}) {
    INFO(h << "x" << w);
    const Variable<double> x(random_tensor({2, 4, (h + 1) / 2, (w + 1) / 2}, 2)), skip(random_tensor({2, 2, h, w}, 3));
    const Variable<double> up = conv_transpose2d(x, p[0].variable, h, w);
    const Variable<double> y = kLeaky(conv2d(concat<double>({up, skip}, 1), p[1].variable, p[2].variable));
    CHECK(block(x, skip).shape() == Shape{2, 2, h, w});
    CHECK(block(x, skip).value().to_vector() == y.value().to_vector());
  }
}

TEST_CASE("UpBlock: up-convolutions start from a truncated normal, the convolutions as told") {
  Random random(1);
  const UpBlock<double> block(8, 2, kLeaky, Initializer::kZeros, random);
  Parameters<double> p;
  block.collect("up", {"a", "b"}, p);
  double largest = 0;
  for (const double v : p[0].variable.value().to_vector()) largest = std::max(largest, std::abs(v));
  CHECK(largest > 0.02);
  CHECK(largest <= 0.04);
  for (std::size_t i = 1; i < p.size(); ++i) {
    for (const double v : p[i].variable.value().to_vector()) CHECK(v == 0);
  }
}

TEST_CASE("UpBlock: a tensor of another size is refused") {
  Random random(1);
  const UpBlock<float> block(2, 1, kLeaky, Initializer::kZeros, random);
  const Variable<float> x(Tensor<float>::zeros({1, 4, 2, 2})), skip(Tensor<float>::zeros({1, 2, 6, 4}));
  CHECK_THAT(error_of([&] { block(x, skip); }),
             Contains("conv_transpose2d: expected an output height of 1 to 5, got 6"));
}

TEST_CASE("blocks: gradients of the inputs and of every parameter", "[grad]") {
  const ThreadScope one(1);  // for many tiny calls
  Random random(3);
  GradcheckOptions kinks;
  kinks.skip_kinks = true;
  for (const auto& [h, w] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 4}, {5, 5}}) {
    INFO(h << "x" << w);
    const UpBlock<double> block(2, 2, kLeaky, Initializer::kHeNormal, random);
    Parameters<double> p;
    block.collect("up", {"a", "b"}, p);
    std::vector<Variable<double>> inputs = variables_of(p);
    inputs.emplace_back(random_tensor({1, 4, (h + 1) / 2, (w + 1) / 2}, 2), true);
    inputs.emplace_back(random_tensor({1, 2, h, w}, 3), true);
    CHECK(gradcheck([&](const auto& in) { return block(in[in.size() - 2], in[in.size() - 1]); }, inputs, kinks));
  }
}

}  // namespace
}  // namespace kind::testing
