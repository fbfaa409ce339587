#include "train/trainer/optimizer.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;

/// A parameter with the gradient set.
Parameter<float> parameter(const std::string& name, const Shape& shape, const std::vector<float>& values,
                           const std::vector<float>& gradient) {
  Variable<float> variable(Tensor<float>(shape, values), true);
  if (!gradient.empty()) variable.add_grad(Tensor<float>(shape, gradient));
  return {name, variable};
}

void set_gradient(const Parameter<float>& p, const std::vector<float>& gradient) {
  Variable<float> variable = p.variable;
  variable.zero_grad();
  variable.add_grad(Tensor<float>(p.variable.shape(), gradient));
}

OptimizerConfig adam(const std::string& form) {
  OptimizerConfig config;
  config.form = form;
  config.learning_rate = 0.1;
  config.epsilon = 0.5;  // large, so that the two forms are far apart
  return config;
}

TEST_CASE("Adam's TensorFlow form follows the reference", "[golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  const std::string units = *folder + "/losses/units/";
  const Tensor<float> p0 = read_npy<float>(units + "adam_p0.npy"), grads = read_npy<float>(units + "adam_grads.npy");
  const Tensor<float> after = read_npy<float>(units + "adam_p_after.npy");
  const std::int64_t n = p0.size(), steps = grads.shape()[0];
  REQUIRE(grads.size() == steps * n);
  const Parameter<float> p = parameter("p", p0.shape(), p0.to_vector(), {});
  Optimizer optimizer({}, {p});
  for (std::int64_t t = 0; t < steps; ++t) {
    set_gradient(p, std::vector<float>(grads.data() + t * n, grads.data() + (t + 1) * n));
    optimizer.step(1);
    double worst = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double d = std::abs(static_cast<double>(p.variable.value()[i]) - static_cast<double>(after[t * n + i]));
      if (!(d <= worst)) worst = d;
    }
    INFO("step " << t + 1);
    CHECK(worst <= 2.4e-7);
  }
  // The steps are some 1e-4 each: the tolerance above does not pass an optimizer that does nothing.
  CHECK(largest_difference(p.variable.value(), p0) > 1e-4);
}

TEST_CASE("Adam: both forms by hand") {
  const double b1 = 0.9, b2 = 0.999;
  for (const std::string form : {"tensorflow", "standard"}) {
    const Parameter<float> p = parameter("p", Shape{2}, {1.0f, -2.0f}, {});
    Optimizer optimizer(adam(form), {p});
    double m[2] = {}, v[2] = {}, x[2] = {1, -2};
    const double gradients[3][2] = {{0.5, -4}, {-1, 0.25}, {2, 0}}, factors[3] = {1, 0.5, 2};
    for (int t = 1; t <= 3; ++t) {
      const double* g = gradients[t - 1];
      set_gradient(p, {static_cast<float>(g[0]), static_cast<float>(g[1])});
      optimizer.step(factors[t - 1]);
      CHECK(optimizer.steps() == t);
      const double lr = 0.1 * factors[t - 1];
      for (int i = 0; i < 2; ++i) {
        m[i] = b1 * m[i] + (1 - b1) * g[i];
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        const double c1 = 1 - std::pow(b1, t), c2 = 1 - std::pow(b2, t);
        x[i] -= form == "standard" ? lr * (m[i] / c1) / (std::sqrt(v[i] / c2) + 0.5)
                                   : lr * std::sqrt(c2) / c1 * m[i] / (std::sqrt(v[i]) + 0.5);
        INFO(form << ", step " << t << ", element " << i);
        CHECK(p.variable.value()[i] == Approx(x[i]).margin(1e-6).epsilon(0));
      }
    }
  }
  // The first step of the standard form with a small epsilon is the learning rate itself, whatever the gradient.
  OptimizerConfig config = adam("standard");
  config.epsilon = 1e-8;
  const Parameter<float> p = parameter("p", Shape{2}, {0.0f, 0.0f}, {3.0f, -0.001f});
  Optimizer(config, {p}).step(1);
  CHECK(p.variable.value()[0] == Approx(-0.1));
  CHECK(p.variable.value()[1] == Approx(0.1).epsilon(1e-3));
}

