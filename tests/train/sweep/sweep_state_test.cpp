#include "train/sweep/sweep_state.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/temp_dir.h"
#include "train/sweep/sweep_run.h"

namespace kind::testing {
namespace {

using Catch::Contains;
namespace fs = std::filesystem;

/// A sweep of two values with one seed: a stage of 10 steps that both share, then one of 20.
struct Folder {
  TempDir dir;
  SweepPlan plan;
  std::string out = dir / "out";

  Folder() {
    dir.put("base.json", std::string(R"({"stages": [
      {"name": "a", "net": {"decomposition": {}}, "losses": {"reconstruction": {}}, "steps": 10},
      {"name": "b", "net": {"adjustment": {}}, "losses": {"square": {}}, "steps": 20}]})"));
    plan = plan_sweep(dir.put("s.json", std::string(R"({"base": "base.json", "axes": [
      {"name": "w", "path": "stages.b.losses.square.weight", "values": [1, 2]}]})")),
                      {}, {});
  }
  /// Ten steps of a second each, then `steps` of three.
  void put_metrics(const std::string& folder, int steps) const {
    fs::create_directories(out + "/" + folder);
    std::string text = R"({"stage":"a","step":5,"seconds":5})"
                       "\n"
                       R"({"stage":"a","step":10,"seconds":10})"
                       "\n"
                       R"({"stage":"a","step":10,"validation":{"psnr":1}})"
                       "\n";
    if (steps > 0) {
      text += R"({"stage":"b","step":)" + std::to_string(10 + steps) + R"(,"seconds":)" +
              std::to_string(10 + 3 * steps) + "}\n{\"stage\":\"b\",\"st";
    }
    dir.put("out/" + folder + "/metrics.jsonl", text);
  }
};

TEST_CASE("read_pace: steps and seconds by stage") {
  const Folder f;
  f.put_metrics("p0-s1", 4);
  const RunPace pace = read_pace(f.out + "/p0-s1");
  CHECK(pace.steps == std::map<std::string, std::int64_t>{{"a", 10}, {"b", 4}});
  CHECK(pace.seconds == std::map<std::string, double>{{"a", 10}, {"b", 12}});
  CHECK(pace.all() == 14);
  CHECK(read_pace(f.out + "/none").steps.empty());
}

TEST_CASE("sweep_seconds_left: by stage, what runs share once, with any number of jobs") {
  const Folder f;
  const auto left = [&](int jobs) {
    SweepClock clock;
    return sweep_seconds_left(f.plan, f.out, jobs, clock);
  };
  CHECK_FALSE(left(1));  // nothing has been timed
  f.put_metrics("p0-s1", 0);
  CHECK(left(1) == Approx(20 + 10 + 20));  // the second stage is not known: as the first one, which p1 is to share
  f.put_metrics("p0-s1", 4);
  CHECK(left(1) == Approx(16 * 3 + 10 + 20 * 3));
  CHECK(left(2) == Approx((16 * 3 + 10 + 20 * 3) / 2.0));
  // Finished, and failed: nothing is left of them.
  f.dir.put("out/p0-s1/model.safetensors", std::string("x"));
  CHECK(left(1) == Approx(10 + 20 * 3));
  f.dir.put("out/p0-s1/config.json", std::string(R"({"stages": [{"name": "b", "steps": 12}]})"));
  CHECK(left(1) == Approx(16 * 3 + 10 + 20 * 3));  // the sweep has grown since
  fs::create_directories(f.out + "/p1-s1");
  f.dir.put("out/p1-s1/failed.json", std::string(R"({"reason": "x"})"));
  CHECK(left(1) == Approx(16 * 3));
}

TEST_CASE("list_sweep: how far runs are") {
  const Folder f;
  f.put_metrics("p0-s1", 4);
  CHECK(list_sweep(f.plan, f.out) == "p0-s1\tw=1\tstep 14 of 30\np1-s1\tw=2\t-\n");
  CHECK(time_of_sweep(f.plan, f.out).empty());  // nothing is running
}

}  // namespace
}  // namespace kind::testing
