// JPEG through libjpeg-turbo's libjpeg interface.

#include <cstdio>  // jpeglib.h needs it before itself

#include <jpeglib.h>

#include <jerror.h>

#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/io/image_codecs.h"

namespace kind {
namespace {

/// A progressive file may hold any number of scans, each of which costs the work of a whole picture.
constexpr int kMaxScans = 500;

struct JpegErrors {
  jpeg_error_mgr manager;  // first, so that libjpeg's pointer to it points to the whole
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

JpegErrors& errors_of(j_common_ptr info) { return *reinterpret_cast<JpegErrors*>(info->err); }

[[noreturn]] void on_error(j_common_ptr info) {
  JpegErrors& errors = errors_of(info);
  info->err->format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

/// libjpeg goes on after damage with a guess at the pixels; here that is an error. Levels from 0 up are only a trace.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
      return;  // odd, but the pixels are all there
    case JWRN_EXTRANEOUS_DATA:
      // Some cameras pad in front of the end marker; anywhere else data was lost.
      if (info->err->msg_parm.i[1] == JPEG_EOI) return;
      break;
    default:
      break;
  }
  on_error(info);
}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  JpegErrors& errors = errors_of(info);
  std::snprintf(errors.message, sizeof(errors.message), "it has more than %d scans", kMaxScans);
  std::longjmp(errors.jump, 1);
}

void set_up(JpegErrors& errors) {
  jpeg_std_error(&errors.manager);
  errors.manager.error_exit = on_error;
  errors.manager.emit_message = on_message;
  std::snprintf(errors.message, sizeof(errors.message), "unknown error");
}

struct JpegReader {
  jpeg_decompress_struct info{};
  JpegErrors errors{};
  jpeg_progress_mgr progress{};

  JpegReader() {
    set_up(errors);
    info.err = &errors.manager;
    progress.progress_monitor = on_progress;
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info); }
};

/// Where libjpeg leaves what it has written: a buffer that is added to the output whenever it is full.
struct JpegOutput {
  jpeg_destination_mgr manager;  // first, so that libjpeg's pointer to it points to the whole
  JOCTET buffer[1 << 14];
  std::vector<std::uint8_t>* output;
};

void start_buffer(j_compress_ptr info) {
  auto& output = *reinterpret_cast<JpegOutput*>(info->dest);
  output.manager.next_output_byte = output.buffer;
  output.manager.free_in_buffer = sizeof(output.buffer);
}

void flush_buffer(j_compress_ptr info, std::size_t count) {
  auto& output = *reinterpret_cast<JpegOutput*>(info->dest);
  if (append(*output.output, output.buffer, count)) return;
  info->err->msg_code = JERR_OUT_OF_MEMORY;
  info->err->msg_parm.i[0] = 0;
  on_error(reinterpret_cast<j_common_ptr>(info));
}

boolean on_full_buffer(j_compress_ptr info) {
  flush_buffer(info, sizeof(JpegOutput::buffer));
  start_buffer(info);
  return TRUE;
}

void on_last_buffer(j_compress_ptr info) {
  flush_buffer(info, sizeof(JpegOutput::buffer) - info->dest->free_in_buffer);
}

struct JpegWriter {
  jpeg_compress_struct info{};
  JpegErrors errors{};
  JpegOutput destination{};
  std::vector<std::uint8_t> output;

