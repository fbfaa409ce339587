#include "losses/decomposition.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/losses/values.h"
#include "tests/support/errors.h"

namespace {

using Catch::Contains;
using kind::BlurredReconstruction;
using kind::GradientBorder;
using kind::GradientForm;
using kind::GradientSpec;
using kind::IlluminationSmoothness;
using kind::MutualConsistency;
using kind::Norm;
using kind::Reconstruction;
using kind::ReflectanceSimilarity;
using kind::Shape;
using kind::Tensor;
using kind::Variable;
using kind::testing::data;
using kind::testing::error_of;
using kind::testing::gradcheck;
using kind::testing::random_pictures;

const GradientSpec kZero{GradientForm::kPaper, GradientBorder::kZero};
const GradientSpec kValid{GradientForm::kPaper, GradientBorder::kValid};
const GradientSpec kOfficial{GradientForm::kOfficial, GradientBorder::kZero};

TEST_CASE("reconstruction and reflectance similarity by hand", "[losses]") {
  const Variable<double> i = data({1, 3, 1, 1}, {0.5, 0.2, 0.9}), r = data({1, 3, 1, 1}, {0.8, 0.4, 1.0});
  const Variable<double> l = data({1, 1, 1, 1}, {0.5});
  CHECK(Reconstruction{Norm::kL1}(i, r, l).value().item() == Approx((0.1 + 0 + 0.4) / 3));
  CHECK(Reconstruction{Norm::kL2}(i, r, l).value().item() == Approx((0.01 + 0 + 0.16) / 3));
  CHECK(ReflectanceSimilarity{Norm::kL1}(i, r).value().item() == Approx((0.3 + 0.2 + 0.1) / 3));
  CHECK(ReflectanceSimilarity{Norm::kL2}(i, r).value().item() == Approx((0.09 + 0.04 + 0.01) / 3));
}

TEST_CASE("relative reconstruction divides by the picture's light", "[losses]") {
  // Two pixels: means 0.5 and 0.1, differences 0.1, 0, 0.3 and 0.02, 0.04, 0.
  const Variable<double> i = data({1, 3, 1, 2}, {0.5, 0.1, 0.2, 0.15, 0.8, 0.05}),
                         r = data({1, 3, 1, 2}, {0.8, 0.4, 0.4, 0.95, 1.0, 0.25}), l = data({1, 1, 1, 2}, {0.5, 0.2});
  const double bright = 0.5 + 0.1, dark = 0.1 + 0.1;
  CHECK(Reconstruction{Norm::kL1, 0.1}(i, r, l).value().item() == Approx((0.4 / bright + 0.06 / dark) / 6));
  CHECK(Reconstruction{Norm::kL2, 0.1}(i, r, l).value().item() ==
        Approx((0.1 / (bright * bright) + 0.002 / (dark * dark)) / 6));
  CHECK(Reconstruction{Norm::kL1, 1e9}(i, r, l).value().item() < 1e-8);
}

TEST_CASE("blurred reconstruction is the relative color and light of what is left without noise", "[losses]") {
  // One pixel is its own blur.
  const Variable<double> i = data({1, 3, 1, 1}, {0.5, 0.2, 0.8}), r = data({1, 3, 1, 1}, {0.8, 0.4, 1.0}),
                         l = data({1, 1, 1, 1}, {0.5});
  CHECK(BlurredReconstruction{Norm::kL1, 3, 0.1}(i, r, l).value().item() == Approx((0.1 + 0.3) / 0.6 / 3));
  CHECK(BlurredReconstruction{Norm::kL2, 3, 0.1}(i, r, l).value().item() == Approx((0.01 + 0.09) / 0.36 / 3));
  // Under a very wide blur two pixels are their mean: a difference that alternates goes.
  const Variable<double> two = data({1, 3, 1, 2}, {0.2, 0.4, 0.2, 0.4, 0.2, 0.4}),
                         swapped = data({1, 3, 1, 2}, {0.4, 0.2, 0.4, 0.2, 0.4, 0.2}),
                         even = data({1, 3, 1, 2}, {0.3, 0.3, 0.3, 0.3, 0.36, 0.36}), one = data({1, 1, 1, 2}, {1, 1});
  CHECK(BlurredReconstruction{Norm::kL1, 900, 0.1}(two, swapped, one).value().item() == Approx(0).margin(1e-6));
  CHECK(BlurredReconstruction{Norm::kL1, 900, 0.1}(two, even, one).value().item() ==
        Approx(0.06 / 0.4 / 3).epsilon(1e-4));
}

TEST_CASE("illumination smoothness by hand", "[losses]") {
  // Gray is 0.9999 of a gray pixel: its weights do not quite add up to 1. Down the column the picture is flat.
  const Variable<double> l = data({1, 1, 2, 2}, {0.6, 0.2, 0.7, 0.3});
  const Variable<double> i = data({1, 3, 2, 2}, {0.1, 0.3, 0.1, 0.3, 0.1, 0.3, 0.1, 0.3, 0.1, 0.3, 0.1, 0.3});
  const double x = 0.4 / (0.2 * 0.9999), y = 0.1 / 0.05;
  CHECK(IlluminationSmoothness{0.05, kZero}(l, i).value().item() == Approx((x + y) / 2));
  CHECK(IlluminationSmoothness{0.05, kValid}(l, i).value().item() == Approx(x + y));
  CHECK(IlluminationSmoothness{0.5, kValid}(l, i).value().item() == Approx(0.4 / 0.5 + 0.1 / 0.5));
  // Official x maps: of l 0.4, 0.3 over 0.4, of gray 0.2, 0.3 over 0.3 (times 0.9999), and a row of zeros; y maps: of l
  // 0.1, 0.3 over 0.3, of gray 0, 0.3 over 0.3, and a column of zeros.
  const double dx = 0.4 + 1e-4, dy = 0.3 + 1e-4, dg = 0.3 * 0.9999 + 1e-4;
  const double official_x = (0.4 / dx) / (0.2 * 0.9999 / dg) + (0.3 / dx) / (0.3 * 0.9999 / dg);
  const double official_y = (0.1 / dy) / 0.01 + (0.3 / dy) / (0.3 * 0.9999 / dg);
  CHECK(IlluminationSmoothness{0.01, kOfficial}(l, i).value().item() == Approx((official_x + official_y) / 4));
}

TEST_CASE("mutual consistency by hand", "[losses]") {
  const Variable<double> low = data({1, 1, 1, 2}, {0.2, 0.5}), high = data({1, 1, 1, 2}, {0.3, 0.1});
  CHECK(MutualConsistency{10, kZero}(low, high).value().item() == Approx(0.5 * std::exp(-5.0) / 2));
  CHECK(MutualConsistency{2, kZero}(low, high).value().item() == Approx(0.5 * std::exp(-1.0) / 2));
  CHECK(MutualConsistency{0, kZero}(low, high).value().item() == Approx(0.5 / 2));
  const Variable<double> taller = data({1, 1, 2, 2}, {0.2, 0.5, 0.2, 0.5});
  CHECK(MutualConsistency{0, kValid}(taller, taller).value().item() == Approx(0.6));
}

TEST_CASE("decomposition terms of a single pixel", "[losses]") {
  const Variable<double> l = data({1, 1, 1, 1}, {0.4}), i = data({1, 3, 1, 1}, {0.1, 0.2, 0.3});
  for (const GradientSpec& spec : {kZero, kOfficial}) {
    CHECK(IlluminationSmoothness{0.01, spec}(l, i).value().item() == 0);
    CHECK(MutualConsistency{10, spec}(l, l).value().item() == 0);
  }
  CHECK_THAT(error_of([&] { MutualConsistency{10, kValid}(l, l); }), Contains("[1, 1, 1, 1]"));
}

TEST_CASE("decomposition terms agree with finite differences", "[losses][grad]") {
  for (const Shape& size : {Shape{2, 3, 5, 4}, Shape{1, 3, 2, 7}}) {
    const Tensor<double> i = random_pictures(size, 11), r = random_pictures(size, 12), r2 = random_pictures(size, 13);
    const Tensor<double> l = random_pictures(size.with(1, 1), 14), l2 = random_pictures(size.with(1, 1), 15);
    for (const Norm norm : {Norm::kL1, Norm::kL2}) {
      INFO(size.text() << ", norm " << static_cast<int>(norm));
      CHECK(
          gradcheck([&](const std::vector<Variable<double>>& in) { return Reconstruction{norm}(in[0], in[1], in[2]); },
                    {i, r, l}));
      CHECK(gradcheck(
          [&](const std::vector<Variable<double>>& in) {
            return Reconstruction{norm, 0.05}(Variable<double>(i), in[0], in[1]);
          },
          {r, l}));
      CHECK(gradcheck(
          [&](const std::vector<Variable<double>>& in) {
            return BlurredReconstruction{norm, 0.8, 0.05}(Variable<double>(i), in[0], in[1]);
          },
          {r, l}));
      CHECK(gradcheck(
          [&](const std::vector<Variable<double>>& in) { return ReflectanceSimilarity{norm}(in[0], in[1]); }, {r, r2}));
    }
    for (const GradientSpec& spec : {kZero, kValid, kOfficial}) {
      for (const double parameter : {0.01, 0.3}) {
        INFO(size.text() << ", form " << static_cast<int>(spec.form) << ", border " << static_cast<int>(spec.border)
                         << ", parameter " << parameter);
        CHECK(gradcheck(
            [&](const std::vector<Variable<double>>& in) {
              return IlluminationSmoothness{parameter, spec}(in[0], in[1]);
            },
            {l, i}));
        for (const double c : {0.0, 10 * parameter, 10.0}) {
          CHECK(gradcheck(
              [&](const std::vector<Variable<double>>& in) {
                return MutualConsistency{c, spec}(in[0], in[1]);
              },
              {l, l2}));
        }
      }
    }
  }
}

TEST_CASE("decomposition terms refuse shapes that do not fit", "[losses]") {
  const auto of = [](const Shape& shape) { return Variable<double>(Tensor<double>::full(shape, 0.5)); };
  const Variable<double> i = of({2, 3, 4, 5}), l = of({2, 1, 4, 5});
  CHECK_THAT(error_of([&] {
               Reconstruction{}(i, i, of({1, 1, 4, 5}));
             }),
             Contains("reconstruction: ") && Contains("[1, 1, 4, 5]") && Contains("[2, 3, 4, 5]"));
  CHECK_THAT(error_of([&] { Reconstruction{}(of({2, 3, 4, 4}), i, l); }), Contains("[2, 3, 4, 4] and [2, 3, 4, 5]"));
  CHECK_THAT(error_of([&] { Reconstruction{Norm::kL1, 0.0}(i, i, l); }), Contains("greater than 0, got 0"));
  CHECK_THAT(error_of([&] { BlurredReconstruction{}(i, i, i); }), Contains("blurred_reconstruction: "));
  CHECK_THAT(error_of([&] {
               BlurredReconstruction{}(of({2, 3, 4, 4}), i, l);
             }),
             Contains("blurred_reconstruction: ") && Contains("[2, 3, 4, 4] and [2, 3, 4, 5]"));
  CHECK_THAT(error_of([&] { BlurredReconstruction{Norm::kL1, 0, 0.1}(i, i, l); }), Contains("sigma greater than 0"));
  CHECK_THAT(error_of([&] { BlurredReconstruction{Norm::kL1, 1, 0}(i, i, l); }), Contains("epsilon greater than 0"));
  CHECK_THAT(error_of([&] { ReflectanceSimilarity{}(i, l); }), Contains("reflectance_similarity: "));
  CHECK_THAT(error_of([&] { IlluminationSmoothness{}(i, i); }), Contains("illumination_smoothness: "));
  CHECK_THAT(error_of([&] { IlluminationSmoothness{}(l, l); }), Contains("gray: ") && Contains("[2, 1, 4, 5]"));
  CHECK_THAT(error_of([&] { MutualConsistency{}(l, of({2, 1, 4, 4})); }), Contains("mutual_consistency: "));
  CHECK_THAT(error_of([&] { IlluminationSmoothness{0}(l, i); }), Contains("epsilon greater than 0, got 0"));
  CHECK_THAT(error_of([&] { MutualConsistency{-1}(l, l); }), Contains("c of at least 0, got -1"));
}

}  // namespace
