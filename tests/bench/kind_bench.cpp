// kind-bench: how long a net, the whole method or a training step takes; one JSON line a case.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/image/image.h"
#include "core/kernels/kernels.h"
#include "core/program/command_line.h"
#include "core/program/program.h"
#include "nets/pipeline.h"
#include "train/stages/stage.h"
#include "train/trainer/config.h"
#include "train/trainer/optimizer.h"

namespace {

using namespace kind;

struct Options {
  std::string mode, net, size = "600x400";
  std::int64_t width = 0, height = 0, batch = 0;
  int threads = 0, runs = 5, warmup = 2;
  bool exact = false, recompute = false;
  std::uint64_t seed = 1;
};

enum class Net { kDecomposition, kRestoration, kAdjustment, kPipeline };

/// The nets by the names that users and other engines' programs give them.
const std::map<std::string, Net>& net_names() {
  static const std::map<std::string, Net> names{
      {"decom", Net::kDecomposition}, {"decomposition", Net::kDecomposition}, {"restoration", Net::kRestoration},
      {"adjust", Net::kAdjustment},   {"adjustment", Net::kAdjustment},       {"pipeline", Net::kPipeline},
  };
  return names;
}

/// Multiplications and additions of the direct convolutions, in thousands a pixel of a picture whose sides are
/// multiples of 16, forward.
double kiloflop_per_pixel(Net net) {
  constexpr double kDecomposition = 120.832, kRestoration = 370.624, kAdjustment = 38.592;
  switch (net) {
    case Net::kDecomposition:
      return kDecomposition;
    case Net::kRestoration:
      return kRestoration;
    case Net::kAdjustment:
      return kAdjustment;
    case Net::kPipeline:
      break;
  }
  return kDecomposition + kRestoration + kAdjustment;
}

Tensor<float> random_tensor(const Shape& shape, Random& random) {
  Tensor<float> tensor(shape);
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor[i] = static_cast<float>(random.uniform());
  return tensor;
}

/// The three nets in the authors' form, with weights drawn from the seed.
Model<float> random_model(std::uint64_t seed, const FusedOptions& how) {
  Model<float> model;
  model.options = how;
  model.config.decomposition.emplace();
  model.config.restoration.emplace();
  model.config.adjustment.emplace();
  model.build(seed);
  return model;
}

/// One enhancing run of a net, or of all of them as enhance() puts them together.
std::function<void()> infer_case(const Options& options, Net net, const Model<float>& model) {
  constexpr double kRatio = 5;
  Random random(options.seed, {0xBE4C4});
  const auto planes = [&](std::int64_t count) {
    return Variable<float>(random_tensor(Shape{options.batch, count, options.height, options.width}, random));
  };
  const Variable<float> color = planes(3), light = planes(1);
  switch (net) {
    case Net::kDecomposition:
      return [=, &model] { (*model.decomposition)(color); };
    case Net::kRestoration:
      return [=, &model] { (*model.restoration)(color, light); };
    case Net::kAdjustment:
      return [=, &model] { (*model.adjustment)(light, ratio_map(light.shape(), kRatio)); };
    case Net::kPipeline:
      break;
  }
  check(options.batch == 1, "--batch: pictures are enhanced one at a time");
  return [=, &model] {
    EnhanceOptions enhancing;
    enhancing.light = {LightLevel::Mode::kRatio, kRatio};
    enhancing.fusion = Fusion::kNone;  // the nets and their product
    enhancing.maps = false;
    enhance(model, color.value(), enhancing);
  };
}

/// The stage that trains a net as the authors did: its losses and its optimiser.
StageConfig stage_of(Net net) {
  const std::string name = net == Net::kDecomposition ? "decom" : net == Net::kRestoration ? "restore" : "adjust";
  const std::string path = KIND_SOURCE_DIR "/configs/" + name + ".json";
  return parse_config<TrainConfig>(read_json_file(path), path).stages.at(0);
}

/// One training step of a stage on a batch that is there: forward, losses, backward, norm of the gradients, Adam.
std::function<void()> train_case(const Options& options, Net net, const Model<float>& model) {
  check(net != Net::kPipeline, "--net: expected decom, restoration or adjust; the nets are trained one at a time");
  const StageConfig stage = stage_of(net);
  Random random(options.seed, {0xBE4C4});
  const Tensor<float> batch =
      random_tensor(Shape{options.batch, stage_planes(stage), options.height, options.width}, random);
  const Parameters<float> parameters = stage_parameters(stage, model);
  const auto optimizer = std::make_shared<Optimizer>(stage.optimizer, parameters);
  return [=, &model] {
    for (const Parameter<float>& parameter : parameters) Variable<float>(parameter.variable).zero_grad();
    stage_loss(stage, model, batch).total.backward();
    check(std::isfinite(gradient_norm(parameters)), "train: the gradients are not finite");
    optimizer->step(1);
  };
}

double milliseconds(const std::function<void()>& run) {
  const auto before = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count();
}

double rounded(double value, double digits) { return std::round(value * digits) / digits; }

/// One line a layer: medians over the runs.
void print_layers(const Options& options, Net net, const Model<float>& model) {
  check(net != Net::kPipeline, "layers: expected one net, got pipeline");
  const FusedNet fused = net == Net::kDecomposition ? model.decomposition->fused()
                         : net == Net::kRestoration ? model.restoration->fused()
                                                    : model.adjustment->fused();
  check(fused.runnable(), "layers: the kernel set ", current_isa(), " runs nets layer by layer; choose another");
  const std::int64_t plane = options.width * options.height;
  const std::int64_t in = net == Net::kDecomposition ? 3 : net == Net::kRestoration ? 4 : 2;
  const std::int64_t out = net == Net::kDecomposition ? 4 : net == Net::kRestoration ? 3 : 1;
  Random random(options.seed, {0xBE4C4});
  const Tensor<float> x = random_tensor(Shape{1, in, options.height, options.width}, random);
  Tensor<float> y(Shape{1, out, options.height, options.width});
  std::vector<const float*> from;
  for (std::int64_t c = 0; c < in; ++c) from.push_back(x.data() + c * plane);
  std::vector<float*> to;
  for (std::int64_t c = 0; c < out; ++c) to.push_back(y.data() + c * plane);
  Arena arena;
  std::vector<std::vector<LayerTime>> runs(static_cast<std::size_t>(options.warmup + options.runs));
  for (auto& times : runs) fused.run(options.height, options.width, from, to, arena, &times);
  runs.erase(runs.begin(), runs.begin() + options.warmup);
  for (std::size_t i = 0; i < runs[0].size(); ++i) {
    std::sort(runs.begin(), runs.end(), [i](const auto& a, const auto& b) { return a[i].seconds < b[i].seconds; });
    const LayerTime& layer = runs[runs.size() / 2][i];
    const nlohmann::ordered_json line{
        {"layer", layer.what},
        {"size", std::to_string(layer.w) + "x" + std::to_string(layer.h)},
        {"steps", layer.steps},
        {"threads", num_threads()},
        {"median_ms", rounded(layer.seconds * 1e3, 1000)},
        {"gflops", rounded(layer.flops / layer.seconds / 1e9, 10)},
        {"product_gflops", rounded(2 * layer.products / layer.seconds / 1e9, 10)},
        {"mb", rounded(layer.bytes / 1e6, 100)},
        {"gb_per_s", rounded(layer.bytes / layer.seconds / 1e9, 100)},
    };
    std::cout << line.dump() << std::endl;
  }
}

int run(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  const Net net = net_names().at(options.net);
  const bool trains = options.mode == "train";
  const Model<float> model = random_model(options.seed, {options.exact, options.recompute});
  if (options.mode == "layers") {
    print_layers(options, net, model);
    return kExitDone;
  }
  std::vector<double> times;
  {
    const std::function<void()> once = trains ? train_case(options, net, model) : infer_case(options, net, model);
    std::optional<NoGrad> no_grad;
    if (!trains) no_grad.emplace();
    for (int i = 0; i < options.warmup; ++i) once();
    for (int i = 0; i < options.runs; ++i) times.push_back(milliseconds(once));
  }
  std::sort(times.begin(), times.end());
  const std::size_t half = times.size() / 2;
  const double median = times.size() % 2 == 1 ? times[half] : (times[half - 1] + times[half]) / 2;
  // Other engines need sides that are multiples of 16; counting their pixels makes the figures comparable.
  const auto padded = [](std::int64_t side) {
    const std::int64_t whole = (side + 15) / 16 * 16;
    return static_cast<double>(whole);
  };
  // A step has each convolution three times: forward, gradient to the input, gradient to the weights.
  const double passes = trains ? (net == Net::kDecomposition ? 6 : 3) : 1;
  const double gigaflop = kiloflop_per_pixel(net) * padded(options.width) * padded(options.height) *
                          static_cast<double>(options.batch) * passes / 1e6;
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const nlohmann::ordered_json line{
      {"peer", "kind"},
      {"mode", options.mode},
      {"net", options.net},
      {"size", options.size},
      {"batch", options.batch},
      {"threads", num_threads()},
      {"median_ms", rounded(median, 100)},
      {"min_ms", rounded(times.front(), 100)},
      {"max_ms", rounded(times.back(), 100)},
      {"gflops", rounded(gigaflop / median * 1e3, 10)},
      {"rss_mb", usage.ru_maxrss / 1024},
  };
  std::cout << line.dump() << std::endl;
  check(static_cast<bool>(std::cout), "cannot write to the standard output");
  return kExitDone;
}

void read_size(Options& options) {
  long long width = 0, height = 0;
  int used = 0;
  const int found = std::sscanf(options.size.c_str(), "%9lldx%9lld%n", &width, &height, &used);
  check(found == 2 && static_cast<std::size_t>(used) == options.size.size() && width > 0 && height > 0,
        "--size: expected WIDTHxHEIGHT such as 600x400, got ", quote(options.size));
  options.width = width;
  options.height = height;
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Times the nets, the whole method and training steps; prints one JSON line.", "kind-bench");
  Options options;
  app.set_version_flag(
      "--version", [] { return version_text("kind-bench", available_isas(), current_isa(), image_codec_names()); },
      "Print version, kernel sets and picture types");
  app.add_option("mode", options.mode,
                 "infer: a forward pass; train: forward, losses, backward, Adam; layers: one's parts")
      ->required()
      ->check(CLI::IsMember({"infer", "train", "layers"}))
      ->type_name("infer|train|layers");
  std::vector<std::string> names;
  for (const auto& [name, net] : net_names()) names.push_back(name);
  app.add_option("--net", options.net, "Which net; pipeline: all three and the product")
      ->required()
      ->check(CLI::IsMember(names))
      ->type_name("NET");
  app.add_option("--size", options.size, "Of the picture or the patches")->capture_default_str()->type_name("WxH");
  app.add_option("--batch", options.batch, "Pictures at once (default: 1; of train: 10, restoration 4)")
      ->check(CLI::Range(1, 4096))
      ->type_name("B");
  add_threads_option(app, options.threads);
  app.add_flag("--exact", options.exact, "Smallest rounding errors: direct convolutions, in more than twice the time");
  app.add_flag("--recompute", options.recompute, "Train as with recompute_activations");
  app.add_option("--runs", options.runs, "How many are timed")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->type_name("R");
  app.add_option("--warmup", options.warmup, "Runs before that")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str()
      ->type_name("W");
  app.add_option("--seed", options.seed, "Of weights and pictures")->capture_default_str()->type_name("N");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    fail(error.what(), "; see kind-bench --help");
  }
  read_size(options);
  if (options.batch == 0) options.batch = options.mode == "infer" ? 1 : options.net == "restoration" ? 4 : 10;
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-bench", error) << std::endl;
    return kExitError;
  }
}
