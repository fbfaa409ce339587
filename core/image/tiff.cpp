// TIFF through libtiff 4.5 or later. Long because TIFF has many ways to store pixels, which one set of rules judges, and
// reading and writing share the file in memory.

#include "core/image/image_codecs.h"

#if KIND_HAS_TIFF

#include <tiffio.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>

#include "core/base/error.h"
#include "core/image/color.h"
#include "core/image/tiff_tags.h"

namespace kind {
namespace {

/// Bytes of a strip that is written: a strip is packed on its own.
constexpr std::size_t kStripBytes = std::size_t{1} << 18;
/// How hard zlib tries, 1 to 9: 6 takes twice as long for a few percent.
constexpr int kLevel = 3;

/// The file in memory that libtiff reads or writes, and the first error it tells of.
struct TiffState {
  const std::uint8_t* data = nullptr;  // to read
  std::size_t size = 0;
  std::vector<std::uint8_t> written;
  std::uint64_t at = 0;
  char message[200] = "";

  std::uint64_t bytes() const { return data != nullptr ? size : written.size(); }
};

TiffState& state_of(thandle_t handle) { return *static_cast<TiffState*>(handle); }

tmsize_t on_read(thandle_t handle, void* to, tmsize_t count) {
  TiffState& state = state_of(handle);
  const std::uint64_t left = state.at < state.bytes() ? state.bytes() - state.at : 0;
  const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(left, static_cast<std::uint64_t>(count)));
  const std::uint8_t* from = state.data != nullptr ? state.data : state.written.data();
  if (now > 0) std::memcpy(to, from + state.at, now);
  state.at += now;
  return static_cast<tmsize_t>(now);
}

tmsize_t on_write(thandle_t handle, void* from, tmsize_t count) noexcept {
  TiffState& state = state_of(handle);
  try {
    const std::uint64_t end = state.at + static_cast<std::uint64_t>(count);
    if (end > state.written.size()) state.written.resize(static_cast<std::size_t>(end));
    std::memcpy(state.written.data() + state.at, from, static_cast<std::size_t>(count));
    state.at = end;
    return count;
  } catch (...) {
    return 0;  // libtiff says that it could not write
  }
}

toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
  TiffState& state = state_of(handle);
  state.at = offset + (whence == SEEK_CUR ? state.at : whence == SEEK_END ? state.bytes() : 0);
  return state.at;
}

int on_close(thandle_t) { return 0; }
toff_t on_size(thandle_t handle) { return state_of(handle).bytes(); }
int on_map(thandle_t handle, void** base, toff_t* size) {
  *base = const_cast<std::uint8_t*>(state_of(handle).data);  // only read; the interface lacks the const
  *size = state_of(handle).size;
  return 1;
}
void on_unmap(thandle_t, void*, toff_t) {}

int on_error(TIFF*, void* user, const char*, const char* format, va_list values) {
  auto& state = *static_cast<TiffState*>(user);
  if (state.message[0] == '\0') std::vsnprintf(state.message, sizeof(state.message), format, values);
  return 1;
}

/// Most of what libtiff only warns of leaves the pixels whole; what libjpeg warns of does not.
int on_warning(TIFF* tiff, void* user, const char* module, const char* format, va_list values) {
  if (module != nullptr && std::strcmp(module, "JPEGLib") == 0) return on_error(tiff, user, module, format, values);
  return 1;
}

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
};
using Tiff = std::unique_ptr<TIFF, Close>;

Tiff open_tiff(TiffState& state, const char* mode, std::uint64_t most_bytes) {
  constexpr std::uint64_t kLeastLimit = std::uint64_t{1} << 26, kMostLimit = std::uint64_t{1} << 40;
  const std::unique_ptr<TIFFOpenOptions, Close> options(TIFFOpenOptionsAlloc());
  if (options == nullptr) fail("there is not enough memory");
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &state);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &state);
  // Beside pixels there are directories and tables.
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(),
                                      static_cast<tmsize_t>(std::clamp(most_bytes, kLeastLimit, kMostLimit)));
  return Tiff(TIFFClientOpenExt("picture", mode, &state, on_read, on_write, on_seek, on_close, on_size, on_map,
                                on_unmap, options.get()));
}

