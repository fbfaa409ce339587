#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/io/config.h"
#include "losses/chroma.h"
#include "losses/comparison.h"
#include "losses/decomposition.h"

/// The losses as configs put them together. A term that a config leaves out (or null) is not computed; one of weight 0
/// is computed and logged but no gradient flows through it. Keys of terms are their names in the metrics too.
namespace kind {

/// The keys that every term with gradients has, listed among its own.
struct GradientConfig {
  std::string gradient = "paper";
  std::string border = "zero";

  template <class V>
  void fields(V& v) {
    v.field("gradient", gradient,
            "Gradients of pictures: signed forward differences, or as the authors' program takes them (of the "
            "zero-extended picture, absolute, stretched to 0..1 over the batch).",
            one_of("paper", "official"));
    v.field("border", border, "Where the paper's gradient has no next pixel: 0 there, or that column or row left out.",
            one_of("zero", "valid"));
  }
  void validate(const std::string& path) const;
  GradientSpec spec() const;
};

inline constexpr const char* kWeightHelp = "Factor of the term in the total; 0: logged only.";
inline constexpr const char* kBlurHelp = "Standard deviation in pixels of the blur before pictures are compared.";
inline constexpr const char* kNormHelp = "Mean absolute (l1) or squared (l2) difference.";

struct ReconstructionConfig {
  double weight = 1;
  std::string norm = "l1";
  std::optional<double> relative = {};

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("norm", norm, kNormHelp, one_of("l1", "l2"));
    v.field("relative", relative,
            "Divide each difference by the picture's mean of red, green and blue there plus this number: the colors of "
            "dark places then count as much as those of bright ones. null: differences as they are.",
            greater_than(0));
  }
  Reconstruction term() const;
};

struct BlurredReconstructionConfig {
  double weight = 1;
  std::string norm = "l1";
  double sigma = 3;
  double epsilon = 0.02;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("norm", norm, kNormHelp, one_of("l1", "l2"));
    v.field("sigma", sigma, kBlurHelp, greater_than(0), at_most(1000));
    v.field("epsilon", epsilon, "Added to the blurred light that differences are divided by.", greater_than(0));
  }
  BlurredReconstruction term() const;
};

struct ReflectanceSimilarityConfig {
  double weight = 0.01;
  std::string norm = "l1";

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("norm", norm, kNormHelp, one_of("l1", "l2"));
  }
  ReflectanceSimilarity term() const;
};

struct IlluminationSmoothnessConfig {
  double weight = 0.15;
  double epsilon = 0.01;
  GradientConfig gradient = {};

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("epsilon", epsilon, "Least gradient of the picture to divide by.", greater_than(0));
    gradient.fields(v);
  }
  void validate(const std::string& path) const { gradient.validate(path); }
  IlluminationSmoothness term() const;
};

struct MutualConsistencyConfig {
  double weight = 0.2;
  double c = 10;
  GradientConfig gradient = {};

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("c", c, "Edges stronger than 1 / c are spared; 0: none is.", at_least(0));
    gradient.fields(v);
  }
  void validate(const std::string& path) const { gradient.validate(path); }
  MutualConsistency term() const;
};

struct SquareConfig {
  double weight = 1;
  std::string norm = "l2";

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("norm", norm, kNormHelp, one_of("l1", "l2"));
  }
  Square term() const;
};

struct GradientDifferenceConfig {
  double weight = 1;
  GradientConfig gradient = {};
  std::string channels = "rgb";
  bool magnitude = false;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    gradient.fields(v);
    v.field("channels", channels, "Gradients of each channel, or of the gray of RGB.", one_of("rgb", "gray"));
    v.field("magnitude", magnitude, "Compare absolute values of the paper's gradients, not signed ones.");
  }
  void validate(const std::string& path) const { gradient.validate(path); }
  GradientDifference term() const;
};

struct SsimConfig {
  double weight = 1;
  std::int64_t window = 11;
  double sigma = 1.5;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("window", window, "Pixels along a side of the Gaussian window; odd. Patches must not be smaller.",
            between(1, 255));
    v.field("sigma", sigma, "Standard deviation of the window in pixels.", greater_than(0));
  }
  void validate(const std::string& path) const;
  SsimLoss term() const;
};

struct ColorDifferenceConfig {
  double weight = 1;
  std::string norm = "l2";
  double sigma = 3;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("norm", norm, kNormHelp, one_of("l1", "l2"));
    v.field("sigma", sigma, kBlurHelp, greater_than(0), at_most(1000));
  }
  ColorDifference term() const;
};

struct ChromaConfig {
  double weight = 1;
  std::string norm = "l1";
  double sigma = 0;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("norm", norm, kNormHelp, one_of("l1", "l2"));
    v.field("sigma", sigma, "Standard deviation in pixels of a blur before colors are compared; 0: none.", at_least(0),
            at_most(1000));
  }
  ChromaDifference term() const;
};

struct SaturationConfig {
  double weight = 1;
  double epsilon = 1e-3;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("epsilon", epsilon,
            "Mean square of a picture's distance from gray that is added to both sums: what is less colorful hardly "
            "counts.",
            greater_than(0));
  }
  Saturation term() const;
};

struct EdgeConfig {
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
  }
  EdgeDifference term() const;
};

/// How outputs are compared at the target's light, too (see losses/gt_mean.h).
struct GtMeanConfig {
  double sigma = 0.1;

  template <class V>
  void fields(V& v) {
    v.field(
        "sigma", sigma,
        "Standard deviation of both means as a part of them: how near they must be for the output to be compared at "
        "the target's light.",
        greater_than(0), at_most(10));
  }
};

