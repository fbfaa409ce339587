#include <algorithm>
#include <vector>

#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/kernels/block_detail.h"

namespace kind {
namespace {

// Pixels of one strip: the rows of one input block and two output blocks stay in the first-level cache.
constexpr std::int64_t kStripPixels = 512;
// A pair's sum over strips is cut into parts that different threads can take; where it is cut depends on the sizes alone.
constexpr std::int64_t kMostParts = 16;
constexpr std::int64_t kPartFloats = 512 * 1024;
// Sums of several pairs that are held at once.
constexpr std::int64_t kHeldFloats = 16 * 1024 * 1024;

/// The weight gradient of `taps` x `taps` kernels, or of the 2x2 stride-2 transposed convolution, as sums over strips.
struct StripSums {
  const BlockKernels& kernels;
  BlockParts x;
  BlockMap dy;
  std::int64_t tap_rows;   // 1 or 3: rows of taps around a pixel; 2: transposed convolution
  std::int64_t taps;       // columns that one strip makes: 1 or 3
  std::int64_t positions;  // (tap row, tap column group) pairs
  std::int64_t ic, oc;
  std::int64_t pairs;  // image i belongs to pair i % pairs

  std::int64_t lanes() const { return kernels.lanes; }
  std::int64_t inputs() const { return strip_inputs(taps); }
  std::int64_t input_groups() const {
    return ceil_div(std::min(ic, lanes()), inputs());
  }                                                                  // groups of input lanes in a block
  std::int64_t columns() const { return ceil_div(dy.blocks(), 2); }  // pairs of output blocks
  std::int64_t strip_floats() const { return taps * inputs() * 2 * lanes(); }
  /// Sums of one input block: [position][pair of output blocks][group of input lanes][strip].
  std::int64_t block_floats() const { return positions * columns() * input_groups() * strip_floats(); }
  bool transposed() const { return tap_rows == 2; }

  /// Adds the rows r0 <= r < r1 of a pair (its images' rows, one image after the other) to `sums`.
  void add_rows(std::int64_t pair_number, std::int64_t block, std::int64_t r0, std::int64_t r1, float* sums) const {
    const std::int64_t h = x[0].h;
    std::vector<const float*> from, to0, to1;
    for (std::int64_t position = 0; position < positions; ++position) {
      for (std::int64_t column = 0; column < columns(); ++column) {
        const std::int64_t second = std::min(2 * column + 1, dy.blocks() - 1);
        from.clear();
        to0.clear();
        to1.clear();
        for (std::int64_t r = r0; r < r1; ++r) {
          const std::int64_t in = pair_number + r / h * pairs, y = r % h;
          if (transposed()) {
            const std::int64_t dy_row = 2 * y + position / 2;
            if (dy_row >= dy.h) continue;
            from.push_back(x.row(in, block, y));
            to0.push_back(dy.row(in, 2 * column, dy_row) + position % 2 * lanes());
            to1.push_back(dy.row(in, second, dy_row) + position % 2 * lanes());
          } else {
            const std::int64_t x_row = y + position - tap_rows / 2;
            if (x_row < 0 || x_row >= h) continue;
            from.push_back(x.row(in, block, x_row) - taps / 2 * lanes());
            to0.push_back(dy.row(in, 2 * column, y));
            to1.push_back(dy.row(in, second, y));
          }
        }
        const std::int64_t count = transposed() ? ceil_div(dy.w - position % 2, 2) : x[0].w;
        for (std::int64_t pair = 0; pair < input_groups(); ++pair) {
          float* c = sums + ((position * columns() + column) * input_groups() + pair) * strip_floats();
          for (const float*& row : from) row += pair == 0 ? 0 : inputs();
          kernels.weight_strip(taps, static_cast<std::int64_t>(from.size()), count, from.data(), 1, to0.data(),
                               to1.data(), transposed() ? 2 : 1, c);
        }
      }
    }
  }

  /// store(ic, oc, position, tap) gets each sum.
  template <class Store>
  void scatter(std::int64_t block, const float* sums, const Store& store) const {
    for (std::int64_t position = 0; position < positions; ++position) {
      for (std::int64_t column = 0; column < columns(); ++column) {
        for (std::int64_t pair = 0; pair < input_groups(); ++pair) {
          for (std::int64_t i = 0; i < strip_floats(); ++i, ++sums) {
            const std::int64_t lane = i % lanes(), j = i / lanes() % 2, nth = i / lanes() / 2 % inputs();
            const std::int64_t in = block * lanes() + inputs() * pair + nth, out = (2 * column + j) * lanes() + lane;
            if (in < ic && out < oc && 2 * column + j < dy.blocks())
              store(in, out, position, i / lanes() / 2 / inputs(), *sums);
          }
        }
      }
    }
  }

