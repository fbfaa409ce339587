#include "core/kernels/block_conv.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

// Transformed weights up to this size are made once and shared; larger ones are made slice by slice where they are
// used, so that they stay in the cache and 190 MiB of them never exist.
constexpr std::int64_t kSharedWeightFloats = 640 * 1024;
// Transformed tiles and products of one block, so that they stay in the second-level cache.
constexpr std::int64_t kBlockFloats = 128 * 1024;
// Tiles whose transform is kept while the slices of the weights pass them.
constexpr std::int64_t kSliceTiles = 256;
// Output channels of a slice, in products' columns.
constexpr std::int64_t kSliceGroups = 2;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

/// The output channels of a layer as groups of one product's columns, over one or two targets.
struct Outputs {
  const BlockTarget* targets;
  int count;
  std::int64_t lanes;

  std::int64_t blocks() const {
    std::int64_t sum = 0;
    for (int i = 0; i < count; ++i) sum += targets[i].map.blocks();
    return sum;
  }
  const BlockMap& shape() const { return targets[0].map; }

  /// Where row y of a block begins, with an epilogue that points to the same pixels.
  float* row(std::int64_t in, std::int64_t block, std::int64_t y, BlockEpilogue& epilogue) const {
    int i = 0;
    while (block >= targets[i].map.blocks()) block -= targets[i++].map.blocks();
    float* to = targets[i].map.row(in, block, y);
    const std::ptrdiff_t at = to - targets[i].map.data;
    epilogue.add = targets[i].add ? targets[i].add + at : nullptr;
    epilogue.mask = targets[i].mask ? targets[i].mask + at : nullptr;
    epilogue.slope = targets[i].slope;
    return to;
  }

