#pragma once

#include <cstdint>

namespace kind::avx512 {

/// See GemmMicroKernel: mr = 12, nr = 32. Needs AVX-512F.
void multiply_f32_12x32(std::int64_t depth, const float* a, const float* b, float* c);

}  // namespace kind::avx512
