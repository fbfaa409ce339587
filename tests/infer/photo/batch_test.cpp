// Many pictures in one run of kind-infer: trees, streams, runs that are continued, reports.

#include <catch2/catch.hpp>

#include "core/config/config.h"
#include "nets/photograph.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/metadata.h"

namespace kind::testing {
namespace {

using namespace std::string_literals;

nlohmann::json report_of(const TempDir& dir) { return read_json_file(dir / "report.json"); }

/// in/a.png, in/sub/a.png, in/sub/deep/b.jpg and what is to be passed over.
void put_tree(const TempDir& dir) {
  fs::create_directories(dir / "in/sub/deep");
  fs::create_directories(dir / "in/.hidden");
  const Image picture = smooth_picture(12, 10, 3);
  for (const char* name : {"in/a.png", "in/sub/a.png", "in/.hidden/c.png", "in/sub/.d.png"}) {
    write_image(dir / name, picture, ImageFormat::kPng);
  }
  write_image(dir / "in/sub/deep/b.jpg", picture, ImageFormat::kJpeg);
  dir.put("in/sub/notes.txt", std::string("no picture"));
  fs::create_directory_symlink("..", dir / "in/sub/circle");
}

TEST_CASE("batch: a tree is mirrored") {
  const TempDir dir;
  put_tree(dir);
  const std::string all = "out/a.png\nout/sub/a.png\nout/sub/deep/b.jpg\n";
  CHECK(success(dir, "-r in -o out") == all);
  CHECK(success(dir, "in -o flat") == "flat/a.png\n");
  // A folder for results among the inputs is none of them.
  CHECK(success(dir, "-r in -o in/out") == "in/out/a.png\nin/out/sub/a.png\nin/out/sub/deep/b.jpg\n");
  CHECK(success(dir, "-r in -o in/out --overwrite") == "in/out/a.png\nin/out/sub/a.png\nin/out/sub/deep/b.jpg\n");
  CHECK(success(dir, "-r in/sub -f bmp -o maps/out --dump-maps maps/of") == "maps/out/a.bmp\nmaps/out/deep/b.bmp\n");
  CHECK(fs::exists(dir / "maps/of/deep/b-restored.npy"));
  CHECK(fs::exists(dir / "maps/of/a-adjusted.png"));
  // Nor is one for maps.
  fs::remove_all(dir / "in/out");
  for (const char* more : {"", " --overwrite"}) {
    CHECK(success(dir, "-r in -o beside --dump-maps in/maps" + std::string(more)) ==
          "beside/a.png\nbeside/sub/a.png\nbeside/sub/deep/b.jpg\n");
  }
}

TEST_CASE("batch: results never leave their folder by a link, nor clash") {
  const TempDir dir;
  put_tree(dir);
  fs::create_directories(dir / "out");
  fs::create_directories(dir / "elsewhere");
  fs::create_directory_symlink("../elsewhere", dir / "out/sub");
  CHECK_THAT(failure(dir, "-r in -o out"),
             Contains("out/sub: a symbolic link leads from here out of the output folder"));
  CHECK(fs::is_empty(dir / "elsewhere"));
  fs::remove(dir / "out/sub");
  fs::create_directories(dir / "maps");
  fs::create_directory_symlink("../elsewhere", dir / "maps/sub");
  CHECK_THAT(failure(dir, "-r in -o out --dump-maps maps"), Contains("maps/sub: a symbolic link leads from here out"));
  CHECK(fs::is_empty(dir / "elsewhere"));
  fs::create_directory_symlink("../elsewhere", dir / "out/sub");
  // The output folder itself may be a link, and links may lead about inside of it.
  fs::remove(dir / "out/sub");
  fs::create_directory(dir / "out/other");
  fs::create_directory_symlink("other", dir / "out/sub");
  fs::create_directory_symlink("out", dir / "link");
  CHECK(run(dir, "-r in -o link").code == 0);
  CHECK(fs::exists(dir / "out/other/deep/b.jpg"));
  // A link where a result belongs is replaced, not followed.
  dir.put("precious", std::string("keep"));
  fs::remove(dir / "out/a.png");
  fs::create_symlink("../precious", dir / "out/a.png");
  CHECK_THAT(failure(dir, "in/a.png -o out/"), Contains("out/a.png: exists already"));
  CHECK(success(dir, "in/a.png -o out/ --overwrite") == "out/a.png\n");
  CHECK(slurp(dir / "precious") == Bytes{'k', 'e', 'e', 'p'});
  CHECK(fs::is_regular_file(fs::symlink_status(dir / "out/a.png")));
  write_image(dir / "in/sub/a.bmp", smooth_picture(8, 8, 3), ImageFormat::kBmp);
  const Result clash = run(dir, "-r in -f png -o new");
  CHECK(clash.code == 1);
  CHECK(clash.out == "new/a.png\nnew/sub/deep/b.png\n");
  CHECK_THAT(clash.err,
             Contains("kind-infer: new/sub/a.png: both in/sub/a.bmp and in/sub/a.png would be written to it\n"));
}

TEST_CASE("batch: a folder that cannot be listed does not stop the rest") {
  const TempDir dir;
  put_tree(dir);
  fs::path deep = dir / "in/deep";
  for (int i = 0; i < 101; ++i) deep /= "d";
  fs::create_directories(deep);
  const Result result = run(dir, "-r in -o out --report report.json");
  CHECK(result.code == 1);
  CHECK(result.out == "out/a.png\nout/sub/a.png\nout/sub/deep/b.jpg\n");
  CHECK_THAT(result.err, Contains("nested more than 100 deep"));
  const nlohmann::json report = report_of(dir);
  CHECK((report["done"] == 3 && report["failed"] == 1));
  const Result dry = run(dir, "-r in -o new --dry-run");
  CHECK(dry.code == 1);
  CHECK(dry.lines().size() == 1);
  const Result all = run(dir, "-r in/deep -o new --dry-run");
  CHECK(all.code == 2);
  CHECK(all.lines().size() == 1);
}

TEST_CASE("batch: a picture that cannot be looked at is named, not passed over") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directories(dir / "in/deep");
  fs::copy_file(dir / "a.png", dir / "in/a.png");
  fs::copy_file(dir / "a.png", dir / "in/deep/b.png");
  fs::permissions(dir / "in/deep", fs::perms::owner_read);
  const Result result = run(dir, "-r in -o out", without_privileges());
  fs::permissions(dir / "in/deep", fs::perms::owner_all);
  CHECK(result.code == 1);
  CHECK(result.out == "out/a.png\n");
  CHECK_THAT(result.err, Contains("in/deep/b.png: Permission denied"));
  // Nor, with -r, what may be a folder of pictures.
  fs::rename(dir / "in/deep/b.png", dir / "in/b.png");
  fs::create_directories(dir / "in/deep/deeper");
  fs::rename(dir / "in/b.png", dir / "in/deep/deeper/b.png");
  fs::permissions(dir / "in/deep", fs::perms::owner_read);
  const Result deeper = run(dir, "-r in -o out --overwrite", without_privileges());
  const Result flat = run(dir, "in/deep -o out --overwrite", without_privileges());
  fs::permissions(dir / "in/deep", fs::perms::owner_all);
  CHECK(deeper.code == 1);
  CHECK(deeper.out == "out/a.png\n");
  CHECK_THAT(deeper.err, Contains("kind-infer: in/deep/deeper: Permission denied\n"));
  CHECK_THAT(flat.err, Contains("in/deep: there are no pictures"));
}

TEST_CASE("batch: links that lead nowhere or in a circle are passed over") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directory(dir / "in");
  fs::copy_file(dir / "a.png", dir / "in/a.png");
  fs::create_symlink("circle.png", dir / "in/circle.png");
  fs::create_symlink("nowhere.png", dir / "in/dangling.png");
  fs::create_symlink("nowhere.txt", dir / "in/notes.txt");
  const Result result = run(dir, "in -o out");
  CHECK((result.code == 0 && result.out == "out/a.png\n"));
  CHECK_THAT(result.err, Contains("passed over: 2 links that lead nowhere\n"));
  fs::remove(dir / "in/a.png");
  const Result alone = run(dir, "in -o out");
  CHECK(alone.code == 2);
  CHECK_THAT(alone.err, Contains("in: there are no pictures in this folder, only links that lead nowhere (2)\n"));
}

