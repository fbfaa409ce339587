#include "losses/metrics/niqe.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>

#include "core/base/random.h"
#include "tests/support/errors.h"

namespace kind::testing {
namespace {

constexpr std::int64_t kPatch = 32;

/// A gray picture of random waves, longer ones stronger, plus noise; the shorter ones go where `softness` is large.
Tensor<float> waves(std::uint64_t seed, std::int64_t side, double noise = 0, double softness = 0) {
  Random random(seed);
  std::vector<double> values(static_cast<std::size_t>(side * side), 128.0);
  for (int k = 0; k < 60; ++k) {
    const double fx = random.uniform(-1.5, 1.5), fy = random.uniform(-1.5, 1.5), phase = random.uniform(0, 6.3);
    const double size = 14 / (0.3 + std::hypot(fx, fy)) * std::exp(-softness * std::hypot(fx, fy));
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t x = 0; x < side; ++x) {
        values[static_cast<std::size_t>(y * side + x)] +=
            size * std::sin(fx * static_cast<double>(x) + fy * static_cast<double>(y) + phase);
      }
    }
  }
  Tensor<float> picture(Shape{1, 3, side, side});
  for (std::int64_t i = 0; i < side * side; ++i) {
    const double v = values[static_cast<std::size_t>(i)] + noise * random.normal();
    for (std::int64_t c = 0; c < 3; ++c) {
      picture[c * side * side + i] = static_cast<float>(std::floor(std::clamp(v, 0.0, 255.0) + 0.5));
    }
  }
  return picture;
}

NiqeModel model_of_waves() {
  std::vector<NiqeFeatures> features;
  std::vector<std::string> names;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const auto own = niqe_features(waves(seed, 4 * kPatch), kPatch, kNiqeSharpness);
    features.insert(features.end(), own.begin(), own.end());
    names.push_back("waves " + std::to_string(seed));
  }
  return fit_niqe(features, kPatch, names);
}

/// The picture with each row turned round.
Tensor<float> mirrored(const Tensor<float>& x) {
  const std::int64_t w = x.shape()[3];
  Tensor<float> y(x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) y[i] = x[i / w * w + w - 1 - i % w];
  return y;
}

TEST_CASE("niqe features know light from dark and right from left only where they should", "[metrics]") {
  const Tensor<float> picture = waves(3, 2 * kPatch, 4);
  const auto features = niqe_features(picture, kPatch);
  REQUIRE(features.size() == 4);
  Tensor<float> negative(picture.shape());
  for (std::int64_t i = 0; i < picture.size(); ++i) negative[i] = 255 - picture[i];
  const auto inverted = niqe_features(negative, kPatch), turned = niqe_features(mirrored(picture), kPatch);
  // Right and lower stay what they are, lower right and lower left change places; so do the patches.
  constexpr std::size_t kOther[kNiqeFeatures / 2] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 10, 11, 12, 13};
  constexpr std::size_t kPatchOf[] = {1, 0, 3, 2};
  bool diagonals_differ = false;
  for (std::size_t p = 0; p < 4; ++p) {
    for (std::size_t k = 0; k < kNiqeFeatures; ++k) {
      INFO("patch " << p << ", feature " << k);
      CHECK(inverted[p][k] == Approx(features[p][k]).margin(1e-9));
      const std::size_t other = k / 18 * 18 + kOther[k % 18];
      CHECK(turned[kPatchOf[p]][k] == Approx(features[p][other]).margin(1e-9));
      diagonals_differ = diagonals_differ || std::abs(features[p][k] - features[p][other]) > 0.01;
    }
  }
  CHECK(diagonals_differ);
}

// Of white noise the normalised values are nearly Gaussian, whose shape is 2; products of neighbours have mean 0 and
// about a Laplacian's tails, whose shape is 1.
TEST_CASE("niqe features of noise", "[metrics]") {
  Random random(9);
  Tensor<float> noise(Shape{1, 3, 256, 256});
  for (std::int64_t i = 0; i < 256 * 256; ++i) {
    const float v = static_cast<float>(std::floor(128.5 + 30 * random.normal()));
    for (std::int64_t c = 0; c < 3; ++c) noise[c * 256 * 256 + i] = v;
  }
  const auto features = niqe_features(noise, 256);
  REQUIRE(features.size() == 1);
  for (const std::size_t scale : {0u, 18u}) {
    CHECK(features[0][scale] > 1.8);
    CHECK(features[0][scale] < 3.5);
    for (std::size_t k = 2; k < 18; k += 4) {
      CHECK(features[0][scale + k] < 1.2);
      CHECK(features[0][scale + k] > 0.8);
      CHECK(std::abs(features[0][scale + k + 1]) < 0.25);
    }
  }
}

// Computed apart from this program, in Octave.
TEST_CASE("niqe features of a known picture", "[metrics]") {
  Tensor<float> picture(Shape{1, 3, kPatch, kPatch});
  std::uint32_t state = 12345;
  for (std::int64_t y = 0; y < kPatch; ++y) {
    for (std::int64_t x = 0; x < kPatch; ++x) {
      state = state * 1664525u + 1013904223u;
      const auto v = std::min<std::int64_t>(255, 2 * x + 3 * y + (state >> 24) / 3);
      for (std::int64_t c = 0; c < 3; ++c) picture[(c * kPatch + y) * kPatch + x] = static_cast<float>(v);
    }
  }
  const double expected[kNiqeFeatures] = {10.0000, 1.5217, 1.5760,  -0.1297, 0.9259, 0.7226, 1.4770,  -0.1031, 0.8861,
                                          0.7315,  1.5460, -0.0855, 0.8977,  0.7653, 1.4130, -0.0093, 0.8002,  0.7867,
                                          4.6460,  1.1380, 1.2810,  -0.1053, 0.4553, 0.3149, 1.2580,  0.0100,  0.3861,
                                          0.3993,  1.0700, -0.0238, 0.3358,  0.3097, 1.1150, 0.0223,  0.3451,  0.3708};
  const auto features = niqe_features(picture, kPatch);
  REQUIRE(features.size() == 1);
  for (std::size_t k = 0; k < kNiqeFeatures; ++k) {
    INFO("feature " << k);
    CHECK(std::abs(features[0][k] - expected[k]) < 0.0001);
  }
}

