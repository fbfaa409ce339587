// Long because its cases share the sweep over geometries and the plain sums that they are compared with.

#include "core/kernels/block_conv.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/sum.h"
#include "core/kernels/block_detail.h"
#include "core/kernels/ref/conv2d.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

// The layers over channel blocks against the plain reference kernels in double, for every set that has them.
//
// The bounds are in units of eps times sums of magnitudes, as in conv2d_test.cpp: for plain sums at each element; for
// Winograd's algorithm, whose errors spread over a tile, against the largest sum of the result. Over this file plain
// sums stay below 3, F(4x4) below 19 and F(6x6) below 26.

namespace kind::testing {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
constexpr ConvAlgorithm kAlgorithms[] = {ConvAlgorithm::kDirect, ConvAlgorithm::kWinograd4, ConvAlgorithm::kWinograd6};

const char* name_of(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::kWinograd4:
      return "F(4x4)";
    case ConvAlgorithm::kWinograd6:
      return "F(6x6)";
    case ConvAlgorithm::kDirect:
      break;
  }
  return "direct";
}

double bound_of(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::kWinograd4:
      return 40;
    case ConvAlgorithm::kWinograd6:
      return 60;
    case ConvAlgorithm::kDirect:
      break;
  }
  return 8;
}

/// Calls run(kernels) for every set under test that has channel blocks.
template <class Run>
void on_each_isa(const Run& run) {
  for (const std::string& isa : isas_under_test()) {
    const IsaScope scope(isa);
    if (!block_kernels()) continue;
    INFO(isa);
    run(*block_kernels());
  }
}

/// A map in the midst of NaNs, NaN itself until it is written.
class Map {
 public:
  Map(const BlockKernels& kernels, const Shape& s, std::int64_t slots = 0)
      : map_(kernels.lanes, s[0], s[1], s[2], s[3], slots > 0 ? slots : s[2]), memory_(map_.floats() + 2 * kGuard) {
    std::fill_n(memory_.data(), map_.floats() + 2 * kGuard, kNaN);
    map_.place(memory_.data() + kGuard);
  }
  /// Holds `values` [n, c, h, w].
  Map(const BlockKernels& kernels, const Tensor<float>& values) : Map(kernels, values.shape()) {
    write(values, 0, 0, map_.h);
  }

  const BlockMap& map() const { return map_; }
  operator const BlockMap&() const { return map_; }
  const float* data() const { return map_.data; }

  /// Writes rows y0 <= y < y1 of channels first, first + 1 and so on of `values`.
  void write(const Tensor<float>& values, std::int64_t first, std::int64_t y0, std::int64_t y1) {
    const std::int64_t all = values.shape()[1], lanes = map_.lanes;
    for (std::int64_t in = 0; in < map_.n; ++in) {
      for (std::int64_t y = y0; y < y1; ++y) {
        map_.clear_margins(in, y);
        for (std::int64_t c = 0; c < map_.blocks() * lanes; ++c) {
          for (std::int64_t x = 0; x < map_.w; ++x) {
            const std::int64_t at = ((in * all + first + c) * map_.h + y) * map_.w + x;
            map_.row(in, c / lanes, y)[x * lanes + c % lanes] = c < map_.channels ? values[at] : 0.0f;
          }
        }
      }
    }
  }

  /// Copies rows y0 <= y < y1 to channels first, first + 1 and so on of `values`.
  void read(Tensor<float>& values, std::int64_t first, std::int64_t y0, std::int64_t y1) const {
    const std::int64_t all = values.shape()[1], lanes = map_.lanes;
    for (std::int64_t in = 0; in < map_.n; ++in) {
      for (std::int64_t c = 0; c < map_.channels; ++c) {
        for (std::int64_t y = y0; y < y1; ++y) {
          for (std::int64_t x = 0; x < map_.w; ++x) {
            values[((in * all + first + c) * map_.h + y) * map_.w + x] =
                map_.row(in, c / lanes, y)[x * lanes + c % lanes];
          }
        }
      }
    }
  }
  Tensor<float> values() const {
    Tensor<float> all(Shape{map_.n, map_.channels, map_.h, map_.w});
    read(all, 0, 0, map_.h);
    return all;
  }

  /// What is wrong around the values of rows y0 <= y < y1, or nothing: margins and lanes beyond the last channel must
  /// be zeros, all other slots and what lies around the map must still be NaN.
  std::string fault(std::int64_t y0, std::int64_t y1) const {
    const std::int64_t lanes = map_.lanes, columns = map_.pitch / lanes;
    for (std::int64_t i = 0; i < kGuard; ++i) {
      if (!std::isnan(memory_.data()[i])) return "written before the map";
      if (!std::isnan(memory_.data()[kGuard + map_.floats() + i])) return "written after the map";
    }
    std::vector<bool> of_rows(static_cast<std::size_t>(map_.slots));
    for (std::int64_t y = y0; y < y1; ++y) of_rows[static_cast<std::size_t>(y % map_.slots)] = true;
    for (std::int64_t in = 0; in < map_.n; ++in) {
      for (std::int64_t c = 0; c < map_.blocks() * lanes; ++c) {
        for (std::int64_t slot = 0; slot < map_.slots; ++slot) {
          const bool written = of_rows[static_cast<std::size_t>(slot)];
          for (std::int64_t x = -1; x < columns - 1; ++x) {
            const float v =
                map_.data[in * map_.image + c / lanes * map_.plane + slot * map_.pitch + x * lanes + c % lanes];
            const bool around = x < 0 || x >= map_.w || c >= map_.channels;
            if (written ? !around || v == 0 : std::isnan(v)) continue;
            return join("image ", in, ", channel ", c, ", slot ", slot, ", column ", x, ": ", v,
                        written ? ", not 0" : ", though the slot is none of those to be written");
          }
        }
      }
    }
    return "";
  }
  std::string fault() const { return fault(0, map_.h); }

 private:
  static constexpr std::int64_t kGuard = 64;
  BlockMap map_;
  Buffer<float> memory_;
};

/// One map after the other along the channels, as a layer reads or writes them.
struct Maps {
  std::vector<Map> maps;

  /// NaN, `channels` of each.
  Maps(const BlockKernels& kernels, const Shape& s, const std::vector<std::int64_t>& channels, std::int64_t slots = 0) {
    for (const std::int64_t c : channels) maps.emplace_back(kernels, s.with(1, c), slots);
  }
  Maps(const BlockKernels& kernels, const Tensor<float>& values, const std::vector<std::int64_t>& channels)
      : Maps(kernels, values.shape(), channels) {
    write(values, 0, values.shape()[2]);
  }

  void write(const Tensor<float>& values, std::int64_t y0, std::int64_t y1) {
    std::int64_t first = 0;
    for (Map& map : maps) {
      map.write(values, first, y0, y1);
      first += map.map().channels;
    }
  }
  void read(Tensor<float>& values, std::int64_t y0, std::int64_t y1) const {
    std::int64_t first = 0;
    for (const Map& map : maps) {
      map.read(values, first, y0, y1);
      first += map.map().channels;
    }
  }
  BlockParts parts() const { return maps.size() == 1 ? BlockParts(maps[0]) : BlockParts(maps[0], maps[1]); }
  std::string fault(std::int64_t y0, std::int64_t y1) const {
    for (const Map& map : maps) {
      if (const std::string text = map.fault(y0, y1); !text.empty()) return text;
    }
    return "";
  }
};

