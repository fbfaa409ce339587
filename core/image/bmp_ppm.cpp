// BMP and binary PGM / PPM through stb_image, of which nothing else is compiled in.
//
// stb_image trusts these files: behind their end it delivers zeros (BMP) or uninitialised memory (PNM, palettes), and
// version 2.27 neither scales PNM samples nor swaps their bytes. So every header is read and checked here first, and it
// gets only files that hold all that their header promises.

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "core/base/error.h"
#include "core/image/image_codecs.h"

#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ASSERT(condition) static_cast<void>(0)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace kind {
namespace {

/// Decodes with stb_image, whose result must have the size found in the header.
Image decode_with_stb(const std::string& path, Bytes bytes, const ImageInfo& info, const char* type) {
  check(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()), "cannot read ", path, " as ", type,
        ": it has ", bytes.size(), " bytes, expected less than 2 GiB");
  int width = 0;
  int height = 0;
  int channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels, 0),
      stbi_image_free);
  if (pixels == nullptr) fail("cannot read ", path, " as ", type, ": ", stbi_failure_reason());
  check(width == info.width && height == info.height, "cannot read ", path, " as ", type, ": its header is damaged");
  Image image(width, height, channels);
  std::copy_n(pixels.get(), image.data.size(), image.data.begin());
  return image;
}

std::uint32_t little_endian_u32(Bytes bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) |
         (std::uint32_t{bytes[at + 3]} << 24);
}

unsigned little_endian_u16(Bytes bytes, std::size_t at) {
  return static_cast<unsigned>(bytes[at] | (bytes[at + 1] << 8));
}

struct BmpHeader {
  std::int64_t width;
  std::int64_t height;
  std::size_t pixel_offset;
  std::size_t palette_at;
  std::size_t palette_size;  // 0 where there is none
  unsigned bits_per_pixel;
};

BmpHeader read_bmp_header(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const auto require = [&](bool condition, const auto&... parts) {
    if (!condition) fail("cannot read ", path, " as BMP: ", parts...);
  };
  require(bytes.size() >= 26, "its header is cut short");
  BmpHeader header{};
  header.pixel_offset = little_endian_u32(bytes, 10);
  const std::size_t header_size = little_endian_u32(bytes, 14);
  const bool old = header_size == 12;  // OS/2 1.x: 16-bit sides, palette entries of 3 bytes
  require(old || header_size == 40 || header_size == 56 || header_size == 108 || header_size == 124,
          "its header has the unknown size ", header_size);
  require(bytes.size() >= 14 + header_size, "its header is cut short");
  if (old) {
    header.width = little_endian_u16(bytes, 18);
    header.height = little_endian_u16(bytes, 20);
  } else {
    header.width = static_cast<std::int32_t>(little_endian_u32(bytes, 18));
    const std::int64_t height = static_cast<std::int32_t>(little_endian_u32(bytes, 22));
    header.height = height < 0 ? -height : height;  // negative where the rows go from the top
  }
  check_picture_size(path, header.width, header.height, limits);
  header.bits_per_pixel = little_endian_u16(bytes, old ? 24 : 28);
  const std::uint32_t compression = old ? 0 : little_endian_u32(bytes, 30);
  require(compression == 0 || compression == 3, "its pixels are compressed, which is not read: save it uncompressed");
  const unsigned bits = header.bits_per_pixel;
  const bool palette = bits == 1 || bits == 4 || bits == 8;
  require(palette || bits == 16 || bits == 24 || bits == 32, "it has ", bits, " bits per pixel");
  require(compression == 0 || bits == 16 || bits == 32, "its header is damaged");
  const std::size_t header_end = 14 + header_size + (compression == 3 && header_size <= 56 ? 12 : 0);
  require(header.pixel_offset >= header_end, "its header is damaged");
  if (palette) {
    require(!old, "it is an OS/2 file with a palette, which is not read: save it in the usual form");
    header.palette_at = header_end;
    header.palette_size = (header.pixel_offset - header_end) / 4;
    require(header.palette_size >= 1 && header.palette_size <= 256, "its palette has ", header.palette_size,
            " colours, expected 1 to 256");
  }
  return header;
}

