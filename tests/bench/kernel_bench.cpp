// kind-kernel-bench: the kernels on the layers of our nets, with Google Benchmark. The set is KIND_ISA's, else the
// best; every case runs with one thread and with all (OMP_NUM_THREADS, where it is set).
//
//   fused/...                what the fast nets are made of, on channel blocks; of 3x3 convolutions each algorithm, the
//                            one that the nets choose at this size labelled "chosen"
//   infer/..., train/...     the entries of the kernel table, which nets call that run layer by layer
//
// Counters: GFLOP/s of direct-convolution work, its share of what multiply-adds on registers alone reach on as many
// threads (measured just before the case, since shared machines drift), the megabytes that the operands take, each
// once, and how many gigabytes of them pass in a second.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "core/kernels/block_conv.h"
#include "core/kernels/kernels.h"
#include "core/program/program.h"
#include "core/tensor/tensor.h"
#include "tests/bench/peak.h"

namespace {

using namespace kind;

/// A convolution of our nets: its channels and on which level it stands (sides are divided by 2 to that power). `up` is
/// the 2 x 2 up-convolution, which is the input gradient of a convolution of stride 2 from this level to the next.
struct Layer {
  const char* name;
  std::int64_t in, out, kernel;
  int level;
  bool up = false;
};

const std::vector<Layer>& layers_of(const std::string& net) {
  static const std::vector<Layer> decomposition{
      {"conv1", 3, 32, 3, 0},        {"conv2", 32, 64, 3, 1},      {"conv3", 64, 128, 3, 2},
      {"up8", 128, 64, 2, 2, true},  {"conv8", 128, 64, 3, 1},     {"up9", 64, 32, 2, 1, true},
      {"conv9", 64, 32, 3, 0},       {"reflectance", 32, 3, 1, 0}, {"illumination_conv", 32, 32, 3, 0},
      {"illumination", 64, 1, 1, 0},
  };
  static const std::vector<Layer> restoration{
      {"conv1_1", 4, 32, 3, 0},    {"conv1_2", 32, 32, 3, 0},     {"conv2_1", 32, 64, 3, 1},
      {"conv2_2", 64, 64, 3, 1},   {"conv3_1", 64, 128, 3, 2},    {"conv3_2", 128, 128, 3, 2},
      {"conv4_1", 128, 256, 3, 3}, {"conv4_2", 256, 256, 3, 3},   {"conv5_1", 256, 512, 3, 4},
      {"conv5_2", 512, 512, 3, 4}, {"up6", 512, 256, 2, 4, true}, {"conv6_1", 512, 256, 3, 3},
      {"conv6_2", 256, 256, 3, 3}, {"up7", 256, 128, 2, 3, true}, {"conv7_1", 256, 128, 3, 2},
      {"conv7_2", 128, 128, 3, 2}, {"up8", 128, 64, 2, 2, true},  {"conv8_1", 128, 64, 3, 1},
      {"conv8_2", 64, 64, 3, 1},   {"up9", 64, 32, 2, 1, true},   {"conv9_1", 64, 32, 3, 0},
      {"conv9_2", 32, 32, 3, 0},   {"conv10", 32, 3, 3, 0},
  };
  static const std::vector<Layer> adjustment{
      {"conv1", 2, 32, 3, 0},
      {"conv2", 32, 32, 3, 0},
      {"conv4", 32, 1, 3, 0},
  };
  return net == "decomposition" ? decomposition : net == "restoration" ? restoration : adjustment;
}

enum class Entry { kForward, kInputGradient, kWeightGradient };

/// Pooling rounds up.
std::int64_t side_at(std::int64_t size, int level) { return ((size - 1) >> level) + 1; }

/// Where an up-convolution's picture is y of the table's convolution, forward is the input gradient and the other way
/// round.
Conv2dGeometry geometry_of(const Layer& layer, std::int64_t n, std::int64_t width, std::int64_t height) {
  const std::int64_t h = side_at(height, layer.level), w = side_at(width, layer.level);
  if (layer.up) {
    const std::int64_t to_h = side_at(height, layer.level - 1), to_w = side_at(width, layer.level - 1);
    return {n, layer.out, to_h, to_w, layer.in, h, w, 2, 2, 2, 2, 0, 0};
  }
  const std::int64_t pad = layer.kernel / 2;
  return {n, layer.in, h, w, layer.out, h, w, layer.kernel, layer.kernel, 1, 1, pad, pad};
}

double gigaflop_of(const Conv2dGeometry& g) {
  return 2e-9 * static_cast<double>(g.n * g.oc * g.oh * g.ow) * static_cast<double>(g.ic * g.kh * g.kw);
}

Tensor<float> random_numbers(std::int64_t count, std::uint64_t seed) {
  Tensor<float> numbers(Shape{count});
  Random random(seed);
  for (std::int64_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(random.uniform(-1, 1));
  return numbers;
}

double seconds_since(std::chrono::steady_clock::time_point before) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
}

/// GFLOP/s of multiply-adds alone with the set in use and the threads in use.
double peak() {
  const std::string isa = current_isa();
  auto* const multiply_adds =
#if defined(KIND_HAS_X86_KERNELS)
      isa == "avx512" ? bench::avx512::multiply_adds
      : isa == "avx2" ? bench::avx2::multiply_adds
                      :
#endif
                      bench::multiply_adds_baseline;
  constexpr std::int64_t kPieces = 64, kRounds = 20000;
  std::int64_t operations = 0;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto before = std::chrono::steady_clock::now();
    parallel_for(kPieces, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t piece = begin; piece < end; ++piece) {
        float numbers[16] = {0.5f, 0.25f};
        const std::int64_t of_round = multiply_adds(kRounds, numbers);
        benchmark::DoNotOptimize(numbers);
        if (piece == 0) operations = of_round;
      }
    });
    best = std::max(best, static_cast<double>(operations * kRounds * kPieces) / seconds_since(before) * 1e-9);
  }
  return best;
}

