#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/image/image.h"
#include "tests/support/errors.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

using Bytes = std::vector<std::uint8_t>;

void put(Bytes& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i) & 0xff));
}

/// A BMP made by hand; the fields are the format's.
struct BmpFile {
  std::int32_t width = 3;
  std::int32_t height = 2;
  unsigned bits = 24;
  std::uint32_t compression = 0;
  std::uint32_t header_size = 40;
  std::vector<std::uint32_t> palette = {};  // 0xRRGGBB
  std::vector<std::uint32_t> masks = {};    // in the header or behind it
  Bytes pixels = {};
  int gap = 0;                // between header and pixels
  std::uint32_t colours = 0;  // what the header says the palette has

  Bytes bytes() const {
    Bytes out = {'B', 'M'};
    const std::size_t masks_behind = header_size == 40 ? 4 * masks.size() : 0;
    const int entry = header_size == 12 ? 3 : 4;
    const std::size_t palette_bytes = static_cast<std::size_t>(entry) * palette.size();
    const auto offset =
        static_cast<std::uint32_t>(14 + header_size + masks_behind + palette_bytes) + static_cast<std::uint32_t>(gap);
    put(out, offset + static_cast<std::uint32_t>(pixels.size()), 4);
    put(out, 0, 4);
    put(out, offset, 4);
    put(out, header_size, 4);
    if (header_size == 12) {
      put(out, static_cast<std::uint32_t>(width), 2);
      put(out, static_cast<std::uint32_t>(height), 2);
    } else {
      put(out, static_cast<std::uint32_t>(width), 4);
      put(out, static_cast<std::uint32_t>(height), 4);
    }
    put(out, 1, 2);
    put(out, bits, 2);
    if (header_size > 16) {
      put(out, compression, 4);
      for (int i = 0; i < 5; ++i) put(out, i == 3 ? colours : 0, 4);
      for (const std::uint32_t mask : masks) put(out, mask, 4);
    }
    if (header_size > 40) out.resize(14 + header_size);
    for (const std::uint32_t colour : palette) put(out, colour, entry);
    out.resize(offset, 0x55);
    out.insert(out.end(), pixels.begin(), pixels.end());
    return out;
  }
};

/// The colours of the picture, row by row, as 0xRRGGBB.
std::vector<int> colours(const Image& image) {
  std::vector<int> out;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      out.push_back(image.sample(x, y, 0) << 16 | image.sample(x, y, 1) << 8 | image.sample(x, y, 2));
    }
  }
  return out;
}

std::string read_error(const TempDir& dir, const Bytes& bytes) {
  const std::string path = dir.put("p", bytes);
  const std::string message = error_of([&] { read_image(path); });
  if (message != "no error") CHECK_THAT(message, Contains("cannot read " + path));
  return message;
}

}  // namespace

