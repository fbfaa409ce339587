// Sweeps that get more steps, and what stays of finished runs.

#include <catch2/catch.hpp>

#include "core/files/file.h"
#include "tests/train/sweep_program.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

/// c.json of two stages, and g.json with two values and `steps` in the last stage.
struct Steps {
  TempDir dir;

  explicit Steps(const std::string& schedule) {
    put_run(dir, 2, 2, 2);
    json config = read_json_file(dir / "c.json");
    config["stages"].erase(2);
    config["stages"][1]["schedule"] = {{"type", schedule}};
    config["stages"][1]["validation"]["every"] = 2;
    config["fit_light"] = false;
    dir.put("c.json", config.dump());
  }
  void put(int steps, const std::string& more = "") const {
    dir.put("g.json", R"({"base": "c.json", "axes": [{"name": "w", "path": "stages.adjust.losses.square.weight",
      "values": [1, 2]}], "budget": {"stages": {"adjust": )" +
                          std::to_string(steps) + "}}" + more + "}");
  }
  Result sweep(const std::string& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"--sweep", "g.json", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(dir, arguments);
  }
};

TEST_CASE("kind-train --sweep: more steps of a constant schedule end as if they had been asked for at once", "[slow]") {
  const Steps s("constant");
  const std::string keep = R"(, "keep": "all")";
  s.put(6, keep);
  REQUIRE(s.sweep("whole").code == 0);
  s.put(2, keep);
  REQUIRE(s.sweep("out").code == 0);
  s.put(6, keep);
  const Result list = s.sweep("out", {"--list"});
  CHECK(list.out == "p0-s1\tw=1\tstep 4 of 8\np1-s1\tw=2\tstep 4 of 8\n");
  // Killed while it grows: nothing of fewer steps counts as done any more.
  {
    RunningProgram program(KIND_TRAIN_PROGRAM, s.dir.path(), {"--sweep", "g.json", "--out", "out", "--resume"});
    CHECK(program.says("p0-s1: done in "));
    program.send(SIGKILL);
    program.wait();
  }
  CHECK_FALSE(fs::exists(s.dir / "out/p1-s1/model.safetensors"));
  const Result grown = s.sweep("out", {"--resume"});
  INFO(grown.err);
  CHECK(grown.code == 0);
  CHECK(results(s.dir, "out") == results(s.dir, "whole"));
  CHECK_THAT(s.sweep("out", {"--list"}).out, Contains("p1-s1\tw=2\tdone"));
}

TEST_CASE("kind-train --sweep: more steps are refused where a run cannot go on, and nothing changes") {
  for (const bool constant : {true, false}) {
    const Steps s(constant ? "constant" : "cosine");
    const std::string keep = constant ? "" : R"(, "keep": "all")";
    s.put(2, keep);
    REQUIRE(s.sweep("out").code == 0);
    const auto before = snapshot(s.dir / "out");
    s.put(6, keep);
    const Result refused = s.sweep("out", {"--resume"});
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("out/p0-s1: its last stage has 2 steps and shall have 6") &&
                                Contains(constant ? "checkpoints were not kept" : "schedule of type \"cosine\"") &&
                                Contains("--out"));
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
    CHECK(snapshot(s.dir / "out") == before);
  }
}

TEST_CASE("kind-train --sweep: keep says what stays of finished runs", "[slow]") {
  const Steps s("constant");
  for (const auto& [keep, files] : {std::pair<std::string, std::size_t>{"all", 2}, {"models", 0}, {"model", 0}}) {
    s.put(2, R"(, "keep": ")" + keep + "\"");
    REQUIRE(s.sweep(keep).code == 0);
    const std::string folder = s.dir / (keep + "/p1-s1");
    CHECK(fs::exists(folder + "/best.safetensors") == (keep != "model"));
    CHECK(list_folder(folder + "/checkpoints").size() == files);
    for (const char* name : {"/model.safetensors", "/config.json", "/metrics.jsonl", "/provenance.json", "/sheets"}) {
      CHECK(fs::exists(folder + name));
    }
    // Alone, the run knows that it is finished, branched or not.
    const auto before = snapshot(folder);
    std::string shared;
    for (const auto& entry : fs::directory_iterator(s.dir / (keep + "/shared"))) shared = entry.path().string();
    const Result again =
        run(s.dir, {keep + "/points/p1-s1.json", "--out", keep + "/p1-s1", "--resume", "--branch-from", shared});
    INFO(again.err);
    CHECK(again.code == 0);
    CHECK(snapshot(folder) == before);
  }
  // Asked for later, and after a kill between the end of a run and the removal, the same.
  s.put(2, R"(, "keep": "model")");
  REQUIRE(s.sweep("all", {"--resume"}).code == 0);
  CHECK(results(s.dir, "all") == results(s.dir, "model"));
}

}  // namespace
}  // namespace kind::testing
