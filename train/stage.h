#pragma once

#include <memory>

#include "core/base/random.h"
#include "losses/loss.h"
#include "nets/pipeline.h"
#include "train/map_store.h"
#include "train/pairs.h"

namespace kind {

/// Decompositions of whole pictures by a frozen net, each computed once, when it is first asked for.
class FrozenDecomposition {
 public:
  /// The maps of a pair as planes: R_low 0..2, L_low 3, R_high 4..6, L_high 7.
  static constexpr std::int64_t kPlanes = 8;

  FrozenDecomposition(const Model<float>& model, const Pairs& pairs, std::size_t memory_bytes, std::string folder);

  /// The store, holding that pair's maps.
  const MapStore& maps(std::size_t index);

 private:
  const Model<float>& model_;
  const Pairs& pairs_;
  MapStore store_;
};

/// What a stage trains on and for: one crop of a pair at a time becomes planes, a batch of planes becomes a loss.
class StageTask {
 public:
  virtual ~StageTask() = default;

  /// The parameters that the stage changes.
  virtual Parameters<float> parameters() const = 0;
  /// Planes [c, size, size] of a pair's crop at (y, x); c is the same for all. Draws from `random` what a sample
  /// decides by chance.
  virtual Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random) = 0;
  /// The loss of a batch [n, c, size, size].
  virtual Loss<float> loss(const Tensor<float>& batch) = 0;
};

/// The task of a stage. The model must hold the stage's net and, for the others, the decomposition net; `frozen` is
/// needed for them too. All references must outlive the task.
std::unique_ptr<StageTask> make_task(const StageConfig& config, Model<float>& model, const Pairs& pairs,
                                     FrozenDecomposition& frozen);

/// The batch of a step: `batch` samples of [c, patch, patch], stacked. An epoch takes floor(pairs / batch) steps, at
/// least one, and meets every pair in an order of its own; sample i of epoch e (its pair, crop, flip and coins) depends
/// on (seed, stage, e, i) alone, so that a run goes on anywhere. Where a batch is larger than the set, pairs repeat.
Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageTask& task, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step);

/// Steps of a stage: config.steps, or its epochs times the steps of one.
std::int64_t total_steps(const StageConfig& config, std::size_t pairs);
/// Steps of one epoch.
std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs);

}  // namespace kind
