// Long because the bands of three nets that run behind one another share their rows.

#include "nets/photograph.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "nets/metering.h"
#include "nets/mirror.h"

namespace kind {
namespace {

constexpr std::int64_t kGrain = 16384;
/// Rows that are put together at a time.
constexpr std::int64_t kBand = 64;

/// Rows of some planes, of which the newest are appended and the oldest dropped.
class RowQueue {
 public:
  RowQueue(std::size_t planes, std::int64_t w) : planes_(planes), w_(w) {}

  void append(std::size_t plane, const float* from, std::int64_t rows) {
    planes_[plane].rows.insert(planes_[plane].rows.end(), from, from + rows * w_);
  }
  const float* row(std::size_t plane, std::int64_t y) const {
    return planes_[plane].rows.data() + (y - planes_[plane].first) * w_;
  }
  /// Forgets the rows before y; in memory once they are half of all, so that time stays linear.
  void drop_before(std::int64_t y) {
    for (Plane& plane : planes_) {
      const std::int64_t old = (y - plane.first) * w_;
      if (2 * old < static_cast<std::int64_t>(plane.rows.size())) continue;
      plane.rows.erase(plane.rows.begin(), plane.rows.begin() + static_cast<std::ptrdiff_t>(old));
      plane.first = y;
    }
  }

 private:
  struct Plane {
    std::vector<float> rows;
    std::int64_t first = 0;
  };
  std::vector<Plane> planes_;
  std::int64_t w_;
};

Image empty_result(const Image& photo, const PhotoOptions& options) {
  const bool gray = photo.channels < 3, alpha = options.alpha && photo.has_alpha();
  return Image(photo.width, photo.height, (gray ? 1 : 3) + (alpha ? 1 : 0),
               options.bits == 0 ? photo.bits : options.bits);
}

void copy_alpha(const Image& photo, Image& result) {
  if (!result.has_alpha()) return;
  const int from = photo.channels - 1, to = result.channels - 1;
  const std::int64_t maximum = photo.maximum(), wanted = result.maximum();
  parallel_for(photo.height, 64, [&](std::int64_t begin, std::int64_t end) {
    for (int y = static_cast<int>(begin); y < static_cast<int>(end); ++y) {
      for (int x = 0; x < photo.width; ++x) {
        const std::int64_t value = photo.sample(x, y, from);
        result.set_sample(x, y, to, static_cast<int>((2 * value * wanted + maximum) / (2 * maximum)));
      }
    }
  });
}

/// The frame of a picture, and all the rest, into a result of any kind.
void copy_frame(const Image& photo, Image& result) {
  std::vector<float> row(static_cast<std::size_t>(3 * photo.width));
  float* const planes[] = {row.data(), row.data() + photo.width, row.data() + 2 * photo.width};
  for (int y = 0; y < photo.height; ++y) {
    get_rows(photo, y, y + 1, planes);
    put_rows(result, y, y + 1, planes);
  }
  copy_alpha(photo, result);
}

/// One picture on its way through the nets.
class Work {
 public:
  Work(const Model<float>& model, Image photo, const PhotoOptions& options, std::size_t levels)
      : model_(model),
        options_(options),
        photo_(std::move(photo)),
        gray_(is_gray(photo_)),
        h_(photo_.height),
        w_(photo_.width),
        plane_(h_ * w_),
        margin_(model.config.input.margin()),
        decomposition_(model.decomposition->fused()),
        adjustment_(model.adjustment->fused()),
        left_(levels) {
    if (model.restoration) restoration_.emplace(model.restoration->fused());
    transparent_ = photo_.has_alpha() && any_transparent();
    meter();
  }

  bool fused() const {
    return options_.fusion != Fusion::kOfficial && decomposition_.runnable() && adjustment_.runnable() &&
           (!restoration_ || restoration_->runnable());
  }

