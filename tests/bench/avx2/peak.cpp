// Built with -mavx2 -mfma: includes nothing whose inline functions the rest of the program might share.
#include "tests/bench/peak.h"

#include <immintrin.h>

namespace kind::bench::avx2 {

std::int64_t multiply_adds(std::int64_t rounds, float* result) {
  constexpr int kChains = 12;
  const __m256 a = _mm256_set1_ps(result[0]), b = _mm256_set1_ps(result[1]);
  __m256 sums[kChains];
  for (__m256& sum : sums) sum = b;
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, a, b);
  }
  __m256 total = sums[0];
  for (const __m256& sum : sums) total = _mm256_add_ps(total, sum);
  _mm256_storeu_ps(result, total);
  return 2 * kChains * 8;
}

}  // namespace kind::bench::avx2
