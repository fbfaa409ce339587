#include "core/image/image.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>

#include "tests/support/errors.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

TEST_CASE("image: a new one is black, and has a size", "[unit]") {
  const Image image(3, 2, 4, 16);
  CHECK(image.data == std::vector<std::uint8_t>(3 * 2 * 4 * 2));
  CHECK(image.maximum() == 65535);
  CHECK(Image(3, 2, 1).row_bytes() == 3);
  CHECK(Image(1, 1, 2).has_alpha());
  CHECK_FALSE(Image(1, 1, 3).has_alpha());
  CHECK_THROWS_WITH(Image(0, 2, 3), Contains("got 0 x 2, 3 channels, 8 bits"));
  CHECK_THROWS_AS(Image(1, -1, 3), Error);
  CHECK_THROWS_AS(Image(1, 1, 0), Error);
  CHECK_THROWS_AS(Image(1, 1, 5), Error);
  CHECK_THROWS_AS(Image(1, 1, 3, 12), Error);
}

TEST_CASE("image: to_tensor spreads gray, leaves alpha out and maps to 0..1", "[unit]") {
  for (const int bits : {8, 16}) {
    for (const int channels : {1, 2, 3, 4}) {
      const Image image = test_picture(5, 3, channels, bits);
      const Tensor<float> tensor = to_tensor(image);
      REQUIRE(tensor.shape() == Shape{1, 3, 3, 5});
      int wrong = 0;
      for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < 3; ++y) {
          for (int x = 0; x < 5; ++x) {
            const int value = image.sample(x, y, channels < 3 ? 0 : c);
            const float expected = static_cast<float>(value) / static_cast<float>(image.maximum());
            if (tensor[(c * 3 + y) * 5 + x] != expected) ++wrong;
          }
        }
      }
      CHECK(wrong == 0);
    }
  }
  CHECK_THROWS_AS(to_tensor(Image()), Error);
}

TEST_CASE("image: to_image rounds half up and clamps", "[unit]") {
  const auto value = [](float x, int bits = 8) {
    return to_image(Tensor<float>(Shape{1, 1, 1, 1}, {x}), bits).sample(0, 0, 0);
  };
  CHECK(value(0.5f) == 128);  // 127.5
  CHECK(value(std::nextafter(0.5f, 0.0f)) == 127);
  CHECK(value(0.5f, 16) == 32768);
  CHECK(value(0.0f) == 0);
  CHECK(value(1.0f) == 255);
  CHECK(value(std::nextafter(1.0f, 0.0f)) == 255);
  CHECK(value(-0.1f) == 0);
  CHECK(value(-std::numeric_limits<float>::infinity()) == 0);
  CHECK(value(1e30f) == 255);
  CHECK(value(std::numeric_limits<float>::infinity(), 16) == 65535);
  CHECK(value(0.49f / 255) == 0);
  CHECK(value(0.51f / 255) == 1);
}

TEST_CASE("image: every sample value survives the way through a tensor", "[unit]") {
  Image wide(256, 256, 3, 16);
  for (int y = 0; y < 256; ++y) {
    for (int x = 0; x < 256; ++x) {
      wide.set_sample(x, y, 0, 256 * y + x);
      wide.set_sample(x, y, 1, 65535 - 256 * y - x);
      wide.set_sample(x, y, 2, (257 * x + y) % 65536);
    }
  }
  CHECK(to_image(to_tensor(wide), 16).data == wide.data);
  Image narrow(256, 1, 3);
  for (int x = 0; x < 256; ++x) {
    for (int c = 0; c < 3; ++c) narrow.set_sample(x, 0, c, (x + 85 * c) % 256);
  }
  const Image again = to_image(to_tensor(narrow));
  CHECK(again.data == narrow.data);
  CHECK(again.bits == 8);
}

TEST_CASE("image: gray is what has equal channels everywhere", "[unit]") {
  for (const int bits : {8, 16}) {
    for (int channels = 1; channels <= 4; ++channels) {
      Image image(5, 3, channels, bits);
      CHECK(is_gray(image));
      const float row[] = {0.0f, 0.25f, 0.5f, 0.75f, 1.0f}, other[] = {1.0f, 0.0f, 0.5f, 0.5f, 0.0f};
      const float* const planes[] = {row, other, row};
      put_gray_rows(image, 1, 2, planes);
      CHECK(is_gray(image));
      CHECK(image.sample(0, 1, 0) == static_cast<int>(0.587 * image.maximum() + 0.5));
      if (image.has_alpha()) CHECK(image.sample(0, 1, channels - 1) == 0);
      for (int c = 0; c < (channels < 3 ? 0 : 3); ++c) {
        // The last bit of one sample; alpha is no colour.
        if (image.has_alpha()) image.set_sample(4, 2, 3, 7);
        CHECK(is_gray(image));
        image.set_sample(4, 2, c, bits == 16 ? 256 : 1);
        CHECK_FALSE(is_gray(image));
        image.set_sample(4, 2, c, 0);
      }
      if (channels >= 3) {
        put_rows(image, 1, 2, planes);
        CHECK_FALSE(is_gray(image));
      }
    }
  }
}

