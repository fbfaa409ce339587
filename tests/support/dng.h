#pragma once

// DNG files (Adobe's specification, 1.4) for tests: what a sensor would have of a picture.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/image/image.h"

namespace kind::testing {

struct Dng {
  bool little = true;
  std::array<int, 4> filter = {0, 1, 1, 2};  ///< The colours of two rows of two pixels; RGGB.
  bool linear = false;                       ///< All colours of every pixel (LinearRaw), no filter.
  bool monochrome = false;                   ///< The picture's red alone, by a sensor without a filter.
  std::optional<unsigned> gap = {};          ///< Two strips, so many bytes apart.
  unsigned tile = 0;                         ///< The width of the tile that the tags speak of; 0: strips.
  unsigned orientation = 1, black = 256, white = 15000;
  /// What the sensor has of white in daylight, and in the light of the picture; without the second the file does not say.
  std::array<double, 3> daylight = {0.5, 1, 0.6};
  std::optional<std::array<double, 3>> as_shot = std::array<double, 3>{0.5, 1, 0.6};
  bool matrix = true;                                ///< Whether there is a ColorMatrix1.
  std::array<unsigned, 2> active = {0, 0};           ///< Column and row where the ActiveArea begins.
  std::optional<std::array<unsigned, 4>> crop = {};  ///< Column, row, width and height, from there.
  std::array<unsigned, 4> blacker = {};              ///< Beside `black`, of two rows of two pixels from there.
  bool preview = false;  ///< The first directory has a small picture and leads to the sensor's.
  std::string maker = "A maker of cameras", model = "A model", xmp, lens;
  bool exif = true;
};

namespace dng_detail {

/// A directory: tags with type and value, in the file's byte order.
class Directory {
 public:
  explicit Directory(bool little) : little_(little) {}

  void bytes(unsigned tag, unsigned type, std::size_t count, const std::string& value) {
    entries_[tag] = {type, count, value};
  }
  void text(unsigned tag, const std::string& value) { bytes(tag, 2, value.size() + 1, value + '\0'); }
  void shorts(unsigned tag, const std::vector<unsigned>& values) {
    std::string all;
    for (const unsigned value : values) all += number(value, 2);
    bytes(tag, 3, values.size(), all);
  }
  void longs(unsigned tag, const std::vector<unsigned>& values) {
    std::string all;
    for (const unsigned value : values) all += number(value, 4);
    bytes(tag, 4, values.size(), all);
  }
  void ratios(unsigned tag, const std::vector<double>& values, bool with_sign = false) {
    std::string all;
    for (const double value : values) {
      all += number(static_cast<std::uint32_t>(static_cast<std::int32_t>(std::lround(value * 10000))), 4) +
             number(10000, 4);
    }
    bytes(tag, with_sign ? 10 : 5, values.size(), all);
  }

  std::size_t size() const {
    std::size_t total = 2 + 12 * entries_.size() + 4;
    for (const auto& [tag, entry] : entries_) total += entry.value.size() > 4 ? (entry.value.size() + 1) / 2 * 2 : 0;
    return total;
  }
  /// As it lies at offset `at`.
  std::string file(std::size_t at) const {
    std::string head = number(static_cast<std::uint32_t>(entries_.size()), 2), more;
    const std::size_t values = at + 2 + 12 * entries_.size() + 4;
    for (const auto& [tag, entry] : entries_) {
      head += number(tag, 2) + number(entry.type, 2) + number(static_cast<std::uint32_t>(entry.count), 4);
      if (entry.value.size() > 4) {
        head += number(static_cast<std::uint32_t>(values + more.size()), 4);
        more += entry.value + std::string(entry.value.size() % 2, '\0');
      } else {
        head += entry.value + std::string(4 - entry.value.size(), '\0');
      }
    }
    return head + number(0, 4) + more;
  }
  std::string number(std::uint32_t value, int count) const {
    std::string out;
    for (int i = 0; i < count; ++i) out += static_cast<char>(value >> 8 * (little_ ? i : count - 1 - i) & 0xff);
    return out;
  }

