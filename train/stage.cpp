#include "train/stage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/ops/shape_ops.h"

namespace kind {
namespace {

// Streams of the generator, so that one draw never moves another.
constexpr std::uint64_t kOrderStream = 0x04DE4;
constexpr std::uint64_t kSampleStream = 0x5A4B1E;

/// Copies planes [.., h, w] of `from` behind one another into `to`, beginning at plane `at`.
void put_planes(const Tensor<float>& from, Tensor<float>& to, std::int64_t at) {
  const std::int64_t plane = to.shape()[-1] * to.shape()[-2];
  std::copy_n(from.data(), from.size(), to.data() + at * plane);
}

/// Channels first..end-1 of a batch, outside any graph.
Variable<float> channels(const Tensor<float>& batch, std::int64_t first, std::int64_t end) {
  const NoGrad no_grad;
  return slice(Variable<float>(batch), 1, first, end);
}

class DecompositionSampler : public StageSampler {
 public:
  DecompositionSampler(const Model<float>& model, const Pairs& pairs) : input_(model.config.input), pairs_(pairs) {}

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random&) override {
    const Pairs::Pictures& pictures = pairs_.pictures(pair);
    Tensor<float> planes(Shape{6, size, size});
    put_crop(pictures.low, pairs_.all()[pair].low, y, x, planes, 0);
    put_crop(pictures.high, pairs_.all()[pair].high, y, x, planes, 3);
    return planes;
  }

 private:
  /// The crop as net_input would give it: the stretch is that of the whole picture.
  void put_crop(const Image& image, const Pairs::Range& range, std::int64_t y, std::int64_t x, Tensor<float>& planes,
                std::int64_t at) const {
    const std::int64_t size = planes.shape()[1];
    const float low = input_.stretch ? range.low : 0,
                span = input_.stretch ? std::max(range.high - range.low, 0.001f) : 1;
    std::array<float, 256> values;
    for (int v = 0; v < 256; ++v) {
      values[static_cast<std::size_t>(v)] = (static_cast<float>(v) / 255.0f - low) / span;
    }
    for (std::int64_t i = 0; i < size; ++i) {
      const std::uint8_t* row = image.row(static_cast<int>(y + i)) + 3 * x;
      for (std::int64_t c = 0; c < 3; ++c) {
        float* to = planes.data() + ((at + c) * size + i) * size;
        for (std::int64_t j = 0; j < size; ++j) to[j] = values[row[3 * j + c]];
      }
    }
  }

  InputConfig input_;
  const Pairs& pairs_;
};

class RestorationSampler : public StageSampler {
 public:
  RestorationSampler(const StageConfig& config, FrozenDecomposition& frozen)
      : power_(static_cast<float>(config.target_power)), frozen_(frozen) {}

  void prepare(std::size_t pair) override { frozen_.maps(pair); }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random&) override {
    Tensor<float> planes = frozen_.maps(pair).crop(pair, y, x, size, size);  // R_low, L_low, R_high, L_high
    if (power_ != 1.0f) {
      for (std::int64_t i = 4 * size * size; i < 7 * size * size; ++i) planes[i] = std::pow(planes[i], power_);
    }
    return planes;
  }

 private:
  float power_;
  FrozenDecomposition& frozen_;
};

class AdjustmentSampler : public StageSampler {
 public:
  AdjustmentSampler(const StageConfig& config, FrozenDecomposition& frozen)
      : official_ratio_(config.ratio == "official"), frozen_(frozen) {}

  void prepare(std::size_t pair) override { frozen_.maps(pair); }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random) override {
    const Tensor<float> maps = frozen_.maps(pair).crop(pair, y, x, size, size);
    const NoGrad no_grad;
    const Variable<float> all(maps);
    const Tensor<float> low = slice(all, 0, 3, 4).value(), high = slice(all, 0, 7, 8).value();
    const bool upwards = random.below(2) == 0;
    const Tensor<float>&source = upwards ? low : high, &target = upwards ? high : low;
    double ratio = 0;
    if (official_ratio_) {
      const double down = ratio_between(high, low);
      ratio = upwards ? 1 / down + 1e-4 : down;
    } else {
      ratio = ratio_between(source, target);
    }
    Tensor<float> planes(Shape{3, size, size});
    put_planes(source, planes, 0);
    put_planes(Tensor<float>::full(Shape{size, size}, static_cast<float>(ratio)), planes, 1);
    put_planes(target, planes, 2);
    return planes;
  }

 private:
  bool official_ratio_;
  FrozenDecomposition& frozen_;
};

/// A sample of a batch: its epoch, its number in the epoch, and the pair that it falls to.
struct Place {
  std::uint64_t epoch, sample;
  std::size_t pair;
};

