#pragma once

#include "losses/distance.h"

namespace kind {

/// Mean over the pixels of the colour difference CIE94 (CIE 116-1995, graphic arts) in hundredths, x and t [n, 3, h, w]
/// sRGB in 0..1. In CIELAB, with differences d of x from t and t's chroma C:
///   dE = sqrt(dL^2 + (dC / (1 + 0.045 C))^2 + (dH / (1 + 0.015 C))^2 + epsilon^2) - epsilon
/// It weighs errors as the eye does: those of dark and gray parts more than those of bright and colourful ones. Values
/// beyond 0..1 continue the curves. Not part of KinD. Throws Error naming the term and the shapes if those do not fit.
struct LabDifference {
  static constexpr const char* kName = "lab";
  static constexpr const char* kHelp = "Colour difference CIE94 in CIELAB, in hundredths.";
  double epsilon = 1;  ///< In CIELAB's units. Below it the term is nearly quadratic, above it nearly linear.
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("epsilon", epsilon,
            "Colour difference, in CIELAB's units, below which errors count as their squares; 1 is just visible.",
            greater_than(0));
  }
  bool needs_rgb() const { return true; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Mean over the pixels of a distance of hues, x and t [n, 3, h, w] sRGB in 0..1. With the colour c = (a*, b*) in CIELAB
/// and s(c) = c / sqrt(|c|^2 + chroma^2), which has the direction of c and a length below 1:
///   d = sqrt(|s(c_x) - s(c_t)|^2 + epsilon^2) - epsilon
/// Of colourful pixels it is the chord of their hues on the unit circle, whatever their chroma; the grayer a pixel, the
/// less its direction counts and the more its chroma does. Lightness has no part in it. In 0..2. Not part of KinD. Throws
/// Error naming the term and the shapes if those do not fit.
struct HueDifference {
  static constexpr const char* kName = "hue";
  static constexpr const char* kHelp = "Distance of hues in CIELAB, on the unit circle.";
  double chroma = 10;     ///< In CIELAB's units: pixels of less chroma are gray rather than coloured.
  double epsilon = 0.05;  ///< Below it the term is nearly quadratic, above it nearly linear.
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("chroma", chroma, "Chroma, in CIELAB's units, below which a pixel is gray rather than coloured.",
            greater_than(0));
    v.field("epsilon", epsilon, "Distance below which errors count as their squares.", greater_than(0));
  }
  bool needs_rgb() const { return true; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

}  // namespace kind
