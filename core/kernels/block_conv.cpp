#include "core/kernels/block_conv.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/kernels/block_detail.h"

namespace kind {
namespace {

/// Pixels that one call of the products takes.
std::int64_t segment(const BlockKernels& kernels) { return 8 * kernels.rows; }

/// The weights of a direct convolution as its products read them: by group of outputs, block of inputs and tap.
Buffer<float> pack_direct(const BlockKernels& kernels, std::int64_t taps, const PackedWeights& weights,
                          std::int64_t groups) {
  const std::int64_t width = kernels.width, k = weights.inputs(), depth = std::min(k, kernels.lanes);
  const std::int64_t chunks = ceil_div(k, kernels.lanes) * taps;
  Buffer<float> packed(groups * chunks * depth * width);
  parallel_for(groups, 1, [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> block(depth * taps * width);
    for (std::int64_t g = begin; g < end; ++g) {
      float* to = packed.data() + g * chunks * depth * width;
      for (std::int64_t k0 = 0; k0 < k; k0 += depth) {
        // A last block with fewer channels: its other lanes hold zeros, which take part.
        const std::int64_t last = std::min(k, k0 + depth);
        weights.pack(g * width, k0, last, block.data());
        std::fill(block.data() + (last - k0) * taps * width, block.data() + depth * taps * width, 0.0f);
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          for (std::int64_t i = 0; i < depth; ++i, to += width) {
            const std::int64_t from = weights.use == WeightUse::kForward ? tap : taps - 1 - tap;
            std::copy_n(block.data() + (i * taps + from) * width, width, to);
          }
        }
      }
    }
  });
  return packed;
}

// Every product reads its pixels where they lie: a chunk is one block at one tap.
void direct_conv(const BlockKernels& kernels, std::int64_t kernel, const BlockParts& x, const PackedWeights& weights,
                 const float* bias, const ConvTargets& outputs, std::int64_t y0, std::int64_t y1) {
  const BlockMap& shape = outputs.shape();
  const std::int64_t lanes = kernels.lanes, width = kernels.width, k = weights.inputs(), taps = kernel * kernel;
  const std::int64_t groups = ceil_div(outputs.blocks() * lanes, width);
  const std::int64_t depth = std::min(k, lanes);
  const std::int64_t chunks = ceil_div(k, lanes) * taps;
  const Buffer<float> packed = pack_direct(kernels, taps, weights, groups);
  Buffer<float> biases = padded_bias(bias, weights.outputs(), groups * width);
  Buffer<float> zeros = zero_row(x[0]);
  const std::int64_t pad = kernel / 2;
  const SharedRows rows(shape.n, y0, y1, shape.band);
  parallel_for(rows.count(), ceil_div(64, shape.w), [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> c(segment(kernels) * width);
    std::vector<const float*> at(static_cast<std::size_t>(chunks));
    for (std::int64_t r = begin; r < end; ++r) {
      const auto [in, y] = rows[r];
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

void block_conv(const BlockKernels& kernels, const BlockConvolution& conv, const BlockParts& x,
                std::span<const BlockTarget> targets, std::int64_t y0, std::int64_t y1) {
  if (y0 >= y1) return;
  const ConvTargets outputs{targets, kernels.lanes};
  std::int64_t channels = 0;
  for (const BlockTarget& target : targets) channels += target.map.channels;
  const bool forward = conv.use == WeightUse::kForward;
  const std::int64_t oc = forward ? channels : x.channels(), ic = forward ? x.channels() : channels;
  const PackedWeights weights{kernels, conv.weight, oc, ic, conv.kernel * conv.kernel, conv.use};
  if (conv.algorithm == ConvAlgorithm::kDirect || conv.kernel != 3) {
    return direct_conv(kernels, conv.kernel, x, weights, conv.bias, outputs, y0, y1);
  }
  const WinogradKernels& f = conv.algorithm == ConvAlgorithm::kWinograd4 ? kernels.f4 : kernels.f6;
  winograd_conv(kernels, f, x, weights, conv.bias, outputs, y0, y1, conv.prepared);
}

void block_project(const BlockKernels& kernels, const BlockConvolution& conv, const BlockParts& x, const PlaneTarget& y,
                   std::int64_t y0, std::int64_t y1) {
  const std::int64_t lanes = kernels.lanes, ic = x.channels(), oc = y.channels, kernel = conv.kernel;
  const std::int64_t taps = kernel * kernel, blocks = x.blocks();
  const std::int64_t chunks = blocks * taps, h = x[0].h, w = x[0].w, pad = kernel / 2;
  Buffer<float> packed(chunks * oc * lanes);
  for (std::int64_t q = 0; q < chunks; ++q) {
    const std::int64_t tap = q % taps;
    for (std::int64_t o = 0; o < oc; ++o) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t i = q / taps * lanes + lane;
        const std::int64_t at =
            conv.use == WeightUse::kForward ? (o * ic + i) * taps + tap : (i * oc + o) * taps + taps - 1 - tap;
        packed[(q * oc + o) * lanes + lane] = i < ic ? conv.weight[at] : 0.0f;
      }
    }
  }
  Buffer<float> biases = padded_bias(conv.bias, oc, 4);
  Buffer<float> zeros = zero_row(x[0]);
  const SharedRows rows(x[0].n, y0, y1, x[0].band);
  parallel_for(rows.count(), ceil_div(512, w), [&](std::int64_t begin, std::int64_t end) {
    std::vector<const float*> at(static_cast<std::size_t>(chunks));
    for (std::int64_t r = begin; r < end; ++r) {
      const auto [in, row_y] = rows[r];
      auto chunk = at.begin();
      for (std::int64_t block = 0; block < blocks; ++block) {
        for (std::int64_t ky = 0; ky < kernel; ++ky) {
          const std::int64_t from = row_y + ky - pad;
          const float* row = from < 0 || from >= h ? zeros.data() + lanes : x.row(in, block, from);
          for (std::int64_t kx = 0; kx < kernel; ++kx) *chunk++ = row + (kx - pad) * lanes;
        }
      }
      float* to[4] = {};
      for (std::int64_t o = 0; o < oc; ++o) to[o] = y.planes[o] + in * y.image + (row_y - y.first_row) * w;
      kernels.project(w, chunks, at.data(), packed.data(), biases.data(), oc, to);
      for (std::int64_t o = 0; o < oc && y.sigmoid; ++o) kernels.sigmoid(to[o], w, y.slope);
      for (std::int64_t o = 0; o < oc && y.add; ++o) {
        const float* from = y.add->row(in, 0, row_y) + o;
        for (std::int64_t j = 0; j < w; ++j) to[o][j] += from[j * lanes];
      }
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
  const SharedRows rows(x.n, x0, x1, y.band, 2);
  parallel_for(rows.count(), ceil_div(64, x.w), [&](std::int64_t begin, std::int64_t end) {
    Buffer<float> c(segment(kernels) * width);
    std::vector<const float*> at(static_cast<std::size_t>(blocks));
    const BlockEpilogue plain;
    for (std::int64_t r = begin; r < end; ++r) {
      const auto [in, from] = rows[r];
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
  const SharedRows rows(y.n, y0, y1, x.band, 2);
  parallel_for(rows.count(), ceil_div(512, y.w), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto [in, to] = rows[r];
      for (std::int64_t block = 0; block < y.blocks(); ++block) {
        const float* bottom = 2 * to + 1 < x.h ? x.row(in, block, 2 * to + 1) : nullptr;
        kernels.pool_row(x.row(in, block, 2 * to), bottom, x.w, y.row(in, block, to));
      }
      y.clear_margins(in, to);
    }
  });
}

void block_pack(const float* x, std::int64_t x_image, std::int64_t channels, std::int64_t first, bool whole,
                const BlockMap& y, std::int64_t y0, std::int64_t y1, std::int64_t first_row) {
  const SharedRows rows(y.n, y0, y1, y.band);
  const std::int64_t lanes = y.lanes;
  const std::int64_t end_lane = whole ? lanes : first + channels;
  parallel_for(rows.count(), ceil_div(1024, y.w), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto [in, at] = rows[r];
      float* to = y.row(in, 0, at);
      for (std::int64_t lane = first; lane < end_lane; ++lane) {
        const std::int64_t c = lane - first;
        if (c < channels) {
          const float* from = x + in * x_image + (c * y.h + at - first_row) * y.w;
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
