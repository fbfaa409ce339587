// Long because the module's functions and the parts of pictures behind them are of use nowhere else.
//
// What the page's workers call, built as WebAssembly (see CMakeLists.txt here): the method on a picture of 8-bit RGBA
// pixels, in parts. One worker measures the picture and chooses its light (kind_measure, kind_choose). The light goes to
// all workers as numbers that they need not understand. Each makes parts of the result, rows y0 <= y < y1 of the area
// inside a frame (kind_part_...), with the bits of the whole. Parts may share work: each decomposes its own rows alone,
// and gets the others' rows that it needs (kind_part_map_rows); and so with rows of values inside restoration
// (kind_part_exchange). No function throws: those that return bool or a pointer give false or null after an error, whose
// message is kind_error().

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/image/image.h"
#include "nets/automatic_light.h"
#include "nets/bands.h"
#include "nets/metering.h"
#include "nets/model.h"
#include "nets/picture_nets.h"
#include "nets/product.h"

#define KIND_EXPORT(name) extern "C" __attribute__((export_name(#name)))

/// The page's own: called now and then with how much of a part is done, 0..1.
extern "C" __attribute__((import_module("page"), import_name("progress"))) void kind_page_progress(double done);

namespace kind {
namespace {

/// What a part has to know of the whole picture: where its frame ends, how it was metered, and its light.
struct Light {
  PictureArea area;
  bool gray = false, transparent = false;
  float hidden[3] = {};  // what the nets see where nothing is to be seen
  InputRange range;
  Tensor<float> reduced;
  LightChoice choice;

  std::int64_t h() const { return area.height(); }
  std::int64_t w() const { return area.width(); }
};

/// As numbers. The page reads the first six: ratio, strength, and the area's top, bottom, left and right.
std::vector<double> numbers_of(const Light& light) {
  const LightChoice& choice = light.choice;
  std::vector<double> numbers{choice.ratio,
                              choice.strength,
                              static_cast<double>(light.area.top),
                              static_cast<double>(light.area.bottom),
                              static_cast<double>(light.area.left),
                              static_cast<double>(light.area.right),
                              choice.mixed,
                              light.gray ? 1.0 : 0.0,
                              light.transparent ? 1.0 : 0.0};
  for (const float value : light.hidden) numbers.push_back(static_cast<double>(value));
  for (const float value : {light.range.low, light.range.span}) numbers.push_back(static_cast<double>(value));
  const LocalStrength* const local = choice.local.get();
  for (const double value : {local ? 1.0 : 0.0, local ? local->level() : 1.0, local ? local->brighter() : 1.0,
                             local ? local->curve().gain : 1.0}) {
    numbers.push_back(value);
  }
  numbers.push_back(static_cast<double>(light.reduced.shape()[2]));
  numbers.push_back(static_cast<double>(light.reduced.shape()[3]));
  for (std::int64_t i = 0; i < light.reduced.size(); ++i) numbers.push_back(static_cast<double>(light.reduced[i]));
  return numbers;
}

Light light_of(const double* next) {
  Light light;
  light.choice.ratio = *next++;
  light.choice.strength = *next++;
  for (int* const side : {&light.area.top, &light.area.bottom, &light.area.left, &light.area.right}) {
    *side = static_cast<int>(*next++);
  }
  light.choice.mixed = *next++;
  light.gray = *next++ != 0;
  light.transparent = *next++ != 0;
  for (float& value : light.hidden) value = static_cast<float>(*next++);
  light.range.low = static_cast<float>(*next++);
  light.range.span = static_cast<float>(*next++);
  const bool local = *next++ != 0;
  const double level = *next++, brighter = *next++, gain = *next++;
  const auto rows = static_cast<std::int64_t>(*next++), columns = static_cast<std::int64_t>(*next++);
  light.reduced = Tensor<float>(Shape{1, 3, rows, columns});
  for (std::int64_t i = 0; i < light.reduced.size(); ++i) light.reduced[i] = static_cast<float>(*next++);
  if (local) {
    light.choice.local =
        std::make_shared<LocalStrength>(light.reduced, light.h(), light.w(), light.range, level, brighter);
    light.choice.local->set_gain(gain);
  }
  return light;
}

/// Rows of 8-bit RGBA pixels of a picture's whole width as the method sees them: inside the frame.
class Pixels {
 public:
  Pixels(int width, int rows) : image_(width, rows, 4) {}