std::int64_t sum(const std::vector<std::int64_t>& values) {
  std::int64_t total = 0;
  for (const std::int64_t v : values) total += v;
  return total;
}

Tensor<double> magnitudes(const Tensor<float>& x) {
  Tensor<double> y(x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) y[i] = std::abs(static_cast<double>(x[i]));
  return y;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
}

/// Values and the sums of the magnitudes that they were made of, in double.
struct Exact {
  Tensor<double> value, magnitude;
};

/// The largest error in units of eps times the sum of magnitudes, infinite where a value is no number. `spread`: times
/// the largest sum of all.
double largest_error(const Tensor<float>& got, const Exact& exact, bool spread) {
  REQUIRE(got.shape() == exact.value.shape());
  const double eps = static_cast<double>(std::numeric_limits<float>::epsilon());
  double largest = 0;
  for (std::int64_t i = 0; i < got.size(); ++i) largest = std::max(largest, exact.magnitude[i]);
  double worst = 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - exact.value[i]);
    const double unit = eps * (spread ? largest : exact.magnitude[i]);
    if (difference == 0) continue;
    const double error = difference / unit;
    worst = error >= worst ? error : std::isnan(error) ? static_cast<double>(kInfinity) : worst;
  }
  return worst;
}

Conv2dGeometry same_geometry(const Shape& x, std::int64_t oc, std::int64_t kernel) {
  return {x[0], x[1], x[2], x[3], oc, x[2], x[3], kernel, kernel, 1, 1, kernel / 2, kernel / 2};
}

/// The geometry of the 2x2 stride-2 convolution whose gradient to its input block_up is: from y to x.
Conv2dGeometry up_geometry(const Shape& x, const Shape& y) {
  return {x[0], y[1], y[2], y[3], x[1], x[2], x[3], 2, 2, 2, 2, 0, 0};
}

// --- block_conv ------------------------------------------------------------------------------------------------------

struct ConvCase {
  std::int64_t kernel;
  WeightUse use;
  Shape size;                         // [n, any, h, w]
  std::vector<std::int64_t> in, out;  // channels of the parts
  bool bias = true, add = false, mask = false;
  float slope = 1;

  static std::string list(const std::vector<std::int64_t>& channels) {
    std::string text;
    for (const std::int64_t c : channels) text += (text.empty() ? "" : " + ") + std::to_string(c);
    return text;
  }
  std::string text() const {
    return join("kernel ", kernel, use == WeightUse::kForward ? " forward, " : " input gradient, ", size.text(), ", ",
                list(in), " to ", list(out), " channels, slope ", slope, bias ? ", bias" : "", add ? ", add" : "",
                mask ? ", mask" : "");
  }
};

struct ConvProblem {
  const ConvCase& c;
  Shape out;
  Tensor<float> x, weight, bias, add, mask;

  ConvProblem(const ConvCase& conv, std::uint64_t seed)
      : c(conv),
        out(conv.size.with(1, sum(conv.out))),
        x(random_tensor<float>(conv.size.with(1, sum(conv.in)), seed)),
        weight(random_tensor<float>(weight_shape(), seed + 1)),
        bias(random_tensor<float>(Shape{out[1]}, seed + 2)),
        add(random_tensor<float>(out, seed + 3)),
        mask(random_tensor<float>(out, seed + 4)) {
    // Zeros of both signs are below the mask's limit.
    for (std::int64_t i = 0; i < mask.size(); i += 5) mask[i] = i % 2 ? 0.0f : -0.0f;
  }

  Shape weight_shape() const {
    const std::int64_t in = sum(c.in), to = sum(c.out);
    return c.use == WeightUse::kForward ? Shape{to, in, c.kernel, c.kernel} : Shape{in, to, c.kernel, c.kernel};
  }

  Exact exact() const {
    const auto convolve = [&](const Tensor<double>& from, const Tensor<double>& w) {
      Tensor<double> y(out);
      if (c.use == WeightUse::kForward) {
        ref_kernels<double>().conv2d(same_geometry(x.shape(), out[1], c.kernel), from.data(), w.data(), nullptr,
                                     y.data());
      } else {
        ref_kernels<double>().conv2d_input_gradient(same_geometry(out, x.shape()[1], c.kernel), w.data(), from.data(),
                                                    y.data());
      }
      return y;
    };
    Exact e{convolve(cast<double>(x), cast<double>(weight)), convolve(magnitudes(x), magnitudes(weight))};
    const std::int64_t plane = out[2] * out[3];
    for (std::int64_t i = 0; i < e.value.size(); ++i) {
      double& v = e.value[i];
      const auto more = [&](float value) {
        v += static_cast<double>(value);
        e.magnitude[i] += std::abs(static_cast<double>(value));
      };
      if (c.bias) more(bias[i / plane % out[1]]);
      if (c.add) more(add[i]);
      const bool above = c.mask ? mask[i] > 0 : v > 0;
      if (!above) v *= static_cast<double>(c.slope);
    }
    return e;
  }

  /// The result by pieces of at most `rows` rows (0: all at once); maps that hold everything.
  Tensor<float> run(const BlockKernels& kernels, ConvAlgorithm algorithm, std::int64_t rows = 0) const {
    const Maps from(kernels, x, c.in), added(kernels, add, c.out), masks(kernels, mask, c.out);
    const Maps to(kernels, out, c.out);
    std::vector<BlockTarget> targets;
    for (std::size_t i = 0; i < to.maps.size(); ++i) {
      targets.push_back(
          {to.maps[i], c.add ? added.maps[i].data() : nullptr, c.mask ? masks.maps[i].data() : nullptr, c.slope});
    }
    const std::int64_t h = out[2];
    for (std::int64_t y0 = 0; y0 < h; y0 += rows) {
      if (rows == 0) rows = h;
      const std::int64_t y1 = std::min(h, y0 + rows);
      block_conv(kernels, {c.kernel, weight.data(), c.bias ? bias.data() : nullptr, c.use, algorithm}, from.parts(),
                 targets, y0, y1);
      CHECK(to.fault(0, y1) == "");
    }
    Tensor<float> result(out);
    to.read(result, 0, h);
    return result;
  }
};

std::vector<ConvAlgorithm> algorithms_of(const ConvCase& c) {
  const auto whole = [](const std::vector<std::int64_t>& channels) {
    return std::all_of(channels.begin(), channels.end(), [](std::int64_t v) { return v % kMostLanes == 0; });
  };
  if (c.kernel != 3 || !whole(c.in) || !whole(c.out)) return {ConvAlgorithm::kDirect};
  return {std::begin(kAlgorithms), std::end(kAlgorithms)};
}

void check_conv(const ConvCase& c, std::uint64_t seed) {
  const ConvProblem problem(c, seed);
  const Exact exact = problem.exact();
  on_each_isa([&](const BlockKernels& kernels) {
    for (const ConvAlgorithm algorithm : algorithms_of(c)) {
      INFO(name_of(algorithm) << ", " << c.text());
      const double error = largest_error(problem.run(kernels, algorithm), exact, algorithm != ConvAlgorithm::kDirect);
      CHECK(error <= bound_of(algorithm));
    }
  });
}

