#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "train/stages/stage.h"

namespace kind {

inline constexpr int kSheetColumns = 7;
inline constexpr int kSheetGap = 4;

/// What held-out pairs say of the model so far. Nets that it does not have yet are stood in for by what they are to
/// become: restoration by R_low, adjustment by L_high.
struct ValidationResult {
  /// Means over the pairs that have the figure. Of the output rounded to 8 bits against the bright file: the metrics of
  /// losses/metrics/metrics.h that validation takes, by Metric::figure(). "psnr_reflectance" is of the restored
  /// reflectance against R_high. Ratios come from the bright picture. Of the decomposition of the dark picture:
  /// "psnr_reconstruction" (R L against the net's input), "illumination_std" (standard deviation of L over the picture;
  /// 0 where L has become one gray) and "illumination_gradient" (mean absolute difference of neighbours in L, across
  /// and down: texture).
  std::map<std::string, double> means;
  /// The same over the pairs of each source by its name, where there are several.
  std::map<std::string, std::map<std::string, double>> sets;
  /// The same figures of each pair, by stem, in the order of the sorted names.
  std::vector<std::pair<std::string, std::map<std::string, double>>> pictures;
  /// Rows of pictures side by side, kSheetColumns of them with kSheetGap pixels between: input, R, L, restored,
  /// adjusted, output, target.
  Image sheet;
  struct SheetRow {
    std::string stem;
    int top = 0, height = 0, width = 0;  // in pixels; of each of the pictures in the row
  };
  std::vector<SheetRow> rows;
};

/// Looks at the held-out pairs that config names. `stop` is asked before each; where it says so nothing is returned.
/// Maps of the frozen decomposition are taken from `frozen` where the stage has one (null: decomposition is what is
/// trained).
std::optional<ValidationResult> validate(const Model<float>& model, const Pairs& pairs, FrozenDecomposition* frozen,
                                         const ValidationConfig& config, const std::function<bool()>& stop);

}  // namespace kind
