#pragma once

#include <cstddef>
#include <vector>

/// Statistics over a few seeds and pictures.
namespace kind {

/// Two-sided p of Student's t with `df` degrees of freedom (any positive number): P(|T| >= |t|).
double student_p(double t, double df);
/// The t with P(|T| >= t) = p, for 0 < p < 1.
double student_quantile(double p, double df);

/// A mean and its 95% confidence interval.
struct Estimate {
  double mean = 0;
  double half = 0;        // of the interval's width; 0 if there is none
  bool interval = false;  // there is one: of a single number there is not
  std::size_t count = 0;
};

/// Of independent numbers, such as those of several seeds: mean ± t s / sqrt(n). Without numbers: count 0.
Estimate estimate(const std::vector<double>& values);

/// A mean difference between two points, with its significance.
struct Difference {
  Estimate estimate;
  double p = 1;  // of no difference; 1 if nothing can be said
};

/// The mean of differences d[seed][picture] (every row of the same length), where both seeds and pictures are random
/// samples: the variance of the mean is (MS_seeds + MS_pictures - MS_rest) / (S P), with the mean squares of the
/// two-way analysis of variance without replication, and Satterthwaite's degrees of freedom. If MS_rest is larger, only
/// the larger of the other two counts. With one seed (or one picture) it is the paired t test over the pictures (or the
/// seeds).
Difference paired_difference(const std::vector<std::vector<double>>& d);

/// Holm's correction of p values for multiple comparisons, in the same order.
std::vector<double> holm(const std::vector<double>& p);

}  // namespace kind
