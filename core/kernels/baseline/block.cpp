// Built as the rest of the program is: runs anywhere.

#include "core/kernels/block_kernels.h"

namespace kind::baseline {
namespace {

// Vectors of four, which are registers of SSE2 and NEON. No fused multiply-add, so that the bits do not depend on the
// machine.
struct V {
  using Reg = float __attribute__((vector_size(16)));
  static constexpr std::int64_t kLanes = 4;
#if defined(__aarch64__)
  static constexpr std::int64_t kRows = 12;  // of thirty-two registers
#else
  static constexpr std::int64_t kRows = 6;  // of sixteen
#endif
  static constexpr int kGroup = 4;
  static Reg load(const float* p) { return *reinterpret_cast<const Reg*>(p); }
  static void store(float* p, Reg v) { *reinterpret_cast<Reg*>(p) = v; }
  static Reg set1(float v) { return Reg{v, v, v, v}; }
  static Reg fma(Reg a, Reg b, Reg c) { return a * b + c; }
  static void transpose(std::int64_t count, std::int64_t width, const float* from, std::int64_t stride, float* to) {
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t r = 0; r < width; ++r) to[i * width + r] = from[r * stride + i];
    }
  }
  static float total(Reg v) { return (v[0] + v[2]) + (v[1] + v[3]); }
};

}  // namespace

#include "core/kernels/block_kernels_impl.h"

const BlockKernels* block_kernels() { return &kBlockKernels; }

}  // namespace kind::baseline
