// Pictures of all types that are read: decoded, and written again in every type that can hold them; animations likewise.

#include "core/image/animation.h"
#include "core/image/image.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/png_sums.h"

using namespace kind;
using namespace kind::testing;

namespace {

ReadLimits small_limits() {
  ReadLimits limits;
  limits.max_pixels = 1 << 14;
  limits.max_side = 4096;
  limits.max_file_bytes = 1 << 20;
  limits.max_image_bytes = 1 << 17;
  limits.max_metadata_bytes = 1 << 18;
  return limits;
}

void check_picture(const Image& image, const ReadLimits& limits) {
  promise(image.width >= 1 && image.height >= 1 && image.width <= limits.max_side && image.height <= limits.max_side,
          "sides are within the limits");
  promise(std::int64_t{image.width} * image.height <= limits.max_pixels, "pixels are within the limits");
  promise(image.channels >= 1 && image.channels <= 4 && (image.bits == 8 || image.bits == 16), "1 to 4 channels");
  promise(image.data.size() == image.row_bytes() * static_cast<std::size_t>(image.height), "all samples are there");
}

/// Some encoders leave out an alpha channel that says nothing.
Image without_opaque_alpha(const Image& image) {
  if (!image.has_alpha()) return image;
  Image colors(image.width, image.height, image.channels - 1, image.bits);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      if (image.sample(x, y, image.channels - 1) != image.maximum()) return image;
      for (int c = 0; c < colors.channels; ++c) colors.set_sample(x, y, c, image.sample(x, y, c));
    }
  }
  return colors;
}

void try_animation(const std::uint8_t* data, std::size_t size, const ReadLimits& limits) {
  Animation animation;
  if (!accepts([&] { animation = decode_animation("input", {data, size}, limits); })) return;
  promise(!animation.frames.empty(), "there are frames");
  const Image& first = animation.frames[0].image;
  for (const Animation::Frame& frame : animation.frames) {
    check_picture(frame.image, limits);
    promise(frame.image.width == first.width && frame.image.height == first.height &&
                frame.image.channels == first.channels && frame.image.bits == first.bits && frame.per_second > 0,
            "frames are of one kind");
  }
  for (const ImageFormat format : {ImageFormat::kPng, ImageFormat::kWebp}) {
    if (!can_animate(format) || (format == ImageFormat::kWebp && first.bits == 16)) continue;
    const std::vector<std::uint8_t> file = encode_animation("output", animation, format, {.jpeg_quality = 100});
    const Animation again = decode_animation("output", file, {});
    if (format != ImageFormat::kPng) continue;  // WebP joins frames that are equal
    promise(again.frames.size() == animation.frames.size() && again.plays == animation.plays, "all frames come back");
    for (std::size_t i = 0; i < again.frames.size(); ++i) {
      promise(again.frames[i].image.data == animation.frames[i].image.data, "frames come back, bit for bit");
    }
  }
}

}  // namespace

/// Some damaged AV1 streams make Debian's dav1d, or libheif's bridge to it, leak a few bytes of their own. What is made here
/// by heif_image_create has an owner that releases it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libdav1d\nleak:heif_image_create\n"; }

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ReadLimits limits = small_limits();
  try_animation(data, size, limits);
  Image image;
  Metadata metadata;
  if (!accepts([&] { image = decode_image("input", {data, size}, limits, &metadata); })) return 0;
  check_picture(image, limits);

  WriteOptions options;
  options.metadata = &metadata;
  std::size_t costly = 0;
  for (const ImageFormatRow& row : kImageFormats) {
    const ImageFormat format = row.format;
    if (!can_write_image(format)) continue;
    // Encoders that think for long are asked in turn.
    if (row.lossless_at_100 && size % 3 != costly++) continue;
    std::vector<std::uint8_t> file;
    const bool holds = (row.alpha || !image.has_alpha()) && (row.bits > 8 || image.bits == 8);
    options.jpeg_quality = row.lossless_at_100 ? 100 : 95;
    // libjxl refuses profiles that it does not understand.
    const bool written = accepts([&] { file = encode_image("output", image, format, options); });
    const bool by_profile = holds && !written && format == ImageFormat::kJxl && !metadata.icc.empty();
    promise(written == holds || by_profile, "a picture that was read is written");
    if (!written) continue;
    ReadLimits own;  // metadata may take more room in another type
    own.max_pixels = limits.max_pixels;
    Image again;
    promise(accepts([&] { again = decode_image("output", file, own); }), "what was written is read");
    check_picture(again, own);
    promise(again.width == image.width && again.height == image.height, "sides stay, nothing is turned twice");
    if ((row.quality && !row.lossless_at_100) || image.bits > row.bits) continue;
    if (row.gray || image.channels >= 3) {
      const Image a = without_opaque_alpha(image), b = without_opaque_alpha(again);
      promise(b.channels == a.channels && b.bits == a.bits && b.data == a.data, "no bit is lost where none has to be");
    }
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned) {
  const std::size_t changed = LLVMFuzzerMutate(data, size, max_size);
  repair_png_sums(data, changed);
  return changed;
}
