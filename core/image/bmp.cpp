// BMP, as Windows and OS/2 have written it since 1988: a file header (14 bytes), a header of one of eight sizes, masks, a
// palette, and at the offset that the file header gives the pixels, plain or as runs (RLE). Numbers are little-endian.
// Sources: Microsoft, "Bitmap Storage" (BITMAPINFOHEADER to BITMAPV5HEADER); IBM, "OS/2 bitmap file format".

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "core/base/error.h"
#include "core/image/image_codecs.h"

namespace kind {
namespace {

constexpr std::uint32_t kPlain = 0, kRle8 = 1, kRle4 = 2, kMasks = 3, kMasksWithAlpha = 6;
constexpr std::size_t kFileHeader = 14, kOs2 = 12, kOs2Short = 16, kUsual = 40, kWithMasks = 52, kOs2Long = 64,
                      kV5 = 124;

std::uint32_t little_endian_u32(Bytes bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) |
         (std::uint32_t{bytes[at + 3]} << 24);
}

unsigned little_endian_u16(Bytes bytes, std::size_t at) {
  return static_cast<unsigned>(bytes[at] | (bytes[at + 1] << 8));
}

struct Header {
  std::int64_t width, height;
  bool top_down;
  unsigned bits;  ///< of a pixel
  std::uint32_t compression;
  std::size_t pixel_offset;
  std::size_t palette_at, palette_entry, palette_size;  ///< palette_size is 0 where there is none.
  std::array<std::uint32_t, 4> masks;                   ///< Red, green, blue, alpha; 0 is none.
};

template <class... Parts>
void require(const std::string& path, bool condition, const Parts&... parts) {
  if (!condition) fail("cannot read ", path, " as BMP: ", parts...);
}

/// Throws Error where the pixels are stored in a way that is not read.
void check_compression(const std::string& path, const Header& header, std::size_t header_size) {
  const bool os2 = header_size == kOs2Short || header_size == kOs2Long;
  const std::uint32_t compression = header.compression;
  const bool masks = compression == kMasks || compression == kMasksWithAlpha;
  require(path, !(os2 && masks) && (compression <= kMasks || compression == kMasksWithAlpha),
          "its pixels are compressed in a way that is not read (number ", compression, "): save it uncompressed");
  const unsigned bits = header.bits;
  const bool palette = bits == 1 || bits == 2 || bits == 4 || bits == 8;
  require(path, palette || bits == 24 || (header_size != kOs2 && (bits == 16 || bits == 32)), "it has ", bits,
          " bits per pixel");
  const bool fits = compression == kRle8   ? bits == 8
                    : compression == kRle4 ? bits == 4
                                           : !masks || bits == 16 || bits == 32;
  require(path, fits, "its header is damaged");
}

/// Reads where the samples of a pixel of 16 or 32 bits lie.
void read_masks(const std::string& path, Bytes bytes, std::size_t header_size, Header& header) {
  if (header.bits != 16 && header.bits != 32) return;
  if (header.compression == kPlain) {
    header.masks = header.bits == 16 ? std::array<std::uint32_t, 4>{0x7c00, 0x3e0, 0x1f, 0}
                                     : std::array<std::uint32_t, 4>{0xff0000, 0xff00, 0xff, 0xff000000};
    return;
  }
  // In the header or right behind the usual one, which is the same place; the fourth not always.
  const bool fourth = header_size > kWithMasks || header.compression == kMasksWithAlpha;
  for (std::size_t i = 0; i < (fourth ? 4u : 3u); ++i) {
    const std::uint32_t mask = little_endian_u32(bytes, kFileHeader + kUsual + 4 * i);
    header.masks[i] = mask;
    const int count = std::popcount(mask);
    const bool whole = mask == 0 || std::has_single_bit(std::uint64_t{mask >> std::countr_zero(mask)} + 1);
    require(path, (mask != 0 || i == 3) && whole && (header.bits == 32 || mask <= 0xffff),
            "its colour masks are damaged");
    require(path, count <= 8, "its samples have ", count, " bits, expected at most 8");
  }
}

Header read_header(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  require(path, bytes.size() >= kFileHeader + kOs2, "its header is cut short");
  Header header{};
  header.pixel_offset = little_endian_u32(bytes, 10);
  const std::size_t size = little_endian_u32(bytes, 14);
  constexpr std::size_t kSizes[] = {kOs2, kOs2Short, kUsual, kWithMasks, 56, kOs2Long, 108, kV5};
  require(path, std::find(std::begin(kSizes), std::end(kSizes), size) != std::end(kSizes),
          "its header has the unknown size ", size);
  require(path, bytes.size() >= kFileHeader + size, "its header is cut short");
  const bool old = size == kOs2;  // 16-bit sides, palette entries of 3 bytes
  const auto field = [&](std::size_t at) { return at + 4 <= size ? little_endian_u32(bytes, kFileHeader + at) : 0; };
  const auto side = [&](std::size_t at) { return std::int64_t{static_cast<std::int32_t>(field(at))}; };
  const std::int64_t height = old ? std::int64_t{little_endian_u16(bytes, 20)} : side(8);
  header.width = old ? std::int64_t{little_endian_u16(bytes, 18)} : side(4);
  header.top_down = height < 0;
  header.height = height < 0 ? -height : height;
  check_picture_size(path, header.width, header.height, limits);
  require(path, little_endian_u16(bytes, old ? 22 : 26) == 1, "its header is damaged");  // planes
  header.bits = little_endian_u16(bytes, old ? 24 : 28);
  header.compression = field(16);
  check_compression(path, header, size);
  std::size_t end = kFileHeader + size;
  if (size == kUsual && header.compression == kMasks) end += 12;
  if (size == kUsual && header.compression == kMasksWithAlpha) end += 16;
  if (size == kWithMasks && header.compression == kMasksWithAlpha) end += 4;
  require(path, bytes.size() >= end, "its header is cut short");
  require(path, header.pixel_offset >= end, "its header is damaged");
  read_masks(path, bytes, size, header);
  if (header.bits > 8) return header;
  // Between the palette and the pixels there may be a gap. Some files have fewer colours than they say.
  header.palette_at = end;
  header.palette_entry = old ? 3 : 4;
  const std::size_t stated = field(32), most = std::size_t{1} << header.bits;
  header.palette_size =
      std::min(stated == 0 || stated > most ? most : stated, (header.pixel_offset - end) / header.palette_entry);
  require(path, header.palette_size >= 1, "its palette has 0 colours, expected 1 to ", most);
  return header;
}

void check_index(const std::string& path, const Header& header, unsigned index) {
  require(path, index < header.palette_size, "a pixel has the colour ", index, " of a palette of ",
          header.palette_size);
}

std::size_t used_row_bytes(const Header& header) {
  return (static_cast<std::size_t>(header.width) * header.bits + 7) / 8;
}

/// Each row begins at a multiple of four bytes from the first; they may go from the bottom to the top. The file holds
/// all of them.
Bytes row_at(Bytes bytes, const Header& header, std::size_t y) {
  const std::size_t stored = header.top_down ? y : static_cast<std::size_t>(header.height) - 1 - y;
  return bytes.subspan(header.pixel_offset + stored * ((used_row_bytes(header) + 3) / 4 * 4), used_row_bytes(header));
}

/// The palette's indices of all pixels, rows as in the picture, from pixels that are stored as they are.
std::vector<std::uint8_t> plain_indices(const std::string& path, Bytes bytes, const Header& header) {
  const auto width = static_cast<std::size_t>(header.width), height = static_cast<std::size_t>(header.height);
  std::vector<std::uint8_t> indices(width * height);
  for (std::size_t y = 0; y < height; ++y) {
    const Bytes row = row_at(bytes, header, y);
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t bit = x * header.bits;  // the first pixel of a byte is in its upper bits
      const unsigned index = (row[bit / 8] >> (8 - header.bits - bit % 8)) & ((1u << header.bits) - 1);
      check_index(path, header, index);
      indices[y * width + x] = static_cast<std::uint8_t>(index);
    }
  }
  return indices;
}

