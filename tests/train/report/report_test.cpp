// Long because its cases share the runs and sweeps that they report on.
#include "train/report/report.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "core/config/config.h"
#include "tests/support/errors.h"
#include "tests/train/report_folder.h"

namespace kind::testing {
namespace {

using Catch::Contains;

Report report_of(const std::string& folder, const std::string& reference = "") {
  return make_report(read_records({folder}), reference);
}

const ReportColumn& column(const std::vector<ReportColumn>& columns, const std::string& name) {
  const auto at = std::find_if(columns.begin(), columns.end(), [&](const ReportColumn& c) { return c.name == name; });
  REQUIRE(at != columns.end());
  return *at;
}

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// The fields of a CSV line without line breaks in it.
std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> result(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        result.back() += line[i++];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == ',' && !quoted) {
      result.emplace_back();
    } else {
      result.back() += line[i];
    }
  }
  return result;
}

TEST_CASE("make_report: estimates over seeds, differences by seed and picture") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  const Report report = report_of(dir / "sweep");
  CHECK(report.records.title == "weights");
  REQUIRE(report.records.points.size() == 3);
  const ReportColumn& psnr = column(report.figures, "psnr");
  CHECK(psnr.direction == Direction::kHigher);
  CHECK(psnr.cells[0].estimate.mean == Approx(11.5 + 1.0 / 3));
  CHECK(psnr.cells[0].estimate.half == Approx(student_quantile(0.05, 1) * 0.5));
  CHECK((psnr.cells[2].estimate.count == 1 && !psnr.cells[2].estimate.interval));
  // 1.001 and 1.002 more in all pictures: far apart means, yet a sure difference.
  CHECK(psnr.cells[1].difference.estimate.mean == Approx(1.0015));
  CHECK(psnr.cells[1].difference.estimate.count == 6);
  CHECK((psnr.cells[1].best && psnr.cells[1].significant && mark_of(psnr, psnr.cells[1]) == "+"));
  CHECK_FALSE(psnr.cells[0].best);
  // The third has one seed, over three pictures that all differ by the same 0.2.
  CHECK(psnr.cells[2].difference.estimate.mean == Approx(0.2));
  CHECK(psnr.cells[2].difference.estimate.count == 3);
  const ReportColumn& gray = column(report.figures, "illumination_std");
  CHECK((gray.direction == Direction::kNone && !gray.cells[0].best && gray.cells[1].adjusted_p == 1));

  const ReportColumn& term = column(report.terms, "decom/reconstruction");
  CHECK(term.cells[0].estimate.mean == Approx(0.5));  // of the last step of ten
  CHECK((term.cells[1].best && mark_of(term, term.cells[1]) == "+"));
  CHECK(column(report.terms, "decom/smooth").cells[0].estimate.mean == Approx(10));

  const Report other = report_of(dir / "sweep", "w=10");
  CHECK(other.reference == 2);
  CHECK(column(other.figures, "psnr").cells[0].difference.estimate.mean == Approx(-0.2));
  CHECK(report_of(dir / "sweep", "p1").reference == 1);
  CHECK_THAT(error_of([&] { report_of(dir / "sweep", "p7"); }), Contains("no point \"p7\""));
}

TEST_CASE("report_csv and report_markdown") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  const Report report = report_of(dir / "sweep");
  std::istringstream csv(report_csv(report));
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(csv, line);) {
    REQUIRE(line.back() == '\r');
    rows.push_back(fields(line.substr(0, line.size() - 1)));
    CHECK(rows.back().size() == rows[0].size());
  }
  CHECK(rows.size() == 1 + 3 * 5);
  CHECK(rows[0][2] == "w");
  CHECK(rows[6][1] == "w=1 <b>, \"x\"");
  CHECK(rows[6][3] == "2 done");
  CHECK(rows[6][4] == "psnr");
  CHECK(std::stod(rows[6][6]) == Approx(12.5015 + 1.0 / 3));
  CHECK(rows[6].back() == "+");
  CHECK(rows[11][3] == "1 done, 1 failed");

  const std::string markdown = report_markdown(report);
  CHECK_THAT(markdown, Contains("| w=0.1 (reference) | 2 done | 11.83 ± ") && Contains(" ▲ |") &&
                           Contains("p2-s2 failed: stage decom, step 3"));
  // 1.001 with one seed and 1.002 with the other, in every picture: Student's t with one degree of freedom.
  CHECK_THAT(markdown, Contains("Differences from w=0.1 [95% interval]") &&
                           Contains("\n| w=1 <b>, \"x\" | +1 [+0.995, +1.01] ▲ |"));
  // A sweep of which nothing is done yet has its points, too.
  put_plan(dir / "empty");
  const Report empty = report_of(dir / "empty");
  CHECK(occurrences(report_csv(empty), "2 not begun") == 3);
  CHECK_THAT(report_page(empty, {}), Contains("2 not begun") && !Contains("<h2>Differences"));
  CHECK_THAT(report_markdown(empty), !Contains("Differences"));
}

