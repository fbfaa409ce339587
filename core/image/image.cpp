#include "core/image/image.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/image/exif.h"
#include "core/image/image_codecs.h"

namespace kind {
namespace {

static_assert(std::endian::native == std::endian::little, "samples are swapped to and from the files' byte order");

/// image_info reads this much first: nearly every header ends within it.
constexpr std::size_t kHeaderBytes = std::size_t{1} << 16;

/// The row of the file's format, which is read.
const ImageFormatRow& require_format(const std::string& path, Bytes bytes) {
  const std::optional<ImageFormat> format = image_format_of(path, bytes);
  if (!format) fail("cannot read ", path, ": it is ", name_unreadable(path, bytes));
  return image_format(*format);
}

Metadata metadata_of(const std::string& path, Bytes bytes, const ImageFormatRow& row, const ReadLimits& limits) {
  const auto read = row.codec()->metadata;
  return read == nullptr ? Metadata() : read(path, bytes, limits.max_metadata_bytes);
}

ImageInfo upright_info_of(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const ImageFormatRow& row = require_format(path, bytes);
  ImageInfo info = row.codec()->info(path, bytes, limits);
  if (exif_orientation(metadata_of(path, bytes, row, limits).exif) >= 5) std::swap(info.width, info.height);
  return info;
}

/// Throws Error where a type cannot hold the picture.
void check_writable(const std::string& path, const Image& image, ImageFormat format, const WriteOptions& options) {
  check(image.width > 0 && image.height > 0 &&
            image.data.size() == image.row_bytes() * static_cast<std::size_t>(image.height),
        "cannot write ", path, ": the picture is empty or its data does not fit its size");
  const ImageFormatRow& row = image_format(format);
  check(can_write_image(format), "cannot write ", path, ": ", row.name, " files are ",
        can_read_image(format) ? "only read here" : "neither read nor written by this build", ", expected one of ",
        writable_image_types());
  const char* type = image_extension(format);
  check(row.alpha || !image.has_alpha(), "cannot write ", path, ": ", type,
        " files hold no alpha channel here, expected ", [&] { return image_types_that_hold(8, true); });
  check(row.bits > 8 || image.bits == 8, "cannot write ", path, ": ", type, " files hold no 16-bit samples, expected ",
        [&] { return image_types_that_hold(16, image.has_alpha()); });
  check(image.channels == 1 || !is_gray_name(path), "cannot write ", path,
        ": PGM is for gray pictures and this one has colours, expected a name that ends in .ppm");
  check(!row.quality || (options.jpeg_quality >= 1 && options.jpeg_quality <= 100), "cannot write ", path, ": the ",
        row.name, " quality is ", options.jpeg_quality, ", expected 1 to 100");
}

}  // namespace

void check_picture_size(const std::string& path, std::int64_t width, std::int64_t height, const ReadLimits& limits) {
  check(width >= 1 && height >= 1, "cannot read ", path, ": its header says ", width, " x ", height,
        " pixels, expected at least 1 x 1");
  check(width <= limits.max_side && height <= limits.max_side, "cannot read ", path, ": it has ", width, " x ", height,
        " pixels, the limit is ", limits.max_side, " a side");
  check(width <= limits.max_pixels / height, "cannot read ", path, ": it has ", width, " x ", height,
        " pixels, the limit is ", limits.max_pixels, " in all");
}

void check_image_bytes(const std::string& path, const ImageInfo& size, int channels, int bits,
                       const ReadLimits& limits) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(size.width) * static_cast<std::uint64_t>(size.height) *
                              static_cast<std::uint64_t>(channels * bits / 8);
  check(bytes <= limits.max_image_bytes, "cannot read ", path, ": its ", size.width, " x ", size.height,
        " pixels take ", bytes, " bytes, the limit is ", limits.max_image_bytes);
}

void check_file_holds(const std::string& path, std::uint64_t have, std::uint64_t least, const ImageInfo& size) {
  check(have >= least, "cannot read ", path, ": the file ends early, it has ", have, " bytes, ", size.width, " x ",
        size.height, " pixels take at least ", least);
}

void divide_by_alpha(Image& image) {
  const int colors = image.channels - 1;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::int64_t alpha = image.sample(x, y, colors), most = image.maximum();
      for (int c = 0; c < colors; ++c) {
        const std::int64_t value = image.sample(x, y, c);
        const std::int64_t divided = alpha == 0 ? 0 : (value * most + alpha / 2) / alpha;
        image.set_sample(x, y, c, static_cast<int>(std::min(divided, most)));
      }
    }
  }
}

std::optional<BoxStart> box_start(Bytes bytes) {
  constexpr std::size_t kHeader = 8, kLongHeader = 16;
  if (bytes.size() < kHeader) return std::nullopt;
  BoxStart box{text_of(bytes.subspan(4, 4)), big_endian(bytes, 0, 4), kHeader};
  if (box.size == 1) {
    box.header = kLongHeader;
    box.size = bytes.size() >= kLongHeader ? big_endian(bytes, kHeader, 8) : 0;
  } else if (box.size == 0) {
    box.size = bytes.size();
  }
  return box;
}

