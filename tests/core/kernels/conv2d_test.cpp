// Long because its cases share the sweep over geometries.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "core/kernels/ref/conv2d.h"
#include "tests/support/scopes.h"

// Each kernel set against the plain reference, and the reference against the formulas of core/kernels/kernels.h.
//
// The bound: an output is a sum of products p_i, so for any order of summation, with or without fused multiply-add, its
// error is at most about n eps / 2 times sum |p_i|, and in practice far less. What is demanded here does not grow with
// the number of products:
//   |y - exact| <= kBound * eps * sum |p_i|        (bias included in the sum)
// with the sums in double. Over this file the sets stay below 3. A wrong, missing or doubled product breaks it for all
// but the smallest of products.

namespace kind::testing {
namespace {

constexpr double kBound = 8;

enum class Entry { kForward, kForwardWithoutBias, kInputGradient, kWeightGradient };
constexpr Entry kEntries[] = {Entry::kForward, Entry::kForwardWithoutBias, Entry::kInputGradient,
                              Entry::kWeightGradient};

const char* name_of(Entry entry) {
  switch (entry) {
    case Entry::kForward:
      return "conv2d";
    case Entry::kForwardWithoutBias:
      return "conv2d without bias";
    case Entry::kInputGradient:
      return "conv2d_input_gradient";
    case Entry::kWeightGradient:
      return "conv2d_weight_gradient";
  }
  return "";
}

std::string text(const Conv2dGeometry& g) {
  return join("x [", g.n, ", ", g.ic, ", ", g.h, ", ", g.w, "], weight [", g.oc, ", ", g.ic, ", ", g.kh, ", ", g.kw,
              "], y ", g.oh, " x ", g.ow, ", stride ", g.stride_h, " x ", g.stride_w, ", padding ", g.pad_top, " x ",
              g.pad_left);
}

/// An array in the midst of NaNs: reading beyond its ends spoils results, writing there is found. It starts `shift`
/// elements after an aligned address. Its own elements start as NaN as well.
template <class T>
class Guarded {
 public:
  Guarded(std::int64_t count, std::int64_t shift)
      : count_(count), begin_(kMargin + shift), all_(count + 2 * kMargin + shift) {
    std::fill_n(all_.data(), count + 2 * kMargin + shift, std::numeric_limits<T>::quiet_NaN());
  }

