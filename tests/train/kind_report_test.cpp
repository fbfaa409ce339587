#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/program.h"
#include "tests/train/report_folder.h"

namespace kind::testing {
namespace {

using Catch::Contains;

struct Result {
  int code;
  std::string out, err;
};

Result run(const TempDir& dir, const std::vector<std::string>& arguments) {
  RunningProgram program(KIND_REPORT_PROGRAM, dir.path(), arguments);
  const int code = program.wait();
  return {code, program.out(), program.err()};
}

TEST_CASE("kind-report: page, tables and refusals") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  const Result page = run(dir, {"sweep", "-o", "report.html"});
  CHECK(page.code == 0);
  CHECK(page.out.empty());
  // Again over the page itself, never over anything else.
  CHECK(run(dir, {"sweep", "-o", "report.html"}).code == 0);
  const std::string config = (dir / "sweep/sweep.json");
  const auto before = slurp(config);
  const Result other = run(dir, {"sweep", "-o", "sweep/sweep.json"});
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Contains("sweep/sweep.json: exists, and is no page of kind-report"));
  CHECK(slurp(config) == before);
  CHECK_THAT(page.err, Contains("report.html: 3 points, 6 runs, "));
  CHECK_THAT(text_of(dir / "report.html"), Contains("<!doctype html>") && Contains("</html>\n"));
  const Result csv = run(dir, {"sweep", "--csv", "--reference", "w=10"}), markdown = run(dir, {"sweep", "--markdown"});
  CHECK((csv.code == 0 && markdown.code == 0));
  CHECK(csv.out.rfind("point,label,w,runs,figure,", 0) == 0);
  CHECK(markdown.out.rfind("# weights\n\n| point |", 0) == 0);
  put_plan(dir / "empty");
  CHECK(run(dir, {"empty", "-o", "empty.html"}).code == 1);
  const std::size_t files = dir.count();
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{},
                                                {"sweep"},
                                                {"none", "-o", "x.html"},
                                                {"sweep", "-o", ""},
                                                {"sweep", "-o", "no/x.html"},
                                                {"sweep", "--csv", "--markdown"},
                                                {"sweep", "-o", "x.html", "--reference", "w"},
                                                {"sweep", "-o", "x.html", "--picture", "9"}}) {
    const Result refused = run(dir, wrong);
    INFO(refused.err);
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK(refused.err.rfind("kind-report: ", 0) == 0);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
    CHECK(dir.count() == files);
  }
  CHECK_THAT(run(dir, {"--help"}).out, Contains("--reference") && Contains("--markdown"));
  CHECK_THAT(run(dir, {"--version"}).out, Contains("kind-report "));
}

}  // namespace
}  // namespace kind::testing