  /// Sums of all blocks over `count` pairs from pair `first` on.
  void sum_pairs(std::int64_t first, std::int64_t count, float* to) const {
    const std::int64_t all = x.blocks() * block_floats();
    if (count > 1 && count * all > kHeldFloats) {
      const std::int64_t half = (count + 1) / 2;  // as merge_pairs halves them
      Buffer<float> others(all);
      sum_pairs(first, half, to);
      sum_pairs(first + half, count - half, others.data());
      const float* from = others.data();
      parallel_for(all, 32768, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) to[i] += from[i];
      });
      return;
    }
    const std::int64_t rows = x[0].n / pairs * x[0].h, strip = std::max<std::int64_t>(1, kStripPixels / x[0].w);
    const std::int64_t strips = ceil_div(rows, strip), blocks = x.blocks();
    const std::int64_t parts = std::clamp<std::int64_t>(std::min(kPartFloats / all, strips / 4), 1, kMostParts);
    Buffer<float> sums(count * parts * all);  // [pair][part][block]
    parallel_for(count * parts * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t part = task / blocks % parts;
        float* own = sums.data() + task * block_floats();
        std::fill(own, own + block_floats(), 0.0f);
        for (std::int64_t s = strips * part / parts; s < strips * (part + 1) / parts; ++s) {
          add_rows(first + task / blocks / parts, task % blocks, s * strip, std::min(rows, (s + 1) * strip), own);
        }
      }
    });
    parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        const auto at = [&](std::int64_t pair, std::int64_t part) {
          return sums.data() + ((pair * parts + part) * blocks + block) * block_floats();
        };
        const auto add = [&](float* into, const float* from) {
          for (std::int64_t i = 0; i < block_floats(); ++i) into[i] += from[i];
        };
        for (std::int64_t pair = 0; pair < count; ++pair) {
          for (std::int64_t part = 1; part < parts; ++part) add(at(pair, 0), at(pair, part));
        }
        merge_pairs(0, count, [&](std::int64_t into, std::int64_t from) { add(at(into, 0), at(from, 0)); });
        std::copy_n(at(0, 0), block_floats(), to + block * block_floats());
      }
    });
  }

  template <class Store>
  void run(const Store& store) const {
    Buffer<float> sums(x.blocks() * block_floats());
    sum_pairs(0, pairs, sums.data());
    parallel_for(x.blocks(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        scatter(block, sums.data() + block * block_floats(), store);
      }
    });
  }
};

void bias_gradient(const BlockKernels& kernels, const BlockMap& dy, std::int64_t pairs, float* dbias) {
  parallel_for(dy.blocks(), ceil_div(16384, dy.n * dy.h * dy.w), [&](std::int64_t begin, std::int64_t end) {
    alignas(kAlignment) float row[kMostLanes];
    Buffer<float> of_pairs(pairs * dy.lanes);
    for (std::int64_t block = begin; block < end; ++block) {
      for (std::int64_t pair = 0; pair < pairs; ++pair) {
        double sums[kMostLanes] = {};
        for (std::int64_t r = 0; r < dy.n / pairs * dy.h; ++r) {
          std::fill(row, row + kMostLanes, 0.0f);
          kernels.sum_row(dy.row(pair + r / dy.h * pairs, block, r % dy.h), dy.w, row);
          for (std::int64_t lane = 0; lane < dy.lanes; ++lane) sums[lane] += static_cast<double>(row[lane]);
        }
        for (std::int64_t lane = 0; lane < dy.lanes; ++lane) {
          of_pairs[pair * dy.lanes + lane] = static_cast<float>(sums[lane]);
        }
      }
      for (std::int64_t lane = 0; lane < std::min(dy.lanes, dy.channels - block * dy.lanes); ++lane) {
        dbias[block * dy.lanes + lane] = sum_of_pairs(pairs, of_pairs.data() + lane, dy.lanes);
      }
    }
  });
}

}  // namespace

void block_weight_gradient(const BlockKernels& kernels, ConvAlgorithm algorithm, std::int64_t kernel,
                           const BlockParts& x, const BlockMap& dy, std::int64_t pairs, float* dweight, float* dbias) {
  if (dbias) bias_gradient(kernels, dy, pairs, dbias);
  // F(4x4) whatever the convolution takes: the larger tile's rounding errors add up over all tiles.
  if (algorithm != ConvAlgorithm::kDirect) return winograd_weight_gradient(kernels, kernels.f4, x, dy, pairs, dweight);
  const std::int64_t ic = x.channels(), oc = dy.channels;
  StripSums{kernels, x, dy, kernel, kernel, kernel, ic, oc, pairs}.run(
      [&](std::int64_t in, std::int64_t out, std::int64_t position, std::int64_t tap, float sum) {
        dweight[((out * ic + in) * kernel + position) * kernel + tap] = sum;
      });
}

