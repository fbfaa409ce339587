#include "train/stage.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iomanip>
#include <map>
#include <numeric>
#include <sstream>

#include "core/base/error.h"
#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "train/augment.h"

namespace kind {
namespace {

// Streams of the generator, so that one draw never moves another.
constexpr std::uint64_t kOrderStream = 0x04DE4;
constexpr std::uint64_t kSampleStream = 0x5A4B1E;
constexpr std::uint64_t kMixStream = 0x313C5;

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

/// Planes first..end-1 of [c, h, w].
Tensor<float> planes(const Tensor<float>& maps, std::int64_t first, std::int64_t end) {
  const NoGrad no_grad;
  return slice(Variable<float>(maps), 0, first, end).value();
}

/// The crop of an RGB picture at (y, x) into three planes of `to`, beginning at plane `at`, with the values that
/// `range` goes from and to as 0 and 1.
void put_crop(const Image& image, const Pairs::Range& range, std::int64_t y, std::int64_t x, Tensor<float>& to,
              std::int64_t at) {
  const std::int64_t size = to.shape()[1];
  const float span = std::max(range.high - range.low, 0.001f);
  std::array<float, 256> values;
  for (int v = 0; v < 256; ++v) {
    values[static_cast<std::size_t>(v)] = (static_cast<float>(v) / 255.0f - range.low) / span;
  }
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint8_t* row = image.row(static_cast<int>(y + i)) + 3 * x;
    for (std::int64_t c = 0; c < 3; ++c) {
      float* plane = to.data() + ((at + c) * size + i) * size;
      for (std::int64_t j = 0; j < size; ++j) plane[j] = values[row[3 * j + c]];
    }
  }
}

/// Where the planes of a sample of nets that are trained together begin.
enum TogetherPlanes : std::int64_t {
  kInput = 0,
  kBright = 3,
  kTarget = 6,
  kRatio = 9,
  kLevel = 10,
  kTogetherPlanes = 11
};

/// Both pictures of a pair as net_input would give them: the stretch is that of the whole picture.
class PictureSampler : public StageSampler {
 public:
  PictureSampler(const StageConfig& config, const Model<float>& model, const Pairs& pairs, FrozenDecomposition& frozen)
      : config_(config), stretch_(model.config.input.stretch), pairs_(pairs), frozen_(frozen) {}

  void prepare(std::size_t pair, std::uint64_t draw) override {
    if (!of_picture()) return;
    if (pairs_.fresh(pair)) {
      twins_[draw] = make_twin(pair, draw);
    } else {
      frozen_.ratio(pair);
    }
  }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                       std::uint64_t draw) override {
    constexpr Pairs::Range kAsItIs{0, 1};
    std::optional<Twin> twin;
    if (pairs_.fresh(pair)) {
      auto prepared = twins_.extract(draw);
      twin = prepared ? std::move(prepared.mapped()) : make_twin(pair, draw);
    }
    const Pairs::Pictures& pictures = pairs_.pictures(pair);
    const Pairs::Pair& ranges = pairs_.all()[pair];
    Tensor<float> sample(Shape{stage_planes(config_), size, size});
    const Pairs::Range low_range = !stretch_ ? kAsItIs : twin ? range_of(twin->low) : ranges.low;
    put_crop(twin ? twin->low : pictures.low, low_range, y, x, sample, kInput);
    put_crop(pictures.high, stretch_ ? ranges.high : kAsItIs, y, x, sample, kBright);
    if (!config_.net.together()) {
      if (drawn(config_.lamps, random)) put_lamps(sample, 2, random);
      if (drawn(config_.noisy_inputs, random)) add_noise(sample, random);
      change_colors(sample, 2, random);
      return sample;
    }
    put_crop(pictures.high, kAsItIs, y, x, sample, kTarget);
    if (drawn(config_.lamps, random)) put_lamps(sample, 3, random);
    double ratio = !of_picture() ? 1 : twin ? twin->ratio : frozen_.ratio(pair).up, level = 1;
    float* const planes = sample.data();
    const std::int64_t plane = size * size;
    if (random.uniform() < config_.brighter_inputs) {
      const double bright = random.uniform();
      const float share = static_cast<float>(bright);
      for (std::int64_t i = 0; i < 3 * plane; ++i) {
        planes[i] = exposure_between(planes[i], planes[3 * plane + i], share);
      }
      if (of_picture()) ratio = std::pow(ratio, 1 - bright);
    }
    if (drawn(config_.noisy_inputs, random)) add_noise(sample, random);
    if (random.uniform() < config_.darker_targets) {
      level = std::exp(random.uniform(std::log(kDarkestTarget), 0));
      for (std::int64_t i = 0; i < 3 * plane; ++i) planes[kTarget * plane + i] *= static_cast<float>(level);
    }
    std::fill_n(planes + kRatio * plane, plane, static_cast<float>(ratio * level));
    std::fill_n(planes + kLevel * plane, plane, static_cast<float>(level));
    change_colors(sample, 3, random);
    return sample;
  }

