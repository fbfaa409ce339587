// TIFF files of the many kinds that other programs write, made by libtiff. Long because there are so many.

#include <catch2/catch.hpp>

#include "core/image/image.h"

#if KIND_HAS_TIFF

#include <tiffio.h>

#include <cstring>
#include <functional>

#include "core/image/exif.h"
#include "core/image/tiff_tags.h"
#include "tests/support/errors.h"
#include "tests/support/ink_profile.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Matchers::Contains;
using namespace std::string_literals;
using Bytes = std::vector<std::uint8_t>;

/// How a file is written.
struct Way {
  int compression = COMPRESSION_NONE, photometric = -1, alpha = -1, predictor = 0;
  bool separate = false;
  int tile = 0, rows = 4;
  const char* mode = "w";
  std::function<void(TIFF*)> more = nullptr;
};

std::string put_tiff(const TempDir& dir, const Image& image, const Way& way) {
  const std::string path = dir / "p.tif";
  TIFF* const tiff = TIFFOpen(path.c_str(), way.mode);
  REQUIRE(tiff != nullptr);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, image.width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, image.height);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, image.bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, image.channels);
  const int plain = image.channels < 3 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB;
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, way.photometric < 0 ? plain : way.photometric);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, way.separate ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, way.compression);
  if (way.predictor > 0) TIFFSetField(tiff, TIFFTAG_PREDICTOR, way.predictor);
  const auto kind = static_cast<std::uint16_t>(way.alpha);
  if (way.alpha >= 0) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &kind);
  if (way.tile > 0) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, way.tile);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, way.tile);
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, way.rows);
  }
  if (way.more) way.more(tiff);
  const auto sample = static_cast<std::size_t>(image.bits / 8);
  const auto channels = static_cast<std::size_t>(way.separate ? 1 : image.channels);
  const int block_width = way.tile > 0 ? way.tile : image.width, block_height = way.tile > 0 ? way.tile : way.rows;
  for (int plane = 0; plane < (way.separate ? image.channels : 1); ++plane) {
    for (int y0 = 0; y0 < image.height; y0 += block_height) {
      for (int x0 = 0; x0 < image.width; x0 += block_width) {
        const int rows = way.tile > 0 ? block_height : std::min(block_height, image.height - y0);
        Bytes block(static_cast<std::size_t>(rows) * static_cast<std::size_t>(block_width) * channels * sample);
        for (int y = y0; y < std::min(y0 + rows, image.height); ++y) {
          for (int x = x0; x < std::min(x0 + block_width, image.width); ++x) {
            for (std::size_t c = 0; c < channels; ++c) {
              const int value = image.sample(x, y, way.separate ? plane : static_cast<int>(c));
              const auto wide = static_cast<std::uint16_t>(value);
              const std::size_t at =
                  (static_cast<std::size_t>((y - y0) * block_width + x - x0) * channels + c) * sample;
              sample == 1 ? static_cast<void>(block[at] = static_cast<std::uint8_t>(value))
                          : static_cast<void>(std::memcpy(&block[at], &wide, 2));
            }
          }
        }
        const auto size = static_cast<tmsize_t>(block.size());
        const auto p = static_cast<std::uint16_t>(plane);
        const auto y = static_cast<std::uint32_t>(y0);
        const tmsize_t done =
            way.tile > 0 ? TIFFWriteEncodedTile(tiff, TIFFComputeTile(tiff, static_cast<std::uint32_t>(x0), y, 0, p),
                                                block.data(), size)
                         : TIFFWriteEncodedStrip(tiff, TIFFComputeStrip(tiff, y, p), block.data(), size);
        REQUIRE(done == size);
      }
    }
  }
  TIFFClose(tiff);
  return path;
}

