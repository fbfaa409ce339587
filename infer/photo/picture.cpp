// Long because reading, enhancing and describing a picture, or the frames of an animated one, share what is known of it.

#include "infer/photo/picture.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/image/exif.h"
#include "infer/photo/compare.h"
#include "infer/photo/shrink.h"
#include "infer/photo/streams.h"
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

/// What of the picture a result of these channels and bits does not hold.
std::vector<std::string> find_losses(const Options& options, const Picture& picture, const PhotoOptions& photo) {
  std::vector<std::string> lost;
  if (picture.image.has_alpha() && (!photo.alpha || options.sheet)) lost.emplace_back("transparency");
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
  if (photo.bits == 0) photo.bits = picture.bits;  // of the file: the image has 16 where it was converted
  return photo;
}

std::string name_of(const Job& job) { return job.from_stdin() ? "standard input" : job.input.string(); }

/// Whether 8 bits are too few for an encoding: the first step above black is a large one.
bool is_coarse(const ColorEncoding& encoding) {
  float step[] = {1.0f / 255, 1.0f / 255, 1.0f / 255};
  float* const planes[] = {&step[0], &step[1], &step[2]};
  encoding.to_srgb(planes, 1);
  return step[0] > 4.0f / 255;
}

/// Whether results can say that their values are of the picture's encoding; the metadata then do.
bool keep_encoding(const Options& options, Picture& picture, const ColorEncoding& encoding) {
  const ImageFormatRow& format = image_format(picture.format);
  const bool gray = picture.image.channels < 3 && format.gray && !options.sheet;
  if (options.strip || !encoding.two_way() || gray != (picture.image.channels < 3)) return false;
  const bool loses_bits = picture.bits == 16 && (format.bits == 8 || options.photo.bits == 8);
  if (loses_bits && is_coarse(encoding)) return false;
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
  picture.color_note = picture.metadata.color_note;
  if (options.ignore_color) return;
  ColorReading reading = read_color(name_of(picture.job), picture.metadata, picture.image.channels < 3);
  if (!reading.problem.empty()) picture.color_note = "taken for sRGB: " + reading.problem;
  if (!reading.encoding) return;
  if (!keep || (!picture.job.outputs.empty() && !keep_encoding(options, picture, *reading.encoding))) {
    picture.image = to_srgb(picture.image, *reading.encoding);
    picture.metadata.icc.clear();
    picture.metadata.color.clear();
    set_exif_srgb(picture.metadata.exif);
    picture.color_note = join("from ", reading.encoding->name(), " to sRGB");
    return;
  }
  picture.color_note = reading.encoding->name();
  picture.color = std::move(reading.encoding);
}

bool is_direct(const Job& job) { return job.outputs.size() == 1 && is_direct_output(job.outputs[0].string()); }

/// What is to be said of a result that --brighter or --darker cannot take any further.
std::string limit_of(const Model<float>& model, const PhotoOptions& photo, const EnhancedPhoto& result) {
  const double stops = photo.light.mode == LightLevel::Mode::kAuto ? photo.light.stops : 0;
  const double highest = model.config.light.value_or(LightConfig{}).highest_ratio;
  if (stops > 0 && result.strength > 0 && result.ratio > 0.99 * highest) return "as bright as it gets";
  if (stops < 0 && result.strength == 0) return "as dark as the picture itself, and so as it gets";
  return "";
}

/// Whether the picture's further frames are read: it has some, and its one result can be an animation.
bool wants_frames(const Options& options, const Picture& picture) {
  const std::vector<std::string>& dropped = picture.metadata.dropped;
  const bool alone = picture.job.outputs.size() == 1 && options.ladder.empty() && options.maps.empty() &&
                     options.compare.empty() && !options.sequence &&
                     options.photo.light.mode != LightLevel::Mode::kTargetMean;
  return alone && can_animate(picture.format) &&
         std::find(dropped.begin(), dropped.end(), kFurtherFrames) != dropped.end();
}

/// Reads the frames by `read`. What is damaged is left out where that is tolerated.
void read_frames(const Options& options, const std::function<Animation()>& read, Picture& picture) {
  if (!wants_frames(options, picture)) return;
  try {
    picture.animation = read();
  } catch (const Error& error) {
    if (!options.tolerant) throw;
    picture.damage = error.what();
    return;
  }
  picture.frames = picture.animation.frames.size();
  std::erase(picture.metadata.dropped, kFurtherFrames);
}

