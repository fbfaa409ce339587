// JPEG through libjpeg-turbo's libjpeg interface.

#include <cstdio>  // jpeglib.h needs it before itself

#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/image/color.h"
#include "core/image/image_codecs.h"

namespace kind {
namespace {

/// A progressive file may hold any number of scans, each of which costs the work of a whole picture: at most so many,
/// and fewer of large pictures. Usual are about ten.
constexpr std::int64_t kLeastScans = 32, kMaxScans = 500, kMaxScannedPixels = std::int64_t{1} << 33;
/// Pixels of files that are written with codes of their own, some percent smaller: all coefficients, 6 bytes a pixel,
/// are held for that.
constexpr std::int64_t kMostOptimized = std::int64_t{1} << 25;

struct JpegErrors {
  jpeg_error_mgr manager;  // first, so that libjpeg's pointer to it points to the whole
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  int max_scans;
  bool tolerant, damaged;  // the first: goes on after damage
  JDIMENSION good;         // rows before the damage
};

JpegErrors& errors_of(j_common_ptr info) { return *reinterpret_cast<JpegErrors*>(info->err); }

[[noreturn]] void on_error(j_common_ptr info) {
  JpegErrors& errors = errors_of(info);
  info->err->format_message(info, errors.message);
  std::longjmp(errors.jump, 1);
}

/// Whether a file is being read of which no pixels have been seen.
bool before_scans(j_common_ptr info) {
  return info->is_decompressor && reinterpret_cast<j_decompress_ptr>(info)->input_scan_number == 0;
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
      // Some cameras pad in front of the end marker, and some programs leave stray bytes between the segments before
      // the first scan. Behind a scan's start such bytes are pixels that were lost.
      if (info->err->msg_parm.i[1] == JPEG_EOI || before_scans(info)) return;
      break;
    default:
      break;
  }
  JpegErrors& errors = errors_of(info);
  if (!errors.tolerant || !info->is_decompressor) on_error(info);
  if (errors.damaged) return;
  errors.damaged = true;
  info->err->format_message(info, errors.message);
  const auto reader = reinterpret_cast<j_decompress_ptr>(info);
  // Of several scans, all rows have what the earlier ones say of them.
  errors.good = jpeg_has_multiple_scans(reader) ? reader->image_height : reader->output_scanline;
}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  JpegErrors& errors = errors_of(info);
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= errors.max_scans) return;
  std::snprintf(errors.message, sizeof(errors.message), "it has more than %d scans", errors.max_scans);
  std::longjmp(errors.jump, 1);
}

void set_up(JpegErrors& errors) {
  jpeg_std_error(&errors.manager);
  errors.manager.error_exit = on_error;
  errors.manager.emit_message = on_message;
  std::snprintf(errors.message, sizeof(errors.message), "unknown error");
  errors.max_scans = static_cast<int>(kMaxScans);
  errors.tolerant = errors.damaged = false;
  errors.good = 0;
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
  ByteSink* sink;
};

void start_buffer(j_compress_ptr info) {
  auto& output = *reinterpret_cast<JpegOutput*>(info->dest);
  output.manager.next_output_byte = output.buffer;
  output.manager.free_in_buffer = sizeof(output.buffer);
}

