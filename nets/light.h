#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/io/config.h"
#include "core/tensor/tensor.h"

namespace kind {

/// What the automatic light level looks at, all of the dark picture alone. `kNames` gives their order.
struct LightStatistics {
  static constexpr int kCount = 8;
  static const char* const kNames[kCount];
  double values[kCount];
};

/// Statistics of a picture [1, 3, h, w] (as the nets saw it) and its illumination [1, 1, h, w], both in 0..1.
LightStatistics light_statistics(const Tensor<float>& picture, const Tensor<float>& illumination);

/// Calls its argument with runs of a picture's pixels, from the first to the last: how many, and their red, green, blue
/// and illumination.
using PixelRun =
    std::function<void(std::int64_t count, const float* r, const float* g, const float* b, const float* l)>;
using PixelRuns = std::function<void(const PixelRun&)>;
/// The same of pixels that are nowhere all at once; `runs` is called twice. The same bits.
LightStatistics light_statistics(std::int64_t count, const PixelRuns& runs);

/// The automatic light level: log ratio = bias + sum of weights[i] * statistics[i], limited to [log lowest, log
/// highest]. Fitted on training pairs by fit_light.
struct LightConfig {
  double bias = 0;
  std::vector<double> weights = std::vector<double>(LightStatistics::kCount, 0.0);
  double lowest = 1;
  double highest = 20;

  template <class V>
  void fields(V& v) {
    v.field("bias", bias, "Logarithm of the ratio where every statistic is 0.");
    v.field("weights", weights, "Of the statistics, in the order of the docs.");
    v.field("lowest", lowest, "Smallest ratio that is chosen.", greater_than(0));
    v.field("highest", highest, "Largest ratio that is chosen.", greater_than(0));
  }
  void validate(const std::string& path) const;
};

/// The ratio for a picture with these statistics.
double automatic_ratio(const LightConfig& config, const LightStatistics& statistics);

/// Ridge regression of log(ratio) on the statistics, each standardised first so that one `penalty` fits all:
/// minimises sum of (log ratio - prediction)^2 + penalty * count * |standardised weights|^2 (Hoerl and Kennard 1970).
/// Needs at least two samples; throws Error for fewer, or for a ratio that is not positive. The limits become the
/// smallest and largest ratio of the samples.
LightConfig fit_light(const std::vector<LightStatistics>& statistics, const std::vector<double>& ratios,
                      double penalty = 0.01);

}  // namespace kind
