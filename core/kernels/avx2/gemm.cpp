// Built with -mavx2 -mfma: includes nothing whose inline functions the rest of the program might share.
#include "core/kernels/avx2/gemm.h"

#include <immintrin.h>

namespace kind::avx2 {
namespace {

__m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Eight rows of eight in registers, to eight columns: 32-bit pairs, then 64-bit pairs, then 128-bit halves.
void transpose_8x8(__m256* r) {
  const __m256 a0 = _mm256_unpacklo_ps(r[0], r[1]), a1 = _mm256_unpackhi_ps(r[0], r[1]);
  const __m256 a2 = _mm256_unpacklo_ps(r[2], r[3]), a3 = _mm256_unpackhi_ps(r[2], r[3]);
  const __m256 a4 = _mm256_unpacklo_ps(r[4], r[5]), a5 = _mm256_unpackhi_ps(r[4], r[5]);
  const __m256 a6 = _mm256_unpacklo_ps(r[6], r[7]), a7 = _mm256_unpackhi_ps(r[6], r[7]);
  const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xEE);
  const __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xEE);
  const __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xEE);
  const __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xEE);
  r[0] = _mm256_permute2f128_ps(b0, b4, 0x20);
  r[1] = _mm256_permute2f128_ps(b1, b5, 0x20);
  r[2] = _mm256_permute2f128_ps(b2, b6, 0x20);
  r[3] = _mm256_permute2f128_ps(b3, b7, 0x20);
  r[4] = _mm256_permute2f128_ps(b0, b4, 0x31);
  r[5] = _mm256_permute2f128_ps(b1, b5, 0x31);
  r[6] = _mm256_permute2f128_ps(b2, b6, 0x31);
  r[7] = _mm256_permute2f128_ps(b3, b7, 0x31);
}

}  // namespace

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

}  // namespace kind::avx2