TEST_CASE("report_page: one page that needs nothing else") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  const std::string whole = report_page(report_of(dir / "sweep"), {});
  // Pictures' data may spell anything.
  const std::string page = std::regex_replace(whole, std::regex("base64,[A-Za-z0-9+/=]*"), "base64,");
  CHECK(page.find("http") == std::string::npos);
  CHECK(page.find("src=") == std::string::npos);
  CHECK(page.find("@import") == std::string::npos);
  CHECK(page.find("NaN") == std::string::npos);
  CHECK(occurrences(page, "the loss is nan &amp; &lt;more&gt;") == 1);
  CHECK(occurrences(page, "nan") == 1);  // in the reason alone
  CHECK(page.find("w=1 <b>") == std::string::npos);
  CHECK_THAT(page, Contains("w=1 &lt;b&gt;, &quot;x&quot;") && Contains("1 done, 1 failed") && Contains("▲"));
  for (const char* tag : {"table", "figure", "svg", "div", "ul", "select", "style", "script", "p", "h2", "h3"}) {
    INFO(tag);
    CHECK(occurrences(page, std::string("<") + tag + ">") + occurrences(page, std::string("<") + tag + " ") ==
          occurrences(page, std::string("</") + tag + ">"));
  }
  // Print shows no titles: differences from the reference have a table of their own, without the reference.
  const std::string differences = page.substr(page.find("<h2>Differences</h2>"));
  CHECK_THAT(
      differences.substr(0, differences.find("<h2>", 4)),
      Contains(">+1 <span class=\"up\">▲</span> <small>[+0.995, +1.01]</small></td>") && !Contains("<td>w=0.1</td>"));
  // Two grays make two pictures, however often they are shown.
  CHECK(occurrences(page, "data:image/jpeg;base64,") == 2);
  CHECK(occurrences(page, "data-pic=\"1|R|") == 3);
  CHECK(occurrences(page, "data-pic=\"2|L|") == 3);
  const std::string only = report_page(report_of(dir / "sweep"), {{"2"}, 2});
  CHECK(occurrences(only, "data-pic=\"1|R|") == 0);
  CHECK_THAT(error_of([&] { report_page(report_of(dir / "sweep"), {{"3"}, 2}); }), Contains("they show 1, 2"));
}

TEST_CASE("reports show colour slope, of runs that have it") {
  const TempDir dir;
  const auto figures = [](double slope, double hue) {
    return nlohmann::json{
        {"color_slope", slope}, {"hue", hue}, {"chroma_error", hue / 2}, {"delta_e", 7}, {"chroma", 1}};
  };
  put_record(dir / "old", 1, 20, 40, 0.5, {{"chroma", 1.01}});
  put_record(dir / "pale", 1, 20, 41, 0.5, figures(0.64, 12));
  put_record(dir / "strong", 1, 20, 42, 0.5, figures(1.5, 9));
  put_record(dir / "true", 1, 20, 43, 0.5, figures(0.9, 6));
  const Report report = make_report(read_records({dir / "old", dir / "pale", dir / "strong", dir / "true"}), "pale");
  std::vector<std::string> names;
  for (const ReportColumn& c : report.figures) names.push_back(c.name);
  CHECK(names == std::vector<std::string>{"psnr", "ssim", "delta_e", "color_slope", "hue", "chroma_error",
                                          "illumination_std", "chroma"});
  const ReportColumn &slope = column(report.figures, "color_slope"), &hue = column(report.figures, "hue");
  CHECK(slope.cells[0].estimate.count == 0);
  CHECK((!slope.cells[1].best && !slope.cells[2].best && slope.cells[3].best));
  CHECK(slope.cells[3].difference.estimate.mean == Approx(0.26));
  CHECK((hue.direction == Direction::kLower && hue.cells[3].best));
  // The old ratio decides nothing.
  const ReportColumn& chroma = column(report.figures, "chroma");
  CHECK(chroma.direction == Direction::kNone);
  for (const ReportCell& cell : chroma.cells) CHECK((cell.estimate.count == 1 && !cell.best));
  CHECK_THAT(report_markdown(report), Contains("| - | - | - | - | 0.1 | 1.01 ≠ |"));
  // Nearer to 1 is better; on the other side of it neither is, for the test is of the difference alone.
  CHECK(mark_of(slope, slope.cells[3]) == "+");
  CHECK(mark_of(slope, slope.cells[2]) == "*");
  const Report other = make_report(read_records({dir / "old", dir / "pale", dir / "strong", dir / "true"}), "true");
  CHECK(mark_of(column(other.figures, "color_slope"), column(other.figures, "color_slope").cells[1]) == "-");
  const std::string page = report_page(report, {});
  CHECK_THAT(page, Contains("decom: color_slope by step") && !Contains("chroma by step"));
  const Report old = make_report(read_records({dir / "old"}), "");
  CHECK_THAT(report_page(old, {}), Contains("decom: psnr by step") && !Contains("color_slope"));
}

