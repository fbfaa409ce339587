// Long because its cases share the nets that are written down twice.

#include "layers/fused/fused_net.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "layers/conv2d.h"
#include "layers/pool.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

// FusedNet against the same layers run one by one in double, and against itself: in bands of rows, by any number of
// threads, with activations computed again. What needs channel blocks is left out for the plain kernel set.

namespace kind::testing {
namespace {

using Catch::Contains;
using Value = FusedNet::Value;
using Form = FusedNet::OutputForm;

/// How near the layers' values come to where a gradient jumps: zero before an activation, equals in a pooling window.
struct Kinks {
  double nearest = std::numeric_limits<double>::infinity();

  void activation(const Tensor<double>& x) {
    for (std::int64_t i = 0; i < x.size(); ++i) nearest = std::min(nearest, std::abs(x[i]));
  }
  void pooling(const Tensor<double>& x) {
    const std::int64_t h = x.shape()[2], w = x.shape()[3];
    for (std::int64_t plane = 0; plane < x.shape()[0] * x.shape()[1]; ++plane) {
      for (std::int64_t y = 0; y < h; ++y) {
        for (std::int64_t c = 0; c < w; ++c) {
          for (std::int64_t a = y / 2 * 2; a < std::min(h, y / 2 * 2 + 2); ++a) {
            for (std::int64_t b = c / 2 * 2; b < std::min(w, c / 2 * 2 + 2); ++b) {
              const double one = x[(plane * h + y) * w + c], other = x[(plane * h + a) * w + b];
              // Plain ReLU makes many zeros; their gradients are zero, too, whichever is taken.
              if ((a == y && b == c) || (one == 0 && other == 0)) continue;
              nearest = std::min(nearest, std::abs(one - other));
            }
          }
        }
      }
    }
  }
};

/// A net written down twice: as a FusedNet, and layer by layer in double on the same values.
class Twin {
 public:
  Twin(float slope, std::uint64_t seed) : fused(slope), slope_(static_cast<double>(slope)), seed_(seed) {}

  Value input(const std::vector<std::int64_t>& channels) {
    inputs = channels;
    std::int64_t sum = 0;
    for (const std::int64_t c : channels) sum += c;
    return add(fused.input(channels), sum, 0, nullptr);
  }

  Value conv(const std::vector<Value>& x, std::int64_t oc, std::int64_t kernel = 3) {
    const Layer layer = convolution(x, oc, kernel);
    return add(fused.conv(x, layer.weight, layer.bias), oc, level(x[0]),
               [this, x, layer](const Run& run, std::int64_t, std::int64_t) {
                 const Variable<double> y = conv2d(joined(run, x), layer.exact_weight, layer.exact_bias);
                 if (slope_ < 1) run.kinks->activation(y.value());
                 return leaky_relu(y, slope_);
               });
  }

  Value pool(Value x) {
    return add(fused.pool(x), channels(x), level(x) + 1, [x](const Run& run, std::int64_t, std::int64_t) {
      run.kinks->pooling(run.values[static_cast<std::size_t>(x)].value());
      return max_pool2d(run.values[static_cast<std::size_t>(x)]);
    });
  }

  Value up(Value x, std::int64_t oc) {
    const double limit = std::sqrt(6.0 / static_cast<double>(channels(x)));
    const auto [weight, exact] = parameter(Shape{channels(x), oc, 2, 2}, limit);
    return add(fused.up(x, weight), oc, level(x) - 1,
               [x, exact = exact](const Run& run, std::int64_t h, std::int64_t w) {
                 return conv_transpose2d(run.values[static_cast<std::size_t>(x)], exact, h, w);
               });
  }

  void output(const std::vector<Value>& x, std::int64_t oc, std::int64_t kernel, Form form = Form::kSigmoid) {
    const Layer layer = convolution(x, oc, kernel);
    fused.output(x, layer.weight, layer.bias, form);
    outputs_.emplace_back([this, x, layer, form](const Run& run) {
      const Variable<double> y = conv2d(joined(run, x), layer.exact_weight, layer.exact_bias);
      if (form == Form::kAddInput) return y + slice(run.values[0], 1, 0, inputs[0]);
      if (form == Form::kSigmoid) return sigmoid(y);
      run.kinks->activation(y.value());
      return sigmoid(leaky_relu(y, slope_));
    });
  }

