// What docs/adding.md says, done: an op, a loss term, a net, a metric and an option by the mechanisms that it names; and
// the files that it names are there, and no more of them than it may take.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "losses/loss.h"
#include "losses/metrics/metrics.h"
#include "nets/net.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

// --- An op -----------------------------------------------------------------------------------------------------------

/// y = x^3; dy/dx = 3 x^2.
template <class T>
Variable<T> cube(const Variable<T>& x) {
  Tensor<T> y(x.shape());
  for (std::int64_t i = 0; i < y.size(); ++i) y[i] = x.value()[i] * x.value()[i] * x.value()[i];
  return Variable<T>::from_op(std::move(y), {x}, [](std::vector<Variable<T>>& in, const Tensor<T>& dy) {
    if (!in[0].requires_grad()) return;
    const Tensor<T>& at = in[0].value();
    Tensor<T> dx(at.shape());
    for (std::int64_t i = 0; i < dx.size(); ++i) dx[i] = 3 * at[i] * at[i] * dy[i];
    in[0].add_grad(dx);
  });
}

TEST_CASE("adding an op: from_op takes it into the graph", "[grad]") {
  CHECK(cube(Variable<double>(Tensor<double>(Shape{3}, {-1, 2, 0.5}))).value().to_vector() ==
        std::vector<double>{-1, 8, 0.125});
  for (const Shape& shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}}) {
    CHECK(gradcheck([](const auto& in) { return cube(mul(in[0], in[1])); },
                    {random_tensor(shape, 1), random_tensor(shape, 2)}));
  }
}

// --- A loss term -----------------------------------------------------------------------------------------------------

/// Mean of (x - t)^4.
struct Quartic {
  static constexpr const char* kName = "quartic";
  static constexpr const char* kHelp = "Fourth power of the difference.";
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("weight", weight, kWeightHelp, at_least(0));
  }
  template <class T>
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& t) const {
    return mean(square(square(sub(x, t))));
  }
};

struct TwoTerms : TermList<Square, Quartic> {
  void validate(const std::string& path) const { check_learned(learns(), names(), path); }
};

TEST_CASE("adding a loss term: a list that names it reads it from configs and has it computed", "[grad]") {
  const auto parse = [](const char* text) { return parse_config<TwoTerms>(nlohmann::json::parse(text), "x.json"); };
  CHECK(TwoTerms::names() == std::vector<std::string>{"square", "quartic"});
  CHECK_FALSE(parse(R"({"square": {}})").get<Quartic>().has_value());
  CHECK(error_of([&] { parse(R"({"quartic": {"weight": -1}})"); }).find("x.json: quartic.weight") == 0);
  CHECK_THAT(error_of([&] { parse(R"({"quartic": {"weight": 0}})"); }), Contains("quartic"));
  CHECK_THAT(error_of([&] { parse(R"({"quadric": {}})"); }), Contains("did you mean \"quartic\""));
  const TwoTerms terms = parse(R"({"square": {"weight": 2}, "quartic": {"weight": 3}})");
  const auto total = [&](const Variable<double>& x, const Variable<double>& t) {
    Variable<double> sum(Tensor<double>::scalar(0));
    terms.each([&](const auto& term) { sum = add(sum, mul(term(x, t), term.weight)); });
    return sum;
  };
  const Variable<double> x(Tensor<double>(Shape{1, 1, 1, 2}, {2, 0})), t(Tensor<double>::zeros({1, 1, 1, 2}));
  CHECK(total(x, t).value().item() == Approx(2 * 2 + 3 * 8));
  CHECK(gradcheck([&](const auto& in) { return total(in[0], in[1]); },
                  {random_tensor({2, 3, 5, 3}, 1), random_tensor({2, 3, 5, 3}, 2)}));
}

// --- A net -----------------------------------------------------------------------------------------------------------

struct SmallConfig {
  static constexpr const char* kName = "small";
  static constexpr std::uint64_t kStream = 1000;
  std::string activation = "leaky_relu";
  double slope = 0.2;
  std::string initializer = "he_normal";

  template <class V>
  void fields(V& v) {
    v.field("activation", activation, "After each convolution but the last.", one_of("leaky_relu", "relu"));
    v.field("slope", slope, "Of leaky ReLU below zero.", between(0, 1));
    v.field("initializer", initializer, "How weights start.", one_of("he_normal", "zeros"));
  }
  template <class Builder>
  void describe(Builder& net) const {
    const auto wide = net.conv({net.input({3})}, "conv1", 32);
    const auto deep = net.conv({net.pool(wide)}, "conv2", 64);
    net.output({net.conv({net.up(deep, "up3", 32, wide), wide}, "conv3", 32)}, "conv4", 3, 1, OutputForm::kAddInput);
  }
};

template <class T>
struct Small : Net<T, SmallConfig> {
  using Net<T, SmallConfig>::Net;
  Variable<T> operator()(const Variable<T>& x) const { return this->run({x})[0]; }
};

