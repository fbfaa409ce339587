// Training on several ranks, which are threads here, and with mpirun.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/program.h"
#include "tests/support/scopes.h"
#include "tests/support/thread_ranks.h"
#include "tests/train/run_folder.h"
#include "train/trainer/trainer.h"

namespace kind::testing {
namespace {

using nlohmann::json;

/// Stages with every term that depends on a whole batch, in nets that are trained and frozen.
json config_of(const std::string& root) {
  const json common = json::parse(R"({"patch": 16, "steps": 3, "clip_norm": 0.5, "ema": 0.9, "log_every": 1,
    "validation": {"every": 2, "sheet_rows": 1}, "checkpoints": {"every": 2, "keep_last": 9}})");
  json config{{"data", {{"root", root}, {"validation", 2}}}, {"fit_light", true}, {"stages", json::array()}};
  for (const char* text : {
           R"({"name": "decom", "net": {"decomposition": {"initializer": "he_normal"}}, "batch": 5,
               "losses": {"reconstruction": {"relative": 0.1}, "reflectance_similarity": {},
                          "illumination_smoothness": {"gradient": "official", "epsilon": 0.1},
                          "mutual_consistency": {"gradient": "official"}, "blurred_reconstruction": {"sigma": 1}}})",
           R"({"name": "adjust", "net": {"adjustment": {"initializer": "he_normal"}}, "batch": 3, "ratio": "official",
               "losses": {"square": {}, "gradient": {"gradient": "official"}, "edge": {}}})",
           R"({"name": "restore", "net": {"restoration": {"initializer": "he_normal", "width": 0.0625}}, "batch": 4,
               "losses": {"square": {"norm": "l1"}, "gradient": {"gradient": "official", "channels": "gray"},
                          "ssim": {"window": 5}, "color": {"sigma": 1}, "saturation": {}, "chroma": {}, "lab": {}}})",
           R"({"name": "joint", "batch": 3, "ratio_gradient": true, "augment": {"mixup": 0.7, "noisy_inputs": 0.5},
               "net": {"decomposition": {}, "adjustment": {}, "restoration": {"width": 0.0625}},
               "losses": {"square": {}, "gt_mean": {"sigma": 0.5}, "gradient": {"gradient": "official"},
                          "illumination": {}, "reconstruction": {}, "mutual_consistency": {"gradient": "official"}}})",
           R"({"name": "polish", "batch": 3, "ratio": "picture", "augment": {"brighter_inputs": 0.5},
               "net": {"adjustment": {}, "restoration": {"width": 0.0625}}, "losses": {"square": {}, "reflectance": {}}})",
       }) {
    json stage = json::parse(text);
    stage.update(common);
    config["stages"].push_back(stage);
  }
  for (json& stage : config["stages"]) {
    for (auto& [name, net] : stage["net"].items()) net["initializer"] = "he_normal";
  }
  return config;
}

/// Trains on that many ranks, at most `steps` steps; returns the errors.
std::vector<std::string> train_on(int count, const json& config, const std::string& out, bool resume = false,
                                  int steps = 1000) {
  const TrainConfig parsed = parse_config<TrainConfig>(config, "config");
  const auto run = [&](Communicator& ranks) {
    int calls = 0;  // one before each step
    // Only the last rank is told to stop.
    const auto stop = [&] { return ranks.rank() > 0 && ranks.rank() == ranks.size() - 1 && calls++ >= steps; };
    const TrainCallbacks callbacks{[](const TrainProgress&) {}, [](const std::string&) {}, stop};
    train(parsed, out, resume, callbacks, "", ranks);
  };
  return on_ranks(count, run);
}

void check_no_errors(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) CHECK(error == "");
}

TEST_CASE("training on ranks: every file has the same bytes for any number of ranks", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  const json config = config_of(dir / "data");
  check_no_errors(train_on(1, config, dir / "1"));
  const auto expected = snapshot(dir / "1");
  CHECK(expected.count("model.safetensors") == 1);
  for (const int count : {2, 3, 4, 8}) {
    INFO(count << " ranks");
    const std::string out = dir / std::to_string(count);
    check_no_errors(train_on(count, config, out));
    CHECK(snapshot(out) == expected);
  }
}

TEST_CASE("training on ranks: without the fast kernels, too", "[slow]") {
  const IsaScope isa("ref");
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data");
  config["stages"].erase(3), config["stages"].erase(3);
  for (json& stage : config["stages"]) stage["steps"] = 2, stage["validation"]["every"] = 0;
  check_no_errors(train_on(1, config, dir / "1"));
  check_no_errors(train_on(3, config, dir / "3"));
  CHECK(snapshot(dir / "3") == snapshot(dir / "1"));
}