template <class T>
T field(TIFF* tiff, ttag_t tag, T otherwise) {
  T value = otherwise;
  return TIFFGetFieldDefaulted(tiff, tag, &value) == 1 ? value : otherwise;
}

/// How the pixels are stored.
struct Layout {
  std::uint32_t width = 0, height = 0;
  int bits = 1, samples = 1;
  unsigned photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE;
  bool separate = false, tiled = false;
  int colors = 1;  // 3 for a palette too
  int alpha = 0;   // 0 none, EXTRASAMPLE_ASSOCALPHA or EXTRASAMPLE_UNASSALPHA
  std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;

  bool palette() const { return photometric == PHOTOMETRIC_PALETTE; }
  bool inks() const { return photometric == PHOTOMETRIC_SEPARATED; }
  int stored_colors() const { return palette() ? 1 : inks() ? 4 : colors; }
};

const char* const kConvertFirst = "convert it to RGB or gray of 8 or 16 bits first";

/// Sets what follows from the kind of colours (photometric interpretation). Throws Error for kinds that are not read.
void read_colors(const std::string& path, TIFF* tiff, Layout& layout) {
  const auto refuse = [&](const auto&... parts) { fail("cannot read ", path, " as TIFF: ", parts...); };
  std::uint16_t photometric = layout.samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
  layout.photometric = photometric;
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
      break;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_YCBCR:
      layout.colors = 3;
      break;
    case PHOTOMETRIC_PALETTE:
      layout.colors = 3;
      if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &layout.red, &layout.green, &layout.blue) != 1 || layout.bits > 8) {
        refuse("its palette is missing or damaged");
      }
      break;
    case PHOTOMETRIC_SEPARATED:
      layout.colors = 3;
      if (field<std::uint16_t>(tiff, TIFFTAG_INKSET, INKSET_CMYK) != INKSET_CMYK) {
        refuse("its colours are inks other than CMYK: ", kConvertFirst);
      }
      break;
    case kTiffFilterArray:
    case kTiffLinearRaw:
      refuse("it holds a camera's RAW data: develop it to PNG or JPEG first");
      break;
    default:
      refuse("its colours are of kind ", photometric,
             ", neither gray, RGB, YCbCr, CMYK nor a palette: ", kConvertFirst);
  }
}

/// Throws Error for pixels of kinds that are not read.
Layout read_layout(const std::string& path, TIFF* tiff) {
  const auto refuse = [&](const auto&... parts) { fail("cannot read ", path, " as TIFF: ", parts...); };
  Layout layout;
  layout.width = field<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH, 0);
  layout.height = field<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH, 0);
  layout.bits = field<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  layout.samples = field<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  layout.compression = field<std::uint16_t>(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  layout.separate = field<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
  layout.tiled = TIFFIsTiled(tiff) != 0;
  const unsigned sample_format = field<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  if (sample_format == SAMPLEFORMAT_IEEEFP) refuse("its samples are floating-point numbers: ", kConvertFirst);
  if (sample_format != SAMPLEFORMAT_UINT && sample_format != SAMPLEFORMAT_VOID) {
    refuse("its samples are signed or complex numbers: ", kConvertFirst);
  }
  read_colors(path, tiff, layout);
  if (layout.samples < layout.stored_colors()) {
    refuse("its pixels have ", layout.samples, " samples, expected ", layout.stored_colors(), " or more");
  }
  const bool few = layout.bits == 1 || layout.bits == 2 || layout.bits == 4;
  if (layout.bits != 8 && layout.bits != 16 && !(few && layout.stored_colors() == 1)) {
    refuse("its samples have ", layout.bits, " bits: ", kConvertFirst);
  }
  std::uint16_t extras = 0, *kinds = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds);
  const bool has_alpha = extras > 0 && layout.samples > layout.stored_colors() &&
                         (kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA);
  if (has_alpha) layout.alpha = kinds[0];
  return layout;
}

