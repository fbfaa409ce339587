// Long because its cases share the small models whose output can be said by hand.

#include "nets/pipeline.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "nets/mirror.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using Picture = Tensor<float>;

Picture random_picture(std::int64_t h, std::int64_t w, std::uint64_t seed = 1, double low = 0, double high = 1) {
  return random_tensor<float>(Shape{1, 3, h, w}, seed, low, high);
}

Model<float> random_model(bool with_restoration = false) {
  Model<float> model;
  model.config.decomposition.emplace();
  model.config.adjustment.emplace();
  if (with_restoration) model.config.restoration.emplace().width = 0.25;
  model.build(7);
  return model;
}

Tensor<float>& parameter(const Model<float>& model, const std::string& name) {
  for (const Parameter<float>& p : model.parameters()) {
    Variable<float> variable = p.variable;
    if (p.name == name) return variable.mutable_value();
  }
  throw std::runtime_error("no parameter " + name);
}

/// Its adjustment is sigmoid(0.05 ratio - 2) at every pixel away from the border, whatever the illumination.
Model<float> monotone_model() {
  Model<float> model;
  model.config.decomposition.emplace();
  AdjustmentConfig& config = model.config.adjustment.emplace();
  config.activation = "relu";
  config.output_activation = false;
  config.initializer = "zeros";
  model.build(7);
  parameter(model, "adjustment.conv1.weight")[9 + 4] = 0.05f;  // [0, 1, 1, 1]: the ratio's channel, middle tap
  for (const char* conv : {"2", "3", "4"}) {
    parameter(model, std::string("adjustment.conv") + conv + ".weight")[4] = 1;
  }
  parameter(model, "adjustment.conv4.bias")[0] = -2;
  return model;
}

double mean(const Tensor<float>& x) {
  double sum = 0;
  for (const float v : x.to_vector()) sum += static_cast<double>(v);
  return sum / static_cast<double>(x.size());
}

/// The automatic light on all of the picture alike.
const EnhanceOptions kPlain{{}, Fusion::kNone};

EnhanceOptions light(LightLevel::Mode mode, double value, Fusion fusion = Fusion::kNone) {
  return {{mode, value}, fusion};
}

/// How many values are not in 0..1; a NaN is not.
std::int64_t out_of_range(const Tensor<float>& x) {
  const std::vector<float> values = x.to_vector();
  return std::count_if(values.begin(), values.end(), [](float v) { return !(v >= 0 && v <= 1); });
}

double largest_difference(const Tensor<float>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == static_cast<std::int64_t>(b.size()));
  double worst = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[static_cast<std::size_t>(i)]);
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

TEST_CASE("net_input stretches all values of a picture to 0..1") {
  const Picture picture = random_picture(3, 5, 2, 0.1, 0.3);
  const std::vector<float> before = picture.to_vector();
  const auto [low, high] = std::minmax_element(before.begin(), before.end());
  std::vector<double> expected;
  for (const float v : before) {
    expected.push_back((static_cast<double>(v) - static_cast<double>(*low)) /
                       (static_cast<double>(*high) - static_cast<double>(*low)));
  }
  const Picture result = net_input(picture, {});
  CHECK(largest_difference(result, expected) < 1e-6);
  CHECK(result.shape() == picture.shape());
  CHECK(picture.to_vector() == before);
  CHECK(net_input(picture, {.stretch = false}).to_vector() == before);
}