void flush_buffer(j_compress_ptr info, std::size_t count) {
  auto& output = *reinterpret_cast<JpegOutput*>(info->dest);
  if (output.sink->put_quietly(output.buffer, count)) return;
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

  explicit JpegWriter(ByteSink& sink) {
    set_up(errors);
    info.err = &errors.manager;
    destination.manager.init_destination = start_buffer;
    destination.manager.empty_output_buffer = on_full_buffer;
    destination.manager.term_destination = on_last_buffer;
    destination.sink = &sink;
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;
  ~JpegWriter() { jpeg_destroy_compress(&info); }
};

bool is_cmyk(const jpeg_decompress_struct& info) {
  return info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
}

/// A row of cyan, magenta, yellow and black to RGB, without a thought of inks: R = (1 - C) (1 - K) and so on, rounded.
/// Files with Adobe's marker hold 1 - C where others hold C.
void cmyk_to_rgb(const JSAMPLE* from, bool adobe, int width, std::uint8_t* to) {
  for (int x = 0; x < width; ++x, from += 4, to += 3) {
    const int k = adobe ? from[3] : 255 - from[3];
    for (int c = 0; c < 3; ++c) to[c] = static_cast<std::uint8_t>(((adobe ? from[c] : 255 - from[c]) * k + 127) / 255);
  }
}

/// Reads the header and checks it.
void read_header(const std::string& path, Bytes bytes, const ReadLimits& limits, JpegReader& reader) {
  const bool ok = run_guarded(reader.errors.jump, [&] {
    jpeg_create_decompress(&reader.info);
    reader.info.progress = &reader.progress;
    jpeg_mem_src(&reader.info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&reader.info, TRUE);
  });
  if (!ok) fail("cannot read ", path, " as JPEG: ", reader.errors.message);
  const jpeg_decompress_struct& info = reader.info;
  check_picture_size(path, info.image_width, info.image_height, limits);
  reader.errors.max_scans = static_cast<int>(
      std::clamp(kMaxScannedPixels / (std::int64_t{info.image_width} * info.image_height), kLeastScans, kMaxScans));
  check(info.num_components == 1 || info.num_components == 3 || is_cmyk(info), "cannot read ", path,
        " as JPEG: it has ", info.num_components, " colour components, expected 1, 3 or 4");
}

/// Whole dots a centimetre where they are that, else a inch.
void set_density(jpeg_compress_struct& info, const Metadata::Density& density) {
  const bool centimetres = density.metric && density.x % 100 == 0 && density.y % 100 == 0;
  const double unit = !density.metric ? 1 : centimetres ? 100 : 1 / 0.0254;
  const auto dots = [&](std::uint32_t value) { return std::lround(static_cast<double>(value) / unit); };
  const long x = dots(density.x), y = dots(density.y);
  if (x < 1 || y < 1 || x > 65535 || y > 65535) return;
  info.density_unit = static_cast<UINT8>(!density.metric ? 0 : centimetres ? 2 : 1);
  info.X_density = static_cast<UINT16>(x);
  info.Y_density = static_cast<UINT16>(y);
}

ImageInfo jpeg_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  JpegReader reader;
  read_header(path, bytes, limits, reader);
  return {static_cast<int>(reader.info.image_width), static_cast<int>(reader.info.image_height), ImageFormat::kJpeg};
}

