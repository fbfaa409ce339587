// The machine fails: a full disk, errors of devices, folders that are taken away or cannot be written to, signals. No
// result is half there, no temporary file stays, the exit code and one line say what happened.

#include <sys/stat.h>
#include <unistd.h>

#include "core/config/config.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/faults.h"

namespace kind::testing {
namespace {

struct Failure {
  const char* call;
  int error;
  long skip;
  const char* says;
};

const Failure kWriteFailures[] = {
    {"write", ENOSPC, 0, "No space left on device"}, {"write", ENOSPC, 100, "No space left on device"},
    {"write", EDQUOT, 600, "Disk quota exceeded"},   {"write", EIO, 700, "Input/output error"},
    {"fsync", EIO, 0, "Input/output error"},         {"fsync", ENOSPC, 0, "No space left on device"},
    {"link", ENOSPC, 0, "No space left on device"},  {"rename", EIO, 0, "Input/output error"},
    {"open", EROFS, 0, "Read-only file system"},     {"open", EACCES, 0, "Permission denied"}};

TEST_CASE("failures: whatever call fails, nothing of a result is left") {
  const TempDir dir;
  put_pictures(dir);
  write_image(dir / "large.png", test_picture(60, 40, 3), ImageFormat::kPng);
  fs::create_directory(dir / "out");
  dir.put("out/x.bmp", std::string("old"));
  const Names before = files(dir);
  for (const Failure& f : kWriteFailures) {
    for (const char* arguments :
         {"-o out/x.png", "-o out/x.jpg", "-o out/x.bmp --overwrite", "-o out/x.ppm", "-o out/x.png --dump-maps out",
          "-o out/x.png --ladder 1,2,3", "-o out/x.png --ladder 1,2 --sheet", "--compare out/page.html",
          "-o out/x.png --compare out/page.html"}) {
      const Result result =
          shell(dir, with_fault(f.call, f.error, f.skip, dir / "out") + "\"$KIND\" large.png " + arguments);
      INFO(f.call << " " << f.error << " after " << f.skip << ", " << arguments << ": " << result.err);
      CHECK(result.code == 2);
      CHECK(result.out.empty());
      REQUIRE(result.lines().size() == 1);
      CHECK_THAT(result.err, Catch::StartsWith("kind-infer: cannot write out/") && Contains(f.says));
      CHECK(files(dir) == before);
    }
  }
  CHECK(text_of_file(dir / "out/x.bmp") == "old");
}

TEST_CASE("failures: an earlier result stays, or the new one in its place") {
  const TempDir dir;
  write_image(dir / "large.png", test_picture(60, 40, 3), ImageFormat::kPng);
  fs::create_directory(dir / "out");
  for (const Failure& f : kWriteFailures) {
    for (const char* name : {"out/x-x1.png", "out/x-x2.png"})
      write_image(dir / name, test_picture(5, 4, 3), ImageFormat::kPng);
    for (long skip : {f.skip, f.skip + 1, f.skip + 2}) {
      shell(dir, with_fault(f.call, f.error, skip, dir / "out") +
                     "\"$KIND\" large.png -o out/x.png --ladder 1,2 --overwrite");
      INFO(f.call << " " << f.error << " after " << skip);
      for (const char* name : {"out/x-x1.png", "out/x-x2.png"}) CHECK(read_image(dir / name).width > 0);
    }
  }
}

TEST_CASE("failures: the disk is full in the middle of a batch") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  for (int i = 0; i < 5; ++i) {
    write_image(dir / join("in/", i, ".png"), test_picture(20 + i, 30, 3), ImageFormat::kPng);
  }
  success(dir, "in -o good");
  long room = 10;  // for the first two, and a few bytes of the third
  for (int i = 0; i < 2; ++i) room += static_cast<long>(fs::file_size(dir / join("good/", i, ".png")));
  for (const char* jobs : {"1", "2"}) {
    const Result result = shell(dir, with_fault("write", ENOSPC, room, dir / "out") + "\"$KIND\" in -o out -j " + jobs +
                                         " --report report.json --overwrite");
    INFO(result.err);
    CHECK(result.code == 1);
    const nlohmann::json report = read_json_file(dir / "report.json");
    const auto done = report.at("done").get<std::size_t>();
    CHECK((done >= 1 && done <= 3 && done + report.at("failed").get<std::size_t>() == 5));
    CHECK(result.lines().size() == 5);
    CHECK_THAT(result.err, Contains("kind-infer: cannot write out/4.png: No space left on device"));
    CHECK(static_cast<std::size_t>(std::distance(fs::directory_iterator(dir / "out"), {})) == done);
    for (const auto& entry : fs::directory_iterator(dir / "out")) {
      CHECK(slurp(entry.path().string()) == slurp(dir / "good/" + entry.path().filename().string()));
    }
    // There is room again: what is missing is done.
    CHECK(run(dir, "in -o out --skip-existing").code == 0);
    for (const auto& entry : fs::directory_iterator(dir / "good")) {
      CHECK(slurp(entry.path().string()) == slurp(dir / "out/" + entry.path().filename().string()));
    }
    fs::remove_all(dir / "out");
  }
}

TEST_CASE("failures: inputs, models and reports that cannot be read or written") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directory(dir / "bad");
  fs::copy_file(dir / "a.png", dir / "bad/z.png");
  for (const long skip : {0, 100}) {
    const Result some =
        shell(dir, with_fault("read", EIO, skip, dir / "bad") + "\"$KIND\" a.png bad/z.png c.bmp -o out");
    INFO(some.err);
    CHECK(some.code == 1);
    CHECK(some.out == "out/a.png\nout/c.bmp\n");
    CHECK_THAT(some.err, Contains("\nkind-infer: cannot read bad/z.png: Input/output error\n"));
    fs::remove_all(dir / "out");
    const Result all = shell(dir, with_fault("read", EIO, skip, dir / "bad") + "\"$KIND\" bad/z.png -o x.png");
    CHECK(all.code == 2);
    CHECK(all.err == "kind-infer: cannot read bad/z.png: Input/output error\n");
  }
  const Result model = shell(
      dir, with_fault("read", EIO, 5000, models().dir.path()) + "\"$KIND\" a.png c.bmp -o out --report report.json");
  CHECK(model.code == 2);
  CHECK(model.err == "kind-infer: cannot read " + models().whole + ": Input/output error\n");
  CHECK_FALSE(fs::exists(dir / "out"));
  fs::remove(dir / "report.json");
  // The results are there all the same, and the exit code says that something failed.
  const Result report =
      shell(dir, with_fault("write", ENOSPC, 0, dir / "bad") + "\"$KIND\" a.png -o x.png --report bad/report.json");
  CHECK(report.code == 1);
  CHECK(report.out == "x.png\n");
  CHECK_THAT(report.err, Contains("kind-infer: cannot write bad/report.json: No space left on device"));
  CHECK_FALSE(fs::exists(dir / "bad/report.json"));
  // Where there is no place for a report that is known before any work.
  const Result early = shell(dir, "\"$KIND\" a.png -o y.png --report none/report.json");
  CHECK(early.code == 2);
  CHECK(early.err == "kind-infer: --report none/report.json: there is no folder none\n");
  CHECK_FALSE(fs::exists(dir / "y.png"));
}

