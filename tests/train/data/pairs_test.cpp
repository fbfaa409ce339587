#include "train/data/pairs.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "core/base/random.h"
#include "core/image/color.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"
#include "tests/train/data/pair_data.h"
#include "train/data/camera.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("flip_rotate follows the reference", "[golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  const std::string units = *folder + "/losses/units/aug_";
  const Tensor<float> in = read_reference_nhwc<float>(units + "input.npy");
  const Shape planes{in.shape()[1], in.shape()[2], in.shape()[3]};
  for (int mode = 0; mode < 8; ++mode) {
    const Tensor<float> expected = read_reference_nhwc<float>(units + "mode" + std::to_string(mode) + ".npy");
    INFO("mode " << mode);
    CHECK(flip_rotate(in.reshape(planes), mode).to_vector() == expected.to_vector());
  }
}

TEST_CASE("flip_rotate: by hand, and as a group of eight") {
  const Tensor<float> x(Shape{1, 2, 2}, {1.0f, 2.0f, 3.0f, 4.0f});
  const std::vector<std::vector<float>> expected{{1, 2, 3, 4}, {3, 4, 1, 2}, {2, 4, 1, 3}, {1, 3, 2, 4},
                                                 {4, 3, 2, 1}, {2, 1, 4, 3}, {3, 1, 4, 2}, {4, 2, 3, 1}};
  for (int mode = 0; mode < 8; ++mode) {
    INFO("mode " << mode);
    CHECK(flip_rotate(x, mode).to_vector() == expected[static_cast<std::size_t>(mode)]);
  }
  const Tensor<float> y = random_tensor<float>(Shape{3, 5, 5}, 1);
  std::set<std::vector<float>> all;
  for (int mode = 0; mode < 8; ++mode) {
    const Tensor<float> z = flip_rotate(y, mode);
    CHECK(z.shape() == y.shape());
    all.insert(z.to_vector());
    std::vector<float> a = y.to_vector(), b = z.to_vector();
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    CHECK(a == b);
  }
  CHECK(all.size() == 8);
  Tensor<float> turned = y;
  for (int i = 0; i < 4; ++i) turned = flip_rotate(turned, 2);
  CHECK(turned.to_vector() == y.to_vector());
  CHECK(flip_rotate(flip_rotate(y, 1), 1).to_vector() == y.to_vector());
  CHECK(flip_rotate(Tensor<float>::full(Shape{2, 1, 1}, 3.0f), 7).to_vector() == std::vector<float>{3, 3});
  CHECK_THAT(error_of([] {
               flip_rotate(Tensor<float>::zeros(Shape{1, 2, 3}), 0);
             }),
             Contains("square planes") && Contains("[1, 2, 3]"));
  CHECK_THAT(error_of([&] { flip_rotate(y, 8); }), Contains("0 to 7, got 8"));
  CHECK_THAT(error_of([&] { flip_rotate(y, -1); }), Contains("0 to 7, got -1"));
}

TEST_CASE("pairs: low/ and high/ by stem, numbers by value and before names") {
  const TempDir dir;
  // 9 < 10 by value, but "10" < "5x" < "9" as text: an order that mixes both has no sorted list.
  for (const std::string stem : {"10", "9", "5x", "100", "b", "007", "2"})
    put_pair(dir, stem, static_cast<int>(stem.size()));
  dir.put("low/notes.txt", "not a picture");
  std::filesystem::create_directory(dir / "high/folder.png");
  const Pairs pairs(data(dir.path()), 1, 1);
  CHECK(stems(pairs, pairs.train()) == Names{"2", "007", "9", "10", "100", "5x", "b"});
  CHECK(pairs.validation().empty());
  CHECK((pairs.all()[0].width == 6 && pairs.all()[0].height == 5));
  CHECK(pairs.pictures(0).low.data == scene(6, 5, 1, true).data);
  CHECK(pairs.pictures(0).high.data == scene(6, 5, 1, false).data);
}

TEST_CASE("pairs: Low/ and Normal/ with prefixes") {
  const TempDir dir;
  for (int i = 1; i <= 3; ++i) {
    put_picture(dir / ("Low/low0000" + std::to_string(i) + ".png"), scene(6, 5, i, true));
    put_picture(dir / ("Normal/normal0000" + std::to_string(i) + ".png"), scene(6, 5, i, false));
  }
  const Pairs pairs(data(dir.path()), 1, 1);
  CHECK(stems(pairs, pairs.train()) == Names{"00001", "00002", "00003"});
  CHECK(pairs.pictures(1).low.data == scene(6, 5, 2, true).data);
  CHECK(pairs.pictures(1).high.data == scene(6, 5, 2, false).data);
}

