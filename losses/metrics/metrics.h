#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "losses/metrics/color.h"
#include "losses/metrics/niqe.h"

/// The metrics by name: kind-eval, validation and the reports of runs go over one table of them.
namespace kind {

/// What metrics are taken of: values 0..255 of pictures [1, 3, h, w] of one size, as file_values gives them.
struct Scored {
  const Tensor<float>& output;
  const Tensor<float>& target;
  const Tensor<float>* low = nullptr;  // of loe alone
  const NiqeModel* niqe = nullptr;     // of niqe alone
  std::optional<LabPair> lab = {};     // made by the first metric of colour, for all of them; colors() gives it
};

/// The values, as 0..255, that a file of `picture` (values 0..1; others are clipped) with samples of 8 or 16 bits would hold:
/// floor(255 x + 0.5), or floor(65535 x + 0.5) / 257.
Tensor<float> file_values(const Tensor<float>& picture, int bits);

/// Both pictures in CIELAB.
const LabPair& colors(Scored& pictures);

/// Which of two values is better.
enum class Better { kHigher, kLower, kNearOne, kNeither };

/// Who takes a metric that nobody named: none, validation, or kind-eval as well.
enum class Taken { kNamed, kByValidation, kAlways };

/// A figure of one picture.
struct Metric {
  std::string name;
  int digits;        // behind the point, in tables
  std::string what;  // a few words for people: what it is, its unit, which way is better
  Better better;
  Taken taken;
  /// Nothing where the picture is too small for the metric, or the metric means nothing for it. May be infinite. Throws
  /// Error where what the metric needs is not there.
  std::optional<double> (*measure)(Scored& pictures);

  /// The name in metrics.jsonl and the reports made of it: "color_slope" of "color-slope".
  std::string figure() const;
};

/// All that there are; docs/metrics.md defines them.
const std::vector<Metric>& all_metrics();

/// Names of those that kind-eval takes where none are named.
std::vector<std::string> default_metrics();

/// The one of this name; throws Error with the nearest name and all of them where there is none.
const Metric& find_metric(const std::string& name);

}  // namespace kind
