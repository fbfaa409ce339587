// Runs the program itself: what it prints, where, and its exit codes. Long because its seven verbs share the models.

#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "nets/model.h"
#include "nets/onnx/darktable.h"
#include "nets/onnx/onnx_export.h"
#include "nets/tensorflow/tensorflow_import.h"
#include "tests/nets/bundle_writer.h"
#include "tests/nets/tensorflow_names.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

struct Result {
  int code = -1;
  std::string out, err;
};

/// `arguments` go through the shell.
Result run(const TempDir& dir, const std::string& arguments, const std::string& out = "") {
  const TempDir streams;
  const std::string to = out.empty() ? streams / "out" : out;
  const std::string command = "cd '" + dir.path() + "' && '" KIND_WEIGHTS_PROGRAM "' " + arguments + " >'" + to +
                              "' 2>'" + streams / "err" + "' </dev/null";
  const int status = std::system(command.c_str());
  const auto text = [](const std::string& path) {
    const std::vector<std::uint8_t> bytes = slurp(path);
    return std::string(bytes.begin(), bytes.end());
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out.empty() ? text(to) : "", text(streams / "err")};
}

/// A failure: the code, nothing on stdout, one line on stderr that starts with the program's name; returns that line.
std::string failure(const TempDir& dir, const std::string& arguments, int code = 2) {
  INFO(arguments);
  const Result result = run(dir, arguments);
  CHECK(result.code == code);
  CHECK(result.out.empty());
  CHECK(result.err.find("kind-weights: ") == 0);
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return result.err;
}

/// A success: the name behind -o on stdout, and what is expected on stderr.
void success(const TempDir& dir, const std::string& arguments, const std::string& err = "") {
  INFO(arguments);
  const Result result = run(dir, arguments);
  CHECK(result.code == 0);
  const std::size_t option = arguments.find(arguments.find(" -o ") == std::string::npos ? "--output " : " -o ");
  const std::size_t name = arguments.find_first_not_of(' ', arguments.find(' ', option + 1));
  CHECK(result.out == arguments.substr(name, arguments.find(' ', name) - name) + "\n");
  CHECK(result.err == err);
}

constexpr const char* kNoisy = "kind-weights: m.st has no restoration net: what was exported leaves noise as it is\n";

/// Files d.st (decomposition), a.st (adjustment) and the checkpoint adjust.ckpt.
void put_models(const TempDir& dir) {
  const SafeTensors adjustment = pseudo_random_weights(adjustment_tensors());
  const Model<float> d = model_from_tensorflow({pseudo_random_weights(decomposition_tensors())}),
                     a = model_from_tensorflow({adjustment});
  save_model(dir / "d.st", d, WeightType::kFloat32, {{"seed", "1"}, {"data", "same"}});
  save_model(dir / "a.st", a, WeightType::kFloat16, {{"seed", "2"}, {"data", "same"}});
  BundleWriter bundle;
  bundle.add(adjustment);
  bundle.write(dir, "adjust.ckpt");
}

TEST_CASE("kind-weights: help and version") {
  const TempDir dir;
  const Result help = run(dir, "--help"), version = run(dir, "--version"), convert = run(dir, "convert --help");
  CHECK(help.code == 0);
  CHECK_THAT(help.out,
             Contains("inspect") && Contains("import-tensorflow") && Contains("merge") && Contains("convert"));
  CHECK(version.code == 0);
  CHECK_THAT(version.out,
             Contains("kind-weights ") && Contains("instruction sets: ") && Contains("ref") && Contains("codecs: png"));
  CHECK(std::count(version.out.begin(), version.out.end(), '\n') == 3);
  CHECK(convert.code == 0);
  CHECK_THAT(convert.out, Contains("--float16") && Contains("--overwrite"));
  CHECK((help.err + version.err + convert.err).empty());
}

