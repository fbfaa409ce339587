// The block kernels over one vector type V: included by one file an instruction set, inside its own namespace, after V
// is defined. V has Reg (a vector of kLanes floats with + - * and comparisons), kLanes, kRows, load, store, set1, fma
// and sums. Long because everything in it is compiled once an instruction set, and its kernels share their helpers.
#pragma once

namespace {

using Reg = V::Reg;
constexpr std::int64_t kLanes = V::kLanes;
constexpr std::int64_t kWidth = 2 * kLanes;
constexpr std::int64_t kRows = V::kRows;
// Prefetching: lines for each block of a product's sum, and how many tiles ahead of the input's transform.
constexpr int kLine = 16;  // floats
constexpr int kLinesAhead = 4;
constexpr std::int64_t kTilesAhead = 3;

Reg choose(decltype(Reg() > Reg()) condition, Reg a, Reg b) { return condition ? a : b; }

Reg finish(Reg v, const BlockEpilogue& e, Reg bias, Reg slope, std::int64_t at) {
  v = v + bias;
  if (e.add) v = v + V::load(e.add + at);
  const Reg scaled = v * slope;
  const Reg sign = e.mask ? V::load(e.mask + at) : v;
  return choose(sign > V::set1(0), v, scaled);
}

// --- Winograd's transforms along one axis -------------------------------------------------------------------------

// F(4, 3) at the points 0, 1, -1, 2, -2 and infinity.
struct F4 {
  static constexpr int kTile = 4, kSide = 6;

  static void input(const Reg* d, Reg* o) {
    const Reg four = V::set1(4), minus_five = V::set1(-5), two = V::set1(2);
    const Reg a = V::fma(d[2], V::set1(-4), d[4]), b = V::fma(d[1], V::set1(-4), d[3]);
    const Reg p = d[4] - d[2], q = (d[3] - d[1]) * two;
    o[0] = V::fma(d[0], four, V::fma(d[2], minus_five, d[4]));
    o[1] = a + b;
    o[2] = a - b;
    o[3] = p + q;
    o[4] = p - q;
    o[5] = V::fma(d[1], four, V::fma(d[3], minus_five, d[5]));
  }
  static void weight(const Reg* g, Reg* o) {
    const Reg even = (g[0] + g[2]) * V::set1(-1.0f / 6), odd = g[1] * V::set1(-1.0f / 6);
    const Reg even2 = V::fma(g[2], V::set1(4), g[0]) * V::set1(1.0f / 24), odd2 = g[1] * V::set1(1.0f / 12);
    o[0] = g[0] * V::set1(0.25f);
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = g[2];
  }
  static void output(const Reg* m, Reg* y) {
    const Reg p1 = m[1] + m[2], q1 = m[1] - m[2], p2 = m[3] + m[4], q2 = m[3] - m[4];
    y[0] = m[0] + p1 + p2;
    y[1] = V::fma(q2, V::set1(2), q1);
    y[2] = V::fma(p2, V::set1(4), p1);
    y[3] = V::fma(q2, V::set1(8), q1) + m[5];
  }
  static void output_gradient(const Reg* y, Reg* m) {
    const Reg even = y[0] + y[2], odd = y[1] + y[3];
    const Reg even2 = V::fma(y[2], V::set1(4), y[0]), odd2 = V::fma(y[3], V::set1(8), y[1] * V::set1(2));
    m[0] = y[0];
    m[1] = even + odd;
    m[2] = even - odd;
    m[3] = even2 + odd2;
    m[4] = even2 - odd2;
    m[5] = y[3];
  }
  static void weight_gradient(const Reg* u, Reg* g) {
    const Reg p1 = u[1] + u[2], q1 = u[1] - u[2], p2 = u[3] + u[4], q2 = u[3] - u[4];
    g[0] = V::fma(u[0], V::set1(0.25f), V::fma(p1, V::set1(-1.0f / 6), p2 * V::set1(1.0f / 24)));
    g[1] = V::fma(q1, V::set1(-1.0f / 6), q2 * V::set1(1.0f / 12));
    g[2] = V::fma(p1, V::set1(-1.0f / 6), V::fma(p2, V::set1(1.0f / 6), u[5]));
  }
};

// F(6, 3) at the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
struct F6 {
  static constexpr int kTile = 6, kSide = 8;

