#pragma once

#include <cstdint>

namespace kind {

/// The instruction-set specific part of the packed-GEMM convolution. Pointers and sizes only, so that files built with
/// instruction-set flags share no inline code with the rest of the program.
template <class T>
struct GemmMicroKernel {
  /// Rows and columns of the block of C that one call computes; at most kMaxMr x kMaxNr.
  std::int64_t mr, nr;
  /// c[i * nr + j] = sum over k of a[k * mr + i] * b[k * nr + j], summed in the order of k. a, b and c are 64-byte
  /// aligned.
  void (*multiply)(std::int64_t depth, const T* a, const T* b, T* c);
  /// to[i * width + r] = from[offsets[r] + i] for i < count, r < width: packs `width` rows as columns. width is mr or
  /// nr.
  void (*transpose)(std::int64_t count, std::int64_t width, const T* from, const std::int64_t* offsets, T* to);
};

inline constexpr std::int64_t kMaxMr = 16;
inline constexpr std::int64_t kMaxNr = 32;

}  // namespace kind
