#include "train/stages/stage.h"

#include "core/autograd/batch_part.h"
#include "core/base/error.h"
#include "train/stages/stage_kinds.h"

namespace kind {
namespace {

const StageKind& kind_of(const NetConfig& net) {
  if (net.joint()) return joint_stage();
  if (net.decomposition) return decomposition_stage();
  return net.restoration ? restoration_stage() : adjustment_stage();
}

}  // namespace

Parameters<float> stage_parameters(const StageConfig& config, const Model<float>& model) {
  Parameters<float> all;
  each_net(model, [&](const auto& form, const auto& net) {
    if (!of_net(config.net, form)) return;
    all.insert(all.end(), net.value().parameters().begin(), net.value().parameters().end());
  });
  return all;
}

std::int64_t stage_planes(const StageConfig& config) { return kind_of(config.net).planes(); }

Loss<float> stage_loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) {
  const Shape& shape = batch.shape();
  check(shape.rank() == 4 && shape[1] == stage_planes(config), "stage ", config.name, ": expected a batch of ",
        stage_planes(config), " planes, got ", shape);
  // Unless the caller has only a part of the batch, it is whole, and its samples are its pairs.
  const BatchPart whole(shape[0], shape[0]);
  const BatchScope scope(BatchPart::current() ? BatchPart::current() : &whole);
  return kind_of(config.net).loss(config, model, batch);
}

std::unique_ptr<StageSampler> make_sampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs,
                                           FrozenDecomposition& frozen) {
  return kind_of(config.net).sampler(config, model, pairs, frozen);
}

}  // namespace kind