/// The names of a loss's terms: the fields of its config that may be left out and have a weight.
struct TermNames {
  std::vector<std::string> all;      ///< Terms that such a config can have.
  std::vector<std::string> present;  ///< Those that it has.
  std::vector<std::string> learned;  ///< Those that have a weight greater than 0.

  template <class Term, class... Limits>
  void field(const std::string& name, const std::optional<Term>& term, const std::string&, const Limits&...) {
    if constexpr (requires { term->weight; }) {
      all.push_back(name);
      if (term) present.push_back(name);
      if (term && term->weight > 0) learned.push_back(name);
    }
  }
};
template <class Config>
TermNames terms_of(Config config) {
  TermNames names;
  config.fields(names);
  return names;
}

/// What trains the decomposition net. Reconstruction and smoothness are sums over the dark and the bright picture.
struct DecompositionLossConfig {
  std::optional<ReconstructionConfig> reconstruction = {};
  std::optional<ReflectanceSimilarityConfig> reflectance_similarity = {};
  std::optional<IlluminationSmoothnessConfig> illumination_smoothness = {};
  std::optional<MutualConsistencyConfig> mutual_consistency = {};
  std::optional<BlurredReconstructionConfig> blurred_reconstruction = {};

  template <class V>
  void fields(V& v) {
    v.field("reconstruction", reconstruction, "|I - R L|, dark and bright: the parts multiply back to the picture.");
    v.field("reflectance_similarity", reflectance_similarity, "|R_low - R_high|: one scene has one reflectance.");
    v.field(
        "illumination_smoothness", illumination_smoothness,
        "|grad L| / max(|grad I|, epsilon), dark and bright: illumination is smooth except at edges of the picture.");
    v.field("mutual_consistency", mutual_consistency,
            "M exp(-c M), M = |grad L_low| + |grad L_high|: strong edges of both illuminations stay, weak ones go.");
    v.field("blurred_reconstruction", blurred_reconstruction,
            "|G(R L) - G(I)| / (G(mean I) + epsilon), G a blur, dark and bright: the parts multiply back to the "
            "picture's color and light, without its noise.");
  }
  /// Throws Error unless some term has a weight greater than 0.
  void validate(const std::string& path) const;
};

/// What trains the restoration and adjustment nets: their output against a target.
struct ImageLossConfig {
  std::optional<SquareConfig> square = {};
  std::optional<GradientDifferenceConfig> gradient = {};
  std::optional<SsimConfig> ssim = {};
  std::optional<ColorDifferenceConfig> color = {};
  std::optional<ChromaConfig> chroma = {};
  std::optional<SaturationConfig> saturation = {};
  std::optional<EdgeConfig> edge = {};
  std::optional<GtMeanConfig> gt_mean = {};

  template <class V>
  void fields(V& v) {
    v.field("square", square, "Difference of the pixels.");
    v.field("gradient", gradient, "Squared difference of the gradients.");
    v.field("ssim", ssim, "1 - SSIM, the structural similarity.");
    v.field("color", color, "Difference of the blurred pictures: colours without texture and noise.");
    v.field("chroma", chroma, "Difference of the colors alone, apart from their light.");
    v.field("saturation", saturation, "How far from 1 the slope of the output's colors by the target's is.");
    v.field("edge", edge, "Absolute difference of the Laplacians.");
    v.field(
        "gt_mean", gt_mean,
        "nets trained together: the nearer a picture's mean is to its target's, the more the terms above compare it "
        "scaled to the target's mean. So light and content are learned apart.");
  }
  /// Throws Error unless some term has a weight greater than 0.
  void validate(const std::string& path) const;
};

/// What keeps the parts of an output R_hat L_hat, trained together, near the reflectance and illumination that the
/// decomposition finds in the bright picture.
struct PartsLossConfig {
  std::optional<SquareConfig> reflectance = {};
  std::optional<SquareConfig> illumination = {};

  template <class V>
  void fields(V& v) {
    v.field("reflectance", reflectance, "R_hat against R_high.");
    v.field("illumination", illumination, "L_hat against L_high.");
  }
};

struct LossTerm {
  std::string name;
  double raw;       ///< The term itself.
  double weighted;  ///< Its share of the total: weight times raw.
};

template <class T>
struct Loss {
  Variable<T> total;  ///< A scalar: the sum of the weighted terms.
  std::vector<LossTerm> terms;
};

/// The loss of a batch of pairs: reflectances r and pictures i are [n, 3, h, w], illuminations l [n, 1, h, w], all in
/// 0..1. Throws Error where the shapes do not fit or no term has a weight greater than 0.
template <class T>
Loss<T> decomposition_loss(const DecompositionLossConfig& config, const Variable<T>& r_low, const Variable<T>& l_low,
                           const Variable<T>& r_high, const Variable<T>& l_high, const Variable<T>& i_low,
                           const Variable<T>& i_high);

/// The loss of a batch of outputs [n, c, h, w] in 0..1 against targets of the same shape. Throws Error as above.
template <class T>
Loss<T> image_loss(const ImageLossConfig& config, const Variable<T>& output, const Variable<T>& target);

/// The loss of an output R_hat L_hat [n, 3, h, w] against the bright picture, and of its parts (reflectances
/// [n, 3, h, w], illuminations [n, 1, h, w], all in 0..1) against those of the bright picture, which are read only
/// where `parts` has their term. Throws Error as above.
template <class T>
Loss<T> output_loss(const ImageLossConfig& config, const PartsLossConfig& parts, const Variable<T>& restored,
                    const Variable<T>& adjusted, const Variable<T>& target, const Variable<T>& r_high,
                    const Variable<T>& l_high);

/// The sum of two losses: their totals added, their terms one after the other.
template <class T>
Loss<T> operator+(Loss<T> a, const Loss<T>& b);

}  // namespace kind
