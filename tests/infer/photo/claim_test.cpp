// Several runs at a time, signals, and files that appear while a run works: no result is done twice, lost or replaced.

#include "infer/photo/claim.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "core/files/file.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/faults.h"

namespace kind::testing {
namespace {

std::string text_of(const fs::path& path) { return text_of_file(path.string()); }

/// The number of a process that has ended.
long dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

TEST_CASE("claims: one process at a time has a result") {
  const TempDir dir;
  const fs::path result = dir / "x.png", claim = dir / ".x.png.kind-claim";
  CHECK(Claim::path_of(result) == claim);
  {
    const Claim own(result);
    const std::string text = text_of(claim);
    CHECK_THAT(text, Contains(" " + std::to_string(::getpid()) + " "));
    CHECK_THROWS_AS(Claim(result), ClaimedElsewhere);
    CHECK(text_of(claim) == text);
    const Claim other(dir / "y.png");
    CHECK(dir.count() == 2);
  }
  CHECK(dir.count() == 0);
  // Names as long as the file system takes them, which differ at their ends alone.
  const std::string longest(250, 'n');
  const Claim a(dir / (longest + "a.png")), b(dir / (longest + "b.png"));
  CHECK(dir.count() == 2);
  CHECK_THROWS_AS(Claim(dir / "none/x.png"), Error);
  CHECK_THROWS_WITH(Claim(dir / "none/x.png"), Contains("none/x.png: No such file or directory"));
}

TEST_CASE("claims: those of processes that are gone are taken over, others never") {
  const TempDir dir;
  const fs::path result = dir / "x.png", claim = dir / ".x.png.kind-claim";
  std::string host, start, space;
  {
    const Claim own(result);
    std::ifstream(claim) >> host >> start >> start >> space;
  }
  const std::string here = " " + space + "\n";
  const std::string own = std::to_string(::getpid()), dead = std::to_string(dead_process());
  // Gone; another process has the number now; never written to its end.
  for (const std::string& text :
       {host + " " + dead + " 5" + here, host + " " + own + " 1" + here, std::string(), host}) {
    INFO(text);
    dir.put(".x.png.kind-claim", text);
    {
      const Claim taken(result);
      CHECK_THAT(text_of(claim), Contains(host + " " + own + " " + start + here));
    }
    CHECK(dir.count() == 0);
  }
  for (const std::string& text :
       {"elsewhere." + host + " " + dead + " 5" + here, host + " " + dead + " 5 of-another-container\n",
        host + " " + own + " " + start + here, host + " 1 -" + here}) {
    INFO(text);
    dir.put(".x.png.kind-claim", text);
    CHECK_THROWS_AS(Claim(result), ClaimedElsewhere);
    CHECK(text_of(claim) == text);
  }
  CHECK_THROWS_WITH(Claim(result), Contains("x.png: another run is working on it (process 1 on " + host) &&
                                       Contains("if that run is gone, remove " + claim.string()));
}

TEST_CASE("claims: a signal handler removes them all") {
  const TempDir dir;
  std::optional<Claim> a(dir / "x.png"), b(dir / "y.png");
  CHECK(dir.count() == 2);
  Claim::remove_all();
  CHECK(dir.count() == 0);
}

TEST_CASE("claims: a file that has appeared is kept, whatever the file system knows") {
  const TempDir dir;
  dir.put("x", std::string("old"));
  CHECK_THROWS_WITH(write_file_atomic(dir / "x", "new", Existing::kKeep),
                    Contains("a file of this name has appeared in the meantime, and is kept"));
  CHECK(text_of_file(dir / "x") == "old");
  write_file_atomic(dir / "x", "new");
  write_file_atomic(dir / "y", "new", Existing::kKeep);
  CHECK((text_of_file(dir / "x") == "new" && text_of_file(dir / "y") == "new"));
  CHECK(dir.count() == 2);
  put_pictures(dir);
  fs::create_directory(dir / "out");
  // Without renameat2; without links either.
  for (const char* call : {"rename", "take"}) {
    const std::string fault = with_fault(call, EINVAL, 0, dir / "out/a.png") + "\"$KIND\" a.png -o out/";
    // The pipe is opened once the work has begun.
    const std::string late = "mkfifo a.png.d/a.png; " + with_fault(call, EINVAL, 0, dir / "out/a.png") +
                             "\"$KIND\" a.png.d/a.png -o out/ & p=$!; exec 3>a.png.d/a.png; echo other >out/a.png; "
                             "cat a.png >&3; exec 3>&-; wait $p";
    INFO(call);
    const Result result = shell(dir, fault);
    INFO(result.err);
    CHECK(result.code == 0);
    CHECK(files(dir).count("out/a.png") == 1);
    CHECK(read_image(dir / "out/a.png").width == 24);
    fs::remove(dir / "out/a.png");
    fs::create_directory(dir / "a.png.d");
    const Result kept = shell(dir, late);
    CHECK(kept.code == 2);
    CHECK_THAT(kept.err, Contains("cannot write out/a.png: a file of this name has appeared in the meantime"));
    CHECK(text_of_file(dir / "out/a.png") == "other\n");
    fs::remove_all(dir / "out");
    fs::remove_all(dir / "a.png.d");
    fs::create_directory(dir / "out");
  }
}

/// A run that works on out/p.png until something is written to 3, and then goes on with out/c.bmp.
std::string waiting_run(const std::string& options) {
  return "mkfifo p.png; \"$KIND\" p.png c.bmp -o out " + options +
         " >first.out 2>first.err & p=$!; exec 3>p.png; until test -e out/.p.png.kind-claim; do sleep 0.02; done; ";
}

TEST_CASE("claims: a second run leaves alone what another works on") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directory(dir / "more");
  fs::copy_file(dir / "a.png", dir / "more/p.png");
  const std::string finish = "; echo $? >code; cat noext >&3; exec 3>&-; wait $p";
  const Result skips =
      shell(dir, waiting_run("--skip-existing") +
                     "\"$KIND\" more/p.png c.bmp -o out --skip-existing --report report.json" + finish);
  INFO(skips.err);
  CHECK(skips.code == 0);
  CHECK(text_of_file(dir / "code") == "0\n");
  CHECK(skips.out == "out/c.bmp\n");
  CHECK_THAT(skips.err, Contains("kind-infer: skipped out/p.png: another run is working on it (process ") &&
                            Contains("kind-infer: skipped 1 of 2: another run is working on them\n"));
  CHECK(text_of_file(dir / "first.out") == "out/p.png\n");
  CHECK_THAT(text_of_file(dir / "first.err"), Contains("kind-infer: skipped 1 of 2: their results exist\n"));
  fs::remove_all(dir / "out");
  fs::remove(dir / "p.png");
  const Result fails =
      shell(dir, waiting_run("--overwrite") + "\"$KIND\" more/p.png c.bmp -o out --overwrite" + finish);
  CHECK(fails.code == 0);
  CHECK(text_of_file(dir / "code") == "1\n");
  CHECK(fails.out == "out/c.bmp\n");
  CHECK_THAT(fails.err, Contains("kind-infer: out/p.png: another run is working on it (process "));
  CHECK(text_of_file(dir / "first.out") == "out/p.png\nout/c.bmp\n");
  CHECK(files(dir).count("out/.p.png.kind-claim") == 0);
}

TEST_CASE("claims: two runs together do each picture once") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  for (int i = 0; i < 16; ++i) {
    write_image(dir / join("in/", 10 + i, ".png"), smooth_picture(60 + i, 50, 3), ImageFormat::kPng);
  }
  const std::string one = "\"$KIND\" in -o out --skip-existing";
  const Result both = shell(dir, one + " >first & " + one + " -j 2 >second; a=$?; wait $!; exit $((a + $?))");
  INFO(both.err);
  CHECK(both.code == 0);
  const std::string lines = text_of_file(dir / "first") + text_of_file(dir / "second");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 16);
  Names results;
  for (const auto& entry : fs::directory_iterator(dir / "out")) results.insert(entry.path().filename().string());
  CHECK(results.size() == 16);
  for (const std::string& name : results) CHECK_THAT(lines, Contains("out/" + name + "\n"));
}