/// What a case does over and over, and what that is worth.
struct Work {
  std::function<void()> once;
  double gigaflop;
  std::int64_t floats;  // of all operands
  bool chosen = false;  // by the nets, where there are several ways
};

/// Registers a case that runs with one thread and with all. `prepare` makes the operands, when the case's turn comes.
void add(const std::string& name, const std::function<Work()>& prepare) {
  const auto run = [=](benchmark::State& state) {
    set_num_threads(static_cast<int>(state.range(0)));
    const Work work = prepare();
    const double limit = peak();
    const auto before = std::chrono::steady_clock::now();
    for (auto _ : state) work.once();
    const double runs_a_second = static_cast<double>(state.iterations()) / seconds_since(before);
    const double megabytes = 4e-6 * static_cast<double>(work.floats);
    if (work.gigaflop > 0) {
      state.counters["GFLOP/s"] = work.gigaflop * runs_a_second;
      state.counters["of_peak"] = work.gigaflop * runs_a_second / limit;
    }
    state.counters["MB"] = megabytes;
    state.counters["GB/s"] = megabytes * 1e-3 * runs_a_second;
    if (work.chosen) state.SetLabel("chosen");
  };
  const int most = num_threads();
  benchmark::internal::Benchmark* const one = benchmark::RegisterBenchmark(name.c_str(), run);
  one->ArgName("threads")->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
  if (most > 1) one->Arg(most);
}

std::int64_t x_count(const Conv2dGeometry& g) { return g.n * g.ic * g.h * g.w; }
std::int64_t y_count(const Conv2dGeometry& g) { return g.n * g.oc * g.oh * g.ow; }
std::int64_t weight_count(const Conv2dGeometry& g) { return g.oc * g.ic * g.kh * g.kw; }
std::int64_t operands(const Conv2dGeometry& g) { return x_count(g) + y_count(g) + weight_count(g); }

// --- The table -------------------------------------------------------------------------------------------------------

Work table_work(const Conv2dGeometry& g, Entry entry) {
  Tensor<float> x = random_numbers(x_count(g), 1), y = random_numbers(y_count(g), 2),
                weight = random_numbers(weight_count(g), 3), bias = random_numbers(g.oc, 4);
  const auto once = [=]() mutable {
    const Kernels<float>& table = kernels<float>();
    switch (entry) {
      case Entry::kForward:
        return table.conv2d(g, x.data(), weight.data(), bias.data(), y.data());
      case Entry::kInputGradient:
        return table.conv2d_input_gradient(g, weight.data(), y.data(), x.data());
      case Entry::kWeightGradient:
        return table.conv2d_weight_gradient(g, x.data(), y.data(), weight.data());
    }
  };
  return {once, gigaflop_of(g), operands(g)};
}

/// A layer's entries; those that only a step of training calls where `trains`.
void add_table(const std::string& prefix, const Layer& layer, const Conv2dGeometry& g, bool trains) {
  const auto named = [&](const char* name, Entry entry) {
    add(prefix + "/" + layer.name + "/" + name, [=] { return table_work(g, entry); });
  };
  named("forward", layer.up ? Entry::kInputGradient : Entry::kForward);
  if (!trains) return;
  named("input_gradient", layer.up ? Entry::kForward : Entry::kInputGradient);
  named("weight_gradient", Entry::kWeightGradient);
}

// --- What the fast nets are made of ----------------------------------------------------------------------------------

