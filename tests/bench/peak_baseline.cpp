#include "tests/bench/peak.h"

namespace kind::bench {

// What every machine has: a multiplication and an addition. Eight chains of four numbers hide their latency.
std::int64_t multiply_adds_baseline(std::int64_t rounds, float* result) {
  constexpr int kWidth = 4, kChains = 8;
  float sums[kChains * kWidth] = {};
  const float a = result[0], b = result[1];
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) sum = sum * a + b;
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  result[0] = total;
  return 2 * kChains * kWidth;
}

}  // namespace kind::bench