  void clear_margins(std::int64_t in, std::int64_t y) const {
    for (int i = 0; i < count; ++i) targets[i].map.clear_margins(in, y);
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
Buffer<float> padded_bias(const float* bias, std::int64_t count, std::int64_t padded) {
  Buffer<float> copy(padded);
  std::fill(copy.data(), copy.data() + padded, 0.0f);
  if (bias) std::copy(bias, bias + count, copy.data());
  return copy;
}

Buffer<float> zero_row(const BlockMap& map) {
  Buffer<float> zeros(map.pitch);
  std::fill(zeros.data(), zeros.data() + map.pitch, 0.0f);
  return zeros;
}

/// Winograd's convolution of a set of tile rows.
class WinogradConv {
 public:
  WinogradConv(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x, const PackedWeights& weights,
               const float* bias, const Outputs& outputs, std::int64_t y0, std::int64_t y1)
      : kernels_(kernels),
        f_(f),
        x_(x),
        weights_(weights),
        outputs_(outputs),
        h_(outputs.shape().h),
        w_(outputs.shape().w),
        first_row_(y0 / f.tile),
        tile_rows_(ceil_div(y1, f.tile) - y0 / f.tile),
        tile_columns_(ceil_div(w_, f.tile)),
        tiles_(outputs.shape().n * tile_rows_ * tile_columns_),
        groups_(ceil_div(outputs.blocks() * kernels.lanes, kernels.width)),
        bias_(padded_bias(bias, weights.outputs(), groups_ * kernels.width)),
        zeros_(zero_row(x[0])) {}

  void run() {
    const std::int64_t k = weights_.inputs();
    if (groups_ * kernels_.width * k * f_.points <= kSharedWeightFloats) {
      run_blocks();
    } else {
      run_slices();
    }
    const std::int64_t rows = outputs_.shape().n * tile_rows_;
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t y = (first_row_ + r % tile_rows_) * f_.tile;
      for (std::int64_t i = 0; i < std::min(f_.tile, h_ - y); ++i) outputs_.clear_margins(r / tile_rows_, y + i);
    }
  }

 private:
  std::int64_t group_floats() const { return f_.points * weights_.inputs() * kernels_.width; }
  // The distance between the matrices of two points is an odd number of cache lines, or they would fall on one another
  // in the cache.
  std::int64_t input_stride(std::int64_t tiles) const {
    return x_.blocks() * tiles * kernels_.lanes + 16 * ((x_.blocks() * tiles * kernels_.lanes / 16 + 1) % 2);
  }
  std::int64_t output_stride(std::int64_t tiles, std::int64_t groups) const {
    return groups * tiles * kernels_.width + 16 * ((groups * tiles * kernels_.width / 16 + 1) % 2);
  }

  /// u[point][k][width] of one group.
  void transform_weights(std::int64_t group, float* u) const {
    constexpr std::int64_t kDepth = 32;
    Buffer<float> packed(kDepth * 9 * kernels_.width);
    for (std::int64_t k = 0; k < weights_.inputs(); k += kDepth) {
      const std::int64_t end = std::min(weights_.inputs(), k + kDepth);
      weights_.pack(group * kernels_.width, k, end, packed.data());
      const bool turned = weights_.use == WeightUse::kInputGradient;
      f_.weight(packed.data() + (turned ? 8 * kernels_.width : 0), turned ? -kernels_.width : kernels_.width, end - k,
                u + k * kernels_.width, weights_.inputs() * kernels_.width);
    }
  }

  /// Calls run(tile, count, image, tile row, tile column) for the runs of tiles of one row in first <= tile < end.
  template <class Run>
  void for_each_run(std::int64_t first, std::int64_t end, const Run& run) const {
    for (std::int64_t t = first; t < end;) {
      const std::int64_t column = t % tile_columns_, row = t / tile_columns_;
      const std::int64_t count = std::min(tile_columns_ - column, end - t);
      run(t, count, row / tile_rows_, first_row_ + row % tile_rows_, column);
      t += count;
    }
  }

  /// v[point][block][capacity][lane] of tiles first <= t < end, at tile `to` of v.
  void transform_input(std::int64_t first, std::int64_t end, std::int64_t to, std::int64_t capacity, float* v) const {
    const std::int64_t stride = input_stride(capacity);
    for_each_run(first, end,
                 [&](std::int64_t t, std::int64_t count, std::int64_t in, std::int64_t row, std::int64_t c) {
                   const float* rows[8];
                   for (std::int64_t block = 0; block < x_.blocks(); ++block) {
                     for (std::int64_t r = 0; r < f_.tile + 2; ++r) {
                       const std::int64_t y = row * f_.tile - 1 + r;
                       const float* from = y < 0 || y >= h_ ? zeros_.data() + kernels_.lanes : x_.row(in, block, y);
                       rows[r] = from + (c * f_.tile - 1) * kernels_.lanes;
                     }
                     f_.input(rows, count, v + (block * capacity + to + t - first) * kernels_.lanes, stride);
                   }
                 });
  }

  /// m[point][group][capacity][width] = v u for `count` tiles from tile `from` of v on, groups [g0, g1).
  void multiply(std::int64_t count, const float* v, std::int64_t v_capacity, std::int64_t from, const float* u,
                std::int64_t groups, float* m, std::int64_t m_capacity) const {
    const std::int64_t blocks = x_.blocks(), k = weights_.inputs();
    const float* chunks[64];
    for (std::int64_t p = 0; p < f_.points; ++p) {
      for (std::int64_t b = 0; b < blocks; ++b) {
        chunks[b] = v + p * input_stride(v_capacity) + (b * v_capacity + from) * kernels_.lanes;
      }
      for (std::int64_t g = 0; g < groups; ++g) {
        kernels_.multiply(count, blocks, chunks, kernels_.lanes, kernels_.lanes,
                          u + g * group_floats() + p * k * kernels_.width,
                          m + p * output_stride(m_capacity, groups) + g * m_capacity * kernels_.width);
      }
    }
  }

  void transform_output(std::int64_t first, std::int64_t end, std::int64_t first_group, std::int64_t groups,
                        const float* m, std::int64_t capacity) const {
    const std::int64_t stride = output_stride(capacity, groups);
    for_each_run(first, end,
                 [&](std::int64_t t, std::int64_t count, std::int64_t in, std::int64_t row, std::int64_t c) {
                   for (std::int64_t b = 0; b < 2 * groups; ++b) {
                     const std::int64_t block = 2 * first_group + b;
                     if (block >= outputs_.blocks()) break;
                     const float* from = m + (b / 2 * capacity + t - first) * kernels_.width + b % 2 * kernels_.lanes;
                     const std::int64_t column = c * f_.tile, offset = column * kernels_.lanes;
                     BlockEpilogue epilogue;
                     float* to = outputs_.row(in, block, row * f_.tile, epilogue) + offset;
                     epilogue.bias = bias_.data() + block * kernels_.lanes;
                     if (epilogue.add) epilogue.add += offset;
                     if (epilogue.mask) epilogue.mask += offset;
                     const BlockMap& map = outputs_.shape();
                     const std::int64_t rows = std::min(f_.tile, h_ - row * f_.tile);
                     if (row * f_.tile % map.slots + rows <= map.slots) {
                       f_.output(from, stride, count, rows, w_ - column, to, map.pitch, epilogue);
                     } else {
                       fail("block_conv: a tile crosses the end of the map's rows");
                     }
                   }
                 });
  }

  // Every thread takes blocks of tiles through all three steps; the weights are transformed once for all.
  void run_blocks() {
    const std::int64_t k = weights_.inputs();
    Buffer<float> u(groups_ * group_floats());
    parallel_for(groups_, ceil_div(8192, k * 9), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t g = begin; g < end; ++g) transform_weights(g, u.data() + g * group_floats());
    });
    const std::int64_t per_tile = f_.points * (k + groups_ * kernels_.width);
    const std::int64_t most = std::clamp<std::int64_t>(kBlockFloats / per_tile / kernels_.rows, 1, 64 / kernels_.rows);
    const std::int64_t capacity = std::min(most * kernels_.rows, round_up(tiles_, kernels_.rows));
    parallel_for(ceil_div(tiles_, capacity), 1, [&](std::int64_t begin, std::int64_t end) {
      Buffer<float> v(f_.points * input_stride(capacity));
      Buffer<float> m(f_.points * output_stride(capacity, groups_));
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t first = block * capacity, last = std::min(tiles_, first + capacity);
        transform_input(first, last, 0, capacity, v.data());
        multiply(last - first, v.data(), capacity, 0, u.data(), groups_, m.data(), capacity);
        transform_output(first, last, 0, groups_, m.data(), capacity);
      }
    });
  }

  // Many channels: the tiles are transformed once for all threads, which then take the slices of the output channels.
  void run_slices() {
    const std::int64_t super = std::min(kSliceTiles, tiles_);
    const std::int64_t slice = std::min(groups_, kSliceGroups);
    const std::int64_t capacity = 4 * kernels_.rows * ceil_div(24, 4 * kernels_.rows);
    Buffer<float> v(f_.points * input_stride(super));
    for (std::int64_t first = 0; first < tiles_; first += super) {
      const std::int64_t count = std::min(super, tiles_ - first);
      parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
        transform_input(first + begin, first + end, begin, super, v.data());
      });
      parallel_for(ceil_div(groups_, slice), 1, [&](std::int64_t begin, std::int64_t end) {
        Buffer<float> u(slice * group_floats());
        Buffer<float> m(f_.points * output_stride(capacity, slice));
        for (std::int64_t s = begin; s < end; ++s) {
          const std::int64_t groups = std::min(slice, groups_ - s * slice);
          for (std::int64_t g = 0; g < groups; ++g) transform_weights(s * slice + g, u.data() + g * group_floats());
          for (std::int64_t t = 0; t < count; t += capacity) {
            const std::int64_t tiles = std::min(capacity, count - t);
            multiply(tiles, v.data(), super, t, u.data(), groups, m.data(), capacity);
            transform_output(first + t, first + t + tiles, s * slice, groups, m.data(), capacity);
          }
        }
      });
    }
  }

  const BlockKernels& kernels_;
  const WinogradKernels& f_;
  const BlockParts& x_;
  const PackedWeights& weights_;
  const Outputs& outputs_;
  const std::int64_t h_, w_, first_row_, tile_rows_, tile_columns_, tiles_, groups_;
  const Buffer<float> bias_, zeros_;
};