  /// The same layer by layer.
  Variable<double> plain(const std::vector<Variable<double>>& from, Kinks& kinks) const {
    Run run{{concat<double>(from, 1)}, &kinks};
    const std::int64_t h = from[0].shape()[2], w = from[0].shape()[3];
    for (std::size_t i = 1; i < values_.size(); ++i) {
      std::int64_t lh = h, lw = w;
      for (int l = 0; l < values_[i].level; ++l) lh = (lh + 1) / 2, lw = (lw + 1) / 2;
      run.values.push_back(values_[i].layer(run, lh, lw));
    }
    std::vector<Variable<double>> all;
    for (const auto& output : outputs_) all.push_back(output(run));
    return concat<double>(all, 1);
  }

  FusedNet fused;
  std::vector<std::int64_t> inputs;
  std::vector<std::pair<Variable<float>, Variable<double>>> parameters;

 private:
  struct Run {
    std::vector<Variable<double>> values;
    Kinks* kinks;
  };
  using LayerFunction = std::function<Variable<double>(const Run& run, std::int64_t h, std::int64_t w)>;
  struct Entry {
    std::int64_t channels;
    int level;
    LayerFunction layer;
  };
  struct Layer {
    Variable<float> weight, bias;
    Variable<double> exact_weight, exact_bias;
  };

  std::int64_t channels(Value x) const { return values_[static_cast<std::size_t>(x)].channels; }
  int level(Value x) const { return values_[static_cast<std::size_t>(x)].level; }
  Value add(Value v, std::int64_t c, int at_level, LayerFunction layer) {
    values_.push_back({c, at_level, std::move(layer)});
    REQUIRE(v == static_cast<Value>(values_.size()) - 1);
    return v;
  }
  std::pair<Variable<float>, Variable<double>> parameter(const Shape& shape, double limit) {
    const Tensor<float> value = random_tensor<float>(shape, seed_++, -limit, limit);
    parameters.emplace_back(Variable<float>(value, true), Variable<double>(cast<double>(value), true));
    return parameters.back();
  }
  Layer convolution(const std::vector<Value>& x, std::int64_t oc, std::int64_t kernel) {
    std::int64_t ic = 0;
    for (const Value v : x) ic += channels(v);
    const auto weight =
        parameter(Shape{oc, ic, kernel, kernel}, std::sqrt(6.0 / static_cast<double>(ic * kernel * kernel)));
    const auto bias = parameter(Shape{oc}, 0.5);
    return {weight.first, bias.first, weight.second, bias.second};
  }
  static Variable<double> joined(const Run& run, const std::vector<Value>& x) {
    std::vector<Variable<double>> parts;
    for (const Value v : x) parts.push_back(run.values[static_cast<std::size_t>(v)]);
    return concat<double>(parts, 1);
  }