TEST_CASE("training on ranks: a stopped run goes on with another number of ranks", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  json config = config_of(dir / "data");
  for (json& stage : config["stages"]) stage["checkpoints"] = {{"every", 3}, {"keep_last", 1}};
  check_no_errors(train_on(1, config, dir / "whole"));
  check_no_errors(train_on(3, config, dir / "parts", false, 2));
  CHECK(std::filesystem::exists(dir / "parts/checkpoints/step-2.state.safetensors"));
  check_no_errors(train_on(2, config, dir / "parts", true, 5));
  CHECK(std::filesystem::exists(dir / "parts/checkpoints/step-7.state.safetensors"));
  check_no_errors(train_on(4, config, dir / "parts", true, 3));
  check_no_errors(train_on(1, config, dir / "parts", true));
  CHECK(snapshot(dir / "parts") == snapshot(dir / "whole"));
}

TEST_CASE("training on ranks: errors are those of all") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data");
  config["stages"] = json::array({config["stages"][0]});
  config["stages"][0]["optimizer"] = {{"type", "sgd"}, {"learning_rate", 1e30}};
  config["stages"][0].erase("clip_norm");
  for (const std::string& error : train_on(3, config, dir / "wild"))
    CHECK_THAT(error, Catch::Contains("stage decom, step"));
  for (const std::string& error : train_on(2, config, dir / "wild"))
    CHECK_THAT(error, Catch::Contains("there is a run"));
  const TrainConfig fine = parse_config<TrainConfig>(config, "config");
  TrainConfig other = fine;
  other.seed = 2;
  const auto errors = on_ranks(2, [&](Communicator& ranks) {
    const TrainCallbacks silent{[](const TrainProgress&) {}, [](const std::string&) {}, [] { return false; }};
    train(ranks.rank() == 0 ? fine : other, dir / "other", false, silent, "", ranks);
  });
  for (const std::string& error : errors) CHECK_THAT(error, Catch::StartsWith("the config differs: "));
  CHECK_FALSE(std::filesystem::exists(dir / "other"));
}

struct Outcome {
  int code;
  std::string out, err;
};

/// Runs a shell command with a limit of time; mpirun may run as root.
Outcome run_shell(const std::string& folder, const std::string& command) {
  RunningProgram shell("/bin/sh", folder,
                       {"-c", "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; " + command});
  const int code = shell.wait();
  return {code, shell.out(), shell.err()};
}

bool has_mpirun() {
  if (mpi_version() != "none" && std::system("command -v mpirun >/dev/null 2>&1") == 0) return true;
  WARN("skipped: this build has no MPI, or there is no mpirun");
  return false;
}

const std::string kMpirun = "timeout -k 5 300 mpirun --oversubscribe --mca mpi_yield_when_idle 1 -n ";

TEST_CASE("kind-train with mpirun: the model has the same bytes", "[slow]") {
  if (!has_mpirun()) return;
  const TempDir dir;
  put_run(dir, 2, 1, 1);
  const std::string train = std::string(KIND_TRAIN_PROGRAM) + " c.json -t 1 --out ";
  REQUIRE(run_shell(dir.path(), train + "one").code == 0);
  const auto two = run_shell(dir.path(), kMpirun + "2 " + train + "two");
  INFO(two.err);
  REQUIRE(two.code == 0);
  CHECK(two.out == "two/model.safetensors\n");
  CHECK(snapshot(dir / "two") == snapshot(dir / "one"));
}

TEST_CASE("kind-train with mpirun: an error ends all ranks with one line") {
  if (!has_mpirun()) return;
  const TempDir dir;
  put_run(dir);
  dir.put("data/low/1.png", "no picture");
  const auto failed = run_shell(dir.path(), kMpirun + "2 " + KIND_TRAIN_PROGRAM + " c.json -t 1 --out out");
  INFO(failed.err);
  CHECK(failed.code == 2);
  const std::size_t first = failed.err.find("kind-train: ");
  REQUIRE(first != std::string::npos);
  CHECK(failed.err.find("kind-train: ", first + 1) == std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir / "out"));
}

TEST_CASE("kind-train started as a rank of several is no run of its own") {
  const TempDir dir;
  put_run(dir);
  const auto alone = run_shell(
      dir.path(), "SLURM_STEP_NUM_TASKS=2 timeout 60 " + std::string(KIND_TRAIN_PROGRAM) + " c.json --out out");
  CHECK(alone.code != 0);
  CHECK_THAT(alone.err, Catch::Contains("started as one of several ranks"));
  CHECK_FALSE(std::filesystem::exists(dir / "out"));
  const auto sweep =
      run_shell(dir.path(), "PMI_SIZE=2 timeout 60 " + std::string(KIND_TRAIN_PROGRAM) + " --sweep c.json --out out");
  CHECK(sweep.code == 2);
  CHECK_THAT(sweep.err, Catch::Contains("without mpirun"));
}

}  // namespace
}  // namespace kind::testing
