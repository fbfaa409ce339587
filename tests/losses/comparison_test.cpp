#include "losses/comparison.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/losses/values.h"
#include "tests/support/errors.h"

namespace {

using Catch::Contains;
using kind::ColorDifference;
using kind::EdgeDifference;
using kind::GradientBorder;
using kind::GradientChannels;
using kind::GradientDifference;
using kind::GradientForm;
using kind::GradientSpec;
using kind::Norm;
using kind::Shape;
using kind::Square;
using kind::SsimLoss;
using kind::Tensor;
using kind::Variable;
using kind::testing::data;
using kind::testing::error_of;
using kind::testing::gradcheck;
using kind::testing::random_pictures;

const GradientSpec kZero{GradientForm::kPaper, GradientBorder::kZero};
const GradientSpec kValid{GradientForm::kPaper, GradientBorder::kValid};
const GradientSpec kOfficial{GradientForm::kOfficial, GradientBorder::kZero};

double value(const Variable<double>& v) { return v.value().item(); }

TEST_CASE("square by hand", "[losses]") {
  const Variable<double> x = data({1, 1, 1, 2}, {0.5, 0.1}), t = data({1, 1, 1, 2}, {0.2, 0.2});
  CHECK(value(Square{}(x, t)) == Approx((0.09 + 0.01) / 2));
  CHECK(value(Square{Norm::kL1}(x, t)) == Approx((0.3 + 0.1) / 2));
}

TEST_CASE("gradient difference by hand", "[losses]") {
  // x falls where t rises: signed gradients are 0.8 apart, their magnitudes the same.
  const Variable<double> x = data({1, 1, 1, 2}, {0.5, 0.1}), t = data({1, 1, 1, 2}, {0.1, 0.5});
  CHECK(value(GradientDifference{kZero}(x, t)) == Approx(0.64 / 2));
  CHECK(value(GradientDifference{kZero, GradientChannels::kRgb, true}(x, t)) == Approx(0).margin(1e-15));
  // Red rises by 1 where t is flat, the other channels are the same.
  const Variable<double> red = data({1, 3, 2, 2}, {0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0});
  const Variable<double> black = data({1, 3, 2, 2}, std::vector<double>(12, 0.0));
  CHECK(value(GradientDifference{kZero}(red, black)) == Approx(1.0 / 6));
  CHECK(value(GradientDifference{kValid}(red, black)) == Approx(1.0 / 3));
  CHECK(value(GradientDifference{kZero, GradientChannels::kGray}(red, black)) == Approx(0.2989 * 0.2989 / 2));
  // Official maps of the gray of red: x 1, 1 and a row of zeros, y 0, 1 and a column of zeros, each over its largest.
  const double g = 0.2989 / (0.2989 + 1e-4);
  CHECK(value(GradientDifference{kOfficial, GradientChannels::kGray}(red, black)) == Approx(3 * g * g / 4));
  // One channel is gray already.
  CHECK(value(GradientDifference{kZero, GradientChannels::kGray}(x, t)) == Approx(0.64 / 2));
}

TEST_CASE("edge difference by hand", "[losses]") {
  // Differences 0.1 0.4 0.2 over 0 0 0.3: Laplacians 0.2 -0.9 0.3 over 0.1 0.7 -0.4.
  const Variable<double> x = data({1, 1, 2, 3}, {0.3, 0.5, 0.6, 0.2, 0.2, 0.9}),
                         t = data({1, 1, 2, 3}, {0.2, 0.1, 0.4, 0.2, 0.2, 0.6});
  CHECK(value(EdgeDifference{}(x, t)) == Approx((0.2 + 0.9 + 0.3 + 0.1 + 0.7 + 0.4) / 6));
  const Variable<double> one = data({1, 1, 1, 1}, {0.3}), other = data({1, 1, 1, 1}, {0.9});
  CHECK(value(EdgeDifference{}(one, other)) == 0);
}

TEST_CASE("color difference does not depend on where in the picture a flat difference lies", "[losses]") {
  for (const Shape& shape : {Shape{1, 3, 1, 1}, Shape{2, 3, 4, 31}, Shape{1, 1, 2, 3}}) {
    INFO(shape.text());
    const Variable<double> x(Tensor<double>::full(shape, 0.7)), t(Tensor<double>::full(shape, 0.4));
    CHECK(value(ColorDifference{}(x, t)) == Approx(0.09).epsilon(1e-12));
    CHECK(value(ColorDifference{Norm::kL1, 1}(x, t)) == Approx(0.3).epsilon(1e-12));
  }
}

TEST_CASE("color difference agrees with its definition", "[losses]") {
  const double sigma = 0.9;
  const std::int64_t h = 5, w = 8, radius = 3;
  const Tensor<double> x = random_pictures({1, 2, h, w}, 31), t = random_pictures({1, 2, h, w}, 32);
  double l1 = 0, l2 = 0;
  for (std::int64_t at = 0; at < 2 * h * w; ++at) {
    const std::int64_t plane = at / (h * w), i = at / w % h, j = at % w;
    double sum = 0, weights = 0;
    for (std::int64_t a = std::max<std::int64_t>(0, i - radius); a <= std::min(h - 1, i + radius); ++a) {
      for (std::int64_t b = std::max<std::int64_t>(0, j - radius); b <= std::min(w - 1, j + radius); ++b) {
        const double weight =
            std::exp(-static_cast<double>((a - i) * (a - i) + (b - j) * (b - j)) / (2 * sigma * sigma));
        sum += weight * (x[(plane * h + a) * w + b] - t[(plane * h + a) * w + b]);
        weights += weight;
      }
    }
    l1 += std::abs(sum / weights);
    l2 += sum * sum / (weights * weights);
  }
  const double count = static_cast<double>(2 * h * w);
  CHECK(value(ColorDifference{Norm::kL1, sigma}(Variable<double>(x), Variable<double>(t))) == Approx(l1 / count));
  CHECK(value(ColorDifference{Norm::kL2, sigma}(Variable<double>(x), Variable<double>(t))) == Approx(l2 / count));
}

TEST_CASE("the blur of sigma 3 reaches ten pixels", "[losses]") {
  const auto gradient_at = [](std::int64_t distance) {
    Tensor<double> x = Tensor<double>::zeros({1, 1, 1, 23});
    x[0] = 1;
    Variable<double> v(x, true);
    ColorDifference{}(v, Variable<double>(Tensor<double>::zeros(x.shape()))).backward();
    return v.grad()[distance];  // of a pixel both of whose blurs see the first one's
  };
  CHECK(gradient_at(20) > 0);
  CHECK(gradient_at(21) == 0);
}

TEST_CASE("comparison terms agree with finite differences", "[losses][grad]") {
  for (const Shape& shape : {Shape{2, 3, 5, 4}, Shape{1, 3, 2, 7}, Shape{2, 1, 3, 3}}) {
    const std::vector<Tensor<double>> pair = {random_pictures(shape, 33), random_pictures(shape, 34)};
    CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return EdgeDifference{}(in[0], in[1]); }, pair));
    for (const Norm norm : {Norm::kL1, Norm::kL2}) {
      INFO(shape.text() << ", norm " << static_cast<int>(norm));
      CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return Square{norm}(in[0], in[1]); }, pair));
      for (const double sigma : {0.5, 3.0}) {
        CHECK(gradcheck(
            [&](const std::vector<Variable<double>>& in) {
              return ColorDifference{norm, sigma}(in[0], in[1]);
            },
            pair));
      }
    }
    for (const GradientSpec& spec : {kZero, kValid, kOfficial}) {
      for (const GradientChannels channels : {GradientChannels::kRgb, GradientChannels::kGray}) {
        for (const bool magnitude : {false, true}) {
          INFO(shape.text() << ", form " << static_cast<int>(spec.form) << ", border " << static_cast<int>(spec.border)
                            << ", channels " << static_cast<int>(channels) << ", magnitude " << magnitude);
          CHECK(gradcheck(
              [&](const std::vector<Variable<double>>& in) {
                return GradientDifference{spec, channels, magnitude}(in[0], in[1]);
              },
              pair));
        }
      }
    }
  }
  CHECK(gradcheck(
      [](const std::vector<Variable<double>>& in) {
        return SsimLoss{{3, 1.5, 1}}(in[0], in[1]);
      },
      {random_pictures({1, 3, 5, 4}, 35), random_pictures({1, 3, 5, 4}, 36)}));
}

