#include "nets/automatic_light.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "nets/picture_nets.h"
#include "nets/product.h"

namespace kind {
namespace {

constexpr double kLowestRatio = 0.01, kHighestRatio = 100, kHighestLevel = 0.95;

/// The mean of all values, each with its pixel's weight, of which one is above 0.
double mean_of(const Tensor<float>& picture, const std::vector<float>& weights) {
  const std::int64_t plane = picture.size() / 3;
  double sum = 0, all = 0;
  for (std::int64_t c = 0; c < 3; ++c) {
    double of_plane = 0;
    for (std::int64_t i = 0; i < plane; ++i) {
      of_plane +=
          static_cast<double>(weights[static_cast<std::size_t>(i)]) * static_cast<double>(picture[c * plane + i]);
    }
    sum += of_plane;
  }
  for (const float weight : weights) all += static_cast<double>(weight);
  return sum / (3 * all);
}

/// A picture as the nets take it.
Tensor<float> stretched(const Tensor<float>& picture, InputRange range) {
  Tensor<float> result(picture.shape());
  for (std::int64_t i = 0; i < picture.size(); ++i) result[i] = range.stretched(picture[i]);
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

void check_metered(const MeteredPicture& picture) {
  check(picture.reduced.shape().rank() == 4 && picture.reduced.shape()[0] == 1 && picture.reduced.shape()[1] == 3 &&
            picture.reduced.size() > 0,
        "picture: expected RGB [1, 3, h, w], got ", picture.reduced.shape());
  const InputRange range = picture.range;
  check(std::isfinite(range.low) && std::isfinite(range.span) && range.span > 0,
        "range: expected finite numbers and a span above 0, got ", range.low, " and ", range.span);
}

/// What the result's mean is to be: the level, and the most that a picture of hardly anything but black may get.
/// `brighter` is the factor that the stops asked for stand for.
struct Goal {
  double level, limit, brighter;
};

Goal goal_of(const LightConfig& rule, const MeteredPicture& picture, const Tensor<float>& input, double stops) {
  constexpr double kLowestLevel = 0.02;
  const InputRange range = picture.range;
  const LightStatistics statistics = light_statistics(input, range, picture.weights);
  // Of the whole range, its lights included: among them a sky is black however it is stretched.
  const double all_of_range = std::max<double>(static_cast<double>(picture.lights - range.low), range.span);
  const double brighter = std::exp2(stops / 2.2),
               limit = level_limit(rule, statistics) * static_cast<double>(range.span) / all_of_range * brighter;
  const double level = stops == 0
                           ? automatic_level(rule, statistics)
                           : std::clamp(automatic_level(rule, statistics) * brighter, kLowestLevel, kHighestLevel);
  return {level, limit, brighter};
}

double sum_of(const std::vector<float>& weights) {
  double sum = 0;
  for (const float weight : weights) sum += static_cast<double>(weight);
  return sum;
}

/// How much of the enhanced picture the automatic light mixes in, 0..1. `given`: the mean of the picture's pixels that
/// count; `used` of `all` weights are left for them; `local`: whether the strength varies over the picture.
double automatic_mix(const Tensor<float>& reduced, const Goal& goal, double given, double used, double all,
                     bool local) {
  constexpr double kLeastDark = 0.03;
  double mixed = content_of(reduced);
  if (local) {
    // A few dark places are no reason to change a picture.
    mixed *= std::min(1.0, used / (kLeastDark * all));
  } else {
    mixed *= std::clamp(2 * (1 - given / goal.level), 0.0, 1.0);
  }
  // By mixing and not by the ratio, which would take the light from the stars, too.
  if (given < goal.level) mixed *= std::clamp((goal.limit - given) / (goal.level - given), 0.0, 1.0);
  return mixed;
}

/// The enhanced picture by the ratio.
using Enhancement = std::function<Tensor<float>(double)>;

Enhancement enhancement_of(const Model<float>& model, const Tensor<float>& input) {
  PictureNets nets(model);
  auto [restored, illumination] = nets.decompose(input);
  nets.restore_in_place(restored, illumination);
  return [&model, restored = restored, illumination = illumination](double ratio) {
    const Tensor<float> adjusted = PictureNets(model).adjust(illumination, ratio);
    Tensor<float> output(restored.shape());
    const std::int64_t plane = adjusted.size();
    const float* const color[] = {restored.data(), restored.data() + plane, restored.data() + 2 * plane};
    float* const out[] = {output.data(), output.data() + plane, output.data() + 2 * plane};
    multiply_rows(plane, color, adjusted.data(), out);
    return output;
  };
}

/// The ratio that reaches the goal's level and keeps the highlights; `darker`: less light than there is was asked for.
double automatic_ratio(const LightConfig& rule, const Goal& goal, const Tensor<float>& input,
                       const std::vector<float>& weights, const Enhancement& enhanced, bool darker) {
  constexpr double kCloseEnough = 0.002, kHighlightsKept = 0.9;
  const std::vector<std::int64_t> highlights = brightest(input, weights);
  // Who asks for less light may get less than the stretched picture has.
  const double share = std::min(1.0, goal.brighter),
               highest = std::max(rule.highest, std::min(goal.level, kHighestLevel)),
               wanted = std::max(goal.level, share * std::min(mean_of(input, weights), highest)),
               kept = share * kHighlightsKept * mean_at(input, highlights);
  // Each part grows with the ratio, so the whole does.
  const auto error = [&](double log_ratio) {
    const Tensor<float> output = enhanced(std::exp(log_ratio));
    const double mean = mean_of(output, weights);
    return std::min(mean - wanted, std::max(mean_at(output, highlights) - kept, mean - highest));
  };
  const double lowest = darker ? std::log(kLowestRatio) : 0;
  return std::exp(root_of(lowest, std::log(rule.highest_ratio), kCloseEnough, error));
}

}  // namespace

LightChoice choose_light(const Model<float>& model, const MeteredPicture& picture, std::int64_t h, std::int64_t w,
                         const LightLevel& light, Fusion fusion) {
  check_light(light);
  check_metered(picture);
  const bool automatic = light.mode == LightLevel::Mode::kAuto;
  LightChoice choice;
  if (light.mode == LightLevel::Mode::kRatio) choice.ratio = light.value;
  // Who asks for less light than there is means all of the picture.
  const bool mixes = fusion == Fusion::kAuto && (light.mode != LightLevel::Mode::kRatio || light.value > 1);
  if (!automatic && !mixes) return choice;

  check(model.decomposition.has_value() && model.adjustment.has_value(),
        "model: it has no decomposition or no adjustment net, which the light is chosen with");
  const LightConfig rule = model.config.light.value_or(LightConfig{});
  const Tensor<float> input = stretched(picture.reduced, picture.range);
  const Goal goal = goal_of(rule, picture, input, light.stops);
  std::vector<float> weights = picture.weights;
  if (weights.empty()) weights.assign(static_cast<std::size_t>(input.size() / 3), 1.0f);
  const double all = sum_of(weights);
  if (mixes) {
    choice.local = std::make_shared<LocalStrength>(picture.reduced, h, w, picture.range, goal.level, goal.brighter);
    const std::vector<float> dark = choice.local->weights();
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= dark[i];
  }
  const double used = sum_of(weights);
  if (used == 0) {
    // Nothing is dark.
    if (!automatic) choice.local = nullptr;
    choice.strength = choice.mixed = automatic ? 0 : 1;
    return choice;
  }
  const double given = mean_of(picture.reduced, weights);
  if (automatic) {
    choice.strength = choice.mixed = automatic_mix(picture.reduced, goal, given, used, all, mixes);
    if (choice.mixed == 0) return choice;
  }

  const Enhancement enhanced = enhancement_of(model, input);
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
  choice.set_ratio(automatic_ratio(rule, goal, input, weights, enhanced, light.stops < 0));
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
  parallel_for(count, 16384, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float share = local.empty() ? mixed : mixed * local[static_cast<std::size_t>(i)];
      if (share == 1) continue;
      for (int c = 0; c < 3; ++c) enhanced[c][i] = picture[c][i] + share * (enhanced[c][i] - picture[c][i]);
    }
  });
}

}  // namespace kind
