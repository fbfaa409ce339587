#include "losses/metrics/statistics.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/base/random.h"
#include "tests/support/errors.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("Student's t: values of the printed tables") {
  CHECK(student_quantile(0.05, 1) == Approx(12.7062).epsilon(1e-5));
  CHECK(student_quantile(0.05, 2) == Approx(4.30265).epsilon(1e-5));
  CHECK(student_quantile(0.05, 10) == Approx(2.22814).epsilon(1e-5));
  CHECK(student_quantile(0.01, 30) == Approx(2.75000).epsilon(1e-5));
  CHECK(student_quantile(0.05, 1e6) == Approx(1.95997).epsilon(1e-4));
  CHECK(student_p(0, 3) == Approx(1));
  CHECK(student_p(-1, 1) == Approx(0.5));  // of Cauchy's distribution half lies within 1
  CHECK(student_p(2.22814, 10) == Approx(0.05).epsilon(1e-4));
  CHECK(student_p(1e6, 2) < 1e-11);
  for (const double df : {0.7, 1.5, 4.2, 50.0}) CHECK(student_p(student_quantile(0.2, df), df) == Approx(0.2));
}

TEST_CASE("estimate: mean and interval worked out by hand") {
  const Estimate none = estimate({}), one = estimate({3}), three = estimate({1, 2, 6});
  CHECK((none.count == 0 && !none.interval));
  CHECK((one.mean == 3 && !one.interval && one.half == 0));
  // s^2 = (4 + 1 + 9) / 2 = 7
  CHECK(three.mean == Approx(3));
  CHECK(three.half == Approx(4.302653 * std::sqrt(7.0 / 3)).epsilon(1e-5));
  CHECK(estimate({5, 5, 5}).half == 0);
}

TEST_CASE("paired_difference: one row or one column is the paired t test") {
  const Difference row = paired_difference({{1, 2, 6}}), column = paired_difference({{1}, {2}, {6}});
  const Estimate plain = estimate({1, 2, 6});
  CHECK(row.estimate.half == Approx(plain.half));
  CHECK(column.estimate.half == Approx(plain.half));
  CHECK(row.p == Approx(student_p(3 / std::sqrt(7.0 / 3), 2)));
  CHECK(row.p == column.p);
  const Difference single = paired_difference({{2}});
  CHECK((single.estimate.mean == 2 && !single.estimate.interval && single.p == 1));
  CHECK(paired_difference({}).estimate.count == 0);
  CHECK(paired_difference({{0, 0}, {0, 0}}).p == 1);
  CHECK(paired_difference({{1, 1}, {1, 1}}).p == 0);
  CHECK_THAT(error_of([] { paired_difference({{1, 2}, {1}}); }), Contains("rows of 2 and of 1"));
}

TEST_CASE("paired_difference: both ways, worked out by hand") {
  // Rows 1 and 3, columns 0, 2 and 4 about a mean of 2, and a rest of 0.5: MS 6, 8 and 0.75.
  const std::vector<std::vector<double>> d{{-1 + 0.5, 1 - 1, 3 + 0.5}, {1 - 0.5, 3 + 1, 5 - 0.5}};
  const Difference difference = paired_difference(d);
  const double rows = 3 * (1 + 1) / 1.0, columns = 2 * (4 + 0 + 4) / 2.0, rest = (4 * 0.25 + 2 * 1) / 2.0;
  const double sum = rows + columns - rest, variance = sum / 6;
  const double df = sum * sum / (rows * rows / 1 + columns * columns / 2 + rest * rest / 2);
  CHECK(difference.estimate.mean == Approx(2));
  CHECK(difference.p == Approx(student_p(2 / std::sqrt(variance), df)));
  CHECK(difference.estimate.half == Approx(student_quantile(0.05, df) * std::sqrt(variance)));
  CHECK(difference.estimate.count == 6);
}

TEST_CASE("paired_difference: of no difference it says there is one about as often as it should") {
  // Seeds and pictures that both shift, and noise; the share of p < 0.05 stays near or below 5%.
  int found = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Random random(7, {static_cast<std::uint64_t>(trial)});
    std::vector<double> pictures;
    for (int j = 0; j < 9; ++j) pictures.push_back(random.normal());
    std::vector<std::vector<double>> d;
    for (int i = 0; i < 4; ++i) {
      const double seed = random.normal();
      d.emplace_back();
      for (const double picture : pictures) d.back().push_back(seed + picture + 0.5 * random.normal());
    }
    found += paired_difference(d).p < 0.05;
  }
  CHECK(found < 0.07 * kTrials);
  CHECK(found > 0.01 * kTrials);
}

TEST_CASE("holm") {
  CHECK(holm({}).empty());
  const std::vector<double> adjusted = holm({0.01, 0.04, 0.03, 0.5});
  CHECK(adjusted[0] == Approx(0.04));
  CHECK(adjusted[2] == Approx(0.09));
  CHECK(adjusted[1] == Approx(0.09));  // 0.08, but never below one before it
  CHECK(adjusted[3] == Approx(0.5));
}

}  // namespace
}  // namespace kind::testing
