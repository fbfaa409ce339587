#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "nets/pipeline.h"
#include "train/data/augment.h"
#include "train/stages/planes.h"
#include "train/stages/stage_kinds.h"

namespace kind {
namespace {

/// The crop of an RGB picture at (y, x) into three planes of `to`, beginning at plane `at`, with the values that
/// `range` goes from and to as 0 and 1.
void put_crop(const Image& image, InputRange range, std::int64_t y, std::int64_t x, Tensor<float>& to,
              std::int64_t at) {
  const std::int64_t size = to.shape()[1];
  const auto put = [&](std::size_t sample_bytes, const auto& value_of) {
    for (std::int64_t i = 0; i < size; ++i) {
      const std::uint8_t* row = image.row(static_cast<int>(y + i)) + 3 * static_cast<std::size_t>(x) * sample_bytes;
      for (std::int64_t c = 0; c < 3; ++c) {
        float* plane = to.data() + ((at + c) * size + i) * size;
        for (std::int64_t j = 0; j < size; ++j) {
          plane[j] = value_of(row + static_cast<std::size_t>(3 * j + c) * sample_bytes);
        }
      }
    }
  };
  if (image.bits == 16) {
    put(2, [&](const std::uint8_t* bytes) {
      std::uint16_t sample;
      std::memcpy(&sample, bytes, sizeof sample);
      return range.stretched(static_cast<float>(sample) / 65535.0f);
    });
    return;
  }
  std::array<float, 256> values;
  for (int v = 0; v < 256; ++v) {
    values[static_cast<std::size_t>(v)] = range.stretched(static_cast<float>(v) / 255.0f);
  }
  put(1, [&](const std::uint8_t* sample) { return values[*sample]; });
}

/// Where the planes of a sample of joint training begin.
enum JointPlanes : std::int64_t { kInput = 0, kBright = 3, kTarget = 6, kRatio = 9, kLevel = 10, kJointPlanes = 11 };

/// Both pictures of a pair as net_input would give them: the stretch is that of the whole picture.
class PictureSampler : public StageSampler {
 public:
  PictureSampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs, FrozenDecomposition& frozen)
      : config_(config), input_(model.config.input), pairs_(pairs), frozen_(frozen) {}

  void prepare(std::size_t pair, std::uint64_t draw) override {
    if (!of_picture()) return;
    if (pairs_.fresh(pair)) {
      twins_[draw] = make_twin(pair, draw);
    } else {
      frozen_.ratio(pair);
    }
  }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                       std::uint64_t draw) override {
    std::optional<Twin> twin;
    if (pairs_.fresh(pair)) {
      auto prepared = twins_.extract(draw);
      twin = prepared ? std::move(prepared.mapped()) : make_twin(pair, draw);
    }
    const Pairs::Pictures& pictures = pairs_.pictures(pair);
    const auto [low_range, high_range] = ranges_of(pair, twin ? &twin->low : nullptr);
    Tensor<float> sample(Shape{stage_planes(config_), size, size});
    put_crop(twin ? twin->low : pictures.low, low_range, y, x, sample, kInput);
    put_crop(pictures.high, high_range, y, x, sample, kBright);
    if (!config_.net.joint()) {
      if (drawn(config_.augment.lamps, random)) put_lamps(sample, 2, random);
      if (drawn(config_.augment.noisy_inputs, random)) add_noise(sample, random);
      change_colors(sample, 2, random);
      return sample;
    }
    put_crop(pictures.high, InputRange{}, y, x, sample, kTarget);
    if (drawn(config_.augment.lamps, random)) put_lamps(sample, 3, random);
    double ratio = !of_picture() ? 1 : twin ? twin->ratio : frozen_.ratio(pair).up, level = 1;
    float* const planes = sample.data();
    const std::int64_t plane = size * size;
    if (random.uniform() < config_.augment.brighter_inputs) {
      const double bright = random.uniform();
      const float share = static_cast<float>(bright);
      for (std::int64_t i = 0; i < 3 * plane; ++i) {
        planes[i] = exposure_between(planes[i], planes[3 * plane + i], share);
      }
      if (of_picture()) ratio = std::pow(ratio, 1 - bright);
    }
    if (drawn(config_.augment.noisy_inputs, random)) add_noise(sample, random);
    if (random.uniform() < config_.augment.darker_targets) {
      level = std::exp(random.uniform(std::log(kDarkestTarget), 0));
      for (std::int64_t i = 0; i < 3 * plane; ++i) planes[kTarget * plane + i] *= static_cast<float>(level);
    }
    std::fill_n(planes + kRatio * plane, plane, static_cast<float>(ratio * level));
    std::fill_n(planes + kLevel * plane, plane, static_cast<float>(level));
    change_colors(sample, 3, random);
    return sample;
  }