// Around multiples of 4, 6 and 12, and of the columns that one product takes.
const std::vector<Shape> kSizes = {{1, 1, 1, 1},   {1, 1, 1, 7},   {2, 1, 5, 1},   {1, 1, 2, 3},
                                   {1, 1, 3, 4},   {3, 1, 4, 5},   {1, 1, 5, 6},   {1, 1, 6, 6},
                                   {1, 1, 7, 8},   {2, 1, 7, 11},  {1, 1, 12, 12}, {1, 1, 13, 13},
                                   {1, 1, 11, 23}, {1, 1, 25, 24}, {1, 1, 3, 49},  {1, 1, 2, 113}};

TEST_CASE("block_conv: every size, kernel and use of the weights", "[isa]") {
  std::uint64_t seed = 100;
  for (const std::int64_t kernel : {1, 3}) {
    for (const WeightUse use : {WeightUse::kForward, WeightUse::kInputGradient}) {
      for (const Shape& size : kSizes) check_conv({kernel, use, size, {32}, {32}}, seed += 10);
    }
  }
}

TEST_CASE("block_conv: one and two parts on either side, any channels", "[isa]") {
  std::uint64_t seed = 1000;
  const std::vector<std::vector<std::int64_t>> parts = {{32}, {96}, {48}, {32, 32}, {16, 48}, {64, 16}};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (std::size_t k = 0; k < parts.size(); ++k) {
      const WeightUse use = (i + k) % 2 ? WeightUse::kForward : WeightUse::kInputGradient;
      check_conv({3, use, {1 + static_cast<std::int64_t>(k % 3), 1, 7, 9}, parts[i], parts[k]}, seed += 10);
      check_conv({1, use, {1, 1, 3, 5}, parts[i], parts[k]}, seed += 10);
    }
  }
  // First layers, and the gradients of last ones: less than a block.
  for (const std::int64_t few : {1, 2, 3, 4, 7, 8}) {
    for (const std::int64_t kernel : {1, 3}) {
      check_conv({kernel, WeightUse::kForward, {2, 1, 5, 51}, {few}, {32}}, seed += 10);
      check_conv({kernel, WeightUse::kInputGradient, {1, 1, 6, 7}, {few}, {32, 48}}, seed += 10);
      check_conv({kernel, WeightUse::kForward, {1, 1, 6, 7}, {32}, {few}}, seed += 10);
      check_conv({kernel, WeightUse::kInputGradient, {1, 1, 6, 7}, {32}, {few + 16}}, seed += 10);
    }
  }
}

TEST_CASE("block_conv: what happens to a value before it is stored", "[isa]") {
  std::uint64_t seed = 2000;
  for (const std::int64_t kernel : {1, 3}) {
    for (int steps = 0; steps < 8; ++steps) {
      for (const float slope : {1.0f, 0.2f, 0.0f}) {
        ConvCase c{kernel, WeightUse::kForward, {2, 1, 7, 13}, {32}, {16, 32}};
        c.bias = steps & 1;
        c.add = steps & 2;
        c.mask = steps & 4;
        c.slope = slope;
        check_conv(c, seed += 10);
      }
    }
  }
}

// Thin pictures, so that many tiles cost little: blocks of tiles end in the midst of a row and of an image.
const std::vector<ConvCase> kManyTiles = {
    {3, WeightUse::kForward, {2, 1, 5, 250}, {32}, {32}},
    {3, WeightUse::kForward, {1, 1, 30, 41}, {64}, {32, 32}},
    {3, WeightUse::kForward, {3, 1, 1, 370}, {144}, {128}},         // parts of the tiles, for both sizes of tiles
    {3, WeightUse::kForward, {3, 1, 1, 370}, {144}, {288}},         // slices for both, more than one turn
    {3, WeightUse::kInputGradient, {1, 1, 7, 40}, {96}, {48, 64}},  // slices for F(6x6) alone
    {3, WeightUse::kForward, {2, 1, 7, 13}, {144, 112}, {176}},     // a last slice of one group
    {3, WeightUse::kInputGradient, {1, 1, 6, 5}, {256}, {128, 128}},
    {3, WeightUse::kForward, {1, 1, 3, 2}, {528}, {16}},  // more blocks than any of the nets' layers has
    {3, WeightUse::kForward, {1, 1, 3, 2}, {256, 256}, {64}, true, true, true, 0.2f}};

TEST_CASE("block_conv: many tiles, and many channels", "[isa]") {
  std::uint64_t seed = 3000;
  for (const ConvCase& c : kManyTiles) check_conv(c, seed += 10);
}

TEST_CASE("block_conv: rows in pieces have the bits of the whole", "[isa]") {
  const ConvCase cases[] = {{3, WeightUse::kForward, {2, 1, 29, 14}, {32}, {32}, true, true, true, 0.2f},
                            {3, WeightUse::kForward, {1, 1, 25, 5}, {144}, {128}},
                            {3, WeightUse::kInputGradient, {1, 1, 25, 7}, {32}, {16, 32}},
                            {3, WeightUse::kForward, {1, 1, 13, 9}, {3}, {32}},
                            {1, WeightUse::kForward, {2, 1, 13, 9}, {32, 16}, {32}}};
  std::uint64_t seed = 4000;
  for (const ConvCase& c : cases) {
    const ConvProblem problem(c, seed += 10);
    on_each_isa([&](const BlockKernels& kernels) {
      for (const ConvAlgorithm algorithm : algorithms_of(c)) {
        INFO(name_of(algorithm) << ", " << c.text());
        const std::int64_t unit = algorithm_rows(algorithm);
        const Tensor<float> whole = problem.run(kernels, algorithm);
        for (const std::int64_t rows : {unit, 2 * unit, 12 * unit}) {
          CHECK(same_bits(problem.run(kernels, algorithm, rows), whole));
        }
      }
    });
  }
}

TEST_CASE("block_conv: maps that hold the last rows only", "[isa]") {
  const ConvCase cases[] = {{3, WeightUse::kForward, {1, 1, 61, 9}, {32, 16}, {32}},
                            {3, WeightUse::kForward, {2, 1, 53, 5}, {16}, {16, 32}},
                            {1, WeightUse::kForward, {1, 1, 40, 9}, {32}, {32}}};
  std::uint64_t seed = 5000;
  for (const ConvCase& c : cases) {
    const ConvProblem problem(c, seed += 10);
    const std::int64_t h = c.size[2];
    on_each_isa([&](const BlockKernels& kernels) {
      for (const ConvAlgorithm algorithm : algorithms_of(c)) {
        for (const std::int64_t step : {12, 24}) {
          INFO(name_of(algorithm) << ", " << c.text() << ", steps of " << step << " rows");
          Maps from(kernels, problem.x.shape(), c.in, step + 12);
          const Maps to(kernels, problem.out, c.out, step);
          std::vector<BlockTarget> targets;
          for (const Map& map : to.maps) targets.push_back({map});
          Tensor<float> result(problem.out);
          for (std::int64_t y0 = 0, packed = 0; y0 < h; y0 += step) {
            const std::int64_t y1 = std::min(h, y0 + step), needed = std::min(h, y1 + 1);
            from.write(problem.x, packed, needed);
            packed = needed;
            block_conv(kernels, {c.kernel, problem.weight.data(), problem.bias.data(), c.use, algorithm}, from.parts(),
                       targets, y0, y1);
            CHECK(to.fault(y0, y1).find("not 0") == std::string::npos);
            to.read(result, y0, y1);
          }
          CHECK(same_bits(result, problem.run(kernels, algorithm)));
        }
      }
    });
  }
}