  Image& image() { return image_; }

  /// Rows y0 <= y < y1 of these, columns left <= x < right, to planes.
  void read(int y0, int y1, int left, int right, float* const* planes) const {
    const int w = right - left;
    Rgb row(image_.width);
    for (int y = y0; y < y1; ++y) {
      get_rows(image_, y, y + 1, row.planes);
      for (int c = 0; c < 3; ++c) std::copy_n(row.planes[c] + left, w, planes[c] + std::int64_t{y - y0} * w);
    }
  }
  /// The same with a colour wherever a pixel is fully transparent.
  void read_visible(int y0, int y1, int left, int right, const float* hidden, float* const* planes) const {
    read(y0, y1, left, right, planes);
    for (int y = y0; y < y1; ++y) {
      for (int x = left; x < right; ++x) {
        if (image_.sample(x, y, 3) > 0) continue;
        for (int c = 0; c < 3; ++c) planes[c][std::int64_t{y - y0} * (right - left) + x - left] = hidden[c];
      }
    }
  }

 private:
  Image image_;
};

/// The picture that was measured last, without its pixels.
struct Measured {
  Light light;
  MeteredPicture metered;
};

bool any_transparent(const Image& image) {
  for (std::size_t i = 3; i < image.data.size(); i += 4) {
    if (image.data[i] < 255) return true;
  }
  return false;
}

/// Meters the area inside the frame, as kind-infer does.
Measured measure(Pixels& pixels, const InputConfig& config) {
  const Image& image = pixels.image();
  Measured measured;
  Light& light = measured.light;
  light.area = framed_area(image);
  const PictureArea area = light.area;
  const bool whole = area.width() == image.width && area.height() == image.height;
  // Before anything else, the part inside of the frame is looked at for colours and transparent pixels.
  const Image part = whole ? Image() : cut_out(image, area);
  light.gray = is_gray(whole ? image : part);
  light.transparent = any_transparent(whole ? image : part);
  Meter meter(area.height(), area.width(), config);
  std::vector<float> opacity;
  for (int y = area.top; y < area.bottom; y += kBand) {
    const int end = std::min(y + static_cast<int>(kBand), area.bottom);
    const std::int64_t count = std::int64_t{end - y} * area.width();
    Rgb rows(count);
    pixels.read(y, end, area.left, area.right, rows.planes);
    opacity.clear();
    for (int row = y; light.transparent && row < end; ++row) {
      for (int x = area.left; x < area.right; ++x) opacity.push_back(static_cast<float>(image.sample(x, row, 3)) / 255);
    }
    meter.add_rows(y - area.top, end - area.top, rows.planes, light.transparent ? opacity.data() : nullptr);
  }
  const std::vector<float> mean = meter.mean_color();
  std::copy_n(mean.begin(), 3, light.hidden);
  measured.metered = {meter.range(), meter.reduced(), meter.weights(), meter.lights()};
  light.range = measured.metered.range;
  light.reduced = measured.metered.reduced;
  return measured;
}

/// The rows that a part goes through.
struct PartSpans {
  RowSpan result;   // that it makes
  RowSpan maps;     // of reflectance and illumination, which the other nets see
  RowSpan picture;  // which decomposition sees for these
};

/// What parts do for one another, in the page's numbers.
enum Sharing {
  kAlone = 0,
  kMaps = 1,       // each decomposes its own rows alone
  kExchanges = 2,  // and they exchange rows in restoration
};

FusedRun::Sharing restoring(int sharing) {
  check(kAlone <= sharing && sharing <= kExchanges, "part: expected a sharing of 0 to 2, got ", sharing);
  return sharing == kExchanges ? FusedRun::Sharing::kExchanges : FusedRun::Sharing::kNone;
}

PartSpans spans_of(const Model<float>& model, std::int64_t h, std::int64_t w, RowSpan result, int sharing) {
  const std::int64_t margin = model.config.input.margin();
  PartSpans spans{result, PictureRun::needs(*model.adjustment, h, w, margin, result), {}};
  if (model.restoration) {
    const RowSpan more = PictureRun::needs(*model.restoration, h, w, margin, result, restoring(sharing));
    spans.maps = {std::min(spans.maps.first, more.first), std::max(spans.maps.end, more.end)};
  }
  spans.picture = PictureRun::needs(*model.decomposition, h, w, margin, sharing ? result : spans.maps);
  return spans;
}

/// A part of a picture: its maps, which are made once, and its rows of the result. Only the nets run that a change of the
/// light, the denoising or the strength concerns.
class Part {
 public:
  /// A part that shares work decomposes its own rows only, and gets what else it needs of the maps in map_rows().
  Part(const Model<float>& model, int width, std::int64_t h, std::int64_t w, RowSpan result, int sharing)
      : model_(model),
        h_(h),
        w_(w),
        margin_(model.config.input.margin()),
        spans_(spans_of(model, h, w, result, sharing)),
        sharing_(sharing),
        pixels_(width, static_cast<int>(spans_.picture.end - spans_.picture.first)),
        result_(width, static_cast<int>(result.end - result.first), 4) {}

