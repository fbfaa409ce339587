// Long because the three convolutions pack the same panels and share what they are cut into.

#include "core/kernels/gemm_conv.h"

#include <algorithm>
#include <cstring>

#include "core/base/memory.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

// Depth of a packed panel: kDepth x nr of B stays in the first-level cache while a block of A passes it.
constexpr std::int64_t kDepth = 256;
// Rows of A that stay in the second-level cache while the panels of B pass them.
constexpr std::int64_t kRowBlock = 96;
// Panels of B that one task packs at a time.
constexpr std::int64_t kPanelsPerTask = 8;
// The weight gradient's sum over pixels is cut into chunks that different threads can take; where it is cut depends on
// the sizes alone.
constexpr std::int64_t kChunk = 2048;
constexpr std::int64_t kMostChunks = 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

/// n x c planes of h x w with zeros around them, or the original where no zeros are needed.
template <class T>
class Padded {
 public:
  Padded(const T* x, std::int64_t planes, std::int64_t h, std::int64_t w, std::int64_t top, std::int64_t left,
         std::int64_t bottom, std::int64_t right)
      : h_(h + top + bottom), w_(w + left + right), copy_(h_ == h && w_ == w ? 0 : planes * h_ * w_), data_(x) {
    if (h_ == h && w_ == w) return;
    T* to = copy_.data();
    data_ = to;
    parallel_for(planes, std::max<std::int64_t>(1, 16384 / (h_ * w_)), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        T* plane = to + p * h_ * w_;
        std::fill(plane, plane + top * w_, T(0));
        for (std::int64_t y = 0; y < h; ++y) {
          T* row = plane + (top + y) * w_;
          std::fill(row, row + left, T(0));
          std::memcpy(row + left, x + (p * h + y) * w, static_cast<std::size_t>(w) * sizeof(T));
          std::fill(row + left + w, row + w_, T(0));
        }
        std::fill(plane + (top + h) * w_, plane + h_ * w_, T(0));
      }
    });
  }

  const T* data() const { return data_; }
  std::int64_t h() const { return h_; }
  std::int64_t w() const { return w_; }

 private:
  std::int64_t h_, w_;
  Buffer<T> copy_;
  const T* data_;
};

/// A grid of pixels (n, y, x) in a tensor: where each lies, by strides.
struct Grid {
  std::int64_t n, rows, cols;
  std::int64_t n_stride, row_stride, col_stride;

  std::int64_t size() const { return n * rows * cols; }
};

/// Where each pixel of a panel lies in the two tensors that the product connects.
struct PanelPixels {
  std::int64_t count = 0;
  bool contiguous_from = false, contiguous_to = false;  // pixel j lies at from[0] + j (and to[0] + j)
  std::int64_t from[kMaxNr], to[kMaxNr];

  PanelPixels(const Grid& source, const Grid& target, std::int64_t first, std::int64_t width) {
    count = std::min(width, source.size() - first);
    std::int64_t x = first % source.cols;
    std::int64_t y = first / source.cols % source.rows;
    std::int64_t n = first / source.cols / source.rows;
    const bool one_row = count == width && x + width <= source.cols;
    contiguous_from = one_row && source.col_stride == 1;
    contiguous_to = one_row && target.col_stride == 1;
    for (std::int64_t j = 0; j < count; ++j) {
      from[j] = n * source.n_stride + y * source.row_stride + x * source.col_stride;
      to[j] = n * target.n_stride + y * target.row_stride + x * target.col_stride;
      if (++x == source.cols) {
        x = 0;
        if (++y == source.rows) {
          y = 0;
          ++n;
        }
      }
    }
  }
};

template <class T, std::int64_t kWidth>
void copy_rows(const T* from, const std::int64_t* offsets, std::int64_t depth, T* to) {
  for (std::int64_t k = 0; k < depth; ++k) std::memcpy(to + k * kWidth, from + offsets[k], kWidth * sizeof(T));
}

template <class T>
void pack_panel(const T* source, const std::int64_t* offsets, std::int64_t depth, const PanelPixels& pixels,
                std::int64_t nr, T* to) {
  if (pixels.contiguous_from) {
    const T* from = source + pixels.from[0];
    if (nr == 32) return copy_rows<T, 32>(from, offsets, depth, to);
    if (nr == 16) return copy_rows<T, 16>(from, offsets, depth, to);
    if (nr == 8) return copy_rows<T, 8>(from, offsets, depth, to);
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const T* from = source + offsets[k];
    T* row = to + k * nr;
    for (std::int64_t j = 0; j < pixels.count; ++j) row[j] = from[pixels.from[j]];
    std::fill(row + pixels.count, row + nr, T(0));
  }
}