TEST_CASE("niqe is lower for pictures like the model's than for noisy and soft ones", "[metrics]") {
  const NiqeModel model = model_of_waves();
  CHECK(model.patches > 36);
  CHECK(model.pictures.size() == 6);
  for (const std::uint64_t seed : {21u, 22u, 23u}) {
    const double good = niqe(waves(seed, 4 * kPatch), model).value();
    CHECK(niqe(waves(seed, 4 * kPatch, 25), model).value() > 1.5 * good);
    CHECK(niqe(waves(seed, 4 * kPatch, 0, 3), model).value() > 1.5 * good);
  }
  // Distance from a model of itself is 0.
  const auto own = niqe_features(waves(5, 8 * kPatch), kPatch);
  CHECK(niqe(waves(5, 8 * kPatch), fit_niqe(own, kPatch, {"itself"})).value() < 1e-6);
}

TEST_CASE("niqe models survive being written", "[metrics]") {
  const NiqeModel model = model_of_waves();
  const NiqeModel read = parse_config<NiqeModel>(parse_json(to_json(model).dump(), "model"), "model");
  CHECK(niqe(waves(30, 4 * kPatch), read).value() == niqe(waves(30, 4 * kPatch), model).value());
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json json = parse_json(to_json(model).dump(), "model");
    json[key] = value;
    return error_of([&] { parse_config<NiqeModel>(json, "file"); });
  };
  CHECK_THAT(refused("patch", 33), Catch::Contains("file: patch: expected an even number, got 33"));
  CHECK_THAT(refused("format", 1), Catch::Contains("format: expected 2, got 1; features were defined otherwise then"));
  CHECK_THAT(refused("mean", {1, 2}), Catch::Contains("mean: expected 36 numbers, got 2"));
  CHECK_THAT(refused("covariance", {{1, 2}}), Catch::Contains("covariance: expected 36 rows of 36 numbers"));
  CHECK_THAT(error_of([] { parse_config<NiqeModel>(nlohmann::json::object(), "file"); }), Catch::Contains("format"));
}

TEST_CASE("niqe features are those of the picture's gray in 8 bits", "[metrics]") {
  Tensor<float> picture = waves(4, kPatch);
  const auto features = niqe_features(picture, kPatch);
  for (std::int64_t i = 0; i < picture.size(); ++i) picture[i] += i % 2 == 0 ? 0.3f : -0.3f;  // values of 16 bits
  CHECK(niqe_features(picture, kPatch) == features);
  // Of a colour, 0.2989 R + 0.5870 G + 0.1140 B rounded: 76.2 of red, 149.7 of green, 29.1 of blue.
  const std::int64_t pixels = kPatch * kPatch;
  Tensor<float> colors(picture.shape()), gray(picture.shape());
  constexpr float kGray[] = {76, 150, 29};
  for (std::int64_t i = 0; i < pixels; ++i) {
    const std::int64_t channel = (i * i / 7 + i / 5) % 3;
    for (std::int64_t c = 0; c < 3; ++c) {
      colors[c * pixels + i] = c == channel ? 255.0f : 0.0f;
      gray[c * pixels + i] = kGray[channel];
    }
  }
  REQUIRE(niqe_features(gray, kPatch).size() == 1);
  CHECK(niqe_features(colors, kPatch) == niqe_features(gray, kPatch));
}

TEST_CASE("niqe of what is too small or flat", "[metrics]") {
  const NiqeModel model = model_of_waves();
  CHECK_FALSE(niqe(waves(1, kPatch - 1), model).has_value());
  CHECK_FALSE(niqe(waves(1, 2 * kPatch - 1), model).has_value());  // one patch has no covariance
  CHECK_FALSE(niqe(Tensor<float>::full(Shape{1, 3, 100, 100}, 77), model).has_value());
  // Half of it flat: the other half counts, and of the flat patches beside it those that see enough of it.
  Tensor<float> half = waves(2, 4 * kPatch);
  for (std::int64_t i = 0; i < half.size(); ++i) {
    if (i % (16 * kPatch * kPatch) < 8 * kPatch * kPatch) half[i] = 31;
  }
  const std::size_t seen = niqe_features(half, kPatch).size();
  CHECK((seen >= 8 && seen <= 12));
  CHECK(niqe_features(waves(2, 4 * kPatch), kPatch).size() == 16);
  CHECK(niqe_features(waves(2, 4 * kPatch), kPatch, 0.999).size() == 1);
  CHECK_THAT(error_of([] {
               niqe_features(Tensor<float>::zeros({1, 3, 64, 64}), 31);
             }),
             Catch::Contains("even patch of at least 16, got 31"));
  CHECK_THAT(error_of([] { niqe_features(Tensor<float>::zeros({1, 1, 64, 64}), 32); }), Catch::Contains("niqe: "));
  CHECK_THAT(error_of([] { fit_niqe(std::vector<NiqeFeatures>(36), 96, {}); }),
             Catch::Contains("at least 37 sharp patches of 96x96 pixels, these pictures have 36"));
}

}  // namespace
}  // namespace kind::testing
