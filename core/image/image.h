#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/image/formats.h"
#include "core/image/metadata.h"
#include "core/tensor/tensor.h"

namespace kind {

/// A picture as its file holds it: rows from the top, pixels from the left, channels interleaved. Channels are
/// 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha (not premultiplied). A sample has 8 or 16 bits; 0 is black or
/// transparent, maximum() full light or opaque. Nothing is known or assumed of the encoding (in practice sRGB).
struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;
  int bits = 8;
  /// row_bytes() * height bytes; 16-bit samples in the machine's byte order.
  std::vector<std::uint8_t> data;

  Image() = default;
  /// A black (and transparent) picture. Throws Error unless both sides are positive, channels 1..4 and bits 8 or 16.
  Image(int width, int height, int channels, int bits = 8);

  int maximum() const { return bits == 16 ? 65535 : 255; }
  bool has_alpha() const { return channels == 2 || channels == 4; }
  std::size_t row_bytes() const {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(channels) * static_cast<std::size_t>(bits / 8);
  }
  std::uint8_t* row(int y) { return data.data() + static_cast<std::size_t>(y) * row_bytes(); }
  const std::uint8_t* row(int y) const { return data.data() + static_cast<std::size_t>(y) * row_bytes(); }
  /// One sample, 0..maximum(). Not checked.
  int sample(int x, int y, int channel) const;
  void set_sample(int x, int y, int channel, int value);
};

/// What a file's header says; the sides are those read_image gives, orientation applied.
struct ImageInfo {
  int width = 0;
  int height = 0;
  ImageFormat format = ImageFormat::kPng;
};

/// What is refused from the header alone, before anything is allocated for it.
struct ReadLimits {
  std::int64_t max_pixels = std::int64_t{1} << 28;
  int max_side = 65535;
  std::uint64_t max_file_bytes = std::uint64_t{1} << 32;
  /// Of the decoded samples.
  std::uint64_t max_image_bytes = std::uint64_t{1} << 32;
  /// Of all EXIF, XMP, colour profiles and texts of a file, decompressed.
  std::size_t max_metadata_bytes = std::size_t{1} << 26;
  /// Unless null, JPEG, PNG and RAW pictures whose pixel data are damaged or cut short are read as far as they can be decoded,
  /// and this is set to what was wrong; it is left alone where nothing was. Rows that are missing are 0.
  std::string* damage = nullptr;
  /// RAW files alone: pictures of half the width and height, in a fraction of the time, since no colours are interpolated.
  bool half_size = false;
};

/// Reads the formats of the table (formats.h): PNG (any kind; palettes and fewer than 8 bits are expanded), JPEG (gray or
/// colour), BMP (uncompressed and run lengths), binary PGM / PPM (values scaled where the file's maximum is not 255 or
/// 65535) and those whose libraries the build has. RAW files are developed: white balance of the camera, no other correction,
/// 16 bits, sRGB. The type is found from the content, whatever the file is called. The orientation is applied.
///
/// `metadata`, unless null, gets what else the file holds, made upright as well (make_upright), and a colour profile
/// only where it is for pixels such as these.
///
/// Throws Error naming the path for a file that is missing, empty, of another type (GIF, video and others are
/// named, with a hint), over a limit, damaged or cut short: a picture is either whole or refused.
Image read_image(const std::string& path, const ReadLimits& limits = {}, Metadata* metadata = nullptr);

/// The same for a file that is in memory already; `name` is for messages.
Image decode_image(const std::string& name, std::span<const std::uint8_t> file, const ReadLimits& limits = {},
                   Metadata* metadata = nullptr);

/// The sides and type of a picture, from its header: errors as for read_image, except that damage behind the
/// header is not seen.
ImageInfo image_info(const std::string& path, const ReadLimits& limits = {});

/// How much of a JPEG's colour is kept: all of it, every second column, every second column and row.
enum class Chroma { k444, k422, k420 };

/// How pictures are compressed, and what is written beside the pixels.
struct WriteOptions {
  /// 1..100, of JPEG and of the other formats whose row says `quality`.
  int jpeg_quality = 95;
  Chroma chroma = Chroma::k444;
  /// Null: none. What the type cannot hold is left out; metadata_left_out(metadata, metadata_holder(format)) names it.
  const Metadata* metadata = nullptr;
};