  static void input(const Reg* d, Reg* o) {
    const Reg a1 = V::fma(d[4], V::set1(-4.25f), d[2] + d[6]), b1 = V::fma(d[3], V::set1(-4.25f), d[1] + d[5]);
    const Reg a2 = V::fma(d[2], V::set1(0.25f), V::fma(d[4], V::set1(-1.25f), d[6]));
    const Reg b2 = V::fma(d[1], V::set1(0.5f), V::fma(d[3], V::set1(-2.5f), d[5] * V::set1(2)));
    const Reg a3 = V::fma(d[2], V::set1(4), V::fma(d[4], V::set1(-5), d[6]));
    const Reg b3 = V::fma(d[1], V::set1(2), V::fma(d[3], V::set1(-2.5f), d[5] * V::set1(0.5f)));
    o[0] = V::fma(d[4] - d[2], V::set1(5.25f), d[0] - d[6]);
    o[7] = V::fma(d[3] - d[5], V::set1(5.25f), d[7] - d[1]);
    o[1] = a1 + b1;
    o[2] = a1 - b1;
    o[3] = a2 + b2;
    o[4] = a2 - b2;
    o[5] = a3 + b3;
    o[6] = a3 - b3;
  }
  static void weight(const Reg* g, Reg* o) {
    const Reg even1 = (g[0] + g[2]) * V::set1(-2.0f / 9), odd1 = g[1] * V::set1(-2.0f / 9);
    const Reg even2 = V::fma(g[2], V::set1(4), g[0]) * V::set1(1.0f / 90), odd2 = g[1] * V::set1(1.0f / 45);
    const Reg even3 = V::fma(g[2], V::set1(0.25f), g[0]) * V::set1(32.0f / 45), odd3 = g[1] * V::set1(16.0f / 45);
    o[0] = g[0];
    o[1] = even1 + odd1;
    o[2] = even1 - odd1;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = even3 + odd3;
    o[6] = even3 - odd3;
    o[7] = g[2];
  }
  static void output(const Reg* m, Reg* y) {
    const Reg p1 = m[1] + m[2], q1 = m[1] - m[2], p2 = m[3] + m[4], q2 = m[3] - m[4], p3 = m[5] + m[6],
              q3 = m[5] - m[6];
    y[0] = (m[0] + p1) + (p2 + p3);
    y[1] = V::fma(q2, V::set1(2), V::fma(q3, V::set1(0.5f), q1));
    y[2] = V::fma(p2, V::set1(4), V::fma(p3, V::set1(0.25f), p1));
    y[3] = V::fma(q2, V::set1(8), V::fma(q3, V::set1(0.125f), q1));
    y[4] = V::fma(p2, V::set1(16), V::fma(p3, V::set1(0.0625f), p1));
    y[5] = V::fma(q2, V::set1(32), V::fma(q3, V::set1(0.03125f), q1 + m[7]));
  }
  static void output_gradient(const Reg* y, Reg* m) {
    const Reg even1 = y[0] + y[2] + y[4], odd1 = y[1] + y[3] + y[5];
    const Reg even2 = V::fma(y[4], V::set1(16), V::fma(y[2], V::set1(4), y[0]));
    const Reg odd2 = V::fma(y[5], V::set1(32), V::fma(y[3], V::set1(8), y[1] * V::set1(2)));
    const Reg even3 = V::fma(y[4], V::set1(0.0625f), V::fma(y[2], V::set1(0.25f), y[0]));
    const Reg odd3 = V::fma(y[5], V::set1(0.03125f), V::fma(y[3], V::set1(0.125f), y[1] * V::set1(0.5f)));
    m[0] = y[0];
    m[1] = even1 + odd1;
    m[2] = even1 - odd1;
    m[3] = even2 + odd2;
    m[4] = even2 - odd2;
    m[5] = even3 + odd3;
    m[6] = even3 - odd3;
    m[7] = y[5];
  }
  static void weight_gradient(const Reg* u, Reg* g) {
    const Reg p1 = u[1] + u[2], q1 = u[1] - u[2], p2 = u[3] + u[4], q2 = u[3] - u[4], p3 = u[5] + u[6],
              q3 = u[5] - u[6];
    g[0] = u[0] + V::fma(p1, V::set1(-2.0f / 9), V::fma(p2, V::set1(1.0f / 90), p3 * V::set1(32.0f / 45)));
    g[1] = V::fma(q1, V::set1(-2.0f / 9), V::fma(q2, V::set1(1.0f / 45), q3 * V::set1(16.0f / 45)));
    g[2] = V::fma(p1, V::set1(-2.0f / 9), V::fma(p2, V::set1(2.0f / 45), V::fma(p3, V::set1(8.0f / 45), u[7])));
  }
};

// --- Winograd's transforms of tiles --------------------------------------------------------------------------------

template <class F>
void winograd_input(const float* const* rows, const float* const* next, std::int64_t count, std::int64_t first,
                    std::int64_t group, std::int64_t group_stride, float* v, std::int64_t stride) {
  constexpr int kSide = F::kSide, kShared = kSide - F::kTile;
  alignas(64) float columns[kSide][kSide][kLanes];  // [row][column]: transformed along the columns
  std::int64_t place = first % group;
  float* to = v + first / group * group_stride + place * kLanes;
  for (std::int64_t t = 0; t < count; ++t) {
    // Neighbouring tiles share two columns, which are transformed once.
    const int fresh = t == 0 ? 0 : kShared;
    if (t > 0) {
#pragma GCC unroll 8
      for (int i = 0; i < kSide; ++i) {
#pragma GCC unroll 2
        for (int s = 0; s < kShared; ++s) V::store(columns[i][s], V::load(columns[i][F::kTile + s]));
      }
    }
    const std::int64_t later = t + kTilesAhead;
    const float* const* ahead = later < count ? rows : next;
    const std::int64_t column = ((later < count ? later : later - count) * F::kTile + kShared) * kLanes;
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) {
#pragma GCC unroll 6
      for (int at = 0; at < F::kTile * kLanes; at += kLine) __builtin_prefetch(ahead[i] + column + at, 0, 3);
    }
    for (int x = fresh; x < kSide; ++x) {
      Reg d[kSide], o[kSide];
#pragma GCC unroll 8
      for (int i = 0; i < kSide; ++i) d[i] = V::load(rows[i] + (t * F::kTile + x) * kLanes);
      F::input(d, o);
#pragma GCC unroll 8
      for (int i = 0; i < kSide; ++i) V::store(columns[i][x], o[i]);
    }
    for (int i = 0; i < kSide; ++i) {
      Reg d[kSide], o[kSide];
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x) d[x] = V::load(columns[i][x]);
      F::input(d, o);
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x) V::store(to + (i * kSide + x) * stride, o[x]);
    }
    to += kLanes;
    if (++place == group) {
      place = 0;
      to += group_stride - group * kLanes;
    }
  }
}

