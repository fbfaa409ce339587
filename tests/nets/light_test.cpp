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

const double kTrue[kCount] = {0.3, -0.2, 0.05, 0.4, -0.15, 0.1, 0.02, -0.08};
constexpr double kTrueBias = 0.7;

std::vector<double> ratios_of(const std::vector<LightStatistics>& statistics, double noise = 0) {
  Random random(99);
  std::vector<double> ratios;
  for (const LightStatistics& s : statistics) {
    double log_ratio = kTrueBias + noise * random.normal();
    for (int i = 0; i < kCount; ++i) log_ratio += kTrue[i] * s.values[i];
    ratios.push_back(std::exp(log_ratio));
  }
  return ratios;
}

TEST_CASE("light: statistics of small pictures, worked out by hand") {
  SECTION("one pixel") {
    const LightStatistics s =
        light_statistics(Tensor<float>({1, 3, 1, 1}, {0.5f, 0.25f, 0.125f}), Tensor<float>({1, 1, 1, 1}, {0.2f}));
    const double gray = 0.299 * 0.5 + 0.587 * 0.25 + 0.114 * 0.125;
    const double expected[kCount] = {
        std::log(gray + 1e-3), 0, std::log(gray + 1e-3), std::log(0.201), 0, std::log(0.201), gray, 0.375};
    for (int i = 0; i < kCount; ++i) {
      INFO(LightStatistics::kNames[i]);
      CHECK(s.values[i] == Approx(expected[i]).margin(1e-6));
    }
  }
  SECTION("three gray pixels") {
    const LightStatistics s =
        light_statistics(Tensor<float>({1, 3, 1, 3}, {0.1f, 0.4f, 0.2f, 0.1f, 0.4f, 0.2f, 0.1f, 0.4f, 0.2f}),
                         Tensor<float>({1, 1, 1, 3}, {0.9f, 0.3f, 0.6f}));
    const double mean = 0.7 / 3, deviation = std::sqrt((0.01 + 0.16 + 0.04) / 3 - mean * mean);
    const double expected[kCount] = {
        std::log(mean + 1e-3), deviation, std::log(0.201), std::log(0.601), std::sqrt(0.06), std::log(0.601), 0.4, 0};
    for (int i = 0; i < kCount; ++i) {
      INFO(LightStatistics::kNames[i]);
      CHECK(s.values[i] == Approx(expected[i]).margin(1e-6));
    }
  }
  SECTION("black is finite") {
    const LightStatistics s = light_statistics(Tensor<float>::zeros({1, 3, 4, 5}), Tensor<float>::zeros({1, 1, 4, 5}));
    for (const double value : s.values) CHECK(std::isfinite(value));
  }
}

TEST_CASE("light: sizes that do not fit are named") {
  CHECK_THAT(
      error_of([] {
        light_statistics(Tensor<float>::zeros({1, 3, 2, 2}), Tensor<float>::zeros({1, 1, 2, 3}));
      }),
      Contains("expected a picture [1, 3, h, w] and its illumination [1, 1, h, w], got [1, 3, 2, 2] and [1, 1, 2, 3]"));
  CHECK_THAT(error_of([] {
               light_statistics(Tensor<float>::zeros({1, 3, 0, 2}), Tensor<float>::zeros({1, 1, 0, 2}));
             }),
             Contains("light: expected"));
}

TEST_CASE("light: what made the ratios is found again") {
  const auto statistics = random_statistics(200, 1);
  const std::vector<double> ratios = ratios_of(statistics);
  const LightConfig config = fit_light(statistics, ratios, 1e-12);
  CHECK(config.bias == Approx(kTrueBias).epsilon(1e-6));
  for (int i = 0; i < kCount; ++i) CHECK(config.weights[static_cast<std::size_t>(i)] == Approx(kTrue[i]).epsilon(1e-6));
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    CHECK(automatic_ratio(config, statistics[i]) == Approx(ratios[i]).epsilon(1e-6));
  }
  CHECK(config.lowest == *std::min_element(ratios.begin(), ratios.end()));
  CHECK(config.highest == *std::max_element(ratios.begin(), ratios.end()));
  CHECK_NOTHROW(config.validate(""));
}