  /// Where the page puts rows PartSpans::picture, and takes the result's from.
  Image& pixels() { return pixels_.image(); }
  Image& result() { return result_; }

  /// Of a plane of the maps (R_low's three, L_low), rows first <= y < end, one after the other.
  float* map_rows(int plane, std::int64_t first, std::int64_t end) {
    check(0 <= plane && plane < 4 && !maps_.empty() && spans_.maps.first <= first && first <= end &&
              end <= spans_.maps.end,
          "part: it has no rows ", first, " to ", end, " of the maps");
    return maps_[static_cast<std::size_t>(plane)].data() + (first - spans_.maps.first) * w_;
  }

  /// R_low and L_low, if they are not there yet.
  void decompose(const Light& light, Arena& arena) {
    if (!maps_.empty()) return;
    done_ = 0;
    all_ = kDecompose * rows(sharing_ ? spans_.result : spans_.maps);
    make_maps(light, arena);
  }

  /// Begins restoration in a part that exchanges rows; false where the model has none. Its memory is the arena's: if
  /// another net runs before it is finished, it has to begin again.
  bool begin_restoration(Arena& arena) {
    check(sharing_ == kExchanges, "part: only one that exchanges rows restores in steps");
    check(!maps_.empty(), "part: it has to be decomposed first");
    if (!model_.restoration) return false;
    restored_.clear();  // parts restore together or not at all
    restoring_ = nullptr;
    restoring_ = std::make_unique<Pass>(*this, *model_.restoration, spans_.result, 3, FusedRun::Sharing::kExchanges,
                                        reflectance_and_illumination(), arena);
    in_arena_ = restoring_.get();
    return true;
  }
  FusedRun& restoration() {
    if (in_arena_ != restoring_.get()) restoring_ = nullptr;
    check(restoring_ != nullptr, "part: its restoration has not begun, or another net has run since");
    return restoring_->run.inner();
  }
  /// Goes on to the next exchange, or to the end.
  void continue_restoration() {
    FusedRun& run = restoration();
    if (run.advance_to_exchange() < run.exchanges().size()) return;
    done_ = 0;
    all_ = kRestore * rows(spans_.result);
    restored_ = finished(*restoring_, kRestore);
    restoring_ = nullptr;
  }

  void run(const Light& light, double denoise, double strength, Arena& arena) {
    check(sharing_ == kAlone || !maps_.empty(), "part: it has to be decomposed first");
    const bool decompose = maps_.empty(), restore = model_.restoration && denoise > 0 && restored_.empty(),
               adjust = adjusted_.empty() || light.choice.ratio != ratio_;
    done_ = 0;
    all_ = (decompose ? kDecompose * rows(spans_.maps) : 0) + (restore ? kRestore * rows(spans_.result) : 0) +
           (adjust ? kAdjust * rows(spans_.result) : 0);
    if (decompose) make_maps(light, arena);
    if (restore) make_restored(arena);
    if (adjust) make_adjusted(light.choice.ratio, arena);
    put_together(light, denoise, strength);
  }