TEST_CASE("pairs: lq/ and gt/, input/ and target/") {
  for (const auto& [low, high] : {std::pair("lq", "gt"), std::pair("input", "target"), std::pair("LQ", "GT")}) {
    const TempDir dir;
    put_picture(dir / (std::string(low) + "/a.png"), scene(6, 5, 1, true));
    put_picture(dir / (std::string(high) + "/a.png"), scene(6, 5, 1, false));
    const Pairs pairs(data(dir.path()), 1, 1);
    CHECK(stems(pairs, pairs.train()) == Names{"a"});
    CHECK(pairs.pictures(0).high.data == scene(6, 5, 1, false).data);
  }
}

TEST_CASE("pairs: a list names the files of each pair, also several dark ones to a bright one") {
  const TempDir dir;
  for (const int i : {1, 2}) put_picture(dir / ("short/s_0." + std::to_string(i) + ",s.png"), scene(6, 5, i, true));
  put_picture(dir / "long/l.png", scene(6, 5, 7, false));
  const std::string list =
      dir.put("pairs.csv", std::string("\xEF\xBB\xBFlow,high,name\r\n\"short/s_0.1,s.png\",long/l.png,b\r\n\r\n"
                                       "\"short/s_0.2,s.png\",long/l.png,a\r\n"));
  for (const std::string& root : {dir.path(), list}) {
    const Pairs pairs(data(root), 1, 1);
    CHECK(stems(pairs, pairs.train()) == Names{"a", "b"});
    CHECK(pairs.pictures(0).low.data == scene(6, 5, 2, true).data);
    CHECK(pairs.pictures(1).low.data == scene(6, 5, 1, true).data);
    CHECK(pairs.pictures(1).high.data == scene(6, 5, 7, false).data);
  }
  dir.put("split.json", std::string(R"({"train": ["b"], "validation": ["a"]})"));
  CHECK(Pairs(data(list), 1, 1).validation().size() == 1);
  // Without a heading and names.
  const std::string plain = dir.put("other.csv", std::string("long/l.png,long/l.png"));
  std::filesystem::remove(dir / "split.json");
  CHECK(stems(Pairs(data(plain), 1, 1), {0}) == Names{"l"});
  const auto error = [&](const std::string& text) {
    dir.put("bad.csv", text);
    return error_of([&] { Pairs(data(dir / "bad.csv"), 1, 1); });
  };
  CHECK_THAT(error("a.png\n"), Contains("bad.csv: line 1: expected LOW,HIGH") && Contains("got 1 field"));
  CHECK_THAT(error("low,high\na,b,c,d\n"), Contains("bad.csv: line 2") && Contains("got 4 fields"));
  CHECK_THAT(error("\"a,b\n"), Contains("line 1: a quoted field has no end"));
  CHECK_THAT(error("low,high\n"), Contains("there are no pairs in"));
  CHECK_THAT(error("a.png,\n"), Contains("expected the files of a dark and a bright picture"));
  CHECK_THAT(error("long/l.png,long/l.png\nshort/l.png,long/l.png\n"), Contains("l: two pairs have this name"));
  CHECK_THAT(error("none.png,long/l.png\n"), Contains("none: ") && Contains("none.png"));
}

TEST_CASE("pairs: a word that begins like a prefix is a name") {
  const TempDir dir;
  put_pair(dir, "lowland", 1);
  put_pair(dir, "highway", 2);
  put_pair(dir, "land", 3);
  const Pairs pairs(data(dir.path()), 1, 1);
  CHECK(stems(pairs, pairs.train()) == Names{"highway", "land", "lowland"});
}

TEST_CASE("pairs: twins of the same name keep what looks like a prefix") {
  const TempDir dir;
  put_pair(dir, "low-light-1", 1);
  put_pair(dir, "high2", 2);
  put_pair(dir, "normal_3", 3);
  put_picture(dir / "low/low00004.png", scene(6, 5, 4, true));
  put_picture(dir / "high/normal00004.png", scene(6, 5, 4, false));
  const Pairs pairs(data(dir.path()), 1, 1);
  CHECK(stems(pairs, pairs.train()) == Names{"00004", "high2", "low-light-1", "normal_3"});
}

