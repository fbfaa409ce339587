#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/kernels/block_kernels.h"

/// The multi-threaded layers of the fast nets on blocked tensors (NCHWc). Each function splits its work among the
/// threads of parallel_for such that the bits of the result depend only on the sizes, not on the threads or on how rows
/// are requested.
namespace kind {

/// Where a batch of pictures lies as [image][block][slot][column][lane]. Row y lies in slot y % slots, so that a map
/// can hold the last rows of a picture only. Left of column 0 there is one column of zeros and right of the last one as
/// many as a Winograd tile can reach, which whoever writes a row also writes. Lanes beyond the last channel hold zeros.
struct BlockMap {
  float* data = nullptr;  // image 0, block 0, slot 0, column 0
  std::int64_t n = 0, channels = 0, h = 0, w = 0, slots = 0;
  std::int64_t lanes = 0;
  std::int64_t pitch = 0, plane = 0, image = 0;  // floats from one slot, block and image to the next
  std::int64_t band = 0;                         // rows of a band, of which each thread makes every n-th; 0: no bands

  /// The layout for these sizes, without memory.
  BlockMap(std::int64_t lanes, std::int64_t n, std::int64_t channels, std::int64_t h, std::int64_t w,
           std::int64_t slots);
  BlockMap() = default;

  std::int64_t blocks() const { return (channels + lanes - 1) / lanes; }
  /// Floats to be allocated; `place` sets data inside them.
  std::int64_t floats() const { return n * image; }
  void place(float* memory) { data = memory + lanes; }
  float* row(std::int64_t in, std::int64_t block, std::int64_t y) const {
    return data + in * image + block * plane + y % slots * pitch;
  }
  /// Zeros the columns around row y of every block.
  void clear_margins(std::int64_t in, std::int64_t y) const;
};

/// Up to two maps of the same size, concatenated along the channels without a copy.
struct BlockParts {
  std::array<BlockMap, 2> maps;
  int count = 0;

  BlockParts() = default;
  BlockParts(const BlockMap& only) : maps{only, {}}, count(1) {}  // NOLINT: one map is a list of one
  BlockParts(const BlockMap& first, const BlockMap& second) : maps{first, second}, count(2) {}

