#include "nets/data/path_pattern.h"

#include <catch2/catch.hpp>

#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using Values = std::map<std::string, std::string>;

/// The matches in a folder of these files, as "path: name".
std::vector<std::string> found(const std::string& pattern, const std::vector<std::string>& files) {
  const TempDir dir;
  for (const std::string& file : files) {
    std::filesystem::create_directories(std::filesystem::path(dir / file).parent_path());
    dir.put(file, "x");
  }
  std::vector<std::string> all;
  for (const PathPattern::Match& match : PathPattern(pattern, "p").files(dir.path())) {
    all.push_back(match.path.substr(dir.path().size() + 1) + ": " + match.name);
  }
  return all;
}

using Found = std::vector<std::string>;

TEST_CASE("path patterns: words, stars and what pairs are called") {
  CHECK(found("{name}_dark.*", {"a_dark.png", "b_dark.jpg", "a_bright.png", "_dark.png", "x_dark_dark.png"}) ==
        Found{"a_dark.png: a", "b_dark.jpg: b", "x_dark_dark.png: x_dark"});
  CHECK(found("short/{scene}_*.png", {"short/1_0.1s.png", "short/1_2_0.2s.png", "long/1_1s.png", "short/1.png"}) ==
        Found{"short/1_0.1s.png: 1_0.1s", "short/1_2_0.2s.png: 1_2_0.2s"});
  CHECK(found("{scene}/*.JPG", {"1/2.JPG", "1/3.JPG", "10/1.JPG", "1/x.png", "Label/1.JPG", "1/deep/4.JPG"}) ==
        Found{"1/2.JPG: 1-2", "1/3.JPG: 1-3", "10/1.JPG: 10-1", "Label/1.JPG: Label-1"});
  CHECK(found("{a}/{a}_{b}.png", {"x/x_1.png", "x/y_1.png"}) == Found{"x/x_1.png: x-x_1"});
  CHECK(found("a**b.png", {"ab.png", "axxb.png", "ab.png.png", ".ab.png"}) == Found{"ab.png: ab", "axxb.png: axxb"});
  CHECK(found("*", {".hidden", "shown"}) == Found{"shown: shown"});
  CHECK(found(".{name}", {".hidden", "shown"}) == Found{".hidden: hidden"});
  CHECK(found("fixed/one.png", {"fixed/one.png"}) == Found{"fixed/one.png: one"});
  CHECK(found("none/{name}.png", {"a.png"}).empty());
}

TEST_CASE("path patterns: a word takes as little as it can, and the same wherever it is repeated") {
  const TempDir dir;
  dir.put("a_b_c.png", "x");
  const auto values = [&](const std::string& pattern) {
    const auto all = PathPattern(pattern, "p").files(dir.path());
    return all.empty() ? Values{} : all[0].values;
  };
  CHECK(values("{scene}_*.png") == Values{{"scene", "a"}});
  CHECK(values("{scene}_{rest}.png") == Values{{"scene", "a"}, {"rest", "b_c"}});
  CHECK(values("*_{last}.png") == Values{{"last", "b_c"}});
  CHECK(values("{x}_{x}_c.png").empty());
}

TEST_CASE("path patterns: examples and fixed folders") {
  const PathPattern pattern("Low/x/{scene}_*.*", "p");
  CHECK(pattern.example() == "Low/x/SCENE_x.png");
  CHECK(pattern.example({{"scene", "12"}}) == "Low/x/12_x.png");
  CHECK(PathPattern("long/{scene}_*", "p").example() == "long/SCENE_x.png");
  CHECK(PathPattern("*/{name}.jpg", "p").example() == "x/NAME.jpg");
  CHECK(pattern.fixed_folder() == "Low/x");
  CHECK(PathPattern("{a}/b.png", "p").fixed_folder().empty());
  CHECK(pattern.words() == std::set<std::string>{"scene"});
}

TEST_CASE("path patterns: what is none is refused") {
  const auto refused = [](const std::string& text) { return error_of([&] { PathPattern(text, "data.low"); }); };
  CHECK_THAT(refused(""), Contains("data.low: expected a pattern"));
  CHECK_THAT(refused("/abs/{name}.png"), Contains("absolute path"));
  CHECK_THAT(refused("a//b.png"), Contains("two slashes"));
  CHECK_THAT(refused("a/"), Contains("two slashes"));
  CHECK_THAT(refused("{}.png"), Contains("expected a word in braces, such as {name}, got \"{}.png\""));
  CHECK_THAT(refused("{a.png"), Contains("expected a word in braces"));
  CHECK_THAT(refused("{a b}.png"), Contains("expected a word in braces"));
  CHECK_THAT(refused("a}.png"), Contains("a } without a {"));
}

}  // namespace
}  // namespace kind::testing