 private:
  struct Entry {
    unsigned type;
    std::size_t count;
    std::string value;
  };
  bool little_;
  std::map<unsigned, Entry> entries_;
};

/// XYZ of D65 to linear sRGB (IEC 61966-2-1).
inline constexpr double kToSrgb[3][3] = {
    {3.2404542, -1.5371385, -0.4985314}, {-0.9692660, 1.8760108, 0.0415560}, {0.0556434, -0.2040259, 1.0572252}};

inline double to_light(double value) {
  return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
}

/// What the sensor sees, row by row, as the file stores it.
struct Pixels {
  std::string bytes;
  std::size_t upper_bytes = 0;  ///< Of the first of two strips.
};

/// Rows of the first strip.
inline int upper_rows(const Image& image, const Dng& dng) { return dng.gap ? (image.height + 1) / 2 : image.height; }

/// Of `blacker`, what holds for a pixel.
inline unsigned blacker_at(const Dng& dng, int x, int y) {
  const unsigned column = static_cast<unsigned>(x) + dng.active[0], row = static_cast<unsigned>(y) + dng.active[1];
  return dng.blacker[2 * (row % 2) + column % 2];
}

inline Pixels expose(const Image& image, const Dng& dng, const std::array<double, 3>& light) {
  const Directory numbers(dng.little);
  const double brightest = *std::max_element(light.begin(), light.end());
  Pixels out;
  for (int y = 0; y < image.height; ++y) {
    if (dng.gap && y == upper_rows(image, dng)) {
      out.upper_bytes = out.bytes.size();
      out.bytes.append(*dng.gap, '\x55');
    }
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < (dng.linear ? 3 : 1); ++c) {
        const int color = dng.monochrome ? 0
                          : dng.linear   ? c
                                         : dng.filter[static_cast<std::size_t>(2 * (y % 2) + x % 2)];
        const double value = to_light(static_cast<double>(image.sample(x, y, color)) / image.maximum());
        const double seen = value * (dng.monochrome ? 1 : light[static_cast<std::size_t>(color)] / brightest);
        const double black = dng.black + blacker_at(dng, x, y);
        out.bytes += numbers.number(static_cast<std::uint32_t>(std::lround(black + seen * (dng.white - dng.black))), 2);
      }
    }
  }
  return out;
}

/// The tags of where the pixels lie, from offset `at` on.
inline void place(Directory& raw, const Image& image, const Dng& dng, const Pixels& pixels, std::size_t at) {
  const auto all = static_cast<unsigned>(pixels.bytes.size()), first = static_cast<unsigned>(at),
             above = static_cast<unsigned>(pixels.upper_bytes), gap = dng.gap.value_or(0);
  if (dng.tile > 0) {
    raw.longs(322, {dng.tile});
    raw.longs(323, {static_cast<unsigned>(image.height)});
    raw.longs(324, {first});
    raw.longs(325, {all});
    return;
  }
  raw.longs(278, {static_cast<unsigned>(upper_rows(image, dng))});
  raw.longs(273, dng.gap ? std::vector<unsigned>{first, first + above + gap} : std::vector<unsigned>{first});
  raw.longs(279, dng.gap ? std::vector<unsigned>{above, all - above - gap} : std::vector<unsigned>{all});
}

/// The tags of what the sensor's numbers mean.
inline void describe_sensor(Directory& raw, const Image& image, const Dng& dng) {
  raw.longs(254, {0});
  raw.longs(256, {static_cast<unsigned>(image.width)});
  raw.longs(257, {static_cast<unsigned>(image.height)});
  raw.shorts(258, dng.linear ? std::vector<unsigned>{16, 16, 16} : std::vector<unsigned>{16});
  raw.shorts(259, {1});
  raw.shorts(262, {dng.linear || dng.monochrome ? 34892u : 32803u});
  raw.shorts(277, {dng.linear ? 3u : 1u});
  raw.shorts(284, {1});
  if (!dng.linear && !dng.monochrome) {
    raw.shorts(33421, {2, 2});
    std::string filter;
    for (const unsigned row : {0u, 1u}) {
      for (const unsigned column : {0u, 1u}) {
        filter += static_cast<char>(dng.filter[2 * ((row + dng.active[1]) % 2) + (column + dng.active[0]) % 2]);
      }
    }
    raw.bytes(33422, 1, 4, filter);
  }
  if (dng.blacker == std::array<unsigned, 4>{}) {
    raw.longs(50714, std::vector<unsigned>(dng.linear ? 3 : 1, dng.black));
  } else {
    std::vector<unsigned> blacks;
    for (const unsigned more : dng.blacker) blacks.push_back(dng.black + more);
    raw.shorts(50713, {2, 2});
    raw.longs(50714, blacks);
  }
  if (dng.active != std::array<unsigned, 2>{}) {
    raw.longs(50829,
              {dng.active[1], dng.active[0], static_cast<unsigned>(image.height), static_cast<unsigned>(image.width)});
  }
  raw.longs(50717, std::vector<unsigned>(dng.linear ? 3 : 1, dng.white));
  if (dng.crop) {
    raw.longs(50719, {(*dng.crop)[0], (*dng.crop)[1]});
    raw.longs(50720, {(*dng.crop)[2], (*dng.crop)[3]});
  }
}

