// RAW files: DNGs that are made of pictures, and so develop to them. Long because each kind of file has its own case.

#include <catch2/catch.hpp>

#include <cmath>

#include "core/image/exif.h"
#include "core/image/image.h"
#include "core/image/image_codecs.h"
#include "core/image/tiff_tags.h"
#include "tests/support/dng.h"
#include "tests/support/errors.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Matchers::Contains;
using Bytes = std::vector<std::uint8_t>;

/// Smooth, with colours far enough from 0 that sensors of few steps tell them apart.
Image scene(int width, int height) {
  Image image(width, height, 3, 16);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.set_sample(x, y, 0, 12000 + 30000 * x / width);
      image.set_sample(x, y, 1, 20000 + 20000 * y / height);
      image.set_sample(x, y, 2, 34000 - 15000 * x / width);
    }
  }
  return image;
}

bool reads_raw() {
  if (can_read_image(ImageFormat::kRaw)) return true;
  WARN("skipped: this build has no LibRaw");
  return false;
}

/// The largest difference, in 65535ths, away from the picture's edges, where demosaicing has no neighbours.
int difference(const Image& a, const Image& b, int edge = 4) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels || a.bits != b.bits) return 65535;
  int most = 0;
  for (int y = edge; y < a.height - edge; ++y) {
    for (int x = edge; x < a.width - edge; ++x) {
      for (int c = 0; c < a.channels; ++c) most = std::max(most, std::abs(a.sample(x, y, c) - b.sample(x, y, c)));
    }
  }
  return most;
}

constexpr int kNear = 900;

TEST_CASE("raw: a sensor's picture is developed to what was before it") {
  if (!reads_raw()) return;
  const Image image = scene(48, 36);
  for (const bool little : {true, false}) {
    for (const bool preview : {true, false}) {
      for (const std::array<int, 4>& filter :
           {std::array{0, 1, 1, 2}, std::array{2, 1, 1, 0}, std::array{1, 0, 2, 1}, std::array{1, 2, 0, 1}}) {
        INFO((little ? "little" : "big") << (preview ? ", preview" : "") << ", filter " << filter[0] << filter[1]);
        Dng dng;
        dng.little = little;
        dng.preview = preview;
        dng.filter = filter;
        const Image developed = decode_image("p", dng_file(image, dng));
        CHECK(difference(image, developed) < kNear);
      }
    }
  }
  Dng linear;
  linear.linear = true;
  CHECK(difference(image, decode_image("p", dng_file(image, linear)), 0) < kNear);
}

TEST_CASE("raw: the light of the picture makes no difference, and without it daylight is assumed and said") {
  if (!reads_raw()) return;
  const Image image = scene(40, 30);
  for (const auto& [red, blue] : {std::pair{1.0, 0.25}, {0.3, 0.9}}) {
    Dng dng;
    dng.as_shot = {red, 1, blue};
    Metadata metadata;
    CHECK(difference(image, decode_image("p", dng_file(image, dng), {}, &metadata)) < kNear);
    CHECK(metadata.color_note.empty());
  }
  Dng dng;
  dng.as_shot.reset();
  Metadata metadata;
  CHECK(difference(image, decode_image("p", dng_file(image, dng), {}, &metadata)) < kNear);
  CHECK_THAT(metadata.color_note, Contains("white balance of daylight"));
  dng.matrix = false;
  decode_image("p", dng_file(image, dng), {}, &metadata);
  CHECK_THAT(metadata.color_note, Contains("those of the sensor") && Contains("white balance of daylight"));
}