TEST_CASE("bmp: the kinds in use are read", "[unit]") {
  const TempDir dir;
  const auto read = [&](const BmpFile& file) { return read_image(dir.put("p.bmp", file.bytes())); };
  const Bytes rows24 = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0, 0, 0};
  const std::vector<int> bottom_up = {0x0d0c0b, 0x100f0e, 0x131211, 0x030201, 0x060504, 0x090807};
  const std::vector<int> top_down = {0x030201, 0x060504, 0x090807, 0x0d0c0b, 0x100f0e, 0x131211};
  CHECK(colours(read({.pixels = rows24})) == bottom_up);
  CHECK(colours(read({.height = -2, .pixels = rows24})) == top_down);
  CHECK(colours(read({.header_size = 12, .pixels = rows24})) == bottom_up);
  CHECK(colours(read({.header_size = 108, .pixels = rows24})) == bottom_up);
  CHECK(colours(read({.header_size = 124, .pixels = rows24})) == bottom_up);

  CHECK(colours(read({.bits = 8, .palette = {0x102030, 0x405060, 0xff00ff}, .pixels = {0, 1, 2, 0, 2, 1, 0, 0}})) ==
        std::vector<int>{0xff00ff, 0x405060, 0x102030, 0x102030, 0x405060, 0xff00ff});
  CHECK(colours(read(
            {.bits = 4, .palette = {0x102030, 0x405060, 0xff00ff}, .pixels = {0x01, 0x20, 0, 0, 0x21, 0x00, 0, 0}})) ==
        std::vector<int>{0xff00ff, 0x405060, 0x102030, 0x102030, 0x405060, 0xff00ff});
  CHECK(colours(read({.bits = 1, .palette = {0x102030, 0x405060}, .pixels = {0x40, 0, 0, 0, 0xa0, 0, 0, 0}})) ==
        std::vector<int>{0x405060, 0x102030, 0x405060, 0x102030, 0x405060, 0x102030});

  const Bytes rows16 = {0x00, 0x7c, 0xe0, 0x03, 0x1f, 0x00, 0, 0, 0xff, 0x7f, 0, 0, 0x10, 0x42, 0, 0};
  CHECK(colours(read({.bits = 16, .pixels = rows16})) ==
        std::vector<int>{0xffffff, 0x000000, 0x848484, 0xff0000, 0x00ff00, 0x0000ff});
  CHECK(colours(read({.width = 2,
                      .height = 1,
                      .bits = 16,
                      .compression = 3,
                      .masks = {0xf800, 0x07e0, 0x001f},
                      .pixels = {0x00, 0xf8, 0xe0, 0x07}})) == std::vector<int>{0xff0000, 0x00ff00});
  const Image alpha = read({.width = 2,
                            .height = 1,
                            .bits = 32,
                            .compression = 3,
                            .header_size = 124,
                            .masks = {0xff0000, 0xff00, 0xff, 0xff000000},
                            .pixels = {1, 2, 3, 4, 5, 6, 7, 8}});
  CHECK(alpha.channels == 4);
  CHECK(alpha.data == Bytes{3, 2, 1, 4, 7, 6, 5, 8});
  // The fourth byte of plain 32-bit files is often left at 0.
  const Image opaque = read({.width = 2, .height = 1, .bits = 32, .pixels = {1, 2, 3, 0, 5, 6, 7, 0}});
  CHECK(colours(opaque) == std::vector<int>{0x030201, 0x070605});
  CHECK(opaque.sample(1, 0, 3) == 255);
}

TEST_CASE("bmp: headers of all sizes, and what lies between them and the pixels", "[unit]") {
  const TempDir dir;
  const auto read = [&](const BmpFile& file) { return read_image(dir.put("p.bmp", file.bytes())); };
  const Bytes rows24 = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0, 0, 0};
  const std::vector<int> expected24 = {0x0d0c0b, 0x100f0e, 0x131211, 0x030201, 0x060504, 0x090807};
  const Bytes rows8 = {0, 1, 2, 0, 2, 1, 0, 0};
  const std::vector<std::uint32_t> palette = {0x102030, 0x405060, 0xff00ff};
  const std::vector<int> expected8 = {0xff00ff, 0x405060, 0x102030, 0x102030, 0x405060, 0xff00ff};
  for (const std::uint32_t size : {12u, 16u, 40u, 52u, 56u, 64u, 108u, 124u}) {
    for (const int gap : {0, 1, 12, 1000}) {
      INFO("header of " << size << " bytes, gap of " << gap);
      CHECK(colours(read({.header_size = size, .pixels = rows24, .gap = gap})) == expected24);
      // Where the palette's size is not stated, a gap may be colours that no pixel has.
      CHECK(colours(read({.bits = 8, .header_size = size, .palette = palette, .pixels = rows8, .gap = gap})) ==
            expected8);
    }
  }
  // A palette that a picture of 24 bits suggests for screens of few colours.
  CHECK(colours(read({.palette = palette, .pixels = rows24, .colours = 3})) == expected24);
  // The gap is no part of a palette whose size is stated.
  CHECK(read({.bits = 8, .palette = {0x101010}, .pixels = Bytes(8, 0), .gap = 8, .colours = 1}).channels == 1);
  CHECK(colours(read({.bits = 2, .palette = palette, .pixels = {0x18, 0, 0, 0, 0x90, 0, 0, 0}})) ==
        std::vector<int>{0xff00ff, 0x405060, 0x102030, 0x102030, 0x405060, 0xff00ff});
}

