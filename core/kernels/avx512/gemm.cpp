// Built with -mavx512f: includes nothing whose inline functions the rest of the program might share.
#include <immintrin.h>

#include "core/kernels/avx2/transpose.h"
#include "core/kernels/gemm_kernel.h"

namespace kind::avx512 {
namespace {

// 12 x 32: twenty-four accumulators, two vectors of b and one broadcast of a, of thirty-two registers.
void multiply_f32_12x32(std::int64_t depth, const float* a, const float* b, float* c) {
  __m512 sum[12][2];
  for (auto& row : sum) row[0] = row[1] = _mm512_setzero_ps();
  for (std::int64_t k = 0; k < depth; ++k, a += 12, b += 32) {
    const __m512 b0 = _mm512_load_ps(b);
    const __m512 b1 = _mm512_load_ps(b + 16);
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      const __m512 ai = _mm512_set1_ps(a[i]);
      sum[i][0] = _mm512_fmadd_ps(ai, b0, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(ai, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < 12; ++i) {
    _mm512_store_ps(c + i * 32, sum[i][0]);
    _mm512_store_ps(c + i * 32 + 16, sum[i][1]);
  }
}

}  // namespace

const GemmMicroKernel<float>& gemm_kernel() {
  static constexpr GemmMicroKernel<float> kKernel{12, 32, multiply_f32_12x32, avx2::transpose_f32};
  return kKernel;
}

}  // namespace kind::avx512
