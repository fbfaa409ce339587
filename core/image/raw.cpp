// Cameras' RAW files through LibRaw 0.20 or later, whose methods are those of dcraw. Long because what LibRaw reads wrongly, or
// without an end, is found here first.

#include "core/image/image_codecs.h"

#if KIND_HAS_RAW

#include <dlfcn.h>
#include <libraw/libraw.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/image/raw_metadata.h"
#include "core/image/silence.h"
#include "core/image/tiff_tags.h"

namespace kind {
namespace {

using namespace std::string_view_literals;

/// Neither of LibRaw's own callbacks, which print: for errors of memory (1; gone in 0.21) and of data (2).
constexpr unsigned kNoCallbacks = 3;
/// Whatever packs a sensor's pixels, each so many take at least one bit.
constexpr std::uint64_t kPixelsPerBit = 64;

/// "0.20.2".
std::string version() {
  const std::string text = LibRaw::version();
  return text.substr(0, text.find('-'));
}

void require(const std::string& doing, int code) {
  switch (code) {
    case LIBRAW_SUCCESS:
      return;
    case LIBRAW_FILE_UNSUPPORTED:
      fail(doing, "LibRaw ", version(), " does not know this camera or kind of file; convert it to DNG or PNG first");
    case LIBRAW_TOO_BIG:
    case LIBRAW_UNSUFFICIENT_MEMORY:
    case LIBRAW_MEMPOOL_OVERFLOW:
      fail(doing, "its pixels take more memory than the limit");
    case LIBRAW_IO_ERROR:
    case LIBRAW_DATA_ERROR:
    case LIBRAW_BAD_CROP:
      fail(doing, "the file ends early or is damaged");
    default:
      fail(doing, code > 0 ? "the file cannot be read" : libraw_strerror(code));
  }
}

/// The parts of the unturned picture that are used: DNG's default crop, else all.
struct Area {
  int x = 0, y = 0, width = 0, height = 0;
};

/// A file that has been opened.
struct Source {
  std::unique_ptr<LibRaw> raw;
  int orientation = 1;         // EXIF's
  bool camera_white = false;   // it says how white the light was
  bool halved = false;         // LibRaw makes pictures of half the size
  Area area;                   // of what LibRaw makes
  int late_x = 0, late_y = 0;  // how far from the ActiveArea's first pixel LibRaw begins
  ImageInfo info;              // of the result
};

/// EXIF's number for LibRaw's: 1 mirrors columns, 2 rows, and 4 then makes columns of rows.
int orientation_of(int flip) {
  constexpr int kOrientations[] = {1, 2, 4, 3, 5, 8, 6, 7};
  return kOrientations[flip & 7];
}

/// The first entry of a tag; null where there is none.
const TiffEntry* entry_of(const std::vector<TiffEntry>& directory, unsigned tag) {
  const auto found =
      std::find_if(directory.begin(), directory.end(), [&](const auto& each) { return each.tag == tag; });
  return found == directory.end() ? nullptr : &*found;
}

/// Where strips and tiles lie, each with the tag of their bytes, and how many of them are looked at.
constexpr std::pair<unsigned, unsigned> kPlaces[] = {{273, 279}, {324, 325}};
constexpr std::uint64_t kMostPieces = std::uint64_t{1} << 22;

/// Throws Error where the pixels lie behind the end of a file like a TIFF: LibRaw makes them black. In the files of Canon and
/// Olympus any directory's may be those of the sensor.
void check_strips(const std::string& path, Bytes bytes, const TiffTags& tags) {
  static constexpr std::pair<std::size_t, std::string_view> kAny[] = {
      {8, "CR\x02"}, {0, "IIRO"}, {0, "IIRS"}, {0, "MMOR"}};
  constexpr std::uint64_t kNowhere = 0xffffffff;
  const bool all = std::any_of(std::begin(kAny), std::end(kAny), [&](const auto& start) {
    return bytes.size() >= start.first && starts_with(bytes.subspan(start.first), start.second);
  });
  tags.each_directory([&](const std::vector<TiffEntry>& directory) {
    if (!all && !holds_sensor_pixels(tags, directory)) return true;
    const auto numbers = [&](unsigned tag) {
      const TiffEntry* const entry = entry_of(directory, tag);
      if (entry == nullptr) return std::vector<std::uint64_t>();
      const auto found = tags.numbers(*entry, kMostPieces);
      check(found.has_value(), "cannot read ", path, " as RAW: the file ends early or is damaged");
      return *found;
    };
    for (const auto& [places, sizes] : kPlaces) {
      const std::vector<std::uint64_t> at = numbers(places), count = numbers(sizes);
      for (std::size_t i = 0; i < at.size() && at[i] != kNowhere; ++i) {
        const std::uint64_t size = bytes.size(), own = i < count.size() ? count[i] : 0;
        check(at[i] <= size && own <= size - at[i], "cannot read ", path, " as RAW: the file ends early, it has ", size,
              " bytes, of its pixels ", own, " begin at ", at[i]);
      }
    }
    return true;
  });
}

/// Throws Error where the uncompressed pixels of a DNG are not contiguous: LibRaw reads on from the first strip or tile, and
/// would make stripes of the others. LibRaw 0.21 and later assemble tiles, and strips of floating-point numbers.
void check_contiguous(const std::string& path, const TiffTags& tags) {
  constexpr bool kAssembles = LIBRAW_VERSION >= LIBRAW_MAKE_VERSION(0, 21, 0);
  constexpr unsigned kWidth = 256, kCompression = 259, kTileWidth = 322, kTiles = 324, kSampleFormat = 339;
  constexpr std::uint64_t kUncompressed = 1, kFloat = 3;
  if (tags.find(kTiffDngVersion) == nullptr) return;
  tags.each_directory([&](const std::vector<TiffEntry>& directory) {
    const auto numbers = [&](unsigned tag) {
      const TiffEntry* const entry = entry_of(directory, tag);
      const auto found = entry == nullptr ? std::nullopt : tags.numbers(*entry, kMostPieces);
      return found.value_or(std::vector<std::uint64_t>());
    };
    const auto first = [&](unsigned tag, std::uint64_t otherwise) {
      const std::vector<std::uint64_t> all = numbers(tag);
      return all.empty() ? otherwise : all.front();
    };
    if (!holds_sensor_pixels(tags, directory) || first(kCompression, kUncompressed) != kUncompressed) return true;
    if (kAssembles && first(kSampleFormat, 0) == kFloat) return true;
    for (const auto& [places, sizes] : kPlaces) {
      const bool tiles = places == kTiles;
      if (tiles && kAssembles) continue;
      const std::vector<std::uint64_t> at = numbers(places), count = numbers(sizes);
      bool contiguous = !tiles || at.empty() || (at.size() == 1 && first(kTileWidth, 0) == first(kWidth, 0));
      for (std::size_t i = 0; i + 1 < std::min(at.size(), count.size()); ++i) {
        contiguous = contiguous && at[i + 1] == at[i] + count[i];
      }
      check(contiguous, "cannot read ", path, " as RAW: LibRaw ", version(), " does not assemble its uncompressed ",
            tiles ? "tiles" : "strips", "; convert it to a compressed DNG first");
    }
    return true;
  });
}

/// Throws Error where a box inside another one of a CR3 file says a size of 64 bits that cannot be: at one of 0 LibRaw 0.20
/// reads the same box again and again. Sizes of 2 to 7 it steps over, and so does this.
void check_long_boxes(const std::string& path, Bytes bytes, int depth = 0) {
  static constexpr std::string_view kHolders[] = {"moov", "uuid", "trak", "mdia", "minf", "dinf", "stbl"};
  constexpr int kDeepest = 10;
  constexpr std::size_t kHeader = 8, kUuid = 16;
  while (const std::optional<BoxStart> box = box_start(bytes)) {
    check(box->header == kHeader || box->fits(bytes), "cannot read ", path,
          " as RAW: a box of the file says a size that cannot be");
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(box->size, bytes.size()));
    const std::size_t content = box->header + (box->type == "uuid" ? kUuid : 0);
    const bool holds = std::find(std::begin(kHolders), std::end(kHolders), box->type) != std::end(kHolders);
    if (holds && size > content && depth < kDeepest) {
      check_long_boxes(path, bytes.subspan(content, size - content), depth + 1);
    }
    bytes = bytes.subspan(size);
  }
}

void check_whole(const std::string& path, Bytes bytes, const TiffTags& tags) {
  if (starts_with(bytes, "FUJIFILMCCD-RAW"sv)) {
    check(bytes.size() >= 108 && big_endian(bytes, 100, 4) + big_endian(bytes, 104, 4) <= bytes.size(), "cannot read ",
          path, " as RAW: the file ends early");
  } else if (bytes.size() >= 8 && starts_with(bytes.subspan(4), "ftyp"sv)) {
    check_boxes(path, "RAW", bytes);
    check_long_boxes(path, bytes);
  } else {
    check_strips(path, bytes, tags);
    check_contiguous(path, tags);
  }
}

/// What a DNG says of where its picture lies.
struct DngAreas {
  int x = 0, y = 0;          // the ActiveArea's first pixel, where patterns begin
  std::optional<Area> crop;  // DefaultCropOrigin and DefaultCropSize: what is to be shown, counted from there
};

/// Nothing for other files.
std::optional<DngAreas> dng_areas(const TiffTags& tags) {
  constexpr unsigned kOrigin = 50719, kSize = 50720, kActive = 50829, kRational = 5;
  constexpr double kMost = 65535;
  constexpr std::uint64_t kFar = 65535;
  if (tags.find(kTiffDngVersion) == nullptr) return std::nullopt;
  DngAreas areas;
  tags.each_directory([&](const std::vector<TiffEntry>& directory) {
    const auto pair = [&](unsigned tag) -> std::optional<std::pair<int, int>> {
      const TiffEntry* const entry = entry_of(directory, tag);
      if (entry == nullptr || entry->count != 2) return std::nullopt;
      double values[2];
      for (std::uint64_t i = 0; i < 2; ++i) {
        // Of a fraction the two numbers, of which the first comes first in any byte order.
        const std::uint64_t each = entry->bytes / 2, part = entry->type == kRational ? each / 2 : each;
        const auto number = [&](std::uint64_t at) {
          return tags.number(TiffEntry{tag, part == 2 ? 3u : 4u, 1, entry->at + at, part});
        };
        if (part != 2 && part != 4) return std::nullopt;
        const auto above = number(i * each),
                   below = entry->type == kRational ? number(i * each + part) : std::optional<std::uint64_t>(1);
        if (!above || !below || *below == 0) return std::nullopt;
        values[i] = std::min(kMost, static_cast<double>(*above) / static_cast<double>(*below));
      }
      return std::pair(static_cast<int>(values[0]), static_cast<int>(values[1]));
    };
    if (!holds_sensor_pixels(tags, directory)) return true;
    const auto origin = pair(kOrigin), size = pair(kSize);
    if (origin && size && size->first > 0 && size->second > 0) {
      areas.crop = {origin->first, origin->second, size->first, size->second};
    }
    const TiffEntry* const entry = entry_of(directory, kActive);
    const auto active = entry == nullptr ? std::nullopt : tags.numbers(*entry, 4);
    if (active && active->size() == 4 && std::max((*active)[0], (*active)[1]) <= kFar) {
      areas.y = static_cast<int>((*active)[0]);
      areas.x = static_cast<int>((*active)[1]);
    }
    return !areas.crop;
  });
  return areas;
}

/// LibRaw begins filtered pictures at even columns and rows of the sensor, and moves the filter's pattern, but not that of
/// the black levels, which begins with the ActiveArea as well.
void move_black_levels(libraw_colordata_t& color, int x, int y) {
  const unsigned rows = color.cblack[4], columns = color.cblack[5];
  constexpr unsigned kFirst = 6;
  if ((x == 0 && y == 0) || rows * columns == 0 || kFirst + rows * columns > std::size(color.cblack)) return;
  const std::vector<unsigned> before(color.cblack + kFirst, color.cblack + kFirst + rows * columns);
  for (unsigned r = 0; r < rows; ++r) {
    for (unsigned c = 0; c < columns; ++c) {
      const unsigned from = (r + static_cast<unsigned>(y)) % rows * columns + (c + static_cast<unsigned>(x)) % columns;
      color.cblack[kFirst + r * columns + c] = before[from];
    }
  }
}

/// Finds how the picture lies in what LibRaw makes, and checks its sides, its memory and the file's size. LibRaw can only be
/// asked for it once it is open, and not go on from there.
void settle_size(const std::string& path, Bytes bytes, const TiffTags& tags, const ReadLimits& limits, Source& source) {
  LibRaw& raw = *source.raw;
  const libraw_image_sizes_t& sizes = raw.imgdata.sizes;
  const bool filtered = raw.imgdata.idata.filters != 0;
  source.orientation = orientation_of(sizes.flip);
  source.halved = limits.half_size && filtered;
  raw.imgdata.params.user_flip = 0;  // turned here, once it is cut
  const int plain_width = sizes.width, plain_height = sizes.height;
  const int left = sizes.left_margin, top = sizes.top_margin;
  const std::uint64_t sensor = std::uint64_t{sizes.raw_width} * sizes.raw_height;
  require(join("cannot read ", path, " as RAW: "), raw.adjust_sizes_info_only());
  Area& area = source.area = {0, 0, sizes.iwidth, sizes.iheight};
  const int half = source.halved ? 2 : 1;
  const bool straight =
      area.width == (plain_width + half - 1) / half && area.height == (plain_height + half - 1) / half;
  if (const auto areas = dng_areas(tags); areas && straight) {
    source.late_x = left == areas->x + 1 ? 1 : 0;
    source.late_y = top == areas->y + 1 ? 1 : 0;
    // From `from` to `to` of the ActiveArea, in what LibRaw makes.
    const auto cut = [half](int from, int count, int late, int most, int& first, int& size) {
      const int begin = std::max(0, from - late), end = std::min(from + count - late, most);
      if (begin >= end) return false;
      first = begin / half;
      size = (end + half - 1) / half - first;
      return true;
    };
    Area shown;
    if (areas->crop && cut(areas->crop->x, areas->crop->width, source.late_x, plain_width, shown.x, shown.width) &&
        cut(areas->crop->y, areas->crop->height, source.late_y, plain_height, shown.y, shown.height)) {
      area = shown;
    }
  }
  const int more = limits.half_size && !filtered ? 2 : 1;
  source.info = {(area.width + more - 1) / more, (area.height + more - 1) / more, ImageFormat::kRaw};
  if (source.orientation >= 5) std::swap(source.info.width, source.info.height);
  check_picture_size(path, source.info.width, source.info.height, limits);
  // The sensor's samples, four numbers a pixel beside them, and the result.
  const std::uint64_t made = static_cast<std::uint64_t>(sizes.iwidth) * sizes.iheight;
  const std::uint64_t needed = sensor * (filtered ? 2 : 8) + made * (8 + 6);
  check(needed <= limits.max_image_bytes, "cannot read ", path, ": its ", sizes.raw_width, " x ", sizes.raw_height,
        " pixels take ", needed, " bytes, the limit is ", limits.max_image_bytes);
  check_file_holds(path, bytes.size(), sensor / kPixelsPerBit / 8,
                   {sizes.raw_width, sizes.raw_height, ImageFormat::kRaw});
}

Source open_source(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Silence silence;
  const TiffTags tags(bytes);
  check_whole(path, bytes, tags);
  Source source;
  source.raw = std::make_unique<LibRaw>(kNoCallbacks);
  LibRaw& raw = *source.raw;
  raw.imgdata.params.half_size = limits.half_size ? 1 : 0;  // LibRaw then makes the sides even
  const std::uint64_t megabytes = std::clamp<std::uint64_t>(limits.max_image_bytes >> 20, 1, 1 << 20);
#if LIBRAW_VERSION >= LIBRAW_MAKE_VERSION(0, 21, 0)
  raw.imgdata.rawparams.max_raw_memory_mb = static_cast<unsigned>(megabytes);
#else
  raw.imgdata.params.max_raw_memory_mb = static_cast<unsigned>(megabytes);
#endif
  // Only read; the interface lacks the const.
  const int code = raw.open_buffer(const_cast<std::uint8_t*>(bytes.data()), bytes.size());
  const bool tiff = starts_with(bytes, "II*\0"sv) || starts_with(bytes, "MM\0*"sv);
  const bool by_name = tiff && !is_raw_picture("", bytes);
  check(code != LIBRAW_FILE_UNSUPPORTED || !by_name, "cannot read ", path,
        " as RAW, which its name says it is: LibRaw ", version(),
        " does not know this camera or kind of file; if it is a plain TIFF, rename it to .tif");
  require(join("cannot read ", path, " as RAW: "), code);
  const float* const white = raw.imgdata.color.cam_mul;
  source.camera_white = white[0] > 0 && white[1] > 0 && white[2] > 0;
  settle_size(path, bytes, tags, limits, source);
  return source;
}

ImageInfo raw_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  return open_source(path, bytes, limits).info;
}

