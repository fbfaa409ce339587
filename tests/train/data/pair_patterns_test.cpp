// Pairs by patterns of names, and files of types that are not read.

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/errors.h"
#include "tests/train/data/pair_data.h"
#include "train/data/pairs.h"

namespace kind::testing {
namespace {

using Catch::Contains;

DataConfig patterns(const TempDir& dir, const std::string& low, const std::string& high, std::int64_t validation = 0) {
  DataConfig config = data(dir.path(), validation);
  config.low = low;
  config.high = high;
  config.validate("data");
  return config;
}

void put_dark(const TempDir& dir, const std::string& path, int index) {
  put_picture(dir / path, scene(6, 5, index, true));
}
void put_bright(const TempDir& dir, const std::string& path, int index) {
  put_picture(dir / path, scene(6, 5, index, false));
}

TEST_CASE("pairs: names by pattern, in one folder and in two") {
  const TempDir dir;
  for (int i = 1; i <= 3; ++i) {
    put_dark(dir, std::to_string(i) + "_dark.png", i);
    put_bright(dir, std::to_string(i) + "_bright.png", i);
    put_dark(dir, "Low/low0" + std::to_string(i) + ".png", i);
    put_bright(dir, "Normal/normal0" + std::to_string(i) + ".png", i);
  }
  dir.put("notes.txt", "no picture");
  dir.put("2_bright.psd", "the same, of a type that is not read");
  const Pairs one(patterns(dir, "{name}_dark.*", "{name}_bright.*"), 1, 1);
  CHECK(stems(one, one.train()) == Names{"1", "2", "3"});
  CHECK(one.pictures(1).low.data == scene(6, 5, 2, true).data);
  CHECK(one.pictures(1).high.data == scene(6, 5, 2, false).data);
  const Pairs two(patterns(dir, "Low/low{name}.png", "Normal/normal{name}.png"), 1, 1);
  CHECK(stems(two, two.train()) == Names{"01", "02", "03"});
  CHECK(two.pictures(2).high.data == scene(6, 5, 3, false).data);
}

TEST_CASE("pairs: several dark pictures to a bright one, as in SID and SICE") {
  const TempDir sid, sice, flat;
  for (int scene_number = 1; scene_number <= 4; ++scene_number) {
    const std::string number = std::to_string(scene_number), id = "0000" + number;
    put_bright(sid, "long/" + id + "_00_10s.png", scene_number);
    put_bright(sice, "Label/" + number + ".png", scene_number);
    put_bright(flat, number + ".png", scene_number);
    for (int i = 1; i <= 3; ++i) {
      put_dark(sid, "short/" + id + "_0" + std::to_string(i) + "_0.1s.png", 10 * scene_number + i);
      put_dark(sice, number + "/" + std::to_string(i) + ".png", 10 * scene_number + i);
      put_dark(flat, number + "_" + std::to_string(i) + ".png", 10 * scene_number + i);
    }
  }
  const auto check_pairs = [](const Pairs& pairs, const Names& first) {
    REQUIRE(pairs.all().size() == 12);
    for (std::size_t i = 0; i < first.size(); ++i) CHECK(pairs.all()[i].stem == first[i]);
    for (int k = 0; k < 12; ++k) {
      const Pairs::Pictures& pictures = pairs.pictures(static_cast<std::size_t>(k));
      CHECK(pictures.low.data == scene(6, 5, 10 * (k / 3 + 1) + k % 3 + 1, true).data);
      CHECK(pictures.high.data == scene(6, 5, k / 3 + 1, false).data);
    }
  };
  check_pairs(Pairs(patterns(sid, "short/{scene}_*.png", "long/{scene}_*.png"), 1, 1), {"00001_01_0.1s"});
  // A file that matches both patterns is what it is the twin of: labels have no label, brackets have a whole picture.
  check_pairs(Pairs(patterns(sice, "{scene}/*.png", "Label/{scene}.png"), 1, 1), {"1-1", "1-2", "1-3", "2-1"});
  const PairFolder both = find_pairs(flat.path(), {"{scene}_*.*", "{scene}.*"});
  CHECK(both.problems.empty());
  check_pairs(Pairs(patterns(flat, "{scene}_*.*", "{scene}.*"), 1, 1), {"1_1", "1_2"});
  // A scene is held back as a whole.
  const Pairs held(patterns(sice, "{scene}/*.png", "Label/{scene}.png", 1), 1, 1);
  CHECK(stems(held, held.validation()) == Names{"4-1", "4-2", "4-3"});
  CHECK(held.train().size() == 9);
}

TEST_CASE("pairs: what is wrong with patterns and what they match") {
  const TempDir dir;
  put_dark(dir, "in/a_dark.png", 1);
  put_bright(dir, "out/a_bright.png", 1);
  const auto failure = [&](const std::string& low, const std::string& high) {
    return error_of([&] { Pairs(patterns(dir, low, high), 1, 1); });
  };
  CHECK_THAT(failure("{name}_dark.*", ""), Contains("data.high: missing"));
  CHECK_THAT(failure("", "{name}.*"), Contains("data.low: missing"));
  CHECK_THAT(failure("in/a_dark.png", "out/a_bright.png"), Contains("data.high: expected a word in braces"));
  CHECK_THAT(failure("in/{name}_dark.*", "out/{scene}_bright.*"), Contains("{scene} is not in \"low\""));
  CHECK_THAT(failure("in/{name}_low.*", "out/{name}_bright.*"),
             Contains("data: \"low\": \"in/{name}_low.*\" matches nothing: expected e.g. " + dir.path() +
                      "/in/NAME_low.png; " + dir.path() + "/in has a_dark.png"));
  CHECK_THAT(failure("in/{name}_dark.*", "bright/{name}.*"),
             Contains("\"high\": \"bright/{name}.*\" matches nothing: there is no folder " + dir.path() + "/bright"));
  put_dark(dir, "in/b_dark.png", 1);
  CHECK_THAT(failure("in/{name}_dark.*", "out/{name}_bright.*"),
             Contains("1 pair is unusable: b: " + dir.path() + "/in/b_dark.png has no twin: expected e.g. " +
                      dir.path() + "/out/b_bright.png"));
  put_bright(dir, "out/b_bright.png", 1);
  put_bright(dir, "out/c_bright.png", 1);
  CHECK_THAT(failure("in/{name}_dark.*", "out/{name}_bright.*"),
             Contains("out/c_bright.png has no twin: expected e.g. " + dir.path() + "/in/c_dark.png"));
  put_dark(dir, "in/c_dark.png", 1);
  put_bright(dir, "out/c_bright.bmp.png", 1);
  CHECK_THAT(failure("in/{name}_dark.*", "out/{name}_bright*"),
             Contains("c: both ") && Contains("are its bright picture"));
  put_dark(dir, "in/x/a_dark.png", 1);
  CHECK_THAT(failure("in/*/{name}_dark.*", "in/{name}_dark.*"), Contains("b: ") && Contains("has no twin"));
}

TEST_CASE("pairs: bright pictures by pattern, for the camera model") {
  const TempDir dir;
  put_bright(dir, "walk/a.png", 1);
  put_bright(dir, "town/b.png", 2);
  DataConfig config = data(dir.path());
  config.synthesize.emplace();
  config.high = "*/{name}.png";
  config.validate("data");
  const Pairs pairs(config, 1, 1);
  CHECK(stems(pairs, pairs.train()) == Names{"a", "b"});
  config.low = "{name}";
  CHECK_THAT(error_of([&] { config.validate("data"); }),
             Contains("data.low: the camera model makes the dark pictures"));
}

TEST_CASE("pairs: files of types that are not read are called so") {
  const TempDir dir;
  put_pair(dir, "1", 1);
  put_pair(dir, "2", 2);
  std::filesystem::rename(dir / "low/2.png", dir / "low/2.xyz");
  dir.put("low/3.exr", "x");
  dir.put("high/3.exr", "x");
  dir.put("low/Thumbs.db", "x");
  dir.put("high/Thumbs.db", "x");
  dir.put("low/alone.xyz", "x");
  dir.put("low/1.txt", "x");
  const std::string message = error_of([&] { Pairs(data(dir.path()), 1, 1); });
  CHECK_THAT(message, Contains("2 pairs are unusable: 2: unsupported type .xyz (" + dir / "low/2.xyz" + ")"));
  CHECK_THAT(message, Contains("3: unsupported type .exr") && Contains("PNG, JPEG"));
  const TempDir only;
  for (const char* side : {"low", "high"}) {
    std::filesystem::create_directory(only / side);
    only.put(std::string(side) + "/1.npy", "x");
  }
  CHECK_THAT(error_of([&] { Pairs(data(only.path()), 1, 1); }), Contains("unsupported type .npy"));
  only.put("high/2.npz", "x");
  std::filesystem::remove(only / "high/1.npy");
  CHECK_THAT(error_of([&] { Pairs(data(only.path()), 1, 1); }),
             Contains("there are no pictures in " + only.path() + "; unsupported: files of type .npy, .npz"));
}

}  // namespace
}  // namespace kind::testing