TEST_CASE("raw: a sensor without colours gives a gray picture, as bright as what was before it") {
  if (!reads_raw()) return;
  const Image image = scene(40, 30);
  Image gray(40, 30, 1, 16);
  for (int i = 0; i < 40 * 30; ++i) gray.set_sample(i % 40, i / 40, 0, image.sample(i % 40, i / 40, 0));
  Dng dng;
  dng.monochrome = true;
  // LibRaw has colours for the second, whose sensor has none.
  for (const auto& [maker, model] : {std::pair{"A maker", "A model"}, {"Leica Camera AG", "LEICA Q2 MONO"}}) {
    dng.maker = maker;
    dng.model = model;
    Metadata metadata;
    CHECK(difference(gray, decode_image("p", dng_file(image, dng), {}, &metadata), 0) < kNear);
    CHECK(metadata.color_note.empty());
  }
}

TEST_CASE("raw: uncompressed strips and tiles that LibRaw does not assemble are refused, not shown as stripes") {
  if (!reads_raw()) return;
  const Image image = scene(40, 31);
  Dng dng;
  dng.gap = 0;
  CHECK(difference(image, decode_image("p", dng_file(image, dng))) < kNear);
  dng.gap = 6;
  CHECK_THAT(error_of([&] { decode_image("p", dng_file(image, dng)); }), Contains("uncompressed strips"));
  Dng tiled;
  tiled.tile = 40;
  CHECK(difference(image, decode_image("p", dng_file(image, tiled))) < kNear);
  tiled.tile = 48;  // more than the picture has: each row ends within the tile
  CHECK_THAT(error_of([&] { decode_image("p", dng_file(image, tiled)); }), Contains("cannot read p as RAW"));
}

TEST_CASE("raw: dark pictures stay dark") {
  if (!reads_raw()) return;
  Image image = scene(40, 30);
  for (int y = 0; y < 30; ++y) {
    for (int x = 0; x < 40; ++x) {
      for (int c = 0; c < 3; ++c) image.set_sample(x, y, c, image.sample(x, y, c) / 8);
    }
  }
  Dng dng;
  dng.white = 65000;
  CHECK(difference(image, decode_image("p", dng_file(image, dng))) < kNear);
}

TEST_CASE("raw: every orientation is applied, and once") {
  if (!reads_raw()) return;
  const TempDir dir;
  const Image image = scene(36, 26);
  const Image upright = decode_image("p", dng_file(image));
  for (unsigned orientation = 1; orientation <= 8; ++orientation) {
    INFO("orientation " << orientation);
    Dng dng;
    dng.orientation = orientation;
    const std::string path = dir.put("p.dng", dng_file(image, dng));
    Metadata metadata;
    const Image turned = read_image(path, {}, &metadata);
    const Image wanted = apply_orientation(upright, static_cast<int>(orientation));
    CHECK((turned.width == wanted.width && turned.data == wanted.data));
    const ImageInfo info = image_info(path);
    CHECK((info.width == turned.width && info.height == turned.height && info.format == ImageFormat::kRaw));
    CHECK(exif_orientation(metadata.exif) == 1);
  }
}

TEST_CASE("raw: half the size, and the part of the sensor that the file wants shown") {
  if (!reads_raw()) return;
  const Image image = scene(49, 35);
  const ReadLimits half{.half_size = true};
  for (const bool linear : {false, true}) {
    for (const bool cropped : {false, true}) {
      for (const unsigned orientation : {1u, 6u}) {
        INFO((linear ? "linear" : "filter") << (cropped ? ", cropped" : "") << ", orientation " << orientation);
        const TempDir dir;
        Dng dng;
        dng.linear = linear;
        dng.orientation = orientation;
        if (cropped) dng.crop = {5, 3, 33, 25};
        const int width = cropped ? 33 : 49, height = cropped ? 25 : 35;
        const std::string path = dir.put("p", dng_file(image, dng));
        const Image whole = read_image(path), small = read_image(path, half);
        const bool sideways = orientation == 6;
        CHECK((whole.width == (sideways ? height : width) && whole.height == (sideways ? width : height)));
        const ImageInfo info = image_info(path), half_info = image_info(path, half);
        CHECK((info.width == whole.width && info.height == whole.height));
        CHECK((half_info.width == small.width && half_info.height == small.height));
        CHECK(std::abs(2 * small.width - whole.width) <= 1);
        CHECK(std::abs(2 * small.height - whole.height) <= 1);
        for (int c = 0; c < 3; ++c) {
          CHECK(std::abs(whole.sample(10, 8, c) - small.sample(5, 4, c)) < 2000);
          if (!sideways && cropped) CHECK(std::abs(whole.sample(10, 8, c) - image.sample(15, 11, c)) < kNear);
        }
      }
    }
  }
}