 private:
  using Planes = std::vector<std::vector<float>>;

  static double rows(RowSpan span) { return static_cast<double>(span.end - span.first); }

  /// One net on the way to some rows of its outputs.
  struct Pass {
    template <class Net>
    Pass(const Part& part, const Net& net, RowSpan span, int outputs, FusedRun::Sharing sharing,
         FusedRun::Source source, Arena& arena)
        : rows(span),
          planes(static_cast<std::size_t>(outputs),
                 std::vector<float>(static_cast<std::size_t>((span.end - span.first) * part.w_))),
          run(
              net.fused(), part.h_, part.w_, part.margin_, span, sharing, std::move(source),
              [this, w = part.w_](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1,
                                  const float* const* from) {
                for (std::int64_t c = 0; c < count; ++c) {
                  std::copy_n(from[c], (y1 - y0) * w,
                              planes[static_cast<std::size_t>(first + c)].data() + (y0 - rows.first) * w);
                }
              },
              arena) {}

    RowSpan rows;
    Planes planes;
    MirroredRun run;
  };

  Planes finished(Pass& pass, double work) {
    for (std::int64_t y = pass.rows.first; y < pass.rows.end; y += kBand) {
      pass.run.advance(std::min(y + kBand, pass.rows.end));
      done_ += work * static_cast<double>(std::min(kBand, pass.rows.end - y));
      kind_page_progress(std::min(1.0, done_ / all_));
    }
    return std::move(pass.planes);
  }
  template <class Net>
  Planes run(const Net& net, double work, RowSpan rows, int outputs, FusedRun::Source source, Arena& arena) {
    in_arena_ = nullptr;
    Pass pass(*this, net, rows, outputs, FusedRun::Sharing::kNone, std::move(source), arena);
    return finished(pass, work);
  }

  const float* map_row(std::size_t plane, std::int64_t y) const {
    return maps_[plane].data() + (y - spans_.maps.first) * w_;
  }

  void make_maps(const Light& light, Arena& arena) {
    const auto source = [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
      const int first = static_cast<int>(y0 - spans_.picture.first), end = static_cast<int>(y1 - spans_.picture.first);
      if (light.transparent) {
        pixels_.read_visible(first, end, light.area.left, light.area.right, light.hidden, planes);
      } else {
        pixels_.read(first, end, light.area.left, light.area.right, planes);
      }
      if (!model_.config.input.stretch) return;
      for (int c = 0; c < 3; ++c) {
        for (std::int64_t i = 0; i < (y1 - y0) * w_; ++i) planes[c][i] = light.range.stretched(planes[c][i]);
      }
    };
    if (sharing_ == kAlone) {
      maps_ = run(*model_.decomposition, kDecompose, spans_.maps, 4, source, arena);
      return;
    }
    const Planes own = run(*model_.decomposition, kDecompose, spans_.result, 4, source, arena);
    maps_.assign(4, std::vector<float>(static_cast<std::size_t>((spans_.maps.end - spans_.maps.first) * w_)));
    for (int plane = 0; plane < 4; ++plane) {
      const std::vector<float>& from = own[static_cast<std::size_t>(plane)];
      std::copy(from.begin(), from.end(), map_rows(plane, spans_.result.first, spans_.result.end));
    }
  }

  FusedRun::Source reflectance_and_illumination() const {
    return [this](std::int64_t y0, std::int64_t y1, float* const* planes) {
      for (std::size_t c = 0; c < 4; ++c) std::copy_n(map_row(c, y0), (y1 - y0) * w_, planes[c]);
    };
  }

  void make_restored(Arena& arena) {
    check(sharing_ != kExchanges, "part: it has to be restored in steps first");
    restored_ = run(*model_.restoration, kRestore, spans_.result, 3, reflectance_and_illumination(), arena);
  }

