// Exported graphs, evaluated by the tests' own reader and operators and, where they are there, checked by the Python package
// onnx and run by ONNX Runtime.

#include "nets/onnx/onnx_export.h"

#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>

#include "core/base/half.h"
#include "core/base/random.h"
#include "nets/pipeline.h"
#include "tests/nets/onnx/onnx_evaluator.h"
#include "tests/support/errors.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

struct Size {
  std::int64_t h, w;
};

/// All three nets, with a small restoration, in a form that `change` may alter; weights and biases are random.
template <class Change>
Model<float> small_model(const Change& change) {
  Model<float> model;
  model.config.decomposition.emplace();
  model.config.restoration.emplace().width = 0.0625;
  model.config.adjustment.emplace();
  model.config.input.mirror = 4;
  change(model.config);
  model.build(7);
  model.set_options({.exact = true});
  Random random(5, {1});
  for (const Parameter<float>& parameter : model.parameters()) {
    Variable<float> variable = parameter.variable;
    Tensor<float>& values = variable.mutable_value();
    if (values.shape().rank() != 1) continue;
    for (std::int64_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.uniform() - 0.5) * 0.2f;
  }
  return model;
}

/// Dark noise with a few lights, in 8 bits.
Tensor<float> dark_picture(Size size, std::int64_t channels = 3) {
  Tensor<float> picture(Shape{1, channels, size.h, size.w});
  Random random(3, {static_cast<std::uint64_t>(size.h), static_cast<std::uint64_t>(size.w)});
  for (std::int64_t i = 0; i < picture.size(); ++i) {
    const double dark = 0.02 + 0.3 * random.uniform() * random.uniform();
    picture[i] = static_cast<float>(std::round(255 * (random.uniform() < 0.01 ? 0.95 : dark))) / 255;
  }
  return picture;
}

OnnxValue onnx_value(const Tensor<float>& tensor) {
  OnnxValue value;
  for (int i = 0; i < tensor.shape().rank(); ++i) value.shape.push_back(tensor.shape()[i]);
  value.values.assign(tensor.data(), tensor.data() + tensor.size());
  return value;
}

double largest_difference(const OnnxValue& value, const Tensor<float>& tensor) {
  REQUIRE(Shape(value.shape) == tensor.shape());
  double largest = 0;
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const double difference = std::abs(value.values[static_cast<std::size_t>(i)] - static_cast<double>(tensor[i]));
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest;
}

Tensor<float> result_of(const Model<float>& model, const Tensor<float>& picture, double ratio) {
  EnhanceOptions options;
  options.light = {LightLevel::Mode::kRatio, ratio};
  options.fusion = Fusion::kNone;
  options.maps = false;
  return enhance(model, picture.clone(), options).output;
}

const std::vector<Size> kSizes{{1, 1}, {1, 7}, {3, 2}, {17, 16}, {23, 37}};

void check_whole(const Model<float>& model, double tolerance = 1e-5, bool float16 = false) {
  const OnnxFile file = read_onnx(export_onnx(model, {.float16 = float16}));
  for (const Size size : kSizes) {
    CAPTURE(size.h, size.w);
    const Tensor<float> picture = dark_picture(size);
    const auto outputs = evaluate(file, {{"input", onnx_value(picture)}, {"ratio", {{1}, {2.5}}}});
    REQUIRE(outputs.size() == 1);
    CHECK(largest_difference(outputs.at("output"), result_of(model, picture, 2.5)) < tolerance);
  }
}

