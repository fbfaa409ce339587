// Long because the bands of three nets that run behind one another share their rows.

#include "nets/photograph.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "nets/light.h"
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
    if (model.config.input.stretch) find_range();
  }

  bool fused() const {
    return options_.fusion == Fusion::kNone && decomposition_.runnable() && adjustment_.runnable() &&
           (!restoration_ || restoration_->runnable());
  }

  PhotoMemory memory(const std::vector<LightLevel>& levels) const {
    const std::uint64_t pixels = static_cast<std::uint64_t>(plane_), row = static_cast<std::uint64_t>(w_) * 4;
    const Image one = empty_result(Image(1, 1, photo_.channels, photo_.bits), options_);
    const std::uint64_t result = one.data.size() * pixels;
    const bool in_place = levels.size() == 1 && one.channels == photo_.channels && one.bits == photo_.bits;
    const std::uint64_t images = photo_.data.size() + (in_place ? 0 : result);
    if (!fused()) return {images + pixels * 4 * (options_.fusion == Fusion::kNone ? 40 : 48), 0};
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

 private:
  using Planes = const float* const*;

  // ---- the picture's samples

  /// min and max over the colours' values, as net_input takes them: both are of samples, whose order values keep.
  void find_range() {
    std::vector<float> rows(static_cast<std::size_t>(3 * w_));
    float low = 1, high = 0;
    for (int y = 0; y < h_; ++y) {
      read_rows(y, y + 1, rows.data());
      const auto [least, most] = std::minmax_element(rows.begin(), rows.end());
      low = std::min(low, *least);
      high = std::max(high, *most);
    }
    constexpr float kSmallestSpan = 0.001f;
    low_ = low;
    span_ = std::max(high - low, kSmallestSpan);
    stretch_ = true;
  }
  void read_rows(std::int64_t y0, std::int64_t y1, float* rows) const {
    float* const planes[] = {rows, rows + (y1 - y0) * w_, rows + 2 * (y1 - y0) * w_};
    get_rows(photo_, static_cast<int>(y0), static_cast<int>(y1), planes);
  }
  /// Rows as the nets see them.
  void input_rows(std::int64_t y0, std::int64_t y1, float* const* planes) const {
    get_rows(photo_, static_cast<int>(y0), static_cast<int>(y1), planes);
    if (!stretch_) return;
    parallel_for((y1 - y0) * w_, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (int c = 0; c < 3; ++c) {
        for (std::int64_t i = begin; i < end; ++i) planes[c][i] = (planes[c][i] - low_) / span_;
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
    std::vector<float> out(static_cast<std::size_t>(3 * count)), before;
    if (strength_ < 1) {
      before.resize(out.size());
      read_rows(y0, y1, before.data());
    }
    multiply(count, restored, reflectance, light, out.data());
    const auto share = static_cast<float>(strength_);
    for (std::size_t i = 0; i < before.size(); ++i) out[i] = before[i] + share * (out[i] - before[i]);
    const float* const planes[] = {out.data(), out.data() + count, out.data() + 2 * count};
    (gray_ ? put_gray_rows : put_rows)(result, static_cast<int>(y0), static_cast<int>(y1), planes);
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
  EnhancedPhoto give_result(Image& result, AutomaticLight light) {
    return {result.data.empty() ? std::move(photo_) : std::move(result), light.ratio, light.strength};
  }
  Image& target(Image& result) { return result.data.empty() ? photo_ : result; }

  AutomaticLight automatic() const {
    Reduction reduction(h_, w_);
    std::vector<float> rows(static_cast<std::size_t>(3 * kBand * w_));
    for (std::int64_t y = 0; y < h_; y += kBand) {
      const std::int64_t end = std::min(y + kBand, h_), count = (end - y) * w_;
      read_rows(y, end, rows.data());
      const float* const planes[] = {rows.data(), rows.data() + count, rows.data() + 2 * count};
      reduction.add_rows(y, end, planes);
    }
    return automatic_light(model_, reduction.take(), {low_, span_});
  }
  /// The ratio and strength of a level that is not a mean.
  AutomaticLight light_of(const LightLevel& level) const {
    if (level.mode == LightLevel::Mode::kAuto) return automatic();
    return {level.value, 1};
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
      const AutomaticLight chosen = light_of(levels[i]);
      strength_ = options_.strength * chosen.strength;
      double ratio = chosen.ratio;
      if (levels[i].mode == LightLevel::Mode::kTargetMean) {
        ratio = ratio_for_mean(levels[i].value, [&](double trial) {
          double sums[3] = {};
          adjust(illumination, trial, [&](std::int64_t y0, std::int64_t y1, const float* light) {
            const std::int64_t count = (y1 - y0) * w_;
            std::vector<float> out(static_cast<std::size_t>(3 * count));
            multiply(count, at_row(restored, y0).data(), reflectance.empty() ? nullptr : at_row(reflectance, y0).data(),
                     light, out.data());
            for (std::int64_t c = 0; c < 3; ++c) {
              for (std::int64_t p = 0; p < count; ++p)
                sums[c] += static_cast<double>(out[static_cast<std::size_t>(c * count + p)]);
            }
          });
          return mean_of_planes(sums, plane_);
        });
      }
      Image result = take_result();
      adjust(illumination, ratio, [&](std::int64_t y0, std::int64_t y1, const float* light) {
        put_together(y0, y1, at_row(restored, y0).data(),
                     reflectance.empty() ? nullptr : at_row(reflectance, y0).data(), light, target(result));
      });
      use(i, give_result(result, {ratio, chosen.strength}));
    }
  }

  /// Nothing but rows in memory.
  void run_bands(const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use) {
    for (std::size_t i = 0; i < levels.size(); ++i) expect(kDecompose + kAdjust + (restoration_ ? kRestore : 0));
    arena_.clear();
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const AutomaticLight chosen = light_of(levels[i]);
      strength_ = options_.strength * chosen.strength;
      const double ratio = chosen.ratio;
      Image result = take_result();
      run_chain(ratio, target(result));
      use(i, give_result(result, {ratio, chosen.strength}));
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
      const Enhanced enhanced =
          enhance(model_, to_tensor(photo_), {levels[i], options_.fusion, false, options_.denoise});
      strength_ = options_.strength;  // the level's own is in the output already
      Image result = take_result();
      for (std::int64_t y = 0; y < h_; y += kBand) {
        const std::int64_t end = std::min(y + kBand, h_), count = (end - y) * w_;
        std::vector<float> ones(static_cast<std::size_t>(count), 1.0f);
        const float* rows = enhanced.output.data() + y * w_;
        const float* const planes[] = {rows, rows + plane_, rows + 2 * plane_};
        put_together(y, end, planes, nullptr, ones.data(), target(result));
      }
      if (options_.progress) options_.progress(static_cast<double>(i + 1) / static_cast<double>(levels.size()));
      use(i, give_result(result, {enhanced.ratio, enhanced.strength}));
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
  float low_ = 0, span_ = 1;
  bool stretch_ = false;
  double expected_ = 0, done_ = 0;
  std::int64_t adjusted_to_ = 0;
  double strength_ = 1;  // of the level at hand
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
  Work(model, std::move(photo), options, levels.size()).run(levels, use);
}

PhotoMemory photo_memory(const Model<float>& model, const Image& photo, const PhotoOptions& options,
                         const std::vector<LightLevel>& levels) {
  check_options(model, photo, options);
  return Work(model, photo, options, levels.size()).memory(levels);
}

}  // namespace kind
