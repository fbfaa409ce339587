#pragma once

#include <optional>

#include "train/stages/stage.h"

namespace kind {

/// Some samples of a batch: at least one.
struct SampleRange {
  std::int64_t first = 0, count = 1;
};

/// The batch of a step: `batch` samples of [c, patch, patch], stacked. An epoch takes floor(pairs / batch) steps, at
/// least one, and visits the pairs in an order of its own; sample i of epoch e (its pair, crop, flip and augmentation)
/// depends only on (seed, stage, e, i), so that a run can resume anywhere. If a batch is larger than the set, pairs
/// repeat.
///
/// Several sources alternate by their weights, or by those that the stage has for them: among any kTurns samples from a
/// multiple of kTurns on, each gets its turns (Pairs::shared_turns), spread as evenly as possible (smooth weighted round
/// robin: at each sample every source gains its turns, the one with the most is served and pays kTurns). The choice
/// depends only on the sample's number in the stage. Each source cycles through its own pairs, in a new order each time;
/// sample i of cycle e depends only on (seed, stage, source, e, i).
///
/// With `mixup`, samples of a batch are then mixed, with draws from (seed, stage, step).
///
/// With a `range`, only samples first .. first + count - 1 of the batch, and of the pairs only those that these need.
Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step, std::optional<SampleRange> range = {});

/// Calls sampler.prepare for the pairs that make_batch needs.
void prepare_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                   std::uint64_t stage, std::int64_t step, std::optional<SampleRange> range = {});

/// Steps of a stage: config.steps, or its epochs times the steps of one.
std::int64_t total_steps(const StageConfig& config, std::size_t pairs);
/// Steps of one epoch.
std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs);

}  // namespace kind