TEST_CASE("onnx: the graph of all nets gives the results of enhance") {
  SECTION("the authors' form") {
    check_whole(small_model([](ModelConfig&) {}));
  }
  SECTION("outliers") {
    check_whole(small_model([](ModelConfig& config) { config.input.outliers = 0.0025; }));
    check_whole(small_model([](ModelConfig& config) { config.input.outliers = 0.05; }));
  }
  SECTION("no stretch, no padding") {
    check_whole(small_model([](ModelConfig& config) {
      config.input.stretch = false;
      config.input.mirror.reset();
    }));
  }
  SECTION("the paper's form, more padding") {
    check_whole(small_model([](ModelConfig& config) {
      config.decomposition->activation = config.restoration->activation = config.adjustment->activation = "relu";
      config.decomposition->output_kernel = 3;
      config.adjustment->output_activation = false;
      config.input.mirror = 9;
    }));
  }
  SECTION("an even kernel, another slope") {
    check_whole(small_model([](ModelConfig& config) {
      config.decomposition->output_kernel = 4;
      config.decomposition->slope = 0.01;
    }));
  }
  SECTION("no restoration") {
    check_whole(small_model([](ModelConfig& config) { config.restoration.reset(); }));
  }
  SECTION("a residual restoration, whose colors are limited as clip_color does") {
    Model<float> model = small_model([](ModelConfig& config) {
      config.restoration->output = "residual";
      config.adjustment->output_activation = false;
    });
    for (const Parameter<float>& parameter : model.parameters()) {
      Variable<float> variable = parameter.variable;
      Tensor<float>& values = variable.mutable_value();
      if (parameter.name == "restoration.conv10.weight") {
        for (std::int64_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7 - 3) * 0.8f;
      }
      if (parameter.name == "adjustment.conv4.bias") values.fill(3);
    }
    const Tensor<float> result = result_of(model, dark_picture({23, 37}), 2.5);
    REQUIRE(std::count(result.data(), result.data() + result.size(), 1.0f) > 10);  // else nothing was above 1
    REQUIRE(std::count(result.data(), result.data() + result.size(), 0.0f) > 10);
    check_whole(model, 5e-5);
  }
}

TEST_CASE("onnx: weights in float16") {
  check_whole(small_model([](ModelConfig& config) { config.input.outliers = 0.0025; }), 1e-3, true);
  const Model<float> model = small_model([](ModelConfig&) {});
  const auto whole = export_onnx(model, {}), half = export_onnx(model, {.float16 = true});
  CHECK(100 * half.size() < 55 * whole.size());
  const OnnxFile file = read_onnx(half);
  CHECK(file.types.at("decomposition.conv1.weight.float16") == 10);
  const Tensor<float> weight = model.decomposition->parameters()[0].variable.value();
  CHECK(file.initializers.at("decomposition.conv1.weight.float16").values[5] ==
        static_cast<double>(half_to_float(float_to_half(weight[5]))));
  Variable<float> variable = model.parameters()[3].variable;
  variable.mutable_value()[0] = 70000;
  CHECK_THAT(error_of([&] { export_onnx(model, {.float16 = true}); }),
             Contains("decomposition.conv2.bias holds 70000") && Contains("too large for float16"));
}

TEST_CASE("onnx: a fixed ratio and a fixed range") {
  const Model<float> model = small_model([](ModelConfig& config) { config.input.outliers = 0.0025; });
  const InputRange range{0.05f, 0.3f};
  const OnnxFile file = read_onnx(export_onnx(model, {.ratio = 4.0, .range = range}));
  REQUIRE(file.inputs.size() == 1);
  const Tensor<float> picture = dark_picture({17, 16});
  Tensor<float> input(picture.shape());
  for (std::int64_t i = 0; i < picture.size(); ++i) input[i] = range.stretched(picture[i]);
  PictureNets nets(model);
  const auto parts = nets.decompose(input);
  const Tensor<float> restored = nets.restore(parts.reflectance, parts.illumination),
                      light = nets.adjust(parts.illumination, 4);
  Tensor<float> expected(picture.shape());
  for (std::int64_t i = 0; i < expected.size(); ++i) expected[i] = restored[i] * light[i % (17 * 16)];
  CHECK(largest_difference(evaluate(file, {{"input", onnx_value(picture)}}).at("output"), expected) < 1e-5);
}

TEST_CASE("onnx: more padding is that of a model with more of it") {
  Model<float> model = small_model([](ModelConfig&) {});
  const auto graph = export_onnx(model, {.ratio = 2.0, .more_padding = 16});
  model.config.input.mirror = 20;
  CHECK(graph == export_onnx(model, {.ratio = 2.0}));
}