TEST_CASE("failures: pictures that cannot be done are not kept in memory") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  write_image(dir / "large.png", Image(2000, 1500, 3), ImageFormat::kPng);
  // 9 MB each, 720 MB in all. JPEG holds no 16 bits, which is found out once they are decoded.
  for (int i = 10; i < 90; ++i) fs::copy_file(dir / "large.png", dir / join("in/", i, ".png"));
  const Result result = run(dir, "in -o out -f jpg --bits 16 --report report.json");
  CHECK(result.code == 2);
  CHECK(result.lines().size() == 80);
  CHECK_THAT(result.err, Contains("cannot write out/89.jpg: jpg files hold no 16-bit samples"));
  CHECK(read_json_file(dir / "report.json").at("peak_memory_mib").get<double>() < 550);
}

TEST_CASE("failures: the output folder is taken away") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directories(dir / "tree/sub");
  fs::copy_file(dir / "a.png", dir / "tree/sub/t.png");
  // Once the pipe's writing end is open the program has begun, and waits for it.
  const Result result = shell(dir,
                              "mkfifo pipe.png; \"$KIND\" pipe.png c.bmp -r tree -o out & p=$!; "
                              "exec 3>pipe.png; rm -r out; cat noext >&3; exec 3>&-; wait $p");
  INFO(result.err);
  CHECK(result.code == 2);
  CHECK(result.lines().size() == 3);
  CHECK_FALSE(fs::exists(dir / "out"));
  CHECK(result.out.empty());
  CHECK_THAT(
      result.err,
      Contains("kind-infer: cannot write out/pipe.png: No such file or directory\n") &&
          Contains("kind-infer: cannot write out/c.bmp: No such file or directory\n") &&
          Contains("kind-infer: cannot write out/sub/t.png: the folder out is not there any more (tree/sub/t.png)\n"));
}