TEST_CASE("the rows of a step are shared out by bands") {
  const auto order = [](int threads, std::int64_t first, std::int64_t end, std::int64_t band, std::int64_t unit) {
    const ThreadScope scope(threads);
    const SharedRows rows(2, first, end, band, unit);
    REQUIRE(rows.count() == 2 * (end - first));
    std::vector<std::int64_t> found;
    for (std::int64_t i = 0; i < rows.count(); ++i) {
      CHECK(rows[i].image == i / (end - first));
      if (rows[i].image == 0) found.push_back(rows[i].y);
      if (rows[i].image == 1) CHECK(rows[i].y == found[static_cast<std::size_t>(i - (end - first))]);
    }
    return found;
  };
  using Order = std::vector<std::int64_t>;
  CHECK(order(1, 3, 7, 2, 1) == Order{3, 4, 5, 6});
  CHECK(order(2, 3, 7, 0, 1) == Order{3, 4, 5, 6});
  CHECK(order(2, 3, 10, 2, 1) == Order{4, 5, 8, 9, 3, 6, 7});
  CHECK(order(2, 3, 10, 4, 2) == Order{4, 5, 8, 9, 3, 6, 7});
  CHECK(order(3, 0, 7, 1, 1) == Order{0, 3, 6, 1, 4, 2, 5});
}

TEST_CASE("block_conv: a tile must not cross the end of a map's rows", "[isa]") {
  const ConvCase c{3, WeightUse::kForward, {1, 1, 24, 5}, {16}, {16}};
  const ConvProblem problem(c, 1);
  on_each_isa([&](const BlockKernels& kernels) {
    const Maps from(kernels, problem.x, c.in), to(kernels, problem.out, c.out, 16);
    const BlockTarget target{to.maps[0]};
    const BlockConvolution conv{3, problem.weight.data(), nullptr, c.use, ConvAlgorithm::kWinograd6};
    CHECK_THROWS_AS(block_conv(kernels, conv, from.parts(), {&target, 1}, 0, 24), Error);
  });
}

TEST_CASE("block_conv: threads do not change a bit, nor does what scratch memory held", "[isa]") {
  std::vector<ConvCase> cases = kManyTiles;
  cases.push_back({3, WeightUse::kForward, {2, 1, 9, 50}, {3}, {32}});
  cases.push_back({1, WeightUse::kInputGradient, {2, 1, 9, 20}, {32}, {64, 32}, false, true, true, 0.0f});
  std::uint64_t seed = 6000;
  for (const ConvCase& c : cases) {
    const ConvProblem problem(c, seed += 10);
    // Its scratch memory, full of NaNs, is what the next run of the same sizes gets.
    ConvProblem poison(c, seed);
    poison.x = Tensor<float>::full(problem.x.shape(), kNaN);
    poison.weight = Tensor<float>::full(problem.weight.shape(), kNaN);
    on_each_isa([&](const BlockKernels& kernels) {
      for (const ConvAlgorithm algorithm : algorithms_of(c)) {
        INFO(name_of(algorithm) << ", " << c.text());
        Tensor<float> first;
        for (const int threads : kThreadCounts) {
          const ThreadScope scope(threads);
          if (threads == 2) poison.run(kernels, algorithm);
          const Tensor<float> y = problem.run(kernels, algorithm);
          if (!first.defined()) first = y;
          CHECK(same_bits(y, first));
        }
      }
    });
  }
}

TEST_CASE("block_conv: a NaN reaches what depends on it, and nothing else", "[isa]") {
  const ConvCase c{3, WeightUse::kForward, {2, 1, 14, 13}, {32}, {32}};
  on_each_isa([&](const BlockKernels& kernels) {
    ConvProblem problem(c, 7000);
    problem.x[((1 * 32 + 5) * 14 + 6) * 13 + 7] = kNaN;  // image 1, channel 5, row 6, column 7
    for (const ConvAlgorithm algorithm : kAlgorithms) {
      INFO(name_of(algorithm));
      // Winograd's algorithm spreads it over the tiles that see it.
      const std::int64_t reach = algorithm == ConvAlgorithm::kDirect ? 1 : algorithm_rows(algorithm);
      const Tensor<float> y = problem.run(kernels, algorithm);
      std::int64_t lost = 0, astray = 0;
      for (std::int64_t i = 0; i < y.size(); ++i) {
        const std::int64_t in = i / (32 * 14 * 13), row = i / 13 % 14, column = i % 13;
        const std::int64_t distance = std::max(std::abs(row - 6), std::abs(column - 7));
        lost += in == 1 && distance <= 1 && !std::isnan(y[i]);
        astray += std::isnan(y[i]) && (in != 1 || distance > reach);
      }
      CHECK(lost == 0);
      CHECK(astray == 0);
    }
  });
}

TEST_CASE("choose_algorithm: exact and odd channels directly, all else by whole-picture sizes") {
  CHECK(choose_algorithm(32, 32, 1, 400, 600, true) == ConvAlgorithm::kDirect);
  CHECK(choose_algorithm(3, 32, 1, 400, 600, false) == ConvAlgorithm::kDirect);
  CHECK(choose_algorithm(32, 24, 1, 400, 600, false) == ConvAlgorithm::kDirect);
  CHECK(choose_algorithm(64, 64, 1, 400, 600, false) == ConvAlgorithm::kWinograd6);
  // Where there are few tiles, those of six waste their rows.
  CHECK(choose_algorithm(64, 64, 1, 4, 4, false) == ConvAlgorithm::kWinograd4);
  CHECK(choose_algorithm(256, 256, 1, 8, 8, false) == ConvAlgorithm::kWinograd4);
  CHECK(algorithm_rows(ConvAlgorithm::kDirect) == 1);
  CHECK(algorithm_rows(ConvAlgorithm::kWinograd4) == 4);
  CHECK(algorithm_rows(ConvAlgorithm::kWinograd6) == 6);
}

// --- block_project ---------------------------------------------------------------------------------------------------

double sigmoid_of(double v, float slope) { return 1 / (1 + std::exp(-(v > 0 ? v : v * static_cast<double>(slope)))); }