TEST_CASE("tiff: strips and tiles, planes, byte orders, both sizes of offsets, compressions") {
  const TempDir dir;
  for (const int channels : {1, 2, 3, 4}) {
    for (const int bits : {8, 16}) {
      const Image image = test_picture(37, 21, channels, bits);
      const int alpha = image.has_alpha() ? EXTRASAMPLE_UNASSALPHA : -1;
      for (const bool separate : {false, true}) {
        for (const int tile : {0, 16}) {
          for (const char* mode : {"wl", "wb", "w8", "wb8"}) {
            for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE,
                                          COMPRESSION_PACKBITS, COMPRESSION_LZMA, COMPRESSION_ZSTD}) {
              if (!TIFFIsCODECConfigured(static_cast<std::uint16_t>(compression))) continue;
              const bool predicts = compression == COMPRESSION_LZW || compression == COMPRESSION_ADOBE_DEFLATE;
              INFO(channels << " channels, " << bits << " bits, " << (separate ? "separate, " : "") << "tile " << tile
                            << ", mode " << mode << ", compression " << compression);
              const std::string path = put_tiff(dir, image,
                                                {.compression = compression,
                                                 .alpha = alpha,
                                                 .predictor = predicts ? 2 : 0,
                                                 .separate = separate,
                                                 .tile = tile,
                                                 .mode = mode});
              const Image again = read_image(path);
              CHECK((again.channels == channels && again.bits == bits && again.data == image.data));
              CHECK(image_info(path).width == 37);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("tiff: pixels that spell what a RAW file has at their place") {
  const TempDir dir;
  Image image(4, 5, 1);
  for (int x = 0; x < 4; ++x) image.set_sample(x, 0, 0, "CR\x02\x00"[x]);
  const std::string path = put_tiff(dir, image, {});
  CHECK(read_image(path).data == image.data);
}

TEST_CASE("tiff: white as 0") {
  const TempDir dir;
  const Image gray = test_picture(9, 5, 1);
  const Image white = read_image(put_tiff(dir, gray, {.photometric = PHOTOMETRIC_MINISWHITE}));
  for (std::size_t i = 0; i < gray.data.size(); ++i) REQUIRE(white.data[i] == 255 - gray.data[i]);
}

TEST_CASE("tiff: palettes") {
  const TempDir dir;
  const Image gray = test_picture(9, 5, 1);
  for (const bool wide : {true, false}) {
    const auto palette = [&](TIFF* tiff) {
      std::uint16_t maps[3][256];
      for (int i = 0; i < 256; ++i) {
        maps[0][i] = static_cast<std::uint16_t>(i * (wide ? 257 : 1));
        maps[1][i] = static_cast<std::uint16_t>((255 - i) * (wide ? 257 : 1));
        maps[2][i] = static_cast<std::uint16_t>(i / 2 * (wide ? 257 : 1));
      }
      TIFFSetField(tiff, TIFFTAG_COLORMAP, maps[0], maps[1], maps[2]);
    };
    const Image colors = read_image(put_tiff(dir, gray, {.photometric = PHOTOMETRIC_PALETTE, .more = palette}));
    REQUIRE(colors.channels == 3);
    for (int x = 0; x < 9; ++x) {
      const int value = gray.sample(x, 2, 0);
      CHECK(colors.sample(x, 2, 0) == value);
      CHECK(colors.sample(x, 2, 1) == 255 - value);
      CHECK(colors.sample(x, 2, 2) == value / 2);
    }
  }
}

// Two rows of 5 pixels: 1 bit in 1 byte a row, 4 bits in 3.
TEST_CASE("tiff: fewer bits") {
  const TempDir dir;
  for (const int bits : {1, 2, 4}) {
    const auto row_bytes = static_cast<std::size_t>((5 * bits + 7) / 8);
    const auto fewer = [&](TIFF* tiff) { TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bits); };
    const std::string path = dir / "few.tif";
    TIFF* const tiff = TIFFOpen(path.c_str(), "w");
    for (const auto& [tag, value] : {std::pair{TIFFTAG_IMAGEWIDTH, 5},
                                     {TIFFTAG_IMAGELENGTH, 2},
                                     {TIFFTAG_SAMPLESPERPIXEL, 1},
                                     {TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK}}) {
      TIFFSetField(tiff, static_cast<std::uint32_t>(tag), value);
    }
    fewer(tiff);
    Bytes rows(2 * row_bytes, 0xb4);
    TIFFWriteEncodedStrip(tiff, 0, rows.data(), static_cast<tmsize_t>(rows.size()));
    TIFFClose(tiff);
    const Image image = read_image(path);
    REQUIRE((image.width == 5 && image.height == 2 && image.channels == 1 && image.bits == 8));
    const int first = 0xb4 >> (8 - bits), most = (1 << bits) - 1;
    CHECK(image.sample(0, 1, 0) == first * 255 / most);
    const int second = 0xb4 >> (8 - 2 * bits) & most;
    CHECK(image.sample(1, 0, 0) == second * 255 / most);
  }
}

TEST_CASE("tiff: premultiplied alpha") {
  const TempDir dir;
  Image associated(3, 1, 4);
  const int stored[3][4] = {{50, 100, 0, 128}, {0, 0, 0, 0}, {200, 255, 7, 255}};
  for (int x = 0; x < 3; ++x) {
    for (int c = 0; c < 4; ++c) associated.set_sample(x, 0, c, stored[x][c]);
  }
  const Image divided = read_image(put_tiff(dir, associated, {.alpha = EXTRASAMPLE_ASSOCALPHA}));
  CHECK(divided.data == Bytes{100, 199, 0, 128, 0, 0, 0, 0, 200, 255, 7, 255});
}

// What is neither colour nor alpha is passed over.
TEST_CASE("tiff: channels beyond") {
  const TempDir dir;
  const Image four = test_picture(6, 4, 4);
  const Image three = read_image(put_tiff(dir, four, {.alpha = EXTRASAMPLE_UNSPECIFIED}));
  REQUIRE(three.channels == 3);
  CHECK(three.sample(5, 2, 1) == four.sample(5, 2, 1));
}

TEST_CASE("tiff: JPEG inside, as RGB and as YCbCr, and YCbCr of other compressions") {
  const TempDir dir;
  const Image image = smooth_picture(64, 48, 3);
  const auto near = [&](const Image& again) {
    if (again.data.size() != image.data.size()) return false;
    for (std::size_t i = 0; i < image.data.size(); ++i) {
      if (std::abs(image.data[i] - again.data[i]) > 8) return false;
    }
    return true;
  };
  const auto quality = [](TIFF* tiff) {
    TIFFSetField(tiff, TIFFTAG_JPEGQUALITY, 95);
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  };
  if (!TIFFIsCODECConfigured(COMPRESSION_JPEG)) return;
  CHECK(near(read_image(put_tiff(dir, image, {.compression = COMPRESSION_JPEG, .rows = 16, .more = quality}))));
  const Way ycbcr{.compression = COMPRESSION_JPEG, .photometric = PHOTOMETRIC_YCBCR, .rows = 16, .more = quality};
  const std::string path = put_tiff(dir, image, ycbcr);
  CHECK(near(read_image(path)));
  // Damage that libjpeg only warns of is an error.
  Bytes file = slurp(path);
  std::fill(file.begin() + 100, file.begin() + 400, std::uint8_t{0x11});
  CHECK_THAT(error_of([&] { read_image(dir.put("bad.tif", file)); }), Contains("cannot read "));

  // Not subsampled, BT.601: gray is Y, 128, 128.
  Image planes(8, 4, 3);
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 8; ++x) {
      planes.set_sample(x, y, 0, 30 * x);
      planes.set_sample(x, y, 1, 128);
      planes.set_sample(x, y, 2, 128);
    }
  }
  const auto whole_color = [](TIFF* tiff) {
    TIFFSetField(tiff, TIFFTAG_YCBCRSUBSAMPLING, 1, 1);
    TIFFSetField(tiff, TIFFTAG_ORIENTATION, ORIENTATION_BOTRIGHT);
  };
  const Image converted = read_image(
      put_tiff(dir, planes, {.compression = COMPRESSION_LZW, .photometric = PHOTOMETRIC_YCBCR, .more = whole_color}));
  REQUIRE((converted.width == 8 && converted.channels == 3));
  for (int c = 0; c < 3; ++c) CHECK(std::abs(converted.sample(7 - 5, 0, c) - 150) <= 1);  // turned once
}

/// Four inks and, if wanted, alpha; `planes` are C, M, Y, K and alpha of `bits` each.
std::string put_inks(const TempDir& dir, const Image& inks, const Image* alpha, bool separate, const Bytes& icc) {
  const std::string path = dir / "inks.tif";
  TIFF* const tiff = TIFFOpen(path.c_str(), "w");
  REQUIRE(tiff != nullptr);
  const int samples = alpha ? 5 : 4;
  for (const auto& [tag, value] : {std::pair{TIFFTAG_IMAGEWIDTH, inks.width},
                                   {TIFFTAG_IMAGELENGTH, inks.height},
                                   {TIFFTAG_BITSPERSAMPLE, inks.bits},
                                   {TIFFTAG_SAMPLESPERPIXEL, samples},
                                   {TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_SEPARATED},
                                   {TIFFTAG_PLANARCONFIG, separate ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG},
                                   {TIFFTAG_COMPRESSION, COMPRESSION_LZW},
                                   {TIFFTAG_ROWSPERSTRIP, 1}}) {
    TIFFSetField(tiff, static_cast<std::uint32_t>(tag), value);
  }
  const std::uint16_t kind = EXTRASAMPLE_UNASSALPHA;
  if (alpha) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &kind);
  if (!icc.empty()) TIFFSetField(tiff, TIFFTAG_ICCPROFILE, static_cast<std::uint32_t>(icc.size()), icc.data());
  for (int plane = 0; plane < (separate ? samples : 1); ++plane) {
    for (int y = 0; y < inks.height; ++y) {
      Bytes row;
      for (int x = 0; x < inks.width; ++x) {
        for (int s = separate ? plane : 0; s < (separate ? plane + 1 : samples); ++s) {
          const int value = s < 4 || alpha == nullptr ? inks.sample(x, y, s) : alpha->sample(x, y, 0);
          row.push_back(static_cast<std::uint8_t>(value & 0xff));
          if (inks.bits == 16) row.push_back(static_cast<std::uint8_t>(value >> 8));
        }
      }
      REQUIRE(TIFFWriteScanline(tiff, row.data(), static_cast<std::uint32_t>(y), static_cast<std::uint16_t>(plane)) ==
              1);
    }
  }
  TIFFClose(tiff);
  return path;
}

TEST_CASE("tiff: inks become RGB, by their profile or a formula") {
  const TempDir dir;
  for (const int bits : {8, 16}) {
    const Image inks = test_picture(13, 9, 4, bits), alpha = test_picture(13, 9, 1, bits);
    for (const bool separate : {false, true}) {
      for (const bool has_alpha : {false, true}) {
        INFO(bits << (separate ? ", planes" : "") << (has_alpha ? ", alpha" : ""));
        Metadata metadata;
        const Image image = read_image(put_inks(dir, inks, has_alpha ? &alpha : nullptr, separate, {}), {}, &metadata);
        REQUIRE((image.width == 13 && image.channels == (has_alpha ? 4 : 3) && image.bits == bits));
        CHECK_THAT(metadata.color_note, Contains("from inks (CMYK) to sRGB by a formula"));
        const double most = image.maximum();
        double largest = 0;
        for (int y = 0; y < 9; ++y) {
          for (int x = 0; x < 13; ++x) {
            for (int c = 0; c < 3; ++c) {
              const double wanted = (1 - inks.sample(x, y, c) / most) * (1 - inks.sample(x, y, 3) / most) * most;
              largest = std::max(largest, std::abs(wanted - image.sample(x, y, c)));
            }
            if (has_alpha) CHECK(image.sample(x, y, 3) == alpha.sample(x, y, 0));
          }
        }
        CHECK(largest <= 0.5);
      }
    }
#if KIND_HAS_LCMS
    Image paper(5, 1, 4, bits);
    for (int ink = 0; ink < 4; ++ink) paper.set_sample(ink + 1, 0, ink, paper.maximum());
    Metadata metadata;
    const Image image = read_image(put_inks(dir, paper, nullptr, false, ink_profile()), {}, &metadata);
    REQUIRE((image.bits == 16 && image.channels == 3));
    CHECK(metadata.file_bits == (bits == 8 ? std::optional(8) : std::nullopt));
    const double most = image.maximum();
    for (int c = 0; c < 3; ++c) {
      CHECK(image.sample(0, 0, c) > 0.98 * most);  // white paper
      CHECK(image.sample(4, 0, c) < 0.1 * most);   // black
    }
    CHECK(image.sample(1, 0, 0) < image.sample(1, 0, 2));  // cyan
    CHECK(image.sample(3, 0, 2) < image.sample(3, 0, 0));  // yellow
    CHECK(metadata.color_note.empty());
    CHECK(metadata.icc.empty());
    CHECK(metadata.dropped == std::vector<std::string>{"inks (CMYK), which became sRGB by their profile"});
    const Image veil = test_picture(5, 1, 1, bits),
                veiled = read_image(put_inks(dir, paper, &veil, false, ink_profile()));
    for (int x = 0; x < 5; ++x) CHECK(veiled.sample(x, 0, 3) == veil.sample(x, 0, 0) * (bits == 8 ? 257 : 1));
#endif
  }
}

TEST_CASE("tiff: orientation is applied, pages and tags that are not kept are named") {
  const TempDir dir;
  const Image image = test_picture(5, 3, 3);
  const auto orientation = [](int value) {
    return [value](TIFF* tiff) { TIFFSetField(tiff, TIFFTAG_ORIENTATION, value); };
  };
  const Image turned = read_image(put_tiff(dir, image, {.more = orientation(ORIENTATION_RIGHTTOP)}));
  REQUIRE((turned.width == 3 && turned.height == 5));
  CHECK(turned.sample(2, 0, 1) == image.sample(0, 0, 1));
  CHECK(image_info(dir / "p.tif").width == 3);
  CHECK(read_image(put_tiff(dir, image, {.more = orientation(ORIENTATION_BOTLEFT)})).sample(0, 2, 0) ==
        image.sample(0, 0, 0));
  // Some programs store it with a sign (SSHORT, SLONG) or long.
  const std::string entry = "\x12\1\3\0\1\0\0\0\6\0\0\0"s;
  for (const char type : {'\4', '\x8', '\x9'}) {
    std::string file = text_of(slurp(put_tiff(dir, image, {.more = orientation(ORIENTATION_RIGHTTOP)})));
    REQUIRE(file.find(entry) != std::string::npos);
    file[file.find(entry) + 2] = type;
    CHECK(read_image(dir.put("q.tif", file)).data == turned.data);
  }

  const auto more = [](TIFF* tiff) {
    TIFFSetField(tiff, TIFFTAG_ARTIST, "Somebody");
    TIFFSetField(tiff, TIFFTAG_XRESOLUTION, 300.0);
    TIFFSetField(tiff, TIFFTAG_YRESOLUTION, 300.0);
    TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
    const std::string icc = whole_profile(false), iptc = "\x1c\x02\x78 caption", xmp = "<x:xmpmeta/>";
    TIFFSetField(tiff, TIFFTAG_ICCPROFILE, static_cast<std::uint32_t>(icc.size()), icc.data());
    TIFFSetField(tiff, TIFFTAG_XMLPACKET, static_cast<std::uint32_t>(xmp.size()), xmp.data());
    TIFFSetField(tiff, TIFFTAG_STONITS, 1.0);
    const float white[] = {0.3127f, 0.329f}, primaries[] = {0.64f, 0.33f, 0.21f, 0.71f, 0.15f, 0.06f};
    TIFFSetField(tiff, TIFFTAG_WHITEPOINT, white);  // sRGB's
    TIFFSetField(tiff, TIFFTAG_PRIMARYCHROMATICITIES, primaries);
  };
  put_tiff(dir, image, {.more = more});
  put_tiff(dir, image, {.mode = "a"});  // a second page
  Metadata metadata;
  CHECK(read_image(dir / "p.tif", {}, &metadata).data == image.data);
  CHECK(metadata.dropped == std::vector<std::string>{"TIFF tag 319", "TIFF tag 37439", "further pages"});
  CHECK(metadata.xmp == "<x:xmpmeta/>");
  CHECK(text_of(metadata.icc) == whole_profile(false));
  REQUIRE(metadata.density.has_value());
  CHECK((metadata.density->x == 11811 && metadata.density->metric));
  CHECK_THAT(text_of(metadata.exif), Contains("Somebody"));
  CHECK(exif_orientation(metadata.exif) == 1);
}

TEST_CASE("tiff: IPTC records are also where programs look first, in any byte order") {
  const TempDir dir;
  const std::string records =
      "\x1c\x02\x78\0\x09"
      "a village"s;
  const auto resource = [](const std::string& number_and_name, const std::string& data) {
    return "8BIM" + number_and_name + number(static_cast<unsigned>(data.size()), 4, false) + data +
           std::string(data.size() % 2, '\0');
  };
  const std::string all = resource(
                              "\x03\xed\x01"
                              "a",
                              "resolution") +
                          resource("\x04\x04\0\0"s, records);
  for (const std::string& order : {"II"s, "MM"s}) {
    Metadata metadata;
    const std::string block = exif_block(order == "II", 1, 4, 3);
    metadata.exif.assign(block.begin(), block.end());
    metadata.photoshop.assign(all.begin(), all.end());
    write_image(dir / "q.tif", test_picture(4, 3, 3), ImageFormat::kTiff, {.metadata = &metadata});
    const Bytes file = slurp(dir / "q.tif");
    CHECK(text_of(file).substr(0, 2) == order);
    const TiffTags tags(file);
    const TiffEntry* const entry = tags.find(33723);
    REQUIRE(entry != nullptr);
    const auto value = tags.value(*entry);
    const std::string found_records(value.begin(), value.end());
    CHECK((found_records.size() - records.size() < 4 && found_records.find(records) == 0));  // zeros may follow
    Metadata found;
    read_image(dir / "q.tif", {}, &found);
    CHECK(found.photoshop == metadata.photoshop);
  }
}

TEST_CASE("tiff: a resolution without a unit in EXIF data does not replace one with a unit") {
  const TempDir dir;
  const auto written = [&](unsigned unit) {
    // ResolutionUnit, XResolution and YResolution of 72.
    const std::string block = "II*\0\x08\0\0\0\3\0"s + "\x1a\1\5\0\1\0\0\0\x32\0\0\0"s +
                              "\x1b\1\5\0\1\0\0\0\x32\0\0\0"s + "\x28\1\3\0\1\0\0\0"s + number(unit, 4, true) +
                              "\0\0\0\0"s + number(72, 4, true) + number(1, 4, true);
    Metadata metadata;
    metadata.exif.assign(block.begin(), block.end());
    metadata.density = {11811, 11811, true};
    write_image(dir / "q.tif", test_picture(4, 3, 3), ImageFormat::kTiff, {.metadata = &metadata});
    Metadata found;
    read_image(dir / "q.tif", {}, &found);
    return found.density;
  };
  REQUIRE((written(1).has_value() && written(2).has_value()));
  CHECK((written(1)->x == 11811 && written(1)->metric));
  CHECK((written(2)->x == 2835 && written(2)->metric));
}

TEST_CASE("tiff: EXIF data keep their places in what is written, makers' notes too") {
  const TempDir dir;
  for (const bool little : {true, false}) {
    Metadata metadata;
    const std::string block = exif_block(little, 1, 6, 4);
    metadata.exif.assign(block.begin(), block.end());
    metadata.density = {2835, 2835, true};
    const Image image = test_picture(6, 4, 3, 16);
    write_image(dir / "p.tif", image, ImageFormat::kTiff, {.metadata = &metadata});
    const std::string file = text_of(slurp(dir / "p.tif"));
    CHECK(file.substr(8, block.size() - 8) == block.substr(8));
    TIFFSetWarningHandler(nullptr);  // libtiff wants four bytes for a height, cameras write two
    TIFF* const tiff = TIFFOpen((dir / "p.tif").c_str(), "r");
    REQUIRE(tiff != nullptr);
    const char* maker = nullptr;
    CHECK(TIFFGetField(tiff, TIFFTAG_MAKE, &maker) == 1);
    CHECK(std::string(maker ? maker : "") == "A maker of cameras");
    toff_t at = 0;
    REQUIRE(TIFFGetField(tiff, TIFFTAG_EXIFIFD, &at) == 1);
    CHECK(TIFFReadEXIFDirectory(tiff, at) == 1);
    std::uint32_t width = 0;
    CHECK(TIFFGetField(tiff, EXIFTAG_PIXELXDIMENSION, &width) == 1);
    CHECK(width == 6);
    TIFFClose(tiff);
    Metadata again;
    CHECK(read_image(dir / "p.tif", {}, &again).data == image.data);
    REQUIRE(again.density.has_value());
    CHECK(again.density->x == 2835);
  }
}

TEST_CASE("tiff: entries of EXIF data that make no sense are left behind") {
  const TempDir dir;
  // Tags in order: an unknown type, a value behind the end, one that is fine.
  const std::string block = std::string("II*\0\x08\0\0\0\3\0", 10) + std::string("\x0e\1\x0e\0\1\0\0\0\0\0\0\0", 12) +
                            std::string("\x0f\1\2\0\x40\0\0\0\xff\0\0\0", 12) +
                            std::string("\x10\1\2\0\3\0\0\0ab\0\0", 12) + std::string(4, '\0');
  Metadata metadata;
  metadata.exif.assign(block.begin(), block.end());
  write_image(dir / "p.tif", test_picture(3, 2, 3), ImageFormat::kTiff, {.metadata = &metadata});
  Metadata again;
  CHECK(read_image(dir / "p.tif", {}, &again).data == test_picture(3, 2, 3).data);
  CHECK(again.dropped.empty());
  CHECK_THAT(text_of(again.exif), Contains("ab"));
}

TEST_CASE("tiff: kinds of pixels that are not read are refused with what to do") {
  const TempDir dir;
  const Image image = test_picture(4, 3, 3), four = test_picture(4, 3, 4), gray = test_picture(4, 3, 1);
  const auto message = [&](const Image& what, const Way& way) {
    const std::string path = put_tiff(dir, what, way);
    return error_of([&] { read_image(path); });
  };
  const auto set = [](std::uint32_t tag, auto value) {
    return [tag, value](TIFF* tiff) { TIFFSetField(tiff, tag, value); };
  };
  CHECK_THAT(message(four, {.photometric = PHOTOMETRIC_SEPARATED, .more = set(TIFFTAG_INKSET, INKSET_MULTIINK)}),
             Contains("inks other than CMYK: convert it to RGB"));
  CHECK_THAT(message(image, {.photometric = PHOTOMETRIC_SEPARATED}), Contains("its pixels have 3 samples, expected 4"));
  CHECK_THAT(message(image, {.photometric = PHOTOMETRIC_CIELAB}),
             Contains("neither gray, RGB, YCbCr, CMYK nor a palette"));
  CHECK_THAT(message(gray, {.photometric = PHOTOMETRIC_CFA}), Contains("RAW"));
  CHECK_THAT(message(gray, {.more = set(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_INT)}), Contains("signed"));
  const auto dng = [](TIFF* tiff) {
    const std::uint8_t version[] = {1, 4, 0, 0};
    TIFFSetField(tiff, TIFFTAG_DNGVERSION, version);
  };
  CHECK_THAT(message(image, {.more = dng}),
             Contains(can_read_image(ImageFormat::kRaw) ? "does not know this camera"
                                                        : "a camera RAW file, which is not read"));

  const std::string path = dir / "float.tif";
  TIFF* const tiff = TIFFOpen(path.c_str(), "w");
  for (const auto& [tag, value] : {std::pair{TIFFTAG_IMAGEWIDTH, 2},
                                   {TIFFTAG_IMAGELENGTH, 1},
                                   {TIFFTAG_BITSPERSAMPLE, 32},
                                   {TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_IEEEFP},
                                   {TIFFTAG_SAMPLESPERPIXEL, 1},
                                   {TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK}}) {
    TIFFSetField(tiff, static_cast<std::uint32_t>(tag), value);
  }
  float values[] = {0.5f, 1};
  TIFFWriteEncodedStrip(tiff, 0, values, sizeof(values));
  TIFFClose(tiff);
  CHECK_THAT(error_of([&] { read_image(path); }), Contains("floating-point numbers: convert it"));
  CHECK_THAT(error_of([&] { read_image(put_tiff(dir, image, {}), {.max_image_bytes = 30}); }), Contains("limit is 30"));
  // A header that says too much.
  for (const int compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
    const auto large = [](TIFF* file) { TIFFSetField(file, TIFFTAG_IMAGELENGTH, 1 << 20); };
    CHECK_THAT(message(test_picture(200, 4, 3), {.compression = compression, .more = large}),
               Contains("the limit is 65535 a side"));
    const auto high = [](TIFF* file) { TIFFSetField(file, TIFFTAG_IMAGELENGTH, 60000); };
    CHECK_THAT(message(test_picture(200, 4, 3), {.compression = compression, .more = high}),
               Contains("the file ends early") || Contains("Invalid strip byte count"));
  }
}

}  // namespace
}  // namespace kind::testing

#endif
