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

/// Validation results of the current model on held-out pairs. Ideal outputs replace nets that do not exist yet: R_low
/// replaces the output of restoration, L_high that of adjustment.
struct ValidationResult {
  /// Means over the pairs that have the figure. Of the output rounded to the dark file's bits against the bright file: the metrics of
  /// losses/metrics/metrics.h that validation takes, by Metric::figure(). "psnr_reflectance" is of the restored
  /// reflectance against R_high. Ratios come from the bright picture. Of the decomposition of the dark picture:
  /// "psnr_reconstruction" (R L against the net's input), "illumination_std" (standard deviation of L over the picture;
  /// 0 if L has collapsed to one gray) and "illumination_gradient" (mean absolute difference of horizontal and vertical
  /// neighbours in L: texture).
  std::map<std::string, double> means;
  /// The same over the pairs of each source by its name, where there are several.
  std::map<std::string, std::map<std::string, double>> sets;
  /// The same figures of each pair, by stem, in the order of the sorted names.
  std::vector<std::pair<std::string, std::map<std::string, double>>> pictures;
  /// Rows of pictures side by side, kSheetColumns of them with kSheetGap pixels between: input, R, L, restored,
  /// adjusted, output, target. The first line of text names them; a line above each row has its stem and PSNR.
  Image sheet;
  struct SheetRow {
    std::string stem;
    int top = 0, height = 0, width = 0;  // in pixels; of each of the pictures in the row
  };
  std::vector<SheetRow> rows;
};

/// Validates on the held-out pairs that config names. `stop` is called before each pair; if it returns true, nothing is
/// returned. Maps of the frozen decomposition come from `frozen` if the stage has one (null: decomposition is trained).
std::optional<ValidationResult> validate(const Model<float>& model, const Pairs& pairs, FrozenDecomposition* frozen,
                                         const ValidationConfig& config, const std::function<bool()>& stop);

}  // namespace kind