void check_project(const ConvCase& c, std::int64_t oc, bool with_sigmoid, std::uint64_t seed) {
  ConvCase to_planes = c;
  to_planes.out = {oc};
  to_planes.slope = 1;
  const ConvProblem problem(to_planes, seed);
  Exact exact = problem.exact();
  const Shape& out = problem.out;
  const std::int64_t plane = out[2] * out[3], guard = 16;
  if (with_sigmoid) {
    // Its slope is at most 1/4; what its own arithmetic adds is a few eps of 1.
    for (std::int64_t i = 0; i < exact.value.size(); ++i) {
      exact.value[i] = sigmoid_of(exact.value[i], c.slope);
      exact.magnitude[i] = 1 + exact.magnitude[i] / 4;
    }
  }
  on_each_isa([&](const BlockKernels& kernels) {
    INFO(c.text() << (with_sigmoid ? ", sigmoid" : "") << ", " << oc << " outputs");
    const Maps from(kernels, problem.x, c.in);
    Tensor<float> first;
    for (const int threads : kThreadCounts) {
      const ThreadScope scope(threads);
      for (const std::int64_t piece : {out[2], std::int64_t{3}}) {
        // Channels in the reverse order, with room between images.
        const std::int64_t image = (oc + 1) * plane;
        std::vector<float> memory(static_cast<std::size_t>(out[0] * image + 2 * guard), kNaN);
        std::vector<float*> to;
        for (std::int64_t o = 0; o < oc; ++o) to.push_back(memory.data() + guard + (oc - 1 - o) * plane);
        for (std::int64_t y0 = 0; y0 < out[2]; y0 += piece) {
          block_project(
              kernels, {c.kernel, problem.weight.data(), c.bias ? problem.bias.data() : nullptr, c.use}, from.parts(),
              {.planes = to.data(), .channels = oc, .image = image, .sigmoid = with_sigmoid, .slope = c.slope}, y0,
              std::min(out[2], y0 + piece));
        }
        Tensor<float> y(out);
        for (std::int64_t in = 0; in < out[0]; ++in) {
          for (std::int64_t o = 0; o < oc; ++o) {
            float* const at = to[static_cast<std::size_t>(o)] + in * image;
            std::copy_n(at, plane, y.data() + (in * oc + o) * plane);
            std::fill_n(at, plane, kNaN);
          }
        }
        CHECK(std::all_of(memory.begin(), memory.end(), [](float v) { return std::isnan(v); }));
        if (!first.defined()) first = y;
        CHECK(same_bits(y, first));
      }
    }
    CHECK(largest_error(first, exact, false) <= bound_of(ConvAlgorithm::kDirect));
  });
}

TEST_CASE("block_project: one to four planes", "[isa]") {
  std::uint64_t seed = 8000;
  for (const std::int64_t oc : {1, 2, 3, 4}) {
    for (const std::int64_t kernel : {1, 3}) {
      for (const WeightUse use : {WeightUse::kForward, WeightUse::kInputGradient}) {
        const std::vector<std::int64_t> parts =
            oc % 2 ? std::vector<std::int64_t>{32} : std::vector<std::int64_t>{16, 32};
        for (const Shape& size : {Shape{1, 1, 1, 1}, {2, 1, 5, 7}, {1, 1, 4, 18}, {1, 1, 7, 1}}) {
          check_project({kernel, use, size, parts, {}, oc != 2, false, false, 0.2f}, oc, oc > 2, seed += 10);
        }
        check_project({kernel, use, {3, 1, 2, 3}, {3}, {}, true, false, false, 1.0f}, oc, false, seed += 10);
      }
    }
    check_project({3, WeightUse::kForward, {1, 1, 5, 9}, {48}, {}, true, false, false, 0.0f}, oc, true, seed += 10);
  }
}

TEST_CASE("the block kernels' sigmoid", "[isa]") {
  on_each_isa([&](const BlockKernels& kernels) {
    std::vector<float> x;
    for (int i = -2000; i <= 2000; ++i) x.push_back(static_cast<float>(i) * 0.06f);
    for (const float v : {0.0f, 1e-30f, 1e-7f, 16.7f, 86.9f, 87.0f, 87.1f, 88.8f, 104.0f, 1e4f, 3e38f}) {
      x.push_back(v);
      x.push_back(-v);
    }
    for (const float slope : {1.0f, 0.2f, 0.0f}) {
      std::vector<float> y = x;
      kernels.sigmoid(y.data(), static_cast<std::int64_t>(y.size()), slope);
      double worst = 0, worst_share = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double exact = sigmoid_of(static_cast<double>(x[i]), slope), got = static_cast<double>(y[i]);
        worst = std::max(worst, std::abs(got - exact));
        // The result is never smaller than at -87, where it is 1.6e-38.
        worst_share = std::max(worst_share, std::abs(got - exact) / std::max(exact, 1e-31));
        if (!(y[i] >= 0 && y[i] <= 1)) FAIL_CHECK("sigmoid(" << x[i] << ") = " << y[i]);
      }
      CAPTURE(slope);
      CHECK(worst < 1.5e-7);
      CHECK(worst_share < 5e-6);  // the rounding of slope * x, e to the power of it
    }
    float special[] = {kInfinity, -kInfinity, kNaN, 0.0f, -0.0f, 5, kNaN, 1, kNaN};
    kernels.sigmoid(special, 9, 0.2f);
    CHECK(special[0] == 1);
    CHECK(special[1] >= 0);
    CHECK(special[1] < 1e-37f);
    for (const int i : {2, 6, 8}) CHECK(std::isnan(special[i]));
    CHECK(special[3] == 0.5f);
    CHECK(special[4] == 0.5f);
    CHECK(special[5] == Approx(sigmoid_of(5, 1)).epsilon(1e-6));
    CHECK(special[7] == Approx(sigmoid_of(1, 1)).epsilon(1e-6));
  });
}

// --- block_up --------------------------------------------------------------------------------------------------------

struct UpProblem {
  Shape x_shape, y_shape;
  Tensor<float> x, weight, dy, add, mask;

  UpProblem(const Shape& from, const Shape& to, std::uint64_t seed)
      : x_shape(from),
        y_shape(to),
        x(random_tensor<float>(from, seed)),
        weight(random_tensor<float>(Shape{from[1], to[1], 2, 2}, seed + 1)),
        dy(random_tensor<float>(to, seed + 2)),
        add(random_tensor<float>(from, seed + 3)),
        mask(random_tensor<float>(from, seed + 4)) {}

  std::string text() const { return x_shape.text() + " up to " + y_shape.text(); }
};

std::vector<UpProblem> up_problems() {
  std::uint64_t seed = 9000;
  std::vector<UpProblem> problems;
  const auto add = [&](const Shape& x, const Shape& y) { problems.emplace_back(x, y, seed += 10); };
  for (const std::int64_t h : {1, 2}) {
    for (const std::int64_t w : {1, 2}) add({1, 32, 1, 1}, {1, 16, h, w});
  }
  add({2, 64, 3, 5}, {2, 32, 5, 9});
  add({1, 32, 3, 5}, {1, 32, 6, 9});
  add({1, 96, 3, 5}, {1, 48, 5, 10});
  add({3, 16, 4, 7}, {3, 96, 8, 14});
  add({1, 32, 2, 61}, {1, 16, 3, 121});  // more columns than a product takes
  add({1, 16, 2, 113}, {1, 16, 4, 226});
  add({1, 256, 3, 3}, {1, 128, 6, 5});
  add({2, 32, 30, 33}, {2, 32, 59, 66});  // gradients summed in several parts
  return problems;
}