TEST_CASE("kind-weights: wrong usage is said in one line") {
  const TempDir dir;
  put_models(dir);
  const std::size_t files = dir.count();
  CHECK_THAT(failure(dir, ""), Contains("subcommand is required") && Contains("kind-weights --help"));
  CHECK_THAT(failure(dir, "inspct a.st"), Contains("there is no verb 'inspct'; see kind-weights --help"));
  CHECK_THAT(failure(dir, "inspect"), Contains("files is required"));
  CHECK_THAT(failure(dir, "inspect a.st --jsn"), Contains("--jsn"));
  CHECK_THAT(failure(dir, "merge a.st d.st"), Contains("--output is required"));
  CHECK_THAT(failure(dir, "convert a.st -o x.st"), Contains("[--float16,--float32]"));
  CHECK_THAT(failure(dir, "convert a.st --float16 --float32 -o x.st"), Contains("[--float16,--float32]"));
  CHECK_THAT(failure(dir, "convert a.st d.st --float16 -o x.st"), Contains("d.st"));
  CHECK(dir.count() == files);
}

TEST_CASE("kind-weights inspect: a model") {
  const TempDir dir;
  put_models(dir);
  const Result text = run(dir, "inspect a.st");
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Contains("a.st: model of kind, 8 tensors, 19393 parameters") &&
                           Contains("adjustment: official form, 19393 parameters") &&
                           Contains("\"output_activation\":true") && Contains("seed = 2") && Contains("[32,2,3,3]"));
  const Result both = run(dir, "inspect a.st d.st --json");
  CHECK(both.code == 0);
  const json files = json::parse(both.out);
  REQUIRE(files.size() == 2);
  const json& a = files[0];
  CHECK(a["file"] == "a.st");
  CHECK(a["type"] == "model");
  CHECK(a["parameters"] == 19393);
  CHECK(a["nets"].size() == 1);
  CHECK(a["nets"]["adjustment"]["form"] == "official");
  CHECK(a["nets"]["adjustment"]["parameters"] == 19393);
  CHECK(a["nets"]["adjustment"]["config"]["slope"] == 0.2);
  CHECK(a["input"]["stretch"] == true);
  CHECK(a["light"].is_null());
  CHECK(a["metadata"] == json{{"data", "same"}, {"seed", "2"}});
  REQUIRE(a["tensors"].size() == 8);
  const json& bias = a["tensors"][0];
  CHECK(bias["name"] == "adjustment.conv1.bias");
  CHECK(bias["dtype"] == "F16");
  CHECK(bias["shape"] == json{32});
  const Tensor<double> values = read_safetensors(dir / "a.st").get_tensor<double>("adjustment.conv1.bias");
  double sum = 0, low = values[0], high = values[0];
  for (const double v : values.to_vector()) sum += v, low = std::min(low, v), high = std::max(high, v);
  CHECK(bias["min"] == low);
  CHECK(bias["max"] == high);
  CHECK(bias["mean"].get<double>() == Approx(sum / 32));
  CHECK(bias["not_finite"] == 0);
  CHECK(files[1]["nets"]["decomposition"]["parameters"] == 235876);
}

TEST_CASE("kind-weights: weights that are not finite are shown, but go into no other model") {
  const TempDir dir;
  put_models(dir);
  SafeTensors content = read_safetensors(dir / "a.st");
  content.put_tensor("adjustment.conv4.bias", Tensor<float>({1}, {INFINITY}));
  write_safetensors(dir / "inf.st", content);
  const Result shown = run(dir, "inspect inf.st");
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Contains("inf.st: model of kind") && Contains("1 not finite"));
  for (const char* command : {"convert inf.st --float16", "merge inf.st d.st"}) {
    CHECK_THAT(failure(dir, std::string(command) + " -o x.st"),
               Contains("inf.st: tensor adjustment.conv4.bias holds inf, expected finite numbers"));
  }
  CHECK_FALSE(std::filesystem::exists(dir / "x.st"));
}

