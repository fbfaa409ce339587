#include "nets/nets.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "nets/tensorflow/tensorflow_import.h"
#include "tests/nets/models.h"
#include "tests/nets/tensorflow_names.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;

template <class T, class Net>
std::int64_t parameter_count(const Net& net) {
  std::int64_t count = 0;
  for (const Parameter<T>& p : net.parameters()) count += p.variable.value().size();
  return count;
}

template <class T, class Net>
std::map<std::string, Shape> shapes_of(const Net& net) {
  std::map<std::string, Shape> shapes;
  for (const Parameter<T>& p : net.parameters()) shapes.emplace(p.name, p.variable.shape());
  return shapes;
}

template <class T>
Variable<T> picture(const Shape& shape, std::uint64_t seed) {
  return Variable<T>(random_tensor<T>(shape, seed, 0, 1));
}

/// All values of a net's output lie in 0..1, and it is no constant where it has several values.
template <class T>
void check_output(const Variable<T>& y, const Shape& shape) {
  CHECK(y.shape() == shape);
  for (const T v : y.value().to_vector()) {
    if (!(v >= 0 && v <= 1)) FAIL_CHECK("a value of " << v);
  }
  const std::vector<T> values = y.value().to_vector();
  if (values.size() > 1) CHECK(std::count(values.begin(), values.end(), values[0]) < y.value().size());
}