/// A sweep of two axes, x (0, 1, 100) and form ("a", "b"), seeds 1 and 2: PSNR 10 + x / 100 + 2 for b + the seed's.
void put_grid(const TempDir& dir, const std::string& name) {
  const double xs[] = {0, 1, 100};
  const char* const forms[] = {"a", "b"};
  nlohmann::json sweep{
      {"format", 1},
      {"name", name},
      {"combine", "cross"},
      {"seeds", {1, 2}},
      {"axes", {{{"name", "x"}, {"values", {0, 1, 100}}}, {{"name", "form"}, {"values", {"a", "b"}}}}}};
  int gray = 10;
  for (const double x : xs) {
    for (const char* form : forms) {
      const std::string point = join("p", sweep["points"].size());
      sweep["points"].push_back(
          {{"name", point}, {"label", join("x=", x, " form=", form)}, {"values", {{"x", x}, {"form", form}}}});
      for (int seed = 1; seed <= 2; ++seed) {
        const std::string run = join(point, "-s", seed);
        sweep["runs"].push_back({{"name", run}, {"point", point}, {"seed", seed}});
        put_record(dir / (name + "/" + run), seed, 10 + x / 100 + (form[0] == 'b' ? 2 : 0) + 0.01 * seed, gray++);
      }
    }
  }
  dir.put(name + "/sweep.json", sweep.dump());
}

TEST_CASE("axis_effects: pairs that differ in one axis alone, and axis_shares, their part of the variance") {
  const TempDir dir;
  put_grid(dir, "grid");
  const Report report = report_of(dir / "grid");
  REQUIRE(report.records.axes.size() == 2);
  const auto psnr = static_cast<std::size_t>(std::find_if(report.figures.begin(), report.figures.end(),
                                                          [](const ReportColumn& c) { return c.name == "psnr"; }) -
                                             report.figures.begin());
  const AxisEffects x = axis_effects(report, report.records.axes[0]),
                    form = axis_effects(report, report.records.axes[1]);
  CHECK(x.base == 0);
  CHECK(x.change[psnr][0].estimate.count == 0);  // itself
  CHECK(x.change[psnr][1].estimate.mean == Approx(0.01));
  CHECK(x.change[psnr][2].estimate.mean == Approx(1));
  CHECK(x.change[psnr][2].estimate.count == 6);  // of two seeds and three pictures; both forms are one mean
  CHECK(form.change[psnr][1].estimate.mean == Approx(2));
  CHECK(form.change[psnr][1].estimate.half < 1e-6);  // unpaired, x would have hidden it
  // The reference's value is the base.
  const AxisEffects other = axis_effects(report_of(dir / "grid", "x=100 form=b"), report.records.axes[0]);
  CHECK((other.base == 2 && other.change[psnr][0].estimate.mean == Approx(-1)));

  // Sums of squares by hand: of x (0, .01, 1 and their mean), twice; of the forms, three times.
  const std::vector<Estimate> shares = axis_shares(report, "psnr");
  const double mean = 1.01 / 3, by_x = 2 * (mean * mean + (0.01 - mean) * (0.01 - mean) + (1 - mean) * (1 - mean));
  CHECK(shares[0].mean == Approx(by_x / (by_x + 6)));
  CHECK(shares[1].mean == Approx(6 / (by_x + 6)));
  CHECK((shares[0].count == 2 && shares[0].half < 1e-6));
  for (const Estimate& share : axis_shares(report, "ssim")) CHECK(share.count == 0);  // the same everywhere

  const std::string page = report_page(report, {});
  CHECK_THAT(page, Contains("Change from 0, of the same seed") && Contains("Importance of each axis") &&
                       Contains("<h3>x (down) and form (across)</h3>") && Contains("id=\"data\""));
  // Lines with their scales and bands over the two seeds; ticks of a linear-logarithmic axis are its values.
  CHECK_THAT(page, Contains(" data-y=\"") && Contains("<polygon class=\"b\" data-point=\"0\""));
  const std::string effects = page.substr(page.find("<h3>x</h3>"));
  for (const char* tick : {">0</text>", ">1</text>", ">100</text>"}) CHECK_THAT(effects, Contains(tick));
  // What the script reads.
  const std::size_t start = page.find('{', page.find("id=\"data\""));
  const auto data = nlohmann::json::parse(page.substr(start, page.find("</script>", start) - start));
  CHECK(data["points"].size() == 6);
  CHECK(data["points"][5]["axes"] == nlohmann::json({100, "b"}));
  CHECK(data["points"][5]["means"][psnr].get<double>() == Approx(13 + 0.015 + 1.0 / 3));
}