/// target[m * target_m_stride + pixel] = bias[m] + sum over k of a[m, k] * source[offsets[k] + pixel].
template <class T>
struct PatchProduct {
  const GemmMicroKernel<T>& micro;
  std::int64_t m, k;
  const T* packed_a;  // [k block][m tile][k][mr], see pack_a
  const T* bias;      // [m] or null
  const T* source;
  const std::int64_t* offsets;  // [k]
  Grid source_grid;
  T* target;
  Grid target_grid;
  std::int64_t target_m_stride;

  void run() const {
    const std::int64_t panels = ceil_div(source_grid.size(), micro.nr);
    const std::int64_t tiles = ceil_div(m, micro.mr);
    const std::int64_t column_tasks = ceil_div(panels, kPanelsPerTask);
    // Small pictures have few panels; then the rows are shared out as well, each part packing the patches again.
    const std::int64_t parts =
        std::clamp<std::int64_t>(ceil_div(2 * num_threads(), column_tasks), 1, ceil_div(tiles, 4));
    const std::int64_t row_parts = num_threads() == 1 ? 1 : parts;
    parallel_for(column_tasks * row_parts, 1, [&](std::int64_t begin, std::int64_t end) {
      Buffer<T> b(kPanelsPerTask * kDepth * micro.nr);
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t first = task / row_parts * kPanelsPerTask;
        const std::int64_t part = task % row_parts;
        run_block(first, std::min(panels, first + kPanelsPerTask), tiles * part / row_parts,
                  tiles * (part + 1) / row_parts, b.data());
      }
    });
  }

  void run_block(std::int64_t first_panel, std::int64_t end_panel, std::int64_t first_tile, std::int64_t end_tile,
                 T* b) const {
    alignas(kAlignment) T c[kMaxMr * kMaxNr];
    const std::int64_t tiles = ceil_div(m, micro.mr);
    const std::int64_t tiles_per_block = std::max<std::int64_t>(1, kRowBlock / micro.mr);
    for (std::int64_t k0 = 0; k0 < k; k0 += kDepth) {
      const std::int64_t depth = std::min(kDepth, k - k0);
      for (std::int64_t panel = first_panel; panel < end_panel; ++panel) {
        const PanelPixels pixels(source_grid, target_grid, panel * micro.nr, micro.nr);
        pack_panel(source, offsets + k0, depth, pixels, micro.nr, b + (panel - first_panel) * kDepth * micro.nr);
      }
      for (std::int64_t block = first_tile; block < end_tile; block += tiles_per_block) {
        for (std::int64_t panel = first_panel; panel < end_panel; ++panel) {
          const PanelPixels pixels(source_grid, target_grid, panel * micro.nr, micro.nr);
          const T* b_panel = b + (panel - first_panel) * kDepth * micro.nr;
          for (std::int64_t tile = block; tile < std::min(end_tile, block + tiles_per_block); ++tile) {
            micro.multiply(depth, packed_a + (k0 * tiles + tile * depth) * micro.mr, b_panel, c);
            store(tile * micro.mr, pixels, k0 == 0, c);
          }
        }
      }
    }
  }

  void store(std::int64_t first_row, const PanelPixels& pixels, bool first, const T* c) const {
    const std::int64_t rows = std::min(micro.mr, m - first_row);
    for (std::int64_t i = 0; i < rows; ++i) {
      T* to = target + (first_row + i) * target_m_stride;
      const T* from = c + i * micro.nr;
      const T start = bias ? bias[first_row + i] : T(0);
      if (pixels.contiguous_to) {
        to += pixels.to[0];
        if (first) {
          for (std::int64_t j = 0; j < micro.nr; ++j) to[j] = start + from[j];
        } else {
          for (std::int64_t j = 0; j < micro.nr; ++j) to[j] += from[j];
        }
      } else {
        for (std::int64_t j = 0; j < pixels.count; ++j) {
          to[pixels.to[j]] = (first ? start : to[pixels.to[j]]) + from[j];
        }
      }
    }
  }
};

