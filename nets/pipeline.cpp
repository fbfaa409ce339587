// Long because the steps on a whole picture (nets, automatic light, product, fusion) share their means and products.

#include "nets/pipeline.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/ops/elementwise.h"
#include "core/ops/filter.h"
#include "nets/mirror.h"

namespace kind {
namespace {

constexpr double kLowestRatio = 0.01, kHighestRatio = 100;
constexpr std::int64_t kGrain = 16384;
constexpr float kSmallestSpan = 0.001f;

double sum_of(const float* x, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

double mean_of(const Tensor<float>& picture) {
  const std::int64_t plane = picture.size() / 3;
  double sums[3];
  for (std::int64_t c = 0; c < 3; ++c) sums[c] = sum_of(picture.data() + c * plane, plane);
  return mean_of_planes(sums, plane);
}

/// Of all values, each with its pixel's weight, of which one is above 0.
double mean_of(const Tensor<float>& picture, const std::vector<float>& weights) {
  const std::int64_t plane = picture.size() / 3;
  double sum = 0, all = 0;
  for (std::int64_t c = 0; c < 3; ++c) {
    double of_plane = 0;
    for (std::int64_t i = 0; i < plane; ++i) {
      of_plane += static_cast<double>(weights[static_cast<std::size_t>(i)]) * static_cast<double>(picture[c * plane + i]);
    }
    sum += of_plane;
  }
  for (const float weight : weights) all += static_cast<double>(weight);
  return sum / (3 * all);
}

/// b = a + share * (b - a)
void blend(const Tensor<float>& a, double share_of_b, Tensor<float>& b) {
  const auto share = static_cast<float>(share_of_b);
  parallel_for(b.size(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) b[i] = a[i] + share * (b[i] - a[i]);
  });
}

void check_picture(const Tensor<float>& picture) {
  const Shape& shape = picture.shape();
  // One alone: the stretch of several would depend on one another.
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 3 && picture.size() > 0,
        "picture: expected RGB [1, 3, h, w], got ", shape);
}

/// A map [1, channels, h, w] of h x w pixels.
void check_map(const char* what, const Tensor<float>& map, std::int64_t channels, std::int64_t h, std::int64_t w) {
  const Shape wanted{1, channels, h, w};
  check(map.defined() && map.shape() == wanted, what, ": expected a map ", wanted, ", got ",
        [&] { return map.defined() ? map.shape().text() : "none"; });
}

/// Of any size.
void check_illumination(const Tensor<float>& map) {
  const Shape& shape = map.shape();
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 1 && map.size() > 0,
        "illumination: expected a map [1, 1, h, w], got ", shape);
}

/// color [1, 3, h, w] times light [1, 1, h, w], in 0..1.
Tensor<float> product(const Tensor<float>& color, const Tensor<float>& light, Tensor<float> result) {
  const std::int64_t plane = light.size();
  parallel_for(plane, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const float* const from = color.data();
    float* const to = result.data();
    for (std::int64_t i = begin; i < end; ++i) {
      float red = from[i] * light[i], green = from[plane + i] * light[i], blue = from[2 * plane + i] * light[i];
      clip_color(red, green, blue);
      to[i] = red;
      to[plane + i] = green;
      to[2 * plane + i] = blue;
    }
  });
  return result;
}

/// The output for maps that all are there.
Tensor<float> put_together(const Tensor<float>& input, const Enhanced& maps, Fusion fusion) {
  return fusion == Fusion::kOfficial ? fuse_official(input, maps)
                                     : product(maps.restored, maps.adjusted, Tensor<float>(input.shape()));
}

/// A picture as the nets take it, in place where nobody else holds it.
Tensor<float> stretched(Tensor<float> picture, InputRange range) {
  Tensor<float> result = picture.unique() ? picture : Tensor<float>(picture.shape());
  parallel_for(picture.size(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result[i] = range.stretched(picture[i]);
  });
  return result;
}

