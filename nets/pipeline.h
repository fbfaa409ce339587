#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "nets/local_strength.h"
#include "nets/metering.h"
#include "nets/model.h"

namespace kind {

/// A picture [1, 3, h, w] in 0..1 as the nets take it: stretched to 0..1 where the config says so, by
/// (x - min) / max(max - min, 0.001) over all its values, or with the outliers left out (Meter); the bright picture of a
/// pair with config.of_reference(). In place where nobody else holds the picture.
Tensor<float> net_input(Tensor<float> picture, const InputConfig& config);

/// The range by which net_input stretches a picture, (0, 1) where the config says no. Throws Error for other shapes than
/// [1, 3, h, w].
InputRange input_range(const Tensor<float>& picture, const InputConfig& config);

/// The nets of a model on whole pictures, one [1, c, h, w] at a time, without gradients: each gets `input.mirror` rows
/// and columns of reflection padding around its inputs. All share their memory. The model must outlive it. Throws Error
/// where the model lacks the net, or for maps of other shapes.
class PictureNets {
 public:
  explicit PictureNets(const Model<float>& model) : model_(model) {}

  struct Parts {
    Tensor<float> reflectance, illumination;  // [1, 3, h, w], [1, 1, h, w]
  };
  /// Of a picture as net_input gives it.
  Parts decompose(const Tensor<float>& input);

  /// R_hat; the reflectance itself where the model has no restoration net.
  Tensor<float> restore(const Tensor<float>& reflectance, const Tensor<float>& illumination);
  /// The same in the memory of the reflectance, whose values are lost.
  void restore_in_place(Tensor<float>& reflectance, const Tensor<float>& illumination);

  /// L_hat for one ratio.
  Tensor<float> adjust(const Tensor<float>& illumination, double ratio);

 private:
  void run(const FusedNet& net, const std::vector<const Tensor<float>*>& inputs,
           const std::vector<Tensor<float>*>& outputs);
  Variable<float> around(const Tensor<float>& x) const;
  Tensor<float> inside(const Variable<float>& x) const;

  const Model<float>& model_;
  Arena arena_;
};

/// How bright the result becomes.
struct LightLevel {
  enum class Mode {
    kAuto,        // from the dark picture alone: the model's own rule, or one level for all
    kRatio,       // value = the ratio that adjustment is given, 0 < ratio <= 100
    kTargetMean,  // value = mean of the output's RGB in 0..1; the ratio that comes nearest to it
  } mode = Mode::kAuto;
  double value = 0;
  double stops = 0;  // kAuto: so many stops brighter than what is chosen, or darker where negative; -10..10
};

enum class Fusion {
  kNone,      // output = R_hat * L_hat
  kOfficial,  // as the authors' program for photographs puts the parts together, see fuse_official
  kAuto,      // output = I + s (R_hat * L_hat - I): dark parts become R_hat * L_hat, bright ones stay (LocalStrength)
};

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
};

/// The whole method on one picture [1, 3, h, w] in 0..1, any size from 1x1:
///   R, L = decomposition(I);  R_hat = restoration(R, L);  L_hat = adjustment(L, ratio);  output = R_hat * L_hat
/// with the range of the stretch metered (Meter). Fusion::kAuto mixes the output with the picture itself where that is
/// bright already, and the automatic light where there is nothing to enhance (choose_light).
/// Throws Error where the model has no decomposition or no adjustment net, or the light level is out of range.
/// Give the picture away (std::move) where it is not needed again: its memory is then used.
Enhanced enhance(const Model<float>& model, Tensor<float> picture, const EnhanceOptions& options = {});
/// The same with what was metered elsewhere, of a picture that is not all opaque say.
Enhanced enhance(const Model<float>& model, Tensor<float> picture, const MeteredPicture& metered,
                 const EnhanceOptions& options);

/// The ratio for which mean_of_output, the output's mean as a function of the ratio, comes nearest to `target`. Calls
/// it at most twelve times. Throws Error for a target that is not finite, or no function.
double ratio_for_mean(double target, const std::function<double(double)>& mean_of_output);

