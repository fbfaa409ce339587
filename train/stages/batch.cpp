#include "train/stages/batch.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "train/data/augment.h"
#include "train/stages/planes.h"

namespace kind {
namespace {

// Streams of the generator, so that one draw never moves another.
constexpr std::uint64_t kOrderStream = 0x04DE4;
constexpr std::uint64_t kSampleStream = 0x5A4B1E;
constexpr std::uint64_t kMixStream = 0x313C5;

/// A sample of a batch: the pair that it falls to, which time its source's pairs are gone through, its number among
/// them, and a number of its own in the stage.
struct Place {
  std::size_t pair;
  std::uint64_t source, epoch, sample, draw;
};

/// Streams of the source 0 are those that a single folder has had since before there were sources.
std::uint64_t of_source(std::uint64_t stage, std::uint64_t source) { return stage | source << 32; }

std::vector<std::size_t> shuffled(std::vector<std::size_t> order, Random random) {
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

/// The samples of Pairs::kTurns in a row that each source gets in a stage.
std::vector<std::int64_t> turns_of(const StageConfig& config, const std::vector<Pairs::Source>& sources) {
  std::vector<double> weights;
  for (const Pairs::Source& source : sources) {
    double weight = source.config.weight;
    for (const SourceWeight& other : config.source_weights) {
      if (other.name == source.config.name) weight = other.weight;
    }
    weights.push_back(weight);
  }
  return Pairs::shared_turns(weights);
}

std::vector<Place> places_of(const StageConfig& config, const Pairs& pairs, std::uint64_t seed, std::uint64_t stage,
                             std::int64_t step) {
  const std::vector<Pairs::Source>& sources = pairs.sources();
  const std::int64_t first = step * config.batch, rounds = first / Pairs::kTurns;
  const std::vector<std::int64_t> turns = turns_of(config, sources);
  std::vector<std::int64_t> credit(sources.size(), 0);
  std::vector<std::uint64_t> taken;  // samples that each source has had before
  taken.reserve(sources.size());
  for (const std::int64_t share : turns) taken.push_back(static_cast<std::uint64_t>(rounds * share));
  std::map<std::pair<std::size_t, std::uint64_t>, std::vector<std::size_t>> orders;
  std::vector<Place> places;
  for (std::int64_t turn = rounds * Pairs::kTurns; turn < first + config.batch; ++turn) {
    for (std::size_t s = 0; s < sources.size(); ++s) credit[s] += turns[s];
    const auto served = static_cast<std::size_t>(std::max_element(credit.begin(), credit.end()) - credit.begin());
    credit[served] -= Pairs::kTurns;
    const std::uint64_t number = taken[served]++;
    if (turn < first) continue;
    const std::vector<std::size_t>& train = sources[served].train;
    // A single folder's epoch ends with a whole batch.
    const std::uint64_t length = sources.size() > 1
                                     ? train.size()
                                     : static_cast<std::uint64_t>(epoch_steps(config, train.size()) * config.batch);
    const std::uint64_t epoch = number / length, sample = number % length, stream = of_source(stage, served);
    std::vector<std::size_t>& order = orders[{served, epoch}];
    if (order.empty()) order = shuffled(train, Random(seed, {kOrderStream, stream, epoch}));
    const std::uint64_t draw = mix64(mix64(mix64(stream + 1) + epoch) + sample);
    places.push_back({order[sample % order.size()], served, epoch, sample, draw});
  }
  return places;
}

/// The places of the samples that a part of a batch is made from: with mixup one more than it has, which its last one is
/// mixed with.
std::vector<Place> needed_places(const StageConfig& config, const std::vector<Place>& all, const SampleRange& range) {
  const std::int64_t batch = config.batch;
  const bool one_more = config.augment.mixup > 0 && range.count < batch;
  std::vector<Place> needed;
  for (std::int64_t i = 0; i < range.count + (one_more ? 1 : 0); ++i) {
    needed.push_back(all[static_cast<std::size_t>((range.first + i) % batch)]);
  }
  return needed;
}

}  // namespace

std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(pairs) / config.batch);
}

std::int64_t total_steps(const StageConfig& config, std::size_t pairs) {
  return config.steps ? *config.steps : config.epochs * epoch_steps(config, pairs);
}

void prepare_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                   std::uint64_t stage, std::int64_t step, std::optional<SampleRange> range) {
  const std::vector<Place> all = places_of(config, pairs, seed, stage, step);
  for (const Place& place : needed_places(config, all, range.value_or(SampleRange{0, config.batch}))) {
    sampler.prepare(place.pair, place.draw);
  }
}

Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step, std::optional<SampleRange> range) {
  const SampleRange part = range.value_or(SampleRange{0, config.batch});
  const std::vector<Place> places = needed_places(config, places_of(config, pairs, seed, stage, step), part);
  const std::int64_t made = static_cast<std::int64_t>(places.size());
  Tensor<float> batch;
  std::int64_t b = 0;
  for (const Place& place : places) {
    Random random(seed, {kSampleStream, of_source(stage, place.source), place.epoch, place.sample});
    const Pairs::Pair& size = pairs.all()[place.pair];
    const auto start = [&](int side) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(side - config.patch + 1)));
    };
    const std::int64_t y = start(size.height), x = start(size.width);
    const int mode = static_cast<int>(random.below(8));
    const Tensor<float> planes = flip_rotate(sampler.sample(place.pair, y, x, config.patch, random, place.draw), mode);
    if (!batch.defined()) batch = Tensor<float>(Shape{made, planes.shape()[0], config.patch, config.patch});
    put_planes(planes, batch, b++ * planes.shape()[0]);
  }
  if (config.augment.mixup > 0) {
    Random random(seed, {kMixStream, stage, static_cast<std::uint64_t>(step)});
    mix_samples(batch, config.augment.mixup, random, part.first, config.batch);
  }
  if (made == part.count) return batch;
  Tensor<float> own(batch.shape().with(0, part.count));
  std::copy_n(batch.data(), own.size(), own.data());
  return own;
}

}  // namespace kind