 private:
  static constexpr double kDarkestTarget = 0.3;

  /// Whether a sample is to be changed. Without a share nothing is drawn, so samples stay what they were before there
  /// was the change.
  static bool drawn(double share, Random& random) { return share > 0 && random.uniform() < share; }

  /// Last of all changes, so that lamps and noise take part.
  void change_colors(Tensor<float>& sample, std::int64_t pictures, Random& random) const {
    if (drawn(config_.color_shuffle, random)) shuffle_colors(sample, pictures, random);
    if (drawn(config_.color_jitter, random)) turn_colors(sample, pictures, random);
    if (drawn(config_.gray_inputs, random)) make_gray(sample, pictures);
  }

  bool of_picture() const { return config_.net.together() && config_.ratio == "picture"; }

  /// A dark picture made for one sample, and the ratio that goes with it.
  struct Twin {
    Image low;
    double ratio = 1;
  };
  Twin make_twin(std::size_t pair, std::uint64_t draw) const {
    Twin twin{pairs_.dark_twin(pair, draw)};
    if (of_picture()) twin.ratio = frozen_.ratio_up(pair, twin.low);
    return twin;
  }

  std::map<std::uint64_t, Twin> twins_;  // of the batch that is prepared, where their ratio takes a net
  const StageConfig& config_;
  bool stretch_;
  const Pairs& pairs_;
  FrozenDecomposition& frozen_;
};

class RestorationSampler : public StageSampler {
 public:
  RestorationSampler(const StageConfig& config, FrozenDecomposition& frozen)
      : power_(static_cast<float>(config.target_power)), frozen_(frozen) {}

  void prepare(std::size_t pair, std::uint64_t) override { frozen_.maps(pair); }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random&,
                       std::uint64_t) override {
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

/// The ratio that adjustment is given to turn the dark illumination of a crop into the bright one, or the reverse.
double ratio_of_crop(const std::string& form, const Tensor<float>& low, const Tensor<float>& high, bool upwards) {
  if (form == "official") {
    const double down = ratio_between(high, low);
    return upwards ? 1 / down + 1e-4 : down;
  }
  return upwards ? ratio_between(low, high) : ratio_between(high, low);
}

class AdjustmentSampler : public StageSampler {
 public:
  AdjustmentSampler(const StageConfig& config, FrozenDecomposition& frozen) : form_(config.ratio), frozen_(frozen) {}

  void prepare(std::size_t pair, std::uint64_t) override {
    frozen_.maps(pair);
    if (form_ == "picture") frozen_.ratio(pair);
  }

  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                       std::uint64_t) override {
    const Tensor<float> maps = frozen_.maps(pair).crop(pair, y, x, size, size);
    const Tensor<float> low = planes(maps, 3, 4), high = planes(maps, 7, 8);
    const bool upwards = random.below(2) == 0;
    double ratio = 0;
    if (form_ == "picture") {
      const FrozenDecomposition::Ratio whole = frozen_.ratio(pair);
      ratio = upwards ? whole.up : whole.down;
    } else {
      ratio = ratio_of_crop(form_, low, high, upwards);
    }
    Tensor<float> sample(Shape{3, size, size});
    put_planes(upwards ? low : high, sample, 0);
    put_planes(Tensor<float>::full(Shape{size, size}, static_cast<float>(ratio)), sample, 1);
    put_planes(upwards ? high : low, sample, 2);
    return sample;
  }

 private:
  std::string form_;
  FrozenDecomposition& frozen_;
};

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

