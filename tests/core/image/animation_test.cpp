#include "core/image/animation.h"

#include <catch2/catch.hpp>

#include <cstring>

#include "tests/support/errors.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Matchers::Contains;
using namespace std::string_literals;
using Bytes = std::vector<std::uint8_t>;

Animation three_frames(int channels, int bits) {
  Animation animation;
  animation.plays = 4;
  for (int i = 0; i < 3; ++i) {
    Image image = test_picture(9, 7, channels, bits);
    for (int x = 0; x < 9; ++x) image.set_sample(x, i, 0, 10 * i);
    // What is transparent has no colour.
    if (image.has_alpha()) {
      for (int y = 0; y < 7; ++y) {
        for (int x = 0; x < 9; ++x) image.set_sample(x, y, channels - 1, image.maximum() * ((x + y + i) % 3 > 0));
      }
      for (int c = 0; c < channels - 1; ++c) {
        for (int y = 0; y < 7; ++y) {
          for (int x = 0; x < 9; ++x) {
            if (image.sample(x, y, channels - 1) == 0) image.set_sample(x, y, c, 0);
          }
        }
      }
    }
    animation.frames.push_back({image, static_cast<std::uint16_t>(40 + 20 * i), 1000});
  }
  return animation;
}

std::string u32(std::size_t value) { return number(value, 4, false); }

/// A frame's control data.
std::string control(std::size_t sequence, std::size_t width, std::size_t height, std::size_t x, std::size_t y,
                    int dispose, int blend) {
  return chunk("fcTL", u32(sequence) + u32(width) + u32(height) + u32(x) + u32(y) + number(1, 2, false) +
                           number(0, 2, false) + static_cast<char>(dispose) + static_cast<char>(blend));
}

/// RGBA pixels of 8 bits, all of one colour, packed as PNG has them.
std::string plain(std::size_t width, std::size_t height, const std::string& color) {
  std::string rows;
  for (std::size_t y = 0; y < height; ++y) {
    rows += '\0';
    for (std::size_t x = 0; x < width; ++x) rows += color;
  }
  return packed(rows);
}

/// A picture of 3 x 1 RGBA pixels.
std::string png_of(const std::string& chunks, std::size_t frames, std::size_t plays = 0) {
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", u32(3) + u32(1) + "\x08\x06\0\0\0"s) +
         chunk("acTL", u32(frames) + u32(plays)) + chunks + chunk("IEND", "");
}

Animation decode(const std::string& file) { return decode_animation("p", Bytes(file.begin(), file.end())); }

std::vector<int> row_of(const Image& image) { return {image.data.begin(), image.data.end()}; }

TEST_CASE("animation: what is written comes back, and the first frame is what others show") {
  for (const ImageFormat format : {ImageFormat::kPng, ImageFormat::kWebp}) {
    if (!can_animate(format)) continue;
    for (const int bits : {8, 16}) {
      for (int channels = 1; channels <= 4; ++channels) {
        if (format == ImageFormat::kWebp && (bits == 16 || channels < 3)) continue;
        INFO(image_format(format).name << ", " << channels << " channels, " << bits << " bits");
        const Animation animation = three_frames(channels, bits);
        Metadata metadata;
        const std::string block = exif_block(true, 1, 9, 7);
        metadata.exif.assign(block.begin(), block.end());
        metadata.xmp = "<x:xmpmeta/>";
        const Bytes file = encode_animation("p", animation, format, {.jpeg_quality = 100, .metadata = &metadata});
        const Animation again = decode_animation("p", file);
        CHECK(again.plays == 4);
        REQUIRE(again.frames.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
          CHECK(again.frames[i].image.data == animation.frames[i].image.data);
          CHECK(again.frames[i].delay * 1000 == animation.frames[i].delay * again.frames[i].per_second);
        }
        CHECK(again.frames_per_second() == Approx(3 / 0.18));
        Metadata found;
        CHECK(decode_image("p", file, {}, &found).data == animation.frames[0].image.data);
        CHECK(found.dropped == std::vector<std::string>{kFurtherFrames});
        CHECK(found.exif == metadata.exif);
        CHECK(found.xmp == metadata.xmp);
      }
    }
  }
}

