// PNG through libpng 1.6.

#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/base/error.h"
#include "core/image/image_codecs.h"

namespace kind {
namespace {

/// Runs and Huffman codes alone: what is left of photographs behind the filters hardly ever repeats, so searching for
/// repetitions makes files no smaller (level 6 of the default strategy: five times the time, files of -4 to +6 %).
constexpr int kCompressionStrategy = Z_RLE;

/// What libpng's callbacks work on.
struct PngState {
  std::jmp_buf jump;
  char message[200] = "unknown error";
  const std::uint8_t* data = nullptr;  // what is left to read
  std::size_t size = 0;
  int rows = 0;  // that have been read of the last pass
  ByteSink* sink = nullptr;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof(state->message), "%s", message);
  std::longjmp(state->jump, 1);
}

/// What libpng only warns of leaves the pixels whole (but see check_transparency).
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep to, std::size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state->size) png_error(png, "the file ends early");
  std::memcpy(to, state->data, count);
  state->data += count;
  state->size -= count;
}

void on_write(png_structp png, png_bytep from, std::size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (!state->sink->put_quietly(from, count)) png_error(png, "it cannot be written");
}

void on_flush(png_structp) {}

struct PngReader {
  PngState state;
  png_structp png = nullptr;
  png_infop info = nullptr;

  PngReader() = default;
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

struct PngWriter {
  PngState state;
  png_structp png = nullptr;
  png_infop info = nullptr;

