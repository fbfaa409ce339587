// Runs the program itself: what it writes and prints, and its exit codes. Long because all its cases share the pictures and
// models that they are run on.

#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "core/files/npy.h"
#include "core/image/animation.h"
#include "core/image/color.h"
#include "nets/pipeline.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/dng.h"
#include "tests/support/metadata.h"
#include "tests/support/pictures.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

TEST_CASE("kind-infer: help and version") {
  const TempDir dir;
  const Result help = run(dir, "--help"), version = run(dir, "--version");
  CHECK(help.code == 0);
  CHECK_THAT(help.out, Contains("--output") && Contains("--weights") && Contains("--target-mean") &&
                           Contains("--fusion") && Contains("--dump-maps") && Contains("--overwrite"));
  CHECK(version.code == 0);
  CHECK_THAT(version.out, Contains("kind-infer ") && Contains("instruction sets: ") && Contains("codecs: png"));
  CHECK((help.err + version.err).empty());
}

TEST_CASE("kind-infer: wrong usage is said in one line") {
  const TempDir dir;
  put_pictures(dir);
  CHECK_THAT(failure(dir, ""), Contains("--help"));
  CHECK_THAT(failure(dir, "a.png"), Contains("--output"));
  CHECK_THAT(failure(dir, "-o x.png"), Contains("input"));
  CHECK_THAT(failure(dir, "a.png -o x.png --bright"), Contains("--bright") && !Contains("./"));
  fs::copy_file(dir / "a.png", dir / "-dash.png");
  CHECK_THAT(failure(dir, "-dash.png -o x.png"), Contains("'-dash.png'") && Contains("'./-dash.png'"));
  fs::remove(dir / "-dash.png");
  CHECK_THAT(failure(dir, "a.png -o x.png --ratio 2 --target-mean 0.5"), Contains("--ratio excludes --target-mean"));
  CHECK_THAT(failure(dir, "a.png -o x.png --auto --ratio 2"), Contains("excludes"));
  CHECK_THAT(failure(dir, "a.png -o x.png --target-mean 0.5 --auto"), Contains("excludes"));
  CHECK_THAT(failure(dir, "'' -o x.png"), Contains("input: expected a file or folder, got an empty name"));
  for (const char* ratio : {"0", "-1", "100.1", "nan", "inf"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o x.png --ratio ") + ratio), Contains("--ratio: expected a number"));
  }
  for (const char* mean : {"-0.1", "1.1", "nan"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o x.png --target-mean ") + mean),
               Contains("--target-mean: expected a number from 0 to 1"));
  }
  CHECK_THAT(failure(dir, "a.png -o x.png --brighter 1 --darker 1"), Contains("excludes"));
  CHECK_THAT(failure(dir, "a.png -o x.png --brighter 1 --ratio 2"), Contains("excludes"));
  for (const char* stops : {"-1", "11", "nan"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o x.png --darker ") + stops),
               Contains("--darker: expected stops from 0"));
  }
  CHECK_THAT(failure(dir, "a.png -o x.png --ratio much"), Contains("--ratio") && Contains("much"));
  CHECK_THAT(failure(dir, "a.png -o x.png --fusion paper"), Contains("--fusion"));
  for (const char* threads : {"0", "1025", "-1", "two"}) {
    CHECK_THAT(failure(dir, std::string("a.png -o x.png -t ") + threads), Contains("--threads"));
  }
  for (const char* option : {"-o ''", "-o x.png -w ''", "-o x.png -f ''", "-o x.png --dump-maps ''"}) {
    CHECK_THAT(failure(dir, std::string("a.png ") + option), Contains("expected a value, got an empty one"));
  }
  CHECK_THAT(failure(dir, "a.png -o out/ -f gif"),
             Contains("--format: expected one of png, jpg, bmp, ppm") && Contains(", got 'gif'"));
  CHECK_THAT(failure(dir, "a.png -o x.png -f jpg"),
             Contains("x.png: its name asks for another type than --format jpg"));
  CHECK_THAT(failure(dir, "a.png -o x"), Contains("x: expected a name that ends in one of"));
  CHECK_THAT(failure(dir, "a.png -o x.gif"), Contains("x.gif: expected a name that ends in one of"));
  if (can_read_image(ImageFormat::kHeif)) {
    CHECK_THAT(failure(dir, "a.png -o x.heic"), Contains("x.heic: such files are only read here: expected a name"));
    CHECK_THAT(failure(dir, "a.png -o out/ -f heic"), Contains("--format: expected one of png, jpg"));
  }
  CHECK_THAT(failure(dir, "a.png b.JPG -o c.bmp"), Contains("c.bmp: expected a folder"));
  const Result isa = shell(dir, "KIND_ISA=sse9 \"$KIND\" a.png -o x.png");
  CHECK(isa.code == 2);
  CHECK_THAT(isa.err, Contains("sse9"));
}

TEST_CASE("kind-infer: one picture becomes what the library makes of it") {
  const TempDir dir;
  put_pictures(dir);
  const Model<float> model = load_model<float>(models().whole);
  const auto expected = [&](const EnhanceOptions& options) {
    return to_image(enhance(model, to_tensor(read_image(dir / "a.png")), options).output).data;
  };
  using Mode = LightLevel::Mode;
  const std::pair<const char*, EnhanceOptions> cases[] = {
      {"", {}},
      {"--auto", {}},
      {"--fusion none -t 2", {{}, Fusion::kNone}},
      {"--fusion auto", {}},
      {"--ratio 2.5", {{Mode::kRatio, 2.5}}},
      {"--brighter 1.5", {{Mode::kAuto, 0, 1.5}}},
      {"--darker 2", {{Mode::kAuto, 0, -2}}},
      {"--target-mean 0.2", {{Mode::kTargetMean, 0.2}}},
      {"--fusion official", {{}, Fusion::kOfficial}},
      {"--ratio 100 --fusion official", {{Mode::kRatio, 100}, Fusion::kOfficial}},
  };
  std::set<Bytes> different;
  for (const auto& [arguments, options] : cases) {
    CHECK(success(dir, std::string("a.png -o x.png --overwrite ") + arguments) == "x.png\n");
    const Image result = read_image(dir / "x.png");
    CHECK((result.width == 24 && result.height == 18 && result.channels == 3 && result.bits == 8));
    CHECK(result.data == expected(options));
    different.insert(result.data);
  }
  CHECK(different.size() >= 4);
  const Result result = run(dir, "a.png -o x.png --overwrite --ratio 2.5");
  CHECK(result.err == "a.png: 24x18, ratio 2.5\n");
}

TEST_CASE("kind-infer: types of single results, by their names") {
  const TempDir dir;
  put_pictures(dir);
  const std::pair<const char*, ImageFormat> names[] = {{"x.PNG", ImageFormat::kPng},
                                                       {"x.jpeg", ImageFormat::kJpeg},
                                                       {"x.bmp", ImageFormat::kBmp},
                                                       {"x.Ppm", ImageFormat::kPpm}};
  for (const auto& [name, type] : names) {
    CHECK(success(dir, std::string("noext -o ") + name) == std::string(name) + "\n");
    CHECK(type_of(dir / name) == type);
  }
}

TEST_CASE("kind-infer: several pictures go to a folder, in their own types") {
  const TempDir dir;
  put_pictures(dir);
  CHECK(success(dir, "noext e.pgm d.ppm c.bmp b.JPG a.png -o deep/out") ==
        "deep/out/noext.png\ndeep/out/e.pgm\ndeep/out/d.ppm\ndeep/out/c.bmp\ndeep/out/b.jpg\ndeep/out/a.png\n");
  const std::pair<const char*, ImageFormat> results[] = {
      {"noext.png", ImageFormat::kPng}, {"e.pgm", ImageFormat::kPpm},  {"d.ppm", ImageFormat::kPpm},
      {"c.bmp", ImageFormat::kBmp},     {"b.jpg", ImageFormat::kJpeg}, {"a.png", ImageFormat::kPng}};
  for (const auto& [name, type] : results) CHECK(type_of(dir / "deep/out/" + name) == type);
  CHECK(success(dir, "a.png -o one/") == "one/a.png\n");
  CHECK(success(dir, "c.bmp -o one") == "one/c.bmp\n");
  CHECK(success(dir, "a.png c.bmp -f jpeg -o one") == "one/a.jpg\none/c.jpg\n");
  CHECK(type_of(dir / "one/a.jpg") == ImageFormat::kJpeg);
}

TEST_CASE("kind-infer: files called .pgm hold gray pictures") {
  const TempDir dir;
  put_pictures(dir);
  CHECK(success(dir, "e.pgm -o gray.PGM") == "gray.PGM\n");
  CHECK(read_image(dir / "gray.PGM").channels == 1);
  CHECK(success(dir, "e.pgm -o out/ --ladder 1,2 --sheet") == "out/e.ppm\n");
  CHECK_THAT(failure(dir, "a.png -o x.pgm"), Contains("cannot write x.pgm: PGM is for gray pictures and this one"));
  for (const char* type : {"pgm", ".PGM"}) {
    CHECK_THAT(failure(dir, std::string("e.pgm -o out/ --overwrite -f ") + type),
               Contains("--format: expected one of png, jpg, bmp, ppm") && Contains(std::string(", got '") + type));
  }
  CHECK_THAT(failure(dir, "e.pgm -o x.pgm --ladder 1,2 --sheet"),
             Contains("x.pgm: PGM is for gray pictures and a sheet"));
}

TEST_CASE("kind-infer: pictures of every format of the table, each into its own") {
  const TempDir dir;
  fs::create_directory(dir / "in");
  const Image picture = smooth_picture(24, 18, 3);
  for (const ImageFormatRow& row : kImageFormats) {
    if (!can_write_image(row.format)) continue;
    // Named by the second extension where there is one; results get the first.
    const std::string name(row.extensions[1].empty() ? row.extensions[0] : row.extensions[1]);
    const Image input = row.gray_extension == name ? smooth_picture(24, 18, 1) : picture;
    write_image(dir / ("in/" + std::string(row.id) + "." + name), input, row.format, {.jpeg_quality = 100});
  }
  CHECK(run(dir, "in -o out --ratio 2").code == 0);
  CHECK(run(dir, "in -o out/webp/ --ratio 2 -f png").code == 0);
  for (const ImageFormatRow& row : kImageFormats) {
    if (!can_write_image(row.format)) continue;
    INFO(row.name);
    const bool pgm = row.gray_extension == "pgm";
    const std::string name = std::string(row.id) + "." + std::string(pgm ? row.gray_extension : row.extensions[0]);
    CHECK(type_of(dir / ("out/" + name)) == row.format);
    // Nearly the same pixels give nearly the same result.
    const Image plain = read_image(dir / (pgm ? "out/webp/ppm.png" : "out/webp/png.png"));
    const Image result = read_image(dir / ("out/" + name));
    REQUIRE((result.width == 24 && result.height == 18));
    CHECK(std::abs(plain.sample(12, 9, 0) - result.sample(12, 9, 0)) <= 12);
  }
}

TEST_CASE("kind-infer: bits that a format has no place for are named") {
  const TempDir dir;
  write_image(dir / "a.png", test_picture(24, 18, 3, 16), ImageFormat::kPng);
  if (!can_write_image(ImageFormat::kAvif)) return;
  CHECK_THAT(run(dir, "a.png -o x.avif").err, Contains("; left out: 4 of 16 bits\n"));
  CHECK_THAT(run(dir, "a.png -o y.avif --bits 8").err, !Contains("left out"));
  CHECK(read_image(dir / "y.avif").bits == 8);
}

TEST_CASE("kind-infer: a mean that no ratio reaches is said") {
  const TempDir dir;
  put_pictures(dir);
  CHECK_THAT(run(dir, "a.png -o x.png --target-mean 1").err, Contains(", the nearest to --target-mean"));
  const std::string line = run(dir, "e.pgm -o y.png --target-mean 0").err;
  const double mean = std::stod(line.substr(line.find("mean ") + 5));
  double sum = 0;
  for (const std::uint8_t sample : read_image(dir / "y.png").data) sum += sample;
  CHECK(mean == Approx(sum / (255.0 * 24 * 18)).margin(0.006));
  CHECK_THAT(run(dir, "a.png -o z.png --ratio 2").err, !Contains("mean"));
  CHECK_THAT(run(dir, "a.png -o w.png --target-mean " + std::to_string(mean)).err, !Contains("mean"));
}

TEST_CASE("kind-infer: a folder's pictures, sorted, without what is none by name or lies deeper") {
  const TempDir dir;
  fs::create_directories(dir / "in/deeper.png");
  const Image picture = smooth_picture(6, 5, 3);
  for (const char* name : {"in/b.png", "in/A.JPEG", "in/c.txt", "in/deeper.png/d.png", "z.png"}) {
    write_image(dir / name, picture, ImageFormat::kPng);
  }
  dir.put("in/._b.png", "what macOS leaves beside pictures");
  fs::create_symlink("circle.png", dir / "in/circle.png");
  CHECK(success(dir, "in -o out") == "out/A.jpg\nout/b.png\n");
  CHECK(success(dir, "z.png in/ -f png -o all") == "all/z.png\nall/A.png\nall/b.png\n");
  fs::create_directory(dir / "empty");
  CHECK_THAT(
      failure(dir, "z.png empty -o more"),
      Contains("empty: there are no pictures that are read (PNG, JPEG, BMP, PPM, PGM") && Contains(") in this folder"));
}

TEST_CASE("kind-infer: files that exist are replaced when asked to, inputs never") {
  const TempDir dir;
  put_pictures(dir);
  const Bytes input = slurp(dir / "a.png");
  dir.put("old.png", std::string("old"));
  CHECK_THAT(failure(dir, "a.png -o old.png"), Contains("old.png: exists already; --overwrite replaces it"));
  CHECK(slurp(dir / "old.png") == Bytes{'o', 'l', 'd'});
  CHECK(success(dir, "a.png -o old.png --overwrite") == "old.png\n");
  CHECK(read_image(dir / "old.png").width == 24);

  fs::create_symlink("a.png", dir / "soft.png");
  fs::create_hard_link(dir / "a.png", dir / "hard.png");
  fs::create_directory_symlink(".", dir / "here");
  for (const char* name : {"a.png", "./a.png", "here/a.png", "soft.png", "hard.png"}) {
    CHECK_THAT(failure(dir, std::string("a.png --overwrite -o ") + name),
               Contains(std::string(name) + ": this is an input; inputs are never overwritten"));
  }
  CHECK_THAT(failure(dir, "soft.png --overwrite -o a.png"), Contains("never overwritten"));
  CHECK_THAT(failure(dir, "a.png c.bmp --overwrite -o ."), Contains("never overwritten"));
  CHECK_THAT(failure(dir, "a.png c.bmp -f png --overwrite -o here"), Contains("here/a.png: this is an input"));
  // Of several results one is in the way: none is written.
  fs::create_directory(dir / "out");
  dir.put("out/c.bmp", std::string("old"));
  CHECK_THAT(failure(dir, "a.png c.bmp -o out"), Contains("out/c.bmp: exists already"));
  CHECK(slurp(dir / "a.png") == input);
}

TEST_CASE("kind-infer: nothing is written twice") {
  const TempDir dir;
  put_pictures(dir);
  fs::create_directory(dir / "sub");
  for (const char* name : {"a.bmp", "sub/a.png", "a-restored.png"}) fs::copy_file(dir / "a.png", dir / name);
  CHECK_THAT(failure(dir, "a.png a.bmp -f png -o out"),
             Contains("out/a.png: both a.png and a.bmp would be written to it"));
  CHECK_THAT(failure(dir, "a.png sub/a.png -o out"), Contains("both a.png and sub/a.png"));
  CHECK_THAT(failure(dir, "a.png a.png -o out"), Contains("both a.png and a.png"));
  CHECK_THAT(failure(dir, "a.png a.bmp --dump-maps maps -o out"), Contains("maps/a-reflectance.png: both"));
  // A map of one and the result of another, the folder by two names.
  CHECK_THAT(failure(dir, "a.png a-restored.png --dump-maps \"$PWD/out\" -o sub/../out"),
             Contains("both a.png and a-restored.png"));
}

TEST_CASE("kind-infer: maps as pictures and as numbers") {
  const TempDir dir;
  put_pictures(dir);
  CHECK(success(dir, "a.png b.JPG -o out --dump-maps some/maps --ratio 2") == "out/a.png\nout/b.jpg\n");
  const Enhanced e = enhance(load_model<float>(models().whole), to_tensor(read_image(dir / "a.png")),
                             {{LightLevel::Mode::kRatio, 2}, Fusion::kNone});
  const std::pair<const char*, const Tensor<float>*> maps[] = {{"reflectance", &e.reflectance},
                                                               {"illumination", &e.illumination},
                                                               {"restored", &e.restored},
                                                               {"adjusted", &e.adjusted}};
  for (const auto& [name, map] : maps) {
    CAPTURE(name);
    const std::string stem = dir / "some/maps/a-" + name;
    const std::int64_t c = map->shape()[1];
    const Bytes header = slurp(stem + ".npy");
    CHECK_THAT(std::string(header.begin(), header.begin() + 100), Contains("'<f4'"));
    const Tensor<float> values = read_npy<float>(stem + ".npy");
    REQUIRE(values.shape() == Shape{18, 24, c});
    const Image picture = read_image(stem + ".png");
    REQUIRE((picture.width == 24 && picture.height == 18 && picture.channels == c));
    int wrong = 0;
    for (std::int64_t i = 0; i < values.size(); ++i) {
      const std::int64_t channel = i % c, pixel = i / c;
      const int x = static_cast<int>(pixel % 24), y = static_cast<int>(pixel / 24);
      const auto value = static_cast<double>(values[i]);
      if (!(value >= 0 && value <= 1) || values[i] != (*map)[channel * 432 + pixel]) ++wrong;
      if (!(std::abs(value * 255 - picture.sample(x, y, static_cast<int>(channel))) <= 0.5001)) ++wrong;
    }
    CHECK(wrong == 0);
  }
  CHECK(std::distance(fs::directory_iterator(dir / "some/maps"), {}) == 16);
  CHECK_THAT(failure(dir, "a.png -o x.png --dump-maps some/maps"), Contains("a-reflectance.png: exists already"));
  success(dir, "a.png -o x.png --dump-maps some/maps --overwrite");
}

TEST_CASE("kind-infer: a model without restoration says so once") {
  const TempDir dir;
  put_pictures(dir);
  const Result result = run(dir, "a.png c.bmp -o out --dump-maps maps -w " + models().plain);
  CHECK(result.code == 0);
  REQUIRE(result.lines().size() == 3);
  CHECK_THAT(result.lines()[0], Contains("kind-infer: the model has no restoration net"));
  CHECK(slurp(dir / "maps/a-restored.npy") == slurp(dir / "maps/a-reflectance.npy"));
}

TEST_CASE("kind-infer: every kind of picture stays what it is") {
  const TempDir dir;
  for (const int bits : {8, 16}) {
    for (int channels = 1; channels <= 4; ++channels) {
      const Image picture = test_picture(5, 4, channels, bits);
      write_image(dir / join(channels, "-", bits, ".png"), picture, ImageFormat::kPng);
      if (!picture.has_alpha()) write_image(dir / join(channels, "-", bits, "p.ppm"), picture, ImageFormat::kPpm);
    }
  }
  // 4 x 3 pixels of a palette of three colours.
  dir.put("palette.png",
          Bytes{137, 80, 78,  71,  13,  10,  26, 10,  0,   0,   0,   13, 73,  72,  68,  82, 0,  0,  0,  4,
                0,   0,  0,   3,   8,   3,   0,  0,   0,   131, 42,  94, 244, 0,   0,   0,  9,  80, 76, 84,
                69,  10, 20,  30,  200, 90,  40, 60,  250, 120, 174, 63, 155, 179, 0,   0,  0,  20, 73, 68,
                65,  84, 120, 218, 99,  96,  96, 100, 98,  100, 96,  98, 98,  96,  4,   65, 38, 0,  0,  111,
                0,   14, 222, 87,  97,  235, 0,  0,   0,   0,   73,  69, 78,  68,  174, 66, 96, 130});
  const Names inputs = files(dir);
  CHECK(inputs.size() == 13);
  const Result result = run(dir, ". -o out");
  CHECK(result.code == 0);
  CHECK_THAT(result.err, !Contains("left out"));
  for (const std::string& name : inputs) {
    CAPTURE(name);
    const Image image = read_image(dir / "out/" + name), input = read_image(dir / name);
    CHECK((image.channels == input.channels && image.bits == input.bits));
    CHECK((image.width == input.width && image.height == input.height));
    int changed = 0;
    for (int i = 0; input.has_alpha() && i < 20; ++i) {
      const int alpha = input.channels - 1;
      changed += image.sample(i % 5, i / 5, alpha) != input.sample(i % 5, i / 5, alpha) ? 1 : 0;
    }
    CHECK(changed == 0);
  }
  // Types that hold less, and what is said then.
  const Result jpeg = run(dir, "4-16.png -o x.jpg");
  CHECK_THAT(jpeg.err, Contains("; left out: transparency, 8 of 16 bits\n"));
  CHECK(run(dir, "4-8.png --bits 16 -o y.png").code == 0);
  CHECK((read_image(dir / "y.png").bits == 16 && read_image(dir / "y.png").channels == 4));
  CHECK_THAT(failure(dir, "4-8.png --bits 16 -o z.jpg"), Contains("jpg files hold no 16-bit samples"));
  CHECK_THAT(failure(dir, "4-8.png --bits 12 -o z.png"), Contains("--bits: expected 8 or 16, got 12"));
}

TEST_CASE("kind-infer: metadata stay with the picture, or are left out") {
  const TempDir dir;
  write_image(dir / "plain.jpg", smooth_picture(24, 18, 3), ImageFormat::kJpeg);
  dir.put("a.jpg", with_inserted(slurp(dir / "plain.jpg"),
                                 segment(0xe1, std::string("Exif\0\0", 6) + exif_block(true, 6, 24, 18, "THUMB")) +
                                     segment(0xe2, std::string("ICC_PROFILE\0\1\1", 14) + profile("RGB ", 300))));
  CHECK_THAT(run(dir, "a.jpg -o x.jpg").err,
             Catch::StartsWith("a.jpg: 18x24, ratio 20, strength 0.") && !Contains("left out"));
  for (const char* name : {"x.jpg", "x.png"}) {
    CHECK(run(dir, std::string("a.jpg --overwrite -o ") + name).code == 0);
    Metadata metadata;
    const Image image = read_image(dir / name, {}, &metadata);
    CHECK((image.width == 18 && image.height == 24));
    CHECK(text_of(metadata.exif) == exif_block(true, 1, 18, 24));
    CHECK(text_of(metadata.icc) == profile("RGB ", 300));
    CHECK(run(dir, std::string("a.jpg --strip --overwrite -o ") + name).code == 0);
    read_image(dir / name, {}, &metadata);
    CHECK((metadata.exif.empty() && metadata.icc.empty()));
  }
  CHECK_THAT(run(dir, "a.jpg -o x.bmp").err, Contains("; left out: EXIF data, colour profile\n"));
  CHECK_THAT(run(dir, "a.jpg -o y.bmp --strip").err, !Contains("left out"));
}

TEST_CASE("kind-infer: quality and colour of JPEG files") {
  const TempDir dir;
  write_image(dir / "a.png", test_picture(64, 48, 3), ImageFormat::kPng);
  const auto size = [&](const std::string& arguments) {
    CHECK(run(dir, "a.png --overwrite -o x.jpg " + arguments).code == 0);
    return slurp(dir / "x.jpg").size();
  };
  const std::size_t usual = size("");
  CHECK(size("--quality 95 --chroma 444") == usual);
  CHECK(size("--quality 40") < usual);
  CHECK(size("--chroma 422") < usual);
  CHECK(size("--chroma 420") < size("--chroma 422"));
  CHECK_THAT(failure(dir, "a.png -o y.jpg --quality 0"), Contains("--quality: expected a number from 1 to 100, got 0"));
  CHECK_THAT(failure(dir, "a.png -o y.jpg --quality 101"), Contains("--quality"));
  CHECK_THAT(failure(dir, "a.png -o y.jpg --chroma 411"), Contains("--chroma"));
  CHECK_THAT(failure(dir, "a.png -o y.jpg --max-pixels 0"), Contains("--max-pixels"));
  CHECK_THAT(failure(dir, "a.png -o y.jpg --max-pixels 3071"), Contains("64 x 48 pixels, the limit is 3071 in all"));
}

/// Files that are no whole pictures, and what is said of each.
std::vector<std::pair<std::string, std::string>> put_bad_files(const TempDir& dir) {
  const std::string tiff("II*\0\x08\0\0\0\0\0\0\0\0\0\0\0", 16), heic(
                                                                     "\0\0\0\x18"
                                                                     "ftypheic\0\0\0\0mif1heic",
                                                                     24);
  dir.put("empty.png", std::string());
  dir.put("text.png", std::string("this is no picture\n"));
  dir.put("canon.CR2", tiff);
  dir.put("nikon.NEF", tiff);
  dir.put("linear.dng", tiff);
  dir.put("scan.tif", tiff);
  dir.put("phone.HEIC", heic);
  for (const char* name : {"a.png", "b.JPG"}) {
    Bytes bytes = slurp(dir / name);
    bytes.resize(bytes.size() * 2 / 3);
    dir.put(std::string("cut-") + name, bytes);
  }
  return {{"missing.png", "No such file"},
          {"empty.png", "the file is empty"},
          {"text.png", "not a picture"},
          {"cut-a.png", "cut-a.png"},
          {"cut-b.JPG", "cut-b.JPG"},
          {"canon.CR2", "RAW"},
          {"nikon.NEF", "RAW"},
          {"linear.dng", "RAW"},
          {"scan.tif", "TIFF"},
          {"phone.HEIC", "HEIF"}};
}

TEST_CASE("kind-infer: camera RAW files are developed and enhanced") {
  if (!can_read_image(ImageFormat::kRaw)) {
    WARN("skipped: this build has no LibRaw");
    return;
  }
  const TempDir dir;
  fs::create_directory(dir / "in");
  Dng dng;
  dng.orientation = 6;
  dng.lens = "A lens 50mm f/1.8";
  dng.as_shot.reset();
  dir.put("in/a.NEF", dng_file(smooth_picture(40, 30, 3), dng));
  dir.put("in/b.dng", dng_file(smooth_picture(40, 30, 3)));
  write_image(dir / "in/a.jpg", smooth_picture(24, 18, 3), ImageFormat::kJpeg);
  const Result all = run(dir, "in -o out --ratio 2");
  CHECK(all.code == 0);
  CHECK(all.out == "out/a.png\nout/a.jpg\nout/b.png\n");
  CHECK_THAT(all.err,
             Contains("in/a.NEF: 30x40, ratio 2; colours: white balance of daylight, since the file says none"));
  CHECK_THAT(all.err, Contains("in/b.dng: 40x30, ratio 2; left out: "));
  CHECK_THAT(all.err, !Contains("of 16 bits"));
  Metadata metadata;
  const Image result = read_image(dir / "out/a.png", {}, &metadata);
  CHECK((result.width == 30 && result.height == 40 && result.bits == 16 && result.channels == 3));
  // As of the picture that it was made of.
  write_image(dir / "same.png", read_image(dir / "in/b.dng"), ImageFormat::kPng);
  success(dir, "same.png -o plain.png --ratio 2");
  CHECK(read_image(dir / "plain.png").data == read_image(dir / "out/b.png").data);

  CHECK(run(dir, "in/a.NEF in/b.dng -o half -f jpg --half-size").out == "half/a.jpg\nhalf/b.jpg\n");
  CHECK(read_image(dir / "half/a.jpg").height == 20);
  CHECK_THAT(run(dir, "in/a.jpg -o x.png --half-size").err, Contains("--half-size has no effect"));
  CHECK_THAT(run(dir, "in/b.dng -o y.png --half-size").err, !Contains("no effect"));
  CHECK_THAT(failure(dir, "in/b.dng --in-place"), Contains("only read here"));
  CHECK_THAT(failure(dir, "in/a.jpg -o x.dng"), Contains("such files are only read here"));
  CHECK(Catch::StartsWith("\x89PNG").match(run(dir, "in/b.dng -o -").out.substr(0, 4)));
}

TEST_CASE("kind-infer: all frames of an animated picture are enhanced") {
  const TempDir dir;
  Animation animation;
  animation.plays = 3;
  for (int i = 0; i < 4; ++i) {
    Image image = smooth_picture(24, 18, 4);
    for (int y = 0; y < 18; ++y) {
      for (int x = 0; x < 24; ++x) image.set_sample(x, y, 3, x < 3 + i ? 0 : 255);
    }
    animation.frames.push_back({image, static_cast<std::uint16_t>(5 + i), 100});
  }
  dir.put("a.png", encode_animation("a", animation, ImageFormat::kPng));
  const Result one = run(dir, "a.png -o b.png --ratio 2");
  CHECK(one.code == 0);
  CHECK_THAT(one.err, Contains("a.png: 24x18, 4 frames, ratio 2") && !Contains("left out"));
  const Animation result = read_animation(dir / "b.png");
  REQUIRE(result.frames.size() == 4);
  CHECK(result.plays == 3);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK((result.frames[i].delay == 5 + i && result.frames[i].per_second == 100));
    const Image& image = result.frames[i].image;
    REQUIRE((image.channels == 4 && image.bits == 8));
    CHECK((image.sample(2 + static_cast<int>(i), 9, 3) == 0 && image.sample(3 + static_cast<int>(i), 9, 3) == 255));
    CHECK(image.sample(12, 9, 1) != animation.frames[i].image.sample(12, 9, 1));
  }
  // The first frame is that of the picture alone, here a result that holds no others.
  CHECK_THAT(run(dir, "a.png -o c.bmp --ratio 2").err,
             Contains("left out: transparency, further frames of the animation"));
  CHECK_THAT(run(dir, "a.png -o d.png --ladder 2,3").err, Contains("further frames of the animation"));
  CHECK(run(dir, "a.png --in-place --ratio 2").code == 0);
  CHECK(slurp(dir / "a.png") == slurp(dir / "b.png"));
  if (!can_animate(ImageFormat::kWebp)) return;
  CHECK(run(dir, "a.png~ -o e.webp --quality 100 --ratio 2").code == 0);
  const Animation webp = read_animation(dir / "e.webp");
  REQUIRE(webp.frames.size() == 4);
  CHECK(webp.plays == 3);
  CHECK(webp.frames[2].delay * 100 == 7 * webp.frames[2].per_second);
  CHECK(std::abs(webp.frames[3].image.sample(12, 9, 1) - result.frames[3].image.sample(12, 9, 1)) <= 1);
  CHECK(run(dir, "e.webp -o out/ --strength 0").code == 0);
  CHECK(read_animation(dir / "out/e.webp").frames.size() == 4);
}