  void make_adjusted(double ratio, Arena& arena) {
    const auto source = [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
      std::copy_n(map_row(3, y0), (y1 - y0) * w_, planes[0]);
      std::fill_n(planes[1], (y1 - y0) * w_, static_cast<float>(ratio));
    };
    adjusted_ = run(*model_.adjustment, kAdjust, spans_.result, 1, source, arena);
    ratio_ = ratio;
  }

  /// As Enhancement does: the product, mixed with the picture as the light says, then by `strength`.
  void put_together(const Light& light, double denoise, double strength) {
    const int left = light.area.left, right = light.area.right;
    const std::int64_t first = spans_.result.first, above = first - spans_.picture.first;
    const auto share = static_cast<float>(denoise);
    LightChoice all;
    all.mixed = strength;
    Image rows(static_cast<int>(w_), 1, 3);
    std::copy_n(pixels_.image().row(static_cast<int>(above)), result_.data.size(), result_.data.data());
    for (std::int64_t y = first; y < spans_.result.end; ++y) {
      Rgb before(w_), out(w_);
      const std::int64_t at = (y - first) * w_;
      for (std::size_t c = 0; c < 3; ++c) {
        const float* const low = map_row(c, y);
        const float* const high = restored_.empty() ? low : restored_[c].data() + at;
        for (std::int64_t x = 0; x < w_; ++x) {
          out.planes[c][x] = share == 1 ? high[x] : low[x] + share * (high[x] - low[x]);
        }
      }
      multiply_rows(w_, out.planes, adjusted_[0].data() + at, out.planes);
      const int row = static_cast<int>(y - spans_.picture.first);
      pixels_.read(row, row + 1, left, right, before.planes);
      mix_rows(light.choice, y, y + 1, before.planes, out.planes, w_);
      mix_rows(all, y, y + 1, before.planes, out.planes, w_);
      (light.gray ? put_gray_rows : put_rows)(rows, 0, 1, out.planes);
      for (int x = 0; x < static_cast<int>(w_); ++x) {
        std::copy_n(rows.data.data() + 3 * x, 3, result_.row(static_cast<int>(y - first)) + 4 * (left + x));
      }
    }
  }

  const Model<float>& model_;
  const std::int64_t h_, w_, margin_;
  const PartSpans spans_;
  const int sharing_;  // Sharing
  Pixels pixels_;
  Image result_;
  Planes maps_, restored_, adjusted_;             // red, green, blue of R_low and L_low; R_hat; L_hat
  std::unique_ptr<Pass> restoring_;               // in steps, until the last one
  static inline const Pass* in_arena_ = nullptr;  // the one in steps whose memory the arena holds
  double ratio_ = 0;                              // of adjusted_
  double done_ = 0, all_ = 0;
};

// What a worker holds.
std::optional<Model<float>> model;
std::unique_ptr<Pixels> picture;
std::optional<Measured> measured;
std::vector<double> chosen, plan, exchanges;
std::map<int, std::unique_ptr<Part>> parts;
int last_part = 0;
Arena arena;
std::string error;

/// Runs it; false after an error, whose message is kept.
template <class Work>
bool guarded(const Work& work) noexcept {
  try {
    work();
    return true;
  } catch (const std::bad_alloc&) {
    error = "there is not enough memory for this picture";
  } catch (const std::exception& what) {
    error = what.what();
  }
  return false;
}

Part& part_of(int id) {
  const auto found = parts.find(id);
  check(found != parts.end(), "part ", id, ": there is none such");
  return *found->second;
}

}  // namespace
}  // namespace kind

using namespace kind;

KIND_EXPORT(kind_error) const char* kind_error() { return error.c_str(); }

/// Memory for the page to write to: of a model file, or of a light's numbers.
KIND_EXPORT(kind_take) void* kind_take(std::size_t bytes) {
  void* block = nullptr;
  guarded([&] { block = ::operator new(bytes); });
  return block;
}
KIND_EXPORT(kind_give) void kind_give(void* block) { ::operator delete(block); }