TEST_CASE("comparison terms of the same picture are 0", "[losses]") {
  const Variable<double> x(random_pictures({2, 3, 12, 11}, 37));
  CHECK(value(Square{}(x, x)) == 0);
  CHECK(value(GradientDifference{kOfficial, GradientChannels::kGray}(x, x)) == 0);
  CHECK(value(SsimLoss{}(x, x)) == 0);
  CHECK(value(ColorDifference{}(x, x)) == 0);
}

TEST_CASE("comparison terms refuse shapes that do not fit", "[losses]") {
  const auto of = [](const Shape& shape) { return Variable<double>(Tensor<double>::full(shape, 0.5)); };
  const Variable<double> x = of({2, 3, 4, 5}), t = of({2, 1, 4, 5});
  CHECK_THAT(error_of([&] { Square{}(x, t); }), Contains("square: ") && Contains("[2, 3, 4, 5] and [2, 1, 4, 5]"));
  CHECK_THAT(error_of([&] { GradientDifference{}(x, t); }), Contains("gradient: "));
  CHECK_THAT(error_of([&] { SsimLoss{}(x, x); }), Contains("ssim: ") && Contains("window"));
  CHECK_THAT(error_of([&] { ColorDifference{}(x, t); }), Contains("color: "));
  CHECK_THAT(error_of([&] { ColorDifference{Norm::kL2, 0}(x, x); }), Contains("sigma") && Contains("got 0"));
  const GradientDifference two_channels{kZero, GradientChannels::kGray};
  CHECK_THAT(error_of([&] { two_channels(of({1, 2, 3, 3}), of({1, 2, 3, 3})); }), Contains("[1, 2, 3, 3]"));
}

}  // namespace
