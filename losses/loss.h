#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/io/config.h"
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
    v.field("sigma", sigma, "Standard deviation in pixels of the blur before pictures are compared.", greater_than(0),
            at_most(1000));
  }
  ColorDifference term() const;
};

/// What trains the decomposition net. Reconstruction and smoothness are sums over the dark and the bright picture.
struct DecompositionLossConfig {
  std::optional<ReconstructionConfig> reconstruction = {};
  std::optional<ReflectanceSimilarityConfig> reflectance_similarity = {};
  std::optional<IlluminationSmoothnessConfig> illumination_smoothness = {};
  std::optional<MutualConsistencyConfig> mutual_consistency = {};

  template <class V>
  void fields(V& v) {
    v.field("reconstruction", reconstruction, "|I - R L|, dark and bright: the parts multiply back to the picture.");
    v.field("reflectance_similarity", reflectance_similarity, "|R_low - R_high|: one scene has one reflectance.");
    v.field(
        "illumination_smoothness", illumination_smoothness,
        "|grad L| / max(|grad I|, epsilon), dark and bright: illumination is smooth except at edges of the picture.");
    v.field("mutual_consistency", mutual_consistency,
            "M exp(-c M), M = |grad L_low| + |grad L_high|: strong edges of both illuminations stay, weak ones go.");
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

  template <class V>
  void fields(V& v) {
    v.field("square", square, "Difference of the pixels.");
    v.field("gradient", gradient, "Squared difference of the gradients.");
    v.field("ssim", ssim, "1 - SSIM, the structural similarity.");
    v.field("color", color, "Difference of the blurred pictures: colours without texture and noise.");
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