template <class F>
void winograd_weight(const float* w, std::int64_t tap, std::int64_t count, float* u, std::int64_t stride) {
  constexpr int kSide = F::kSide;
  for (std::int64_t k = 0; k < count; ++k) {
    for (std::int64_t half = 0; half < kWidth; half += kLanes) {
      const float* from = w + k * 9 * kWidth + half;
      float* to = u + k * kWidth + half;
      Reg columns[3][kSide];
      for (int x = 0; x < 3; ++x) {
        const Reg g[3] = {V::load(from + x * tap), V::load(from + (3 + x) * tap), V::load(from + (6 + x) * tap)};
        F::weight(g, columns[x]);
      }
      for (int i = 0; i < kSide; ++i) {
        const Reg g[3] = {columns[0][i], columns[1][i], columns[2][i]};
        Reg o[kSide];
        F::weight(g, o);
#pragma GCC unroll 8
        for (int x = 0; x < kSide; ++x) V::store(to + (i * kSide + x) * stride, o[x]);
      }
    }
  }
}

/// Asks for the cache line of p in order to write it. Where another core has it, the store would wait long. p may lie
/// beyond the memory that is written.
inline void prefetch_for_write([[maybe_unused]] float* p) {
#if defined(__PRFCHW__)
  __builtin_prefetch(p, 1, 3);
#endif
}