TEST_CASE("image: to_image refuses what is no picture", "[unit]") {
  CHECK_THROWS_WITH(to_image(Tensor<float>()), Contains("undefined"));
  for (const Shape& shape :
       {Shape{3, 2, 2}, Shape{2, 3, 2, 2}, Shape{1, 2, 2, 2}, Shape{1, 3, 0, 2}, Shape{1, 4, 1, 1}}) {
    CHECK_THROWS_WITH(to_image(Tensor<float>::zeros(shape)), Contains("got " + shape.text()));
  }
  Tensor<float> tensor = Tensor<float>::zeros(Shape{1, 3, 2, 4});
  tensor[(1 * 2 + 1) * 4 + 2] = std::nanf("");
  CHECK_THROWS_WITH(to_image(tensor), Equals("to_image: the value at channel 1, row 1, column 2 is not a number"));
}

TEST_CASE("image: what each type can hold comes back", "[unit]") {
  const TempDir dir;
  struct Size {
    int width, height;
  };
  for (const auto format : {ImageFormat::kPng, ImageFormat::kBmp, ImageFormat::kPpm}) {
    for (const auto [width, height] :
         {Size{1, 1}, Size{1, 9}, Size{2, 1}, Size{3, 5}, Size{4, 4}, Size{17, 6}, Size{101, 67}}) {
      for (const int bits : {8, 16}) {
        for (int channels = 1; channels <= 4; ++channels) {
          if (format != ImageFormat::kPng && (channels == 2 || channels == 4)) continue;
          if (format == ImageFormat::kBmp && bits == 16) continue;
          const Image image = test_picture(width, height, channels, bits);
          const std::string path = dir / "p"s + image_extension(format);
          INFO(path << " " << width << " x " << height << ", " << channels << " channels, " << bits << " bits");
          write_image(path, image, format);
          const Image again = read_image(path);
          REQUIRE(again.width == width);
          REQUIRE(again.height == height);
          REQUIRE(again.bits == bits);
          const ImageInfo info = image_info(path);
          CHECK((info.width == width && info.height == height && info.format == format));
          if (format == ImageFormat::kBmp) {  // gray is read as RGB
            CHECK(to_tensor(again).to_vector() == to_tensor(image).to_vector());
          } else {
            CHECK(again.channels == channels);
            CHECK(again.data == image.data);
          }
        }
      }
    }
  }
}

TEST_CASE("image: the same picture gives the same file", "[unit]") {
  const TempDir dir;
  for (const ImageFormatRow& row : kImageFormats) {
    const ImageFormat format = row.format;
    if (!can_write_image(format)) continue;
    INFO(row.name);
    write_image(dir / "a", test_picture(30, 20, 3), format);
    write_image(dir / "b", test_picture(30, 20, 3), format);
    CHECK(encode_image("b", test_picture(30, 20, 3), format) == slurp(dir / "b"));
    CHECK(slurp(dir / "a") == slurp(dir / "b"));
  }
  CHECK(dir.count() == 2);
}

TEST_CASE("image: the type is found from the content, not from the name", "[unit]") {
  const TempDir dir;
  const Image image = test_picture(9, 7, 3);
  for (const char* name : {"photo.jpg", "photo.nef", "photo", "photo.heic", "photo.ppm"}) {
    write_image(dir / name, image, ImageFormat::kPng);
    CHECK(read_image(dir / name).data == image.data);
    CHECK(image_info(dir / name).format == ImageFormat::kPng);
  }
}

