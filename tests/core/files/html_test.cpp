#include "core/files/html.h"

#include <catch2/catch.hpp>

namespace kind::testing {
namespace {

TEST_CASE("base64: the examples of RFC 4648, and all of a byte's values") {
  const auto of = [](const std::string& text) { return base64({text.begin(), text.end()}); };
  CHECK(of("") == "");
  CHECK(of("f") == "Zg==");
  CHECK(of("fo") == "Zm8=");
  CHECK(of("foo") == "Zm9v");
  CHECK(of("foob") == "Zm9vYg==");
  CHECK(of("fooba") == "Zm9vYmE=");
  CHECK(of("foobar") == "Zm9vYmFy");
  CHECK(base64({0xff, 0xfe, 0xfb, 0x00}) == "//77AA==");
}

TEST_CASE("html_text: nothing of a text is taken for a tag or the end of a value") {
  CHECK(html_text("a<b>&\"c\" ä") == "a&lt;b&gt;&amp;&quot;c&quot; ä");
}

}  // namespace
}  // namespace kind::testing