/// The indices of the brightest twentieth, by max(R, G, B), of the pixels whose weight is at least half of the greatest.
std::vector<std::int64_t> brightest(const Tensor<float>& picture, const std::vector<float>& weights) {
  const std::int64_t plane = picture.size() / 3;
  const float least = *std::max_element(weights.begin(), weights.end()) / 2;
  std::vector<std::int64_t> pixels;
  for (std::int64_t i = 0; i < plane; ++i) {
    if (weights[static_cast<std::size_t>(i)] >= least) pixels.push_back(i);
  }
  const auto value = [&](std::int64_t i) { return std::max({picture[i], picture[plane + i], picture[2 * plane + i]}); };
  // Equal values in the order of the pixels, so that the choice is the same everywhere.
  std::stable_sort(pixels.begin(), pixels.end(), [&](std::int64_t i, std::int64_t j) { return value(i) > value(j); });
  pixels.resize(std::max<std::size_t>(1, pixels.size() / 20));
  return pixels;
}

/// How much there is to be seen in a picture, 0..1: 0 where red, green and blue each are all but the same everywhere, 1
/// from 12 of 255 steps on. What the stretch makes of less is noise, or false colors of an even surface. A few of the
/// values at either end say nothing.
double content_of(const Tensor<float>& picture) {
  constexpr double kNothing = 2.0 / 255, kEnough = 12.0 / 255, kFew = 0.0025;
  const std::int64_t plane = picture.size() / 3, few = static_cast<std::int64_t>(kFew * static_cast<double>(plane));
  double contrast = 0;
  for (std::int64_t c = 0; c < 3; ++c) {
    std::vector<float> values(picture.data() + c * plane, picture.data() + (c + 1) * plane);
    std::sort(values.begin(), values.end());
    contrast = std::max(contrast, static_cast<double>(values[static_cast<std::size_t>(plane - 1 - few)] -
                                                      values[static_cast<std::size_t>(few)]));
  }
  return std::clamp((contrast - kNothing) / (kEnough - kNothing), 0.0, 1.0);
}

/// Mean of RGB over some pixels.
double mean_at(const Tensor<float>& picture, const std::vector<std::int64_t>& pixels) {
  const std::int64_t plane = picture.size() / 3;
  double sum = 0;
  for (const std::int64_t i : pixels) {
    for (std::int64_t c = 0; c < 3; ++c) sum += static_cast<double>(picture[c * plane + i]);
  }
  return sum / static_cast<double>(3 * pixels.size());
}

/// Where a function that rises from low to high is 0, or the nearer end: by false position with the side that stays put
/// counted half (the Illinois form, Dowell and Jarratt 1971).
double root_of(double low, double high, double close_enough, const std::function<double(double)>& f) {
  constexpr int kSteps = 12;
  double at_low = f(low);
  if (at_low >= 0) return low;
  double at_high = f(high);
  if (at_high <= 0) return high;
  int last = 0;
  double middle = high;
  for (int i = 0; i < kSteps; ++i) {
    middle = (low * at_high - high * at_low) / (at_high - at_low);
    const double at = f(middle);
    if (std::abs(at) < close_enough) break;
    if (at > 0) {
      high = middle, at_high = at;
      if (last == 1) at_low /= 2;
      last = 1;
    } else {
      low = middle, at_low = at;
      if (last == -1) at_high /= 2;
      last = -1;
    }
  }
  return middle;
}

}  // namespace

Variable<float> PictureNets::around(const Tensor<float>& x) const {
  const std::int64_t margin = model_.config.input.margin();
  return Variable<float>(margin > 0 ? mirrored(x, margin) : x);
}

Tensor<float> PictureNets::inside(const Variable<float>& x) const {
  const std::int64_t margin = model_.config.input.margin();
  return margin > 0 ? cropped(x.value(), margin) : x.value();
}

PictureNets::Parts PictureNets::decompose(const Tensor<float>& input) {
  check(model_.decomposition.has_value(), "model: it has no decomposition net");
  check_picture(input);
  const NoGrad no_grad;
  const FusedNet& net = model_.decomposition->fused();
  if (!net.runnable()) {
    const auto parts = (*model_.decomposition)(around(input));
    return {inside(parts.reflectance), inside(parts.illumination)};
  }
  const Shape& shape = input.shape();
  Parts parts{Tensor<float>(shape), Tensor<float>(Shape{1, 1, shape[2], shape[3]})};
  run(net, {&input}, {&parts.reflectance, &parts.illumination});
  return parts;
}