/// A map of random numbers in channel blocks.
struct Map : BlockMap {
  Map(std::int64_t images, std::int64_t channel_count, std::int64_t height, std::int64_t columns, std::uint64_t seed)
      : BlockMap(block_kernels()->lanes, images, channel_count, height, columns, height), memory(floats()) {
    place(memory.data());
    Random random(seed);
    for (std::int64_t in = 0; in < n; ++in) {
      for (std::int64_t y = 0; y < h; ++y) {
        for (std::int64_t c = 0; c < blocks() * lanes; ++c) {
          float* const to = row(in, c / lanes, y) + c % lanes;
          for (std::int64_t i = 0; i < w; ++i) {
            to[i * lanes] = c < channels ? static_cast<float>(random.uniform(-1, 1)) : 0.0f;
          }
        }
        clear_margins(in, y);
      }
    }
  }

  Buffer<float> memory;
};

constexpr float kSlope = 0.2f;

const char* name_of(ConvAlgorithm algorithm) {
  return algorithm == ConvAlgorithm::kDirect      ? "direct"
         : algorithm == ConvAlgorithm::kWinograd4 ? "winograd4"
                                                  : "winograd6";
}

/// Bias and activation are part of the forward pass, the activation's gradient of the gradient to the input, as in the
/// nets; transforms of the weights of all of them.
Work conv_work(const Conv2dGeometry& g, Entry entry, ConvAlgorithm algorithm) {
  const auto x = std::make_shared<Map>(g.n, g.ic, g.h, g.w, 1), y = std::make_shared<Map>(g.n, g.oc, g.oh, g.ow, 2);
  Tensor<float> weight = random_numbers(weight_count(g), 3), bias = random_numbers(g.oc, 4);
  const ConvAlgorithm best = choose_algorithm(g.ic, g.oc, g.n, g.h, g.w, false);
  const bool chosen = entry == Entry::kWeightGradient
                          ? (algorithm == ConvAlgorithm::kDirect) == (best == ConvAlgorithm::kDirect)
                          : algorithm == best;
  std::function<void()> once;
  switch (entry) {
    case Entry::kForward:
      once = [=] {
        const BlockTarget target{*y, nullptr, nullptr, kSlope};
        block_conv(*block_kernels(), {g.kh, weight.data(), bias.data(), WeightUse::kForward, algorithm}, *x,
                   {&target, 1}, 0, g.oh);
      };
      break;
    case Entry::kInputGradient: {
      const auto mask = std::make_shared<Map>(g.n, g.ic, g.h, g.w, 5);
      once = [=] {
        const BlockTarget target{*x, nullptr, mask->data, kSlope};
        block_conv(*block_kernels(), {g.kh, weight.data(), nullptr, WeightUse::kInputGradient, algorithm}, *y,
                   {&target, 1}, 0, g.h);
      };
      break;
    }
    case Entry::kWeightGradient:
      once = [=]() mutable {
        block_weight_gradient(*block_kernels(), algorithm, g.kh, *x, *y, g.n, weight.data(), bias.data());
      };
      break;
  }
  return {once, gigaflop_of(g), operands(g), chosen};
}

/// An output of a net: a convolution to few channels, bias and sigmoid, to planes.
Work project_work(const Conv2dGeometry& g) {
  const auto x = std::make_shared<Map>(g.n, g.ic, g.h, g.w, 1);
  Tensor<float> y = random_numbers(y_count(g), 2), weight = random_numbers(weight_count(g), 3),
                bias = random_numbers(g.oc, 4);
  const auto once = [=]() mutable {
    float* planes[4] = {};
    for (std::int64_t c = 0; c < g.oc; ++c) planes[c] = y.data() + c * g.oh * g.ow;
    block_project(*block_kernels(), {g.kh, weight.data(), bias.data()}, *x,
                  {.planes = planes, .channels = g.oc, .image = g.oc * g.oh * g.ow, .sigmoid = true}, 0, g.oh);
  };
  return {once, gigaflop_of(g), operands(g), true};
}

/// x of the geometry is the larger map, as geometry_of says.
Work up_work(const Conv2dGeometry& g, Entry entry) {
  const auto large = std::make_shared<Map>(g.n, g.ic, g.h, g.w, 1),
             small = std::make_shared<Map>(g.n, g.oc, g.oh, g.ow, 2);
  Tensor<float> weight = random_numbers(weight_count(g), 3);
  const auto once = [=]() mutable {
    switch (entry) {
      case Entry::kForward:
        return block_up(*block_kernels(), *small, weight.data(), *large, 0, g.oh);
      case Entry::kInputGradient:
        return block_up_input_gradient(*block_kernels(), *large, weight.data(), BlockTarget{*small});
      case Entry::kWeightGradient:
        return block_up_weight_gradient(*block_kernels(), *small, *large, small->n, weight.data());
    }
  };
  return {once, gigaflop_of(g), operands(g), true};
}