TEST_CASE("image: types that are not read are named, with what to do", "[unit]") {
  const TempDir dir;
  const auto message = [&](const std::string& name, const std::string& start) {
    const std::string path = dir.put(name, start + std::string(200, '\0'));
    const std::string text = error_of([&] { read_image(path); });
    CHECK(error_of([&] { image_info(path); }) == text);
    CHECK_THAT(text, Contains("cannot read " + path + ": it is ") || Contains("cannot read " + path + " as RAW"));
    return text;
  };
  const std::string intel = "II*\0\x08\0\0\0"s;
  const std::string motorola = "MM\0*\0\0\0\x08"s;
  const std::string box =
      "\0\0\0\x18"
      "ftyp"s;
  const std::string raw = can_read_image(ImageFormat::kRaw)
                              ? " as RAW"
                              : "a camera RAW file, which is not read: develop it to PNG or JPEG first";
  for (const char* extension : {"nef", "NEF", "arw", "dng", "cr2", "pef", "srw", "rw2", "orf", "3fr"}) {
    CHECK_THAT(message("x."s + extension, intel), Contains(raw));
    CHECK_THAT(message("x."s + extension, motorola), Contains(raw));
  }
  CHECK_THAT(message("noname", "II*\0\x10\0\0\0CR\x02"s), Contains(raw));
  CHECK_THAT(message("x.cr3", box + "crx "), Contains(raw));
  CHECK_THAT(message("x.raf", "FUJIFILMCCD-RAW 0201"), Contains(raw));
  CHECK_THAT(message("x.orf", "IIRO\x08\0\0\0"s), Contains(raw));
  CHECK_THAT(message("x.rw2", "IIU\0\x18\0\0\0"s), Contains(raw));
  CHECK_THAT(message("x.mp4", box + "isom"), Contains("a video"));
  CHECK_THAT(message("x.gif", "GIF89a"), Contains("a GIF"));
  CHECK_THAT(message("x.psd", "8BPS"), Contains("a Photoshop file"));
  CHECK_THAT(message("x.pgm", "P2 1 1 255 7"), Contains("a plain-text PNM file"));
  CHECK_THAT(message("x.pbm", "P4 1 1 "), Contains("a bitmap (PBM) file"));
  // What a build without the libraries does not read.
  const std::pair<ImageFormat, std::string> optional[] = {
      {ImageFormat::kTiff, intel},        {ImageFormat::kWebp, "RIFF\x10\0\0\0WEBPVP8 "s},
      {ImageFormat::kHeif, box + "heic"}, {ImageFormat::kHeif, box + "mif1"},
      {ImageFormat::kAvif, box + "avif"}, {ImageFormat::kJxl, "\xff\x0a"}};
  for (const auto& [format, start] : optional) {
    if (can_read_image(format)) continue;
    const std::string name = image_format(format).name;
    CHECK_THAT(message("x", start), Contains(name + " file, which is not read by this build: convert it to PNG first"));
    CHECK_THAT(
        error_of([&, type = format] { write_image(dir / "x", Image(1, 1, 3), type); }),
        Contains(name + " files are neither read nor written by this build, expected one of png, jpg, bmp, ppm"));
  }
  const std::string other = "it is not a picture of a type that is read (PNG, JPEG, BMP, PPM, PGM";
  CHECK_THAT(message("x.png", "RIFF\x10\0\0\0WAVEfmt "s), Contains(other));
  CHECK_THAT(message("x.nef", "hello"), Contains(other));
  CHECK_THAT(message("x.png", "<!DOCTYPE html>"), Contains(other));
  CHECK_THAT(error_of([&] { read_image(dir.put("one", "B")); }), Contains(other));
}

TEST_CASE("image: files that are not there or empty", "[unit]") {
  const TempDir dir;
  for (const auto& [name, piece] :
       {std::pair{"none.png", "No such file"}, {"empty.png", "the file is empty"}, {".", "it is a folder"}}) {
    if (name == "empty.png"s) dir.put(name, "");
    const std::string path = dir / name;
    CHECK_THAT(error_of([&] { read_image(path); }), Contains("cannot read " + path + ": " + piece));
    CHECK_THAT(error_of([&] { image_info(path); }), Contains("cannot read " + path + ": " + piece));
  }
}

TEST_CASE("image: limits are applied to every type", "[unit]") {
  const TempDir dir;
  for (const ImageFormatRow& row : kImageFormats) {
    if (!can_write_image(row.format)) continue;
    INFO(row.name);
    const std::string path = dir / "p";
    write_image(path, test_picture(20, 10, 3), row.format);
    const auto both = [&](const ReadLimits& limits) {
      const std::string message = error_of([&] { read_image(path, limits); });
      CHECK(error_of([&] { image_info(path, limits); }) == message);
      return message;
    };
    CHECK(both({}) == "no error");
    CHECK(both({.max_pixels = 200, .max_side = 20}) == "no error");
    CHECK(both({.max_pixels = 199}) == "cannot read " + path + ": it has 20 x 10 pixels, the limit is 199 in all");
    CHECK(both({.max_side = 19}) == "cannot read " + path + ": it has 20 x 10 pixels, the limit is 19 a side");
    CHECK_THAT(both({.max_file_bytes = 30}), Contains("the limit is 30"));
  }
}

