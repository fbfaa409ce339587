#include "losses/loss.h"

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "losses/gt_mean.h"

namespace kind {
namespace {

Norm norm_of(const std::string& word) { return word == "l1" ? Norm::kL1 : Norm::kL2; }

/// Throws unless some term has a weight greater than 0.
template <class Config>
void check_learned(const Config& config, const std::string& path) {
  const TermNames terms = terms_of(config);
  if (!terms.learned.empty()) return;
  std::string list;
  for (const std::string& name : terms.all) list += (list.empty() ? "" : ", ") + name;
  fail(path, path.empty() ? "" : ": ", "expected at least one term with a weight greater than 0; the terms are ", list);
}

template <class T>
class Total {
 public:
  /// `term` makes the scalar; a term of weight 0 leaves no graph behind.
  template <class Config, class Term>
  void add_term(const char* name, const std::optional<Config>& config, const Term& term) {
    if (!config) return;
    double raw = 0;
    if (config->weight > 0) {
      const Variable<T> value = term(config->term());
      raw = static_cast<double>(value.value().item());
      const Variable<T> share = mul(value, static_cast<T>(config->weight));
      loss_.total = loss_.total.defined() ? loss_.total + share : share;
    } else {
      const NoGrad no_grad;
      raw = static_cast<double>(term(config->term()).value().item());
    }
    loss_.terms.push_back({name, raw, config->weight > 0 ? config->weight * raw : 0});
  }

  Loss<T> take() {
    check(loss_.total.defined(), "loss: no term has a weight greater than 0");
    return std::move(loss_);
  }

 private:
  Loss<T> loss_;
};

template <class T>
void add_image_terms(const ImageLossConfig& config, const Variable<T>& output, const Variable<T>& target,
                     Total<T>& total) {
  std::vector<LevelledPicture<T>> pictures;
  if (config.gt_mean) pictures = levelled_pictures(config.gt_mean->sigma, output, target);
  const auto compare = [&](const auto& term) {
    return pictures.empty() ? term(output, target) : mean_of_levelled(pictures, term);
  };
  total.add_term("square", config.square, compare);
  total.add_term("gradient", config.gradient, compare);
  total.add_term("ssim", config.ssim, compare);
  total.add_term("color", config.color, compare);
  total.add_term("chroma", config.chroma, compare);
  total.add_term("saturation", config.saturation, compare);
  total.add_term("edge", config.edge, compare);
}

}  // namespace

void GradientConfig::validate(const std::string& path) const {
  check(gradient == "paper" || border == "zero", key_path(path, "border"),
        ": is for gradient \"paper\" alone; \"official\" has a border of its own: leave the key out");
}

GradientSpec GradientConfig::spec() const {
  return {gradient == "official" ? GradientForm::kOfficial : GradientForm::kPaper,
          border == "valid" ? GradientBorder::kValid : GradientBorder::kZero};
}

void SsimConfig::validate(const std::string& path) const {
  check(window % 2 == 1, key_path(path, "window"), ": expected an odd number, got ", window);
}

void DecompositionLossConfig::validate(const std::string& path) const { check_learned(*this, path); }

void ImageLossConfig::validate(const std::string& path) const { check_learned(*this, path); }

Reconstruction ReconstructionConfig::term() const { return {norm_of(norm), relative}; }
BlurredReconstruction BlurredReconstructionConfig::term() const { return {norm_of(norm), sigma, epsilon}; }
ReflectanceSimilarity ReflectanceSimilarityConfig::term() const { return {norm_of(norm)}; }
IlluminationSmoothness IlluminationSmoothnessConfig::term() const { return {epsilon, gradient.spec()}; }
MutualConsistency MutualConsistencyConfig::term() const { return {c, gradient.spec()}; }
Square SquareConfig::term() const { return {norm_of(norm)}; }
GradientDifference GradientDifferenceConfig::term() const {
  return {gradient.spec(), channels == "gray" ? GradientChannels::kGray : GradientChannels::kRgb, magnitude};
}
SsimLoss SsimConfig::term() const { return {{window, sigma, 1}}; }
ColorDifference ColorDifferenceConfig::term() const { return {norm_of(norm), sigma}; }
ChromaDifference ChromaConfig::term() const { return {norm_of(norm), sigma}; }
Saturation SaturationConfig::term() const { return {epsilon}; }
EdgeDifference EdgeConfig::term() const { return {}; }

template <class T>
Loss<T> decomposition_loss(const DecompositionLossConfig& config, const Variable<T>& r_low, const Variable<T>& l_low,
                           const Variable<T>& r_high, const Variable<T>& l_high, const Variable<T>& i_low,
                           const Variable<T>& i_high) {
  Total<T> total;
  total.add_term("reconstruction", config.reconstruction,
                 [&](const Reconstruction& term) { return term(i_low, r_low, l_low) + term(i_high, r_high, l_high); });
  total.add_term("reflectance_similarity", config.reflectance_similarity,
                 [&](const ReflectanceSimilarity& term) { return term(r_low, r_high); });
  total.add_term("illumination_smoothness", config.illumination_smoothness,
                 [&](const IlluminationSmoothness& term) { return term(l_low, i_low) + term(l_high, i_high); });
  total.add_term("mutual_consistency", config.mutual_consistency,
                 [&](const MutualConsistency& term) { return term(l_low, l_high); });
  total.add_term("blurred_reconstruction", config.blurred_reconstruction, [&](const BlurredReconstruction& term) {
    return term(i_low, r_low, l_low) + term(i_high, r_high, l_high);
  });
  return total.take();
}

template <class T>
Loss<T> image_loss(const ImageLossConfig& config, const Variable<T>& output, const Variable<T>& target) {
  Total<T> total;
  add_image_terms(config, output, target, total);
  return total.take();
}

template <class T>
Loss<T> output_loss(const ImageLossConfig& config, const PartsLossConfig& parts, const Variable<T>& restored,
                    const Variable<T>& adjusted, const Variable<T>& target, const Variable<T>& r_high,
                    const Variable<T>& l_high) {
  Total<T> total;
  add_image_terms(config, restored * adjusted, target, total);
  total.add_term("reflectance", parts.reflectance, [&](const Square& term) { return term(restored, r_high); });
  total.add_term("illumination", parts.illumination, [&](const Square& term) { return term(adjusted, l_high); });
  return total.take();
}

template <class T>
Loss<T> operator+(Loss<T> a, const Loss<T>& b) {
  a.total = a.total + b.total;
  a.terms.insert(a.terms.end(), b.terms.begin(), b.terms.end());
  return a;
}

#define KIND_INSTANTIATE(T)                                                                                            \
  template Loss<T> decomposition_loss(const DecompositionLossConfig&, const Variable<T>&, const Variable<T>&,          \
                                      const Variable<T>&, const Variable<T>&, const Variable<T>&, const Variable<T>&); \
  template Loss<T> image_loss(const ImageLossConfig&, const Variable<T>&, const Variable<T>&);                         \
  template Loss<T> output_loss(const ImageLossConfig&, const PartsLossConfig&, const Variable<T>&, const Variable<T>&, \
                               const Variable<T>&, const Variable<T>&, const Variable<T>&);                            \
  template Loss<T> operator+(Loss<T>, const Loss<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
