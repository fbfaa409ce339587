#pragma once

#include "train/stages/stage.h"

namespace kind {

/// A kind of stage, by its nets: the planes of a sample, the source of samples, and the loss of a batch.
class StageKind {
 public:
  virtual ~StageKind() = default;

  virtual std::int64_t planes() const = 0;
  virtual std::unique_ptr<StageSampler> sampler(const StageConfig& config, const Model<float>& model,
                                                const Pairs& pairs, FrozenDecomposition& frozen) const = 0;
  virtual Loss<float> loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) const = 0;
};

/// Stages on pictures: the decomposition net alone, or joint training of restoration and adjustment (and
/// decomposition).
const StageKind& decomposition_stage();
const StageKind& joint_stage();
/// Stages on the maps of a frozen decomposition.
const StageKind& restoration_stage();
const StageKind& adjustment_stage();

/// The ratio for adjustment from the dark illumination of a crop to the bright one, or the reverse. `form` is "paper"
/// or "official", as in StageConfig's `ratio`.
double ratio_of_crop(const std::string& form, const Tensor<float>& low, const Tensor<float>& high, bool upwards);

}  // namespace kind
