#include "nets/model.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>

#include "core/base/half.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

template <class T>
Model<T> model_of(const char* config, std::uint64_t seed = 1) {
  Model<T> model;
  model.config = parse_config<ModelConfig>(json::parse(config), "test");
  model.build(seed);
  return model;
}

const char* const kTwoNets =
    R"({"decomposition": {}, "adjustment": {"output_activation": false, "slope": 0.1}, "input": {"stretch": false},
    "light": {"bias": 0.5, "weights": [1, 2, 3, 4, 5, 6, 0.1], "lowest": 0.25, "highest": 0.9}})";

/// The values of all parameters one after the other.
template <class T>
std::vector<T> values_of(const Model<T>& model) {
  std::vector<T> all;
  for (const Parameter<T>& p : model.parameters()) {
    const std::vector<T> own = p.variable.value().to_vector();
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

/// A small model's file as tensors, to be bent.
SafeTensors good_content(const TempDir& dir) {
  save_model(dir / "good.safetensors", model_of<float>(R"({"adjustment": {}})"));
  return read_safetensors(dir / "good.safetensors");
}

std::string load_message(const TempDir& dir, const SafeTensors& content) {
  const std::string path = dir / "bent.safetensors";
  write_safetensors(path, content);
  const std::string text = error_of([&] { load_model<float>(path); });
  CHECK(text.find(path) == 0);
  CHECK(text.find('\n') == std::string::npos);
  return text;
}

TEST_CASE("model: building draws each net from its own numbers") {
  const auto all = model_of<float>(R"({"decomposition": {}, "restoration": {}, "adjustment": {}})");
  const auto again = model_of<float>(R"({"decomposition": {}, "restoration": {}, "adjustment": {}})");
  CHECK(values_of(all) == values_of(again));
  CHECK(all.parameters().size() == 18 + 42 + 8);
  // A net starts the same whether or not the others are there.
  Model<float> alone = model_of<float>(R"({"adjustment": {}})");
  CHECK(alone.adjustment->parameters()[2].variable.value().to_vector() ==
        all.adjustment->parameters()[2].variable.value().to_vector());
  CHECK(values_of(alone) != values_of(model_of<float>(R"({"adjustment": {}})", 2)));
  // What is there stays; what is named later is added.
  const std::vector<float> before = values_of(alone);
  alone.config.decomposition.emplace();
  alone.build(99);
  CHECK(alone.decomposition);
  CHECK(alone.adjustment->parameters()[0].variable.value().to_vector() ==
        std::vector<float>(before.begin(), before.begin() + 32 * 2 * 9));
  CHECK_FALSE(alone.restoration);
}

TEST_CASE("model: the order of the parameters is fixed") {
  const auto model = model_of<float>(R"({"adjustment": {}, "restoration": {}, "decomposition": {}})");
  const Parameters<float> p = model.parameters();
  CHECK(p[0].name == "decomposition.conv1.weight");
  CHECK(p[18].name == "restoration.conv1_1.weight");
  CHECK(p[60].name == "adjustment.conv1.weight");
  CHECK(p.back().name == "adjustment.conv4.bias");
}

TEST_CASE("model: what is saved in float32 is read again, bit for bit") {
  const TempDir dir;
  Model<float> model = model_of<float>(kTwoNets);
  model.parameters()[1].variable.mutable_value()[3] = 1e-40f;  // subnormal
  save_model(dir / "m.safetensors", model, WeightType::kFloat32, {{"note", "text \"quoted\""}});
  const Model<float> again = load_model<float>(dir / "m.safetensors");
  CHECK(values_of(again) == values_of(model));
  CHECK(to_json(again.config) == to_json(model.config));
  CHECK(again.config.decomposition->initializer == "xavier_uniform");
  CHECK_FALSE(again.restoration);
  CHECK(read_safetensors(dir / "m.safetensors").metadata.at("note") == "text \"quoted\"");
  // The same model gives the same bytes.
  save_model(dir / "n.safetensors", again, WeightType::kFloat32, {{"note", "text \"quoted\""}});
  CHECK(slurp(dir / "m.safetensors") == slurp(dir / "n.safetensors"));
  // In double the values are the same numbers.
  const std::vector<double> wide = values_of(load_model<double>(dir / "m.safetensors"));
  const std::vector<float> narrow = values_of(model);
  bool same = wide.size() == narrow.size();
  for (std::size_t i = 0; same && i < wide.size(); ++i) same = wide[i] == static_cast<double>(narrow[i]);
  CHECK(same);
}

TEST_CASE("model: what is read computes what was saved") {
  const TempDir dir;
  const Model<float> model = model_of<float>(kTwoNets);
  save_model(dir / "m.safetensors", model);
  const Model<float> again = load_model<float>(dir / "m.safetensors");
  const Variable<float> x(random_tensor<float>({1, 3, 6, 5}, 1, 0, 1));
  CHECK((*again.decomposition)(x).illumination.value().to_vector() ==
        (*model.decomposition)(x).illumination.value().to_vector());
  const Variable<float> l(random_tensor<float>({1, 1, 6, 5}, 1, 0, 1));
  CHECK((*again.adjustment)(l, l).value().to_vector() == (*model.adjustment)(l, l).value().to_vector());
}

TEST_CASE("model: options are those of all nets, made before or after") {
  Model<float> model;
  model.config.adjustment.emplace();
  model.build(1);
  CHECK_FALSE(model.adjustment->fused().options().exact);
  model.set_options({.exact = true, .recompute = true});
  model.config.decomposition.emplace();
  model.build(1);
  CHECK((model.adjustment->fused().options().exact && model.decomposition->fused().options().exact));
  CHECK((model.adjustment->fused().options().recompute && model.decomposition->fused().options().recompute));
  const TempDir dir;
  save_model(dir / "model.safetensors", model);
  CHECK_FALSE(load_model<float>(dir / "model.safetensors").options.exact);  // a way to run, not what the model is
}

TEST_CASE("model: a narrow restoration net is read again, and takes no weights of the wide one") {
  const TempDir dir;
  const auto narrow = model_of<float>(R"({"restoration": {"width": 0.5}})");
  save_model(dir / "narrow.safetensors", narrow);
  const Model<float> again = load_model<float>(dir / "narrow.safetensors");
  CHECK(again.config.restoration->width == 0.5);
  CHECK((values_of(again) == values_of(narrow)));
  SafeTensors content = read_safetensors(dir / "narrow.safetensors");
  content.metadata["kind"] = R"({"restoration": {}})";
  CHECK_THAT(load_message(dir, content), Contains("these are the weights of another net"));
}

TEST_CASE("model: float16 rounds to nearest and halves the file") {
  const TempDir dir;
  const Model<float> model = model_of<float>(kTwoNets);
  save_model(dir / "m.safetensors", model);
  save_model(dir / "h.safetensors", model, WeightType::kFloat16);
  const std::vector<float> exact = values_of(model), half = values_of(load_model<float>(dir / "h.safetensors"));
  REQUIRE(half.size() == exact.size());
  bool same = true, rounded = false;
  for (std::size_t i = 0; i < half.size(); ++i) {
    same = same && half[i] == half_to_float(float_to_half(exact[i]));
    rounded = rounded || half[i] != exact[i];
  }
  CHECK(same);
  CHECK(rounded);
  CHECK(slurp(dir / "h.safetensors").size() < slurp(dir / "m.safetensors").size() * 51 / 100);
  // Once rounded, nothing is lost any more.
  save_model(dir / "again.safetensors", load_model<float>(dir / "h.safetensors"), WeightType::kFloat16);
  CHECK(slurp(dir / "again.safetensors") == slurp(dir / "h.safetensors"));
}

TEST_CASE("model: a weight too large for float16 is named and nothing is written") {
  const TempDir dir;
  const Model<float> model = model_of<float>(R"({"adjustment": {}})");
  model.parameters()[1].variable.value();
  Variable<float> bias = model.parameters()[1].variable;
  bias.mutable_value()[0] = 70000;
  CHECK_THAT(error_of([&] { save_model(dir / "h.safetensors", model, WeightType::kFloat16); }),
             Contains(dir / "h.safetensors") && Contains("'adjustment.conv1.bias' holds 70000, too large for float16"));
  CHECK(dir.count() == 0);
}

TEST_CASE("model: what cannot be written leaves nothing behind") {
  const TempDir dir;
  const Model<float> model = model_of<float>(R"({"adjustment": {}})");
  CHECK_THAT(error_of([&] { save_model(dir / "none/m.safetensors", model); }),
             Contains("cannot write " + dir / "none/m.safetensors"));
  CHECK_THAT(error_of([&] { save_model(dir.path(), model); }), Contains("cannot write " + dir.path()));
  CHECK(dir.count() == 0);
}

TEST_CASE("model: files that are no models") {
  const TempDir dir;
  const auto message = [&](const std::string& bytes) {
    const std::string path = dir.put("file", bytes);
    return error_of([&] { load_model<float>(path); });
  };
  CHECK_THAT(error_of([&] { load_model<float>(dir / "missing"); }),
             Contains("cannot read " + dir / "missing: No such file"));
  CHECK_THAT(error_of([&] { load_model<float>(dir.path()); }), Contains("it is a folder, expected a file"));
  CHECK_THAT(message(""), Contains("file: the file is empty"));
  CHECK_THAT(message("\x89PNG\r\n\x1a\n and so on"), Contains("cannot read " + dir / "file as safetensors"));
  SafeTensors foreign;
  foreign.put_tensor("conv.weight", Tensor<float>::zeros({1}));
  CHECK_THAT(load_message(dir, foreign), Contains("this is no model of kind: its metadata has no key \"kind\"") &&
                                             Contains("kind-weights import-tensorflow"));
}

TEST_CASE("model: a file cut short or changed anywhere in its header is refused") {
  const TempDir dir;
  good_content(dir);
  const std::vector<std::uint8_t> good = slurp(dir / "good.safetensors");
  std::uint64_t header = 0;
  std::copy_n(good.begin(), 8, reinterpret_cast<std::uint8_t*>(&header));
  const auto refused = [&](const std::vector<std::uint8_t>& bytes) {
    const std::string path = dir.put("bad", bytes);
    const std::string text = error_of([&] { load_model<float>(path); });
    return text.find(path) != std::string::npos && text.find('\n') == std::string::npos;
  };
  for (std::size_t size = 0; size < 8 + header; size += 7) {
    CHECK(refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}));
  }
  CHECK(refused({good.begin(), good.end() - 1}));
  std::vector<std::uint8_t> longer = good;
  longer.push_back(0);
  CHECK(refused(longer));
  // A byte that no header can have; and the length itself.
  for (std::size_t i = 0; i < 8 + header; i += 5) {
    std::vector<std::uint8_t> bad = good;
    bad[i] = 0xff;
    INFO("byte " << i);
    CHECK(refused(bad));
  }
}