/// Pixels that one call of the products takes.
std::int64_t segment(const BlockKernels& kernels) { return 8 * kernels.rows; }

// Every product reads its pixels where they lie: a chunk is one block at one tap.
void direct_conv(const BlockKernels& kernels, std::int64_t kernel, const BlockParts& x, const PackedWeights& weights,
                 const float* bias, const Outputs& outputs, std::int64_t y0, std::int64_t y1) {
  const BlockMap& shape = outputs.shape();
  const std::int64_t lanes = kernels.lanes, width = kernels.width, k = weights.inputs(), taps = kernel * kernel;
  const std::int64_t groups = ceil_div(outputs.blocks() * lanes, width);
  const std::int64_t depth = std::min(k, lanes);
  const std::int64_t chunks = ceil_div(k, lanes) * taps;
  check(k % depth == 0, "block_conv: ", k, " input channels are not whole blocks of ", lanes);
  Buffer<float> packed(groups * chunks * depth * width);
  parallel_for(groups, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> block(depth * taps * width);
    for (std::int64_t g = begin; g < end; ++g) {
      float* to = packed.data() + g * chunks * depth * width;
      for (std::int64_t k0 = 0; k0 < k; k0 += depth) {
        weights.pack(g * width, k0, k0 + depth, block.data());
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          for (std::int64_t i = 0; i < depth; ++i, to += width) {
            const std::int64_t from = weights.use == WeightUse::kForward ? tap : taps - 1 - tap;
            std::copy_n(block.data() + (i * taps + from) * width, width, to);
          }
        }
      }
    }
  });
  Buffer<float> biases = padded_bias(bias, weights.outputs(), groups * width);
  Buffer<float> zeros = zero_row(x[0]);
  const std::int64_t pad = kernel / 2, rows = y1 - y0;
  parallel_for(shape.n * rows, ceil_div(64, shape.w), [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> c(segment(kernels) * width);
    std::vector<const float*> at(static_cast<std::size_t>(chunks));
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / rows, y = y0 + r % rows;
      for (std::int64_t x0 = 0; x0 < shape.w; x0 += segment(kernels)) {
        const std::int64_t count = std::min(segment(kernels), shape.w - x0);
        auto chunk = at.begin();
        for (std::int64_t block = 0; block < ceil_div(k, lanes); ++block) {
          for (std::int64_t ky = 0; ky < kernel; ++ky) {
            const std::int64_t from = y + ky - pad;
            const float* row = from < 0 || from >= shape.h ? zeros.data() + lanes : x.row(in, block, from);
            for (std::int64_t kx = 0; kx < kernel; ++kx) *chunk++ = row + (x0 + kx - pad) * lanes;
          }
        }
        for (std::int64_t g = 0; g < groups; ++g) {
          kernels.multiply(count, chunks, at.data(), lanes, depth, packed.data() + g * chunks * depth * width,
                           c.data());
          for (std::int64_t half = 0; half < 2 && 2 * g + half < outputs.blocks(); ++half) {
            BlockEpilogue epilogue;
            float* to = outputs.row(in, 2 * g + half, y, epilogue) + x0 * lanes;
            if (epilogue.add) epilogue.add += x0 * lanes;
            if (epilogue.mask) epilogue.mask += x0 * lanes;
            epilogue.bias = biases.data() + (2 * g + half) * lanes;
            kernels.store(c.data() + half * lanes, count, to, lanes, epilogue);
          }
        }
      }
      outputs.clear_margins(in, y);
    }
  });
}

}  // namespace

