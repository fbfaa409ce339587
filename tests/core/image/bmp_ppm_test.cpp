#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/image/image.h"
#include "tests/support/errors.h"
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
  int gap = 0;  // between header and pixels

  Bytes bytes() const {
    Bytes out = {'B', 'M'};
    const std::size_t masks_behind = header_size == 40 ? 4 * masks.size() : 0;
    const auto offset = static_cast<std::uint32_t>(14 + header_size + masks_behind + 4 * palette.size()) +
                        static_cast<std::uint32_t>(gap);
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
    if (header_size > 12) {
      put(out, compression, 4);
      for (int i = 0; i < 5; ++i) put(out, 0, 4);
      for (const std::uint32_t mask : masks) put(out, mask, 4);
    }
    if (header_size > 40) out.resize(14 + header_size);
    for (const std::uint32_t colour : palette) put(out, colour, 4);
    out.resize(offset);
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

Bytes text(const std::string& content) { return Bytes(content.begin(), content.end()); }

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
  CHECK_THAT(message({.bits = 8, .palette = std::vector<std::uint32_t>(257), .pixels = indices}),
             Contains("its palette has 257 colours"));
  CHECK_THAT(message({.bits = 8, .header_size = 12, .palette = {1, 2, 3}, .pixels = indices}), Contains("OS/2"));
  CHECK_THAT(message({.bits = 8, .compression = 1, .palette = {1, 2, 3}, .pixels = indices}), Contains("compressed"));
  CHECK_THAT(message({.compression = 4, .pixels = pixels}), Contains("compressed"));
  CHECK_THAT(message({.compression = 3, .pixels = pixels}), Contains("header is damaged"));
  CHECK_THAT(message({.bits = 16, .compression = 3, .masks = {0, 0x7e0, 0x1f}, .pixels = pixels}),
             Contains("as BMP: "));
  CHECK_THAT(message({.bits = 32, .compression = 3, .masks = {0xfff00000, 0x7e0, 0x1f}, .pixels = pixels}),
             Contains("as BMP: "));
  CHECK_THAT(message({.bits = 7, .pixels = pixels}), Contains("it has 7 bits per pixel"));
  CHECK_THAT(message({.bits = 0, .pixels = pixels}), Contains("it has 0 bits per pixel"));
  CHECK_THAT(message({.header_size = 64, .pixels = pixels}), Contains("unknown size 64"));
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
        .pixels = Bytes(8, 5)}}) {
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

TEST_CASE("ppm: headers may be written in many ways", "[unit]") {
  const TempDir dir;
  const auto read = [&](const std::string& content) { return read_image(dir.put("p.ppm", text(content))); };
  CHECK(read("P5\n2 1\n255\nab").data == Bytes{'a', 'b'});
  CHECK(read("P5 2 1 255 ab").data == Bytes{'a', 'b'});
  CHECK(read("P5\t2\r\n1\v255\fab").data == Bytes{'a', 'b'});
  CHECK(read("P5\n# made by\n# hand\n2 # wide\n1\n255\n#b").data == Bytes{'#', 'b'});
  CHECK(read("P5#x\n2 1 255\n b").data == Bytes{' ', 'b'});  // a comment may end the magic number
  CHECK(read("P5 002 01 0255\nabmore").data == Bytes{'a', 'b'});
  const Image colour = read("P6 1 2 255\nabcdef");
  CHECK(colour.channels == 3);
  CHECK(colour.data == Bytes{'a', 'b', 'c', 'd', 'e', 'f'});
}

TEST_CASE("ppm: samples are scaled to the full range", "[unit]") {
  const TempDir dir;
  const auto samples = [&](const std::string& content) {
    const Image image = read_image(dir.put("p.pgm", text(content)));
    std::vector<int> out = {image.bits};
    for (int x = 0; x < image.width; ++x) out.push_back(image.sample(x, 0, 0));
    return out;
  };
  CHECK(samples("P5 3 1 1\n\0\1\1"s) == std::vector<int>{8, 0, 255, 255});
  CHECK(samples("P5 4 1 15\n\0\1\7\17"s) == std::vector<int>{8, 0, 17, 119, 255});
  CHECK(samples("P5 3 1 100\n\0\62\144"s) == std::vector<int>{8, 0, 128, 255});  // 127.5 is rounded up
  CHECK(samples("P5 3 1 65535\n\0\0\1\2\377\377"s) == std::vector<int>{16, 0, 258, 65535});
  CHECK(samples("P5 3 1 1023\n\0\0\0\1\3\377"s) == std::vector<int>{16, 0, 64, 65535});
  CHECK(samples("P5 2 1 256\n\0\0\1\0"s) == std::vector<int>{16, 0, 65535});
}

TEST_CASE("ppm: a file cut short anywhere is refused", "[unit]") {
  const TempDir dir;
  CHECK(lengths_accepted(dir, text("P6\n# c\n2 2\n255\n" + std::string(12, 'x'))).empty());
  CHECK(lengths_accepted(dir, text("P5 3 2 1023\n" + std::string(12, '\1'))).empty());
}

TEST_CASE("ppm: bad headers and samples are refused", "[unit]") {
  const TempDir dir;
  const auto message = [&](const std::string& content) { return read_error(dir, text(content)); };
  const std::string data(100, 'a');
  const std::string bad = "as PPM: its header is damaged or cut short";
  CHECK_THAT(message("P62 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 -2 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 2.0 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 2 2 255" + data), Contains(bad));
  CHECK_THAT(message("P6 2 2 255#\n" + data), Contains(bad));
  CHECK_THAT(message("P6 99999999999999999999 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 4294967298 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 # no end of the comment"), Contains(bad));
  CHECK_THAT(message("P6 0 2 255\n" + data), Contains("its header says 0 x 2 pixels"));
  CHECK_THAT(message("P6 2 2 0\n" + data), Contains("its maximum is 0, expected 1 to 65535"));
  CHECK_THAT(message("P6 2 2 65536\n" + data), Contains("its maximum is 65536"));
  CHECK_THAT(message("P6 50000 50000 255\n" + data), Contains("the limit is 268435456 in all"));
  CHECK_THAT(message("P6 10000 10000 255\n" + data),
             Contains("the file ends early, it has 119 bytes, expected 300000019"));
  CHECK_THAT(message("P5 3 1 99\nab\x64"), Contains("a sample is 100, above its maximum of 99"));
  CHECK_THAT(message("P5 1 1 1023\n\4\0"s), Contains("a sample is 1024, above its maximum of 1023"));
}

TEST_CASE("ppm: a header longer than what is first read", "[unit]") {
  const TempDir dir;
  const std::string path = dir.put("p", text("P5\n#" + std::string(200000, 'c') + "\n1 1\n255\na"));
  CHECK(image_info(path).width == 1);
  CHECK(read_image(path).data == Bytes{'a'});
}