/// Packs A [m, k], given by element(row, column), as [k block][m tile][k][mr], with zeros in the rows beyond m.
template <class T, class Element>
void pack_a(const GemmMicroKernel<T>& micro, std::int64_t m, std::int64_t k, const Element& element, T* to) {
  const std::int64_t tiles = ceil_div(m, micro.mr);
  parallel_for(tiles, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k0 = 0; k0 < k; k0 += kDepth) {
      const std::int64_t depth = std::min(kDepth, k - k0);
      for (std::int64_t tile = begin; tile < end; ++tile) {
        T* panel = to + (k0 * tiles + tile * depth) * micro.mr;
        for (std::int64_t i = 0; i < micro.mr; ++i) {
          const std::int64_t row = tile * micro.mr + i;
          for (std::int64_t kk = 0; kk < depth; ++kk) panel[kk * micro.mr + i] = row < m ? element(row, k0 + kk) : T(0);
        }
      }
    }
  });
}

/// offsets[(ic, ky, kx)] of a patch's elements in a padded picture.
void patch_offsets(const Conv2dGeometry& g, std::int64_t padded_h, std::int64_t padded_w, std::int64_t* offsets) {
  for (std::int64_t ic = 0; ic < g.ic; ++ic) {
    for (std::int64_t ky = 0; ky < g.kh; ++ky) {
      for (std::int64_t kx = 0; kx < g.kw; ++kx) *offsets++ = (ic * padded_h + ky) * padded_w + kx;
    }
  }
}

/// x with the zeros that patches reach into.
template <class T>
Padded<T> pad_input(const Conv2dGeometry& g, const T* x) {
  const std::int64_t bottom = std::max<std::int64_t>(0, (g.oh - 1) * g.stride_h + g.kh - g.pad_top - g.h);
  const std::int64_t right = std::max<std::int64_t>(0, (g.ow - 1) * g.stride_w + g.kw - g.pad_left - g.w);
  return Padded<T>(x, g.n * g.ic, g.h, g.w, g.pad_top, g.pad_left, bottom, right);
}

/// The taps of one dimension that reach pixels of one residue: input position = q * stride + residue - pad, and
/// output position = q - t for t < taps (tap number residue + t * stride).
struct Phase {
  std::int64_t taps, first_q, count;

  Phase(std::int64_t residue, std::int64_t kernel, std::int64_t stride, std::int64_t pad, std::int64_t size)
      : taps(residue < kernel ? ceil_div(kernel - residue, stride) : 0),
        first_q(-floor_div(residue - pad, stride)),
        count(0) {
    const std::int64_t first = first_q * stride + residue - pad;
    count = first < size ? ceil_div(size - first, stride) : 0;
  }
};

}  // namespace

template <class T>
void gemm_conv2d(const GemmMicroKernel<T>& micro, const Conv2dGeometry& g, const T* x, const T* weight, const T* bias,
                 T* y) {
  const Padded<T> padded = pad_input(g, x);
  const std::int64_t k = g.ic * g.kh * g.kw;
  Buffer<std::int64_t> offsets(k);
  patch_offsets(g, padded.h(), padded.w(), offsets.data());
  Buffer<T> packed(ceil_div(g.oc, micro.mr) * micro.mr * k);
  pack_a(
      micro, g.oc, k, [&](std::int64_t row, std::int64_t column) { return weight[row * k + column]; }, packed.data());
  const std::int64_t plane = g.oh * g.ow;
  PatchProduct<T>{micro,
                  g.oc,
                  k,
                  packed.data(),
                  bias,
                  padded.data(),
                  offsets.data(),
                  {g.n, g.oh, g.ow, g.ic * padded.h() * padded.w(), g.stride_h * padded.w(), g.stride_w},
                  y,
                  {g.n, g.oh, g.ow, g.oc * plane, g.ow, 1},
                  plane}
      .run();
}

