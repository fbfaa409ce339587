#include "core/base/machine.h"

#include <catch2/catch.hpp>
#include <vector>

namespace kind::testing {
namespace {

TEST_CASE("machine: memory that is there and that was taken") {
  CHECK(available_memory() > std::uint64_t{1} << 20);
  const std::uint64_t before = peak_memory();
  CHECK(before > std::uint64_t{1} << 20);
  constexpr std::size_t kSize = std::size_t{1} << 28;
  const std::vector<char> much(kSize, 1);
  CHECK(much[kSize / 2] == 1);
  CHECK(peak_memory() >= kSize);
  CHECK(peak_memory() >= before);
}

}  // namespace
}  // namespace kind::testing
