// Long because both tile sizes and the forward, input-gradient and weight-gradient passes share the slicing of tiles and
// transformed weights.

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/kernels/block_detail.h"

namespace kind {
namespace {

// Transformed weights up to this size are made once and shared; larger ones are made slice by slice where they are
// used, so that they stay in the cache and 190 MiB of them never exist.
constexpr std::int64_t kSharedWeightFloats = 640 * 1024;
// Transformed tiles and products of one block, so that they stay in the second-level cache. Where the machine tells its
// size a convolution takes three fifths of that; a gradient's sums are cut alike on all machines.
constexpr std::int64_t kBlockFloats = 96 * 1024;

std::int64_t block_floats() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const std::int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return std::clamp<std::int64_t>(bytes * 3 / 5 / 4, 64 * 1024, 160 * 1024);
#endif
  return kBlockFloats;
}

// About as many tiles keep their transform while the slices of the weights pass them: more would leave the third-level
// cache, fewer would transform the weights again too often.
constexpr std::int64_t kSliceTiles = 112;
// Tiles whose products are kept while one slice's weights pass them.
constexpr std::int64_t kSliceBlock = 24;
// Output channels of a slice, in products' columns.
constexpr std::int64_t kSliceGroups = 2;
// Up to this size all slices' weights are made at once for all threads, which then share out the tiles instead of the
// slices, this many at a time: their own tiles stay in their own caches.
constexpr std::int64_t kAllSlicesFloats = 2304 * 1024;
constexpr std::int64_t kPartTiles = 48;

// The distance between the matrices of two points is an odd number of cache lines, or they would compete for the same
// cache sets.
constexpr std::int64_t odd_lines(std::int64_t floats) { return floats + 16 * ((floats / 16 + 1) % 2); }

/// The tiles of some rows of a picture (or of a batch of them), numbered row by row in the order in which threads share
/// them out.
struct TileGrid {
  const BlockKernels& kernels;
  const WinogradKernels& f;
  const BlockParts& x;
  std::int64_t first_row, rows, columns;  // in tiles
  SharedRows order;
  Buffer<float> zeros;

  TileGrid(const BlockKernels& k, const WinogradKernels& tiles_of, const BlockParts& parts, std::int64_t y0,
           std::int64_t y1)
      : kernels(k),
        f(tiles_of),
        x(parts),
        first_row(y0 / f.tile),
        rows(ceil_div(y1, f.tile) - y0 / f.tile),
        columns(ceil_div(parts[0].w, f.tile)),
        order(parts[0].n, first_row, first_row + rows, parts[0].band, f.tile),
        zeros(zero_row(parts[0])) {}

  std::int64_t size() const { return x[0].n * rows * columns; }

  std::int64_t input_stride(std::int64_t capacity) const { return odd_lines(x.blocks() * capacity * kernels.lanes); }
  std::int64_t output_stride(std::int64_t capacity, std::int64_t groups) const {
    return odd_lines(groups * capacity * kernels.width);
  }

  /// Calls run(tile, count, image, tile row, tile column) for the runs of tiles of one row in first <= tile < end.
  template <class Run>
  void for_each_run(std::int64_t first, std::int64_t end, const Run& run) const {
    for (std::int64_t t = first; t < end;) {
      const std::int64_t column = t % columns;
      const auto [image, row] = order[t / columns];
      const std::int64_t count = std::min(columns - column, end - t);
      run(t, count, image, row, column);
      t += count;
    }
  }