std::vector<Place> places_of(const StageConfig& config, const Pairs& pairs, std::uint64_t seed, std::uint64_t stage,
                             std::int64_t step) {
  const std::vector<Pairs::Source>& sources = pairs.sources();
  const std::int64_t first = step * config.batch, rounds = first / Pairs::kTurns;
  std::vector<std::int64_t> credit(sources.size(), 0);
  std::vector<std::uint64_t> taken;  // samples that each source has had before
  for (const Pairs::Source& source : sources) taken.push_back(static_cast<std::uint64_t>(rounds * source.turns));
  std::map<std::pair<std::size_t, std::uint64_t>, std::vector<std::size_t>> orders;
  std::vector<Place> places;
  for (std::int64_t turn = rounds * Pairs::kTurns; turn < first + config.batch; ++turn) {
    for (std::size_t s = 0; s < sources.size(); ++s) credit[s] += sources[s].turns;
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

}  // namespace

FrozenDecomposition::FrozenDecomposition(const Model<float>& model, const Pairs& pairs, std::size_t memory_bytes,
                                         std::string folder, std::string shared)
    : model_(model),
      pairs_(pairs),
      store_(pairs.all().size(), memory_bytes, folder),
      ratios_(pairs.all().size()),
      bright_light_(pairs.all().size(), memory_bytes / 4, std::move(folder)),
      shared_folder_(std::move(shared)) {}

const MapStore& FrozenDecomposition::maps(std::size_t index) {
  if (store_.has(index)) return store_;
  if (shared_folder_.empty()) {
    store_.put(index, decompose(index));
    return store_;
  }
  if (!shared_) {
    std::vector<std::int64_t> elements;
    for (const Pairs::Pair& pair : pairs_.all()) elements.push_back(kPlanes * pair.height * pair.width);
    shared_ = std::make_unique<SharedMaps>(shared_folder_ + "/" + content_name(), elements);
  }
  const Pairs::Pair& pair = pairs_.all()[index];
  store_.put_view(index, Shape{kPlanes, pair.height, pair.width},
                  shared_->get(index, [&] { return decompose(index); }));
  return store_;
}

Tensor<float> FrozenDecomposition::decompose(std::size_t index) const {
  PictureNets nets(model_);
  const Pairs::Pictures& pictures = pairs_.pictures(index);
  Tensor<float> all(Shape{kPlanes, pictures.low.height, pictures.low.width});
  std::int64_t at = 0;
  for (const Image* image : {&pictures.low, &pictures.high}) {
    const PictureNets::Parts parts = nets.decompose(net_input(to_tensor(*image), model_.config.input));
    put_planes(parts.reflectance, all, at);
    put_planes(parts.illumination, all, at + 3);
    at += 4;
  }
  return all;
}

/// A name for everything that the maps' bits depend on.
std::string FrozenDecomposition::content_name() const {
  std::uint64_t hash = pairs_.fingerprint();
  const auto add = [&hash](std::uint64_t value) { hash = mix64(hash ^ value) + 0x9e3779b97f4a7c15u; };
  const auto add_text = [&add](const std::string& text) {
    for (const char c : text) add(static_cast<unsigned char>(c));
  };
  add_text(to_json(*model_.config.decomposition).dump() + current_isa());
  add(model_.config.input.stretch);
  add(static_cast<std::uint64_t>(model_.config.input.margin()));
  add(exact_kernels());
  for (const Parameter<float>& parameter : model_.decomposition->parameters()) {
    const Tensor<float>& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.size(); ++i) add(std::bit_cast<std::uint32_t>(value[i]));
  }
  std::ostringstream name;
  name << "maps-" << std::hex << std::setw(16) << std::setfill('0') << hash << ".f32";
  return name.str();
}