  PhotoMemory memory(const std::vector<LightLevel>& levels) const {
    const std::uint64_t pixels = static_cast<std::uint64_t>(plane_), row = static_cast<std::uint64_t>(w_) * 4;
    const Image one = empty_result(Image(1, 1, photo_.channels, photo_.bits), options_);
    const std::uint64_t result = one.data.size() * pixels;
    const bool in_place = levels.size() == 1 && one.channels == photo_.channels && one.bits == photo_.bits;
    const std::uint64_t images = photo_.data.size() + (in_place ? 0 : result);
    if (!fused()) return {images + pixels * 4 * (options_.fusion == Fusion::kOfficial ? 48 : 40), 0};
    const std::uint64_t decompose = MirroredRun::bytes(decomposition_, h_, w_, margin_),
                        restore = restoration_ ? MirroredRun::bytes(*restoration_, h_, w_, margin_) : 0,
                        adjust = MirroredRun::bytes(adjustment_, h_, w_, margin_);
    PhotoMemory memory;
    memory.held =
        images + pixels * 4 * (options_.denoise < 1 ? 7 : 4) + 8 * kBand * row + std::max({decompose, restore, adjust});
    for (const LightLevel& level : levels) {
      if (level.mode == LightLevel::Mode::kTargetMean) return memory;
    }
    // Restoration asks for rows long before it gives any: those of the lower levels' reach.
    const std::uint64_t queues = 2 * 8 * (kBand + 768) * row;
    memory.bands = images + decompose + restore + adjust + queues;
    return memory;
  }

  void run(const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use) {
    if (!fused()) return run_whole(levels, use);
    const PhotoMemory needed = memory(levels);
    bool bands = options_.bands && needed.bands > 0;
    if (options_.max_bytes > 0) {
      const std::uint64_t least = needed.bands == 0 ? needed.held : std::min(needed.bands, needed.held);
      constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
      check(least <= options_.max_bytes, "a picture of ", w_, " x ", h_, " pixels needs ", least / kMebibyte + 1,
            " MiB of memory, the limit is ", options_.max_bytes / kMebibyte, " MiB");
      if (needed.held > options_.max_bytes) bands = true;
    }
    bands ? run_bands(levels, use) : run_held(levels, use);
  }

  /// Through enhance().
  Enhanced whole(const LightLevel& level, bool maps) const {
    Tensor<float> picture(Shape{1, 3, h_, w_});
    float* const planes[] = {picture.data(), picture.data() + plane_, picture.data() + 2 * plane_};
    visible_rows(0, h_, planes);
    return enhance(model_, std::move(picture), metered_, {level, options_.fusion, maps, options_.denoise});
  }

 private:
  using Planes = const float* const*;

  // ---- the picture's samples

  bool any_transparent() const {
    for (int y = 0; y < h_; ++y) {
      for (int x = 0; x < w_; ++x) {
        if (photo_.sample(x, y, photo_.channels - 1) < photo_.maximum()) return true;
      }
    }
    return false;
  }
  void read_opacity(std::int64_t y0, std::int64_t y1, float* opacity) const {
    const auto maximum = static_cast<float>(photo_.maximum());
    for (int y = static_cast<int>(y0); y < y1; ++y) {
      for (int x = 0; x < w_; ++x) {
        *opacity++ = static_cast<float>(photo_.sample(x, y, photo_.channels - 1)) / maximum;
      }
    }
  }
  void meter() {
    Meter meter(h_, w_, model_.config.input);
    std::vector<float> rows(static_cast<std::size_t>(3 * kBand * w_)), opacity;
    if (transparent_) opacity.resize(static_cast<std::size_t>(kBand * w_));
    for (std::int64_t y = 0; y < h_; y += kBand) {
      const std::int64_t end = std::min(y + kBand, h_), count = (end - y) * w_;
      read_rows(y, end, rows.data());
      if (transparent_) read_opacity(y, end, opacity.data());
      const float* const planes[] = {rows.data(), rows.data() + count, rows.data() + 2 * count};
      meter.add_rows(y, end, planes, transparent_ ? opacity.data() : nullptr);
    }
    metered_ = {meter.range(), meter.reduced(), meter.weights(), meter.lights()};
    hidden_color_ = meter.mean_color();
  }
  void read_rows(std::int64_t y0, std::int64_t y1, float* rows) const {
    float* const planes[] = {rows, rows + (y1 - y0) * w_, rows + 2 * (y1 - y0) * w_};
    get_rows(photo_, static_cast<int>(y0), static_cast<int>(y1), planes);
  }
  /// With the mean colour of what is visible wherever nothing is.
  void visible_rows(std::int64_t y0, std::int64_t y1, float* const* planes) const {
    get_rows(photo_, static_cast<int>(y0), static_cast<int>(y1), planes);
    if (!transparent_) return;
    for (std::int64_t y = y0; y < y1; ++y) {
      for (int x = 0; x < w_; ++x) {
        if (photo_.sample(x, static_cast<int>(y), photo_.channels - 1) > 0) continue;
        for (std::size_t c = 0; c < 3; ++c) planes[c][(y - y0) * w_ + x] = hidden_color_[c];
      }
    }
  }
  /// Rows as the nets see them.
  void input_rows(std::int64_t y0, std::int64_t y1, float* const* planes) const {
    visible_rows(y0, y1, planes);
    if (!model_.config.input.stretch) return;
    const InputRange range = metered_.range;
    parallel_for((y1 - y0) * w_, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (int c = 0; c < 3; ++c) {
        for (std::int64_t i = begin; i < end; ++i) planes[c][i] = range.stretched(planes[c][i]);
      }
    });
  }

