#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kind {

/// A chunk of a PNG file: four letters and its content.
struct PngChunk {
  std::string type;
  std::vector<std::uint8_t> data;
};

/// What a picture's file holds beside the pixels. As the pixels are handed out upright and are about to be changed,
/// orientations are 1 and thumbnails are gone (make_exif_upright, make_xmp_upright).
struct Metadata {
  std::vector<std::uint8_t> exif;  ///< A TIFF file without pixels: byte order, 42, directories. Empty: none.
  std::string xmp;                 ///< A packet.
  std::string xmp_extension;       ///< What of a JPEG's XMP does not fit its packet, which then names it.
  std::vector<std::uint8_t> icc;   ///< A colour profile.

  /// Pixels a metre along x and y, or, where `metric` is false, only the pixels' aspect.
  struct Density {
    std::uint32_t x = 0, y = 0;
    bool metric = false;
  };
  std::optional<Density> density;

  std::vector<std::uint8_t> photoshop;  ///< Image resources (IPTC among them).
  std::vector<std::string> comments;    ///< Of a JPEG; a PNG gets them as texts.
  std::vector<PngChunk> color;          ///< PNG alone: gAMA, cHRM, sRGB, cICP.
  std::vector<PngChunk> texts;          ///< PNG alone: tEXt, zTXt, iTXt.

  /// PNG alone: what viewers are to show behind a picture with alpha (bKGD), for pixels of these colours, 1 or 3, and bits.
  struct Background {
    int colors = 0, bits = 0;
    std::vector<std::uint8_t> data;
  };
  std::optional<Background> background;

  std::optional<int> file_bits;  ///< Of the file's samples, where reading gives more: converted inks have 16.
  bool inks = false;             ///< The file's pixels were inks (CMYK), which became sRGB.
  std::string color_note;        ///< What reading the colours took for granted, for people to read.

  /// What else the file holds and nothing here takes, or what is damaged, for people to read: "damaged EXIF data",
  /// "further pictures". At most a few of a kind.
  std::vector<std::string> dropped;
};

/// The metadata of a JPEG or PNG file, its orientation still in it; what is damaged is left out and named. Time is
/// linear in the file's size. Throws Error naming `path` where one kind of metadata has, or grows when decompressed to,
/// more than `max_bytes`.
Metadata read_jpeg_metadata(const std::string& path, std::span<const std::uint8_t> file, std::size_t max_bytes);
Metadata read_png_metadata(const std::string& path, std::span<const std::uint8_t> file, std::size_t max_bytes);

/// Resets orientation and sizes and drops thumbnails and what speaks of gain maps, videos and depth maps in the same file,
/// which are named, for upright pixels of these sides. `orientation`: the one, 1 to
/// 8, that was applied to make them so. Where it is 1, an orientation in XMP stays: nobody has applied it.
void make_upright(Metadata& metadata, int width, int height, int orientation);

/// A segment of a JPEG file: marker (0xe1 is APP1) and content without its length.
struct JpegSegment {
  int marker;
  std::vector<std::uint8_t> data;
};
/// The segments that hold the metadata, in the order in which they belong behind JFIF's.
std::vector<JpegSegment> jpeg_segments(const Metadata& metadata);
/// The chunks that hold the metadata, all of them to go between IHDR and IDAT.
std::vector<PngChunk> png_chunks(const Metadata& metadata);

/// A colour profile is for gray or for RGB pixels: drops it where that is not what the picture has.
void check_profile(Metadata& metadata, bool gray);

/// What files of a type can hold of Metadata: the most bytes of EXIF data, an XMP packet and a colour profile, and
/// whether they have places for the rest.
struct MetadataHolder {
  std::size_t exif = 0, xmp = 0, icc = 0;
  bool xmp_extension = false;  ///< More XMP than fits one packet, as JPEG has it.
  bool photoshop = false, comments = false, zeros_in_comments = false, color = false, cicp = false, texts = false;

  static const MetadataHolder kJpeg, kPng, kNone;
};
inline constexpr std::size_t kAnyMetadataSize = ~std::size_t{0};
inline constexpr MetadataHolder MetadataHolder::kNone = {};
inline constexpr MetadataHolder MetadataHolder::kJpeg = {.exif = kAnyMetadataSize,
                                                         .xmp = 65533 - 29,
                                                         .icc = 255 * (65533 - 14),
                                                         .xmp_extension = true,
                                                         .photoshop = true,
                                                         .comments = true,
                                                         .zeros_in_comments = true};
inline constexpr MetadataHolder MetadataHolder::kPng = {.exif = kAnyMetadataSize,
                                                        .xmp = kAnyMetadataSize,
                                                        .icc = kAnyMetadataSize,
                                                        .photoshop = true,
                                                        .comments = true,
                                                        .color = true,
                                                        .texts = true};
/// What files of a type cannot hold of the metadata, for people to read: "EXIF data", "comments". Empty: they hold all.
std::vector<std::string> metadata_left_out(const Metadata& metadata, const MetadataHolder& holder);

}  // namespace kind