/// The same from runs (RLE4 and RLE8): a count and an index, or two that take turns; or 0 and what to do: 0 a new row,
/// 1 the end, 2 a step to the right and up, 3 to 255 so many indices as they are, an even number of bytes. Pixels that
/// are stepped over have the first colour.
std::vector<std::uint8_t> run_indices(const std::string& path, Bytes bytes, const Header& header) {
  const auto width = static_cast<std::size_t>(header.width), height = static_cast<std::size_t>(header.height);
  const Bytes data = bytes.subspan(std::min(header.pixel_offset, bytes.size()));
  const bool four = header.compression == kRle4;
  std::vector<std::uint8_t> indices(width * height);
  std::size_t at = 0, x = 0, y = 0;
  const auto next = [&]() -> unsigned {
    require(path, at < data.size(), "the file ends early, within its compressed pixels");
    return data[at++];
  };
  // ImageMagick's rows go on up to the multiple of four bytes that plain rows have.
  const std::size_t padded = four ? (width + 7) / 8 * 8 : (width + 3) / 4 * 4;
  const auto put = [&](unsigned index) {
    require(path, x < padded && y < height, "its compressed pixels run beyond the picture");
    if (x++ >= width) return;
    check_index(path, header, index);
    indices[(header.top_down ? y : height - 1 - y) * width + x - 1] = static_cast<std::uint8_t>(index);
  };
  // Some programs write no end.
  while (at < data.size() || !(y >= height || (y + 1 == height && x >= width))) {
    const unsigned count = next(), value = next();
    if (count > 0) {
      for (unsigned i = 0; i < count; ++i) put(!four ? value : i % 2 == 0 ? value >> 4 : value & 15);
    } else if (value == 0) {
      x = 0;
      ++y;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      x += next();
      y += next();
    } else {
      unsigned byte = 0;
      for (unsigned i = 0; i < value; ++i) {
        if (!four || i % 2 == 0) byte = next();
        put(!four ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
      }
      if ((four ? (value + 1) / 2 : value) % 2 != 0 && at < data.size()) ++at;
    }
    require(path, x <= padded && y <= height, "its compressed pixels run beyond the picture");
  }
  return indices;
}

/// BMP has no gray type; files with a palette of nothing but grays stand for it.
bool has_gray_palette(Bytes bytes, const Header& header) {
  for (std::size_t i = 0; i < header.palette_size; ++i) {
    const Bytes color = bytes.subspan(header.palette_at + header.palette_entry * i, 3);
    if (color[0] != color[1] || color[0] != color[2]) return false;
  }
  return header.palette_size > 0;
}

Image from_palette(Bytes bytes, const Header& header, const std::vector<std::uint8_t>& indices) {
  Image image(static_cast<int>(header.width), static_cast<int>(header.height), has_gray_palette(bytes, header) ? 1 : 3);
  std::uint8_t* to = image.data.data();
  for (const std::uint8_t index : indices) {
    const Bytes color = bytes.subspan(header.palette_at + header.palette_entry * index, 3);  // blue, green, red
    for (std::size_t c = 0; c < static_cast<std::size_t>(image.channels); ++c) *to++ = color[2 - c];
  }
  return image;
}

/// Pixels of 16, 24 or 32 bits. Samples of fewer than 8 bits are repeated to fill 8.
Image from_samples(Bytes bytes, const Header& header) {
  const bool alpha = header.masks[3] != 0;
  Image image(static_cast<int>(header.width), static_cast<int>(header.height), alpha ? 4 : 3);
  const std::size_t pixel = header.bits / 8;
  bool transparent = header.compression == kPlain;  // all of it
  for (int y = 0; y < image.height; ++y) {
    const Bytes row = row_at(bytes, header, static_cast<std::size_t>(y));
    std::uint8_t* to = image.row(y);
    for (std::size_t at = 0; at < row.size(); at += pixel) {
      if (pixel == 3) {
        for (std::size_t c = 0; c < 3; ++c) *to++ = row[at + 2 - c];
        continue;
      }
      const std::uint32_t value = pixel == 2 ? little_endian_u16(row, at) : little_endian_u32(row, at);
      for (std::size_t c = 0; c < (alpha ? 4u : 3u); ++c) {
        const std::uint32_t mask = header.masks[c];
        const int bits = std::popcount(mask);
        std::uint32_t sample = (value & mask) >> std::countr_zero(mask) << (8 - bits);
        for (int filled = bits; filled < 8; filled *= 2) sample |= sample >> filled;
        *to++ = static_cast<std::uint8_t>(sample);
        if (c == 3) transparent &= sample == 0;
      }
    }
  }
  // The fourth byte of plain 32-bit files is often left at 0.
  if (alpha && transparent) {
    for (std::size_t i = 3; i < image.data.size(); i += 4) image.data[i] = 255;
  }
  return image;
}

ImageInfo bmp_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Header header = read_header(path, bytes, limits);
  return {static_cast<int>(header.width), static_cast<int>(header.height), ImageFormat::kBmp};
}

