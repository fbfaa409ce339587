#include "losses/gt_mean.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/ops/elementwise.h"
#include "losses/comparison.h"
#include "tests/losses/values.h"
#include "tests/support/errors.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("the weight of gt_mean is the Bhattacharyya distance of the means", "[losses]") {
  CHECK(gt_mean_weight(0.4, 0.4, 0.1) == 0);
  CHECK(gt_mean_weight(0.2, 0.4, 0.1) == 1);
  // By numerical integration of sqrt(p q).
  for (const auto& [a, b] : {std::pair{0.4, 0.36}, {0.3, 0.36}, {0.05, 0.055}}) {
    const double sa = 0.1 * a, sb = 0.1 * b;
    double coefficient = 0;
    constexpr int kSteps = 20000;
    const double step = 2 * (a + b) / kSteps;
    for (int i = 0; i < kSteps; ++i) {
      const double v = (i + 0.5) * step - (a + b) / 2;
      const double p = std::exp(-(v - a) * (v - a) / (2 * sa * sa)) / sa,
                   q = std::exp(-(v - b) * (v - b) / (2 * sb * sb)) / sb;
      coefficient += step * std::sqrt(p * q / (2 * std::acos(-1.0)));
    }
    CHECK(gt_mean_weight(a, b, 0.1) == Approx(-std::log(coefficient)).epsilon(1e-4));
    CHECK(gt_mean_weight(b, a, 0.1) == Approx(gt_mean_weight(a, b, 0.1)));
  }
}

/// Pictures of which one is near its target's light, one as bright, one far away, and one black.
Tensor<double> outputs(const Tensor<double>& targets) {
  const double factors[] = {0.95, 1.02, 0.3, 0};
  Tensor<double> x = random_pictures(targets.shape(), 3);
  const std::int64_t size = x.size() / 4;
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = factors[i / size] * (0.9 * targets[i] + 0.1 * x[i]);
  return x;
}

TEST_CASE("gt_mean compares each picture as it is and at its target's light", "[losses]") {
  const Variable<double> t(random_pictures({4, 3, 3, 5}, 2)), x(outputs(t.value()));
  const auto pictures = levelled_pictures(0.1, x, t);
  REQUIRE(pictures.size() == 4);
  CHECK((pictures[0].weight > 0.01 && pictures[0].weight < 0.9 && pictures[1].weight < pictures[0].weight));
  CHECK((pictures[2].weight == 1 && pictures[3].weight == 1));
  CHECK((!pictures[2].scaled.defined() && !pictures[3].scaled.defined()));
  const Square square{Norm::kL1};
  double expected = 0;
  for (const auto& p : pictures) {
    double as_it_is = 0, scaled = 0, gray_x = 0, gray_t = 0;
    const double weights[] = {0.2989, 0.5870, 0.1140};
    for (std::int64_t i = 0; i < 45; ++i) {
      gray_x += weights[i / 15] * p.picture.value()[i];
      gray_t += weights[i / 15] * p.target.value()[i];
    }
    for (std::int64_t i = 0; i < 45; ++i) {
      as_it_is += std::abs(p.picture.value()[i] - p.target.value()[i]) / 45;
      scaled += std::abs(std::clamp(p.picture.value()[i] * gray_t / gray_x, 0.0, 1.0) - p.target.value()[i]) / 45;
    }
    expected += (p.weight * as_it_is + (p.weight < 1 ? (1 - p.weight) * scaled : 0)) / 4;
  }
  CHECK(mean_of_levelled(pictures, [&](const auto& a, const auto& b) { return square(a, b); }).value().item() ==
        Approx(expected));
}

TEST_CASE("gt_mean agrees with finite differences where its weight stays", "[losses][grad]") {
  for (const Shape& size : {Shape{4, 3, 3, 5}, Shape{4, 3, 1, 1}}) {
    const Variable<double> t(random_pictures(size, 2));
    const Tensor<double> x = outputs(t.value());
    // The weight has no gradient, so the differences are taken with that of x.
    std::vector<double> weights;
    for (const auto& p : levelled_pictures(0.1, Variable<double>(x), t)) weights.push_back(p.weight);
    for (const Norm norm : {Norm::kL1, Norm::kL2}) {
      const Square square{norm};
      CHECK(gradcheck(
          [&](const std::vector<Variable<double>>& in) {
            auto pictures = levelled_pictures(0.1, in[0], t);
            for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i].weight = weights[i];
            return mean_of_levelled(pictures, [&](const auto& a, const auto& b) { return square(a, b); });
          },
          {x}));
    }
  }
}

TEST_CASE("gt_mean refuses what are no RGB pictures", "[losses]") {
  const auto of = [](const Shape& shape) { return Variable<double>(Tensor<double>::full(shape, 0.5)); };
  CHECK_THAT(error_of([&] { levelled_pictures(0.1, of({1, 3, 2, 2}), of({2, 3, 2, 2})); }), Contains("gt_mean: "));
  CHECK_THAT(error_of([&] {
               levelled_pictures(0.1, of({1, 1, 2, 2}), of({1, 1, 2, 2}));
             }),
             Contains("gt_mean: expected RGB pictures [n, 3, h, w], got [1, 1, 2, 2]"));
}

}  // namespace
}  // namespace kind::testing
