#pragma once

// What the readers of all formats do with the metadata they find; between metadata.cpp and the codecs.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/image/metadata.h"

namespace kind {

using Bytes = std::span<const std::uint8_t>;

inline constexpr const char* kExifName = "EXIF data";
inline constexpr const char* kXmpName = "XMP data";
inline constexpr const char* kIccName = "colour profile";
inline constexpr const char* kPhotoshopName = "Photoshop and IPTC data";

/// How JPEG's segments of EXIF data and XMP begin, and at times those of other formats.
inline constexpr std::string_view kExifStart{"Exif\0\0", 6}, kXmpStart{"http://ns.adobe.com/xap/1.0/\0", 29};

/// Adds up what is kept of a file and stops at the limit.
class MetadataBudget {
 public:
  MetadataBudget(const std::string& path, std::size_t most) : path_(path), most_(most) {}
  /// Throws Error where that is too much.
  void take(std::size_t bytes);
  std::size_t left() const { return most_ - used_; }
  [[noreturn]] void refuse() const;

 private:
  const std::string& path_;
  std::size_t most_, used_ = 0;
};

/// A number of `count` bytes, the upper ones first. Not checked.
std::size_t big_endian(Bytes bytes, std::size_t at, std::size_t count);
std::string text_of(Bytes bytes);
bool starts_with(Bytes bytes, std::string_view text);
/// A number of `count` bytes, the upper ones first.
void append_big_endian(std::vector<std::uint8_t>& to, std::size_t value, int count);
void append_text(std::vector<std::uint8_t>& to, std::string_view text);

/// Names what has no place in Metadata, at most a few kinds of a file.
void leave_out(Metadata& metadata, const std::string& text);
/// Names what is damaged. Of damage there are few kinds, and none is to be crowded out.
void drop(Metadata& metadata, const char* what);

/// A colour profile says its own length and has a signature.
bool is_profile(Bytes icc);

/// Image resources without those that are thumbnails, or EXIF and XMP data of Photoshop's own, which are named; nothing
/// where they are damaged.
std::optional<std::vector<std::uint8_t>> kept_resources(Bytes all, Metadata& metadata);
/// Adds IPTC records that stand without the resource around them, unless there is one already.
void add_iptc(std::vector<std::uint8_t>& resources, Bytes iptc);
/// The IPTC records among image resources; empty where there are none.
Bytes iptc_of(Bytes resources);

/// What formats with one place for each kind do: the first of a kind is kept, damage is named, the limit observed.
class MetadataParts {
 public:
  MetadataParts(const std::string& path, std::size_t max_bytes) : budget_(path, max_bytes) {}
  /// With or without "Exif" and two zeros before it.
  void exif(Bytes block);
  void xmp(Bytes packet);
  void icc(Bytes profile);
  void resources(Bytes photoshop);

  MetadataBudget& budget() { return budget_; }
  Metadata metadata;

 private:
  MetadataBudget budget_;
};

/// Of decoders that turn the picture themselves: what says how to turn it is done with. Sizes are left for make_upright.
void mark_upright(Metadata& metadata);

/// The whole XMP as one packet, for formats without extensions.
std::string whole_xmp(const Metadata& metadata);

}  // namespace kind