/// Sample `i` of a row of samples of 1, 2, 4, 8 or 16 bits.
inline unsigned sample_at(const std::uint8_t* row, std::size_t i, int bits) {
  if (bits == 8) return row[i];
  if (bits == 16) {
    std::uint16_t value;
    std::memcpy(&value, row + 2 * i, 2);
    return value;
  }
  const std::size_t bit = i * static_cast<std::size_t>(bits);
  return row[bit / 8] >> (8 - bits - static_cast<int>(bit % 8)) & ((1u << bits) - 1);
}

/// Takes the samples of a strip or tile into the picture.
class Placer {
 public:
  /// `alpha`, unless null, is where alpha goes, else the picture's last channel.
  Placer(const Layout& layout, Image& image, Image* alpha) : layout_(layout), image_(image), alpha_(alpha) {
    if (!layout.palette()) return;
    // Some programs write 8-bit numbers where 16-bit ones belong.
    const std::size_t count = std::size_t{1} << layout.bits;
    const auto large = [&](const std::uint16_t* map) {
      return std::any_of(map, map + count, [](std::uint16_t value) { return value > 255; });
    };
    wide_ = large(layout.red) || large(layout.green) || large(layout.blue);
  }

  /// `row`: interleaved samples of the plane, or all planes where they are not separate, from column x0 on.
  void put_row(const std::uint8_t* row, int y, int x0, int width, int plane) {
    const int bits = layout_.bits, stored = layout_.stored_colors();
    const auto step = static_cast<std::size_t>(layout_.separate ? 1 : layout_.samples);
    for (int s = layout_.separate ? plane : 0; s < (layout_.separate ? plane + 1 : layout_.samples); ++s) {
      if (s >= stored && (s > stored || layout_.alpha == 0)) break;
      std::size_t from = layout_.separate ? 0 : static_cast<std::size_t>(s);
      for (int x = x0; x < x0 + width; ++x, from += step) {
        const unsigned value = sample_at(row, from, bits);
        if (s < stored) {
          put_color(x, y, s, value);
        } else if (alpha_ != nullptr) {
          alpha_->set_sample(x, y, 0, full_range(value));
        } else {
          image_.set_sample(x, y, layout_.colors, full_range(value));
        }
      }
    }
  }

 private:
  /// Fewer than 8 bits to 8.
  int full_range(unsigned value) const {
    return static_cast<int>(layout_.bits >= 8 ? value : value * 255 / ((1u << layout_.bits) - 1));
  }
  void put_color(int x, int y, int channel, unsigned value) {
    if (layout_.palette()) {
      const std::uint16_t* const maps[] = {layout_.red, layout_.green, layout_.blue};
      for (int c = 0; c < 3; ++c) {
        const unsigned color = maps[c][value];
        image_.set_sample(x, y, c, static_cast<int>(wide_ ? (color * 255 + 32767) / 65535 : color));
      }
      return;
    }
    const int scaled = full_range(value);
    image_.set_sample(x, y, channel,
                      layout_.photometric == PHOTOMETRIC_MINISWHITE ? image_.maximum() - scaled : scaled);
  }

  const Layout& layout_;
  Image& image_;
  Image* alpha_;
  bool wide_ = true;
};

