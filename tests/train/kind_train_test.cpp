// Runs the program as its users do: what it prints, where, its exit codes, and what is left when it is killed.

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>

#include "core/config/config.h"
#include "tests/support/program.h"
#include "tests/train/run_folder.h"
#include "train/trainer/config.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// The program, running in the folder.
class Program : public RunningProgram {
 public:
  Program(const std::string& folder, const std::vector<std::string>& arguments)
      : RunningProgram(KIND_TRAIN_PROGRAM, folder, arguments) {}
};

struct Result {
  int code;
  std::string out, err;
};

Result run(const TempDir& dir, const std::vector<std::string>& arguments) {
  Program program(dir.path(), arguments);
  const int code = program.wait();
  return {code, program.out(), program.err()};
}

/// A refusal: exit code 2, nothing on stdout, one line on stderr, nothing written; returns that line.
std::string refused(const TempDir& dir, const std::vector<std::string>& arguments) {
  std::string words;
  for (const std::string& a : arguments) words += " " + a;
  INFO("kind-train" << words);
  const std::size_t files = dir.count();
  const Result result = run(dir, arguments);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK(result.err.find("kind-train: ") == 0);
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(dir.count() == files);
  CHECK_FALSE(fs::exists(dir / "runs"));
  return result.err;
}

TEST_CASE("kind-train: help and version") {
  const TempDir dir;
  const Result help = run(dir, {"--help"}), version = run(dir, {"--version"}), page = run(dir, {"--config-reference"});
  CHECK((help.code == 0 && version.code == 0 && page.code == 0));
  for (const char* option : {"--data", "--out", "--set", "--resume", "--seed", "--threads", "--dry-run"}) {
    CHECK_THAT(help.out, Contains(option));
  }
  CHECK_THAT(version.out, Contains("kind-train ") && Contains("codecs: png"));
  CHECK(page.out == describe_config<TrainConfig>("Config reference"));
  CHECK((help.err + version.err + page.err).empty());
}

TEST_CASE("kind-train: what is wrong is said in one line, before anything is written") {
  const TempDir dir;
  put_run(dir);
  CHECK_THAT(refused(dir, {}), Contains("expected a config") && Contains("configs/quick.json"));
  CHECK_THAT(refused(dir, {"none.json"}), Contains("none.json"));
  CHECK_THAT(refused(dir, {"c.json", "--epochs", "3"}), Contains("--epochs") && Contains("kind-train --help"));
  CHECK_THAT(refused(dir, {"c.json", "-t", "0"}), Contains("kind-train --help"));
  CHECK_THAT(refused(dir, {"c.json", "--seed", "-1"}),
             Contains("expected an integer of at least 0, got -1") && Contains("kind-train --help"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "epoch=5"}), Contains("epoch"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "stages.restor.epochs=5"}),
             Contains("\"restor\"") && Contains("\"restore\""));
  CHECK_THAT(refused(dir, {"c.json", "--set", "stages.decom.epoch=5"}),
             Contains("c.json: stages[0].epoch: unknown key; did you mean \"epochs\"?"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "batch=\"2\""}), Contains("stages[0].batch: expected an integer"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "batch=0"}), Contains("stages[0].batch") && Contains("from 1 to 4096"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "stages.decom.optimizer.learning_rate=NaN"}),
             Contains("NaN and infinity are not allowed"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "batch"}), Contains("batch"));
  dir.put("nan.json", std::string("{\"seed\": 1,\n \"stages\": [{\"ema\": NaN}]}"));
  CHECK_THAT(refused(dir, {"nan.json"}), Contains("nan.json: line 2") && Contains("NaN and infinity are not allowed"));
  CHECK_THAT(refused(dir, {"c.json", "--data", "elsewhere"}), Contains("there is no folder elsewhere") &&
                                                                  Contains("https://") && Contains("--data DIR") &&
                                                                  Contains("kind-train configs/quick.json"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "patch=33"}), Contains("5 pairs are unusable"));
  CHECK_THAT(refused(dir, {"c.json", "--set", "patch=33", "--dry-run"}), Contains("5 pairs are unusable"));
  for (const char* option : {"--data", "--out"}) {
    CHECK_THAT(refused(dir, {"c.json", option, ""}), Contains(option + std::string(": expected a value")));
  }
  CHECK_THAT(refused(dir, {"c.json", "--set", "stages.restore.init=\"none.st\""}),
             Contains("stages.restore.init: there is no file none.st"));
  std::filesystem::create_directory(dir / "old");
  dir.put("old/metrics.jsonl", "\n");
  CHECK_THAT(refused(dir, {"c.json", "--out", "old"}), Contains("old: there is a run in it") && Contains("--resume"));
}

