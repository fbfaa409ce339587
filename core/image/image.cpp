#include "core/image/image.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <limits>
#include <utility>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/image/exif.h"
#include "core/image/image_codecs.h"

namespace kind {
namespace {

static_assert(std::endian::native == std::endian::little, "samples are swapped to and from the files' byte order");

/// image_info reads this much first: nearly every header ends within it.
constexpr std::size_t kHeaderBytes = std::size_t{1} << 16;

using namespace std::string_view_literals;

bool has_at(Bytes bytes, std::size_t offset, std::string_view text) {
  return bytes.size() >= offset + text.size() && std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

constexpr const char* kRawHint = "a camera RAW file, which is not read: develop it to PNG or JPEG first";

/// What a file that is none of ours most likely is, with what to do about it.
std::string name_unreadable(const std::string& path, Bytes bytes) {
  static constexpr auto kOtherTypes = std::to_array<std::pair<std::string_view, const char*>>({
      {"FUJIFILMCCD-RAW"sv, kRawHint},
      {"IIRO"sv, kRawHint},
      {"IIRS"sv, kRawHint},
      {"MMOR"sv, kRawHint},
      {"IIU\0"sv, kRawHint},
      {"FOVb"sv, kRawHint},
      {"\0MRM"sv, kRawHint},
      {"II\x1a\0\0\0HEAPCCDR"sv, kRawHint},
      {"GIF8"sv, "a GIF, which is not read: convert it to PNG first"},
      {"8BPS"sv, "a Photoshop file, which is not read: export it as PNG first"},
      {"\0\0\0\x0cjP  "sv, "a JPEG 2000 file, which is not read: convert it to PNG first"},
      {"\0\0\0\x0cJXL "sv, "a JPEG XL file, which is not read: convert it to PNG first"},
      {"\xff\x0a"sv, "a JPEG XL file, which is not read: convert it to PNG first"},
      {"P1"sv, "a plain-text PNM file, which is not read: convert it to PNG or binary PPM first"},
      {"P2"sv, "a plain-text PNM file, which is not read: convert it to PNG or binary PPM first"},
      {"P3"sv, "a plain-text PNM file, which is not read: convert it to PNG or binary PPM first"},
      {"P4"sv, "a bitmap (PBM) file, which is not read: convert it to PNG first"},
      {"P7"sv, "a PAM file, which is not read: convert it to PNG first"},
      {"YUV4MPEG2 "sv, "a video (YUV4MPEG2), expected a picture; kind-infer takes a video as its only input"},
  });
  for (const auto& [magic, description] : kOtherTypes) {
    if (has_at(bytes, 0, magic)) return description;
  }
  if (has_at(bytes, 0, "RIFF"sv) && has_at(bytes, 8, "WEBP"sv)) {
    return "a WebP file, which is not read: convert it to PNG first";
  }
  if (has_at(bytes, 0, "II*\0"sv) || has_at(bytes, 0, "MM\0*"sv)) {
    // Most RAW types are TIFF inside, and only their names tell them apart.
    static constexpr auto kRawExtensions = std::to_array<std::string_view>(
        {".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef",
         ".mos", ".nef", ".nrw", ".orf", ".pef", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw"});
    const bool raw_name =
        std::find(kRawExtensions.begin(), kRawExtensions.end(), lower_extension(path)) != kRawExtensions.end();
    if (raw_name || has_at(bytes, 8, "CR"sv)) return kRawHint;
    return "a TIFF file, which is not read: convert it to PNG first";
  }
  if (has_at(bytes, 4, "ftyp"sv)) {
    if (has_at(bytes, 8, "crx "sv)) return kRawHint;
    if (has_at(bytes, 8, "avif"sv) || has_at(bytes, 8, "avis"sv)) {
      return "an AVIF file, which is not read: convert it to PNG or JPEG first";
    }
    for (const auto brand : {"heic"sv, "heix"sv, "heim"sv, "heis"sv, "hevc"sv, "hevx"sv, "mif1"sv, "msf1"sv}) {
      if (has_at(bytes, 8, brand)) return "a HEIC file, which is not read: convert it to PNG or JPEG first";
    }
    return "a video or another file of the MP4 family, expected a picture; kind-infer takes what ffmpeg -f yuv4mpegpipe "
           "makes of a video";
  }
  return "not a picture of a type that is read (PNG, JPEG, BMP, PPM, PGM)";
}

ImageFormat require_format(const std::string& path, Bytes bytes) {
  const std::optional<ImageFormat> format = image_format_from_content(bytes);
  if (!format) fail("cannot read ", path, ": it is ", name_unreadable(path, bytes));
  return *format;
}

ImageInfo info_of(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  switch (require_format(path, bytes)) {
    case ImageFormat::kPng:
      return png_info(path, bytes, limits);
    case ImageFormat::kJpeg:
      return jpeg_info(path, bytes, limits);
    case ImageFormat::kBmp:
      return bmp_info(path, bytes, limits);
    case ImageFormat::kPpm:
      break;
  }
  return ppm_info(path, bytes, limits);
}

Metadata metadata_of(const std::string& path, Bytes bytes, ImageFormat format, const ReadLimits& limits) {
  if (format == ImageFormat::kJpeg) return read_jpeg_metadata(path, bytes, limits.max_metadata_bytes);
  if (format == ImageFormat::kPng) return read_png_metadata(path, bytes, limits.max_metadata_bytes);
  return {};
}

ImageInfo upright_info_of(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  ImageInfo info = info_of(path, bytes, limits);
  if (exif_orientation(metadata_of(path, bytes, info.format, limits).exif) >= 5) std::swap(info.width, info.height);
  return info;
}

Image decode(const std::string& path, Bytes bytes, ImageFormat format, const ReadLimits& limits) {
  switch (format) {
    case ImageFormat::kPng:
      return decode_png(path, bytes, limits);
    case ImageFormat::kJpeg:
      return decode_jpeg(path, bytes, limits);
    case ImageFormat::kBmp:
      return decode_bmp(path, bytes, limits);
    case ImageFormat::kPpm:
      break;
  }
  return decode_ppm(path, bytes, limits);
}

/// Throws Error where a type cannot hold the picture.
void check_writable(const std::string& path, const Image& image, ImageFormat format, const WriteOptions& options) {
  check(image.width > 0 && image.height > 0 &&
            image.data.size() == image.row_bytes() * static_cast<std::size_t>(image.height),
        "cannot write ", path, ": the picture is empty or its data does not fit its size");
  const char* type = image_extension(format);
  check(format == ImageFormat::kPng || !image.has_alpha(), "cannot write ", path, ": ", type,
        " files hold no alpha channel here, expected png");
  check(format == ImageFormat::kPng || format == ImageFormat::kPpm || image.bits == 8, "cannot write ", path, ": ",
        type, " files hold no 16-bit samples, expected png or ppm");
  check(format != ImageFormat::kPpm || image.channels == 1 || lower_extension(path) != ".pgm", "cannot write ", path,
        ": PGM is for gray pictures and this one has colours, expected a name that ends in .ppm");
  check(format != ImageFormat::kJpeg || (options.jpeg_quality >= 1 && options.jpeg_quality <= 100), "cannot write ",
        path, ": the JPEG quality is ", options.jpeg_quality, ", expected 1 to 100");
}

void encode(const std::string& path, const Image& image, ImageFormat format, const WriteOptions& options,
            ByteSink& sink) {
  switch (format) {
    case ImageFormat::kPng:
      return encode_png(path, image, options, sink);
    case ImageFormat::kJpeg:
      return encode_jpeg(path, image, options, sink);
    case ImageFormat::kBmp:
      return encode_bmp(path, image, sink);
    case ImageFormat::kPpm:
      return encode_ppm(image, sink);
  }
}

}  // namespace

Image::Image(int w, int h, int c, int b) : width(w), height(h), channels(c), bits(b) {
  check(w > 0 && h > 0 && c >= 1 && c <= 4 && (b == 8 || b == 16),
        "image: expected positive sides, 1 to 4 channels and ", "8 or 16 bits, got ", w, " x ", h, ", ", c,
        " channels, ", b, " bits");
  data.resize(row_bytes() * static_cast<std::size_t>(h));
}

int Image::sample(int x, int y, int channel) const {
  const std::size_t at =
      static_cast<std::size_t>(x) * static_cast<std::size_t>(channels) + static_cast<std::size_t>(channel);
  if (bits == 8) return row(y)[at];
  std::uint16_t value;
  std::memcpy(&value, row(y) + 2 * at, 2);
  return value;
}

void Image::set_sample(int x, int y, int channel, int value) {
  const std::size_t at =
      static_cast<std::size_t>(x) * static_cast<std::size_t>(channels) + static_cast<std::size_t>(channel);
  const auto wide = static_cast<std::uint16_t>(value);
  if (bits == 8) {
    row(y)[at] = static_cast<std::uint8_t>(value);
  } else {
    std::memcpy(row(y) + 2 * at, &wide, 2);
  }
}

void check_picture_size(const std::string& path, std::int64_t width, std::int64_t height, const ReadLimits& limits) {
  check(width >= 1 && height >= 1, "cannot read ", path, ": its header says ", width, " x ", height,
        " pixels, expected at least 1 x 1");
  check(width <= limits.max_side && height <= limits.max_side, "cannot read ", path, ": it has ", width, " x ", height,
        " pixels, the limit is ", limits.max_side, " a side");
  check(width <= limits.max_pixels / height, "cannot read ", path, ": it has ", width, " x ", height,
        " pixels, the limit is ", limits.max_pixels, " in all");
}

void check_image_bytes(const std::string& path, const ImageInfo& size, int channels, int bits,
                       const ReadLimits& limits) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(size.width) * static_cast<std::uint64_t>(size.height) *
                              static_cast<std::uint64_t>(channels * bits / 8);
  check(bytes <= limits.max_image_bytes, "cannot read ", path, ": its ", size.width, " x ", size.height,
        " pixels take ", bytes, " bytes, the limit is ", limits.max_image_bytes);
}

void check_file_holds(const std::string& path, std::uint64_t have, std::uint64_t least, const ImageInfo& size) {
  check(have >= least, "cannot read ", path, ": the file ends early, it has ", have, " bytes, ", size.width, " x ",
        size.height, " pixels take at least ", least);
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool sideways = orientation >= 5;
  Image out(sideways ? image.height : image.width, sideways ? image.width : image.height, image.channels, image.bits);
  const std::size_t pixel_bytes = static_cast<std::size_t>(image.channels) * static_cast<std::size_t>(image.bits / 8);
  // EXIF 2.3, tag 0x0112. Whether the stored picture's x (y) runs against the upright picture's axis that it lies
  // along.
  const bool x_reversed = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool y_reversed = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  for (int y = 0; y < out.height; ++y) {
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += pixel_bytes) {
      const int along_x = sideways ? y : x;
      const int along_y = sideways ? x : y;
      const int from_x = x_reversed ? image.width - 1 - along_x : along_x;
      const int from_y = y_reversed ? image.height - 1 - along_y : along_y;
      std::memcpy(to, image.row(from_y) + static_cast<std::size_t>(from_x) * pixel_bytes, pixel_bytes);
    }
  }
  return out;
}

Image read_image(const std::string& path, const ReadLimits& limits, Metadata* metadata) {
  FileReader file(path, limits.max_file_bytes);
  const Bytes start = file.read_until(kHeaderBytes);
  const ImageFormat format = require_format(path, start);
  // What the header alone rules out is not read any further. JPEG and PPM headers may be longer than this.
  if (format == ImageFormat::kPng || format == ImageFormat::kBmp) info_of(path, start, limits);
  return decode_image(path, file.read_all(), limits, metadata);
}

Image decode_image(const std::string& path, Bytes bytes, const ReadLimits& limits, Metadata* metadata) {
  const ImageFormat format = require_format(path, bytes);
  Metadata found = metadata_of(path, bytes, format, limits);
  const int orientation = exif_orientation(found.exif);
  Image image = apply_orientation(decode(path, bytes, format, limits), orientation);
  if (metadata == nullptr) return image;
  make_upright(found, image.width, image.height, orientation);
  check_profile(found, image.channels < 3);
  *metadata = std::move(found);
  return image;
}

ImageInfo image_info(const std::string& path, const ReadLimits& limits) {
  FileReader file(path, limits.max_file_bytes);
  const Bytes start = file.read_until(kHeaderBytes);
  const ImageFormat format = require_format(path, start);
  if (file.at_end() || format == ImageFormat::kBmp) return upright_info_of(path, start, limits);
  if (format == ImageFormat::kPng) {
    info_of(path, start, limits);                           // what the header alone rules out is not read any further
    return upright_info_of(path, file.read_all(), limits);  // the orientation may stand at the end
  }
  try {
    return upright_info_of(path, start, limits);
  } catch (const Error&) {
    // The header is bad, or (large EXIF data, long comments) it goes on behind what was read.
    return upright_info_of(path, file.read_all(), limits);
  }
}

void write_image(const std::string& path, const Image& image, ImageFormat format, const WriteOptions& options) {
  check_writable(path, image, format, options);
  AtomicFile file(path);
  std::vector<std::uint8_t> buffer;
  constexpr std::size_t kBuffer = std::size_t{1} << 18;
  ByteSink sink([&](Bytes bytes) {
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    if (buffer.size() < kBuffer) return;
    file.write(buffer);
    buffer.clear();
  });
  encode(path, image, format, options, sink);
  file.write(buffer);
  file.commit();
}

std::vector<std::uint8_t> encode_image(const std::string& name, const Image& image, ImageFormat format,
                                       const WriteOptions& options) {
  check_writable(name, image, format, options);
  std::vector<std::uint8_t> file;
  ByteSink sink([&](Bytes bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); });
  encode(name, image, format, options, sink);
  return file;
}

std::string lower_extension(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

MetadataHolder metadata_holder(ImageFormat format) {
  if (format == ImageFormat::kJpeg) return MetadataHolder::kJpeg;
  return format == ImageFormat::kPng ? MetadataHolder::kPng : MetadataHolder::kNone;
}

std::optional<ImageFormat> image_format_from_extension(std::string_view extension) {
  if (extension.starts_with('.')) extension.remove_prefix(1);
  std::string lower(extension);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "png") return ImageFormat::kPng;
  if (lower == "jpg" || lower == "jpeg") return ImageFormat::kJpeg;
  if (lower == "bmp") return ImageFormat::kBmp;
  if (lower == "ppm" || lower == "pgm" || lower == "pnm") return ImageFormat::kPpm;
  return std::nullopt;
}

std::optional<ImageFormat> image_format_from_content(Bytes bytes) {
  if (has_at(bytes, 0, "\x89PNG\r\n\x1a\n"sv)) return ImageFormat::kPng;
  if (has_at(bytes, 0, "\xff\xd8\xff"sv)) return ImageFormat::kJpeg;
  if (has_at(bytes, 0, "BM"sv)) return ImageFormat::kBmp;
  if (has_at(bytes, 0, "P5"sv) || has_at(bytes, 0, "P6"sv)) return ImageFormat::kPpm;
  return std::nullopt;
}

const char* image_extension(ImageFormat format) {
  switch (format) {
    case ImageFormat::kPng:
      return "png";
    case ImageFormat::kJpeg:
      return "jpg";
    case ImageFormat::kBmp:
      return "bmp";
    case ImageFormat::kPpm:
      break;
  }
  return "ppm";
}

const char* writable_image_types() { return "png, jpg, bmp, ppm"; }

bool has_picture_name(const std::string& path) {
  const std::string extension = lower_extension(path);
  if (std::filesystem::path(path).filename().string().rfind('.', 0) == 0) return false;
  return !extension.empty() && image_format_from_extension(extension).has_value();
}

}  // namespace kind
