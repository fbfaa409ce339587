// Runs that get more steps than they began with, that end early on purpose, and whose checkpoints were not kept.

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/errors.h"
#include "tests/train/run_folder.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/trainer.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

/// Two stages, of which the last has a constant rate.
json config_of(const std::string& root) {
  return json::parse(R"({"data": {"root": ")" + root + R"(", "validation": 1}, "stages": [
    {"name": "decom", "net": {"decomposition": {"initializer": "he_normal"}}, "losses": {"reconstruction": {}},
     "batch": 1, "patch": 16, "steps": 2, "schedule": {"type": "cosine"}, "validation": {"every": 0},
     "checkpoints": {"every": 2, "keep_last": 1}, "log_every": 1},
    {"name": "adjust", "net": {"adjustment": {"initializer": "he_normal"}}, "losses": {"square": {}},
     "batch": 2, "patch": 16, "steps": 4, "schedule": {"type": "constant", "warmup_steps": 3}, "ema": 0.8,
     "validation": {"every": 2}, "checkpoints": {"every": 3, "keep_last": 1}, "log_every": 1}]})");
}

struct Trainer {
  std::vector<std::string> said = {};
  std::int64_t until = 0;

  bool train(const json& config, const std::string& out, int stop_at = -1) {
    int count = 0;
    said.clear();
    return kind::train(parse_config<TrainConfig>(config, "config"), out, true,
                       {[](const TrainProgress&) {}, [this](const std::string& text) { said.push_back(text); },
                        [&] { return stop_at >= 0 && count++ == stop_at; }, false, until});
  }
  bool has_said(const std::string& text) const {
    return std::any_of(said.begin(), said.end(),
                       [&](const auto& line) { return line.find(text) != std::string::npos; });
  }
};

TEST_CASE("more steps of a constant schedule: the same bytes as if the run had been so long from the start", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 3);
  json config = config_of(dir / "data"), longer = config;
  longer["stages"][1]["steps"] = 8;
  Trainer trainer;
  REQUIRE(trainer.train(longer, dir / "whole"));
  const std::string out = dir / "run";
  REQUIRE(trainer.train(config, out));
  REQUIRE(trainer.train(longer, out));
  CHECK(trainer.has_said("stage adjust grows from 4 to 8 steps"));
  CHECK(snapshot(out) == snapshot(dir / "whole"));

  // Killed at any moment of the extension, it has no model until that is of all steps.
  longer["stages"][1]["steps"] = 12;
  REQUIRE_FALSE(trainer.train(longer, out, 2));
  CHECK_FALSE(fs::exists(out + "/model.safetensors"));
  REQUIRE(trainer.train(longer, out));
  REQUIRE(trainer.train(longer, dir / "whole"));
  CHECK(snapshot(out) == snapshot(dir / "whole"));
  CHECK_THAT(error_of([&] { trainer.train(config, out); }), Contains("(stages[1].steps differs)"));
  json first = longer;
  first["stages"][0]["steps"] = 4;
  CHECK_THAT(error_of([&] { trainer.train(first, out); }), Contains("(stages[0].steps differs)"));
}

TEST_CASE("more steps of a schedule that depends on their number are refused once its stage has begun") {
  const TempDir dir;
  put_scenes(dir / "data", 3);
  json config = config_of(dir / "data");
  config["stages"][1]["schedule"] = {{"type", "cosine"}};
  json longer = config;
  longer["stages"][1]["steps"] = 8;
  const std::string out = dir / "run";
  Trainer trainer;
  REQUIRE_FALSE(trainer.train(config, out, 1));  // in the first stage
  REQUIRE_FALSE(trainer.train(longer, out, 3));  // in the second: the schedule is still that of all of its steps
  json again = longer;
  again["stages"][1]["steps"] = 9;
  const auto before = snapshot(out);
  CHECK_THAT(error_of([&] { trainer.train(again, out); }),
             Contains("has begun stage adjust for 8 steps") && Contains("\"cosine\"") && Contains("--out"));
  CHECK(snapshot(out) == before);
  REQUIRE(trainer.train(longer, out));
  REQUIRE(trainer.train(longer, dir / "whole"));
  CHECK(snapshot(out) == snapshot(dir / "whole"));
}

TEST_CASE("keep: a finished run has the files that are asked for, and knows that it is finished") {
  const TempDir dir;
  put_scenes(dir / "data", 3);
  json config = config_of(dir / "data");
  Trainer trainer;
  REQUIRE(trainer.train(config, dir / "all"));
  auto expected = snapshot(dir / "all");
  for (const std::string keep : {"models", "model"}) {
    config["keep"] = keep;
    const std::string out = dir / keep;
    REQUIRE(trainer.train(config, out));
    auto files = snapshot(out);
    CHECK(files.count("best.safetensors") == (keep == "models" ? 1 : 0));
    CHECK(files.at("model.safetensors") == expected.at("model.safetensors"));
    for (const auto& [file, content] : expected) {
      const bool gone = file.rfind("checkpoints/", 0) == 0 || (file == "best.safetensors" && keep == "model");
      CHECK((files.count(file) == 0) == gone);
    }
    REQUIRE(trainer.train(config, out));
    CHECK(trainer.has_said("is finished"));
    CHECK(snapshot(out) == files);
    // More steps need what is gone.
    json longer = config;
    longer["stages"][1]["steps"] = 8;
    CHECK_THAT(error_of([&] { trainer.train(longer, out); }),
               Contains("finished after 4 steps of stage adjust") && Contains("checkpoints were not kept"));
    CHECK(snapshot(out) == files);
  }
  // What stays is no part of what a run is: it may be asked for later.
  REQUIRE(trainer.train(config, dir / "all"));
  CHECK(snapshot(dir / "all").size() == snapshot(dir / "model").size());
}

TEST_CASE("until: a run ends after so many steps of its last stage, and goes on to the same model", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 3);
  json config = config_of(dir / "data");
  config["stages"][1]["schedule"] = {{"type", "cosine"}};
  config["stages"][1]["steps"] = 8;
  Trainer trainer;
  REQUIRE(trainer.train(config, dir / "whole"));
  const std::string out = dir / "run";
  for (const std::int64_t until : {2, 3, 3, 6}) {  // 3 is no multiple of validation.every
    trainer.until = until;
    CHECK_FALSE(trainer.train(config, out));
    CHECK(Checkpoints(out).newest() == 2 + until);
    const std::vector<json> lines = metrics_of(out);
    CHECK((lines.back().contains("validation") && lines.back()["step"] == 2 + until));
    CHECK_FALSE(fs::exists(out + "/model.safetensors"));
  }
  trainer.until = 8;  // the end
  CHECK(trainer.train(config, out));
  CHECK(slurp(out + "/model.safetensors") == slurp(dir / "whole/model.safetensors"));
}

}  // namespace
}  // namespace kind::testing
