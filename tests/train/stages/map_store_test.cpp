#include "train/stages/map_store.h"

#include <catch2/catch.hpp>

#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("map store: the same maps and crops from memory and from the file") {
  const TempDir dir;
  std::vector<Tensor<float>> maps;
  const Shape shapes[] = {Shape{8, 5, 7}, Shape{2, 1, 1}, Shape{3, 9, 2}, Shape{8, 5, 7}};
  for (std::uint64_t i = 0; i < 4; ++i) maps.push_back(random_tensor<float>(shapes[i], i));
  // All in memory, all in the file, and the first in memory with the rest in the file.
  const std::size_t first_bytes = 8 * 5 * 7 * sizeof(float);
  for (const std::size_t limit : {std::size_t{1} << 20, std::size_t{0}, first_bytes}) {
    INFO("limit " << limit);
    MapStore store(5, limit, dir.path());
    for (const std::size_t i : std::vector<std::size_t>{0, 2, 1, 3}) {
      CHECK_FALSE(store.has(i));
      store.put(i, maps[i]);
      CHECK(store.has(i));
    }
    CHECK_FALSE(store.has(4));
    CHECK(dir.count() == 0);  // the file has no name
    for (std::size_t i = 0; i < 4; ++i) {
      const Tensor<float> all = store.get(i);
      CHECK(all.shape() == maps[i].shape());
      CHECK(all.to_vector() == maps[i].to_vector());
    }
    const Tensor<float> crop = store.crop(3, 1, 2, 3, 4);
    REQUIRE(crop.shape() == Shape{8, 3, 4});
    for (std::int64_t c = 0; c < 8; ++c) {
      for (std::int64_t y = 0; y < 3; ++y) {
        for (std::int64_t x = 0; x < 4; ++x) {
          CHECK(crop[(c * 3 + y) * 4 + x] == maps[3][(c * 5 + y + 1) * 7 + x + 2]);
        }
      }
    }
    CHECK_THAT(error_of([&] { store.get(4); }), Contains("there are no maps of picture 4"));
    CHECK_THAT(error_of([&] { store.crop(4, 0, 0, 1, 1); }), Contains("there are no maps of picture 4"));
    CHECK_THAT(error_of([&] { store.crop(0, 3, 0, 3, 1); }), Contains("the crop leaves the maps"));
    CHECK_THAT(error_of([&] { store.crop(0, 0, -1, 1, 1); }), Contains("the crop leaves the maps"));
    CHECK_THAT(error_of([&] { store.put(4, maps[0].reshape(Shape{1, 8, 5, 7})); }), Contains("[1, 8, 5, 7]"));
  }
}

TEST_CASE("map store: a crop is the caller's own") {
  const TempDir dir;
  MapStore store(1, 1 << 20, dir.path());
  store.put(0, Tensor<float>::full(Shape{1, 2, 2}, 3.0f));
  store.get(0).fill(-1.0f);
  store.crop(0, 0, 0, 2, 2).fill(-1.0f);
  CHECK(store.get(0).to_vector() == std::vector<float>(4, 3.0f));
}

TEST_CASE("map store: a folder that is not there is named") {
  const TempDir dir;
  MapStore store(1, 0, dir / "none");
  CHECK_THAT(error_of([&] {
               store.put(0, Tensor<float>::zeros(Shape{1, 1, 1}));
             }),
             Contains(dir / "none") && Contains("No such file"));
  CHECK_FALSE(store.has(0));
}

}  // namespace
}  // namespace kind::testing
