#include "infer/photo/picture.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <iterator>
#include <mutex>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"
#include "core/files/npy.h"
#include "infer/photo/compare.h"
#include "infer/photo/shrink.h"
#include "nets/model_path.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

/// What the program takes beside the work on pictures: itself, the weights, files on their way in and out.
constexpr std::uint64_t kOwnBytes = std::uint64_t{160} << 20;
/// Pixels of pictures that are read while another is computed.
constexpr std::int64_t kReadAheadPixels = 16'000'000;
/// Longest side of a picture in a sheet.
constexpr int kSheetSide = 640;
/// Means of results this near to --target-mean are what was asked for.
constexpr double kMeanReached = 0.02;

class Clock {
 public:
  explicit Clock(double& seconds) : seconds_(seconds) {}
  ~Clock() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<std::uint8_t> read_stdin(const Limits& limits) {
  const std::uint64_t max_bytes = limits.read.max_file_bytes;
  std::vector<std::uint8_t> bytes = limits.stdin_start;
  std::vector<std::uint8_t> buffer(std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, "cannot read the standard input: ", std::system_category().message(errno));
    if (got == 0) break;
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + got);
    check(bytes.size() <= max_bytes, "cannot read the standard input: it has more than ", max_bytes,
          " bytes, the limit");
  }
  check(!bytes.empty(), "cannot read the standard input: it is empty");
  return bytes;
}

/// A map [1, c, h, w] as [h, w, c], in 0..1.
Tensor<float> channels_last(const Tensor<float>& map) {
  const std::int64_t c = map.shape()[1], h = map.shape()[2], w = map.shape()[3];
  Tensor<float> result(Shape{h, w, c});
  for (std::int64_t p = 0; p < h * w; ++p) {
    for (std::int64_t i = 0; i < c; ++i) result[p * c + i] = kind::clipped(map[i * h * w + p]);
  }
  return result;
}

/// Adds a path that is written to those to be removed if the rest fails. What replaced an earlier file is not: that one is
/// gone.
class Written {
 public:
  template <class F>
  void add(const fs::path& path, const F& write) {
    std::error_code ignored;
    const bool existed = fs::exists(path, ignored);
    write();
    if (!existed) paths_.push_back(path);
  }
  void remove() const {
    std::error_code ignored;
    for (const fs::path& path : paths_) fs::remove(path, ignored);
  }

 private:
  std::vector<fs::path> paths_;
};

/// Writes the maps, each as soon as it is there.
void write_maps(const Options& options, const Job& job, const Enhanced& result, Written& written) {
  const Tensor<float>* const maps[] = {&result.reflectance, &result.illumination, &result.restored, &result.adjusted};
  for (std::size_t i = 0; i < std::size(maps); ++i) {
    const fs::path png = map_path(options, job, kMapNames[i], "png"), npy = map_path(options, job, kMapNames[i], "npy");
    written.add(png, [&] { write_image(png.string(), to_image(*maps[i]), ImageFormat::kPng); });
    written.add(npy, [&] { write_npy(npy.string(), channels_last(*maps[i])); });
  }
}

/// What of the picture a result of these channels and bits does not hold.
std::vector<std::string> find_losses(const Options& options, const Picture& picture, const PhotoOptions& photo) {
  std::vector<std::string> lost;
  if (picture.image.has_alpha() && (!photo.alpha || options.sheet)) lost.push_back("transparency");
  const int bits = std::min(photo.bits == 0 ? picture.bits : photo.bits, image_format(picture.format).bits);
  if (options.photo.bits != 8 && picture.bits > bits) lost.push_back(join(picture.bits - bits, " of 16 bits"));
  if (options.strip) return lost;
  lost.insert(lost.end(), picture.metadata.dropped.begin(), picture.metadata.dropped.end());
  for (const std::string& what : metadata_left_out(picture.metadata, metadata_holder(picture.format))) {
    lost.push_back(what);
  }
  return lost;
}

