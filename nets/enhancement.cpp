// Long because a run in memory and one in bands of rows share the steps between the nets.

#include "nets/enhancement.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "nets/bands.h"
#include "nets/picture_nets.h"
#include "nets/pipeline.h"
#include "nets/product.h"

namespace kind {
namespace {

constexpr std::int64_t kGrain = 16384;

/// The planes of a map [1, 3, h, w] from row y on.
struct PlanesAt {
  PlanesAt(const Tensor<float>& map, std::int64_t y) {
    const std::int64_t w = map.shape()[3], plane = map.shape()[2] * w;
    for (std::int64_t c = 0; c < 3; ++c) planes[c] = map.data() + c * plane + y * w;
  }
  const float* planes[3];
};

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

}  // namespace

struct Enhancement::Maps {
  Tensor<float> illumination, restored;  // [1, 1, h, w], [1, 3, h, w]
  Tensor<float> reflectance, input;      // for the official fusion alone
};

Enhancement::Enhancement(const Model<float>& model, EnhancementInput input, EnhancementOptions options)
    : model_(model), input_(std::move(input)), options_(std::move(options)), margin_(model.config.input.margin()) {
  check(model_.decomposition.has_value(), "model: it has no decomposition net, which enhancing needs");
  check(model_.adjustment.has_value(), "model: it has no adjustment net, which enhancing needs");
  check(input_.h >= 1 && input_.w >= 1 && input_.picture, "picture: expected rows of at least one pixel, got ",
        input_.h, " of ", input_.w);
  for (const auto& [name, value] : {std::pair{"denoise", options_.denoise}, {"strength", options_.strength}}) {
    check(value >= 0 && value <= 1, name, ": expected a number from 0 to 1, got ", value);
  }
}

bool Enhancement::runs_in_bands() const {
  return options_.fusion != Fusion::kOfficial && model_.decomposition->fused().runnable() &&
         model_.adjustment->fused().runnable() && (!model_.restoration || model_.restoration->fused().runnable());
}

EnhancementMemory Enhancement::memory(const std::vector<LightLevel>& levels) const {
  const std::int64_t h = input_.h, w = input_.w;
  const std::uint64_t plane = static_cast<std::uint64_t>(h * w) * 4, row = static_cast<std::uint64_t>(w) * 4;
  // Layer by layer, or with the whole maps of the official fusion.
  if (!runs_in_bands()) return {plane * (options_.fusion == Fusion::kOfficial ? 48 : 40), 0};
  const auto bytes = [&](const FusedNet& net) { return MirroredRun::bytes(net, h, w, margin_); };
  const std::uint64_t decompose = bytes(model_.decomposition->fused()), adjust = bytes(model_.adjustment->fused()),
                      restore = model_.restoration ? bytes(model_.restoration->fused()) : 0;
  EnhancementMemory memory;
  memory.held = plane * 4 + 8 * kBand * row + std::max({decompose, restore, adjust});
  for (const LightLevel& level : levels) {
    if (level.mode == LightLevel::Mode::kTargetMean) return memory;
  }
  // Restoration asks for rows long before it gives any: those of the lower levels' reach.
  memory.bands = decompose + restore + adjust + 2 * 8 * (kBand + 768) * row;
  return memory;
}

void Enhancement::run(const std::vector<LightLevel>& levels, bool bands, EnhancementSink& sink) {
  for (const LightLevel& level : levels) check_light(level);
  check(!bands || memory(levels).bands > 0,
        "picture: with this light, fusion and instruction set it cannot be enhanced in "
        "bands of rows");
  const NoGrad no_grad;
  if (!bands) return run_held(levels, sink);
  for (std::size_t i = 0; i < levels.size(); ++i) expect(kDecompose + kAdjust + (model_.restoration ? kRestore : 0));
  arena_.clear();
  for (std::size_t i = 0; i < levels.size(); ++i) {
    choose(levels[i]);
    run_bands(i, sink);
    sink.done(i, choice_);
  }
}

void Enhancement::worked(double work, std::int64_t rows) {
  done_ += work * static_cast<double>(rows);
  if (options_.progress) options_.progress(std::min(1.0, done_ / expected_));
}

void Enhancement::choose(const LightLevel& level) {
  choice_ = choose_light(model_, input_.metered, input_.h, input_.w, level, options_.fusion);
  if (options_.chosen) options_.chosen(choice_);
}

/// Rows as decomposition sees them.
void Enhancement::stretched_rows(std::int64_t y0, std::int64_t y1, float* const* planes) const {
  (input_.seen ? input_.seen : input_.picture)(y0, y1, planes);
  if (!model_.config.input.stretch) return;
  const InputRange range = input_.range;
  parallel_for((y1 - y0) * input_.w, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (int c = 0; c < 3; ++c) {
      for (std::int64_t i = begin; i < end; ++i) planes[c][i] = range.stretched(planes[c][i]);
    }
  });
}

