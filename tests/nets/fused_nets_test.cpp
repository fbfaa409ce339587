// The three nets in one piece (FusedNet) against their layers in double.

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <utility>

#include "tests/nets/branches.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

// Branches: how far a value may be from one that it would not take in double, as a part of its layer's largest.
constexpr double kOutputs = 5e-5, kGradients = 1e-4, kBranches = 5e-5;

/// One form of all three nets.
struct Form {
  const char* name;
  ModelConfig config;
};

ModelConfig official_form() {
  ModelConfig config;
  config.decomposition.emplace();
  config.restoration.emplace();
  config.adjustment.emplace();
  return config;
}

/// With half the channels in restoration, whose time goes with their square.
ModelConfig paper_form() {
  ModelConfig config = official_form();
  config.restoration->width = 0.5;
  config.decomposition->activation = config.restoration->activation = config.adjustment->activation = "relu";
  config.decomposition->output_kernel = 3;
  config.adjustment->output_activation = false;
  return config;
}

/// With a number of channels in restoration that is rounded.
ModelConfig other_form() {
  ModelConfig config = official_form();
  config.restoration->width = 0.3;
  config.decomposition->slope = config.restoration->slope = config.adjustment->slope = 0.05;
  config.decomposition->output_kernel = 3;
  config.restoration->output = "residual";
  return config;
}

/// The config of one net, since restoration's weights take their time.
ModelConfig alone(ModelConfig config, const std::string& net) {
  if (net != "decomposition") config.decomposition.reset();
  if (net != "restoration") config.restoration.reset();
  if (net != "adjustment") config.adjustment.reset();
  return config;
}

/// Weights under which all layers have their say, and biases that are not 0.
Model<float> lively_model(const ModelConfig& config, std::uint64_t seed) {
  Model<float> model;
  model.config = config;
  model.build(seed);
  for (const Parameter<float>& p : model.parameters()) {
    const Shape& s = p.variable.shape();
    const bool bias = s.rank() == 1, up = p.name.find(".up") != std::string::npos;
    const double fan_in = bias ? 1 : static_cast<double>(up ? s[0] : s[1] * s[2] * s[3]);
    const double limit = bias ? 0.2 : std::sqrt(6.0 / fan_in);
    Variable<float>(p.variable).mutable_value() = random_tensor<float>(s, seed++, -limit, limit);
  }
  return model;
}

struct Net {
  const char* name;
  std::vector<std::int64_t> inputs;  // channels
};
const Net kNets[] = {{"decomposition", {3}}, {"restoration", {3, 1}}, {"adjustment", {1, 1}}};

/// Outputs and gradients to parameters and inputs against double on the same branches (tests/nets/branches.h).
void check_net(const Net& net, const Model<float>& model, const Shape& size, std::uint64_t seed) {
  INFO(net.name << ", " << size.text() << " on " << current_isa());
  const Model<double> exact_model = as<double>(model);
  std::vector<Variable<float>> x;
  std::vector<Variable<double>> exact_x;
  for (const std::int64_t channels : net.inputs) {
    x.emplace_back(random_tensor<float>(size.with(1, channels), seed++, 0, 1), true);
    exact_x.emplace_back(cast<double>(x.back().value()), true);
  }
  const std::vector<Variable<float>> y = run_net(model, net.name, x);
  Branches branches = branches_of(model, net.name, x, y);
  const std::vector<Variable<double>> exact_y =
      run_layers(PlainLayers<double>(exact_model, branches, true), net.name, model.config, exact_x);
  const Tensor<double> all = concat<double>(exact_y, 1).value();
  CHECK(largest_difference(cast<double>(concat<float>(y, 1).value()), all) <= kOutputs);
  CHECK(branches.furthest <= kBranches);
  const Tensor<float> given = random_tensor<float>(all.shape(), seed);
  CHECK(gradient_error(gradients_of(model, x, y, given), gradients_of(exact_model, exact_x, exact_y, given), 0.01) <=
        kGradients);
}

TEST_CASE("nets in one piece: outputs and gradients of all forms are those of the layers in double", "[isa]") {
  const Form forms[] = {{"the official", official_form()}, {"the paper's", paper_form()}, {"another", other_form()}};
  std::uint64_t seed = 1;
  for (const Form& form : forms) {
    for (const Net& net : kNets) {
      INFO(form.name << " form");
      const Model<float> model = lively_model(alone(form.config, net.name), seed);
      for (const Shape& size : {Shape{1, 1, 1, 1}, {1, 1, 1, 9}, {1, 1, 9, 1}, {2, 1, 7, 5}, {1, 1, 33, 18}}) {
        check_net(net, model, size, ++seed);
      }
    }
  }
}

TEST_CASE("nets in one piece: which forms can be", "[isa]") {
  const bool blocks = block_kernels() != nullptr;
  for (const ModelConfig& config : {official_form(), paper_form(), other_form()}) {
    const Model<float> model = lively_model(config, 1);
    CHECK(model.decomposition->fused().runnable() == blocks);
    CHECK(model.restoration->fused().runnable() == blocks);
    CHECK(model.adjustment->fused().runnable() == blocks);
  }
}

TEST_CASE("nets in one piece: a form that cannot be runs layer by layer", "[isa]") {
  for (const std::int64_t kernel : {2, 5}) {
    ModelConfig form = alone(official_form(), "decomposition");
    form.decomposition->output_kernel = kernel;
    const Model<float> model = lively_model(form, 1);
    CHECK_FALSE(model.decomposition->fused().runnable());
    for (const Shape& size : {Shape{1, 1, 1, 1}, {2, 1, 7, 5}, {1, 1, 16, 9}}) check_net(kNets[0], model, size, 1);
  }
}

TEST_CASE("nets in one piece: the same outputs with a graph and without", "[isa]") {
  for (const auto& [net, form] : {std::pair(kNets[0], official_form()),
                                  {kNets[1], official_form()},
                                  {kNets[1], other_form()},
                                  {kNets[2], official_form()}}) {
    const Model<float> model = lively_model(alone(form, net.name), 3);
    for (const Shape& size : {Shape{1, 1, 1, 1}, {1, 1, 41, 30}, {1, 1, 120, 35}}) {
      INFO(net.name << ", " << size.text());
      std::vector<Variable<float>> x;
      for (const std::int64_t c : net.inputs) x.emplace_back(random_tensor<float>(size.with(1, c), 4, 0, 1));
      const auto with = run_net(model, net.name, x);
      const NoGrad no_grad;
      const auto without = run_net(model, net.name, x);
      for (std::size_t i = 0; i < with.size(); ++i) {
        CHECK((with[i].value().to_vector() == without[i].value().to_vector()));
      }
    }
  }
}

}  // namespace
}  // namespace kind::testing