TEST_CASE("raw: a crop and black levels count from the ActiveArea, whether it begins at an odd pixel or not") {
  if (!reads_raw()) return;
  const Image image = scene(60, 44);
  for (const unsigned column : {0u, 4u, 5u}) {
    for (const unsigned row : {0u, 6u, 7u}) {
      for (const bool uneven : {false, true}) {
        INFO("from column " << column << ", row " << row << (uneven ? ", uneven black" : ""));
        Dng dng;
        dng.active = {column, row};
        dng.crop = {6, 4, 40, 30};
        if (uneven) dng.blacker = {0, 900, 1800, 2700};
        const Image shown = decode_image("p", dng_file(image, dng), {});
        REQUIRE((shown.width == 40 && shown.height == 30));
        Image wanted(40, 30, 3, 16);
        double sum = 0;  // of red, whose neighbours differ by 500
        for (int y = 0; y < 30; ++y) {
          for (int x = 0; x < 40; ++x) {
            for (int c = 0; c < 3; ++c) {
              wanted.set_sample(x, y, c,
                                image.sample(x + static_cast<int>(column) + 6, y + static_cast<int>(row) + 4, c));
            }
            sum += shown.sample(x, y, 0) - wanted.sample(x, y, 0);
          }
        }
        CHECK(difference(shown, wanted) < kNear);
        CHECK(std::abs(sum / (40 * 30)) < 150);
        dng.crop = {0, 0, 60, 44};  // to the sensor's end: LibRaw lacks the odd column and row
        const ImageInfo all = image_info(TempDir().put("p", dng_file(image, dng)));
        CHECK(all.width == static_cast<int>(60 - column - column % 2));
        CHECK(all.height == static_cast<int>(44 - row - row % 2));
      }
    }
  }
}

TEST_CASE("raw: a CR3 file whose boxes have no size ends in an error") {
  if (!reads_raw()) return;
  using namespace std::string_literals;
  const std::string start =
      "\0\0\0\x18"
      "ftypcrx \0\0\0\x01"
      "crx isom"s;
  const std::string endless =
                        "\0\0\0\x01"
                        "free\0\0\0\0\0\0\0\0"s,
                    backward =
                        "\0\0\0\x01"
                        "free\xff\xff\xff\xff\xff\xff\xff\xf0"s;
  for (const std::string& box : {endless, backward}) {
    const std::string inside = "\0\0\0\x20moov"s + box + std::string(8, '\0');
    for (const std::string& rest : {box + std::string(24, '\0'), inside, "\0\0\0\x28trak"s + inside}) {
      const std::string file = start + rest;
      CHECK_THAT(error_of([&] { decode_image("p.cr3", Bytes(file.begin(), file.end()), {}); }), Contains("p.cr3"));
    }
  }
}