TEST_CASE("nets: parameter counts of the authors' forms") {
  Random random(1);
  CHECK(parameter_count<float>(Decomposition<float>({}, random)) == 235'876);
  CHECK(parameter_count<float>(Restoration<float>({}, random)) == 7'760'739);
  CHECK(parameter_count<float>(Adjustment<float>({}, random)) == 19'393);
}

TEST_CASE("nets: names and shapes of the parameters") {
  Random random(1);
  CHECK(shapes_of<float>(Decomposition<float>({}, random)) ==
        std::map<std::string, Shape>{{"decomposition.conv1.weight", {32, 3, 3, 3}},
                                     {"decomposition.conv1.bias", {32}},
                                     {"decomposition.conv2.weight", {64, 32, 3, 3}},
                                     {"decomposition.conv2.bias", {64}},
                                     {"decomposition.conv3.weight", {128, 64, 3, 3}},
                                     {"decomposition.conv3.bias", {128}},
                                     {"decomposition.up8.weight", {128, 64, 2, 2}},
                                     {"decomposition.conv8.weight", {64, 128, 3, 3}},
                                     {"decomposition.conv8.bias", {64}},
                                     {"decomposition.up9.weight", {64, 32, 2, 2}},
                                     {"decomposition.conv9.weight", {32, 64, 3, 3}},
                                     {"decomposition.conv9.bias", {32}},
                                     {"decomposition.reflectance.weight", {3, 32, 1, 1}},
                                     {"decomposition.reflectance.bias", {3}},
                                     {"decomposition.illumination_conv.weight", {32, 32, 3, 3}},
                                     {"decomposition.illumination_conv.bias", {32}},
                                     {"decomposition.illumination.weight", {1, 64, 1, 1}},
                                     {"decomposition.illumination.bias", {1}}});
  CHECK(shapes_of<float>(Adjustment<float>({}, random)) ==
        std::map<std::string, Shape>{{"adjustment.conv1.weight", {32, 2, 3, 3}},
                                     {"adjustment.conv1.bias", {32}},
                                     {"adjustment.conv2.weight", {32, 32, 3, 3}},
                                     {"adjustment.conv2.bias", {32}},
                                     {"adjustment.conv3.weight", {32, 32, 3, 3}},
                                     {"adjustment.conv3.bias", {32}},
                                     {"adjustment.conv4.weight", {1, 32, 3, 3}},
                                     {"adjustment.conv4.bias", {1}}});
  std::map<std::string, Shape> restoration;
  std::int64_t in = 4, out = 32;
  for (int level = 1; level <= 5; ++level, in = out, out *= 2) {
    const std::string conv = "restoration.conv" + std::to_string(level);
    restoration.insert({{conv + "_1.weight", {out, in, 3, 3}}, {conv + "_1.bias", {out}}});
    restoration.insert({{conv + "_2.weight", {out, out, 3, 3}}, {conv + "_2.bias", {out}}});
  }
  out = 256;
  for (int level = 6; level <= 9; ++level, out /= 2) {
    const std::string conv = "restoration.conv" + std::to_string(level);
    restoration.insert({"restoration.up" + std::to_string(level) + ".weight", {2 * out, out, 2, 2}});
    restoration.insert({{conv + "_1.weight", {out, 2 * out, 3, 3}}, {conv + "_1.bias", {out}}});
    restoration.insert({{conv + "_2.weight", {out, out, 3, 3}}, {conv + "_2.bias", {out}}});
  }
  restoration.insert({{"restoration.conv10.weight", {3, 32, 3, 3}}, {"restoration.conv10.bias", {3}}});
  CHECK(shapes_of<float>(Restoration<float>({}, random)) == restoration);
}

TEST_CASE("restoration: width takes channels away in blocks of 32") {
  Random random(1);
  const auto sizes = [&](double width) {
    RestorationConfig config;
    config.width = width;
    return shapes_of<float>(Restoration<float>(config, random));
  };
  CHECK(sizes(1) == shapes_of<float>(Restoration<float>({}, random)));
  const auto half = sizes(0.5);
  CHECK(half.size() == sizes(1).size());
  CHECK(half.at("restoration.conv1_1.weight") == Shape{32, 4, 3, 3});  // 16 would be no whole block
  CHECK(half.at("restoration.conv2_1.weight") == Shape{32, 32, 3, 3});
  CHECK(half.at("restoration.conv3_2.weight") == Shape{64, 64, 3, 3});
  CHECK(half.at("restoration.conv5_2.weight") == Shape{256, 256, 3, 3});
  CHECK(half.at("restoration.up6.weight") == Shape{256, 128, 2, 2});
  CHECK(half.at("restoration.conv9_1.weight") == Shape{32, 64, 3, 3});
  CHECK(half.at("restoration.conv10.weight") == Shape{3, 32, 3, 3});
  CHECK(sizes(0.3).at("restoration.conv3_1.bias") == Shape{32});  // 38.4
  CHECK(sizes(0.4).at("restoration.conv3_1.bias") == Shape{64});  // 51.2
  CHECK(sizes(2).at("restoration.conv1_1.bias") == Shape{64});
  RestorationConfig config;
  config.width = 0.5;
  const Restoration<float> net(config, random);
  CHECK(parameter_count<float>(net) == 1'976'803);
  for (const Shape& size : {Shape{1, 3, 1, 1}, {1, 3, 9, 1}, {2, 3, 7, 6}, {1, 3, 37, 21}}) {
    check_output(net(picture<float>(size, 1), picture<float>(size.with(1, 1), 2)), size);
  }
  for (const double wrong : {0.0, -1.0, 3.0, std::nan("")}) {
    config.width = wrong;
    CHECK_THAT(error_of([&] { Restoration<float>(config, random); }), Contains("restoration: width: expected"));
  }
  CHECK_THAT(error_of([] { parse_config<RestorationConfig>(nlohmann::json::parse(R"({"width": 3})"), "x.json"); }),
             Contains("x.json: width"));
}

TEST_CASE("nets: the paper's form") {
  Random random(1);
  DecompositionConfig decomposition;
  decomposition.activation = "relu";
  decomposition.output_kernel = 3;
  const Decomposition<float> net(decomposition, random);
  CHECK(parameter_count<float>(net) == 235'876 + 8 * 32 * 3 + 8 * 64);
  const auto parts = net(picture<float>({1, 3, 7, 6}, 1));
  check_output(parts.reflectance, {1, 3, 7, 6});
  check_output(parts.illumination, {1, 1, 7, 6});
}

TEST_CASE("nets: what the config says changes the result") {
  const Variable<double> x = picture<double>({1, 3, 6, 5}, 1), l = picture<double>({1, 1, 6, 5}, 2);
  const auto decompose = [&](const DecompositionConfig& config) {
    Random random(3);
    return Decomposition<double>(config, random)(x).reflectance.value().to_vector();
  };
  DecompositionConfig relu, slope;
  relu.activation = "relu";
  slope.slope = 0.1;
  CHECK(decompose({}) != decompose(relu));
  CHECK(decompose({}) != decompose(slope));
  slope.slope = 0;
  CHECK(decompose(relu) == decompose(slope));

  const auto adjust = [&](bool output_activation) {
    AdjustmentConfig config;
    config.output_activation = output_activation;
    Random random(3);
    return Adjustment<double>(config, random)(l, picture<double>({1, 1, 6, 5}, 4)).value().to_vector();
  };
  const auto with = adjust(true), without = adjust(false);
  bool below_half = false;
  for (std::size_t i = 0; i < with.size(); ++i) {
    // sigmoid(x) < 0.5 where x < 0, and there alone the leaky ReLU changes x, to 0.2 x
    const double x_without = std::log(without[i] / (1 - without[i])), x_with = std::log(with[i] / (1 - with[i]));
    CHECK(x_with == Approx(x_without > 0 ? x_without : 0.2 * x_without));
    below_half = below_half || without[i] < 0.5;
  }
  CHECK(below_half);
}

TEMPLATE_TEST_CASE("restoration: the residual form hands on what it is given, until it has learned", "[isa]", float,
                   double) {
  RestorationConfig config;
  config.output = "residual";
  Random random(1);
  const Restoration<TestType> net(config, random);
  for (const Shape& shape : {Shape{1, 3, 1, 1}, {2, 3, 5, 7}, {1, 3, 33, 18}}) {
    const Variable<TestType> r = picture<TestType>(shape, 1), l = picture<TestType>(shape.with(1, 1), 2);
    CHECK((net(r, l).value().to_vector() == r.value().to_vector()));
    {
      const NoGrad no_grad;
      CHECK((net(r, l).value().to_vector() == r.value().to_vector()));
    }
    // The last convolution learns at once, and so does all before it from the second step on.
    Variable<TestType> loss = mean(square(add(net(r, l), TestType(0.25))));
    loss.backward();
    for (const Parameter<TestType>& p : net.parameters()) {
      double largest = 0;
      for (const TestType g : p.variable.grad().to_vector())
        largest = std::max(largest, std::abs(static_cast<double>(g)));
      CHECK((largest > 0) == (p.name.find("conv10") != std::string::npos));
      Variable<TestType>(p.variable).zero_grad();
    }
  }
}

TEST_CASE("nets: every size from 1x1", "[isa]") {
  Random random(1);
  const Decomposition<float> decomposition({}, random);
  const Restoration<float> restoration({}, random);
  const Adjustment<float> adjustment({}, random);
  const NoGrad no_grad;
  const auto run = [&](std::int64_t n, std::int64_t h, std::int64_t w) {
    INFO(n << " of " << h << "x" << w << " on " << current_isa());
    const auto parts = decomposition(picture<float>({n, 3, h, w}, 1));
    check_output(parts.reflectance, {n, 3, h, w});
    check_output(parts.illumination, {n, 1, h, w});
    check_output(restoration(parts.reflectance, parts.illumination), {n, 3, h, w});
    check_output(adjustment(parts.illumination, picture<float>({n, 1, h, w}, 2)), {n, 1, h, w});
  };
  for (std::int64_t h = 1; h <= 5; ++h) {
    for (std::int64_t w = 1; w <= 5; ++w) run(1, h, w);
  }
  for (const auto& [h, w] : {std::pair<std::int64_t, std::int64_t>{1, 40}, {33, 1}, {17, 19}, {16, 31}, {23, 8}})
    run(1, h, w);
  run(3, 7, 9);
}

TEST_CASE("nets: the pictures of a batch do not see each other", "[isa]") {
  Random random(1);
  const Restoration<float> net({}, random);
  const NoGrad no_grad;
  const Tensor<float> r = random_tensor<float>({2, 3, 9, 7}, 1, 0, 1), l = random_tensor<float>({2, 1, 9, 7}, 2, 0, 1);
  const Tensor<float> both = net(Variable<float>(r), Variable<float>(l)).value();
  const auto half = [](const Tensor<float>& t) {
    Tensor<float> second(Shape{1, t.shape()[1], t.shape()[2], t.shape()[3]});
    for (std::int64_t i = 0; i < second.size(); ++i) second[i] = t[second.size() + i];
    return second;
  };
  const Tensor<float> alone = net(Variable<float>(half(r)), Variable<float>(half(l))).value();
  CHECK(largest_difference(half(both), alone) < 1e-6);
}

TEST_CASE("nets: the same bits for any number of threads, with a graph and without", "[isa]") {
  Random random(1);
  const Decomposition<float> net({}, random);
  const Variable<float> x = picture<float>({2, 3, 21, 18}, 1);
  std::vector<float> first, first_gradients;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    auto parts = net(x);
    const std::vector<float> r = parts.reflectance.value().to_vector();
    parts.reflectance.backward();
    std::vector<float> gradients;
    for (const Parameter<float>& p : net.parameters()) {
      Variable<float> v = p.variable;
      if (v.grad().defined()) gradients.insert(gradients.end(), v.grad().data(), v.grad().data() + v.grad().size());
      v.zero_grad();
    }
    if (first.empty()) first = r, first_gradients = gradients;
    CHECK(r == first);
    CHECK(gradients == first_gradients);
    const NoGrad no_grad;
    CHECK(net(x).reflectance.value().to_vector() == first);
  }
}

TEST_CASE("nets: what does not fit is named") {
  Random random(1);
  const Decomposition<float> decomposition({}, random);
  CHECK_THAT(error_of([&] {
               decomposition(picture<float>({1, 4, 5, 5}, 1));
             }),
             Contains("decomposition: expected a picture [n, 3, h, w], got [1, 4, 5, 5]"));
  const Adjustment<float> adjustment({}, random);
  CHECK_THAT(error_of([&] {
               adjustment(picture<float>({1, 1, 5, 5}, 1), picture<float>({1, 1, 5, 4}, 1));
             }),
             Contains("adjustment: expected a ratio map [1, 1, 5, 5], got [1, 1, 5, 4]"));
  AdjustmentConfig config;
  config.activation = "tanh";
  CHECK_THAT(error_of([&] { Adjustment<float>(config, random); }), Contains("expected relu or leaky_relu, got 'tanh'"));
  const auto message = [](const char* text) {
    return error_of([&] { parse_config<DecompositionConfig>(nlohmann::json::parse(text), "x.json"); });
  };
  CHECK_THAT(message(R"({"activation": "tanh"})"), Contains("x.json: activation: expected"));
  CHECK_THAT(message(R"({"output_kernel": 0})"), Contains("output_kernel"));
  CHECK_THAT(message(R"({"slope": 1.5})"), Contains("slope"));
  CHECK_THAT(message(R"({"initializer": "ones"})"), Contains("initializer"));
}

// --- The reference values: every kernel set stays within 1e-5 of them, double within the rounding of their float32.

constexpr double kFloatBound = 1e-5, kDoubleBound = 2e-7;

template <class T>
double bound_of() {
  return std::is_same_v<T, float> ? kFloatBound : kDoubleBound;
}

template <class T>
void compare(const Tensor<T>& got, const std::string& path) {
  INFO(path << " on " << current_isa());
  const double difference = largest_difference(got, read_reference_nhwc<T>(path));
  CHECK(difference <= bound_of<T>());
}

TEMPLATE_TEST_CASE("decomposition: the reference outputs of the published weights", "[golden][isa]", float, double) {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto model = as<TestType>(import_tensorflow({*folder + "/checkpoints/decom_net_train/model.ckpt"}));
  for (const char* name : {"crop_101x67", "crop_17x16", "crop_1x1", "crop_2x3", "rand_19x23"}) {
    const std::string at = *folder + "/forward/decom/" + name;
    const NoGrad no_grad;
    const auto parts = (*model.decomposition)(Variable<TestType>(read_reference_nhwc<TestType>(at + "/input.npy")));
    compare(parts.reflectance.value(), at + "/R.npy");
    compare(parts.illumination.value(), at + "/L.npy");
  }
}

TEMPLATE_TEST_CASE("adjustment: the reference outputs of the published weights", "[golden][isa]", float, double) {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto model =
      as<TestType>(import_tensorflow({*folder + "/checkpoints/illumination_adjust_net_train/model.ckpt"}));
  for (const char* name : {"crop_101x67", "crop_17x16", "crop_1x1", "crop_2x3", "rand_19x23"}) {
    const std::string at = *folder + "/forward/adjust/" + name;
    const Variable<TestType> l(read_reference_nhwc<TestType>(at + "/input.npy"));
    for (const auto& [file, ratio] : {std::pair<const char*, double>{"0.5", 0.5}, {"1", 1}, {"2", 2}, {"5", 5}}) {
      const NoGrad no_grad;
      const Variable<TestType> map(Tensor<TestType>::full(l.shape(), static_cast<TestType>(ratio)));
      compare((*model.adjustment)(l, map).value(), at + "/ratio_" + file + ".npy");
    }
  }
}

TEMPLATE_TEST_CASE("restoration: the reference outputs of the pseudo-random weights", "[golden][isa]", float, double) {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto model = as<TestType>(model_from_tensorflow({pseudo_random_weights(restoration_tensors())}));
  for (const char* name : {"rand_17x16", "rand_2x3", "rand_31x33"}) {
    const std::string at = *folder + "/forward/restoration/" + name;
    const NoGrad no_grad;
    compare((*model.restoration)(Variable<TestType>(read_reference_nhwc<TestType>(at + "/input_r.npy")),
                                 Variable<TestType>(read_reference_nhwc<TestType>(at + "/input_l.npy")))
                .value(),
            at + "/R.npy");
  }
}

TEST_CASE("the pseudo-random weights of the reference cases start as its description says") {
  const std::vector<float> abc = pseudo_random_values("abc", 3, -1);
  CHECK(abc[0] == Approx(0.16362262).epsilon(1e-7));
  CHECK(abc[1] == Approx(0.28698403).epsilon(1e-7));
  CHECK(abc[2] == Approx(0.00903624).epsilon(1e-6));
}

}  // namespace
}  // namespace kind::testing