  // ---- progress, in floating-point operations a pixel

  static constexpr double kDecompose = 121, kRestore = 371, kAdjust = 39;
  void expect(double work) { expected_ += work * static_cast<double>(h_); }
  void done(double work, std::int64_t rows) {
    done_ += work * static_cast<double>(rows);
    if (options_.progress) options_.progress(std::min(1.0, done_ / expected_));
  }

  // ---- the nets, a band at a time

  FusedRun::Source picture_source() {
    return [this](std::int64_t y0, std::int64_t y1, float* const* planes) {
      input_rows(y0, y1, planes);
      done(kDecompose, y1 - y0);
    };
  }

  /// The output for rows y0 <= y < y1 from R_hat (and R_low, where they are to be mixed) and L_hat, to the result.
  void put_together(std::int64_t y0, std::int64_t y1, Planes restored, Planes reflectance, const float* light,
                    Image& result) {
    const std::int64_t count = (y1 - y0) * w_;
    std::vector<float> out(static_cast<std::size_t>(3 * count));
    multiply(count, restored, reflectance, light, out.data());
    mix(y0, y1, choice_, out.data());
    if (options_.strength < 1) {
      LightChoice share;
      share.mixed = options_.strength;
      mix(y0, y1, share, out.data());
    }
    const float* const planes[] = {out.data(), out.data() + count, out.data() + 2 * count};
    (gray_ ? put_gray_rows : put_rows)(result, static_cast<int>(y0), static_cast<int>(y1), planes);
  }
  /// The picture's own rows into `out`, three planes of the enhanced ones.
  void mix(std::int64_t y0, std::int64_t y1, const LightChoice& choice, float* out) const {
    if (!choice.local && choice.mixed == 1) return;
    const std::int64_t count = (y1 - y0) * w_;
    std::vector<float> before(static_cast<std::size_t>(3 * count));
    read_rows(y0, y1, before.data());
    const float* const from[] = {before.data(), before.data() + count, before.data() + 2 * count};
    float* const to[] = {out, out + count, out + 2 * count};
    mix_rows(choice, y0, y1, from, to, w_);
  }
  void multiply(std::int64_t count, Planes restored, Planes reflectance, const float* light, float* out) const {
    const auto share = static_cast<float>(options_.denoise);
    parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        float color[3];
        for (std::int64_t c = 0; c < 3; ++c) {
          const float r = restored[c][i];
          color[c] = (reflectance ? reflectance[c][i] + share * (r - reflectance[c][i]) : r) * light[i];
        }
        clip_color(color[0], color[1], color[2]);
        for (std::int64_t c = 0; c < 3; ++c) out[c * count + i] = color[c];
      }
    });
  }

  /// The next result. The last one takes the picture's place where it is of the same kind.
  Image take_result() {
    Image result = empty_result(Image(1, 1, photo_.channels, photo_.bits), options_);
    if (--left_ == 0 && result.channels == photo_.channels && result.bits == photo_.bits) return {};
    result = empty_result(photo_, options_);
    copy_alpha(photo_, result);
    return result;
  }
  EnhancedPhoto give_result(Image& result, double ratio) {
    return {result.data.empty() ? std::move(photo_) : std::move(result), ratio, automatic_ ? choice_.strength : 1};
  }
  Image& target(Image& result) { return result.data.empty() ? photo_ : result; }

  void choose(const LightLevel& level) {
    choice_ = choose_light(model_, metered_, h_, w_, level, options_.fusion);
    automatic_ = level.mode == LightLevel::Mode::kAuto;
  }

  /// Adjustment of the whole picture, whose rows of L_hat go to `use(y0, y1, rows)`.
  void adjust(const std::vector<float>& illumination, double ratio,
              const std::function<void(std::int64_t, std::int64_t, const float*)>& use) {
    MirroredRun run(
        adjustment_, h_, w_, margin_,
        [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
          std::copy_n(illumination.data() + y0 * w_, (y1 - y0) * w_, planes[0]);
          std::fill_n(planes[1], (y1 - y0) * w_, static_cast<float>(ratio));
        },
        [&](std::int64_t, std::int64_t, std::int64_t y0, std::int64_t y1, const float* const* planes) {
          use(y0, y1, planes[0]);
          done(kAdjust, y1 - y0);
        },
        arena_);
    run.advance(h_);
  }

  /// All maps in memory.
  void run_held(const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use) {
    expect(kDecompose + (restoration_ ? kRestore : 0));
    for (const LightLevel& level : levels) expect(level.mode == LightLevel::Mode::kTargetMean ? 13 * kAdjust : kAdjust);
    const auto size = static_cast<std::size_t>(plane_);
    std::vector<float> illumination(size), restored(3 * size), reflectance;
    {
      MirroredRun run(
          decomposition_, h_, w_, margin_, picture_source(),
          [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
            for (std::int64_t c = 0; c < count; ++c) {
              float* map = first + c < 3 ? restored.data() + (first + c) * plane_ : illumination.data();
              std::copy_n(planes[c], (y1 - y0) * w_, map + y0 * w_);
            }
          },
          arena_);
      run.advance(h_);
    }
    if (restoration_ && options_.denoise < 1) reflectance = restored;
    if (restoration_) {
      // Its rows are asked for before they are overwritten.
      MirroredRun run(
          *restoration_, h_, w_, margin_,
          [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
            for (std::int64_t c = 0; c < 3; ++c) {
              std::copy_n(restored.data() + c * plane_ + y0 * w_, (y1 - y0) * w_, planes[c]);
            }
            std::copy_n(illumination.data() + y0 * w_, (y1 - y0) * w_, planes[3]);
          },
          [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
            for (std::int64_t c = 0; c < count; ++c) {
              std::copy_n(planes[c], (y1 - y0) * w_, restored.data() + (first + c) * plane_ + y0 * w_);
            }
            done(kRestore, y1 - y0);
          },
          arena_);
      run.advance(h_);
    }
    const auto at_row = [&](const std::vector<float>& planes, std::int64_t y) {
      const std::size_t skip = static_cast<std::size_t>(y * w_);
      return std::vector<const float*>{&planes[skip], &planes[size + skip], &planes[2 * size + skip]};
    };
    for (std::size_t i = 0; i < levels.size(); ++i) {
      choose(levels[i]);
      if (levels[i].mode == LightLevel::Mode::kTargetMean) {
        const double found = ratio_for_mean(levels[i].value, [&](double trial) {
          double sums[3] = {};
          choice_.set_ratio(trial);
          adjust(illumination, trial, [&](std::int64_t y0, std::int64_t y1, const float* light) {
            const std::int64_t count = (y1 - y0) * w_;
            std::vector<float> out(static_cast<std::size_t>(3 * count));
            multiply(count, at_row(restored, y0).data(), reflectance.empty() ? nullptr : at_row(reflectance, y0).data(),
                     light, out.data());
            mix(y0, y1, choice_, out.data());
            for (std::int64_t c = 0; c < 3; ++c) {
              for (std::int64_t p = 0; p < count; ++p)
                sums[c] += static_cast<double>(out[static_cast<std::size_t>(c * count + p)]);
            }
          });
          return mean_of_planes(sums, plane_);
        });
        choice_.set_ratio(found);
      }
      Image result = take_result();
      adjust(illumination, choice_.ratio, [&](std::int64_t y0, std::int64_t y1, const float* light) {
        put_together(y0, y1, at_row(restored, y0).data(),
                     reflectance.empty() ? nullptr : at_row(reflectance, y0).data(), light, target(result));
      });
      use(i, give_result(result, choice_.ratio));
    }
  }

  /// Nothing but rows in memory.
  void run_bands(const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use) {
    for (std::size_t i = 0; i < levels.size(); ++i) expect(kDecompose + kAdjust + (restoration_ ? kRestore : 0));
    arena_.clear();
    for (std::size_t i = 0; i < levels.size(); ++i) {
      choose(levels[i]);
      Image result = take_result();
      run_chain(choice_.ratio, target(result));
      use(i, give_result(result, choice_.ratio));
    }
  }

  void run_chain(double ratio, Image& result) {
    RowQueue maps(4, w_), clean(3, w_), light(1, w_);
    std::int64_t maps_rows = 0;
    Arena decompose_arena, restore_arena, adjust_arena;
    MirroredRun decompose(
        decomposition_, h_, w_, margin_, picture_source(),
        [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
          for (std::int64_t c = 0; c < count; ++c) maps.append(static_cast<std::size_t>(first + c), planes[c], y1 - y0);
        },
        decompose_arena);
    const auto need_maps = [&](std::int64_t rows) {
      if (rows > maps_rows) decompose.advance(rows);
      maps_rows = std::max(maps_rows, rows);
    };
    std::optional<MirroredRun> restore;
    if (restoration_) {
      restore.emplace(
          *restoration_, h_, w_, margin_,
          [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
            need_maps(y1);
            for (std::size_t c = 0; c < 4; ++c) std::copy_n(maps.row(c, y0), (y1 - y0) * w_, planes[c]);
          },
          [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
            for (std::int64_t c = 0; c < count; ++c)
              clean.append(static_cast<std::size_t>(first + c), planes[c], y1 - y0);
            done(kRestore, y1 - y0);
          },
          restore_arena);
    }
    MirroredRun adjust(
        adjustment_, h_, w_, margin_,
        [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
          need_maps(y1);
          std::copy_n(maps.row(3, y0), (y1 - y0) * w_, planes[0]);
          std::fill_n(planes[1], (y1 - y0) * w_, static_cast<float>(ratio));
          adjusted_to_ = y1;
        },
        [&](std::int64_t, std::int64_t, std::int64_t y0, std::int64_t y1, const float* const* planes) {
          light.append(0, planes[0], y1 - y0);
          done(kAdjust, y1 - y0);
        },
        adjust_arena);
    adjusted_to_ = 0;
    for (std::int64_t y = 0; y < h_; y += kBand) {
      const std::int64_t end = std::min(y + kBand, h_);
      if (restore) restore->advance(end);
      adjust.advance(end);
      need_maps(end);
      const RowQueue& restored = restore ? clean : maps;
      const float* const r[] = {restored.row(0, y), restored.row(1, y), restored.row(2, y)};
      const float* const low[] = {maps.row(0, y), maps.row(1, y), maps.row(2, y)};
      // Rows of the picture that are overwritten here have been read: each net is behind the one before it.
      put_together(y, end, r, restore && options_.denoise < 1 ? low : nullptr, light.row(0, y), result);
      clean.drop_before(end);
      light.drop_before(end);
      maps.drop_before(std::min(end, adjusted_to_));
    }
  }

  /// Through enhance(), where the nets cannot run as rows go by.
  void run_whole(const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use) {
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const Enhanced enhanced = whole(levels[i], false);
      choice_ = {};  // what is mixed is in the output already
      choice_.strength = enhanced.strength;
      Image result = take_result();
      for (std::int64_t y = 0; y < h_; y += kBand) {
        const std::int64_t end = std::min(y + kBand, h_), count = (end - y) * w_;
        std::vector<float> ones(static_cast<std::size_t>(count), 1.0f);
        const float* rows = enhanced.output.data() + y * w_;
        const float* const planes[] = {rows, rows + plane_, rows + 2 * plane_};
        put_together(y, end, planes, nullptr, ones.data(), target(result));
      }
      if (options_.progress) options_.progress(static_cast<double>(i + 1) / static_cast<double>(levels.size()));
      use(i, give_result(result, enhanced.ratio));
    }
  }

  const Model<float>& model_;
  const PhotoOptions& options_;
  Image photo_;
  const bool gray_;                            // so is the result, also where it is stored as RGB
  const std::int64_t h_, w_, plane_, margin_;  // margin_: reflection padding around the nets' inputs
  FusedNet decomposition_, adjustment_;
  std::optional<FusedNet> restoration_;
  std::size_t left_;  // results still to come
  bool transparent_ = false;  // in places
  MeteredPicture metered_;
  std::vector<float> hidden_color_;  // stands for what is fully transparent
  double expected_ = 0, done_ = 0;
  std::int64_t adjusted_to_ = 0;
  LightChoice choice_;  // for the level at hand
  bool automatic_ = true;
  Arena arena_;
};