TEST_CASE("failures: a folder that cannot be written to") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directory(dir / "out");
  ::chmod((dir / "out").c_str(), 0500);
  CHECK_THAT(failure(dir, "a.png -o out/x.png", without_privileges()),
             Contains("cannot write out/x.png: Permission denied"));
  CHECK_THAT(failure(dir, "a.png c.bmp -o out/new/", without_privileges()),
             Contains("cannot be made: Permission denied"));
  ::chmod((dir / "out").c_str(), 0700);
}

TEST_CASE("failures: a second signal leaves at once, and nothing behind") {
  for (const auto& [signal, code] : {std::pair{"INT", 130}, {"TERM", 143}}) {
    const TempDir dir;
    put_pictures(dir);
    const Result result = shell(dir, std::string("mkfifo pipe.png; \"$KIND\" a.png pipe.png c.bmp -o out & p=$!; ") +
                                         "exec 3>pipe.png; until test -e out/a.png; do sleep 0.02; done; kill -" +
                                         signal + " $p; sleep 0.3; kill -" + signal + " $p; wait $p");
    INFO(result.err);
    CHECK(result.code == code);
    CHECK(result.out == "out/a.png\n");
    fs::remove(dir / "pipe.png");
    CHECK(files(dir) == Names{"a.png", "b.JPG", "c.bmp", "d.ppm", "e.pgm", "noext", "out/a.png"});
  }
}

TEST_CASE("failures: a signal while several pictures are computed leaves whole results alone") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  for (int i = 0; i < 40; ++i) {
    write_image(dir / join("in/", 10 + i, ".png"), smooth_picture(300, 200, 3), ImageFormat::kPng);
  }
  const Result result = shell(dir,
                              "\"$KIND\" in -o out -j 2 --report report.json & p=$!; until test -e out/11.png; do "
                              "sleep 0.02; done; kill -INT $p; wait $p");
  INFO(result.err);
  CHECK(result.code == 130);
  const nlohmann::json report = read_json_file(dir / "report.json");
  CHECK(report.at("done").get<int>() + report.at("not_done").get<int>() == 40);
  CHECK(report.at("not_done").get<int>() > 0);
  CHECK(std::distance(fs::directory_iterator(dir / "out"), {}) == report.at("done").get<int>());
  const Bytes first = slurp(fs::directory_iterator(dir / "out")->path().string());
  CHECK(read_image(fs::directory_iterator(dir / "out")->path().string()).width == 300);
  for (const auto& entry : fs::directory_iterator(dir / "out")) CHECK(slurp(entry.path().string()) == first);
}

}  // namespace
}  // namespace kind::testing