/// False where libtiff told of an error.
bool read_pixels(TIFF* tiff, const Layout& layout, TiffState& state, Image& image, Image* alpha = nullptr) {
  Placer placer(layout, image, alpha);
  const std::uint32_t block_width = layout.tiled ? field<std::uint32_t>(tiff, TIFFTAG_TILEWIDTH, 0) : layout.width;
  const std::uint32_t block_height =
      layout.tiled ? field<std::uint32_t>(tiff, TIFFTAG_TILELENGTH, 0)
                   : std::min(field<std::uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP, layout.height), layout.height);
  const tmsize_t block_bytes = layout.tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
  const tmsize_t row_bytes = layout.tiled ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff);
  if (block_width == 0 || block_height == 0 || block_bytes <= 0 || row_bytes <= 0) return false;
  std::vector<std::uint8_t> block(static_cast<std::size_t>(block_bytes));
  const int planes = layout.separate ? layout.samples : 1;
  for (int plane = 0; plane < planes; ++plane) {
    if (plane >= layout.stored_colors() + (layout.alpha != 0 ? 1 : 0)) break;
    for (std::uint32_t y0 = 0; y0 < layout.height; y0 += block_height) {
      const std::uint32_t rows = std::min(block_height, layout.height - y0);
      for (std::uint32_t x0 = 0; x0 < layout.width; x0 += block_width) {
        const auto sample = static_cast<std::uint16_t>(plane);
        const tmsize_t wanted = layout.tiled ? block_bytes : row_bytes * static_cast<tmsize_t>(rows);
        const tmsize_t got =
            layout.tiled ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x0, y0, 0, sample), block.data(), wanted)
                         : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y0, sample), block.data(), wanted);
        if (got != wanted || state.message[0] != '\0') return false;
        const int width = static_cast<int>(std::min(block_width, layout.width - x0));
        for (std::uint32_t r = 0; r < rows; ++r) {
          placer.put_row(block.data() + static_cast<std::size_t>(row_bytes) * r, static_cast<int>(y0 + r),
                         static_cast<int>(x0), width, plane);
        }
      }
    }
  }
  if (layout.alpha == EXTRASAMPLE_ASSOCALPHA && alpha == nullptr) divide_by_alpha(image);
  return true;
}

/// A row of inks to RGB without a profile: R = (1 - C) (1 - K) and so on, rounded.
template <class Sample>
void inks_to_rgb(const std::uint8_t* from, int width, std::uint8_t* to) {
  constexpr std::uint64_t kMost = std::numeric_limits<Sample>::max();
  for (int x = 0; x < width; ++x, from += 4 * sizeof(Sample), to += 3 * sizeof(Sample)) {
    Sample inks[4], rgb[3];
    std::memcpy(inks, from, sizeof(inks));
    for (int c = 0; c < 3; ++c)
      rgb[c] = static_cast<Sample>(((kMost - inks[c]) * (kMost - inks[3]) + kMost / 2) / kMost);
    std::memcpy(to, rgb, sizeof(rgb));
  }
}

/// Reads inks into an RGB picture, which has 16 bits where there is a profile. False where libtiff told of an error.
bool read_inks(TIFF* tiff, const Layout& layout, TiffState& state, const InkConversion& by_profile, Image& image) {
  Image inks(image.width, image.height, 4, layout.bits);
  Image alpha = layout.alpha != 0 ? Image(image.width, image.height, 1, layout.bits) : Image();
  if (!read_pixels(tiff, layout, state, inks, &alpha)) return false;
  std::vector<std::uint8_t> rgb(3 * static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.bits / 8));
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; layout.alpha == EXTRASAMPLE_ASSOCALPHA && x < image.width; ++x) {
      const int most = inks.maximum(), share = alpha.sample(x, y, 0);
      for (int c = 0; c < 4; ++c) {
        const std::int64_t value = std::int64_t{inks.sample(x, y, c)} * most + share / 2;
        inks.set_sample(x, y, c, share == 0 ? 0 : static_cast<int>(std::min<std::int64_t>(value / share, most)));
      }
    }
    if (by_profile) {
      by_profile(inks.row(y), image.width, rgb.data());
    } else {
      layout.bits == 8 ? inks_to_rgb<std::uint8_t>(inks.row(y), image.width, rgb.data())
                       : inks_to_rgb<std::uint16_t>(inks.row(y), image.width, rgb.data());
    }
    const std::size_t pixel = image.row_bytes() / static_cast<std::size_t>(image.width),
                      colors = rgb.size() / static_cast<std::size_t>(image.width);
    for (int x = 0; x < image.width; ++x) {
      const auto at = static_cast<std::size_t>(x);
      std::memcpy(image.row(y) + at * pixel, rgb.data() + at * colors, colors);
      if (layout.alpha != 0) image.set_sample(x, y, 3, alpha.sample(x, y, 0) * (image.maximum() / inks.maximum()));
    }
  }
  return true;
}

