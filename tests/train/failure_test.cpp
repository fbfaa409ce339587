// The disk fails while kind-train and kind-report write: nothing is half there, and a run goes on where it was.

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/faults.h"
#include "tests/support/program.h"
#include "tests/train/report_folder.h"
#include "tests/train/run_folder.h"

namespace kind::testing {
namespace {

using Catch::Contains;
namespace fs = std::filesystem;

struct Result {
  int code;
  std::string out, err;
};

Result shell(const TempDir& dir, const std::string& command) {
  RunningProgram program("/bin/sh", dir.path(), {"-c", "exec " + command});
  const int code = program.wait();
  return {code, program.out(), program.err()};
}

/// No temporary file is left, no state is without its model nor the other way round, no line of metrics is cut.
void check_whole(const std::string& out) {
  if (!fs::exists(out)) return;
  for (const auto& entry : fs::recursive_directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    INFO(entry.path().string());
    CHECK(name.find(".tmp") == std::string::npos);
    if (entry.path().parent_path().filename() != "checkpoints") continue;
    const std::size_t state = name.find(".state");
    std::string other = name;
    if (state == std::string::npos) {
      other.insert(name.find(".safetensors"), ".state");
    } else {
      other.erase(state, 6);
    }
    CHECK(fs::exists(entry.path().parent_path() / other));
  }
  for (const char* name : {"/metrics.jsonl", "/pictures.jsonl"}) {
    if (fs::exists(out + name)) CHECK_NOTHROW(lines_of(out + name));
  }
}

TEST_CASE("failures: a run whose disk is full ends with its line, and goes on to the same bytes", "[slow]") {
  const TempDir dir;
  put_run(dir);
  const std::string train = "'" KIND_TRAIN_PROGRAM "' c.json -t 1 --out ";
  REQUIRE(shell(dir, train + "whole").code == 0);
  const auto whole = snapshot(dir / "whole");
  struct Failure {
    const char* call;
    int error;
    long skip;
    const char* says;
  };
  // The config's file, the first lines of metrics, the first checkpoint's model, its state, and later ones.
  for (const Failure& f : {Failure{"write", ENOSPC, 0, "No space left on device"},
                           {"write", ENOSPC, 8000, "No space left on device"},
                           {"write", ENOSPC, 500'000, "No space left on device"},
                           {"write", EIO, 1'500'000, "Input/output error"},
                           {"write", ENOSPC, 12'000'000, "No space left on device"},
                           {"fsync", EIO, 4, "Input/output error"},
                           {"rename", ENOSPC, 7, "No space left on device"}}) {
    INFO(f.call << " after " << f.skip);
    fs::remove_all(dir / "run");
    const Result failed = shell(dir, with_fault(f.call, f.error, f.skip, dir / "run") + train + "run");
    INFO(failed.err);
    CHECK(failed.code == 2);
    CHECK(failed.out.empty());
    const std::size_t last = failed.err.rfind("kind-train: cannot write run/");
    REQUIRE(last != std::string::npos);
    CHECK(std::count(failed.err.begin() + static_cast<std::ptrdiff_t>(last), failed.err.end(), '\n') == 1);
    CHECK_THAT(failed.err.substr(last), Contains(f.says));
    CHECK_FALSE(fs::exists(dir / "run/model.safetensors"));
    check_whole(dir / "run");
    const Result resumed = shell(dir, train + "run --resume");
    CHECK(resumed.code == 0);
    CHECK(snapshot(dir / "run") == whole);
  }
}

TEST_CASE("failures: a report that cannot be written is not there") {
  const TempDir dir;
  put_sweep_records(dir / "sweep");
  fs::create_directory(dir / "to");
  for (const char* call : {"write", "fsync", "rename", "link", "open"}) {
    const Result result =
        shell(dir, with_fault(call, ENOSPC, 0, dir / "to") + "'" KIND_REPORT_PROGRAM "' sweep -o to/report.html");
    INFO(call << ": " << result.err);
    CHECK(result.code == 2);
    CHECK(result.err == "kind-report: cannot write to/report.html: No space left on device\n");
    CHECK(fs::is_empty(dir / "to"));
  }
  const Result unread =
      shell(dir, with_fault("read", EIO, 0, dir / "sweep") + "'" KIND_REPORT_PROGRAM "' sweep -o to/report.html");
  INFO(unread.err);
  CHECK(unread.code == 2);
  CHECK(unread.err.rfind("kind-report: cannot read ", 0) == 0);
  CHECK(fs::is_empty(dir / "to"));
}

}  // namespace
}  // namespace kind::testing
