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

}  // namespace kind
