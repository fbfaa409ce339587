#pragma once

#include <optional>

#include "losses/distance.h"
#include "losses/gradient.h"

namespace kind {

// The terms that train the decomposition I = R L (Zhang et al., "Kindling the Darkness", arXiv 1905.04161,
// section 3.1). I and R are [n, 3, h, w], L is [n, 1, h, w], all in 0..1; every term is a scalar. They throw Error
// naming the term and the shapes where those do not fit.

/// |I - R L|: the parts multiply back to the picture. With `relative` = e > 0 each difference is divided by m + e
/// before its norm is taken, m the mean of I's channels at the pixel: the colors of what is dark then count as much as
/// those of what is bright. The divisor has no gradient; not part of KinD.
struct Reconstruction {
  Norm norm = Norm::kL1;
  std::optional<double> relative = {};
  template <class T>
  Variable<T> operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const;
};

/// |G(R L) - G(I)| / (G(m) + e), e = `epsilon`, m the mean of I's channels, G a Gaussian blur of `sigma` pixels: the
/// relative color and light of what the parts multiply to, without the noise. The norm is taken of the quotient; the
/// divisor has no gradient. Not part of KinD.
struct BlurredReconstruction {
  Norm norm = Norm::kL1;
  double sigma = 3;
  double epsilon = 0.02;
  template <class T>
  Variable<T> operator()(const Variable<T>& i, const Variable<T>& r, const Variable<T>& l) const;
};

/// |R_low - R_high|: both exposures show one scene, so they have one reflectance.
struct ReflectanceSimilarity {
  Norm norm = Norm::kL1;
  template <class T>
  Variable<T> operator()(const Variable<T>& r_low, const Variable<T>& r_high) const;
};

/// Sum over x and y of mean(|grad L| / max(|grad gray(I)|, epsilon)): illumination is smooth, except where the picture
/// has an edge.
struct IlluminationSmoothness {
  double epsilon = 0.01;
  GradientSpec gradient = {};
  template <class T>
  Variable<T> operator()(const Variable<T>& l, const Variable<T>& i) const;
};

/// Sum over x and y of mean(M exp(-c M)), M = |grad L_low| + |grad L_high|: edges that both illuminations have strongly
/// are kept, those below M = 1 / c are pressed down. c = 0 presses all of them down alike: the mean of M.
struct MutualConsistency {
  double c = 10;
  GradientSpec gradient = {};
  template <class T>
  Variable<T> operator()(const Variable<T>& l_low, const Variable<T>& l_high) const;
};

}  // namespace kind