TEST_CASE("light: noise is averaged out") {
  const auto statistics = random_statistics(4000, 2);
  const LightConfig config = fit_light(statistics, ratios_of(statistics, 0.1), 1e-6);
  CHECK(config.bias == Approx(kTrueBias).margin(0.05));
  for (int i = 0; i < kCount; ++i) CHECK(config.weights[static_cast<std::size_t>(i)] == Approx(kTrue[i]).margin(0.02));
}

TEST_CASE("light: the penalty is the ridge of the formula") {
  // One statistic varies, so that the solution is known: with variance v and covariance c of it with log ratio, its
  // standardised weight is (c / sqrt(v)) / (1 + penalty).
  std::vector<LightStatistics> statistics(4, LightStatistics{});
  const double at[] = {0, 1, 2, 5}, log_ratio[] = {0.1, 0.4, 0.2, 1.0};
  std::vector<double> ratios;
  for (std::size_t i = 0; i < 4; ++i) {
    statistics[i].values[3] = at[i];
    ratios.push_back(std::exp(log_ratio[i]));
  }
  const double mean = 2, mean_log = 0.425;
  double variance = 0, covariance = 0;
  for (int i = 0; i < 4; ++i) {
    variance += (at[i] - mean) * (at[i] - mean) / 4;
    covariance += (at[i] - mean) * (log_ratio[i] - mean_log) / 4;
  }
  for (const double penalty : {0.01, 1.0, 1e6}) {
    const LightConfig config = fit_light(statistics, ratios, penalty);
    const double weight = covariance / variance / (1 + penalty);
    CHECK(config.weights[3] == Approx(weight));
    CHECK(config.bias == Approx(mean_log - weight * mean));
    for (const std::size_t i : {0u, 1u, 2u, 4u, 5u, 6u, 7u}) CHECK(config.weights[i] == 0);
  }
}

TEST_CASE("light: statistics that repeat each other do no harm") {
  auto statistics = random_statistics(50, 3);
  for (LightStatistics& s : statistics) s.values[5] = 2 * s.values[2] + 1;
  const std::vector<double> ratios = ratios_of(statistics);
  const LightConfig config = fit_light(statistics, ratios, 1e-6);
  for (std::size_t i = 0; i < ratios.size(); ++i)
    CHECK(automatic_ratio(config, statistics[i]) == Approx(ratios[i]).epsilon(1e-3));
}

TEST_CASE("light: the ratio keeps its limits") {
  LightConfig config;
  config.bias = std::log(3.0);
  config.lowest = 2;
  config.highest = 4;
  LightStatistics s{};
  CHECK(automatic_ratio(config, s) == Approx(3));
  config.weights[6] = 1;
  s.values[6] = 1;
  CHECK(automatic_ratio(config, s) == 4);
  s.values[6] = -1;
  CHECK(automatic_ratio(config, s) == 2);
  s.values[6] = 1e6;
  CHECK(automatic_ratio(config, s) == 4);
}

TEST_CASE("light: what cannot be fitted is refused") {
  const auto statistics = random_statistics(3, 1);
  CHECK_THAT(error_of([&] { fit_light({}, {}); }), Contains("at least two pictures, got 0 and 0"));
  CHECK_THAT(error_of([&] { fit_light({statistics[0]}, {2}); }), Contains("got 1 and 1"));
  CHECK_THAT(error_of([&] { fit_light(statistics, {2, 3}); }), Contains("got 3 and 2"));
  CHECK_THAT(error_of([&] { fit_light(statistics, {2, 0, 3}); }), Contains("expected ratios greater than 0, got 0"));
  CHECK_THAT(error_of([&] { fit_light(statistics, {2, -1, 3}); }), Contains("got -1"));
  CHECK_THAT(error_of([&] { fit_light(statistics, {2, std::nan(""), 3}); }), Contains("nan"));
  CHECK_THAT(error_of([&] { fit_light(statistics, {2, INFINITY, 3}); }), Contains("inf"));
}

}  // namespace
}  // namespace kind::testing