/// Throws Error unless every row is there and every palette index is in the palette.
void check_bmp_pixels(const std::string& path, Bytes bytes, const BmpHeader& header) {
  const auto width = static_cast<std::size_t>(header.width);
  const auto height = static_cast<std::size_t>(header.height);
  const std::size_t used_row_bytes = (width * header.bits_per_pixel + 7) / 8;
  const std::size_t row_bytes = (used_row_bytes + 3) / 4 * 4;
  const std::size_t expected = header.pixel_offset + row_bytes * (height - 1) + used_row_bytes;
  check(bytes.size() >= expected, "cannot read ", path, " as BMP: the file ends early, it has ", bytes.size(),
        " bytes, expected ", expected);
  if (header.palette_size == 0 || header.palette_size == 256) return;
  const unsigned bits = header.bits_per_pixel;
  for (std::size_t y = 0; y < height; ++y) {
    const Bytes row = bytes.subspan(header.pixel_offset + y * row_bytes, used_row_bytes);
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t bit = x * bits;  // the first pixel of a byte is in its upper bits
      const unsigned index = (row[bit / 8] >> (8 - bits - bit % 8)) & ((1u << bits) - 1);
      check(index < header.palette_size, "cannot read ", path, " as BMP: a pixel has the colour ", index,
            " of a palette of ", header.palette_size);
    }
  }
}

/// BMP has no gray type; files with a palette of nothing but grays stand for it.
bool has_gray_palette(Bytes bytes, const BmpHeader& header) {
  for (std::size_t i = 0; i < header.palette_size; ++i) {
    const Bytes color = bytes.subspan(header.palette_at + 4 * i, 3);
    if (color[0] != color[1] || color[0] != color[2]) return false;
  }
  return header.palette_size > 0;
}

struct PpmHeader {
  std::int64_t width;
  std::int64_t height;
  int channels;
  int maximum;
  std::size_t pixel_offset;
};

PpmHeader read_ppm_header(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const auto is_space = [](std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  const auto is_digit = [](std::uint8_t c) { return c >= '0' && c <= '9'; };
  const auto bad = [&]() { fail("cannot read ", path, " as PPM: its header is damaged or cut short"); };
  std::size_t at = 2;  // behind "P5" or "P6"
  const auto read_number = [&]() -> std::int64_t {
    if (at >= bytes.size() || !(is_space(bytes[at]) || bytes[at] == '#')) bad();
    while (at < bytes.size() && (is_space(bytes[at]) || bytes[at] == '#')) {
      if (bytes[at] == '#') {  // a comment, to the end of its line
        while (at < bytes.size() && bytes[at] != '\n' && bytes[at] != '\r') ++at;
      } else {
        ++at;
      }
    }
    if (at >= bytes.size() || !is_digit(bytes[at])) bad();
    std::int64_t value = 0;
    while (at < bytes.size() && is_digit(bytes[at])) {
      value = value * 10 + (bytes[at++] - '0');
      if (value > std::numeric_limits<std::int32_t>::max()) bad();
    }
    return value;
  };
  PpmHeader header{};
  header.channels = bytes[1] == '6' ? 3 : 1;
  header.width = read_number();
  header.height = read_number();
  const std::int64_t maximum = read_number();
  if (at >= bytes.size() || !is_space(bytes[at])) bad();
  header.pixel_offset = at + 1;
  check_picture_size(path, header.width, header.height, limits);
  check(maximum >= 1 && maximum <= 65535, "cannot read ", path, " as PPM: its maximum is ", maximum,
        ", expected 1 to 65535");
  header.maximum = static_cast<int>(maximum);
  return header;
}

void put_u16(std::vector<std::uint8_t>& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value & 0xff));
  out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
}

void put_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  put_u16(out, value & 0xffff);
  put_u16(out, value >> 16);
}

ImageInfo bmp_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const BmpHeader header = read_bmp_header(path, bytes, limits);
  return {static_cast<int>(header.width), static_cast<int>(header.height), ImageFormat::kBmp};
}

Image decode_bmp(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const BmpHeader header = read_bmp_header(path, bytes, limits);
  check_bmp_pixels(path, bytes, header);
  Image image = decode_with_stb(path, bytes, bmp_info(path, bytes, limits), "BMP");
  if (!has_gray_palette(bytes, header)) return image;
  const auto channels = static_cast<std::size_t>(image.channels);
  Image gray(image.width, image.height, 1);
  for (std::size_t i = 0; i < gray.data.size(); ++i) gray.data[i] = image.data[channels * i];
  return gray;
}

ImageInfo ppm_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const PpmHeader header = read_ppm_header(path, bytes, limits);
  return {static_cast<int>(header.width), static_cast<int>(header.height), ImageFormat::kPpm};
}

