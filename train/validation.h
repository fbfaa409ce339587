#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "train/stage.h"

namespace kind {

/// What held-out pairs say of the model so far. Nets that it does not have yet are stood in for by what they are to
/// become: restoration by R_low, adjustment by L_high.
struct ValidationResult {
  /// Means over the pairs, of the output rounded to 8 bits against the bright file: "psnr" (dB) and "ssim" (RGB, as
  /// losses/metrics; no ssim where a picture is too small), "chroma" (mean CIELAB chroma over that of the bright
  /// picture) and "psnr_reflectance" (of the restored reflectance against R_high). Ratios come from the bright picture.
  std::map<std::string, double> means;
  /// Rows of pictures side by side: input, R, L, restored, adjusted, output, target.
  Image sheet;
};

/// Looks at the held-out pairs that config names. `stop` is asked before each; where it says so nothing is returned.
/// Maps of the frozen decomposition are taken from `frozen` where the stage has one (null: decomposition is what is
/// trained).
std::optional<ValidationResult> validate(const Model<float>& model, const Pairs& pairs, FrozenDecomposition* frozen,
                                         const ValidationConfig& config, const std::function<bool()>& stop);

}  // namespace kind