Image decode_bmp(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Header header = read_header(path, bytes, limits);
  require(path, header.palette_at + header.palette_entry * header.palette_size <= bytes.size(),
          "the file ends early, within its palette");
  // Of a palette there are three samples and an index. Runs are a few bytes for any number of pixels.
  const int channels = header.bits <= 8 || header.masks[3] != 0 ? 4 : 3;
  check_image_bytes(path, bmp_info(path, bytes, limits), channels, 8, limits);
  if (header.compression == kRle8 || header.compression == kRle4) {
    return from_palette(bytes, header, run_indices(path, bytes, header));
  }
  const std::size_t row_bytes = (used_row_bytes(header) + 3) / 4 * 4;
  const std::size_t expected =
      header.pixel_offset + row_bytes * (static_cast<std::size_t>(header.height) - 1) + used_row_bytes(header);
  require(path, bytes.size() >= expected, "the file ends early, it has ", bytes.size(), " bytes, expected ", expected);
  if (header.bits > 8) return from_samples(bytes, header);
  return from_palette(bytes, header, plain_indices(path, bytes, header));
}

/// The newest header (BITMAPV5HEADER) may lead to a colour profile; it counts from its own start.
Metadata bmp_metadata(const std::string& path, Bytes bytes, std::size_t max_bytes) {
  MetadataParts parts(path, max_bytes);
  if (bytes.size() < kFileHeader + kV5 || little_endian_u32(bytes, 14) != kV5) return {};
  constexpr std::uint32_t kEmbedded = 0x4d424544, kLinked = 0x4c494e4b;  // "MBED", "LINK"
  const std::uint32_t space = little_endian_u32(bytes, kFileHeader + 56);
  if (space == kLinked) leave_out(parts.metadata, "linked colour profile");
  if (space == kEmbedded) {
    const std::size_t at = kFileHeader + std::size_t{little_endian_u32(bytes, kFileHeader + 112)},
                      size = little_endian_u32(bytes, kFileHeader + 116);
    const bool whole = size > 0 && at <= bytes.size() && size <= bytes.size() - at;
    whole ? parts.icc(bytes.subspan(at, size)) : drop(parts.metadata, kIccName);
  }
  return std::move(parts.metadata);
}

void put_u16(std::vector<std::uint8_t>& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value & 0xff));
  out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
}

void put_u32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  put_u16(out, value & 0xffff);
  put_u16(out, value >> 16);
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

}  // namespace

const ImageCodec* bmp_codec() {
  static constexpr ImageCodec kCodec = {bmp_info, decode_bmp, bmp_metadata, encode_bmp};
  return &kCodec;
}

}  // namespace kind
