#include "infer/eval/eval_table.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <limits>
#include <sstream>

#include "infer/eval/eval_inputs.h"
#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
namespace fs = std::filesystem;

EvalEntry entry(const std::string& name, std::int64_t seed, const std::vector<double>& psnr) {
  EvalEntry made{name, seed, {}};
  made.report.data = "pairs";
  made.report.split = "test";
  made.report.ways = {{"none", "as it is"}};
  made.report.metrics = {find_metric("psnr"), find_metric("delta-e")};
  for (std::size_t i = 0; i < psnr.size(); ++i) {
    made.report.pairs.push_back("p" + std::to_string(i));
    made.report.rows.push_back({made.report.pairs.back(), "none", std::nullopt, {psnr[i], std::nullopt}});
  }
  return made;
}

TEST_CASE("eval table: rows of several seeds, differences paired by seed and picture") {
  const EvalTable table = make_eval_table({entry("a", 1, {20, 22, 24}), entry("b_1", 1, {21, 22.5, 25.5}),
                                           entry("a", 2, {21, 23, 25}), entry("b_1", 2, {22, 23.5, 26.5})},
                                          "");
  CHECK(table.rows == std::vector<std::string>{"a", "b_1"});
  CHECK(table.seeds == std::vector<std::size_t>{2, 2});
  const std::vector<EvalCell>& psnr = table.cells[0][0];
  CHECK(psnr[0].mean->mean == Approx(22.5));
  CHECK(psnr[1].mean->mean == Approx(23.5));
  CHECK((psnr[1].best && !psnr[0].best));
  CHECK(psnr[0].difference.estimate.count == 0);
  // The same differences as of reports, by the same statistics.
  const Difference expected = paired_difference({{1, 0.5, 1.5}, {1, 0.5, 1.5}});
  CHECK(psnr[1].difference.estimate.mean == Approx(1));
  CHECK(psnr[1].difference.estimate.half == Approx(expected.estimate.half));
  CHECK(psnr[1].adjusted_p == Approx(expected.p));
  CHECK_FALSE(table.cells[0][1][0].mean);  // nobody has it
  const std::string text = eval_table_text(table, EvalTableFormat::kText);
  CHECK_THAT(text, Contains("protocol none, 3 pairs of pairs, split test") && Contains("difference from a, paired") &&
                       Contains("+1.00 ["));
  CHECK_THAT(eval_table_text(table, EvalTableFormat::kMarkdown),
             Contains("| b_1 | 2 | **23.50 [") && Contains("|---|---|") && Contains("; \\*: p \\< 0.05"));
  // Names, and the stars of what is significant, are no emphasis.
  const EvalTable starred = make_eval_table({entry("x*2|_a_", 1, {20, 21, 22.01}), entry("y", 1, {25, 26, 27})}, "");
  CHECK_THAT(eval_table_text(starred, EvalTableFormat::kMarkdown),
             Contains("| x\\*2\\|\\_a\\_ | 1 |") && Contains("difference from x\\*2") && Contains("]\\* |"));
  CHECK_THAT(eval_table_text(starred, EvalTableFormat::kText), Contains("x*2|_a_") && Contains("]*"));
  CHECK_THAT(eval_table_text(table, EvalTableFormat::kLatex), Contains("b\\_1 & 2 & \\textbf{23.50 [") &&
                                                                  Contains("\\begin{tabular}{lrrr}") &&
                                                                  Contains("% difference"));
  const EvalTable turned = make_eval_table({table.entries}, "b_1");
  CHECK(turned.cells[0][0][0].difference.estimate.mean == Approx(-1));
  CHECK_THAT(error_of([&] { make_eval_table({table.entries}, "c"); }), Contains("no row \"c\"") && Contains("\"b_1\""));
}

TEST_CASE("eval table: intervals are for other seeds where there are several, and none are of one figure") {
  const EvalTable table = make_eval_table({entry("a", 1, {20, 22, 24}), entry("a", 2, {30, 31, 36})}, "");
  const EvalCell& cell = table.cells[0][0][0];
  const double half = paired_difference({{20, 22, 24}, {30, 31, 36}}).estimate.half;
  CHECK((cell.interval && cell.mean->mean == Approx(163.0 / 6)));
  CHECK((cell.mean->high == Approx(163.0 / 6 + half) && cell.mean->low == Approx(163.0 / 6 - half)));
  CHECK(half > 20);  // two seeds that lie ten apart say little of others
  CHECK_THAT(eval_table_text(table, EvalTableFormat::kLatex), Contains("for other pictures and seeds]"));
  const EvalTable one_seed = make_eval_table({entry("a", 1, {20, 22, 24})}, "");
  CHECK_THAT(eval_table_text(one_seed, EvalTableFormat::kText), Contains("for other pictures]") && Contains("22.00 ["));
  const EvalTable single = make_eval_table({entry("a", 1, {20})}, "");
  CHECK_FALSE(single.cells[0][0][0].interval);
  CHECK_THAT(eval_table_text(single, EvalTableFormat::kText), Contains("20.00") && !Contains("20.00 ["));
  CHECK_THAT(eval_table_csv(single), Contains("row,a,,,none,psnr,20,,,"));
}

