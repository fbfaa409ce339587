// Long because convolution and transposed convolution share the sweep of cases.

#include "layers/conv2d.h"

#include <catch2/catch.hpp>
#include <limits>
#include <ostream>

#include "core/ops/elementwise.h"
#include "layers/pool.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

// The kernels themselves are compared with their formulas in tests/core/kernels; here it is what the layers make of
// them: shapes, paddings, cuts, which gradient goes where.

namespace kind::testing {
namespace {

using Catch::Contains;
using Data = std::vector<double>;

Variable<double> constant(const Shape& shape, const Data& values) {
  return Variable<double>(Tensor<double>(shape, values));
}

Data count_up(std::int64_t count) {
  Data values;
  for (std::int64_t i = 1; i <= count; ++i) values.push_back(static_cast<double>(i));
  return values;
}

double dot(const Tensor<double>& a, const Tensor<double>& b) {
  REQUIRE(a.shape() == b.shape());
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

WindowSpec padded(std::int64_t stride_h, std::int64_t stride_w, std::int64_t top, std::int64_t left,
                  std::int64_t bottom, std::int64_t right) {
  return {stride_h, stride_w, false, top, left, bottom, right};
}

/// One convolution of the sweeps.
struct Case {
  Shape x;
  std::int64_t oc, kh, kw;
  WindowSpec spec;

  Shape weight() const { return Shape{oc, x[1], kh, kw}; }
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  const WindowSpec& s = c.spec;
  out << "x " << c.x.text() << " weight " << c.weight().text() << " stride " << s.stride_h << "x" << s.stride_w;
  if (s.same) return out << " SAME";
  return out << " padding " << s.pad_top << " " << s.pad_left << " " << s.pad_bottom << " " << s.pad_right;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{1, 1, 1, 1}, 1, 1, 1, {}},
      {{1, 2, 1, 1}, 3, 3, 3, {}},
      {{2, 3, 5, 7}, 2, 3, 3, {}},
      {{1, 2, 4, 6}, 3, 1, 1, {}},
      {{1, 2, 5, 4}, 2, 2, 2, {}},
      {{1, 2, 6, 5}, 2, 4, 5, {}},
      {{1, 1, 3, 2}, 2, 7, 7, {}},
      {{2, 2, 7, 6}, 3, 3, 3, {2, 2}},
      {{1, 2, 5, 8}, 2, 3, 2, {3, 2}},
      {{1, 1, 7, 7}, 2, 2, 2, {4, 5}},
      {{1, 2, 5, 6}, 2, 3, 3, padded(1, 1, 0, 0, 0, 0)},
      {{1, 2, 5, 6}, 2, 3, 2, padded(1, 1, 2, 0, 1, 3)},
      {{2, 1, 6, 5}, 2, 2, 3, padded(2, 3, 1, 2, 0, 1)},
      {{1, 1, 4, 4}, 1, 3, 3, padded(1, 1, 4, 5, 3, 4)},
      {{1, 2, 3, 3}, 2, 5, 4, padded(2, 1, 1, 0, 1, 2)},
      {{1, 3, 1, 9}, 2, 1, 3, padded(1, 2, 0, 1, 0, 1)},
      {{1, 2, 8, 1}, 2, 3, 1, padded(3, 1, 1, 0, 0, 0)},
  };
  return all;
}

TEST_CASE("windows: SAME follows TensorFlow's rule") {
  struct Row {
    std::int64_t size, kernel, stride, pad, out;
  };
  // out = ceil(size / stride); padding in all = max((out - 1) stride + kernel - size, 0), the smaller half in front
  const Row rows[] = {{1, 1, 1, 0, 1}, {1, 3, 1, 1, 1}, {5, 3, 1, 1, 5}, {5, 2, 1, 0, 5},  {5, 4, 1, 1, 5},
                      {5, 5, 1, 2, 5}, {4, 3, 2, 0, 2}, {5, 3, 2, 1, 3}, {6, 3, 2, 0, 3},  {5, 2, 2, 0, 3},
                      {4, 2, 2, 0, 2}, {7, 1, 3, 0, 3}, {9, 2, 4, 0, 3}, {10, 5, 3, 2, 4}, {1, 7, 2, 3, 1}};
  for (const Row& row : rows) {
    INFO("size " << row.size << " kernel " << row.kernel << " stride " << row.stride);
    WindowSpec spec;
    spec.stride_h = row.stride;
    spec.stride_w = 99;
    const WindowAxis axis = window_rows("op", spec, row.size, row.kernel);
    CHECK(axis.pad == row.pad);
    CHECK(axis.out == row.out);
    std::swap(spec.stride_h, spec.stride_w);
    const WindowAxis other = window_cols("op", spec, row.size, row.kernel);
    CHECK(other.pad == row.pad);
    CHECK(other.out == row.out);
  }
}

TEST_CASE("windows: explicit paddings, each at its own side") {
  const WindowSpec spec = padded(2, 3, 1, 4, 2, 0);
  CHECK(window_rows("op", spec, 5, 3).pad == 1);
  CHECK(window_rows("op", spec, 5, 3).out == 3);  // (5 + 1 + 2 - 3) / 2 + 1
  CHECK(window_cols("op", spec, 5, 3).pad == 4);
  CHECK(window_cols("op", spec, 5, 3).out == 3);  // (5 + 4 + 0 - 3) / 3 + 1
  CHECK(window_cols("op", spec, 5, 9).out == 1);
}

TEST_CASE("windows: what does not fit is refused") {
  CHECK_THAT(error_of([] { window_rows("op", padded(0, 1, 0, 0, 0, 0), 5, 3); }),
             Contains("op: expected a stride of at least 1, got 0"));
  CHECK_THAT(error_of([] {
               window_cols("op", {1, -2}, 5, 3);
             }),
             Contains("op: expected a stride of at least 1, got -2"));
  CHECK_THAT(error_of([] { window_rows("op", padded(1, 1, -1, 0, 3, 0), 5, 3); }),
             Contains("op: expected paddings of at least 0, got -1 and 3"));
  CHECK_THAT(error_of([] { window_cols("op", padded(1, 1, 0, 1, 0, 2), 5, 9); }),
             Contains("op: a kernel of 9 does not fit into 5 elements padded by 1 and 2"));
}

TEST_CASE("windows: paddings beside `same` are refused, not ignored") {
  const char* const message = "op: paddings of 7 and 0 were given, but `same` chooses them; set it to false";
  WindowSpec spec;
  spec.pad_top = 7;
  CHECK(error_of([&] { window_rows("op", spec, 5, 3); }) == message);
  CHECK(window_cols("op", spec, 5, 3).out == 5);
  std::swap(spec.pad_top, spec.pad_left);
  CHECK(error_of([&] { window_cols("op", spec, 5, 3); }) == message);
}

TEST_CASE("windows: sizes at the end of the range do not overflow") {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max(), kMost = Shape::kMaxSize;
  CHECK(window_rows("op", {kHuge, 1}, 5, 3).out == 1);
  CHECK(window_rows("op", {kHuge, 1}, 5, 3).pad == 0);
  CHECK(window_rows("op", {1, 1}, kMost, 3).out == kMost);
  CHECK(window_rows("op", padded(kHuge, 1, kMost, 0, kMost, 0), kMost, 1).out == 1);
  CHECK(window_rows("op", padded(1, 1, kMost, 0, kMost, 0), kMost, kMost).out == 2 * kMost + 1);
  CHECK_THAT(
      error_of([] { window_rows("op", padded(1, 1, std::int64_t{1} << 62, 0, std::int64_t{1} << 62, 0), 5, 3); }),
      Contains("op: paddings of 4611686018427387904 and 4611686018427387904 are more than memory can address"));
}

TEST_CASE("conv2d: strides beyond the picture give one window, with its gradients", "[isa]") {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  const auto run = [](const WindowSpec& spec) {
    Variable<float> x(random_tensor<float>({2, 2, 4, 5}, 1), true), w(random_tensor<float>({3, 2, 3, 3}, 2), true);
    Variable<float> y = conv2d(x, w, Variable<float>(), spec);
    CHECK(y.shape() == Shape{2, 3, 1, 1});
    std::vector<float> all = y.value().to_vector();
    y.backward();
    for (const Variable<float>& v : {x, w}) {
      const std::vector<float> gradient = v.grad().to_vector();
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
    return all;
  };
  const std::vector<float> huge = run(padded(kHuge, kHuge, 1, 1, 0, 0)), small = run(padded(6, 7, 1, 1, 0, 0));
  REQUIRE(huge.size() == small.size());
  for (std::size_t i = 0; i < huge.size(); ++i) CHECK(huge[i] == Approx(small[i]).margin(1e-5));
  const Variable<float> one(Tensor<float>::full({1, 1, 1, 1}, 2)), kernel(Tensor<float>::full({1, 1, 2, 2}, 3));
  CHECK(conv_transpose2d(one, kernel, 2, 3, {Shape::kMaxSize, Shape::kMaxSize, 0, 0}).value().to_vector() ==
        std::vector<float>{6, 6, 0, 6, 6, 0});
}

TEST_CASE("layers: no pictures are named as what is wrong") {
  const auto zeros = [](const Shape& shape) { return Variable<float>(Tensor<float>::zeros(shape)); };
  const Variable<float> none = zeros({0, 2, 4, 4});
  CHECK(error_of([&] {
          conv2d(none, zeros({3, 2, 3, 3}), {});
        }) == "conv2d: expected at least one picture, got n = 0 in [0, 2, 4, 4]");
  CHECK(error_of([&] {
          conv_transpose2d(none, zeros({2, 3, 2, 2}), 8, 8);
        }) == "conv_transpose2d: expected at least one picture, got n = 0 in [0, 2, 4, 4]");
  CHECK(error_of([&] { max_pool2d(none); }) == "max_pool2d: expected at least one picture, got n = 0 in [0, 2, 4, 4]");
}

TEST_CASE("conv2d: cases worked out by hand") {
  const Variable<double> x = constant({1, 1, 3, 3}, count_up(9)), w = constant({1, 1, 2, 2}, {1, 2, 3, 4});
  const Variable<double> bias = constant({1}, {0.5});
  SECTION("no padding") {
    const Variable<double> y = conv2d(x, w, bias, padded(1, 1, 0, 0, 0, 0));
    CHECK(y.shape() == Shape{1, 1, 2, 2});
    CHECK(y.value().to_vector() == Data{37.5, 47.5, 67.5, 77.5});
  }
  SECTION("SAME pads an even kernel at the end") {
    const Variable<double> y = conv2d(x, w, Variable<double>());
    CHECK(y.value().to_vector() == Data{37, 47, 21, 67, 77, 33, 23, 26, 9});
  }
  SECTION("paddings that differ on every side, strides that differ") {
    // the picture with a row above, two columns to the left and one to the right:
    //   0 0 0 0 0 0
    //   0 0 1 2 3 0
    //   0 0 4 5 6 0
    //   0 0 7 8 9 0
    const Variable<double> y = conv2d(x, w, Variable<double>(), padded(2, 3, 1, 2, 0, 1));
    CHECK(y.shape() == Shape{1, 1, 2, 2});
    CHECK(y.value().to_vector() == Data{0, 3 * 2 + 4 * 3, 0, 1 * 5 + 2 * 6 + 3 * 8 + 4 * 9});
  }
  SECTION("SAME with a stride") {
    // 3 -> 2 windows, padding 1 at the end
    const Variable<double> y = conv2d(x, w, Variable<double>(), {2, 2});
    CHECK(y.value().to_vector() == Data{37, 21, 23, 9});
  }
  SECTION("channels and pictures") {
    const Variable<double> two = constant({2, 2, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
    const Variable<double> mix = constant({3, 2, 1, 1}, {1, 0, 0, 1, 1, -1});
    const Variable<double> y = conv2d(two, mix, constant({3}, {0, 10, 100}));
    CHECK(y.shape() == Shape{2, 3, 1, 2});
    CHECK(y.value().to_vector() == Data{1, 2, 13, 14, 98, 98, 5, 6, 17, 18, 98, 98});
  }
}

TEST_CASE("conv2d: float agrees with double on every kernel set", "[isa]") {
  for (const Case& c : cases()) {
    INFO(c << " on " << current_isa());
    const Tensor<double> x = cast<double>(random_tensor<float>(c.x, 1)),
                         w = cast<double>(random_tensor<float>(c.weight(), 2)),
                         b = cast<double>(random_tensor<float>(Shape{c.oc}, 3));
    const Variable<double> y = conv2d(Variable<double>(x), Variable<double>(w), Variable<double>(b), c.spec);
    const Variable<float> z = conv2d(Variable<float>(cast<float>(x)), Variable<float>(cast<float>(w)),
                                     Variable<float>(cast<float>(b)), c.spec);
    REQUIRE(z.shape() == y.shape());
    for (std::int64_t i = 0; i < y.value().size(); ++i) {
      CHECK(std::abs(static_cast<double>(z.value()[i]) - y.value()[i]) < 2e-5);
    }
  }
}

TEST_CASE("conv2d_out_shape says what conv2d gives") {
  for (const Case& c : cases()) {
    INFO(c);
    const Variable<double> y = conv2d(Variable<double>(random_tensor(c.x, 1)),
                                      Variable<double>(random_tensor(c.weight(), 2)), Variable<double>(), c.spec);
    CHECK(conv2d_out_shape(c.x, c.weight(), c.spec) == y.shape());
  }
}

TEST_CASE("conv2d: gradients of x, weight and bias", "[grad]") {
  const ThreadScope one(1);  // for many tiny calls
  for (const Case& c : cases()) {
    INFO(c);
    CHECK(gradcheck([&](const auto& in) { return conv2d(in[0], in[1], in[2], c.spec); },
                    {random_tensor(c.x, 1), random_tensor(c.weight(), 2), random_tensor(Shape{c.oc}, 3)}));
    CHECK(gradcheck([&](const auto& in) { return conv2d(in[0], in[1], Variable<double>(), c.spec); },
                    {random_tensor(c.x, 4), random_tensor(c.weight(), 5)}));
  }
}

TEST_CASE("conv2d: only what needs a gradient gets one") {
  const Shape xs{1, 2, 4, 3}, ws{3, 2, 3, 3};
  for (int needs = 0; needs < 8; ++needs) {
    Variable<double> x(random_tensor(xs, 1), needs & 1), w(random_tensor(ws, 2), needs & 2),
        b(random_tensor({3}, 3), needs & 4);
    Variable<double> y = conv2d(x, w, b);
    CHECK(y.requires_grad() == (needs != 0));
    if (needs == 0) continue;
    y.backward();
    CHECK(x.grad().defined() == ((needs & 1) != 0));
    CHECK(w.grad().defined() == ((needs & 2) != 0));
    CHECK(b.grad().defined() == ((needs & 4) != 0));
    // The bias' gradient of a sum is the number of pixels.
    if (needs & 4) CHECK(b.grad().to_vector() == Data{12, 12, 12});
  }
}

TEST_CASE("conv2d: the same bits for any number of threads", "[isa]") {
  const Tensor<float> x = random_tensor<float>({3, 5, 19, 13}, 1), w = random_tensor<float>({7, 5, 3, 3}, 2),
                      b = random_tensor<float>({7}, 3), dy = random_tensor<float>({3, 7, 19, 13}, 4);
  std::vector<std::vector<float>> first;
  for (const int threads : kThreadCounts) {
    INFO(threads << " threads on " << current_isa());
    const ThreadScope scope(threads);
    Variable<float> xv(x, true), wv(w, true), bv(b, true);
    Variable<float> y = conv2d(xv, wv, bv);
    std::vector<std::vector<float>> now{y.value().to_vector()};
    y.backward(dy.clone());
    for (const Variable<float>& v : {xv, wv, bv}) now.push_back(v.grad().to_vector());
    if (first.empty()) first = now;
    CHECK(now == first);
  }
}

TEST_CASE("conv2d: shapes that do not fit are named") {
  const auto message = [](const Shape& x, const Shape& w, const Shape& b) {
    return error_of([&] {
      conv2d(Variable<float>(Tensor<float>::zeros(x)), Variable<float>(Tensor<float>::zeros(w)),
             Variable<float>(Tensor<float>::zeros(b)));
    });
  };
  CHECK_THAT(message({2, 3, 3}, {1, 2, 3, 3}, {1}), Contains("conv2d: expected a picture [n, c, h, w], got [2, 3, 3]"));
  CHECK_THAT(message({1, 2, 0, 3}, {1, 2, 3, 3}, {1}),
             Contains("conv2d: expected a picture [n, c, h, w], got [1, 2, 0, 3]"));
  CHECK_THAT(message({1, 2, 5, 5}, {4, 3, 3, 3}, {4}),
             Contains("conv2d: expected a weight [oc, 2, kh, kw] for x [1, 2, 5, 5], got [4, 3, 3, 3]"));
  CHECK_THAT(message({1, 2, 5, 5}, {4, 2, 3}, {4}), Contains("got [4, 2, 3]"));
  CHECK_THAT(message({1, 2, 5, 5}, {0, 2, 3, 3}, {4}), Contains("got [0, 2, 3, 3]"));
  CHECK_THAT(message({1, 2, 5, 5}, {4, 2, 3, 3}, {5}), Contains("conv2d: expected a bias [4], got [5]"));
  CHECK_THAT(message({1, 2, 5, 5}, {4, 2, 3, 3}, {1, 4}), Contains("conv2d: expected a bias [4], got [1, 4]"));
  CHECK_THAT(error_of([] {
               conv2d_out_shape({1, 1, 2, 3}, {1, 1, 3, 3}, padded(1, 1, 0, 0, 0, 0));
             }),
             Contains("conv2d: a kernel of 3 does not fit into 2 elements padded by 0 and 0"));
}

TEST_CASE("conv_transpose2d: cases worked out by hand") {
  const Variable<double> x = constant({1, 1, 2, 2}, {1, 2, 3, 4}), w = constant({1, 1, 2, 2}, {1, 10, 100, 1000});
  const auto up = [&](std::int64_t h, std::int64_t out_w, const TransposedSpec& spec = {}) {
    return conv_transpose2d(x, w, h, out_w, spec).value().to_vector();
  };
  SECTION("stride 2 lays the windows side by side") {
    CHECK(up(4, 4) == Data{1, 10, 2, 20, 100, 1000, 200, 2000, 3, 30, 4, 40, 300, 3000, 400, 4000});
  }
  SECTION("cut, and extended by less than a stride") {
    CHECK(up(3, 3) == Data{1, 10, 2, 100, 1000, 200, 3, 30, 4});
    CHECK(up(1, 5) == Data{1, 10, 2, 20, 0});
    CHECK(up(5, 1) == Data{1, 100, 3, 300, 0});
  }
  SECTION("stride 1 lets them overlap") {
    CHECK(up(3, 3, {1, 1}) == Data{1, 12, 20, 103, 1234, 2040, 300, 3400, 4000});
  }
  SECTION("stride 3 leaves gaps") { CHECK(up(2, 5, {3, 3}) == Data{1, 10, 0, 2, 20, 100, 1000, 0, 200, 2000}); }
  SECTION("padding takes the first rows and columns away") {
    CHECK(up(2, 3, {1, 1, 1, 0}) == Data{103, 1234, 2040, 300, 3400, 4000});
    CHECK(up(3, 1, {1, 1, 0, 2}) == Data{20, 2040, 4000});
  }
  SECTION("channels: weight is [in, out, kh, kw]") {
    const Variable<double> two = constant({1, 2, 1, 1}, {1, 2}), mix = constant({2, 3, 1, 1}, {1, 2, 3, 10, 20, 30});
    CHECK(conv_transpose2d(two, mix, 1, 1, {1, 1}).value().to_vector() == Data{21, 42, 63});
  }
}

/// For each case of the sweep the transposed convolution from its y to its x.
TEST_CASE("conv_transpose2d is conv2d's adjoint", "[isa]") {
  for (const Case& c : cases()) {
    INFO(c);
    const Tensor<double> x = random_tensor(c.x, 1), w = random_tensor(c.weight(), 2);
    const Variable<double> y = conv2d(Variable<double>(x), Variable<double>(w), Variable<double>(), c.spec);
    const Tensor<double> u = random_tensor(y.shape(), 3);
    const TransposedSpec spec{c.spec.stride_h, c.spec.stride_w, window_rows("op", c.spec, c.x[2], c.kh).pad,
                              window_cols("op", c.spec, c.x[3], c.kw).pad};
    const std::int64_t full_h = (y.shape()[2] - 1) * spec.stride_h + c.kh - spec.pad_top,
                       full_w = (y.shape()[3] - 1) * spec.stride_w + c.kw - spec.pad_left;
    if (c.x[2] >= full_h + spec.stride_h || c.x[3] >= full_w + spec.stride_w) continue;  // rows that no window reaches
    const Variable<double> back = conv_transpose2d(Variable<double>(u), Variable<double>(w), c.x[2], c.x[3], spec);
    CHECK(dot(y.value(), u) == Approx(dot(x, back.value())).epsilon(1e-12).margin(1e-12));
  }
}

TEST_CASE("conv_transpose2d: a bias is added to every element of its channel", "[isa]") {
  // Two pictures of 2x1; the last row and column are reached by no window.
  const Variable<double> x(Tensor<double>(Shape{2, 1, 2, 1}, {1, 2, 3, 4})),
      w(Tensor<double>(Shape{1, 2, 1, 2}, {1, 10, 2, 20})), bias(Tensor<double>(Shape{2}, {0.5, -1}));
  CHECK(conv_transpose2d(x, w, bias, 2, 3, {1, 2}).value().to_vector() ==
        std::vector<double>{1.5, 10.5, 0.5, 2.5, 20.5, 0.5, 1, 19, -1, 3, 39, -1,  //
                            3.5, 30.5, 0.5, 4.5, 40.5, 0.5, 5, 59, -1, 7, 79, -1});
  const Variable<double> without = conv_transpose2d(x, w, 2, 3, {1, 2});
  CHECK(conv_transpose2d(x, w, Variable<double>(), 2, 3, {1, 2}).value().to_vector() == without.value().to_vector());
  CHECK(conv_transpose2d(x, w, Variable<double>(Tensor<double>::zeros({2})), 2, 3, {1, 2}).value().to_vector() ==
        without.value().to_vector());
  CHECK(error_of([&] {
          conv_transpose2d(x, w, Variable<double>(Tensor<double>::zeros({1})), 2, 3, {1, 2});
        }) == "conv_transpose2d: expected a bias [2], got [1]");
}

TEST_CASE("conv_transpose2d: gradients of x, weight and bias", "[grad]") {
  const ThreadScope one(1);  // for many tiny calls
  struct Up {
    Shape x, w;
    std::int64_t h, width;
    TransposedSpec spec;
  };
  const Up ups[] = {{{1, 1, 1, 1}, {1, 1, 2, 2}, 1, 1, {}},          {{1, 4, 2, 3}, {4, 2, 2, 2}, 4, 6, {}},
                    {{2, 2, 3, 2}, {2, 1, 2, 2}, 5, 3, {}},          {{1, 2, 2, 2}, {2, 3, 2, 2}, 5, 4, {}},
                    {{1, 2, 3, 4}, {2, 2, 3, 3}, 5, 6, {1, 1}},      {{1, 2, 3, 2}, {2, 2, 3, 4}, 6, 5, {2, 3, 1, 2}},
                    {{1, 1, 2, 3}, {1, 2, 1, 1}, 6, 8, {3, 3}},      {{1, 2, 4, 1}, {2, 1, 5, 1}, 9, 1, {2, 1, 2, 0}},
                    {{2, 3, 1, 2}, {3, 2, 4, 4}, 2, 3, {2, 2, 1, 1}}};
  for (const Up& up : ups) {
    INFO("x " << up.x.text() << " weight " << up.w.text() << " to " << up.h << "x" << up.width);
    CHECK(gradcheck([&](const auto& in) { return conv_transpose2d(in[0], in[1], up.h, up.width, up.spec); },
                    {random_tensor(up.x, 1), random_tensor(up.w, 2)}));
    CHECK(gradcheck([&](const auto& in) { return conv_transpose2d(in[0], in[1], in[2], up.h, up.width, up.spec); },
                    {random_tensor(up.x, 1), random_tensor(up.w, 2), random_tensor({up.w[1]}, 3)}));
  }
  Variable<double> x(random_tensor({1, 2, 2, 2}, 1), true), w(random_tensor({2, 1, 2, 2}, 2));
  conv_transpose2d(x, w, 4, 4).backward();
  CHECK(x.grad().defined());
  CHECK_FALSE(w.grad().defined());
}

TEST_CASE("conv_transpose2d: what does not fit is named") {
  const auto message = [](const Shape& x, const Shape& w, std::int64_t h, std::int64_t width,
                          const TransposedSpec& spec = {}) {
    return error_of([&] {
      conv_transpose2d(Variable<float>(Tensor<float>::zeros(x)), Variable<float>(Tensor<float>::zeros(w)), h, width,
                       spec);
    });
  };
  CHECK_THAT(message({2, 3, 3}, {2, 1, 2, 2}, 6, 6),
             Contains("conv_transpose2d: expected a picture [n, c, h, w], got [2, 3, 3]"));
  CHECK_THAT(message({1, 2, 3, 3}, {3, 2, 2, 2}, 6, 6),
             Contains("conv_transpose2d: expected a weight [2, oc, kh, kw] for x [1, 2, 3, 3], got [3, 2, 2, 2]"));
  CHECK_THAT(message({1, 2, 3, 3}, {2, 2, 2, 2}, 8, 6),
             Contains("conv_transpose2d: expected an output height of 1 to 7, got 8"));
  CHECK_THAT(message({1, 2, 3, 3}, {2, 2, 2, 2}, 6, 0),
             Contains("conv_transpose2d: expected an output width of 1 to 7, got 0"));
  CHECK_THAT(message({1, 2, 3, 3}, {2, 2, 2, 2}, 6, 6, {0, 1}),
             Contains("stride of at least 1 and a padding of at least 0, got 0 and 0"));
  CHECK_THAT(message({1, 2, 3, 3}, {2, 2, 2, 2}, 3, 3, {1, 1, 0, -1}), Contains("got 1 and -1"));
}

TEST_CASE("Conv2d and ConvTranspose2d: names, shapes and how they start") {
  Random random(1);
  const Conv2d<float> conv(3, 8, 5, Initializer::kXavierUniform, random);
  Parameters<float> parameters;
  conv.collect("net.conv", parameters);
  const Conv2d<float> bare(3, 8, 1, Initializer::kXavierUniform, random, {}, false);
  bare.collect("bare", parameters);
  const ConvTranspose2d<float> up(6, 3, 2, Initializer::kTruncatedNormal, random);
  up.collect("up", parameters);
  CHECK_FALSE(up.bias().defined());
  const ConvTranspose2d<float> biased(6, 3, 2, Initializer::kTruncatedNormal, random, {}, true);
  biased.collect("biased", parameters);
  REQUIRE(parameters.size() == 6);
  CHECK(parameters[5].name == "biased.bias");
  CHECK(parameters[5].variable.value().to_vector() == std::vector<float>(3, 0.0f));
  CHECK(parameters[0].name == "net.conv.weight");
  CHECK(parameters[0].variable.shape() == Shape{8, 3, 5, 5});
  CHECK(parameters[1].name == "net.conv.bias");
  CHECK(parameters[1].variable.value().to_vector() == std::vector<float>(8, 0.0f));
  CHECK(parameters[2].name == "bare.weight");
  CHECK(parameters[3].name == "up.weight");
  CHECK(parameters[3].variable.shape() == Shape{6, 3, 2, 2});
  for (const Parameter<float>& p : parameters) CHECK(p.variable.requires_grad());
  // The fans are channels times the kernel's area.
  const double limit = std::sqrt(6.0 / (3 * 25 + 8 * 25));
  double largest = 0;
  for (const float v : parameters[0].variable.value().to_vector()) largest = std::max(largest, std::abs(double{v}));
  CHECK(largest <= limit);
  CHECK(largest > 0.9 * limit);
}

TEST_CASE("Conv2d and ConvTranspose2d compute with their parameters and specs") {
  Random random(1);
  const Conv2d<double> conv(2, 3, 3, Initializer::kHeNormal, random, padded(2, 1, 1, 0, 0, 1));
  const ConvTranspose2d<double> up(3, 2, 2, Initializer::kHeNormal, random, {1, 3});
  Parameters<double> p;
  conv.collect("c", p);
  up.collect("u", p);

  p[1].variable.mutable_value().fill(0.25);  // variables are handles: the layer sees it
  const Variable<double> x(random_tensor({1, 2, 5, 4}, 3));
  const Variable<double> y = conv(x);
  CHECK(y.value().to_vector() == conv2d(x, p[0].variable, p[1].variable, padded(2, 1, 1, 0, 0, 1)).value().to_vector());
  CHECK(up(y, 3, 6).value().to_vector() == conv_transpose2d(y, p[2].variable, 3, 6, {1, 3}).value().to_vector());
  const ConvTranspose2d<double> biased(3, 2, 2, Initializer::kHeNormal, random, {1, 3}, true);
  biased.collect("b", p);
  p[4].variable.mutable_value().fill(-0.5);
  CHECK(biased(y, 3, 6).value().to_vector() ==
        conv_transpose2d(y, p[3].variable, p[4].variable, 3, 6, {1, 3}).value().to_vector());
}

}  // namespace
}  // namespace kind::testing