/// A first directory with a picture of two pixels, which lie at offset 8.
inline void describe_preview(Directory& first) {
  first.longs(254, {1});
  first.longs(256, {2});
  first.longs(257, {1});
  first.shorts(258, {8, 8, 8});
  first.shorts(259, {1});
  first.shorts(262, {2});
  first.longs(273, {8});
  first.shorts(277, {3});
  first.longs(278, {1});
  first.longs(279, {6});
  first.longs(330, {0});
}

inline void describe_camera(Directory& first, const Dng& dng, const std::array<double, 3>& light) {
  first.text(271, dng.maker);
  first.text(272, dng.model);
  first.shorts(274, {dng.orientation});
  first.text(306, "2026:11:30 12:34:56");
  if (!dng.xmp.empty()) first.bytes(700, 1, dng.xmp.size(), dng.xmp);
  first.bytes(50706, 1, 4, std::string("\1\4\0\0", 4));
  first.text(50708, "A maker's model");
  std::vector<double> matrix;
  for (std::size_t c = 0; c < 3; ++c) {
    for (const double value : kToSrgb[c]) matrix.push_back(value * dng.daylight[c]);
  }
  if (!dng.monochrome && dng.matrix) first.ratios(50721, matrix, true);
  const double brightest = *std::max_element(light.begin(), light.end());
  if (dng.as_shot && !dng.monochrome) {
    first.ratios(50728, {light[0] / brightest, light[1] / brightest, light[2] / brightest});
  }
  first.bytes(50740, 1, 24, std::string("A maker\0private numbers.", 24));
  first.shorts(50778, {21});  // D65
}

inline Directory exif_of(const Image& image, const Dng& dng) {
  Directory exif(dng.little);
  exif.ratios(33434, {0.05});
  exif.ratios(33437, {2.8});
  exif.shorts(34855, {1600});
  exif.text(36867, "2026:11:30 12:34:56");
  exif.bytes(37500, 7, 17, "note with offsets");
  exif.shorts(40961, {2});  // Adobe RGB, of the camera's own pictures
  exif.longs(40962, {static_cast<unsigned>(image.width)});
  exif.longs(40963, {static_cast<unsigned>(image.height)});
  if (!dng.lens.empty()) exif.text(42036, dng.lens);
  return exif;
}

inline Directory gps_of(const Dng& dng) {
  Directory gps(dng.little);
  gps.bytes(0, 1, 4, std::string("\2\3\0\0", 4));
  gps.text(1, "N");
  gps.ratios(2, {48, 8, 14});
  return gps;
}

}  // namespace dng_detail

/// The file of a sensor that has the picture, RGB in sRGB, before it, under the light of `as_shot`. Without interpolation it
/// develops to that picture.
inline std::vector<std::uint8_t> dng_file(const Image& image, const Dng& dng = {}) {
  using dng_detail::Directory;
  const std::array<double, 3> light = dng.as_shot.value_or(dng.daylight);
  const dng_detail::Pixels pixels = dng_detail::expose(image, dng, light);
  Directory first(dng.little), sensor(dng.little);
  Directory& raw = dng.preview ? sensor : first;
  dng_detail::describe_sensor(raw, image, dng);
  dng_detail::place(raw, image, dng, pixels, 0);  // until it is known where the pixels lie
  if (dng.preview) dng_detail::describe_preview(first);
  dng_detail::describe_camera(first, dng, light);
  const Directory exif = dng_detail::exif_of(image, dng), gps = dng_detail::gps_of(dng);
  if (dng.exif) {
    first.longs(34665, {0});
    first.longs(34853, {0});
  }
  // Sizes do not depend on the places.
  const std::size_t at_first = 8 + 8, at_sensor = at_first + first.size(),
                    at_exif = at_sensor + (dng.preview ? sensor.size() : 0),
                    at_gps = at_exif + (dng.exif ? exif.size() : 0), at_pixels = at_gps + (dng.exif ? gps.size() : 0);
  dng_detail::place(raw, image, dng, pixels, at_pixels);
  if (dng.preview) first.longs(330, {static_cast<unsigned>(at_sensor)});
  if (dng.exif) {
    first.longs(34665, {static_cast<unsigned>(at_exif)});
    first.longs(34853, {static_cast<unsigned>(at_gps)});
  }
  std::string file =
      (dng.little ? "II" : "MM") + first.number(42, 2) + first.number(at_first, 4) + std::string(8, '\x40');
  file += first.file(at_first);
  if (dng.preview) file += sensor.file(at_sensor);
  if (dng.exif) file += exif.file(at_exif) + gps.file(at_gps);
  file += pixels.bytes;
  return {file.begin(), file.end()};
}

}  // namespace kind::testing