TEST_CASE("eval table: CSV has every picture, seed and row") {
  const EvalTable table =
      make_eval_table({entry("x, y", 3, {20, 22}), entry("z", 4, {std::numeric_limits<double>::infinity(), 23})}, "");
  std::istringstream csv(eval_table_csv(table));
  std::vector<std::string> lines;
  for (std::string line; std::getline(csv, line);) {
    REQUIRE((!line.empty() && line.back() == '\r'));
    lines.push_back(line.substr(0, line.size() - 1));
  }
  REQUIRE(lines.size() == 1 + 4 + 2 + 2);
  CHECK(lines[1] == "picture,\"x, y\",3,p0,none,psnr,20,,,,,,,");
  CHECK_THAT(lines[3], Catch::StartsWith("seed,\"x, y\",3,,none,psnr,21,"));
  CHECK(lines[4] == "picture,z,4,p0,none,psnr,inf,,,,,,,");
  // No seed in common: the rows' means are paired by picture, those that are finite.
  CHECK_THAT(lines[8], Catch::StartsWith("row,z,,,none,psnr,inf,") && Catch::EndsWith(",1,,,,"));
}

TEST_CASE("eval inputs: models, runs, sweeps and folders of results") {
  const TempDir dir;
  const auto put_run = [&](const std::string& folder, const std::string& config, bool done = true) {
    fs::create_directories(dir / folder);
    dir.put(folder + "/config.json", config);
    if (done) dir.put(folder + "/model.safetensors", std::string("x"));
  };
  dir.put("m.safetensors", std::string("x"));
  put_run("one", R"({"seed": 1, "data": {"root": "a"}, "stages": []})");
  put_run("two", R"({"seed": 2, "data": {"root": "b"}, "stages": []})");
  put_run("other", R"({"seed": 2, "stages": [{}]})");
  put_run("begun", R"({"seed": 2})", false);
  put_run("sweep/p0-s1", "{}");
  put_run("sweep/p1-s1", "{}");
  put_run("sweep/p1-s2", "{}");
  dir.put("sweep/sweep.json", std::string(R"({"name": "s", "points": [{"name": "p0", "label": "base"},
    {"name": "p1", "label": "w=1"}], "runs": [{"name": "p0-s1", "point": "p0", "seed": 1},
    {"name": "p1-s1", "point": "p1", "seed": 1}, {"name": "p0-s2", "point": "p0", "seed": 2},
    {"name": "p1-s2", "point": "p1", "seed": 2}]})"));
  fs::create_directories(dir / "results/mine");
  std::vector<std::string> left_out;
  std::string text;
  for (const EvalInput& input : eval_inputs({dir / "m.safetensors", dir / "one/", dir / "two", dir / "other",
                                             dir / "begun", dir / "sweep", dir / "results/mine/"},
                                            left_out)) {
    text += input.name + " " + std::to_string(input.seed) + (input.results ? " results" : "") + "\n";
  }
  CHECK(text == "m.safetensors 0\none 1\none 2\nother 2\nbase 1\nw=1 1\nw=1 2\nmine 0 results\n");
  REQUIRE(left_out.size() == 2);
  CHECK_THAT(left_out[0], Contains("begun: the run is not finished"));
  CHECK_THAT(left_out[1], Contains("sweep/p0-s2: the run is not finished"));
  const auto error = [&](const std::vector<std::string>& paths) {
    return error_of([&] { eval_inputs(paths, left_out); });
  };
  CHECK_THAT(error({dir / "none"}), Contains("there is no file or folder " + dir / "none"));
  CHECK_THAT(error({dir / "begun"}), Contains("nothing to score"));
  CHECK_THAT(error({dir / "one", dir / "one"}), Contains("is named twice"));
  dir.put("sweep/sweep.json", std::string(R"({"name": "s"})"));
  CHECK_THAT(error({dir / "sweep"}), Contains("sweep.json: it is not what kind-train writes"));
}

}  // namespace
}  // namespace kind::testing