/// Writes the picture as the whole content of `path` (see AtomicFile). Throws Error where the format's row does not allow
/// it: transparency or 16 bits where files hold none, colours into *.pgm, formats that are only read; and for any failure
/// to write.
void write_image(const std::string& path, const Image& image, ImageFormat format, const WriteOptions& options = {});

/// The file that write_image writes.
std::vector<std::uint8_t> encode_image(const std::string& name, const Image& image, ImageFormat format,
                                       const WriteOptions& options = {});
/// The same, part after part as they are made. What `write` throws comes out, and ends the work.
void encode_image(const std::string& name, const Image& image, ImageFormat format, const WriteOptions& options,
                  const std::function<void(std::span<const std::uint8_t>)>& write);

/// The format's row in the table.
const ImageFormatRow& image_format(ImageFormat format);

/// Whether this build reads, and writes, files of a format.
bool can_read_image(ImageFormat format);
bool can_write_image(ImageFormat format);

/// What results are written as where nothing else is asked for: the input's own format, or PNG where that is only read.
ImageFormat result_format(ImageFormat input);

/// Whose metadata files of a type can hold.
const MetadataHolder& metadata_holder(ImageFormat format);

/// ".jpg" of "a/b.JPG"; empty where there is none.
std::string lower_extension(const std::string& path);

/// The type that a file name extension, with or without the dot and in any case, stands for; nothing for those that are
/// not read.
std::optional<ImageFormat> image_format_from_extension(std::string_view extension);

/// The type that a file has by its first bytes; nothing for those that are not read. RAW files that are TIFF files as well
/// are told apart by their directories, if these are there.
std::optional<ImageFormat> image_format_from_content(std::span<const std::uint8_t> start);
/// The same of a file of that name, by which RAW files are known whose directories do not tell.
std::optional<ImageFormat> image_format_of(const std::string& path, std::span<const std::uint8_t> start);

/// The extension that files of a type are given, without the dot: png, jpg, bmp, ppm.
const char* image_extension(ImageFormat format);

/// True for names whose extension only gray pictures can have: photo.pgm.
bool is_gray_name(const std::string& path);

/// The extensions of the types that are written, and for messages: "png, jpg, bmp, ppm".
std::vector<std::string> writable_image_extensions();
const char* writable_image_types();
/// For messages, types whose files hold samples of so many bits, and alpha: "png or ppm".
std::string image_types_that_hold(int bits, bool alpha);
/// The same for those whose row in the table says so: "jpg and webp"; empty where there are none.
std::string image_types_with(bool ImageFormatRow::*property);
/// For messages: "PNG, JPEG, BMP, PPM, PGM".
std::string readable_image_types();
/// For --version: "png jpeg bmp ppm".
std::string image_codec_names();

/// True where a file's extension is one of those that pictures we read usually have, unless the file is hidden: macOS
/// leaves ._x.jpg, which is none, beside x.jpg on cards. For picking the pictures out of a folder; read_image itself
/// does not look at names.
bool has_picture_name(const std::string& path);

/// The colours as a [1, 3, h, w] tensor of sample / maximum(), in 0..1. Gray is spread over the three channels,
/// alpha is left out.
Tensor<float> to_tensor(const Image& image);

/// Rows y0 <= y < y1 of what to_tensor gives: three planes of (y1 - y0) * width numbers.
void get_rows(const Image& image, int y0, int y1, float* const* planes);
/// The colours of rows y0 <= y < y1 from three such planes, rounded as to_image does; alpha stays as it is. A gray
/// picture gets 0.299 R + 0.587 G + 0.114 B (BT.601). Throws Error for a NaN.
void put_rows(Image& image, int y0, int y1, const float* const* planes);
/// The same with that gray in all colours of any picture.
void put_gray_rows(Image& image, int y0, int y1, const float* const* planes);

/// True where a picture has no colour: one colour channel, or R = G = B in every pixel.
bool is_gray(const Image& image);

/// The picture of a [1, 3, h, w] (RGB) or [1, 1, h, w] (gray) tensor: floor(maximum * x + 0.5) with x clamped to 0..1.
/// Throws Error on another shape, an empty one, or a NaN.
Image to_image(const Tensor<float>& tensor, int bits = 8);

}  // namespace kind