TEST_CASE("bmp: masks in the header and behind it", "[unit]") {
  const TempDir dir;
  const auto read = [&](const BmpFile& file) { return read_image(dir.put("p.bmp", file.bytes())); };
  const Bytes pixels = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<std::uint32_t> rgb = {0xff0000, 0xff00, 0xff}, rgba = {0xff0000, 0xff00, 0xff, 0xff000000};
  const auto picture = [&](std::uint32_t size, const std::vector<std::uint32_t>& masks, std::uint32_t compression = 3) {
    // As Paint.NET and others write it, the masks once more behind a header that has them.
    return read({.width = 2,
                 .height = 1,
                 .bits = 32,
                 .compression = compression,
                 .header_size = size,
                 .masks = masks,
                 .pixels = pixels,
                 .gap = size > 40 ? 12 : 0});
  };
  for (const std::uint32_t size : {56u, 108u, 124u}) {
    CHECK(picture(size, rgba).data == Bytes{3, 2, 1, 4, 7, 6, 5, 8});
    CHECK(picture(size, {0xff, 0xff00, 0xff0000, 0}).data == Bytes{1, 2, 3, 5, 6, 7});
  }
  CHECK(picture(52, rgb).data == Bytes{3, 2, 1, 7, 6, 5});
  CHECK(picture(40, rgb).data == Bytes{3, 2, 1, 7, 6, 5});
  CHECK_THROWS(picture(52, rgb, 6));  // no place for the fourth mask
  CHECK(picture(40, rgba, 6).data == Bytes{3, 2, 1, 4, 7, 6, 5, 8});
  // Samples of any number of bits reach from 0 to 255.
  for (int bits = 1; bits <= 8; ++bits) {
    const std::uint32_t mask = (1u << bits) - 1;
    Bytes values;
    for (std::uint32_t value = 0; value <= mask; ++value) put(values, value | value << 8 | value << 16, 4);
    const Image image = read({.width = static_cast<std::int32_t>(mask + 1),
                              .height = 1,
                              .bits = 32,
                              .compression = 3,
                              .masks = {mask << 16, mask << 8, mask},
                              .pixels = values});
    for (std::uint32_t value = 0; value <= mask; ++value) {
      for (int c = 0; c < 3; ++c) {
        CHECK(std::abs(image.sample(static_cast<int>(value), 0, c) - static_cast<int>(value * 255 / mask)) <= 1);
      }
    }
    CHECK(image.sample(image.width - 1, 0, 1) == 255);
  }
}

