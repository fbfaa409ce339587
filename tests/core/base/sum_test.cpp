#include "core/base/sum.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

TEST_CASE("sums have every term once, whatever the count") {
  for (const std::int64_t count : {0, 1, 7, 8, 9, 23, 8191, 8192, 8193, 200001}) {
    INFO(count);
    const auto term = [](std::int64_t i) { return i + 1; };
    const double expected = static_cast<double>(count) * static_cast<double>(count + 1) / 2;
    CHECK(sum_of(0, count, term) == expected);
    CHECK(parallel_sum(count, term) == expected);
  }
  CHECK(sum_of(5, 15, [](std::int64_t i) { return i; }) == 95);
}

TEST_CASE("sums have the same bits for any number of threads and keep a NaN") {
  const auto term = [](std::int64_t i) { return std::sin(static_cast<double>(i)); };
  const double once = parallel_sum(300007, term);
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    CHECK(parallel_sum(300007, term) == once);
  }
  CHECK(std::isnan(parallel_sum(100000, [](std::int64_t i) { return i == 70001 ? std::nan("") : 1.0; })));
}

}  // namespace
}  // namespace kind::testing
