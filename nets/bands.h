#pragma once

#include <cstdint>
#include <vector>

/// What all that runs the method in bands of rows shares.
namespace kind {

/// Rows that are metered or put together at a time.
inline constexpr std::int64_t kBand = 64;
/// Work of the nets, in thousands of floating-point operations a pixel.
inline constexpr double kDecompose = 121, kRestore = 371, kAdjust = 39;

/// Three planes of `count` values, one after the other.
struct Rgb {
  explicit Rgb(std::int64_t count) : values(static_cast<std::size_t>(3 * count)) {
    for (std::int64_t c = 0; c < 3; ++c) planes[c] = values.data() + c * count;
  }
  std::vector<float> values;
  float* planes[3];
};

}  // namespace kind