/// YCbCr that libjpeg does not turn into RGB: by libtiff's own conversion, 8 bits.
bool read_converted(TIFF* tiff, TiffState& state, Image& image) {
  std::vector<std::uint32_t> pixels(static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height));
  const int orientation = field<std::uint16_t>(tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  const bool ok = TIFFReadRGBAImageOriented(tiff, static_cast<std::uint32_t>(image.width),
                                            static_cast<std::uint32_t>(image.height), pixels.data(), orientation, 1);
  if (!ok || state.message[0] != '\0') return false;
  std::uint8_t* to = image.data.data();
  for (const std::uint32_t pixel : pixels) {
    *to++ = static_cast<std::uint8_t>(TIFFGetR(pixel));
    *to++ = static_cast<std::uint8_t>(TIFFGetG(pixel));
    *to++ = static_cast<std::uint8_t>(TIFFGetB(pixel));
  }
  return true;
}

ImageInfo tiff_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const TiffTags tags(bytes);
  const auto width = tags.number(kTiffWidth), height = tags.number(kTiffHeight);
  check(tags.whole() && width && height, "cannot read ", path, " as TIFF: its first directory is damaged or cut short");
  const auto side = [](std::uint64_t value) {
    return static_cast<std::int64_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::int32_t>::max()));
  };
  check_picture_size(path, side(*width), side(*height), limits);
  return {static_cast<int>(*width), static_cast<int>(*height), ImageFormat::kTiff};
}

/// Throws Error where strips or tiles, which are unpacked as a whole, are far larger than the picture, or the file is too
/// short for it.
void check_sizes(const std::string& path, TIFF* tiff, const Layout& layout, std::uint64_t file_bytes,
                 const ImageInfo& size) {
  const std::uint64_t stored = static_cast<std::uint64_t>(layout.width) * layout.height *
                               static_cast<std::uint64_t>(layout.samples) * static_cast<std::uint64_t>(layout.bits) / 8;
  constexpr std::uint64_t kSmall = std::uint64_t{1} << 26;
  const std::uint64_t most = std::max(kSmall, 2 * stored);
  const auto block =
      static_cast<std::uint64_t>(std::max<tmsize_t>(layout.tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff), 0));
  check(block <= most, "cannot read ", path, " as TIFF: its strips or tiles have ", block, " bytes, expected at most ",
        most);
  if (layout.photometric == PHOTOMETRIC_YCBCR) return;  // fewer are stored
  // How much smaller each kind can make data: deflate some 1030 times, LZW and run lengths by the longest code.
  std::uint64_t ratio = 65536;
  if (layout.compression == COMPRESSION_NONE) ratio = 1;
  if (layout.compression == COMPRESSION_PACKBITS) ratio = 128;
  if (layout.compression == COMPRESSION_ADOBE_DEFLATE || layout.compression == COMPRESSION_DEFLATE) ratio = 1100;
  if (layout.compression == COMPRESSION_LZW) ratio = 4096;
  check_file_holds(path, file_bytes, stored / ratio, size);
}