/// Hands rows of decomposition's outputs to a sink that wants maps.
void Enhancement::take_parts(std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1,
                             const float* const* planes, EnhancementSink& sink) {
  if (!sink.wants_maps()) return;
  if (first == 0) sink.map_rows(Map::kReflectance, y0, y1, planes);
  if (first + count == 4) sink.map_rows(Map::kIllumination, y0, y1, planes + count - 1);
}

/// out = reflectance + denoise (restored - reflectance); `out` may be the reflectance.
void Enhancement::blend(std::int64_t y0, std::int64_t y1, const float* const* reflectance, const float* const* restored,
                        float* const* out) const {
  const auto share = static_cast<float>(options_.denoise);
  parallel_for((y1 - y0) * input_.w, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (int c = 0; c < 3; ++c) {
      if (share == 1) {
        std::copy(restored[c] + begin, restored[c] + end, out[c] + begin);
        continue;
      }
      for (std::int64_t i = begin; i < end; ++i) {
        out[c][i] = reflectance[c][i] + share * (restored[c][i] - reflectance[c][i]);
      }
    }
  });
}

/// The picture's own rows into those of the output, as the light says, then by `strength`.
void Enhancement::mix(std::int64_t y0, std::int64_t y1, double strength, float* const* planes) const {
  if (!choice_.local && choice_.mixed == 1 && strength == 1) return;
  Rgb before((y1 - y0) * input_.w);
  input_.picture(y0, y1, before.planes);
  mix_rows(choice_, y0, y1, before.planes, planes, input_.w);
  LightChoice all;
  all.mixed = strength;
  mix_rows(all, y0, y1, before.planes, planes, input_.w);
}

Enhancement::Maps Enhancement::make_maps(EnhancementSink& sink) {
  const std::int64_t h = input_.h, w = input_.w, plane = h * w;
  Maps maps;
  maps.illumination = Tensor<float>(Shape{1, 1, h, w});
  maps.restored = Tensor<float>(Shape{1, 3, h, w});
  const bool official = options_.fusion == Fusion::kOfficial;
  if (official) maps.input = Tensor<float>(maps.restored.shape());
  PictureRun(
      *model_.decomposition, h, w, margin_,
      [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
        stretched_rows(y0, y1, planes);
        for (std::int64_t c = 0; official && c < 3; ++c) {
          std::copy_n(planes[c], (y1 - y0) * w, maps.input.data() + c * plane + y0 * w);
        }
        worked(kDecompose, y1 - y0);
      },
      [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
        for (std::int64_t c = 0; c < count; ++c) {
          float* const map = first + c < 3 ? maps.restored.data() + (first + c) * plane : maps.illumination.data();
          std::copy_n(planes[c], (y1 - y0) * w, map + y0 * w);
        }
        take_parts(first, count, y0, y1, planes, sink);
      },
      arena_)
      .advance(h);
  if (official) maps.reflectance = model_.restoration ? maps.restored.clone() : maps.restored;
  if (!model_.restoration) {
    if (sink.wants_maps()) sink.map_rows(Map::kRestored, 0, h, PlanesAt(maps.restored, 0).planes);
    return maps;
  }
  // In the same memory: rows are asked for before they are overwritten.
  PictureRun(
      *model_.restoration, h, w, margin_,
      [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
        const PlanesAt from(maps.restored, y0);
        for (std::int64_t c = 0; c < 3; ++c) std::copy_n(from.planes[c], (y1 - y0) * w, planes[c]);
        std::copy_n(maps.illumination.data() + y0 * w, (y1 - y0) * w, planes[3]);
      },
      [&](std::int64_t, std::int64_t, std::int64_t y0, std::int64_t y1, const float* const* planes) {
        float* const to[] = {maps.restored.data() + y0 * w, maps.restored.data() + plane + y0 * w,
                             maps.restored.data() + 2 * plane + y0 * w};
        blend(y0, y1, to, planes, to);
        if (sink.wants_maps()) sink.map_rows(Map::kRestored, y0, y1, to);
        worked(kRestore, y1 - y0);
      },
      arena_)
      .advance(h);
  return maps;
}