  const double slope_;
  std::uint64_t seed_;
  std::vector<Entry> values_;
  std::vector<std::function<Variable<double>(const Run&)>> outputs_;
};

using Plan = std::function<void(Twin& net)>;

/// A leaf for each of the net's inputs.
std::vector<Variable<double>> random_inputs(const std::vector<std::int64_t>& channels, const Shape& size,
                                            std::uint64_t seed) {
  std::vector<Variable<double>> inputs;
  for (const std::int64_t c : channels) {
    inputs.emplace_back(cast<double>(random_tensor<float>(size.with(1, c), seed++, 0, 1)), true);
  }
  return inputs;
}

std::vector<Variable<float>> in_float(const std::vector<Variable<double>>& inputs) {
  std::vector<Variable<float>> same;
  for (const Variable<double>& v : inputs) same.emplace_back(cast<float>(v.value()), true);
  return same;
}

/// The bits of all gradients, which are then cleared.
std::vector<float> take_gradients(const Twin& twin, const std::vector<Variable<float>>& inputs) {
  std::vector<float> all;
  const auto take = [&](Variable<float> v) {
    if (v.grad().defined()) all.insert(all.end(), v.grad().data(), v.grad().data() + v.grad().size());
    v.zero_grad();
  };
  for (const auto& [weight, exact] : twin.parameters) take(weight);
  for (const Variable<float>& v : inputs) take(v);
  return all;
}

/// Of the tensor's largest element, which a bias of few sums may leave small by chance.
double relative_difference(const Tensor<float>& got, const Tensor<double>& exact) {
  return largest_difference(cast<double>(got), exact) / std::max(largest_magnitude(exact), 0.05);
}

/// What the two forms of a net have in common: outputs and gradients within the bounds. Where a value lies so near to
/// a kink that rounding decides about the gradient, another net is drawn.
void compare(const Plan& plan, float slope, const Shape& size, std::uint64_t seed) {
  constexpr double kClear = 2e-5;
  constexpr double kOutputs = 1e-5, kGradients = 3e-5, kExactOutputs = 3e-6, kExactGradients = 1e-5;
  for (std::uint64_t tries = 0; tries < 100; ++tries) {
    Twin twin(slope, 1000 * seed + 100 * tries);
    plan(twin);
    const std::vector<Variable<double>> inputs = random_inputs(twin.inputs, size, seed + 10000 + 10 * tries);
    Kinks kinks;
    {
      const NoGrad no_grad;
      twin.plain(inputs, kinks);
    }
    if (kinks.nearest < kClear) continue;
    Variable<double> expected = twin.plain(inputs, kinks);
    const Tensor<float> upstream = random_tensor<float>(expected.shape(), seed + 20000);
    expected.backward(cast<double>(upstream));
    for (const bool exact : {false, true}) {
      twin.fused.set_options({.exact = exact});
      INFO(size.text() << ", slope " << slope << ", seed " << seed << ", try " << tries << ", "
                       << (exact ? "exact" : "fast") << " kernels of " << current_isa());
      const double outputs = exact ? kExactOutputs : kOutputs, gradients = exact ? kExactGradients : kGradients;
      const std::vector<Variable<float>> same = in_float(inputs);
      REQUIRE(twin.fused.runnable());
      Variable<float> got = twin.fused(same);
      REQUIRE(got.shape() == expected.shape());
      // Only outputs without a sigmoid go beyond 1.
      const double largest = std::max(1.0, largest_magnitude(expected.value()));
      CHECK(largest_difference(cast<double>(got.value()), expected.value()) <= outputs * largest);
      got.backward(upstream);
      for (std::size_t i = 0; i < twin.parameters.size(); ++i) {
        Variable<float> parameter = twin.parameters[i].first;
        INFO("parameter " << i << ", " << parameter.shape().text());
        REQUIRE(parameter.grad().defined());
        CHECK(relative_difference(parameter.grad(), twin.parameters[i].second.grad()) <= gradients);
        parameter.zero_grad();
      }
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        INFO("input " << i);
        REQUIRE(same[i].grad().defined());
        CHECK(relative_difference(same[i].grad(), inputs[i].grad()) <= gradients);
      }
    }
    return;
  }
  FAIL("no net of a hundred is clear of kinks; size " << size.text());
}

// --- Plans -----------------------------------------------------------------------------------------------------------

void one_layer(Twin& net) { net.output({net.conv({net.input({3})}, 32)}, 3, 1); }

/// As decomposition: one value read by pooling, a skip and a branch; two outputs.
void branches(Twin& net) {
  const Value a = net.conv({net.input({3})}, 32);
  const Value b = net.conv({net.pool(a)}, 64);
  const Value c = net.conv({net.up(b, 32), a}, 32);
  net.output({c}, 3, 1);
  net.output({net.conv({a}, 32), c}, 1, 3);
}

/// As restoration: two inputs, two convolutions a level.
void levels(Twin& net) {
  const Value a = net.conv({net.conv({net.input({3, 1})}, 32)}, 32);
  const Value b = net.conv({net.conv({net.pool(a)}, 64)}, 64);
  const Value c = net.conv({net.pool(b)}, 96);
  const Value d = net.conv({net.conv({net.up(c, 64), b}, 64)}, 64);
  net.output({net.conv({net.up(d, 32), a}, 32)}, 3, 3);
}

/// As restoration that makes what is added to its first input; beside it what an input of its own gives.
void residual(Twin& net) {
  const Value in = net.input({3, 1});
  const Value a = net.conv({net.conv({in}, 32)}, 32);
  const Value b = net.conv({net.pool(a)}, 64);
  net.output({net.conv({net.up(b, 32), a}, 32)}, 3, 3, Form::kAddInput);
  net.output({a}, 1, 1);
  net.output({in}, 3, 1, Form::kAddInput);
}

/// As adjustment: the activation before the sigmoid.
void chain(Twin& net) {
  net.output({net.conv({net.conv({net.input({1, 1})}, 32)}, 32)}, 1, 3, Form::kActivatedSigmoid);
}

/// What the nets have not: kernels of 1, outputs of the input itself and of four channels, two poolings and two
/// up-convolutions at once, four input channels, a value read twice by one level.
void oddities(Twin& net) {
  const Value in = net.input({2, 1, 1});
  const Value a = net.conv({in}, 32, 1), b = net.conv({in}, 32);
  const Value c = net.pool(net.pool(a));
  const Value d = net.up(net.up(net.conv({c}, 32, 1), 64), 32);
  const Value e = net.conv({b, d}, 64);
  net.output({e, a}, 4, 3, Form::kActivatedSigmoid);
  net.output({in}, 2, 1);
  net.output({net.conv({e, d}, 32, 1)}, 1, 1, Form::kActivatedSigmoid);
}

/// A U-Net drawn by chance.
Plan random_plan(std::uint64_t seed) {
  return [seed](Twin& net) {
    Random random(seed);
    const auto pick = [&](std::uint64_t count) { return static_cast<std::int64_t>(random.below(count)); };
    const auto kernel = [&] { return pick(4) == 0 ? 1 : 3; };
    const auto some_convs = [&](Value v, std::int64_t most) {
      for (std::int64_t i = pick(static_cast<std::uint64_t>(most) + 1); i > 0; --i) {
        v = net.conv({v}, 32 * (1 + pick(2)), kernel());
      }
      return v;
    };
    const std::int64_t first = pick(2) ? 3 : 1;
    Value v = net.conv({net.input(first == 3 ? std::vector<std::int64_t>{3} : std::vector<std::int64_t>{1, 2})}, 32);
    std::vector<Value> skips;
    const std::int64_t depth = pick(4);
    for (std::int64_t i = 0; i < depth; ++i) {
      v = some_convs(v, 1);
      skips.push_back(v);
      v = some_convs(net.pool(v), 1);
    }
    while (!skips.empty()) {
      const Value up = net.up(v, 32), skip = skips.back();
      skips.pop_back();
      v = pick(5) == 0 ? net.conv({up}, 32, kernel()) : net.conv({up, skip}, 32, kernel());
      v = some_convs(v, 1);
    }
    for (std::int64_t i = pick(2); i >= 0; --i) {
      const Form form = std::array{Form::kSigmoid, Form::kActivatedSigmoid, Form::kAddInput}[random.below(3)];
      net.output({some_convs(v, 1)}, form == Form::kAddInput ? first : 1 + pick(4), kernel(), form);
    }
  };
}

const std::vector<std::pair<const char*, Plan>> kPlans = {{"one layer", one_layer}, {"branches", branches},
                                                          {"levels", levels},       {"chain", chain},
                                                          {"oddities", oddities},   {"residual", residual}};

/// Whether the kernel set in use runs nets layer by layer alone, having said so.
bool no_fused_nets() {
  if (block_kernels()) return false;
  WARN("skipped: the kernel set " << current_isa() << " has no fused nets");
  return true;
}

// --- Against the layers ----------------------------------------------------------------------------------------------

TEST_CASE("fused net: outputs and gradients are those of the layers, one by one in double", "[isa]") {
  if (no_fused_nets()) return;
  std::uint64_t seed = 1;
  for (const auto& [name, plan] : kPlans) {
    INFO(name);
    for (const Shape& size :
         {Shape{1, 1, 1, 1}, {1, 1, 1, 6}, {2, 1, 5, 1}, {1, 1, 2, 3}, {2, 1, 7, 5}, {1, 1, 8, 13}}) {
      compare(plan, 0.2f, size, seed++);
    }
    compare(plan, 0.0f, {1, 1, 6, 5}, seed++);
    compare(plan, 1.0f, {1, 1, 5, 4}, seed++);
  }
}

TEST_CASE("fused net: nets drawn by chance agree with their layers", "[isa]") {
  if (no_fused_nets()) return;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    Random random(seed);
    const auto pick = [&](std::uint64_t most) { return 1 + static_cast<std::int64_t>(random.below(most)); };
    const float slope = random.below(3) == 0 ? 0.0f : 0.2f;
    compare(random_plan(seed), slope, {pick(2), 1, pick(11), pick(11)}, 100 + seed);
  }
}

