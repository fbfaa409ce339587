// Built with -mavx2 -mfma: includes nothing whose inline functions the rest of the program might share.
#include "core/kernels/avx2/transpose.h"
#include "core/kernels/gemm_kernel.h"

namespace kind::avx2 {
namespace {

__m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// 6 x 16: twelve accumulators, two vectors of b and one broadcast of a fill the sixteen registers.
void multiply_f32_6x16(std::int64_t depth, const float* a, const float* b, float* c) {
  __m256 sum[6][2];
  for (auto& row : sum) row[0] = row[1] = _mm256_setzero_ps();
  for (std::int64_t k = 0; k < depth; ++k, a += 6, b += 16) {
    const __m256 b0 = _mm256_load_ps(b);
    const __m256 b1 = _mm256_load_ps(b + 8);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      const __m256 ai = _mm256_broadcast_ss(a + i);
      sum[i][0] = _mm256_fmadd_ps(ai, b0, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(ai, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < 6; ++i) {
    _mm256_store_ps(c + i * 16, sum[i][0]);
    _mm256_store_ps(c + i * 16 + 8, sum[i][1]);
  }
}

}  // namespace

void transpose_f32(std::int64_t count, std::int64_t width, const float* from, const std::int64_t* offsets, float* to) {
  for (std::int64_t r = 0; r < width; r += 8) {
    const int lanes = width - r < 8 ? static_cast<int>(width - r) : 8;
    const __m256i mask = first_lanes(lanes);
    const float* rows[8];
    for (int j = 0; j < 8; ++j) rows[j] = from + offsets[r + (j < lanes ? j : lanes - 1)];
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      __m256 block[8];
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) block[j] = _mm256_loadu_ps(rows[j] + i);
      transpose_8x8(block);
      float* out = to + i * width + r;
      if (lanes == 8) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) _mm256_storeu_ps(out + j * width, block[j]);
      } else {
#pragma GCC unroll 8
        for (int j = 0; j < 8; ++j) _mm256_maskstore_ps(out + j * width, mask, block[j]);
      }
    }
    for (; i < count; ++i) {
      for (int j = 0; j < lanes; ++j) to[i * width + r + j] = rows[j][i];
    }
  }
}

const GemmMicroKernel<float>& gemm_kernel() {
  static constexpr GemmMicroKernel<float> kKernel{6, 16, multiply_f32_6x16, transpose_f32};
  return kKernel;
}

}  // namespace kind::avx2
