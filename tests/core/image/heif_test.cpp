// HEIC and AVIF files of kinds that kind does not write, made by libheif: more bits, orientations, further pictures.

#include <catch2/catch.hpp>

#include "core/image/image.h"

#if KIND_HAS_HEIF

#include <libheif/heif.h>

#include <set>

#include "core/image/exif.h"
#include "core/image/metadata_parts.h"
#include "tests/support/errors.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Matchers::Contains;
using namespace std::string_literals;

struct Way {
  heif_compression_format compression = heif_compression_AV1;
  int bits = 8, pictures = 1;
  bool alpha = false;  // of 8 bits
  heif_orientation orientation = heif_orientation_normal;
  std::string exif = {};
};

void require_ok(const heif_error& error) {
  INFO((error.message ? error.message : ""));
  REQUIRE(error.code == heif_error_Ok);
}

std::string put_heif(const TempDir& dir, const std::string& name, const Image& image, const Way& way) {
  heif_context* const context = heif_context_alloc();
  for (int i = 0; i < way.pictures; ++i) {
    heif_image* picture = nullptr;
    const bool wide = way.bits > 8;
    require_ok(heif_image_create(image.width, image.height, heif_colorspace_RGB,
                                 wide        ? heif_chroma_interleaved_RRGGBB_LE
                                 : way.alpha ? heif_chroma_interleaved_RGBA
                                             : heif_chroma_interleaved_RGB,
                                 &picture));
    require_ok(heif_image_add_plane(picture, heif_channel_interleaved, image.width, image.height, way.bits));
    int stride = 0;
    std::uint8_t* plane = heif_image_get_plane(picture, heif_channel_interleaved, &stride);
    for (int y = 0; y < image.height; ++y) {
      for (int x = 0; x < image.width; ++x) {
        const int channels = way.alpha ? 4 : 3;
        for (int c = 0; c < channels; ++c) {
          const int value = image.sample(x, y, c) * ((1 << way.bits) - 1) / image.maximum(), at = channels * x + c;
          if (wide) plane[stride * y + 2 * at + 1] = static_cast<std::uint8_t>(value >> 8);
          plane[stride * y + (wide ? 2 : 1) * at] = static_cast<std::uint8_t>(value);
        }
      }
    }
    heif_encoder* encoder = nullptr;
    require_ok(heif_context_get_encoder_for_format(context, way.compression, &encoder));
    require_ok(heif_encoder_set_lossy_quality(encoder, 98));
    // Of 10 bits libheif 1.15 knows this one alone.
    require_ok(heif_encoder_set_parameter_string(encoder, "chroma", way.bits == 10 ? "422" : "444"));
    heif_encoding_options* const options = heif_encoding_options_alloc();
    options->image_orientation = way.orientation;
    heif_image_handle* handle = nullptr;
    require_ok(heif_context_encode_image(context, picture, encoder, options, &handle));
    if (!way.exif.empty()) {
      require_ok(heif_context_add_exif_metadata(context, handle, way.exif.data(), static_cast<int>(way.exif.size())));
    }
    heif_image_handle_release(handle);
    heif_encoding_options_free(options);
    heif_encoder_release(encoder);
    heif_image_release(picture);
  }
  const std::string path = dir / name;
  require_ok(heif_context_write_to_file(context, path.c_str()));
  heif_context_free(context);
  return path;
}

/// Whether the samples lie within `allowed` of each other, as shares of the full range.
bool near(const Image& a, const Image& b, double allowed) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels) return false;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      for (int c = 0; c < a.channels; ++c) {
        const double one = static_cast<double>(a.sample(x, y, c)) / a.maximum();
        const double other = static_cast<double>(b.sample(x, y, c)) / b.maximum();
        if (std::abs(one - other) > allowed) return false;
      }
    }
  }
  return true;
}