  std::int64_t count() const { return count_; }
  T* data() { return all_.data() + begin_; }
  T& operator[](std::int64_t i) { return data()[i]; }
  bool margins_untouched() {
    for (std::int64_t i = 0; i < begin_; ++i) {
      if (!std::isnan(all_[i])) return false;
    }
    for (std::int64_t i = begin_ + count_; i < begin_ + count_ + kMargin; ++i) {
      if (!std::isnan(all_[i])) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t kMargin = 64;
  std::int64_t count_, begin_;
  Buffer<T> all_;
};

/// A convolution's operands, the same values in float and in double.
template <class T>
struct Problem {
  Conv2dGeometry g;
  std::int64_t shift;
  Guarded<T> x, weight, bias, dy;

  Problem(const Conv2dGeometry& geometry, std::uint64_t seed, bool magnitudes)
      : g(geometry),
        shift(static_cast<std::int64_t>(seed % 3)),
        x(g.n * g.ic * g.h * g.w, shift),
        weight(g.oc * g.ic * g.kh * g.kw, shift),
        bias(g.oc, shift),
        dy(g.n * g.oc * g.oh * g.ow, shift) {
    Random random(seed);
    for (Guarded<T>* operand : {&x, &weight, &bias, &dy}) {
      for (std::int64_t i = 0; i < operand->count(); ++i) {
        const auto value = static_cast<float>(random.uniform(-1, 1));
        (*operand)[i] = static_cast<T>(magnitudes ? std::abs(value) : value);
      }
    }
  }

  Guarded<T> output(Entry entry) const {
    if (entry == Entry::kInputGradient) return Guarded<T>(x.count(), shift);
    if (entry == Entry::kWeightGradient) return Guarded<T>(weight.count(), shift);
    return Guarded<T>(dy.count(), shift);
  }
};

template <class T>
void run(const Kernels<T>& set, Entry entry, Problem<T>& p, Guarded<T>& out) {
  switch (entry) {
    case Entry::kForward:
      return set.conv2d(p.g, p.x.data(), p.weight.data(), p.bias.data(), out.data());
    case Entry::kForwardWithoutBias:
      return set.conv2d(p.g, p.x.data(), p.weight.data(), nullptr, out.data());
    case Entry::kInputGradient:
      return set.conv2d_input_gradient(p.g, p.weight.data(), p.dy.data(), out.data());
    case Entry::kWeightGradient:
      return set.conv2d_weight_gradient(p.g, p.x.data(), p.dy.data(), out.data());
  }
}

/// The same by the formulas alone: every product of every output, tested for lying inside the picture.
void run_formula(Entry entry, Problem<double>& p, Guarded<double>& out) {
  const Conv2dGeometry& g = p.g;
  std::fill_n(out.data(), out.count(), 0.0);
  for (std::int64_t n = 0; n < g.n; ++n) {
    for (std::int64_t oc = 0; oc < g.oc; ++oc) {
      for (std::int64_t oy = 0; oy < g.oh; ++oy) {
        for (std::int64_t ox = 0; ox < g.ow; ++ox) {
          const std::int64_t yi = ((n * g.oc + oc) * g.oh + oy) * g.ow + ox;
          if (entry == Entry::kForward) out[yi] = p.bias[oc];
          for (std::int64_t ic = 0; ic < g.ic; ++ic) {
            for (std::int64_t ky = 0; ky < g.kh; ++ky) {
              for (std::int64_t kx = 0; kx < g.kw; ++kx) {
                const std::int64_t iy = oy * g.stride_h - g.pad_top + ky, ix = ox * g.stride_w - g.pad_left + kx;
                if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w) continue;
                const std::int64_t xi = ((n * g.ic + ic) * g.h + iy) * g.w + ix;
                const std::int64_t wi = ((oc * g.ic + ic) * g.kh + ky) * g.kw + kx;
                if (entry == Entry::kInputGradient) {
                  out[xi] += p.weight[wi] * p.dy[yi];
                } else if (entry == Entry::kWeightGradient) {
                  out[wi] += p.x[xi] * p.dy[yi];
                } else {
                  out[yi] += p.x[xi] * p.weight[wi];
                }
              }
            }
          }
        }
      }
    }
  }
}

/// The first and worst elements that break the bound, or nothing.
template <class T>
std::string violation(Guarded<T>& got, Guarded<double>& exact, Guarded<double>& magnitude) {
  if (!got.margins_untouched()) return "the kernel wrote beyond its output";
  double worst = -1;
  std::int64_t at = 0, count = 0;
  for (std::int64_t i = 0; i < got.count(); ++i) {
    const double bound = kBound * static_cast<double>(std::numeric_limits<T>::epsilon()) * magnitude[i];
    const double difference = std::abs(static_cast<double>(got[i]) - exact[i]);
    if (difference <= bound) continue;  // written so that NaN fails
    ++count;
    if (!(difference <= worst)) {
      worst = difference;
      at = i;
    }
  }
  if (count == 0) return "";
  return join(count, " of ", got.count(), " elements are off; the worst is element ", at, ": got ", got[at],
              ", expected ", exact[at], ", sum of magnitudes ", magnitude[at]);
}

/// Checks all entries of each set for one geometry.
template <class T>
void check_geometry(const std::vector<std::string>& isas, const Conv2dGeometry& g, std::uint64_t seed) {
  Problem<T> problem(g, seed, false);
  Problem<double> exact(g, seed, false), magnitudes(g, seed, true);
  for (const Entry entry : kEntries) {
    Guarded<double> expected = exact.output(entry), magnitude = exact.output(entry);
    run(ref_kernels<double>(), entry, exact, expected);
    run(ref_kernels<double>(), entry, magnitudes, magnitude);
    for (const std::string& isa : isas) {
      const IsaScope scope(isa);
      Guarded<T> got = problem.output(entry);
      run(kernels<T>(), entry, problem, got);
      INFO(isa << " " << name_of(entry) << ", seed " << seed << ": " << text(g));
      CHECK(violation(got, expected, magnitude) == "");
    }
  }
}

std::int64_t pick(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1)));
}

