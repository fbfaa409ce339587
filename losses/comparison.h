#pragma once

#include "losses/distance.h"
#include "losses/gradient.h"
#include "losses/ssim.h"

namespace kind {

// The terms that compare a net's output x with its target t, both [n, c, h, w] in 0..1 (Zhang et al., "Kindling the
// Darkness", arXiv 1905.04161, sections 3.2 and 3.3; the colour term is from elsewhere). Every term is a scalar. They
// throw Error naming the term (the parts' terms: square) and the shapes if those do not fit. A term that, as
// configured, requires RGB defines needs_rgb(); one that requires a minimum picture size defines smallest_side().

/// Mean squared (l2) or absolute (l1) difference.
struct Square {
  static constexpr const char* kName = "square";
  static constexpr const char* kHelp = "Difference of the pixels.";
  Norm norm = Norm::kL2;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// The planes whose gradients are compared: each channel, or the gray of RGB (a one-channel picture is already gray).
enum class GradientChannels { kRgb, kGray };

/// Sum over x and y of mean((grad x - grad t)^2), signed or, with `magnitude`, of the absolute values. The official
/// form is unsigned, so `magnitude` has no effect on it.
struct GradientDifference {
  static constexpr const char* kName = "gradient";
  static constexpr const char* kHelp = "Squared difference of the gradients.";
  GradientSpec gradient = {};
  GradientChannels channels = GradientChannels::kRgb;
  bool magnitude = false;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    gradient.fields(v);
    choice_field(v, "channels", channels, "Gradients of each channel, or of the gray of RGB.",
                 {{"rgb", GradientChannels::kRgb}, {"gray", GradientChannels::kGray}});
    v.field("magnitude", magnitude, "Compare absolute values of the paper's gradients instead of signed ones.");
  }
  void validate(const std::string& path) const { gradient.validate(path); }
  bool needs_rgb() const { return channels == GradientChannels::kGray; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// 1 - SSIM.
struct SsimLoss {
  static constexpr const char* kName = "ssim";
  static constexpr const char* kHelp = "1 - SSIM, the structural similarity.";
  SsimSpec spec = {};
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    v.field("window", spec.window, "Size of the Gaussian window in pixels; odd. Patches must not be smaller.",
            between(1, 255));
    v.field("sigma", spec.sigma, "Standard deviation of the window in pixels.", greater_than(0));
  }
  void validate(const std::string& path) const;
  std::int64_t smallest_side() const { return spec.window; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Mean squared (l2) or absolute (l1) difference of blurred pictures: colours and brightness without texture and noise,
/// as in the colour loss of Ignatov et al., "DSLR-Quality Photos on Mobile Devices with Deep Convolutional Networks"
/// (ICCV 2017). Not part of KinD. The blur is gaussian_blur's; its 21 taps for sigma 3 are theirs. Accepts any size.
struct ColorDifference {
  static constexpr const char* kName = "color";
  static constexpr const char* kHelp = "Difference of the blurred pictures: colours without texture and noise.";
  Norm norm = Norm::kL2;
  double sigma = 3;  ///< Pixels.
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
    norm_field(v, norm);
    v.field("sigma", sigma, kBlurHelp, greater_than(0), at_most(1000));
  }
  bool needs_rgb() const { return true; }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Mean absolute difference of the Laplacians, the sum of a pixel's four neighbours less four times itself; a neighbour
/// beyond the border counts as the pixel. L1 as in the edge losses of restoration nets (Jiang et al., CVPR 2020, has it
/// with Charbonnier's root). Not part of KinD.
struct EdgeDifference {
  static constexpr const char* kName = "edge";
  static constexpr const char* kHelp = "Absolute difference of the Laplacians.";
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const;
};

/// Terms that keep the parts of an output R_hat L_hat near those of the bright picture: reflectances [n, 3, h, w],
/// illuminations [n, 1, h, w], all in 0..1. Not part of KinD.
template <class T>
struct OutputParts {
  Variable<T> restored, adjusted, r_high, l_high;
};

/// R_hat against R_high, as Square.
struct ReflectanceDistance : Square {
  static constexpr const char* kName = "reflectance";
  static constexpr const char* kHelp = "R_hat against R_high.";
  template <class T>
  Variable<T> of(const OutputParts<T>& p) const {
    return (*this)(p.restored, p.r_high);
  }
};

/// L_hat against L_high, as Square.
struct IlluminationDistance : Square {
  static constexpr const char* kName = "illumination";
  static constexpr const char* kHelp = "L_hat against L_high.";
  template <class T>
  Variable<T> of(const OutputParts<T>& p) const {
    return (*this)(p.adjusted, p.l_high);
  }
};

}  // namespace kind