std::vector<Place> places_of(const StageConfig& config, const Pairs& pairs, std::uint64_t seed, std::uint64_t stage,
                             std::int64_t step) {
  const std::int64_t steps = epoch_steps(config, pairs.train().size());
  const std::uint64_t epoch = static_cast<std::uint64_t>(step / steps);
  std::vector<std::size_t> order = pairs.train();
  Random shuffle(seed, {kOrderStream, stage, epoch});
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[shuffle.below(i + 1)]);
  std::vector<Place> places;
  for (std::int64_t b = 0; b < config.batch; ++b) {
    const std::uint64_t i = static_cast<std::uint64_t>(step % steps * config.batch + b);
    places.push_back({epoch, i, order[i % order.size()]});
  }
  return places;
}

}  // namespace

FrozenDecomposition::FrozenDecomposition(const Model<float>& model, const Pairs& pairs, std::size_t memory_bytes,
                                         std::string folder)
    : model_(model), pairs_(pairs), store_(pairs.all().size(), memory_bytes, std::move(folder)) {}

const MapStore& FrozenDecomposition::maps(std::size_t index) {
  if (store_.has(index)) return store_;
  const NoGrad no_grad;
  const Pairs::Pictures& pictures = pairs_.pictures(index);
  Tensor<float> planes(Shape{kPlanes, pictures.low.height, pictures.low.width});
  std::int64_t at = 0;
  for (const Image* image : {&pictures.low, &pictures.high}) {
    const auto parts = (*model_.decomposition)(Variable<float>(net_input(to_tensor(*image), model_.config.input)));
    put_planes(parts.reflectance.value(), planes, at);
    put_planes(parts.illumination.value(), planes, at + 3);
    at += 4;
  }
  store_.put(index, planes);
  return store_;
}

Parameters<float> stage_parameters(const StageConfig& config, const Model<float>& model) {
  if (config.net.decomposition) return model.decomposition.value().parameters();
  if (config.net.restoration) return model.restoration.value().parameters();
  return model.adjustment.value().parameters();
}

std::int64_t stage_planes(const StageConfig& config) {
  if (config.net.decomposition) return 6;
  return config.net.restoration ? FrozenDecomposition::kPlanes : 3;
}

Loss<float> stage_loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) {
  const Shape& shape = batch.shape();
  check(shape.rank() == 4 && shape[1] == stage_planes(config), "stage ", config.name, ": expected a batch of ",
        stage_planes(config), " planes, got ", shape.text());
  if (config.net.decomposition) {
    const std::int64_t n = shape[0];
    const Variable<float> low = channels(batch, 0, 3), high = channels(batch, 3, 6);
    // Both pictures of a pair pass the net together.
    const auto parts = model.decomposition.value()(concat<float>({low, high}, 0));
    const Variable<float>&r = parts.reflectance, &l = parts.illumination;
    return decomposition_loss(config.losses.decomposition, slice(r, 0, 0, n), slice(l, 0, 0, n), slice(r, 0, n, 2 * n),
                              slice(l, 0, n, 2 * n), low, high);
  }
  if (config.net.restoration) {
    return image_loss(config.losses.image, model.restoration.value()(channels(batch, 0, 3), channels(batch, 3, 4)),
                      channels(batch, 4, 7));
  }
  return image_loss(config.losses.image, model.adjustment.value()(channels(batch, 0, 1), channels(batch, 1, 2)),
                    channels(batch, 2, 3));
}

std::unique_ptr<StageSampler> make_sampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs,
                                           FrozenDecomposition& frozen) {
  if (config.net.decomposition) return std::make_unique<DecompositionSampler>(model, pairs);
  if (config.net.restoration) return std::make_unique<RestorationSampler>(config, frozen);
  return std::make_unique<AdjustmentSampler>(config, frozen);
}

std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(pairs) / config.batch);
}

std::int64_t total_steps(const StageConfig& config, std::size_t pairs) {
  return config.steps ? *config.steps : config.epochs * epoch_steps(config, pairs);
}

void prepare_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                   std::uint64_t stage, std::int64_t step) {
  for (const Place& place : places_of(config, pairs, seed, stage, step)) sampler.prepare(place.pair);
}

Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step) {
  Tensor<float> batch;
  std::int64_t b = 0;
  for (const Place& place : places_of(config, pairs, seed, stage, step)) {
    Random random(seed, {kSampleStream, stage, place.epoch, place.sample});
    const Pairs::Pair& size = pairs.all()[place.pair];
    const auto start = [&](int side) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(side - config.patch + 1)));
    };
    const std::int64_t y = start(size.height), x = start(size.width);
    const int mode = static_cast<int>(random.below(8));
    const Tensor<float> planes = flip_rotate(sampler.sample(place.pair, y, x, config.patch, random), mode);
    if (!batch.defined()) batch = Tensor<float>(Shape{config.batch, planes.shape()[0], config.patch, config.patch});
    put_planes(planes, batch, b++ * planes.shape()[0]);
  }
  return batch;
}

}  // namespace kind