TEST_CASE("net_input of pictures with little or nothing in them") {
  const Shape shape{1, 3, 2, 2};
  const std::vector<float> zeros(12, 0.0f);
  CHECK(net_input(Picture::zeros(shape), {}).to_vector() == zeros);
  CHECK(net_input(Picture::full(shape, 0.7f), {}).to_vector() == zeros);
  CHECK(net_input(Picture::full(shape, 1), {}).to_vector() == zeros);
  CHECK(net_input(Picture::full(shape, 1), {.stretch = false}).to_vector() == std::vector<float>(12, 1.0f));
  const Picture pixel(Shape{1, 3, 1, 1}, {0.2f, 0.5f, 0.4f});
  CHECK(largest_difference(net_input(pixel, {}), {0, 1, 2.0 / 3}) < 1e-6);
  // A span below 0.001 counts as 0.001: noise of less than a quarter of an 8-bit step does not become a picture.
  const Picture faint(Shape{1, 3, 1, 1}, {0.0f, 0.0005f, 0.00025f});
  CHECK(largest_difference(net_input(faint, {}), {0, 0.5, 0.25}) < 1e-6);
}

TEST_CASE("net_input refuses what is no picture") {
  for (const Shape& shape : {Shape{2, 3, 4, 4}, Shape{3, 4, 4}, Shape{1, 1, 4, 4}, Shape{1, 3, 0, 4}}) {
    CHECK_THAT(error_of([&] { net_input(Picture::zeros(shape), {}); }),
               Contains("expected RGB [1, 3, h, w]") && Contains(shape.text()));
  }
}

TEST_CASE("ratio_between and ratio_map") {
  const Shape shape{1, 1, 1, 2};
  const Tensor<float> low(shape, {0.1f, 0.2f}), high(shape, {0.5f, 0.1f}), dark = Tensor<float>::zeros(shape);
  CHECK(ratio_between(low, high) == Approx((0.5 / 0.1001 + 0.1 / 0.2001) / 2));
  CHECK(ratio_between(high, low) == Approx((0.1 / 0.5001 + 0.2 / 0.1001) / 2));
  CHECK(ratio_between(dark, high) == Approx(3000));
  CHECK(ratio_between(high, dark) == 0);
  CHECK_THAT(error_of([&] {
               ratio_between(low, Tensor<float>::zeros({1, 1, 2, 1}));
             }),
             Contains("[1, 1, 1, 2] and [1, 1, 2, 1] differ"));
  const Variable<float> map = ratio_map(shape, 2.5);
  CHECK(map.value().shape() == shape);
  CHECK(map.value().to_vector() == std::vector<float>(2, 2.5f));
}

TEST_CASE("enhance: every map is right in shape and range, with the same bits for any thread count") {
  const Model<float> model = random_model(true);
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 2}, {2, 3}, {17, 16}, {31, 33}};
  for (const auto& [h, w] : sizes) {
    for (const Fusion fusion : {Fusion::kNone, Fusion::kOfficial}) {
      CAPTURE(h, w, fusion == Fusion::kOfficial);
      // Dark enough for the automatic light to take the enhanced picture alone.
      const Picture picture = random_picture(h, w, 3, 0, 0.2);
      const std::vector<float> before = picture.to_vector();
      std::vector<std::vector<float>> first;
      for (const int threads : {1, 2, 3}) {
        const ThreadScope scope(threads);
        const Enhanced e = enhance(model, picture, {{}, fusion});
        const Shape color{1, 3, h, w}, gray{1, 1, h, w};
        std::vector<std::vector<float>> bits;
        for (const Tensor<float>* map : {&e.reflectance, &e.restored, &e.output, &e.illumination, &e.adjusted}) {
          const bool one_channel = map == &e.illumination || map == &e.adjusted;
          REQUIRE(map->shape() == (one_channel ? gray : color));
          CHECK(out_of_range(*map) == 0);
          bits.push_back(map->to_vector());
        }
        bits.push_back({static_cast<float>(e.ratio)});
        if (first.empty()) first = bits;
        CHECK(bits == first);
        CHECK(e.ratio >= 1);
        CHECK(bits[0] != bits[1]);
        if (fusion == Fusion::kNone && e.strength == 1) {
          std::vector<double> product;
          for (std::int64_t i = 0; i < e.output.size(); ++i) {
            product.push_back(static_cast<double>(e.restored[i]) * static_cast<double>(e.adjusted[i % (h * w)]));
          }
          CHECK(largest_difference(e.output, product) < 1e-6);
        }
      }
      CHECK(picture.to_vector() == before);
    }
  }
}

