#include "train/sweep/sweep.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "tests/support/errors.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"
#include "train/sweep/sweep_run.h"
#include "train/trainer/config.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

const char* const kBase = R"({"seed": 9, "stages": [
  {"name": "decom", "net": {"decomposition": {}}, "losses": {"reconstruction": {}, "mutual_consistency": {"c": 10}}},
  {"name": "adjust", "net": {"adjustment": {}}, "losses": {"square": {}}},
  {"name": "restore", "net": {"restoration": {}}, "losses": {"square": {}, "ssim": {}}}]})";

struct Planner {
  TempDir dir;

  SweepPlan plan(const std::string& text, const std::vector<std::string>& set = {},
                 const std::vector<std::string>& data = {}) const {
    dir.put("base.json", std::string(kBase));
    return plan_sweep(dir.put("s.json", R"({"base": "base.json", )" + text + "}"), set, data);
  }
  std::string refused(const std::string& text) const {
    return error_of([&] { plan(text); });
  }
};

std::vector<std::string> labels(const SweepPlan& plan) {
  std::vector<std::string> result;
  for (const SweepPoint& point : plan.points) result.push_back(point.label);
  return result;
}

double learning_rate(const SweepTask& run) {
  return parse_config<TrainConfig>(run.config, "run").stages[0].optimizer.learning_rate;
}

const std::string kRate = R"("path": "stages.decom.optimizer.learning_rate")";
const std::string kTwoAxes = R"("axes": [
  {"name": "c", "path": "stages.decom.losses.mutual_consistency.c", "values": [1, 10]},
  {"name": "norm", "choices": [{"name": "l1", "set": {"stages.adjust.losses.square.norm": "l1"}},
                               {"name": "both", "set": {"stages.adjust.losses.square.norm": "l1",
                                                        "stages.restore.losses.square.norm": "l1"}}]}])";

TEST_CASE("plan_sweep: pictures named on the command line, in a base whose data are none") {
  const TempDir dir;
  dir.put("base.json", std::string(R"({"data": 8})"));
  const std::string sweep = dir.put(
      "s.json", std::string(R"({"base": "base.json", "axes": [{"name": "seed", "path": "seed", "values": [1]}]})"));
  const std::string message = error_of([&] { plan_sweep(sweep, {}, {"pictures"}); });
  CHECK_THAT(message, Contains("s.json: point ") && Contains("data: expected an object, got 8"));
}

TEST_CASE("plan_sweep: axes cross, zip or go one at a time") {
  const Planner p;
  using Labels = std::vector<std::string>;
  CHECK(labels(p.plan(kTwoAxes)) == Labels{"c=1, norm=l1", "c=1, norm=both", "c=10, norm=l1", "c=10, norm=both"});
  CHECK(labels(p.plan(kTwoAxes + R"(, "combine": "zip")")) == Labels{"c=1, norm=l1", "c=10, norm=both"});
  // c = 10 is the base's own: no point of its own, but the base's place on that axis.
  const SweepPlan each = p.plan(kTwoAxes + R"(, "combine": "each")");
  CHECK(labels(each) == Labels{"base", "c=1", "norm=l1", "norm=both"});
  CHECK(each.points[0].values[0] == json(10));
  CHECK_FALSE(each.points[0].values[1]);
  CHECK((each.points[3].values[1] == json("both") && !each.points[3].values[0]));
  const TrainConfig both = parse_config<TrainConfig>(each.runs[3].config, "run");
  for (const std::size_t stage : {std::size_t{1}, std::size_t{2}})
    CHECK(both.stages[stage].losses.image.get<Square>()->norm == Norm::kL1);
}

TEST_CASE("plan_sweep: runs are points by seeds, with budget, set and data") {
  const Planner p;
  const SweepPlan plan =
      p.plan(kTwoAxes + R"(, "seeds": [3, 5], "set": {"batch": 4}, "budget": {"steps": 7, "stages": {"adjust": 2}})",
             {"stages.restore.patch=64"}, {"pictures"});
  REQUIRE(plan.runs.size() == 8);
  CHECK((plan.runs[0].name == "p0-s3" && plan.runs[4].name == "p0-s5" && plan.runs[7].name == "p3-s5"));
  for (const SweepTask& run : plan.runs) {
    const TrainConfig config = parse_config<TrainConfig>(run.config, run.name);
    CHECK(config.seed == (run.name.back() == '3' ? 3 : 5));
    CHECK(config.data.root == "pictures");
    CHECK((config.stages[0].steps == 7 && config.stages[1].steps == 2 && config.stages[2].steps == 7));
    CHECK((config.stages[0].batch == 4 && config.stages[2].patch == 64));
    CHECK(config.stages[0].losses.decomposition.get<MutualConsistency>()->c == (run.point < 2 ? 1 : 10));
  }
}