template <class F>
void winograd_output(const float* m, std::int64_t stride, std::int64_t count, std::int64_t rows, std::int64_t columns,
                     float* out, std::int64_t pitch, const BlockEpilogue& epilogue) {
  constexpr int kSide = F::kSide, kTile = F::kTile;
  alignas(64) float half[kTile][kSide][kLanes];
  const Reg bias = epilogue.bias ? V::load(epilogue.bias) : V::set1(0);
  const Reg slope = V::set1(epilogue.slope);
  for (std::int64_t t = 0; t < count; ++t) {
    const float* from = m + t * kWidth;
    float* const next = out + (t + 1) * kTile * kLanes;
    for (int x = 0; x < kSide; ++x) {
      if (x < rows && t + 1 < count) {
#pragma GCC unroll 8
        for (int i = 0; i < kTile * kLanes; i += 16) prefetch_for_write(next + x * pitch + i);
      }
      Reg d[kSide], o[kTile];
#pragma GCC unroll 8
      for (int i = 0; i < kSide; ++i) d[i] = V::load(from + (i * kSide + x) * stride);
      F::output(d, o);
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) V::store(half[i][x], o[i]);
    }
    const std::int64_t left = columns - t * kTile;
    for (std::int64_t i = 0; i < rows; ++i) {
      Reg d[kSide], o[kTile];
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x) d[x] = V::load(half[i][x]);
      F::output(d, o);
      const std::int64_t at = i * pitch + t * kTile * kLanes;
      if (left >= kTile) {
#pragma GCC unroll 8
        for (int x = 0; x < kTile; ++x) {
          V::store(out + at + x * kLanes, finish(o[x], epilogue, bias, slope, at + x * kLanes));
        }
      } else {
#pragma GCC unroll 8
        for (int x = 0; x < kTile; ++x) {
          if (x < left) V::store(out + at + x * kLanes, finish(o[x], epilogue, bias, slope, at + x * kLanes));
        }
      }
    }
  }
}

template <class F>
void winograd_output_gradient(const float* dy, std::int64_t pitch, std::int64_t count, std::int64_t rows,
                              std::int64_t columns, float* m, std::int64_t stride) {
  constexpr int kSide = F::kSide, kTile = F::kTile;
  alignas(64) float half[kSide][kTile][kLanes];
  for (std::int64_t t = 0; t < count; ++t) {
    const std::int64_t left = columns - t * kTile;
    for (int x = 0; x < kTile; ++x) {
      Reg d[kTile], o[kSide];
#pragma GCC unroll 8
      for (int i = 0; i < kTile; ++i) {
        d[i] = i < rows && x < left ? V::load(dy + i * pitch + (t * kTile + x) * kLanes) : V::set1(0);
      }
      F::output_gradient(d, o);
#pragma GCC unroll 8
      for (int i = 0; i < kSide; ++i) V::store(half[i][x], o[i]);
    }
    float* to = m + t * kWidth;
    for (int i = 0; i < kSide; ++i) {
      Reg d[kTile], o[kSide];
#pragma GCC unroll 8
      for (int x = 0; x < kTile; ++x) d[x] = V::load(half[i][x]);
      F::output_gradient(d, o);
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x) V::store(to + (i * kSide + x) * stride, o[x]);
    }
  }
}