void check_boxes(const std::string& path, const char* type, Bytes bytes) {
  while (!bytes.empty()) {
    const std::optional<BoxStart> box = box_start(bytes);
    check(box && box->fits(bytes), "cannot read ", path, " as ", type, ": the file ends early or is damaged");
    bytes = bytes.subspan(static_cast<std::size_t>(box->size));
  }
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool sideways = orientation >= 5;
  Image out(sideways ? image.height : image.width, sideways ? image.width : image.height, image.channels, image.bits);
  const std::size_t pixel_bytes = static_cast<std::size_t>(image.channels) * static_cast<std::size_t>(image.bits / 8);
  // EXIF 2.3, tag 0x0112. Whether the stored picture's x (y) runs against the upright picture's axis that it lies
  // along.
  const bool x_reversed = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool y_reversed = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  for (int y = 0; y < out.height; ++y) {
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += pixel_bytes) {
      const int along_x = sideways ? y : x;
      const int along_y = sideways ? x : y;
      const int from_x = x_reversed ? image.width - 1 - along_x : along_x;
      const int from_y = y_reversed ? image.height - 1 - along_y : along_y;
      std::memcpy(to, image.row(from_y) + static_cast<std::size_t>(from_x) * pixel_bytes, pixel_bytes);
    }
  }
  return out;
}

Image read_image(const std::string& path, const ReadLimits& limits, Metadata* metadata) {
  FileReader file(path, limits.max_file_bytes);
  const Bytes start = file.read_until(kHeaderBytes);
  const ImageFormatRow& row = require_format(path, start);
  // What the header alone rules out is not read any further. Headers of some formats may be longer than this.
  if (row.header_at_start) row.codec()->info(path, start, limits);
  return decode_image(path, file.read_all(), limits, metadata);
}

Image decode_image(const std::string& path, Bytes bytes, const ReadLimits& limits, Metadata* metadata) {
  const ImageFormatRow& row = require_format(path, bytes);
  Metadata found = metadata_of(path, bytes, row, limits);
  const int orientation = exif_orientation(found.exif);
  Image image = apply_orientation(row.codec()->decode(path, bytes, limits), orientation);
  if (metadata == nullptr) return image;
  make_upright(found, image.width, image.height, orientation);
  check_profile(found, image.channels < 3);
  *metadata = std::move(found);
  return image;
}

ImageInfo image_info(const std::string& path, const ReadLimits& limits) {
  FileReader file(path, limits.max_file_bytes);
  const Bytes start = file.read_until(kHeaderBytes);
  const ImageFormatRow& row = require_format(path, start);
  if (file.at_end()) return upright_info_of(path, start, limits);
  // What a TIFF file is may be said behind its start.
  if (row.needs_whole_file || (row.format == ImageFormat::kTiff && !is_raw_tiff(start))) {
    return upright_info_of(path, file.read_all(), limits);
  }
  if (row.header_at_start) {
    // What the header alone rules out is not read any further. The orientation may stand at the end.
    const ImageInfo info = row.codec()->info(path, start, limits);
    return row.codec()->metadata == nullptr ? info : upright_info_of(path, file.read_all(), limits);
  }
  try {
    return upright_info_of(path, start, limits);
  } catch (const Error&) {
    // The header is bad, or (large EXIF data, long comments) it goes on behind what was read.
    return upright_info_of(path, file.read_all(), limits);
  }
}

void write_image(const std::string& path, const Image& image, ImageFormat format, const WriteOptions& options) {
  check_writable(path, image, format, options);
  AtomicFile file(path);
  encode_image(path, image, format, options, [&](Bytes bytes) { file.write(bytes); });
  file.commit();
}

std::vector<std::uint8_t> encode_image(const std::string& name, const Image& image, ImageFormat format,
                                       const WriteOptions& options) {
  check_writable(name, image, format, options);
  std::vector<std::uint8_t> file;
  ByteSink sink([&](Bytes bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); });
  image_format(format).codec()->encode(name, image, options, sink);
  return file;
}

void encode_image(const std::string& name, const Image& image, ImageFormat format, const WriteOptions& options,
                  const std::function<void(Bytes)>& write) {
  check_writable(name, image, format, options);
  std::vector<std::uint8_t> buffer;
  constexpr std::size_t kBuffer = std::size_t{1} << 18;
  ByteSink sink([&](Bytes bytes) {
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    if (buffer.size() < kBuffer) return;
    write(buffer);
    buffer.clear();
  });
  image_format(format).codec()->encode(name, image, options, sink);
  write(buffer);
}

}  // namespace kind