/// The frames of an animated picture, as those of one scene.
void enhance_animation(const Model<float>& model, const Options& options, const Limits& limits, Picture& picture,
                       const std::function<void(double)>& progress) {
  std::vector<Animation::Frame>& frames = picture.animation.frames;
  const bool gray = picture.image.channels < 3;
  const ColorReading reading =
      options.ignore_color ? ColorReading() : read_color(name_of(picture.job), picture.metadata, gray);
  settle_color(options, false, picture);  // one encoding for all frames
  std::size_t done = 0;
  PhotoOptions photo = frame_options(options, limits, picture, [&](double share) {
    progress((static_cast<double>(done) + share) / static_cast<double>(frames.size()));
  });
  if (!image_format(picture.format).gray) check_profile(picture.metadata, false);
  picture.left_out = find_losses(options, picture, photo);
  if (photo.max_bytes > 0) {
    std::uint64_t held = 0;
    for (const Animation::Frame& frame : frames) held += frame.image.data.size();
    check(held < photo.max_bytes, name_of(picture.job), ": its ", frames.size(), " frames take ", held >> 20,
          " MiB of memory, the limit is ", photo.max_bytes >> 20, " MiB");
    photo.max_bytes -= held;
  }
  SequenceEnhancer sequence(model, photo, picture.animation.frames_per_second());
  for (Animation::Frame& frame : frames) {
    if (reading.encoding) frame.image = to_srgb(frame.image, *reading.encoding);
    EnhancedPhoto result = sequence.next(std::exchange(frame.image, {}));
    frame.image = std::move(result.image);
    if (done++ == 0)
      picture.results.push_back({result.ratio, result.strength, {}, limit_of(model, photo, result), {}, {}});
  }
  picture.results[0].file = encode_animation(picture.job.outputs[0].string(), picture.animation, picture.format,
                                             write_options(options, picture));
  frames.clear();
  picture.image = {};
}

void check_maps_memory(const Limits& limits, const Picture& picture) {
  constexpr std::uint64_t kBytesPerPixel = 4 * 48;
  const std::uint64_t needed =
      static_cast<std::uint64_t>(picture.width) * static_cast<std::uint64_t>(picture.height) * kBytesPerPixel;
  check(limits.max_bytes == 0 || needed <= limits.max_bytes, "--dump-maps of a picture of ", picture.width, " x ",
        picture.height, " pixels needs ", needed >> 20, " MiB of memory, the limit is ", limits.max_bytes >> 20,
        " MiB");
}