std::int64_t pick_channels(Random& random) {
  // Around the heights and widths of the micro-kernels, where tails start.
  constexpr std::int64_t kNearTiles[] = {1, 2, 3, 5, 6, 7, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33};
  if (random.below(3) == 0) return pick(random, 1, 40);
  return kNearTiles[random.below(std::size(kNearTiles))];
}

/// Sizes of one dimension: input, kernel, stride, padding before, outputs.
struct Dimension {
  std::int64_t size, kernel, stride, pad, outputs;

  Dimension(Random& random, std::int64_t most) {
    size = random.below(6) == 0 ? 1 : pick(random, 1, most);
    kernel = pick(random, 1, 5);
    stride = pick(random, 1, 3);
    // Paddings from none to a whole kernel on either side, whatever the other one has.
    pad = pick(random, 0, kernel);
    const std::int64_t after = pick(random, 0, kernel);
    const std::int64_t all = (size + pad + std::max(after, kernel - size - pad) - kernel) / stride + 1;
    // Sometimes the last rows are not read.
    outputs = random.below(4) == 0 ? pick(random, 1, all) : all;
  }
};

Conv2dGeometry random_geometry(Random& random, std::int64_t most_products) {
  for (;;) {
    const Dimension y(random, 40), x(random, 40);
    const Conv2dGeometry g{pick(random, 1, 3),
                           pick_channels(random),
                           y.size,
                           x.size,
                           pick_channels(random),
                           y.outputs,
                           x.outputs,
                           y.kernel,
                           x.kernel,
                           y.stride,
                           x.stride,
                           y.pad,
                           x.pad};
    if (g.n * g.oc * g.ic * g.oh * g.ow * g.kh * g.kw <= most_products) return g;
  }
}

Conv2dGeometry same(std::int64_t n, std::int64_t ic, std::int64_t h, std::int64_t w, std::int64_t oc, std::int64_t k) {
  return {n, ic, h, w, oc, h, w, k, k, 1, 1, (k - 1) / 2, (k - 1) / 2};
}

/// Shapes that need several blocks of each kind, and those of the nets.
std::vector<Conv2dGeometry> large_geometries() {
  return {
      same(1, 33, 17, 15, 50, 3),                      // depth 297: two blocks of k
      same(2, 130, 9, 11, 103, 3),                     // depth 1170: five; more than 96 rows, with a tail
      same(1, 600, 5, 7, 200, 1),                      // 1 x 1, three blocks of rows
      same(2, 5, 70, 71, 7, 3),                        // more than 2048 pixels, chunks across two samples
      same(1, 3, 203, 199, 4, 3),                      // more than 16 x 2048 pixels
      same(1, 32, 64, 64, 32, 3),                      // exact multiples of all blocks
      same(3, 512, 3, 2, 256, 3),                      // a net's bottom: deep and small
      {1, 64, 32, 34, 128, 16, 17, 2, 2, 2, 2, 0, 0},  // 2 x 2 by strides of 2: what transposed convolution uses
      {2, 48, 31, 33, 130, 15, 16, 2, 2, 2, 2, 0, 0},  // the same, last row and column unread
      {1, 20, 90, 91, 30, 30, 31, 5, 4, 3, 3, 2, 1},
      {1, 7, 1, 3000, 9, 1, 3000, 1, 5, 1, 1, 0, 2},  // one row
      {1, 7, 3000, 1, 9, 3000, 1, 5, 1, 1, 1, 2, 0},  // one column
  };
}