TEST_CASE("bmp: runs of 8 and 4 bits", "[unit]") {
  const TempDir dir;
  const std::vector<std::uint32_t> palette = {0x000001, 0x000002, 0x000003, 0x000004};
  const auto file = [&](unsigned bits, const Bytes& pixels) {
    return BmpFile{.width = 5,
                   .height = 3,
                   .bits = bits,
                   .compression = bits == 8 ? 1u : 2u,
                   .palette = palette,
                   .pixels = pixels,
                   .gap = 6,
                   .colours = 4};
  };
  const auto read = [&](unsigned bits, const Bytes& pixels) {
    std::string text;
    for (const int colour : colours(read_image(dir.put("p.bmp", file(bits, pixels).bytes())))) {
      text += static_cast<char>('0' + colour - 1);
    }
    return text;
  };
  // A run; as they are, with a byte to make them even; a step to the right and up; the end.
  const Bytes eight = {3, 1, 2, 2, 0, 0, 0, 5, 1, 2, 3, 2, 1, 0, 0, 0, 0, 2, 2, 0, 3, 3, 0, 1};
  CHECK(read(8, eight) == "003331232111122");
  CHECK(read(8, {5, 1, 0, 0, 0, 2, 3, 1, 1, 2, 0, 0, 0, 1}) == "000200000011111");
  CHECK(read(8, {5, 1, 0, 1}) == "000000000011111");
  // Rows that go on up to a multiple of four bytes, as ImageMagick writes them.
  CHECK(read(8, {8, 1, 0, 0, 5, 2, 3, 9, 0, 0, 8, 3, 0, 1}) == "333332222211111");
  CHECK(read(4, {8, 0x12, 0, 0, 5, 0x22, 3, 0x99, 0, 0, 8, 0x33, 0, 1}) == "333332222212121");
  const Bytes four = {5, 0x12, 0, 0, 0, 5, 0x12, 0x32, 0x10, 0, 0, 0, 0, 2, 2, 0, 3, 0x33, 0, 1};
  CHECK(read(4, four) == "003331232112121");
  CHECK(read(4, {0, 3, 0x12, 0x30, 2, 0x21, 0, 0, 5, 0, 0, 0, 1, 0x10, 0, 1}) == "100000000012321");

  // Cut short anywhere they are refused, unless all pixels are there.
  const auto complete = [&](unsigned bits, const Bytes& pixels, std::size_t last) {
    const Bytes whole = file(bits, pixels).bytes();
    for (const std::size_t size : lengths_accepted(dir, whole)) CHECK(size >= whole.size() - last);
  };
  complete(8, eight, 2);
  complete(4, four, 2);
  complete(8, {5, 1, 0, 1}, 0);
  CHECK_THAT(read_error(dir, file(8, {5, 1}).bytes()), Contains("ends early, within its compressed pixels"));
  const auto message = [&](unsigned bits, const Bytes& pixels) { return read_error(dir, file(bits, pixels).bytes()); };
  const std::string beyond = "its compressed pixels run beyond the picture";
  CHECK_THAT(message(8, {9, 1, 0, 1}), Contains(beyond));
  CHECK_THAT(message(4, {9, 0x11, 0, 1}), Contains(beyond));
  CHECK_THAT(message(8, {0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1}), Contains(beyond));
  CHECK_THAT(message(4, {0, 9, 0x11, 0x11, 0x11, 0x11, 0x10, 0, 0, 1}), Contains(beyond));
  CHECK_THAT(message(8, {0, 2, 9, 0, 0, 1}), Contains(beyond));
  CHECK_THAT(message(8, {0, 2, 0, 4, 0, 1}), Contains(beyond));
  CHECK_THAT(message(8, {0, 0, 0, 0, 0, 0, 1, 1, 0, 1}), Contains(beyond));
  CHECK_THAT(message(8, {0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), Contains(beyond));
  CHECK_THAT(message(8, {1, 4, 0, 1}), Contains("has the colour 4 of a palette of 4"));
  CHECK_THAT(message(4, {2, 0x14, 0, 1}), Contains("has the colour 4 of a palette of 4"));
  BmpFile large = file(8, {0, 1});
  large.width = large.height = 10000;
  const std::string path = dir.put("p.bmp", large.bytes());
  CHECK_THAT(error_of([&] { read_image(path, {.max_image_bytes = 100000000}); }), Contains("the limit is 100000000"));
}

TEST_CASE("bmp: a colour profile in the newest header", "[unit]") {
  const TempDir dir;
  const std::string icc = profile("RGB ", 300);
  const auto dropped = [&](std::uint32_t space, std::uint32_t at, std::uint32_t size, Metadata& metadata) {
    Bytes bytes = BmpFile{.header_size = 124, .pixels = Bytes(24, 7)}.bytes();
    bytes.insert(bytes.end(), icc.begin(), icc.end());
    const auto set = [&](std::size_t field, std::uint32_t value) {
      Bytes four;
      put(four, value, 4);
      std::copy(four.begin(), four.end(), bytes.begin() + 14 + static_cast<std::ptrdiff_t>(field));
    };
    set(56, space);
    set(112, at);
    set(116, size);
    CHECK(read_image(dir.put("p.bmp", bytes), {}, &metadata).data == Bytes(18, 7));
    return metadata.dropped;
  };
  Metadata metadata;
  constexpr std::uint32_t kEmbedded = 0x4d424544, kLinked = 0x4c494e4b, kSrgb = 0x73524742;
  CHECK(dropped(kEmbedded, 124 + 24, 300, metadata).empty());
  CHECK(text_of(metadata.icc) == icc);
  CHECK(metadata_left_out(metadata, metadata_holder(ImageFormat::kBmp)) == std::vector<std::string>{"colour profile"});
  CHECK(dropped(kSrgb, 124 + 24, 300, metadata).empty());
  CHECK(metadata.icc.empty());
  using Names = std::vector<std::string>;
  CHECK(dropped(kLinked, 124 + 24, 300, metadata) == Names{"linked colour profile"});
  CHECK(dropped(kEmbedded, 124 + 24, 301, metadata) == Names{"damaged colour profile"});
  CHECK(dropped(kEmbedded, 124 + 23, 300, metadata) == Names{"damaged colour profile"});
  CHECK(dropped(kEmbedded, 0xfffffff0, 0xfffffff0, metadata) == Names{"damaged colour profile"});
  CHECK(dropped(kEmbedded, 0, 0, metadata) == Names{"damaged colour profile"});
  CHECK(metadata.icc.empty());
}

TEST_CASE("bmp: a palette of grays alone is a gray picture", "[unit]") {
  const TempDir dir;
  const auto read = [&](const BmpFile& file) { return read_image(dir.put("p.bmp", file.bytes())); };
  const BmpFile file{.bits = 8, .palette = {0x101010, 0x404040, 0xffffff}, .pixels = {0, 1, 2, 0, 2, 1, 0, 0}};
  const Image gray = read(file);
  CHECK(gray.channels == 1);
  CHECK(gray.data == Bytes{255, 64, 16, 16, 64, 255});
  CHECK(read({.bits = 1, .palette = {0, 0xffffff}, .pixels = {0x40, 0, 0, 0, 0xa0, 0, 0, 0}}).channels == 1);
  for (const std::uint32_t colour : {0x404041u, 0x404140u, 0x414040u}) {
    BmpFile colourful = file;
    colourful.palette[1] = colour;
    CHECK(read(colourful).channels == 3);
  }
  // What is written comes back as it was.
  write_image(dir / "g.bmp", gray, ImageFormat::kBmp);
  const Image again = read_image(dir / "g.bmp");
  CHECK((again.channels == 1 && again.data == gray.data));
}

TEST_CASE("bmp: a file cut short anywhere is refused", "[unit]") {
  const TempDir dir;
  CHECK(lengths_accepted(dir, BmpFile{.width = 4, .pixels = Bytes(24, 7)}.bytes()).empty());
  CHECK(lengths_accepted(dir, BmpFile{.width = 4, .bits = 8, .palette = {1, 2, 3}, .pixels = Bytes(8, 2)}.bytes())
            .empty());
  CHECK(
      lengths_accepted(dir, BmpFile{.width = 32, .bits = 1, .palette = {1, 2}, .pixels = Bytes(8, 2)}.bytes()).empty());
  // Only the fill behind the last row may be missing.
  const Bytes filled = BmpFile{.pixels = Bytes(24, 7)}.bytes();
  const std::size_t used = filled.size() - 3;
  CHECK(lengths_accepted(dir, filled) == std::vector<std::size_t>{used, used + 1, used + 2});
}

TEST_CASE("bmp: what is damaged or not in use is refused", "[unit]") {
  const TempDir dir;
  const auto message = [&](const BmpFile& file) { return read_error(dir, file.bytes()); };
  const Bytes pixels(24, 1);
  const Bytes indices = {0, 1, 2, 0, 0, 0, 0, 0};
  CHECK_THAT(message({.bits = 8, .palette = {1, 2}, .pixels = indices}),
             Contains("a pixel has the colour 2 of a palette of 2"));
  CHECK_THAT(message({.bits = 4, .palette = {1, 2}, .pixels = {0x10, 0x20, 0, 0, 0, 0, 0, 0}}),
             Contains("has the colour 2 of a palette of 2"));
  CHECK_THAT(message({.bits = 1, .palette = {1}, .pixels = {0x20, 0, 0, 0, 0, 0, 0, 0}}),
             Contains("has the colour 1 of a palette of 1"));
  CHECK_THAT(message({.bits = 8, .pixels = indices}), Contains("its palette has 0 colours"));
  CHECK_THAT(message({.bits = 8, .palette = {1, 2, 3}, .pixels = indices, .colours = 2}),
             Contains("a pixel has the colour 2 of a palette of 2"));
  CHECK_THAT(message({.bits = 8, .header_size = 12, .palette = {1, 2}, .pixels = indices}),
             Contains("a pixel has the colour 2 of a palette of 2"));
  CHECK_THAT(message({.bits = 16, .header_size = 12, .pixels = pixels}), Contains("it has 16 bits per pixel"));
  for (const std::uint32_t compression : {3u, 4u}) {  // of OS/2: facsimile, and RLE of 24 bits
    CHECK_THAT(message({.compression = compression, .header_size = 64, .pixels = pixels}), Contains("compressed"));
  }
  CHECK_THAT(message({.compression = 5, .pixels = pixels}), Contains("compressed"));
  CHECK_THAT(message({.compression = 1, .pixels = pixels}), Contains("header is damaged"));
  CHECK_THAT(message({.bits = 8, .compression = 2, .palette = {1, 2, 3}, .pixels = indices}),
             Contains("header is damaged"));
  CHECK_THAT(message({.compression = 4, .pixels = pixels}), Contains("compressed"));
  CHECK_THAT(message({.compression = 3, .pixels = pixels}), Contains("header is damaged"));
  CHECK_THAT(message({.bits = 16, .compression = 3, .masks = {0, 0x7e0, 0x1f}, .pixels = pixels}),
             Contains("its colour masks are damaged"));
  CHECK_THAT(message({.bits = 16, .compression = 3, .masks = {0x1f0000, 0x7e0, 0x1f}, .pixels = pixels}),
             Contains("its colour masks are damaged"));
  CHECK_THAT(message({.bits = 32, .compression = 3, .masks = {0xff0000, 0xe00600, 0x1f}, .pixels = pixels}),
             Contains("its colour masks are damaged"));
  CHECK_THAT(message({.bits = 32, .compression = 3, .masks = {0xfff00000, 0x7e0, 0x1f}, .pixels = pixels}),
             Contains("its samples have 12 bits, expected at most 8"));
  CHECK_THAT(message({.bits = 7, .pixels = pixels}), Contains("it has 7 bits per pixel"));
  CHECK_THAT(message({.header_size = 48, .pixels = pixels}), Contains("unknown size 48"));
  CHECK_THAT(message({.width = 0, .pixels = pixels}), Contains("its header says 0 x 2 pixels"));
  CHECK_THAT(message({.width = -3, .pixels = pixels}), Contains("its header says -3 x 2 pixels"));
  CHECK_THAT(message({.height = std::numeric_limits<std::int32_t>::min(), .pixels = pixels}),
             Contains("3 x 2147483648 pixels"));
  CHECK_THAT(message({.width = 60000, .height = 60000, .pixels = pixels}), Contains("the limit is 268435456 in all"));
  CHECK_THAT(message({.width = 10000, .height = 10000, .pixels = pixels}), Contains("the file ends early"));
  Bytes huge_header = BmpFile{.pixels = pixels}.bytes();
  std::fill_n(huge_header.begin() + 14, 4, std::uint8_t{0xff});
  CHECK_THAT(read_error(dir, huge_header), Contains("unknown size 4294967295"));
  Bytes offset = BmpFile{.pixels = pixels}.bytes();
  offset[10] = 53;
  CHECK_THAT(read_error(dir, offset), Contains("header is damaged"));
  offset[13] = 0xff;
  CHECK_THAT(read_error(dir, offset), Contains("ends early"));
}

TEST_CASE("bmp: a changed byte gives an error or a picture, and no crash", "[unit]") {
  const TempDir dir;
  for (const BmpFile& file :
       {BmpFile{.pixels = Bytes(24, 7)}, BmpFile{.bits = 4, .palette = {1, 2, 3}, .pixels = Bytes(8, 0x12)},
        BmpFile{.width = 2,
        .height = 1,
        .bits = 32,
        .compression = 3,
        .header_size = 108,
        .masks = {0xff0000, 0xff00, 0xff, 0xff000000},
        .pixels = Bytes(8, 5)},
        BmpFile{.bits = 8, .compression = 1, .palette = {1, 2, 3}, .pixels = {3, 1, 0, 0, 0, 3, 2, 1, 0, 0, 0, 1}},
        BmpFile{.bits = 4, .compression = 2, .palette = {1, 2, 3}, .pixels = {3, 1, 0, 2, 1, 1, 2, 0x11, 0, 1}}}) {
    const Bytes whole = file.bytes();
    for (std::size_t i = 2; i < whole.size(); ++i) {
      for (const int change : {0x01, 0x04, 0x80, 0xff}) {
        Bytes bytes = whole;
        bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ change);
        read_error(dir, bytes);
      }
    }
  }
}
