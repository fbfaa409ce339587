#include "losses/metrics/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.h"

namespace kind {
namespace {

constexpr double kLevel = 0.05;  // of what an interval leaves out

/// The regularised incomplete beta function I_x(a, b), by the continued fraction of its Gauss series (Abramowitz and
/// Stegun 26.5.8), evaluated from the front (Lentz).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  // The fraction converges fast below the mean of the distribution.
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x)) / a;
  constexpr double kTiny = 1e-300;
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1)), fraction = d;
  for (int m = 1; m < 1000; ++m) {
    for (const double step : {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                              -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))}) {
      d = 1 / nonzero(1 + step * d);
      c = nonzero(1 + step / c);
      fraction *= c * d;
    }
    if (std::abs(c * d - 1) < 1e-15) break;
  }
  return front * fraction;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double square_sum(const std::vector<double>& values, double around) {
  double sum = 0;
  for (const double value : values) sum += (value - around) * (value - around);
  return sum;
}

/// From the variance of a mean and its degrees of freedom.
Difference difference_of(double mean, double variance, double df, std::size_t count) {
  Difference result;
  result.estimate = {mean, student_quantile(kLevel, df) * std::sqrt(variance), true, count};
  if (variance > 0) {
    result.p = student_p(mean / std::sqrt(variance), df);
  } else {
    result.p = mean == 0 ? 1 : 0;
  }
  return result;
}

}  // namespace

double student_p(double t, double df) { return incomplete_beta(df / 2, 0.5, df / (df + t * t)); }

double student_quantile(double p, double df) {
  double low = 0, high = 1;
  while (student_p(high, df) > p && high < 1e12) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
    const double middle = (low + high) / 2;
    (student_p(middle, df) > p ? low : high) = middle;
  }
  return (low + high) / 2;
}

Estimate estimate(const std::vector<double>& values) {
  if (values.empty()) return {};
  Estimate result{mean_of(values), 0, values.size() > 1, values.size()};
  if (result.interval) {
    const double n = static_cast<double>(values.size());
    result.half = student_quantile(kLevel, n - 1) * std::sqrt(square_sum(values, result.mean) / (n - 1) / n);
    // Equal numbers whose mean was rounded.
    if (result.half < 1e-13 * std::abs(result.mean)) result.half = 0;
  }
  return result;
}

Difference paired_difference(const std::vector<std::vector<double>>& d) {
  if (d.empty() || d[0].empty()) return {};
  const std::size_t seeds = d.size(), pictures = d[0].size();
  std::vector<double> rows, columns(pictures);
  for (const std::vector<double>& row : d) {
    check(row.size() == pictures, "differences: rows of ", pictures, " and of ", row.size(), " pictures");
    rows.push_back(mean_of(row));
    for (std::size_t j = 0; j < pictures; ++j) columns[j] += row[j] / static_cast<double>(seeds);
  }
  const double mean = mean_of(rows), s = static_cast<double>(seeds), p = static_cast<double>(pictures);
  const std::size_t count = seeds * pictures;
  if (count == 1) return {{mean, 0, false, 1}, 1};
  if (seeds == 1) return difference_of(mean, square_sum(d[0], mean) / (p - 1) / p, p - 1, count);
  if (pictures == 1) return difference_of(mean, square_sum(rows, mean) / (s - 1) / s, s - 1, count);
  const double by_seed = p * square_sum(rows, mean) / (s - 1), by_picture = s * square_sum(columns, mean) / (p - 1);
  double rest = 0;
  for (std::size_t i = 0; i < seeds; ++i) {
    for (std::size_t j = 0; j < pictures; ++j) {
      const double off = d[i][j] - rows[i] - columns[j] + mean;
      rest += off * off;
    }
  }
  rest /= (s - 1) * (p - 1);
  if (rest > std::min(by_seed, by_picture)) {
    const bool seed = by_seed > by_picture;
    return difference_of(mean, std::max(by_seed, by_picture) / (s * p), seed ? s - 1 : p - 1, count);
  }
  const double sum = by_seed + by_picture - rest;
  const double spread =
      by_seed * by_seed / (s - 1) + by_picture * by_picture / (p - 1) + rest * rest / ((s - 1) * (p - 1));
  return difference_of(mean, sum / (s * p), spread > 0 ? sum * sum / spread : s - 1, count);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

}  // namespace kind