 private:
  static constexpr double kDarkestTarget = 0.3;

  /// Whether a sample is to be changed. Without a share nothing is drawn, so samples stay what they were before there
  /// was the change.
  static bool drawn(double share, Random& random) { return share > 0 && random.uniform() < share; }

  /// Last of all changes, so that lamps and noise take part.
  void change_colors(Tensor<float>& sample, std::int64_t pictures, Random& random) const {
    if (drawn(config_.augment.color_shuffle, random)) shuffle_colors(sample, pictures, random);
    if (drawn(config_.augment.color_jitter, random)) turn_colors(sample, pictures, random);
    if (drawn(config_.augment.gray_inputs, random)) make_gray(sample, pictures);
  }

  bool of_picture() const { return config_.net.joint() && config_.ratio == "picture"; }

  /// Of the dark picture and the bright one: found once for each pair, of a fresh twin each time.
  std::pair<InputRange, InputRange> ranges_of(std::size_t pair, const Image* twin) {
    auto [found, added] = ranges_.try_emplace(pair);
    if (added) {
      const Pairs::Pictures& pictures = pairs_.pictures(pair);
      found->second = {range_of_image(pictures.low, input_), range_of_image(pictures.high, input_.of_reference())};
    }
    return {twin ? range_of_image(*twin, input_) : found->second.first, found->second.second};
  }

  /// A dark picture made for one sample, and the ratio that goes with it.
  struct Twin {
    Image low;
    double ratio = 1;
  };
  Twin make_twin(std::size_t pair, std::uint64_t draw) const {
    Twin twin{pairs_.dark_twin(pair, draw)};
    if (of_picture()) twin.ratio = frozen_.ratio_up(pair, twin.low);
    return twin;
  }

  std::map<std::uint64_t, Twin> twins_;  // of the batch that is prepared, where their ratio takes a net
  const StageConfig& config_;
  const InputConfig& input_;
  std::map<std::size_t, std::pair<InputRange, InputRange>> ranges_;
  const Pairs& pairs_;
  FrozenDecomposition& frozen_;
};

/// The ratio of each picture of a batch as a map, times `level`, without a gradient: a number that a user would give.
Variable<float> ratio_maps(const std::string& form, const Tensor<float>& low, const Tensor<float>& high,
                           const Tensor<float>& level) {
  Tensor<float> maps(low.shape());
  const std::int64_t plane = low.shape()[2] * low.shape()[3];
  for (std::int64_t n = 0; n < low.shape()[0]; ++n) {
    const double ratio = ratio_of_crop(form, planes(low, n, n + 1), planes(high, n, n + 1), true);
    std::fill_n(maps.data() + n * plane, plane, static_cast<float>(ratio) * level[n * plane]);
  }
  return Variable<float>(maps);
}

class DecompositionStage : public StageKind {
 public:
  std::int64_t planes() const override { return 6; }
  std::unique_ptr<StageSampler> sampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs,
                                        FrozenDecomposition& frozen) const override {
    return std::make_unique<PictureSampler>(config, model, pairs, frozen);
  }
  Loss<float> loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) const override {
    const std::int64_t n = batch.shape()[0];
    const Variable<float> low = channels(batch, 0, 3), high = channels(batch, 3, 6);
    // Both pictures of a pair pass the net together.
    const auto parts = model.decomposition.value()(concat<float>({low, high}, 0));
    const Variable<float>&r = parts.reflectance, &l = parts.illumination;
    return decomposition_loss(config.losses.decomposition, slice(r, 0, 0, n), slice(l, 0, 0, n), slice(r, 0, n, 2 * n),
                              slice(l, 0, n, 2 * n), low, high);
  }
};

