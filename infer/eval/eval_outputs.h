#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nets/pipeline.h"

namespace kind {

/// A protocol or stage: how the scored picture is made.
struct Way {
  std::string name;
  std::string what;  // short description
};

/// The protocols of kind-eval, in the order of its help.
const std::vector<Way>& protocols();
/// Whether a protocol takes an adjustment net.
bool needs_adjustment(const std::string& protocol);

/// Outputs that result if some nets are replaced by their ideal outputs, from the decomposition's upper bound to the
/// actual output. Only those that need no net missing from the model.
std::vector<Way> stages(const Model<float>& model);

/// The cost of one net, or of the choice of the ratio: the difference of the PSNR of two stages.
struct Cost {
  std::string what;
  std::string with, without;  // names of two stages
};

/// Only those between stages of this model.
std::vector<Cost> stage_costs(const Model<float>& model);

/// The scored pictures of one pair, [1, 3, h, w] in 0..1 (or above, before a scaled picture is clipped). Maps that
/// several protocols or stages need are computed once.
class Outputs {
 public:
  /// All three outlive this.
  Outputs(const Model<float>& model, const Tensor<float>& low, const Tensor<float>& high);
  /// For another program's result: protocols none and gt-mean only.
  Outputs(const Tensor<float>& result, const Tensor<float>& high);

  /// The picture of a protocol or stage, by name. The output for a gray dark picture is gray, as in kind-infer. Throws
  /// Error if the model lacks a net that it needs.
  Tensor<float> of(const std::string& way);
  /// The ratio passed to adjustment for of(way); nothing if there was none.
  std::optional<double> ratio(const std::string& way) const;

 private:
  Tensor<float> made(const std::string& way);
  const Tensor<float>& automatic();
  const PictureNets::Parts& low_maps();
  const PictureNets::Parts& high_maps();
  const Tensor<float>& restored();
  Tensor<float> adjusted(double ratio);
  double true_ratio();
  double best_ratio(const Tensor<float>& reflectance);
  Tensor<float> with_ratio(const std::string& way, const Tensor<float>& reflectance, double ratio);

  const Model<float>* model_ = nullptr;
  const Tensor<float>*low_ = nullptr, *high_ = nullptr;
  std::optional<PictureNets::Parts> low_maps_, high_maps_;
  Tensor<float> automatic_, restored_;
  double automatic_ratio_ = 0;
  std::map<std::string, double> ratios_;
};

/// The values of the 8-bit picture, 0..255, that a file of `picture` would hold.
Tensor<float> rounded(const Tensor<float>& picture);

}  // namespace kind