  /// v[point][group][block][tile of the group][lane] of tiles first <= t < end, at tile `to` of v, which has room for
  /// `capacity`, a multiple of `group`.
  void transform_input(std::int64_t first, std::int64_t end, std::int64_t to, std::int64_t capacity, std::int64_t group,
                       float* v) const {
    const std::int64_t stride = input_stride(capacity), h = x[0].h;
    for_each_run(first, end,
                 [&](std::int64_t t, std::int64_t count, std::int64_t in, std::int64_t row, std::int64_t c) {
                   const float *patch[8], *next[8] = {};
                   const auto place = [&](std::int64_t block, const float** rows_of) {
                     for (std::int64_t r = 0; r < f.tile + 2; ++r) {
                       const std::int64_t y = row * f.tile - 1 + r;
                       const float* from = y < 0 || y >= h ? zeros.data() + kernels.lanes : x.row(in, block, y);
                       rows_of[r] = from + (c * f.tile - 1) * kernels.lanes;
                     }
                   };
                   place(0, next);
                   for (std::int64_t block = 0; block < x.blocks(); ++block) {
                     std::copy_n(next, 8, patch);
                     if (block + 1 < x.blocks()) place(block + 1, next);
                     f.input(patch, next, count, to + t - first, group, x.blocks() * group * kernels.lanes,
                             v + block * group * kernels.lanes, stride);
                   }
                 });
  }
};

/// From one point's matrix of a group's weights, [k][width], to the next.
std::int64_t weight_stride(std::int64_t inputs, std::int64_t width) { return odd_lines(inputs * width); }

/// u[point][k][width] of one group of output channels.
void transform_weights(const WinogradKernels& f, const PackedWeights& weights, std::int64_t group, float* u) {
  constexpr std::int64_t kDepth = 32;
  const std::int64_t width = weights.kernels.width, inputs = weights.inputs();
  const bool turned = weights.use == WeightUse::kInputGradient;
  Buffer<float> packed(kDepth * 9 * width);
  for (std::int64_t k = 0; k < inputs; k += kDepth) {
    const std::int64_t end = std::min(inputs, k + kDepth);
    weights.pack(group * width, k, end, packed.data());
    f.weight(packed.data() + (turned ? 8 * width : 0), turned ? -width : width, end - k, u + k * width,
             weight_stride(inputs, width));
  }
}

/// The same of all groups, one after the other.
void transform_all_weights(const WinogradKernels& f, const PackedWeights& weights, float* u) {
  const std::int64_t width = weights.kernels.width, group_floats = f.points * weight_stride(weights.inputs(), width);
  parallel_for(ceil_div(weights.outputs(), width), ceil_div(8192, weights.inputs() * 9),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t g = begin; g < end; ++g) transform_weights(f, weights, g, u + g * group_floats);
               });
}

/// Winograd's convolution of a set of tile rows.
class WinogradConv {
 public:
  WinogradConv(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x, const PackedWeights& weights,
               const float* bias, const ConvTargets& outputs, std::int64_t y0, std::int64_t y1)
      : kernels_(kernels),
        f_(f),
        grid_(kernels, f, x, y0, y1),
        weights_(weights),
        outputs_(outputs),
        h_(outputs.shape().h),
        w_(outputs.shape().w),
        tiles_(grid_.size()),
        groups_(ceil_div(outputs.blocks() * kernels.lanes, kernels.width)),
        bias_(padded_bias(bias, weights.outputs(), groups_ * kernels.width)) {}