TEST_CASE("image: writing refuses what a type cannot hold and leaves no file", "[unit]") {
  const TempDir dir;
  const auto message = [&](const Image& image, ImageFormat format, int quality = 95) {
    return error_of([&] { write_image(dir / "p", image, format, {.jpeg_quality = quality}); });
  };
  const std::string start = "cannot write " + (dir / "p") + ": ";
  CHECK(message(Image(2, 2, 4), ImageFormat::kJpeg) ==
        start + "jpg files hold no alpha channel here, expected " + image_types_that_hold(8, true));
  CHECK_THAT(message(Image(2, 2, 2), ImageFormat::kPpm), Contains("no alpha channel"));
  CHECK_THAT(message(Image(2, 2, 4), ImageFormat::kBmp), Contains("no alpha channel"));
  CHECK(message(Image(2, 2, 3, 16), ImageFormat::kJpeg) ==
        start + "jpg files hold no 16-bit samples, expected " + image_types_that_hold(16, false));
  CHECK_THAT(image_types_that_hold(16, false), Catch::StartsWith("png"));
  CHECK_THAT(image_types_that_hold(16, true), !Contains("ppm"));
  CHECK_THAT(message(Image(2, 2, 3, 16), ImageFormat::kBmp), Contains("bmp files hold no 16-bit samples"));
  CHECK_THAT(message(Image(2, 2, 3), ImageFormat::kJpeg, 0), Contains("the JPEG quality is 0, expected 1 to 100"));
  CHECK_THAT(message(Image(2, 2, 3), ImageFormat::kJpeg, 101), Contains("the JPEG quality is 101"));
  CHECK_THAT(message(Image(65501, 1, 3), ImageFormat::kJpeg),
             Contains("at most 65500 pixels a side, the picture has 65501 x 1"));
  CHECK_THAT(message(Image(), ImageFormat::kPng), Contains("the picture is empty"));
  Image broken(2, 2, 3);
  broken.width = 3;
  CHECK_THAT(message(broken, ImageFormat::kPng), Contains("its data does not fit its size"));
  CHECK_THAT(error_of([&] { write_image(dir / "none/p.png", Image(1, 1, 3), ImageFormat::kPng); }),
             Contains("cannot write " + (dir / "none/p.png") + ": No such file or directory"));
  CHECK(dir.count() == 0);
}

TEST_CASE("image: file name extensions", "[unit]") {
  CHECK(image_format_from_extension("png") == ImageFormat::kPng);
  CHECK(image_format_from_extension(".PNG") == ImageFormat::kPng);
  CHECK(image_format_from_extension("jpg") == ImageFormat::kJpeg);
  CHECK(image_format_from_extension(".Jpeg") == ImageFormat::kJpeg);
  CHECK(image_format_from_extension("bmp") == ImageFormat::kBmp);
  CHECK(image_format_from_extension("ppm") == ImageFormat::kPpm);
  CHECK(image_format_from_extension("jfif") == ImageFormat::kJpeg);
  CHECK(image_format_from_extension(".JPE") == ImageFormat::kJpeg);
  CHECK(image_format_from_extension("MPO") == ImageFormat::kJpeg);
  CHECK(image_format_from_extension(".apng") == ImageFormat::kPng);
  for (const char* other : {"", ".", "mov", "gif", "pn", "pngx", ".p.png"}) {
    CHECK_FALSE(image_format_from_extension(other).has_value());
  }
  for (const ImageFormatRow& row : kImageFormats) {
    CHECK(image_format(row.format).id == std::string(row.id));
    CHECK_FALSE(row.extensions[0].empty());
    for (const std::string_view extension : row.extensions) {
      if (extension.empty()) continue;
      INFO(extension);
      CHECK(image_format_from_extension(extension).has_value() == can_read_image(row.format));
      CHECK(image_format_from_extension(extension).value_or(row.format) == row.format);
      CHECK(has_picture_name("photo." + std::string(extension)) == can_read_image(row.format));
    }
    const std::vector<std::string> written = writable_image_extensions();
    const auto listed = std::count(written.begin(), written.end(), row.extensions[0]);
    CHECK(listed == (can_write_image(row.format) ? 1 : 0));
    CHECK(result_format(row.format) == (can_write_image(row.format) ? row.format : ImageFormat::kPng));
  }
  CHECK_THAT(writable_image_types(), Catch::StartsWith("png, jpg, bmp, ppm"));
  CHECK_THAT(readable_image_types(), Catch::StartsWith("PNG, JPEG, BMP, PPM, PGM"));
  CHECK_THAT(image_codec_names(), Catch::StartsWith("png jpeg bmp ppm"));
  CHECK(is_gray_name("a/b.PGM"));
  CHECK_FALSE(is_gray_name("a/pgm"));
  CHECK_FALSE(is_gray_name("b.ppm"));
  CHECK(has_picture_name("a/b.c/photo.JPG"));
  CHECK(has_picture_name("photo.pgm"));
  CHECK_FALSE(has_picture_name("photo"));
  CHECK_FALSE(has_picture_name("a.png/photo"));
  CHECK_FALSE(has_picture_name(".png"));
  CHECK_FALSE(has_picture_name("a/._photo.jpg"));
  CHECK(has_picture_name(".a/photo.jpg"));
  CHECK_FALSE(has_picture_name("photo.gif"));
}