/// LibRaw computes with OpenMP where it was built so, whose threads are to be no more than ours.
void limit_threads() {
  using Set = void (*)(int);
  const auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set != nullptr) set(num_threads());
}

/// From the sensor's light to sRGB, clipped where a colour is full, and nothing else.
void set_output(libraw_output_params_t& params, bool camera_white) {
  constexpr int kSrgb = 1, kAhd = 3, kClip = 0;
  params.output_color = kSrgb;
  params.gamm[0] = 1 / 2.4;  // the power of sRGB's curve, and the slope at its foot
  params.gamm[1] = 12.92;
  params.output_bps = 16;
  params.no_auto_bright = 1;
  params.use_auto_wb = 0;
  params.use_camera_wb = camera_white ? 1 : 0;  // else daylight's
  params.highlight = kClip;
  params.user_qual = kAhd;
}

/// The area of the picture, or every second row and column of it as means of four.
Image cut_out(Image image, const Area& area, bool halve) {
  if (!halve && area.x == 0 && area.y == 0 && area.width == image.width && area.height == image.height) return image;
  const int step = halve ? 2 : 1;
  Image out((area.width + step - 1) / step, (area.height + step - 1) / step, image.channels, image.bits);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      for (int c = 0; c < out.channels; ++c) {
        int sum = 0, count = 0;
        for (int v = step * y; v < std::min(step * (y + 1), area.height); ++v) {
          for (int u = step * x; u < std::min(step * (x + 1), area.width); ++u, ++count) {
            sum += image.sample(area.x + u, area.y + v, c);
          }
        }
        out.set_sample(x, y, c, (sum + count / 2) / count);
      }
    }
  }
  return out;
}