TEST_CASE("kind-train --skip-unusable trains without what fails the check, and lists it") {
  const TempDir dir;
  put_run(dir);
  put_picture(dir / "data/low/alone.png", scene(40, 32, 1, true));
  put_picture(dir / "data/high/broken.png", scene(40, 32, 1, false));
  dir.put("data/low/broken.png", "no picture");
  CHECK_THAT(refused(dir, {"c.json"}), Contains("2 pairs are unusable: alone: ") &&
                                           Contains("; broken: cannot read data/low/broken.png") &&
                                           Contains("; --skip-unusable trains without them"));
  const Result plan = run(dir, {"c.json", "--skip-unusable", "--dry-run", "--no-estimate"});
  CHECK(plan.code == 0);
  CHECK_THAT(plan.err,
             Contains("3 pairs to train on, 2 held back") && Contains("2 unusable pairs are left out: alone: "));
  CHECK(json::parse(plan.out).at("data").at("skip_unusable") == true);
  const Result result = run(dir, {"c.json", "--skip-unusable", "--out", "out"});
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains("2 unusable pairs are left out: alone: ") && Contains("all are in out/unusable.txt"));
  const std::string list = text_of(dir / "out/unusable.txt");
  CHECK_THAT(list, Catch::StartsWith("alone: ") && Contains("\nbroken: cannot read data/low/broken.png"));
  CHECK(std::count(list.begin(), list.end(), '\n') == 2);
  // The model is that of the folder without them.
  for (const char* file : {"low/alone.png", "low/broken.png", "high/broken.png"})
    fs::remove(dir / (std::string("data/") + file));
  CHECK(run(dir, {"c.json", "--out", "clean"}).code == 0);
  CHECK_FALSE(fs::exists(dir / "clean/unusable.txt"));
  CHECK(slurp(dir / "clean/model.safetensors") == slurp(dir / "out/model.safetensors"));
}

TEST_CASE("kind-train keeps what it found of the pictures in KIND_CACHE_DIR, and trains to the same bytes with it") {
  const TempDir dir;
  put_run(dir);
  std::this_thread::sleep_for(std::chrono::milliseconds(3100));  // so that the files have been as they are for a while
  ::setenv("KIND_CACHE_DIR", (dir / "cache").c_str(), 1);
  const Result first = run(dir, {"c.json", "--out", "first"}), second = run(dir, {"c.json", "--out", "second"});
  ::setenv("KIND_CACHE_DIR", "/dev/null/nowhere", 1);
  const Result third = run(dir, {"c.json", "--out", "third"});
  ::setenv("KIND_CACHE_DIR", "", 1);
  CHECK((first.code == 0 && second.code == 0 && third.code == 0));
  CHECK(std::distance(fs::directory_iterator(dir / "cache"), {}) == 1);
  CHECK(snapshot(dir / "second") == snapshot(dir / "first"));
  CHECK(snapshot(dir / "third") == snapshot(dir / "first"));
}

TEST_CASE("kind-train --data names the folders of sources, --export-pairs writes what the camera makes of them") {
  const TempDir dir;
  put_run(dir);
  put_scenes(dir / "more", 4);
  json config = read_json_file(dir / "c.json");
  config["data"] = json::parse(R"({"sources": [{"name": "a", "validation": 1},
                                               {"name": "b", "validation": 2, "synthesize": {"jpeg": 1}}]})");
  dir.put("s.json", config.dump());
  CHECK_THAT(refused(dir, {"s.json"}), Contains("data.sources.a.root: missing"));
  CHECK_THAT(refused(dir, {"s.json", "--data", "data"}), Contains("say which with --data NAME=DIR: \"a\", \"b\""));
  CHECK_THAT(refused(dir, {"s.json", "--data", "c=data"}), Contains("there is no source \"c\""));
  CHECK_THAT(refused(dir, {"s.json", "--data", "a=data", "--data", "b=none"}), Contains("there is no folder none"));
  CHECK_THAT(refused(dir, {"c.json", "--export-pairs", "out"}), Contains("no source has \"synthesize\""));
  CHECK_THAT(refused(dir, {"c.json", "--export-pairs", "out", "--resume"}), Contains("--export-pairs"));
  const Result plan = run(dir, {"s.json", "--data", "a=data", "--data", "b=more", "--dry-run"});
  CHECK(plan.code == 0);
  CHECK_THAT(plan.err, Contains("6 pairs to train on, 3 held back"));
  const Result exported = run(dir, {"s.json", "--data", "a=data", "--data", "b=more", "--export-pairs", "out"});
  CHECK(exported.code == 0);
  CHECK(exported.out == "out\n");
  CHECK(fs::exists(dir / "out/low/4.png"));
  const int status = std::system(("cd '" + dir.path() +
                                  "' && '" KIND_EVAL_PROGRAM "' --results out/low --data out "
                                  "--split validation --metrics psnr >scores 2>&1")
                                     .c_str());
  CHECK(status == 0);
  CHECK_THAT(text_of(dir / "scores"), Contains("none psnr="));
}

