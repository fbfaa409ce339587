#include "train/data/data_config.h"

#include <catch2/catch.hpp>

#include "tests/support/errors.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

std::string refused(const std::string& data) {
  return error_of([&] { parse_config<DataConfig>(parse_json(data, "data"), "d"); });
}

TEST_CASE("data config: one folder is one source, listed sources are named by name or place") {
  DataConfig config =
      parse_config<DataConfig>(parse_json(R"({"root": "a", "validation": 3, "synthesize": {}})", "d"), "d");
  REQUIRE(config.all().size() == 1);
  CHECK((config.all()[0].root == "a" && config.all()[0].validation == 3 && config.all()[0].synthesize));
  CHECK((config.all()[0].name.empty() && config.all()[0].weight == 1 && config.all()[0].split == "train"));
  config = parse_config<DataConfig>(
      parse_json(R"({"sources": [{"name": "lol", "root": "a"}, {"root": "b", "weight": 0.5, "split": "all"}]})", "d"),
      "d");
  REQUIRE(config.all().size() == 2);
  CHECK((config.all()[0].name == "lol" && config.all()[1].name == "1" && config.all()[1].weight == 0.5));
}

TEST_CASE("data config: what is wrong with sources and the camera is named") {
  CHECK_THAT(refused(R"({"sources": [{"name": "a b"}]})"), Contains("sources[0].name: expected a word"));
  CHECK_THAT(refused(R"({"sources": [{"name": "a"}, {"name": "a"}]})"),
             Contains("sources: two sources are named \"a\""));
  CHECK_THAT(refused(R"({"sources": [{"name": "1"}, {}]})"), Contains("two sources are named \"1\""));
  CHECK_THAT(refused(R"({"sources": [{"weight": 0}, {"weight": 0}]})"), Contains("every weight is 0"));
  CHECK_THAT(refused(R"({"sources": [{"weight": -1}]})"), Contains("sources[0].weight") && Contains("at least 0"));
  CHECK_THAT(refused(R"({"sources": [{"split": "test"}]})"), Contains("one of \"train\", \"all\""));
  for (const char* const beside : {R"("root": "x")", R"("validation": 3)", R"("synthesize": {})"}) {
    CHECK_THAT(refused(std::string(R"({"sources": [{}], )") + beside + "}"), Contains("are for a single folder"));
  }
  const auto camera = [](const std::string& text) { return refused(R"({"synthesize": )" + text + "}"); };
  CHECK_THAT(camera(R"({"noise_low": 2})"), Contains("synthesize.noise_low: expected at most noise_high (1), got 2"));
  CHECK_THAT(camera(R"({"noise_low": 0})"), Contains("synthesize.noise_low: expected a number greater than 0"));
  CHECK(camera(R"({"noise_low": 0, "noise_high": 0})") == "no error");
  CHECK_THAT(camera(R"({"falloff_low": 1})"), Contains("falloff_high (0), got 1"));
  CHECK_THAT(camera(R"({"red_gain_low": 2})"), Contains("red_gain_high (1), got 2"));
  CHECK_THAT(camera(R"({"blue_gain_high": 0.5})"), Contains("blue_gain_low: expected at most"));
  CHECK_THAT(camera(R"({"window_exposure_low": 2})"), Contains("window_exposure_high (1), got 2"));
  CHECK_THAT(camera(R"({"window_size_low": 0.7})"), Contains("window_size_high (0.6), got 0.7"));
  CHECK_THAT(camera(R"({"jpeg_quality_low": 96})"), Contains("jpeg_quality_high (95), got 96"));
  CHECK_THAT(camera(R"({"mosaic": "bayer"})"), Contains("one of \"none\", \"noise\", \"picture\""));
}

/// data of a config after --data options.
json with(const std::string& config, const std::vector<std::string>& values) {
  json result = parse_json(config, "c");
  set_data(result, values);
  return result;
}

TEST_CASE("data: --data reaches the one folder, the one source, or sources by name") {
  CHECK(with("{}", {"x=y"}) == json::parse(R"({"data": {"root": "x=y"}})"));
  CHECK(with(R"({"data": {"root": "a"}})", {}) == json::parse(R"({"data": {"root": "a"}})"));
  const std::string one = R"({"data": {"sources": [{"name": "lol", "root": "a"}]}})";
  const std::string two = R"({"data": {"sources": [{"name": "lol"}, {"root": "b"}]}})";
  CHECK(with(one, {"x"})["data"]["sources"][0]["root"] == "x");
  CHECK(with(one, {"lol=x=y"})["data"]["sources"][0]["root"] == "x=y");
  CHECK(with(one, {"./a=b"})["data"]["sources"][0]["root"] == "./a=b");
  const json both = with(two, {"1=/d", "lol=e"});
  CHECK((both["data"]["sources"][0]["root"] == "e" && both["data"]["sources"][1]["root"] == "/d"));

  const auto error = [&](const std::string& config, const std::vector<std::string>& values) {
    return error_of([&] { with(config, values); });
  };
  CHECK_THAT(error(two, {"x"}), Contains("--data x: the config has several sources; say which with --data NAME=DIR: "
                                         "\"lol\", \"1\""));
  CHECK_THAT(error(two, {"lool=x"}),
             Contains("--data lool=x: there is no source \"lool\"; the config's sources are \"lol\", \"1\""));
  CHECK_THAT(error(one, {"lool=x"}), Contains("there is no source \"lool\""));
  CHECK_THAT(error(two, {"lol="}), Contains("--data lol=: expected a folder"));
  CHECK_THAT(error(two, {"lol=x", "lol=y"}), Contains("source \"lol\" is given twice"));
  CHECK_THAT(error("{}", {"x", "y"}), Contains("--data y: given twice, but the config has one folder"));
  // What is no config is left for parsing to refuse.
  for (const char* const odd :
       {"[]", R"({"data": 8})", R"({"data": {"sources": 8}})", R"({"data": null})", R"({"data": {"sources": [8]}})"}) {
    CHECK(error(odd, {"x"}) == "no error");
  }
}

TEST_CASE("runs that differ in where pictures lie are the same") {
  json data = json::parse(R"({"root": "a", "validation": 3, "memory_mb": 9, "sources":
                              [{"name": "n", "root": "b", "split_file": "c", "weight": 2}, 8]})");
  erase_places(data);
  CHECK(data == json::parse(R"({"validation": 3, "sources": [{"name": "n", "weight": 2}, 8]})"));
  json config =
      json::parse(R"({"seed": 3, "keep": "all", "tensorboard": true, "data": {"root": "a", "validation": 3}})");
  erase_incidental(config);
  CHECK(config == json::parse(R"({"seed": 3, "data": {"validation": 3}})"));
  for (const char* const odd : {"{}", R"({"data": 8})", R"({"data": {"sources": 8}})"}) {
    config = json::parse(odd);
    erase_incidental(config);
    CHECK(config == json::parse(odd));
  }
}

}  // namespace
}  // namespace kind::testing