TEST_CASE("SGD: momentum by hand, and parameters without a gradient stay") {
  OptimizerConfig config;
  config.type = "sgd";
  config.learning_rate = 0.5;
  config.momentum = 0.5;
  const Parameter<float> p = parameter("p", Shape{1}, {1.0f}, {}), idle = parameter("idle", Shape{1}, {7.0f}, {});
  Optimizer optimizer(config, {p, idle});
  set_gradient(p, {1.0f});
  optimizer.step(1);  // u = 1
  CHECK(p.variable.value()[0] == 0.5f);
  set_gradient(p, {-2.0f});
  optimizer.step(0.5);  // u = -1.5, p += 0.25 * 1.5
  CHECK(p.variable.value()[0] == 0.875f);
  set_gradient(p, {0.0f});
  optimizer.step(1);  // u = -0.75
  CHECK(p.variable.value()[0] == 1.25f);
  CHECK(idle.variable.value()[0] == 7.0f);
}

TEST_CASE("weight decay shrinks weights by learning rate times decay, not biases") {
  for (const std::string type : {"adam", "sgd"}) {
    OptimizerConfig config;
    config.type = type;
    config.learning_rate = 0.25;
    config.weight_decay = 0.5;
    const Parameter<float> weight = parameter("w", Shape{1, 2, 1, 1}, {2.0f, -4.0f}, {0.0f, 0.0f});
    const Parameter<float> bias = parameter("b", Shape{2}, {2.0f, -4.0f}, {0.0f, 0.0f});
    Optimizer optimizer(config, {weight, bias});
    optimizer.step(2);
    INFO(type);
    CHECK(weight.variable.value().to_vector() == std::vector<float>{1.5f, -3.0f});
    CHECK(bias.variable.value().to_vector() == std::vector<float>{2.0f, -4.0f});
  }
}

TEST_CASE("an optimizer goes on from what it saved") {
  for (const std::string type : {"adam", "sgd"}) {
    OptimizerConfig config;
    config.type = type;
    const Parameter<float> whole = parameter("p", Shape{2}, {1.0f, 2.0f}, {0.3f, -1.0f});
    const Parameter<float> parts = parameter("p", Shape{2}, {1.0f, 2.0f}, {0.3f, -1.0f});
    Optimizer one(config, {whole}), first(config, {parts}), second(config, {parts});
    one.step(1);
    one.step(1);
    first.step(1);
    SafeTensors content;
    first.save(content);
    CHECK(content.contains("optimizer.m.p"));
    CHECK(content.contains("optimizer.v.p") == (type == "adam"));
    second.load(content, first.steps());
    second.step(1);
    INFO(type);
    CHECK(second.steps() == 2);
    CHECK(parts.variable.value().to_vector() == whole.variable.value().to_vector());
    // A second optimizer without the state would have gone elsewhere.
    const Parameter<float> fresh = parameter("p", Shape{2}, {1.0f, 2.0f}, {0.3f, -1.0f});
    Optimizer(config, {fresh}).step(1);
    Optimizer(config, {fresh}).step(1);
    if (type == "sgd") CHECK(fresh.variable.value().to_vector() != whole.variable.value().to_vector());

    Optimizer other(config, {parameter("p", Shape{3}, {1.0f, 2.0f, 3.0f}, {})});
    CHECK_THAT(error_of([&] { other.load(content, 1); }), Contains("optimizer.m.p has shape [2], expected [3]"));
    Optimizer renamed(config, {parameter("q", Shape{2}, {1.0f, 2.0f}, {})});
    CHECK_THAT(error_of([&] { renamed.load(content, 1); }), Contains("optimizer.m.q"));
  }
}