TEST_CASE("heif: 8, 10 and 12 bits of HEIC and AVIF, any size") {
  const TempDir dir;
  for (const auto compression : {heif_compression_AV1, heif_compression_HEVC}) {
    const bool av1 = compression == heif_compression_AV1;
    const ImageFormat format = av1 ? ImageFormat::kAvif : ImageFormat::kHeif;
    if (!heif_have_encoder_for_format(compression) || !can_read_image(format)) continue;
    for (const int bits : {8, 10, 12}) {
      for (const auto& [width, height] : {std::pair{64, 48}, {33, 17}, {3, 5}}) {
        if (!av1 && (bits == 12 || width < 33)) continue;  // the encoder has its own limits
        INFO((av1 ? "AVIF, " : "HEIC, ") << bits << " bits, " << width << " x " << height);
        const Image image = smooth_picture(width, height, 3);
        const std::string path = put_heif(dir, "p", image, {.compression = compression, .bits = bits});
        const Image again = read_image(path);
        CHECK(again.bits == (bits > 8 ? 16 : 8));
        CHECK(near(image, again, width < 33 ? 0.15 : 0.03));  // of few pixels colour is coarse
        const ImageInfo info = image_info(path);
        CHECK((info.format == format && info.width == width && info.height == height));
        CHECK_THAT(error_of([&] { read_image(path, {.max_pixels = 10}); }), Contains("the limit is 10 in all"));
        CHECK_THAT(error_of([&] { read_image(path, {.max_image_bytes = 40}); }), Contains("the limit is 40"));
      }
    }
  }
}

TEST_CASE("heif: the file's own orientation is applied, and once") {
  const TempDir dir;
  if (!heif_have_encoder_for_format(heif_compression_AV1) || !can_read_image(ImageFormat::kAvif)) return;
  const Image image = smooth_picture(32, 16, 3);
  // Most cameras write it into the EXIF data as well.
  const std::string path =
      put_heif(dir, "p", image, {.orientation = heif_orientation_rotate_90_cw, .exif = exif_block(true, 6, 32, 16)});
  Metadata metadata;
  const Image turned = read_image(path, {}, &metadata);
  REQUIRE((turned.width == 16 && turned.height == 32));
  CHECK(image_info(path).width == 16);
  CHECK(exif_orientation(metadata.exif) == 1);
  for (int c = 0; c < 3; ++c) CHECK(std::abs(turned.sample(15, 0, c) - image.sample(0, 0, c)) <= 8);
  CHECK(metadata.dropped.empty());
  // One in the EXIF data alone turns nothing, and is named.
  const Image alone = read_image(put_heif(dir, "p", image, {.exif = exif_block(true, 6, 32, 16)}), {}, &metadata);
  CHECK((alone.width == 32 && alone.height == 16));
  CHECK(exif_orientation(metadata.exif) == 1);
  CHECK(metadata.dropped == std::vector<std::string>{"EXIF orientation, which this format ignores"});
  const Image flipped = read_image(put_heif(dir, "p", image, {.orientation = heif_orientation_flip_horizontally}));
  for (int c = 0; c < 3; ++c) CHECK(std::abs(flipped.sample(31, 0, c) - image.sample(0, 0, c)) <= 8);
}

/// The file with the alpha's properties without those that turn it, as programs wrote it until 2025.
std::string without_turned_alpha(std::string file) {
  const auto number = [&](std::size_t at, std::size_t count) {
    return big_endian(Bytes(reinterpret_cast<const std::uint8_t*>(file.data()), file.size()), at, count);
  };
  // Where the properties irot and imir stand in their list, counted from 1.
  std::set<std::size_t> turning;
  const std::size_t list = file.find("ipco") - 4;
  std::size_t index = 1;
  for (std::size_t at = list + 8; at < list + number(list, 4); at += number(at, 4), ++index) {
    const std::string type = file.substr(at + 4, 4);
    if (type == "irot" || type == "imir") turning.insert(index);
  }
  std::size_t at = file.find("ipma") + 4;
  REQUIRE(number(at, 4) == 0);  // version 0, short indices
  const std::size_t items = number(at + 4, 4);
  at += 8;
  for (std::size_t i = 0; i < items; ++i) {
    const std::size_t count = number(at + 2, 1);
    for (std::size_t j = 0; j < count; ++j) {
      char& property = file[at + 3 + j];
      if (i > 0 && turning.count(static_cast<std::size_t>(property & 0x7f)) > 0) property = 0;  // none
    }
    at += 3 + count;
  }
  return file;
}

