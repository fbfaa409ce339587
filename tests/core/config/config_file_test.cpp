#include "core/config/config_file.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/config/config.h"
#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

std::string text_error(const std::string& text) {
  return error_of([&] { parse_config_text(text, "x.json"); });
}

TEST_CASE("config text: comments and trailing commas are read as if they were not there") {
  const json expected = {{"a", {1, 2}}, {"b", {{"c", "// no, /* no */ comment,]"}}}, {"d", "\\\""}};
  CHECK(parse_config_text("// first\n{/* a */ \"a\": [1, 2, /* last */ ], // ü\n \"b\": {\"c\": \"// no, /* no */ "
                          "comment,]\" , }, \"d\": \"\\\\\\\"\",\n}\n// end",
                          "x") == expected);
  CHECK(parse_config_text("[1,\n\n]/**/", "x") == json{1});
  CHECK(parse_config_text("{\"a\": [], \"b\": {},}", "x") == json{{"a", json::array()}, {"b", json::object()}});
}

TEST_CASE("config text: errors have the lines and columns of the text as it is") {
  CHECK(text_error("/* ü\n */ {\"a\": /* ü */ 1e999}") ==
        "x.json: line 2, column 19: a number beyond the range of double");
  CHECK_THAT(text_error("{\"a\": 1, // one\n \"a\": 2,}"),
             Contains("x.json: line 2, column 2: the key \"a\" occurs twice"));
  CHECK(text_error("{} /* no end *") == "x.json: line 1, column 4: a comment begins here and has no end, expected */");
  // A comma follows a value, and only one does.
  for (const char* text : {"[,]", "{,}", "[1,,]", "{\"a\": 1,,}", ",", "[1],", "{\"a\":,}"}) {
    INFO(text);
    CHECK_THAT(text_error(text), Contains("x.json: line 1, column "));
  }
  CHECK_THAT(text_error("[1 /2]"), Contains("comments are //"));
  CHECK_THAT(text_error("# no\n{}"), Contains("line 1, column 1") && Contains("comments are //"));
  CHECK_THAT(text_error(std::string("{}//\0", 5)), Contains("a NUL byte is not JSON"));
  CHECK_THAT(text_error("[\"a\n,]"), Contains("line 1, column 4"));
  // Other JSON stays strict.
  CHECK_THAT(error_of([&] { parse_json("[1,]", "x.json"); }), Contains("line 1, column 4"));
}

TEST_CASE("lay_over: objects merge, null takes away, named elements merge by name") {
  json base = json::parse(R"({"seed": 1, "data": {"root": "a", "validation": 3}, "list": [1, 2],
    "stages": [{"name": "a", "batch": 1, "losses": {"x": {"weight": 1, "c": 2}, "y": {}}}, {"name": "b", "batch": 2},
               {"name": "c"}]})");
  lay_over(base, json::parse(R"({"data": {"root": null, "sources": []}, "list": [3], "new": {"k": null},
    "stages": [{"name": "d", "batch": 4}, {"name": "b", "drop": true},
               {"name": "a", "batch": 9, "losses": {"x": {"weight": 5}, "y": null, "z": {}}}]})"));
  CHECK(base == json::parse(R"({"seed": 1, "data": {"validation": 3, "sources": []}, "list": [3], "new": {"k": null},
    "stages": [{"name": "a", "batch": 9, "losses": {"x": {"weight": 5, "c": 2}, "z": {}}}, {"name": "c"},
               {"name": "d", "batch": 4}]})"));
  CHECK_THAT(error_of([&] { lay_over(base, json::parse(R"({"stages": [{"name": "e", "drop": true}]})")); }),
             Contains("stages.e.drop: the base has no element \"e\""));
  CHECK_THAT(error_of([&] { lay_over(base, json::parse(R"({"stages": [{"name": "a", "drop": 1}]})")); }),
             Contains("stages.a.drop: expected true"));
  // A second element of a name would be laid over the first, and nobody would know.
  for (const char* name : {"a", "new"}) {
    const json twice{{"stages", {{{"name", name}, {"batch", 5}}, {{"name", name}, {"batch", 6}}}}};
    CHECK_THAT(error_of([&] { lay_over(base, twice); }),
               Contains(std::string("stages: two elements are named \"") + name + "\""));
  }
  lay_over(base, json::parse(R"({"stages": [{"name": "a", "drop": true}, {"name": "a", "batch": 7}]})"));
  CHECK(base["stages"].back() == json::parse(R"({"name": "a", "batch": 7})"));
}

TEST_CASE("read_layered_config: bases of bases, from each config's own folder") {
  const TempDir dir;
  std::filesystem::create_directories(dir / "sub/deep");
  dir.put("root.json", std::string("{\"a\": 1, \"b\": 1, \"c\": 1, // lowest\n}"));
  dir.put("sub/middle.json", std::string(R"({"base": "../root.json", "b": 2, "c": 2})"));
  const std::string top = dir.put("sub/deep/top.json", std::string(R"({"base": "../middle.json", "c": 3})"));
  CHECK(read_layered_config(top) == json{{"a", 1}, {"b", 2}, {"c", 3}});
  std::vector<std::string> seen;
  read_layered_config(top, read_config_file,
                      [&](json& config, const std::string& path) { seen.push_back(path + config.dump()); });
  CHECK(seen.size() == 3);
  CHECK_THAT(seen[2], Contains("root.json") && !Contains("base"));

  dir.put("one.json", std::string(R"({"base": "two.json"})"));
  dir.put("two.json", std::string(R"({"base": "./one.json"})"));
  CHECK_THAT(error_of([&] { read_layered_config(dir / "one.json"); }), Contains("builds on itself"));
  const std::string lost = dir.put("lost.json", std::string(R"({"base": "none.json"})"));
  CHECK_THAT(error_of([&] { read_layered_config(lost); }),
             Contains("lost.json: base: ") && Contains("none.json") && Contains("looked for as " + dir / "none.json"));
  const std::string odd = dir.put("odd.json", std::string(R"({"base": 3})"));
  CHECK_THAT(error_of([&] { read_layered_config(odd); }),
             Contains("base: expected the name of another config file, got 3"));
}

}  // namespace
}  // namespace kind::testing