BlockMap::BlockMap(std::int64_t lane_count, std::int64_t images, std::int64_t channel_count, std::int64_t height,
                   std::int64_t width, std::int64_t slot_count)
    : n(images),
      channels(channel_count),
      h(height),
      w(width),
      slots(slot_count),
      lanes(lane_count),
      pitch((round_up(width, 12) + 2) * lane_count),
      plane(slot_count * pitch),
      image(ceil_div(channel_count, lane_count) * plane) {}

void BlockMap::clear_margins(std::int64_t in, std::int64_t y) const {
  for (std::int64_t block = 0; block < blocks(); ++block) {
    float* to = row(in, block, y);
    std::fill(to - lanes, to, 0.0f);
    std::fill(to + w * lanes, to + pitch - lanes, 0.0f);
  }
}

std::int64_t BlockParts::channels() const {
  std::int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += (*this)[i].channels;
  return sum;
}

std::int64_t BlockParts::blocks() const {
  std::int64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += (*this)[i].blocks();
  return sum;
}

const float* BlockParts::row(std::int64_t in, std::int64_t block, std::int64_t y) const {
  const std::int64_t first = maps[0].blocks();
  return block < first ? maps[0].row(in, block, y) : maps[1].row(in, block - first, y);
}

bool weights_by_slices(std::int64_t ic, std::int64_t oc) { return 64 * ic * oc > kSharedWeightFloats; }

std::int64_t algorithm_rows(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::kWinograd4:
      return 4;
    case ConvAlgorithm::kWinograd6:
      return 6;
    case ConvAlgorithm::kDirect:
      break;
  }
  return 1;
}

