#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/config/config.h"
#include "nets/net.h"

/// The three nets of KinD (Zhang et al., "Kindling the Darkness", ACM MM 2019). Each takes any height and width from 1.
/// The configs' defaults are the form of the authors' program; the paper's form has plain ReLU, 3x3 output convolutions
/// and no activation before adjustment's sigmoid. Each config describes its net once (see nets/net.h).
namespace kind {

struct DecompositionConfig {
  static constexpr const char* kName = "decomposition";  ///< Names of parameters begin with it.
  static constexpr std::uint64_t kStream = 1;            ///< Of the random numbers that first weights are drawn from.
  std::string activation = "leaky_relu";
  double slope = 0.2;
  std::int64_t output_kernel = 1;
  std::string initializer = "xavier_uniform";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution except the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Slope of leaky ReLU below zero.", between(0, 1));
    v.field("output_kernel", output_kernel,
            "Kernel size of the last convolution of each branch: 1 in the authors' program, 3 in the paper.",
            between(1, 15));
    v.field("initializer", initializer, "How weights are initialised.",
            one_of("xavier_uniform", "he_normal", "truncated_normal", "zeros"));
  }
  template <class Builder>
  void describe(Builder& net) const {
    const auto level1 = net.conv({net.input({3})}, "conv1", 32);                          // [n, 32, h, w]
    const auto level2 = net.conv({net.pool(level1)}, "conv2", 64);                        // [n, 64, h/2, w/2]
    const auto level3 = net.conv({net.pool(level2)}, "conv3", 128);                       // [n, 128, h/4, w/4]
    const auto up8 = net.conv({net.up(level3, "up8", 64, level2), level2}, "conv8", 64);  // [n, 64, h/2, w/2]
    const auto up9 = net.conv({net.up(up8, "up9", 32, level1), level1}, "conv9", 32);     // [n, 32, h, w]
    net.output({up9}, "reflectance", 3, output_kernel, OutputForm::kSigmoid);
    const auto side = net.conv({level1}, "illumination_conv", 32);  // [n, 32, h, w]
    net.output({side, up9}, "illumination", 1, output_kernel, OutputForm::kSigmoid);
  }
};

/// Splits a picture into reflectance and illumination: a U-Net with a side branch, 235,876 parameters in the default
/// form.
template <class T>
class Decomposition : public Net<T, DecompositionConfig> {
 public:
  struct Output {
    Variable<T> reflectance;   // [n, 3, h, w] in 0..1
    Variable<T> illumination;  // [n, 1, h, w] in 0..1
  };

  using Net<T, DecompositionConfig>::Net;
  /// picture [n, 3, h, w] in 0..1.
  Output operator()(const Variable<T>& picture) const;
};