/// The output's rows for a ratio, before they are mixed with the picture's. L_hat goes to the sink, unless there is none.
void Enhancement::adjust(const Maps& maps, double ratio, EnhancementSink* sink, const Output& use) {
  const std::int64_t h = input_.h, w = input_.w;
  const bool official = options_.fusion == Fusion::kOfficial;
  Enhanced whole;
  if (official) whole.adjusted = Tensor<float>(maps.illumination.shape());
  PictureRun(
      *model_.adjustment, h, w, margin_,
      [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
        std::copy_n(maps.illumination.data() + y0 * w, (y1 - y0) * w, planes[0]);
        std::fill_n(planes[1], (y1 - y0) * w, static_cast<float>(ratio));
      },
      [&](std::int64_t, std::int64_t, std::int64_t y0, std::int64_t y1, const float* const* planes) {
        const std::int64_t count = (y1 - y0) * w;
        if (sink) sink->map_rows(Map::kAdjusted, y0, y1, planes);
        if (official) {
          std::copy_n(planes[0], count, whole.adjusted.data() + y0 * w);
        } else {
          Rgb out(count);
          multiply_rows(count, PlanesAt(maps.restored, y0).planes, planes[0], out.planes);
          use(y0, y1, out.planes);
        }
        worked(kAdjust, y1 - y0);
      },
      arena_)
      .advance(h);
  if (!official) return;
  whole.reflectance = maps.reflectance;
  whole.illumination = maps.illumination;
  whole.restored = maps.restored;
  Tensor<float> fused = fuse_official(maps.input, whole);
  float* const planes[] = {fused.data(), fused.data() + h * w, fused.data() + 2 * h * w};
  use(0, h, planes);
}

double Enhancement::ratio_for_mean_of(const Maps& maps, double target) {
  const std::int64_t plane = input_.h * input_.w;
  return ratio_for_mean(target, [&](double ratio) {
    double sums[3] = {};
    choice_.set_ratio(ratio);
    adjust(maps, ratio, nullptr, [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
      mix(y0, y1, 1, planes);
      for (std::int64_t c = 0; c < 3; ++c) {
        for (std::int64_t i = 0; i < (y1 - y0) * input_.w; ++i) sums[c] += static_cast<double>(planes[c][i]);
      }
    });
    return mean_of_planes(sums, plane);
  });
}

/// All maps in memory.
void Enhancement::run_held(const std::vector<LightLevel>& levels, EnhancementSink& sink) {
  expect(kDecompose + (model_.restoration ? kRestore : 0));
  for (const LightLevel& level : levels) expect(level.mode == LightLevel::Mode::kTargetMean ? 13 * kAdjust : kAdjust);
  const Maps maps = make_maps(sink);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    choose(levels[i]);
    if (levels[i].mode == LightLevel::Mode::kTargetMean) {
      choice_.set_ratio(ratio_for_mean_of(maps, levels[i].value));
      choice_.strength = 1;  // as much as was asked for
    }
    adjust(maps, choice_.ratio, sink.wants_maps() ? &sink : nullptr,
           [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
             mix(y0, y1, options_.strength, planes);
             sink.rows(i, y0, y1, planes);
           });
    sink.done(i, choice_);
  }
}

/// A run with nothing but rows in memory: each net runs as far as the next one needs its rows.
class Enhancement::Bands {
 public:
  Bands(Enhancement& of, EnhancementSink& sink)
      : of_(of),
        sink_(sink),
        taps_(sink.wants_maps()),
        w_(of.input_.w),
        decompose_(decomposition()),
        adjust_(adjustment()) {
    // A run cannot be moved, which std::make_unique would do.
    if (of.model_.restoration) restore_.reset(new PictureRun(restoration()));  // NOLINT(modernize-make-unique)
  }

