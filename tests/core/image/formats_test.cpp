// What holds for every row of the table of formats: what is written comes back, pixels and metadata.

#include "core/image/formats.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/image/exif.h"
#include "core/image/image.h"
#include "tests/support/errors.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Matchers::Contains;
using Bytes = std::vector<std::uint8_t>;

std::vector<ImageFormatRow> written_rows() {
  std::vector<ImageFormatRow> rows;
  for (const ImageFormatRow& row : kImageFormats) {
    if (can_write_image(row.format)) rows.push_back(row);
  }
  return rows;
}

/// The picture as formats without gray hold it.
Image with_colors(const Image& image) {
  if (image.channels >= 3) return image;
  Image out(image.width, image.height, image.channels + 2, image.bits);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < 3; ++c) out.set_sample(x, y, c, image.sample(x, y, 0));
      if (image.has_alpha()) out.set_sample(x, y, 3, image.sample(x, y, 1));
    }
  }
  return out;
}

/// The largest difference of two samples, of the channels from `first` on; -1 where the pictures are not of one kind.
int difference(const Image& a, const Image& b, int first = 0) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels || a.bits != b.bits) return -1;
  int most = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      for (int c = first; c < a.channels; ++c) most = std::max(most, std::abs(a.sample(x, y, c) - b.sample(x, y, c)));
    }
  }
  return most;
}

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

TEST_CASE("formats: without loss every picture comes back from every format that can hold it") {
  const TempDir dir;
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 9}, {2, 1}, {3, 5}, {17, 6}, {65, 33}};
  for (const ImageFormatRow& row : written_rows()) {
    if (row.quality && !row.lossless_at_100) continue;
    for (const auto& [width, height] : sizes) {
      for (int channels = 1; channels <= 4; ++channels) {
        for (const int bits : {8, 16}) {
          if ((bits == 16 && row.bits == 8) || (!row.alpha && channels % 2 == 0)) continue;
          INFO(row.name << ", " << width << " x " << height << ", " << channels << " channels, " << bits << " bits");
          const Image image = test_picture(width, height, channels, bits);
          const std::string path = dir / "p";
          write_image(path, image, row.format, {.jpeg_quality = 100});
          const Image again = read_image(path);
          // Of 12 bits the nearest value.
          const int allowed = bits > row.bits ? (1 << (bits - row.bits - 1)) + 1 : 0;
          const int found = difference(row.gray ? image : with_colors(image), again);
          CHECK((found >= 0 && found <= allowed));
          const ImageInfo info = image_info(path);
          CHECK((info.width == width && info.height == height && info.format == row.format));
        }
      }
    }
  }
}

TEST_CASE("formats: with loss a smooth picture stays near, its alpha the same") {
  const TempDir dir;
  for (const ImageFormatRow& row : written_rows()) {
    if (!row.quality) continue;
    INFO(row.name);
    const auto size_at = [&](int quality, int channels) {
      Image image = smooth_picture(61, 47, channels);
      if (channels == 4) {
        for (int x = 0; x < 61; ++x) image.set_sample(x, 20, 3, 4 * x);
      }
      write_image(dir / "p", image, row.format, {.jpeg_quality = quality});
      const Image again = read_image(dir / "p");
      const int found = difference(row.gray ? image : with_colors(image), again);
      CHECK((found >= 0 && found <= (quality == 95 ? 12 : 60)));
      if (channels == 4) CHECK(difference(image, again, 3) == 0);
      return slurp(dir / "p").size();
    };
    CHECK(size_at(95, 3) > size_at(20, 3));
    size_at(95, 1);
    if (row.alpha) size_at(95, 4);
  }
}

TEST_CASE("formats: every way to hold colour is written, of 8 and 16 bits") {
  const TempDir dir;
  for (const ImageFormatRow& row : written_rows()) {
    if (!row.chroma) continue;
    for (const Chroma chroma : {Chroma::k444, Chroma::k422, Chroma::k420}) {
      for (const int bits : {8, 16}) {
        for (const int channels : {1, 3, 4}) {
          if ((bits > row.bits && row.bits == 8) || (channels == 4 && !row.alpha)) continue;
          INFO(row.name << ", way " << static_cast<int>(chroma) << ", " << bits << " bits, " << channels
                        << " channels");
          Image image = smooth_picture(33, 17, channels);
          if (bits == 16) {
            Image wide(33, 17, channels, 16);
            for (std::size_t i = 0; i < image.data.size(); ++i) wide.data[2 * i + 1] = image.data[i];
            image = wide;
          }
          write_image(dir / "p", image, row.format, {.chroma = chroma});
          const int found = difference(row.gray ? image : with_colors(image), read_image(dir / "p"));
          CHECK((found >= 0 && found <= 14 << (bits - 8)));
        }
      }
    }
  }
}