Image decode_raw(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const std::string doing = join("cannot read ", path, " as RAW: ");
  const Source found = open_source(path, bytes, limits);
  const Silence silence;
  LibRaw& raw = *found.raw;
  raw.recycle();
  require(doing, raw.open_buffer(const_cast<std::uint8_t*>(bytes.data()), bytes.size()));
  move_black_levels(raw.imgdata.color, found.late_x, found.late_y);
  limit_threads();
  require(doing, raw.unpack());
  const bool damaged = raw.error_count() > 0;
  check(!damaged || limits.damage != nullptr, doing, "the file ends early or its pixels are damaged");
  if (damaged) *limits.damage = "its pixels are damaged or cut short";
  // A monochrome sensor needs no white balance, whatever the file or LibRaw's table of cameras says.
  const bool monochrome = raw.imgdata.idata.colors == 1;
  set_output(raw.imgdata.params, found.camera_white && !monochrome);
  if (monochrome) std::fill_n(raw.imgdata.params.user_mul, 4, 1.0F);
  require(doing, raw.dcraw_process());
  int width = 0, height = 0, colors = 0, bits = 0;
  raw.get_mem_image_format(&width, &height, &colors, &bits);
  const Area& area = found.area;
  check(bits == 16 && (colors == 1 || colors == 3) && width >= area.x + area.width && height >= area.y + area.height,
        doing, "its pixels are of another size or kind than its header says");
  Image image(width, height, colors, 16);
  require(doing, raw.copy_mem_image(image.data.data(), static_cast<int>(image.row_bytes()), 0));
  raw.recycle();
  image = cut_out(std::move(image), area, limits.half_size && !found.halved);
  return apply_orientation(std::move(image), found.orientation);
}

