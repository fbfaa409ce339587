#include "train/stages/loader.h"

#include "core/base/parallel.h"

namespace kind {

BatchLoader::BatchLoader(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t total, std::optional<SampleRange> range)
    : config_(config), pairs_(pairs), sampler_(sampler), seed_(seed), stage_(stage), total_(total), range_(range) {}

Tensor<float> BatchLoader::make(std::int64_t step) {
  return make_batch(config_, pairs_, sampler_, seed_, stage_, step, range_);
}

void BatchLoader::wait() {
  if (batch_.valid()) batch_.wait();
}

Tensor<float> BatchLoader::take(std::int64_t step) {
  wait();
  Tensor<float> batch;
  if (ahead_ == step && batch_.valid()) {
    batch = batch_.get();
  } else {
    prepare_batch(config_, pairs_, sampler_, seed_, stage_, step, range_);
    batch = make(step);
  }
  ahead_ = step + 1;
  if (ahead_ >= total_) return batch;
  // What needs a net is done here, with all threads; what is left for the other thread is little work, and serial, so
  // that it does not get in the way of the step's.
  prepare_batch(config_, pairs_, sampler_, seed_, stage_, ahead_, range_);
  batch_ = std::async(std::launch::async, [this, next = ahead_] {
    const SerialScope serial;
    return make(next);
  });
  return batch;
}

}  // namespace kind
