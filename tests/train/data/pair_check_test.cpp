// What the check of pairs leaves out, and what pictures are kept as.

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/errors.h"
#include "tests/support/scopes.h"
#include "tests/train/data/pair_data.h"
#include "train/data/pairs.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("pairs: skip_unusable leaves out what fails the check, and nothing else changes") {
  const TempDir dir, clean;
  for (const TempDir* folder : {&dir, &clean}) {
    put_scenes(folder->path(), 5, 20, 12);
    folder->put("split.json", R"({"train": [1, 2, "broken", "alone"], "validation": [4, "twice"], "test": [5]})");
  }
  clean.put("split.json", R"({"train": [1, 2], "validation": [4], "test": [5]})");
  put_picture(dir / "low/alone.png", scene(20, 12, 1, true));
  put_picture(dir / "low/broken.png", scene(20, 12, 1, true));
  dir.put("high/broken.png", "no picture");
  for (const char* type : {".png", ".bmp"}) {
    write_image(dir / "low/twice" + type, scene(20, 12, 1, true),
                type[1] == 'p' ? ImageFormat::kPng : ImageFormat::kBmp);
  }
  put_picture(dir / "high/twice.png", scene(20, 12, 1, false));
  DataConfig config = data(dir.path());
  CHECK_THAT(error_of([&] { Pairs(config, 8, 1); }),
             Contains("3 pairs are unusable: ") && Contains("; --skip-unusable trains without them"));
  config.skip_unusable = true;
  const Pairs pairs(config, 8, 1), expected(data(clean.path()), 8, 1);
  CHECK(pairs.fingerprint() == expected.fingerprint());
  CHECK(stems(pairs, pairs.train()) == Names{"1", "2"});
  CHECK(stems(pairs, pairs.validation()) == Names{"4"});
  REQUIRE(pairs.all().size() == 5);
  CHECK(pairs.pictures(4).low.data == expected.pictures(4).low.data);
  REQUIRE(pairs.left_out().size() == 3);
  CHECK_THAT(pairs.left_out()[0], Contains("twice: both "));
  CHECK_THAT(pairs.left_out()[1], Contains("alone: ") && Contains("has no twin"));
  CHECK_THAT(pairs.left_out()[2], Contains("broken: cannot read "));
  CHECK(expected.left_out().empty());
  // Nothing to train on is an error all the same.
  CHECK_THAT(error_of([&] { Pairs(config, 100, 1); }),
             Contains("8 pairs are unusable") && !Contains("--skip-unusable"));
}

TEST_CASE("pairs: made dark pictures are those of the whole list, whichever of it is left out or kept in memory") {
  const TempDir dir;
  for (int i = 1; i <= 4; ++i) put_picture(dir / (std::to_string(i) + ".png"), scene(500, 300, i, false));
  DataConfig config = data(dir.path());
  config.synthesize.emplace();
  config.memory_mb = 1;
  const Pairs all(config, 8, 5);
  const std::vector<std::uint8_t> last = all.pictures(3).low.data;
  dir.put("2.png", "no picture");
  config.skip_unusable = true;
  const Pairs some(config, 8, 5);
  REQUIRE(some.all().size() == 3);
  CHECK(some.pictures(2).low.data == last);
  CHECK(some.pictures(0).low.data == all.pictures(0).low.data);
  CHECK(some.pictures(2).low.data == last);
}

/// A picture of 16 bits between those of 8.
Image deep_scene(int index, bool dark) {
  const Image from = scene(20, 12, index, dark);
  Image image(20, 12, 3, 16);
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 20; ++x) {
      for (int c = 0; c < 3; ++c) image.set_sample(x, y, c, 257 * from.sample(x, y, c) + (31 * x + 17 * y + c) % 257);
    }
  }
  return image;
}

TEST_CASE("pairs: pictures keep their 16 bits") {
  const TempDir dir;
  put_scenes(dir.path(), 2, 20, 12);
  put_picture(dir / "low/2.png", deep_scene(2, true));
  put_picture(dir / "high/2.png", deep_scene(2, false));
  put_picture(dir / "low/3.png", deep_scene(3, true));
  put_picture(dir / "high/3.png", scene(20, 12, 3, false));
  const Pairs pairs(data(dir.path()), 8, 1);
  CHECK(pairs.pictures(0).low.bits == 8);
  CHECK(pairs.pictures(1).low.bits == 16);
  CHECK(pairs.pictures(1).low.data == deep_scene(2, true).data);
  CHECK(pairs.pictures(1).high.data == deep_scene(2, false).data);
  CHECK((pairs.pictures(2).low.bits == 16 && pairs.pictures(2).high.bits == 8));
  // The camera model takes the picture rounded to 8 bits, and gives 8.
  DataConfig made = data(dir.path());
  made.synthesize.emplace();
  const Pairs deep(made, 8, 1);
  CHECK((deep.pictures(1).high.bits == 16 && deep.pictures(1).low.bits == 8));
  put_picture(dir / "high/2.png", to_image(to_tensor(deep_scene(2, false))));
  CHECK(Pairs(made, 8, 1).pictures(1).low.data == deep.pictures(1).low.data);
}

TEST_CASE("pairs: progress counts every pair, and results do not depend on threads") {
  const TempDir dir;
  put_scenes(dir.path(), 9, 20, 12);
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    std::size_t calls = 0, last = 0;
    bool grows = true;
    const Pairs pairs(data(dir.path()), 8, 1, {[&](std::size_t done, std::size_t all) {
                        ++calls;
                        grows = grows && done == last + 1 && all == 9;
                        last = done;
                      }});
    CHECK((calls == 9 && last == 9 && grows));
  }
}

}  // namespace
}  // namespace kind::testing