Image decode_jpeg(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  JpegReader reader;
  jpeg_decompress_struct& info = reader.info;
  read_header(path, bytes, limits, reader);
  const bool gray = info.num_components == 1, cmyk = is_cmyk(info);
  const ImageInfo size{static_cast<int>(info.image_width), static_cast<int>(info.image_height), ImageFormat::kJpeg};
  // Of several scans, which make up the picture together, all coefficients are held: 2 bytes a sample.
  const InkConversion by_profile =
      cmyk ? ink_conversion(read_jpeg_metadata(path, bytes, limits.max_metadata_bytes).icc) : nullptr;
  const int coefficients = jpeg_has_multiple_scans(&info) ? 2 * info.num_components : 0;
  check_image_bytes(path, size, coefficients + (by_profile ? 6 : info.num_components), 8, limits);
  if (!info.arith_code) {
    // Each block of 8 x 8 has at least one bit.
    std::uint64_t blocks = 0;
    for (int c = 0; c < info.num_components; ++c) {
      blocks += std::uint64_t{info.comp_info[c].width_in_blocks} * info.comp_info[c].height_in_blocks;
    }
    check_file_holds(path, bytes.size(), blocks / 8, size);
  }
  std::vector<JSAMPLE> inks(cmyk ? 4 * static_cast<std::size_t>(info.image_width) : 0);
  Image image(size.width, size.height, gray ? 1 : 3, by_profile ? 16 : 8);
  bool ok = run_guarded(reader.errors.jump, [&] {
    info.out_color_space = cmyk ? JCS_CMYK : gray ? JCS_GRAYSCALE : JCS_RGB;
    reader.errors.tolerant = limits.damage != nullptr;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      std::uint8_t* const to = image.row(static_cast<int>(info.output_scanline));
      JSAMPROW row = cmyk ? inks.data() : to;
      jpeg_read_scanlines(&info, &row, 1);
      if (cmyk && by_profile) {
        // Adobe's files hold the light that the inks leave.
        for (JSAMPLE& ink : inks) ink = info.saw_Adobe_marker ? static_cast<JSAMPLE>(255 - ink) : ink;
        by_profile(inks.data(), image.width, to);
      } else if (cmyk) {
        cmyk_to_rgb(row, info.saw_Adobe_marker, image.width, to);
      }
    }
    // Reads to the end marker, so that a file cut short behind the last row is found too.
    jpeg_finish_decompress(&info);
  });
  if (limits.damage != nullptr && (!ok || reader.errors.damaged)) {
    // Behind the damage libjpeg makes up the rows.
    const JDIMENSION rows = reader.errors.damaged ? reader.errors.good : info.output_scanline;
    if (rows > 0) {
      for (int y = static_cast<int>(rows); y < image.height; ++y) std::fill_n(image.row(y), image.row_bytes(), 0);
      *limits.damage = reader.errors.message;
      return image;
    }
    ok = false;
  }
  if (!ok) fail("cannot read ", path, " as JPEG: ", reader.errors.message);
  return image;
}

void encode_jpeg(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) {
  check(image.width <= JPEG_MAX_DIMENSION && image.height <= JPEG_MAX_DIMENSION, "cannot write ", path,
        ": JPEG holds at most ", JPEG_MAX_DIMENSION, " pixels a side, the picture has ", image.width, " x ",
        image.height);
  const std::vector<JpegSegment> segments =
      options.metadata ? jpeg_segments(*options.metadata) : std::vector<JpegSegment>();
  JpegWriter writer(sink);
  jpeg_compress_struct& info = writer.info;
  const bool ok = run_guarded(writer.errors.jump, [&] {
    jpeg_create_compress(&info);
    info.dest = &writer.destination.manager;
    info.image_width = static_cast<JDIMENSION>(image.width);
    info.image_height = static_cast<JDIMENSION>(image.height);
    info.input_components = image.channels;
    info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, options.jpeg_quality, TRUE);
    info.optimize_coding = std::int64_t{image.width} * image.height <= kMostOptimized ? TRUE : FALSE;
    info.comp_info[0].h_samp_factor = image.channels == 1 || options.chroma == Chroma::k444 ? 1 : 2;
    info.comp_info[0].v_samp_factor = image.channels == 3 && options.chroma == Chroma::k420 ? 2 : 1;
    if (options.metadata && options.metadata->density) set_density(info, *options.metadata->density);
    jpeg_start_compress(&info, TRUE);
    for (const JpegSegment& segment : segments) {
      jpeg_write_marker(&info, segment.marker, segment.data.data(), static_cast<unsigned>(segment.data.size()));
    }
    while (info.next_scanline < info.image_height) {
      // libjpeg only reads the row, but its interface lacks the const.
      JSAMPROW row = const_cast<JSAMPROW>(image.row(static_cast<int>(info.next_scanline)));
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
  });
  sink.rethrow();
  if (!ok) fail("cannot write ", path, " as JPEG: ", writer.errors.message);
}

}  // namespace

const ImageCodec* jpeg_codec() {
  static constexpr ImageCodec kCodec = {jpeg_info, decode_jpeg, read_jpeg_metadata, encode_jpeg};
  return &kCodec;
}

}  // namespace kind
