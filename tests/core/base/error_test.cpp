#include "core/base/error.h"

#include <catch2/catch.hpp>

#include "tests/support/errors.h"

namespace kind::testing {
namespace {

TEST_CASE("an error's message is its parts, one after the other") {
  CHECK(join("size ", 3, ", ", 0.5, ", ", std::string("end"), '!') == "size 3, 0.5, end!");
  CHECK(join("") == "");
  CHECK(error_of([] { fail("file.png: expected ", 8, " bytes, got ", 7); }) == "file.png: expected 8 bytes, got 7");
}

TEST_CASE("check throws where its condition does not hold, and only there") {
  CHECK(error_of([] { check(true, "no"); }) == "no error");
  CHECK(error_of([] { check(1 > 2, "1 > ", 2); }) == "1 > 2");
}

TEST_CASE("a check that holds writes and calls none of its parts") {
  int calls = 0;
  const auto part = [&] { return ++calls; };
  check(true, "called ", part);
  CHECK(calls == 0);
  CHECK(error_of([&] { check(false, "called ", part, " time"); }) == "called 1 time");
  CHECK(calls == 1);
  CHECK(join(part, ", ", [] { return std::string("text"); }) == "2, text");
}

TEST_CASE("an Error can be caught as std::runtime_error") {
  CHECK_THROWS_AS(fail("x"), std::runtime_error);
  CHECK_THROWS_AS(fail("x"), Error);
}

}  // namespace
}  // namespace kind::testing
