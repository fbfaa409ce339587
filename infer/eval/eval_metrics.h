#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "losses/metrics/color.h"
#include "losses/metrics/niqe.h"

namespace kind {

/// A figure of one picture.
struct Metric {
  std::string name;
  int digits;        // behind the point, in tables
  std::string what;  // a few words for people: what it is, its unit, which way is better
};

/// All that kind-eval knows; docs/metrics.md defines them.
const std::vector<Metric>& all_metrics();

/// Those that are taken where none are named.
const std::vector<std::string>& default_metrics();

/// The one of this name; throws Error with the nearest name and all of them where there is none.
const Metric& find_metric(const std::string& name);

/// What metrics are taken of: values 0..255 of 8-bit pictures [1, 3, h, w] of one size.
struct Scored {
  const Tensor<float>& output;
  const Tensor<float>& target;
  const Tensor<float>* low = nullptr;  // of loe alone
  const NiqeModel* niqe = nullptr;     // of niqe alone
  std::optional<LabPair> lab = {};     // made by the first metric of colour, for all of them
};

/// Nothing where the picture is too small for the metric, or the metric means nothing for it. May be infinite. Throws
/// Error where what the metric needs is not there.
std::optional<double> measure(const Metric& metric, Scored& pictures);

}  // namespace kind
