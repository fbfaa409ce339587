#include "core/program/program.h"

#include <catch2/catch.hpp>
#include <new>

#include "core/base/error.h"

namespace kind::testing {
namespace {

TEST_CASE("program: the version text names version, kernel sets and picture types") {
  const std::string text = version_text("kind-x", {"avx2", "baseline", "ref"}, "baseline", "png jpeg");
  CHECK_THAT(text, Catch::Matches("kind-x [0-9]+\\.[0-9]+\\.[0-9]+\ninstruction sets: avx2 \\[baseline\\] ref\n"
                                  "codecs: png jpeg"));
}

TEST_CASE("program: an exception becomes one line") {
  CHECK(error_line("kind-x", Error("cannot read a.png: it is empty")) == "kind-x: cannot read a.png: it is empty");
  CHECK(error_line("kind-x", Error("cannot read a\nb\x1b[2J.png")) == "kind-x: cannot read a\\x0ab\\x1b[2J.png");
  CHECK(error_line("kind-x", std::bad_alloc()) == "kind-x: there is not enough memory");
  CHECK(error_line("kind-x", std::bad_array_new_length()) == "kind-x: there is not enough memory");
  CHECK(error_line("kind-x", Error(std::string(100'000, 'x'))).size() < 5000);
}

}  // namespace
}  // namespace kind::testing
