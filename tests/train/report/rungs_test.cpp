// Reports of sweeps with successive halving.

#include <catch2/catch.hpp>
#include <fstream>

#include "core/config/config.h"
#include "tests/support/temp_dir.h"
#include "tests/train/report_folder.h"
#include "train/report/report.h"
#include "train/sweep/halving.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

/// Three points with two seeds: p1 was stopped at the first rung, p0 at the second, p2 is done.
void put_halved(const std::string& folder) {
  put_plan(folder);
  json sweep = read_json_file(folder + "/sweep.json");
  sweep["halving"] = {{"metric", "psnr"}, {"rungs", {5, 8, 10}}, {"keep", 0.5}};
  std::ofstream(folder + "/sweep.json") << sweep.dump();
  write_rungs(folder, "psnr",
              {{5, {{"p2", 21.5, true}, {"p0", 20.25, true}, {"p1", {}, false}}},
               {8, {{"p2", 22.0, true}, {"p0", 21.0, false}}}});
  for (const int seed : {1, 2}) {
    const std::string name = "-s" + std::to_string(seed);
    put_record(folder + "/p0" + name, seed, 91, 10);
    put_record(folder + "/p1" + name, seed, 92, 20);
    put_record(folder + "/p2" + name, seed, 22, 30);
    for (const char* point : {"/p0", "/p1"}) fs::remove(folder + point + name + "/model.safetensors");
  }
}

TEST_CASE("reports show the rungs of halving, and stopped points nowhere else") {
  const TempDir dir;
  put_halved(dir / "s");
  const Report report = make_report(read_records({dir / "s"}), "");
  REQUIRE(report.records.points.size() == 1);
  CHECK(report.records.points[0].label == "w=10");
  CHECK(report.records.runs.size() == 2);
  REQUIRE(report.records.halvings.size() == 1);
  const HalvingRecord& halving = report.records.halvings[0];
  CHECK(halving.steps == std::vector<double>{5, 8});
  REQUIRE(halving.points.size() == 3);
  CHECK((halving.points[0].name == "p2" && !halving.points[0].stopped));
  CHECK((halving.points[1].name == "p0" && halving.points[1].stopped == 8.0));
  CHECK((halving.points[2].name == "p1" && halving.points[2].stopped == 5.0 && !halving.points[2].figures[0]));

  const std::string markdown = report_markdown(report);
  CHECK_THAT(markdown, Contains("| w=10 | 21.5 | 22 | went on |") &&
                           Contains("| w=0.1 | 20.25 | 21 | stopped after 8 steps |") &&
                           Contains("stopped after 5 steps") && Contains("2 points of 3 were stopped"));
  // Figures of stopped runs, about 91 and 92, are in no table.
  CHECK_THAT(markdown, !Contains("| 91") && !Contains("| 92"));
  const std::string csv = report_csv(report);
  CHECK_THAT(csv,
             Contains("p0,w=0.1,0.1,stopped after 8 steps,,0,,,,,,,,,\r\n") && Contains("p2,w=10,10.0,2 done,psnr,2,"));
  const std::string page = report_page(report, {});
  CHECK_THAT(page, Contains("<h2>Rungs</h2>") && Contains("2 points stopped by halving") &&
                       Contains("<td>stopped after 8 steps</td>"));
  CHECK_THAT(page, !Contains("data-v=\"91") && !Contains("data-v=\"92"));

  // Before the first decision there is no such table, and runs are those that go on.
  fs::remove(dir / "s/halving.json");
  const Report before = make_report(read_records({dir / "s"}), "");
  CHECK(before.records.points.size() == 3);
  CHECK_THAT(report_page(before, {}), !Contains("<h2>Rungs</h2>"));
}

}  // namespace
}  // namespace kind::testing
