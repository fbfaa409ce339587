#pragma once

#include "losses/distance.h"
#include "losses/gradient.h"
#include "losses/ssim.h"

namespace kind {

// The terms that compare a net's output x with its target t, both [n, c, h, w] in 0..1 (Zhang et al., "Kindling the
// Darkness", arXiv 1905.04161, sections 3.2 and 3.3; the colour term is from elsewhere). Every term is a scalar. They
// throw Error naming the term and the shapes where those do not fit.

/// Mean squared (l2) or absolute (l1) difference.
struct Square {
  Norm norm = Norm::kL2;
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Which planes of a picture have their gradients taken: each by itself, or the gray of RGB (a picture of one channel
/// is gray already).
enum class GradientChannels { kRgb, kGray };

/// Sum over x and y of mean((grad x - grad t)^2), signed or, where `magnitude`, of the absolute values. The official
/// form has no signs, so `magnitude` changes nothing there.
struct GradientDifference {
  GradientSpec gradient = {};
  GradientChannels channels = GradientChannels::kRgb;
  bool magnitude = false;
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// 1 - SSIM.
struct SsimLoss {
  SsimSpec spec = {};
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Mean squared (l2) or absolute (l1) difference of blurred pictures: colours and brightness without texture and noise,
/// as in the colour loss of Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks"
/// (ICCV 2017). Not part of KinD. The blur is gaussian_blur's; its 21 taps for sigma 3 are theirs. Any size is taken.
struct ColorDifference {
  Norm norm = Norm::kL2;
  double sigma = 3;  ///< Pixels.
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Mean absolute difference of the Laplacians, the sum of a pixel's four neighbours less four times itself; a neighbour
/// beyond the border counts as the pixel. L1 as in the edge losses of restoration nets (Jiang et al., CVPR 2020, has it
/// with Charbonnier's root). Not part of KinD.
struct EdgeDifference {
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

}  // namespace kind
