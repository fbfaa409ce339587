#include "core/kernels/kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "tests/support/errors.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

TEST_CASE("kernels: every build has the plain sets, best first") {
  const std::vector<std::string> names = available_isas();
  REQUIRE(names.size() >= 2);
  CHECK(names[names.size() - 2] == "baseline");
  CHECK(names.back() == "ref");
  for (const std::string& name : names) CHECK(std::count(names.begin(), names.end(), name) == 1);
}

TEST_CASE("kernels: KIND_ISA chooses the set, else it is the best one", "[isa]") {
  const char* const forced = std::getenv("KIND_ISA");
  CHECK(current_isa() == (forced && *forced ? forced : available_isas().front()));
  CHECK(kernels<float>().name == current_isa());
}

TEST_CASE("kernels: each set can be selected and answers under its name") {
  for (const std::string& name : available_isas()) {
    const IsaScope scope(name);
    CHECK(current_isa() == name);
    CHECK(kernels<float>().name == name);
    CHECK(kernels<double>().name == std::string(name == "ref" ? "ref" : "baseline"));
  }
}

TEST_CASE("kernels: an unknown set is refused by name, with the known ones") {
  const std::string before = current_isa();
  for (const std::string name : {"sse9", "AVX2", ""}) {
    const std::string message = error_of([&] { select_isa(name); });
    CHECK_THAT(message, Catch::StartsWith("KIND_ISA: there is no kernel set '" + name + "' in this build; known: "));
    for (const std::string& known : available_isas()) CHECK_THAT(message, Catch::Contains(known));
    CHECK(current_isa() == before);
  }
}

TEST_CASE("kernels: a set of the build that this machine cannot run is refused") {
  const std::string known = error_of([] { select_isa("sse9"); });
  const std::vector<std::string> here = available_isas();
  for (const std::string name : {"avx512", "avx2"}) {
    if (known.find(name) == std::string::npos || std::count(here.begin(), here.end(), name) > 0) continue;
    CHECK(error_of([&] { select_isa(name); }) == "KIND_ISA: this machine cannot run the kernel set '" + name + "'");
  }
}

}  // namespace
}  // namespace kind::testing
