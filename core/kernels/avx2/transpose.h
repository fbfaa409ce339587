#pragma once

#include <immintrin.h>

#include <cstdint>

namespace kind {

namespace avx2 {
/// See GemmMicroKernel: any width. In gemm.cpp.
void transpose_f32(std::int64_t count, std::int64_t width, const float* from, const std::int64_t* offsets, float* to);
}  // namespace avx2

// Each file that includes this gets code of its own: nothing built with instruction-set flags is shared.
namespace {

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

/// to[i * width + r] = from[r * stride + i] for i < count, r < width, a multiple of 8.
[[maybe_unused]] void transpose_rows(std::int64_t count, std::int64_t width, const float* from, std::int64_t stride,
                                     float* to) {
  for (std::int64_t r = 0; r < width; r += 8) {
    const float* rows = from + r * stride;
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      __m256 block[8];
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) block[j] = _mm256_loadu_ps(rows + j * stride + i);
      transpose_8x8(block);
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) _mm256_storeu_ps(to + (i + j) * width + r, block[j]);
    }
    for (; i < count; ++i) {
      for (int j = 0; j < 8; ++j) to[i * width + r + j] = rows[j * stride + i];
    }
  }
}

}  // namespace
}  // namespace kind