TEST_CASE("heif: alpha that is not turned as the colours are is refused") {
  const TempDir dir;
  if (!heif_have_encoder_for_format(heif_compression_AV1) || !can_read_image(ImageFormat::kAvif)) return;
  const Image image = smooth_picture(32, 16, 4);
  for (const auto orientation : {heif_orientation_rotate_90_cw, heif_orientation_rotate_180}) {
    const std::string path = put_heif(dir, "p", image, {.alpha = true, .orientation = orientation});
    const bool sideways = orientation == heif_orientation_rotate_90_cw;
    const Image turned = read_image(path);
    REQUIRE(turned.channels == 4);
    CHECK(std::abs(turned.sample(sideways ? 15 : 31, sideways ? 0 : 15, 3) - image.sample(0, 0, 3)) <= 8);
    const std::string other = dir.put("q.avif", without_turned_alpha(text_of(slurp(path))));
    CHECK_THAT(error_of([&] { read_image(other); }), Contains("q.avif") && Contains("alpha"));
  }
}

TEST_CASE("heif: YCgCo of more than 8 bits, and boxes smaller than their start, are refused") {
  const TempDir dir;
  if (!heif_have_encoder_for_format(heif_compression_AV1) || !can_read_image(ImageFormat::kAvif)) return;
  for (const int bits : {8, 10, 12}) {
    const std::string path = put_heif(dir, "p", smooth_picture(32, 16, 3), {.bits = bits});
    std::string file = text_of(slurp(path));
    const std::size_t colors = file.find("colrnclx");
    REQUIRE(colors != std::string::npos);
    constexpr std::size_t kMatrix = 13;  // behind two names and two code points of 16 bits
    file[colors + kMatrix] = static_cast<char>(heif_matrix_coefficients_YCgCo);
    const std::string message = error_of([&] { read_image(dir.put("q.avif", file)); });
    INFO(bits << " bits: " << message);
    if (bits > 8) {
      CHECK_THAT(message, Contains("q.avif") && Contains("YCgCo"));
    } else {
      CHECK(message == "no error");
    }
  }
  const std::string whole = text_of(slurp(put_heif(dir, "p", smooth_picture(16, 16, 3), {})));
  for (const std::string& box : {"\0\0\0\1free\0\0\0\0\0\0\0\x0f"s, "\0\0\0\1free"s, "\0\0\0\7free"s}) {
    CHECK_THAT(error_of([&] { read_image(dir.put("q.avif", whole + box)); }), Contains("q.avif"));
  }
}

TEST_CASE("heif: further pictures are named, and HEIC is not written") {
  const TempDir dir;
  if (heif_have_encoder_for_format(heif_compression_AV1) && can_read_image(ImageFormat::kAvif)) {
    Metadata metadata;
    read_image(put_heif(dir, "p", smooth_picture(16, 16, 3), {.pictures = 2}), {}, &metadata);
    CHECK(metadata.dropped == std::vector<std::string>{"further pictures"});
    // A sequence has a box of its own beside the first picture.
    std::string sequence = text_of(slurp(put_heif(dir, "p", smooth_picture(16, 16, 3), {})));
    for (const std::string& before : {""s, "\0\0\0\1free\0\0\0\0\0\0\0\x10"s}) {  // of a size of 32 and of 64 bits
      read_image(dir.put("q.avif", sequence + before + "\0\0\0\x08moov"s), {}, &metadata);
      CHECK(metadata.dropped == std::vector<std::string>{"further frames of the image sequence"});
    }
  }
  if (!can_read_image(ImageFormat::kHeif)) return;
  CHECK_THAT(error_of([&] { write_image(dir / "p.heic", Image(2, 2, 3), ImageFormat::kHeif); }),
             Contains("HEIF files are only read here, expected one of png, jpg"));
  CHECK(result_format(ImageFormat::kHeif) == ImageFormat::kPng);
}

}  // namespace
}  // namespace kind::testing

#endif