Image decode_tiff(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const ImageInfo size = tiff_info(path, bytes, limits);
  const TiffTags tags(bytes);
  check(tags.values_whole(), "cannot read ", path, " as TIFF: its first directory is damaged or cut short");
  constexpr unsigned kNewSubfileType = 254;
  // What cameras put first into their RAW files is a small copy.
  const bool reduced = (tags.number(kNewSubfileType).value_or(0) & 1) != 0 && tags.find(kTiffSubDirectories) != nullptr;
  check(
      !reduced, "cannot read ", path,
      " as TIFF: its first picture is a small copy of another one, as in camera RAW files of kinds that are not known: "
      "convert it to PNG first");
  TiffState state;
  state.data = bytes.data();
  state.size = bytes.size();
  const Tiff tiff = open_tiff(state, "r", limits.max_image_bytes);
  const auto damaged = [&]() {
    fail("cannot read ", path, " as TIFF: ", state.message[0] != '\0' ? state.message : "the file is damaged");
  };
  if (tiff == nullptr) damaged();
  state.message[0] = '\0';  // of tags that it does not take; of those that it needs it will say so again
  const Layout layout = read_layout(path, tiff.get());
  check(TIFFIsCODECConfigured(static_cast<std::uint16_t>(layout.compression)) == 1, "cannot read ", path,
        " as TIFF: its compression, number ", layout.compression, ", is not read: save it with another");
  if (static_cast<int>(layout.width) != size.width || static_cast<int>(layout.height) != size.height) damaged();
  const bool ycbcr = layout.photometric == PHOTOMETRIC_YCBCR;
  const bool by_libjpeg = ycbcr && layout.compression == COMPRESSION_JPEG && !layout.separate;
  if (by_libjpeg) TIFFSetField(tiff.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  const bool converted = ycbcr && !by_libjpeg;
  const int channels = converted ? 3 : layout.colors + (layout.alpha != 0 ? 1 : 0);
  const InkConversion by_profile =
      layout.inks() ? ink_conversion(read_tiff_metadata(path, bytes, limits.max_metadata_bytes).icc, layout.bits)
                    : nullptr;
  const int bits = (layout.bits == 16 && !layout.palette()) || by_profile ? 16 : 8;
  const int ink_bytes = layout.inks() ? (layout.alpha != 0 ? 5 : 4) * layout.bits / 8 : 0;
  check_image_bytes(path, size, channels * bits / 8 + ink_bytes, 8, limits);
  check_sizes(path, tiff.get(), layout, bytes.size(), size);
  Image image(size.width, size.height, channels, bits);
  bool ok = false;
  if (converted) {
    ok = read_converted(tiff.get(), state, image);
  } else if (layout.inks()) {
    ok = read_inks(tiff.get(), layout, state, by_profile, image);
  } else {
    ok = read_pixels(tiff.get(), layout, state, image);
  }
  if (!ok) damaged();
  return image;
}

Metadata tiff_metadata(const std::string& path, Bytes bytes, std::size_t max_bytes) {
  return read_tiff_metadata(path, bytes, max_bytes);
}

/// All that the file says of the picture; `block` is its EXIF data.
void set_tags(TIFF* out, const Image& image, int rows, const Metadata& metadata, const TiffTags& block) {
  const bool alpha = image.has_alpha();
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, image.width);
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, image.height);
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, image.bits);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, image.channels);
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, image.channels < 3 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(out, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
  TIFFSetField(out, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
  TIFFSetField(out, TIFFTAG_ZIPQUALITY, kLevel);
  const std::uint16_t kind = EXTRASAMPLE_UNASSALPHA;
  if (alpha) TIFFSetField(out, TIFFTAG_EXTRASAMPLES, 1, &kind);
  TIFFSetField(out, TIFFTAG_ROWSPERSTRIP, rows);
  // The EXIF block's counts, but where it lacks the unit that the file itself has had.
  const bool unit_lost =
      metadata.density && metadata.density->metric && block.number(TIFFTAG_RESOLUTIONUNIT) == RESUNIT_NONE;
  if (metadata.density && (unit_lost || block.find(TIFFTAG_XRESOLUTION) == nullptr)) {
    const double unit = metadata.density->metric ? 0.0254 : 1;
    TIFFSetField(out, TIFFTAG_RESOLUTIONUNIT, metadata.density->metric ? RESUNIT_INCH : RESUNIT_NONE);
    TIFFSetField(out, TIFFTAG_XRESOLUTION, metadata.density->x * unit);
    TIFFSetField(out, TIFFTAG_YRESOLUTION, metadata.density->y * unit);
  }
  const auto put = [&](std::uint32_t tag, const auto& bytes) {
    if (!bytes.empty()) TIFFSetField(out, tag, static_cast<std::uint32_t>(bytes.size()), bytes.data());
  };
  const std::string xmp = whole_xmp(metadata);
  put(TIFFTAG_XMLPACKET, xmp);
  put(TIFFTAG_ICCPROFILE, metadata.icc);
  put(TIFFTAG_PHOTOSHOP, metadata.photoshop);
  // The place that programs look at first. Some versions of libtiff take numbers of 4 bytes, which they turn where the file's
  // order is not the machine's.
  const Bytes records = iptc_of(metadata.photoshop);
  if (records.empty()) return;
  std::vector<std::uint8_t> iptc(records.begin(), records.end());
  const TIFFField* const field = TIFFFieldWithTag(out, TIFFTAG_RICHTIFFIPTC);
  const std::size_t unit = field != nullptr && TIFFFieldDataType(field) == TIFF_LONG ? 4 : 1;
  iptc.resize((iptc.size() + unit - 1) / unit * unit);
  for (std::size_t i = 0; unit > 1 && TIFFIsByteSwapped(out) != 0 && i < iptc.size(); i += unit) {
    std::reverse(iptc.data() + i, iptc.data() + i + unit);
  }
  TIFFSetField(out, TIFFTAG_RICHTIFFIPTC, static_cast<std::uint32_t>(iptc.size() / unit), iptc.data());
}

void encode_tiff(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) {
  constexpr std::uint64_t kMostBytes = 4'000'000'000;  // offsets have 32 bits
  const Metadata none;
  const Metadata& metadata = options.metadata ? *options.metadata : none;
  check(image.data.size() + metadata.exif.size() + metadata.xmp.size() + metadata.icc.size() < kMostBytes,
        "cannot write ", path, ": a TIFF holds less than 4 GiB here");
  const TiffTags block(metadata.exif);
  const bool has_block = block.whole() && !block.big();
  TiffState state;
  const bool motorola = has_block && !block.little();
  const Tiff tiff = open_tiff(state, motorola ? "wb" : "wl", kMostBytes);
  const auto fail_writing = [&]() {
    fail("cannot write ", path, " as TIFF: ", state.message[0] != '\0' ? state.message : "unknown error");
  };
  if (tiff == nullptr) fail_writing();
  // The EXIF block, a TIFF file without pixels, comes first, so that the offsets in it (makers' notes have such that
  // only their makers understand) are those of this file.
  if (has_block) state.written.insert(state.written.end(), metadata.exif.begin() + 8, metadata.exif.end());
  TIFF* const out = tiff.get();
  const int rows = static_cast<int>(
      std::clamp<std::size_t>(kStripBytes / image.row_bytes(), 1, static_cast<std::size_t>(image.height)));
  set_tags(out, image, rows, metadata, block);
  std::vector<std::uint8_t> strip;  // libtiff changes what it is given
  for (int y = 0, i = 0; y < image.height; y += rows, ++i) {
    const int now = std::min(rows, image.height - y);
    strip.assign(image.row(y), image.row(y) + static_cast<std::size_t>(now) * image.row_bytes());
    const auto size = static_cast<tmsize_t>(strip.size());
    if (TIFFWriteEncodedStrip(out, static_cast<std::uint32_t>(i), strip.data(), size) != size) fail_writing();
  }
  if (TIFFWriteDirectory(out) != 1 || state.message[0] != '\0') fail_writing();
  add_exif_entries(state.written, has_block ? Bytes(metadata.exif) : Bytes());
  sink.put(state.written);
}

}  // namespace

const ImageCodec* tiff_codec() {
  static constexpr ImageCodec kCodec = {tiff_info, decode_tiff, tiff_metadata, encode_tiff};
  return &kCodec;
}

}  // namespace kind

#else

namespace kind {
const ImageCodec* tiff_codec() { return nullptr; }
}  // namespace kind

#endif