/// What is done with the light of a picture.
struct LightChoice {
  double ratio = 1;  // that adjustment is given; of a target mean still to be found
  double strength = 1;  // how much of the enhanced picture is in the result, as a mean over all of it
  double mixed = 1;     // output = picture + s (enhanced - picture), s being this, times the local strength with Fusion::kAuto
  std::shared_ptr<LocalStrength> local;
  std::function<double(double)> gain;  // of the dark parts, by the ratio; for `local`

  /// For another ratio, where that is still to be found.
  void set_ratio(double to);
};
/// Chooses the light of a picture of h x w pixels.
///
/// The automatic light: enhanced by itself, the picture is to come out with the mean that the model's rule asks for (or,
/// where it has none, one for all), not darker than it went in, and with its highlights, as far as the rule's highest
/// level allows. With Fusion::kAuto all of this is asked of its dark parts, each pixel counting by LocalStrength::weights; of
/// the other kinds the strength is 1 for pictures at most half as bright as that, and falls to 0 for those that are as
/// bright: they need nothing. It is 0, too, for pictures of one colour, and low for those with hardly a dozen steps
/// between their darkest and brightest, or with nearly all of them close to black (level_limit). `stops` raise or lower
/// the level, at 2.2 stops for twice the value, as the encoding of pictures has it.
///
/// Of a given ratio above 1, and of a target mean, only what Fusion::kAuto needs is found.
/// Throws Error as enhance() does, or for a span that is not positive.
LightChoice choose_light(const Model<float>& model, const MeteredPicture& picture, std::int64_t h, std::int64_t w,
                         const LightLevel& light, Fusion fusion);

/// The mean of all values from the sums of three planes' values, each added up in order. Throws Error for planes of less
/// than one value.
double mean_of_planes(const double sums[3], std::int64_t plane);

/// Throws Error unless the level is one that enhance() takes.
void check_light(const LightLevel& light);

/// What adjustment is asked for when a bright picture is known: mean(L_high / (L_low + 1e-4)). Both [1, 1, h, w]; throws
/// Error where their shapes differ or they are empty.
double ratio_between(const Tensor<float>& low, const Tensor<float>& high);

/// A value of an output, limited to 0..1; NaN stays NaN.
inline float clipped(float value) { return value < 0 ? 0.0f : value > 1 ? 1.0f : value; }

/// The colour of a pixel, limited to 0..1. A value above 1 is not cut off by itself, which would turn a bright blue sky
/// to teal: the colour moves towards the gray of the same luma (ITU-R BT.709) until its greatest value is 1, so that hue
/// and light stay. White where the luma is 1 and more. Negative values become 0; NaN stays NaN.
inline void clip_color(float& red, float& green, float& blue) {
  const float greatest = std::max(red, std::max(green, blue));
  if (greatest > 1) {
    const float luma = 0.2126f * red + 0.7152f * green + 0.0722f * blue;
    if (luma >= 1) {
      red = green = blue = 1;
      return;
    }
    const float share = (1 - luma) / (greatest - luma);
    red = luma + share * (red - luma);
    green = luma + share * (green - luma);
    blue = luma + share * (blue - luma);
  }
  red = clipped(red);
  green = clipped(green);
  blue = clipped(blue);
}

/// A map [n, 1, h, w] of one number; throws Error for other shapes, or a number that is not finite.
Variable<float> ratio_map(const Shape& illumination, double ratio);

/// Mixes rows y0 <= y < y1 of three planes of the enhanced picture with those of the picture, as `choice` says. Where the
/// strength is 1 the bits of `enhanced` stay.
void mix_rows(const LightChoice& choice, std::int64_t y0, std::int64_t y1, const float* const* picture,
              float* const* enhanced, std::int64_t w);

/// The authors' way of putting a photograph together, with g = Gaussian blur (sigma 3, radius 12, edges replicated) of
/// 0.2125 R + 0.7154 G + 0.0721 B of R_low:
///   R_hat' = R_hat * min(sqrt(2 g), 1);  output = L_low * I + (1 - L_low) * R_hat' * L_hat
/// `picture` is the nets' input, the other maps are those of Enhanced. Throws Error where one is missing or of another
/// size.
Tensor<float> fuse_official(const Tensor<float>& picture, const Enhanced& maps);

}  // namespace kind