TEST_CASE("batch: files of a folder come in the order of the numbers in their names") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directory(dir / "in");
  for (const char* name : {"a10.png", "a9.png", "a1.png"}) {
    fs::copy_file(dir / "a.png", dir / (std::string("in/") + name));
  }
  CHECK(success(dir, "in -o out --name {n}-{stem}") == "out/1-a1.png\nout/2-a9.png\nout/3-a10.png\n");
}

TEST_CASE("batch: a run is continued with --skip-existing") {
  const TempDir dir;
  put_tree(dir);
  CHECK(success(dir, "in/sub/a.png -o out/sub/") == "out/sub/a.png\n");
  const auto before = fs::last_write_time(dir / "out/sub/a.png");
  const Result result = run(dir, "-r in -o out --skip-existing --report report.json");
  CHECK(result.code == 0);
  CHECK(result.out == "out/a.png\nout/sub/deep/b.jpg\n");
  CHECK_THAT(result.err, Contains("kind-infer: skipped 1 of 3: their results exist\n"));
  CHECK(fs::last_write_time(dir / "out/sub/a.png") == before);
  CHECK((report_of(dir).at("done") == 2 && report_of(dir).at("skipped") == 1 && report_of(dir).at("failed") == 0));
  // Again, with nothing left to do, not even a model to be found.
  const Result again = run(dir, "-r in -o out --skip-existing --report report.json -w none.st");
  CHECK(again.code == 0);
  CHECK(again.out.empty());
  CHECK(again.err ==
        "kind-infer: skipped 3 of 3: their results exist\nkind-infer: passed over: 1 file of other types (.txt 1)\n");
  CHECK(report_of(dir).at("skipped") == 3);
  CHECK_THAT(failure(dir, "-r in -o out --skip-existing --overwrite"), Contains("excludes"));
}