TEST_CASE("model: descriptions that are wrong name the place") {
  const TempDir dir;
  const SafeTensors good = good_content(dir);
  const auto message = [&](const std::string& description) {
    SafeTensors content = good;
    content.metadata["kind"] = description;
    return load_message(dir, content);
  };
  CHECK_THAT(message("{"), Contains("metadata \"kind\": line 1"));
  CHECK_THAT(message("[]"), Contains("expected an object"));
  CHECK_THAT(message(R"({"format": 2, "adjustment": {}})"),
             Contains("metadata \"kind\": format: expected an integer from 1 to 1"));
  CHECK_THAT(message(R"({"adjustmnet": {}})"), Contains("metadata \"kind\": adjustmnet: ") && Contains("adjustment"));
  CHECK_THAT(message(R"({"adjustment": {"activation": "tanh"}})"), Contains("adjustment.activation"));
  CHECK_THAT(message(R"({"adjustment": {}, "light": {"weights": [1, 2]}})"),
             Contains("light.weights: ") && Contains("got 2"));
  CHECK_THAT(message(R"({"adjustment": {}, "light": {"lowest": 0.3, "highest": 0.2}})"),
             Contains("light.lowest: expected at most highest (0.2), got 0.3"));
  CHECK_THAT(message(R"({"adjustment": {}, "input": {"stretch": 1}})"), Contains("input.stretch"));
  CHECK_THAT(message("{}"), Contains("the model holds no net"));
  CHECK_THAT(message(R"({"restoration": {}})"), Contains("tensor adjustment.conv1.bias belongs to none of the nets"));
  CHECK_THAT(message(R"({"adjustment": {}, "decomposition": {}})"),
             Contains("there is no tensor 'decomposition.conv1.weight'"));
}