Tensor<float> PictureNets::restore(const Tensor<float>& reflectance, const Tensor<float>& illumination) {
  check_picture(reflectance);
  check_map("illumination", illumination, 1, reflectance.shape()[2], reflectance.shape()[3]);
  const NoGrad no_grad;
  if (!model_.restoration) return reflectance;
  const FusedNet& net = model_.restoration->fused();
  if (!net.runnable()) return inside((*model_.restoration)(around(reflectance), around(illumination)));
  Tensor<float> restored(reflectance.shape());
  run(net, {&reflectance, &illumination}, {&restored});
  return restored;
}

void PictureNets::restore_in_place(Tensor<float>& reflectance, const Tensor<float>& illumination) {
  check_picture(reflectance);
  check_map("illumination", illumination, 1, reflectance.shape()[2], reflectance.shape()[3]);
  if (!model_.restoration) return;
  const FusedNet& net = model_.restoration->fused();
  if (net.runnable()) {
    run(net, {&reflectance, &illumination}, {&reflectance});
  } else {
    reflectance = restore(reflectance, illumination);
  }
}

Tensor<float> PictureNets::adjust(const Tensor<float>& illumination, double ratio) {
  check(model_.adjustment.has_value(), "model: it has no adjustment net");
  check_illumination(illumination);
  check(std::isfinite(ratio), "ratio: expected a finite number, got ", ratio);
  const NoGrad no_grad;
  Tensor<float> adjusted = Tensor<float>::full(illumination.shape(), static_cast<float>(ratio));
  const FusedNet& net = model_.adjustment->fused();
  if (!net.runnable()) return inside((*model_.adjustment)(around(illumination), around(adjusted)));
  run(net, {&illumination, &adjusted}, {&adjusted});
  return adjusted;
}

void PictureNets::run(const FusedNet& net, const std::vector<const Tensor<float>*>& inputs,
                      const std::vector<Tensor<float>*>& outputs) {
  const std::int64_t h = inputs[0]->shape()[2], w = inputs[0]->shape()[3], margin = model_.config.input.margin();
  std::vector<const float*> from;
  for (const Tensor<float>* t : inputs) {
    for (std::int64_t c = 0; c < t->shape()[1]; ++c) from.push_back(t->data() + c * h * w);
  }
  std::vector<float*> to;
  for (Tensor<float>* t : outputs) {
    for (std::int64_t c = 0; c < t->shape()[1]; ++c) to.push_back(t->data() + c * h * w);
  }
  if (margin == 0) return net.run(h, w, from, to, arena_);
  // Rows are read before those of the outputs are made, so the planes may be the same.
  MirroredRun(
      net, h, w, margin,
      [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
        for (std::size_t c = 0; c < from.size(); ++c) std::copy_n(from[c] + y0 * w, (y1 - y0) * w, planes[c]);
      },
      [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
        for (std::int64_t c = 0; c < count; ++c) {
          std::copy_n(planes[c], (y1 - y0) * w, to[static_cast<std::size_t>(first + c)] + y0 * w);
        }
      },
      arena_)
      .advance(h);
}

InputRange input_range(const Tensor<float>& picture, const InputConfig& config) {
  check_picture(picture);
  if (!config.stretch) return {};
  if (config.outliers.value_or(0) > 0) return meter(picture, config).range;
  const auto [low, high] = std::minmax_element(picture.data(), picture.data() + picture.size());
  return {*low, std::max(*high - *low, kSmallestSpan)};
}

Tensor<float> net_input(Tensor<float> picture, const InputConfig& config) {
  check_picture(picture);
  if (!config.stretch) return picture;
  const InputRange range = input_range(picture, config);
  return stretched(std::move(picture), range);
}

