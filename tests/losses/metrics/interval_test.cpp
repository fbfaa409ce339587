#include "losses/metrics/interval.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/base/random.h"
#include "tests/support/errors.h"

namespace kind::testing {
namespace {

TEST_CASE("bootstrap interval of what needs no bootstrap", "[metrics]") {
  CHECK_FALSE(mean_interval({}).has_value());
  for (const std::vector<double>& values : {std::vector<double>{20.5}, std::vector<double>(7, 0.3)}) {
    const MeanInterval same = mean_interval(values).value();
    CHECK(same.mean == Approx(values[0]));
    CHECK(same.low == Approx(values[0]));
    CHECK(same.high == Approx(values[0]));
  }
  // Of two values the means are low, middle or high; a quarter each is far more than what is left out.
  const MeanInterval two = mean_interval({1, 4}).value();
  CHECK(two.mean == 2.5);
  CHECK(two.low == 1);
  CHECK(two.high == 4);
  CHECK_THAT(error_of([] { mean_interval({1, std::nan("")}); }), Catch::Contains("NaN"));
}

TEST_CASE("bootstrap interval of many values is the normal one", "[metrics]") {
  std::vector<double> values;
  Random random(5);
  double sum = 0, squares = 0;
  for (int i = 0; i < 400; ++i) {
    values.push_back(20 + 3 * random.normal());
    sum += values.back();
    squares += values.back() * values.back();
  }
  const double mean = sum / 400, half = 1.959964 * std::sqrt((squares / 400 - mean * mean) / 400);
  const MeanInterval interval = mean_interval(values).value();
  CHECK(interval.mean == Approx(mean));
  CHECK(std::abs(interval.low - (mean - half)) < 0.06 * half);
  CHECK(std::abs(interval.high - (mean + half)) < 0.06 * half);
  // The same bits each time, and moved values move the interval with them.
  CHECK(mean_interval(values)->low == interval.low);
  for (double& value : values) value = 2 * value + 1;
  CHECK(mean_interval(values)->high == Approx(2 * interval.high + 1));
}

TEST_CASE("bootstrap interval with infinite values", "[metrics]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const MeanInterval interval = mean_interval({10, 11, 12, infinity}).value();
  CHECK(interval.mean == infinity);
  CHECK(interval.high == infinity);
  CHECK(interval.low >= 10);
  CHECK(interval.low <= 12);
}

}  // namespace
}  // namespace kind::testing
