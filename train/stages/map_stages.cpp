#include <cmath>

#include "nets/pipeline.h"
#include "train/stages/planes.h"
#include "train/stages/stage_kinds.h"

namespace kind {

/// The ratio that adjustment is given to turn the dark illumination of a crop into the bright one, or the reverse.
double ratio_of_crop(const std::string& form, const Tensor<float>& low, const Tensor<float>& high, bool upwards) {
  if (form == "official") {
    const double down = ratio_between(high, low);
    return upwards ? 1 / down + 1e-4 : down;
  }
  return upwards ? ratio_between(low, high) : ratio_between(high, low);
}

namespace {

class RestorationSampler : public StageSampler {
 public:
  RestorationSampler(const StageConfig& config, FrozenDecomposition& frozen)
      : power_(static_cast<float>(config.target_power)), frozen_(frozen) {}

  void prepare(std::size_t pair, std::uint64_t) override { frozen_.maps(pair); }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random&,
                       std::uint64_t) override {
    Tensor<float> planes = frozen_.maps(pair).crop(pair, y, x, size, size);  // R_low, L_low, R_high, L_high
    if (power_ != 1.0f) {
      for (std::int64_t i = 4 * size * size; i < 7 * size * size; ++i) planes[i] = std::pow(planes[i], power_);
    }
    return planes;
  }

 private:
  float power_;
  FrozenDecomposition& frozen_;
};

class AdjustmentSampler : public StageSampler {
 public:
  AdjustmentSampler(const StageConfig& config, FrozenDecomposition& frozen) : form_(config.ratio), frozen_(frozen) {}

  void prepare(std::size_t pair, std::uint64_t) override {
    frozen_.maps(pair);
    if (form_ == "picture") frozen_.ratio(pair);
  }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                       std::uint64_t) override {
    const Tensor<float> maps = frozen_.maps(pair).crop(pair, y, x, size, size);
    const Tensor<float> low = planes(maps, 3, 4), high = planes(maps, 7, 8);
    const bool upwards = random.below(2) == 0;
    double ratio = 0;
    if (form_ == "picture") {
      const FrozenDecomposition::Ratio whole = frozen_.ratio(pair);
      ratio = upwards ? whole.up : whole.down;
    } else {
      ratio = ratio_of_crop(form_, low, high, upwards);
    }
    Tensor<float> sample(Shape{3, size, size});
    put_planes(upwards ? low : high, sample, 0);
    put_planes(Tensor<float>::full(Shape{size, size}, static_cast<float>(ratio)), sample, 1);
    put_planes(upwards ? high : low, sample, 2);
    return sample;
  }

 private:
  std::string form_;
  FrozenDecomposition& frozen_;
};

class RestorationStage : public StageKind {
 public:
  std::int64_t planes() const override { return FrozenDecomposition::kPlanes; }
  std::unique_ptr<StageSampler> sampler(const StageConfig& config, const Model<float>&, const Pairs&,
                                        FrozenDecomposition& frozen) const override {
    return std::make_unique<RestorationSampler>(config, frozen);
  }
  Loss<float> loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) const override {
    return image_loss(config.losses.image, model.restoration.value()(channels(batch, 0, 3), channels(batch, 3, 4)),
                      channels(batch, 4, 7));
  }
};

class AdjustmentStage : public StageKind {
 public:
  std::int64_t planes() const override { return 3; }
  std::unique_ptr<StageSampler> sampler(const StageConfig& config, const Model<float>&, const Pairs&,
                                        FrozenDecomposition& frozen) const override {
    return std::make_unique<AdjustmentSampler>(config, frozen);
  }
  Loss<float> loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) const override {
    return image_loss(config.losses.image, model.adjustment.value()(channels(batch, 0, 1), channels(batch, 1, 2)),
                      channels(batch, 2, 3));
  }
};

}  // namespace

const StageKind& restoration_stage() {
  static const RestorationStage stage;
  return stage;
}
const StageKind& adjustment_stage() {
  static const AdjustmentStage stage;
  return stage;
}

}  // namespace kind
