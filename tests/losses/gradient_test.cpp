#include "losses/gradient.h"

#include <catch2/catch.hpp>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "tests/losses/values.h"
#include "tests/support/errors.h"
#include "tests/support/reference.h"

namespace {

using Catch::Contains;
using kind::GradientBorder;
using kind::GradientForm;
using kind::GradientSpec;
using kind::Shape;
using kind::Tensor;
using kind::Variable;
using kind::testing::data;
using kind::testing::error_of;
using kind::testing::gradcheck;
using kind::testing::largest_difference;
using kind::testing::poison;
using kind::testing::random_pictures;
using kind::testing::read_reference_nhwc;
using kind::testing::reference_dir;

const GradientSpec kZero{GradientForm::kPaper, GradientBorder::kZero};
const GradientSpec kValid{GradientForm::kPaper, GradientBorder::kValid};
const GradientSpec kOfficial{GradientForm::kOfficial, GradientBorder::kZero};

std::vector<double> scaled(std::vector<double> values, double divisor) {
  for (double& v : values) v /= divisor;
  return values;
}

void check_values(const Variable<double>& map, const Shape& shape, const std::vector<double>& expected) {
  REQUIRE(map.shape() == shape);
  for (std::int64_t i = 0; i < map.value().size(); ++i) {
    INFO("index " << i);
    CHECK(map.value()[i] == Approx(expected[static_cast<std::size_t>(i)]).margin(1e-15));
  }
}

TEST_CASE("gradients of a small picture by hand", "[losses]") {
  const Variable<double> t = data({1, 1, 2, 3}, {1, 4, 9, 2, 3, 7});
  poison(t.shape());
  const auto zero = image_gradients(t, kZero);
  check_values(zero.x, {1, 1, 2, 3}, {3, 5, 0, 1, 4, 0});
  check_values(zero.y, {1, 1, 2, 3}, {1, -1, -2, 0, 0, 0});
  const auto valid = image_gradients(t, kValid);
  check_values(valid.x, {1, 1, 2, 2}, {3, 5, 1, 4});
  check_values(valid.y, {1, 1, 1, 3}, {1, -1, -2});
  // Both maps are of the next row (x) or column (y), beyond which the picture is 0.
  const auto official = image_gradients(t, kOfficial);
  check_values(official.x, {1, 1, 2, 3}, scaled({1, 4, 7, 0, 0, 0}, 7 + 1e-4));
  check_values(official.y, {1, 1, 2, 3}, scaled({1, 2, 0, 3, 7, 0}, 7 + 1e-4));
  const auto magnitudes = gradient_magnitudes(t, kZero);
  check_values(magnitudes.y, {1, 1, 2, 3}, {1, 1, 2, 0, 0, 0});
}

TEST_CASE("official gradients are stretched over the whole batch", "[losses]") {
  const auto g = image_gradients(data({2, 1, 2, 2}, {0, 0, 1, 5, 0, 0, 2, 9}), kOfficial);
  check_values(g.x, {2, 1, 2, 2}, scaled({4, 5, 0, 0, 7, 9, 0, 0}, 9 + 1e-4));
}

TEST_CASE("gradients of a single pixel, row or column", "[losses]") {
  for (const GradientSpec& spec : {kZero, kOfficial}) {
    const auto g = image_gradients(data({1, 1, 1, 1}, {0.7}), spec);
    check_values(g.x, {1, 1, 1, 1}, {0});
    check_values(g.y, {1, 1, 1, 1}, {0});
  }
  const Variable<double> row = data({1, 1, 1, 3}, {1, 3, 2}), column = data({1, 1, 3, 1}, {1, 3, 2});
  check_values(image_gradients(row, kZero).x, {1, 1, 1, 3}, {2, -1, 0});
  check_values(image_gradients(row, kZero).y, {1, 1, 1, 3}, {0, 0, 0});
  check_values(image_gradients(column, kZero).x, {1, 1, 3, 1}, {0, 0, 0});
  check_values(image_gradients(column, kZero).y, {1, 1, 3, 1}, {2, -1, 0});
  check_values(image_gradients(row, kOfficial).x, {1, 1, 1, 3}, {0, 0, 0});
  check_values(image_gradients(row, kOfficial).y, {1, 1, 1, 3}, scaled({3, 2, 0}, 3 + 1e-4));
  check_values(image_gradients(column, kOfficial).x, {1, 1, 3, 1}, scaled({3, 2, 0}, 3 + 1e-4));
  CHECK_THAT(error_of([&] { image_gradients(row, kValid); }), Contains("[1, 1, 1, 3]") && Contains("at least 2 x 2"));
  CHECK_THAT(error_of([&] { image_gradients(column, kValid); }), Contains("zero borders take any size"));
  CHECK_THAT(error_of([&] { image_gradients(data({3}, {1, 2, 3}), kZero); }), Contains("[n, c, h, w], got [3]"));
}

TEST_CASE("gray has the weights of the authors' program", "[losses]") {
  const Variable<double> x = data({2, 3, 1, 2}, {1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1});
  check_values(gray(x), {2, 1, 1, 2}, {0.2989, 0.5870, 0.1140, 0.9999});
  CHECK_THAT(error_of([] {
               gray(data({1, 1, 1, 1}, {0}));
             }),
             Contains("gray: expected RGB") && Contains("[1, 1, 1, 1]"));
}

TEST_CASE("gradients of gradients and gray agree with finite differences", "[losses][grad]") {
  for (const Shape& shape : {Shape{2, 2, 4, 5}, Shape{1, 1, 2, 2}, Shape{1, 3, 7, 2}, Shape{2, 1, 3, 9}}) {
    for (const GradientSpec& spec : {kZero, kValid, kOfficial}) {
      INFO(shape.text() << ", form " << static_cast<int>(spec.form) << ", border " << static_cast<int>(spec.border));
      const auto x = [&](const std::vector<Variable<double>>& in) { return image_gradients(in[0], spec).x; };
      const auto y = [&](const std::vector<Variable<double>>& in) { return image_gradients(in[0], spec).y; };
      const auto both = [&](const std::vector<Variable<double>>& in) {
        const auto g = gradient_magnitudes(in[0], spec);
        return sum(square(g.x)) + sum(g.y);
      };
      const std::vector<Tensor<double>> inputs = {random_pictures(shape, 1)};
      CHECK(gradcheck(x, inputs));
      CHECK(gradcheck(y, inputs));
      CHECK(gradcheck(both, inputs));
    }
  }
  for (const GradientSpec& spec : {kZero, kOfficial}) {
    CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return image_gradients(in[0], spec).y; },
                    {random_pictures({1, 1, 1, 5}, 2)}));
    CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return image_gradients(in[0], spec).x; },
                    {random_pictures({1, 1, 1, 1}, 3)}));
  }
  CHECK(gradcheck([](const std::vector<Variable<double>>& in) { return gray(in[0]); },
                  {random_pictures({2, 3, 3, 5}, 4)}));
}

