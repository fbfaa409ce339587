#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nets/pipeline.h"

namespace kind {

/// One way to make the picture that is compared with the bright one.
struct Way {
  std::string name;
  std::string what;  // a few words for people
};

/// The protocols of kind-eval, in the order of its help.
const std::vector<Way>& protocols();

/// What the nets would reach were they given what others are to give them, from the decomposition's upper bound to the
/// output as it is. Only those that need no net beyond the model's.
std::vector<Way> stages(const Model<float>& model);

/// What one net, or the choice of the ratio, costs: how much higher the PSNR is by one way than by the other.
struct Cost {
  std::string what;
  std::string with, without;  // names of two stages
};

/// Only those between stages of this model.
std::vector<Cost> stage_costs(const Model<float>& model);

/// The pictures of one pair that are scored, [1, 3, h, w] in 0..1 (more where a scaled one is not clipped yet). Maps
/// that several ways need are computed once.
class Outputs {
 public:
  /// All three outlive this.
  Outputs(const Model<float>& model, const Tensor<float>& low, const Tensor<float>& high);
  /// Of another program's result, for the protocols none and gt-mean alone.
  Outputs(const Tensor<float>& result, const Tensor<float>& high);

  /// By the name of a protocol or a stage. Of a gray dark picture the whole method makes a gray one, as kind-infer
  /// does. Throws Error where the model lacks a net that it needs.
  Tensor<float> of(const std::string& way);
  /// The ratio that adjustment was given for of(way); nothing where there was none.
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