TEST_CASE("model: tensors that do not fit are named") {
  const TempDir dir;
  const SafeTensors good = good_content(dir);
  SafeTensors bad = good;
  SECTION("missing") {
    bad.tensors.erase("adjustment.conv3.bias");
    CHECK_THAT(load_message(dir, bad), Contains("there is no tensor 'adjustment.conv3.bias'"));
  }
  SECTION("left over") {
    bad.put_tensor("adjustment.conv9.bias", Tensor<float>::zeros({1}));
    CHECK_THAT(load_message(dir, bad),
               Contains("tensor adjustment.conv9.bias belongs to none of the nets that the file's description names"));
  }
  SECTION("of another shape") {
    bad.put_tensor("adjustment.conv2.weight", Tensor<float>::zeros({32, 16, 3, 3}));
    CHECK_THAT(load_message(dir, bad), Contains("tensor adjustment.conv2.weight has shape [32, 16, 3, 3], expected "
                                                "[32, 32, 3, 3]; these are the weights of another net"));
    bad.put_tensor("adjustment.conv2.weight", Tensor<float>::zeros({32 * 32, 9}));
    CHECK_THAT(load_message(dir, bad), Contains("has shape [1024, 9]"));
  }
  SECTION("not finite") {
    for (const float value : {std::nanf(""), INFINITY, -INFINITY}) {
      Tensor<float> weights = good.get_tensor<float>("adjustment.conv2.weight");
      weights[weights.size() - 1] = value;
      bad.put_tensor("adjustment.conv2.weight", weights);
      CHECK_THAT(load_message(dir, bad), Contains(join("tensor adjustment.conv2.weight holds ", value)));
      CHECK_NOTHROW(load_model<float>(dir / "bent.safetensors", NonFinite::kAllow));
    }
    // Finite in double only.
    bad.put_tensor("adjustment.conv2.weight", Tensor<double>::full({32, 32, 3, 3}, 1e40));
    CHECK_THAT(load_message(dir, bad), Contains("tensor adjustment.conv2.weight holds inf"));
  }
  SECTION("of another type") {
    bad.put_bytes("adjustment.conv1.bias", std::vector<std::uint8_t>(32));
    CHECK_THAT(load_message(dir, bad),
               Contains("'adjustment.conv1.bias' is of type U8, expected F64, F32, F16 or BF16"));
  }
  SECTION("in double, they are taken") {
    bad.put_tensor("adjustment.conv1.bias", Tensor<double>::full({32}, 0.5));
    write_safetensors(dir / "double.safetensors", bad);
    CHECK(load_model<float>(dir / "double.safetensors").parameters()[1].variable.value()[5] == 0.5f);
  }
}

TEST_CASE("model: nothing is assigned where a tensor is missing") {
  const TempDir dir;
  SafeTensors content = good_content(dir);
  content.put_tensor("more", Tensor<float>::zeros({1}));  // left alone
  const Model<float> model = model_of<float>(R"({"adjustment": {}})", 5);
  assign_parameters(content, model.parameters());
  CHECK(values_of(model) == values_of(load_model<float>(dir / "good.safetensors")));
  content.tensors.erase("adjustment.conv4.bias");
  CHECK_THAT(error_of([&] { assign_parameters(content, model.parameters()); }), Contains("'adjustment.conv4.bias'"));
}

}  // namespace
}  // namespace kind::testing