/// The levels of the results, then of what only the page shows.
std::vector<LightLevel> levels_of(const Options& options, const PhotoOptions& photo) {
  std::vector<LightLevel> levels;
  for (const double ratio : options.ladder) levels.push_back({LightLevel::Mode::kRatio, ratio});
  if (levels.empty()) levels.push_back(photo.light);
  if (options.compare.empty() || !options.ladder.empty()) return levels;
  for (const double ratio : {0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0}) {
    const bool chosen = photo.light.mode == LightLevel::Mode::kRatio && photo.light.value == ratio;
    if (!chosen) levels.push_back({LightLevel::Mode::kRatio, ratio});
  }
  return levels;
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

bool can_read_ahead(const Job& job, const Limits& limits) {
  struct stat status {};
  if (job.from_stdin()) return false;
  if (::stat(job.input.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return false;
  const ImageInfo info = image_info(job.input.string(), limits.read);
  return std::int64_t{info.width} * info.height <= kReadAheadPixels;
}

namespace {

/// From the input's format, where that counts, to that of the results.
void settle_format(const Options& options, Picture& picture) {
  const Job& job = picture.job;
  if (options.to_stdout() || is_direct(job)) {
    picture.format = options.format.value_or(result_format(picture.format));
  } else if (options.in_place) {
    check(result_format(picture.format) == picture.format, job.input.string(), ": ", image_format(picture.format).name,
          " files are only read here, so that --in-place cannot replace it");
  } else if (!job.outputs.empty()) {
    picture.format = *image_format_from_extension(job.outputs[0].extension().string());
  }
}

}  // namespace

void read_picture(const Options& options, const Limits& limits, const Stopping& stopping, Picture& picture) {
  const Clock clock(picture.read_seconds);
  const Job& job = picture.job;
  const std::string path = job.input.string();
  ReadLimits read = limits.read;
  if (options.tolerant) read.damage = &picture.damage;
  if (job.from_stdin() || is_pipe(path)) {
    // What comes from a pipe comes once.
    const std::string name = job.from_stdin() ? "the standard input" : path;
    const std::vector<std::uint8_t> bytes =
        job.from_stdin() ? read_stream(STDIN_FILENO, name, limits.stdin_start, read.max_file_bytes, stopping)
                         : read_pipe(path, read.max_file_bytes, stopping);
    picture.image = decode_image(name, bytes, read, &picture.metadata);
    picture.format = image_format_of(name, bytes).value_or(ImageFormat::kPng);
    settle_format(options, picture);
    read_frames(
        options, [&] { return decode_animation(name, bytes, read); }, picture);
  } else {
    struct stat status {};
    if (options.keep_time && ::stat(path.c_str(), &status) == 0) picture.modified = status.st_mtim;
    picture.image = read_image(path, read, &picture.metadata);
    if (options.to_stdout() || options.in_place || is_direct(job)) picture.format = image_info(path, read).format;
    settle_format(options, picture);
    read_frames(
        options, [&] { return read_animation(path, read); }, picture);
  }
  picture.bits = picture.metadata.file_bits.value_or(picture.image.bits);
  picture.width = picture.image.width;
  picture.height = picture.image.height;
  picture.read = true;
}

void enhance_picture(const Model<float>& model, const Options& options, const Limits& limits, Picture& picture,
                     const std::function<void(double)>& progress) {
  const Clock clock(picture.enhance_seconds);
  if (!picture.animation.frames.empty()) return enhance_animation(model, options, limits, picture, progress);
  settle_color(options, true, picture);
  const PhotoOptions photo = frame_options(options, limits, picture, progress);
  // Sheets are RGB, and so is all in some formats.
  if (options.sheet || !image_format(picture.format).gray) check_profile(picture.metadata, false);
  if (!picture.job.outputs.empty()) picture.left_out = find_losses(options, picture, photo);
  if (!options.maps.empty()) check_maps_memory(limits, picture);

  const std::vector<LightLevel> levels = levels_of(options, photo);
  const std::size_t wanted = std::max<std::size_t>(1, options.ladder.size());
  const bool several = levels.size() > 1;
  const WriteOptions writing = write_options(options, picture);
  // Its pictures are RGB; a gray picture's profile is for other pixels.
  const bool gray = picture.image.channels < 3;
  ComparePage page(fs::path(name_of(picture.job)).filename().string(), gray            ? std::vector<std::uint8_t>()
                                                                       : picture.color ? picture.color->profile()
                                                                                       : picture.metadata.icc);
  std::vector<Tile> tiles;
  if (options.sheet) tiles.push_back({shrink(picture.image, kSheetSide), ""});
  const auto shown = [&](const Image& image) { return gray && picture.color ? to_srgb(image, *picture.color) : image; };
  if (!options.compare.empty()) page.set_before(shown(picture.image));
  const auto use = [&](std::size_t i, EnhancedPhoto result) {
    if (!options.compare.empty()) page.add_level(shown(result.image), result.ratio, i == 0 && options.ladder.empty());
    if (options.sheet) tiles.push_back({shrink(result.image, kSheetSide), join("x", result.ratio)});
    if (i >= wanted) return;
    picture.results.push_back({result.ratio, result.strength, {}, limit_of(model, photo, result), {}, {}});
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
  picture.results.push_back({result.ratio, result.strength, {}, {}, std::move(result.image), {}});
}

WriteOptions write_options(const Options& options, const Picture& picture) {
  WriteOptions writing = options.write;
  writing.metadata = options.strip ? nullptr : &picture.metadata;
  return writing;
}

std::string result_line(const Picture& picture) {
  constexpr std::size_t kMaxName = 4096;
  std::string line = join(printable(name_of(picture.job), kMaxName), ": ", picture.width, "x", picture.height,
                          picture.frames > 1 ? join(", ", picture.frames, " frames") : "", ", ratio ");
  for (std::size_t i = 0; i < picture.results.size(); ++i) {
    line += join(i == 0 ? "" : ", ", std::round(picture.results[i].ratio * 100) / 100);
    const double strength = picture.results[i].strength;
    const std::string& limit = picture.results[i].limit;
    if (!limit.empty()) line += ", " + limit;
    if (strength == 0 && limit.empty()) line += ", left as it is: bright enough, or of one colour";
    if (picture.results[i].mean) {
      line += join(", mean ", std::round(*picture.results[i].mean * 100) / 100, ", the nearest to --target-mean");
    }
    if (strength > 0 && std::round(strength * 100) < 100) line += join(", strength ", std::round(strength * 100) / 100);
  }
  if (!picture.color_note.empty()) line += "; colours: " + printable(picture.color_note, kMaxName);
  if (!picture.damage.empty()) line += "; damaged, only what can be decoded: " + printable(picture.damage);
  for (std::size_t i = 0; i < picture.left_out.size(); ++i) {
    line += (i == 0 ? "; left out: " : ", ") + picture.left_out[i];
  }
  return line;
}

}  // namespace kind
