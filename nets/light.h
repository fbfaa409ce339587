#pragma once

#include <vector>

#include "core/config/config.h"
#include "core/tensor/tensor.h"

namespace kind {

/// The part of a picture's range that is stretched to 0..1: x becomes (x - low) / span.
struct InputRange {
  float low = 0, span = 1;

  /// A value in the nets' input. Values below the range become 0; values above it are compressed into 1..1.25, so that
  /// a lamp far brighter than the rest does not dominate the input.
  float stretched(float value) const {
    constexpr float kBeyond = 0.25f;
    const float x = (value - low) / span;
    if (x > 1) return 1 + kBeyond * (x - 1) / (x - 1 + kBeyond);
    return x < 0 ? 0 : x;
  }
};

/// The smallest factor for which ceil(h / factor) * ceil(w / factor) is at most 8192. Throws Error for sides below 1 or
/// above 2^31 - 1.
std::int64_t reduction_factor(std::int64_t h, std::int64_t w);

/// Downsamples a picture of h x w pixels for choosing its light level, from a stream of rows: each pixel is the mean of
/// factor x factor pixels (fewer at the right and lower edges), with the factor of reduction_factor.
class Reduction {
 public:
  /// Throws Error for sides below 1 or above 2^31 - 1.
  Reduction(std::int64_t h, std::int64_t w);
  /// Rows y0 <= y < y1 of the three planes, w values a row, and their weights, 0 or more (null: 1 each); from the first
  /// row to the last. Throws Error for other rows than the picture's.
  void add_rows(std::int64_t y0, std::int64_t y1, const float* const* planes, const float* weights = nullptr);
  /// [1, 3, ceil(h / factor), ceil(w / factor)], after all rows. Pixels without weight get the mean colour of all.
  Tensor<float> take() const;
  /// The mean weight of each of these pixels, row by row; empty if no rows had weights.
  std::vector<float> weights() const;
  /// The weighted mean of red, green and blue; 0 if the total weight is 0.
  std::vector<float> mean_color() const;

 private:
  double cell(std::int64_t i) const;

  std::int64_t h_, w_, factor_ = 1, rows_, columns_;
  std::vector<double> sums_, weights_;
  bool weighted_ = false;
};
/// The same of a picture [1, 3, h, w]; throws Error for other shapes.
Tensor<float> reduced_for_light(const Tensor<float>& picture);

/// The statistics of the automatic light level, all of the dark picture only. `kNames` gives their order.
struct LightStatistics {
  static constexpr int kCount = 10;
  static constexpr int kFirst = 7;  ///< Rules of older models have weights for these many of them.
  static constexpr int kHigh = 2;   ///< Place of the logarithm of the 95th percentile of value.
  static const char* const kNames[kCount];
  double values[kCount];
};

/// Statistics of the downsampled net input [1, 3, h, w]; `range` is the range that was stretched. Each pixel counts by
/// its weight (none given: 1 each). Throws Error for other shapes, another number of weights, or weights that are
/// negative or all 0.
LightStatistics light_statistics(const Tensor<float>& picture, InputRange range = {},
                                 const std::vector<float>& weights = {});

/// The automatic light level, which is the mean of the output's RGB: log level = bias + sum of weights[i] *
/// statistics[i], limited to [log lowest, log highest]. Without a fit (fit_light) it is the same for all pictures.
struct LightConfig {
  double bias = -0.821;  // the logarithm of 0.44, the geometric mean of well exposed pictures' means
  std::vector<double> weights = std::vector<double>(LightStatistics::kCount, 0.0);
  double lowest = 0.2;
  double highest = 0.7;
  double highest_ratio = 20;
  double highest_gain = 8;  // of 175 pairs of the LOL data set, two have a bright picture of more

  template <class V>
  void fields(V& v) {
    v.field("bias", bias, "Logarithm of the level where every statistic is 0.");
    v.field("weights", weights, "Of the statistics, in the order of the docs.");
    v.field("lowest", lowest, "Smallest level that is asked for.", greater_than(0), at_most(1));
    v.field("highest", highest, "Largest level that is asked for.", greater_than(0), at_most(1));
    v.field("highest_ratio", highest_ratio, "Largest ratio that adjustment is given to reach it; the least is 1.",
            at_least(1), at_most(100));
    v.field("highest_gain", highest_gain, "Largest mean of the result as a multiple of the 95th percentile of value.",
            greater_than(0));
  }
  void validate(const std::string& path) const;
};

/// The level for a picture with these statistics, in lowest..highest. Throws Error as validate() does.
double automatic_level(const LightConfig& config, const LightStatistics& statistics);

/// The level above which a picture with these statistics is not mixed with its output: a starry sky is not
/// underexposed, and would become gray.
double level_limit(const LightConfig& config, const LightStatistics& statistics);

/// A picture to fit the rule on.
struct LightSample {
  LightStatistics statistics;
  double level;   ///< Mean of the RGB that the output should have, above 0.
  double weight;  ///< Of its error; at least 0.
};

/// Weighted ridge regression of log(level) on the statistics, each standardised first so that one `penalty` fits all:
/// minimises the weighted mean of (log level - prediction)^2 + penalty * |standardised weights|^2 (Hoerl and Kennard
/// 1970). The limits become the minimum and maximum level of the samples. Needs at least two samples with a weight
/// above 0; throws Error for fewer, or for a level, weight, statistic or penalty out of range.
LightConfig fit_light(const std::vector<LightSample>& samples, double penalty = 0.003);

}  // namespace kind