/// Reads a model file (safetensors) with all three nets, or without restoration.
KIND_EXPORT(kind_open) bool kind_open(const std::uint8_t* bytes, std::size_t size) {
  return guarded([&] {
    Model<float> loaded = model_of<float>(parse_safetensors(std::vector<std::uint8_t>(bytes, bytes + size), "model"));
    check(loaded.decomposition && loaded.adjustment, "model: it has no decomposition or no adjustment net");
    model.emplace(std::move(loaded));
  });
}

/// The picture to measure: where its rows of RGBA pixels go.
KIND_EXPORT(kind_picture) std::uint8_t* kind_picture(int width, int height) {
  std::uint8_t* pixels = nullptr;
  guarded([&] {
    picture = std::make_unique<Pixels>(width, height);
    pixels = picture->image().data.data();
  });
  return pixels;
}
/// Measures it. Its pixels are not needed any more.
KIND_EXPORT(kind_measure) bool kind_measure() {
  return guarded([] {
    check(picture && model, "measure: there is no picture or no model");
    measured = measure(*picture, model->config.input);
    picture = nullptr;
  });
}

/// The light of the picture that was measured: automatic and so many stops brighter, or a ratio above 0. `everywhere`:
/// bright parts are enhanced as well (fusion none). Returns its numbers, kind_light_size() of them.
KIND_EXPORT(kind_choose) const double* kind_choose(double stops, double ratio, bool everywhere) {
  const bool found = guarded([&] {
    check(measured.has_value() && model, "light: no picture was measured");
    LightLevel level;
    level.stops = stops;
    if (ratio > 0) level = {LightLevel::Mode::kRatio, ratio};
    const NoGrad no_grad;
    const Light& light = measured->light;
    measured->light.choice = choose_light(*model, measured->metered, light.h(), light.w(), level,
                                          everywhere ? Fusion::kNone : Fusion::kAuto);
    chosen = numbers_of(measured->light);
  });
  return found ? chosen.data() : nullptr;
}
KIND_EXPORT(kind_light_size) std::size_t kind_light_size() { return chosen.size(); }

/// Divides an area of h rows of w pixels among `count` parts: six numbers for each, the rows y0 <= y < y1 of the result,
/// the rows of the picture and those of the maps that these depend on. `sharing`: see Sharing.
KIND_EXPORT(kind_plan) const double* kind_plan(int h, int w, int count, int sharing) {
  const bool made = guarded([&] {
    check(model.has_value() && h >= 1 && w >= 1 && count >= 1 && count <= h, "plan: there is no model or no picture");
    plan.clear();
    for (std::int64_t i = 0; i < count; ++i) {
      const PartSpans spans = spans_of(*model, h, w, {h * i / count, h * (i + 1) / count}, sharing);
      for (const RowSpan span : {spans.result, spans.picture, spans.maps}) {
        plan.push_back(static_cast<double>(span.first));
        plan.push_back(static_cast<double>(span.end));
      }
    }
  });
  return made ? plan.data() : nullptr;
}

/// Bytes that a part of so many rows takes of an area of h rows of w pixels, about: for the page to decide how many workers
/// may have one, and what they share. 0 after an error.
KIND_EXPORT(kind_part_memory) double kind_part_memory(int h, int w, int rows, int sharing) {
  double bytes = 0;
  guarded([&] {
    check(model.has_value() && rows >= 1 && rows <= h, "part: there is no model or no picture");
    const std::int64_t margin = model->config.input.margin(), first = (h - rows) / 2;
    const PartSpans spans = spans_of(*model, h, w, {first, first + rows}, sharing);
    const auto run = [&](const auto& net, int how) {
      return static_cast<double>(MirroredRun::bytes(net.fused(), h, w, margin, spans.result, restoring(how)));
    };
    const double nets = std::max({run(*model->decomposition, kAlone), run(*model->adjustment, kAlone),
                                  model->restoration ? run(*model->restoration, sharing) : 0.0});
    // Four maps of floats, and pixels; R_hat, L_hat and the result.
    const double read = 16.0 * static_cast<double>(spans.maps.end - spans.maps.first) +
                        4.0 * static_cast<double>(spans.picture.end - spans.picture.first);
    bytes = nets + static_cast<double>(w) * (read + 20.0 * rows);
  });
  return bytes;
}