TEST_CASE("animation: parts are laid on the picture as PNG says") {
  const std::string red = "\xff\0\0\xff"s, half = "\0\xff\0\x80"s, clear = "\0\0\0\0"s;
  const std::string first = control(0, 3, 1, 0, 0, 0, 0) + chunk("IDAT", plain(3, 1, red));
  // In place of what was there; a zero per second means hundredths.
  const Animation source =
      decode(png_of(first + control(1, 1, 1, 1, 0, 0, 0) + chunk("fdAT", u32(2) + plain(1, 1, half)), 2, 7));
  REQUIRE(source.frames.size() == 2);
  CHECK(source.plays == 7);
  CHECK((source.frames[0].delay == 1 && source.frames[0].per_second == 100));
  CHECK(row_of(source.frames[1].image) == std::vector<int>{255, 0, 0, 255, 0, 255, 0, 128, 255, 0, 0, 255});
  // Over it: 128 of 255 green.
  const Animation over =
      decode(png_of(first + control(1, 2, 1, 1, 0, 1, 1) + chunk("fdAT", u32(2) + plain(2, 1, half)) +
                        control(3, 1, 1, 0, 0, 2, 1) + chunk("fdAT", u32(4) + plain(1, 1, clear)) +
                        control(5, 1, 1, 0, 0, 2, 0) + chunk("fdAT", u32(6) + plain(1, 1, half)) +
                        control(7, 1, 1, 2, 0, 0, 1) + chunk("fdAT", u32(8) + plain(1, 1, half)),
                    5));
  REQUIRE(over.frames.size() == 5);
  CHECK(row_of(over.frames[1].image) == std::vector<int>{255, 0, 0, 255, 127, 128, 0, 255, 127, 128, 0, 255});
  // Then its place was cleared.
  CHECK(row_of(over.frames[2].image) == std::vector<int>{255, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(row_of(over.frames[3].image) == std::vector<int>{0, 255, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0});
  // What was there before came back.
  CHECK(row_of(over.frames[4].image) == std::vector<int>{255, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0, 128});
  // A picture for programs without animations is no frame.
  const Animation hidden = decode(png_of(
      chunk("IDAT", plain(3, 1, half)) + control(0, 3, 1, 0, 0, 0, 0) + chunk("fdAT", u32(1) + plain(3, 1, red)), 1));
  REQUIRE(hidden.frames.size() == 1);
  CHECK(row_of(hidden.frames[0].image) == std::vector<int>{255, 0, 0, 255, 0, 0, 255, 0, 0});  // opaque
}

TEST_CASE("animation: damage and too much are refused") {
  const std::string red = "\xff\0\0\xff"s, pixels = plain(3, 1, red);
  const std::string first = control(0, 3, 1, 0, 0, 0, 0) + chunk("IDAT", pixels);
  const auto refusal = [&](const std::string& file, const ReadLimits& limits = {}) {
    return error_of([&] { decode_animation("p", Bytes(file.begin(), file.end()), limits); });
  };
  CHECK_THAT(refusal(png_of(first, 2)), Contains("another number of frames than it says"));
  CHECK_THAT(refusal(png_of(first + control(2, 3, 1, 0, 0, 0, 0), 2)), Contains("out of order"));
  CHECK_THAT(refusal(png_of(first + control(1, 3, 1, 1, 0, 0, 0) + chunk("fdAT", u32(2) + pixels), 2)),
             Contains("does not lie inside of the picture"));
  CHECK_THAT(refusal(png_of(first + control(1, 3, 1, 0xffffffff, 0, 0, 0) + chunk("fdAT", u32(2) + pixels), 2)),
             Contains("does not lie inside of the picture"));
  CHECK_THAT(refusal(png_of(first + control(1, 3, 1, 0, 0, 0, 0), 2)), Contains("a frame has no pixels"));
  CHECK_THAT(refusal(png_of(first + control(1, 3, 1, 0, 0, 0, 0) + chunk("fdAT", u32(2) + "no stream"), 2)),
             Contains("cannot read p"));
  CHECK_THAT(refusal("GIF89a"), Contains("expected an animated PNG"));
  const Animation animation = three_frames(4, 8);
  for (const ImageFormat format : {ImageFormat::kPng, ImageFormat::kWebp}) {
    if (!can_animate(format)) continue;
    const Bytes file = encode_animation("p", animation, format, {.jpeg_quality = 100});
    CHECK_THAT(refusal({file.begin(), file.end()}, {.max_image_bytes = 4 * 9 * 7 * 5}), Contains("the limit"));
    for (std::size_t size = 0; size < file.size(); ++size) {
      const std::string message = refusal({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)});
      if (!Catch::StartsWith("cannot read p").match(message)) FAIL(size << ": " << message);
    }
  }
  CHECK_THAT(error_of([&] { encode_animation("p", animation, ImageFormat::kJpeg); }),
             Contains("hold no animations here"));
  CHECK_THAT(error_of([&] { encode_animation("p", {}, ImageFormat::kPng); }), Contains("has no frames"));
  Animation mixed = animation;
  mixed.frames[1].image = test_picture(9, 8, 4);
  CHECK_THAT(error_of([&] { encode_animation("p", mixed, ImageFormat::kPng); }), Contains("of several kinds"));
}

}  // namespace
}  // namespace kind::testing