template <class F>
void winograd_weight_gradient(const float* du, std::int64_t count, std::int64_t stride, float* dw) {
  constexpr int kSide = F::kSide;
  for (std::int64_t k = 0; k < count; ++k) {
    for (std::int64_t half = 0; half < kWidth; half += kLanes) {
      const float* from = du + k * kWidth + half;
      float* to = dw + k * 9 * kWidth + half;
      Reg rows[3][kSide];
      for (int x = 0; x < kSide; ++x) {
        Reg d[kSide], o[3];
#pragma GCC unroll 8
        for (int i = 0; i < kSide; ++i) d[i] = V::load(from + (i * kSide + x) * stride);
        F::weight_gradient(d, o);
        for (int i = 0; i < 3; ++i) rows[i][x] = o[i];
      }
      for (int i = 0; i < 3; ++i) {
        Reg o[3];
        F::weight_gradient(rows[i], o);
        for (int x = 0; x < 3; ++x) V::store(to + (i * 3 + x) * kWidth, V::load(to + (i * 3 + x) * kWidth) + o[x]);
      }
    }
  }
}

// --- Matrix products -------------------------------------------------------------------------------------------------

/// chunk(q) is where chunk q of the first pixel lies.
template <int kCount, bool kWholeBlocks, class Chunk>
void multiply_tile(std::int64_t chunks, const Chunk& chunk, std::int64_t step, std::int64_t depth, const float* b,
                   float* c) {
  Reg sum[kCount][2];
#pragma GCC unroll 16
  for (int t = 0; t < kCount; ++t) sum[t][0] = sum[t][1] = V::set1(0);
  for (std::int64_t q = 0; q < chunks; ++q) {
    const float* from = chunk(q);
    const std::int64_t most = kWholeBlocks ? kLanes : depth;
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < most; ++k, b += kWidth) {
      const Reg b0 = V::load(b), b1 = V::load(b + kLanes);
#pragma GCC unroll 16
      for (int t = 0; t < kCount; ++t) {
        const Reg value = V::set1(from[t * step + k]);
        sum[t][0] = V::fma(value, b0, sum[t][0]);
        sum[t][1] = V::fma(value, b1, sum[t][1]);
      }
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kCount; ++t) {
    V::store(c + t * kWidth, sum[t][0]);
    V::store(c + t * kWidth + kLanes, sum[t][1]);
  }
}

// What is left of a group: each count has code of its own, so that its sums stay in registers.
template <int kCount, bool kWholeBlocks, class Chunk>
void multiply_rest(std::int64_t count, std::int64_t chunks, const Chunk& chunk, std::int64_t step, std::int64_t depth,
                   const float* b, float* c) {
  if constexpr (kCount > 0) {
    if (count == kCount) return multiply_tile<kCount, kWholeBlocks>(chunks, chunk, step, depth, b, c);
    multiply_rest<kCount - 1, kWholeBlocks>(count, chunks, chunk, step, depth, b, c);
  }
}

template <bool kWholeBlocks>
void multiply_all(std::int64_t count, std::int64_t chunks, const float* const* a, std::int64_t step, std::int64_t depth,
                  const float* b, float* c) {
  for (std::int64_t t = 0; t < count; t += kRows) {
    const auto chunk = [a, offset = t * step](std::int64_t q) { return a[q] + offset; };
    if (count - t >= kRows) {
      multiply_tile<kRows, kWholeBlocks>(chunks, chunk, step, depth, b, c + t * kWidth);
    } else {
      multiply_rest<kRows - 1, kWholeBlocks>(count - t, chunks, chunk, step, depth, b, c + t * kWidth);
    }
  }
}