TEST_CASE("fused net: exact kernels are exact", "[isa]") {
  if (no_fused_nets()) return;
  const NoGrad no_grad;
  double errors[2];
  for (const bool exact : {false, true}) {
    Twin twin(0.2f, 1);
    twin.fused.set_options({.exact = exact});
    levels(twin);
    const auto inputs = random_inputs(twin.inputs, {1, 1, 40, 37}, 2);
    Kinks kinks;
    errors[exact] =
        largest_difference(cast<double>(twin.fused(in_float(inputs)).value()), twin.plain(inputs, kinks).value());
  }
  CHECK(errors[1] < 3e-6);
  CHECK(errors[0] < 1e-5);
  CHECK(errors[0] > errors[1]);
}

TEST_CASE("fused net: options are a net's own", "[isa]") {
  if (no_fused_nets()) return;
  const NoGrad no_grad;
  Twin fast(0.2f, 1), exact(0.2f, 1);
  levels(fast);
  levels(exact);
  exact.fused.set_options({.exact = true});
  CHECK_FALSE(fast.fused.options().exact);
  const auto inputs = in_float(random_inputs(fast.inputs, {1, 1, 40, 37}, 2));
  const auto bits = [&](const FusedNet& net) { return net(inputs).value().to_vector(); };
  const std::vector<float> by_fast = bits(fast.fused), by_exact = bits(exact.fused);
  CHECK((by_fast != by_exact));
  FusedNet copy = exact.fused;
  CHECK((bits(copy) == by_exact));
  copy.set_options({});
  CHECK((bits(copy) == by_fast));
  CHECK((bits(exact.fused) == by_exact));
}