TEST_CASE("kind-train --dry-run prints the resolved config and writes nothing") {
  const TempDir dir;
  put_run(dir);
  const std::size_t files = dir.count();
  const Result result = run(dir, {"c.json", "--dry-run", "--seed", "7", "--set", "stages.decom.steps=11", "--set",
                                  "batch=3", "--set", "stages.2.clip_norm=null", "--set", "data.validation=1"});
  CHECK(result.code == 0);
  CHECK(dir.count() == files);
  const TrainConfig config = parse_config<TrainConfig>(parse_json(result.out, "stdout"), "stdout");
  CHECK(config.seed == 7);
  CHECK(config.data.root == "data");
  CHECK(config.data.validation == 1);
  CHECK((config.stages[0].steps == 11 && config.stages[1].steps == 3));
  for (const StageConfig& stage : config.stages) CHECK(stage.batch == 3);
  CHECK((config.stages[1].clip_norm == 1.0 && !config.stages[2].clip_norm));
  CHECK_THAT(result.err, Contains("4 pairs to train on, 1 held back") &&
                             Contains("stage decom: 11 steps of 3 x 16x16") && Contains("; decomposition at random") &&
                             Contains("\nabout 0:00:"));
  fs::rename(dir / "data", dir / "pictures");
  const Result moved = run(dir, {"c.json", "--dry-run", "--data", "pictures"});
  CHECK(moved.code == 0);
  CHECK(parse_json(moved.out, "stdout")["data"]["root"] == "pictures");
}

TEST_CASE("kind-train runs a config with its base and its pictures from anywhere") {
  const TempDir dir, elsewhere;
  put_run(dir);
  dir.put("mine.json",
          std::string("{\n  \"base\": \"c.json\",  // all but what is here\n  \"stages\": [\n"
                      "    {\"name\": \"decom\", \"steps\": 1,},\n    {\"name\": \"restore\", \"drop\": true},\n"
                      "  ],\n}\n"));
  const Result plan = run(elsewhere, {dir / "mine.json", "--dry-run"});
  INFO(plan.err);
  CHECK(plan.code == 0);
  const TrainConfig config = parse_config<TrainConfig>(parse_json(plan.out, "stdout"), "stdout");
  CHECK(config.data.root == dir / "data");
  REQUIRE(config.stages.size() == 2);
  CHECK((config.stages[0].steps == 1 && config.stages[0].batch == 2));
  CHECK_THAT(refused(dir, {"mine.json", "--set", "batch=0"}),
             Contains("kind-train: --set batch=0: mine.json: stages[0]"));
  fs::rename(dir / "data", dir / "pictures");
  CHECK_THAT(refused(elsewhere, {dir / "mine.json"}),
             Contains("there is no folder data (nor " + dir / "data") && Contains("--data DIR"));
  // What the command line names counts from the current folder.
  CHECK(run(dir, {"mine.json", "--dry-run", "--data", "pictures"}).code == 0);
  CHECK_THAT(refused(elsewhere, {dir / "mine.json", "--data", "pictures"}), Contains("there is no folder pictures;"));
}

TEST_CASE("kind-train --profile-losses prints tables and trains nothing") {
  const TempDir dir;
  put_run(dir);
  const std::size_t files = dir.count();
  const std::vector<std::string> arguments{
      "c.json", "--profile-losses", "--batches", "1", "--set", "stages.decom.losses.mutual_consistency={}"};
  const Result result = run(dir, arguments);
  CHECK(result.code == 0);
  CHECK(dir.count() == files);
  CHECK_THAT(result.out, Contains("stage decom: 1 batch of 2 x 16x16, weights drawn from seed 1") &&
                             Contains("cos mutual_consistency") && Contains("\nrestoration.conv5_2  total ") &&
                             Contains("\nadjustment.conv4 "));
  std::vector<std::string> kept = arguments;
  kept.insert(kept.end(), {"--out", "looked/at", "-t", "1"});
  const Result again = run(dir, kept);
  CHECK(again.out == result.out);
  const json saved = read_json_file(dir / "looked/at/profile.json");
  CHECK(saved["stages"][0]["terms"]["mutual_consistency"]["weight"] == 0.2);
  CHECK(saved["stages"][2]["gradients"][0]["layer"] == "all");
  CHECK_FALSE(fs::exists(dir / "looked/at/metrics.jsonl"));
  CHECK_THAT(refused(dir, {"c.json", "--profile-losses", "--resume"}), Contains("--resume"));
  CHECK_THAT(refused(dir, {"c.json", "--batches", "2"}), Contains("--profile-losses"));
  CHECK_THAT(refused(dir, {"c.json", "--profile-losses", "--batches", "0"}), Contains("--batches"));
}