TEST_CASE("kind-weights inspect: the paper's form, and others") {
  const TempDir dir;
  const auto form = [&](const char* config) {
    Model<float> model;
    model.config = parse_config<ModelConfig>(json::parse(config), "test");
    model.build(1);
    save_model(dir / "m.st", model);
    return json::parse(run(dir, "inspect --json m.st").out)[0]["nets"].begin().value()["form"].get<std::string>();
  };
  CHECK(form(R"({"decomposition": {"activation": "relu", "output_kernel": 3}})") == "paper");
  CHECK(form(R"({"decomposition": {"activation": "relu"}})") == "other");
  CHECK(form(R"({"decomposition": {"slope": 0.1}})") == "other");
  CHECK(form(R"({"decomposition": {}})") == "official");
  CHECK(form(R"({"restoration": {"activation": "relu"}})") == "paper");
  CHECK(form(R"({"restoration": {"output": "residual"}})") == "other");
  CHECK(form(R"({"adjustment": {"activation": "relu", "output_activation": false}})") == "paper");
  CHECK(form(R"({"adjustment": {"output_activation": false}})") == "other");
}

TEST_CASE("kind-weights inspect: plain safetensors and checkpoints, whatever they hold") {
  const TempDir dir;
  SafeTensors plain;
  plain.put_tensor("values", Tensor<float>({4}, {1, -2, std::nanf(""), INFINITY}));
  plain.put_tensor("nothing", Tensor<float>::zeros({0, 3}));
  plain.put_tensor("worse", Tensor<float>({1}, {std::nanf("")}));
  plain.put_int64("steps", {7, 8});
  plain.put_tensor("bad\nname", Tensor<float>::zeros({1}));
  plain.tensors["deep"] = {Dtype::kBF16, {1, 1, 1, 1, 1, 1, 1, 2}, {0x80, 0x3f, 0x00, 0xc0}};
  plain.metadata["format"] = "pt\x1b[2J";
  write_safetensors(dir / "plain.st", plain);
  const Result result = run(dir, "inspect plain.st --json");
  CHECK(result.code == 0);
  const json file = json::parse(result.out)[0];
  CHECK(file["type"] == "safetensors");
  CHECK_FALSE(file.contains("nets"));
  std::map<std::string, json> tensors;
  for (const json& t : file["tensors"]) tensors[t["name"]] = t;
  CHECK(tensors["values"]["min"] == -2);
  CHECK(tensors["values"]["max"] == 1);
  CHECK(tensors["values"]["mean"] == -0.5);
  CHECK(tensors["values"]["not_finite"] == 2);
  CHECK(tensors["nothing"]["min"].is_null());
  CHECK(tensors["worse"]["mean"].is_null());
  CHECK(tensors["worse"]["not_finite"] == 1);
  CHECK(tensors["steps"]["dtype"] == "I64");
  CHECK(tensors["steps"]["max"].is_null());
  CHECK(tensors["deep"]["min"] == -2);
  CHECK(tensors["deep"]["max"] == 1);
  const Result text = run(dir, "inspect plain.st");
  CHECK_THAT(text.out, Contains("2 not finite") && Contains("bad\\x0aname") && Contains("format = pt\\x1b[2J"));
  CHECK(text.out.find('\x1b') == std::string::npos);

  BundleWriter bundle;
  bundle.add("a\xff/weights", 1, {1}, fixed(2.5f));
  bundle.write(dir);
  dir.put("checkpoint", std::string("model_checkpoint_path: \"model.ckpt\""));
  for (const char* path : {"model.ckpt", "model.ckpt.index", "."}) {
    const json ckpt = json::parse(run(dir, std::string("inspect --json ") + path).out)[0];
    CHECK(ckpt["type"] == "tensorflow");
    CHECK(ckpt["tensors"][0]["max"] == 2.5);
  }
}