struct RestorationConfig {
  static constexpr const char* kName = "restoration";  ///< Names of parameters begin with it.
  static constexpr std::uint64_t kStream = 2;          ///< Of the random numbers that first weights are drawn from.
  std::string activation = "leaky_relu";
  double slope = 0.2;
  std::string output = "sigmoid";
  double width = 1;
  std::string initializer = "xavier_uniform";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution except the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Slope of leaky ReLU below zero.", between(0, 1));
    v.field("output", output,
            "Output of the last convolution: with a sigmoid, the restored reflectance, as in the paper; residual, a "
            "correction that is added to the reflectance. The residual convolution is initialised to zero, so that "
            "the net starts as the identity, and results may leave 0..1 slightly.",
            one_of("sigmoid", "residual"));
    v.field(
        "width", width,
        "Factor for the channels of every inner layer, rounded to the nearest multiple of 32 (the block size of the "
        "fast kernels) and at least 32: 0.5 leaves a quarter of the weights and less than half of the work.",
        between(0.0625, 2));
    v.field("initializer", initializer, "How weights are initialised.",
            one_of("xavier_uniform", "he_normal", "truncated_normal", "zeros"));
  }
  template <class Builder>
  void describe(Builder& net) const {
    using Value = typename Builder::Value;
    // The width is a config's, so none that is out of range comes here but from C++.
    check(width >= 0.0625 && width <= 2, "restoration: width: expected a number from 0.0625 to 2, got ", width);
    const auto wide = [this](std::int64_t channels) {
      return std::max<std::int64_t>(32, 32 * std::llround(static_cast<double>(channels) * width / 32));
    };
    const auto two = [&net](const std::vector<Value>& x, int level, std::int64_t channels) {
      const std::string conv = "conv" + std::to_string(level) + "_";
      return net.conv({net.conv(x, conv + "1", channels)}, conv + "2", channels);
    };
    std::vector<Value> levels{two({net.input({3, 1})}, 1, wide(32))};
    for (int level = 2; level <= 5; ++level) levels.push_back(two({net.pool(levels.back())}, level, wide(16 << level)));
    Value x = levels.back();
    for (int level = 6; level <= 9; ++level) {
      const Value skip = levels[static_cast<std::size_t>(9 - level)];
      const std::int64_t channels = wide(32 << (9 - level));
      x = two({net.up(x, "up" + std::to_string(level), channels, skip), skip}, level, channels);
    }
    check(output == "sigmoid" || output == "residual", "restoration: output: expected sigmoid or residual, got '",
          output, "'");
    if (output == "residual") {
      net.output({x}, "conv10", 3, 3, OutputForm::kAddInput, Initializer::kZeros);
    } else {
      net.output({x}, "conv10", 3, 3, OutputForm::kSigmoid);
    }
  }
};

/// Removes noise and colour errors from a reflectance, guided by the illumination, which indicates their strength: a
/// U-Net of five levels, 7,760,739 parameters at width 1.
template <class T>
class Restoration : public Net<T, RestorationConfig> {
 public:
  using Net<T, RestorationConfig>::Net;
  /// reflectance [n, 3, h, w] and illumination [n, 1, h, w] to the restored reflectance [n, 3, h, w], in 0..1 with the
  /// sigmoid. The residual form (He, Zhang, Ren and Sun, CVPR 2016; for denoising: Zhang et al., "Beyond a Gaussian
  /// Denoiser", IEEE Transactions on Image Processing 26, 2017) is R_hat = R + conv(...), unbounded.
  Variable<T> operator()(const Variable<T>& reflectance, const Variable<T>& illumination) const;
};

struct AdjustmentConfig {
  static constexpr const char* kName = "adjustment";  ///< Names of parameters begin with it.
  static constexpr std::uint64_t kStream = 3;         ///< Of the random numbers that first weights are drawn from.
  std::string activation = "leaky_relu";
  double slope = 0.2;
  bool output_activation = true;
  std::string initializer = "xavier_uniform";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution except the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Slope of leaky ReLU below zero.", between(0, 1));
    v.field("output_activation", output_activation,
            "Apply the activation before the sigmoid as well, as in the authors' program and its checkpoints.");
    v.field("initializer", initializer, "How weights are initialised.",
            one_of("xavier_uniform", "he_normal", "truncated_normal", "zeros"));
  }
  template <class Builder>
  void describe(Builder& net) const {
    auto x = net.input({1, 1});
    for (const char* const conv : {"conv1", "conv2", "conv3"}) x = net.conv({x}, conv, 32);
    net.output({x}, "conv4", 1, 3, output_activation ? OutputForm::kActivatedSigmoid : OutputForm::kSigmoid);
  }
};

/// Brightens or darkens an illumination by a ratio: four convolutions, 19,393 parameters.
template <class T>
class Adjustment : public Net<T, AdjustmentConfig> {
 public:
  using Net<T, AdjustmentConfig>::Net;
  /// illumination and ratio map, both [n, 1, h, w], to the adjusted illumination [n, 1, h, w] in 0..1.
  Variable<T> operator()(const Variable<T>& illumination, const Variable<T>& ratio) const;
};

}  // namespace kind