TEST_CASE("block_up: the transposed convolution, cut to size", "[isa]") {
  for (const UpProblem& p : up_problems()) {
    Exact exact{Tensor<double>(p.y_shape), Tensor<double>(p.y_shape)};
    const Conv2dGeometry g = up_geometry(p.x_shape, p.y_shape);
    ref_kernels<double>().conv2d_input_gradient(g, cast<double>(p.weight).data(), cast<double>(p.x).data(),
                                                exact.value.data());
    ref_kernels<double>().conv2d_input_gradient(g, magnitudes(p.weight).data(), magnitudes(p.x).data(),
                                                exact.magnitude.data());
    on_each_isa([&](const BlockKernels& kernels) {
      INFO(p.text());
      const Map x(kernels, p.x);
      Tensor<float> first;
      for (const int threads : kThreadCounts) {
        const ThreadScope scope(threads);
        for (const std::int64_t rows : {p.x_shape[2], std::int64_t{1}, std::int64_t{2}}) {
          const Map y(kernels, p.y_shape);
          for (std::int64_t x0 = 0; x0 < p.x_shape[2]; x0 += rows) {
            const std::int64_t x1 = std::min(p.x_shape[2], x0 + rows);
            block_up(kernels, x, p.weight.data(), y, x0, x1);
            CHECK(y.fault(0, std::min(p.y_shape[2], 2 * x1)) == "");
          }
          if (!first.defined()) first = y.values();
          CHECK(same_bits(y.values(), first));
        }
      }
      CHECK(largest_error(first, exact, false) <= bound_of(ConvAlgorithm::kDirect));
    });
  }
}

TEST_CASE("block_up: maps that hold the last rows only", "[isa]") {
  const UpProblem p({2, 32, 23, 5}, {2, 16, 45, 9}, 1);
  on_each_isa([&](const BlockKernels& kernels) {
    const Map whole_x(kernels, p.x), whole(kernels, p.y_shape);
    block_up(kernels, whole_x, p.weight.data(), whole, 0, 23);
    Map x(kernels, p.x_shape, 6);
    const Map y(kernels, p.y_shape, 12);
    Tensor<float> result(p.y_shape);
    for (std::int64_t x0 = 0; x0 < 23; x0 += 6) {
      const std::int64_t x1 = std::min<std::int64_t>(23, x0 + 6), y1 = std::min<std::int64_t>(45, 2 * x1);
      x.write(p.x, 0, x0, x1);
      block_up(kernels, x, p.weight.data(), y, x0, x1);
      y.read(result, 0, 2 * x0, y1);
    }
    CHECK(same_bits(result, whole.values()));
    CHECK(y.fault() == "");
  });
}

TEST_CASE("block_up_input_gradient", "[isa]") {
  for (const UpProblem& p : up_problems()) {
    Exact plain{Tensor<double>(p.x_shape), Tensor<double>(p.x_shape)};
    const Conv2dGeometry g = up_geometry(p.x_shape, p.y_shape);
    ref_kernels<double>().conv2d(g, cast<double>(p.dy).data(), cast<double>(p.weight).data(), nullptr,
                                 plain.value.data());
    ref_kernels<double>().conv2d(g, magnitudes(p.dy).data(), magnitudes(p.weight).data(), nullptr,
                                 plain.magnitude.data());
    for (int steps = 0; steps < 4; ++steps) {
      Exact exact{plain.value.clone(), plain.magnitude.clone()};
      for (std::int64_t i = 0; i < exact.value.size(); ++i) {
        if (steps & 1) exact.value[i] += static_cast<double>(p.add[i]);
        if (steps & 1) exact.magnitude[i] += std::abs(static_cast<double>(p.add[i]));
        if ((steps & 2) && !(p.mask[i] > 0)) exact.value[i] *= static_cast<double>(0.2f);
      }
      on_each_isa([&](const BlockKernels& kernels) {
        INFO(p.text() << (steps & 1 ? ", add" : "") << (steps & 2 ? ", mask" : ""));
        const Map dy(kernels, p.dy), add(kernels, p.add), mask(kernels, p.mask);
        Tensor<float> first;
        for (const int threads : kThreadCounts) {
          const ThreadScope scope(threads);
          const Map dx(kernels, p.x_shape);
          const bool masked = steps & 2;
          block_up_input_gradient(
              kernels, dy, p.weight.data(),
              {dx, steps & 1 ? add.data() : nullptr, masked ? mask.data() : nullptr, masked ? 0.2f : 1.0f});
          CHECK(dx.fault() == "");
          if (!first.defined()) first = dx.values();
          CHECK(same_bits(dx.values(), first));
        }
        CHECK(largest_error(first, exact, false) <= bound_of(ConvAlgorithm::kDirect));
      });
    }
  }
}

// --- Gradients to weights --------------------------------------------------------------------------------------------

/// A gradient to parameters, computed in the midst of NaNs; `run` assigns it.
Tensor<float> guarded(const Shape& shape, const std::function<void(float*)>& run) {
  constexpr std::int64_t kGuard = 64;
  std::vector<float> memory(static_cast<std::size_t>(shape.size() + 2 * kGuard), kNaN);
  run(memory.data() + kGuard);
  Tensor<float> result(shape);
  std::copy_n(memory.data() + kGuard, shape.size(), result.data());
  std::fill_n(memory.data() + kGuard, shape.size(), kNaN);
  CHECK(std::all_of(memory.begin(), memory.end(), [](float v) { return std::isnan(v); }));
  return result;
}

TEST_CASE("block_up_weight_gradient", "[isa]") {
  for (const UpProblem& p : up_problems()) {
    Exact exact{Tensor<double>(p.weight.shape()), Tensor<double>(p.weight.shape())};
    const Conv2dGeometry g = up_geometry(p.x_shape, p.y_shape);
    ref_kernels<double>().conv2d_weight_gradient(g, cast<double>(p.dy).data(), cast<double>(p.x).data(),
                                                 exact.value.data());
    ref_kernels<double>().conv2d_weight_gradient(g, magnitudes(p.dy).data(), magnitudes(p.x).data(),
                                                 exact.magnitude.data());
    on_each_isa([&](const BlockKernels& kernels) {
      INFO(p.text());
      const Map x(kernels, p.x), dy(kernels, p.dy);
      Tensor<float> first;
      for (const int threads : kThreadCounts) {
        const ThreadScope scope(threads);
        const Tensor<float> dw =
            guarded(p.weight.shape(), [&](float* to) { block_up_weight_gradient(kernels, x, dy, p.x.shape()[0], to); });
        if (!first.defined()) first = dw;
        CHECK(same_bits(dw, first));
      }
      CHECK(largest_error(first, exact, false) <= bound_of(ConvAlgorithm::kDirect));
    });
  }
}

