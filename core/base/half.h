#pragma once

#include <cstdint>

namespace kind {

/// The float with exactly the value of an IEEE 754 binary16 number, subnormals, infinities and NaN included. A NaN
/// keeps its sign and payload.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  // Both kinds are worked out, so that compilers can make vectors of loops over this.
  constexpr std::uint32_t kRebias = (127 - 15) << 23;
  const std::uint32_t normal = (magnitude << 13) + kRebias + (magnitude >= 0x7c00u ? kRebias : 0);  // or infinity, NaN
  const float subnormal = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f;      // exact; zero, too
  return __builtin_bit_cast(float, sign | (magnitude < 0x400u ? __builtin_bit_cast(std::uint32_t, subnormal) : normal));
}

/// The IEEE 754 binary16 number nearest to `value`, ties to even (the standard's default rounding). What is at least
/// 65520 in magnitude becomes an infinity. A NaN keeps its sign and the upper part of its payload and comes out quiet.
inline std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and more
  std::uint32_t kept;
  std::uint32_t rest;  // the bits that are cut off, and half of one unit of what is kept
  std::uint32_t half_unit;
  if (magnitude >= 0x38800000u) {  // at least 2^-14: a normal number
    // Rounding up may carry into the exponent, which is then the right next number.
    kept = (magnitude - 0x38000000u) >> 13;
    rest = magnitude & 0x1fffu;
    half_unit = 0x1000u;
  } else {
    if (magnitude < 0x33000000u) return static_cast<std::uint16_t>(sign);  // below 2^-25, half the least subnormal
    // value = mantissa * 2^(exponent - 150), wanted in units of 2^-24.
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t shift = 126 - (magnitude >> 23);
    kept = mantissa >> shift;
    rest = mantissa & ((1u << shift) - 1);
    half_unit = 1u << (shift - 1);
  }
  if (rest > half_unit || (rest == half_unit && (kept & 1u) != 0)) ++kept;
  return static_cast<std::uint16_t>(sign | kept);
}

/// The float with exactly the value of a bfloat16 number (the upper half of a float's bits).
inline float bfloat16_to_float(std::uint16_t bits) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace kind