TEST_CASE("kind-weights inspect: exit codes where files fail") {
  const TempDir dir;
  put_models(dir);
  dir.put("bad.st", std::string("{}"));
  CHECK_THAT(failure(dir, "inspect none.st"), Contains("cannot read none.st: No such file"));
  CHECK_THAT(failure(dir, "inspect bad.st"), Contains("cannot read bad.st as safetensors"));
  CHECK_THAT(failure(dir, "inspect ."), Contains("folder without a file named checkpoint"));
  const Result some = run(dir, "inspect none.st a.st --json");
  CHECK(some.code == 1);
  CHECK(json::parse(some.out).size() == 1);
  CHECK_THAT(some.err, Contains("none.st"));
  CHECK(run(dir, "inspect none.st bad.st").code == 2);
  const Result full = run(dir, "inspect a.st", "/dev/full");
  CHECK(full.code == 2);
  CHECK_THAT(full.err, Contains("cannot write to the standard output"));
}

TEST_CASE("kind-weights import-tensorflow: a checkpoint becomes a model") {
  const TempDir dir;
  put_models(dir);
  success(dir, "import-tensorflow adjust.ckpt -o m.st");
  const Model<float> model = load_model<float>(dir / "m.st");
  const Parameters<float> got = model.parameters(),
                          expected = model_from_tensorflow({pseudo_random_weights(adjustment_tensors())}).parameters();
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i].variable.value().to_vector() == expected[i].variable.value().to_vector());
  const std::vector<std::uint8_t> before = slurp(dir / "m.st");
  CHECK_THAT(failure(dir, "import-tensorflow adjust.ckpt.index -o m.st"),
             Contains("cannot write m.st: it exists") && Contains("--overwrite"));
  success(dir, "import-tensorflow adjust.ckpt.index -o m.st --overwrite");
  CHECK(slurp(dir / "m.st") == before);
  CHECK_THAT(failure(dir, "import-tensorflow adjust.ckpt adjust.ckpt -o x.st"),
             Contains("the adjustment net is there twice"));
  CHECK_THAT(failure(dir, "import-tensorflow none.ckpt -o x.st"),
             Contains("cannot read none.ckpt.index: No such file"));
  CHECK_THAT(failure(dir, "import-tensorflow adjust.ckpt -o none/x.st"), Contains("cannot write none/x.st"));
  CHECK_THAT(failure(dir, "import-tensorflow adjust.ckpt -o adjust.ckpt.index --overwrite"),
             Contains("never overwritten"));
  CHECK(dir.count() == 5);
}

TEST_CASE("kind-weights merge: nets of several files") {
  const TempDir dir;
  put_models(dir);
  success(dir, "merge a.st d.st -o m.st");
  const SafeTensors merged = read_safetensors(dir / "m.st"), a = read_safetensors(dir / "a.st"),
                    d = read_safetensors(dir / "d.st");
  CHECK(merged.tensors.size() == 26);
  for (const SafeTensors* source : {&a, &d}) {
    for (const auto& [name, tensor] : source->tensors) {
      CHECK(merged.get(name).dtype == tensor.dtype);
      CHECK(merged.get(name).data == tensor.data);
    }
  }
  auto notes = merged.metadata;
  notes.erase("kind");
  CHECK(notes ==
        std::map<std::string, std::string>{{"data", "same"}, {"adjustment.seed", "2"}, {"decomposition.seed", "1"}});
  const Model<float> model = load_model<float>(dir / "m.st");
  CHECK(model.decomposition);
  CHECK(model.adjustment);
  success(dir, "merge d.st a.st -o n.st");
  CHECK(slurp(dir / "n.st") == slurp(dir / "m.st"));

  CHECK_THAT(failure(dir, "merge m.st a.st -o x.st"), Contains("a.st: the adjustment net is in m.st already"));
  CHECK_THAT(failure(dir, "merge a.st a.st -o x.st"), Contains("the adjustment net is in a.st already"));
  CHECK_THAT(failure(dir, "merge a.st d.st -o a.st --overwrite"), Contains("cannot write a.st: it is an input"));
  CHECK_THAT(failure(dir, "merge a.st none.st -o x.st"), Contains("cannot read none.st"));
  Model<float> other = load_model<float>(dir / "d.st");
  other.config.input.stretch = false;
  save_model(dir / "other.st", other);
  CHECK_THAT(failure(dir, "merge a.st other.st -o x.st"),
             Contains("other.st: its input.stretch is false, that of a.st is not"));
  CHECK_FALSE(std::filesystem::exists(dir / "x.st"));
}

