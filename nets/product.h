#pragma once

#include <algorithm>
#include <cstdint>

namespace kind {

/// A value of an output, limited to 0..1; NaN stays NaN.
inline float clipped(float value) { return value < 0 ? 0.0f : value > 1 ? 1.0f : value; }

/// The colour of a pixel, limited to 0..1. A value above 1 is not cut off by itself, which would turn a bright blue sky
/// to teal: the colour moves towards the gray of the same luma (ITU-R BT.709) until its greatest value is 1, so that hue
/// and light stay. White where the luma is 1 and more. Negative values become 0; NaN stays NaN.
inline void clip_color(float& red, float& green, float& blue) {
  const float greatest = std::max(red, std::max(green, blue));
  if (greatest > 1) {
    const float luma = 0.2126f * red + 0.7152f * green + 0.0722f * blue;
    if (luma >= 1) {
      red = green = blue = 1;
      return;
    }
    const float share = (1 - luma) / (greatest - luma);
    red = luma + share * (red - luma);
    green = luma + share * (green - luma);
    blue = luma + share * (blue - luma);
  }
  red = clipped(red);
  green = clipped(green);
  blue = clipped(blue);
}

/// The output R_hat * L_hat of `count` pixels: the planes color[0..2] times `light`, limited by clip_color, into the planes
/// out[0..2], which may be those of `color`.
void multiply_rows(std::int64_t count, const float* const* color, const float* light, float* const* out);

}  // namespace kind