TEST_CASE("enhance: the parts are the nets' of the stretched picture") {
  const NoGrad no_grad;
  Model<float> model = random_model(true);
  const Picture picture = random_picture(5, 6, 4, 0.1, 0.3);
  for (const bool stretch : {true, false}) {
    model.config.input.stretch = stretch;
    const Enhanced e = enhance(model, picture, light(LightLevel::Mode::kRatio, 3));
    const auto parts = (*model.decomposition)(Variable<float>(net_input(picture, {.stretch = stretch})));
    const auto restored = (*model.restoration)(parts.reflectance, parts.illumination);
    const auto adjusted = (*model.adjustment)(parts.illumination, ratio_map(Shape{1, 1, 5, 6}, 3));
    CHECK(e.reflectance.to_vector() == parts.reflectance.value().to_vector());
    CHECK(e.illumination.to_vector() == parts.illumination.value().to_vector());
    CHECK(e.restored.to_vector() == restored.value().to_vector());
    CHECK(e.adjusted.to_vector() == adjusted.value().to_vector());
    CHECK(e.ratio == 3);
  }
}

TEST_CASE("enhance: outputs stay within 0..1 where the residual form's reflectance does not", "[isa]") {
  Model<float> model = random_model();
  model.config.restoration.emplace().output = "residual";
  model.build(7);
  Tensor<float>& bias = parameter(model, "restoration.conv10.bias");
  bias[0] = 1.5f, bias[1] = -0.9f, bias[2] = 0.25f;
  const Picture picture = random_picture(9, 12, 4, 0, 0.2);
  for (const LightLevel& level : {LightLevel{}, LightLevel{LightLevel::Mode::kRatio, 80}}) {
    for (const Fusion fusion : {Fusion::kNone, Fusion::kOfficial}) {
      const Enhanced e = enhance(model, picture, {level, fusion});
      CHECK(out_of_range(e.output) == 0);
      CHECK(out_of_range(e.restored) > 100);
      if (fusion != Fusion::kNone) continue;
      std::vector<double> product(324);
      for (std::size_t i = 0; i < 324; ++i) {
        const auto n = static_cast<std::int64_t>(i);
        CHECK(e.restored[n] == Approx(e.reflectance[n] + bias[n / 108]).margin(1e-6));
        product[i] = static_cast<double>(e.restored[n]) * static_cast<double>(e.adjusted[n % 108]);
      }
      for (std::size_t i = 0; i < 108; ++i) {
        double *red = &product[i], *green = red + 108, *blue = green + 108;
        const double greatest = std::max({*red, *green, *blue});
        const double luma = std::min(0.2126 * *red + 0.7152 * *green + 0.0722 * *blue, 1.0);
        for (double* value : {red, green, blue}) {
          if (greatest > 1) *value = luma + (*value - luma) * (1 - luma) / (greatest - luma);
          *value = std::clamp(*value, 0.0, 1.0);
        }
      }
      CHECK(largest_difference(e.output, product) < 1e-6);
      const Enhanced lean = enhance(model, picture, {level, fusion, false});
      CHECK((lean.output.to_vector() == e.output.to_vector()));
    }
  }
}