TEST_CASE("kind-infer: bad inputs are named, one line each, and the others done") {
  const TempDir dir;
  put_pictures(dir);
  const auto bad = put_bad_files(dir);
  std::string all;
  for (const auto& [name, reason] : bad) all += " " + name;
  Names before = files(dir);
  const Result result = run(dir, all + " a.png -f png -o out --dump-maps maps");
  CHECK(result.code == 1);
  CHECK(result.out == "out/a.png\n");
  const std::vector<std::string> lines = result.lines();
  REQUIRE(lines.size() == bad.size() + 1);
  for (std::size_t i = 0; i < bad.size(); ++i) {
    CHECK_THAT(lines[i], Catch::StartsWith("kind-infer: cannot read " + bad[i].first) && Contains(bad[i].second));
  }
  CHECK(files(dir).size() == before.size() + 9);
  // Nothing done at all: an error as any other. A result that was there stays.
  CHECK_THAT(failure(dir, "missing.png -o x.png"), Contains("cannot read missing.png: No such file"));
  CHECK_THAT(failure(dir, "linear.dng -o new/"), Contains("RAW"));
  CHECK(run(dir, "text.png empty.png -o new/deep --dump-maps new/maps").code == 2);
  CHECK_FALSE(fs::exists(dir / "new"));
  CHECK_THAT(failure(dir, "text.png -o out/a.png --overwrite"), Contains("text.png"));
  CHECK(read_image(dir / "out/a.png").width == 24);
}

