#include "losses/metrics/loe.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"

namespace kind::testing {
namespace {

/// A picture whose largest channel at row i and column j is value(i, j).
template <class F>
Tensor<float> picture(std::int64_t rows, std::int64_t columns, const F& value) {
  Tensor<float> x(Shape{1, 3, rows, columns});
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      for (std::int64_t c = 0; c < 3; ++c) {
        const float v = static_cast<float>(value(i, j));
        x[(c * rows + i) * columns + j] = c == (i + j) % 3 ? v : v / 2;
      }
    }
  }
  return x;
}

TEST_CASE("loe: pixels that keep their order cost nothing, others are counted", "[metrics]") {
  const auto ramp = picture(50, 50, [](std::int64_t, std::int64_t j) { return 10 + 2 * j; });
  CHECK(lightness_order_error(ramp, ramp) == std::optional<double>(0));
  CHECK(lightness_order_error(
            picture(50, 50, [](std::int64_t, std::int64_t j) { return std::sqrt(static_cast<double>(j + 1)); }),
            ramp) == std::optional<double>(0));
  // Turned round: every pair changes but those of the same column.
  const auto falling = picture(50, 50, [](std::int64_t, std::int64_t j) { return 200 - 2 * j; });
  CHECK(lightness_order_error(falling, ramp) == std::optional<double>(2500 - 50));
  // One colour: x >= y now holds for all, which is wrong for the pairs with x < y, half of those that differ.
  CHECK(lightness_order_error(picture(50, 50, [](std::int64_t, std::int64_t) { return 99; }), ramp) ==
        std::optional<double>((2500 - 50) / 2));
}

TEST_CASE("loe: the largest channel counts, sampled to 50 along the shorter side", "[metrics]") {
  const auto noise = random_tensor<float>(Shape{1, 1, 50, 75}, 1, 50, 255),
             other = random_tensor<float>(Shape{1, 1, 50, 75}, 2, 50, 255);
  const auto blocks = [](const Tensor<float>& values, std::int64_t side, bool turned) {
    return picture((turned ? 75 : 50) * side, (turned ? 50 : 75) * side, [&](std::int64_t i, std::int64_t j) {
      return turned ? values[j / side * 75 + i / side] : values[i / side * 75 + j / side];
    });
  };
  const double error = lightness_order_error(blocks(noise, 1, false), blocks(other, 1, false)).value();
  CHECK(error > 1000);
  CHECK(lightness_order_error(blocks(noise, 3, false), blocks(other, 3, false)).value() == error);
  CHECK(lightness_order_error(blocks(noise, 3, true), blocks(other, 3, true)).value() == error);
  // A smaller channel may do what it likes.
  Tensor<float> low = blocks(other, 1, false);
  const Tensor<float> output = blocks(noise, 1, false);
  for (std::int64_t i = 0; i < low.size(); ++i) low[i] = low[i] < 25.5f ? 0 : low[i];
  CHECK(lightness_order_error(output, low).value() == error);
}

TEST_CASE("loe: too small pictures have none", "[metrics]") {
  const auto square = [](std::int64_t h, std::int64_t w) { return Tensor<float>::full(Shape{1, 3, h, w}, 7); };
  CHECK_FALSE(lightness_order_error(square(49, 400), square(49, 400)).has_value());
  CHECK_FALSE(lightness_order_error(square(400, 49), square(400, 49)).has_value());
  CHECK(lightness_order_error(square(51, 67), square(51, 67)) == std::optional<double>(0));
  CHECK_THAT(error_of([&] { lightness_order_error(square(50, 50), square(50, 51)); }),
             Catch::Contains("lightness_order_error: expected two RGB pictures"));
}

}  // namespace
}  // namespace kind::testing