FrozenDecomposition::Ratio FrozenDecomposition::ratio(std::size_t index) {
  if (!ratios_[index]) {
    const bool kept = store_.has(index) || !shared_folder_.empty();
    const Tensor<float> all = kept ? maps(index).get(index) : decompose(index);
    const Tensor<float> low = planes(all, 3, 4), high = planes(all, 7, 8);
    ratios_[index] = Ratio{ratio_between(low, high), ratio_between(high, low)};
  }
  return *ratios_[index];
}

double FrozenDecomposition::ratio_up(std::size_t index, const Image& low) {
  PictureNets nets(model_);
  const auto light_of = [&](const Image& image) {
    return nets.decompose(net_input(to_tensor(image), model_.config.input)).illumination;
  };
  if (!bright_light_.has(index)) {
    const Tensor<float> light = light_of(pairs_.pictures(index).high);
    bright_light_.put(index, light.reshape(Shape{1, light.shape()[2], light.shape()[3]}));
  }
  const Tensor<float> dark = light_of(low);
  return ratio_between(dark, bright_light_.get(index).reshape(dark.shape()));
}

Parameters<float> stage_parameters(const StageConfig& config, const Model<float>& model) {
  Parameters<float> all;
  const auto add = [&](const auto& wanted, const auto& net) {
    if (!wanted) return;
    const Parameters<float> more = net.value().parameters();
    all.insert(all.end(), more.begin(), more.end());
  };
  add(config.net.decomposition, model.decomposition);
  add(config.net.restoration, model.restoration);
  add(config.net.adjustment, model.adjustment);
  return all;
}

template <class T>
Variable<T> ratios_upwards(const std::string& form, const Variable<T>& low, const Variable<T>& high) {
  const T smallest = T(1e-4);
  if (form == "official") {
    const Variable<T> down = mean(low / add(high, smallest), {1, 2, 3}, true);
    return add(div(Variable<T>(Tensor<T>::full(down.shape(), T(1))), down), smallest);
  }
  return mean(high / add(low, smallest), {1, 2, 3}, true);
}
template Variable<float> ratios_upwards(const std::string&, const Variable<float>&, const Variable<float>&);
template Variable<double> ratios_upwards(const std::string&, const Variable<double>&, const Variable<double>&);

std::int64_t stage_planes(const StageConfig& config) {
  if (config.net.together()) return kTogetherPlanes;
  if (config.net.decomposition) return 6;
  return config.net.restoration ? FrozenDecomposition::kPlanes : 3;
}

