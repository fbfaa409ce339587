#include "core/tensor/shape.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/support/errors.h"

namespace kind::testing {
namespace {

TEST_CASE("shape: rank, sizes, axes from the end, text") {
  const Shape shape{2, 3, 5, 7};
  CHECK(shape.rank() == 4);
  CHECK(shape.size() == 210);
  CHECK(shape[0] == 2);
  CHECK(shape[3] == 7);
  CHECK(shape[-1] == 7);
  CHECK(shape[-4] == 2);
  CHECK(shape.normalize_axis(-2) == 2);
  CHECK(shape.text() == "[2, 3, 5, 7]");
  CHECK(Shape{}.rank() == 0);
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.text() == "[]");
  CHECK(Shape{4}.text() == "[4]");
  CHECK(Shape{3, 0, 2}.size() == 0);
  CHECK(Shape(std::vector<std::int64_t>{1, 2}) == Shape{1, 2});
}

TEST_CASE("shape: equality is of rank and of every size") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2, 3} != Shape{2, 3, 1});
  CHECK(Shape{1} != Shape{});
  CHECK(Shape{} == Shape{});
}

TEST_CASE("shape: with() replaces one size") {
  CHECK(Shape{2, 3, 5}.with(1, 9) == Shape{2, 9, 5});
  CHECK(Shape{2, 3, 5}.with(-1, 0) == Shape{2, 3, 0});
  CHECK(error_of([] { Shape{2, 3}.with(2, 1); }) == "shape: there is no axis 2 in [2, 3]");
  CHECK(error_of([] { Shape{2, 3}.with(0, -1); }) == "shape: an axis cannot have the negative size -1");
}

TEST_CASE("shape: what is not a shape is refused") {
  CHECK(error_of([] { Shape{1, 2}[2]; }) == "shape: there is no axis 2 in [1, 2]");
  CHECK(error_of([] { Shape{1, 2}[-3]; }) == "shape: there is no axis -3 in [1, 2]");
  CHECK(error_of([] { Shape{}[0]; }) == "shape: there is no axis 0 in []");
  CHECK(error_of([] { Shape{2, -1}; }) == "shape: an axis cannot have the negative size -1");
  CHECK(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1}; }) == "shape: expected at most 6 axes, got 7");
  CHECK(Shape{1, 1, 1, 1, 1, 2}.size() == 2);
}

TEST_CASE("shape: sizes whose product overflows are refused, also next to an axis of size zero") {
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  CHECK(error_of([] { Shape{kHuge, kHuge}; }) == "shape: more elements than memory can address");
  CHECK(error_of([] { Shape{0, kHuge, kHuge}; }) == "shape: more elements than memory can address");
  CHECK(error_of([] { Shape{kHuge, 0, kHuge}; }) == "shape: more elements than memory can address");
  CHECK(error_of([] { Shape{std::numeric_limits<std::int64_t>::max()}; }) ==
        "shape: more elements than memory can address");
  CHECK(Shape{kHuge, 1 << 16}.size() == std::int64_t{1} << 56);  // the limit is 2^57 - 1 elements
}

TEST_CASE("broadcast_shape follows NumPy's rule") {
  CHECK(broadcast_shape("f", Shape{2, 3}, Shape{2, 3}) == Shape{2, 3});
  CHECK(broadcast_shape("f", Shape{2, 3}, Shape{}) == Shape{2, 3});
  CHECK(broadcast_shape("f", Shape{}, Shape{}) == Shape{});
  CHECK(broadcast_shape("f", Shape{2, 1, 4}, Shape{3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast_shape("f", Shape{5}, Shape{3, 2, 1}) == Shape{3, 2, 5});
  CHECK(broadcast_shape("f", Shape{1}, Shape{0}) == Shape{0});
  CHECK(broadcast_shape("f", Shape{0, 1}, Shape{1, 3}) == Shape{0, 3});
  CHECK(error_of([] {
          broadcast_shape("mul", Shape{2, 3}, Shape{2, 4});
        }) == "mul: shapes [2, 3] and [2, 4] cannot be broadcast together");
  CHECK(error_of([] { broadcast_shape("add", Shape{0}, Shape{2}); }) ==
        "add: shapes [0] and [2] cannot be broadcast together");
  CHECK(error_of([] {
          broadcast_shape("add", Shape{3}, Shape{3, 1, 2});
        }) == "add: shapes [3] and [3, 1, 2] cannot be broadcast together");
}

}  // namespace
}  // namespace kind::testing
