#include "train/sweep/halving.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"
#include "train/trainer/checkpoint.h"

namespace kind::testing {
namespace {

using Catch::Contains;
namespace fs = std::filesystem;

std::vector<std::string> kept_of(const Rung& rung) {
  std::vector<std::string> names;
  for (const RungPoint& point : rung.points) {
    if (point.kept) names.push_back(point.point);
  }
  return names;
}

SweepHalving halving_by(const std::string& metric, double keep) {
  SweepHalving halving;
  halving.metric = metric;
  halving.rungs = {2, 4};
  halving.keep = keep;
  return halving;
}

using Names = std::vector<std::string>;

TEST_CASE("decide_rung: the better share goes on, in the metric's direction") {
  const std::vector<RungPoint> points{{"p0", 20.0}, {"p1", 23.0}, {"p2", {}}, {"p3", 21.0}, {"p4", 23.0}, {"p5", 1.5}};
  CHECK(kept_of(decide_rung(halving_by("psnr", 0.33), 2, points)) == Names{"p1", "p4"});  // 1.98; equal: in order
  CHECK(kept_of(decide_rung(halving_by("psnr", 0.2), 2, points)) == Names{"p1"});
  CHECK(kept_of(decide_rung(halving_by("psnr", 0.01), 2, points)) == Names{"p1"});
  CHECK(kept_of(decide_rung(halving_by("psnr", 0.99), 2, points)) == Names{"p1", "p4", "p3", "p0", "p5"});  // not p2
  CHECK(kept_of(decide_rung(halving_by("delta_e", 0.33), 2, points)) == Names{"p5", "p0"});
  CHECK(kept_of(decide_rung(halving_by("color_slope", 0.2), 2, points)) == Names{"p5"});  // nearest to 1
  CHECK(kept_of(decide_rung(halving_by("lol/delta_e", 0.2), 2, points)) == Names{"p5"});
  const Rung rung = decide_rung(halving_by("psnr", 0.33), 7, points);
  CHECK(rung.steps == 7);
  CHECK((rung.points.front().point == "p1" && rung.points.back().point == "p2"));
}

TEST_CASE("rungs are read as they were written, and damage is named") {
  const TempDir dir;
  CHECK(read_rungs(dir.path()).empty());
  const std::vector<Rung> rungs{{2, {{"p1", 20.25, true}, {"p0", 19.0, true}, {"p2", {}, false}}},
                                {4, {{"p0", 21.0, true}, {"p1", 20.0, false}}}};
  write_rungs(dir.path(), "psnr", rungs);
  const std::vector<Rung> read = read_rungs(dir.path());
  REQUIRE(read.size() == 2);
  CHECK((read[0].steps == 2 && read[0].points[0].figure == 20.25 && !read[0].points[2].figure));
  CHECK(kept_of(read[0]) == Names{"p1", "p0"});
  CHECK(stopped_points(read) == std::map<std::string, std::size_t>{{"p2", 0}, {"p1", 1}});
  dir.put("halving.json", std::string(R"({"rungs": [{"steps": 2}]})"));
  CHECK_THAT(error_of([&] { read_rungs(dir.path()); }), Contains("halving.json: it is not what kind-train writes"));
}

TEST_CASE("rung_figure: the validation at the rung's step of the last stage, once its checkpoint is there") {
  const TempDir dir;
  dir.put("metrics.jsonl", std::string(R"({"stage":"a","step":5,"loss":{"total":1}}
{"stage":"a","step":5,"validation":{"psnr":3}}
{"stage":"b","step":7,"loss":{"total":1}}
{"stage":"b","step":7,"validation":{"psnr":12,"ssim":0.5},"sets":{"x":{"psnr":14}}}
{"stage":"b","step":9,"validation":{"psnr":13}}
{"stage":"b","st)"));
  const auto figure = [&](std::int64_t steps, const std::string& metric) {
    return rung_figure(dir.path(), "b", steps, metric);
  };
  CHECK_FALSE(figure(2, "psnr"));  // killed before the checkpoint: these steps come again
  fs::create_directories(dir / "checkpoints");
  dir.put("checkpoints/step-8.state.safetensors", std::string("x"));
  CHECK(figure(2, "psnr") == 12.0);
  CHECK(figure(2, "x/psnr") == 14.0);
  CHECK_FALSE(figure(4, "psnr"));
  CHECK_FALSE(figure(5, "psnr"));
  CHECK_THAT(error_of([&] { figure(2, "delta_e"); }), Contains("has no delta_e; it has psnr, ssim"));
  CHECK_FALSE(rung_figure(dir / "none", "b", 2, "psnr"));
}

}  // namespace
}  // namespace kind::testing
