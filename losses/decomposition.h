#pragma once

#include <optional>

#include "losses/distance.h"
#include "losses/gradient.h"

namespace kind {

// The terms that train the decomposition I = R L (Zhang et al., "Kindling the Darkness", arXiv 1905.04161,
// section 3.1). I and R are [n, 3, h, w], L is [n, 1, h, w], all in 0..1; every term is a scalar. They throw Error
// naming the term and the shapes if those do not fit. Each has of(pair), its value for a pair of pictures.

/// The decompositions of a dark and a bright picture, and the pictures.
template <class T>
struct DecomposedPair {
  Variable<T> r_low, l_low, r_high, l_high, i_low, i_high;
};

/// |I - R L|: the product of the parts is the picture. With `relative` = e > 0 each difference is divided by m + e
/// before its norm is taken, where m is the mean of I's channels at the pixel, so that the colours of dark parts count
/// as much as those of bright ones. The divisor has no gradient; not part of KinD.
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
            "Divide each difference by the pixel's mean of red, green and blue plus this number, so that the "
            "colours of dark parts count as much as those of bright ones. null: plain differences.",
            greater_than(0));
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.i_low, p.r_low, p.l_low) + (*this)(p.i_high, p.r_high, p.l_high);
  }
};

/// |R_low - R_high|: both exposures show the same scene, so they share the reflectance.
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
    v.field("epsilon", epsilon, "Lower limit of the picture's gradient in the divisor.", greater_than(0));
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

/// Sum over x and y of mean(M exp(-c M)), M = |grad L_low| + |grad L_high|: keeps edges that are strong in both
/// illuminations, and suppresses those below M = 1 / c. c = 0 suppresses all equally: the mean of M.
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
    v.field("c", c, "Edges stronger than 1 / c are preserved; 0: none.", at_least(0));
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

/// |G(R L) - G(I)| / (G(m) + e), e = `epsilon`, m the mean of I's channels, G a Gaussian blur of `sigma` pixels:
/// compares the relative colour and light of the product of the parts, without the noise. The norm is taken of the
/// quotient; the divisor has no gradient. Not part of KinD.
struct BlurredReconstruction {
  static constexpr const char* kName = "blurred_reconstruction";
  static constexpr const char* kHelp =
      "|G(R L) - G(I)| / (G(mean I) + epsilon), G a blur, dark and bright: the product of the parts has the picture's "
      "colour and light, without its noise.";
  Norm norm = Norm::kL1;
  double sigma = 3;
  double epsilon = 0.02;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
    v.field("sigma", sigma, kBlurHelp, greater_than(0), at_most(1000));
    v.field("epsilon", epsilon, "Added to the blurred light in the divisor.", greater_than(0));
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const;
  template <class T>
  Variable<T> of(const DecomposedPair<T>& p) const {
    return (*this)(p.i_low, p.r_low, p.l_low) + (*this)(p.i_high, p.r_high, p.l_high);
  }
};

}  // namespace kind
