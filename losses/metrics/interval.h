#pragma once

#include <optional>
#include <vector>

namespace kind {

/// A mean over pictures, and its 95 % confidence interval.
struct MeanInterval {
  double mean = 0;
  double low = 0, high = 0;
};

/// Percentile bootstrap (Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7, 1979):
/// 10,000 samples of the same size are drawn with replacement; the interval excludes the lowest and the highest 2.5 %
/// of their means. The draws depend only on the number of values, so that the same values give the same bits, and means
/// over the same pictures are resampled alike. A single value is its own interval. Infinite values are allowed. Nothing
/// if there are no values; throws Error for a NaN.
std::optional<MeanInterval> mean_interval(const std::vector<double>& values);

/// Number of samples of mean_interval.
inline constexpr int kResamples = 10000;

}  // namespace kind
