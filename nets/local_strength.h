#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/tensor.h"
#include "nets/light.h"

namespace kind {

/// How much of the enhanced picture each place of a picture is to get, 0..1, for pictures with dark and bright parts.
///
/// Where the surroundings are of brightness b and the enhanced picture is `gain` times as bright as the picture in its
/// dark parts, a place is made g = (bright / b)^0.77 times as bright, but at least 1 and at most `gain` times: the
/// strength is (g - 1) / (gain - 1). So it falls from 1 to 0 no faster than darker places stay darker than brighter ones,
/// and what is as bright as `bright` stays as it is. That is 0.6 for pictures of which a twentieth and more is as bright; where
/// that is less than a hundredth, the picture was taken too dark as a whole, and is enhanced as a whole. In a picture that has bright parts,
/// those that are all but black stay dark: a night sky, a silhouette.
///
/// b is a guided filter of the mean of red, green and blue (He, Sun and Tang, "Guided image filtering", 2013): in a window
/// around each pixel of the reduced picture, b = a * mean + c by least squares with a penalty on a, and a and c are
/// averaged. It keeps strong edges, so that no halo stands around them, and is flat within each part, so that the
/// contrast there stays. a and c are found on the reduced picture and interpolated (He and Sun, "Fast guided filter",
/// 2015): whatever a picture's size, the strength of a row needs that row alone.
class LocalStrength {
 public:
  /// For a picture of h x w pixels, which `reduced` is the reduction of (light.h), the range that is stretched, the level
  /// for its dark parts, and how many times brighter than chosen automatically that is; then `bright` is, too. Throws Error
  /// for other shapes, sides below 1, or numbers that are not above 0.
  LocalStrength(const Tensor<float>& reduced, std::int64_t h, std::int64_t w, InputRange range, double level,
                double brighter = 1);

  /// How much each pixel of the reduced picture, row by row, counts where the light is chosen for the dark parts: 1 up to
  /// 0.4 of the level, 0 from 0.7 of it on.
  std::vector<float> weights() const;

  /// Sets the gain, which is 1 at first.
  void set_gain(double gain);

  /// How brightness becomes strength. All but the gain is found in the picture.
  struct Curve {
    double gain = 1;        // of dark parts
    double bright = 1;      // surroundings as bright as this stay as they are; infinite where all is enhanced
    double kept_black = 0;  // how much of what is all but black stays so, 0..1
  };
  Curve curve() const { return {gain_, static_cast<double>(bright_), static_cast<double>(kept_black_)}; }
  /// Another one: that of a sequence of pictures, say. Throws Error for numbers out of range.
  void set_curve(const Curve& curve);

  /// Of rows y0 <= y < y1 of the picture whose planes red, green and blue these are, into `strength`: (y1 - y0) * w
  /// values. Throws Error for other rows than the picture's.
  void rows(std::int64_t y0, std::int64_t y1, const float* const* planes, float* strength) const;

  /// The mean of all over the reduced picture.
  double mean() const;

 private:
  float strength_at(float brightness) const;

  std::int64_t h_, w_, factor_, rows_, columns_;
  InputRange range_;
  double level_, brighter_;
  double gain_ = 1;
  float bright_ = 1;                                // infinite where all is enhanced
  float kept_black_ = 0;                            // how much of what is all but black stays so, 0..1
  std::vector<float> slope_, offset_, brightness_;  // of rows_ x columns_
};

}  // namespace kind