TEST_CASE("plan_sweep: ranges and random draws") {
  const Planner p;
  const SweepPlan log = p.plan(R"("axes": [{"name": "lr", )" + kRate +
                               R"(, "range": {"from": 0.001, "to": 0.1, "count": 5, "scale": "log"}}])");
  REQUIRE(log.runs.size() == 5);
  CHECK(learning_rate(log.runs[0]) == 0.001);
  CHECK(learning_rate(log.runs[1]) == Approx(0.00316228));
  CHECK(learning_rate(log.runs[2]) == 0.01);
  CHECK(learning_rate(log.runs[4]) == 0.1);
  const SweepPlan steps =
      p.plan(R"("axes": [{"name": "n", "path": "stages.decom.steps", "range": {"from": 10, "to": 40, "count": 4}}])");
  CHECK(parse_config<TrainConfig>(steps.runs[2].config, "run").stages[0].steps == 30);

  const auto random = [&](const std::string& name, int seed) {
    std::vector<double> rates;
    const SweepPlan plan = p.plan(R"("axes": [{"name": ")" + name + R"(", )" + kRate +
                                  R"(, "random": {"from": 0.0001, "to": 1, "count": 200, "scale": "log", "seed": )" +
                                  std::to_string(seed) + "}}]");
    for (const SweepTask& run : plan.runs) rates.push_back(learning_rate(run));
    return rates;
  };
  const std::vector<double> rates = random("lr", 1);
  CHECK(rates.size() == 200);
  int small = 0;
  for (const double rate : rates) {
    CHECK((rate >= 0.0001 && rate < 1));
    small += rate < 0.01;
  }
  CHECK((small > 70 && small < 130));  // half of the decades
  CHECK(random("lr", 1) == rates);
  CHECK(random("lr", 2) != rates);
  CHECK(random("rate", 1) != rates);
}

TEST_CASE("plan_sweep: stages that several runs have in common are trained once") {
  const Planner p;
  // c changes the first stage, "both" the second and third, "ssim" the third alone.
  const SweepPlan plan = p.plan(R"("combine": "each", "seeds": [1, 2], "axes": [
    {"name": "c", "path": "stages.decom.losses.mutual_consistency.c", "values": [1]},
    {"name": "norm", "path": "stages.adjust.losses.square.norm", "values": ["l1"]},
    {"name": "ssim", "path": "stages.restore.losses.ssim.weight", "values": [0.1, 0.2]}])");
  REQUIRE(plan.runs.size() == 10);
  // For each seed: decom of all but c, and decom with adjust of base and the two of ssim.
  REQUIRE(plan.shared.size() == 4);
  std::set<std::string> names;
  for (std::size_t seed = 0; seed < 2; ++seed) {
    const SweepTask &decom = plan.shared[2 * seed], &adjust = plan.shared[2 * seed + 1];
    CHECK((decom.config["stages"].size() == 1 && adjust.config["stages"].size() == 2));
    CHECK((decom.branch_from.empty() && adjust.branch_from == decom.name));
    CHECK((decom.level == 0 && adjust.level == 1));
    CHECK(decom.config["seed"] == seed + 1);
    const SweepTask* runs = &plan.runs[5 * seed];
    CHECK((runs[0].branch_from == adjust.name && runs[0].level == 2));
    CHECK((runs[1].branch_from.empty() && runs[1].level == 0));
    CHECK((runs[2].branch_from == decom.name && runs[2].level == 1));
    CHECK((runs[3].branch_from == adjust.name && runs[4].branch_from == adjust.name));
    // All that work with the same decomposition share its outputs; the one with another has nobody to share with.
    CHECK((!runs[0].maps.empty() && runs[0].maps == runs[2].maps && runs[0].maps == adjust.maps));
    CHECK(runs[1].maps.empty());
    CHECK(decom.maps.empty());
    names.insert({decom.name, adjust.name, runs[0].maps});
  }
  CHECK(names.size() == 6);
  // By the clock everyone trains alone.
  const SweepPlan timed = p.plan(kTwoAxes + R"(, "budget": {"minutes": 2})");
  CHECK(timed.shared.empty());
  CHECK(timed.runs[0].maps.empty());
  const std::vector<std::string> arguments = task_arguments(timed.runs[0], timed, "out");
  CHECK(std::find(arguments.begin(), arguments.end(), "--minutes") != arguments.end());
}