LightChoice choose_light(const Model<float>& model, const MeteredPicture& picture, std::int64_t h, std::int64_t w,
                         const LightLevel& light, Fusion fusion) {
  constexpr double kCloseEnough = 0.002, kHighlightsKept = 0.9, kLowestLevel = 0.02, kHighestLevel = 0.95, kLeastDark = 0.03;
  check_light(light);
  check_picture(picture.reduced);
  const InputRange range = picture.range;
  check(std::isfinite(range.low) && std::isfinite(range.span) && range.span > 0,
        "range: expected finite numbers and a span above 0, got ", range.low, " and ", range.span);
  const bool automatic = light.mode == LightLevel::Mode::kAuto;
  LightChoice choice;
  if (light.mode == LightLevel::Mode::kRatio) choice.ratio = light.value;
  // Who asks for less light than there is means all of the picture.
  const bool mixes = fusion == Fusion::kAuto && (light.mode != LightLevel::Mode::kRatio || light.value > 1);
  if (!automatic && !mixes) return choice;

  check(model.decomposition.has_value() && model.adjustment.has_value(),
        "model: it has no decomposition or no adjustment net, which the light is chosen with");
  const LightConfig rule = model.config.light.value_or(LightConfig{});
  const Tensor<float> input = stretched(picture.reduced.clone(), range);
  const LightStatistics statistics = light_statistics(input, range, picture.weights);
  // Of the whole range, its lights included: among them a sky is black however it is stretched.
  const double all_of_range = std::max<double>(static_cast<double>(picture.lights - range.low), range.span);
  const double brighter = std::exp2(light.stops / 2.2),
               limit = level_limit(rule, statistics) * static_cast<double>(range.span) / all_of_range * brighter;
  const double level = light.stops == 0
                           ? automatic_level(rule, statistics)
                           : std::clamp(automatic_level(rule, statistics) * brighter, kLowestLevel, kHighestLevel);
  std::vector<float> weights = picture.weights;
  if (weights.empty()) weights.assign(static_cast<std::size_t>(input.size() / 3), 1.0f);
  double all = 0, used = 0;
  for (const float weight : weights) all += static_cast<double>(weight);
  if (mixes) {
    choice.local = std::make_shared<LocalStrength>(picture.reduced, h, w, range, level, brighter);
    const std::vector<float> dark = choice.local->weights();
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= dark[i];
  }
  for (const float weight : weights) used += static_cast<double>(weight);
  if (used == 0) {
    // Nothing is dark.
    choice.local = nullptr;
    choice.strength = choice.mixed = automatic ? 0 : 1;
    return choice;
  }
  const double given = mean_of(picture.reduced, weights);
  if (automatic) {
    choice.mixed = content_of(picture.reduced);
    // A few dark places are no reason to change a picture.
    if (mixes) choice.mixed *= std::min(1.0, used / (kLeastDark * all));
    if (!choice.local) choice.mixed *= std::clamp(2 * (1 - given / level), 0.0, 1.0);
    // By mixing and not by the ratio, which would take the light from the stars, too.
    if (given < level) choice.mixed *= std::clamp((limit - given) / (level - given), 0.0, 1.0);
    choice.strength = choice.mixed;
    if (choice.mixed == 0) return choice;
  }

  PictureNets nets(model);
  auto [restored, illumination] = nets.decompose(input);
  nets.restore_in_place(restored, illumination);
  const auto enhanced = [&model, restored = restored, illumination = illumination](double ratio) {
    return product(restored, PictureNets(model).adjust(illumination, ratio), Tensor<float>(restored.shape()));
  };
  if (mixes) {
    choice.gain = [enhanced, weights, given](double ratio) {
      return mean_of(enhanced(ratio), weights) / std::max(given, 1e-3);
    };
  }
  if (!automatic) {
    choice.set_ratio(choice.ratio);
    choice.strength = 1;  // as much as was asked for
    return choice;
  }
  const std::vector<std::int64_t> highlights = brightest(input, weights);
  const double highest = std::max(rule.highest, std::min(level, kHighestLevel)),
               wanted = std::max(level, std::min(mean_of(input, weights), highest)),
               kept = kHighlightsKept * mean_at(input, highlights);
  // Each part grows with the ratio, so the whole does.
  const auto error = [&](double log_ratio) {
    const Tensor<float> output = enhanced(std::exp(log_ratio));
    const double mean = mean_of(output, weights);
    return std::min(mean - wanted, std::max(mean_at(output, highlights) - kept, mean - highest));
  };
  choice.set_ratio(std::exp(root_of(0, std::log(rule.highest_ratio), kCloseEnough, error)));
  return choice;
}

void LightChoice::set_ratio(double to) {
  ratio = to;
  if (!local) return;
  local->set_gain(gain(to));
  strength = mixed * local->mean();
}

void check_light(const LightLevel& light) {
  if (light.mode == LightLevel::Mode::kRatio) {
    check(light.value > 0 && light.value <= kHighestRatio, "ratio: expected a number above 0 and at most ",
          kHighestRatio, ", got ", light.value);
  }
  if (light.mode == LightLevel::Mode::kTargetMean) {
    check(light.value >= 0 && light.value <= 1, "target mean: expected a number from 0 to 1, got ", light.value);
  }
  check(light.stops >= -10 && light.stops <= 10, "stops: expected a number from -10 to 10, got ", light.stops);
}