TEST_CASE("signals: a wait for a pipe or the standard input ends at once") {
  const std::string inputs[] = {"pipe.png -o out/x.png", "- -o out/x.png <pipe.png", "- -o - <pipe.png",
                                "pipe.y4m -o out/x.y4m"};
  for (const auto& [signal, code] : {std::pair{"INT", 130}, {"TERM", 143}}) {
    for (const std::string& input : inputs) {
      const TempDir dir;
      fs::create_directory(dir / "out");
      const Result result = shell(dir, "mkfifo pipe.png pipe.y4m; exec 3<>pipe.png; \"$KIND\" " + input +
                                           " & p=$!; "
                                           "until grep -q 'SigCgt:.*4..[23]' /proc/$p/status; do sleep 0.02; done; "
                                           "sleep 0.1; kill -" +
                                           signal + " $p; wait $p");
      INFO(input << ": " << result.err);
      CHECK(result.code == code);
      CHECK(result.out.empty());
      CHECK(fs::is_empty(dir / "out"));
    }
  }
}

TEST_CASE("signals: a large picture is given up, and nothing of it is left") {
  const TempDir dir;
  write_image(dir / "large.png", smooth_picture(3000, 2000, 3), ImageFormat::kPng);
  fs::create_directory(dir / "out");
  for (const char* pause : {"0", "1", "2"}) {
    const Result result =
        shell(dir, std::string("\"$KIND\" large.png -o out/x.png --report report.json --overwrite & "
                               "p=$!; until test -e out/.x.png.kind-claim; do sleep 0.02; done; sleep ") +
                       pause + "; kill -TERM $p; wait $p");
    INFO(result.err);
    CHECK(result.code == 143);
    CHECK(result.err == "kind-infer: stopped; large.png and what follows it was not done\n");
    CHECK(fs::is_empty(dir / "out"));
    CHECK_THAT(text_of_file(dir / "report.json"), Contains("\"not_done\": 1") && Contains("\"status\": \"not done\""));
  }
}

TEST_CASE("signals: nobody reads the names of the results") {
  const TempDir dir;
  put_pictures(dir);
  const Result result = shell(
      dir, "{ \"$KIND\" a.png c.bmp d.ppm -o out; echo $? >code; } | true; until test -s code; do sleep 0.1; done");
  INFO(result.err);
  CHECK(text_of_file(dir / "code") == "0\n");
  CHECK(files(dir).count("out/d.ppm") == 1);
  dir.put("e.png", std::string("bad"));
  shell(dir,
        "{ \"$KIND\" e.png a.png -o out --overwrite 2>err; echo $? >code; } | true; until test -s code; do sleep 0.1; "
        "done");
  CHECK(text_of_file(dir / "code") == "1\n");
  CHECK_THAT(text_of_file(dir / "err"), Contains("cannot read e.png") && !Contains("standard output"));
}

}  // namespace
}  // namespace kind::testing