namespace {

/// The ratio of each picture of a batch as a map, times `level`, without a gradient: a number that a user would give.
Variable<float> ratio_maps(const std::string& form, const Tensor<float>& low, const Tensor<float>& high,
                           const Tensor<float>& level) {
  Tensor<float> maps(low.shape());
  const std::int64_t plane = low.shape()[2] * low.shape()[3];
  for (std::int64_t n = 0; n < low.shape()[0]; ++n) {
    const double ratio = ratio_of_crop(form, planes(low, n, n + 1), planes(high, n, n + 1), true);
    std::fill_n(maps.data() + n * plane, plane, static_cast<float>(ratio) * level[n * plane]);
  }
  return Variable<float>(maps);
}

Loss<float> together_loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) {
  const std::int64_t n = batch.shape()[0];
  const StageLosses& losses = config.losses;
  const Variable<float> input = channels(batch, kInput, kBright), bright = channels(batch, kBright, kTarget),
                        target = channels(batch, kTarget, kRatio), level = channels(batch, kLevel, kTogetherPlanes);
  const bool learns = config.net.decomposition.has_value(), of_picture = config.ratio == "picture";
  const bool reads_bright = learns || !of_picture || !losses.parts.empty();
  Variable<float> r_low, l_low, r_high, l_high;
  {
    std::optional<NoGrad> frozen;
    if (!learns) frozen.emplace();
    // Both pictures of a pair pass the net together.
    const auto parts = model.decomposition.value()(reads_bright ? concat<float>({input, bright}, 0) : input);
    r_low = slice(parts.reflectance, 0, 0, n), l_low = slice(parts.illumination, 0, 0, n);
    if (reads_bright) {
      r_high = slice(parts.reflectance, 0, n, 2 * n), l_high = slice(parts.illumination, 0, n, 2 * n);
    }
  }
  const auto ratio = [&] {
    if (of_picture) return channels(batch, kRatio, kLevel);
    if (config.ratio_gradient) return ratios_upwards(config.ratio, l_low, l_high) * level;
    return ratio_maps(config.ratio, l_low.value(), l_high.value(), level.value());
  }();
  const auto of_decomposition = [&] {
    return decomposition_loss(losses.decomposition, r_low, l_low, r_high, l_high, input, bright);
  };
  if (!losses.any_of_output()) return of_decomposition();
  // R_high and L_high are what the others are to find, not to move.
  const Variable<float> wanted_r = reads_bright ? Variable<float>(r_high.value()) : Variable<float>();
  const Variable<float> wanted_l = reads_bright ? Variable<float>(l_high.value()) * level : Variable<float>();
  Loss<float> loss = output_loss(losses.image, losses.parts, model.restoration.value()(r_low, l_low),
                                 model.adjustment.value()(l_low, ratio), target, wanted_r, wanted_l);
  if (losses.decomposition.empty()) return loss;
  return std::move(loss) + of_decomposition();
}

}  // namespace

Loss<float> stage_loss(const StageConfig& config, const Model<float>& model, const Tensor<float>& batch) {
  const Shape& shape = batch.shape();
  check(shape.rank() == 4 && shape[1] == stage_planes(config), "stage ", config.name, ": expected a batch of ",
        stage_planes(config), " planes, got ", shape.text());
  if (config.net.together()) return together_loss(config, model, batch);
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
  if (config.net.decomposition || config.net.together()) {
    return std::make_unique<PictureSampler>(config, model, pairs, frozen);
  }
  if (config.net.restoration) return std::make_unique<RestorationSampler>(config, frozen);
  return std::make_unique<AdjustmentSampler>(config, frozen);
}

float exposure_between(float low, float high, float share) {
  if (share <= 0) return low;
  return share >= 1 ? high : std::pow(low, 1 - share) * std::pow(high, share);
}

std::int64_t epoch_steps(const StageConfig& config, std::size_t pairs) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(pairs) / config.batch);
}

std::int64_t total_steps(const StageConfig& config, std::size_t pairs) {
  return config.steps ? *config.steps : config.epochs * epoch_steps(config, pairs);
}

void prepare_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                   std::uint64_t stage, std::int64_t step) {
  for (const Place& place : places_of(config, pairs, seed, stage, step)) sampler.prepare(place.pair, place.draw);
}

Tensor<float> make_batch(const StageConfig& config, const Pairs& pairs, StageSampler& sampler, std::uint64_t seed,
                         std::uint64_t stage, std::int64_t step) {
  Tensor<float> batch;
  std::int64_t b = 0;
  for (const Place& place : places_of(config, pairs, seed, stage, step)) {
    Random random(seed, {kSampleStream, of_source(stage, place.source), place.epoch, place.sample});
    const Pairs::Pair& size = pairs.all()[place.pair];
    const auto start = [&](int side) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(side - config.patch + 1)));
    };
    const std::int64_t y = start(size.height), x = start(size.width);
    const int mode = static_cast<int>(random.below(8));
    const Tensor<float> planes = flip_rotate(sampler.sample(place.pair, y, x, config.patch, random, place.draw), mode);
    if (!batch.defined()) batch = Tensor<float>(Shape{config.batch, planes.shape()[0], config.patch, config.patch});
    put_planes(planes, batch, b++ * planes.shape()[0]);
  }
  if (config.mixup > 0) {
    Random random(seed, {kMixStream, stage, static_cast<std::uint64_t>(step)});
    mix_samples(batch, config.mixup, random);
  }
  return batch;
}

}  // namespace kind