Work pool_work(std::int64_t n, std::int64_t channels, std::int64_t h, std::int64_t w, bool gradient) {
  const std::int64_t oh = (h + 1) / 2, ow = (w + 1) / 2;
  const auto x = std::make_shared<Map>(n, channels, h, w, 1), y = std::make_shared<Map>(n, channels, oh, ow, 2);
  block_pool(*block_kernels(), *x, *y, 0, oh);
  const std::int64_t floats = n * channels * (h * w + oh * ow);
  if (!gradient) return {[=] { block_pool(*block_kernels(), *x, *y, 0, oh); }, 0, floats, true};
  const auto dy = std::make_shared<Map>(n, channels, oh, ow, 3), dx = std::make_shared<Map>(n, channels, h, w, 4);
  return {[=] { block_pool_gradient(*block_kernels(), *x, *y, *dy, nullptr, kSlope, *dx); }, 0, 2 * floats, true};
}

void add_fused(const std::string& prefix, const Layer& layer, const Conv2dGeometry& g, bool trains) {
  const std::string name = prefix + "/" + layer.name + "/";
  struct Named {
    const char* name;
    Entry entry;
  };
  std::vector<Named> entries{{"forward", Entry::kForward}};
  if (trains) {
    // Nobody asks for the gradient to the pictures.
    if (layer.in >= kMostLanes) entries.push_back({"input_gradient", Entry::kInputGradient});
    entries.push_back({"weight_gradient", Entry::kWeightGradient});
  }
  for (const Named& named : entries) {
    const Entry entry = named.entry;
    if (layer.up) {
      add(name + named.name, [=] { return up_work(g, entry); });
    } else if (layer.out <= 4 && entry == Entry::kForward) {
      add(name + named.name, [=] { return project_work(g); });
    } else {
      const bool tiles = layer.kernel == 3 && layer.in % kMostLanes == 0 && layer.out % kMostLanes == 0;
      for (const auto algorithm : {ConvAlgorithm::kDirect, ConvAlgorithm::kWinograd4, ConvAlgorithm::kWinograd6}) {
        // Weight gradients have tiles of 4x4 alone.
        if (algorithm != ConvAlgorithm::kDirect && !tiles) continue;
        if (algorithm == ConvAlgorithm::kWinograd6 && entry == Entry::kWeightGradient) continue;
        add(name + named.name + "/" + name_of(algorithm), [=] { return conv_work(g, entry, algorithm); });
      }
    }
  }
}

/// The maps that are pooled: those that the next level's first convolution, and not an up-convolution, reads.
void add_pools(const std::string& prefix, const std::string& net, std::int64_t n, std::int64_t width,
               std::int64_t height, bool trains) {
  const int levels = net == "restoration" ? 4 : net == "decomposition" ? 2 : 0;
  for (int level = 0; level < levels; ++level) {
    const std::int64_t channels = std::int64_t{32} << level, h = side_at(height, level), w = side_at(width, level);
    const std::string name = prefix + "/pool" + std::to_string(level + 1) + "/";
    add(name + "forward", [=] { return pool_work(n, channels, h, w, false); });
    if (trains) add(name + "input_gradient", [=] { return pool_work(n, channels, h, w, true); });
  }
}

/// Enhancing at 600 x 400; a training step of each stage with the authors' patches (smaller ones for restoration).
void add_all() {
  struct Case {
    const char *prefix, *net;
    std::int64_t n, width, height;
    bool trains;
  };
  const Case cases[] = {{"infer/decomposition", "decomposition", 1, 600, 400, false},
                        {"infer/restoration", "restoration", 1, 600, 400, false},
                        {"infer/adjustment", "adjustment", 1, 600, 400, false},
                        {"train/decomposition", "decomposition", 20, 48, 48, true},
                        {"train/restoration", "restoration", 4, 128, 128, true},
                        {"train/adjustment", "adjustment", 10, 48, 48, true}};
  for (const bool fused : {true, false}) {
    if (fused && !block_kernels()) continue;
    for (const Case& c : cases) {
      const std::string prefix = fused ? std::string("fused/") + c.prefix : c.prefix;
      std::set<std::vector<std::int64_t>> seen;  // one of each shape is enough
      for (const Layer& layer : layers_of(c.net)) {
        if (!seen.insert({layer.in, layer.out, layer.kernel, layer.level, layer.up}).second) continue;
        (fused ? add_fused : add_table)(prefix, layer, geometry_of(layer, c.n, c.width, c.height), c.trains);
      }
      if (fused) add_pools(prefix, c.net, c.n, c.width, c.height, c.trains);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);
    check(argc == 1, "unknown argument ", argc > 1 ? argv[1] : "", "; see kind-kernel-bench --help");
    benchmark::AddCustomContext("kernel set", current_isa());
    add_all();
    benchmark::RunSpecifiedBenchmarks();
    return kExitDone;
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-kernel-bench", error) << std::endl;
    return kExitError;
  }
}