void check_options(const Model<float>& model, const Image& photo, const PhotoOptions& options) {
  check(model.decomposition.has_value(), "model: it has no decomposition net, which enhancing needs");
  check(model.adjustment.has_value(), "model: it has no adjustment net, which enhancing needs");
  check(photo.width > 0 && photo.height > 0, "picture: it is empty");
  check(photo.channels >= 1 && photo.channels <= 4 && (photo.bits == 8 || photo.bits == 16) &&
            photo.data.size() == photo.row_bytes() * static_cast<std::size_t>(photo.height),
        "picture: expected 1 to 4 channels of 8 or 16 bits and as many bytes as these take, got ", photo.channels,
        " channels of ", photo.bits, " bits in ", photo.data.size(), " bytes");
  check(options.bits == 0 || options.bits == 8 || options.bits == 16, "bits: expected 0, 8 or 16, got ", options.bits);
  for (const auto& [name, value] : {std::pair{"denoise", options.denoise}, {"strength", options.strength}}) {
    check(value >= 0 && value <= 1, name, ": expected a number from 0 to 1, got ", value);
  }
}

}  // namespace

EnhancedPhoto enhance_photo(const Model<float>& model, Image photo, const PhotoOptions& options) {
  EnhancedPhoto only;
  enhance_levels(model, std::move(photo), options, {options.light},
                 [&](std::size_t, EnhancedPhoto result) { only = std::move(result); });
  return only;
}