TEST_CASE("clip_color keeps hue and luma of colours that are too bright, and leaves the others alone") {
  const auto clip = [](std::array<float, 3> color) {
    clip_color(color[0], color[1], color[2]);
    return color;
  };
  using Color = std::array<float, 3>;
  CHECK((clip({0.2f, 1.0f, 0.0f}) == Color{0.2f, 1.0f, 0.0f}));
  CHECK((clip({-0.2f, 0.5f, 0.9f}) == Color{0.0f, 0.5f, 0.9f}));
  CHECK((clip({1.5f, 1.5f, 1.5f}) == Color{1, 1, 1}));
  CHECK((clip({1.2f, 1.1f, 1.0f}) == Color{1, 1, 1}));
  CHECK((clip({1.0f, 1.0f, 1.0000001f}) == Color{1, 1, 1}));
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK((clip({0.5f, infinity, 0.5f}) == Color{1, 1, 1}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(clip({0.5f, nan, 0.5f})[1]));
  // A bright blue sky: red : green : blue stays what it is beyond the gray.
  const Color sky{0.55f, 0.78f, 1.08f}, clipped = clip(sky);
  CHECK(clipped[2] == 1);
  CHECK((clipped[1] - clipped[0]) / (clipped[2] - clipped[0]) == Approx((sky[1] - sky[0]) / (sky[2] - sky[0])));
  const auto luma = [](const Color& c) { return 0.2126f * c[0] + 0.7152f * c[1] + 0.0722f * c[2]; };
  CHECK(luma(clipped) == Approx(luma(sky)));
  // Without a step where the limit begins.
  for (std::size_t c = 0; c < 3; ++c)
    CHECK(clip({0.5f, 0.7f, 1.000001f})[c] == Approx(Color{0.5f, 0.7f, 1}[c]).margin(1e-5));
}

TEST_CASE("enhance: each net gets the mirror image around its inputs that the model asks for", "[isa]") {
  const NoGrad no_grad;
  for (const bool runnable : {true, false}) {
    Model<float> model = random_model(true);
    if (!runnable) {
      model.config.decomposition->output_kernel = 3;
      model.decomposition.reset();
      model.build(3);
    }
    const Picture picture = random_picture(5, 6, 4, 0.1, 0.3);
    for (const std::int64_t margin : {1, 4, 7}) {
      model.config.input.mirror = margin;
      const auto around = [&](const Tensor<float>& x) { return Variable<float>(mirrored(x, margin)); };
      const Enhanced e = enhance(model, picture, light(LightLevel::Mode::kRatio, 3));
      const auto parts = (*model.decomposition)(around(net_input(picture, {})));
      CHECK(e.reflectance.to_vector() == cropped(parts.reflectance.value(), margin).to_vector());
      CHECK(e.illumination.to_vector() == cropped(parts.illumination.value(), margin).to_vector());
      const auto restored = (*model.restoration)(around(e.reflectance), around(e.illumination));
      CHECK(e.restored.to_vector() == cropped(restored.value(), margin).to_vector());
      const Variable<float> l = around(e.illumination);
      CHECK(e.adjusted.to_vector() ==
            cropped((*model.adjustment)(l, ratio_map(l.shape(), 3)).value(), margin).to_vector());
    }
  }
}

TEST_CASE("enhance: neither leaving out the maps nor giving the picture away changes a bit", "[isa]") {
  const std::pair<LightLevel, Fusion> ways[] = {{{LightLevel::Mode::kAuto, 0}, Fusion::kNone},
                                                {{LightLevel::Mode::kAuto, 0}, Fusion::kAuto},
                                                {{LightLevel::Mode::kRatio, 3}, Fusion::kOfficial},
                                                {{LightLevel::Mode::kTargetMean, 0.4}, Fusion::kNone}};
  for (const int form : {0, 1, 2, 3}) {
    Model<float> model = random_model(form != 1);
    if (form != 1) model.config.input.mirror = form;
    // Forms 2 and 3: without the stretch; with a decomposition that runs layer by layer, and a light rule.
    model.config.input.stretch = form != 2;
    if (form == 3) {
      model.decomposition.reset();
      model.config.decomposition->output_kernel = 5;
      model.config.light.emplace().bias = -0.5;
      model.build(8);
    }
    for (const auto& [h, w] : {std::pair{1, 1}, std::pair{21, 18}}) {
      const Picture picture = random_picture(h, w, 9, 0.1, 0.4);
      const std::vector<float> before = picture.to_vector();
      for (const auto& [level, fusion] : ways) {
        CAPTURE(form, h, w, level.value);
        const Enhanced all = enhance(model, picture, {level, fusion, true});
        const Enhanced lean = enhance(model, picture, {level, fusion, false});
        CHECK((lean.output.to_vector() == all.output.to_vector()));
        CHECK(lean.ratio == all.ratio);
        for (const Tensor<float>* map : {&lean.reflectance, &lean.illumination, &lean.restored, &lean.adjusted}) {
          CHECK_FALSE(map->defined());
        }
        CHECK((picture.to_vector() == before));
        for (const bool maps : {true, false}) {
          Picture given = picture.clone();
          const Enhanced other = enhance(model, std::move(given), {level, fusion, maps});
          CHECK((other.output.to_vector() == all.output.to_vector()));
        }
      }
    }
  }
}

TEST_CASE("enhance: without a restoration net the reflectance is used as it is, and the other nets are needed") {
  Model<float> model = random_model();
  const Picture picture = random_picture(4, 3);
  const Enhanced e = enhance(model, picture, kPlain);
  CHECK(e.restored.to_vector() == e.reflectance.to_vector());
  CHECK_THAT(error_of([&] { enhance(model, Picture::zeros({2, 3, 4, 4})); }), Contains("[1, 3, h, w]"));
  model.adjustment.reset();
  CHECK_THAT(error_of([&] { enhance(model, picture); }), Contains("no adjustment net"));
  model.decomposition.reset();
  CHECK_THAT(error_of([&] { enhance(model, picture); }), Contains("no decomposition net"));
}

TEST_CASE("enhance: limits of the light level") {
  const Model<float> model = random_model();
  const Picture picture = random_picture(2, 2);
  const auto message = [&](LightLevel::Mode mode, double value) {
    return error_of([&] { enhance(model, picture, light(mode, value)); });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const double value : {0.0, -1.0, 100.5, nan, infinity}) {
    CHECK_THAT(message(LightLevel::Mode::kRatio, value), Contains("ratio: expected a number above 0 and at most 100"));
  }
  for (const double value : {-0.01, 1.01, nan, infinity}) {
    CHECK_THAT(message(LightLevel::Mode::kTargetMean, value), Contains("target mean: expected a number from 0 to 1"));
  }
  for (const double value : {1e-6, 100.0}) CHECK(message(LightLevel::Mode::kRatio, value) == "no error");
  for (const double value : {0.0, 1.0}) CHECK(message(LightLevel::Mode::kTargetMean, value) == "no error");
}

TEST_CASE("enhance: a target mean is met where the net can, else the nearest is taken") {
  const Model<float> model = monotone_model();
  const Picture picture = random_picture(9, 7);
  for (const Fusion fusion : {Fusion::kNone, Fusion::kOfficial}) {
    const auto at_ratio = [&](double ratio) {
      return mean(enhance(model, picture, light(LightLevel::Mode::kRatio, ratio, fusion)).output);
    };
    const double darkest = at_ratio(0.01), brightest = at_ratio(100);
    REQUIRE(brightest - darkest > 0.1);
    for (const double share : {0.02, 0.3, 0.5, 0.9, 0.98}) {
      const double target = darkest + share * (brightest - darkest);
      const Enhanced e = enhance(model, picture, light(LightLevel::Mode::kTargetMean, target, fusion));
      CAPTURE(fusion == Fusion::kOfficial, share, e.ratio);
      CHECK(std::abs(mean(e.output) - target) < 0.01);
      CHECK(at_ratio(e.ratio) == Approx(mean(e.output)));
    }
    const Enhanced high = enhance(model, picture, light(LightLevel::Mode::kTargetMean, 1, fusion)),
                   low = enhance(model, picture, light(LightLevel::Mode::kTargetMean, 0, fusion));
    CHECK(high.ratio > 99);
    CHECK(high.ratio <= 100);
    CHECK(low.ratio >= 0.01);
    CHECK(low.ratio < 0.0101);
  }
}

TEST_CASE("enhance: the automatic light leaves pictures of one color as they are, and does little to faint ones") {
  const Model<float> model = random_model(true);
  const Shape shape{1, 3, 20, 30};
  const auto flat = [&](float r, float g, float b) {
    Picture picture(shape);
    for (std::int64_t i = 0; i < 600; ++i) picture[i] = r, picture[600 + i] = g, picture[1200 + i] = b;
    return picture;
  };
  for (const Picture& picture : {flat(0, 0, 0), flat(0.1f, 0.1f, 0.1f), flat(0.05f, 0.03f, 0.01f), flat(0, 0, 0.2f)}) {
    const Enhanced e = enhance(model, picture, kPlain);
    CHECK(e.strength == 0);
    CHECK(e.output.to_vector() == picture.to_vector());
  }
  const Picture pixel(Shape{1, 3, 1, 1}, std::vector<float>{0.08f, 0.04f, 0.02f});
  CHECK(enhance(model, pixel, kPlain).output.to_vector() == pixel.to_vector());
  double before = 0;
  for (const int steps : {2, 3, 7, 11, 12, 40}) {
    Picture picture = flat(0, 0, 0);
    for (std::int64_t i = 700; i < 760; ++i) picture[i] = static_cast<float>(steps) / 255;
    const double strength = enhance(model, picture, kPlain).strength;
    CHECK(strength == Approx(std::clamp((steps - 2) / 10.0, 0.0, 1.0)).margin(1e-4));
    CHECK(strength >= before);
    before = strength;
  }
}

TEST_CASE("enhance: the automatic light brings the output's mean to the rule's level, where a ratio can") {
  Model<float> model = monotone_model();
  LightConfig& rule = model.config.light.emplace();
  rule.lowest = 1e-4;
  // Also one so large that its light is chosen on a smaller copy.
  for (const auto& [h, w] : {std::pair{9, 7}, std::pair{2, 3}, std::pair{140, 131}}) {
    CAPTURE(h, w);
    Picture picture = random_picture(h, w, 5, 0.0, 0.02);
    // Something to be seen: what is all but even is left alone, and a few pixels say nothing.
    for (std::int64_t c = 0; c < 3; ++c) {
      for (const std::int64_t i : {0, 1, w, w + 1}) picture[c * h * w + i] = h > 2 ? 0.08f : 0.07f * (i == 0);
      for (std::int64_t i = 0; h > 100 && i < 2 * w; ++i) picture[c * h * w + i] = 0.08f;
    }
    const auto at_ratio = [&](double ratio) {
      return mean(enhance(model, picture, light(LightLevel::Mode::kRatio, ratio)).output);
    };
    const double darkest = at_ratio(1), brightest = at_ratio(rule.highest_ratio);
    REQUIRE(brightest > darkest + 0.02);
    for (const double share : {0.05, 0.3, 0.5, 0.9}) {
      // The highest level, so that neither highlights nor the picture's own mean ask for more.
      const double target = darkest + share * (brightest - darkest);
      rule.highest = target;
      rule.bias = std::log(target);
      const Enhanced e = enhance(model, picture, kPlain);
      CAPTURE(share, e.ratio, target);
      CHECK(e.strength == 1);
      CHECK(std::abs(mean(e.output) - target) < 0.006);
      CHECK(at_ratio(e.ratio) == Approx(mean(e.output)));
    }
    // What no ratio reaches: 1 for a picture that is bright enough, else the highest.
    rule.highest = darkest / 2;
    CHECK(enhance(model, picture, kPlain).ratio == 1);
    rule.highest = 1;
    rule.bias = 0;
    rule.highest_ratio = 7;
    CHECK(enhance(model, picture, kPlain).ratio == Approx(7));
    rule.highest_ratio = 20;
  }
  // A ratio that is asked for is not the rule's business.
  CHECK(enhance(model, random_picture(3, 4), light(LightLevel::Mode::kRatio, 2)).ratio == 2);
}

TEST_CASE("enhance: the automatic light keeps highlights, up to the rule's highest level") {
  Model<float> model = monotone_model();
  Tensor<float>& bias = parameter(model, "decomposition.reflectance.bias");
  for (std::int64_t i = 0; i < 3; ++i) bias[i] = 20;  // R is 1, so the output is L_hat
  parameter(model, "adjustment.conv1.weight")[9 + 4] = 0.5f;
  LightConfig& rule = model.config.light.emplace();
  const Picture picture = random_picture(40, 50, 5, 0.0, 0.1);
  rule.bias = std::log(0.3);
  rule.highest = 0.95;
  const double high = mean(enhance(model, picture, kPlain).output);
  // Nine tenths of the brightest pixels' mean; of three even channels the greatest is above 0.95 in a seventh.
  CHECK(high > 0.6);
  CHECK(high < 0.9);
  rule.highest = 0.55;
  CHECK(mean(enhance(model, picture, kPlain).output) == Approx(0.55).margin(0.004));
}

TEST_CASE("enhance: pictures that are bright already stay as they are, those in between in part") {
  Model<float> model = random_model();
  const double level = std::exp(LightConfig{}.bias);
  for (const double middle : {0.05, 0.15, 0.3, 0.4, 0.6}) {
    const Picture picture = random_picture(21, 17, 6, middle - 0.04, middle + 0.04);
    const Enhanced e = enhance(model, picture, kPlain);
    const double expected = std::clamp(2 * (1 - mean(picture) / level), 0.0, 1.0);
    CAPTURE(middle, e.ratio);
    CHECK(e.strength == Approx(expected).margin(1e-5));
    const Enhanced at_ratio = enhance(model, picture, light(LightLevel::Mode::kRatio, e.ratio));
    CHECK(at_ratio.strength == 1);
    double worst = 0;
    for (std::int64_t i = 0; i < picture.size(); ++i) {
      const double mixed =
          static_cast<double>(picture[i]) + e.strength * static_cast<double>(at_ratio.output[i] - picture[i]);
      worst = std::max(worst, std::abs(mixed - static_cast<double>(e.output[i])));
    }
    CHECK(worst < 1e-6);
    if (middle > level + 0.05) CHECK((e.output.to_vector() == picture.to_vector()));
  }
}

TEST_CASE("enhance: a black picture with a few lights stays dark") {
  const Model<float> model = random_model();
  Picture picture = random_picture(20, 30, 3, 0.0, 0.02);
  for (std::int64_t c = 0; c < 3; ++c) {
    for (const std::int64_t i : {45, 260, 411}) picture[c * 600 + i] = 1;
  }
  const double level = std::exp(LightConfig{}.bias), m = mean(picture);
  const double limit = level_limit({}, light_statistics(picture));
  REQUIRE((limit > 2 * m && limit < level / 2));
  const Enhanced e = enhance(model, picture, kPlain);
  CHECK(e.strength == Approx((limit - m) / (level - m)).epsilon(5e-3));
  // More of it than a twentieth is bright: it may become as bright as any.
  for (std::int64_t i = 0; i < 45; ++i) picture[i] = picture[600 + i] = picture[1200 + i] = 0.3f;
  CHECK(enhance(model, picture, kPlain).strength == 1);
}

TEST_CASE("enhance: the rule looks at the picture as the nets see it") {
  Model<float> model = random_model();
  const Picture picture = random_picture(16, 15, 5, 0.1, 0.3);
  LightConfig& rule = model.config.light.emplace();
  rule.weights[3] = 0.5;
  const auto strength = [&](const Picture& seen) {
    return std::clamp(2 * (1 - mean(picture) / automatic_level(rule, light_statistics(seen))), 0.0, 1.0);
  };
  REQUIRE(std::abs(strength(net_input(picture, {})) - strength(picture)) > 0.1);
  CHECK(enhance(model, picture, kPlain).strength == Approx(strength(net_input(picture, {}))).margin(1e-5));
}

/// fuse_official's formula, straight from its comment.
std::vector<double> official_by_formula(const Picture& picture, const Enhanced& maps) {
  constexpr int kRadius = 12;
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3], plane = h * w;
  double taps[2 * kRadius + 1], total = 0;
  for (int i = -kRadius; i <= kRadius; ++i) total += taps[i + kRadius] = std::exp(-i * i / (2 * 3.0 * 3.0));
  const auto at = [](const Tensor<float>& x, std::int64_t i) { return static_cast<double>(x[i]); };
  std::vector<double> output(static_cast<std::size_t>(3 * plane));
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t x = 0; x < w; ++x) {
      double blurred = 0;
      for (int a = -kRadius; a <= kRadius; ++a) {
        for (int b = -kRadius; b <= kRadius; ++b) {
          const std::int64_t i =
              std::clamp<std::int64_t>(y + a, 0, h - 1) * w + std::clamp<std::int64_t>(x + b, 0, w - 1);
          const double gray = 0.2125 * at(maps.reflectance, i) + 0.7154 * at(maps.reflectance, plane + i) +
                              0.0721 * at(maps.reflectance, 2 * plane + i);
          blurred += taps[a + kRadius] * taps[b + kRadius] / (total * total) * gray;
        }
      }
      const std::int64_t i = y * w + x;
      const double contrast = std::min(std::sqrt(2 * blurred), 1.0), l = at(maps.illumination, i);
      for (std::int64_t c = 0; c < 3; ++c) {
        output[static_cast<std::size_t>(c * plane + i)] =
            l * at(picture, c * plane + i) +
            (1 - l) * at(maps.restored, c * plane + i) * contrast * at(maps.adjusted, i);
      }
    }
  }
  return output;
}

