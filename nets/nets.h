#pragma once

#include <cstdint>
#include <string>

#include "core/io/config.h"
#include "layers/conv2d.h"
#include "layers/fused_net.h"
#include "layers/unet_block.h"

/// The three nets of KinD (Zhang et al., "Kindling the Darkness", ACM MM 2019). Each takes any height and width from 1.
/// The configs' defaults are the form of the authors' program; the paper's form has plain ReLU, 3x3 output convolutions
/// and no activation before adjustment's sigmoid.
namespace kind {

struct DecompositionConfig {
  std::string activation = "leaky_relu";
  double slope = 0.2;
  std::int64_t output_kernel = 1;
  std::string initializer = "xavier_uniform";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution but the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Of leaky ReLU below zero.", between(0, 1));
    v.field("output_kernel", output_kernel,
            "Side of the last convolution of each branch: 1 in the authors' program, 3 in the paper.", between(1, 15));
    v.field("initializer", initializer, "How weights start.",
            one_of("xavier_uniform", "he_normal", "truncated_normal", "zeros"));
  }
};

/// Splits a picture into reflectance and illumination: a U-Net with a side branch, 235,876 parameters in the default
/// form.
template <class T>
class Decomposition {
 public:
  struct Output {
    Variable<T> reflectance;   // [n, 3, h, w] in 0..1
    Variable<T> illumination;  // [n, 1, h, w] in 0..1
  };

  Decomposition(const DecompositionConfig& config, Random& random);

  /// picture [n, 3, h, w] in 0..1.
  Output operator()(const Variable<T>& picture) const;
  /// Named decomposition.conv1.weight and so on.
  Parameters<T> parameters() const;
  /// The same net in one piece, float alone: the picture to reflectance and illumination, concatenated [n, 4, h, w].
  FusedNet fused() const;

 private:
  Activation activation_;
  ConvBlock<T> conv1_, conv2_, conv3_;
  UpBlock<T> up8_, up9_;
  Conv2d<T> reflectance_;
  ConvBlock<T> illumination_conv_;
  Conv2d<T> illumination_;
};

struct RestorationConfig {
  std::string activation = "leaky_relu";
  double slope = 0.2;
  std::string output = "sigmoid";
  std::string initializer = "xavier_uniform";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution but the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Of leaky ReLU below zero.", between(0, 1));
    v.field(
        "output", output,
        "What the last convolution makes: with a sigmoid the restored reflectance itself, as in the paper, or what is "
        "added to the reflectance (residual). That convolution then starts at zero, so that the net begins with "
        "handing on what it is given, and results may lie a little outside of 0..1.",
        one_of("sigmoid", "residual"));
    v.field("initializer", initializer, "How weights start.",
            one_of("xavier_uniform", "he_normal", "truncated_normal", "zeros"));
  }
};

/// Takes noise and colour errors out of a reflectance, told by the illumination how bad they are where: a U-Net of five
/// levels, 7,760,739 parameters.
template <class T>
class Restoration {
 public:
  Restoration(const RestorationConfig& config, Random& random);

  /// reflectance [n, 3, h, w] and illumination [n, 1, h, w] to the restored reflectance [n, 3, h, w], in 0..1 with the
  /// sigmoid. The residual form (He, Zhang, Ren and Sun, CVPR 2016; of denoising: Zhang et al., "Beyond a Gaussian
  /// Denoiser", IEEE Transactions on Image Processing 26, 2017) is R_hat = R + conv(...), whatever values that gives.
  Variable<T> operator()(const Variable<T>& reflectance, const Variable<T>& illumination) const;
  /// Named restoration.conv1_1.weight and so on.
  Parameters<T> parameters() const;
  /// The same net in one piece. Float alone.
  FusedNet fused() const;

 private:
  Activation activation_;
  bool residual_;
  ConvBlock<T> down1_, down2_, down3_, down4_, down5_;
  UpBlock<T> up6_, up7_, up8_, up9_;
  Conv2d<T> output_;
};

struct AdjustmentConfig {
  std::string activation = "leaky_relu";
  double slope = 0.2;
  bool output_activation = true;
  std::string initializer = "xavier_uniform";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution but the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Of leaky ReLU below zero.", between(0, 1));
    v.field("output_activation", output_activation,
            "Whether the activation also stands before the sigmoid, as in the authors' program and its checkpoints.");
    v.field("initializer", initializer, "How weights start.",
            one_of("xavier_uniform", "he_normal", "truncated_normal", "zeros"));
  }
};

/// Brightens or darkens an illumination by a ratio: four convolutions, 19,393 parameters.
template <class T>
class Adjustment {
 public:
  Adjustment(const AdjustmentConfig& config, Random& random);

  /// illumination and ratio map, both [n, 1, h, w], to the adjusted illumination [n, 1, h, w] in 0..1.
  Variable<T> operator()(const Variable<T>& illumination, const Variable<T>& ratio) const;
  /// Named adjustment.conv1.weight and so on.
  Parameters<T> parameters() const;
  /// The same net in one piece. Float alone.
  FusedNet fused() const;

 private:
  Activation activation_;
  bool output_activation_;
  ConvBlock<T> convs_;
  Conv2d<T> output_;
};

template <>
FusedNet Decomposition<float>::fused() const;
template <>
FusedNet Restoration<float>::fused() const;
template <>
FusedNet Adjustment<float>::fused() const;

}  // namespace kind
