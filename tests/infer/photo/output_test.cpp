// Where results go: their names, in the place of their inputs, into pipes; their times; and what of folders is passed over.

#include <fcntl.h>
#include <sys/stat.h>

#include "infer/photo/listing.h"
#include "infer/photo/names.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/faults.h"

namespace kind::testing {
namespace {

TEST_CASE("names: patterns") {
  const NameParts parts{"photo", "jpg", "holiday", "2.5", 7};
  const auto name = [&](const std::string& pattern) { return NamePattern("--name", pattern).name(parts); };
  CHECK(name("{stem}") == "photo.jpg");
  CHECK(name("{stem}.{ext}") == "photo.jpg");
  CHECK(name("{stem}_bright") == "photo_bright.jpg");
  CHECK(name("{dir}-{stem}-x{ratio}") == "holiday-photo-x2.5.jpg");
  CHECK(name("{n}{n:4}.jpeg") == "70007.jpeg");
  CHECK(name("{stem}.png") == "photo.png.jpg");
  CHECK(name("{{{stem}}}") == "{photo}.jpg");
  CHECK(NamePattern::of_suffix("_{n}").name(parts) == "photo_{n}.jpg");
  CHECK(NamePattern("--name", "{stem}").name({"a.b", "pgm", "", "", 1}) == "a.b.pgm");
  for (const char* bad : {"", "a/{stem}", "{steam}", "{stem", "stem}", "{}", "{n:}", "{n:0}", "{n:12}", "{STEM}"}) {
    INFO(bad);
    CHECK_THROWS_WITH(NamePattern("--name", bad), Contains("--name: "));
  }
}

TEST_CASE("names: results are known by their pattern") {
  const auto source = [](const std::string& pattern, const std::string& result) {
    return NamePattern("--name", pattern).source_of(result).value_or("none");
  };
  CHECK(source("{stem}_bright", "in/photo_bright.png") == "photo");
  CHECK(source("{stem}_bright", "in/photo_bright-x2.5.png") == "photo");
  CHECK(source("{stem}_bright.{ext}", "photo_bright-x2.png") == "photo");
  CHECK(source("{stem}_bright.{ext}", "photo_bright.png") == "photo");
  CHECK(source("{stem}.{ext}", "photo.png") == "photo");
  CHECK(source("{n:3}-{stem}x{ratio}", "012-photox0.5.jpg") == "photo");
  CHECK(source("{stem}.new.jpg", "photo.new.jpg") == "photo");
  CHECK(source("{stem}(1)+", "photo(1)+.jpg") == "photo");
  CHECK(source("{stem}_bright", "photo_brighter.png") == "none");
  CHECK(source("{stem}_{stem}2", "photo_photo2.png") == "photo");
  CHECK(source("{stem}_bright", "_bright.png") == "none");
  CHECK(source("{n}", "12.png") == "none");
}

TEST_CASE("names: files go by --name and --suffix") {
  const TempDir dir;
  put_pictures(dir);
  CHECK(success(dir, "a.png b.JPG -o out --suffix _bright") == "out/a_bright.png\nout/b_bright.jpg\n");
  CHECK(success(dir, "a.png b.JPG -o out --name '{n:2}-{stem}-{ext}' -f bmp") ==
        "out/01-a-bmp.bmp\nout/02-b-bmp.bmp\n");
  CHECK(success(dir, "a.png -o out/ --name '{stem}{ratio}' --ratio 2.5") == "out/a2.5.png\n");
  CHECK(run(dir, "a.png -o out/ --name '{ratio}-{stem}' --ladder 1,4").out == "out/1-a.png\nout/4-a.png\n");
  CHECK(run(dir, "a.png -o out/ --suffix _l --ladder 1,4").out == "out/a_l-x1.png\nout/a_l-x4.png\n");
  fs::create_directories(dir / "in/Rome");
  fs::copy_file(dir / "a.png", dir / "in/Rome/a.png");
  CHECK(success(dir, "-r in -o tree --name '{dir} {stem}'") == "tree/Rome/Rome a.png\n");
  CHECK_THAT(failure(dir, "a.png -o new/ --name '{what}'"),
             Contains("expected {stem}, {ext}") && Contains("got {what}"));
  CHECK_THAT(failure(dir, "a.png -o new/ --name '{stem}{ratio}'"), Contains("{ratio} is known before the work"));
  CHECK_THAT(failure(dir, "a.png -o new/ --name x --suffix y"), Contains("excludes"));
  CHECK_THAT(failure(dir, "a.png -o new/ --suffix ../y"), Contains("--suffix: expected a text without '/'"));
}

TEST_CASE("names: a clash concerns those files alone") {
  const TempDir dir;
  put_pictures(dir);
  fs::copy_file(dir / "a.png", dir / "a.bmp");
  const Result some = run(dir, "a.png a.bmp c.bmp a.png -f png -o some --report report.json");
  INFO(some.err);
  CHECK(some.code == 1);
  CHECK(some.out == "some/c.png\n");
  CHECK(some.lines().size() == 3);
  CHECK_THAT(some.err, Contains("kind-infer: some/a.png: both a.png and a.bmp would be written to it\n"));
  CHECK_THAT(text_of_file(dir / "report.json"), Contains("\"failed\": 3"));
  const Result one = run(dir, "a.png b.JPG -o one --name x -f png");
  CHECK(one.code == 2);
  CHECK(one.lines().size() == 1);
  CHECK(run(dir, "a.png a.bmp c.bmp -f png -o dry --dry-run").out == "c.bmp -> dry/c.png\n");
}

TEST_CASE("names: results among the inputs are no inputs again") {
  const TempDir dir;
  fs::create_directories(dir / "in/sub");
  for (const char* name : {"in/a.png", "in/b.png", "in/sub/c.png", "in/d_bright.png"}) {
    write_image(dir / name, smooth_picture(12, 10, 3), ImageFormat::kPng);
  }
  const std::string arguments = "-r in -o in --suffix _bright --skip-existing";
  CHECK(success(dir, "in/a.png -o in --suffix _bright") == "in/a_bright.png\n");
  const Result second = run(dir, arguments);
  // Nothing is called d.png: this one is a photograph.
  CHECK(second.out == "in/b_bright.png\nin/d_bright_bright.png\nin/sub/c_bright.png\n");
  CHECK_THAT(second.err, Contains("kind-infer: skipped 1 of 4: their results exist\n") &&
                             Contains("kind-infer: skipped 1 result of an earlier run (--suffix _bright)\n"));
  const Result third = run(dir, arguments);
  CHECK(third.code == 0);
  CHECK(third.out.empty());
  CHECK_THAT(third.err,
             Contains("skipped 4 of 4: their results exist") && Contains("skipped 4 results of an earlier run"));
  // As a shell gives them.
  CHECK_THAT(shell(dir, "cd in && \"$KIND\" *.png -o . --suffix _bright --skip-existing").err,
             Contains("skipped 3 of 3") && Contains("skipped 3 results"));
  // Alone, or for elsewhere, they are.
  CHECK(success(dir, "in/a_bright.png -o in --suffix _bright") == "in/a_bright_bright.png\n");
  CHECK(success(dir, "in/a.png in/a_bright.png -o out --suffix _bright") ==
        "out/a_bright.png\nout/a_bright_bright.png\n");
}

TEST_CASE("names: a photograph of another size that is called like a result is an input") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  write_image(dir / "in/a.png", smooth_picture(12, 10, 3), ImageFormat::kPng);
  write_image(dir / "in/a_b.png", smooth_picture(10, 12, 3), ImageFormat::kPng);
  const Bytes original = slurp(dir / "in/a_b.png");
  CHECK_THAT(failure(dir, "in -o in --suffix _b --overwrite"), Contains("a_b.png"));
  CHECK(slurp(dir / "in/a_b.png") == original);
  CHECK_THAT(failure(dir, "in -o out/ --name '{n}-{stem}' --skip-existing"), Contains("--name: {n} counts anew"));
}

TEST_CASE("in place: the input is replaced, its backup kept") {
  const TempDir dir;
  put_pictures(dir);
  success(dir, "a.png -o x.png");
  const Bytes original = slurp(dir / "a.png"), expected = slurp(dir / "x.png");
  fs::permissions(dir / "a.png", fs::perms(0640));
  fs::create_symlink("a.png", dir / "link.png");
  CHECK(run(dir, "a.png c.bmp --in-place --dry-run --backup .old").out ==
        "a.png -> a.png, the original -> a.png.old\nc.bmp -> c.bmp, the original -> c.bmp.old\n");
  CHECK_FALSE(fs::exists(dir / "a.png.old"));
  CHECK(success(dir, "a.png c.bmp --in-place") == "a.png\nc.bmp\n");
  CHECK(slurp(dir / "a.png") == expected);
  CHECK(slurp(dir / "a.png~") == original);
  CHECK(fs::status(dir / "a.png").permissions() == fs::perms(0640));
  CHECK(fs::exists(dir / "c.bmp~"));
  // Backups are never replaced.
  CHECK_THAT(failure(dir, "a.png --in-place"), Contains("a.png: its backup a.png~ exists already and is kept"));
  const Result some = run(dir, "a.png d.ppm --in-place");
  CHECK(some.code == 1);
  CHECK(some.out == "d.ppm\n");
  const Result again = run(dir, "a.png b.JPG --in-place --skip-existing");
  CHECK(again.code == 0);
  CHECK(again.out == "b.JPG\n");
  CHECK_THAT(again.err, Contains("skipped 1 of 2: their backups exist"));
  CHECK(slurp(dir / "a.png~") == original);
  // A link stays one; the type is the content's, whatever the name says.
  const std::string other = run(dir, "link.png --in-place --backup .orig").out;
  CHECK_THAT(other, Contains("a.png\n"));
  CHECK(fs::is_symlink(fs::symlink_status(dir / "link.png")));
  CHECK(fs::exists(dir / "a.png.orig"));
  CHECK(success(dir, "noext --in-place") == "noext\n");
  CHECK(type_of(dir / "noext") == ImageFormat::kPng);
  for (const char* wrong :
       {"a.png --in-place -o x.png", "a.png --in-place -f jpg", "a.png --in-place --suffix x",
        "a.png --in-place --ladder 1,2", "a.png --backup .orig -o y.png", "- --in-place",
        "a.png --in-place --backup ''", "a.png --in-place --backup .old.png", "a.png --in-place --backup /x"}) {
    failure(dir, wrong);
  }
}

TEST_CASE("in place: what a run that ended left half done is done") {
  const TempDir dir;
  put_pictures(dir);
  const Bytes original = slurp(dir / "a.png");
  for (const char* skip : {"", " --skip-existing"}) {
    // The backup is the input itself, by a second name: it has not been replaced.
    fs::create_hard_link(dir / "a.png", dir / "a.png~");
    CHECK(success(dir, std::string("a.png --in-place") + skip) == "a.png\n");
    CHECK(slurp(dir / "a.png") != original);
    CHECK(slurp(dir / "a.png~") == original);
    fs::rename(dir / "a.png~", dir / "a.png");
  }
}

TEST_CASE("in place: whatever call fails, the original is there") {
  struct Fault {
    const char* call;
    int error;
    long skip;
  };
  for (const Fault& f :
       {Fault{"write", ENOSPC, 200}, {"fsync", EIO, 0}, {"link", EIO, 0}, {"rename", EIO, 0}, {"open", EROFS, 0}}) {
    const TempDir dir;
    fs::create_directory(dir / "in");
    write_image(dir / "in/large.png", test_picture(60, 40, 3), ImageFormat::kPng);
    const Bytes original = slurp(dir / "in/large.png");
    const Result result = shell(dir, with_fault(f.call, f.error, f.skip, dir / "in") + "\"$KIND\" in --in-place");
    INFO(f.call << ": " << result.err);
    CHECK(result.code == 2);
    CHECK(slurp(dir / "in/large.png") == original);
    CHECK(files(dir) == Names{"in/large.png"});
  }
  // A file system without links.
  const TempDir dir;
  fs::create_directory(dir / "in");
  write_image(dir / "in/a.png", test_picture(60, 40, 3), ImageFormat::kPng);
  const Bytes original = slurp(dir / "in/a.png");
  const Result result =
      shell(dir, with_fault("link", EPERM, 0, dir / "in/a.png~") + "\"$KIND\" in --in-place --keep-time");
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(slurp(dir / "in/a.png~") == original);
  CHECK(read_image(dir / "in/a.png").data != read_image(dir / "in/a.png~").data);
  CHECK(files(dir) == Names{"in/a.png", "in/a.png~"});
}

TEST_CASE("results have the input's time where that is asked for") {
  const TempDir dir;
  put_pictures(dir);
  const timespec times[] = {{1000000000, 123456789}, {1000000000, 123456789}};
  REQUIRE(::utimensat(AT_FDCWD, (dir / "a.png").c_str(), times, 0) == 0);
  struct stat status {};
  for (const char* arguments : {"-o x.png --keep-time", "-o x.bmp --ladder 2 --keep-time", "--in-place --keep-time"}) {
    CHECK(run(dir, std::string("a.png ") + arguments).code == 0);
  }
  for (const char* name : {"x.png", "x-x2.bmp", "a.png"}) {
    REQUIRE(::stat((dir / name).c_str(), &status) == 0);
    CHECK((status.st_mtim.tv_sec == 1000000000 && status.st_mtim.tv_nsec == 123456789));
  }
  CHECK(run(dir, "a.png -o y.png").code == 0);
  REQUIRE(::stat((dir / "y.png").c_str(), &status) == 0);
  CHECK(status.st_mtim.tv_sec > 1000000000);
}

TEST_CASE("folders: what cannot be looked at is named and fails") {
  const TempDir dir;
  fs::create_directories(dir / "in/deep");
  for (const char* name : {"in/a.png", "in/b.png", "in/deep/c.png", "in/.hidden.png"}) {
    write_image(dir / name, smooth_picture(12, 10, 3), ImageFormat::kPng);
  }
  for (const int error : {EIO, ESTALE, EACCES}) {
    for (const char* name : {"in/b.png", "in/deep"}) {
      const Result result = shell(dir, with_fault("stat", error, 0, dir / name) + "\"$KIND\" -r in -o out --overwrite");
      INFO(name << ": " << result.err);
      CHECK(result.code == 1);
      CHECK_THAT(result.out, Contains("out/a.png\n"));
      CHECK_THAT(result.err, Contains(std::string("kind-infer: ") + name + ": " + std::strerror(error) + "\n"));
    }
  }
  CHECK(shell(dir, with_fault("stat", EIO, 0, dir / "in/.hidden.png") + "\"$KIND\" in -o out --overwrite").code == 0);
  const Result deep =
      shell(dir,
            "n=$(printf 'd%.0s' $(seq 240)); (cd in; for i in $(seq 20); do mkdir $n; cd $n; done) 2>/dev/null; "
            "\"$KIND\" -r in -o long; code=$?; rm -r in/$n; "
            "exit $code");
  CHECK(deep.code == 1);
  CHECK_THAT(deep.err, Contains("File name too long"));
  CHECK(deep.lines().size() <= 4);
}

TEST_CASE("folders: files of other types are counted") {
  CHECK(passed_over_text({{".mp4", 8}, {".txt", 4}}) == "12 files of other types (.mp4 8, .txt 4)");
  CHECK(passed_over_text({{"", 1}}) == "1 file of other types (without extension 1)");
  std::map<std::string, std::size_t> many;
  for (char c = 'a'; c < 'l'; ++c) many[std::string(".") + c] = 1;
  CHECK_THAT(passed_over_text(many), Contains("11 files") && Contains(".h 1, more 3)"));
  const TempDir dir;
  fs::create_directories(dir / "in/sub");
  write_image(dir / "in/a.png", smooth_picture(12, 10, 3), ImageFormat::kPng);
  for (const char* name : {"in/x.MOV", "in/y.mov", "in/z.mp4", "in/.z", "in/sub/w.mp4", "in/README"})
    dir.put(name, std::string("x"));
  const Result flat = run(dir, "in -o out");
  CHECK(flat.code == 0);
  CHECK_THAT(flat.err,
             Contains("kind-infer: passed over: 4 files of other types (.mov 2, without extension 1, .mp4 1)\n"));
  CHECK_THAT(run(dir, "-r in -o out --overwrite --report report.json").err,
             Contains("5 files of other types (.mov 2, .mp4 2,"));
  CHECK_THAT(text_of_file(dir / "report.json"), Contains("\"passed_over\": {") && Contains("\".mov\": 2"));
}

TEST_CASE("options without effect are said, once, and do not fail") {
  const TempDir dir;
  put_pictures(dir);
  const auto says = [&](const std::string& arguments, const std::string& line) {
    const Result result = run(dir, arguments);
    INFO(arguments << ": " << result.err);
    CHECK(result.code == 0);
    const std::vector<std::string> lines = result.lines();
    CHECK(std::count_if(lines.begin(), lines.end(), [&](const std::string& l) {
            return l.find("kind-infer: " + line) == 0 && l.find("has no effect") != std::string::npos;
          }) == (line.empty() ? 0 : 1));
  };
  says("a.png -o q.png --quality 80", "--quality has no effect: it is for ");
  says("a.png b.JPG -o q --quality 80", "");
  says("a.png c.bmp -o r --chroma 420", "--chroma has no effect");
  says("a.png -o q.jpg --chroma 420 --quality 80", "");
  says("a.png -r -o s.png", "--recursive has no effect");
  says("a.png -o - --overwrite", "--overwrite has no effect");
  says("a.png -o t.png --suffix _x", "--suffix _x has no effect: -o names the result");
  CHECK_THAT(failure(dir, "a.png b.JPG -o name.png"), Contains("name.png: this is the name of a file"));
  CHECK(success(dir, "a.png b.JPG -o name.png/") == "name.png/a.png\nname.png/b.jpg\n");
  CHECK(success(dir, "a.png b.JPG -o name.png --overwrite") == "name.png/a.png\nname.png/b.jpg\n");
}

TEST_CASE("light that goes no further says so") {
  const TempDir dir;
  put_pictures(dir);
  CHECK_THAT(run(dir, "a.png -o b.png --brighter 10").err, Contains("as bright as it gets"));
  CHECK_THAT(run(dir, "a.png -o d.png --darker 10").err, Contains("as dark as the picture itself, and so as it gets"));
  CHECK_THAT(run(dir, "a.png -o c.png").err, !Contains("as it gets"));
}

TEST_CASE("results go to pipes and open files") {
  const TempDir dir;
  put_pictures(dir);
  success(dir, "a.png -o x.png");
  success(dir, "a.png -o x.bmp");
  CHECK(shell(dir, "\"$KIND\" a.png -o /dev/stdout | cat >piped").code == 0);
  CHECK(slurp(dir / "piped") == slurp(dir / "x.png"));
  CHECK(shell(dir, "\"$KIND\" a.png -f bmp -o /dev/stdout >redirected").code == 0);
  CHECK(slurp(dir / "redirected") == slurp(dir / "x.bmp"));
  CHECK(shell(dir, "\"$KIND\" a.png -o /dev/fd/5 5>five").code == 0);
  CHECK(slurp(dir / "five") == slurp(dir / "x.png"));
  const Result fifo =
      shell(dir, "mkfifo pipe; cat pipe >through & \"$KIND\" a.png -f bmp -o pipe; c=$?; wait; exit $c");
  CHECK(fifo.code == 0);
  CHECK(slurp(dir / "through") == slurp(dir / "x.bmp"));
  CHECK(fs::is_fifo(dir / "pipe"));
  const Result substituted = shell(dir, "bash -c \"'$KIND' a.png -o >(cat >seen); sleep 0.5\"");
  INFO(substituted.err);
  CHECK(substituted.code == 0);
  CHECK(slurp(dir / "seen") == slurp(dir / "x.png"));
  const Result closed = shell(dir, "\"$KIND\" a.png -o /dev/fd/77");
  CHECK(closed.code == 2);
  CHECK_THAT(closed.err, Contains("cannot write /dev/fd/77: Bad file descriptor"));
  CHECK(shell(dir, "\"$KIND\" a.png -o /dev/full").code == 2);
}

TEST_CASE("tolerant: what can be decoded of a picture is enhanced") {
  const TempDir dir;
  for (const char* name : {"whole.png", "whole.jpg"}) {
    write_image(dir / name, smooth_picture(160, 120, 3),
                std::string(name) == "whole.png" ? ImageFormat::kPng : ImageFormat::kJpeg);
    const Bytes bytes = slurp(dir / name);
    const std::string type = name + 6;
    dir.put("cut." + type, Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() * 3 / 4)));
    const Result refused = run(dir, "cut." + type + " -o out/");
    CHECK(refused.code == 2);
    const Result result = run(dir, "cut." + type + " " + name + " -o out --tolerant --report report.json --overwrite");
    INFO(result.err);
    CHECK(result.code == 1);
    CHECK(result.out == "out/cut." + type + "\nout/whole." + type + "\n");
    CHECK_THAT(result.lines().at(0), Contains("; damaged, only what can be decoded: "));
    CHECK_THAT(result.lines().at(1), !Contains("damaged"));
    CHECK_THAT(text_of_file(dir / "report.json"), Contains("\"damage\": \"") && Contains("\"done\": 2"));
    // The upper rows are those of the whole picture, the last ones are black.
    std::string damage;
    ReadLimits limits;
    limits.damage = &damage;
    const Image cut = read_image(dir / ("cut." + type), limits), whole = read_image(dir / name);
    CHECK_FALSE(damage.empty());
    REQUIRE((cut.width == 160 && cut.height == 120));
    CHECK(std::equal(cut.row(0), cut.row(40), whole.row(0)));
    CHECK(std::all_of(cut.row(119), cut.row(119) + cut.row_bytes(), [](std::uint8_t value) { return value == 0; }));
    damage.clear();
    CHECK(read_image(dir / name, limits).data == whole.data);
    CHECK(damage.empty());
  }
  // What is no picture at all stays refused.
  dir.put("bad.png", std::string("\x89PNG\r\n\x1a\n and no more"));
  CHECK_THAT(failure(dir, "bad.png -o y.png --tolerant"), Contains("bad.png"));
}

}  // namespace
}  // namespace kind::testing
