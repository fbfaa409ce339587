#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/base/random.h"
#include "losses/loss.h"
#include "nets/pipeline.h"
#include "train/map_store.h"
#include "train/pairs.h"
#include "train/shared_maps.h"

namespace kind {

/// Decompositions of whole pictures by a frozen net, each computed once, when it is first asked for. With a `shared`
/// folder they are kept in a file there whose name stands for the net's weights, the pictures and the kernels: other
/// runs with the same ones then use them too, at the same time or later.
class FrozenDecomposition {
 public:
  /// The maps of a pair as planes: R_low 0..2, L_low 3, R_high 4..6, L_high 7.
  static constexpr std::int64_t kPlanes = 8;

  FrozenDecomposition(const Model<float>& model, const Pairs& pairs, std::size_t memory_bytes, std::string folder,
                      std::string shared = "");

  /// The store, holding that pair's maps.
  const MapStore& maps(std::size_t index);

  /// What adjustment is asked for over the whole picture of a pair, upwards and downwards (see ratio_between).
  struct Ratio {
    double up, down;
  };
  Ratio ratio(std::size_t index);
  /// The one upwards with another dark picture in place of the pair's.
  double ratio_up(std::size_t index, const Image& low);

 private:
  Tensor<float> decompose(std::size_t index) const;
  std::string content_name() const;

  const Model<float>& model_;
  const Pairs& pairs_;
  MapStore store_;
  std::vector<std::optional<Ratio>> ratios_;
  MapStore bright_light_;  // L_high alone, for ratio_up
  std::string shared_folder_;
  std::unique_ptr<SharedMaps> shared_;  // opened when it is first needed
};

/// The parameters that a stage changes. The model must hold the stage's net.
Parameters<float> stage_parameters(const StageConfig& config, const Model<float>& model);

/// The loss of a batch [n, c, size, size] of a stage, its planes as StageSampler makes them; throws Error where the
/// batch has other planes or the model lacks the stage's net.
Loss<float> stage_loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch);

/// The ratios upwards of illuminations [n, 1, h, w], dark and bright, each above 0, with their gradients: [n, 1, 1, 1].
/// `form` is "paper" or "official", as of StageConfig's `ratio`.
template <class T>
Variable<T> ratios_upwards(const std::string& form, const Variable<T>& low, const Variable<T>& high);

/// How many planes a sample of a stage has.
std::int64_t stage_planes(const StageConfig& config);

/// What a stage trains on: one crop of a pair at a time becomes planes.
class StageSampler {
 public:
  virtual ~StageSampler() = default;

  /// Does beforehand what sample() needs of this pair and other threads should help with. A fresh dark picture
  /// (Pairs::fresh) depends on `draw` alone; no two samples of a stage have the same, and 0 is the picture's kept twin.
  virtual void prepare(std::size_t, std::uint64_t /*draw*/ = 0) {}

  /// Planes [stage_planes, size, size] of a pair's crop at (y, x):
  ///   decomposition: I_low, I_high;  restoration: R_low, L_low, target, L_high;  adjustment: source, ratio map, target
  ///   trained together: input, I_high, target, ratio map, level map (of the target, 1 where it is the bright picture)
  /// Draws from `random` what else a sample decides by chance.
  virtual Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                               std::uint64_t draw = 0) = 0;
};

/// The samples of a stage; those of restoration and adjustment come from `frozen`. All references must outlive them.
std::unique_ptr<StageSampler> make_sampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs,
                                           FrozenDecomposition& frozen);

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

/// A value of an exposure between a dark and a bright one, all in 0..1: their geometric mean, with the bright one's
/// weight `share` in 0..1. It has the dark picture's noise in part.
float exposure_between(float low, float high, float share);

/// Steps of a stage: config.steps, or its epochs times the steps of one.
std::int64_t total_steps(const StageConfig& config, std::size_t pairs);
/// Steps of one epoch.
std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs);

}  // namespace kind
