// Runs kind-train --sweep as its users do: what it lists, what a kill leaves behind, what its scripts do elsewhere.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "core/config/config.h"
#include "tests/support/source_dir.h"
#include "tests/train/sweep_program.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using Catch::StartsWith;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("kind-train --sweep-reference is docs/sweep-config.md") {
  const TempDir dir;
  CHECK(run(dir, {"--sweep-reference"}).out == text_of(source_dir() + "/docs/sweep-config.md"));
}

TEST_CASE("kind-train --sweep --list shows the runs and writes nothing") {
  const TempDir dir;
  put_sweep(dir);
  const std::size_t files = dir.count();
  const Result list = run(dir, {"--sweep", "s.json", "--list"});
  CHECK(list.code == 0);
  CHECK(list.out ==
        "p0-s1\twhat=all\t-\np1-s1\twhat=l1\t-\np2-s1\twhat=too fast\t-\n"
        "p0-s2\twhat=all\t-\np1-s2\twhat=l1\t-\np2-s2\twhat=too fast\t-\n");
  CHECK_THAT(list.err, Contains("3 points, 2 seeds: 6 runs"));
  CHECK(run(dir, {"--sweep", "s.json", "--dry-run"}).out == list.out);
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"c.json", "--sweep", "s.json"},
                                                {"c.json", "--jobs", "2"},
                                                {"--sweep", "s.json", "--emit", "pbs"},
                                                {"--sweep", "s.json", "--jobs", "0"},
                                                {"--sweep", "none.json"},
                                                {"--sweep", "s.json", "--seed", "3"},
                                                {"--sweep", ""},
                                                {"--sweep", "s.json", "--data", "elsewhere"},
                                                {"c.json", "--branch-from", "x"}}) {
    const Result refused = run(dir, wrong);
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
    CHECK(dir.count() == files);
  }
}

TEST_CASE("kind-train --sweep: killed and resumed it ends as if it had never stopped", "[slow]") {
  const TempDir dir;
  put_sweep(dir);
  const Result whole = run(dir, {"--sweep", "s.json", "--out", "whole", "--jobs", "2", "-t", "2"});
  INFO(whole.err);
  CHECK(whole.code == 1);
  CHECK(whole.out == "whole\n");
  CHECK_THAT(whole.err,
             Contains("4 runs are done, 2 failed, 0 left") && Contains("p2-s1: failed: stage adjust, step "));
  for (const char* name : {"whole/p0-s1/model.safetensors", "whole/p1-s2/sheets", "whole/sweep.json",
                           "whole/logs/p0-s1.txt", "whole/points/p2-s2.json"}) {
    CHECK(fs::exists(dir / name));
  }
  CHECK(fs::is_empty(dir / "whole/p0-s1/checkpoints"));
  CHECK_THAT(read_json_file(dir / "whole/p2-s2/failed.json")["reason"].get<std::string>(), Contains("stage adjust"));
  for (const auto& entry : fs::directory_iterator(dir / "whole/shared")) {
    CHECK(entry.path().filename().string().rfind("maps", 0) != 0);  // removed when nobody needs them
  }
  // A run of the sweep is what the same config gives on its own.
  REQUIRE(run(dir, {"whole/points/p1-s1.json", "--out", "alone"}).code == 0);
  for (const auto& [file, content] : snapshot(dir / "alone")) {
    INFO(file);
    if (file.rfind("checkpoints/", 0) != 0) CHECK(results(dir, "whole")["p1-s1/" + file] == content);
  }

  for (int i = 0; i < 4; ++i) {
    RunningProgram program(KIND_TRAIN_PROGRAM, dir.path(),
                           {"--sweep", "s.json", "--out", "pieces", "--jobs", "2", "-t", "2", "--resume"});
    if (i == 1) {
      // While its runs still hold the sweep, or right after, it is taken up again.
      CHECK(program.says("begins"));
    } else {
      CHECK(program.says(": done in "));
    }
    program.send(i == 2 ? SIGTERM : SIGKILL);
    const int left = program.wait();
    CHECK((left == -SIGKILL || left == 128 + SIGTERM || left == 1));
  }
  CHECK_THAT(run(dir, {"--sweep", "s.json", "--out", "pieces"}).err, Contains("--resume"));
  const Result rest = run(dir, {"--sweep", "s.json", "--out", "pieces", "--jobs", "3", "-t", "1", "--resume"});
  CHECK(rest.code == 1);
  CHECK_THAT(rest.err, Contains("4 runs are done, 2 failed, 0 left"));
  CHECK(results(dir, "pieces") == results(dir, "whole"));
  const Result list = run(dir, {"--sweep", "s.json", "--out", "pieces", "--list"});
  CHECK_THAT(list.out, Contains("p0-s1\twhat=all\tdone\n") && Contains("p2-s2\twhat=too fast\tfailed: stage adjust"));
  // Another sweep does not go on in its folder.
  put_sweep(dir, R"(, "combine": "each")");
  CHECK_THAT(run(dir, {"--sweep", "s.json", "--out", "pieces", "--resume"}).err, Contains("other points"));
}