TEST_CASE("convolution kernels: the reference computes its formulas") {
  Random random(100);
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const Conv2dGeometry g = random_geometry(random, 200000);
    Problem<double> exact(g, seed, false), magnitudes(g, seed, true);
    for (const Entry entry : kEntries) {
      Guarded<double> expected = exact.output(entry), magnitude = exact.output(entry), got = exact.output(entry);
      run_formula(entry, exact, expected);
      run_formula(entry, magnitudes, magnitude);
      run(ref_kernels<double>(), entry, exact, got);
      INFO(name_of(entry) << ", seed " << seed << ": " << text(g));
      CHECK(violation(got, expected, magnitude) == "");
    }
  }
}

TEST_CASE("convolution kernels: a 2 x 3 picture by hand") {
  // x = 1 2 3   w = 1 10      y[i, j] = 0.5 + x[i, j - 1] + 10 x[i, j], one column of zeros on the left
  //     4 5 6
  const Conv2dGeometry g{1, 1, 2, 3, 1, 2, 3, 1, 2, 1, 1, 0, 1};
  const float x[] = {1, 2, 3, 4, 5, 6}, weight[] = {1, 10}, bias[] = {0.5}, dy[] = {1, 2, 3, 4, 5, 6};
  for (const std::string& isa : available_isas()) {
    CAPTURE(isa);
    const IsaScope scope(isa);
    std::vector<float> y(6), dx(6), dw(2);
    kernels<float>().conv2d(g, x, weight, bias, y.data());
    CHECK(y == std::vector<float>{10.5, 21.5, 32.5, 40.5, 54.5, 65.5});
    kernels<float>().conv2d_input_gradient(g, weight, dy, dx.data());
    CHECK(dx == std::vector<float>{12, 23, 30, 45, 56, 60});
    kernels<float>().conv2d_weight_gradient(g, x, dy, dw.data());
    CHECK(dw == std::vector<float>{1 * 2 + 2 * 3 + 4 * 5 + 5 * 6, 1 + 4 + 9 + 16 + 25 + 36});
  }
}

TEST_CASE("convolution kernels: every set agrees with the reference over a sweep of geometries", "[isa]") {
  Random random(200);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    check_geometry<float>(isas_under_test(), random_geometry(random, 2000000), seed);
  }
}

TEST_CASE("convolution kernels: every set agrees with the reference for every kernel, stride and padding", "[isa]") {
  std::uint64_t seed = 1000;
  for (std::int64_t kernel = 1; kernel <= 5; ++kernel) {
    for (std::int64_t stride = 1; stride <= 3; ++stride) {
      for (std::int64_t before = 0; before <= kernel; ++before) {
        for (const std::int64_t size : {1, 2, 7, 18}) {
          const std::int64_t after = (before + 1) % (kernel + 1);
          const std::int64_t outputs = (size + before + std::max(after, kernel - size - before) - kernel) / stride + 1;
          const std::int64_t ic = 1 + static_cast<std::int64_t>(seed % 4), oc = 5 + static_cast<std::int64_t>(seed % 3);
          // The other dimension has sizes of its own, so that mixed-up axes are found.
          check_geometry<float>(isas_under_test(), {1, ic, size, 11, oc, outputs, 11, kernel, 3, stride, 1, before, 1},
                                seed++);
          check_geometry<float>(isas_under_test(), {2, ic, 6, size, oc, 5, outputs, 2, kernel, 1, stride, 0, before},
                                seed++);
        }
      }
    }
  }
}

TEST_CASE("convolution kernels: every set agrees with the reference on shapes of many blocks", "[isa]") {
  std::uint64_t seed = 2000;
  for (const Conv2dGeometry& g : large_geometries()) check_geometry<float>(isas_under_test(), g, seed++);
}

TEST_CASE("convolution kernels: double agrees with the reference", "[isa]") {
  Random random(300);
  for (std::uint64_t seed = 3000; seed < 3120; ++seed) {
    check_geometry<double>(isas_under_test(), random_geometry(random, 300000), seed);
  }
  check_geometry<double>(isas_under_test(), same(2, 33, 30, 31, 50, 3), 3120);
}