TEST_CASE("pairs: gray and transparent pictures become RGB") {
  const TempDir dir;
  Image gray(3, 2, 1, 16), clear(3, 2, 4);
  for (int x = 0; x < 3; ++x) gray.set_sample(x, 1, 0, 257 * 40 * x);
  for (int x = 0; x < 3; ++x) clear.set_sample(x, 0, 2, 50 * x);
  put_picture(dir / "low/a.png", gray);
  put_picture(dir / "high/a.png", clear);
  const Pairs pairs(data(dir.path()), 1, 1);
  const Pairs::Pictures& pictures = pairs.pictures(0);
  for (const Image* image : {&pictures.low, &pictures.high}) CHECK(image->channels == 3);
  CHECK((pictures.low.bits == 16 && pictures.high.bits == 8));
  CHECK(pictures.low.sample(2, 1, 1) == 257 * 80);
  CHECK(pictures.high.sample(2, 0, 2) == 100);
  CHECK(pictures.high.sample(2, 0, 1) == 0);
}

TEST_CASE("pairs: pictures are read in sRGB") {
  if (!has_color_management()) {
    WARN("skipped: this build is without lcms2");
    return;
  }
  const TempDir dir;
  Image even(2, 2, 3, 16);
  for (int i = 0; i < 12; ++i) even.set_sample(i % 2, i / 2 % 2, i / 4, 16384);
  Metadata linear;
  linear.color = {{"gAMA", {0, 1, 0x86, 0xa0}}};  // 100000: light itself
  WriteOptions options;
  options.metadata = &linear;
  put_picture(dir / "low/a.png", even);
  put_picture(dir / "high/a.png", even);
  write_image(dir / "high/a.png", even, ImageFormat::kPng, options);
  const Pairs pairs(data(dir.path()), 1, 1);
  CHECK(pairs.pictures(0).low.sample(1, 1, 0) == 16384);
  CHECK(std::abs(pairs.pictures(0).high.sample(1, 1, 0) - 35199) < 30);  // 0.25 of light is 0.5371
}

TEST_CASE("pairs: whole runs of names are held back") {
  const TempDir dir;
  for (int i = 1; i <= 13; ++i) put_pair(dir, std::to_string(i), i);
  for (const std::int64_t held : {0, 1, 2, 3, 5, 7, 12}) {
    const Pairs pairs(data(dir.path(), held), 1, 1);
    INFO(held << " held back");
    CHECK(pairs.validation().size() == static_cast<std::size_t>(held));
    CHECK(pairs.train().size() == 13 - static_cast<std::size_t>(held));
    std::set<std::size_t> all(pairs.train().begin(), pairs.train().end());
    all.insert(pairs.validation().begin(), pairs.validation().end());
    CHECK(all.size() == 13);
    int runs = 0;
    for (std::size_t i = 0; i < pairs.validation().size(); ++i) {
      runs += i == 0 || pairs.validation()[i] != pairs.validation()[i - 1] + 1 ? 1 : 0;
    }
    CHECK(runs <= 3);
    CHECK(std::is_sorted(pairs.train().begin(), pairs.train().end()));
  }
  CHECK_THAT(error_of([&] { Pairs(data(dir.path(), 13), 1, 1); }),
             Contains("data.validation: cannot hold back 13 of 13 pairs") && Contains("--set data.validation=N"));
}