double mean_of_planes(const double sums[3], std::int64_t plane) {
  check(sums && plane >= 1, "mean of planes: expected three sums of at least one value, got planes of ", plane);
  return (sums[0] + sums[1] + sums[2]) / static_cast<double>(3 * plane);
}

// The output's mean grows with the ratio nearly everywhere, so the wanted one is found by halving the interval of its
// logarithm.
double ratio_for_mean(double target, const std::function<double(double)>& mean_of_output) {
  constexpr int kSteps = 12;
  constexpr double kCloseEnough = 0.0005;
  check(std::isfinite(target), "target mean: expected a finite number, got ", target);
  check(mean_of_output != nullptr, "target mean: expected the output's mean as a function, got none");
  double low = std::log(kLowestRatio), high = std::log(kHighestRatio), best = 0, best_error = 2;
  for (int i = 0; i < kSteps && best_error > kCloseEnough; ++i) {
    const double middle = (low + high) / 2;
    const double error = mean_of_output(std::exp(middle)) - target;
    if (std::abs(error) < best_error) {
      best_error = std::abs(error);
      best = middle;
    }
    (error > 0 ? high : low) = middle;
  }
  return std::exp(best);
}

Variable<float> ratio_map(const Shape& illumination, double ratio) {
  check(illumination.rank() == 4 && illumination[1] == 1, "ratio: expected the shape of a map [n, 1, h, w], got ",
        illumination);
  check(std::isfinite(ratio), "ratio: expected a finite number, got ", ratio);
  return Variable<float>(Tensor<float>::full(illumination, static_cast<float>(ratio)));
}

double ratio_between(const Tensor<float>& low, const Tensor<float>& high) {
  check(low.size() > 0, "ratio: expected illuminations [1, 1, h, w], got ", low.shape(), " without elements");
  check(low.shape() == high.shape(), "ratio: illuminations ", low.shape(), " and ", high.shape(), " differ in size");
  double sum = 0;
  for (std::int64_t i = 0; i < low.size(); ++i)
    sum += static_cast<double>(high[i]) / (static_cast<double>(low[i]) + 1e-4);
  return sum / static_cast<double>(low.size());
}

void mix_rows(const LightChoice& choice, std::int64_t y0, std::int64_t y1, const float* const* picture,
              float* const* enhanced, std::int64_t w) {
  const std::int64_t count = (y1 - y0) * w;
  std::vector<float> local;
  if (choice.local) {
    local.resize(static_cast<std::size_t>(count));
    choice.local->rows(y0, y1, picture, local.data());
  } else if (choice.mixed == 1) {
    return;
  }
  const auto mixed = static_cast<float>(choice.mixed);
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float share = local.empty() ? mixed : mixed * local[static_cast<std::size_t>(i)];
      if (share == 1) continue;
      for (int c = 0; c < 3; ++c) enhanced[c][i] = picture[c][i] + share * (enhanced[c][i] - picture[c][i]);
    }
  });
}

Enhanced enhance(const Model<float>& model, Tensor<float> picture, const EnhanceOptions& options) {
  check_picture(picture);
  const MeteredPicture metered = meter(picture, model.config.input);
  return enhance(model, std::move(picture), metered, options);
}