template <class T>
void check_threads(const Conv2dGeometry& g, std::uint64_t seed) {
  Problem<T> problem(g, seed, false);
  for (const std::string& isa : isas_under_test()) {
    const IsaScope isa_scope(isa);
    for (const Entry entry : kEntries) {
      Guarded<T> first = problem.output(entry);
      for (const int threads : kThreadCounts) {
        const ThreadScope scope(threads);
        Guarded<T> got = problem.output(entry);
        run(kernels<T>(), entry, problem, got);
        if (threads == kThreadCounts[0]) run(kernels<T>(), entry, problem, first);
        INFO(isa << " " << name_of(entry) << ", " << threads << " threads, seed " << seed << ": " << text(g));
        CHECK(std::memcmp(got.data(), first.data(), static_cast<std::size_t>(got.count()) * sizeof(T)) == 0);
      }
    }
  }
}

TEST_CASE("convolution kernels: the same bits for any number of threads", "[isa]") {
  Random random(400);
  for (std::uint64_t seed = 4000; seed < 4040; ++seed) check_threads<float>(random_geometry(random, 500000), seed);
  for (std::uint64_t seed = 4040; seed < 4050; ++seed) check_threads<double>(random_geometry(random, 1000000), seed);
  for (const Conv2dGeometry& g : large_geometries()) {
    if (g.n * g.oc * g.ic * g.oh * g.ow * g.kh * g.kw <= 5000000) check_threads<float>(g, 4050);
  }
}

TEST_CASE("convolution kernels: the same bits inside parallel_for and from several threads at once", "[isa]") {
  const Conv2dGeometry g = same(2, 13, 20, 21, 17, 3);
  Problem<float> problem(g, 5000, false);
  const ThreadScope scope(3);
  for (const std::string& isa : isas_under_test()) {
    const IsaScope isa_scope(isa);
    for (const Entry entry : kEntries) {
      INFO(isa << " " << name_of(entry));
      Guarded<float> alone = problem.output(entry);
      run(kernels<float>(), entry, problem, alone);
      const auto bytes = static_cast<std::size_t>(alone.count()) * sizeof(float);
      std::vector<int> same_bits(6);
      const auto check_slot = [&](std::size_t slot) {
        Guarded<float> got = problem.output(entry);
        run(kernels<float>(), entry, problem, got);
        same_bits[slot] = std::memcmp(got.data(), alone.data(), bytes) == 0;
      };
      parallel_for(3, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) check_slot(static_cast<std::size_t>(i));
      });
      std::vector<std::thread> callers;
      for (std::size_t slot = 3; slot < 6; ++slot) callers.emplace_back(check_slot, slot);
      for (std::thread& caller : callers) caller.join();
      CHECK(same_bits == std::vector<int>(6, 1));
    }
  }
}

TEST_CASE("convolution kernels: NaN and infinity in an operand reach what depends on them, and nothing else", "[isa]") {
  // A kernel that multiplies padding or tails by what lies next to them would spread the NaN further.
  const Conv2dGeometry g = same(2, 3, 9, 10, 7, 3);
  const std::int64_t plane = g.h * g.w, at = plane * 4 + 5 * g.w + 6;  // sample 1, channel 1, row 5, column 6
  for (const std::string& isa : isas_under_test()) {
    CAPTURE(isa);
    const IsaScope scope(isa);
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Problem<float> problem(g, 6000, false);
      problem.x[at] = value;
      Guarded<float> y = problem.output(Entry::kForward);
      run(kernels<float>(), Entry::kForward, problem, y);
      int wrong = 0;
      for (std::int64_t i = 0; i < y.count(); ++i) {
        const std::int64_t n = i / plane / g.oc, row = i % plane / g.w, column = i % g.w;
        const bool reached = n == 1 && std::abs(row - 5) <= 1 && std::abs(column - 6) <= 1;
        wrong += std::isfinite(y[i]) == reached;
      }
      CHECK(wrong == 0);
    }
  }
}

}  // namespace
}  // namespace kind::testing