// y0 = raw0 / (max + 1e-4) with raw0 = b - a, raw1 = b, which tie for max: each has half of what passes through it.
TEST_CASE("ties for the largest gradient share its derivative", "[losses][grad]") {
  Variable<double> t(Tensor<double>({1, 1, 2, 2}, {0, 0, 0, 2}), true);
  Variable<double> g = image_gradients(t, kOfficial).x;
  const double range = 2 + 1e-4;
  check_values(g, {1, 1, 2, 2}, scaled({2, 2, 0, 0}, range));
  Tensor<double> seed = Tensor<double>::zeros(g.shape());
  seed[0] = 1;
  g.backward(seed);
  const double own = 1 / range, half_of_max = -2 / (range * range) / 2;
  CHECK(t.grad()[2] == Approx(-(own + half_of_max)).epsilon(1e-12));
  CHECK(t.grad()[3] == Approx(own + 2 * half_of_max).epsilon(1e-12));
  CHECK(t.grad()[0] == 0);
  CHECK(t.grad()[1] == 0);
}

TEST_CASE("reference gradients", "[losses][golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto read = [&](const char* name) {
    return read_reference_nhwc<double>(*folder + "/losses/units/gradient_" + name + ".npy");
  };
  const Variable<double> t(read("input"));
  const auto g = image_gradients(t, kOfficial);
  CHECK(largest_difference(g.x.value(), read("norm_x")) < 1e-12);
  CHECK(largest_difference(g.y.value(), read("norm_y")) < 1e-12);
  // The normalised map times its divisor is the raw one: its minimum is 0 in the last row.
  const auto raw = [](const Variable<double>& map, const Tensor<double>& expected) {
    return add(max(Variable<double>(expected)), 1e-4) * map;
  };
  CHECK(largest_difference(raw(g.x, read("raw_x")).value(), read("raw_x")) < 1e-12);
  CHECK(largest_difference(raw(g.y, read("raw_y")).value(), read("raw_y")) < 1e-12);
}

}  // namespace