/// The mean of the colours in sRGB, 0..1.
double mean_of_colors(const Image& image, const ColorEncoding* encoding) {
  if (encoding) return mean_of_colors(to_srgb(image, *encoding), nullptr);
  const int colors = image.channels < 3 ? 1 : 3;
  double sum = 0;
  for (int y = 0; y < image.height; ++y) {
    std::uint64_t row = 0;
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < colors; ++c) row += static_cast<std::uint64_t>(image.sample(x, y, c));
    }
    sum += static_cast<double>(row);
  }
  return sum / image.maximum() / colors / image.width / image.height;
}

/// As a result of the picture's format can be.
PhotoOptions photo_options(const Options& options, const Picture& picture) {
  PhotoOptions photo = options.photo;
  photo.color = picture.color;
  if (photo.bits == 0) photo.bits = picture.bits;
  if (picture.job.outputs.empty()) return photo;
  const ImageFormatRow& format = image_format(picture.format);
  photo.alpha = format.alpha;
  // As write_image would say, but before the work.
  const ImageFormatRow& row = image_format(picture.format);
  check(options.sheet || std::max(picture.width, picture.height) <= row.max_side, "cannot write ",
        picture.job.outputs[0].native(), ": ", row.name, " holds at most ", row.max_side,
        " pixels a side, the picture has ", picture.width, " x ", picture.height);
  check((picture.image.channels < 3 && !options.sheet) || !is_gray_name(picture.job.outputs[0].string()),
        "cannot write ", picture.job.outputs[0].native(), ": PGM is for gray pictures and ",
        options.sheet ? "a sheet" : "this one", " has colours, expected ppm");
  if (format.bits == 8) {
    check(photo.bits != 16, "cannot write ", picture.job.outputs[0].native(), ": ", image_extension(picture.format),
          " files hold no 16-bit samples, expected ", image_types_that_hold(16, false));
    photo.bits = 8;
  }
  return photo;
}

std::string name_of(const Job& job) { return job.from_stdin() ? "standard input" : job.input.string(); }

/// Whether results can say that their values are of the picture's encoding; the metadata then do.
bool keep_encoding(const Options& options, Picture& picture, const ColorEncoding& encoding) {
  const ImageFormatRow& format = image_format(picture.format);
  const bool gray = picture.image.channels < 3 && format.gray && !options.sheet;
  if (options.strip || !encoding.two_way() || gray != (picture.image.channels < 3)) return false;
  const bool points = std::any_of(picture.metadata.color.begin(), picture.metadata.color.end(),
                                  [](const PngChunk& chunk) { return chunk.type == "cICP"; });
  const bool in_profile = !points && !picture.metadata.icc.empty();
  if (!picture.metadata.color.empty() && !in_profile && (format.metadata.color || (points && format.metadata.cicp)))
    return true;
  if (encoding.profile().empty() || encoding.profile().size() > format.metadata.icc) return false;
  picture.metadata.icc = encoding.profile();
  if (!in_profile) picture.metadata.color.clear();
  return true;
}

/// Decides what the picture's values mean, and the results': in the picture's encoding where that is to be kept and can be.
void settle_color(const Options& options, bool keep, Picture& picture) {
  if (options.ignore_color) return;
  ColorReading reading = read_color(name_of(picture.job), picture.metadata, picture.image.channels < 3);
  if (!reading.problem.empty()) picture.color_note = "taken for sRGB: " + reading.problem;
  if (!reading.encoding) return;
  if (!keep || (!picture.job.outputs.empty() && !keep_encoding(options, picture, *reading.encoding))) {
    picture.image = to_srgb(picture.image, *reading.encoding);
    picture.metadata.icc.clear();
    picture.metadata.color.clear();
    picture.color_note = join("from ", reading.encoding->name(), " to sRGB");
    return;
  }
  picture.color_note = reading.encoding->name();
  picture.color = std::move(reading.encoding);
}

