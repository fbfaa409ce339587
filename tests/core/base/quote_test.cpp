#include "core/base/quote.h"

#include <catch2/catch.hpp>

using namespace kind;

TEST_CASE("quote: control characters cannot break a message's line, and long names are cut", "[unit]") {
  CHECK(quote("plain name") == "'plain name'");
  CHECK(quote("") == "''");
  CHECK(quote("a\nb\x1b[31m\x7f") == "'a\\x0ab\\x1b[31m\\x7f'");
  CHECK(quote(std::string("a\0b", 3)) == "'a\\x00b'");
  CHECK(quote("\xc3\xa9") == "'\xc3\xa9'");  // UTF-8 stays
  CHECK(quote(std::string(1000, 'x')) == "'" + std::string(100, 'x') + "...'");
  CHECK(printable("abcdef", 3) == "abc...");
}
