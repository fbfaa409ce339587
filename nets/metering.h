#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

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

/// What a picture holds inside of plain frames and letterbox bars: rows and columns along its sides belong to a frame
/// while they are of one colour, within 1 of 255, or fully transparent. All of a picture of which less than a quarter of
/// either side would be left: that is a plain picture; and of one with a side below 16. Throws Error for an empty picture.
PictureArea framed_area(const Image& image);
/// That part of a picture, and the opposite: puts one of that size back in its place.
Image cut_out(const Image& image, const PictureArea& area);
void put_back(const Image& part, const PictureArea& area, Image& image);

/// Meters a picture before it is enhanced, from rows as they come: the range to stretch, and the picture reduced for
/// choosing its light. Every pixel counts as much as it is opaque.
class Meter {
 public:
  /// Throws Error for sides below 1.
  Meter(std::int64_t h, std::int64_t w, const InputConfig& config);

  /// Rows y0 <= y < y1 of the planes red, green and blue, in 0..1, w values a row, and their opacity in 0..1 (null: all
  /// opaque); from the first row to the last.
  void add_rows(std::int64_t y0, std::int64_t y1, const float* const* planes, const float* opacity = nullptr);

  /// The range by which the picture is to be stretched, (0, 1) where the model is not to. Its ends are means of the values
  /// between two quantiles: of the darkest and of the brightest, those that come after `outliers` of all values, three
  /// times as many. So a hot pixel or a far lamp does not decide, and nothing depends on whether there are a few pixels
  /// more or fewer. With outliers = 0 the ends are the smallest and the largest value.
  InputRange range() const;

  /// The end of the range with a fiftieth of the outliers: lights, but no hot pixels. range()'s own where there are none.
  float lights() const;

  /// See Reduction.
  Tensor<float> reduced() const { return reduction_.take(); }
  /// The opacity of the reduced picture's pixels, in 0..1; empty where all is opaque.
  std::vector<float> weights() const { return reduction_.weights(); }
  /// The mean colour of all that is visible; of a picture that is all transparent 0.
  std::vector<float> mean_color() const { return reduction_.mean_color(); }

 private:
  double outliers_;
  bool stretch_;
  std::int64_t w_;
  Reduction reduction_;
  std::vector<std::uint64_t> counts_;  // of values in 65535 steps, in units of 1 / 65535 of an opaque one
  float low_ = 1, high_ = 0;
};

/// The range by which an 8-bit RGB picture is to be stretched, as Meter::range() has it. Throws Error for other pictures.
InputRange range_of_image(const Image& image, const InputConfig& config);

/// What is known of a picture before it is enhanced.
struct MeteredPicture {
  InputRange range;
  Tensor<float> reduced;
  std::vector<float> weights;  // of the reduced picture's pixels; empty: 1 each
  float lights = 1;            // see Meter
};
/// Of a picture [1, 3, h, w] in 0..1, all of it opaque. Throws Error for other shapes.
MeteredPicture meter(const Tensor<float>& picture, const InputConfig& config);

}  // namespace kind
