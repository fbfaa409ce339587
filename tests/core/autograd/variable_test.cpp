// Long because its cases share the small graphs that they are built of.

#include "core/autograd/variable.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "tests/support/errors.h"

namespace kind::testing {
namespace {

using Var = Variable<double>;
using Vars = std::vector<Var>;
using Values = std::vector<double>;

Var leaf(const Values& values) {
  return Var(Tensor<double>(Shape{static_cast<std::int64_t>(values.size())}, values), true);
}
Values grad(const Var& v) { return v.grad().defined() ? v.grad().to_vector() : Values{}; }

/// y = x, whose backward passes the gradient on after calling `seen`.
template <class Seen>
Var identity(const Var& x, const Seen& seen) {
  return Var::from_op(x.value().clone(), {x}, [seen](Vars& inputs, const Tensor<double>& g) {
    seen();
    inputs[0].add_grad(g);
  });
}

TEST_CASE("variable: leaves") {
  const Var data(Tensor<double>::scalar(1));
  CHECK(data.defined());
  CHECK_FALSE(data.requires_grad());
  CHECK_FALSE(data.grad().defined());
  CHECK_FALSE(Var().defined());
  CHECK(Var(Tensor<double>::scalar(1), true).requires_grad());
  CHECK(error_of([] { Var(Tensor<double>(), true); }) == "variable: the tensor has no storage");
  Var copy = data;  // the same node
  copy.mutable_value()[0] = 5;
  CHECK(data.value().item() == 5);
}

TEST_CASE("variable: gradients by hand") {
  Var x = leaf({2, 3}), y = leaf({5, 7});
  Var z = x * y + x;  // dz/dx = y + 1, dz/dy = x
  CHECK(z.requires_grad());
  CHECK(z.value().to_vector() == Values{12, 24});
  SECTION("seeded with ones") {
    z.backward();
    CHECK(grad(x) == Values{6, 8});
    CHECK(grad(y) == Values{2, 3});
  }
  SECTION("seeded with a gradient") {
    const Tensor<double> seed(Shape{2}, {10, 100});
    z.backward(seed);
    CHECK(grad(x) == Values{60, 800});
    CHECK(grad(y) == Values{20, 300});
    CHECK(seed.to_vector() == Values{10, 100});
  }
}

TEST_CASE("variable: backward from a leaf gives the seed") {
  Var x = leaf({2, 3});
  x.backward();
  x.backward(Tensor<double>(Shape{2}, {5, 6}));
  CHECK(grad(x) == Values{6, 7});
}

TEST_CASE("variable: a diamond adds up both ways, and each node runs once") {
  Var x = leaf({3});
  int calls = 0;
  const auto count = [&] { ++calls; };
  Var shared = identity(x, count);
  Var z = square(shared) + shared * leaf({4});  // 2x + 4
  z.backward();
  CHECK(grad(x) == Values{10});
  CHECK(calls == 1);

  // 50 diamonds on top of each other: 2^50 paths, 50 nodes.
  x.zero_grad();
  calls = 0;
  Var y = x;
  for (int i = 0; i < 50; ++i) {
    const Var step = identity(y, count);
    y = step + step;
  }
  y.backward();
  CHECK(grad(x) == Values{0x1p50});
  CHECK(calls == 50);
}

TEST_CASE("variable: a node waits for all gradients, also from ways of different length") {
  Var x = leaf({3});
  const Var a = square(x);  // used by a short way and a long one
  Var long_way = a;
  for (int i = 0; i < 5; ++i) long_way = mul(long_way, 2.0);
  Var y = a + long_way;  // 33 x^2
  y.backward();
  CHECK(grad(x) == Values{33 * 6});
  Var z = leaf({3});
  const Var b = square(z);
  Var other_order = mul(mul(b, 2.0), 2.0) + b;
  other_order.backward();
  CHECK(grad(z) == Values{5 * 6});
}

TEST_CASE("variable: an input may be used several times by one operation") {
  Var x = leaf({2, 3});
  (x * x).backward();
  CHECK(grad(x) == Values{4, 6});
  x.zero_grad();
  concat(Vars{x, x, x}, 0).backward(Tensor<double>(Shape{6}, {1, 2, 10, 20, 100, 200}));
  CHECK(grad(x) == Values{111, 222});
  x.zero_grad();
  (x - x).backward();
  CHECK(grad(x) == Values{0, 0});
}

TEST_CASE("variable: gradients add up over backward calls until zero_grad") {
  Var x = leaf({2});
  for (int i = 1; i <= 3; ++i) {
    square(x).backward();
    CHECK(grad(x) == Values{4.0 * i});
  }
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
  square(x).backward();
  CHECK(grad(x) == Values{4});
}

TEST_CASE("variable: gradients of different variables never share elements that one may change") {
  // add() hands the same tensor on to both operands, and it is the caller's seed, too.
  Var x = leaf({1, 2}), y = leaf({3, 4});
  const Tensor<double> seed(Shape{2}, {1, 1});
  add(x, y).backward(seed);
  SECTION("by accumulation") {
    mul(x, 10.0).backward();
    CHECK(grad(x) == Values{11, 11});
    CHECK(grad(y) == Values{1, 1});
    CHECK(seed.to_vector() == Values{1, 1});
  }
  SECTION("by clipping in place") {
    for (Var* v : {&x, &y}) {
      Tensor<double>& g = v->mutable_grad();
      for (std::int64_t i = 0; i < g.size(); ++i) g[i] *= 0.5;
    }
    CHECK(grad(x) == Values{0.5, 0.5});
    CHECK(grad(y) == Values{0.5, 0.5});
    CHECK(seed.to_vector() == Values{1, 1});
  }
}

TEST_CASE("variable: a second backward through the same graph throws") {
  const std::string kFreed =
      "backward: this graph has already been back-propagated and freed; run the forward pass again";
  Var x = leaf({2});
  Var shared = square(x);
  Var a = mul(shared, 3.0), b = mul(shared, 5.0);
  a.backward();
  CHECK(error_of([&] { a.backward(); }) == kFreed);
  CHECK(error_of([&] { b.backward(); }) == kFreed);  // shares a freed part
  CHECK(error_of([&] { mul(shared, 7.0).backward(); }) == kFreed);
  CHECK(grad(x) == Values{12});  // no failed attempt left anything behind
  CHECK(shared.value().to_vector() == Values{4});
  CHECK_FALSE(shared.grad().defined());
  mul(shared.detach(), x).backward();
  CHECK(grad(x) == Values{16});
}

TEST_CASE("variable: backward needs something that requires a gradient") {
  Var x(Tensor<double>::scalar(1));
  CHECK(error_of([&] { square(x).backward(); }) == "backward: nothing in this variable's graph requires a gradient");
}

TEST_CASE("variable: a gradient of another shape than the value throws and names both") {
  Var x = leaf({1, 2, 3});
  CHECK(error_of([&] {
          x.add_grad(Tensor<double>::zeros(Shape{3, 1}));
        }) == "gradient: expected the shape of the value, [3], got [3, 1]");
  CHECK(error_of([&] { x.add_grad(Tensor<double>()); }) ==
        "gradient: expected the shape of the value, [3], got nothing");
  CHECK_FALSE(x.grad().defined());
  Var y = square(x);
  CHECK(error_of([&] { y.backward(Tensor<double>::zeros(Shape{})); }) ==
        "gradient: expected the shape of the value, [3], got []");
  y.backward();  // the refused seed has done no harm
  CHECK(grad(x) == Values{2, 4, 6});

  Var wrong = Var::from_op(Tensor<double>::scalar(0), {square(x)}, [](Vars& inputs, const Tensor<double>&) {
    inputs[0].add_grad(Tensor<double>::zeros(Shape{2, 2}));
  });
  CHECK(error_of([&] { wrong.backward(); }) == "gradient: expected the shape of the value, [3], got [2, 2]");
  CHECK(grad(x) == Values{2, 4, 6});
}

TEST_CASE("variable: no graph is built under NoGrad") {
  Var x = leaf({2});
  CHECK_FALSE(NoGrad::active());
  {
    const NoGrad outer;
    CHECK(NoGrad::active());
    CHECK_FALSE(square(x).requires_grad());
    CHECK_FALSE(Var::needs_graph({x}));
    {
      const NoGrad inner;
      CHECK(NoGrad::active());
    }
    CHECK(NoGrad::active());
    bool elsewhere = true;
    std::thread([&] { elsewhere = NoGrad::active(); }).join();
    CHECK_FALSE(elsewhere);
    CHECK(leaf({1}).requires_grad());  // leaves keep what they are asked to be
  }
  CHECK_FALSE(NoGrad::active());
  CHECK(Var::needs_graph({x}));
  try {
    const NoGrad scope;
    throw std::runtime_error("leaves the scope");
  } catch (const std::runtime_error&) {
  }
  CHECK_FALSE(NoGrad::active());
  // A graph built before is still walked.
  Var y = square(x);
  const NoGrad scope;
  y.backward();
  CHECK(grad(x) == Values{4});
}

TEST_CASE("variable: an operation that needs no graph drops its backward function and inputs") {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  const auto backward = [token](Vars&, const Tensor<double>&) {};
  token.reset();
  const Var data(Tensor<double>::scalar(1)), parameter(Tensor<double>::scalar(1), true);
  BackwardFunction<double> function = backward;
  const auto owners = watch.use_count();
  const Var without = Var::from_op(Tensor<double>::scalar(0), {data, data}, function);
  CHECK_FALSE(without.requires_grad());
  CHECK(watch.use_count() == owners);
  const Var with = Var::from_op(Tensor<double>::scalar(0), {data, parameter}, function);
  CHECK(with.requires_grad());
  CHECK(watch.use_count() == owners + 1);
}

TEST_CASE("variable: detach cuts the graph and shares the value") {
  Var x = leaf({3});
  const Var y = square(x);
  const Var cut = y.detach();
  CHECK_FALSE(cut.requires_grad());
  CHECK(cut.value().data() == y.value().data());
  (cut * x).backward();
  CHECK(grad(x) == Values{9});  // as though x^2 were a constant
}

TEST_CASE("variable: frozen leaves get no gradient and keep graphs small") {
  Var x = leaf({2}), w = leaf({5});
  w.set_requires_grad(false);
  (x * w).backward();
  CHECK(grad(x) == Values{5});
  CHECK_FALSE(w.grad().defined());
  CHECK_FALSE(square(w).requires_grad());
  w.set_requires_grad(true);
  (x * w).backward();
  CHECK(grad(x) == Values{10});
  CHECK(grad(w) == Values{2});
  w.add_grad(Tensor<double>(Shape{1}, {1}));
  CHECK(grad(w) == Values{3});
  w.set_requires_grad(false);
  w.add_grad(Tensor<double>::zeros(Shape{7}));  // not looked at
  CHECK(grad(w) == Values{3});
}

TEST_CASE("variable: a leaf frozen after the forward pass gets nothing, the others do") {
  Var x = leaf({2}), w = leaf({5});
  Var y = square(w) * x;
  w.set_requires_grad(false);
  y.backward();
  CHECK(grad(x) == Values{25});
  CHECK_FALSE(w.grad().defined());
}

TEST_CASE("variable: only leaves can be frozen") {
  Var x = leaf({2});
  Var y = square(x);
  const std::string kMessage = "variable: requires_grad can be set on leaves only";
  CHECK(error_of([&] { y.set_requires_grad(false); }) == kMessage);
  y.backward();
  CHECK(error_of([&] { y.set_requires_grad(false); }) == kMessage);
}

TEST_CASE("variable: leaves outside the graph keep what they have") {
  Var x = leaf({2}), other = leaf({3});
  Var unused = square(other);
  square(x).backward();
  CHECK_FALSE(other.grad().defined());
  unused.backward();
  CHECK(grad(other) == Values{6});
}

TEST_CASE("variable: inputs that received no gradient do not run") {
  // The operation uses only its first input, so the second one's backward has nothing to do.
  Var x = leaf({2}), z = leaf({2});
  bool ran = false;
  const Var dead = identity(z, [&] { ran = true; });
  Var y =
      Var::from_op(x.value().clone(), {x, dead}, [](Vars& inputs, const Tensor<double>& g) { inputs[0].add_grad(g); });
  y.backward();
  CHECK(grad(x) == Values{1});
  CHECK_FALSE(ran);
  CHECK_FALSE(z.grad().defined());
}

TEST_CASE("variable: values and closures are freed while backward goes on") {
  Var x = leaf({1, 2, 3});
  std::vector<std::weak_ptr<int>> tokens;
  std::vector<Tensor<double>> values;  // one owner each besides the graph
  std::vector<std::vector<bool>> alive;
  Var y = x;
  for (int i = 0; i < 4; ++i) {
    const auto token = std::make_shared<int>(i);
    tokens.push_back(token);
    y = identity(y, [token, &alive, &tokens, &values] {
      std::vector<bool> now;
      for (std::size_t n = 0; n < tokens.size(); ++n) now.push_back(!tokens[n].expired() || !values[n].unique());
      alive.push_back(now);
    });
    values.push_back(y.value());
  }
  for (const Tensor<double>& value : values) CHECK_FALSE(value.unique());
  y.backward();
  // The last operation goes first. Its value stays with y, the caller's; the others go as soon as their turn is over.
  REQUIRE(alive.size() == 4);
  CHECK(alive[0] == std::vector<bool>{true, true, true, true});
  CHECK(alive[1] == std::vector<bool>{true, true, true, true});
  CHECK(alive[2] == std::vector<bool>{true, true, false, true});
  CHECK(alive[3] == std::vector<bool>{true, false, false, true});
  for (const std::weak_ptr<int>& token : tokens) CHECK(token.expired());
  CHECK(values[0].unique());
  CHECK_FALSE(values[3].unique());
}

TEST_CASE("variable: dropping the last variable frees the graph") {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  const Var x = leaf({1});
  {
    const Var y = square(identity(x, [token] {}));
    token.reset();
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
}

constexpr int kDeep = 200000;

Var deep_chain(Var y) {
  for (int i = 0; i < kDeep; ++i) y = add(y, 1.0);
  return y;
}

TEST_CASE("variable: a graph of 200,000 nodes overflows no stack") {
  Var x = leaf({0});
  SECTION("forward, backward") {
    Var y = deep_chain(x);
    CHECK(y.value().item() == kDeep);
    y.backward();
    CHECK(grad(x) == Values{1});
  }
  SECTION("torn down without backward") {
    Var y = deep_chain(x);
    y = Var();
    CHECK_FALSE(x.grad().defined());
  }
  SECTION("torn down while others hold a part of it") {
    Var y = deep_chain(x);
    const Var middle = y;
    y = deep_chain(y);
    y = Var();
    CHECK(middle.value().item() == kDeep);
  }
  SECTION("with two ways at each step") {
    Var y = x;
    for (int i = 0; i < kDeep / 2; ++i) y = mul(add(y, y), 0.5);
    y.backward();
    CHECK(grad(x) == Values{1});
  }
  SECTION("torn down after a backward that threw half-way") {
    Var y = deep_chain(identity(deep_chain(x), [] { fail("half-way"); }));
    CHECK(error_of([&] { y.backward(); }) == "half-way");
    y = Var();
    CHECK_FALSE(x.grad().defined());
  }
}

TEST_CASE("variable: an operation with 200,000 inputs") {
  Var x = leaf({1});
  const Vars parts(kDeep, x);
  Var y = sum(concat(parts, 0));
  y.backward();
  CHECK(grad(x) == Values{kDeep});
}

TEST_CASE("variable: backward tells of each leaf once its gradient is complete") {
  Var a = leaf({2}), b = leaf({3}), c = leaf({5});
  const Var constant(Tensor<double>(Shape{1}, {7}));
  // a is used three times, twice by one operation, and last of all; c by an operation that adds nothing to it.
  const Var square = mul(a, a), made = mul(mul(square, b), add(a, constant));
  Var end = Var::from_op(made.value().clone(), {made, c},
                         [](Vars& inputs, const Tensor<double>& g) { inputs[0].add_grad(g); });
  std::vector<std::pair<double, Values>> told;
  const GradientReady<double> ready = [&](const Var& of) { told.emplace_back(of.value()[0], grad(of)); };
  const Tensor<double> one(Shape{1}, {1});
  end.backward(one, ready);
  // of a a b (a + 7)
  CHECK(told == std::vector<std::pair<double, Values>>{{3, {36}}, {2, {120}}, {5, {}}});
  // Then the leaves are as before.
  mul(a, b).backward();
  CHECK(grad(a) == Values{123});
  told.clear();
  a.zero_grad();
  a.backward(one, ready);
  CHECK(told == std::vector<std::pair<double, Values>>{{2, {1}}});
}

TEST_CASE("variable: an operation that adds to a complete gradient is refused") {
  const Var x = leaf({2});
  const auto twice = [&] {
    return Var::from_op(x.value().clone(), {x}, [](Vars& inputs, const Tensor<double>& g) {
      inputs[0].add_grad(g);
      inputs[0].add_grad(g);
    });
  };
  const Tensor<double> one(Shape{1}, {1});
  CHECK_THROWS_WITH(twice().backward(one, [](const Var&) {}), Catch::Contains("more than one share"));
  CHECK_NOTHROW(twice().backward(one));
}

TEST_CASE("variable: independent graphs may go backward in several threads at once") {
  std::vector<double> results(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&results, t] {
      Var x = leaf({static_cast<double>(t)});
      for (int i = 0; i < 100; ++i) square(x).backward();
      results[t] = x.grad().item();
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(results == Values{0, 200, 400, 600});
}

}  // namespace
}  // namespace kind::testing