// --- Gradients -------------------------------------------------------------------------------------------------------

/// The bits of outputs and gradients.
std::vector<float> pass(const Twin& twin, const Shape& size) {
  const std::vector<Variable<float>> inputs = in_float(random_inputs(twin.inputs, size, 1));
  Variable<float> y = twin.fused(inputs);
  std::vector<float> bits = y.value().to_vector();
  y.backward(random_tensor<float>(y.shape(), 2));
  const std::vector<float> gradients = take_gradients(twin, inputs);
  bits.insert(bits.end(), gradients.begin(), gradients.end());
  return bits;
}

TEST_CASE("fused net: threads do not change a bit of outputs and gradients", "[isa]") {
  if (no_fused_nets()) return;
  for (const auto& [name, plan] : kPlans) {
    Twin twin(0.2f, 3);
    plan(twin);
    INFO(name);
    std::vector<float> first;
    for (const int threads : kThreadCounts) {
      const ThreadScope scope(threads);
      const std::vector<float> bits = pass(twin, {2, 1, 37, 29});
      if (first.empty()) first = bits;
      CHECK((bits == first));
    }
  }
}

TEST_CASE("fused net: activations computed again give the same bits", "[isa]") {
  if (no_fused_nets()) return;
  std::vector<std::pair<const char*, Plan>> plans = kPlans;
  for (std::uint64_t seed = 30; seed < 40; ++seed) plans.emplace_back("drawn by chance", random_plan(seed));
  for (const auto& [name, plan] : plans) {
    Twin twin(0.2f, 4);
    plan(twin);
    INFO(name);
    const std::vector<float> kept = pass(twin, {2, 1, 13, 10});
    twin.fused.set_options({.recompute = true});
    CHECK((pass(twin, {2, 1, 13, 10}) == kept));
  }
}

TEST_CASE("fused net: only what needs a gradient gets one, and gradients add up", "[isa]") {
  if (no_fused_nets()) return;
  Twin twin(0.2f, 5);
  branches(twin);
  const auto inputs = in_float(random_inputs(twin.inputs, {1, 1, 9, 8}, 6));
  const auto backward = [&] {
    Variable<float> y = twin.fused(inputs);
    y.backward(random_tensor<float>(y.shape(), 7));
  };
  backward();
  const std::vector<float> once = take_gradients(twin, inputs);
  backward();
  backward();
  std::vector<float> twice = take_gradients(twin, inputs);
  for (float& v : twice) v /= 2;
  CHECK((twice == once));

  // Frozen parameters let the gradient through to the inputs.
  const auto freeze = [&](bool frozen) {
    for (const auto& [weight, exact] : twin.parameters) Variable<float>(weight).set_requires_grad(!frozen);
  };
  freeze(true);
  backward();
  for (const auto& [weight, exact] : twin.parameters) CHECK_FALSE(weight.grad().defined());
  const std::size_t of_input = static_cast<std::size_t>(inputs[0].value().size());
  CHECK((take_gradients(twin, inputs) ==
         std::vector<float>(once.end() - static_cast<std::ptrdiff_t>(of_input), once.end())));
  // And inputs without gradients change nothing for parameters.
  freeze(false);
  Variable<float>(inputs[0]).set_requires_grad(false);
  backward();
  CHECK_FALSE(inputs[0].grad().defined());
  CHECK((take_gradients(twin, inputs) ==
         std::vector<float>(once.begin(), once.end() - static_cast<std::ptrdiff_t>(of_input))));
  freeze(true);
  CHECK_FALSE(Variable<float>::needs_graph({twin.fused(inputs)}));
}