// Input pixels whose position plus padding leaves the same remainder by the stride see the same taps: for each such
// phase the gradient is a stride-1 product over dy, and no work goes into the zeros between strides.
template <class T>
void gemm_conv2d_input_gradient(const GemmMicroKernel<T>& micro, const Conv2dGeometry& g, const T* weight, const T* dy,
                                T* dx) {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
  for (std::int64_t ry = 0; ry < g.stride_h; ++ry) {
    const Phase p(ry, g.kh, g.stride_h, g.pad_top, g.h);
    top = std::max(top, p.taps - 1 - p.first_q);
    bottom = std::max(bottom, p.first_q + p.count - g.oh);
  }
  for (std::int64_t rx = 0; rx < g.stride_w; ++rx) {
    const Phase p(rx, g.kw, g.stride_w, g.pad_left, g.w);
    left = std::max(left, p.taps - 1 - p.first_q);
    right = std::max(right, p.first_q + p.count - g.ow);
  }
  const Padded<T> padded(dy, g.n * g.oc, g.oh, g.ow, top, left, bottom, right);
  const std::int64_t plane = padded.h() * padded.w();
  const std::int64_t most_k = g.oc * g.kh * g.kw;
  Buffer<std::int64_t> offsets(most_k);
  Buffer<T> packed(ceil_div(g.ic, micro.mr) * micro.mr * most_k);
  for (std::int64_t ry = 0; ry < g.stride_h; ++ry) {
    for (std::int64_t rx = 0; rx < g.stride_w; ++rx) {
      const Phase py(ry, g.kh, g.stride_h, g.pad_top, g.h);
      const Phase px(rx, g.kw, g.stride_w, g.pad_left, g.w);
      if (py.count == 0 || px.count == 0) continue;
      T* target = dx + (py.first_q * g.stride_h + ry - g.pad_top) * g.w + px.first_q * g.stride_w + rx - g.pad_left;
      const Grid target_grid{g.n, py.count, px.count, g.ic * g.h * g.w, g.stride_h * g.w, g.stride_w};
      const std::int64_t taps = py.taps * px.taps;
      if (taps == 0) {  // a stride larger than the kernel leaves pixels that nothing reads
        for (std::int64_t p = 0; p < g.n * g.ic; ++p) {
          for (std::int64_t y = 0; y < py.count; ++y) {
            T* row = target + p * g.h * g.w + y * target_grid.row_stride;
            for (std::int64_t x = 0; x < px.count; ++x) row[x * g.stride_w] = T(0);
          }
        }
        continue;
      }
      for (std::int64_t i = 0; i < g.oc * taps; ++i) {
        offsets[i] = i / taps * plane - i % taps / px.taps * padded.w() - i % px.taps;
      }
      const auto element = [&](std::int64_t ic, std::int64_t column) {
        const std::int64_t ky = ry + column % taps / px.taps * g.stride_h;
        const std::int64_t kx = rx + column % px.taps * g.stride_w;
        return weight[((column / taps * g.ic + ic) * g.kh + ky) * g.kw + kx];
      };
      pack_a(micro, g.ic, g.oc * taps, element, packed.data());
      PatchProduct<T>{micro,          g.ic,
                      g.oc * taps,    packed.data(),
                      nullptr,        padded.data() + (top + py.first_q) * padded.w() + left + px.first_q,
                      offsets.data(), {g.n, py.count, px.count, g.oc * plane, padded.w(), 1},
                      target,         target_grid,
                      g.h * g.w}
          .run();
    }
  }
}

