#pragma once

#include <cstdint>

namespace kind::avx2 {

/// See GemmMicroKernel: mr = 6, nr = 16. Needs AVX2 and FMA.
void multiply_f32_6x16(std::int64_t depth, const float* a, const float* b, float* c);
/// See GemmMicroKernel: any width.
void transpose_f32(std::int64_t count, std::int64_t width, const float* from, const std::int64_t* offsets, float* to);

}  // namespace kind::avx2