TEST_CASE("fused net: what no output depends on changes nothing, with gradients and without", "[isa]") {
  if (no_fused_nets()) return;
  for (const bool recompute : {false, true}) {
    std::vector<std::vector<float>> bits;
    for (const bool unread : {false, true}) {
      Twin twin(0.2f, 30);
      twin.fused.set_options({.recompute = recompute});
      const Value in = twin.input({3, 1});
      const Value a = twin.conv({in}, 32), b = twin.conv({twin.pool(a)}, 64);
      const Value c = twin.conv({twin.up(b, 32), a}, 32);
      twin.output({c}, 3, 3, Form::kAddInput);
      twin.output({a}, 1, 1);
      const std::size_t read = twin.parameters.size();
      if (unread) {
        twin.conv({in}, 32);
        twin.conv({twin.up(twin.conv({twin.pool(c), b}, 32), 32), a}, 64);
        twin.pool(twin.pool(b));
      }
      for (const Shape& size : {Shape{1, 1, 1, 1}, {2, 1, 5, 7}}) bits.push_back(pass(twin, size));
      {
        const NoGrad no_grad;
        bits.push_back(twin.fused(in_float(random_inputs(twin.inputs, {1, 1, 40, 37}, 2))).value().to_vector());
      }
      const std::vector<Variable<float>> inputs = in_float(random_inputs(twin.inputs, {1, 1, 6, 5}, 1));
      twin.fused(inputs).backward();
      for (std::size_t i = 0; i < twin.parameters.size(); ++i) {
        CHECK(twin.parameters[i].first.grad().defined() == (i < read));
      }
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK((bits[i] == bits[i + 3]));
  }
}

TEST_CASE("fused net: a graph outlives the net", "[isa]") {
  if (no_fused_nets()) return;
  Twin twin(0.2f, 8);
  levels(twin);
  const auto inputs = in_float(random_inputs(twin.inputs, {1, 1, 5, 6}, 9));
  Variable<float> first = twin.fused(inputs), second;
  first.backward();
  const std::vector<float> expected = take_gradients(twin, inputs);
  {
    const FusedNet copy = twin.fused;
    second = copy(inputs);
  }
  second.backward();
  CHECK((take_gradients(twin, inputs) == expected));
}

// --- In bands --------------------------------------------------------------------------------------------------------

/// Rows first, first + 1 and so on of pictures.
Tensor<float> rows_of(const Tensor<float>& x, std::int64_t first, std::int64_t count) {
  Tensor<float> part(x.shape().with(2, count));
  const std::int64_t h = x.shape()[2], w = x.shape()[3];
  for (std::int64_t plane = 0; plane < x.shape()[0] * x.shape()[1]; ++plane) {
    std::copy_n(x.data() + (plane * h + first) * w, count * w, part.data() + plane * count * w);
  }
  return part;
}

/// One picture through run(): in bands where it is large.
Tensor<float> in_bands(const FusedNet& net, const std::vector<Variable<float>>& inputs, std::int64_t channels,
                       Arena& arena) {
  const Shape& s = inputs[0].shape();
  Tensor<float> y = Tensor<float>::full(s.with(1, channels), std::numeric_limits<float>::quiet_NaN());
  std::vector<const float*> from;
  std::vector<float*> to;
  for (const Variable<float>& input : inputs) {
    for (std::int64_t c = 0; c < input.shape()[1]; ++c) from.push_back(input.value().data() + c * s[2] * s[3]);
  }
  for (std::int64_t c = 0; c < channels; ++c) to.push_back(y.data() + c * s[2] * s[3]);
  net.run(s[2], s[3], from, to, arena);
  return y;
}

/// One picture whose rows come and go as they are needed and made, asked for `band` rows at a time.
Tensor<float> streamed(const FusedNet& net, const std::vector<Variable<float>>& inputs, std::int64_t channels,
                       Arena& arena, std::int64_t band) {
  const std::int64_t h = inputs[0].shape()[2], w = inputs[0].shape()[3];
  Tensor<float> y(Shape{1, channels, h, w});
  std::int64_t asked = 0;
  std::vector<std::int64_t> made(static_cast<std::size_t>(channels), 0);
  FusedRun run(
      net, h, w,
      [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
        CHECK((y0 == asked && y1 > y0 && y1 <= h));
        asked = y1;
        std::int64_t plane = 0;
        for (const Variable<float>& input : inputs) {
          for (std::int64_t c = 0; c < input.shape()[1]; ++c, ++plane) {
            std::copy_n(input.value().data() + (c * h + y0) * w, (y1 - y0) * w, planes[plane]);
          }
        }
      },
      [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
        for (std::int64_t c = 0; c < count; ++c) {
          CHECK(y0 == made[static_cast<std::size_t>(first + c)]);
          made[static_cast<std::size_t>(first + c)] = y1;
          std::copy_n(planes[c], (y1 - y0) * w, y.data() + ((first + c) * h + y0) * w);
        }
      },
      arena);
  for (std::int64_t rows = band; rows < h + band; rows += band) {
    run.advance(rows);
    for (const std::int64_t have : made) CHECK(have >= std::min(rows, h));
  }
  return y;
}

TEST_CASE("fused net: bands of rows have the bits of the whole picture", "[isa]") {
  if (no_fused_nets()) return;
  // With a graph the layers run on whole pictures. Heights at which the last steps are of all sizes.
  for (const auto& [name, plan] : kPlans) {
    Twin twin(0.2f, 10);
    plan(twin);
    Arena arena;
    for (const Shape& size : {Shape{1, 1, 1, 1}, {1, 1, 2, 301}, {1, 1, 613, 97}, {1, 1, 401, 50}, {1, 1, 1201, 9}}) {
      INFO(name << ", " << size.text());
      const auto inputs = in_float(random_inputs(twin.inputs, size, 11));
      const Tensor<float> whole = twin.fused(inputs).value();
      for (const int threads : {1, 7}) {
        const ThreadScope scope(threads);
        CHECK((in_bands(twin.fused, inputs, whole.shape()[1], arena).to_vector() == whole.to_vector()));
        const std::int64_t band = threads == 1 ? 1 : 50;
        CHECK((streamed(twin.fused, inputs, whole.shape()[1], arena, band).to_vector() == whole.to_vector()));
      }
    }
  }
}

TEST_CASE("fused net: bands of a picture of many steps", "[isa]") {
  if (no_fused_nets()) return;
  Twin twin(0.2f, 12);
  levels(twin);
  Arena arena;
  const auto inputs = in_float(random_inputs(twin.inputs, {1, 1, 1900, 70}, 13));
  std::vector<float> first;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    const std::vector<float> y = in_bands(twin.fused, inputs, 3, arena).to_vector();
    if (first.empty()) first = y;
    CHECK((y == first));
  }
  // A crop whose tiles lie as the picture's do, far enough from its edge.
  constexpr std::int64_t kFrom = 12 * 4 * 20, kReach = 40;
  std::vector<Variable<float>> crop;
  for (const Variable<float>& input : inputs) crop.emplace_back(rows_of(input.value(), kFrom, 1900 - kFrom));
  const Tensor<float> part = in_bands(twin.fused, crop, 3, arena);
  const Tensor<float> whole(Shape{1, 3, 1900, 70}, first);
  CHECK((rows_of(part, kReach, 1900 - kFrom - kReach).to_vector() ==
         rows_of(whole, kFrom + kReach, 1900 - kFrom - kReach).to_vector()));
}