TEST_CASE("kind-train: a run, its default folder and what it prints", "[slow]") {
  const TempDir dir;
  put_run(dir);
  const Result result = run(dir, {"c.json", "-t", "2"});
  CHECK(result.code == 0);
  CHECK(result.out == "runs/c/model.safetensors\n");
  CHECK(fs::exists(dir / "runs/c/model.safetensors"));
  CHECK_THAT(result.err, Contains("stage decom: 3 steps of 2 x 16x16, 3 pairs") &&
                             Contains("\ndecom 1/3  epoch 0  loss ") && Contains("  reconstruction ") &&
                             Contains("images/s  ETA ") && Contains("validation ") && Contains("psnr=") &&
                             Contains("finished: runs/c/model.safetensors\n"));
  CHECK(result.err.find('\r') == std::string::npos);
}

TEST_CASE("kind-train: NaN ends the run with exit code 1") {
  const TempDir dir;
  put_run(dir);
  const Result result = run(dir, {"c.json", "--set", "stages.decom.optimizer.learning_rate=1e30"});
  CHECK(result.code == 1);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains("\nkind-train: stage decom, step 2: loss term reconstruction is "));
  CHECK_FALSE(fs::exists(dir / "runs/c/model.safetensors"));
}

TEST_CASE("kind-train: one signal saves and leaves, the second leaves at once") {
  const TempDir dir;
  put_run(dir, 100000);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string out = signal == SIGINT ? "int" : "term";
    Program program(dir.path(), {"c.json", "--out", out, "--set", "stages.decom.validation.every=0", "-t", "1"});
    REQUIRE(program.says("decom 3/100000"));
    program.send(signal);
    CHECK(program.wait() == 128 + signal);
    CHECK(program.out().empty());
    CHECK_THAT(program.err(), Contains("stopped; go on with --resume\n"));
    Program resumed(dir.path(), {"c.json", "--out", out, "--set", "stages.decom.validation.every=0", "--resume"});
    CHECK(resumed.says("resuming at step "));
    CHECK(resumed.says("/100000  epoch"));
  }
  // Steps that take long: the first signal alone would wait for the end of one.
  Program program(dir.path(), {"c.json", "--out", "twice", "--set", "batch=1024", "-t", "1"});
  REQUIRE(program.says("stage decom: "));
  program.send(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  program.send(SIGTERM);
  const auto sent = Clock::now();
  CHECK(program.wait() == 128 + SIGTERM);
  CHECK(std::chrono::duration<double>(Clock::now() - sent).count() < 2);
  CHECK_THAT(program.err(), !Contains("stopped"));
}

TEST_CASE("kind-train: killed at any moment, a run goes on to the same bytes", "[slow]") {
  const TempDir dir;
  put_run(dir, 20, 20, 8);
  const auto started = Clock::now();
  REQUIRE(run(dir, {"c.json", "--out", "whole", "-t", "1"}).code == 0);
  const double whole_seconds = std::chrono::duration<double>(Clock::now() - started).count();
  const auto whole = snapshot(dir / "whole");

  // Ended some twenty times, each time further on, in three ways and with three numbers of threads.
  const int signals[] = {SIGKILL, SIGKILL, SIGINT, SIGKILL, SIGTERM};
  double seconds = whole_seconds / 30;
  std::string newest;
  int ended = 0;
  std::optional<int> code;
  for (int i = 0; i < 120 && !code; ++i) {
    const int signal = signals[i % 5];
    Program program(dir.path(), {"c.json", "--out", "pieces", "--resume", "-t", std::to_string(i % 3 + 1)});
    // Not always the same share of a step or of a file.
    code = program.wait_for(seconds * (0.7 + 0.1 * (i % 7)));
    if (!code) {
      program.send(signal);
      const int left = program.wait();
      INFO(program.err());
      // Before the program listens, and when it has just finished, a signal ends it in other ways.
      CHECK((left == -signal || (signal != SIGKILL && left == 128 + signal) || left == 0));
      ++ended;
    } else {
      INFO(program.err());
      CHECK(*code == 0);
    }
    std::string at;
    if (fs::exists(dir / "pieces/checkpoints")) {
      for (const auto& entry : fs::directory_iterator(dir / "pieces/checkpoints"))
        at += entry.path().filename().string();
    }
    // Where it got nowhere it needs longer.
    if (at == newest) seconds *= 1.15;
    newest = at;
  }
  REQUIRE(code);
  CHECK(ended >= 10);
  WARN("a run of " << whole_seconds << " s was ended " << ended << " times");
  CHECK(snapshot(dir / "pieces") == whole);
}

}  // namespace
}  // namespace kind::testing