TEST_CASE("adding a net: its description gives parameters, layers, gradients and a fused form", "[grad][isa]") {
  Random random(1, {SmallConfig::kStream}), same(1, {SmallConfig::kStream});
  const Small<float> net({}, random);
  const Small<double> exact({}, same);
  std::vector<std::string> names;
  for (const auto& p : net.parameters()) names.push_back(p.name);
  CHECK(names == std::vector<std::string>{"small.conv1.weight", "small.conv1.bias", "small.conv2.weight",
                                          "small.conv2.bias", "small.up3.weight", "small.conv3.weight",
                                          "small.conv3.bias", "small.conv4.weight", "small.conv4.bias"});
  CHECK(net.fused().runnable() == (block_kernels() != nullptr));
  for (std::size_t i = 0; i < names.size(); ++i) {
    Variable<double>(exact.parameters()[i].variable).mutable_value() =
        cast<double>(net.parameters()[i].variable.value());
  }
  for (const Shape& size : {Shape{1, 3, 1, 1}, {2, 3, 7, 5}, {1, 3, 16, 9}}) {
    const Tensor<float> x = random_tensor<float>(size, 2, 0, 1);
    const Tensor<double> y = exact(Variable<double>(cast<double>(x))).value();
    CHECK(largest_difference(cast<double>(net(Variable<float>(x)).value()), y) < 1e-4);
  }
  GradcheckOptions options;
  options.entries = 4;
  options.skip_kinks = true;
  options.most_skipped = 0.7;
  std::vector<Variable<double>> parameters;
  for (const auto& p : exact.parameters()) parameters.push_back(p.variable);
  const Variable<double> x(random_tensor({1, 3, 5, 3}, 3, 0, 1));
  CHECK(gradcheck([&](const std::vector<Variable<double>>&) { return exact(x); }, parameters, options));
}

// --- A metric --------------------------------------------------------------------------------------------------------

TEST_CASE("adding a metric: a row is all of it") {
  const Metric worst{"worst-case",
                     0,
                     "largest difference; lower is better",
                     Better::kLower,
                     Taken::kNamed,
                     [](Scored& s) -> std::optional<double> { return largest_difference(s.output, s.target); }};
  const Tensor<float> a = random_tensor<float>({1, 3, 60, 61}, 1, 0, 255),
                      b = random_tensor<float>(a.shape(), 2, 0, 255);
  Scored pictures{a, b};
  CHECK(*worst.measure(pictures) == largest_difference(a, b));
  CHECK(worst.figure() == "worst_case");

  std::ifstream file(source_dir() + "/docs/metrics.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string> names;
  for (const Metric& metric : all_metrics()) {
    INFO(metric.name);
    CHECK(names.insert(metric.name).second);
    CHECK(&find_metric(metric.name) == &metric);
    CHECK_THAT(page, Contains("`" + metric.name + "`"));
    CHECK((metric.digits >= 0 && !metric.what.empty()));
    if (metric.name == "loe" || metric.name == "niqe") {
      CHECK_THAT(error_of([&] { metric.measure(pictures); }), Contains(metric.name + ": there is no "));
    } else {
      CHECK(metric.measure(pictures).has_value());
    }
    // What belongs to a metric of its own need would fail in every validation.
    if (metric.name == "loe" || metric.name == "niqe") CHECK(metric.taken == Taken::kNamed);
  }
  CHECK(default_metrics() == std::vector<std::string>{"psnr", "ssim", "delta-e", "color-slope"});
  CHECK_THAT(error_of([] { find_metric("sim"); }), Contains("there is no metric") && Contains("did you mean ssim"));
}

// --- A kernel set ----------------------------------------------------------------------------------------------------

TEST_CASE("adding a kernel set: its row is all that the tests need to run under it") {
  std::istringstream list(KIND_ISAS);
  const std::set<std::string> tested{std::istream_iterator<std::string>(list), {}};
  CHECK(tested.count("ref") == 1);
  for (const std::string& isa : available_isas()) {
    INFO(isa);
    CHECK(tested.count(isa) == 1);
  }
}

// --- The page --------------------------------------------------------------------------------------------------------

TEST_CASE("docs/adding.md names files that are there, and few") {
  std::ifstream page(source_dir() + "/docs/adding.md");
  REQUIRE(page);
  const std::map<std::string, int> most{
      {"An op", 4},          {"A loss term", 3},     {"A net", 3},        {"A metric", 2},
      {"A stage option", 3}, {"A form of a net", 3}, {"A kernel set", 4}, {"A layer of the fast nets", 4}};
  const std::regex row(R"(\| `([^`]+)` \|.*)");
  std::map<std::string, int> files;
  std::string section;
  for (std::string line; std::getline(page, line);) {
    if (line.rfind("## ", 0) == 0) section = line.substr(3);
    std::smatch match;
    if (!std::regex_match(line, match, row)) continue;
    INFO(section << ": " << match[1]);
    ++files[section];
    const std::string path = match[1];
    // A folder or file to be made is named in capitals; what it lies in is there.
    const std::size_t fresh = path.find("NAME");
    CHECK(fs::exists(fs::path(source_dir()) / path.substr(0, fresh)));
  }
  for (const auto& [name, count] : most) {
    INFO(name);
    CHECK(files[name] >= 1);
    CHECK(files[name] <= count);
  }
}

}  // namespace
}  // namespace kind::testing