void check_in_place(const Plan& plan) {
  Twin twin(0.2f, 14);
  plan(twin);
  Arena arena;
  for (const Shape& size : {Shape{1, 1, 1, 1}, {1, 1, 31, 17}, {1, 1, 900, 120}}) {
    CAPTURE(size.text());
    const auto inputs = in_float(random_inputs(twin.inputs, size, 15));
    const Tensor<float> apart = in_bands(twin.fused, inputs, 3, arena);
    const std::int64_t plane = size[2] * size[3];
    Tensor<float> color = inputs[0].value().clone();
    std::vector<const float*> from;
    std::vector<float*> to;
    for (std::int64_t c = 0; c < 3; ++c) to.push_back(color.data() + c * plane);
    from.assign(to.begin(), to.end());
    from.push_back(inputs[1].value().data());
    twin.fused.run(size[2], size[3], from, to, arena);
    CHECK((color.to_vector() == apart.to_vector()));
  }
}

TEST_CASE("fused net: outputs may take the inputs' place", "[isa]") {
  if (no_fused_nets()) return;
  check_in_place(levels);
  check_in_place([](Twin& net) {
    const Value a = net.conv({net.input({3, 1})}, 32);
    net.output({net.conv({net.up(net.conv({net.pool(a)}, 64), 32), a}, 32)}, 3, 3, Form::kAddInput);
  });
}

TEST_CASE("fused net: memory grows with the width alone", "[isa]") {
  if (no_fused_nets()) return;
  Twin twin(0.2f, 16);
  const Value a = twin.conv({twin.input({1})}, 32, 1);
  const Value b = twin.conv({twin.up(twin.pool(a), 32), a}, 32, 1);
  twin.output({b}, 1, 1);
  const auto bytes = [&](std::int64_t h, std::int64_t w) {
    Arena arena;
    const Variable<float> picture(Tensor<float>::zeros(Shape{1, 1, h, w}));
    in_bands(twin.fused, {picture}, 1, arena);
    return arena.bytes();
  };
  const std::size_t one = bytes(1000, 400), four = bytes(4000, 400), wide = bytes(1000, 1200);
  CHECK(one == four);
  // Far less than the values of one layer.
  CHECK(four < std::size_t{4000} * 400 * 32 * sizeof(float) / 2);
  CHECK(wide < 4 * one);
}

