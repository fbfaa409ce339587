#pragma once

#include "losses/distance.h"

namespace kind {

// Terms that compare the colours of a net's output x with its target's, both [n, 3, h, w], independent of their light.
// Colour is R, G and B minus their mean, as two opponent planes, orthonormal axes perpendicular to gray:
//   o1 = (R - G) / sqrt 2,   o2 = (R + G - 2 B) / sqrt 6
// Not part of KinD. They throw Error naming the term and the shapes if those do not fit.

/// Mean absolute (l1) or squared (l2) difference of the opponent planes, after a blur of `sigma` pixels (0: none).
struct ChromaDifference {
  static constexpr const char* kName = "chroma";
  static constexpr const char* kHelp = "Difference of the colours, independent of their light.";
  Norm norm = Norm::kL1;
  double sigma = 0;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
    v.field("sigma", sigma, "Standard deviation in pixels of a blur applied before the comparison; 0: none.",
            at_least(0), at_most(1000));
  }
  bool needs_rgb() const { return true; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Mean over the pictures of (s - 1)^2, s = (sum o(x) o(t) + e) / (sum o(t) o(t) + e) over a picture's pixels, e =
/// `epsilon` times their number: the slope of the least-squares line from the target's colours to the output's. It is 1
/// for full colours, less for faded ones; noise, which is uncorrelated with the target's colours, does not raise it. If
/// the target is gray, s is near 1 for any output.
struct Saturation {
  static constexpr const char* kName = "saturation";
  static constexpr const char* kHelp =
      "Squared distance from 1 of the slope of the output's colours against the "
      "target's.";
  double epsilon = 1e-3;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("epsilon", epsilon,
            "Mean square distance from gray that is added to both sums, so that less colourful pictures hardly count.",
            greater_than(0));
  }
  bool needs_rgb() const { return true; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

}  // namespace kind
