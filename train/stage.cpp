#include "train/stage.h"

#include <algorithm>
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

class DecompositionTask : public StageTask {
 public:
  DecompositionTask(const StageConfig& config, const Model<float>& model, const Pairs& pairs)
      : losses_(config.losses.decomposition), net_(*model.decomposition), input_(model.config.input), pairs_(pairs) {}

  Parameters<float> parameters() const override { return net_.parameters(); }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random&) override {
    const Pairs::Pictures& pictures = pairs_.pictures(pair);
    Tensor<float> planes(Shape{6, size, size});
    put_crop(pictures.low, pairs_.all()[pair].low, y, x, planes, 0);
    put_crop(pictures.high, pairs_.all()[pair].high, y, x, planes, 3);
    return planes;
  }

  Loss<float> loss(const Tensor<float>& batch) override {
    const std::int64_t n = batch.shape()[0];
    const Variable<float> low = channels(batch, 0, 3), high = channels(batch, 3, 6);
    // Both pictures of a pair pass the net together.
    const auto parts = net_(concat<float>({low, high}, 0));
    const Variable<float>&r = parts.reflectance, &l = parts.illumination;
    return decomposition_loss(losses_, slice(r, 0, 0, n), slice(l, 0, 0, n), slice(r, 0, n, 2 * n),
                              slice(l, 0, n, 2 * n), low, high);
  }

 private:
  /// The crop as net_input would give it: the stretch is that of the whole picture.
  void put_crop(const Image& image, const Pairs::Range& range, std::int64_t y, std::int64_t x, Tensor<float>& planes,
                std::int64_t at) const {
    const std::int64_t size = planes.shape()[1];
    const float low = input_.stretch ? range.low : 0,
                span = input_.stretch ? std::max(range.high - range.low, 0.001f) : 1;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::uint8_t* row = image.row(static_cast<int>(y + i)) + 3 * x;
      for (std::int64_t j = 0; j < size; ++j) {
        for (std::int64_t c = 0; c < 3; ++c) {
          planes[((at + c) * size + i) * size + j] = (static_cast<float>(row[3 * j + c]) / 255.0f - low) / span;
        }
      }
    }
  }

  DecompositionLossConfig losses_;
  Decomposition<float> net_;
  InputConfig input_;
  const Pairs& pairs_;
};

class RestorationTask : public StageTask {
 public:
  RestorationTask(const StageConfig& config, const Model<float>& model, FrozenDecomposition& frozen)
      : losses_(config.losses.image),
        power_(static_cast<float>(config.target_power)),
        net_(*model.restoration),
        frozen_(frozen) {}

  Parameters<float> parameters() const override { return net_.parameters(); }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random&) override {
    Tensor<float> planes = frozen_.maps(pair).crop(pair, y, x, size, size);  // R_low, L_low, R_high, L_high
    if (power_ != 1.0f) {
      for (std::int64_t i = 4 * size * size; i < 7 * size * size; ++i) planes[i] = std::pow(planes[i], power_);
    }
    return planes;
  }

  Loss<float> loss(const Tensor<float>& batch) override {
    return image_loss(losses_, net_(channels(batch, 0, 3), channels(batch, 3, 4)), channels(batch, 4, 7));
  }

 private:
  ImageLossConfig losses_;
  float power_;
  Restoration<float> net_;
  FrozenDecomposition& frozen_;
};

class AdjustmentTask : public StageTask {
 public:
  AdjustmentTask(const StageConfig& config, const Model<float>& model, FrozenDecomposition& frozen)
      : losses_(config.losses.image),
        official_ratio_(config.ratio == "official"),
        net_(*model.adjustment),
        frozen_(frozen) {}

  Parameters<float> parameters() const override { return net_.parameters(); }

  /// Source, ratio map, target.
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

  Loss<float> loss(const Tensor<float>& batch) override {
    return image_loss(losses_, net_(channels(batch, 0, 1), channels(batch, 1, 2)), channels(batch, 2, 3));
  }

 private:
  ImageLossConfig losses_;
  bool official_ratio_;
  Adjustment<float> net_;
  FrozenDecomposition& frozen_;
};

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

std::unique_ptr<StageTask> make_task(const StageConfig& config, Model<float>& model, const Pairs& pairs,
                                     FrozenDecomposition& frozen) {
  if (config.net.decomposition) return std::make_unique<DecompositionTask>(config, model, pairs);
  if (config.net.restoration) return std::make_unique<RestorationTask>(config, model, frozen);
  return std::make_unique<AdjustmentTask>(config, model, frozen);
}

std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(pairs) / config.batch);
}

std::int64_t total_steps(const StageConfig& config, std::size_t pairs) {
  return config.steps ? *config.steps : config.epochs * epoch_steps(config, pairs);
}

Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageTask& task, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step) {
  const std::vector<std::size_t>& train = pairs.train();
  const std::int64_t steps = epoch_steps(config, train.size());
  const std::uint64_t epoch = static_cast<std::uint64_t>(step / steps);
  std::vector<std::size_t> order = train;
  Random shuffle(seed, {kOrderStream, stage, epoch});
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[shuffle.below(i + 1)]);
  Tensor<float> batch;
  for (std::int64_t b = 0; b < config.batch; ++b) {
    const std::uint64_t i = static_cast<std::uint64_t>(step % steps * config.batch + b);
    const std::size_t pair = order[i % order.size()];
    Random random(seed, {kSampleStream, stage, epoch, i});
    const Pairs::Pair& size = pairs.all()[pair];
    const auto place = [&](int side) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(side - config.patch + 1)));
    };
    const std::int64_t y = place(size.height), x = place(size.width);
    const int mode = static_cast<int>(random.below(8));
    const Tensor<float> planes = flip_rotate(task.sample(pair, y, x, config.patch, random), mode);
    if (!batch.defined()) batch = Tensor<float>(Shape{config.batch, planes.shape()[0], config.patch, config.patch});
    put_planes(planes, batch, b * planes.shape()[0]);
  }
  return batch;
}

}  // namespace kind
