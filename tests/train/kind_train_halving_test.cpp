// Random search with successive halving, as its users start, kill and resume it.

#include <catch2/catch.hpp>

#include "tests/train/sweep_program.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

/// h.json: five points drawn at random, two seeds, three rungs. `more` is added to the sweep file.
void put_halving(const TempDir& dir, const std::string& more = "") {
  put_run(dir, 2, 2, 2);
  json config = read_json_file(dir / "c.json");
  config["stages"].erase(2);
  config["stages"][1]["schedule"] = {{"type", "cosine"}};
  config["fit_light"] = false;
  dir.put("c.json", config.dump());
  dir.put("h.json", R"({"base": "c.json", "seeds": [1, 2], "search": {"type": "random", "runs": 5, "seed": 4},
    "axes": [{"name": "lr", "path": "stages.adjust.optimizer.learning_rate",
              "draw": {"low": 0.0001, "high": 0.01, "log": true}}],
    "halving": {"metric": "psnr_reconstruction", "rungs": [2, 3, 6], "keep": 0.4})" +
                        more + "}");
}

std::map<std::string, std::string> with_rungs(const TempDir& dir, const std::string& out) {
  auto files = results(dir, out);
  files["halving.json"] = text_of(dir / (out + "/halving.json"));
  return files;
}

TEST_CASE("kind-train --sweep: a metric that rungs cannot have is refused before anything begins") {
  const TempDir dir;
  put_halving(dir);
  json sweep = read_json_file(dir / "h.json");
  sweep["halving"]["metric"] = "lol/psnr";
  dir.put("h.json", sweep.dump());
  const Result refused = run(dir, {"--sweep", "h.json", "--out", "out"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("halving.metric") && Contains("lol/psnr"));
  CHECK_FALSE(fs::exists(dir / "out/sweep.json"));
}

TEST_CASE("kind-train --sweep: successive halving ends the same for any jobs and kills", "[slow]") {
  const TempDir dir;
  put_halving(dir);
  const Result whole = run(dir, {"--sweep", "h.json", "--out", "whole"});
  INFO(whole.err);
  CHECK(whole.code == 0);
  CHECK_THAT(whole.err, Contains("rung 1, after 2 steps: 2 of 5 points go on: p") &&
                            Contains("rung 2, after 3 steps: 1 of 2 points goes on: p") &&
                            Contains("2 runs are done, 0 failed, 8 stopped, 0 left"));
  const json decided = read_json_file(dir / "whole/halving.json");
  REQUIRE(decided["rungs"].size() == 2);
  const std::string best = decided["rungs"][1]["points"][0]["point"];
  const Result list = run(dir, {"--sweep", "h.json", "--out", "whole", "--list"});
  CHECK_THAT(list.out, Contains(best + "-s2\tlr=") && Contains("stopped at rung 1, after 2 steps") &&
                           Contains("stopped at rung 2, after 3 steps"));
  // The one that went all the way has the model of its config, trained alone.
  REQUIRE(run(dir, {"whole/points/" + best + "-s1.json", "--out", "alone"}).code == 0);
  CHECK(slurp(dir / "alone/model.safetensors") == slurp(dir / ("whole/" + best + "-s1/model.safetensors")));

  REQUIRE(run(dir, {"--sweep", "h.json", "--out", "jobs", "--jobs", "3", "-t", "3"}).code == 0);
  CHECK(with_rungs(dir, "jobs") == with_rungs(dir, "whole"));
  for (const char* moment : {"begins", ": at rung 1", "rung 1, after", ": at rung 2", "rung 2, after"}) {
    RunningProgram program(KIND_TRAIN_PROGRAM, dir.path(),
                           {"--sweep", "h.json", "--out", "pieces", "--jobs", "2", "-t", "2", "--resume"});
    CHECK(program.says(moment));
    program.send(SIGKILL);
    program.wait();
  }
  const Result rest = run(dir, {"--sweep", "h.json", "--out", "pieces", "--resume"});
  INFO(rest.err);
  CHECK(rest.code == 0);
  CHECK(with_rungs(dir, "pieces") == with_rungs(dir, "whole"));
  // Once more, there is nothing left to do.
  CHECK_THAT(run(dir, {"--sweep", "h.json", "--out", "pieces", "--resume"}).err,
             Contains("2 runs are done, 0 failed, 8 stopped"));
}

TEST_CASE("kind-train --sweep: halving leaves failed points behind, and does without what it cannot do", "[slow]") {
  const TempDir dir;
  put_halving(dir);
  json sweep = read_json_file(dir / "h.json");
  sweep.erase("search");
  sweep["seeds"] = {1};
  sweep["axes"][0].erase("draw");
  sweep["axes"][0]["values"] = {0.001, 1e38};
  sweep["set"] = {
      {"stages.adjust.optimizer.type", "sgd"}, {"stages.adjust.clip_norm", nullptr}, {"stages.adjust.ema", nullptr}};
  dir.put("h.json", sweep.dump());
  const Result failing = run(dir, {"--sweep", "h.json", "--out", "out"});
  INFO(failing.err);
  CHECK(failing.code == 1);
  CHECK_THAT(failing.err,
             Contains("1 run is done, 1 failed, 0 stopped, 0 left") && Contains("p1-s1: failed: stage adjust"));
  const json points = read_json_file(dir / "out/halving.json")["rungs"][0]["points"];
  CHECK((points[0]["point"] == "p0" && points[1]["figure"].is_null() && points[1]["kept"] == false));
  // A decided rung stays decided.
  CHECK_THAT(run(dir, {"--sweep", "h.json", "--out", "out", "--resume", "--retry-failed"}).err, Contains("1 failed"));

  for (const std::string kind : {"parallel", "slurm"}) {
    const Result emitted = run(dir, {"--sweep", "h.json", "--out", "scripts", "--emit", kind});
    CHECK(emitted.code == 2);
    CHECK_THAT(emitted.err, Contains("halving") && Contains("--jobs"));
    CHECK_FALSE(fs::exists(dir / "scripts"));
  }
  sweep["halving"]["metric"] = "niqe";
  dir.put("h.json", sweep.dump());
  CHECK_THAT(run(dir, {"--sweep", "h.json", "--out", "none"}).err, Contains("halving.metric"));
  sweep["halving"]["metric"] = "psnr";
  sweep["set"]["data.validation"] = 0;
  dir.put("h.json", sweep.dump());
  CHECK_THAT(run(dir, {"--sweep", "h.json", "--out", "blind"}).err, Contains("halving needs held-out pairs"));
}

}  // namespace
}  // namespace kind::testing
