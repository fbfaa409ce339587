// Binary PGM and PPM through stb_image, of which nothing else is compiled in.
//
// stb_image trusts these files: behind their end it delivers uninitialised memory, and version 2.27 neither scales
// samples nor swaps their bytes. So every header is read and checked here first, and it gets only files that hold all
// that their header promises.

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "core/base/error.h"
#include "core/image/image_codecs.h"

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

const ImageCodec* ppm_codec() {
  static constexpr ImageCodec kCodec = {ppm_info, decode_ppm, nullptr, encode_ppm};
  return &kCodec;
}

}  // namespace kind
