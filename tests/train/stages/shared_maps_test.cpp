#include "train/stages/shared_maps.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

Tensor<float> counting(std::int64_t count, float first) {
  Tensor<float> maps(Shape{1, 1, count});
  for (std::int64_t i = 0; i < count; ++i) maps[i] = first + static_cast<float>(i);
  return maps;
}

TEST_CASE("SharedMaps: what one has made, another finds") {
  const TempDir dir;
  const std::string path = dir / "deeper/maps";
  int made = 0;
  const auto make = [&] {
    ++made;
    return counting(5, 10);
  };
  SharedMaps first(path, {3, 5}), second(path, {3, 5});
  CHECK(first.get(1, make)[4] == 14);
  CHECK(second.get(1, make)[0] == 10);
  CHECK(first.get(1, make)[0] == 10);
  CHECK(made == 1);
  // Zeros are content like any other.
  for (int i = 0; i < 2; ++i) {
    SharedMaps again(path, {3, 5});
    CHECK(again.get(0, [&] {
      ++made;
      return Tensor<float>::full(Shape{3, 1, 1}, 0.0f);
    })[2] == 0);
  }
  CHECK(made == 2);
  CHECK_THAT(error_of([&] { SharedMaps(path, {3, 6}); }), Contains(path) && Contains("another size"));
  SharedMaps wrong(dir / "other", {3});
  CHECK_THAT(error_of([&] { wrong.get(0, make); }), Contains("5 numbers where 3"));
  CHECK_THAT(error_of([&] { SharedMaps(dir.put("file", "x") + "/maps", {3}); }), Contains("cannot be made"));
}

TEST_CASE("SharedMaps: what a killed program left half done is made again") {
  const TempDir dir;
  const std::string path = dir / "maps";
  {
    SharedMaps(path, {4}).get(0, [] { return counting(4, 1); });
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(64 + 5);
  file.put('x');
  file.close();
  int made = 0;
  SharedMaps maps(path, {4});
  CHECK(maps.get(0, [&] {
    ++made;
    return counting(4, 1);
  })[1] == 2);
  CHECK(made == 1);
}

TEST_CASE("SharedMaps: several at once make each of them once") {
  const TempDir dir;
  std::atomic<int> made{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      SharedMaps maps(dir / "maps", std::vector<std::int64_t>(20, 1000));
      for (std::size_t i = 0; i < 20; ++i) {
        const std::size_t index = (i + static_cast<std::size_t>(t) * 5) % 20;
        const float* const found = maps.get(index, [&] {
          ++made;
          return counting(1000, static_cast<float>(index));
        });
        if (found[999] != static_cast<float>(index) + 999) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(made == 20);
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace kind::testing