void check_weight_gradient(std::int64_t kernel, const Shape& size, const std::vector<std::int64_t>& in, std::int64_t oc,
                           std::uint64_t seed) {
  const Shape x_shape = size.with(1, sum(in)), y_shape = size.with(1, oc), shape{oc, sum(in), kernel, kernel};
  const Tensor<float> x = random_tensor<float>(x_shape, seed), dy = random_tensor<float>(y_shape, seed + 1);
  const Conv2dGeometry g = same_geometry(x_shape, oc, kernel);
  Exact exact{Tensor<double>(shape), Tensor<double>(shape)};
  ref_kernels<double>().conv2d_weight_gradient(g, cast<double>(x).data(), cast<double>(dy).data(), exact.value.data());
  ref_kernels<double>().conv2d_weight_gradient(g, magnitudes(x).data(), magnitudes(dy).data(), exact.magnitude.data());
  Exact bias{Tensor<double>::zeros(Shape{oc}), Tensor<double>::zeros(Shape{oc})};
  for (std::int64_t i = 0; i < dy.size(); ++i) {
    const std::int64_t c = i / (size[2] * size[3]) % oc;
    bias.value[c] += static_cast<double>(dy[i]);
    bias.magnitude[c] += std::abs(static_cast<double>(dy[i]));
  }
  const ConvCase as_conv{kernel, WeightUse::kForward, size, in, {oc}};
  on_each_isa([&](const BlockKernels& kernels) {
    const Maps from(kernels, x, in);
    const Map gradient(kernels, dy);
    const Maps poison_from(kernels, Tensor<float>::full(x_shape, kNaN), in);
    for (const ConvAlgorithm algorithm : algorithms_of(as_conv)) {
      INFO(name_of(algorithm) << ", " << as_conv.text());
      Tensor<float> first, first_bias;
      for (const int threads : kThreadCounts) {
        const ThreadScope scope(threads);
        Tensor<float> dbias;
        const auto run = [&](const Maps& of, bool with_bias) {
          return guarded(shape, [&](float* dw) {
            if (!with_bias) {
              return block_weight_gradient(kernels, algorithm, kernel, of.parts(), gradient, size[0], dw, nullptr);
            }
            dbias = guarded(Shape{oc}, [&](float* db) {
              block_weight_gradient(kernels, algorithm, kernel, of.parts(), gradient, size[0], dw, db);
            });
          });
        };
        const Tensor<float> dw = run(from, true);
        if (!first.defined()) first = dw, first_bias = dbias;
        CHECK(same_bits(dw, first));
        CHECK(same_bits(dbias, first_bias));
        if (threads != 2) continue;
        run(poison_from, false);  // leaves its scratch memory, full of NaNs, to the next
        CHECK(same_bits(run(from, false), first));
      }
      const double error = largest_error(first, exact, algorithm != ConvAlgorithm::kDirect);
      // Both take tiles of four.
      CHECK(error <= bound_of(algorithm == ConvAlgorithm::kDirect ? algorithm : ConvAlgorithm::kWinograd4));
      CHECK(largest_error(first_bias, bias, false) <= bound_of(ConvAlgorithm::kDirect));
    }
  });
}

TEST_CASE("block_weight_gradient: every size, kernel and channel count", "[isa]") {
  std::uint64_t seed = 10000;
  for (const std::int64_t kernel : {1, 3}) {
    for (const Shape& size : kSizes) check_weight_gradient(kernel, size, {32}, 32, seed += 10);
    for (const std::int64_t few : {1, 2, 3, 4, 7, 8}) {
      check_weight_gradient(kernel, {2, 1, 5, 7}, {few}, 32, seed += 10);
      check_weight_gradient(kernel, {1, 1, 6, 7}, {32, 16}, few, seed += 10);
    }
    check_weight_gradient(kernel, {2, 1, 7, 9}, {48, 32}, 96, seed += 10);
    check_weight_gradient(kernel, {1, 1, 7, 9}, {16, 16}, 48, seed += 10);
  }
}

TEST_CASE("block_weight_gradient: many tiles, and many channels", "[isa]") {
  check_weight_gradient(3, {2, 1, 50, 61}, {16}, 32, 11000);  // sums in parts
  check_weight_gradient(3, {3, 1, 1, 570}, {32}, 48, 11010);
  check_weight_gradient(3, {1, 1, 45, 60}, {3}, 32, 11020);
  check_weight_gradient(3, {1, 1, 5, 6}, {256}, 256, 11030);     // all points at once
  check_weight_gradient(3, {1, 1, 1, 1100}, {256}, 240, 11040);  // more tiles than are transformed together
}

/// The pictures of one pair.
Tensor<float> of_pair(const Tensor<float>& x, std::int64_t pairs, std::int64_t pair) {
  const std::int64_t n = x.shape()[0] / pairs, size = x.size() / x.shape()[0];
  Tensor<float> part(x.shape().with(0, n));
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(x.data() + (pair + i * pairs) * size, size, part.data() + i * size);
  }
  return part;
}

TEST_CASE("block_weight_gradient: the pairs' gradients, added in the order of merge_pairs", "[isa]") {
  constexpr std::int64_t kPairs = 3;
  struct Case {
    std::int64_t kernel, channels, oc, h, w;
  };
  std::uint64_t seed = 12000;
  // Strips, parts of the tiles, all channels at once; as a transposed convolution.
  for (const Case& c : {Case{1, 32, 3, 20, 21}, {3, 4, 32, 40, 30}, {3, 32, 32, 90, 61}, {3, 256, 128, 5, 9}}) {
    const Tensor<float> x = random_tensor<float>(Shape{2 * kPairs, c.channels, c.h, c.w}, seed++),
                        dy = random_tensor<float>(Shape{2 * kPairs, c.oc, c.h, c.w}, seed++);
    const Shape shape{c.oc, c.channels, c.kernel, c.kernel};
    on_each_isa([&](const BlockKernels& kernels) {
      for (const ConvAlgorithm algorithm : {ConvAlgorithm::kDirect, ConvAlgorithm::kWinograd6}) {
        if (algorithm != ConvAlgorithm::kDirect && (c.kernel == 1 || c.channels % 16 != 0)) continue;
        INFO(c.channels << " channels, " << c.h << "x" << c.w << ", " << name_of(algorithm));
        const auto gradient = [&](const Tensor<float>& from, const Tensor<float>& to, std::int64_t pairs) {
          Tensor<float> both(Shape{shape.size() + c.oc});
          const Maps maps(kernels, from, {c.channels});
          block_weight_gradient(kernels, algorithm, c.kernel, maps.parts(), Map(kernels, to), pairs, both.data(),
                                both.data() + shape.size());
          return both;
        };
        std::vector<Tensor<float>> sums;
        for (std::int64_t p = 0; p < kPairs; ++p) {
          sums.push_back(gradient(of_pair(x, kPairs, p), of_pair(dy, kPairs, p), 1));
        }
        merge_pairs(0, kPairs, [&](std::int64_t into, std::int64_t from) {
          Tensor<float>& to = sums[static_cast<std::size_t>(into)];
          for (std::int64_t i = 0; i < to.size(); ++i) to[i] += sums[static_cast<std::size_t>(from)][i];
        });
        CHECK(same_bits(gradient(x, dy, kPairs), sums[0]));
      }
    });
  }
}

// --- Pooling and packing ---------------------------------------------------------------------------------------------

/// Few different values, so that most windows hold equal ones.
Tensor<float> tied_tensor(const Shape& shape, std::uint64_t seed) {
  Tensor<float> x = random_tensor<float>(shape, seed, -2, 2);
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = std::round(x[i]);
  return x;
}

struct Pooled {
  Tensor<float> y, dx;
};