class JointStage : public StageKind {
 public:
  std::int64_t planes() const override { return kJointPlanes; }
  std::unique_ptr<StageSampler> sampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs,
                                        FrozenDecomposition& frozen) const override {
    return std::make_unique<PictureSampler>(config, model, pairs, frozen);
  }
  Loss<float> loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) const override {
    const std::int64_t n = batch.shape()[0];
    const StageLosses& losses = config.losses;
    const Variable<float> input = channels(batch, kInput, kBright), bright = channels(batch, kBright, kTarget),
                          target = channels(batch, kTarget, kRatio), level = channels(batch, kLevel, kJointPlanes);
    const bool learns = config.net.decomposition.has_value(), of_picture = config.ratio == "picture";
    const bool reads_bright = learns || !of_picture || !losses.parts.empty();
    Variable<float> r_low, l_low, r_high, l_high;
    {
      std::optional<NoGrad> frozen;
      if (!learns) frozen.emplace();
      // Both pictures of a pair pass the net together.
      const auto parts = model.decomposition.value()(reads_bright ? concat<float>({input, bright}, 0) : input);
      r_low = slice(parts.reflectance, 0, 0, n), l_low = slice(parts.illumination, 0, 0, n);
      if (reads_bright) {
        r_high = slice(parts.reflectance, 0, n, 2 * n), l_high = slice(parts.illumination, 0, n, 2 * n);
      }
    }
    const auto ratio = [&] {
      if (of_picture) return channels(batch, kRatio, kLevel);
      if (config.ratio_gradient) return ratios_upwards(config.ratio, l_low, l_high) * level;
      return ratio_maps(config.ratio, l_low.value(), l_high.value(), level.value());
    }();
    const auto of_decomposition = [&] {
      return decomposition_loss(losses.decomposition, r_low, l_low, r_high, l_high, input, bright);
    };
    if (!losses.any_of_output()) return of_decomposition();
    // R_high and L_high are what the others are to find, not to move.
    const Variable<float> wanted_r = reads_bright ? Variable<float>(r_high.value()) : Variable<float>();
    const Variable<float> wanted_l = reads_bright ? Variable<float>(l_high.value()) * level : Variable<float>();
    Loss<float> loss = output_loss(losses.image, losses.parts, model.restoration.value()(r_low, l_low),
                                   model.adjustment.value()(l_low, ratio), target, wanted_r, wanted_l);
    if (losses.decomposition.empty()) return loss;
    return std::move(loss) + of_decomposition();
  }
};

}  // namespace

const StageKind& decomposition_stage() {
  static const DecompositionStage stage;
  return stage;
}
const StageKind& joint_stage() {
  static const JointStage stage;
  return stage;
}

template <class T>
Variable<T> ratios_upwards(const std::string& form, const Variable<T>& low, const Variable<T>& high) {
  const T smallest = T(1e-4);
  if (form == "official") {
    const Variable<T> down = mean(low / add(high, smallest), {1, 2, 3}, true);
    return add(div(Variable<T>(Tensor<T>::full(down.shape(), T(1))), down), smallest);
  }
  return mean(high / add(low, smallest), {1, 2, 3}, true);
}
template Variable<float> ratios_upwards(const std::string&, const Variable<float>&, const Variable<float>&);
template Variable<double> ratios_upwards(const std::string&, const Variable<double>&, const Variable<double>&);

float exposure_between(float low, float high, float share) {
  if (share <= 0) return low;
  return share >= 1 ? high : std::pow(low, 1 - share) * std::pow(high, share);
}

}  // namespace kind
