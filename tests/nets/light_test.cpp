#include "nets/light.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"

namespace kind::testing {
namespace {

using Catch::Contains;
constexpr int kCount = LightStatistics::kCount;

/// Statistics that know nothing of each other.
std::vector<LightStatistics> random_statistics(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<LightStatistics> all(count);
  for (LightStatistics& s : all) {
    for (int i = 0; i < kCount; ++i) s.values[i] = random.uniform(-1, 1) * (i + 1) + i;
  }
  return all;
}

const double kTrue[kCount] = {0.09, -0.06, 0.015, 0.012, -0.045, 0.03, 0.006, -0.02, 0.01, 0.008};
constexpr double kTrueBias = -2.5;

std::vector<LightSample> samples_of(const std::vector<LightStatistics>& statistics, double noise = 0) {
  Random random(99);
  std::vector<LightSample> samples;
  for (const LightStatistics& s : statistics) {
    double log_level = kTrueBias + noise * random.normal();
    for (int i = 0; i < kCount; ++i) log_level += kTrue[i] * s.values[i];
    samples.push_back({s, std::exp(log_level), 1});
  }
  return samples;
}

void check_statistics(const Tensor<float>& picture, const std::vector<double>& expected, InputRange range = {}) {
  REQUIRE(expected.size() == kCount);
  const LightStatistics s = light_statistics(picture, range);
  for (int i = 0; i < kCount; ++i) {
    INFO(LightStatistics::kNames[i]);
    CHECK(s.values[i] == Approx(expected[static_cast<std::size_t>(i)]).margin(1e-6));
  }
}

TEST_CASE("light: statistics of small pictures, worked out by hand") {
  const auto l = [](double v) { return std::log(v + 1e-3); };
  SECTION("one pixel") {
    check_statistics(Tensor<float>({1, 3, 1, 1}, {0.5f, 0.25f, 0.125f}),
                     {l(0.5), l(0.5), l(0.5), l(0.5), l(0.5), l(0.5) - std::log(0.3), 0.375, l(0.5), l(0), l(0.5)});
  }
  SECTION("five pixels in a column: the second to the fourth are the centre") {
    // Values 0.1 0.2 0.3 0.05 0.15: the quantiles are the second, the fourth and the last of the sorted ones.
    check_statistics(Tensor<float>({1, 3, 5, 1}, {0.1f, 0.0f, 0.3f, 0.05f, 0.15f, 0.1f, 0.2f, 0.3f, 0.05f, 0.15f, 0.1f,
                                                  0.0f, 0.3f, 0.05f, 0.15f}),
                     {l(0.1), l(0.2), l(0.3), l(0.16), l(0.55 / 3), 0, 0.04, l(0.05), l(0.55 / 4 / 0.16), l(0.16)});
  }
  SECTION("steps across and down, each a mean; and the range that was stretched") {
    // Values 0.1 0.4 0.2 / 0.3 0.4 0.8.
    const std::vector<float> map{0.1f, 0.4f, 0.2f, 0.3f, 0.4f, 0.8f};
    Tensor<float> gray({1, 3, 2, 3});
    for (std::int64_t i = 0; i < gray.size(); ++i) gray[i] = map[static_cast<std::size_t>(i % 6)];
    const double mean = 2.2 / 6, across = (0.3 + 0.2 + 0.1 + 0.4) / 4, down = (0.2 + 0 + 0.6) / 3;
    check_statistics(gray,
                     {l(0.2), l(0.4), l(0.8), l(mean), l(mean), l(mean) - std::log(0.3), 0, l(0.1),
                      l((across + down) / mean), l(0.02 + 0.25 * mean)},
                     {0.02f, 0.25f});
  }
  SECTION("black is finite") {
    for (const double value : light_statistics(Tensor<float>::zeros({1, 3, 4, 5})).values) CHECK(std::isfinite(value));
  }
}

TEST_CASE("light: a picture is reduced to means of squares, the same whatever rows come together") {
  CHECK((reduced_for_light(Tensor<float>({1, 3, 1, 2}, {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f})).to_vector() ==
         std::vector<float>{0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f}));
  // 101 x 90 pixels are more than 8192: squares of 2 x 2, the last row of them 1 high.
  const std::int64_t h = 101, w = 90;
  Random random(3);
  Tensor<float> picture(Shape{1, 3, h, w});
  for (std::int64_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<float>(random.uniform());
  const Tensor<float> small = reduced_for_light(picture);
  REQUIRE(small.shape() == Shape{1, 3, 51, 45});
  const auto at = [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    return static_cast<double>(picture[(c * h + y) * w + x]);
  };
  CHECK(small[(2 * 51 + 7) * 45 + 44] ==
        Approx((at(2, 14, 88) + at(2, 14, 89) + at(2, 15, 88) + at(2, 15, 89)) / 4).epsilon(1e-6));
  CHECK(small[50 * 45] == Approx((at(0, 100, 0) + at(0, 100, 1)) / 2).epsilon(1e-6));
  for (const std::int64_t band : {1, 7, 64}) {
    Reduction pieces(h, w);
    for (std::int64_t y = 0; y < h; y += band) {
      const float* const planes[] = {picture.data() + y * w, picture.data() + (h + y) * w,
                                     picture.data() + (2 * h + y) * w};
      pieces.add_rows(y, std::min(y + band, h), planes);
    }
    CHECK((pieces.take().to_vector() == small.to_vector()));
  }
  CHECK(Reduction(1, 1).take().shape() == Shape{1, 3, 1, 1});
  CHECK(Reduction(1, 100000).take().size() <= 3 * 8192);
  CHECK(Reduction(6000, 4000).take().size() <= 3 * 8192);
}

TEST_CASE("light: rules of older models have seven weights") {
  LightConfig rule;
  rule.weights = {0, 0, 0, 0.5, 0, 0, 0};
  CHECK_NOTHROW(rule.validate("light"));
  LightStatistics s{};
  s.values[3] = 0.1;
  s.values[9] = 5;
  CHECK(automatic_level(rule, s) == Approx(0.44 * std::exp(0.05)).epsilon(1e-3));
  rule.weights.push_back(0);
  CHECK_THAT(error_of([&] { rule.validate("light"); }), Contains("light.weights") && Contains("10") && Contains("8"));
}

TEST_CASE("light: other shapes are refused") {
  CHECK(error_of([] {
          light_statistics(Tensor<float>::zeros({1, 1, 2, 2}));
        }) == "light: expected a picture [1, 3, h, w], got [1, 1, 2, 2]");
  CHECK_THAT(error_of([] { light_statistics(Tensor<float>::zeros({1, 3, 0, 2})); }), Contains("light: expected"));
}

TEST_CASE("light: what made the levels is found again") {
  const auto samples = samples_of(random_statistics(200, 1));
  const LightConfig config = fit_light(samples, 1e-12);
  CHECK(config.bias == Approx(kTrueBias).epsilon(1e-6));
  for (int i = 0; i < kCount; ++i) {
    CHECK(config.weights[static_cast<std::size_t>(i)] == Approx(kTrue[i]).epsilon(1e-6));
  }
  double lowest = 1, highest = 0;
  for (const LightSample& s : samples) {
    CHECK(automatic_level(config, s.statistics) == Approx(s.level).epsilon(1e-6));
    lowest = std::min(lowest, s.level), highest = std::max(highest, s.level);
  }
  CHECK(config.lowest == lowest);
  CHECK(config.highest == highest);
  CHECK_NOTHROW(config.validate(""));
}

TEST_CASE("light: noise is averaged out") {
  const LightConfig config = fit_light(samples_of(random_statistics(4000, 2), 0.1), 1e-6);
  CHECK(config.bias == Approx(kTrueBias).margin(0.05));
  for (int i = 0; i < kCount; ++i) {
    CHECK(config.weights[static_cast<std::size_t>(i)] == Approx(kTrue[i]).margin(0.02));
  }
}

TEST_CASE("light: the penalty is the ridge of the formula, and weights count") {
  // One statistic varies, so that the solution is known: with variance v and covariance c of it with log level, its
  // standardised weight is (c / sqrt(v)) / (1 + penalty).
  const double at[] = {0, 1, 2, 5}, log_level[] = {-2, -1.4, -1.7, -0.5}, weight[] = {1, 2, 0, 0.5};
  std::vector<LightSample> samples;
  double sum = 0, mean = 0, mean_log = 0, v = 0, c = 0;
  for (int i = 0; i < 4; ++i) {
    LightSample sample{LightStatistics{}, std::exp(log_level[i]), weight[i]};
    sample.statistics.values[3] = at[i];
    samples.push_back(sample);
    sum += weight[i], mean += weight[i] * at[i], mean_log += weight[i] * log_level[i];
  }
  mean /= sum, mean_log /= sum;
  for (int i = 0; i < 4; ++i) {
    v += weight[i] * (at[i] - mean) * (at[i] - mean) / sum;
    c += weight[i] * (at[i] - mean) * (log_level[i] - mean_log) / sum;
  }
  for (const double penalty : {0.0, 0.5, 2.0}) {
    const LightConfig config = fit_light(samples, penalty);
    const double expected = c / v / (1 + penalty);
    CHECK(config.weights[3] == Approx(expected));
    CHECK(config.bias == Approx(mean_log - expected * mean));
    for (const std::size_t i : {0u, 1u, 2u, 4u, 5u, 6u}) CHECK(config.weights[i] == Approx(0).margin(1e-12));
  }
}

TEST_CASE("light: the level stays within the limits of the fit, and without one it is the same for all") {
  LightConfig config;
  LightStatistics s{};
  CHECK(automatic_level(config, s) == Approx(0.44).epsilon(1e-3));
  s.values[2] = 7;
  CHECK(automatic_level(config, s) == Approx(0.44).epsilon(1e-3));
  config.weights[2] = 1;
  CHECK(automatic_level(config, s) == config.highest);
  s.values[2] = -3;
  CHECK(automatic_level(config, s) == config.lowest);
  s.values[2] = std::log(0.01);
  CHECK(level_limit(config, s) == Approx(0.08));
  config.highest_gain = 3;
  CHECK(level_limit(config, s) == Approx(0.03));
}

TEST_CASE("light: fits that cannot be are refused") {
  const auto samples = samples_of(random_statistics(3, 4));
  CHECK_THAT(error_of([&] { fit_light({samples[0]}); }), Contains("at least two pictures") && Contains("got 1"));
  for (const double level : {0.0, -1.0, 1.5, std::nan("")}) {
    auto bad = samples;
    bad[1].level = level;
    CHECK_THAT(error_of([&] { fit_light(bad); }), Contains("light: expected levels above 0 and at most 1, got"));
  }
  auto bad = samples;
  bad[1].weight = -1;
  CHECK_THAT(error_of([&] { fit_light(bad); }), Contains("light: expected weights from 0, got -1"));
  bad[1].weight = bad[2].weight = 0;
  CHECK_THAT(error_of([&] { fit_light(bad); }), Contains("at least two pictures"));
}

}  // namespace
}  // namespace kind::testing