void multiply(std::int64_t count, std::int64_t chunks, const float* const* a, std::int64_t step, std::int64_t depth,
              const float* b, float* c) {
  if (depth == kLanes) return multiply_all<true>(count, chunks, a, step, depth, b, c);
  multiply_all<false>(count, chunks, a, step, depth, b, c);
}

/// Prefetches the next lines of a part.
void ask_ahead(const float*& from, const float* end) {
  for (int i = 0; i < kLinesAhead && from < end; ++i, from += kLine) __builtin_prefetch(from, 0, 2);
}

void multiply_groups(std::int64_t count, std::int64_t chunks, const float* a, const float* b, float* c,
                     const BlockAhead& ahead) {
  const float *next_b = ahead.b, *next_a = ahead.a;
  for (std::int64_t t = 0; t < count; t += kRows) {
    const auto chunk = [&, from = a + t * chunks * kLanes](std::int64_t q) {
      ask_ahead(next_b, ahead.b_end);
      ask_ahead(next_a, ahead.a_end);
      return from + q * kRows * kLanes;
    };
    if (count - t >= kRows) {
      multiply_tile<kRows, true>(chunks, chunk, kLanes, kLanes, b, c + t * kWidth);
    } else {
      multiply_rest<kRows - 1, true>(count - t, chunks, chunk, kLanes, kLanes, b, c + t * kWidth);
    }
  }
}

