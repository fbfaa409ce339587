// kind-kernel-bench: each entry of the kernel table on the convolutions of our nets, with Google Benchmark. The set is
// KIND_ISA's, else the best; every case runs with one thread and with all (OMP_NUM_THREADS, where it is set).
//
// Counters: GFLOP/s of direct-convolution work, its share of what multiply-adds on registers alone reach on as many
// threads (measured just before the case, since shared machines drift), and the megabytes that the operands take.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"
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

/// Where an up-convolution's picture is y of the table's convolution, forward is the input gradient and the other way
/// round.
Conv2dGeometry geometry_of(const Layer& layer, std::int64_t n, std::int64_t width, std::int64_t height) {
  // Pooling rounds up.
  const auto side = [](std::int64_t size, int level) { return ((size - 1) >> level) + 1; };
  const std::int64_t h = side(height, layer.level), w = side(width, layer.level);
  if (layer.up) {
    const std::int64_t to_h = side(height, layer.level - 1), to_w = side(width, layer.level - 1);
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

void run(benchmark::State& state, const Conv2dGeometry& g, Entry entry) {
  set_num_threads(static_cast<int>(state.range(0)));
  const std::int64_t x_count = g.n * g.ic * g.h * g.w, y_count = g.n * g.oc * g.oh * g.ow,
                     weight_count = g.oc * g.ic * g.kh * g.kw;
  Tensor<float> x = random_numbers(x_count, 1), y = random_numbers(y_count, 2),
                weight = random_numbers(weight_count, 3), bias = random_numbers(g.oc, 4);
  const Kernels<float>& table = kernels<float>();
  const double limit = peak();
  const auto before = std::chrono::steady_clock::now();
  for (auto _ : state) {
    switch (entry) {
      case Entry::kForward:
        table.conv2d(g, x.data(), weight.data(), bias.data(), y.data());
        break;
      case Entry::kInputGradient:
        table.conv2d_input_gradient(g, weight.data(), y.data(), x.data());
        break;
      case Entry::kWeightGradient:
        table.conv2d_weight_gradient(g, x.data(), y.data(), weight.data());
        break;
    }
  }
  const double rate = gigaflop_of(g) * static_cast<double>(state.iterations()) / seconds_since(before);
  state.counters["GFLOP/s"] = rate;
  state.counters["of_peak"] = rate / limit;
  state.counters["MB"] = 4e-6 * static_cast<double>(x_count + y_count + weight_count);
}

/// Registers a layer's entries; those that only a step of training calls where `trains`.
void add(const std::string& prefix, const Layer& layer, const Conv2dGeometry& g, bool trains) {
  struct Named {
    const char* name;
    Entry entry;
  };
  const Named forward{"forward", layer.up ? Entry::kInputGradient : Entry::kForward};
  const Named input_gradient{"input_gradient", layer.up ? Entry::kForward : Entry::kInputGradient};
  std::vector<Named> entries{forward};
  if (trains) {
    entries.push_back(input_gradient);
    entries.push_back({"weight_gradient", Entry::kWeightGradient});
  }
  const int most = num_threads();
  for (const Named& named : entries) {
    const std::string name = prefix + "/" + layer.name + "/" + named.name;
    benchmark::internal::Benchmark* const one =
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { run(state, g, named.entry); });
    one->ArgName("threads")->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
    if (most > 1) one->Arg(most);
  }
}

/// Enhancing at 600 x 400; a training step of each stage with the authors' patches (smaller ones for restoration).
void add_all() {
  struct Case {
    const char *prefix, *net;
    std::int64_t n, width, height;
    bool trains;
  };
  for (const Case& c : {Case{"infer/decomposition", "decomposition", 1, 600, 400, false},
                        Case{"infer/restoration", "restoration", 1, 600, 400, false},
                        Case{"infer/adjustment", "adjustment", 1, 600, 400, false},
                        Case{"train/decomposition", "decomposition", 20, 48, 48, true},
                        Case{"train/restoration", "restoration", 4, 128, 128, true},
                        Case{"train/adjustment", "adjustment", 10, 48, 48, true}}) {
    std::set<std::vector<std::int64_t>> seen;  // one of each shape is enough
    for (const Layer& layer : layers_of(c.net)) {
      if (!seen.insert({layer.in, layer.out, layer.kernel, layer.level, layer.up}).second) continue;
      add(c.prefix, layer, geometry_of(layer, c.n, c.width, c.height), c.trains);
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