TEST_CASE("one axis at a time: points have the base's values on the other axes") {
  const TempDir dir;
  nlohmann::json sweep{{"name", "each"},
                       {"base", "c.json"},
                       {"combine", "each"},
                       {"seeds", {1, 2}},
                       {"axes", {{{"name", "x"}, {"values", {0, 1, 5}}}, {{"name", "y"}, {"values", {2, 3}}}}}};
  // The base has the values of both axes, every other point that of its own.
  const std::vector<std::pair<nlohmann::json, double>> points{
      {{{"x", 1}, {"y", 2}}, 10}, {{{"x", 0}}, 13}, {{{"x", 5}}, 11}, {{{"y", 3}}, 9}};
  int gray = 10;
  for (const auto& [values, psnr] : points) {
    const std::string point = join("p", sweep["points"].size());
    sweep["points"].push_back({{"name", point}, {"label", point}, {"values", values}});
    for (int seed = 1; seed <= 2; ++seed) {
      const std::string run = join(point, "-s", seed);
      sweep["runs"].push_back({{"name", run}, {"point", point}, {"seed", seed}});
      put_record(dir / ("each/" + run), seed, psnr, gray++);
    }
  }
  dir.put("each/sweep.json", sweep.dump());
  const Report report = report_of(dir / "each");
  const auto psnr = static_cast<std::size_t>(std::find_if(report.figures.begin(), report.figures.end(),
                                                          [](const ReportColumn& c) { return c.name == "psnr"; }) -
                                             report.figures.begin());
  const AxisEffects x = axis_effects(report, report.records.axes[0]), y = axis_effects(report, report.records.axes[1]);
  CHECK((x.base == 1 && x.change[psnr][0].estimate.mean == Approx(3) && x.change[psnr][2].estimate.mean == Approx(1)));
  CHECK((y.base == 0 && y.change[psnr][1].estimate.mean == Approx(-1)));
  // By hand: of all points the mean is 10.75 and the sum of squares 8.75; x = 1 are the base and y = 3.
  const std::vector<Estimate> shares = axis_shares(report, "psnr");
  const double by_x = 2.25 * 2.25 + 0.25 * 0.25 + 2 * 1.25 * 1.25, by_y = 1.75 * 1.75 + 3 * (7.0 / 12) * (7.0 / 12);
  CHECK(shares[0].mean == Approx(by_x / 8.75));
  CHECK(shares[1].mean == Approx(by_y / 8.75));
  CHECK_THAT(report_page(report, {}), Contains("Change from 1, of the same seed") && !Contains("(down) and"));
}

TEST_CASE("a random search has no pairs: the effects of its axes are means of points") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  nlohmann::json sweep = read_json_file(dir / "sweep/sweep.json");
  sweep["axes"].push_back({{"name", "v"}, {"values", {5, 6, 7}}});
  for (int i = 0; i < 3; ++i) sweep["points"][static_cast<std::size_t>(i)]["values"]["v"] = 5 + i;
  dir.put("sweep/sweep.json", sweep.dump());
  const Report report = report_of(dir / "sweep");
  for (const AxisRecord& axis : report.records.axes) {
    for (const auto& change : axis_effects(report, axis).change) {
      for (const Difference& each : change) CHECK(each.estimate.count == 0);
    }
  }
  CHECK_THAT(report_page(report, {}), Contains("no two points differ in this axis alone"));
}