TEST_CASE("kind-infer: where nothing can be written") {
  const TempDir dir;
  put_pictures(dir);
  CHECK_THAT(failure(dir, "a.png -o none/x.png"), Contains("cannot write none/x.png: No such file"));
  CHECK_THAT(failure(dir, "a.png -o c.bmp/x.png"), Contains("cannot write c.bmp/x.png: Not a directory"));
  CHECK_THAT(failure(dir, "a.png -o c.bmp/out/"), Contains("c.bmp/out/: cannot be made: Not a directory"));
  CHECK_THAT(failure(dir, "a.png -o c.bmp/"), Contains("c.bmp"));
  CHECK_THAT(failure(dir, "a.png -o x.png --dump-maps c.bmp"), Contains("c.bmp"));
  CHECK_THAT(failure(dir, "a.png -o x.png --dump-maps c.bmp/maps"), Contains("c.bmp/maps: cannot be made"));
  const Result full = shell(dir, "\"$KIND\" a.png -o x.png >/dev/full");
  CHECK(full.code == 2);
  CHECK_THAT(full.err, Contains("kind-infer: cannot write to the standard output"));
}

TEST_CASE("kind-infer: a full disk leaves nothing behind") {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  WARN("skipped: ThreadSanitizer keeps files of its own, which the limit below would hit");
  return;
#endif
#endif
  const TempDir dir;
  put_pictures(dir);
  write_image(dir / "large.png", test_picture(60, 40, 3), ImageFormat::kPng);
  // A limit on what files may hold stands for a full disk: the first bytes are written, the last are not.
  const Names before = files(dir);
  for (const char* output : {"x.png", "x.png --dump-maps .", "x.ppm", "x.bmp"}) {
    const Result result = shell(dir, std::string("ulimit -f 1; exec \"$KIND\" large.png -o ") + output);
    INFO(output << ": " << result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(result.lines().size() == 1);
    CHECK_THAT(result.err, Contains("cannot write ") && Contains("File too large"));
    CHECK(files(dir) == before);
  }
}

TEST_CASE("kind-infer: bad models") {
  const TempDir dir;
  put_pictures(dir);
  const auto refused = [&](const std::string& model) { return failure(dir, "a.png -o out/ -w " + model); };
  CHECK_THAT(refused("none.st"), Contains("cannot read none.st: No such file"));
  CHECK_THAT(refused("a.png"), Contains("a.png"));
  Bytes bytes = slurp(models().plain);
  dir.put("cut.st", Bytes(bytes.begin(), bytes.end() - 4));
  CHECK_THAT(refused("cut.st"), Contains("cut.st"));
  bytes[8] = '[';
  dir.put("header.st", bytes);
  CHECK_THAT(refused("header.st"), Contains("header.st"));
  bytes[7] = 0x7f;
  dir.put("length.st", bytes);
  CHECK_THAT(refused("length.st"), Contains("length.st"));

  const SafeTensors good = read_safetensors(models().plain);
  const auto changed = [&](auto change) {
    SafeTensors content = good;
    change(content);
    write_safetensors(dir / "changed.st", content);
    return refused("changed.st");
  };
  const std::string weight = "adjustment.conv1.weight";
  CHECK_THAT(changed([&](SafeTensors& c) { c.metadata.clear(); }), Contains("changed.st: this is no model of kind"));
  CHECK_THAT(changed([&](SafeTensors& c) { c.tensors.erase(weight); }), Contains(weight));
  CHECK_THAT(changed([&](SafeTensors& c) { c.put_tensor("more", Tensor<float>::zeros({1})); }),
             Contains("tensor more belongs to none of the nets"));
  CHECK_THAT(
      changed([&](SafeTensors& c) {
        c.put_tensor(weight, Tensor<float>::zeros({32, 2, 1, 1}));
      }),
      Contains(weight + " has shape [32, 2, 1, 1], expected [32, 2, 3, 3]; these are the weights of another net"));
  SafeTensors broken = read_safetensors(models().whole);
  broken.put_tensor("restoration.conv10.bias", Tensor<float>::full({3}, std::nanf("")));
  write_safetensors(dir / "nan.st", broken);
  CHECK_THAT(refused("nan.st"), Contains("nan.st: tensor restoration.conv10.bias holds nan, expected finite numbers"));

  Model<float> model = load_model<float>(models().plain);
  model.adjustment.reset();
  model.config.adjustment.reset();
  save_model(dir / "part.st", model);
  CHECK_THAT(refused("part.st"), Contains("part.st: enhancing needs a decomposition and an adjustment net"));
}

TEST_CASE("kind-infer: where the model is found") {
  const TempDir dir;
  put_pictures(dir);
  CHECK_THAT(shell(dir, "KIND_MODEL=named.st \"$KIND\" a.png -o x.png").err, Contains("cannot read named.st"));
  CHECK(shell(dir, "KIND_MODEL=named.st \"$KIND\" a.png -o x.png -w " + models().whole).code == 0);
}

TEST_CASE("kind-infer: what is installed finds the installed model") {
  if (fs::exists(source_dir() + "/nets/pretrained/kind.safetensors")) {
    WARN("skipped: the source tree has a model, which comes first");
    return;
  }
  const TempDir dir;
  put_pictures(dir);
  fs::create_directories(dir / "usr/bin");
  fs::create_directories(dir / "usr/share/kind");
  fs::copy_file(KIND_INFER_PROGRAM, dir / "usr/bin/kind-infer");
  const Result none = shell(dir, "KIND_MODEL= usr/bin/kind-infer a.png -o y.png");
  CHECK(none.code == 2);
  CHECK(none.lines().size() == 1);
  CHECK_THAT(none.err,
             Contains("no model found") && Contains("usr/share/kind/kind.safetensors") && Contains("KIND_MODEL"));
  CHECK_FALSE(fs::exists(dir / "y.png"));
  fs::copy_file(models().whole, dir / "usr/share/kind/kind.safetensors");
  CHECK(shell(dir, "unset KIND_MODEL; usr/bin/kind-infer a.png -o y.png").code == 0);
}

TEST_CASE("kind-infer: a signal ends a wait and stops before the next picture") {
  const std::pair<const char*, int> signals[] = {{"INT", 130}, {"TERM", 143}};
  for (const auto& [signal, code] : signals) {
    const TempDir dir;
    put_pictures(dir);
    // The second input is a pipe: once its writing end is open the program has begun with it, and waits.
    const Result result = shell(dir, std::string("mkfifo pipe.png; \"$KIND\" a.png pipe.png c.bmp -o out & "
                                                 "exec 3>pipe.png; kill -") +
                                         signal + " $!; wait $!");
    CHECK(result.code == code);
    CHECK(result.out == "out/a.png\n");
    CHECK_THAT(result.err, Contains("kind-infer: stopped; pipe.png and what follows it was not done"));
    fs::remove(dir / "pipe.png");
    CHECK(files(dir) == Names{"a.png", "b.JPG", "c.bmp", "d.ppm", "e.pgm", "noext", "out/a.png"});
  }
}

TEST_CASE("kind-infer: other encodings than sRGB", "[slow]") {
  if (!has_color_management()) {
    WARN("skipped: this build is without lcms2");
    return;
  }
  const TempDir dir;
  put_pictures(dir);
  Metadata linear;
  linear.color = {{"gAMA", {0, 1, 0x86, 0xa0}}};
  const Image photo = smooth_picture(40, 30, 3);
  write_image(dir / "linear.png", photo, ImageFormat::kPng, {.metadata = &linear});
  write_image(dir / "plain.png", photo, ImageFormat::kPng);
  const auto enhance_to = [&](const std::string& arguments) {
    const Result result = run(dir, arguments + " --ratio 2 --strength 0 --overwrite");
    INFO(result.err);
    REQUIRE(result.code == 0);
    return result.err;
  };
  // The picture itself (strength 0), in its own encoding where the type can say so, else in sRGB.
  Metadata metadata;
  CHECK_THAT(enhance_to("linear.png -o same.png"), Contains("colours: gamma 1"));
  const Image same = read_image(dir / "same.png", {}, &metadata);
  CHECK(same.data == photo.data);
  CHECK((metadata.color.size() == 1 && metadata.icc.empty()));
  enhance_to("linear.png -o same.jpg --quality 100");
  read_image(dir / "same.jpg", {}, &metadata);
  CHECK((metadata.color.empty() && !metadata.icc.empty()));
  CHECK(read_color("same.jpg", metadata, false).encoding != nullptr);
  for (const char* result : {"srgb.bmp", "srgb.ppm", "srgb.png --strip"}) {
    CHECK_THAT(enhance_to(std::string("linear.png -o ") + result), Contains("colours: from gamma 1 to sRGB"));
    const Image srgb = read_image(dir / std::string(result).substr(0, 8), {}, &metadata);
    CHECK((srgb.bits == 8 && metadata.color.empty() && metadata.icc.empty()));
    const double light = photo.sample(20, 15, 1) / 255.0;
    CHECK(srgb.sample(20, 15, 1) == Approx(255 * (1.055 * std::pow(light, 1 / 2.4) - 0.055)).margin(1));
  }
  CHECK_THAT(enhance_to("linear.png -o old.png --colour ignore"), !Contains("colours"));
  CHECK(read_image(dir / "old.png").data == read_image(dir / "same.png").data);
  // 16 bits become 8 where the type has no more, as in sRGB.
  write_image(dir / "deep.png", test_picture(8, 8, 3, 16), ImageFormat::kPng, {.metadata = &linear});
  CHECK_THAT(enhance_to("deep.png -o deep.bmp"),
             Contains("from gamma 1 to sRGB") && Contains("left out: 8 of 16 bits"));
  CHECK(read_image(dir / "deep.bmp").bits == 8);
  // HDR: refused, unless it is asked for.
  Metadata hdr;
  hdr.color = {{"cICP", {9, 16, 0, 1}}};
  write_image(dir / "hdr.png", photo, ImageFormat::kPng, {.metadata = &hdr});
  CHECK_THAT(run(dir, "hdr.png -o x.png").err, Contains("hdr.png") && Contains("HDR picture (PQ)"));
  CHECK(run(dir, "hdr.png -o x.png --color ignore").code == 0);
}

}  // namespace
}  // namespace kind::testing