WriteOptions write_options(const Options& options, const Picture& picture) {
  WriteOptions writing = options.write;
  writing.metadata = options.strip ? nullptr : &picture.metadata;
  return writing;
}

}  // namespace

Limits make_limits(const Options& options) {
  Limits limits;
  limits.read = options.limits;
  const std::uint64_t own = kOwnBytes * (static_cast<std::uint64_t>(options.jobs) + 1) / 2;
  check(options.max_memory >= 1 << 20, "--max-mem: expected more than ", own >> 20, " MiB, got ", options.max_memory,
        " bytes; write 800M or 4G");
  check(options.max_memory > own, "--max-mem: expected more than ", own >> 20, " MiB, got ",
        static_cast<double>(options.max_memory >> 10) / 1024, " MiB");
  limits.max_bytes = (options.max_memory - own) / static_cast<std::uint64_t>(options.jobs);
  limits.read.max_image_bytes = std::min(limits.read.max_image_bytes, limits.max_bytes);
  return limits;
}

Model<float> load_enhancer(const Options& options, const std::function<void(const std::string&)>& say) {
  const std::string path = find_model(options.weights);
  Model<float> model = load_model<float>(path);
  model.set_options({.exact = options.exact});
  check(model.decomposition && model.adjustment, path,
        ": enhancing needs a decomposition and an adjustment net, this model lacks one; kind-weights merge joins "
        "models");
  if (!model.restoration) {
    say("kind-infer: the model has no restoration net; reflectances are used as they are, with their noise");
  }
  return model;
}

std::size_t read_some(int descriptor, const std::string& name, std::uint8_t* to, std::size_t count,
                      const std::function<bool()>& stopped) {
  while (!stopped()) {
    // Signals that come between the question and the wait would go unnoticed, so it is a short one.
    struct pollfd waiting = {descriptor, POLLIN, 0};
    if (::poll(&waiting, 1, 100) <= 0) continue;
    const ssize_t got = ::read(descriptor, to, count);
    if (got >= 0) return static_cast<std::size_t>(got);
    check(errno == EINTR || errno == EAGAIN, "cannot read ", name, ": ", std::system_category().message(errno));
  }
  return 0;
}

void write_stdout(std::span<const std::uint8_t> bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t now =
        ::write(STDOUT_FILENO, bytes.data() + done, std::min<std::size_t>(bytes.size() - done, 1 << 20));
    if (now < 0 && errno == EINTR) continue;
    check(now >= 0, "cannot write to the standard output: ", std::system_category().message(errno));
    done += static_cast<std::size_t>(now);
  }
}