ConvAlgorithm choose_algorithm(std::int64_t ic, std::int64_t oc, std::int64_t n, std::int64_t h, std::int64_t w,
                               bool exact) {
  if (exact || ic % kMostLanes != 0 || oc % kMostLanes != 0) return ConvAlgorithm::kDirect;
  // Products of the matrices, transforms of the tiles (a multiply-add for each of about a dozen operations on a value)
  // and of the weights.
  const auto cost = [&](std::int64_t tile) {
    const double points = static_cast<double>((tile + 2) * (tile + 2));
    const double tiles = static_cast<double>(n * ceil_div(h, tile) * ceil_div(w, tile));
    const double in = static_cast<double>(ic), out = static_cast<double>(oc);
    return points * (tiles * (in * out + 12 * (in + out)) + 12 * in * out);
  };
  return cost(4) <= cost(6) ? ConvAlgorithm::kWinograd4 : ConvAlgorithm::kWinograd6;
}

void block_conv(const BlockKernels& kernels, ConvAlgorithm algorithm, std::int64_t kernel, WeightUse use,
                const BlockParts& x, const float* weight, const float* bias, const BlockTarget* targets,
                int target_count, std::int64_t y0, std::int64_t y1) {
  if (y0 >= y1) return;
  const Outputs outputs{targets, target_count, kernels.lanes};
  std::int64_t channels = 0;
  for (int i = 0; i < target_count; ++i) channels += targets[i].map.channels;
  const std::int64_t oc = use == WeightUse::kForward ? channels : x.channels();
  const std::int64_t ic = use == WeightUse::kForward ? x.channels() : channels;
  const PackedWeights weights{kernels, weight, oc, ic, kernel * kernel, use};
  if (algorithm == ConvAlgorithm::kDirect || kernel != 3) {
    return direct_conv(kernels, kernel, x, weights, bias, outputs, y0, y1);
  }
  const WinogradKernels& f = algorithm == ConvAlgorithm::kWinograd4 ? kernels.f4 : kernels.f6;
  WinogradConv(kernels, f, x, weights, bias, outputs, y0, y1).run();
}

void block_project(const BlockKernels& kernels, std::int64_t kernel, WeightUse use, const BlockParts& x,
                   const float* weight, const float* bias, std::int64_t oc, bool sigmoid, float slope, float* const* y,
                   std::int64_t y_image, std::int64_t y0, std::int64_t y1) {
  const std::int64_t lanes = kernels.lanes, ic = x.channels(), taps = kernel * kernel, blocks = x.blocks();
  const std::int64_t chunks = blocks * taps, h = x[0].h, w = x[0].w, pad = kernel / 2;
  Buffer<float> packed(chunks * oc * lanes);
  for (std::int64_t q = 0; q < chunks; ++q) {
    const std::int64_t tap = q % taps;
    for (std::int64_t o = 0; o < oc; ++o) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t i = q / taps * lanes + lane;
        const std::int64_t at =
            use == WeightUse::kForward ? (o * ic + i) * taps + tap : (i * oc + o) * taps + taps - 1 - tap;
        packed[(q * oc + o) * lanes + lane] = i < ic ? weight[at] : 0.0f;
      }
    }
  }
  Buffer<float> biases = padded_bias(bias, oc, 4);
  Buffer<float> zeros = zero_row(x[0]);
  const std::int64_t rows = y1 - y0;
  parallel_for(x[0].n * rows, ceil_div(512, w), [&](std::int64_t begin, std::int64_t end) {
    std::vector<const float*> at(static_cast<std::size_t>(chunks));
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / rows, row_y = y0 + r % rows;
      auto chunk = at.begin();
      for (std::int64_t block = 0; block < blocks; ++block) {
        for (std::int64_t ky = 0; ky < kernel; ++ky) {
          const std::int64_t from = row_y + ky - pad;
          const float* row = from < 0 || from >= h ? zeros.data() + lanes : x.row(in, block, from);
          for (std::int64_t kx = 0; kx < kernel; ++kx) *chunk++ = row + (kx - pad) * lanes;
        }
      }
      float* to[4] = {};
      for (std::int64_t o = 0; o < oc; ++o) to[o] = y[o] + in * y_image + row_y * w;
      kernels.project(w, chunks, at.data(), packed.data(), biases.data(), oc, to);
      for (std::int64_t o = 0; o < oc && sigmoid; ++o) kernels.sigmoid(to[o], w, slope);
    }
  });
}

