#include "losses/metrics/interval.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/base/error.h"
#include "core/base/random.h"

namespace kind {

std::optional<MeanInterval> mean_interval(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  const double count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) {
    check(!std::isnan(value), "mean_interval: expected numbers, got NaN");
    sum += value;
  }
  std::vector<double> means(kResamples);
  Random random(1, {values.size()});
  for (double& mean : means) {
    double total = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      total += values[static_cast<std::size_t>(random.below(values.size()))];
    }
    mean = total / count;
  }
  std::sort(means.begin(), means.end());
  constexpr std::size_t kLeftOut = kResamples / 40;
  // A mean may round to just beside what the same values in another order give.
  const double mean = sum / count;
  return MeanInterval{mean, std::min(mean, means[kLeftOut]), std::max(mean, means[kResamples - 1 - kLeftOut])};
}

}  // namespace kind