Image decode_ppm(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const PpmHeader header = read_ppm_header(path, bytes, limits);
  const ImageInfo info = ppm_info(path, bytes, limits);
  const std::size_t count = static_cast<std::size_t>(info.width) * static_cast<std::size_t>(info.height) *
                            static_cast<std::size_t>(header.channels);
  const bool wide = header.maximum > 255;
  const std::size_t expected = header.pixel_offset + count * (wide ? 2 : 1);
  check(bytes.size() >= expected, "cannot read ", path, " as PPM: the file ends early, it has ", bytes.size(),
        " bytes, expected ", expected);
  const Bytes raster = bytes.subspan(header.pixel_offset);
  Image image;
  if (wide) {
    // Two bytes a sample, the upper one first: not through stb_image, which hands them out unswapped.
    image = Image(info.width, info.height, header.channels, 16);
    for (std::size_t i = 0; i < 2 * count; i += 2) {
      image.data[i] = raster[i + 1];
      image.data[i + 1] = raster[i];
    }
  } else {
    image = decode_with_stb(path, bytes, info, "PPM");
    check(image.channels == header.channels, "cannot read ", path, " as PPM: its header is damaged");
  }
  if (header.maximum == image.maximum()) return image;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < image.channels; ++c) {
        const std::int64_t value = image.sample(x, y, c);
        check(value <= header.maximum, "cannot read ", path, " as PPM: a sample is ", value, ", above its maximum of ",
              header.maximum);
        const std::int64_t scaled = (2 * value * image.maximum() + header.maximum) / (2 * std::int64_t{header.maximum});
        image.set_sample(x, y, c, static_cast<int>(scaled));
      }
    }
  }
  return image;
}

void encode_bmp(const std::string& path, const Image& image, const WriteOptions&, ByteSink& sink) {
  const bool gray = image.channels == 1;
  const std::size_t row_bytes = (image.row_bytes() + 3) / 4 * 4;
  const std::size_t pixel_offset = 54 + (gray ? 4 * 256 : 0);
  const std::size_t size = pixel_offset + row_bytes * static_cast<std::size_t>(image.height);
  check(size <= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()), "cannot write ", path,
        ": a BMP holds less than 2 GiB");
  std::vector<std::uint8_t> out;
  out.push_back('B');
  out.push_back('M');
  put_u32(out, static_cast<std::uint32_t>(size));
  put_u32(out, 0);
  put_u32(out, static_cast<std::uint32_t>(pixel_offset));
  put_u32(out, 40);  // the usual header (BITMAPINFOHEADER)
  put_u32(out, static_cast<std::uint32_t>(image.width));
  put_u32(out, static_cast<std::uint32_t>(image.height));
  put_u16(out, 1);  // planes
  put_u16(out, gray ? 8 : 24);
  put_u32(out, 0);  // not compressed
  put_u32(out, static_cast<std::uint32_t>(size - pixel_offset));
  put_u32(out, 2835);  // 72 dots per inch, in pixels per metre
  put_u32(out, 2835);
  put_u32(out, gray ? 256 : 0);
  put_u32(out, 0);
  if (gray) {
    for (std::uint32_t i = 0; i < 256; ++i) put_u32(out, i * 0x010101u);
  }
  for (int y = image.height - 1; y >= 0; --y) {  // rows from the bottom, pixels as blue, green, red
    const std::uint8_t* row = image.row(y);
    for (std::size_t i = 0; i < image.row_bytes(); ++i) out.push_back(row[gray ? i : i - i % 3 + 2 - i % 3]);
    out.resize(out.size() + row_bytes - image.row_bytes());
    sink.put(out);
    out.clear();
  }
}

void encode_ppm(const std::string&, const Image& image, const WriteOptions&, ByteSink& sink) {
  const std::string header = std::string(image.channels == 1 ? "P5" : "P6") + "\n" + std::to_string(image.width) + " " +
                             std::to_string(image.height) + "\n" + std::to_string(image.maximum()) + "\n";
  sink.put(Bytes(reinterpret_cast<const std::uint8_t*>(header.data()), header.size()));
  std::vector<std::uint8_t> row(image.row_bytes());
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(image.row(y), row.size(), row.begin());
    if (image.bits == 16) {  // the upper byte first
      for (std::size_t i = 0; i < row.size(); i += 2) std::swap(row[i], row[i + 1]);
    }
    sink.put(row);
  }
}

}  // namespace

const ImageCodec* bmp_codec() {
  static constexpr ImageCodec kCodec = {bmp_info, decode_bmp, nullptr, encode_bmp};
  return &kCodec;
}

const ImageCodec* ppm_codec() {
  static constexpr ImageCodec kCodec = {ppm_info, decode_ppm, nullptr, encode_ppm};
  return &kCodec;
}

}  // namespace kind