void block_up(const BlockKernels& kernels, const BlockMap& x, const float* weight, const BlockMap& y, std::int64_t x0,
              std::int64_t x1) {
  const std::int64_t lanes = kernels.lanes, width = kernels.width, ic = x.channels, oc = y.channels;
  const std::int64_t groups = ceil_div(y.blocks(), 2), blocks = x.blocks(), group_floats = ic * width;
  // [group][position in the 2x2 window][ic][width]
  Buffer<float> packed(groups * 4 * group_floats);
  parallel_for(groups, ceil_div(8192, 4 * group_floats), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * 4 * ic; i < end * 4 * ic; ++i) {
      const std::int64_t k = i % ic, position = i / ic % 4, first = i / ic / 4 * width;
      float* to = packed.data() + i * width;
      for (std::int64_t j = 0; j < width; ++j) {
        to[j] = first + j < oc ? weight[(k * oc + first + j) * 4 + position] : 0.0f;
      }
    }
  });
  const std::int64_t rows = x1 - x0;
  parallel_for(x.n * rows, ceil_div(64, x.w), [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> c(segment(kernels) * width);
    std::vector<const float*> at(static_cast<std::size_t>(blocks));
    const BlockEpilogue plain;
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / rows, from = x0 + r % rows;
      for (std::int64_t first = 0; first < x.w; first += segment(kernels)) {
        for (std::int64_t b = 0; b < blocks; ++b) {
          at[static_cast<std::size_t>(b)] = x.row(in, b, from) + first * lanes;
        }
        const std::int64_t count = std::min(segment(kernels), x.w - first);
        for (std::int64_t i = 0; i < groups * 4; ++i) {
          const std::int64_t position = i % 4, to_y = 2 * from + position / 2;
          const std::int64_t stored = std::min(count, ceil_div(y.w - position % 2, 2) - first);
          if (to_y >= y.h || stored <= 0) continue;
          kernels.multiply(count, blocks, at.data(), lanes, lanes, packed.data() + i * group_floats, c.data());
          for (std::int64_t half = 0; half < 2 && i / 4 * 2 + half < y.blocks(); ++half) {
            float* to = y.row(in, i / 4 * 2 + half, to_y) + (2 * first + position % 2) * lanes;
            kernels.store(c.data() + half * lanes, stored, to, 2 * lanes, plain);
          }
        }
      }
      for (std::int64_t to_y = 2 * from; to_y < std::min(y.h, 2 * from + 2); ++to_y) y.clear_margins(in, to_y);
    }
  });
}

void block_pool(const BlockKernels& kernels, const BlockMap& x, const BlockMap& y, std::int64_t y0, std::int64_t y1) {
  const std::int64_t rows = y1 - y0;
  parallel_for(y.n * rows, ceil_div(512, y.w), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / rows, to = y0 + r % rows;
      for (std::int64_t block = 0; block < y.blocks(); ++block) {
        const float* bottom = 2 * to + 1 < x.h ? x.row(in, block, 2 * to + 1) : nullptr;
        kernels.pool_row(x.row(in, block, 2 * to), bottom, x.w, y.row(in, block, to));
      }
      y.clear_margins(in, to);
    }
  });
}

void block_pack(const float* x, std::int64_t x_image, std::int64_t channels, std::int64_t first, bool whole,
                const BlockMap& y, std::int64_t y0, std::int64_t y1) {
  const std::int64_t rows = y1 - y0, lanes = y.lanes;
  const std::int64_t end_lane = whole ? lanes : first + channels;
  parallel_for(y.n * rows, ceil_div(1024, y.w), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / rows, at = y0 + r % rows;
      float* to = y.row(in, 0, at);
      for (std::int64_t lane = first; lane < end_lane; ++lane) {
        const std::int64_t c = lane - first;
        if (c < channels) {
          const float* from = x + in * x_image + (c * y.h + at) * y.w;
          for (std::int64_t i = 0; i < y.w; ++i) to[i * lanes + lane] = from[i];
        } else {
          for (std::int64_t i = 0; i < y.w; ++i) to[i * lanes + lane] = 0;
        }
      }
      if (whole) y.clear_margins(in, at);
    }
  });
}

}  // namespace kind