  void run(std::size_t level) {
    const std::int64_t h = of_.input_.h;
    for (std::int64_t y = 0; y < h; y += kBand) {
      const std::int64_t end = std::min(y + kBand, h);
      if (restore_) restore_->advance(end);
      adjust_.advance(end);
      need_maps(end);
      const RowQueue& restored = restore_ ? clean_ : maps_;
      const float* const color[] = {restored.row(0, y), restored.row(1, y), restored.row(2, y)};
      if (taps_ && !restore_) sink_.map_rows(Map::kRestored, y, end, color);
      Rgb out((end - y) * w_);
      multiply_rows((end - y) * w_, color, light_.row(0, y), out.planes);
      of_.mix(y, end, of_.options_.strength, out.planes);
      // The picture's rows may be overwritten with these: each net is behind the one before it.
      sink_.rows(level, y, end, out.planes);
      clean_.drop_before(end);
      light_.drop_before(end);
      maps_.drop_before(std::min(end, adjusted_to_));
    }
  }

 private:
  PictureRun decomposition() {
    return {
        *of_.model_.decomposition,
        of_.input_.h,
        w_,
        of_.margin_,
        [this](std::int64_t y0, std::int64_t y1, float* const* planes) {
          of_.stretched_rows(y0, y1, planes);
          of_.worked(kDecompose, y1 - y0);
        },
        [this](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
          for (std::int64_t c = 0; c < count; ++c) {
            maps_.append(static_cast<std::size_t>(first + c), planes[c], y1 - y0);
          }
          of_.take_parts(first, count, y0, y1, planes, sink_);
        },
        decompose_arena_};
  }

  PictureRun restoration() {
    return {*of_.model_.restoration,
            of_.input_.h,
            w_,
            of_.margin_,
            [this](std::int64_t y0, std::int64_t y1, float* const* planes) {
              need_maps(y1);
              for (std::size_t c = 0; c < 4; ++c) std::copy_n(maps_.row(c, y0), (y1 - y0) * w_, planes[c]);
            },
            [this](std::int64_t, std::int64_t, std::int64_t y0, std::int64_t y1, const float* const* planes) {
              Rgb rows((y1 - y0) * w_);
              const float* const low[] = {maps_.row(0, y0), maps_.row(1, y0), maps_.row(2, y0)};
              of_.blend(y0, y1, low, planes, rows.planes);
              for (std::size_t c = 0; c < 3; ++c) clean_.append(c, rows.planes[c], y1 - y0);
              if (taps_) sink_.map_rows(Map::kRestored, y0, y1, rows.planes);
              of_.worked(kRestore, y1 - y0);
            },
            restore_arena_};
  }

  PictureRun adjustment() {
    return {*of_.model_.adjustment,
            of_.input_.h,
            w_,
            of_.margin_,
            [this](std::int64_t y0, std::int64_t y1, float* const* planes) {
              need_maps(y1);
              std::copy_n(maps_.row(3, y0), (y1 - y0) * w_, planes[0]);
              std::fill_n(planes[1], (y1 - y0) * w_, static_cast<float>(of_.choice_.ratio));
              adjusted_to_ = y1;
            },
            [this](std::int64_t, std::int64_t, std::int64_t y0, std::int64_t y1, const float* const* planes) {
              light_.append(0, planes[0], y1 - y0);
              if (taps_) sink_.map_rows(Map::kAdjusted, y0, y1, planes);
              of_.worked(kAdjust, y1 - y0);
            },
            adjust_arena_};
  }

  void need_maps(std::int64_t rows) {
    if (rows > maps_rows_) decompose_.advance(rows);
    maps_rows_ = std::max(maps_rows_, rows);
  }

  Enhancement& of_;
  EnhancementSink& sink_;
  const bool taps_;
  const std::int64_t w_;
  RowQueue maps_{4, w_}, clean_{3, w_}, light_{1, w_};
  std::int64_t maps_rows_ = 0, adjusted_to_ = 0;
  Arena decompose_arena_, restore_arena_, adjust_arena_;
  PictureRun decompose_, adjust_;
  std::unique_ptr<PictureRun> restore_;
};

void Enhancement::run_bands(std::size_t level, EnhancementSink& sink) { Bands(*this, sink).run(level); }

}  // namespace kind