  void run(const float* prepared) {
    if (prepared) {
      run_blocks(prepared);
    } else if (f_.points * weights_.inputs() * groups_ * kernels_.width <= kSharedWeightFloats) {
      Buffer<float> u(groups_ * group_floats());
      transform_all_weights(f_, weights_, u.data());
      run_blocks(u.data());
    } else if (groups_ * kernels_.width <= tiles_ && groups_ * group_floats() <= kAllSlicesFloats) {
      run_parts();
    } else {
      run_slices();
    }
    const std::int64_t rows = outputs_.shape().n * grid_.rows;
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t y = (grid_.first_row + r % grid_.rows) * f_.tile;
      for (std::int64_t i = 0; i < std::min(f_.tile, h_ - y); ++i) outputs_.clear_margins(r / grid_.rows, y + i);
    }
  }

 private:
  std::int64_t group_floats() const { return f_.points * weight_stride(weights_.inputs(), kernels_.width); }

  /// m[point][group][capacity][width] = v u for `count` tiles from tile `from` of v on, a multiple of a group.
  void multiply(std::int64_t count, const float* v, std::int64_t v_capacity, std::int64_t from, const float* u,
                std::int64_t groups, float* m, std::int64_t m_capacity) const {
    const std::int64_t blocks = grid_.x.blocks(), matrix = weights_.inputs() * kernels_.width;
    const std::int64_t tile_floats = count * blocks * kernels_.lanes, point = grid_.input_stride(v_capacity);
    const auto weights = [&](std::int64_t p, std::int64_t g) {
      return u + g * group_floats() + p * weight_stride(weights_.inputs(), kernels_.width);
    };
    for (std::int64_t p = 0; p < f_.points; ++p) {
      const float* tiles = v + p * point + from * blocks * kernels_.lanes;
      for (std::int64_t g = 0; g < groups; ++g) {
        // The weights of the next product, and of the next point's tiles a share.
        const bool last = g + 1 == groups, end = p + 1 == f_.points;
        BlockAhead ahead;
        ahead.b = end && last ? u : weights(last ? p + 1 : p, last ? 0 : g + 1);
        ahead.b_end = ahead.b + matrix;
        if (!end) {
          ahead.a = tiles + point + tile_floats * g / groups;
          ahead.a_end = tiles + point + tile_floats * (g + 1) / groups;
        }
        kernels_.multiply_groups(count, blocks, tiles, weights(p, g),
                                 m + p * grid_.output_stride(m_capacity, groups) + g * m_capacity * kernels_.width,
                                 ahead);
      }
    }
  }

  void transform_output(std::int64_t first, std::int64_t end, std::int64_t first_group, std::int64_t groups,
                        const float* m, std::int64_t capacity) const {
    const std::int64_t stride = grid_.output_stride(capacity, groups);
    grid_.for_each_run(
        first, end, [&](std::int64_t t, std::int64_t count, std::int64_t in, std::int64_t row, std::int64_t c) {
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
  void run_blocks(const float* u) {
    const std::int64_t k = weights_.inputs();
    const std::int64_t per_tile = f_.points * (k + groups_ * kernels_.width);
    const std::int64_t most =
        std::clamp<std::int64_t>(block_floats() / per_tile / kernels_.rows, 1, 64 / kernels_.rows);
    const std::int64_t capacity = std::min(most * kernels_.rows, round_up(tiles_, kernels_.rows));
    parallel_for(ceil_div(tiles_, capacity), 1, [&](std::int64_t begin, std::int64_t end) {
      Buffer<float> v(f_.points * grid_.input_stride(capacity));
      Buffer<float> m(f_.points * grid_.output_stride(capacity, groups_));
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t first = block * capacity, last = std::min(tiles_, first + capacity);
        grid_.transform_input(first, last, 0, capacity, kernels_.rows, v.data());
        multiply(last - first, v.data(), capacity, 0, u, groups_, m.data(), capacity);
        transform_output(first, last, 0, groups_, m.data(), capacity);
      }
    });
  }

  /// The first `count` tiles of v, which are tiles `first` and on of the grid, times a slice's weights.
  void multiply_slice(std::int64_t first, std::int64_t count, const float* v, std::int64_t v_capacity,
                      std::int64_t slice, const float* u, float* m, std::int64_t m_capacity) const {
    const std::int64_t group = slice * kSliceGroups, groups = std::min(kSliceGroups, groups_ - group);
    for (std::int64_t t = 0; t < count; t += m_capacity) {
      const std::int64_t tiles = std::min(m_capacity, count - t);
      multiply(tiles, v, v_capacity, t, u, groups, m, m_capacity);
      transform_output(first + t, first + t + tiles, group, groups, m, m_capacity);
    }
  }
  std::int64_t slices() const { return ceil_div(groups_, kSliceGroups); }
  std::int64_t slice_floats() const { return std::min(groups_, kSliceGroups) * group_floats(); }
  std::int64_t slice_tiles() const { return kernels_.rows * ceil_div(kSliceBlock, kernels_.rows); }
  Buffer<float> slice_products() const {
    return Buffer<float>(f_.points * grid_.output_stride(slice_tiles(), std::min(groups_, kSliceGroups)));
  }

  // More tiles than output channels, so that the weights are the smaller part: all of them are transformed for all
  // threads, which take parts of the tiles through all slices.
  void run_parts() {
    Buffer<float> u(groups_ * group_floats());
    transform_all_weights(f_, weights_, u.data());
    const std::int64_t parts = round_up(ceil_div(tiles_, kPartTiles), num_threads());
    const std::int64_t part = round_up(ceil_div(tiles_, parts), kernels_.rows);
    parallel_for(ceil_div(tiles_, part), 1, [&](std::int64_t begin, std::int64_t end) {
      Buffer<float> v(f_.points * grid_.input_stride(part)), m = slice_products();
      for (std::int64_t first = begin * part; first < std::min(tiles_, end * part); first += part) {
        const std::int64_t count = std::min(part, tiles_ - first);
        grid_.transform_input(first, first + count, 0, part, kernels_.rows, v.data());
        for (std::int64_t s = 0; s < slices(); ++s) {
          multiply_slice(first, count, v.data(), part, s, u.data() + s * slice_floats(), m.data(), slice_tiles());
        }
      }
    });
  }

  // Many channels: the tiles are transformed once for all threads, which then take the slices of the output channels.
  void run_slices() {
    // Shared out evenly and rounded up to whole products, so that the last time is worth the transform of the weights.
    const std::int64_t times = std::max<std::int64_t>(1, ceil_div(tiles_, kSliceTiles));
    const std::int64_t super =
        std::min(round_up(ceil_div(tiles_, times), slice_tiles()), round_up(tiles_, kernels_.rows));
    Buffer<float> v(f_.points * grid_.input_stride(super));
    for (std::int64_t first = 0; first < tiles_; first += super) {
      const std::int64_t count = std::min(super, tiles_ - first);
      parallel_for(count, 4, [&](std::int64_t begin, std::int64_t end) {
        grid_.transform_input(first + begin, first + end, begin, super, kernels_.rows, v.data());
      });
      parallel_for(slices(), 1, [&](std::int64_t begin, std::int64_t end) {
        Buffer<float> u(slice_floats()), m = slice_products();
        for (std::int64_t s = begin; s < end; ++s) {
          for (std::int64_t g = s * kSliceGroups; g < std::min(groups_, (s + 1) * kSliceGroups); ++g) {
            transform_weights(f_, weights_, g, u.data() + g % kSliceGroups * group_floats());
          }
          multiply_slice(first, count, v.data(), super, s, u.data(), m.data(), slice_tiles());
        }
      });
    }
  }

  const BlockKernels& kernels_;
  const WinogradKernels& f_;
  const TileGrid grid_;
  const PackedWeights& weights_;
  const ConvTargets& outputs_;
  const std::int64_t h_, w_, tiles_, groups_;
  const Buffer<float> bias_;
};

// Sums of one part of a pair's tiles, for all points: what different parts may hold together.
constexpr std::int64_t kPartFloats = 4 * 1024 * 1024;
constexpr std::int64_t kMostParts = 16;
// Tiles that are worth the memory of a part.
constexpr std::int64_t kLeastTiles = 96;
// Sums of all points that stay in the second-level cache while a pair's tiles pass them.
constexpr std::int64_t kCachedFloats = 192 * 1024;

/// The gradient to a 3x3 weight by the transposes of the same transforms: dU = V^T (A dy A^T) at each point, summed
/// over the tiles of a pair, and dw = G^T dU G, summed over the pairs in the order of merge_pairs.
class WinogradWeightGradient {
 public:
  WinogradWeightGradient(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x, const BlockMap& dy,
                         std::int64_t pairs)
      : kernels_(kernels),
        f_(f),
        grid_(kernels, f, x, 0, dy.h),
        dy_(dy),
        pairs_(pairs),
        of_picture_(grid_.rows * grid_.columns),
        of_pair_(of_picture_ * (dy.n / pairs)),
        ic_(x.channels()),
        groups_(ceil_div(dy.blocks(), 2)) {}

  void run(float* dweight) const {
    // By the sizes of one pair alone, since its share must not depend on the others.
    const std::int64_t numbers = groups_ * f_.points * ic_ * kernels_.width;
    const std::int64_t parts =
        std::clamp<std::int64_t>(std::min(kPartFloats / numbers, of_pair_ / kLeastTiles), 1, kMostParts);
    if (parts > 1 || numbers <= kCachedFloats) {
      run_parts(parts, dweight);
    } else {
      run_blocks(dweight);
    }
  }

 private:
  // [point][input channel][width], the points odd_lines apart
  std::int64_t point_floats() const { return odd_lines(ic_ * kernels_.width); }
  std::int64_t group_floats() const { return f_.points * point_floats(); }
  std::int64_t sums() const { return groups_ * group_floats(); }

  /// d[point][group][capacity][width] of tiles first <= t < end, at tile `to` of d.
  void transform_gradient(std::int64_t first, std::int64_t end, std::int64_t to, std::int64_t capacity,
                          float* d) const {
    const std::int64_t stride = grid_.output_stride(capacity, groups_);
    const auto run = [&](std::int64_t t, std::int64_t count, std::int64_t in, std::int64_t row, std::int64_t c) {
      for (std::int64_t block = 0; block < dy_.blocks(); ++block) {
        float* at = d + (block / 2 * capacity + to + t - first) * kernels_.width + block % 2 * kernels_.lanes;
        f_.output_gradient(dy_.row(in, block, row * f_.tile) + c * f_.tile * kernels_.lanes, dy_.pitch, count,
                           std::min(f_.tile, dy_.h - row * f_.tile), dy_.w - c * f_.tile, at, stride);
      }
    };
    grid_.for_each_run(first, end, run);
  }

  /// Calls use(first, end) for the tiles of the grid that are tiles first <= t < end of a pair.
  template <class Use>
  void for_each_picture(std::int64_t pair, std::int64_t first, std::int64_t end, const Use& use) const {
    while (first < end) {
      const std::int64_t next = std::min(end, (first / of_picture_ + 1) * of_picture_);
      const std::int64_t at = (pair + first / of_picture_ * pairs_) * of_picture_ + first % of_picture_;
      use(at, at + next - first);
      first = next;
    }
  }

  /// Adds tiles from..from+count of what is transformed to one point's sums of one input block and one group; the first
  /// tiles (`fresh`) overwrite them.
  void add(std::int64_t point, std::int64_t block, std::int64_t g, std::int64_t from, std::int64_t count,
           std::int64_t capacity, const float* v, const float* d, float* du, bool fresh) const {
    kernels_.accumulate(count, v + point * grid_.input_stride(capacity) + (block * capacity + from) * kernels_.lanes,
                        d + point * grid_.output_stride(capacity, groups_) + (g * capacity + from) * kernels_.width, du,
                        fresh);
  }

  // Few channels: every thread sums whole parts of the tiles of a pair.
  void run_parts(std::int64_t parts, float* dweight) const {
    const std::int64_t leaf = ic_ * 9 * kernels_.width;  // of a pair and a group
    Buffer<float> leaves(pairs_ * groups_ * leaf);
    const std::int64_t at_once = std::clamp<std::int64_t>(2 * kPartFloats / (parts * sums()), 1, pairs_);
    Buffer<float> du(at_once * parts * sums());
    for (std::int64_t first = 0; first < pairs_; first += at_once) {
      const std::int64_t count = std::min(at_once, pairs_ - first);
      sum_parts(first, count, parts, du.data());
      parallel_for(count * groups_, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          float* to = du.data() + i / groups_ * parts * sums() + i % groups_ * group_floats();
          for (std::int64_t part = 1; part < parts; ++part) {
            const float* from = to + part * sums();
            for (std::int64_t k = 0; k < group_floats(); ++k) to[k] += from[k];
          }
          transform_sums(to, ic_, point_floats(), leaves.data() + (first * groups_ + i) * leaf);
        }
      });
    }
    parallel_for(groups_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t g = begin; g < end; ++g) {
        store(g, 0, ic_, merged(leaves.data() + g * leaf, groups_ * leaf, leaf), dweight);
      }
    });
  }

  void sum_parts(std::int64_t first_pair, std::int64_t pairs, std::int64_t parts, float* du) const {
    const std::int64_t per_tile = f_.points * (ic_ + groups_ * kernels_.width);
    const std::int64_t capacity = std::clamp<std::int64_t>(kBlockFloats / per_tile, 8, 64);
    parallel_for(pairs * parts, 1, [&](std::int64_t begin, std::int64_t end) {
      Buffer<float> v(f_.points * grid_.input_stride(capacity));
      Buffer<float> d(f_.points * grid_.output_stride(capacity, groups_));
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t part = task % parts;
        float* to = du + task * sums();
        std::fill(to, to + sums(), 0.0f);
        const std::int64_t last = of_pair_ * (part + 1) / parts;
        for (std::int64_t t = of_pair_ * part / parts; t < last; t += capacity) {
          const std::int64_t count = std::min(capacity, last - t);
          std::int64_t at = 0;
          for_each_picture(first_pair + task / parts, t, t + count, [&](std::int64_t from, std::int64_t next) {
            grid_.transform_input(from, next, at, capacity, capacity, v.data());
            transform_gradient(from, next, at, capacity, d.data());
            at += next - from;
          });
          for (std::int64_t p = 0; p < f_.points; ++p) {
            for (std::int64_t g = 0; g < groups_; ++g) {
              for (std::int64_t block = 0; block < grid_.x.blocks(); ++block) {
                float* sum = to + g * group_floats() + p * point_floats() + block * kernels_.lanes * kernels_.width;
                add(p, block, g, 0, count, capacity, v.data(), d.data(), sum, false);
              }
            }
          }
        }
      }
    });
  }

  // Many channels: the tiles are transformed once for all threads, which then take some input blocks of a group, so few
  // that the sums of a pair stay in the cache until they are transformed.
  void run_blocks(float* dweight) const {
    const std::int64_t tiles = grid_.size(), lanes = kernels_.lanes, width = kernels_.width;
    const std::int64_t blocks = grid_.x.blocks(), point = odd_lines(lanes * width);
    const std::int64_t block_sums = f_.points * point, leaf = lanes * 9 * width;
    Buffer<float> v(f_.points * grid_.input_stride(tiles));
    Buffer<float> d(f_.points * grid_.output_stride(tiles, groups_));
    parallel_for(tiles, 4, [&](std::int64_t begin, std::int64_t end) {
      grid_.transform_input(begin, end, begin, tiles, tiles, v.data());
      transform_gradient(begin, end, begin, tiles, d.data());
    });
    const std::int64_t most = std::min(kBlockFloats / block_sums, blocks * groups_ / (2 * num_threads()));
    const std::int64_t some = std::clamp<std::int64_t>(most, 1, blocks), tasks = ceil_div(blocks, some);
    parallel_for(groups_ * tasks, 1, [&](std::int64_t begin, std::int64_t end) {
      Buffer<float> du(some * block_sums), leaves(pairs_ * some * leaf);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t g = task / tasks, first = task % tasks * some, count = std::min(some, blocks - first);
        for (std::int64_t pair = 0; pair < pairs_; ++pair) {
          bool fresh = true;
          for_each_picture(pair, 0, of_pair_, [&](std::int64_t from, std::int64_t next) {
            for (std::int64_t p = 0; p < f_.points; ++p) {
              for (std::int64_t b = 0; b < count; ++b) {
                add(p, first + b, g, from, next - from, tiles, v.data(), d.data(),
                    du.data() + b * block_sums + p * point, fresh);
              }
            }
            fresh = false;
          });
          for (std::int64_t b = 0; b < count; ++b) {
            transform_sums(du.data() + b * block_sums, lanes, point, leaves.data() + (pair * some + b) * leaf);
          }
        }
        store(g, first * lanes, count * lanes, merged(leaves.data(), some * leaf, count * leaf), dweight);
      }
    });
  }

  /// dw[k][9][width] = G^T du G of k < count input channels of one group.
  void transform_sums(const float* du, std::int64_t count, std::int64_t stride, float* dw) const {
    std::fill(dw, dw + count * 9 * kernels_.width, 0.0f);
    f_.weight_gradient(du, count, stride, dw);
  }

  /// The sum of all pairs' leaves of `floats` numbers, `stride` apart; they are overwritten.
  const float* merged(float* leaves, std::int64_t stride, std::int64_t floats) const {
    merge_pairs(0, pairs_, [=](std::int64_t into, std::int64_t from) {
      float* to = leaves + into * stride;
      const float* add = leaves + from * stride;
      for (std::int64_t i = 0; i < floats; ++i) to[i] += add[i];
    });
    return leaves;
  }

  /// One group's sums [k][9][width] of input channels first <= k < first + count to dweight [oc, ic, 3, 3].
  void store(std::int64_t g, std::int64_t first, std::int64_t count, const float* dw, float* dweight) const {
    const std::int64_t width = kernels_.width, lanes = std::min(width, dy_.channels - g * width);
    for (std::int64_t j = 0; j < lanes; ++j) {
      float* to = dweight + ((g * width + j) * ic_ + first) * 9;
      for (std::int64_t i = 0; i < count * 9; ++i) to[i] = dw[i * width + j];
    }
  }

  const BlockKernels& kernels_;
  const WinogradKernels& f_;
  const TileGrid grid_;
  const BlockMap& dy_;
  const std::int64_t pairs_;
  const std::int64_t of_picture_, of_pair_;  // tiles
  const std::int64_t ic_, groups_;
};

}  // namespace