TEST_CASE("kind-train --sweep grows, keeps its program and tries failed runs again", "[slow]") {
  const TempDir dir;
  put_run(dir, 2, 2, 2);
  json config = read_json_file(dir / "c.json");
  config["stages"].erase(2);
  config["fit_light"] = false;
  dir.put("c.json", config.dump());
  const auto put = [&](const std::string& values, const std::string& seeds, const std::string& more = "") {
    dir.put("g.json", R"({"base": "c.json", "seeds": )" + seeds +
                          R"(, "axes": [{"name": "w", "path": "stages.adjust.losses.square.weight",
      "values": )" + values +
                          "}]" + more + "}");
  };
  put("[1, 2]", "[1]");
  REQUIRE(run(dir, {"--sweep", "g.json", "--out", "out"}).code == 0);
  const auto before = results(dir, "out");
  const auto program = fs::last_write_time(dir / "out/bin/kind-train");
  CHECK(fs::file_size(dir / "out/bin/kind-train") == fs::file_size(KIND_TRAIN_PROGRAM));

  put("[0.5, 1, 2]", "[1, 2]");
  const Result list = run(dir, {"--sweep", "g.json", "--out", "out", "--list"});
  INFO(list.err);
  CHECK(list.out ==
        "p2-s1\tw=0.5\t-\np0-s1\tw=1\tdone\np1-s1\tw=2\tdone\n"
        "p2-s2\tw=0.5\t-\np0-s2\tw=1\t-\np1-s2\tw=2\t-\n");
  const Result grown = run(dir, {"--sweep", "g.json", "--out", "out", "--resume"});
  INFO(grown.err);
  CHECK(grown.code == 0);
  CHECK_THAT(grown.err, Contains("the sweep grows by 4 runs") && Contains("2 of 6 runs are done") &&
                            Contains("6 runs are done, 0 failed") && Contains(" left)"));
  const auto after = results(dir, "out");
  for (const auto& [file, content] : before) CHECK(after.at(file) == content);
  CHECK(fs::exists(dir / "out/p2-s2/model.safetensors"));
  CHECK(fs::last_write_time(dir / "out/bin/kind-train") == program);
  for (const auto& [values, more] : {std::pair("[0.5, 1]", ""), {"[0.5, 1, 2]", R"(, "budget": {"steps": 9})"}}) {
    put(values, "[1, 2]", more);
    const Result refused = run(dir, {"--sweep", "g.json", "--out", "out", "--resume"});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("other points, seeds or values"));
  }

  // A run that failed is tried again where that is asked for; what it needs is there by then.
  put("[0.5, 1, 2]", "[1, 2]");
  fs::remove(dir / "out/p0-s2/model.safetensors");
  dir.put("out/p0-s2/failed.json", std::string(R"({"reason": "the disk was full"})"));
  CHECK_THAT(run(dir, {"--sweep", "g.json", "--out", "out", "--list"}).out, Contains("failed: the disk was full"));
  CHECK(run(dir, {"--sweep", "g.json", "--out", "out", "--resume"}).code == 1);
  CHECK(run(dir, {"--sweep", "g.json", "--out", "out", "--resume", "--retry-failed"}).code == 0);
  CHECK(results(dir, "out") == after);
  CHECK(run(dir, {"--sweep", "g.json", "--out", "out", "--retry-failed"}).code == 2);  // it goes on: --resume
}

TEST_CASE("kind-train --minutes saves and leaves, and --branch-from refuses what it cannot branch from") {
  const TempDir dir;
  put_run(dir, 100000);
  const Result timed =
      run(dir, {"c.json", "--out", "timed", "--minutes", "0.01", "--set", "stages.decom.validation.every=0"});
  INFO(timed.err);
  CHECK(timed.code == 0);
  CHECK(timed.out.empty());
  CHECK_THAT(timed.err, Contains("stopped after 0.01 minutes"));
  CHECK(read_json_file(dir / "timed/stopped.json")["step"].is_number_integer());
  CHECK_FALSE(fs::exists(dir / "timed/model.safetensors"));
  const auto branch = [&](const std::string& from) {
    const Result result = run(dir, {"c.json", "--out", "new", "--branch-from", from, "--resume"});
    CHECK(result.code == 2);
    CHECK_FALSE(fs::exists(dir / "new"));
    return result.err;
  };
  CHECK_THAT(branch("none"), Contains("no finished run"));
  CHECK_THAT(branch("timed"), Contains("no finished run"));
  dir.put("timed/model.safetensors", std::string("x"));
  CHECK_THAT(branch("timed"), Contains("not the first ones of this config"));
}

}  // namespace
}  // namespace kind::testing
