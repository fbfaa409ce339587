// Long because one struct with a field of every type serves all cases.

#include "core/config/config.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

namespace {

using kind::nearest_name;
using kind::parse_config;
using nlohmann::json;

struct Optimizer {
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  std::string form = "tensorflow";

  template <class V>
  void fields(V& v) {
    v.field("learning_rate", learning_rate, "Step size at the start.", kind::greater_than(0));
    v.field("beta1", beta1, "Decay of the first moment.", kind::at_least(0), kind::less_than(1));
    v.field("form", form, "Where epsilon | eps stands.", kind::one_of("tensorflow", "standard"));
  }
};

struct Schedule {
  std::string kind = "steps";
  std::vector<std::int64_t> milestones = {};

  template <class V>
  void fields(V& v) {
    v.field("kind", kind, "Form.", kind::kRequired);
    v.field("milestones", milestones, "Epochs at which the rate falls.", kind::at_least(1));
  }
};

struct Stage {
  std::string name = {};
  int epochs = 10;
  int warm_up = 0;
  Optimizer optimizer = {};
  std::optional<Schedule> schedule = {};
  std::optional<std::string> init = {};
  std::map<std::string, double> losses = {{"rec", 1.0}};

  template <class V>
  void fields(V& v) {
    v.field("name", name, "What --set calls it.", kind::kRequired);
    v.field("epochs", epochs, "Times through the pairs.", kind::at_least(1));
    v.field("warm_up", warm_up, "Epochs of warm-up.", kind::between(0, 100));
    v.field("optimizer", optimizer, "How weights are moved.");
    v.field("schedule", schedule, "How the rate falls.");
    v.field("init", init, "A model to start from.");
    v.field("losses", losses, "Weights of the terms.", kind::at_least(0));
  }

  void validate(const std::string& path) const {
    kind::check(warm_up <= epochs, kind::key_path(path, "warm_up"), ": expected at most the ", epochs,
                " epochs there are, got ", warm_up);
  }
};

struct Run {
  std::vector<Stage> stages = {};
  std::uint64_t seed = 0;
  bool stretch = true;
  std::vector<double> betas = {0.5, 1.0};
  std::vector<std::string> tags = {};
  std::optional<double> clip = 1.5;
  Schedule fallback = {};
  std::int8_t small = 0;