TEST_CASE("reports of runs that go on show how far they are, and do not compare them") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  for (const char* run : {"p1-s1", "p1-s2"})
    std::filesystem::remove(dir / ("sweep/" + std::string(run) + "/model.safetensors"));
  const Report report = report_of(dir / "sweep");
  const ReportColumn& psnr = column(report.figures, "psnr");
  CHECK((psnr.cells[1].provisional && psnr.cells[1].estimate.count == 2));
  CHECK((!psnr.cells[1].best && !psnr.cells[1].significant && mark_of(psnr, psnr.cells[1]).empty()));
  CHECK_FALSE(psnr.cells[0].provisional);
  CHECK_THAT(report_page(report, {}), Contains("2 unfinished") && Contains("1 of 3 points have no run that is done"));
  // One run of a point that is done counts alone.
  std::ofstream(dir / "sweep/p1-s2/model.safetensors") << "x";
  const Report one = report_of(dir / "sweep");
  CHECK(
      (!column(one.figures, "psnr").cells[1].provisional && column(one.figures, "psnr").cells[1].estimate.count == 1));
}

TEST_CASE("report_page: points of one axis of words are named by it") {
  const TempDir dir;
  put_plan(dir / "sweep");
  nlohmann::json plan = read_json_file(dir / "sweep/sweep.json");
  plan["axes"] = {{{"name", "left out"}, {"values", {"nothing", "a_b", "c"}}}};
  const char* const names[] = {"nothing", "a_b", "c"};
  for (std::size_t i = 0; i < 3; ++i) {
    plan["points"][i]["label"] = std::string("left out=") + names[i];
    plan["points"][i]["values"] = {{"left out", names[i]}};
    for (int seed = 1; seed <= 2; ++seed) {
      const std::string run = "sweep/p" + std::to_string(i) + "-s" + std::to_string(seed);
      put_record(dir / run, seed, 12 + static_cast<double>(i), 40);
    }
  }
  dir.put("sweep/sweep.json", plan.dump());
  const std::string page = report_page(report_of(dir / "sweep"), {});
  CHECK_THAT(page, Contains("<th>left out</th><th>runs</th>") && Contains("<tr data-point=\"1\"><td>a_<wbr>b</td>"));
  // Compared with the first, in pairs; the axis by itself would say the same again.
  CHECK_THAT(page, Contains("From left out=nothing") && !Contains("Effect of each axis"));
}

TEST_CASE("reports say what runs have in common, and warn where they differ") {
  const TempDir dir;
  const auto put = [&](const std::string& name, const std::string& hash, int steps, const std::string& commit) {
    put_record(dir / name, 1, 10, 40);
    dir.put(name + "/config.json",
            R"({"seed": 1, "n": ")" + name + R"(", "data": {}, "stages": [{"name": "decom", "steps": )" +
                std::to_string(steps) + R"(}, {"name": "adjust", "steps": null, "epochs": 1}]})");
    dir.put(name + "/provenance.json",
            R"({"format": 1, "programs": [{"version": "1.2", "commit": ")" + commit +
                R"(", "compiler": "gcc 12", "kernels": "avx2"}], "init": {}, "data": {"hash": "00", "pairs": 9,
                "sources": [{"name": "", "hash": ")" +
                hash + R"(", "pairs": 9, "train": 6, "validation": 2, "test": 1, "split": "ab", "dark": "files"}]}})");
  };
  put("a", "cd", 600, "c1");
  put("b", "cd", 600, "c1");
  std::map<std::string, ReportFact> facts;
  for (const ReportFact& fact : report_facts(read_records({dir / "a", dir / "b"}))) {
    CHECK_FALSE(fact.differs);
    facts[fact.name] = fact;
  }
  CHECK(facts.size() == 5);
  CHECK(facts["budget"].text == "decom 600 steps, adjust 1 epoch");
  CHECK(facts["data"].text == "9 pairs (cd)");
  CHECK(facts["split"].text == "6 to train on, 2 for validation, 1 for the test (ab)");
  CHECK(facts["program"].text == "kind 1.2, commit c1, gcc 12, avx2 kernels");
  CHECK(facts["protocol"].text == "last validation, ratio from the bright picture, 3 held-out pictures");

  put("c", "ef", 800, "c1");
  put_record(dir / "d", 1, 10, 40);  // of an earlier version
  facts.clear();
  const Records records = read_records({dir / "a", dir / "b", dir / "c", dir / "d"});
  for (const ReportFact& fact : report_facts(records)) facts[fact.name] = fact;
  CHECK((facts["data"].differs && facts["budget"].differs && facts["program"].differs && !facts["protocol"].differs));
  CHECK(facts["data"].text == "9 pairs (cd) [a, b] | 9 pairs (ef) [c] | not recorded [d]");
  const Report report = make_report(records, "");
  CHECK_THAT(report_markdown(report), Contains("- **Warning: runs differ in data:** 9 pairs (cd) [a, b]"));
  CHECK_THAT(report_page(report, {}), Contains("Warning: not the same for all runs.</b> 9 pairs (cd) [a, b]"));
}

