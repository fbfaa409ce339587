#pragma once

#include "train/stages/stage.h"

namespace kind {

/// The batch of a step: `batch` samples of [c, patch, patch], stacked. An epoch takes floor(pairs / batch) steps, at
/// least one, and meets every pair in an order of its own; sample i of epoch e (its pair, crop, flip and coins) depends
/// on (seed, stage, e, i) alone, so that a run goes on anywhere. Where a batch is larger than the set, pairs repeat.
///
/// Several sources take turns: among any kTurns samples from a multiple of kTurns on, each gets its `turns`, spread as
/// evenly as can be (smooth weighted round robin: each turn every source gains its `turns`, the one that has most is
/// served and pays kTurns). Whose turn it is depends on the sample's number in the stage alone. Each source goes
/// through its own pairs again and again, each time all of them in a new order; sample i of time e depends on (seed,
/// stage, source, e, i) alone.
///
/// With `mixup`, samples of a batch are then mixed, by draws of (seed, stage, step).
Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step);

/// Calls sampler.prepare for the pairs of a step's batch.
void prepare_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                   std::uint64_t stage, std::int64_t step);

/// Steps of a stage: config.steps, or its epochs times the steps of one.
std::int64_t total_steps(const StageConfig& config, std::size_t pairs);
/// Steps of one epoch.
std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs);

}  // namespace kind
