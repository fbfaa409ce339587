// Random searches, halving, growth and what is kept, as sweeps are planned.

#include <catch2/catch.hpp>
#include <set>

#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"
#include "train/sweep/sweep.h"
#include "train/trainer/config.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

struct Planner {
  TempDir dir;
  std::string base = R"({"stages": [
    {"name": "decom", "net": {"decomposition": {}}, "losses": {"reconstruction": {}, "mutual_consistency": {"c": 10}},
     "steps": 50},
    {"name": "adjust", "net": {"adjustment": {}}, "losses": {"square": {}}, "steps": 30}]})";

  SweepPlan plan(const std::string& text, const std::vector<std::string>& set = {}) const {
    dir.put("base.json", base);
    return plan_sweep(dir.put("s.json", R"({"base": "base.json", )" + text + "}"), set, {});
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

const std::string kAxes = R"("axes": [
  {"name": "c", "path": "stages.decom.losses.mutual_consistency.c", "draw": {"low": 0.01, "high": 100, "log": true}},
  {"name": "lr", "path": "stages.adjust.optimizer.learning_rate", "draw": {"low": 0.1, "high": 0.2}},
  {"name": "batch", "path": "batch", "values": [2, 4, 8]}])";

std::string search(int runs, int seed, const std::string& axes = kAxes) {
  return axes + R"(, "search": {"type": "random", "runs": )" + std::to_string(runs) + R"(, "seed": )" +
         std::to_string(seed) + "}";
}

TEST_CASE("plan_sweep: a random search draws every axis, the same for a seed, and more of them go on") {
  const Planner p;
  const SweepPlan plan = p.plan(search(200, 1));
  REQUIRE(plan.runs.size() == 200);
  int small = 0;
  std::map<json, int> batches;
  for (const SweepPoint& point : plan.points) {
    const double c = point.values[0]->get<double>(), lr = point.values[1]->get<double>();
    CHECK((c >= 0.01 && c <= 100 && lr >= 0.1 && lr <= 0.2));
    small += c < 1;
    ++batches[*point.values[2]];
  }
  CHECK((small > 70 && small < 130));  // half of the decades
  for (const int batch : {2, 4, 8}) CHECK(batches[batch] > 40);
  const TrainConfig config = parse_config<TrainConfig>(plan.runs[7].config, "run");
  CHECK(config.stages[1].optimizer.learning_rate == plan.points[7].values[1]->get<double>());
  CHECK(config.stages[0].batch == plan.points[7].values[2]->get<std::int64_t>());

  CHECK(labels(p.plan(search(200, 1))) == labels(plan));
  CHECK(labels(p.plan(search(200, 2))) != labels(plan));
  // The axes are independent of one another: without one, the others draw the same.
  const std::string one = R"("axes": [{"name": "lr", "path": "stages.adjust.optimizer.learning_rate",
    "draw": {"low": 0.1, "high": 0.2}}])";
  CHECK(p.plan(search(3, 1, one)).points[2].values[0] == plan.points[2].values[1]);
  const std::vector<std::string> more = labels(p.plan(search(210, 1)));
  CHECK(std::equal(plan.points.begin(), plan.points.end(), more.begin(),
                   [](const SweepPoint& point, const std::string& label) { return point.label == label; }));
  // A search may grow, and the new points get new names.
  SweepPlan grown = p.plan(search(203, 1));
  CHECK(adopt_names(grown, to_json(plan), "sweep.json") == 3);
  CHECK((grown.points[0].name == "p000" && grown.points[202].name == "p202"));
  SweepPlan other = p.plan(search(200, 2));
  CHECK_THAT(error_of([&] { adopt_names(other, to_json(plan), "sweep.json"); }), Contains("search differs"));
}

TEST_CASE("plan_sweep: a search of listed values has no combination twice") {
  const Planner p;
  const std::string lists = R"("axes": [
    {"name": "c", "path": "stages.decom.losses.mutual_consistency.c", "values": [1, 2, 3]},
    {"name": "what", "choices": [{"name": "a", "set": {}}, {"name": "b", "set": {"batch": 4}}]}])";
  const std::vector<std::string> all = labels(p.plan(search(6, 3, lists)));
  CHECK(std::set<std::string>(all.begin(), all.end()).size() == 6);
  CHECK_THAT(p.refused(search(7, 3, lists)), Contains("search.runs: 7 points are asked for") && Contains("only 6"));
  CHECK_THAT(p.refused(search(10000, 1) + R"(, "seeds": [1, 2])"), Contains("are 20000 runs"));
  CHECK_THAT(p.refused(kAxes), Contains("\"draw\" needs a \"search\""));
  CHECK_THAT(p.refused(search(2, 1) + R"(, "combine": "zip")"), Contains("combine: a search combines"));
  const std::string random = R"("axes": [{"name": "b", "path": "batch", "random": {"from": 1, "to": 2, "count": 3}}])";
  CHECK_THAT(p.refused(search(2, 1, random)), Contains("use \"draw\" in place of \"random\""));
  const std::string turned = R"("axes": [{"name": "b", "path": "batch", "draw": {"low": 2, "high": 1}}])";
  CHECK_THAT(p.refused(search(2, 1, turned)), Contains("draw: expected low to be less than high"));
  const std::string zero = R"("axes": [{"name": "b", "path": "batch", "draw": {"low": 0, "high": 1, "log": true}}])";
  CHECK_THAT(p.refused(search(2, 1, zero)), Contains("greater than 0"));
}