  JpegWriter() {
    set_up(errors);
    info.err = &errors.manager;
    destination.manager.init_destination = start_buffer;
    destination.manager.empty_output_buffer = on_full_buffer;
    destination.manager.term_destination = on_last_buffer;
    destination.output = &output;
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;
  ~JpegWriter() { jpeg_destroy_compress(&info); }
};

/// The orientation 1..8 from an EXIF block, which is a TIFF file: byte order, 42, offset of the first directory; there
/// a count and entries of 12 bytes (tag, type, count, value). 1 (upright) where there is none or it is malformed: a
/// picture is not refused for its EXIF data.
int exif_orientation(Bytes tiff) {
  if (tiff.size() < 8) return 1;
  const bool little = tiff[0] == 'I';
  const auto u16 = [&](std::size_t at) -> unsigned {
    const unsigned first = tiff[at];
    const unsigned second = tiff[at + 1];
    return little ? second << 8 | first : first << 8 | second;
  };
  const auto u32 = [&](std::size_t at) -> std::size_t {
    return little ? u16(at) | std::size_t{u16(at + 2)} << 16 : std::size_t{u16(at)} << 16 | u16(at + 2);
  };
  if (tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M') || u16(2) != 42) return 1;
  const std::size_t directory = u32(4);
  if (directory > tiff.size() - 2) return 1;
  const unsigned count = u16(directory);
  for (unsigned i = 0; i < count; ++i) {
    const std::size_t entry = directory + 2 + std::size_t{12} * i;
    if (entry + 12 > tiff.size()) return 1;
    if (u16(entry) != 0x0112) continue;
    constexpr unsigned kShort = 3;
    const unsigned value = u16(entry + 8);
    return u16(entry + 2) == kShort && u32(entry + 4) == 1 && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

int find_orientation(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* marker = info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->marker == JPEG_APP0 + 1 && marker->data_length >= 6 && std::memcmp(marker->data, "Exif\0\0", 6) == 0) {
      return exif_orientation(Bytes(marker->data + 6, marker->data_length - 6));
    }
  }
  return 1;
}

/// Reads the header, checks it and returns the orientation.
int read_header(const std::string& path, Bytes bytes, const ReadLimits& limits, JpegReader& reader) {
  const bool ok = run_guarded(reader.errors.jump, [&] {
    jpeg_create_decompress(&reader.info);
    reader.info.progress = &reader.progress;
    jpeg_mem_src(&reader.info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&reader.info, TRUE);
  });
  if (!ok) fail("cannot read ", path, " as JPEG: ", reader.errors.message);
  const jpeg_decompress_struct& info = reader.info;
  check_picture_size(path, info.image_width, info.image_height, limits);
  check(info.jpeg_color_space != JCS_CMYK && info.jpeg_color_space != JCS_YCCK, "cannot read ", path,
        ": it is a CMYK JPEG, made for printing: convert it to RGB first");
  check(info.num_components == 1 || info.num_components == 3, "cannot read ", path, " as JPEG: it has ",
        info.num_components, " colour components, expected 1 or 3");
  return find_orientation(info);
}

}  // namespace

ImageInfo jpeg_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  JpegReader reader;
  const bool sideways = read_header(path, bytes, limits, reader) >= 5;
  const auto width = static_cast<int>(reader.info.image_width);
  const auto height = static_cast<int>(reader.info.image_height);
  return {sideways ? height : width, sideways ? width : height, ImageFormat::kJpeg};
}

Image decode_jpeg(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  JpegReader reader;
  jpeg_decompress_struct& info = reader.info;
  const int orientation = read_header(path, bytes, limits, reader);
  const bool gray = info.num_components == 1;
  Image image(static_cast<int>(info.image_width), static_cast<int>(info.image_height), gray ? 1 : 3);
  const bool ok = run_guarded(reader.errors.jump, [&] {
    info.out_color_space = gray ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = image.row(static_cast<int>(info.output_scanline));
      jpeg_read_scanlines(&info, &row, 1);
    }
    // Reads to the end marker, so that a file cut short behind the last row is found too.
    jpeg_finish_decompress(&info);
  });
  if (!ok) fail("cannot read ", path, " as JPEG: ", reader.errors.message);
  return apply_orientation(std::move(image), orientation);
}

std::vector<std::uint8_t> encode_jpeg(const std::string& path, const Image& image, int quality) {
  check(image.width <= JPEG_MAX_DIMENSION && image.height <= JPEG_MAX_DIMENSION, "cannot write ", path,
        ": JPEG holds at most ", JPEG_MAX_DIMENSION, " pixels a side, the picture has ", image.width, " x ",
        image.height);
  JpegWriter writer;
  jpeg_compress_struct& info = writer.info;
  const bool ok = run_guarded(writer.errors.jump, [&] {
    jpeg_create_compress(&info);
    info.dest = &writer.destination.manager;
    info.image_width = static_cast<JDIMENSION>(image.width);
    info.image_height = static_cast<JDIMENSION>(image.height);
    info.input_components = image.channels;
    info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    info.optimize_coding = TRUE;
    info.comp_info[0].h_samp_factor = 1;  // 4:4:4
    info.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
      // libjpeg only reads the row, but its interface lacks the const.
      JSAMPROW row = const_cast<JSAMPROW>(image.row(static_cast<int>(info.next_scanline)));
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
  });
  if (!ok) fail("cannot write ", path, " as JPEG: ", writer.errors.message);
  return std::move(writer.output);
}

}  // namespace kind
