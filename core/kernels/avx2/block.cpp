// Built with -mavx2 -mfma: includes nothing whose inline functions the rest of the program might share.
#include <immintrin.h>

#include "core/kernels/avx2/transpose.h"
#include "core/kernels/block_kernels.h"

namespace kind::avx2 {
namespace {

// Six rows of two accumulators, two vectors of b and one broadcast of a fill fifteen of the sixteen registers.
struct V {
  using Reg = __m256;
  static constexpr std::int64_t kLanes = 8, kRows = 6;
  static constexpr int kGroup = 4;
  static Reg load(const float* p) { return _mm256_load_ps(p); }
  static void store(float* p, Reg v) { _mm256_store_ps(p, v); }
  static Reg set1(float v) { return _mm256_set1_ps(v); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static void transpose(std::int64_t count, std::int64_t width, const float* from, std::int64_t stride, float* to) {
    transpose_rows(count, width, from, stride, to);
  }
  static float total(Reg v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

}  // namespace

#include "core/kernels/block_kernels_impl.h"

const BlockKernels* block_kernels() { return &kBlockKernels; }

}  // namespace kind::avx2
