#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "core/image/metadata.h"

namespace kind {

/// How a picture's samples are encoded, where that is not sRGB: Display P3 or linear light, for example. It converts
/// samples to sRGB, which the nets know, and back. From any thread.
class ColorEncoding {
 public:
  virtual ~ColorEncoding() = default;

  /// For people to read: "Display P3", "gamma 1".
  const std::string& name() const { return name_; }
  /// A colour profile (ICC) that says the same.
  const std::vector<std::uint8_t>& profile() const { return profile_; }
  /// Whether samples can be converted back. Not with some profiles of scanners and cameras.
  virtual bool two_way() const = 0;

  /// Converts `count` pixels, three planes of samples / maximum, in place. Colours beyond sRGB become values below 0 and
  /// above 1. Of a gray picture all planes are equal, before and after.
  virtual void to_srgb(float* const* planes, std::int64_t count) const = 0;
  /// The opposite; the planes of a gray picture become equal (BT.601). Throws Error unless two_way().
  virtual void from_srgb(float* const* planes, std::int64_t count) const = 0;

 protected:
  std::string name_;
  std::vector<std::uint8_t> profile_;
};

/// What metadata say of the colours.
struct ColorReading {
  std::shared_ptr<const ColorEncoding> encoding;  ///< Null: sRGB, or nothing is said.
  std::string problem;                            ///< Why that is not known, if it is not: then sRGB is assumed.
};

/// Reads the encoding of a picture, gray or RGB, from its cICP code points (ITU-T H.273), colour profile, sRGB, gAMA and
/// cHRM chunks, or EXIF's colour space (Adobe RGB), the first of these that is there, as PNG (third edition, 11.3.2) has
/// it. Encodings that differ from sRGB by less than 2 of 255 are sRGB; so is gAMA's 1 / 2.2 with sRGB's primaries, by which
/// most programs mean it. Throws Error naming `path` where the picture is HDR (PQ or HLG): its values are not relative to
/// white.
ColorReading read_color(const std::string& path, const Metadata& metadata, bool gray);

/// Whether this build converts colours (with lcms2).
bool has_color_management();

/// Converts `count` pixels of inks C, M, Y, K (the largest number: full) to sRGB of 16 bits: 8 are too few for dark colours.
using InkConversion = std::function<void(const std::uint8_t* inks, int count, std::uint8_t* rgb)>;
/// The conversion by a CMYK profile, relative colorimetric with black point compensation, of inks of 8 or 16 bits; null
/// where the profile does not serve, or the build has no colour management.
InkConversion ink_conversion(const std::vector<std::uint8_t>& icc, int bits = 8);

/// The picture in sRGB, colours beyond it clipped, with 16 bits; alpha stays.
Image to_srgb(const Image& image, const ColorEncoding& encoding);

struct SrgbPicture {
  Image image;
  int bits = 8;      ///< Of the file's samples, 8 or 16; those of `image` have 16 where they were converted.
  std::string note;  ///< What was taken for granted of the colours, for people to read; empty: nothing.
};
/// Reads a picture upright and in sRGB, for programs that compare pictures. Where the file's encoding is not known, or this
/// build cannot convert it, sRGB is assumed, and `note` says so. Throws Error naming `path` as read_image and read_color do.
SrgbPicture read_srgb(const std::string& path, const ReadLimits& limits = {});

}  // namespace kind