/// Pooling and its gradient by their definition.
Pooled pooled(const Tensor<float>& x, const Tensor<float>& dy, const Tensor<float>* add, float slope) {
  const Shape& s = x.shape();
  const std::int64_t h = s[2], w = s[3];
  Pooled p{Tensor<float>(dy.shape()), Tensor<float>(s)};
  for (std::int64_t plane = 0; plane < s[0] * s[1]; ++plane) {
    for (std::int64_t i = 0; i < dy.shape()[2]; ++i) {
      for (std::int64_t j = 0; j < dy.shape()[3]; ++j) {
        const std::int64_t to = (plane * dy.shape()[2] + i) * dy.shape()[3] + j;
        std::int64_t best = (plane * h + 2 * i) * w + 2 * j;
        for (std::int64_t a = 2 * i; a < std::min(h, 2 * i + 2); ++a) {
          for (std::int64_t b = 2 * j; b < std::min(w, 2 * j + 2); ++b) {
            const std::int64_t at = (plane * h + a) * w + b;
            if (x[at] > x[best]) best = at;
            p.dx[at] = 0;
          }
        }
        p.y[to] = x[best];
        p.dx[best] = dy[to];
      }
    }
  }
  for (std::int64_t i = 0; i < x.size(); ++i) {
    if (add) p.dx[i] += (*add)[i];
    if (!(x[i] > 0)) p.dx[i] *= slope;
  }
  return p;
}

TEST_CASE("block_pool and its gradient: the first of the largest takes it", "[isa]") {
  std::uint64_t seed = 12000;
  for (const Shape& size : {Shape{1, 32, 1, 1},
                            {1, 32, 1, 2},
                            {1, 16, 2, 1},
                            {2, 32, 3, 5},
                            {1, 48, 4, 6},
                            {3, 32, 7, 4},
                            {1, 16, 6, 27},
                            {1, 32, 40, 31}}) {
    const Tensor<float> x = tied_tensor(size, seed += 10), add = random_tensor<float>(size, seed + 1);
    const Shape half = size.with(2, (size[2] + 1) / 2).with(3, (size[3] + 1) / 2);
    const Tensor<float> dy = random_tensor<float>(half, seed + 2);
    for (const float slope : {1.0f, 0.2f, 0.0f}) {
      const Pooled plain = pooled(x, dy, nullptr, slope), added = pooled(x, dy, &add, slope);
      on_each_isa([&](const BlockKernels& kernels) {
        CAPTURE(size.text(), slope);
        for (const int threads : kThreadCounts) {
          const ThreadScope scope(threads);
          const Map from(kernels, x), gradient(kernels, dy), more(kernels, add), y(kernels, half), dx(kernels, size);
          block_pool(kernels, from, y, 0, half[2] / 2);
          CHECK(y.fault(0, half[2] / 2) == "");
          block_pool(kernels, from, y, half[2] / 2, half[2]);
          CHECK(y.fault() == "");
          // The signs of zeros do not matter.
          CHECK(y.values().to_vector() == plain.y.to_vector());
          block_pool_gradient(kernels, from, y, gradient, nullptr, slope, dx);
          CHECK(dx.fault() == "");
          CHECK(dx.values().to_vector() == plain.dx.to_vector());
          const Map sum_of_both(kernels, size), in_place(kernels, add);
          block_pool_gradient(kernels, from, y, gradient, more.data(), slope, sum_of_both);
          CHECK(sum_of_both.fault() == "");
          CHECK(sum_of_both.values().to_vector() == added.dx.to_vector());
          block_pool_gradient(kernels, from, y, gradient, in_place.data(), slope, in_place);
          CHECK(in_place.values().to_vector() == added.dx.to_vector());
        }
      });
    }
  }
}

TEST_CASE("block_pool: maps that hold the last rows only", "[isa]") {
  const Shape size{2, 32, 29, 7}, half{2, 32, 15, 4};
  const Tensor<float> x = random_tensor<float>(size, 1);
  const std::vector<float> expected = pooled(x, Tensor<float>::zeros(half), nullptr, 1).y.to_vector();
  on_each_isa([&](const BlockKernels& kernels) {
    Map from(kernels, size, 12);
    const Map to(kernels, half, 6);
    Tensor<float> result(half);
    for (std::int64_t y0 = 0; y0 < 15; y0 += 6) {
      const std::int64_t y1 = std::min<std::int64_t>(15, y0 + 6);
      from.write(x, 0, 2 * y0, std::min<std::int64_t>(29, 2 * y1));
      block_pool(kernels, from, to, y0, y1);
      to.read(result, 0, y0, y1);
    }
    CHECK(result.to_vector() == expected);
    CHECK(to.fault() == "");
  });
}

TEST_CASE("block_pool: a NaN in a window is its maximum", "[isa]") {
  on_each_isa([&](const BlockKernels& kernels) {
    for (const std::int64_t w : {3, 4}) {
      for (std::int64_t at = 0; at < 3 * w; ++at) {
        Tensor<float> x = Tensor<float>::full(Shape{1, 16, 3, w}, 1);
        for (std::int64_t c = 0; c < 16; c += 3) x[c * 3 * w + at] = kNaN;
        const Map from(kernels, x), to(kernels, Shape{1, 16, 2, 2});
        block_pool(kernels, from, to, 0, 2);
        const Tensor<float> y = to.values();
        for (std::int64_t i = 0; i < y.size(); ++i) {
          const bool expected = i / 4 % 3 == 0 && i % 4 == at / w / 2 * 2 + at % w / 2;
          if (std::isnan(y[i]) != expected) FAIL_CHECK("width " << w << ", NaN at " << at << ": y[" << i << "]");
        }
      }
    }
  });
}

TEST_CASE("block_pack: planes to lanes", "[isa]") {
  on_each_isa([&](const BlockKernels& kernels) {
    for (const Shape& size : {Shape{1, 4, 1, 1}, {2, 4, 5, 7}, {1, 4, 3, 13}, {3, 4, 30, 50}}) {
      CAPTURE(size.text());
      const std::int64_t n = size[0], h = size[2], w = size[3], plane = h * w;
      const Tensor<float> x = random_tensor<float>(size, 1);
      for (const int threads : kThreadCounts) {
        const ThreadScope scope(threads);
        // All four channels at once, and as the nets have them: three, then one of another tensor.
        const Map at_once(kernels, size), in_two(kernels, size);
        for (std::int64_t y0 = 0; y0 < h; y0 += 2) {
          const std::int64_t y1 = std::min(h, y0 + 2);
          block_pack(x.data(), 4 * plane, 4, 0, true, at_once, y0, y1);
          block_pack(x.data(), 4 * plane, 3, 0, false, in_two, y0, y1);
          block_pack(x.data() + 3 * plane, 4 * plane, 1, 3, true, in_two, y0, y1);
          CHECK(at_once.fault(0, y1) == "");
          CHECK(in_two.fault(0, y1) == "");
        }
        CHECK(same_bits(at_once.values(), x));
        CHECK(same_bits(in_two.values(), x));
      }
      // One plane of the first image leaves the other lanes alone.
      const Map lone(kernels, Shape{1, kernels.lanes, h, w});
      block_pack(x.data(), 0, 1, 2, false, lone, 0, h);
      const Tensor<float> y = lone.values();
      for (std::int64_t i = 0; i < y.size(); ++i) {
        if (i / plane == 2 ? y[i] != x[i % plane] : !std::isnan(y[i])) FAIL_CHECK("element " << i << " of " << n);
      }
    }
  });
}

}  // namespace
}  // namespace kind::testing