TEST_CASE("fused net: without a graph a batch is run picture by picture", "[isa]") {
  if (no_fused_nets()) return;
  Twin twin(0.2f, 17);
  branches(twin);
  const NoGrad no_grad;
  const auto inputs = in_float(random_inputs(twin.inputs, {3, 1, 7, 9}, 18));
  const Tensor<float> all = twin.fused(inputs).value();
  for (std::int64_t n = 0; n < 3; ++n) {
    Tensor<float> alone(Shape{1, 3, 7, 9});
    std::copy_n(inputs[0].value().data() + n * alone.size(), alone.size(), alone.data());
    const Tensor<float> y = twin.fused({Variable<float>(alone)}).value();
    CHECK((y.to_vector() == std::vector<float>(all.data() + n * y.size(), all.data() + (n + 1) * y.size())));
  }
}

// --- What is refused -------------------------------------------------------------------------------------------------

TEST_CASE("fused net: which nets can run") {
  const auto runs = [](std::int64_t channels, std::int64_t kernel, std::int64_t outputs, std::int64_t output_kernel) {
    Twin twin(0.2f, 20);
    twin.output({twin.conv({twin.input({3})}, channels, kernel)}, outputs, output_kernel);
    return twin.fused.runnable();
  };
  for (const std::string& isa : available_isas()) {
    const IsaScope scope(isa);
    CAPTURE(isa);
    const bool blocks = isa != "ref";
    CHECK((block_kernels() != nullptr) == blocks);
    CHECK(runs(32, 3, 3, 3) == blocks);
    CHECK(runs(96, 1, 4, 1) == blocks);
    CHECK_FALSE(runs(16, 3, 3, 3));
    CHECK_FALSE(runs(40, 3, 3, 3));
    CHECK_FALSE(runs(32, 5, 3, 3));
    CHECK_FALSE(runs(32, 3, 3, 5));
    CHECK_FALSE(runs(32, 2, 3, 3));
  }
}

TEST_CASE("fused net: what does not fit is named", "[isa]") {
  const std::string one_input = "fused net: expected one input of 1 to 4 channels";
  FusedNet net(0.2f);
  CHECK(error_of([&] { net.input({}); }) == one_input);
  CHECK(error_of([&] { net.input({3, 2}); }) == one_input);
  net.input({3, 1});
  CHECK(error_of([&] { net.input({3}); }) == one_input);
  const Variable<float> weight(Tensor<float>::zeros({2, 4, 3, 3})), bias(Tensor<float>::zeros({2}));
  CHECK(error_of([&] { net.output({0}, weight, bias, Form::kAddInput); }) ==
        "fused net: an output of 2 channels cannot be added to an input of 3");
}

TEST_CASE("fused net: inputs and planes that do not fit are named", "[isa]") {
  if (no_fused_nets()) return;
  Twin twin(0.2f, 21);
  levels(twin);
  const auto zeros = [](const Shape& shape) { return Variable<float>(Tensor<float>::zeros(shape)); };
  const auto message = [&](const std::vector<Variable<float>>& inputs) {
    return error_of([&] { twin.fused(inputs); });
  };
  CHECK(message({zeros({1, 4, 5, 6})}) == "fused net: expected 2 inputs, got 1");
  CHECK(message({zeros({3, 5, 6}), zeros({1, 5, 6})}) == "fused net: expected [n, 3, h, w], got [3, 5, 6]");
  CHECK(message({zeros({1, 3, 0, 6}), zeros({1, 1, 0, 6})}) == "fused net: expected [n, 3, h, w], got [1, 3, 0, 6]");
  CHECK(message({zeros({1, 2, 5, 6}), zeros({1, 1, 5, 6})}) ==
        "fused net: expected input 0 of shape [1, 3, 5, 6], got [1, 2, 5, 6]");
  CHECK(message({zeros({1, 3, 5, 6}), zeros({1, 1, 6, 5})}) ==
        "fused net: expected input 1 of shape [1, 1, 5, 6], got [1, 1, 6, 5]");
  CHECK(message({zeros({2, 3, 5, 6}), zeros({1, 1, 5, 6})}) ==
        "fused net: expected input 1 of shape [2, 1, 5, 6], got [1, 1, 5, 6]");
  Arena arena;
  float pixel[4] = {};
  CHECK(error_of([&] {
          twin.fused.run(1, 1, {pixel}, {pixel, pixel, pixel}, arena);
        }) == "fused net: expected 4 input planes, got 1");
  CHECK(error_of([&] {
          twin.fused.run(1, 1, {pixel, pixel, pixel, pixel}, {pixel}, arena);
        }) == "fused net: expected 3 output planes, got 1");
}

}  // namespace
}  // namespace kind::testing