bool can_read_ahead(const Job& job, const Limits& limits) {
  struct stat status {};
  if (job.from_stdin()) return false;
  if (::stat(job.input.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return false;
  const ImageInfo info = image_info(job.input.string(), limits.read);
  return std::int64_t{info.width} * info.height <= kReadAheadPixels;
}

void read_picture(const Options& options, const Limits& limits, Picture& picture) {
  const Clock clock(picture.read_seconds);
  const Job& job = picture.job;
  if (job.from_stdin()) {
    const std::vector<std::uint8_t> bytes = read_stdin(limits);
    picture.image = decode_image("the standard input", bytes, limits.read, &picture.metadata);
    picture.format = image_format_from_content(bytes).value_or(ImageFormat::kPng);
  } else {
    const std::string path = job.input.string();
    struct stat status {};
    if (options.to_stdout() && ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
      // What comes from a pipe comes once.
      const std::vector<std::uint8_t> bytes = read_file(path, limits.read.max_file_bytes);
      picture.image = decode_image(path, bytes, limits.read, &picture.metadata);
      picture.format = image_format_from_content(bytes).value_or(ImageFormat::kPng);
    } else {
      picture.image = read_image(path, limits.read, &picture.metadata);
      if (options.to_stdout()) picture.format = image_info(path, limits.read).format;
    }
  }
  if (options.to_stdout()) {
    picture.format = options.format.value_or(result_format(picture.format));
  } else if (!job.outputs.empty()) {
    picture.format = *image_format_from_extension(job.outputs[0].extension().string());
  }
  picture.bits = picture.image.bits;
  picture.width = picture.image.width;
  picture.height = picture.image.height;
  picture.read = true;
}

void enhance_picture(const Model<float>& model, const Options& options, const Limits& limits, Picture& picture,
                     const std::function<void(double)>& progress) {
  const Clock clock(picture.enhance_seconds);
  settle_color(options, true, picture);
  const PhotoOptions photo = frame_options(options, limits, picture, progress);
  // Sheets are RGB, and so is all in some formats.
  if (options.sheet || !image_format(picture.format).gray) check_profile(picture.metadata, false);
  if (!picture.job.outputs.empty()) picture.left_out = find_losses(options, picture, photo);
  if (!options.maps.empty()) {
    constexpr std::uint64_t kBytesPerPixel = 4 * 48;
    const std::uint64_t needed =
        static_cast<std::uint64_t>(picture.width) * static_cast<std::uint64_t>(picture.height) * kBytesPerPixel;
    check(limits.max_bytes == 0 || needed <= limits.max_bytes, "--dump-maps of a picture of ", picture.width, " x ",
          picture.height, " pixels needs ", needed >> 20, " MiB of memory, the limit is ", limits.max_bytes >> 20,
          " MiB");
  }

  // The results, then what only the page shows.
  std::vector<LightLevel> levels;
  for (const double ratio : options.ladder) levels.push_back({LightLevel::Mode::kRatio, ratio});
  if (levels.empty()) levels.push_back(photo.light);
  const std::size_t wanted = levels.size();
  if (!options.compare.empty() && options.ladder.empty()) {
    for (const double ratio : {0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0}) {
      const bool chosen = photo.light.mode == LightLevel::Mode::kRatio && photo.light.value == ratio;
      if (!chosen) levels.push_back({LightLevel::Mode::kRatio, ratio});
    }
  }
  const bool several = levels.size() > 1;
  const WriteOptions writing = write_options(options, picture);
  // Its pictures are RGB; a gray picture's profile is for other pixels.
  const bool gray = picture.image.channels < 3;
  ComparePage page(fs::path(name_of(picture.job)).filename().string(), gray            ? std::vector<std::uint8_t>()
                                                                       : picture.color ? picture.color->profile()
                                                                                       : picture.metadata.icc);
  std::vector<Tile> tiles;
  if (options.sheet) tiles.push_back({shrink(picture.image, kSheetSide), ""});
  if (!options.compare.empty()) page.set_before(picture.image);
  const auto use = [&](std::size_t i, EnhancedPhoto result) {
    if (!options.compare.empty()) page.add_level(result.image, result.ratio, i == 0 && options.ladder.empty());
    if (options.sheet) tiles.push_back({shrink(result.image, kSheetSide), join("x", result.ratio)});
    if (i >= wanted) return;
    picture.results.push_back({result.ratio, result.strength, {}, {}, {}});
    if (levels[i].mode == LightLevel::Mode::kTargetMean && photo.strength == 1) {
      const double mean = mean_of_colors(result.image, photo.color.get());
      if (std::abs(mean - levels[i].value) > kMeanReached) picture.results.back().mean = mean;
    }
    if (options.sheet || picture.job.outputs.empty()) return;
    if (several) {
      picture.results.back().file =
          encode_image(picture.job.outputs[i].string(), result.image, picture.format, writing);
    } else {
      picture.results.back().image = std::move(result.image);
    }
  };
  enhance_levels(model, std::exchange(picture.image, {}), photo, levels, use,
                 options.maps.empty() ? nullptr : &picture.maps);
  if (options.sheet && !picture.job.outputs.empty()) {
    const Image sheet = join_tiles(tiles);
    make_upright(picture.metadata, sheet.width, sheet.height, 1);  // its sizes are other ones
    picture.results[0].file = encode_image(picture.job.outputs[0].string(), sheet, picture.format, writing);
  }
  if (!options.compare.empty()) picture.page = page.html();
}

PhotoOptions frame_options(const Options& options, const Limits& limits, const Picture& picture,
                           const std::function<void(double)>& progress) {
  PhotoOptions photo = photo_options(options, picture);
  photo.max_bytes = limits.max_bytes;
  photo.progress = progress;
  return photo;
}

void enhance_frame(SequenceEnhancer& sequence, const Options& options, Picture& picture) {
  const Clock clock(picture.enhance_seconds);
  settle_color(options, false, picture);  // one encoding for all frames
  if (!image_format(picture.format).gray) check_profile(picture.metadata, false);
  picture.left_out = find_losses(options, picture, photo_options(options, picture));
  EnhancedPhoto result = sequence.next(std::exchange(picture.image, {}));
  picture.results.push_back({result.ratio, result.strength, {}, std::move(result.image), {}});
}

void write_picture(const Options& options, Picture& picture, Folders& folders) {
  const Clock clock(picture.write_seconds);
  const Job& job = picture.job;
  const WriteOptions writing = write_options(options, picture);
  Written written;
  try {
    if (into_folder(options) && !job.folder.empty()) {
      static std::mutex one_at_a_time;
      const std::lock_guard lock(one_at_a_time);
      // It was there when the run began: a disk that is gone is not replaced by a folder where it was.
      std::error_code ignored;
      check(fs::is_directory(options.output, ignored), "cannot write ", job.outputs[0].native(), ": the folder ",
            options.output, " is not there any more");
      check_inside(options.output, fs::path(options.output) / job.folder);
      if (!options.maps.empty()) check_inside(options.maps, fs::path(options.maps) / job.folder);
      folders.make(fs::path(options.output) / job.folder);
      if (!options.maps.empty()) folders.make(fs::path(options.maps) / job.folder);
    }
    if (!options.maps.empty()) write_maps(options, job, picture.maps, written);
    for (std::size_t i = 0; i < job.outputs.size(); ++i) {
      Picture::Result& result = picture.results[i];
      const std::string path = job.outputs[i].string();
      if (options.to_stdout()) {
        if (result.file.empty()) result.file = encode_image(path, result.image, picture.format, writing);
        write_stdout(result.file);
      } else {
        written.add(path, [&] {
          if (result.file.empty()) return write_image(path, result.image, picture.format, writing);
          write_file_atomic(path, result.file);
        });
      }
      result.image = {};
      result.file = {};
    }
    if (!options.compare.empty()) write_file_atomic(options.compare, picture.page);
  } catch (...) {
    written.remove();
    throw;
  }
}

std::string result_line(const Picture& picture) {
  constexpr std::size_t kMaxName = 4096;
  std::string line =
      join(printable(name_of(picture.job), kMaxName), ": ", picture.width, "x", picture.height, ", ratio ");
  for (std::size_t i = 0; i < picture.results.size(); ++i) {
    line += join(i == 0 ? "" : ", ", std::round(picture.results[i].ratio * 100) / 100);
    const double strength = picture.results[i].strength;
    if (strength == 0) line += ", left as it is: bright enough, or of one colour";
    if (picture.results[i].mean) {
      line += join(", mean ", std::round(*picture.results[i].mean * 100) / 100, ", the nearest to --target-mean");
    }
    if (strength > 0 && strength < 1) line += join(", strength ", std::round(strength * 100) / 100);
  }
  if (!picture.color_note.empty()) line += "; colours: " + printable(picture.color_note, kMaxName);
  for (std::size_t i = 0; i < picture.left_out.size(); ++i) {
    line += (i == 0 ? "; left out: " : ", ") + picture.left_out[i];
  }
  return line;
}

}  // namespace kind
