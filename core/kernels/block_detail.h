#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/kernels/block_conv.h"

/// What the files of block_conv.h share among themselves.
namespace kind {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

/// The rows of a step, of all images, in the order in which threads share them out. A map's bands (BlockMap::band) belong
/// to the threads in turn, in all layers and steps, so that a thread mostly reads rows that it made itself and writes
/// where it wrote before.
class SharedRows {
 public:
  struct Row {
    std::int64_t image, y;
  };

  /// Rows first <= y < end, each of which stands for `unit` rows of a map with these bands.
  SharedRows(std::int64_t images, std::int64_t first, std::int64_t end, std::int64_t band, std::int64_t unit = 1)
      : images_(images), first_(first), rows_(end - first) {
    const std::int64_t threads = num_threads();
    if (band == 0 || threads == 1) return;
    order_.reserve(static_cast<std::size_t>(rows_));
    for (std::int64_t thread = 0; thread < threads; ++thread) {
      for (std::int64_t y = first; y < end; ++y) {
        if (y * unit / band % threads == thread) order_.push_back(y);
      }
    }
  }

  std::int64_t count() const { return images_ * rows_; }
  Row operator[](std::int64_t i) const {
    const std::int64_t row = i % rows_;
    return {i / rows_, order_.empty() ? first_ + row : order_[static_cast<std::size_t>(row)]};
  }

 private:
  std::int64_t images_, first_, rows_;
  std::vector<std::int64_t> order_;  // empty: as they lie
};

/// The output channels of a layer as groups of one product's columns, over one or two targets.
struct ConvTargets {
  std::span<const BlockTarget> targets;
  std::int64_t lanes;

  std::int64_t blocks() const {
    std::int64_t sum = 0;
    for (const BlockTarget& target : targets) sum += target.map.blocks();
    return sum;
  }
  const BlockMap& shape() const { return targets[0].map; }

  /// Where row y of a block begins, with an epilogue that points to the same pixels.
  float* row(std::int64_t in, std::int64_t block, std::int64_t y, BlockEpilogue& epilogue) const {
    std::size_t i = 0;
    while (block >= targets[i].map.blocks()) block -= targets[i++].map.blocks();
    float* to = targets[i].map.row(in, block, y);
    const std::ptrdiff_t at = to - targets[i].map.data;
    epilogue.add = targets[i].add ? targets[i].add + at : nullptr;
    epilogue.mask = targets[i].mask ? targets[i].mask + at : nullptr;
    epilogue.slope = targets[i].slope;
    return to;
  }

  void clear_margins(std::int64_t in, std::int64_t y) const {
    for (const BlockTarget& target : targets) target.map.clear_margins(in, y);
  }
};

/// A weight as the products take it.
struct PackedWeights {
  const BlockKernels& kernels;
  const float* weight;
  std::int64_t oc, ic, taps;  // of the weight as stored: [oc, ic, taps]
  WeightUse use;

  std::int64_t inputs() const { return use == WeightUse::kForward ? ic : oc; }
  std::int64_t outputs() const { return use == WeightUse::kForward ? oc : ic; }

  /// [k0 <= k < k1][tap][width] for output columns first <= column < first + width, zeros beyond the last. Taps are in
  /// the order in which they are stored.
  void pack(std::int64_t first, std::int64_t k0, std::int64_t k1, float* to) const {
    const std::int64_t width = kernels.width, lanes = std::clamp<std::int64_t>(outputs() - first, 0, width);
    const std::int64_t column_stride = use == WeightUse::kForward ? ic * taps : taps;
    const std::int64_t k_stride = use == WeightUse::kForward ? taps : ic * taps;
    const float* from = weight + first * column_stride;
    if (lanes == width && use == WeightUse::kForward) {
      return kernels.transpose((k1 - k0) * taps, from + k0 * taps, column_stride, to);
    }
    for (std::int64_t k = k0; k < k1; ++k, to += taps * width) {
      if (lanes == width) {
        kernels.transpose(taps, from + k * k_stride, column_stride, to);
        continue;
      }
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        for (std::int64_t j = 0; j < lanes; ++j) to[tap * width + j] = from[j * column_stride + k * k_stride + tap];
        std::fill(to + tap * width + lanes, to + (tap + 1) * width, 0.0f);
      }
    }
  }
};

/// bias, or zeros, for every lane of whole groups.
inline Buffer<float> padded_bias(const float* bias, std::int64_t count, std::int64_t padded) {
  Buffer<float> copy(padded);
  std::fill(copy.data(), copy.data() + padded, 0.0f);
  if (bias) std::copy(bias, bias + count, copy.data());
  return copy;
}

inline Buffer<float> zero_row(const BlockMap& map) {
  Buffer<float> zeros(map.pitch);
  std::fill(zeros.data(), zeros.data() + map.pitch, 0.0f);
  return zeros;
}

/// block_conv by Winograd's algorithm, kernel 3.
void winograd_conv(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x,
                   const PackedWeights& weights, const float* bias, const ConvTargets& outputs, std::int64_t y0,
                   std::int64_t y1, const float* prepared);
/// block_weight_gradient's sum by Winograd's algorithm, kernel 3, whole blocks of channels.
void winograd_weight_gradient(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x,
                              const BlockMap& dy, std::int64_t pairs, float* dweight);

}  // namespace kind
