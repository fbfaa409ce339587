#include "nets/pipeline.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/ops/elementwise.h"
#include "core/ops/filter.h"

namespace kind {
namespace {

constexpr double kLowestRatio = 0.01, kHighestRatio = 100;
constexpr std::int64_t kGrain = 16384;

double mean_of(const Tensor<float>& x) {
  double sum = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) sum += static_cast<double>(x[i]);
  return sum / static_cast<double>(x.size());
}

/// color [1, 3, h, w] times light [1, 1, h, w].
Tensor<float> product(const Tensor<float>& color, const Tensor<float>& light) {
  const NoGrad no_grad;
  return mul(Variable<float>(color), Variable<float>(light)).value();
}

Tensor<float> adjust(const Model<float>& model, const Tensor<float>& illumination, double ratio) {
  const NoGrad no_grad;
  return (*model.adjustment)(Variable<float>(illumination), ratio_map(illumination.shape(), ratio)).value();
}

/// The output for maps that all are there.
Tensor<float> put_together(const Tensor<float>& input, const Enhanced& maps, Fusion fusion) {
  return fusion == Fusion::kOfficial ? fuse_official(input, maps) : product(maps.restored, maps.adjusted);
}

// The output's mean grows with the ratio nearly everywhere, so the wanted one is found by halving the interval of its
// logarithm.
double ratio_for_mean(const Model<float>& model, const Tensor<float>& input, Enhanced maps, Fusion fusion,
                      double target) {
  constexpr int kSteps = 12;
  constexpr double kCloseEnough = 0.0005;
  double low = std::log(kLowestRatio), high = std::log(kHighestRatio), best = 0, best_error = 2;
  for (int i = 0; i < kSteps && best_error > kCloseEnough; ++i) {
    const double middle = (low + high) / 2;
    maps.adjusted = adjust(model, maps.illumination, std::exp(middle));
    const double error = mean_of(put_together(input, maps, fusion)) - target;
    if (std::abs(error) < best_error) {
      best_error = std::abs(error);
      best = middle;
    }
    (error > 0 ? high : low) = middle;
  }
  return std::exp(best);
}

// Where the model has no rule of its own: the ratio that brings the illumination's mean to a middle level.
double general_ratio(const Tensor<float>& illumination) {
  constexpr double kMiddle = 0.45;
  return std::clamp(kMiddle / (mean_of(illumination) + 1e-4), 1.0, 20.0);
}

double choose_ratio(const Model<float>& model, const Tensor<float>& input, const Enhanced& maps,
                    const EnhanceOptions& options) {
  const LightLevel& light = options.light;
  switch (light.mode) {
    case LightLevel::Mode::kRatio:
      check(light.value > 0 && light.value <= kHighestRatio, "ratio: expected a number above 0 and at most ",
            kHighestRatio, ", got ", light.value);
      return light.value;
    case LightLevel::Mode::kTargetMean:
      check(light.value >= 0 && light.value <= 1, "target mean: expected a number from 0 to 1, got ", light.value);
      return ratio_for_mean(model, input, maps, options.fusion, light.value);
    case LightLevel::Mode::kAuto:
      break;
  }
  if (!model.config.light) return general_ratio(maps.illumination);
  return automatic_ratio(*model.config.light, light_statistics(input, maps.illumination));
}

}  // namespace

Tensor<float> net_input(const Tensor<float>& picture, const InputConfig& config) {
  const Shape& shape = picture.shape();
  // One alone: the stretch of several would depend on one another.
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 3 && picture.size() > 0,
        "picture: expected RGB [1, 3, h, w], got ", shape.text());
  if (!config.stretch) return picture;
  constexpr float kSmallestSpan = 0.001f;
  const auto [low, high] = std::minmax_element(picture.data(), picture.data() + picture.size());
  const float first = *low, span = std::max(*high - *low, kSmallestSpan);
  Tensor<float> stretched(picture.shape());
  for (std::int64_t i = 0; i < picture.size(); ++i) stretched[i] = (picture[i] - first) / span;
  return stretched;
}

Variable<float> ratio_map(const Shape& illumination, double ratio) {
  return Variable<float>(Tensor<float>::full(illumination, static_cast<float>(ratio)));
}

double ratio_between(const Tensor<float>& low, const Tensor<float>& high) {
  check(low.shape() == high.shape(), "ratio: illuminations ", low.shape().text(), " and ", high.shape().text(),
        " differ in size");
  double sum = 0;
  for (std::int64_t i = 0; i < low.size(); ++i)
    sum += static_cast<double>(high[i]) / (static_cast<double>(low[i]) + 1e-4);
  return sum / static_cast<double>(low.size());
}

Enhanced enhance(const Model<float>& model, const Tensor<float>& picture, const EnhanceOptions& options) {
  check(model.decomposition.has_value(), "model: it has no decomposition net, which enhancing needs");
  check(model.adjustment.has_value(), "model: it has no adjustment net, which enhancing needs");
  const NoGrad no_grad;
  const Tensor<float> input = net_input(picture, model.config.input);
  Enhanced maps;
  {
    const auto parts = (*model.decomposition)(Variable<float>(input));
    maps.reflectance = parts.reflectance.value();
    maps.illumination = parts.illumination.value();
  }
  maps.restored = maps.reflectance;
  if (model.restoration) {
    maps.restored = (*model.restoration)(Variable<float>(maps.reflectance), Variable<float>(maps.illumination)).value();
  }
  maps.ratio = choose_ratio(model, input, maps, options);
  maps.adjusted = adjust(model, maps.illumination, maps.ratio);
  maps.output = put_together(input, maps, options.fusion);
  return maps;
}

Tensor<float> fuse_official(const Tensor<float>& picture, const Enhanced& maps) {
  constexpr std::int64_t kRadius = 12;
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
      for (std::int64_t c = 0; c < 3; ++c) {
        output[c * plane + i] = l * picture[c * plane + i] + light * maps.restored[c * plane + i];
      }
    }
  });
  return output;
}

}  // namespace kind