/// A new part, rows y0 <= y < y1 of an area of h x w pixels in a picture of `width` columns; its number, 0 after an error.
KIND_EXPORT(kind_part) int kind_part(int width, int h, int w, int y0, int y1, int sharing) {
  const bool made = guarded([&] {
    check(model.has_value(), "part: there is no model");
    parts[last_part + 1] = std::make_unique<Part>(*model, width, h, w, RowSpan{y0, y1}, sharing);
  });
  return made ? ++last_part : 0;
}
/// Where the rows of the picture go that it depends on, of the whole width.
KIND_EXPORT(kind_part_pixels) std::uint8_t* kind_part_pixels(int id) {
  std::uint8_t* pixels = nullptr;
  guarded([&] { pixels = part_of(id).pixels().data.data(); });
  return pixels;
}
/// Decomposes a part: of a shared one, its own rows of the result.
KIND_EXPORT(kind_part_decompose) bool kind_part_decompose(int id, const double* light) {
  return guarded([&] {
    const NoGrad no_grad;
    part_of(id).decompose(light_of(light), arena);
  });
}
/// Where rows first <= y < end of one of its four maps lie, to be read or written.
KIND_EXPORT(kind_part_map_rows) float* kind_part_map_rows(int id, int plane, int first, int end) {
  float* place = nullptr;
  guarded([&] { place = part_of(id).map_rows(plane, first, end); });
  return place;
}
/// Begins restoration in a part that exchanges rows. Returns the number of exchanges, or -1 without a restoration net, and
/// five numbers for each: the rows y0 <= y < y1 that this part makes and those that it needs, and the floats of a row.
/// kind_part_exchange has to be called for each exchange and once more. If the worker runs another net before that, or
/// after an error, restoration has to begin again.
KIND_EXPORT(kind_part_restore) const double* kind_part_restore(int id) {
  const bool begun = guarded([&] {
    Part& part = part_of(id);
    exchanges = {-1.0};
    if (!part.begin_restoration(arena)) return;
    exchanges[0] = static_cast<double>(part.restoration().exchanges().size());
    for (const FusedRun::Exchange& exchange : part.restoration().exchanges()) {
      for (const std::int64_t number :
           {exchange.made.first, exchange.made.end, exchange.needed.first, exchange.needed.end, exchange.floats}) {
        exchanges.push_back(static_cast<double>(number));
      }
    }
  });
  return begun ? exchanges.data() : nullptr;
}
/// Restores up to the next exchange, or after the last one to the end.
KIND_EXPORT(kind_part_exchange) bool kind_part_exchange(int id) {
  return guarded([&] {
    const NoGrad no_grad;
    part_of(id).continue_restoration();
  });
}
/// Copies rows first <= y < end of the exchange that was reached, (end - first) * floats numbers, to `rows`, or takes them
/// from there.
KIND_EXPORT(kind_part_get_rows) bool kind_part_get_rows(int id, int first, int end, float* rows) {
  return guarded([&] { part_of(id).restoration().get_rows({first, end}, rows); });
}
KIND_EXPORT(kind_part_put_rows) bool kind_part_put_rows(int id, int first, int end, const float* rows) {
  return guarded([&] { part_of(id).restoration().put_rows({first, end}, rows); });
}
/// Makes its rows, or makes them anew for another light, denoising (0..1) or strength (0..1). Returns them, RGBA pixels of
/// the whole width.
KIND_EXPORT(kind_part_run)
const std::uint8_t* kind_part_run(int id, const double* light, double denoise, double strength) {
  const std::uint8_t* pixels = nullptr;
  guarded([&] {
    Part& part = part_of(id);
    const NoGrad no_grad;
    part.run(light_of(light), denoise, strength, arena);
    pixels = part.result().data.data();
  });
  return pixels;
}
KIND_EXPORT(kind_part_close) void kind_part_close(int id) { parts.erase(id); }
