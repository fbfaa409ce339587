// Runs the program itself on tiny sizes: the line it prints, and its errors.

#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

struct Result {
  int code = -1;
  std::string out, err;
};

Result run(const std::string& arguments) {
  const TempDir dir;
  const std::string command =
      "'" KIND_BENCH_PROGRAM "' " + arguments + " >'" + dir / "out" + "' 2>'" + dir / "err" + "' </dev/null";
  const int status = std::system(command.c_str());
  const auto text = [](const std::string& path) {
    const std::vector<std::uint8_t> bytes = slurp(path);
    return std::string(bytes.begin(), bytes.end());
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text(dir / "out"), text(dir / "err")};
}

TEST_CASE("kind-bench prints one line a case, as other engines' programs do") {
  struct Case {
    const char *mode, *net;
    int batch;
  };
  for (const Case& c : {Case{"infer", "decom", 1}, Case{"infer", "restoration", 1}, Case{"infer", "adjustment", 1},
                        Case{"infer", "pipeline", 1}, Case{"train", "decomposition", 10}, Case{"train", "adjust", 10},
                        Case{"train", "restoration", 4}}) {
    INFO(c.mode << " " << c.net);
    const Result result =
        run(std::string(c.mode) + " --net " + c.net + " --size 17x16 --threads 2 --runs 2 --warmup 0");
    CHECK(result.code == 0);
    CHECK(result.err.empty());
    REQUIRE(std::count(result.out.begin(), result.out.end(), '\n') == 1);
    const nlohmann::ordered_json line = nlohmann::ordered_json::parse(result.out);
    std::vector<std::string> keys;
    for (const auto& [key, value] : line.items()) keys.push_back(key);
    CHECK((keys == std::vector<std::string>{"peer", "mode", "net", "size", "batch", "threads", "median_ms", "min_ms",
                                            "max_ms", "gflops", "rss_mb"}));
    CHECK((line["peer"] == "kind" && line["mode"] == c.mode && line["net"] == c.net && line["size"] == "17x16"));
    CHECK((line["batch"] == c.batch && line["threads"] == 2));
    const double median = line["median_ms"], least = line["min_ms"], most = line["max_ms"];
    CHECK((least > 0 && least <= median && median <= most));
    // 32 x 16 pixels are counted: sides are taken up to multiples of 16.
    const std::string net = c.net;
    const double forward = net == "restoration"     ? 370.624
                           : net == "pipeline"      ? 530.048
                           : net.find("decom") == 0 ? 120.832
                                                    : 38.592;
    const double passes = line["mode"] == "infer" ? 1 : net.find("decom") == 0 ? 6 : 3;
    const double gflops = line["gflops"];
    CHECK(gflops == Approx(forward * 32 * 16 * c.batch * passes / 1e3 / median).margin(0.1 + 0.02 / median * gflops));
    CHECK(line["rss_mb"] > 0);
  }
}

TEST_CASE("kind-bench says what is wrong with its arguments, in one line") {
  for (const auto& [arguments, message] : std::vector<std::pair<std::string, std::string>>{
           {"infer", "--net is required"},
           {"infer --net encoder", "--net: encoder not in"},
           {"draw --net decom", "mode: draw not in"},
           {"infer --net decom --size 600", "--size: expected WIDTHxHEIGHT such as 600x400, got '600'"},
           {"infer --net decom --size 0x5", "got '0x5'"},
           {"infer --net decom --size 5x5x5", "got '5x5x5'"},
           {"infer --net pipeline --size 16x16 --batch 2", "one at a time"},
           {"train --net pipeline --size 16x16", "one at a time"},
           {"infer --net decom --runs 0", "--runs"},
           {"infer --net decom --threads 0", "--threads"}}) {
    INFO(arguments);
    const Result result = run(arguments);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(result.err.find("kind-bench: ") == 0);
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_THAT(result.err, Contains(message));
  }
}

}  // namespace
}  // namespace kind::testing
