#pragma once

#include "nets/automatic_light.h"
#include "nets/enhancement.h"
#include "nets/metering.h"
#include "nets/model.h"
#include "nets/picture_nets.h"
#include "nets/product.h"

namespace kind {

/// A picture [1, 3, h, w] in 0..1 as the nets take it: stretched to 0..1 where the config says so, by
/// (x - min) / max(max - min, 0.001) over all its values, or with the outliers left out (Meter); the bright picture of a
/// pair with config.of_reference(). In place where nobody else holds the picture.
Tensor<float> net_input(Tensor<float> picture, const InputConfig& config);

/// The range by which net_input stretches a picture, (0, 1) where the config says no. Throws Error for other shapes than
/// [1, 3, h, w].
InputRange input_range(const Tensor<float>& picture, const InputConfig& config);

struct EnhanceOptions {
  LightLevel light;
  Fusion fusion = Fusion::kAuto;
  bool maps = true;    // false: only output and ratio are wanted, which takes less memory
  double denoise = 1;  // 0..1: how far from R_low to R_hat what is multiplied lies: R_low + denoise (R_hat - R_low)
};

/// All maps are [1, 3, h, w] (reflectance, restored, output) or [1, 1, h, w], in 0..1, but for the restored reflectance
/// of a net of the residual form, which may leave that range: its product with the light is clipped (clip_color). Undefined, but for
/// the output, where they were not wanted.
struct Enhanced {
  Tensor<float> reflectance, illumination;
  Tensor<float> restored;  // the reflectance itself where the model has no restoration net
  Tensor<float> adjusted;
  Tensor<float> output;
  double ratio = 1;     // what adjustment was given
  double strength = 1;  // of the automatic light, see LightChoice

  /// Allocates the four maps of h x w pixels.
  void allocate_maps(std::int64_t h, std::int64_t w);
  /// Rows y0 <= y < y1 of an allocated map, from its planes.
  void put_rows(Map map, std::int64_t y0, std::int64_t y1, const float* const* planes);
};

/// The whole method on one picture [1, 3, h, w] in 0..1, any size from 1x1:
///   R, L = decomposition(I);  R_hat = restoration(R, L);  L_hat = adjustment(L, ratio);  output = R_hat * L_hat
/// with the range of the stretch metered (Meter). Fusion::kAuto mixes the output with the picture itself where that is
/// bright already, and the automatic light where there is nothing to enhance (choose_light).
/// Throws Error where the model has no decomposition or no adjustment net, or the light level is out of range.
/// Give the picture away (std::move) where it is not needed again: its memory is then used.
Enhanced enhance(const Model<float>& model, Tensor<float> picture, const EnhanceOptions& options = {});

/// What adjustment is asked for when a bright picture is known: mean(L_high / (L_low + 1e-4)). Both [1, 1, h, w]; throws
/// Error where their shapes differ or they are empty.
double ratio_between(const Tensor<float>& low, const Tensor<float>& high);

/// A map [n, 1, h, w] of one number; throws Error for other shapes, or a number that is not finite.
Variable<float> ratio_map(const Shape& illumination, double ratio);

/// The authors' way of putting a photograph together, with g = Gaussian blur (sigma 3, radius 12, edges replicated) of
/// 0.2125 R + 0.7154 G + 0.0721 B of R_low:
///   R_hat' = R_hat * min(sqrt(2 g), 1);  output = L_low * I + (1 - L_low) * R_hat' * L_hat
/// `picture` is the nets' input, the other maps are those of Enhanced. Throws Error where one is missing or of another
/// size.
Tensor<float> fuse_official(const Tensor<float>& picture, const Enhanced& maps);

}  // namespace kind
