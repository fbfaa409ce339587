#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/file.h"
#include "core/image/image.h"
#include "core/kernels/kernels.h"
#include "core/program/command_line.h"
#include "core/program/program.h"
#include "train/report/report.h"

namespace {

using namespace kind;

struct Options {
  std::vector<std::string> folders;
  std::string out, reference;
  PageOptions page;
  bool csv = false, markdown = false;
};

/// A page may be made again, as a run goes on; nothing else is replaced.
void check_page_file(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return;
  if (!std::filesystem::is_regular_file(status)) return;  // for writing to complain of
  std::ifstream file(path, std::ios::binary);
  std::string start(kReportPageStart.size(), '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  check(start == kReportPageStart, path, ": exists, and is no page of kind-report; name another file, or remove it");
}

int run(const Options& options) {
  check(!options.out.empty() || options.csv || options.markdown,
        "nothing to write: expected -o PAGE.html, --csv or --markdown");
  if (!options.out.empty()) check_page_file(options.out);
  const Report report = make_report(read_records(options.folders), options.reference);
  if (!options.out.empty()) {
    const std::string page = report_page(report, options.page);
    write_file_atomic(options.out, page);
    std::cerr << options.out << ": " << counted(report.records.points.size(), "point") << ", "
              << counted(report.records.runs.size(), "run") << ", " << page.size() << " bytes" << std::endl;
  }
  if (options.csv) std::cout << report_csv(report) << std::flush;
  if (options.markdown) std::cout << report_markdown(report) << std::flush;
  for (const ReportFact& fact : report_facts(report.records)) {
    if (fact.differs)
      std::cerr << "kind-report: warning: runs differ in " << fact.name << ": " << fact.text << std::endl;
  }
  bool done = false, begun = false;
  for (const RunRecord& each : report.records.runs) {
    done = done || each.state == RunRecord::State::kDone;
    begun = begun || !each.stages.empty();
  }
  if (done) return kExitDone;
  std::cerr << (begun ? "kind-report: none of the runs is done; they are shown as far as they have come"
                      : "kind-report: none of the runs has begun; there is nothing to compare yet")
            << std::endl;
  return begun ? kExitDone : kExitSomeFailed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compares training runs and sweeps: one page to read, tables to go on with.", "kind-report");
  Options options;
  expect_file_limits();
  try {
    app.set_version_flag(
        "--version", [] { return version_text("kind-report", available_isas(), current_isa(), image_codec_names()); },
        "Print version, kernel sets and picture types");
    app.add_option("runs", options.folders, "Folders of runs or sweeps; parts of the same sweep are combined")
        ->type_name("RUN_OR_SWEEP")
        ->required();
    app.add_option("-o,--out", options.out, "The page, a self-contained HTML file")->type_name("PAGE");
    app.add_option("--reference", options.reference, "Point that the others are compared with (default: the first)")
        ->type_name("POINT");
    app.add_option("--picture", options.page.pictures, "Held-out picture to show (default: two of them)")
        ->type_name("STEM")
        ->take_all()
        ->allow_extra_args(false);
    CLI::Option* csv = app.add_flag("--csv", options.csv, "Print the tables as CSV");
    app.add_flag("--markdown", options.markdown, "Print the tables as Markdown")->excludes(csv);
    app.footer("Exit codes: 0 success; 1 none of the runs has begun; 2 the command line or the data is invalid.");
    add_documents(app);
    app.parse(argc, argv);
    check(!app.count("--out") || !options.out.empty(), "--out: expected a value, got an empty one");
    const int code = run(options);
    check(static_cast<bool>(std::cout), "cannot write to the standard output");
    return code;
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::cerr << "kind-report: " << usage_problem(error.what(), "kind-report", argc, argv) << std::endl;
    return kExitError;
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-report", error) << std::endl;
    return kExitError;
  }
}