TEST_CASE("batch: --dry-run says what would be written and writes nothing") {
  const TempDir dir;
  put_tree(dir);
  CHECK(success(dir, "in/a.png -o out/") == "out/a.png\n");
  const Names before = files(dir);
  const Result result = run(dir, "-r in -o out --skip-existing --dry-run --report report.json -w none.st");
  CHECK(result.code == 0);
  CHECK(result.out ==
        "in/a.png -> out/a.png (exists)\nin/sub/a.png -> out/sub/a.png\nin/sub/deep/b.jpg -> out/sub/deep/b.jpg\n");
  CHECK(result.err.empty());
  CHECK(files(dir) == before);
  CHECK_THAT(failure(dir, "-r in -o out --dry-run"), Contains("exists already"));
}

TEST_CASE("batch: standard input and output") {
  const TempDir dir;
  put_pictures(dir);
  const Bytes expected = [&] {
    success(dir, "a.png -o x.png");
    return slurp(dir / "x.png");
  }();
  CHECK_THAT(shell(dir, "cat a.png | \"$KIND\" - -o - >piped.png").err,
             Contains("standard input: 24x18, ratio 20, strength 0."));
  CHECK(slurp(dir / "piped.png") == expected);
  CHECK(shell(dir, "\"$KIND\" - -o - <a.png >redirected.png").code == 0);
  CHECK(slurp(dir / "redirected.png") == expected);
  CHECK(shell(dir, "\"$KIND\" a.png -o - -f jpg >x.jpg").code == 0);
  CHECK(type_of(dir / "x.jpg") == ImageFormat::kJpeg);
  CHECK(shell(dir, "\"$KIND\" b.JPG -o - >own").code == 0);
  CHECK(type_of(dir / "own") == ImageFormat::kJpeg);
  const Result named = shell(dir, "\"$KIND\" - c.bmp -o out <a.png");
  CHECK(named.out == "out/stdin.png\nout/c.bmp\n");
  CHECK(slurp(dir / "out/stdin.png") == expected);
  for (const char* command : {"\"$KIND\" - -o - </dev/null", "head -c 100 a.png | \"$KIND\" - -o -",
                              "\"$KIND\" - -o - <&-", "\"$KIND\" a.png -o - >/dev/full"}) {
    const Result result = shell(dir, command);
    INFO(command << ": " << result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(result.lines().size() == 1);
    CHECK_THAT(result.err, Contains("standard"));
  }
  CHECK_THAT(failure(dir, "- - -o out"), Contains("it can be given once"));
  CHECK_THAT(failure(dir, "a.png b.JPG -o -"), Contains("expected one input, got 2"));
  fs::create_directories(dir / "in");
  fs::copy_file(dir / "a.png", dir / "in/a.png");
  fs::copy_file(dir / "c.bmp", dir / "in/c.bmp");
  CHECK_THAT(failure(dir, "in -o -"), Contains("expected one input, there are 2"));
}

TEST_CASE("batch: several pictures at once give the same files in the same order") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  for (int i = 0; i < 12; ++i) {
    write_image(dir / join("in/", i % 2 == 0 ? "b" : "a", i, ".png"), smooth_picture(10 + 7 * i, 90 - 6 * i, 3),
                ImageFormat::kPng);
  }
  dir.put("in/a0.png", std::string("bad"));
  const Result one = run(dir, "in -o one --report report.json");
  CHECK(one.code == 1);
  const nlohmann::json first = report_of(dir);
  for (const char* jobs : {"2", "5", "30"}) {
    const Result several = shell(dir, std::string("OMP_NUM_THREADS=3 \"$KIND\" in -o several --overwrite --report "
                                                  "report.json -j ") +
                                          jobs);
    CHECK(several.code == 1);
    CHECK(several.err == one.err);
    std::string out = several.out;
    for (std::size_t at = out.find("several/"); at != std::string::npos; at = out.find("several/")) {
      out.replace(at, 7, "one");
    }
    CHECK(out == one.out);
    for (const auto& entry : fs::directory_iterator(dir / "one")) {
      CHECK(slurp(entry.path().string()) == slurp(dir / "several/" + entry.path().filename().string()));
    }
    CHECK(report_of(dir).at("done") == first.at("done"));
  }
  CHECK((first.at("done") == 12 && first.at("failed") == 1 && first.at("pictures").size() == 13));
  const nlohmann::json& bad = first.at("pictures")[0];
  CHECK(bad.at("status") == "failed");
  CHECK_THAT(bad.at("error").get<std::string>(), Contains("cannot read in/a0.png: it is not a picture"));
  const nlohmann::json& good = first.at("pictures")[1];
  CHECK((good.at("status") == "done" && good.at("input") == "in/a1.png" && good.at("outputs")[0] == "one/a1.png"));
  CHECK((good.at("width") == 17 && good.at("height") == 84 && good.at("ratios").size() == 1));
  CHECK_THAT(failure(dir, "in -o x -j 0"), Contains("--jobs"));
}