const std::string kValues =
    R"("axes": [{"name": "c", "path": "stages.decom.losses.mutual_consistency.c", "values": [1, 2]}])";

TEST_CASE("plan_sweep: halving makes the last stage as long as the last rung") {
  const Planner p;
  const std::string rungs = R"(, "halving": {"rungs": [5, 10, 40]})";
  for (const SweepTask& run : p.plan(kValues + rungs + R"(, "budget": {"steps": 7})").runs) {
    const TrainConfig config = parse_config<TrainConfig>(run.config, "run");
    CHECK((config.stages[0].steps == 7 && config.stages[1].steps == 40));
  }
  const auto refused = [&](const std::string& halving) { return p.refused(kValues + R"(, "halving": )" + halving); };
  CHECK_THAT(refused(R"({"rungs": [5]})"), Contains("at least two"));
  CHECK_THAT(refused(R"({"rungs": [5, 5]})"), Contains("that rise, got 5 before 5"));
  CHECK_THAT(refused(R"({"rungs": [5, 9], "keep": 1})"), Contains("halving.keep"));
  CHECK_THAT(refused(R"({"rungs": [5, 9], "metric": "pnsr"})"), Contains("no figure \"pnsr\"") && Contains("delta_e"));
  CHECK_THAT(refused(R"({"rungs": [5, 9]}, "budget": {"stages": {"adjust": 3}})"), Contains("budget.stages.adjust"));
  CHECK_THAT(refused(R"({"rungs": [5, 9]}, "budget": {"minutes": 3})"), Contains("count steps"));
  const std::string steps = R"("axes": [{"name": "n", "path": "steps", "values": [1, 2]}])";
  CHECK_THAT(p.refused(steps + rungs), Contains("stage adjust has another number of steps"));

  // What was stopped was compared with what there was then.
  const SweepPlan plan = p.plan(kValues + rungs);
  SweepPlan same = p.plan(kValues + rungs);
  CHECK(adopt_names(same, to_json(plan), "sweep.json") == 0);
  SweepPlan grown = p.plan(kValues + rungs + R"(, "seeds": [1, 2])");
  CHECK_THAT(error_of([&] { adopt_names(grown, to_json(plan), "sweep.json"); }), Contains("halving cannot grow"));
  SweepPlan longer = p.plan(kValues + R"(, "halving": {"rungs": [5, 10, 50]})");
  CHECK_THAT(error_of([&] { adopt_names(longer, to_json(plan), "sweep.json"); }), Contains("halving differs"));
}

TEST_CASE("adopt_names: more steps of the last stage are the same runs, of another stage others") {
  const Planner p;
  const json before = to_json(p.plan(kValues + R"(, "seeds": [1, 2])"));
  SweepPlan grown = p.plan(R"("axes": [{"name": "c", "path": "stages.decom.losses.mutual_consistency.c",
    "values": [3, 2, 1]}], "seeds": [2, 1, 3], "budget": {"stages": {"adjust": 60}})");
  CHECK(adopt_names(grown, before, "sweep.json") == 5);
  CHECK((grown.points[0].name == "p2" && grown.points[1].name == "p1" && grown.points[2].name == "p0"));
  for (const char* budget : {R"({"stages": {"decom": 60}})", R"({"stages": {"adjust": 20}})"}) {
    SweepPlan other = p.plan(kValues + R"(, "seeds": [1, 2], "budget": )" + budget);
    CHECK_THAT(error_of([&] { adopt_names(other, before, "sweep.json"); }),
               Contains("4 of its runs are not in this one; budget differs"));
  }
  // Values of an axis of steps are no growth of one another.
  const std::string steps = R"("axes": [{"name": "n", "path": "stages.adjust.steps", "values": )";
  const json short_ones = to_json(p.plan(steps + "[10, 20]}]"));
  SweepPlan both = p.plan(steps + "[10, 20, 30]}]");
  CHECK(adopt_names(both, short_ones, "sweep.json") == 1);
  CHECK(both.points[2].name == "p2");
}

TEST_CASE("plan_sweep: what is kept is the sweep's matter, not that of the runs' configs") {
  Planner p;
  CHECK(p.plan(kValues).keep == "models");
  CHECK(p.plan(kValues + R"(, "keep_checkpoints": true)").keep == "all");
  CHECK(p.plan(kValues + R"(, "keep": "model")").keep == "model");
  CHECK_THAT(p.refused(kValues + R"(, "keep": "nothing")"), Contains("keep"));
  CHECK_THAT(p.refused(kValues + R"(, "keep": "model", "keep_checkpoints": true)"), Contains("keep_checkpoints"));
  p.base.insert(1, R"("keep": "model", )");
  const SweepPlan plan = p.plan(kValues);
  CHECK(plan.keep == "model");
  CHECK_FALSE(plan.runs[0].config.contains("keep"));
  CHECK(p.plan(kValues + R"(, "keep": "all")").keep == "all");
  p.base.replace(p.base.find("model"), 5, "xodel");
  CHECK_THAT(p.refused(kValues), Contains("keep"));
}

}  // namespace
}  // namespace kind::testing
