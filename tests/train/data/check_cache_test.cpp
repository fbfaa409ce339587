#include "train/data/check_cache.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/errors.h"
#include "tests/train/run_folder.h"
#include "train/data/pairs.h"

namespace kind::testing {
namespace {

namespace fs = std::filesystem;

/// Waits until files that were written before have not changed for as long as results need to be kept.
void let_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(3100)); }

const PairCheck kResult{1, 2, 3, 4, 0xFFFFFFFFFFFFFFFF, 0};

TEST_CASE("checked pairs: results are kept for files that are as they were") {
  const TempDir dir;
  const std::string a = dir.put("a", "1"), b = dir.put("b", "2"), folder = dir / "new/folder";
  CHECK_FALSE(CheckCache(folder, "x").key_of({a, b}, "s").has_value());  // they have just changed
  let_settle();
  std::uint64_t key = 0;
  {
    CheckCache cache(folder, "x");
    key = cache.key_of({a, b}, "s").value();
    CHECK(cache.key_of({a, b}, "t") != key);
    CHECK(cache.key_of({b, a}, "s") != key);
    CHECK_FALSE(cache.key_of({a, dir / "none"}, "s").has_value());
    CHECK_FALSE(cache.find(key).has_value());
    cache.put(key, kResult);
    cache.save();
  }
  CheckCache again(folder, "x");
  CHECK(again.find(key) == kResult);
  CHECK_FALSE(again.find(key + 1).has_value());
  CHECK_FALSE(CheckCache(folder, "y").find(key).has_value());
  // The same time of modification does not hide a change.
  const auto time = fs::last_write_time(a);
  dir.put("a", "3");
  fs::last_write_time(a, time);
  let_settle();
  CHECK(again.key_of({a, b}, "s") != key);
  again.forget();
  CHECK_FALSE(CheckCache(folder, "x").find(key).has_value());
  CheckCache none("", "x");
  CHECK_FALSE(none.key_of({a, b}, "s").has_value());
  none.put(key, kResult);
  none.save();
}

TEST_CASE("checked pairs: a damaged file has nothing in it, a folder that cannot be written to keeps nothing") {
  const TempDir dir;
  CheckCache cache(dir.path(), "x");
  for (std::uint64_t key = 1; key <= 3; ++key) cache.put(key, kResult);
  cache.save();
  const fs::path file = fs::directory_iterator(dir.path())->path();
  const std::vector<std::uint8_t> whole = slurp(file.string());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(whole.data()), static_cast<long>(size));
    CHECK_FALSE(CheckCache(dir.path(), "x").find(2).has_value());
  }
  std::vector<std::uint8_t> changed = whole;
  changed[whole.size() / 2] ^= 1;
  dir.put(file.filename().string(), changed);
  CHECK_FALSE(CheckCache(dir.path(), "x").find(1).has_value());
  CheckCache nowhere(file.string() + "/below", "x");
  nowhere.put(1, kResult);
  nowhere.save();
  CHECK_FALSE(nowhere.find(1).has_value());
}

TEST_CASE("checked pairs: what was checked before is decoded when it is used, to the same pixels and hashes") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  for (const bool synthesize : {false, true}) {
    let_settle();
    DataConfig config;
    config.root = dir / "data";
    config.validation = 1;
    if (synthesize) config.synthesize.emplace();
    const PairsOptions options{{}, dir / "cache"};
    const Pairs first(config, 8, 1, options);
    // A picture whose pixels change while its size and times do not would not be found out before it is used.
    const Pairs second(config, 8, 1, options), plain(config, 8, 1);
    CHECK(second.fingerprint() == plain.fingerprint());
    CHECK(second.fingerprint() == first.fingerprint());
    CHECK(second.train() == plain.train());
    for (const std::size_t i : {3u, 0u, 3u, 1u}) {
      CHECK(second.all()[i].width == plain.all()[i].width);
      CHECK(second.content_hash(i) == plain.content_hash(i));
      CHECK(second.pictures(i).low.data == plain.pictures(i).low.data);
      CHECK(second.pictures(i).high.data == plain.pictures(i).high.data);
    }
    // Smaller patches were asked for then.
    CHECK_THAT(error_of([&] { Pairs(config, 33, 1, options); }), Catch::Contains("smaller than the patches, 33x33"));
    put_picture(dir / "data/high/3.png", scene(40, 32, 10, false));
    CHECK_THAT(error_of([&] { second.pictures(2); }),
               Catch::Contains("data/high/3.png") && Catch::Contains("not those that were checked"));
    CHECK(Pairs(config, 8, 1, options).fingerprint() != first.fingerprint());
    put_picture(dir / "data/high/3.png", scene(40, 32, 3, false));
  }
}

TEST_CASE("checked pairs: the folder is named by the environment") {
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "",
                    xdg = std::getenv("XDG_CACHE_HOME") ? std::getenv("XDG_CACHE_HOME") : "";
  CHECK(cache_folder().empty());  // KIND_CACHE_DIR is empty for tests
  ::setenv("KIND_CACHE_DIR", "own", 1);
  CHECK(cache_folder() == "own");
  ::unsetenv("KIND_CACHE_DIR");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  CHECK(cache_folder() == "/x/kind");
  ::setenv("XDG_CACHE_HOME", "", 1);
  ::setenv("HOME", "/h", 1);
  CHECK(cache_folder() == "/h/.cache/kind");
  ::unsetenv("HOME");
  CHECK(cache_folder().empty());
  ::setenv("HOME", home.c_str(), 1);
  ::setenv("XDG_CACHE_HOME", xdg.c_str(), 1);
  ::setenv("KIND_CACHE_DIR", "", 1);
}

}  // namespace
}  // namespace kind::testing
