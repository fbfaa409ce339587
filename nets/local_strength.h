#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/tensor.h"
#include "nets/light.h"

namespace kind {

/// The share of the enhanced picture for each pixel, 0..1, for pictures with dark and bright parts.
///
/// If the surroundings of a pixel have brightness b, and the enhanced picture is `gain` times as bright as the picture
/// in its dark parts, the pixel becomes g = (bright / b)^0.77 times as bright, limited to 1..gain: the strength is (g -
/// 1) / (gain - 1). It falls from 1 to 0 slowly enough that darker parts stay darker than brighter ones, and parts as
/// bright as `bright` stay unchanged. `bright` is 0.6 if at least a twentieth of the picture is that bright. If less
/// than a hundredth is, the picture is underexposed as a whole, and is enhanced as a whole. In a picture with bright
/// parts, nearly black parts stay dark: a night sky, a silhouette.
///
/// b is a guided filter of the mean of red, green and blue (He, Sun and Tang, "Guided image filtering", 2013): in a
/// window around each pixel of the downsampled picture, b = a * mean + c by least squares with a penalty on a, and a
/// and c are averaged. It preserves strong edges, which avoids halos, and is flat within each part, which preserves the
/// contrast there. a and c are computed on the downsampled picture and interpolated (He and Sun, "Fast guided filter",
/// 2015), so the strength of a row needs only that row.
class LocalStrength {
 public:
  /// For a picture of h x w pixels: its downsampled copy (Reduction of light.h), the range of the stretch, the level
  /// for its dark parts, and the factor of that level over the automatic one, which also scales `bright`. Throws Error
  /// for other shapes, sides below 1, or numbers that are not above 0.
  LocalStrength(const Tensor<float>& reduced, std::int64_t h, std::int64_t w, InputRange range, double level,
                double brighter = 1);

  /// The weight of each pixel of the downsampled picture, row by row, in the choice of the light level for the dark
  /// parts: 1 up to 0.4 of the level, 0 from 0.7 of it on.
  std::vector<float> weights() const;

  /// Sets the gain (initially 1).
  void set_gain(double gain);

  /// How brightness becomes strength. All but the gain is found in the picture.
  struct Curve {
    double gain = 1;        // of dark parts
    double bright = 1;      // surroundings as bright as this stay as they are; infinite where all is enhanced
    double kept_black = 0;  // how much of what is all but black stays so, 0..1
  };
  Curve curve() const { return {gain_, static_cast<double>(bright_), static_cast<double>(kept_black_)}; }
  /// The level and the factor that it was made with: with the same picture, they and the curve make it anew elsewhere.
  double level() const { return level_; }
  double brighter() const { return brighter_; }
  /// Another one: that of a sequence of pictures, say. Throws Error for numbers out of range.
  void set_curve(const Curve& curve);

  /// Of rows y0 <= y < y1 of the picture whose planes red, green and blue these are, into `strength`: (y1 - y0) * w
  /// values. Throws Error for other rows than the picture's.
  void rows(std::int64_t y0, std::int64_t y1, const float* const* planes, float* strength) const;

  /// The mean strength over the downsampled picture.
  double mean() const;

 private:
  float strength_at(float brightness) const;

  std::int64_t h_, w_, factor_, rows_, columns_;
  InputRange range_;
  double level_, brighter_;
  double gain_ = 1;
  float bright_ = 1;                                // infinite if all is enhanced
  float kept_black_ = 0;                            // share of nearly black parts that stay dark, 0..1
  std::vector<float> slope_, offset_, brightness_;  // of rows_ x columns_
};

}  // namespace kind