  template <class V>
  void fields(V& v) {
    v.field("stages", stages, "One after the other.");
    v.field("seed", seed, "Of all that is random.");
    v.field("stretch", stretch, "Stretch the input.");
    v.field("betas", betas, "Two numbers.", kind::at_most(1));
    v.field("tags", tags, "Free words.");
    v.field("clip", clip, "Norm to clip at.", kind::greater_than(0));
    v.field("fallback", fallback, "Where a stage has none.", kind::kRequired);
    v.field("small", small, "A small number.");
  }
};

/// The message of the Error that `call` throws, which is one line.
template <class F>
std::string error_of(const F& call) {
  try {
    call();
  } catch (const kind::Error& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    return message;
  }
  return "no error";
}

std::string parse_error(const std::string& text) {
  return error_of([&] { kind::parse_json(text, "x.json"); });
}

json good() {
  return json::parse(R"({"stages": [{"name": "decom"}, {"name": "restore"}], "fallback": {"kind": "none"}})");
}

/// The error of good() with the value at a JSON pointer replaced.
std::string config_error(const std::string& pointer, const json& value) {
  json config = good();
  config[json::json_pointer(pointer)] = value;
  return error_of([&] { parse_config<Run>(config, "configs/x.json"); });
}

std::string set_error(const std::string& assignment, const kind::SetScope& scope = {}) {
  json config = json::parse(R"({"stages": [{"name": "decom", "epochs": 1}, {"name": "restore"}], "seed": 3})");
  const json before = config;
  const std::string message = error_of([&] { kind::set_path(config, assignment, scope); });
  CHECK(config == before);
  return message;
}

struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("kind-config-test-" + std::to_string(std::random_device{}()));
  TemporaryFolder() { std::filesystem::create_directory(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("config: defaults stay where keys are absent, given keys are read") {
  const json in = json::parse(R"({
    "stages": [{"name": "a", "epochs": 20, "optimizer": {"learning_rate": 1, "form": "standard"},
                "schedule": {"kind": "cosine", "milestones": [3, 5]}, "init": "m.safetensors", "losses": {"is": 0.15}},
               {"name": "b", "init": null}],
    "seed": 18446744073709551615, "stretch": false, "betas": [], "tags": ["x", "ü"], "clip": null,
    "fallback": {"kind": "k"}, "small": -128})");
  const auto run = parse_config<Run>(in, "x.json");
  REQUIRE(run.stages.size() == 2);
  CHECK(run.stages[0].epochs == 20);
  CHECK(run.stages[0].optimizer.learning_rate == 1.0);
  CHECK(run.stages[0].optimizer.beta1 == 0.9);
  CHECK(run.stages[0].optimizer.form == "standard");
  REQUIRE(run.stages[0].schedule.has_value());
  CHECK(run.stages[0].schedule->milestones == std::vector<std::int64_t>{3, 5});
  CHECK(run.stages[0].init == "m.safetensors");
  CHECK(run.stages[0].losses == std::map<std::string, double>{{"is", 0.15}});  // not merged with the default
  CHECK(run.stages[1].epochs == 10);
  CHECK_FALSE(run.stages[1].schedule.has_value());
  CHECK_FALSE(run.stages[1].init.has_value());
  CHECK(run.stages[1].losses == std::map<std::string, double>{{"rec", 1.0}});
  CHECK(run.seed == std::numeric_limits<std::uint64_t>::max());
  CHECK_FALSE(run.stretch);
  CHECK(run.betas.empty());
  CHECK(run.tags == std::vector<std::string>{"x", "ü"});
  CHECK_FALSE(run.clip.has_value());
  CHECK(run.small == -128);
  CHECK(parse_config<Run>(good(), "x.json").clip == 1.5);
}

TEST_CASE("config: an unknown key is refused with its path and the nearest known key") {
  CHECK(config_error("/stages/0/optimizer", {{"lerning_rate", 1}}) ==
        "configs/x.json: stages[0].optimizer.lerning_rate: unknown key; did you mean \"learning_rate\"?");
  CHECK(config_error("/sede", 1) == "configs/x.json: sede: unknown key; did you mean \"seed\"?");
  CHECK_THAT(config_error("/fallbackkkk", 1), Catch::Contains("did you mean \"fallback\"?"));
  CHECK_THAT(config_error("/seedxy", 1), Catch::Contains("did you mean \"seed\"?"));
  CHECK_THAT(config_error("/tretch", 1), Catch::Contains("did you mean \"stretch\"?"));
  CHECK(config_error("/Stretch", 1) == "configs/x.json: Stretch: unknown key; did you mean \"stretch\"?");
  CHECK(config_error("/stages/1/qqqq", 1) ==
        "configs/x.json: stages[1].qqqq: unknown key; known keys: \"name\", \"epochs\", \"warm_up\", \"optimizer\", "
        "\"schedule\", \"init\", \"losses\"");
  CHECK(config_error("/a b\n\xff", 1) ==
        "configs/x.json: [\"a b\\n\xef\xbf\xbd\"]: unknown key; known keys: \"stages\", \"seed\", "
        "\"stretch\", \"betas\", \"tags\", \"clip\", \"fallback\", \"small\"");
  const std::string huge = config_error("/" + std::string(1 << 20, 's'), 1);
  CHECK(huge.size() < 250);
  CHECK_THAT(huge, Catch::Contains("unknown key"));
}

TEST_CASE("config: types are strict") {
  CHECK(config_error("/stages/0/epochs", "five") ==
        "configs/x.json: stages[0].epochs: expected an integer, got \"five\"");
  CHECK(config_error("/stages/0/epochs", 1.5) == "configs/x.json: stages[0].epochs: expected an integer, got 1.5");
  CHECK(config_error("/stages/0/epochs", 5.0) == "configs/x.json: stages[0].epochs: expected an integer, got 5.0");
  CHECK(config_error("/stages/0/epochs", true) == "configs/x.json: stages[0].epochs: expected an integer, got true");
  CHECK(config_error("/stages/0/epochs", nullptr) == "configs/x.json: stages[0].epochs: expected an integer, got null");
  CHECK(config_error("/stages/0/epochs", 3000000000) ==
        "configs/x.json: stages[0].epochs: expected an integer from -2147483648 to 2147483647, got 3000000000");
  CHECK(config_error("/seed", -1) ==
        "configs/x.json: seed: expected an integer from 0 to 18446744073709551615, got -1");
  CHECK(config_error("/seed", 1e20) == "configs/x.json: seed: expected an integer, got 1e+20");
  CHECK(config_error("/small", 128) == "configs/x.json: small: expected an integer from -128 to 127, got 128");
  CHECK(config_error("/stretch", 1) == "configs/x.json: stretch: expected true or false, got 1");
  CHECK(config_error("/clip", false) == "configs/x.json: clip: expected a number, got false");
  CHECK(config_error("/clip", json::array({1})) == "configs/x.json: clip: expected a number, got an array");
  CHECK(config_error("/clip", std::nan("")) ==
        "configs/x.json: clip: expected a finite number, got a number that is not finite");
  CHECK(config_error("/clip", std::numeric_limits<double>::infinity()) ==
        "configs/x.json: clip: expected a finite number, got a number that is not finite");
  CHECK(config_error("/tags", "x") == "configs/x.json: tags: expected an array, got \"x\"");
  CHECK(config_error("/tags", {"x", 3}) == "configs/x.json: tags[1]: expected a string, got 3");
  CHECK(config_error("/tags", {std::string("a\0b", 3)}) ==
        "configs/x.json: tags[0]: expected a string without NUL characters, got \"a\\u0000b\"");
  CHECK(config_error("/betas", {0.5, "y"}) == "configs/x.json: betas[1]: expected a number, got \"y\"");
  CHECK(config_error("/stages/1/optimizer", 3) == "configs/x.json: stages[1].optimizer: expected an object, got 3");
  CHECK(config_error("/stages/1/losses", json::array()) ==
        "configs/x.json: stages[1].losses: expected an object, got an array");
  CHECK(config_error("/stages/1/losses", {{"a b", "x"}}) ==
        "configs/x.json: stages[1].losses[\"a b\"]: expected a number, got \"x\"");
  CHECK(config_error("/stages/1", 7) == "configs/x.json: stages[1]: expected an object, got 7");
  CHECK(config_error("", json::array()) == "configs/x.json: expected an object, got an array");
  // The value shown is cut between characters.
  std::string umlauts = "a";
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  CHECK(config_error("/seed", umlauts) ==
        "configs/x.json: seed: expected an integer, got \"" + umlauts.substr(0, 55) + "...");
}

TEST_CASE("config: limits, required keys and validate") {
  const std::string optimizer = "/stages/0/optimizer/";
  CHECK(config_error(optimizer + "learning_rate", -1) ==
        "configs/x.json: stages[0].optimizer.learning_rate: expected a number greater than 0, got -1");
  CHECK(config_error(optimizer + "learning_rate", 0) ==
        "configs/x.json: stages[0].optimizer.learning_rate: expected a number greater than 0, got 0");
  CHECK(config_error(optimizer + "learning_rate", 5e-324) == "no error");
  CHECK(config_error(optimizer + "beta1", 1.0) ==
        "configs/x.json: stages[0].optimizer.beta1: expected a number less than 1, got 1.0");
  CHECK(config_error(optimizer + "beta1", -0.5) ==
        "configs/x.json: stages[0].optimizer.beta1: expected a number at least 0, got -0.5");
  CHECK(config_error(optimizer + "beta1", 0) == "no error");
  CHECK(config_error(optimizer + "form", "tf") ==
        "configs/x.json: stages[0].optimizer.form: expected one of \"tensorflow\", \"standard\", got \"tf\"");
  CHECK(config_error("/stages/0/epochs", 0) ==
        "configs/x.json: stages[0].epochs: expected an integer at least 1, got 0");
  CHECK(config_error("/stages/0/warm_up", 101) ==
        "configs/x.json: stages[0].warm_up: expected an integer from 0 to 100, got 101");
  CHECK(config_error("/stages/0/warm_up", 10) == "no error");
  CHECK(config_error("/stages/0/warm_up", 11) ==
        "configs/x.json: stages[0].warm_up: expected at most the 10 epochs there are, got 11");
  CHECK(config_error("/betas", {1, 1.25}) == "configs/x.json: betas[1]: expected a number at most 1, got 1.25");
  CHECK(config_error("/clip", 0) == "configs/x.json: clip: expected a number greater than 0, got 0");
  CHECK(config_error("/stages/0/losses", {{"is", -1}}) ==
        "configs/x.json: stages[0].losses.is: expected a number at least 0, got -1");
  CHECK(config_error("/stages/0/schedule", {{"kind", "x"}, {"milestones", {2, 0}}}) ==
        "configs/x.json: stages[0].schedule.milestones[1]: expected an integer at least 1, got 0");
  CHECK(config_error("/stages/0", json::object()) == "configs/x.json: stages[0].name: missing; this key is required");
  CHECK(config_error("/stages/0/name", nullptr) == "configs/x.json: stages[0].name: expected a string, got null");
  CHECK(config_error("/stages/0/schedule", json::object()) ==
        "configs/x.json: stages[0].schedule.kind: missing; this key is required");
  CHECK(config_error("", json::object()) == "configs/x.json: fallback: missing; this key is required");
}

namespace {

struct Inner {
  std::string root = {};

  template <class V>
  void fields(V& v) {
    v.field("root", root, "Folder.", kind::kRequired);
  }
};

struct Outer {
  Inner data = {};

  template <class V>
  void fields(V& v) {
    v.field("data", data, "Data.");
  }
};

struct Checked {
  int low = 2;
  int high = 1;

  template <class V>
  void fields(V& v) {
    v.field("low", low, "Low.");
    v.field("high", high, "High.");
  }
  void validate(const std::string& path) const {
    kind::check(low <= high, kind::key_path(path, "low"), ": more than high");
  }
};

struct Holder {
  Checked checked = {};
  std::optional<Checked> preset = Checked{0, 5};

  template <class V>
  void fields(V& v) {
    v.field("checked", checked, "Checked.");
    v.field("preset", preset, "Has a default.");
  }
};

}  // namespace

TEST_CASE("config: an absent struct is read as an empty one") {
  CHECK(error_of([] { parse_config<Outer>(json::object(), "x"); }) == "x: data.root: missing; this key is required");
  CHECK(error_of([] { parse_config<Holder>(json::object(), "x"); }) == "x: checked.low: more than high");
  CHECK(error_of([] { parse_config<Checked>(json::object(), "x"); }) == "x: low: more than high");
  // An optional struct with a default keeps what is not given.
  const auto holder = parse_config<Holder>(json{{"checked", {{"high", 3}}}, {"preset", {{"low", 4}}}}, "x");
  REQUIRE(holder.preset.has_value());
  CHECK(holder.preset->low == 4);
  CHECK(holder.preset->high == 5);
}

TEST_CASE("config: the resolved config is whole, in order, and reads back exactly") {
  json in = good();
  in["stages"][0]["optimizer"] = {{"learning_rate", 0.1 + 0.2}, {"beta1", 5e-324}};
  in["stages"][0]["schedule"] = {{"kind", "k"}, {"milestones", {1, 9007199254740993}}};
  in["stages"][0]["losses"] = {{"a b", 1.7976931348623157e308}, {"c", -0.0}};
  in["seed"] = 18446744073709551615U;
  in["tags"] = {"\"\\\n\x01", "ü"};
  const auto run = parse_config<Run>(in, "x");
  const nlohmann::ordered_json out = kind::to_json(run);
  const auto again = parse_config<Run>(kind::parse_json(out.dump(2), "resolved"), "resolved");
  CHECK(kind::to_json(again).dump() == out.dump());
  CHECK(again.stages[0].optimizer.learning_rate == 0.1 + 0.2);
  CHECK(again.stages[0].optimizer.beta1 == 5e-324);
  CHECK(again.stages[0].schedule->milestones[1] == 9007199254740993);
  CHECK(std::signbit(again.stages[0].losses.at("c")));
  CHECK(again.tags == run.tags);

  CHECK(kind::to_json(parse_config<Run>(good(), "x")).dump() ==
        R"({"stages":[{"name":"decom","epochs":10,"warm_up":0,)"
        R"("optimizer":{"learning_rate":0.0001,"beta1":0.9,"form":"tensorflow"},"schedule":null,"init":null,)"
        R"("losses":{"rec":1.0}},{"name":"restore","epochs":10,"warm_up":0,)"
        R"("optimizer":{"learning_rate":0.0001,"beta1":0.9,"form":"tensorflow"},"schedule":null,"init":null,)"
        R"("losses":{"rec":1.0}}],"seed":0,"stretch":true,"betas":[0.5,1.0],"tags":[],"clip":1.5,)"
        R"("fallback":{"kind":"none","milestones":[]},"small":0})");

  Run bad = run;
  bad.stages[1].optimizer.beta1 = std::nan("");
  CHECK(error_of([&] { kind::to_json(bad); }) ==
        "stages[1].optimizer.beta1: expected a finite number, got a number that is not finite");
  CHECK(kind::field_names<Optimizer>() == std::vector<std::string>{"learning_rate", "beta1", "form"});
}

TEST_CASE("config: the reference page") {
  CHECK(kind::describe_config<Run>("Training") == R"(# Training

| Path | Type | Default | Range | Meaning |
| --- | --- | --- | --- | --- |
| `stages` | list of [objects](#stages) | `[]` | | One after the other. |
| `seed` | integer | `0` | | Of all that is random. |
| `stretch` | boolean | `true` | | Stretch the input. |
| `betas` | list of numbers | `[0.5,1.0]` | at most 1 | Two numbers. |
| `tags` | list of strings | `[]` | | Free words. |
| `clip` | number or null | `1.5` | greater than 0 | Norm to clip at. |
| `fallback` | [object](#fallback) | required | | Where a stage has none. |
| `small` | integer | `0` | | A small number. |

## `stages[]`

One after the other.

| Path | Type | Default | Range | Meaning |
| --- | --- | --- | --- | --- |
| `stages[].name` | string | required | | What --set calls it. |
| `stages[].epochs` | integer | `10` | at least 1 | Times through the pairs. |
| `stages[].warm_up` | integer | `0` | from 0 to 100 | Epochs of warm-up. |
| `stages[].optimizer` | [object](#stagesoptimizer) | `{}` | | How weights are moved. |
| `stages[].schedule` | [object](#stagesschedule) or null | `null` | | How the rate falls. |
| `stages[].init` | string or null | `null` | | A model to start from. |
| `stages[].losses` | map of numbers | `{"rec":1.0}` | at least 0 | Weights of the terms. |

## `stages[].optimizer`

How weights are moved.

| Path | Type | Default | Range | Meaning |
| --- | --- | --- | --- | --- |
| `stages[].optimizer.learning_rate` | number | `0.0001` | greater than 0 | Step size at the start. |
| `stages[].optimizer.beta1` | number | `0.9` | at least 0, less than 1 | Decay of the first moment. |
| `stages[].optimizer.form` | string | `"tensorflow"` | one of "tensorflow", "standard" | Where epsilon \| eps stands. |

## `stages[].schedule`

How the rate falls.

| Path | Type | Default | Range | Meaning |
| --- | --- | --- | --- | --- |
| `stages[].schedule.kind` | string | required | | Form. |
| `stages[].schedule.milestones` | list of integers | `[]` | at least 1 | Epochs at which the rate falls. |

## `fallback`

Where a stage has none.

| Path | Type | Default | Range | Meaning |
| --- | --- | --- | --- | --- |
| `fallback.kind` | string | required | | Form. |
| `fallback.milestones` | list of integers | `[]` | at least 1 | Epochs at which the rate falls. |
)");
}

TEST_CASE("json text: what is not strict JSON is refused with line and column") {
  CHECK(parse_error("{\"a\": [1, -2.5e3, null, true, \"\\u00fc\"]} \n") == "no error");
  CHECK(parse_error("\xef\xbb\xbf{}") == "no error");
  CHECK(parse_error("") ==
        "x.json: line 1, column 1: syntax error while parsing value - unexpected end of input; expected '[', '{', or a "
        "literal");
  CHECK(parse_error("{\n  \"a\": NaN}") ==
        "x.json: line 2, column 8: syntax error while parsing value - invalid literal (NaN and infinity are not "
        "allowed)");
  for (const std::string word : {"nan", "Infinity", "-Infinity", "inf", "-NaN"}) {
    INFO(word);
    CHECK_THAT(parse_error("[0,\n" + word + "]"), Catch::StartsWith("x.json: line 2, column 1: ") &&
                                                      Catch::EndsWith(" (NaN and infinity are not allowed)"));
  }
  CHECK(parse_error("{} // note") ==
        "x.json: line 1, column 4: syntax error while parsing value - invalid literal (comments are not allowed)");
  CHECK_THAT(parse_error("{} # note"), Catch::EndsWith("(comments are not allowed)"));
  CHECK(parse_error("{\"a\": 1,}") ==
        "x.json: line 1, column 9: syntax error while parsing object key - unexpected '}'; expected string literal");
  CHECK_THAT(parse_error("[1 2]"), Catch::StartsWith("x.json: line 1, column 4: ") && Catch::Contains("unexpected"));
  CHECK_THAT(parse_error("[1] 23"), Catch::StartsWith("x.json: line 1, column 5: "));
  CHECK_THAT(parse_error("[01]"), Catch::StartsWith("x.json: line 1, column 2: "));
  CHECK_THAT(parse_error("['a']"), Catch::StartsWith("x.json: line 1, column 2: "));
  CHECK_THAT(parse_error("{\"a\n\": 1}"),
             Catch::StartsWith("x.json: line 1, column 4: ") && Catch::Contains("control character U+000A"));
  CHECK_THAT(parse_error("[\"abc"),
             Catch::StartsWith("x.json: line 1, column 6: ") && Catch::Contains("missing closing quote"));
  CHECK(parse_error("{\"ü\": 1e999}") == "x.json: line 1, column 7: a number beyond the range of double");
  CHECK(parse_error("[-" + std::string(400, '9') + "]") ==
        "x.json: line 1, column 2: a number beyond the range of double");
  CHECK(parse_error("{\"ü\": 1,\n \"b\": {\"a\": 1},\n \"ü\": 2}") ==
        "x.json: line 3, column 2: the key \"ü\" occurs twice in one object");
  CHECK(parse_error("{\"a\": 1, \"\\u0061\": 2}") ==
        "x.json: line 1, column 15: the key \"a\" occurs twice in one object");
  CHECK(parse_error("[{\"a\": {\"a\": 1}}, {\"a\": 1}]") == "no error");
  CHECK(parse_error(std::string("{}\0{", 4)) == "x.json: line 1, column 3: a NUL byte is not JSON");
  // Broken UTF-8: a stray byte, an overlong slash, a surrogate, a cut sequence; and lone surrogates by escape.
  for (const std::string bytes : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xc3", "\\ud800", "\\udc00"}) {
    INFO(bytes);
    const std::string message = parse_error("[\"" + bytes + "\"]");
    CHECK_THAT(message, Catch::StartsWith("x.json: line 1, column ") && Catch::Contains("invalid string"));
    CHECK(message.find('\xff') == std::string::npos);
  }
  CHECK_THAT(parse_error("\xff"), Catch::Contains("invalid literal"));
}

TEST_CASE("json text: nesting is limited to 64") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(parse_error(nested(64)) == "no error");
  CHECK(parse_error(nested(65)) == "x.json: line 1, column 65: nested more than 64 deep");
  CHECK(parse_error(std::string(10'000'000, '[')) == "x.json: line 1, column 65: nested more than 64 deep");
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  CHECK(parse_error(objects) == "x.json: line 1, column 321: nested more than 64 deep");
}

TEST_CASE("json files: what cannot be read is refused by name") {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "x.json").string();
  const auto read_error = [](const std::string& file) { return error_of([&] { kind::read_json_file(file); }); };
  CHECK(read_error(path) == "cannot read " + path + ": No such file or directory");
  CHECK(read_error(folder.path.string()) ==
        "cannot read " + folder.path.string() + ": it is a folder, expected a file");
  std::ofstream(path) << "{\"a\": [1,\n2]}";
  CHECK(kind::read_json_file(path) == json::parse("{\"a\": [1, 2]}"));
  std::ofstream(path) << "{\"a\":\n x}";
  CHECK_THAT(read_error(path), Catch::StartsWith(path + ": line 2, column 2: syntax error"));
  std::ofstream(path) << "{}" << std::string(std::size_t{16} << 20, ' ');
  CHECK(read_error(path) == "cannot read " + path + ": it has 16777218 bytes, the limit is 16777216");
}

TEST_CASE("nearest_name: what a word was meant to be") {
  const std::vector<std::string> names = {"psnr", "ssim", "psnr-gray", "delta-e"};
  CHECK(nearest_name("psnrr", names) == "psnr");
  CHECK(nearest_name("simm", names) == "ssim");
  CHECK(nearest_name("psnr-grey", names) == "psnr-gray");
  CHECK(nearest_name("deltae", names) == "delta-e");
  CHECK(nearest_name("lpips", names).empty());
  CHECK(nearest_name("psnr", {}).empty());
  CHECK(nearest_name(std::string(100000, 'x'), names).empty());
}

TEST_CASE("set_path: reaches keys, elements by name and by index, and makes objects") {
  json config = json::parse(R"({"stages": [{"name": "decom"}, {"name": "restore", "init": null}, 3]})");
  kind::set_path(config, "stages.restore.epochs=5");
  kind::set_path(config, "stages.0.epochs=6");
  kind::set_path(config, "stages.restore.init.model=\"a=b.c\"");
  kind::set_path(config, "data.crop.size = [1, 2]");
  CHECK(config["stages"][1]["epochs"] == 5);
  CHECK(config["stages"][0]["epochs"] == 6);
  CHECK(config["stages"][1]["init"] == json{{"model", "a=b.c"}});
  CHECK(config["data"] == json::parse(R"({"crop": {"size ": [1, 2]}})"));
  kind::set_path(config, "stages.2={\"name\": \"0\"}");
  kind::set_path(config, "stages.0.epochs=7");  // a name goes before an index
  CHECK(config["stages"][2]["epochs"] == 7);
  kind::set_path(config, "stages=null");
  CHECK(config["stages"].is_null());
}

TEST_CASE("set_path: a key of the elements is set in every one") {
  const kind::SetScope scope{{"stages", "seed", "name"}, "stages", {"name", "epochs", "optimizer"}};
  json config = json::parse(R"({"stages": [{"name": "a", "epochs": 1}, {"name": "b"}], "name": "run"})");
  kind::set_path(config, "epochs=5", scope);
  kind::set_path(config, "optimizer.beta1=0.5", scope);
  kind::set_path(config, "seed=4", scope);
  kind::set_path(config, "name=\"other\"", scope);  // the whole config's key goes first
  CHECK(config == json::parse(R"({"stages": [{"name": "a", "epochs": 5, "optimizer": {"beta1": 0.5}},
                                             {"name": "b", "epochs": 5, "optimizer": {"beta1": 0.5}}],
                                  "name": "other", "seed": 4})"));
  CHECK(set_error("epohcs=5", scope) == "--set epohcs: unknown key; did you mean \"epochs\"?");
  CHECK(set_error("sed=5", scope) == "--set sed: unknown key; did you mean \"seed\"?");
  config = json::parse(R"({"stages": [{}, 3]})");
  CHECK(error_of([&] { kind::set_path(config, "epochs=5", scope); }) ==
        "--set epochs: stages.1 is 3, which has no \"epochs\" in it");
  CHECK(config == json::parse(R"({"stages": [{}, 3]})"));
  config = json::object();
  CHECK(error_of([&] { kind::set_path(config, "epochs=5", scope); }) ==
        "--set epochs: the config has no \"stages\" to set it in");
}

TEST_CASE("set_path: errors name the path and leave the config alone") {
  CHECK(set_error("epochs") == "--set \"epochs\": expected PATH=JSON, such as epochs=5");
  for (const std::string path : {"", ".", "a..b", ".a", "a.", "a\nb", "a\"b", "\xff"}) {
    INFO(path);
    CHECK_THAT(set_error(path + "=5"), Catch::StartsWith("--set \"") && Catch::Contains("expected a path of keys"));
  }
  std::string deep = "a";
  for (int i = 0; i < 64; ++i) deep += ".a";
  CHECK_THAT(set_error(deep + "=1"), Catch::Contains("expected a path of keys"));
  CHECK(set_error("seed.x.y=5") == "--set seed.x.y: seed is 3, which has no \"x\" in it");
  CHECK(set_error("stages.decom.epochs.x=5") ==
        "--set stages.decom.epochs.x: stages.decom.epochs is 1, which has no \"x\" in it");
  CHECK(set_error("stages.decm.epochs=5") ==
        "--set stages.decm.epochs: no element is named \"decm\"; the names are \"decom\", \"restore\"");
  CHECK(set_error("stages.2.epochs=5") == "--set stages.2.epochs: there is no element 2 in an array of 2");
  CHECK(set_error("stages.99999999999999999999.x=5") ==
        "--set stages.99999999999999999999.x: there is no element 99999999999999999999 in an array of 2");
  CHECK_THAT(set_error("stages.-1.epochs=5"), Catch::Contains("no element is named \"-1\""));
  CHECK(set_error("name=x y") ==
        "--set name: expected JSON, got x y; if a string is meant, quote it: --set name='\"x y\"'");
  CHECK_THAT(set_error("name=e"), Catch::EndsWith("quote it: --set name='\"e\"'"));
  CHECK(set_error("name=") ==
        "--set name: expected JSON, got nothing; if a string is meant, quote it: --set name='\"\"'");
  CHECK(
      set_error("a=[1,") ==
      "--set a: line 1, column 4: syntax error while parsing value - unexpected end of input; expected '[', '{', or a "
      "literal");
  CHECK(set_error("a={\"b\": 1, \"b\": 2}") == "--set a: line 1, column 10: the key \"b\" occurs twice in one object");
  for (const std::string word : {"NaN", "nan", "-inf", "Infinity"}) {
    INFO(word);
    CHECK_THAT(set_error("lr=" + word), Catch::StartsWith("--set lr: line 1, column 1: ") &&
                                            Catch::EndsWith("(NaN and infinity are not allowed)"));
  }
  CHECK(set_error("lr=1e999") == "--set lr: line 1, column 1: a number beyond the range of double");
}