TEST_CASE("plan_sweep: what is wrong is named") {
  const Planner p;
  CHECK_THAT(p.refused(R"("axes": [])"), Contains("s.json: axes: expected at least one axis"));
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "values": [1]}])"), Contains("axes[0].path: missing"));
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "path": "batch"}])"), Contains("expected exactly one of"));
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "path": "batch", "values": []}])"), Contains("at least one value"));
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "path": "batch", "choices": [{"name": "x", "set": {}}]}])"),
             Contains("choices name their own paths"));
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "path": "bach", "values": [1]}])"),
             Contains("axis \"a\", value 1") && Contains("\"batch\""));
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "path": "batch", "values": [1, 0]}])"),
             Contains("point \"a=0\"") && Contains("stages[0].batch: expected an integer from 1"));
  CHECK_THAT(
      p.refused(
          R"("axes": [{"name": "a", "path": "batch", "range": {"from": 0, "to": 1, "count": 3, "scale": "log"}}])"),
      Contains("greater than 0"));
  CHECK_THAT(p.refused(kTwoAxes + R"(, "seeds": [1, 1])"), Contains("a seed is listed twice"));
  CHECK_THAT(p.refused(kTwoAxes + R"(, "seed": [1])"), Contains("\"seeds\""));
  CHECK_THAT(p.refused(kTwoAxes + R"(, "budget": {"stages": {"decor": 1}})"), Contains("\"decor\""));
  CHECK_THAT(p.refused(R"("combine": "zip", "axes": [{"name": "a", "path": "batch", "values": [1, 2]},
                         {"name": "b", "path": "patch", "values": [16]}])"),
             Contains("axes are zipped, but \"a\" has 2 values and \"b\" has 1"));
  const std::string count = R"("range": {"from": 1, "to": 2, "count": 10000}})";
  CHECK_THAT(p.refused(R"("axes": [{"name": "a", "path": "batch", )" + count + R"(], "seeds": [1, 2])"),
             Contains("s.json: 10000 points with 2 seeds are 20000 runs, expected at most 10000"));
  // Said before any of them is made: these would be 10^40.
  std::string axes;
  for (int i = 0; i < 10; ++i) {
    axes += (i == 0 ? R"({"name": ")" : R"(, {"name": ")") + std::to_string(i) + R"(", "path": "batch", )" + count;
  }
  for (const char* combine : {"cross", "each"}) {
    CHECK_THAT(p.refused(R"("combine": ")" + std::string(combine) + R"(", "axes": [)" + axes + "]"),
               Contains("expected at most 10000"));
  }
  axes.clear();
  for (int i = 0; i < 101; ++i) {
    axes +=
        (i == 0 ? R"({"name": ")" : R"(, {"name": ")") + std::to_string(i) + R"(", "path": "batch", "values": [1]})";
  }
  CHECK_THAT(p.refused(R"("axes": [)" + axes + "]"), Contains("s.json: axes: expected at most 100 axes, got 101"));
  CHECK_THAT(
      error_of([&] { plan_sweep(p.dir.put("t.json", std::string(R"({"base": "none.json", "axes": []})")), {}, {}); }),
      Contains("t.json: axes"));
}

TEST_CASE("a sweep of 1,000 points is planned and listed") {
  const Planner p;
  const SweepPlan plan = p.plan(R"("axes": [{"name": "lr", )" + kRate +
                                R"(, "random": {"from": 1e-5, "to": 1e-2, "count": 1000, "scale": "log"}}])");
  CHECK(plan.runs.size() == 1000);
  const std::string list = list_sweep(plan, p.dir / "none");
  CHECK(std::count(list.begin(), list.end(), '\n') == 1000);
  CHECK(list.rfind("p000-s1\tlr=", 0) == 0);
  CHECK(to_json(plan)["runs"].size() == 1000);
}

TEST_CASE("the sweeps in configs/ are valid") {
  const auto runs = [](const std::string& name) {
    return plan_sweep(source_dir() + "/configs/sweep-" + name + ".json", {}, {}).runs.size();
  };
  CHECK(runs("leave-one-out") == 3 * 11);  // all terms, and each of the ten left out
  CHECK(runs("weights") == 3 * 41);        // the base, and four other weights of each term
  CHECK(runs("epsilon-c") == 3 * 25);
  CHECK(runs("gradients") == 3 * 8);
  CHECK(runs("forms") == 3 * 2);
  CHECK(runs("smoothness") == 3 * 7);  // the base, and each of six values alone
}

}  // namespace
}  // namespace kind::testing
