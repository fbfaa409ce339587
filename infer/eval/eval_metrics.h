#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "losses/metrics/color.h"
#include "losses/metrics/niqe.h"

namespace kind {

/// A metric of one picture.
struct Metric {
  std::string name;
  int digits;        // decimals in tables
  std::string what;  // short description: meaning, unit, better direction
};

/// All metrics of kind-eval; docs/metrics.md defines them.
const std::vector<Metric>& all_metrics();

/// The default metrics.
const std::vector<std::string>& default_metrics();

/// The metric of this name; throws Error with the nearest name and all names if there is none.
const Metric& find_metric(const std::string& name);

/// The inputs of metrics: values 0..255 of 8-bit pictures [1, 3, h, w] of the same size.
struct Scored {
  const Tensor<float>& output;
  const Tensor<float>& target;
  const Tensor<float>* low = nullptr;  // for loe only
  const NiqeModel* niqe = nullptr;     // for niqe only
  std::optional<LabPair> lab = {};     // computed by the first colour metric, for all of them
};

/// Nothing if the picture is too small for the metric, or the metric is undefined for it. May be infinite. Throws Error
/// if an input of the metric is missing.
std::optional<double> measure(const Metric& metric, Scored& pictures);

}  // namespace kind
