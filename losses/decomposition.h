#pragma once

#include <optional>

#include "losses/distance.h"
#include "losses/gradient.h"

namespace kind {

// The terms that train the decomposition I = R L (Zhang et al., "Kindling the Darkness", arXiv 1905.04161,
// section 3.1). I and R are [n, 3, h, w], L is [n, 1, h, w], all in 0..1; every term is a scalar. They throw Error
// naming the term and the shapes where those do not fit. Each has of(pair), its value for a pair of pictures.

/// What a decomposition net makes of a dark and a bright picture, and the pictures.
template <class T>
struct DecomposedPair {
  Variable<T> r_low, l_low, r_high, l_high, i_low, i_high;
};

/// |I - R L|: the parts multiply back to the picture. With `relative` = e > 0 each difference is divided by m + e
/// before its norm is taken, m the mean of I's channels at the pixel: the colors of what is dark then count as much as
/// those of what is bright. The divisor has no gradient; not part of KinD.
struct Reconstruction {
  static constexpr const char* kName = "reconstruction";
  static constexpr const char* kHelp = "|I - R L|, dark and bright: the parts multiply back to the picture.";
  Norm norm = Norm::kL1;
  std::optional<double> relative = {};
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
    v.field("relative", relative,
            "Divide each difference by the picture's mean of red, green and blue there plus this number: the colors of "
            "dark places then count as much as those of bright ones. null: differences as they are.",
            greater_than(0));
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.i_low, p.r_low, p.l_low) + (*this)(p.i_high, p.r_high, p.l_high);
  }
};

/// |R_low - R_high|: both exposures show one scene, so they have one reflectance.
struct ReflectanceSimilarity {
  static constexpr const char* kName = "reflectance_similarity";
  static constexpr const char* kHelp = "|R_low - R_high|: one scene has one reflectance.";
  Norm norm = Norm::kL1;
  double weight = 0.01;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& r_low, const Variable<T>& r_high) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.r_low, p.r_high);
  }
};

/// Sum over x and y of mean(|grad L| / max(|grad gray(I)|, epsilon)): illumination is smooth, except where the picture
/// has an edge.
struct IlluminationSmoothness {
  static constexpr const char* kName = "illumination_smoothness";
  static constexpr const char* kHelp =
      "|grad L| / max(|grad I|, epsilon), dark and bright: illumination is smooth except at edges of the picture.";
  double epsilon = 0.01;
  GradientSpec gradient = {};
  double weight = 0.15;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("epsilon", epsilon, "Least gradient of the picture to divide by.", greater_than(0));
    gradient.fields(v);
  }
  void validate(const std::string& path) const { gradient.validate(path); }
  template <class T>
  Variable<T> operator()(const Variable<T>& l, const Variable<T>& i) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.l_low, p.i_low) + (*this)(p.l_high, p.i_high);
  }
};

/// Sum over x and y of mean(M exp(-c M)), M = |grad L_low| + |grad L_high|: edges that both illuminations have strongly
/// are kept, those below M = 1 / c are pressed down. c = 0 presses all of them down alike: the mean of M.
struct MutualConsistency {
  static constexpr const char* kName = "mutual_consistency";
  static constexpr const char* kHelp =
      "M exp(-c M), M = |grad L_low| + |grad L_high|: strong edges of both illuminations stay, weak ones go.";
  double c = 10;
  GradientSpec gradient = {};
  double weight = 0.2;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("c", c, "Edges stronger than 1 / c are spared; 0: none is.", at_least(0));
    gradient.fields(v);
  }
  void validate(const std::string& path) const { gradient.validate(path); }
  template <class T>
  Variable<T> operator()(const Variable<T>& l_low, const Variable<T>& l_high) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.l_low, p.l_high);
  }
};

/// |G(R L) - G(I)| / (G(m) + e), e = `epsilon`, m the mean of I's channels, G a Gaussian blur of `sigma` pixels: the
/// relative color and light of what the parts multiply to, without the noise. The norm is taken of the quotient; the
/// divisor has no gradient. Not part of KinD.
struct BlurredReconstruction {
  static constexpr const char* kName = "blurred_reconstruction";
  static constexpr const char* kHelp =
      "|G(R L) - G(I)| / (G(mean I) + epsilon), G a blur, dark and bright: the parts multiply back to the picture's "
      "color and light, without its noise.";
  Norm norm = Norm::kL1;
  double sigma = 3;
  double epsilon = 0.02;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
    v.field("sigma", sigma, kBlurHelp, greater_than(0), at_most(1000));
    v.field("epsilon", epsilon, "Added to the blurred light that differences are divided by.", greater_than(0));
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.i_low, p.r_low, p.l_low) + (*this)(p.i_high, p.r_high, p.l_high);
  }
};

}  // namespace kind
