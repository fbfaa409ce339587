#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/image/color.h"
#include "core/image/image.h"
#include "nets/light.h"
#include "nets/model.h"

namespace kind {

/// A part of a picture: rows top <= y < bottom, columns left <= x < right.
struct PictureArea {
  int top = 0, bottom = 0, left = 0, right = 0;

  int height() const { return bottom - top; }
  int width() const { return right - left; }
};

/// The area of a picture inside plain frames and letterbox bars: rows and columns along its sides belong to a frame as
/// long as they have one colour, within 1 of 255 (in a 16-bit picture within a quarter of that), or are fully transparent.
/// In another encoding than sRGB the tolerance is what these are in its darkest parts. The whole picture if less than a quarter of
/// either side would remain (a plain picture), or if a side is below 16. Throws Error for an empty picture.
PictureArea framed_area(const Image& image, const ColorEncoding* color = nullptr);
/// Crops that area, and the opposite: puts a picture of that size back in its place.
Image cut_out(const Image& image, const PictureArea& area);
void put_back(const Image& part, const PictureArea& area, Image& image);

/// Meters a picture before it is enhanced, from a stream of rows: the range to stretch, and the downsampled picture for
/// choosing its light level. Pixels are weighted by their opacity.
class Meter {
 public:
  /// Throws Error for sides below 1.
  Meter(std::int64_t h, std::int64_t w, const InputConfig& config);

  /// Rows y0 <= y < y1 of the planes red, green and blue, in 0..1, w values a row, and their opacity in 0..1 (null: all
  /// opaque); from the first row to the last.
  void add_rows(std::int64_t y0, std::int64_t y1, const float* const* planes, const float* opacity = nullptr);

  /// The range to stretch, or (0, 1) if the model does not stretch. Each end is the mean of the values between two
  /// quantiles: the share `outliers` of all values is ignored at either end, and the next values, three times as many,
  /// are averaged. So a hot pixel or a distant lamp has no effect, and a few pixels more or fewer change little. With
  /// outliers = 0 the ends are the smallest and the largest value.
  InputRange range() const;

  /// The upper end of the range with a fiftieth of the outliers: includes lights, but no hot pixels. That of range() if
  /// outliers are 0.
  float lights() const;

  /// See Reduction.
  Tensor<float> reduced() const { return reduction_.take(); }
  /// The opacity of the downsampled picture's pixels, in 0..1; empty if everything is opaque.
  std::vector<float> weights() const { return reduction_.weights(); }
  /// The mean colour of everything visible; 0 for a fully transparent picture.
  std::vector<float> mean_color() const { return reduction_.mean_color(); }

 private:
  double outliers_;
  bool stretch_;
  std::int64_t w_;
  Reduction reduction_;
  std::vector<std::uint64_t> counts_;  // of values in 65535 steps, in units of 1 / 65535 of an opaque one
  float low_ = 1, high_ = 0;
};

/// The range to stretch of an RGB picture of 8 or 16 bits, as Meter::range(). Throws Error for other pictures.
InputRange range_of_image(const Image& image, const InputConfig& config);

/// The measurements of a picture before it is enhanced.
struct MeteredPicture {
  InputRange range;
  Tensor<float> reduced;
  std::vector<float> weights;  // of the reduced picture's pixels; empty: 1 each
  float lights = 1;            // see Meter
};
/// Meters an opaque picture [1, 3, h, w] in 0..1. Throws Error for other shapes.
MeteredPicture meter(const Tensor<float>& picture, const InputConfig& config);

}  // namespace kind
