#pragma once

#include <array>
#include <string_view>

#include "core/image/metadata.h"

// The table of image formats. All that programs, messages and help texts say of formats is read from it. To add one:
// an enumerator, the name of its codec and a row here, a file with the codec (see image_codecs.h), and its line in
// core/CMakeLists.txt.
namespace kind {

/// The file types that are read and written; those of optional libraries only where the build has found them
/// (can_read_image, can_write_image). kPpm stands for binary PPM and PGM, kHeif for HEIC and its kin, kRaw for the RAW files of
/// all makers of cameras.
enum class ImageFormat { kPng, kJpeg, kBmp, kPpm, kTiff, kWebp, kAvif, kHeif, kJxl, kRaw };

struct ImageCodec;
/// How a format is read and written; null where the build or the system lacks what that takes.
const ImageCodec* png_codec();
const ImageCodec* jpeg_codec();
const ImageCodec* bmp_codec();
const ImageCodec* ppm_codec();
const ImageCodec* tiff_codec();
const ImageCodec* webp_codec();
const ImageCodec* avif_codec();
const ImageCodec* heif_codec();
const ImageCodec* jxl_codec();
const ImageCodec* raw_codec();

/// How files of a format are known and what they hold.
struct ImageFormatRow {
  ImageFormat format;
  const char* id;    ///< One lower-case word: "jpeg".
  const char* name;  ///< In messages: "JPEG".
  /// Of file names, lower case; the first is the one that results get.
  std::array<std::string_view, 32> extensions;
  /// One of `extensions` that gray pictures alone may have.
  std::string_view gray_extension = {};
  /// How files begin, any of these; '?' is any byte.
  std::array<std::string_view, 12> starts;
  /// The most bits of a sample that are written: 16-bit pictures lose the others, and are refused where it is 8.
  int bits = 8;
  bool alpha = false;
  /// Gray pictures have one channel; else they are written with three equal ones.
  bool gray = true;
  /// Of WriteOptions: whether jpeg_quality and chroma count, and whether a quality of 100 means that no bit is lost.
  bool quality = false, chroma = false, lossless_at_100 = false;
  /// The longest side that is written.
  int max_side = 0x7fffffff;
  /// Where limits are found out from the first 64 KiB, always. The orientation may stand behind them.
  bool header_at_start = false;
  /// Where nothing is known before all of the file is there.
  bool needs_whole_file = false;
  MetadataHolder metadata = MetadataHolder::kNone;
  const ImageCodec* (*codec)();
};

namespace formats {
using namespace std::string_view_literals;

/// Of formats with a place each for EXIF data, XMP and a colour profile, of any size or of what 32 bits count.
inline constexpr MetadataHolder kInContainers = {
    .exif = kAnyMetadataSize, .xmp = kAnyMetadataSize, .icc = kAnyMetadataSize};
inline constexpr std::size_t kMostInBox = 0x7fffffff;

inline constexpr ImageFormatRow kRows[] = {
    {.format = ImageFormat::kPng,
     .id = "png",
     .name = "PNG",
     .extensions = {"png", "apng"},
     .starts = {"\x89PNG\r\n\x1a\n"},
     .bits = 16,
     .alpha = true,
     .header_at_start = true,
     .metadata = MetadataHolder::kPng,
     .codec = png_codec},
    {.format = ImageFormat::kJpeg,
     .id = "jpeg",
     .name = "JPEG",
     .extensions = {"jpg", "jpeg", "jpe", "jfif", "mpo"},
     .starts = {"\xff\xd8\xff"},
     .quality = true,
     .chroma = true,
     .metadata = MetadataHolder::kJpeg,
     .codec = jpeg_codec},
    {.format = ImageFormat::kBmp,
     .id = "bmp",
     .name = "BMP",
     .extensions = {"bmp"},
     .starts = {"BM"},
     .header_at_start = true,
     .codec = bmp_codec},
    {.format = ImageFormat::kPpm,
     .id = "ppm",
     .name = "PPM",
     .extensions = {"ppm", "pgm", "pnm"},
     .gray_extension = "pgm",
     .starts = {"P5", "P6"},
     .bits = 16,
     .codec = ppm_codec},
    {.format = ImageFormat::kTiff,
     .id = "tiff",
     .name = "TIFF",
     .extensions = {"tif", "tiff"},
     .starts = {"II*\0"sv, "MM\0*"sv, "II+\0\x08\0\0\0"sv, "MM\0+\0\x08\0\0"sv},
     .bits = 16,
     .alpha = true,
     .metadata = {.exif = kAnyMetadataSize, .xmp = kAnyMetadataSize, .icc = kAnyMetadataSize, .photoshop = true},
     .codec = tiff_codec},
    {.format = ImageFormat::kWebp,
     .id = "webp",
     .name = "WebP",
     .extensions = {"webp"},
     .starts = {"RIFF????WEBP"},
     .alpha = true,
     .gray = false,
     .quality = true,
     .lossless_at_100 = true,
     .max_side = 16383,
     .header_at_start = true,
     .metadata = kInContainers,
     .codec = webp_codec},
    {.format = ImageFormat::kAvif,
     .id = "avif",
     .name = "AVIF",
     .extensions = {"avif"},
     .starts = {"????ftypavif", "????ftypavis", "????ftypmif1????avif", "????ftypmif1????mif1avif",
                "????ftypmif1????miafavif", "????ftypmif1????mif1miafavif", "????ftypmsf1????avis"},
     .bits = 12,
     .alpha = true,
     .gray = false,
     .quality = true,
     .chroma = true,
     .lossless_at_100 = true,
     .max_side = 65535,
     .metadata = {.exif = kMostInBox, .xmp = kMostInBox, .icc = kMostInBox, .cicp = true},
     .codec = avif_codec},
    {.format = ImageFormat::kHeif,
     .id = "heif",
     .name = "HEIF",
     .extensions = {"heic", "heif", "hif"},
     .starts = {"????ftypheic", "????ftypheix", "????ftypheim", "????ftypheis", "????ftyphevc", "????ftyphevx",
                "????ftypmif1", "????ftypmsf1"},
     .alpha = true,
     .gray = false,
     .codec = heif_codec},
    {.format = ImageFormat::kJxl,
     .id = "jxl",
     .name = "JPEG XL",
     .extensions = {"jxl"},
     .starts = {"\xff\x0a", "\0\0\0\x0cJXL \r\n\x87\n"sv},
     .bits = 16,
     .alpha = true,
     .quality = true,
     .lossless_at_100 = true,
     .metadata = kInContainers,
     .codec = jxl_codec},
    // Most are TIFF files by their first bytes (is_raw_picture tells them apart).
    {.format = ImageFormat::kRaw,
     .id = "raw",
     .name = "RAW",
     .extensions = {"dng", "3fr", "arw", "cr2", "cr3", "crw", "dcr", "erf", "fff", "iiq", "k25", "kdc", "mef", "mos",
                    "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"},
     .starts = {"II*\0\x10\0\0\0CR\x02"sv, "????ftypcrx "sv, "FUJIFILMCCD-RAW"sv, "IIRO"sv, "IIRS"sv, "MMOR"sv,
                "IIU\0"sv, "\0MRM"sv, "FOVb"sv, "II\x1a\0\0\0HEAPCCDR"sv},
     .bits = 16,
     .needs_whole_file = true,
     .codec = raw_codec},
};
}  // namespace formats

inline constexpr const auto& kImageFormats = formats::kRows;

}  // namespace kind
