// Built with -mavx512f -mavx2 -mfma: includes nothing whose inline functions the rest of the program might share.
#include "tests/bench/peak.h"

#include <immintrin.h>

namespace kind::bench::avx512 {

std::int64_t multiply_adds(std::int64_t rounds, float* result) {
  constexpr int kChains = 16;
  const __m512 a = _mm512_set1_ps(result[0]), b = _mm512_set1_ps(result[1]);
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = b;
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, a, b);
  }
  __m512 total = sums[0];
  for (const __m512& sum : sums) total = _mm512_add_ps(total, sum);
  _mm512_storeu_ps(result, total);
  return 2 * kChains * 16;
}

}  // namespace kind::bench::avx512
