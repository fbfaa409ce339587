#pragma once

#include <cstdint>
#include <future>

#include "train/stages/batch.h"

namespace kind {

/// The batches of a stage (see make_batch), each made on a thread of its own while the step before it runs. A batch is
/// a pure function of seed, stage and step, so making it early changes nothing.
class BatchLoader {
 public:
  /// Makes batches of steps below `total`, or the given part of each. All references must outlive it.
  BatchLoader(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
              std::uint64_t stage, std::int64_t total, std::optional<SampleRange> range = {});
  ~BatchLoader() { wait(); }
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// The batch of a step; then begins with the next one's. Throws what make_batch throws.
  Tensor<float> take(std::int64_t step);
  /// Waits until no batch is being made: before anyone else uses the pairs' pictures or the sampler.
  void wait();

 private:
  Tensor<float> make(std::int64_t step);

  const StageConfig& config_;
  const Pairs& pairs_;
  StageSampler& sampler_;
  std::uint64_t seed_, stage_;
  std::int64_t total_;
  std::optional<SampleRange> range_;
  std::int64_t ahead_ = -1;  // the step whose batch is, or is being, made
  std::future<Tensor<float>> batch_;
};

}  // namespace kind