TEST_CASE("kind-weights drop: a model without a net") {
  const TempDir dir;
  put_models(dir);
  success(dir, "merge a.st d.st -o m.st");
  success(dir, "drop m.st decomposition -o left.st");
  const SafeTensors left = read_safetensors(dir / "left.st"), a = read_safetensors(dir / "a.st");
  CHECK(left.tensors.size() == a.tensors.size());
  for (const auto& [name, tensor] : a.tensors) CHECK(left.get(name).data == tensor.data);
  CHECK(left.metadata.at("data") == "same");
  const Model<float> model = load_model<float>(dir / "left.st");
  CHECK((model.adjustment && !model.decomposition));
  Model<float> lit = load_model<float>(dir / "m.st");
  lit.config.light.emplace().bias = 0.5;
  save_model(dir / "lit.st", lit);
  success(dir, "drop lit.st adjustment -o dark.st");
  CHECK(load_model<float>(dir / "dark.st").config.light);  // it belongs to decomposition
  CHECK_THAT(failure(dir, "drop a.st restoration -o x.st"),
             Contains("a.st: there is no restoration net in it to drop"));
  CHECK_THAT(failure(dir, "drop a.st adjustment -o x.st"), Contains("nothing would be left"));
  CHECK_THAT(failure(dir, "drop m.st restoring -o x.st"), Contains("restoring"));
  CHECK_THAT(failure(dir, "drop m.st adjustment -o m.st --overwrite"), Contains("it is an input"));
  CHECK_FALSE(std::filesystem::exists(dir / "x.st"));
}

TEST_CASE("kind-weights merge: the rule for the light level comes along") {
  const TempDir dir;
  put_models(dir);
  Model<float> d = load_model<float>(dir / "d.st"), a = load_model<float>(dir / "a.st");
  d.config.light.emplace().bias = 0.5;
  save_model(dir / "d.st", d);
  success(dir, "merge a.st d.st -o m.st");
  CHECK(load_model<float>(dir / "m.st").config.light->bias == 0.5);
  a.config.light.emplace().bias = 0.25;
  save_model(dir / "a.st", a);
  CHECK_THAT(failure(dir, "merge a.st d.st -o x.st"),
             Contains("d.st: its rule for the light level differs from that of a.st"));
}

TEST_CASE("kind-weights convert: between float32 and float16") {
  const TempDir dir;
  put_models(dir);
  success(dir, "convert --float16 d.st -o h.st");
  success(dir, "convert h.st --float32 -o f.st");
  success(dir, "convert f.st --float16 -o again.st");
  CHECK(slurp(dir / "h.st") == slurp(dir / "again.st"));
  const SafeTensors half = read_safetensors(dir / "h.st"), full = read_safetensors(dir / "f.st");
  CHECK(half.metadata.at("seed") == "1");
  for (const auto& [name, tensor] : half.tensors) {
    CHECK(tensor.dtype == Dtype::kF16);
    CHECK(full.get(name).dtype == Dtype::kF32);
    CHECK(half.get_tensor<float>(name).to_vector() == full.get_tensor<float>(name).to_vector());
  }
  CHECK_THAT(failure(dir, "convert --float16 adjust.ckpt.index -o x.st"), Contains("adjust.ckpt.index"));
  CHECK_THAT(failure(dir, "convert --float16 d.st -o ./d.st --overwrite"), Contains("it is an input"));
  CHECK_FALSE(std::filesystem::exists(dir / "x.st"));
}