TEST_CASE("read_records: folders of a sweep with other seeds are one table") {
  const TempDir dir;
  put_sweep_records(dir / "first");
  put_plan(dir / "second");
  nlohmann::json more = read_json_file(dir / "second/sweep.json");
  more["seeds"] = {3};
  more["runs"] = {{{"name", "p1-s3"}, {"point", "p1"}, {"seed", 3}, {"config", "0"}}};
  std::ofstream(dir / "second/sweep.json") << more.dump();
  put_record(dir / "second/p1-s3", 3, 12, 40);
  const Records joined = read_records({dir / "first", dir / "second"});
  CHECK(joined.points.size() == 3);
  CHECK(joined.runs.size() == 7);
  CHECK(joined.points[1].runs.size() == 3);
  CHECK(joined.runs[joined.points[1].runs[2]].seed == 3);
  CHECK(joined.title == "weights");
  more["axes"][0]["name"] = "other";
  std::ofstream(dir / "second/sweep.json") << more.dump();
  CHECK(read_records({dir / "first", dir / "second"}).points.size() == 6);
}

TEST_CASE("read_records: parts of a sweep and single runs") {
  const TempDir dir;
  put_sweep_records(dir / "here");
  put_plan(dir / "there");
  put_record(dir / "there/p2-s2", 2, 12, 40);
  const Records joined = read_records({dir / "here/", dir / "there"});
  CHECK(joined.points.size() == 3);
  CHECK(joined.runs.size() == 6);
  for (const RunRecord& run : joined.runs) CHECK(run.state == RunRecord::State::kDone);

  put_record(dir / "a", 1, 10, 40);
  put_record(dir / "b", 2, 10, 40);
  put_record(dir / "c", 1, 10, 41);
  const Records singles = read_records({dir / "a", dir / "b", dir / "c"});
  REQUIRE(singles.points.size() == 2);
  CHECK(singles.points[0].runs.size() == 2);
  CHECK((singles.points[0].label == "a" && singles.points[1].label == "c"));
  CHECK(read_records({dir / "here", dir / "c"}).points.size() == 4);

  CHECK_THAT(error_of([&] { read_records({dir.path()}); }), Contains("neither a sweep"));
  std::filesystem::remove(dir / "a/model.safetensors");
  CHECK(read_records({dir / "a"}).runs[0].state == RunRecord::State::kUnfinished);
  CHECK(read_records({dir / "a"}).runs[0].reason == "at step 10");
  std::ofstream(dir / "a/metrics.jsonl", std::ios::app) << R"({"stage": "dec)";  // cut short by a kill
  CHECK(read_records({dir / "a"}).runs[0].stages[0].steps.size() == 10);
  std::ofstream(dir / "b/metrics.jsonl", std::ios::app) << "{\"stage\": 3}\n";
  CHECK_THAT(error_of([&] { read_records({dir / "b"}); }), Contains("b/metrics.jsonl: line 13"));
  for (const char* config : {"[1]", R"({"seed": 1, "data": 8})"}) {
    std::ofstream(dir / "c/config.json") << config;
    CHECK_THAT(error_of([&] { read_records({dir / "c"}); }),
               Contains("c/config.json: it is not what kind-train writes"));
  }
  std::ofstream(dir / "here/sweep.json") << "{\"name\": \"x\"}";
  CHECK_THAT(error_of([&] { read_records({dir / "here"}); }), Contains("here/sweep.json"));
}

}  // namespace
}  // namespace kind::testing