TEST_CASE("onnx: single nets") {
  const Model<float> model = small_model([](ModelConfig&) {});
  PictureNets nets(model);
  for (const Size size : kSizes) {
    CAPTURE(size.h, size.w);
    const Tensor<float> picture = dark_picture(size), light = dark_picture(size, 1);
    const auto parts =
        evaluate(read_onnx(export_onnx(model, {.nets = OnnxNets::kDecomposition})), {{"input", onnx_value(picture)}});
    CHECK(largest_difference(parts.at("reflectance"), nets.decompose(picture).reflectance) < 1e-5);
    CHECK(largest_difference(parts.at("illumination"), nets.decompose(picture).illumination) < 1e-5);
    const auto restored = evaluate(read_onnx(export_onnx(model, {.nets = OnnxNets::kRestoration})),
                                   {{"reflectance", onnx_value(picture)}, {"illumination", onnx_value(light)}});
    CHECK(largest_difference(restored.at("restored"), nets.restore(picture, light)) < 1e-5);
    const auto adjusted = evaluate(read_onnx(export_onnx(model, {.nets = OnnxNets::kAdjustment})),
                                   {{"illumination", onnx_value(light)}, {"ratio", {{1}, {0.5}}}});
    CHECK(largest_difference(adjusted.at("adjusted"), nets.adjust(light, 0.5)) < 1e-5);
  }
}

TEST_CASE("onnx: what the file says of itself") {
  const Model<float> model = small_model([](ModelConfig&) {});
  const auto bytes = export_onnx(model, {}, {{"licence", "none"}});
  CHECK(bytes == export_onnx(model, {}, {{"licence", "none"}}));
  const OnnxFile file = read_onnx(bytes);
  CHECK(file.ir_version == 8);
  CHECK(file.operator_set == 17);
  CHECK(file.metadata == std::map<std::string, std::string>{{"licence", "none"}});
  REQUIRE(file.inputs.size() == 2);
  REQUIRE(file.outputs.size() == 1);
  for (const OnnxFile::Info& info : {file.inputs[0], file.outputs[0]}) {
    CHECK(info.type == 1);
    REQUIRE(info.shape.size() == 4);
    CHECK(info.shape[0].size == 1);
    CHECK(info.shape[1].size == 3);
    CHECK(info.shape[2].name == "height");
    CHECK(info.shape[3].name == "width");
  }
  // Every weight of the model and none twice.
  std::int64_t count = 0;
  for (const Parameter<float>& parameter : model.parameters()) {
    CAPTURE(parameter.name);
    REQUIRE(file.initializers.count(parameter.name) == 1);
    CHECK(Shape(file.initializers.at(parameter.name).shape) == parameter.variable.shape());
    ++count;
  }
  CHECK(count == 68);
}

TEST_CASE("onnx: what cannot be exported is said") {
  const Model<float> model = small_model([](ModelConfig& config) {
    config.restoration.reset();
    config.adjustment.reset();
  });
  CHECK_THAT(error_of([&] { export_onnx(model, {}); }), Contains("no adjustment net"));
  CHECK_THAT(error_of([&] { export_onnx(model, {.nets = OnnxNets::kRestoration}); }), Contains("no restoration net"));
  CHECK_THAT(error_of([&] { export_onnx(model, {.ratio = 0.0}); }), Contains("above 0 and at most 100, got 0"));
  CHECK_THAT(error_of([&] { export_onnx(model, {.ratio = std::nan("")}); }), Contains("ratio"));
  CHECK_THAT(error_of([&] { export_onnx(model, {.range = InputRange{0, 0}}); }), Contains("span above 0"));
  CHECK_THAT(error_of([&] { export_onnx(model, {.more_padding = -1}); }),
             Contains("padding: expected 0 to 256, got -1"));
  CHECK_THAT(error_of([&] {
               export_onnx(model, {.nets = OnnxNets::kDecomposition, .range = InputRange{0, 1}});
             }),
             Contains("leave the range out"));
}

// --- Other people's programs

