#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/base/random.h"
#include "losses/loss.h"
#include "nets/pipeline.h"
#include "train/stages/frozen_decomposition.h"
#include "train/stages/stage_config.h"

namespace kind {

/// The parameters that a stage trains. The model must contain the stage's net.
Parameters<float> stage_parameters(const StageConfig& config, const Model<float>& model);

/// The loss of a batch [n, c, size, size] of a stage, its planes as StageSampler makes them; throws Error if the
/// batch has other planes or the model lacks the stage's net. If it is a part of a batch (BatchScope), the loss is that
/// of the whole batch, and its gradients are the part's share of them.
Loss<float> stage_loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch);

/// The ratios upwards of illuminations [n, 1, h, w], dark and bright, each above 0, with their gradients: [n, 1, 1, 1].
/// `form` is "paper" or "official", as of StageConfig's `ratio`.
template <class T>
Variable<T> ratios_upwards(const std::string& form, const Variable<T>& low, const Variable<T>& high);

/// The number of planes in a sample of a stage.
std::int64_t stage_planes(const StageConfig& config);

/// Makes the samples of a stage: turns a crop of a pair into planes.
class StageSampler {
 public:
  virtual ~StageSampler() = default;

  /// Prepares, with all threads, what sample() needs of this pair. A fresh dark picture (Pairs::fresh) depends only on
  /// `draw`; no two samples of a stage share it, and 0 is the picture's permanent twin.
  virtual void prepare(std::size_t, std::uint64_t /*draw*/ = 0) {}

  /// Planes [stage_planes, size, size] of a pair's crop at (y, x):
  ///   decomposition: I_low, I_high;  restoration: R_low, L_low, target, L_high;  adjustment: source, ratio map, target
  ///   joint training: input, I_high, target, ratio map, level map (of the target, 1 if it is the bright picture)
  /// All other random choices of a sample are drawn from `random`.
  virtual Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                               std::uint64_t draw = 0) = 0;
};

/// The samples of a stage; those of restoration and adjustment come from `frozen`. All references must outlive them.
std::unique_ptr<StageSampler> make_sampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs,
                                           FrozenDecomposition& frozen);

/// A value of an exposure between a dark and a bright one, all in 0..1: their geometric mean, with the bright one's
/// weight `share` in 0..1. It contains part of the dark picture's noise.
float exposure_between(float low, float high, float share);

}  // namespace kind
