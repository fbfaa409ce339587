// Long because it is one table of every bad argument.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/ops/elementwise.h"
#include "core/ops/filter.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "layers/pool.h"
#include "nets/mirror.h"
#include "nets/photograph.h"
#include "nets/pipeline.h"
#include "nets/tensorflow/tensorflow_checkpoint.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"

// Every public function of tensors, ops, layers and nets, called as it must not be: each throws one Error, of one line.
// Nothing is read or written where it should not be, which the sanitizers' builds see.

namespace kind::testing {
namespace {

using Call = std::function<void()>;
using Table = std::vector<std::pair<std::string, Call>>;
using V = Variable<float>;
using T = Tensor<float>;
using Form = FusedNet::OutputForm;

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max(), kHalf = std::int64_t{1} << 62;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

V leaf(const Shape& shape) { return V(T::full(shape, 0.5f), true); }

void check_table(const Table& table) {
  for (const auto& [name, call] : table) {
    INFO(name);
    try {
      const std::string message = error_of(call);
      CHECK(message != "no error");
      CHECK(message.find('\n') == std::string::npos);
      CHECK(message.size() > 10);
    } catch (const std::exception& other) {
      FAIL_CHECK("another exception: " << other.what());
    }
  }
}

// ---- Tensors and variables

TEST_CASE("misuse: shapes and tensors") {
  const T none, some = T::zeros({2, 3});
  check_table({
      {"seven axes", [] { Shape{1, 1, 1, 1, 1, 1, 1}; }},
      {"a negative size",
       [] {
         Shape{2, -1};
       }},
      {"a size beyond memory", [] { Shape{kHalf}; }},
      {"a product beyond memory",
       [] {
         Shape{1 << 30, 1 << 30};
       }},
      {"axis of a scalar", [] { static_cast<void>(Shape{}[0]); }},
      {"axis too high",
       [] {
         static_cast<void>(Shape{2, 3}[2]);
       }},
      {"axis too low",
       [] {
         static_cast<void>(Shape{2, 3}[-3]);
       }},
      {"the least int as an axis",
       [] {
         static_cast<void>(Shape{2, 3}[std::numeric_limits<int>::min()]);
       }},
      {"with: no such axis",
       [] {
         Shape{2, 3}.with(2, 1);
       }},
      {"with: a negative size",
       [] {
         Shape{2, 3}.with(0, -1);
       }},
      {"broadcast",
       [] {
         broadcast_shape("op", {2, 3}, {2, 4});
       }},
      {"too few values",
       [] {
         T(Shape{2, 3}, std::vector<float>(5));
       }},
      {"item of many", [&] { some.item(); }},
      {"item of none", [&] { none.item(); }},
      {"clone of none", [&] { none.clone(); }},
      {"reshape to another size", [&] { some.reshape({5}); }},
      {"reshape of none", [&] { none.reshape({0}); }},
      {"fill of none", [] { T().fill(1); }},
      {"cast of none", [&] { cast<double>(none); }},
  });
}

TEST_CASE("misuse: variables") {
  V none;
  const auto use = [](const V& v) { return static_cast<int>(v.requires_grad()); };
  check_table({
      {"of no tensor", [] { V{T()}; }},
      {"value of none", [&] { none.value(); }},
      {"mutable_value of none", [&] { none.mutable_value(); }},
      {"shape of none", [&] { none.shape(); }},
      {"requires_grad of none", [&] { use(none); }},
      {"set_requires_grad of none", [&] { none.set_requires_grad(true); }},
      {"grad of none", [&] { none.grad(); }},
      {"mutable_grad of none", [&] { none.mutable_grad(); }},
      {"zero_grad of none", [&] { none.zero_grad(); }},
      {"add_grad of none", [&] { none.add_grad(T::zeros({1})); }},
      {"backward of none", [&] { none.backward(); }},
      {"backward of none from a seed", [&] { none.backward(T::zeros({1})); }},
      {"detach of none", [&] { none.detach(); }},
      {"add_grad of another shape", [] { leaf({2}).add_grad(T::zeros({3})); }},
      {"add_grad of no tensor", [] { leaf({2}).add_grad(T()); }},
      {"backward from another shape", [] { leaf({2}).backward(T::zeros({3})); }},
      {"backward from no tensor", [] { leaf({2}).backward(T()); }},
      {"backward of a constant", [] { V(T::zeros({2})).backward(); }},
      {"backward twice",
       [] {
         V y = neg(leaf({2}));
         y.backward();
         y.backward();
       }},
      {"requires_grad of a result", [] { neg(leaf({2})).set_requires_grad(false); }},
      {"an op without a value", [] { V::from_op(T(), {leaf({1})}, [](std::vector<V>&, const T&) {}); }},
      {"an op of no variable", [&] { V::from_op(T::zeros({1}), {none}, [](std::vector<V>&, const T&) {}); }},
      {"an op without its gradient", [] { V::from_op(T::zeros({1}), {leaf({1})}, nullptr); }},
  });
}

// ---- Ops

TEST_CASE("misuse: elementwise ops") {
  const V none, a = leaf({2, 3}), b = leaf({4, 3});
  Table table{{"clamp: low above high", [&] { clamp(a, 1.0f, 0.0f); }},
              {"clamp: NaN", [&] { clamp(a, std::nanf(""), 1.0f); }},
              {"clamp: none", [&] { clamp(none, 0.0f, 1.0f); }},
              {"leaky_relu: slope", [&] { leaky_relu(a, 1.5f); }},
              {"leaky_relu: NaN", [&] { leaky_relu(a, std::nanf("")); }},
              {"leaky_relu: none", [&] { leaky_relu(none, 0.5f); }},
              {"add a number to none", [&] { add(none, 1.0f); }},
              {"mul none with a number", [&] { mul(none, 1.0f); }},
              {"pow of none", [&] { pow(none, 2.0f); }}};
  using Unary = V (*)(const V&);
  const std::pair<const char*, Unary> unary[] = {
      {"neg", neg<float>},       {"exp", exp<float>}, {"log", log<float>},         {"sqrt", sqrt<float>},
      {"square", square<float>}, {"abs", abs<float>}, {"sigmoid", sigmoid<float>}, {"relu", relu<float>}};
  for (const auto& [name, op] : unary) table.emplace_back(name, [&none, f = op] { f(none); });
  using Binary = V (*)(const V&, const V&);
  const std::pair<const char*, Binary> binary[] = {{"add", add<float>},         {"sub", sub<float>},
                                                   {"mul", mul<float>},         {"div", div<float>},
                                                   {"minimum", minimum<float>}, {"maximum", maximum<float>}};
  for (const auto& [name, op] : binary) {
    const Binary f = op;
    table.emplace_back(std::string(name) + ": shapes", [&, f] { f(a, b); });
    table.emplace_back(std::string(name) + ": none on the left", [&, f] { f(none, a); });
    table.emplace_back(std::string(name) + ": none on the right", [&, f] { f(a, none); });
  }
  check_table(table);
}

TEST_CASE("misuse: shape ops") {
  const V none, a = leaf({2, 3}), x = leaf({1, 1, 4, 4});
  check_table({
      {"concat: nothing", [] { concat<float>({}, 0); }},
      {"concat: none",
       [&] {
         concat<float>({a, none}, 0);
       }},
      {"concat: axis",
       [&] {
         concat<float>({a, a}, 2);
       }},
      {"concat: ranks",
       [&] {
         concat<float>({a, x}, 0);
       }},
      {"concat: other axes",
       [&] {
         concat<float>({a, leaf({2, 4})}, 0);
       }},
      {"concat: beyond memory",
       [] {
         concat<float>(std::vector<V>(100, V(T::zeros({Shape::kMaxSize, 0}))), 0);
       }},
      {"slice: none", [&] { slice(none, 0, 0, 1); }},
      {"slice: axis", [&] { slice(a, 2, 0, 1); }},
      {"slice: before", [&] { slice(a, 0, -1, 1); }},
      {"slice: behind", [&] { slice(a, 0, 0, 3); }},
      {"slice: turned", [&] { slice(a, 0, 2, 1); }},
      {"pad: none", [&] { pad(none, 0, 1, 1); }},
      {"pad: axis", [&] { pad(a, -3, 1, 1); }},
      {"pad: negative", [&] { pad(a, 0, -1, 1); }},
      {"pad: overflow", [&] { pad(a, 0, kHalf, kHalf); }},
      {"pad: beyond memory", [&] { pad(a, 0, 0, Shape::kMaxSize); }},
      {"reshape: none", [&] { reshape(none, {1}); }},
      {"reshape: size", [&] { reshape(a, {7}); }},
  });
}

TEST_CASE("misuse: filters") {
  const V none, a = leaf({2, 3}), x = leaf({1, 1, 4, 4});
  const T kernel = T::full({3, 3}, 1);
  check_table({
      {"filter: none", [&] { depthwise_filter(none, kernel); }},
      {"filter: no kernel", [&] { depthwise_filter(x, T()); }},
      {"filter: an empty kernel",
       [&] {
         depthwise_filter(x, T::zeros({0, 3}));
       }},
      {"filter: kernel of four axes",
       [&] {
         depthwise_filter(x, T::zeros({1, 1, 3, 3}));
       }},
      {"filter: no picture", [&] { depthwise_filter(a, kernel); }},
      {"filter: too large a kernel",
       [&] {
         depthwise_filter(x, T::zeros({5, 1}));
       }},
      {"filter: negative padding",
       [&] {
         depthwise_filter(x, kernel, {-1, 0, 0, 0});
       }},
      {"filter: overflow",
       [&] {
         depthwise_filter(x, kernel, {kHalf, 0, kHalf, 0});
       }},
      {"filter: beyond memory",
       [&] {
         depthwise_filter(x, kernel, {Shape::kMaxSize, 0, 0, 0});
       }},
      {"gaussian: even", [] { gaussian_row<float>(4, 1); }},
      {"gaussian: none", [] { gaussian_row<float>(-1, 1); }},
      {"gaussian: beyond memory", [] { gaussian_row<float>(kHuge, 1); }},
      {"gaussian: sigma", [] { gaussian_row<float>(3, 0); }},
      {"gaussian: NaN", [] { gaussian_row<float>(3, kNaN); }},
  });
}

TEST_CASE("misuse: reductions") {
  const V none, a = leaf({2, 3});
  Table table;
  using Reduce = V (*)(const V&, const std::vector<int>&, bool);
  const std::pair<const char*, Reduce> reductions[] = {
      {"sum", sum<float>}, {"mean", mean<float>}, {"min", min<float>}, {"max", max<float>}};
  for (const auto& [name, op] : reductions) {
    const Reduce f = op;
    table.emplace_back(std::string(name) + ": none", [&, f] { f(none, {}, false); });
    table.emplace_back(std::string(name) + ": no axis", [&, f] { f(a, {2}, false); });
    table.emplace_back(std::string(name) + ": twice", [&, f] { f(a, {1, -1}, false); });
    table.emplace_back(std::string(name) + ": empty", [&, f] { f(leaf({0, 3}), {}, false); });
  }
  check_table(table);
}

// ---- Layers

WindowSpec window(std::int64_t stride_h, std::int64_t stride_w, std::int64_t pad, bool same = false) {
  WindowSpec spec{stride_h, stride_w, same, 0, 0, 0, 0};
  spec.pad_top = pad;
  return spec;
}

TEST_CASE("misuse: convolutions of pictures and weights that do not fit", "[isa]") {
  const V none, x = leaf({1, 2, 4, 4}), w = leaf({3, 2, 3, 3}), b = leaf({3});
  check_table({
      {"conv2d: no picture", [&] { conv2d(none, w, b); }},
      {"conv2d: no weight", [&] { conv2d(x, none, b); }},
      {"conv2d: picture of three axes",
       [&] {
         conv2d(leaf({2, 4, 4}), w, b);
       }},
      {"conv2d: n = 0",
       [&] {
         conv2d(leaf({0, 2, 4, 4}), w, b);
       }},
      {"conv2d: no rows",
       [&] {
         conv2d(leaf({1, 2, 0, 4}), w, b);
       }},
      {"conv2d: channels",
       [&] {
         conv2d(x, leaf({3, 1, 3, 3}), b);
       }},
      {"conv2d: weight of two axes",
       [&] {
         conv2d(x, leaf({3, 2}), b);
       }},
      {"conv2d: empty weight",
       [&] {
         conv2d(x, leaf({3, 2, 0, 3}), b);
       }},
  });
}

TEST_CASE("misuse: convolutions with biases and windows that do not fit", "[isa]") {
  const V x = leaf({1, 2, 4, 4}), w = leaf({3, 2, 3, 3}), b = leaf({3});
  check_table({
      {"conv2d: bias size", [&] { conv2d(x, w, leaf({2})); }},
      {"conv2d: bias of two axes",
       [&] {
         conv2d(x, w, leaf({3, 1}));
       }},
      {"conv2d: stride 0", [&] { conv2d(x, w, b, window(0, 1, 0)); }},
      {"conv2d: negative stride", [&] { conv2d(x, w, b, window(1, -kHuge, 0, true)); }},
      {"conv2d: negative padding", [&] { conv2d(x, w, b, window(1, 1, -1)); }},
      {"conv2d: overflowing padding",
       [&] {
         conv2d(x, w, b, {1, 1, false, kHalf, 0, kHalf, 0});
       }},
      {"conv2d: padding beyond memory",
       [&] {
         conv2d(x, w, b, {kHuge, kHuge, false, Shape::kMaxSize, Shape::kMaxSize, 0, 0});
       }},
      {"conv2d: padding beside same", [&] { conv2d(x, w, b, window(1, 1, 1, true)); }},
      {"conv2d: too large a kernel",
       [&] {
         conv2d(x, leaf({3, 2, 5, 3}), b, window(1, 1, 0));
       }},
      {"conv2d_out_shape",
       [] {
         conv2d_out_shape({1, 2, 4, 4}, {3, 1, 3, 3}, {});
       }},
      {"window_rows: size", [] { window_rows("op", {}, 0, 3); }},
      {"window_rows: huge size",
       [] {
         window_rows("op", {kHuge, 1}, kHuge, 3);
       }},
      {"window_cols: kernel", [] { window_cols("op", {}, 4, 0); }},
      {"window_cols: huge kernel", [] { window_cols("op", {}, 4, kHuge); }},
      {"check_pictures",
       [] {
         check_pictures("op", {0, 1, 1, 1});
       }},
  });
}

TEST_CASE("misuse: transposed convolutions", "[isa]") {
  const V none, x = leaf({1, 2, 4, 4}), t = leaf({2, 3, 2, 2});
  check_table({
      {"transposed: no picture", [&] { conv_transpose2d(none, t, 8, 8); }},
      {"transposed: no weight", [&] { conv_transpose2d(x, none, 8, 8); }},
      {"transposed: n = 0",
       [&] {
         conv_transpose2d(leaf({0, 2, 4, 4}), t, 8, 8);
       }},
      {"transposed: channels",
       [&] {
         conv_transpose2d(x, leaf({3, 2, 2, 2}), 8, 8);
       }},
      {"transposed: too low", [&] { conv_transpose2d(x, t, 0, 8); }},
      {"transposed: too wide", [&] { conv_transpose2d(x, t, 8, 10); }},
      {"transposed: stride 0",
       [&] {
         conv_transpose2d(x, t, 4, 4, {0, 1, 0, 0});
       }},
      {"transposed: huge stride",
       [&] {
         conv_transpose2d(x, t, 4, 4, {kHuge, 1, 0, 0});
       }},
      {"transposed: stride beyond memory",
       [&] {
         conv_transpose2d(x, t, 4, 4, {Shape::kMaxSize, 1, 0, 0});
       }},
      {"transposed: negative padding",
       [&] {
         conv_transpose2d(x, t, 8, 8, {2, 2, 0, -1});
       }},
      {"transposed: huge padding",
       [&] {
         conv_transpose2d(x, t, 8, 8, {2, 2, kHuge, 0});
       }},
  });
}

TEST_CASE("misuse: pooling", "[isa]") {
  const V none, x = leaf({1, 2, 4, 4});
  check_table({
      {"pool: none", [&] { max_pool2d(none); }},
      {"pool: n = 0",
       [&] {
         max_pool2d(leaf({0, 2, 4, 4}));
       }},
      {"pool: two axes",
       [&] {
         max_pool2d(leaf({4, 4}));
       }},
      {"pool: window",
       [&] {
         max_pool2d(x, {0, 2, {}});
       }},
      {"pool: huge window",
       [&] {
         max_pool2d(x, {kHuge, 2, {}});
       }},
      {"pool: stride",
       [&] {
         max_pool2d(x, {2, 2, window(0, 1, 0)});
       }},
      {"pool: padding beside same",
       [&] {
         max_pool2d(x, {2, 2, window(2, 2, 1, true)});
       }},
      {"pool: only padding",
       [&] {
         max_pool2d(x, {2, 2, window(2, 2, 2)});
       }},
  });
}

TEST_CASE("misuse: layers and what they begin with", "[isa]") {
  Random random(1);
  check_table({
      {"Conv2d: no input channel", [&] { Conv2d<float>(0, 1, 3, Initializer::kZeros, random); }},
      {"Conv2d: no output channel", [&] { Conv2d<float>(1, -1, 3, Initializer::kZeros, random); }},
      {"Conv2d: no kernel", [&] { Conv2d<float>(1, 1, 0, Initializer::kHeNormal, random); }},
      {"Conv2d: huge kernel", [&] { Conv2d<float>(1, 1, kHalf, Initializer::kHeNormal, random); }},
      {"ConvTranspose2d: no channel", [&] { ConvTranspose2d<float>(0, 1, 2, Initializer::kZeros, random); }},
      {"initialize: fan in", [&] { initialize<float>(Initializer::kHeNormal, {1}, 0, 1, random); }},
      {"initialize: fan out", [&] { initialize<float>(Initializer::kXavierUniform, {1}, 1, -1, random); }},
      {"initializer's name", [] { initializer_from_name("ones"); }},
      {"activation's name", [] { Activation::from_name("tanh", 0); }},
      {"activation's slope", [] { Activation::from_name("leaky_relu", kNaN); }},
  });
}

// ---- Fused nets

/// A net of one convolution and no output, to which `add` adds what it must not.
Call on_net(std::function<void(FusedNet& net, FusedNet::Value value)> add) {
  return [add] {
    FusedNet net(0.2f);
    add(net, net.conv({net.input({3})}, leaf({32, 3, 3, 3}), leaf({32})));
  };
}

TEST_CASE("misuse: fused nets that cannot begin") {
  using Net = FusedNet;
  using Value = FusedNet::Value;
  const V w = leaf({32, 32, 3, 3}), b = leaf({32}), ow = leaf({3, 32, 1, 1}), ob = leaf({3});
  check_table({
      {"slope", [] { Net(1.5f); }},
      {"slope: NaN", [] { Net(std::nanf("")); }},
      {"no input channels", [] { Net(0).input({}); }},
      {"an input of no channel",
       [] {
         Net(0).input({3, 0});
       }},
      {"inputs that make up for each other",
       [] {
         Net(0).input({-1, 3});
       }},
      {"overflowing inputs",
       [] {
         Net(0).input({kHuge, kHuge, 3});
       }},
      {"five input channels",
       [] {
         Net(0).input({3, 2});
       }},
      {"a second input", on_net([](Net& net, Value) { net.input({1}); })},
      {"conv before the input", [&] { Net(0).conv({0}, w, b); }},
      {"pool before the input", [] { Net(0).pool(0); }},
      {"up before the input", [&] { Net(0).up(0, w); }},
      {"output before the input", [&] { Net(0).output({0}, ow, ob, Form::kSigmoid); }},
  });
}

TEST_CASE("misuse: fused nets with convolutions that cannot be") {
  using Net = FusedNet;
  using Value = FusedNet::Value;
  const V none, w = leaf({32, 32, 3, 3}), b = leaf({32});
  check_table({
      {"conv of nothing", on_net([&](Net& net, Value) { net.conv({}, w, b); })},
      {"conv of three", on_net([&](Net& net, Value v) {
         net.conv({v, v, v}, leaf({32, 96, 3, 3}), b);
       })},
      {"conv of one twice", on_net([&](Net& net, Value v) {
         net.conv({v, v}, leaf({32, 64, 3, 3}), b);
       })},
      {"conv of the input and another", on_net([&](Net& net, Value v) {
         net.conv({0, v}, leaf({32, 35, 3, 3}), b);
       })},
      {"conv of a value not there", on_net([&](Net& net, Value v) { net.conv({v + 1}, w, b); })},
      {"conv of a negative value", on_net([&](Net& net, Value) { net.conv({-1}, w, b); })},
      {"mixed levels", on_net([&](Net& net, Value v) {
         net.conv({v, net.pool(v)}, leaf({32, 64, 3, 3}), b);
       })},
      {"no weight", on_net([&](Net& net, Value v) { net.conv({v}, none, b); })},
      {"no bias", on_net([&](Net& net, Value v) { net.conv({v}, w, none); })},
      {"weight's channels", on_net([&](Net& net, Value v) {
         net.conv({v}, leaf({32, 31, 3, 3}), b);
       })},
      {"weight of two axes", on_net([&](Net& net, Value v) {
         net.conv({v}, leaf({32, 32}), b);
       })},
      {"kernel 3x1", on_net([&](Net& net, Value v) {
         net.conv({v}, leaf({32, 32, 3, 1}), b);
       })},
      {"kernel 0x0", on_net([&](Net& net, Value v) {
         net.conv({v}, leaf({32, 32, 0, 0}), b);
       })},
      {"no output channel", on_net([&](Net& net, Value v) {
         net.conv({v}, leaf({0, 32, 3, 3}), leaf({0}));
       })},
      {"bias's size", on_net([&](Net& net, Value v) { net.conv({v}, w, leaf({31})); })},
      {"bias of two axes", on_net([&](Net& net, Value v) {
         net.conv({v}, w, leaf({32, 1}));
       })},
  });
}

TEST_CASE("misuse: fused nets with steps between levels and outputs that cannot be") {
  using Net = FusedNet;
  using Value = FusedNet::Value;
  const V none, ow = leaf({3, 32, 1, 1}), ob = leaf({3});
  check_table({
      {"pool of a value not there", on_net([&](Net& net, Value v) { net.pool(v + 1); })},
      {"up of a value not there", on_net([&](Net& net, Value v) {
         net.up(v + 1, leaf({32, 32, 2, 2}));
       })},
      {"up from level 0", on_net([&](Net& net, Value v) {
         net.up(v, leaf({32, 32, 2, 2}));
       })},
      {"up without a weight", on_net([&](Net& net, Value v) { net.up(net.pool(v), none); })},
      {"up's kernel", on_net([&](Net& net, Value v) {
         net.up(net.pool(v), leaf({32, 32, 3, 3}));
       })},
      {"up's channels", on_net([&](Net& net, Value v) {
         net.up(net.pool(v), leaf({31, 32, 2, 2}));
       })},
      {"output of a lower level",
       on_net([&](Net& net, Value v) { net.output({net.pool(v)}, ow, ob, Form::kSigmoid); })},
      {"output of nothing", on_net([&](Net& net, Value) { net.output({}, ow, ob, Form::kSigmoid); })},
      {"output without a weight", on_net([&](Net& net, Value v) { net.output({v}, none, ob, Form::kSigmoid); })},
      {"output without a bias", on_net([&](Net& net, Value v) { net.output({v}, ow, none, Form::kSigmoid); })},
      {"output's bias", on_net([&](Net& net, Value v) { net.output({v}, ow, leaf({2}), Form::kSigmoid); })},
      {"five outputs", on_net([&](Net& net, Value v) {
         net.output({v}, leaf({5, 32, 1, 1}), leaf({5}), Form::kSigmoid);
       })},
      {"output that cannot be added", on_net([&](Net& net, Value v) {
         net.output({v}, leaf({1, 32, 1, 1}), leaf({1}), Form::kAddInput);
       })},
  });
}

/// A net of one convolution with so many output channels and this kernel.
FusedNet one_conv(std::int64_t channels, std::int64_t kernel) {
  FusedNet net(0.2f);
  const auto v = net.conv({net.input({3})}, leaf({channels, 3, kernel, kernel}), leaf({channels}));
  net.output({v}, leaf({3, channels, 1, 1}), leaf({3}), Form::kSigmoid);
  return net;
}

/// A net that runs where there are channel blocks.
FusedNet small_net() { return one_conv(32, 3); }

/// What runs of small_net are given.
struct RunParts {
  V x = leaf({1, 3, 4, 4});
  std::vector<float> plane = std::vector<float>(16);
  std::vector<const float*> in = std::vector<const float*>(3, plane.data());
  std::vector<float*> out = std::vector<float*>(3, plane.data());
  Arena arena;
};

void any_source(std::int64_t, std::int64_t, float* const*) {}
void any_sink(std::int64_t, std::int64_t, std::int64_t, std::int64_t, const float* const*) {}

TEST_CASE("misuse: fused nets that cannot run", "[isa]") {
  CHECK_FALSE(FusedNet(0.2f).runnable());
  CHECK_FALSE(one_conv(31, 3).runnable());
  CHECK_FALSE(one_conv(32, 5).runnable());
  CHECK(FusedNet(0.2f).input_channels() == 0);
}

TEST_CASE("misuse: fused nets and their inputs", "[isa]") {
  RunParts parts;
  check_table({
      {"an empty net", [] { FusedNet(0.2f)({}); }},
      {"an empty net, without gradients", [&] { FusedNet(0.2f).run(4, 4, {}, {}, parts.arena); }},
      {"a net without output",
       [&] {
         FusedNet net(0.2f);
         net.input({3});
         net({parts.x});
       }},
      {"channels that are no blocks", [&] { one_conv(31, 3)({parts.x}); }},
      {"a kernel of 5x5", [&] { one_conv(32, 5)({parts.x}); }},
      {"no input", [] { small_net()({}); }},
      {"an undefined input", [] { small_net()({V()}); }},
      {"two inputs",
       [&] {
         small_net()({parts.x, parts.x});
       }},
      {"channels",
       [] {
         small_net()({leaf({1, 2, 4, 4})});
       }},
      {"n = 0",
       [] {
         small_net()({leaf({0, 3, 4, 4})});
       }},
      {"no rows",
       [] {
         small_net()({leaf({1, 3, 0, 4})});
       }},
      {"three axes",
       [] {
         small_net()({leaf({3, 4, 4})});
       }},
  });
}

TEST_CASE("misuse: runs of fused nets in memory", "[isa]") {
  RunParts parts;
  check_table({
      {"run: no height", [&] { small_net().run(0, 4, parts.in, parts.out, parts.arena); }},
      {"run: a negative width", [&] { small_net().run(4, -1, parts.in, parts.out, parts.arena); }},
      {"run: a huge height", [&] { small_net().run(kHuge, 4, parts.in, parts.out, parts.arena); }},
      {"run: inputs", [&] { small_net().run(4, 4, {parts.plane.data()}, parts.out, parts.arena); }},
      {"run: outputs", [&] { small_net().run(4, 4, parts.in, {parts.plane.data()}, parts.arena); }},
      {"run: no input plane",
       [&] {
         small_net().run(4, 4, {parts.plane.data(), parts.plane.data(), nullptr}, parts.out, parts.arena);
       }},
      {"run: no output plane",
       [&] {
         small_net().run(4, 4, parts.in, {parts.plane.data(), nullptr, parts.plane.data()}, parts.arena);
       }},
  });
}

TEST_CASE("misuse: runs of fused nets row by row", "[isa]") {
  RunParts parts;
  check_table({
      {"FusedRun: no height", [&] { FusedRun(small_net(), 0, 4, any_source, any_sink, parts.arena); }},
      {"FusedRun: no source", [&] { FusedRun(small_net(), 4, 4, nullptr, any_sink, parts.arena); }},
      {"FusedRun: no sink", [&] { FusedRun(small_net(), 4, 4, any_source, nullptr, parts.arena); }},
      {"FusedRun: an empty net", [&] { FusedRun(FusedNet(0.2f), 4, 4, any_source, any_sink, parts.arena); }},
      {"FusedRun: bytes", [] { FusedRun::bytes(small_net(), 0, 4); }},
      {"FusedRun: bytes of no part",
       [] {
         FusedRun::bytes(small_net(), 4, 4, {2, 2});
       }},
      {"MirroredRun: bytes of no part",
       [] {
         MirroredRun::bytes(small_net(), 4, 4, 2, {2, 5});
       }},
      {"MirroredRun: margin", [&] { MirroredRun(small_net(), 4, 4, -1, any_source, any_sink, parts.arena); }},
      {"MirroredRun: huge margin", [&] { MirroredRun(small_net(), 4, 4, kHalf, any_source, any_sink, parts.arena); }},
      {"MirroredRun: no source", [&] { MirroredRun(small_net(), 4, 4, 2, nullptr, any_sink, parts.arena); }},
      {"MirroredRun: no sink", [&] { MirroredRun(small_net(), 4, 4, 2, any_source, nullptr, parts.arena); }},
      {"MirroredRun: bytes", [] { MirroredRun::bytes(small_net(), 4, 4, -2); }},
  });
}

TEST_CASE("misuse: fused nets without channel blocks", "[isa]") {
  RunParts parts;
  // The plain kernels have none.
  const IsaScope plain("ref");
  check_table({
      {"ref: with gradients", [&] { small_net()({parts.x}); }},
      {"ref: without",
       [&] {
         const NoGrad no_grad;
         small_net()({parts.x});
       }},
      {"ref: run", [&] { small_net().run(4, 4, parts.in, parts.out, parts.arena); }},
      {"ref: FusedRun", [&] { FusedRun(small_net(), 4, 4, any_source, any_sink, parts.arena); }},
      {"ref: bytes", [] { FusedRun::bytes(small_net(), 4, 4); }},
  });
}

// ---- Nets

TEST_CASE("misuse: nets", "[isa]") {
  Random random(1);
  const Decomposition<float> decomposition({}, random);
  const Restoration<float> restoration({}, random);
  const Adjustment<float> adjustment({}, random);
  const V none, rgb = leaf({1, 3, 4, 4}), map = leaf({1, 1, 4, 4}), other = leaf({1, 1, 4, 5});
  check_table({
      {"decomposition: none", [&] { decomposition(none); }},
      {"decomposition: channels", [&] { decomposition(map); }},
      {"decomposition: n = 0",
       [&] {
         decomposition(leaf({0, 3, 4, 4}));
       }},
      {"decomposition: axes",
       [&] {
         decomposition(leaf({3, 4, 4}));
       }},
      {"restoration: none", [&] { restoration(none, map); }},
      {"restoration: no illumination", [&] { restoration(rgb, none); }},
      {"restoration: sizes", [&] { restoration(rgb, other); }},
      {"restoration: n = 0",
       [&] {
         restoration(leaf({0, 3, 4, 4}), leaf({0, 1, 4, 4}));
       }},
      {"adjustment: none", [&] { adjustment(none, map); }},
      {"adjustment: no ratio", [&] { adjustment(map, none); }},
      {"adjustment: sizes", [&] { adjustment(map, other); }},
      {"adjustment: n = 0",
       [&] {
         adjustment(leaf({0, 1, 4, 4}), leaf({0, 1, 4, 4}));
       }},
      {"activation", [&] { Decomposition<float>({"tanh"}, random); }},
      {"slope",
       [&] {
         Decomposition<float>({"leaky_relu", 2}, random);
       }},
      {"output_kernel",
       [&] {
         Decomposition<float>({"relu", 0, 0}, random);
       }},
      {"initializer",
       [&] {
         Decomposition<float>({"relu", 0, 1, "ones"}, random);
       }},
      {"restoration's output",
       [&] {
         Restoration<float>({"relu", 0, "both"}, random);
       }},
      {"adjustment's slope",
       [&] {
         Adjustment<float>({"leaky_relu", kNaN}, random);
       }},
  });
}

Model<float> whole_model() {
  Model<float> model;
  model.config.decomposition.emplace();
  model.config.adjustment.emplace();
  model.build(1);
  return model;
}

TEST_CASE("misuse: the nets on pictures") {
  const Model<float> empty, model = whole_model();
  const T none, rgb = T::full({1, 3, 4, 4}, 0.5f), map = T::full({1, 1, 4, 4}, 0.5f), other = T::full({1, 1, 4, 5}, 1);
  T twice = T::full({2, 3, 4, 4}, 0.5f);
  PictureNets nets(model), nothing(empty);
  check_table({
      {"net_input", [&] { net_input(none, {}); }},
      {"net_input: two", [&] { net_input(twice, {}); }},
      {"input_range", [&] { input_range(none, {}); }},
      {"decompose: no net", [&] { nothing.decompose(rgb); }},
      {"decompose: none", [&] { nets.decompose(none); }},
      {"decompose: gray", [&] { nets.decompose(map); }},
      {"decompose: two", [&] { nets.decompose(twice); }},
      {"restore: none", [&] { nets.restore(none, map); }},
      {"restore: sizes", [&] { nets.restore(rgb, other); }},
      {"restore_in_place: two", [&] { nets.restore_in_place(twice, map); }},
      {"adjust: no net", [&] { nothing.adjust(map, 2); }},
      {"adjust: none", [&] { nets.adjust(none, 2); }},
      {"adjust: RGB", [&] { nets.adjust(rgb, 2); }},
      {"adjust: NaN", [&] { nets.adjust(map, kNaN); }},
      {"enhance: no nets", [&] { enhance(empty, rgb); }},
      {"enhance: none", [&] { enhance(model, none); }},
      {"enhance: two", [&] { enhance(model, twice); }},
      {"enhance: ratio",
       [&] {
         enhance(model, rgb, {{LightLevel::Mode::kRatio, 0}});
       }},
      {"enhance: denoise",
       [&] {
         enhance(model, rgb, {{}, Fusion::kNone, true, kNaN});
       }},
  });
}

TEST_CASE("misuse: the choice of the light") {
  const Model<float> empty, model = whole_model();
  const T none, rgb = T::full({1, 3, 4, 4}, 0.5f), twice = T::full({2, 3, 4, 4}, 0.5f);
  const MeteredPicture metered = meter(rgb, {});
  check_table({
      {"choose_light: no nets", [&] { choose_light(empty, metered, 4, 4, {}, Fusion::kNone); }},
      {"choose_light: none", [&] { choose_light(model, {}, 4, 4, {}, Fusion::kAuto); }},
      {"choose_light: size", [&] { choose_light(model, metered, 4, 5, {}, Fusion::kAuto); }},
      {"choose_light: stops",
       [&] {
         choose_light(model, metered, 4, 4, {LightLevel::Mode::kAuto, 0, 11}, Fusion::kAuto);
       }},
      {"choose_light: span",
       [&] {
         MeteredPicture flat = metered;
         flat.range = {0, 0};
         choose_light(model, flat, 4, 4, {}, Fusion::kAuto);
       }},
      {"meter: none", [&] { meter(none, {}); }},
      {"meter: two", [&] { meter(twice, {}); }},
      {"framed_area: none", [] { framed_area(Image()); }},
      {"range_of_image: gray", [] { range_of_image(Image(2, 2, 1), {}); }},
      {"put_back: size",
       [] {
         Image image(20, 20, 3);
         put_back(Image(3, 3, 3), {0, 4, 0, 4}, image);
       }},
  });
}

TEST_CASE("misuse: local strength and levels of light") {
  const T rgb = T::full({1, 3, 4, 4}, 0.5f), map = T::full({1, 1, 4, 4}, 0.5f);
  const float* const planes[] = {rgb.data(), rgb.data(), nullptr};
  check_table({
      {"LocalStrength: level", [&] { LocalStrength(rgb, 4, 4, {}, 0); }},
      {"LocalStrength: shape", [&] { LocalStrength(map, 4, 4, {}, 0.5); }},
      {"LocalStrength: gain", [&] { LocalStrength(rgb, 4, 4, {}, 0.5).set_gain(-1); }},
      {"LocalStrength: rows",
       [&] {
         float strength[8];
         LocalStrength(rgb, 4, 4, {}, 0.5).rows(3, 5, planes, strength);
       }},
      {"light_statistics: weights",
       [&] {
         light_statistics(rgb, {}, {1, 1});
       }},
      {"light_statistics: nothing", [&] { light_statistics(rgb, {}, std::vector<float>(16, 0.0f)); }},
      {"check_light: ratio",
       [] {
         check_light({LightLevel::Mode::kRatio, kInfinity});
       }},
      {"check_light: mean",
       [] {
         check_light({LightLevel::Mode::kTargetMean, kNaN});
       }},
      {"mean_of_planes: no plane", [] { mean_of_planes(nullptr, 1); }},
      {"ratio_for_mean: target", [] { ratio_for_mean(kNaN, [](double) { return 0.5; }); }},
      {"ratio_for_mean: no function", [] { ratio_for_mean(0.5, nullptr); }},
      {"ratio_map: shape",
       [] {
         ratio_map({1, 3, 4, 4}, 2);
       }},
      {"ratio_map: NaN",
       [] {
         ratio_map({1, 1, 4, 4}, kNaN);
       }},
  });
}

TEST_CASE("misuse: ratios and fusion") {
  const T none, rgb = T::full({1, 3, 4, 4}, 0.5f), map = T::full({1, 1, 4, 4}, 0.5f), other = T::full({1, 1, 4, 5}, 1);
  const Enhanced maps{rgb, map, rgb, map, rgb};
  Enhanced lacking = maps;
  lacking.adjusted = {};
  check_table({
      {"ratio_between: none", [&] { ratio_between(none, none); }},
      {"ratio_between: sizes", [&] { ratio_between(map, other); }},
      {"fuse_official: no picture", [&] { fuse_official(none, maps); }},
      {"fuse_official: a map is missing", [&] { fuse_official(rgb, lacking); }},
      {"fuse_official: size",
       [&] {
         fuse_official(T::zeros({1, 3, 4, 5}), maps);
       }},
  });
}

TEST_CASE("misuse: mirrored and downsampled pictures") {
  const T none, rgb = T::full({1, 3, 4, 4}, 0.5f);
  const float* const planes[] = {rgb.data(), rgb.data(), nullptr};
  check_table({
      {"mirrored_index", [] { mirrored_index(1, 0); }},
      {"mirrored: none", [&] { mirrored(none, 1); }},
      {"mirrored: margin", [&] { mirrored(rgb, -1); }},
      {"mirrored: huge margin", [&] { mirrored(rgb, kHalf); }},
      {"cropped: all", [&] { cropped(rgb, 2); }},
      {"cropped: huge margin", [&] { cropped(rgb, kHalf); }},
      {"Reduction: sides", [] { Reduction(0, 4); }},
      {"Reduction: huge sides", [] { Reduction(kHuge, kHuge); }},
      {"Reduction: rows", [&] { Reduction(4, 4).add_rows(0, 5, planes); }},
      {"Reduction: a plane", [&] { Reduction(4, 4).add_rows(0, 4, planes); }},
  });
}

TEST_CASE("misuse: rules for the light") {
  const T none, rgb = T::full({1, 3, 4, 4}, 0.5f), map = T::full({1, 1, 4, 4}, 0.5f);
  LightConfig bad;
  bad.weights.resize(20, 1.0);
  const LightStatistics statistics = light_statistics(rgb);
  LightStatistics unknown = statistics;
  unknown.values[0] = kNaN;
  const std::vector<LightSample> samples{{statistics, 0.5, 1}, {statistics, 0.4, 1}};
  check_table({
      {"reduced_for_light", [&] { reduced_for_light(map); }},
      {"light_statistics", [&] { light_statistics(none); }},
      {"automatic_level", [&] { automatic_level(bad, statistics); }},
      {"fit_light: penalty", [&] { fit_light(samples, kNaN); }},
      {"fit_light: statistics",
       [&] {
         fit_light({{statistics, 0.5, 1}, {unknown, 0.4, 1}});
       }},
      {"fit_light: one", [&] { fit_light({samples[0]}); }},
  });
}

TEST_CASE("misuse: files of weights") {
  check_table({
      {"bundle without files", [] { read_tensorflow_bundle("x", nullptr); }},
  });
}

TEST_CASE("misuse: photographs") {
  const Model<float> empty, model = whole_model();
  const Image photo(3, 2, 3);
  Image cut = photo, deep = photo, many = photo;
  cut.data.pop_back();
  deep.bits = 12;
  many.channels = 5;
  PhotoOptions bits, strength, light;
  bits.bits = 9;
  strength.strength = 2;
  light.light = {LightLevel::Mode::kRatio, -1};
  check_table({
      {"no nets", [&] { enhance_photo(empty, photo); }},
      {"an empty picture", [&] { enhance_photo(model, {}); }},
      {"bytes are missing", [&] { enhance_photo(model, cut); }},
      {"12 bits", [&] { enhance_photo(model, deep); }},
      {"5 channels", [&] { enhance_photo(model, many); }},
      {"result of 9 bits", [&] { enhance_photo(model, photo, bits); }},
      {"strength", [&] { enhance_photo(model, photo, strength); }},
      {"ratio", [&] { enhance_photo(model, photo, light); }},
      {"nobody takes the results", [&] { enhance_levels(model, photo, {}, {{}}, nullptr); }},
      {"memory of an empty picture", [&] { photo_memory(model, {}, {}, {{}}); }},
  });
}

}  // namespace
}  // namespace kind::testing
