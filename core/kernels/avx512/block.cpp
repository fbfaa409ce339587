// Built with -mavx512f: includes nothing whose inline functions the rest of the program might share.
#include <immintrin.h>

#include "core/kernels/avx2/transpose.h"
#include "core/kernels/block_kernels.h"

namespace kind::avx512 {
namespace {

// Fourteen rows of two accumulators, two vectors of b and broadcasts of a from memory, of thirty-two registers.
struct V {
  using Reg = __m512;
  static constexpr std::int64_t kLanes = 16, kRows = 14;
  static constexpr int kGroup = 8;
  static Reg load(const float* p) { return _mm512_load_ps(p); }
  static void store(float* p, Reg v) { _mm512_store_ps(p, v); }
  static Reg set1(float v) { return _mm512_set1_ps(v); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static void transpose(std::int64_t count, std::int64_t width, const float* from, std::int64_t stride, float* to) {
    transpose_rows(count, width, from, stride, to);
  }
  static float total(Reg v) {
    alignas(64) float lanes[16];
    store(lanes, v);
    const __m256 eight = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};

}  // namespace

#include "core/kernels/block_kernels_impl.h"

const BlockKernels* block_kernels() { return &kBlockKernels; }

}  // namespace kind::avx512