TEST_CASE("fuse_official agrees with its formula in double precision") {
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 5}, {7, 3}, {13, 1}, {20, 31}};
  for (const auto& [h, w] : sizes) {
    CAPTURE(h, w);
    const Shape gray{1, 1, h, w};
    Enhanced maps;
    maps.reflectance = random_picture(h, w, 1);
    // One side bright, one dark, so that the contrast is cut at 1 on one alone.
    for (std::int64_t i = 0; i < maps.reflectance.size(); ++i) maps.reflectance[i] *= i % w < w / 2 ? 0.2f : 1.0f;
    maps.restored = random_picture(h, w, 2);
    maps.illumination = random_tensor<float>(gray, 3, 0, 1);
    maps.adjusted = random_tensor<float>(gray, 4, 0, 1);
    const Picture picture = random_picture(h, w, 5);
    const Picture result = fuse_official(picture, maps);
    CHECK(result.shape() == picture.shape());
    CHECK(largest_difference(result, official_by_formula(picture, maps)) < 2e-6);
    CHECK(out_of_range(result) == 0);
  }
  // Black reflectance: what is left is L * I.
  const Shape color{1, 3, 3, 3}, gray{1, 1, 3, 3};
  const Tensor<float> half = Tensor<float>::full(gray, 0.5f);
  const Enhanced black{Picture::zeros(color), half, Picture::full(color, 1), half, {}, 1};
  CHECK(fuse_official(Picture::full(color, 0.5f), black).to_vector() == std::vector<float>(27, 0.25f));
}

TEST_CASE("enhance: the official fusion is of the stretched picture") {
  const Model<float> model = random_model();
  const Picture picture = random_picture(5, 4, 6, 0.1, 0.3);
  const Enhanced e = enhance(model, picture, {{}, Fusion::kOfficial});
  CHECK(e.output.to_vector() == fuse_official(net_input(picture, {}), e).to_vector());
  CHECK(e.output.to_vector() != fuse_official(picture, e).to_vector());
}

}  // namespace
}  // namespace kind::testing