std::int64_t prepared_floats(const BlockKernels& kernels, ConvAlgorithm algorithm, std::int64_t ic, std::int64_t oc) {
  if (algorithm == ConvAlgorithm::kDirect) return 0;
  const std::int64_t points = algorithm == ConvAlgorithm::kWinograd4 ? kernels.f4.points : kernels.f6.points;
  if (points * ic * round_up(oc, kernels.width) > kSharedWeightFloats) return 0;
  return points * weight_stride(ic, kernels.width) * ceil_div(oc, kernels.width);
}

void prepare_weights(const BlockKernels& kernels, ConvAlgorithm algorithm, const float* weight, std::int64_t ic,
                     std::int64_t oc, float* prepared) {
  const WinogradKernels& f = algorithm == ConvAlgorithm::kWinograd4 ? kernels.f4 : kernels.f6;
  transform_all_weights(f, {kernels, weight, oc, ic, 9, WeightUse::kForward}, prepared);
}

bool weights_by_slices(std::int64_t ic, std::int64_t oc) { return 64 * ic * oc > kSharedWeightFloats; }

void winograd_conv(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x,
                   const PackedWeights& weights, const float* bias, const ConvTargets& outputs, std::int64_t y0,
                   std::int64_t y1, const float* prepared) {
  WinogradConv(kernels, f, x, weights, bias, outputs, y0, y1).run(prepared);
}

void winograd_weight_gradient(const BlockKernels& kernels, const WinogradKernels& f, const BlockParts& x,
                              const BlockMap& dy, std::int64_t pairs, float* dweight) {
  WinogradWeightGradient(kernels, f, x, dy, pairs).run(dweight);
}

}  // namespace kind