int exit_code(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Model<float> shipped_model() {
  Model<float> model = load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors");
  model.set_options({.exact = true});
  return model;
}

TEST_CASE("onnx: the checker of the Python package onnx accepts every graph") {
  if (exit_code("/usr/bin/python3 -c 'import onnx' >/dev/null 2>&1") != 0) {
    WARN("skipped: /usr/bin/python3 has no package onnx");
    return;
  }
  const TempDir dir;
  const Model<float> plain = small_model([](ModelConfig& config) { config.input.outliers = 0.0025; });
  const Model<float> residual = small_model([](ModelConfig& config) { config.restoration->output = "residual"; });
  dir.put("all.onnx", export_onnx(plain, {}));
  dir.put("half.onnx", export_onnx(plain, {.float16 = true, .ratio = 3.0}));
  dir.put("residual.onnx", export_onnx(residual, {}));
  dir.put("decomposition.onnx", export_onnx(plain, {.nets = OnnxNets::kDecomposition}));
  dir.put("restoration.onnx", export_onnx(plain, {.nets = OnnxNets::kRestoration}));
  dir.put("adjustment.onnx", export_onnx(plain, {.nets = OnnxNets::kAdjustment}));
  dir.put("check.py",
          "import glob, onnx\n"
          "for path in glob.glob('*.onnx'):\n"
          "    model = onnx.load(path)\n"
          "    onnx.checker.check_model(model, full_check=True)\n"
          "    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)\n");
  CHECK(exit_code("cd '" + dir.path() + "' && /usr/bin/python3 check.py") == 0);
  auto damaged = export_onnx(plain, {});
  const std::string op = "LeakyRelu";
  const auto at = std::search(damaged.begin(), damaged.end(), op.begin(), op.end());
  REQUIRE(at != damaged.end());
  *at = 'X';
  dir.put("damaged.onnx", damaged);
  CHECK(exit_code("cd '" + dir.path() + "' && /usr/bin/python3 check.py 2>/dev/null") != 0);
}

/// The output of a graph in ONNX Runtime; `inputs` by name.
Tensor<float> run_in_runtime(const std::vector<std::uint8_t>& model, const std::map<std::string, Tensor<float>>& inputs,
                             const std::string& output, const Shape& shape) {
  const TempDir dir;
  const auto bytes_of = [](const Tensor<float>& tensor) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(tensor.data());
    return std::vector<std::uint8_t>(bytes, bytes + static_cast<std::size_t>(tensor.size()) * sizeof(float));
  };
  std::string command = "node '" + source_dir() + "/tests/nets/onnx/run_onnx.js' '" + dir.put("model.onnx", model) +
                        "' '" + dir.path() + "'";
  for (const auto& [name, tensor] : inputs) {
    dir.put(name, bytes_of(tensor));
    command += " " + name + "=";
    for (int i = 0; i < tensor.shape().rank(); ++i) command += (i > 0 ? "," : "") + std::to_string(tensor.shape()[i]);
  }
  REQUIRE(exit_code(command) == 0);
  const std::vector<std::uint8_t> bytes = slurp(dir / output + ".out");
  Tensor<float> result(shape);
  REQUIRE(bytes.size() == static_cast<std::size_t>(result.size()) * sizeof(float));
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

TEST_CASE("onnx: ONNX Runtime gives the results of enhance", "[slow]") {
  const char* const modules = std::getenv("KIND_NODE_MODULES");
  if (!modules || !*modules) {
    WARN("skipped: KIND_NODE_MODULES names no folder with the npm package onnxruntime-node");
    return;
  }
  const std::vector<Size> sizes{{1, 1}, {17, 16}, {67, 101}, {400, 600}};
  const auto compare = [&](const Model<float>& model, bool float16, double tolerance) {
    const auto graph = export_onnx(model, {.float16 = float16});
    for (const Size size : sizes) {
      CAPTURE(size.h, size.w, float16);
      const Tensor<float> picture = dark_picture(size);
      const Tensor<float> output = run_in_runtime(
          graph, {{"input", picture}, {"ratio", Tensor<float>(Shape{1}, {2.5f})}}, "output", picture.shape());
      const double difference = largest_difference(onnx_value(output), result_of(model, picture, 2.5));
      CHECK(difference < tolerance);
      std::printf("onnxruntime %s%lld x %lld: largest difference %.2e\n", float16 ? "float16 " : "",
                  static_cast<long long>(size.w), static_cast<long long>(size.h), difference);
    }
  };
  SECTION("the shipped model") { compare(shipped_model(), false, 1e-5); }
  SECTION("random weights, in float16") {
    compare(small_model([](ModelConfig& config) { config.input.outliers = 0.0025; }), true, 1e-3);
  }
  SECTION("a residual restoration") {
    compare(small_model([](ModelConfig& config) { config.restoration->output = "residual"; }), false, 1e-5);
  }
}

}  // namespace
}  // namespace kind::testing