Enhanced enhance(const Model<float>& model, Tensor<float> picture, const MeteredPicture& metered,
                 const EnhanceOptions& options) {
  check(model.decomposition.has_value(), "model: it has no decomposition net, which enhancing needs");
  check(model.adjustment.has_value(), "model: it has no adjustment net, which enhancing needs");
  check(options.denoise >= 0 && options.denoise <= 1, "denoise: expected a number from 0 to 1, got ", options.denoise);
  check_picture(picture);
  const NoGrad no_grad;
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3], plane = h * w;
  LightChoice choice = choose_light(model, metered, h, w, options.light, options.fusion);
  Tensor<float> given;  // only where the output is to lie between it and the enhanced picture
  if (choice.local || choice.mixed < 1) given = picture.clone();
  const Tensor<float> input =
      model.config.input.stretch ? stretched(std::move(picture), metered.range) : std::move(picture);
  // Where nobody asks for the maps, one becomes the next in the same memory.
  const bool in_place = !options.maps && options.fusion != Fusion::kOfficial;
  PictureNets nets(model);
  Enhanced maps;
  PictureNets::Parts parts = nets.decompose(input);
  maps.reflectance = std::move(parts.reflectance);
  maps.illumination = std::move(parts.illumination);
  if (in_place && options.denoise == 1) {
    maps.restored = std::move(maps.reflectance);
    nets.restore_in_place(maps.restored, maps.illumination);
  } else {
    maps.restored = nets.restore(maps.reflectance, maps.illumination);
    if (model.restoration && options.denoise < 1) blend(maps.reflectance, options.denoise, maps.restored);
  }
  const auto mixed = [&](Tensor<float> output) {
    if (!given.defined()) return output;
    const float* const before[] = {given.data(), given.data() + plane, given.data() + 2 * plane};
    float* const after[] = {output.data(), output.data() + plane, output.data() + 2 * plane};
    mix_rows(choice, 0, h, before, after, w);
    return output;
  };
  if (options.light.mode == LightLevel::Mode::kTargetMean) {
    Enhanced trial = maps;
    const double found = ratio_for_mean(options.light.value, [&](double ratio) {
      choice.set_ratio(ratio);
      trial.adjusted = nets.adjust(maps.illumination, ratio);
      return mean_of(mixed(put_together(input, trial, options.fusion)));
    });
    choice.set_ratio(found);
  }
  maps.ratio = choice.ratio;
  maps.strength = options.light.mode == LightLevel::Mode::kAuto ? choice.strength : 1;
  maps.adjusted = nets.adjust(maps.illumination, maps.ratio);
  maps.output = mixed(in_place ? product(maps.restored, maps.adjusted, maps.restored)
                               : put_together(input, maps, options.fusion));
  if (!options.maps) maps.reflectance = maps.illumination = maps.restored = maps.adjusted = {};
  return maps;
}

Tensor<float> fuse_official(const Tensor<float>& picture, const Enhanced& maps) {
  constexpr std::int64_t kRadius = 12;
  check_picture(picture);
  for (const auto& [name, map, channels] : {std::tuple("reflectance", &maps.reflectance, 3),
                                            {"illumination", &maps.illumination, 1},
                                            {"restored", &maps.restored, 3},
                                            {"adjusted", &maps.adjusted, 1}}) {
    check_map(name, *map, channels, picture.shape()[2], picture.shape()[3]);
  }
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3], plane = h * w;
  // Gray of R_low, with its edges replicated, then blurred along each axis.
  Tensor<float> gray(Shape{1, 1, h + 2 * kRadius, w + 2 * kRadius});
  const Tensor<float>& r = maps.reflectance;
  for (std::int64_t y = 0; y < gray.shape()[2]; ++y) {
    const std::int64_t from_y = std::clamp<std::int64_t>(y - kRadius, 0, h - 1);
    for (std::int64_t x = 0; x < gray.shape()[3]; ++x) {
      const std::int64_t at = from_y * w + std::clamp<std::int64_t>(x - kRadius, 0, w - 1);
      gray[y * gray.shape()[3] + x] = 0.2125f * r[at] + 0.7154f * r[plane + at] + 0.0721f * r[2 * plane + at];
    }
  }
  const NoGrad no_grad;
  const Tensor<float> row = gaussian_row<float>(2 * kRadius + 1, 3.0);
  const Tensor<float> blurred =
      depthwise_filter(depthwise_filter(Variable<float>(gray), row), row.reshape(Shape{2 * kRadius + 1, 1})).value();
  Tensor<float> output(picture.shape());
  parallel_for(plane, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float contrast = std::min(std::sqrt(2 * blurred[i]), 1.0f);
      const float l = maps.illumination[i], light = (1 - l) * contrast * maps.adjusted[i];
      float color[3];
      for (std::int64_t c = 0; c < 3; ++c) {
        color[c] = l * picture[c * plane + i] + light * maps.restored[c * plane + i];
      }
      clip_color(color[0], color[1], color[2]);
      for (std::int64_t c = 0; c < 3; ++c) output[c * plane + i] = color[c];
    }
  });
  return output;
}

}  // namespace kind
