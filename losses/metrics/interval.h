#pragma once

#include <optional>
#include <vector>

namespace kind {

/// A mean over pictures, and the interval that holds it with 95 % confidence.
struct MeanInterval {
  double mean = 0;
  double low = 0, high = 0;
};

/// Percentile bootstrap (Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7, 1979): as
/// many values as there are are drawn with replacement, 10,000 times over; the interval leaves out the lowest and the
/// highest 2.5 % of their means. What is drawn depends on the number of values alone, so that the same values give the
/// same bits, and means over the same pictures are resampled alike. A single value is its own interval. Infinite values
/// count as such. Nothing where there are no values; throws Error for a NaN.
std::optional<MeanInterval> mean_interval(const std::vector<double>& values);

/// How often mean_interval draws.
inline constexpr int kResamples = 10000;

}  // namespace kind