  const BlockMap& operator[](int i) const { return maps[static_cast<std::size_t>(i)]; }
  std::int64_t channels() const;
  std::int64_t blocks() const;
  const float* row(std::int64_t in, std::int64_t block, std::int64_t y) const;
};

/// Where a result goes. `add` and `mask` (null or laid out as `map`) and `slope` are the epilogue's.
struct BlockTarget {
  BlockMap map;
  const float* add = nullptr;
  const float* mask = nullptr;
  float slope = 1;
};

enum class ConvAlgorithm { kDirect, kWinograd4, kWinograd6 };

/// The algorithm for a 3x3 convolution of `n` pictures of h x w, the fastest one by a cost model. Depends only on the
/// channels and the sizes of whole pictures.
ConvAlgorithm choose_algorithm(std::int64_t ic, std::int64_t oc, std::int64_t n, std::int64_t h, std::int64_t w,
                               bool exact);
/// Whether a layer has so many channels that its weights are transformed again each time it runs, at least for F(6x6).
bool weights_by_slices(std::int64_t ic, std::int64_t oc);
/// Rows of results that an algorithm makes at a time: pieces start at multiples of it.
std::int64_t algorithm_rows(ConvAlgorithm algorithm);

/// Use of a convolution's weight [oc, ic, k, k]: unchanged, or rotated by 180 degrees with inputs and outputs
/// exchanged, which gives the input gradient.
enum class WeightUse { kForward, kInputGradient };

/// Transformed weights that calls of block_conv for the same layer can share: how many floats (none if the algorithm
/// has none, or makes them slice by slice as it goes), and their making from weight [oc, ic, 3, 3].
std::int64_t prepared_floats(const BlockKernels& kernels, ConvAlgorithm algorithm, std::int64_t ic, std::int64_t oc);
void prepare_weights(const BlockKernels& kernels, ConvAlgorithm algorithm, const float* weight, std::int64_t ic,
                     std::int64_t oc, float* prepared);

/// A SAME convolution with stride 1.
struct BlockConvolution {
  std::int64_t kernel = 3;        ///< Its size, 1 or 3.
  const float* weight = nullptr;  ///< [oc, ic, kernel, kernel]
  const float* bias = nullptr;    ///< [oc]; null: none.
  WeightUse use = WeightUse::kForward;
  // Of block_conv alone:
  ConvAlgorithm algorithm = ConvAlgorithm::kDirect;
  const float* prepared = nullptr;  ///< What prepare_weights made of the weight; null: nothing.
};

/// Rows y0 <= y < y1 of a convolution's result; y0 must be a multiple of algorithm_rows(). `targets` (one or two) take
/// the result's channels one after the other.
void block_conv(const BlockKernels& kernels, const BlockConvolution& conv, const BlockParts& x,
                std::span<const BlockTarget> targets, std::int64_t y0, std::int64_t y1);

/// Where a convolution to at most four channels goes: planes of h * w, channel c of image i at
/// planes[c] + i * image. Where they do not hold what is above row `first_row`, that is the row they begin with.
struct PlaneTarget {
  float* const* planes = nullptr;
  std::int64_t channels = 0;
  std::int64_t image = 0;
  std::int64_t first_row = 0;
  // Then, in this order:
  bool sigmoid = false;  ///< The sigmoid of max(v, slope v).
  float slope = 1;
  const BlockMap* add = nullptr;  ///< Plus its channel c, of the first four; null: nothing.
};

/// Rows y0 <= y < y1 of such a convolution's result.
void block_project(const BlockKernels& kernels, const BlockConvolution& conv, const BlockParts& x, const PlaneTarget& y,
                   std::int64_t y0, std::int64_t y1);

/// 2x2 stride-2 transposed convolution, weight [ic, oc, 2, 2], cut to y's size: input rows x0 <= y < x1.
void block_up(const BlockKernels& kernels, const BlockMap& x, const float* weight, const BlockMap& y, std::int64_t x0,
              std::int64_t x1);
/// Its gradient to the input.
void block_up_input_gradient(const BlockKernels& kernels, const BlockMap& dy, const float* weight,
                             const BlockTarget& dx);

/// 2x2 stride-2 max pooling, odd sizes padded at the end: rows y0 <= y < y1 of the result.
void block_pool(const BlockKernels& kernels, const BlockMap& x, const BlockMap& y, std::int64_t y0, std::int64_t y1);
/// dx = (gradient of block_pool to x + add) * gradient of the activation that made x. `add` null or laid out as x; it
/// may be dx itself.
void block_pool_gradient(const BlockKernels& kernels, const BlockMap& x, const BlockMap& y, const BlockMap& dy,
                         const float* add, float slope, const BlockMap& dx);

/// Rows y0 <= y < y1 of planes: `channels` planes of image i start at x + i * x_image, each of h * w; written to lanes
/// first <= lane < first + channels of y's block 0. With `whole`, the lanes from first + channels on are zeroed, and
/// the margins. A lone plane may begin with row `first_row`.
void block_pack(const float* x, std::int64_t x_image, std::int64_t channels, std::int64_t first, bool whole,
                const BlockMap& y, std::int64_t y0, std::int64_t y1, std::int64_t first_row = 0);

/// dweight [oc, ic, kernel, kernel] (kernel 1 or 3, SAME) and, unless null, dbias [oc] of a convolution from x to dy.
/// Each is the sum over the `pairs` pairs of the batch, in the order of merge_pairs (core/base/sum.h); image i belongs to
/// pair i % pairs, so `pairs` divides n. A pair's share depends only on the pair.
void block_weight_gradient(const BlockKernels& kernels, ConvAlgorithm algorithm, std::int64_t kernel,
                           const BlockParts& x, const BlockMap& dy, std::int64_t pairs, float* dweight, float* dbias);
/// dweight [ic, oc, 2, 2] of block_up, summed in the same way.
void block_up_weight_gradient(const BlockKernels& kernels, const BlockMap& x, const BlockMap& dy, std::int64_t pairs,
                              float* dweight);

}  // namespace kind