TEST_CASE("pairs: split.json says which pair serves what") {
  const TempDir dir;
  for (int i = 1; i <= 4; ++i) put_pair(dir, std::to_string(i), i);
  put_pair(dir, "x", 5);
  const auto split = [&](const std::string& text) {
    dir.put("split.json", text);
    return error_of([&] { Pairs(data(dir.path(), 99), 1, 1); });
  };
  dir.put("split.json", std::string(R"({"train": [4, "x", "1"], "validation": [3], "test": ["2"]})"));
  const Pairs pairs(data(dir.path(), 99), 1, 1);
  CHECK(stems(pairs, pairs.train()) == Names{"1", "4", "x"});
  CHECK(stems(pairs, pairs.validation()) == Names{"3"});
  CHECK(split(R"({"train": [1]})") == "no error");
  const std::string file = dir / "split.json";
  CHECK_THAT(split(R"({"train": [1, 7]})"), Contains(file + ": train: there is no pair 7"));
  CHECK_THAT(split(R"({"train": [1, "1"]})"), Contains(file + ": train: pair 1 is listed twice"));
  CHECK_THAT(split(R"({"train": [1], "test": [1]})"), Contains(file + ": test: pair 1 is listed twice"));
  CHECK_THAT(split(R"({"train": [1.5]})"), Contains("expected names, got 1.5"));
  CHECK_THAT(split(R"({"train": [null]})"), Contains("expected names, got null"));
  CHECK_THAT(split(R"({"train": [1], "vaildation": [2]})"),
             Contains(file + ": vaildation: unknown key; did you mean \"validation\"?"));
  CHECK_THAT(split(R"({"train": [1], "held back": [2]})"), Contains("known keys: \"train\", \"validation\", \"test\""));
  CHECK_THAT(split(R"({"train": "1"})"), Contains(file + ": train: expected a list of names"));
  CHECK_THAT(split("[1, 2]"), Contains(file + ": expected an object of lists"));
  CHECK_THAT(split("{"), Contains(file + ": line 1"));
  CHECK_THAT(split(R"({"validation": [1]})"), Contains("no pair to train on"));
}