Metadata raw_metadata(const std::string& path, Bytes bytes, std::size_t max_bytes) {
  ReadLimits sizes_are_judged_elsewhere;
  sizes_are_judged_elsewhere.max_pixels = std::numeric_limits<std::int64_t>::max();
  sizes_are_judged_elsewhere.max_image_bytes = ~std::uint64_t{0};
  const Source source = open_source(path, bytes, sizes_are_judged_elsewhere);
  const libraw_iparams_t& about = source.raw->imgdata.idata;
  Metadata metadata = read_raw_metadata(path, bytes, max_bytes);
  if (about.raw_count > 1) leave_out(metadata, "further pictures");
  if (about.colors < 3) return metadata;
  if (source.raw->get_internal_data_pointer()->internal_output_params.raw_color != 0) {
    metadata.color_note = join("those of the sensor, since LibRaw ", version(), " does not know this camera's");
  }
  if (!source.camera_white) {
    metadata.color_note +=
        join(metadata.color_note.empty() ? "" : "; ", "white balance of daylight, since the file says none");
  }
  return metadata;
}

}  // namespace

const ImageCodec* raw_codec() {
  static constexpr ImageCodec kCodec = {raw_info, decode_raw, raw_metadata};
  return &kCodec;
}

}  // namespace kind

#else

namespace kind {
const ImageCodec* raw_codec() { return nullptr; }
}  // namespace kind

#endif
