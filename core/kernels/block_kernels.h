#pragma once

#include <cstdint>

/// The inner loops of the fast nets, one table per instruction set. They work on blocked tensors (NCHWc),
/// [block][row][column][lane] with `lanes` channels per block, so that one vector is one pixel of one block and no loop
/// shuffles lanes. Pointers and sizes only: files built with instruction-set flags share no inline code with the rest
/// of the program.
namespace kind {

/// The epilogue of a value between its computation and its store. The pointers to maps have the same pixel and layout
/// as the output; null omits their step.
///   v += bias; v += add; then v = mask ? (mask > 0 ? v : slope v) : max(v, slope v)
struct BlockEpilogue {
  const float* bias = nullptr;  // [lanes]
  const float* add = nullptr;
  const float* mask = nullptr;
  float slope = 1;  // 1 leaves values as they are; 0 is ReLU
};

/// Tiles of Winograd's algorithm for 3x3 kernels (Lavin and Gray, "Fast algorithms for convolutional neural networks",
/// CVPR 2016): F(4x4) has 36 products for 16 outputs, F(6x6) 64 for 36.
struct WinogradKernels {
  std::int64_t tile;    // outputs along a side
  std::int64_t points;  // products: (tile + 2)^2
  /// v[p * stride + at(first + t) ...] = B^T d B of tiles t < count of one block and one tile row, where
  /// at(i) = i / group * group_stride + i % group * lanes. rows[r] is row r of the patches, at the first tile's column
  /// -1; next[r]: the same rows of the block that follows, which are prefetched; may equal rows[r].
  void (*input)(const float* const* rows, const float* const* next, std::int64_t count, std::int64_t first,
                std::int64_t group, std::int64_t group_stride, float* v, std::int64_t stride);
  /// u[p * stride + k * width ...] = G g G^T of kernels g, k < count. Tap i of kernel k lies at
  /// w[k * 9 * width + i * tap ...]: a negative `tap` turns the kernels by 180 degrees.
  void (*weight)(const float* w, std::int64_t tap, std::int64_t count, float* u, std::int64_t stride);
  /// A^T m A of tiles t < count, m at m[p * stride + t * width ...], through the epilogue to `out`, which lies at the
  /// first tile's first pixel. Only the first `rows` rows of a tile and `columns` columns of them all are stored.
  void (*output)(const float* m, std::int64_t stride, std::int64_t count, std::int64_t rows, std::int64_t columns,
                 float* out, std::int64_t pitch, const BlockEpilogue& epilogue);
  /// m[p * stride + t * width ...] = A dy A^T: what the gradient of `output` sends back. `rows` and `columns` as there;
  /// pixels beyond them count as zero. dy lies at the first tile's first pixel.
  void (*output_gradient)(const float* dy, std::int64_t pitch, std::int64_t count, std::int64_t rows,
                          std::int64_t columns, float* m, std::int64_t stride);
  /// dw[k][9][width] += G^T du G, du at du[p * stride + k * width ...], k < count.
  void (*weight_gradient)(const float* du, std::int64_t count, std::int64_t stride, float* dw);
};

/// What the product that follows reads, to be prefetched. Parts may be empty.
struct BlockAhead {
  const float *b = nullptr, *b_end = nullptr;
  const float *a = nullptr, *a_end = nullptr;
};

struct BlockKernels {
  std::int64_t lanes;  // channels of a block, at most kMostLanes
  std::int64_t width;  // columns of one matrix product: two blocks
  std::int64_t rows;   // pixels or tiles that one matrix product takes at a time
  WinogradKernels f4, f6;

  /// to[i * width + r] = from[r * stride + i] for i < count, r < width.
  void (*transpose)(std::int64_t count, const float* from, std::int64_t stride, float* to);
  /// c[t * width + j] = sum over q < chunks, k < depth of a[q][t * step + k] * b[(q * depth + k) * width + j], in this
  /// order, for t < count.
  void (*multiply)(std::int64_t count, std::int64_t chunks, const float* const* a, std::int64_t step,
                   std::int64_t depth, const float* b, float* c);
  /// The same from groups of `rows` pixels, [group][chunk][row][lane], which it reads one after the other, prefetching
  /// `ahead` meanwhile:
  /// c[t * width + j] = sum over q < chunks, k < lanes of
  ///     a[((t / rows * chunks + q) * rows + t % rows) * lanes + k] * b[(q * lanes + k) * width + j]
  void (*multiply_groups)(std::int64_t count, std::int64_t chunks, const float* a, const float* b, float* c,
                          const BlockAhead& ahead);
  /// c[i * width + j] += sum over t < count of a[t * lanes + i] * b[t * width + j] for i < lanes; `fresh`: = instead.
  void (*accumulate)(std::int64_t count, const float* a, const float* b, float* c, bool fresh);
  /// One block of `multiply`'s result through the epilogue: out[t * step ...] from c[t * width ...]. The maps of the
  /// epilogue have the same step.
  void (*store)(const float* c, std::int64_t count, float* out, std::int64_t step, const BlockEpilogue& epilogue);
  /// y[o][t] = bias[o] + sum over q < chunks, lanes of a[q][t * lanes + lane] * w[(q * outputs + o) * lanes + lane] for
  /// t < count and o < outputs <= 4.
  void (*project)(std::int64_t count, std::int64_t chunks, const float* const* a, const float* w, const float* bias,
                  std::int64_t outputs, float* const* y);
  /// x = 1 / (1 + exp(-max(x, slope x))).
  void (*sigmoid)(float* x, std::int64_t count, float slope);

  /// Adds one strip's share of a convolution's weight gradient, for two output blocks, `taps` (1 or 3) neighbouring
  /// columns, and as many input channels as keep the registers busy: strip_inputs(taps).
  ///   c[((tap * inputs + i) * 2 + j) * lanes + lane] += sum over r < rows, t < count of
  ///       x[r][(t * x_step + tap) * lanes + i] * dy_j[r][t * dy_step * lanes + lane]
  void (*weight_strip)(std::int64_t taps, std::int64_t rows, std::int64_t count, const float* const* x,
                       std::int64_t x_step, const float* const* dy0, const float* const* dy1, std::int64_t dy_step,
                       float* c);
  /// sum[lane] += sum over t < count of x[t * lanes + lane].
  void (*sum_row)(const float* x, std::int64_t count, float* sum);

  /// y = largest of the 2x2 windows of two rows of `columns` pixels; the second row may be null, an odd last column
  /// stands alone.
  void (*pool_row)(const float* top, const float* bottom, std::int64_t columns, float* y);
  /// The gradient of pool_row to each input pixel (the first largest takes it), plus `add`, times the gradient of the
  /// activation that made the input: d = (dy where x is the first largest + add) * (x > 0 ? 1 : slope), for the top
  /// row and, where it is not null, the bottom row.
  void (*pool_gradient_row)(const float* top, const float* bottom, std::int64_t columns, const float* y,
                            const float* dy, const float* add_top, const float* add_bottom, float slope, float* d_top,
                            float* d_bottom);
};

inline constexpr std::int64_t kMostLanes = 16;
/// Input channels of one weight_strip.
constexpr std::int64_t strip_inputs(std::int64_t taps) { return taps == 3 ? 2 : 4; }

}  // namespace kind