TEST_CASE("batch: memory that does not suffice is said before it is taken") {
  const TempDir dir;
  put_pictures(dir);
  write_image(dir / "large.png", Image(3000, 2000, 3), ImageFormat::kPng);
  CHECK_THAT(failure(dir, "a.png -o x.png --max-mem 10M"),
             Contains("--max-mem: expected more than 160 MiB, got 10 MiB"));
  CHECK_THAT(failure(dir, "a.png -o x.png --max-mem 800"),
             Contains("--max-mem: expected more than 160 MiB, got 800 bytes"));
  for (const char* size : {"0", "x", "-1G", "1X", "1GG", "nan"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o x.png --max-mem ") + size),
               Contains("--max-mem: expected a size such as 800M or 4G"));
  }
  CHECK_THAT(failure(dir, "large.png -o x.png --max-mem 200M"),
             Contains("3000 x 2000 pixels needs") && Contains("MiB of memory, the limit is 40 MiB"));
  CHECK(success(dir, "a.png -o x.png --max-mem 1.5GB") == "x.png\n");
}

TEST_CASE("batch: a ladder of light levels, as files and as one sheet") {
  const TempDir dir;
  put_pictures(dir);
  CHECK(run(dir, "a.png -o x.png --ladder 1,2.5,8").out == "x-x1.png\nx-x2.5.png\nx-x8.png\n");
  const Result result = run(dir, "a.png b.JPG -o out --ladder 1,2.5,8");
  CHECK(result.out == "out/a-x1.png\nout/a-x2.5.png\nout/a-x8.png\nout/b-x1.jpg\nout/b-x2.5.jpg\nout/b-x8.jpg\n");
  CHECK(result.err == "a.png: 24x18, ratio 1, 2.5, 8\nb.JPG: 24x18, ratio 1, 2.5, 8\n");
  success(dir, "a.png -o alone.png --ratio 2.5");
  CHECK(slurp(dir / "out/a-x2.5.png") == slurp(dir / "alone.png"));
  CHECK(success(dir, "a.png -o sheet.png --ladder 1,2,4 --sheet") == "sheet.png\n");
  const Image sheet = read_image(dir / "sheet.png");
  CHECK((sheet.width > 48 && sheet.height > 36 && sheet.channels == 3));
  CHECK(sheet.sample(0, 0, 0) == 24);
  // Below the three results: x1, x2, x4, in dots of 2 x 2 pixels; x has 9 of them, 1 has 10, 2 has 15, 4 has 14.
  int ink = 0;
  for (int y = 0; y < sheet.height; ++y) {
    for (int x = 0; x < sheet.width; ++x) {
      ink += sheet.sample(x, y, 0) == 224 && sheet.sample(x, y, 1) == 224 && sheet.sample(x, y, 2) == 224;
    }
  }
  CHECK(ink == 4 * (3 * 9 + 10 + 15 + 14));
  // A sheet has its own sizes, and colours that a gray picture's profile is not for.
  const std::string exif = exif_block(true, 1, 24, 18);
  const std::string gray = chunk("iCCP", "name\0\0"s + packed(profile("GRAY", 300))) + chunk("eXIf", exif);
  write_image(dir / "g.png", smooth_picture(24, 18, 1), ImageFormat::kPng);
  dir.put("g.png", with_inserted(slurp(dir / "g.png"), gray));
  CHECK_THAT(run(dir, "g.png -o g-sheet.png --ladder 1,2 --sheet").err, Contains("left out: colour profile for other"));
  Metadata metadata;
  const Image gray_sheet = read_image(dir / "g-sheet.png", {}, &metadata);
  const Bytes file = slurp(dir / "g-sheet.png");
  CHECK(metadata.icc.empty());
  CHECK(std::search(file.begin(), file.end(), exif.begin(), exif.end(),
                    [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }) == file.end());
  const std::string right =
      exif_block(true, 1, static_cast<unsigned>(gray_sheet.width), static_cast<unsigned>(gray_sheet.height));
  CHECK(std::search(file.begin(), file.end(), right.begin(), right.end(),
                    [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }) != file.end());
  CHECK_THAT(failure(dir, "a.png -o y.png --ladder 1,2 --ratio 3"), Contains("excludes"));
  CHECK_THAT(failure(dir, "a.png -o y.png --sheet"), Contains("--sheet: expected --ladder with it"));
  CHECK_THAT(failure(dir, "a.png -o - --ladder 1,2"), Contains("expected --sheet"));
  for (const char* ladder : {"0", "1,,2", "1,x", "101", "1,2,1", "nan", "1 2"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o y.png --ladder '") + ladder + "'"), Contains("--ladder: "));
  }
}

TEST_CASE("batch: strength and denoise") {
  const TempDir dir;
  put_pictures(dir);
  success(dir, "a.png -o none.png --strength 0");
  CHECK(read_image(dir / "none.png").data == read_image(dir / "a.png").data);
  success(dir, "a.png -o noisy.png --denoise 0 --ratio 2");
  PhotoOptions options;
  options.light = {LightLevel::Mode::kRatio, 2};
  options.denoise = 0;
  CHECK(read_image(dir / "noisy.png").data ==
        enhance_photo(load_model<float>(models().whole), read_image(dir / "a.png"), options).image.data);
  for (const char* value : {"-0.1", "1.1", "nan"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o y.png --strength ") + value),
               Contains("--strength: expected a number"));
    CHECK_THAT(failure(dir, std::string("a.png -o y.png --denoise ") + value),
               Contains("--denoise: expected a number"));
  }
}

TEST_CASE("batch: a page to compare needs nothing beside itself") {
  const TempDir dir;
  put_tree(dir);
  CHECK_THAT(failure(dir, "-r in -o out --compare page.html"), Contains("--compare: expected one picture, in has 3"));
  put_pictures(dir);
  fs::copy_file(dir / "a.png", dir / "<b> & \"c\".png");
  CHECK(run(dir, "'<b> & \"c\".png' --compare page.html").code == 0);
  const std::string page = text_of_file(dir / "page.html");
  CHECK_THAT(page, Catch::StartsWith("<!DOCTYPE html>") && Contains("&lt;b&gt; &amp; &quot;c&quot;.png") &&
                       Contains("(chosen)") && Contains("default-src 'none'"));
  std::size_t pictures = 0;
  for (std::size_t at = page.find("<img"); at != std::string::npos; at = page.find("<img", at + 1)) ++pictures;
  CHECK(pictures == 9);
  for (const char* outside : {"http:", "https:", "//", "url(", "@import", "<link", "src=\"/"}) {
    std::size_t at = page.find(outside);
    // Base64 may hold slashes: only what stands outside of the pictures counts.
    while (at != std::string::npos && page.rfind("data:image", at) != std::string::npos &&
           page.find('"', page.rfind("data:image", at)) > at) {
      at = page.find(outside, at + 1);
    }
    INFO(outside);
    CHECK(at == std::string::npos);
  }
  // A ratio that is among the levels anyway is there once.
  CHECK(run(dir, "a.png --compare chosen.html --ratio 3 --dry-run").out == "a.png -> chosen.html\n");
  CHECK(success(dir, "a.png --compare chosen.html --ratio 3") == "chosen.html\n");
  const std::string chosen = text_of_file(dir / "chosen.html");
  CHECK_THAT(chosen, Contains("data-name=\"ratio 3 (chosen)\"") && !Contains("data-name=\"ratio 3\""));
  CHECK(run(dir, "a.png -o x.png --compare other.html --ladder 2,3").code == 0);
  CHECK(fs::exists(dir / "x-x2.png"));
  CHECK_THAT(failure(dir, "a.png --compare page.html"), Contains("page.html: exists already"));
  CHECK_THAT(failure(dir, "a.png --compare page.txt"), Contains("--compare: expected a name that ends in .html"));
  CHECK_THAT(failure(dir, "a.png b.JPG -o out --compare p.html"), Contains("--compare: expected one input"));
}

}  // namespace
}  // namespace kind::testing