template <class T>
void gemm_conv2d_weight_gradient(const GemmMicroKernel<T>& micro, const Conv2dGeometry& g, const T* x, const T* dy,
                                 T* dweight) {
  const Padded<T> padded = pad_input(g, x);
  const std::int64_t k = g.ic * g.kh * g.kw;
  const std::int64_t panels = ceil_div(k, micro.nr);
  const std::int64_t tiles = ceil_div(g.oc, micro.mr);
  // Offsets beyond the last repeat it: their products are computed and dropped.
  Buffer<std::int64_t> patch(panels * micro.nr);
  patch_offsets(g, padded.h(), padded.w(), patch.data());
  std::fill(patch.data() + k, patch.data() + panels * micro.nr, patch[k - 1]);
  Buffer<std::int64_t> rows(tiles * micro.mr);
  for (std::int64_t i = 0; i < tiles * micro.mr; ++i) rows[i] = std::min(i, g.oc - 1) * g.oh * g.ow;

  const std::int64_t pixels = g.n * g.oh * g.ow;
  const std::int64_t chunk = std::max(kChunk, ceil_div(ceil_div(pixels, kMostChunks), kDepth) * kDepth);
  const std::int64_t chunks = ceil_div(pixels, chunk);
  const std::int64_t width = panels * micro.nr;
  Buffer<T> partial(chunks * tiles * micro.mr * width);

  const auto run_chunk = [&](std::int64_t index, std::int64_t first_panel, std::int64_t end_panel) {
    alignas(kAlignment) T c[kMaxMr * kMaxNr];
    Buffer<T> a(tiles * micro.mr * kDepth);
    Buffer<T> b(kDepth * micro.nr);
    T* sums = partial.data() + index * tiles * micro.mr * width;
    const std::int64_t end = std::min(pixels, (index + 1) * chunk);
    for (std::int64_t p0 = index * chunk; p0 < end; p0 += kDepth) {
      const std::int64_t depth = std::min(kDepth, end - p0);
      // Calls pack(position, count, dy offset, x offset) for each run of pixels that lies in one row.
      const auto for_each_run = [&](const auto& pack) {
        for (std::int64_t p = p0; p < p0 + depth;) {
          const std::int64_t ox = p % g.ow, oy = p / g.ow % g.oh, n = p / g.ow / g.oh;
          const std::int64_t count = std::min(g.ow - ox, p0 + depth - p);
          pack(p - p0, count, n * g.oc * g.oh * g.ow + oy * g.ow + ox,
               (n * g.ic * padded.h() + oy * g.stride_h) * padded.w() + ox * g.stride_w);
          p += count;
        }
      };
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        T* to = a.data() + tile * micro.mr * kDepth;
        for_each_run([&](std::int64_t at, std::int64_t count, std::int64_t dy_offset, std::int64_t) {
          micro.transpose(count, micro.mr, dy + dy_offset, rows.data() + tile * micro.mr, to + at * micro.mr);
        });
      }
      for (std::int64_t panel = first_panel; panel < end_panel; ++panel) {
        const std::int64_t* offsets = patch.data() + panel * micro.nr;
        for_each_run([&](std::int64_t at, std::int64_t count, std::int64_t, std::int64_t x_offset) {
          const T* from = padded.data() + x_offset;
          T* to = b.data() + at * micro.nr;
          if (g.stride_w == 1) return micro.transpose(count, micro.nr, from, offsets, to);
          for (std::int64_t i = 0; i < count; ++i) {
            for (std::int64_t j = 0; j < micro.nr; ++j) to[i * micro.nr + j] = from[offsets[j] + i * g.stride_w];
          }
        });
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
          micro.multiply(depth, a.data() + tile * micro.mr * kDepth, b.data(), c);
          for (std::int64_t i = 0; i < micro.mr; ++i) {
            T* to = sums + (tile * micro.mr + i) * width + panel * micro.nr;
            for (std::int64_t j = 0; j < micro.nr; ++j)
              to[j] = (p0 == index * chunk ? T(0) : to[j]) + c[i * micro.nr + j];
          }
        }
      }
    }
  };
  const std::int64_t parts = std::clamp<std::int64_t>(ceil_div(2 * num_threads(), chunks), 1, panels);
  const std::int64_t panel_parts = num_threads() == 1 ? 1 : parts;
  parallel_for(chunks * panel_parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t part = task % panel_parts;
      run_chunk(task / panel_parts, panels * part / panel_parts, panels * (part + 1) / panel_parts);
    }
  });
  parallel_for(g.oc, std::max<std::int64_t>(1, 65536 / (k * chunks)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t oc = begin; oc < end; ++oc) {
      T* to = dweight + oc * k;
      std::copy_n(partial.data() + oc * width, k, to);
      for (std::int64_t index = 1; index < chunks; ++index) {
        const T* from = partial.data() + (index * tiles * micro.mr + oc) * width;
        for (std::int64_t i = 0; i < k; ++i) to[i] += from[i];
      }
    }
  });
}

template void gemm_conv2d(const GemmMicroKernel<float>&, const Conv2dGeometry&, const float*, const float*,
                          const float*, float*);
template void gemm_conv2d_input_gradient(const GemmMicroKernel<float>&, const Conv2dGeometry&, const float*,
                                         const float*, float*);
template void gemm_conv2d_weight_gradient(const GemmMicroKernel<float>&, const Conv2dGeometry&, const float*,
                                          const float*, float*);

}  // namespace kind