TEST_CASE("raw: EXIF data and XMP are those of the developed picture") {
  if (!reads_raw()) return;
  const std::string xmp =
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
      "<rdf:Description rdf:about=\"\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" "
      "xmlns:crs=\"http://ns.adobe.com/camera-raw-settings/1.0/\" xmp:Rating=\"4\" crs:Exposure2012=\"+3.00\"/>"
      "</rdf:RDF></x:xmpmeta>";
  Dng dng;
  dng.orientation = 8;
  dng.lens = "A lens 50mm f/1.8";
  dng.xmp = xmp;
  Metadata metadata;
  const Image image = decode_image("p", dng_file(scene(36, 26), dng), {}, &metadata);
  REQUIRE(image.width == 26);
#if !KIND_HAS_EXIV2
  CHECK(metadata.exif.empty());
  REQUIRE(metadata.dropped.size() == 1);
  CHECK_THAT(metadata.dropped[0], Contains("exiv2"));
  return;
#endif
  const std::string exif = text_of(metadata.exif);
  for (const char* kept : {"A maker of cameras", "A model", "2026:11:30 12:34:56", "A lens 50mm f/1.8"}) {
    CHECK_THAT(exif, Contains(kept));
  }
  for (const char* left : {"A maker's model", "private numbers", "note with offsets"})
    CHECK_THAT(exif, !Contains(left));
  CHECK(metadata.dropped == std::vector<std::string>{"maker's note"});
  CHECK(exif_orientation(metadata.exif) == 1);
  CHECK_FALSE(exif_is_adobe_rgb(metadata.exif));
  CHECK(metadata.icc.empty());
  CHECK_THAT(metadata.xmp, Contains("Rating") && !Contains("Exposure2012"));
  // The sides are those of the upright picture, a GPS directory is there, nothing of the sensor's.
  const TiffTags tags(metadata.exif);
  REQUIRE(tags.whole());
  for (const unsigned tag : {254u, 256u, 258u, 262u, 273u, 277u, 279u, 330u, 33421u, 33422u, 50706u, 50721u, 50740u}) {
    CHECK(tags.find(tag) == nullptr);
  }
  REQUIRE(tags.find(34853) != nullptr);
  REQUIRE(tags.find(34665) != nullptr);
  const auto inner = tags.directory(*tags.number(34665));
  REQUIRE(inner.has_value());
  for (const TiffEntry& entry : *inner) {
    if (entry.tag == 40962) CHECK(tags.number(entry) == 26);
    if (entry.tag == 40963) CHECK(tags.number(entry) == 36);
    if (entry.tag == 34855) CHECK(tags.number(entry) == 1600);
  }
  // The result is no RAW file for anyone.
  for (const ImageFormat format : {ImageFormat::kPng, ImageFormat::kJpeg, ImageFormat::kTiff}) {
    if (!can_write_image(format)) continue;
    Image small = smooth_picture(26, 36, 3);
    const Bytes file = encode_image("p", small, format, {.metadata = &metadata});
    CHECK(image_format_from_content(file) == format);
    CHECK(read_image(TempDir().put("p.x", file)).width == 26);
  }
}

TEST_CASE("raw: files are known by their content, and a plain TIFF stays one") {
  const TempDir dir;
  const Image image = scene(34, 24);
  for (const bool preview : {false, true}) {
    Dng dng;
    dng.preview = preview;
    const Bytes file = dng_file(image, dng);
    CHECK(is_raw_tiff(file) == true);
    for (const char* name : {"p.dng", "p.tif", "p", "p.jpg"}) {
      if (!can_read_image(ImageFormat::kRaw)) {
        CHECK_THAT(error_of([&] { read_image(dir.put(name, file)); }),
                   Contains("a camera RAW file, which is not read"));
        continue;
      }
      CHECK(image_info(dir.put(name, file)).format == ImageFormat::kRaw);
      CHECK(read_image(dir / name).width == 34);
    }
  }
  if (!can_write_image(ImageFormat::kTiff)) return;
  Metadata metadata;
  const std::string block = exif_block(true, 1, 20, 14);
  metadata.exif.assign(block.begin(), block.end());
  for (const int channels : {1, 3}) {
    for (const int bits : {8, 16}) {
      const Image plain = test_picture(20, 14, channels, bits);
      write_image(dir / "plain", plain, ImageFormat::kTiff, {.metadata = &metadata});
      CHECK(is_raw_tiff(slurp(dir / "plain")) == false);
      CHECK(image_info(dir / "plain").format == ImageFormat::kTiff);
      CHECK(read_image(dir / "plain").data == plain.data);
    }
  }
  // Where its directory is not there yet, nobody knows.
  const Bytes whole = slurp(dir / "plain");
  CHECK_FALSE(is_raw_tiff(std::span(whole).first(16)).has_value());
  CHECK(image_format_from_extension("NEF") ==
        (can_read_image(ImageFormat::kRaw) ? std::optional(ImageFormat::kRaw) : std::nullopt));
  CHECK_FALSE(can_write_image(ImageFormat::kRaw));
  CHECK(result_format(ImageFormat::kRaw) == ImageFormat::kPng);
}

