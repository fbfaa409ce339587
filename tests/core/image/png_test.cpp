#include <array>
#include <catch2/catch.hpp>

#include "core/image/image.h"
#include "tests/support/errors.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using Catch::Matchers::Contains;

namespace {

using Bytes = std::vector<std::uint8_t>;

void put_u32(Bytes& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

/// CRC-32 as in PNG's annex, bit by bit.
std::uint32_t crc32(const Bytes& bytes, std::size_t from) {
  std::uint32_t crc = 0xffffffffu;
  for (std::size_t i = from; i < bytes.size(); ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

void put_chunk(Bytes& out, const std::string& type, const Bytes& data) {
  put_u32(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t start = out.size();
  out.insert(out.end(), type.begin(), type.end());
  out.insert(out.end(), data.begin(), data.end());
  put_u32(out, crc32(out, start));
}

/// A zlib stream that stores the bytes (at most 65535) as they are.
Bytes stored(const Bytes& data) {
  const auto size = static_cast<unsigned>(data.size());
  Bytes out = {0x78, 0x01, 0x01};
  for (const unsigned value : {size, ~size}) {
    out.push_back(static_cast<std::uint8_t>(value & 0xff));
    out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
  }
  out.insert(out.end(), data.begin(), data.end());
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const std::uint8_t byte : data) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  put_u32(out, b << 16 | a);
  return out;
}

/// A PNG made by hand from the standard: samples in file order, no filters.
struct PngFile {
  int width = 1;
  int height = 1;
  int depth = 8;
  int color_type = 2;
  bool interlaced = false;
  std::vector<unsigned> samples = {};  // row after row, all channels
  Bytes palette = {};
  Bytes transparency = {};

  int channels() const { return color_type == 2 ? 3 : color_type == 4 ? 2 : color_type == 6 ? 4 : 1; }

  Bytes header() const {
    Bytes data;
    put_u32(data, static_cast<std::uint32_t>(width));
    put_u32(data, static_cast<std::uint32_t>(height));
    for (const int value : {depth, color_type, 0, 0, interlaced ? 1 : 0})
      data.push_back(static_cast<std::uint8_t>(value));
    return data;
  }

  /// The rows of the pixels (x0 + i dx, y0 + j dy).
  void put_pass(Bytes& out, int x0, int y0, int dx, int dy) const {
    if (x0 >= width) return;
    for (int y = y0; y < height; y += dy) {
      out.push_back(0);  // filter: none
      unsigned pending = 0;
      int bits = 0;
      for (int x = x0; x < width; x += dx) {
        for (int c = 0; c < channels(); ++c) {
          pending = pending << depth | samples[static_cast<std::size_t>((y * width + x) * channels() + c)];
          for (bits += depth; bits >= 8; bits -= 8)
            out.push_back(static_cast<std::uint8_t>(pending >> (bits - 8) & 0xff));
        }
      }
      if (bits > 0) out.push_back(static_cast<std::uint8_t>(pending << (8 - bits) & 0xff));
    }
  }

  Bytes bytes() const {
    Bytes rows;
    if (interlaced) {  // Adam7
      constexpr int kPasses[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                     {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
      for (const auto& pass : kPasses) put_pass(rows, pass[0], pass[1], pass[2], pass[3]);
    } else {
      put_pass(rows, 0, 0, 1, 1);
    }
    Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    put_chunk(out, "IHDR", header());
    if (!palette.empty()) put_chunk(out, "PLTE", palette);
    if (!transparency.empty()) put_chunk(out, "tRNS", transparency);
    put_chunk(out, "IDAT", stored(rows));
    put_chunk(out, "IEND", {});
    return out;
  }
};

/// Samples of all values of the depth in an irregular order.
PngFile make_png(int width, int height, int depth, int color_type, bool interlaced) {
  PngFile file{width, height, depth, color_type, interlaced, {}, {}, {}};
  unsigned state = 99;
  for (int i = 0; i < width * height * file.channels(); ++i) {
    state = state * 1664525u + 1013904223u;
    file.samples.push_back(state >> 12 & ((1u << depth) - 1));
  }
  if (color_type == 3) {
    for (unsigned i = 0; i < (1u << depth); ++i) {
      for (const unsigned factor : {7u, 31u, 101u}) file.palette.push_back(static_cast<std::uint8_t>(i * factor));
    }
  }
  return file;
}

}  // namespace

TEST_CASE("png: every kind of the standard is read", "[unit]") {
  const TempDir dir;
  struct Kind {
    int color_type, depth;
  };
  for (const auto [color_type, depth] :
       {Kind{0, 1}, Kind{0, 2}, Kind{0, 4}, Kind{0, 8}, Kind{0, 16}, Kind{2, 8}, Kind{2, 16}, Kind{3, 1}, Kind{3, 2},
        Kind{3, 4}, Kind{3, 8}, Kind{4, 8}, Kind{4, 16}, Kind{6, 8}, Kind{6, 16}}) {
    for (const bool interlaced : {false, true}) {
      for (const bool transparent : {false, true}) {
        if (transparent && color_type > 3) continue;
        for (const auto& [width, height] : {std::pair{1, 1}, {2, 3}, {5, 1}, {8, 8}, {19, 11}}) {
          PngFile file = make_png(width, height, depth, color_type, interlaced);
          if (transparent) {
            // For palettes the alpha of the first two colours; otherwise the colour of the first pixel is transparent.
            if (color_type == 3) {
              file.transparency = {10, 200};
            } else {
              for (int c = 0; c < file.channels(); ++c) {
                file.transparency.push_back(static_cast<std::uint8_t>(file.samples[static_cast<std::size_t>(c)] >> 8));
                file.transparency.push_back(
                    static_cast<std::uint8_t>(file.samples[static_cast<std::size_t>(c)] & 0xff));
              }
            }
          }
          INFO("color type " << color_type << ", depth " << depth << ", interlaced " << interlaced << ", transparent "
                             << transparent << ", " << width << " x " << height);
          const Image image = read_image(dir.put("p.png", file.bytes()));
          const int colors = color_type == 2 || color_type == 3 || color_type == 6 ? 3 : 1;
          REQUIRE(image.width == width);
          REQUIRE(image.height == height);
          REQUIRE(image.bits == (depth == 16 ? 16 : 8));
          REQUIRE(image.channels == colors + (transparent || color_type >= 4 ? 1 : 0));
          int wrong = 0;
          for (int i = 0; i < width * height; ++i) {
            const unsigned* from = &file.samples[static_cast<std::size_t>(i * file.channels())];
            bool all_as_first = true;
            for (int c = 0; c < image.channels; ++c) {
              unsigned expected = 0;
              if (c < file.channels() && color_type != 3) {
                const unsigned scale = depth == 16 ? 1 : 255 / ((1u << depth) - 1);
                expected = from[c] * scale;
                if (c < colors) all_as_first = all_as_first && from[c] == file.samples[static_cast<std::size_t>(c)];
              } else if (color_type == 3 && c < 3) {
                expected = file.palette[from[0] * 3 + static_cast<unsigned>(c)];
              } else if (color_type == 3) {
                expected = from[0] == 0 ? 10 : from[0] == 1 ? 200 : 255;
              } else {
                expected = all_as_first ? 0 : static_cast<unsigned>(image.maximum());
              }
              if (image.sample(i % width, i / width, c) != static_cast<int>(expected)) ++wrong;
            }
          }
          CHECK(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE("png: an index without a colour is refused", "[unit]") {
  const TempDir dir;
  for (const int depth : {1, 2, 4, 8}) {
    for (const bool interlaced : {false, true}) {
      for (const bool transparent : {false, true}) {
        PngFile file{9, 5, depth, 3, interlaced, std::vector<unsigned>(45, 0), {}, {}};
        const unsigned colors = depth == 1 ? 1 : 3;
        for (unsigned i = 0; i < 3 * colors; ++i) file.palette.push_back(static_cast<std::uint8_t>(10 + i));
        if (transparent) file.transparency = {7};
        file.samples[3] = colors - 1;
        INFO("depth " << depth << ", interlaced " << interlaced << ", transparent " << transparent);
        const Image image = read_image(dir.put("p.png", file.bytes()));
        CHECK(image.channels == (transparent ? 4 : 3));
        CHECK(image.sample(3, 0, 2) == static_cast<int>(9 + 3 * colors));
        for (const std::size_t at : {0u, 22u, 44u}) {
          PngFile bad = file;
          bad.samples[at] = colors;
          const std::string path = dir.put("p.png", bad.bytes());
          CHECK(error_of([&] { read_image(path); }) == "cannot read " + path + " as PNG: a pixel has the colour " +
                                                           std::to_string(colors) + " of a palette of " +
                                                           std::to_string(colors));
        }
      }
    }
  }
}

TEST_CASE("png: what follows the end, and unknown or text chunks, do not matter", "[unit]") {
  const TempDir dir;
  const PngFile file = make_png(4, 3, 8, 2, false);
  const Image expected = read_image(dir.put("p", file.bytes()));
  Bytes more = file.bytes();
  more.insert(more.end(), 100, 0x55);
  CHECK(read_image(dir.put("p", more)).data == expected.data);

  Bytes chunks;
  put_chunk(chunks, "prVt", Bytes(70000, 1));
  put_chunk(chunks, "tEXt", {'k', 0, 'v'});
  put_chunk(chunks, "iCCP", {'x', 0, 0, 1, 2, 3});  // not a profile
  Bytes with_chunks = file.bytes();
  with_chunks.insert(with_chunks.begin() + 33, chunks.begin(), chunks.end());
  const std::string path = dir.put("p", with_chunks);
  CHECK(read_image(path).data == expected.data);
  CHECK(image_info(path).width == 4);
}

TEST_CASE("png: a file cut short anywhere is refused", "[unit]") {
  const TempDir dir;
  for (const bool interlaced : {false, true}) {
    CHECK(lengths_accepted(dir, make_png(5, 4, 8, 2, interlaced).bytes()).empty());
  }
  CHECK(lengths_accepted(dir, make_png(9, 2, 2, 3, false).bytes()).empty());
  write_image(dir / "p", test_picture(13, 7, 3), ImageFormat::kPng);
  CHECK(lengths_accepted(dir, slurp(dir / "p")).empty());
}

TEST_CASE("png: no changed bit goes unseen", "[unit]") {
  const TempDir dir;
  const Bytes whole = make_png(5, 4, 8, 2, false).bytes();
  const Image expected = read_image(dir.put("p", whole));
  int accepted = 0;
  for (std::size_t i = 0; i < 8 * whole.size(); ++i) {
    Bytes bytes = whole;
    bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] ^ 1 << i % 8);
    const std::string path = dir.put("p", bytes);
    const std::string message = error_of([&] { read_image(path); });
    if (message.find("cannot read " + path) != 0) ++accepted;
  }
  CHECK(accepted == 0);
}

TEST_CASE("png: transparency is there or the file is refused", "[unit]") {
  const TempDir dir;
  const Bytes file = make_png(5, 4, 8, 2, false).bytes();  // behind signature and header, 33 bytes, the pixels
  const auto with = [&](const Bytes& content, std::size_t at) {
    Bytes chunk, out = file;
    put_chunk(chunk, "tRNS", content);
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), chunk.begin(), chunk.end());
    return out;
  };
  const Bytes whole = with({0, 1, 0, 2, 0, 3}, 33);
  const Image expected = read_image(dir.put("p", whole));
  CHECK(expected.channels == 4);
  // A changed bit is seen; in its name, which makes it another chunk, it is named as damage.
  for (std::size_t i = 8 * 33; i < 8 * (33 + 18); ++i) {
    Bytes bytes = whole;
    bytes[i / 8] = static_cast<std::uint8_t>(bytes[i / 8] ^ 1 << i % 8);
    const std::string path = dir.put("p", bytes);
    Metadata metadata;
    const std::string message = error_of([&] { read_image(path, {}, &metadata); });
    CAPTURE(i);
    CHECK((message.find("cannot read " + path) == 0 || metadata.dropped == std::vector<std::string>{"damaged chunk"}));
  }
  for (const Bytes& damaged : {with({0, 1}, 33), with({0, 1, 0, 2, 0, 3}, file.size() - 12)}) {
    CHECK_THAT(error_of([&] { read_image(dir.put("p", damaged)); }), Contains("its transparency (tRNS) is damaged"));
  }
}

TEST_CASE("png: headers that promise too much or nonsense are refused before anything is allocated", "[unit]") {
  const TempDir dir;
  const auto message = [&](PngFile file) {
    file.samples.resize(static_cast<std::size_t>(3));
    Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    put_chunk(out, "IHDR", file.header());
    put_chunk(out, "IDAT", stored({0, 1, 2, 3}));
    put_chunk(out, "IEND", {});
    const std::string path = dir.put("p", out);
    return error_of([&] { read_image(path); });
  };
  CHECK_THAT(message({50000, 50000}), Contains("it has 50000 x 50000 pixels, the limit is 268435456 in all"));
  CHECK_THAT(message({65536, 1}), Contains("it has 65536 x 1 pixels, the limit is 65535 a side"));
  CHECK_THAT(message({2147483647, 2147483647}), Contains("the limit is 65535 a side"));
  CHECK_THAT(message({-1, 1}), Contains("it has 4294967295 x 1 pixels"));
  CHECK_THAT(message({0, 5}), Contains("its header says 0 x 5 pixels, expected at least 1 x 1"));
  CHECK_THAT(message({1, 1, 3, 0}), Contains("as PNG: "));  // no such depth
  CHECK_THAT(message({1, 1, 8, 5}), Contains("as PNG: "));  // no such colour type
  CHECK_THAT(message({1, 1, 16, 3}), Contains("as PNG: "));
  CHECK_THAT(message({1, 1, 8, 3}), Contains("as PNG: "));  // no palette
  CHECK_THAT(message({20, 20}), Contains("as PNG: "));      // too little data
  CHECK_THAT(message({1, 1}), Contains("no error"));
}
