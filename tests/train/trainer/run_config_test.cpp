#include "train/trainer/run_config.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/errors.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

json config_with_terms() {
  return json::parse(R"({"stages": [
    {"name": "decom", "net": {"decomposition": {}}, "losses": {"reconstruction": {}}},
    {"name": "adjust", "net": {"adjustment": {}}, "losses": {"square": {}, "gradient": null}},
    {"name": "restore", "net": {"restoration": {}}, "losses": {"square": {"weight": 2}, "ssim": {}}}]})");
}

TEST_CASE("config: --set losses.TERM reaches every stage that has the term") {
  json config = config_with_terms();
  set_in_run(config, "losses.square.norm=\"l1\"");
  CHECK(config["stages"][0]["losses"] == json{{"reconstruction", json::object()}});
  CHECK(config["stages"][1]["losses"]["square"] == json{{"norm", "l1"}});
  CHECK(config["stages"][2]["losses"]["square"] == json{{"weight", 2}, {"norm", "l1"}});
  set_in_run(config, "losses.square={\"weight\": 7}");
  CHECK(config["stages"][1]["losses"]["square"] == json{{"weight", 7}});
  CHECK_FALSE(config["stages"][0]["losses"].contains("square"));
  const json before = config;
  CHECK_THAT(
      error_of([&] { set_in_run(config, "losses.sqare.weight=1"); }),
      Contains("--set losses.sqare.weight: no stage has the term \"sqare\"") && Contains("did you mean \"square\"?"));
  CHECK_THAT(error_of([&] { set_in_run(config, "losses.gradient.weight=1"); }),
             Contains("no stage has the term \"gradient\"") && Contains("losses.gradient={} first"));
  CHECK(config == before);
  // Other keys are set as ever.
  set_in_run(config, "batch=3");
  set_in_run(config, "stages.decom.losses.reconstruction.weight=4");
  for (const json& stage : config["stages"]) CHECK(stage["batch"] == 3);
  CHECK(config["stages"][0]["losses"]["reconstruction"]["weight"] == 4);
}

TEST_CASE("an error that a --set causes names it, others do not") {
  const auto error = [](const std::vector<std::string>& set, json config = config_with_terms()) {
    return error_of([&] { parse_run_config(config, {set, {}}, "c.json"); });
  };
  CHECK_THAT(error({"seed=3", "batch=0", "patch=8"}), Catch::StartsWith("--set batch=0: c.json: stages[0].batch: "));
  CHECK_THAT(error({"losses.square.norm=\"l3\""}),
             Catch::StartsWith("--set losses.square.norm=\"l3\": c.json: stages[1]"));
  json wrong = config_with_terms();
  wrong["stages"][2]["batch"] = -1;
  CHECK_THAT(error({"seed=3"}, wrong), Catch::StartsWith("c.json: stages[2].batch"));
  // What one --set breaks, a later one may mend.
  CHECK(error({"batch=0", "batch=1"}) == "no error");
}

TEST_CASE("paths of a config count from its folder, then from the current one") {
  const TempDir dir;
  fs::create_directories(dir / "sub/data");
  dir.put("sub/base.json", std::string(R"({"data": {"root": "data"}, "stages": [{"name": "a", "init": "none.st"}]})"));
  const std::string top = dir.put("top.json", std::string(R"({"base": "sub/base.json", "seed": 5})"));
  const RunConfigFile file = read_run_config(top);
  CHECK(file.config["seed"] == 5);
  CHECK(file.config["data"]["root"] == dir / "sub/data");
  CHECK(file.config["stages"][0]["init"] == "none.st");
  REQUIRE(file.missing.size() == 1);
  CHECK(file.missing[0] == std::pair<std::string, std::string>{"none.st", dir / "sub/none.st"});
  CHECK_THAT(with_places("stages.a.init: there is no file none.st; train it first", file.missing),
             Catch::StartsWith("stages.a.init: there is no file none.st (nor " + dir / "sub/none.st") &&
                 Catch::EndsWith("; train it first"));
  CHECK(with_places("there is no file none.stl; x", file.missing) == "there is no file none.stl; x");
  // An absolute path stays, and so do values that are no paths.
  CHECK(placed_value("data.root", "/somewhere", dir / "sub") == "/somewhere");
  CHECK(placed_value("data.root", "data", dir / "sub") == dir / "sub/data");
  CHECK(placed_value("stages.a.batch", 3, dir / "sub") == 3);
}

TEST_CASE("the shipped configs find what is shipped from anywhere") {
  for (const char* name : {"quick.json", "finetune.json", "kind-color.json", "dark-photos.json"}) {
    const RunConfigFile file = read_run_config(source_dir() + "/configs/" + name);
    for (const auto& [written, beside] : file.missing) {
      INFO(name << ": " << written);
      CHECK(written.rfind("data/", 0) == 0);  // what users bring
    }
  }
}

}  // namespace
}  // namespace kind::testing
