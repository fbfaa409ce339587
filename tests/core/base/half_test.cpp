#include "core/base/half.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

using namespace kind;

namespace {

/// A binary16 number's value from its definition, in double; not for infinities and NaN.
double half_value(std::uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_nan(std::uint16_t half) { return (half & 0x7fff) > 0x7c00; }

}  // namespace

TEST_CASE("half: all 65536 values become the right float and come back", "[unit]") {
  int wrong = 0;
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    const float value = half_to_float(half);
    const bool negative = (half & 0x8000) != 0;
    bool right;
    if (is_nan(half)) {
      right = std::isnan(value) && std::signbit(value) == negative && is_nan(float_to_half(value)) &&
              (float_to_half(value) | 0x0200) == (half | 0x0200);
    } else if ((half & 0x7fff) == 0x7c00) {
      right =
          value == (negative ? -1.0f : 1.0f) * std::numeric_limits<float>::infinity() && float_to_half(value) == half;
    } else {
      right = static_cast<double>(value) == half_value(half) && std::signbit(value) == negative &&
              float_to_half(value) == half;
    }
    if (!right && ++wrong <= 5) UNSCOPED_INFO("half " << i << " becomes " << value);
  }
  CHECK(wrong == 0);
}

TEST_CASE("half: between all neighbours a float rounds to the nearer one, halfway to the even one", "[unit]") {
  int wrong = 0;
  for (std::uint32_t i = 0; i < 0x7c00; ++i) {
    const auto low = static_cast<std::uint16_t>(i);
    const auto high = static_cast<std::uint16_t>(i + 1);
    const double high_value = high == 0x7c00 ? 65536.0 : half_value(high);
    const auto middle = static_cast<float>((half_value(low) + high_value) / 2);  // exact: 12 significant bits
    const std::uint16_t even = (low & 1) == 0 ? low : high;
    for (const std::uint16_t sign : {std::uint16_t{0}, std::uint16_t{0x8000}}) {
      const float signed_middle = sign == 0 ? middle : -middle;
      const float inward = std::nextafter(signed_middle, 0.0f);
      const float outward = std::nextafter(signed_middle, 2 * signed_middle);
      const bool right = float_to_half(signed_middle) == (even | sign) && float_to_half(inward) == (low | sign) &&
                         float_to_half(outward) == (high | sign);
      if (!right && ++wrong <= 5) UNSCOPED_INFO("between " << low << " and " << high << ", sign " << sign);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("half: the ends of the range", "[unit]") {
  CHECK(float_to_half(65504.0f) == 0x7bff);
  CHECK(float_to_half(std::nextafter(65520.0f, 0.0f)) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);
  CHECK(float_to_half(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(float_to_half(-std::numeric_limits<float>::max()) == 0xfc00);
  CHECK(float_to_half(0x1p-25f) == 0x0000);  // halfway between 0 and the least subnormal: to even
  CHECK(float_to_half(std::nextafter(0x1p-25f, 1.0f)) == 0x0001);
  CHECK(float_to_half(std::numeric_limits<float>::denorm_min()) == 0x0000);
  CHECK(float_to_half(-std::numeric_limits<float>::denorm_min()) == 0x8000);
  CHECK(float_to_half(std::numeric_limits<float>::signaling_NaN()) >= 0x7e00);
}

TEST_CASE("half: bfloat16 is a float's upper half", "[unit]") {
  CHECK(bfloat16_to_float(0x3f80) == 1.0f);
  CHECK(bfloat16_to_float(0xc049) == -3.140625f);
  CHECK(bfloat16_to_float(0x0001) == 0x1p-133f);
  CHECK(std::isinf(bfloat16_to_float(0x7f80)));
  CHECK(std::isnan(bfloat16_to_float(0x7fc0)));
}
