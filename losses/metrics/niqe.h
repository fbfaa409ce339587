#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/tensor/tensor.h"

/// NIQE, the distance of a picture's statistics from those of good photographs, without a reference picture (Mittal,
/// Soundararajan and Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE Signal Processing Letters 20,
/// 2013).
namespace kind {

constexpr std::size_t kNiqeFeatures = 36;
using NiqeFeatures = std::array<double, kNiqeFeatures>;

/// The model of good photographs: a Gaussian over the features of their sharp patches. Figures of different models are
/// not comparable.
struct NiqeModel {
  std::int64_t format = 2;
  std::int64_t patch = 96;
  std::vector<std::string> pictures;
  std::int64_t patches = 0;
  std::vector<double> mean;
  std::vector<std::vector<double>> covariance;

  template <class V>
  void fields(V& v) {
    v.field("format", format, "Version of this description, 2.", at_least(1), kRequired);
    v.field("patch", patch, "Side of a patch in pixels; even.", between(16, 4096), kRequired);
    v.field("pictures", pictures, "Names of the photographs that the model was made from.", kRequired);
    v.field("patches", patches, "How many sharp patches they had.", at_least(1), kRequired);
    v.field("mean", mean, "Of the 36 features.", kRequired);
    v.field("covariance", covariance, "Of the 36 features, row by row.", kRequired);
  }
  void validate(const std::string& path) const;
};

/// The features of the patches, side by side from the top left, of a picture [1, 3, h, w] of values 0..255, taken of
/// its gray rounded to 8 bits. At full size and at half (cubic interpolation with anti-aliasing), with local means m and
/// deviations s by a Gaussian window of 7 x 7 (sigma 7/6, edges replicated), n = (x - m) / (s + 1): the shape and mean scale
/// of an asymmetric generalised Gaussian fitted to n, then shape, mean, left and right scale of those fitted to the products
/// of n with its right, lower, lower right and lower left neighbour in the patch, whose opposite edges are neighbours.
/// Patches without contrast are left out, and so are those whose mean s is at most
/// `sharpness` times the sharpest patch's. Empty where the picture is smaller than a patch. Throws Error for another
/// shape, or an odd patch.
std::vector<NiqeFeatures> niqe_features(const Tensor<float>& rgb, std::int64_t patch, double sharpness = 0);

/// Sharpness threshold of the paper for the patches of good photographs.
constexpr double kNiqeSharpness = 0.75;

/// The Gaussian of these features. Throws Error for fewer than 37 of them, which leave the covariance singular.
NiqeModel fit_niqe(const std::vector<NiqeFeatures>& features, std::int64_t patch,
                   const std::vector<std::string>& pictures);

/// sqrt((m1 - m2)' ((C1 + C2) / 2)^-1 (m1 - m2)) of the model's and the picture's mean and covariance of features (the
/// pseudo-inverse); lower is better. Nothing if the picture has fewer than two patches with contrast.
std::optional<double> niqe(const Tensor<float>& rgb, const NiqeModel& model);

}  // namespace kind