void accumulate(std::int64_t count, const float* a, const float* b, float* c, bool fresh) {
  constexpr int kGroup = V::kGroup;
  for (std::int64_t i = 0; i < kLanes; i += kGroup) {
    Reg sum[kGroup][2];
#pragma GCC unroll 16
    for (int r = 0; r < kGroup; ++r) sum[r][0] = sum[r][1] = V::set1(0);
    for (std::int64_t t = 0; t < count; ++t) {
      const Reg b0 = V::load(b + t * kWidth), b1 = V::load(b + t * kWidth + kLanes);
      const float* from = a + t * kLanes + i;
#pragma GCC unroll 16
      for (int r = 0; r < kGroup; ++r) {
        const Reg value = V::set1(from[r]);
        sum[r][0] = V::fma(value, b0, sum[r][0]);
        sum[r][1] = V::fma(value, b1, sum[r][1]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kGroup; ++r) {
      float* to = c + (i + r) * kWidth;
      V::store(to, fresh ? sum[r][0] : V::load(to) + sum[r][0]);
      V::store(to + kLanes, fresh ? sum[r][1] : V::load(to + kLanes) + sum[r][1]);
    }
  }
}

void transpose(std::int64_t count, const float* from, std::int64_t stride, float* to) {
  V::transpose(count, kWidth, from, stride, to);
}

void store(const float* c, std::int64_t count, float* out, std::int64_t step, const BlockEpilogue& epilogue) {
  const Reg bias = epilogue.bias ? V::load(epilogue.bias) : V::set1(0);
  const Reg slope = V::set1(epilogue.slope);
  constexpr std::int64_t kAhead = 12;  // pixels
  for (std::int64_t t = 0; t < count; ++t) {
    prefetch_for_write(out + (t + kAhead) * step);
    V::store(out + t * step, finish(V::load(c + t * kWidth), epilogue, bias, slope, t * step));
  }
}

template <int kOutputs, int kCount>
void project_pixels(std::int64_t chunks, const float* const* a, std::int64_t at, const float* w, const float* bias,
                    float* const* y) {
  Reg sum[kOutputs][kCount];
  for (auto& row : sum) {
    for (Reg& s : row) s = V::set1(0);
  }
  for (std::int64_t q = 0; q < chunks; ++q, w += kOutputs * kLanes) {
    const float* from = a[q] + at * kLanes;
#pragma GCC unroll 4
    for (int t = 0; t < kCount; ++t) {
      const Reg x = V::load(from + t * kLanes);
#pragma GCC unroll 4
      for (int o = 0; o < kOutputs; ++o) sum[o][t] = V::fma(x, V::load(w + o * kLanes), sum[o][t]);
    }
  }
  for (int o = 0; o < kOutputs; ++o) {
    for (int t = 0; t < kCount; ++t) y[o][at + t] = bias[o] + V::total(sum[o][t]);
  }
}

template <int kOutputs>
void project_row(std::int64_t count, std::int64_t chunks, const float* const* a, const float* w, const float* bias,
                 float* const* y) {
  std::int64_t t = 0;
  for (; t + 4 <= count; t += 4) project_pixels<kOutputs, 4>(chunks, a, t, w, bias, y);
  for (; t < count; ++t) project_pixels<kOutputs, 1>(chunks, a, t, w, bias, y);
}

void project(std::int64_t count, std::int64_t chunks, const float* const* a, const float* w, const float* bias,
             std::int64_t outputs, float* const* y) {
  switch (outputs) {
    case 1:
      return project_row<1>(count, chunks, a, w, bias, y);
    case 2:
      return project_row<2>(count, chunks, a, w, bias, y);
    case 3:
      return project_row<3>(count, chunks, a, w, bias, y);
    default:
      return project_row<4>(count, chunks, a, w, bias, y);
  }
}

// exp by 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Taylor's to the sixth power, 2e-7 of the value).
Reg sigmoid_of(Reg v, Reg slope) {
  using Whole = decltype(Reg() > Reg());
  const Reg activated = choose(v > V::set1(0), v, v * slope);
  Reg z = -activated;
  z = choose(z > V::set1(-87), z, V::set1(-87));  // NaN, too, or it would have no whole number
  z = choose(z < V::set1(87), z, V::set1(87));
  const Reg n = (z * V::set1(1.44269504f) + V::set1(12582912.0f)) - V::set1(12582912.0f);  // the nearest whole number
  const Reg r = (z - n * V::set1(0.693359375f)) + n * V::set1(2.12194440e-4f);
  constexpr float kFactors[] = {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  Reg p = V::set1(1.0f / 720);
  for (const float factor : kFactors) p = p * r + V::set1(factor);
  const Whole bits = (__builtin_convertvector(n, Whole) + 127) << 23;
  const Reg result = V::set1(1) / (V::set1(1) + p * reinterpret_cast<Reg>(bits));
  return choose(activated != activated, activated, result);
}

void sigmoid(float* x, std::int64_t count, float slope) {
  const Reg below = V::set1(slope);
  alignas(64) float some[kLanes] = {};  // x may lie anywhere, and end within a vector
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    __builtin_memcpy(some, x + i, sizeof some);
    V::store(some, sigmoid_of(V::load(some), below));
    __builtin_memcpy(x + i, some, sizeof some);
  }
  for (std::int64_t j = i; j < count; ++j) some[j - i] = x[j];
  V::store(some, sigmoid_of(V::load(some), below));
  for (; i < count; ++i) x[i] = some[i % kLanes];
}

// --- Gradients -------------------------------------------------------------------------------------------------------

template <int kTaps>
void weight_strip_of(std::int64_t rows, std::int64_t count, const float* const* x, std::int64_t x_step,
                     const float* const* dy0, const float* const* dy1, std::int64_t dy_step, float* c) {
  constexpr int kInputs = static_cast<int>(strip_inputs(kTaps));
  Reg sum[kTaps][kInputs][2];
  for (int tap = 0; tap < kTaps; ++tap) {
    for (int i = 0; i < kInputs; ++i) {
      for (int j = 0; j < 2; ++j) sum[tap][i][j] = V::set1(0);
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* from = x[r];
    const float *g0 = dy0[r], *g1 = dy1[r];
    for (std::int64_t t = 0; t < count; ++t, from += x_step * kLanes, g0 += dy_step * kLanes, g1 += dy_step * kLanes) {
      const Reg d0 = V::load(g0), d1 = V::load(g1);
#pragma GCC unroll 3
      for (int tap = 0; tap < kTaps; ++tap) {
#pragma GCC unroll 4
        for (int i = 0; i < kInputs; ++i) {
          const Reg value = V::set1(from[tap * kLanes + i]);
          sum[tap][i][0] = V::fma(value, d0, sum[tap][i][0]);
          sum[tap][i][1] = V::fma(value, d1, sum[tap][i][1]);
        }
      }
    }
  }
  for (int tap = 0; tap < kTaps; ++tap) {
    for (int i = 0; i < kInputs; ++i) {
      for (int j = 0; j < 2; ++j) {
        float* to = c + ((tap * kInputs + i) * 2 + j) * kLanes;
        V::store(to, V::load(to) + sum[tap][i][j]);
      }
    }
  }
}

void weight_strip(std::int64_t taps, std::int64_t rows, std::int64_t count, const float* const* x, std::int64_t x_step,
                  const float* const* dy0, const float* const* dy1, std::int64_t dy_step, float* c) {
  if (taps == 3) return weight_strip_of<3>(rows, count, x, x_step, dy0, dy1, dy_step, c);
  weight_strip_of<1>(rows, count, x, x_step, dy0, dy1, dy_step, c);
}

void sum_row(const float* x, std::int64_t count, float* sum) {
  Reg total = V::load(sum);
  for (std::int64_t t = 0; t < count; ++t) total = total + V::load(x + t * kLanes);
  V::store(sum, total);
}

// Of equals the first; NaN is larger than any number.
Reg larger(Reg a, Reg b) { return choose((b > a) | (b != b), b, a); }

void pool_row(const float* top, const float* bottom, std::int64_t columns, float* y) {
  const float* second = bottom ? bottom : top;
  for (std::int64_t t = 0; 2 * t < columns; ++t) {
    const std::int64_t at = 2 * t * kLanes, next = 2 * t + 1 < columns ? at + kLanes : at;
    const Reg upper = larger(V::load(top + at), V::load(top + next));
    V::store(y + t * kLanes, larger(upper, larger(V::load(second + at), V::load(second + next))));
  }
}

void pool_gradient_row(const float* top, const float* bottom, std::int64_t columns, const float* y, const float* dy,
                       const float* add_top, const float* add_bottom, float slope, float* d_top, float* d_bottom) {
  const Reg zero = V::set1(0), one = V::set1(1), below = V::set1(slope);
  for (std::int64_t t = 0; 2 * t < columns; ++t) {
    const Reg largest = V::load(y + t * kLanes);
    Reg left = V::load(dy + t * kLanes);  // what no pixel has taken yet
    const std::int64_t width = 2 * t + 1 < columns ? 2 : 1;
    for (int row = 0; row < (bottom ? 2 : 1); ++row) {
      const float* from = row ? bottom : top;
      const float* add = row ? add_bottom : add_top;
      float* to = row ? d_bottom : d_top;
      for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t at = (2 * t + x) * kLanes;
        const Reg value = V::load(from + at);
        const auto takes = value == largest;
        Reg d = choose(takes, left, zero);
        left = choose(takes, zero, left);
        if (add) d = d + V::load(add + at);
        V::store(to + at, d * choose(value > zero, one, below));
      }
    }
  }
}

template <class F>
constexpr WinogradKernels winograd_kernels() {
  return {F::kTile,           F::kSide * F::kSide,         winograd_input<F>,          winograd_weight<F>,
          winograd_output<F>, winograd_output_gradient<F>, winograd_weight_gradient<F>};
}

constexpr BlockKernels kBlockKernels{kLanes,
                                     kWidth,
                                     kRows,
                                     winograd_kernels<F4>(),
                                     winograd_kernels<F6>(),
                                     transpose,
                                     multiply,
                                     multiply_groups,
                                     accumulate,
                                     store,
                                     project,
                                     sigmoid,
                                     weight_strip,
                                     sum_row,
                                     pool_row,
                                     pool_gradient_row};

}  // namespace