TEST_CASE("raw: files that end early, changed bytes, limits") {
  if (!reads_raw()) return;
  const TempDir dir;
  for (const bool preview : {false, true}) {
    Dng dng;
    dng.preview = preview;
    CHECK(lengths_accepted(dir, dng_file(scene(32, 24), dng)).empty());
  }
  const Bytes file = dng_file(scene(32, 24));
  for (std::size_t i = 0; i < 700; i += 3) {
    Bytes changed = file;
    changed[i] = static_cast<std::uint8_t>(changed[i] ^ 0x55);
    Metadata metadata;
    const std::string message =
        error_of([&] { decode_image("p", changed, {.max_pixels = 10000, .max_image_bytes = 1 << 22}, &metadata); });
    if (message != "no error") CHECK_THAT(message, Catch::StartsWith("cannot read p") && !Contains("\n"));
  }
  const auto refusal = [&](const ReadLimits& limits) { return error_of([&] { decode_image("p", file, limits); }); };
  CHECK_THAT(refusal({.max_pixels = 32 * 24 - 1}), Contains("32 x 24 pixels, the limit is 767 in all"));
  CHECK(refusal({.max_pixels = 32 * 24}) == "no error");
  CHECK(refusal({.max_pixels = 16 * 12, .half_size = true}) == "no error");
  CHECK_THAT(refusal({.max_side = 31}), Contains("the limit is 31 a side"));
  CHECK_THAT(refusal({.max_image_bytes = 32 * 24 * 15}), Contains("the limit is 11520"));
  CHECK_THAT(error_of([&] { write_image(dir / "p.dng", scene(4, 4), ImageFormat::kRaw); }), Contains("only read here"));
}

TEST_CASE("raw: kinds that LibRaw does not know are refused with what to do") {
  if (!reads_raw()) return;
  const TempDir dir;
  Bytes file = dng_file(scene(32, 24));
  // Compression 52546 is one that came later.
  const std::string entry("\x03\x01\x03\0\x01\0\0\0\x01\0", 10);
  std::string text = text_of(file);
  REQUIRE(text.find(entry) != std::string::npos);
  text.replace(text.find(entry) + 8, 2, "\x42\xcd");
  const std::string unknown =
      "LibRaw [0-9.]+ does not know this camera or kind of file; convert it to DNG or PNG first";
  CHECK_THAT(error_of([&] { read_image(dir.put("new.dng", text)); }),
             Catch::Matches("cannot read .* as RAW: " + unknown));
  // A name may be wrong.
  if (can_write_image(ImageFormat::kTiff)) {
    write_image(dir / "plain.nef", test_picture(30, 24, 3), ImageFormat::kTiff);
    CHECK_THAT(error_of([&] { read_image(dir / "plain.nef"); }), Contains("if it is a plain TIFF, rename it to .tif"));
  }
  // Nor does it take pictures of less than 22 pixels a side.
  CHECK_THAT(error_of([&] { read_image(dir.put("small.dng", dng_file(scene(21, 30)))); }),
             Catch::Matches("cannot read .* as RAW: " + unknown));
  const std::string box(
      "\0\0\0\x18"
      "ftypcrx \0\0\0\1crx isom",
      24);
  CHECK_THAT(error_of([&] { read_image(dir.put("x.cr3", box)); }),
             Catch::Matches("cannot read .* as RAW: the file ends early or is damaged"));
}

}  // namespace
}  // namespace kind::testing