TEST_CASE("kind-weights export-onnx: all nets, or one") {
  const TempDir dir;
  put_models(dir);
  success(dir, "merge a.st d.st -o m.st");
  const Model<float> model = load_model<float>(dir / "m.st");
  const std::map<std::string, std::string> notes{
      {"data", "same"}, {"adjustment.seed", "2"}, {"decomposition.seed", "1"}};
  success(dir, "export-onnx -w m.st -o all.onnx", kNoisy);
  CHECK(slurp(dir / "all.onnx") == export_onnx(model, {}, notes));
  success(dir, "export-onnx --weights m.st --ratio 3 --range 0.1 0.6 --float16 -o half.onnx", kNoisy);
  CHECK(slurp(dir / "half.onnx") ==
        export_onnx(model, {.float16 = true, .ratio = 3.0, .range = InputRange{0.1f, 0.6f - 0.1f}}, notes));
  success(dir, "export-onnx -w a.st --nets adjustment --output adjustment.onnx");
  CHECK(slurp(dir / "adjustment.onnx") == export_onnx(load_model<float>(dir / "a.st"), {.nets = OnnxNets::kAdjustment},
                                                      {{"data", "same"}, {"seed", "2"}}));

  CHECK_THAT(failure(dir, "export-onnx -w m.st -o all.onnx"), Contains("cannot write all.onnx: it exists"));
  success(dir, "export-onnx -w m.st -o all.onnx --overwrite --nets decomposition");
  CHECK(slurp(dir / "all.onnx") == export_onnx(model, {.nets = OnnxNets::kDecomposition}, notes));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o m.st --overwrite"), Contains("cannot write m.st: it is an input"));
  CHECK_THAT(failure(dir, "export-onnx -w none.st -o x.onnx"), Contains("cannot read none.st"));
  CHECK_THAT(failure(dir, "export-onnx -w a.st -o x.onnx"), Contains("no decomposition net"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --nets restoration"), Contains("no restoration net"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --nets both"), Contains("both"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --ratio 0"), Contains("above 0 and at most 100, got 0"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --ratio 3 --nets decomposition"),
             Contains("--ratio: the decomposition net has none"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --range 0.5 0.5"), Contains("--range: expected two numbers"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --range 0 nan"), Contains("--range: expected two numbers"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st -o x.onnx --range 1"), Contains("--range"));
  CHECK_THAT(failure(dir, "export-onnx -w m.st"), Contains("--output is required"));
  CHECK_FALSE(std::filesystem::exists(dir / "x.onnx"));
}

TEST_CASE("kind-weights export-darktable") {
  const TempDir dir;
  put_models(dir);
  success(dir, "merge a.st d.st -o m.st");
  const Model<float> model = load_model<float>(dir / "m.st");
  const std::map<std::string, std::string> notes{
      {"data", "same"}, {"adjustment.seed", "2"}, {"decomposition.seed", "1"}};
  success(dir, "export-darktable -w m.st -o kind.dtmodel", kNoisy);
  CHECK(slurp(dir / "kind.dtmodel") == export_darktable(model, {}, notes));
  success(dir, "export-darktable -w m.st -o half.dtmodel --ratio 2 --range 0 0.5 --float16", kNoisy);
  CHECK(slurp(dir / "half.dtmodel") == export_darktable(model, {2, {0, 0.5f}, true}, notes));
  CHECK_THAT(failure(dir, "export-darktable -w m.st -o kind.dtmodel"),
             Contains("cannot write kind.dtmodel: it exists"));
  CHECK_THAT(failure(dir, "export-darktable -w m.st -o x.dtmodel --ratio 101"), Contains("at most 100, got 101"));
  CHECK_THAT(failure(dir, "export-darktable -w d.st -o x.dtmodel"), Contains("no adjustment net"));
  CHECK_FALSE(std::filesystem::exists(dir / "x.dtmodel"));
}

}  // namespace
}  // namespace kind::testing
