#pragma once

#include <array>
#include <optional>

#include "core/tensor/tensor.h"

namespace kind {

/// CIELAB (CIE 15, D65, 2 degree observer) of sRGB pictures (IEC 61966-2-1) [n, 3, h, w] of values 0..255: the channels
/// become L* (0..100), a* and b*. Grays have a* = b* = 0. Throws Error if there are not three channels.
template <class T>
Tensor<double> srgb_to_lab(const Tensor<T>& rgb);

/// Mean over the pixels of C*ab = sqrt(a*^2 + b*^2), how colourful a picture is: 0 for gray ones. Errors as above.
template <class T>
double mean_chroma(const Tensor<T>& rgb);

/// The colour difference CIEDE2000 of two colours L*, a*, b*, with kL = kC = kH = 1, after Sharma, Wu and Dalal ("The
/// CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data, and Mathematical Observations",
/// Color Research and Application 30, 2005). 0 for the same colour; about 1 is just noticeable.
double ciede2000(const std::array<double, 3>& lab1, const std::array<double, 3>& lab2);

/// A picture and its reference, both CIELAB as from srgb_to_lab, [1, 3, h, w].
struct LabPair {
  Tensor<double> output, target;
};

/// Of two sRGB pictures [1, 3, h, w] of values 0..255. Throws Error if the shapes do not fit.
template <class T>
LabPair to_lab_pair(const Tensor<T>& output, const Tensor<T>& target);

/// Mean of ciede2000 over the pixels; the second form of sRGB pictures as above.
double mean_delta_e(const LabPair& pictures);
template <class T>
double mean_delta_e(const Tensor<T>& a, const Tensor<T>& b);

/// The share of the target's colour in the output: the least-squares slope through 0 of the output's a* and b* over the
/// target's, sum(a a' + b b') / sum(a'^2 + b'^2) over the pixels, where a', b' are the target's. 1: full colour, 0:
/// none; noise in a* and b* adds nothing to it on average. Nothing if the target has no colour: the mean of a'^2 + b'^2
/// is below kGrayTarget.
std::optional<double> color_slope(const LabPair& pictures);
inline constexpr double kGrayTarget = 1;  // a chroma difference of 1 is hardly visible

/// Mean angle between the (a*, b*) of both pictures in degrees, 0..180, over the pixels whose chroma C*ab is at least
/// kHueChroma in both. Nothing if there are no such pixels.
std::optional<double> hue_error(const LabPair& pictures);
inline constexpr double kHueChroma = 10;  // below, noise determines the hue

/// Mean over the pixels of the distance in the a*b* plane, sqrt((a - a')^2 + (b - b')^2).
double chroma_error(const LabPair& pictures);

/// The output's mean chroma over the target's. Nothing if that is below 0.001. Of little use: noise compensates for
/// lost colour.
std::optional<double> chroma_ratio(const LabPair& pictures);

}  // namespace kind