TEST_CASE("schedules by hand") {
  ScheduleConfig config;
  CHECK(schedule_factor(config, 0, 10) == 1);
  CHECK(schedule_factor(config, 9, 10) == 1);
  config.warmup_steps = 4;
  CHECK(schedule_factor(config, 0, 10) == 0.25);
  CHECK(schedule_factor(config, 2, 10) == 0.75);
  CHECK(schedule_factor(config, 3, 10) == 1);
  CHECK(schedule_factor(config, 4, 10) == 1);

  config = {};
  config.type = "steps";
  config.milestones = {0.5, 0.75};
  config.factor = 0.5;
  CHECK(schedule_factor(config, 0, 8) == 1);
  CHECK(schedule_factor(config, 3, 8) == 1);
  CHECK(schedule_factor(config, 4, 8) == 0.5);
  CHECK(schedule_factor(config, 5, 8) == 0.5);
  CHECK(schedule_factor(config, 6, 8) == 0.25);

  config = {};
  config.type = "cosine";
  config.final_factor = 0.2;
  CHECK(schedule_factor(config, 0, 12) == Approx(1));
  CHECK(schedule_factor(config, 4, 12) == Approx(0.2 + 0.8 * 0.75));  // cos 60 degrees
  CHECK(schedule_factor(config, 6, 12) == Approx(0.6));
  CHECK(schedule_factor(config, 8, 12) == Approx(0.2 + 0.8 * 0.25));
  CHECK(schedule_factor(config, 12, 12) == Approx(0.2));
  config.warmup_steps = 2;
  CHECK(schedule_factor(config, 0, 12) == Approx(0.5));
  CHECK(schedule_factor(config, 6, 12) == Approx(0.6));
}

TEST_CASE("the gradients' norm and their scaling") {
  const Parameters<float> parameters{parameter("a", Shape{2}, {0.0f, 0.0f}, {3.0f, 0.0f}),
                                     parameter("none", Shape{2}, {0.0f, 0.0f}, {}),
                                     parameter("b", Shape{1, 1}, {0.0f}, {-4.0f})};
  CHECK(gradient_norm(parameters) == 5);
  scale_gradients(parameters, 0.5f);
  CHECK(gradient_norm(parameters) == 2.5);
  CHECK(parameters[2].variable.grad()[0] == -2.0f);
  CHECK_FALSE(parameters[1].variable.grad().defined());
  CHECK(gradient_norm({}) == 0);

  // Shared elements of a gradient are not scaled behind their other owner's back.
  Variable<float> x(Tensor<float>::zeros(Shape{1}), true);
  const Tensor<float> shared(Shape{1}, {8.0f});
  x.add_grad(shared);
  scale_gradients({{"x", x}}, 0.25f);
  CHECK(x.grad()[0] == 2.0f);
  CHECK(shared[0] == 8.0f);

  // The same bits for any number of threads, past the size of one piece of work.
  std::vector<float> many(100003);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(static_cast<double>(i % 977) * 1e-3 - 0.4);
  const Parameters<float> large{parameter("large", Shape{100003}, std::vector<float>(many.size()), many)};
  double expected = 0;
  for (const float v : many) expected += static_cast<double>(v) * static_cast<double>(v);
  const double norm = gradient_norm(large);
  CHECK(norm == Approx(std::sqrt(expected)).epsilon(1e-12));
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    CHECK(gradient_norm(large) == norm);
  }
}

TEST_CASE("the weights' average: update, swap, save") {
  const Parameter<float> p = parameter("p", Shape{1}, {1.0f}, {});
  Variable<float> variable = p.variable;
  WeightAverage average(0.5, {p});
  variable.mutable_value()[0] = 11.0f;
  average.update(0);  // 0.1 * 1 + 0.9 * 11
  average.swap();
  CHECK(p.variable.value()[0] == Approx(10));
  average.swap();
  CHECK(p.variable.value()[0] == 11.0f);
  average.update(1000000);  // the decay itself
  average.swap();
  CHECK(p.variable.value()[0] == Approx(10.5));
  average.swap();

  SafeTensors content;
  average.save(content);
  CHECK(content.get_tensor<float>("average.p")[0] == Approx(10.5));
  WeightAverage again(0.5, {p});
  again.load(content);
  again.swap();
  CHECK(p.variable.value()[0] == Approx(10.5));
  again.swap();
  CHECK_THAT(error_of([&] { again.load(SafeTensors()); }), Contains("average.p"));
  content.put_tensor("average.p", Tensor<float>::zeros(Shape{1, 1}));
  CHECK_THAT(error_of([&] { again.load(content); }), Contains("[1, 1], expected [1]"));
}

}  // namespace
}  // namespace kind::testing