void enhance_levels(const Model<float>& model, Image photo, const PhotoOptions& options,
                    const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use) {
  check_options(model, photo, options);
  check(use != nullptr, "enhancing: expected a function that takes the results, got none");
  for (const LightLevel& level : levels) check_light(level);
  const NoGrad no_grad;
  const PictureArea area = framed_area(photo);
  if (area.width() == photo.width && area.height() == photo.height) {
    return Work(model, std::move(photo), options, levels.size()).run(levels, use);
  }
  Image whole = empty_result(photo, options), part = cut_out(photo, area);
  copy_frame(photo, whole);
  photo = {};
  PhotoOptions inside = options;
  if (options.max_bytes > 0) {
    check(whole.data.size() < options.max_bytes, "a picture of ", whole.width, " x ", whole.height,
          " pixels does not fit into the limit of memory, ", options.max_bytes, " bytes");
    inside.max_bytes -= whole.data.size();
  }
  Work(model, std::move(part), inside, levels.size()).run(levels, [&](std::size_t i, EnhancedPhoto result) {
    Image framed = whole;
    put_back(result.image, area, framed);
    result.image = std::move(framed);
    use(i, std::move(result));
  });
}

Enhanced photo_maps(const Model<float>& model, const Image& photo, const PhotoOptions& options) {
  check_options(model, photo, options);
  check_light(options.light);
  const NoGrad no_grad;
  const PictureArea area = framed_area(photo);
  if (area.width() == photo.width && area.height() == photo.height) {
    return Work(model, photo, options, 1).whole(options.light, true);
  }
  Enhanced maps = Work(model, cut_out(photo, area), options, 1).whole(options.light, true);
  const Tensor<float> picture = to_tensor(photo), light = Tensor<float>::full(Shape{1, 1, photo.height, photo.width}, 1);
  for (Tensor<float>* const map : {&maps.reflectance, &maps.illumination, &maps.restored, &maps.adjusted, &maps.output}) {
    Tensor<float> framed = (map->shape()[1] == 3 ? picture : light).clone();
    for (std::int64_t c = 0; c < framed.shape()[1]; ++c) {
      for (std::int64_t y = 0; y < area.height(); ++y) {
        const float* const from = map->data() + (c * area.height() + y) * area.width();
        std::copy_n(from, area.width(),
                    framed.data() + (c * photo.height + area.top + y) * photo.width + area.left);
      }
    }
    *map = std::move(framed);
  }
  return maps;
}

PhotoMemory photo_memory(const Model<float>& model, const Image& photo, const PhotoOptions& options,
                         const std::vector<LightLevel>& levels) {
  check_options(model, photo, options);
  return Work(model, photo, options, levels.size()).memory(levels);
}

}  // namespace kind
