// kind-step-bench: what a training step does beside its net, with Google Benchmark: the authors' losses forward and
// backward, the norm of the gradients, Adam, the weight average. Threads as in kind-kernel-bench.

#include <benchmark/benchmark.h>

#include <iostream>
#include <string>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "core/program/program.h"
#include "train/stages/stage.h"
#include "train/trainer/config.h"
#include "train/trainer/optimizer.h"

namespace {

using namespace kind;

Tensor<float> random_tensor(const Shape& shape, std::uint64_t seed) {
  Tensor<float> tensor(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(random.uniform());
  return tensor;
}

StageConfig stage_of(const std::string& name) {
  const std::string path = KIND_SOURCE_DIR "/configs/" + name + ".json";
  return parse_config<TrainConfig>(read_json_file(path), path).stages.at(0);
}

struct Patches {
  std::int64_t count, size;
};

/// The losses of a batch of decompositions, back to the net's outputs.
void decomposition_losses(benchmark::State& state, Patches patches) {
  set_num_threads(static_cast<int>(state.range(0)));
  const DecompositionLossConfig config = stage_of("decom").losses.decomposition;
  const Shape color{patches.count, 3, patches.size, patches.size}, light = color.with(1, 1);
  const Variable<float> i_low(random_tensor(color, 1)), i_high(random_tensor(color, 2));
  const Tensor<float> maps[] = {random_tensor(color, 3), random_tensor(light, 4), random_tensor(color, 5),
                                random_tensor(light, 6)};
  for (auto _ : state) {
    const Variable<float> r_low(maps[0], true), l_low(maps[1], true), r_high(maps[2], true), l_high(maps[3], true);
    decomposition_loss(config, r_low, l_low, r_high, l_high, i_low, i_high).total.backward();
    benchmark::DoNotOptimize(l_high.grad().data());
  }
}

/// The losses of a batch of outputs of restoration or adjustment, back to them.
void image_losses(benchmark::State& state, const std::string& stage, std::int64_t channels, Patches patches) {
  set_num_threads(static_cast<int>(state.range(0)));
  const ImageLossConfig config = stage_of(stage).losses.image;
  const Shape shape{patches.count, channels, patches.size, patches.size};
  const Variable<float> target(random_tensor(shape, 1));
  const Tensor<float> output = random_tensor(shape, 2);
  for (auto _ : state) {
    const Variable<float> x(output, true);
    image_loss(config, x, target).total.backward();
    benchmark::DoNotOptimize(x.grad().data());
  }
}

enum class Update { kNorm, kAdam, kAverage };

/// What is done with the weights of the restoration net, the largest.
void update(benchmark::State& state, Update what) {
  set_num_threads(static_cast<int>(state.range(0)));
  Random random(1);
  const Parameters<float> parameters = Restoration<float>(RestorationConfig(), random).parameters();
  for (const Parameter<float>& parameter : parameters) {
    Variable<float>(parameter.variable).add_grad(random_tensor(parameter.variable.shape(), 2));
  }
  Optimizer optimizer(OptimizerConfig(), parameters);
  WeightAverage average(0.999, parameters);
  for (auto _ : state) {
    switch (what) {
      case Update::kNorm:
        benchmark::DoNotOptimize(gradient_norm(parameters));
        break;
      case Update::kAdam:
        optimizer.step(1);
        break;
      case Update::kAverage:
        average.update(1000);
        break;
    }
  }
}

template <class F>
void add(const std::string& name, const F& run) {
  benchmark::internal::Benchmark* const one = benchmark::RegisterBenchmark(name.c_str(), run);
  one->ArgName("threads")->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
  if (num_threads() > 1) one->Arg(num_threads());
}

void add_all() {
  const auto sizes = [](Patches p) { return join("/", p.count, "x", p.size, "x", p.size); };
  const Patches small{10, 48};
  add("losses/decomposition" + sizes(small), [=](benchmark::State& s) { decomposition_losses(s, small); });
  add("losses/adjustment" + sizes(small), [=](benchmark::State& s) { image_losses(s, "adjust", 1, small); });
  for (const Patches patches : {Patches{4, 128}, Patches{4, 384}}) {
    add("losses/restoration" + sizes(patches), [=](benchmark::State& s) { image_losses(s, "restore", 3, patches); });
  }
  add("update/norm", [](benchmark::State& s) { update(s, Update::kNorm); });
  add("update/adam", [](benchmark::State& s) { update(s, Update::kAdam); });
  add("update/average", [](benchmark::State& s) { update(s, Update::kAverage); });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);
    check(argc == 1, "unknown argument ", argc > 1 ? argv[1] : "", "; see kind-step-bench --help");
    add_all();
    benchmark::RunSpecifiedBenchmarks();
    return kExitDone;
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-step-bench", error) << std::endl;
    return kExitError;
  }
}
