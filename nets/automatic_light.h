#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "nets/local_strength.h"
#include "nets/metering.h"
#include "nets/model.h"

namespace kind {

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

/// What is done with the light of a picture.
struct LightChoice {
  double ratio = 1;     // that adjustment is given; of a target mean still to be found
  double strength = 1;  // how much of the enhanced picture is in the result, as a mean over all of it
  double mixed =
      1;  // output = picture + s (enhanced - picture), s being this, times the local strength with Fusion::kAuto
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

/// Throws Error unless the level is one that enhance() takes.
void check_light(const LightLevel& light);

/// The ratio for which mean_of_output, the output's mean as a function of the ratio, comes nearest to `target`. Calls
/// it at most twelve times. Throws Error for a target that is not finite, or no function.
double ratio_for_mean(double target, const std::function<double(double)>& mean_of_output);

/// The mean of all values from the sums of three planes' values, each added up in order. Throws Error for planes of less
/// than one value.
double mean_of_planes(const double sums[3], std::int64_t plane);

/// Mixes rows y0 <= y < y1 of three planes of the enhanced picture with those of the picture, as `choice` says. Where the
/// strength is 1 the bits of `enhanced` stay.
void mix_rows(const LightChoice& choice, std::int64_t y0, std::int64_t y1, const float* const* picture,
              float* const* enhanced, std::int64_t w);

}  // namespace kind