void block_up_weight_gradient(const BlockKernels& kernels, const BlockMap& x, const BlockMap& dy, std::int64_t pairs,
                              float* dweight) {
  const std::int64_t ic = x.channels, oc = dy.channels;
  StripSums{kernels, x, dy, 2, 1, 4, ic, oc, pairs}.run(
      [&](std::int64_t in, std::int64_t out, std::int64_t position, std::int64_t, float sum) {
        dweight[(in * oc + out) * 4 + position] = sum;
      });
}

void block_up_input_gradient(const BlockKernels& kernels, const BlockMap& dy, const float* weight,
                             const BlockTarget& dx) {
  const std::int64_t lanes = kernels.lanes, width = kernels.width, oc = dy.channels;
  const BlockMap& map = dx.map;
  const std::int64_t ic = map.channels, groups = ceil_div(map.blocks(), 2), chunks = 4 * dy.blocks();
  // [group][output block][position in the 2x2 window][lane of oc][width]
  Buffer<float> packed(groups * chunks * lanes * width);
  parallel_for(groups * chunks, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t q = begin; q < end; ++q) {
      const std::int64_t first = q / chunks * width, block = q % chunks / 4, position = q % 4;
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t o = block * lanes + lane;
        float* to = packed.data() + (q * lanes + lane) * width;
        for (std::int64_t j = 0; j < width; ++j) {
          to[j] = first + j < ic && o < oc ? weight[((first + j) * oc + o) * 4 + position] : 0.0f;
        }
      }
    }
  });
  const Buffer<float> zeros = zero_row(dy);
  const std::int64_t most = 8 * kernels.rows;
  parallel_for(map.n * map.h, ceil_div(64, map.w), [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> c(most * width);
    std::vector<const float*> at(static_cast<std::size_t>(chunks));
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / map.h, y = r % map.h;
      for (std::int64_t x0 = 0; x0 < map.w; x0 += most) {
        const std::int64_t count = std::min(most, map.w - x0);
        for (std::int64_t q = 0; q < chunks; ++q) {
          const std::int64_t from = 2 * y + q % 4 / 2;
          const float* row = from < dy.h ? dy.row(in, q / 4, from) : zeros.data() + lanes;
          at[static_cast<std::size_t>(q)] = row + (2 * x0 + q % 2) * lanes;
        }
        for (std::int64_t g = 0; g < groups; ++g) {
          kernels.multiply(count, chunks, at.data(), 2 * lanes, lanes, packed.data() + g * chunks * lanes * width,
                           c.data());
          for (std::int64_t half = 0; half < 2 && 2 * g + half < map.blocks(); ++half) {
            const std::ptrdiff_t offset = map.row(in, 2 * g + half, y) + x0 * lanes - map.data;
            BlockEpilogue epilogue;
            epilogue.add = dx.add ? dx.add + offset : nullptr;
            epilogue.mask = dx.mask ? dx.mask + offset : nullptr;
            epilogue.slope = dx.slope;
            kernels.store(c.data() + half * lanes, count, map.data + offset, lanes, epilogue);
          }
        }
      }
      map.clear_margins(in, y);
    }
  });
}

void block_pool_gradient(const BlockKernels& kernels, const BlockMap& x, const BlockMap& y, const BlockMap& dy,
                         const float* add, float slope, const BlockMap& dx) {
  parallel_for(y.n * y.h, ceil_div(512, y.w), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t in = r / y.h, from = r % y.h;
      const bool both = 2 * from + 1 < x.h;
      for (std::int64_t block = 0; block < y.blocks(); ++block) {
        const float* top = x.row(in, block, 2 * from);
        const float* bottom = both ? x.row(in, block, 2 * from + 1) : nullptr;
        const auto same = [&](const float* row, const float* map) {
          return map && row ? map + (row - x.data) : nullptr;
        };
        float* d_top = dx.row(in, block, 2 * from);
        float* d_bottom = both ? dx.row(in, block, 2 * from + 1) : nullptr;
        kernels.pool_gradient_row(top, bottom, x.w, y.row(in, block, from), dy.row(in, block, from), same(top, add),
                                  same(bottom, add), slope, d_top, d_bottom);
      }
      dx.clear_margins(in, 2 * from);
      if (both) dx.clear_margins(in, 2 * from + 1);
    }
  });
}

}  // namespace kind