TEST_CASE("formats: EXIF data, XMP and colour profile come back") {
  const TempDir dir;
  for (const ImageFormatRow& row : written_rows()) {
    for (const bool little : {true, false}) {
      for (const bool gray : {true, false}) {
        if (row.metadata.exif == 0) continue;
        INFO(row.name << (little ? ", little-endian" : ", big-endian") << (gray ? ", gray" : ""));
        Metadata metadata;
        metadata.exif = bytes_of(exif_block(little, 1, 17, 9));
        metadata.xmp = "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">a packet</x:xmpmeta>";
        metadata.icc = bytes_of(whole_profile(gray));
        CHECK(metadata_left_out(metadata, metadata_holder(row.format)).empty());
        const Image image = test_picture(17, 9, gray ? 1 : 3);
        write_image(dir / "p", image, row.format, {.jpeg_quality = 100, .metadata = &metadata});
        Metadata again;
        read_image(dir / "p", {}, &again);
        CHECK(again.xmp == metadata.xmp);
        if (row.gray || !gray) CHECK(again.icc == metadata.icc);
        if (!row.gray && gray) CHECK(again.icc.empty());
        CHECK_THAT(text_of(again.exif), Contains("A maker of cameras"));
        if (row.format != ImageFormat::kTiff) CHECK(again.exif == metadata.exif);
        CHECK(again.dropped == (row.format == ImageFormat::kTiff ? std::vector<std::string>{"maker's note"}
                                                                 : std::vector<std::string>{}));
        // Without any the file says nothing of it.
        write_image(dir / "q", image, row.format);
        Metadata none;
        read_image(dir / "q", {}, &none);
        CHECK(
            (none.exif.empty() && none.xmp.empty() && none.icc.empty() && none.color.empty() && none.dropped.empty()));
      }
    }
  }
}

TEST_CASE("formats: a picture is turned once, by EXIF data or by its own format's orientation") {
  const TempDir dir;
  const Image image = test_picture(7, 4, 3);
  for (const ImageFormatRow& row : written_rows()) {
    if (row.metadata.exif == 0 || (row.quality && !row.lossless_at_100)) continue;
    INFO(row.name);
    Metadata metadata;
    metadata.exif = bytes_of(exif_block(true, 6, 7, 4));
    write_image(dir / "p", image, row.format, {.jpeg_quality = 100, .metadata = &metadata});
    Metadata again;
    const Image read = read_image(dir / "p", {}, &again);
    // AVIF and JPEG XL have an orientation of their own, by which programs go; EXIF's counts for nothing.
    const bool own = row.format == ImageFormat::kAvif || row.format == ImageFormat::kJxl;
    CHECK(read.width == (own ? 7 : 4));
    CHECK(image_info(dir / "p").width == read.width);
    CHECK(exif_orientation(again.exif) == 1);
    if (own) CHECK(read.data == image.data);
    if (!own) CHECK(read.sample(3, 0, 0) == image.sample(0, 0, 0));  // the first row is the right side
  }
}

TEST_CASE("formats: a file cut short anywhere is refused") {
  const TempDir dir;
  Metadata metadata;
  metadata.exif = bytes_of(exif_block(true, 1, 5, 4));
  metadata.xmp = "<x:xmpmeta/>";
  metadata.icc = bytes_of(whole_profile(false));
  for (const ImageFormatRow& row : written_rows()) {
    if (row.format == ImageFormat::kBmp) continue;  // the last bytes of its rows are padding
    for (const Metadata* held : {static_cast<const Metadata*>(nullptr), static_cast<const Metadata*>(&metadata)}) {
      INFO(row.name << (held ? " with metadata" : ""));
      const auto file = encode_image("p", test_picture(5, 4, 3), row.format, {.metadata = held});
      CHECK(lengths_accepted(dir, file).empty());
    }
  }
}

TEST_CASE("formats: changed bytes are refused or read, and never more") {
  for (const ImageFormatRow& row : written_rows()) {
    Metadata metadata;
    metadata.exif = bytes_of(exif_block(false, 1, 9, 7));
    const auto file =
        encode_image("p", test_picture(9, 7, 4 - (row.alpha ? 0 : 1)), row.format, {.metadata = &metadata});
    INFO(row.name);
    int refused = 0;
    for (std::size_t i = 0; i < file.size(); i += 1 + file.size() / 200) {
      auto changed = file;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ 0x55);
      Metadata found;
      const std::string message = error_of([&] { decode_image("p", changed, {.max_pixels = 10000}, &found); });
      if (message == "no error") continue;
      ++refused;
      CHECK_THAT(message, Catch::StartsWith("cannot read p") && !Contains("\n"));
    }
    CHECK(refused > 0);
  }
}

TEST_CASE("formats: more metadata than the limit are refused") {
  Metadata metadata;
  metadata.xmp = std::string(5000, 'x');
  for (const ImageFormatRow& row : written_rows()) {
    if (row.metadata.xmp == 0) continue;
    INFO(row.name);
    const auto file = encode_image("p", test_picture(4, 4, 3), row.format, {.metadata = &metadata});
    ReadLimits limits;
    limits.max_metadata_bytes = 4000;
    CHECK_THAT(error_of([&] { decode_image("p", file, limits); }), Contains("more than 4000 bytes, the limit"));
  }
}

}  // namespace
}  // namespace kind::testing