  PngWriter() = default;
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

std::int64_t big_endian_u32(Bytes bytes, std::size_t at) {
  return (std::int64_t{bytes[at]} << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/// libpng goes on without a tRNS chunk that is damaged or out of place, and so without the picture's transparency.
/// `used`: whether it has taken one.
void check_transparency(const std::string& path, Bytes bytes, bool used) {
  for (std::size_t at = 8; !used && at + 12 <= bytes.size();) {
    const char* type = reinterpret_cast<const char*>(bytes.data()) + at + 4;
    check(std::memcmp(type, "tRNS", 4) != 0, "cannot read ", path,
          " as PNG: its transparency (tRNS) is damaged or out of place");
    if (std::memcmp(type, "IEND", 4) == 0) return;
    at += static_cast<std::size_t>(big_endian_u32(bytes, at)) + 12;
  }
}

ImageInfo png_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  // Signature (8 bytes), length and name of the first chunk, its width and height.
  check(bytes.size() >= 33 && big_endian_u32(bytes, 8) == 13 && std::memcmp(bytes.data() + 12, "IHDR", 4) == 0,
        "cannot read ", path, " as PNG: its header is damaged or cut short");
  const std::int64_t width = big_endian_u32(bytes, 16);
  const std::int64_t height = big_endian_u32(bytes, 20);
  check_picture_size(path, width, height, limits);
  return {static_cast<int>(width), static_cast<int>(height), ImageFormat::kPng};
}

/// The colours of a PNG with a palette; `count` is 0 for others.
struct Palette {
  png_colorp colors = nullptr;
  png_bytep alphas = nullptr;
  int count = 0, alpha_count = 0;
};

/// What libpng does as it expands palettes, but for indices without a colour, which it takes for black.
Image from_palette(const std::string& path, const Image& indices, const Palette& palette) {
  const bool alpha = palette.alpha_count > 0;
  Image image(indices.width, indices.height, alpha ? 4 : 3);
  std::uint8_t* to = image.data.data();
  for (const std::uint8_t index : indices.data) {
    check(index < palette.count, "cannot read ", path, " as PNG: a pixel has the colour ", int{index},
          " of a palette of ", palette.count);
    const png_color& color = palette.colors[index];
    for (const png_byte sample : {color.red, color.green, color.blue}) *to++ = sample;
    if (alpha) *to++ = index < palette.alpha_count ? palette.alphas[index] : std::uint8_t{255};
  }
  return image;
}

/// What a PNG's header says of how its pixels are read.
struct PngLayout {
  int channels = 0, bits = 0, passes = 0;
  bool transparency = false;  // known, as an alpha channel or a tRNS chunk
  std::size_t row_bytes = 0, least_bytes = 0;
  Palette palette;
};

/// Reads what comes before the pixels and asks libpng for them as Image has them. Errors jump, so nothing here may have
/// a destructor.
void begin_reading(PngReader& reader, const ImageInfo& size, const ReadLimits& limits, PngLayout& layout) {
  PngState& state = reader.state;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
  if (reader.png == nullptr) std::longjmp(state.jump, 1);
  reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) png_error(reader.png, "not enough memory");
  png_set_read_fn(reader.png, &state, on_read);
  png_set_user_limits(reader.png, static_cast<png_uint_32>(limits.max_side), static_cast<png_uint_32>(limits.max_side));
  // Chunks that do not bear on the pixels are skipped unread: libpng allocates what they say they need.
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  // Of a file that is cut short, all but so many bytes are used.
  if (limits.damage != nullptr) png_set_compression_buffer_size(reader.png, 32);
  png_read_info(reader.png, reader.info);
  layout.transparency = (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                        png_get_valid(reader.png, reader.info, PNG_INFO_tRNS) != 0;
  // Deflate makes data at most some 1030 times smaller.
  layout.least_bytes = png_get_rowbytes(reader.png, reader.info) * static_cast<std::size_t>(size.height) / 1100;
  Palette& palette = layout.palette;
  if (png_get_color_type(reader.png, reader.info) == PNG_COLOR_TYPE_PALETTE) {
    png_get_PLTE(reader.png, reader.info, &palette.colors, &palette.count);
    png_get_tRNS(reader.png, reader.info, &palette.alphas, &palette.alpha_count, nullptr);
    png_set_packing(reader.png);  // a byte for each index
  } else {
    png_set_expand(reader.png);  // fewer bits to 8, a transparent colour to alpha
  }
  png_set_swap(reader.png);  // 16-bit samples to little-endian
  layout.passes = png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  layout.channels = png_get_channels(reader.png, reader.info);
  layout.bits = png_get_bit_depth(reader.png, reader.info);
  layout.row_bytes = png_get_rowbytes(reader.png, reader.info);
}

/// Reads all rows, and on to the end of the file, so that damage behind the last row is found too.
void read_rows(PngReader& reader, int passes, Image& image) {
  for (int pass = 0; pass < passes; ++pass) {
    reader.state.rows = 0;
    for (int y = 0; y < image.height; ++y, ++reader.state.rows) png_read_row(reader.png, image.row(y), nullptr);
  }
  png_read_end(reader.png, nullptr);
}

Image decode_png(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const ImageInfo size = png_info(path, bytes, limits);
  PngReader reader;
  PngState& state = reader.state;
  state.data = bytes.data();
  state.size = bytes.size();

  PngLayout layout;
  const Palette& palette = layout.palette;
  bool ok = run_guarded(state.jump, [&] { begin_reading(reader, size, limits, layout); });
  Image image;
  if (ok) {
    const int channels = palette.count > 0 ? palette.alpha_count > 0 ? 5 : 4 : layout.channels;
    check_image_bytes(path, size, channels, layout.bits, limits);
    check_file_holds(path, bytes.size(), layout.least_bytes, size);
    check_transparency(path, bytes, layout.transparency);
    image = Image(size.width, size.height, layout.channels, layout.bits);
    check(layout.row_bytes == image.row_bytes(), "cannot read ", path, " as PNG: unexpected row size");
    ok = run_guarded(state.jump, [&] { read_rows(reader, layout.passes, image); });
    if (!ok && limits.damage != nullptr && (state.rows > 0 || layout.passes > 1)) {
      *limits.damage = state.message;
      return image;
    }
  }
  if (!ok) fail("cannot read ", path, " as PNG: ", state.message);
  return palette.count > 0 ? from_palette(path, image, palette) : image;
}

void encode_png(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) {
  constexpr int kColorTypes[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                 PNG_COLOR_TYPE_RGB_ALPHA};
  std::vector<PngChunk> chunks = options.metadata ? png_chunks(*options.metadata) : std::vector<PngChunk>();
  if (options.metadata && options.metadata->background) {
    const Metadata::Background& background = *options.metadata->background;
    const bool same = background.colors == (image.channels < 3 ? 1 : 3) && background.bits == image.bits;
    if (same) chunks.push_back({"bKGD", background.data});
  }
  PngWriter writer;
  PngState& state = writer.state;
  state.sink = &sink;
  const bool ok = run_guarded(state.jump, [&] {
    writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
    if (writer.png == nullptr) std::longjmp(state.jump, 1);
    writer.info = png_create_info_struct(writer.png);
    if (writer.info == nullptr) png_error(writer.png, "not enough memory");
    png_set_write_fn(writer.png, &state, on_write, on_flush);
    png_set_compression_strategy(writer.png, kCompressionStrategy);
    png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height),
                 image.bits, kColorTypes[image.channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(writer.png, writer.info);
    for (const PngChunk& chunk : chunks) {
      png_write_chunk(writer.png, reinterpret_cast<png_const_bytep>(chunk.type.data()), chunk.data.data(),
                      chunk.data.size());
    }
    if (image.bits == 16) png_set_swap(writer.png);
    for (int y = 0; y < image.height; ++y) png_write_row(writer.png, image.row(y));
    png_write_end(writer.png, nullptr);
  });
  sink.rethrow();
  if (!ok) fail("cannot write ", path, " as PNG: ", state.message);
}

}  // namespace

const ImageCodec* png_codec() {
  static constexpr ImageCodec kCodec = {png_info, decode_png, read_png_metadata, encode_png};
  return &kCodec;
}

}  // namespace kind