TEST_CASE("pairs: everything that is wrong is listed at once, by name") {
  const TempDir dir;
  put_scenes(dir.path(), 2, 20, 12);
  put_picture(dir / "low/alone.png", scene(20, 12, 1, true));
  put_picture(dir / "high/bright.png", scene(20, 12, 1, false));
  put_picture(dir / "low/sizes.png", scene(20, 12, 1, true));
  put_picture(dir / "high/sizes.png", scene(12, 20, 1, false));
  put_pair(dir, "small", 1);
  put_pair(dir, "broken", 1);
  dir.put("high/broken.png", "no picture");
  const std::string message = error_of([&] { Pairs(data(dir.path()), 12, 1); });
  CHECK_THAT(message, Contains("data: " + dir.path() + ": 5 pairs are unusable: "));
  CHECK_THAT(message, Contains("alone: ") && Contains("has no twin in " + dir / "high"));
  CHECK_THAT(message, Contains("bright: ") && Contains("has no twin in " + dir / "low"));
  CHECK_THAT(message, Contains("sizes: 20x12 dark and 12x20 bright"));
  CHECK_THAT(message, Contains("small: 6x5 is smaller than the patches, 12x12"));
  CHECK_THAT(message, Contains("broken: cannot read " + dir / "high/broken.png"));
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("pairs: of many problems the first are listed, the others counted") {
  const TempDir dir;
  put_scenes(dir.path(), 1);
  for (int i = 0; i < 23; ++i) put_picture(dir / "low/alone" + std::to_string(i) + ".png", scene(20, 12, 1, true));
  const std::string message = error_of([&] { Pairs(data(dir.path()), 1, 1); });
  CHECK_THAT(message, Contains("23 pairs are unusable: alone0: ") && Contains(" in " + dir / "high; and 3 more"));
}

TEST_CASE("pairs: two files of one name are not guessed between") {
  const TempDir dir;
  put_scenes(dir.path(), 1);
  write_image(dir / "low/1.bmp", scene(40, 32, 2, true), ImageFormat::kBmp);
  CHECK_THAT(error_of([&] { Pairs(data(dir.path()), 1, 1); }), Contains("1: both ") && Contains("have this name"));
}

TEST_CASE("pairs: folders that are not there or hold nothing") {
  const TempDir dir;
  CHECK_THAT(error_of([&] { Pairs(data(dir / "none"), 1, 1); }), Contains("there is no folder " + dir / "none") &&
                                                                     Contains("https://") && Contains("--data DIR") &&
                                                                     Contains("configs/quick.json"));
  CHECK_THAT(error_of([&] { Pairs(data(dir.path()), 1, 1); }),
             Contains("expected folders low/ and high/") && Contains("found no dark one"));
  std::filesystem::create_directory(dir / "low");
  CHECK_THAT(error_of([&] { Pairs(data(dir.path()), 1, 1); }),
             Contains("found no bright one") && Contains("synthesize"));
  std::filesystem::create_directory(dir / "high");
  CHECK_THAT(error_of([&] { Pairs(data(dir.path()), 1, 1); }), Contains("there are no pictures in " + dir.path()));
}

TEST_CASE("pairs: folders that may not be looked into are named") {
  namespace fs = std::filesystem;
  const TempDir dir;
  put_scenes(dir / "data", 2);
  fs::permissions(dir.path(), fs::perms::all);
  const auto without_rights = [&](const std::string& folder) {
    const fs::perms before = fs::status(folder).permissions();
    fs::permissions(folder, fs::perms::none);
    std::string message;
    {
      const UnprivilegedScope unprivileged;
      message = error_of([&] { Pairs(data(dir / "data"), 1, 1); });
    }
    fs::permissions(folder, before);
    return message;
  };
  CHECK(without_rights(dir / "data/high") == "cannot list " + dir / "data/high" + ": Permission denied");
  CHECK(without_rights(dir / "data") == "data: " + dir / "data/low" + ": Permission denied");
  CHECK(without_rights(dir.path()) == "data: " + dir / "data" + ": Permission denied");
}

TEST_CASE("pairs: dark pictures made from bright ones") {
  const TempDir dir;
  for (const std::string folder : {"", "high/"}) {
    const TempDir root;
    for (int i = 1; i <= 3; ++i) put_picture(root / (folder + std::to_string(i) + ".png"), scene(20, 12, i, false));
    DataConfig config = data(root.path(), 1);
    config.synthesize.emplace();
    const Pairs pairs(config, 8, 5), same(config, 8, 5), other(config, 8, 6);
    REQUIRE(pairs.all().size() == 3);
    CHECK(pairs.validation().size() == 1);
    for (std::size_t i = 0; i < 3; ++i) {
      const Pairs::Pictures& pictures = pairs.pictures(i);
      CHECK(pictures.high.data == scene(20, 12, static_cast<int>(i) + 1, false).data);
      CHECK(pictures.low.data == same.pictures(i).low.data);
      CHECK(pictures.low.data != other.pictures(i).low.data);
      long dark = 0, bright = 0;
      for (std::size_t j = 0; j < pictures.low.data.size(); ++j) {
        dark += pictures.low.data[j];
        bright += pictures.high.data[j];
      }
      CHECK(dark < bright);
    }
    CHECK(pairs.fingerprint() == same.fingerprint());
    CHECK(pairs.fingerprint() != other.fingerprint());
  }
  DataConfig config = data(dir.path());
  config.synthesize.emplace();
  CHECK_THAT(error_of([&] { Pairs(config, 1, 1); }), Contains("there are no pictures in " + dir.path()));
}

TEST_CASE("pairs: what memory does not hold is read again, to the same pixels") {
  const TempDir dir;
  // Each pair takes 0.9 MB, so that one of the four is kept.
  put_scenes(dir.path(), 4, 500, 300);
  for (const bool synthesize : {false, true}) {
    DataConfig small = data(dir.path()), large = data(dir.path());
    small.memory_mb = 1;
    if (synthesize) {
      small.synthesize.emplace();
      large.synthesize.emplace();
    }
    const Pairs a(small, 1, 1), b(large, 1, 1);
    CHECK(a.fingerprint() == b.fingerprint());
    for (const std::size_t i : std::vector<std::size_t>{3, 0, 2, 2, 1, 3}) {
      CHECK(a.pictures(i).low.data == b.pictures(i).low.data);
      CHECK(a.pictures(i).high.data == b.pictures(i).high.data);
    }
  }
}

TEST_CASE("pairs: the fingerprint sees every pixel and name, and no threads") {
  const TempDir dir;
  for (int i = 1; i <= 5; ++i) put_pair(dir, std::to_string(i), i);
  const std::uint64_t before = Pairs(data(dir.path()), 1, 1).fingerprint();
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    CHECK(Pairs(data(dir.path()), 1, 1).fingerprint() == before);
  }
  Image changed = scene(6, 5, 3, true);
  changed.set_sample(5, 4, 2, changed.sample(5, 4, 2) + 1);
  put_picture(dir / "low/3.png", changed);
  CHECK(Pairs(data(dir.path()), 1, 1).fingerprint() != before);
  put_picture(dir / "low/3.png", scene(6, 5, 3, true));
  CHECK(Pairs(data(dir.path()), 1, 1).fingerprint() == before);
  std::filesystem::rename(dir / "low/5.png", dir / "low/6.png");
  std::filesystem::rename(dir / "high/5.png", dir / "high/6.png");
  CHECK(Pairs(data(dir.path()), 1, 1).fingerprint() != before);
}

}  // namespace
}  // namespace kind::testing
