#include "train/camera.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

namespace kind::testing {
namespace {

double encode(double v) { return v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055; }
double decode(double v) { return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4); }

Image flat(int side, int value) {
  Image image(side, side, 3);
  std::fill(image.data.begin(), image.data.end(), static_cast<std::uint8_t>(value));
  return image;
}

CameraConfig fixed(double exposure, double gamma, double shot, double read) {
  CameraConfig config;
  config.exposure_low = config.exposure_high = exposure;
  config.gamma_low = config.gamma_high = gamma;
  config.shot_noise = shot;
  config.read_noise = read;
  return config;
}

TEST_CASE("a darkened picture is the same for the same generator") {
  const Image bright = flat(9, 200);
  Random a(3, {1}), b(3, {1}), c(3, {2});
  const Image first = darken(bright, {}, a);
  CHECK(first.data == darken(bright, {}, b).data);
  CHECK(first.data != darken(bright, {}, c).data);
  CHECK((first.width == 9 && first.height == 9 && first.channels == 3 && first.bits == 8));
}

TEST_CASE("without noise each value is darkened by the formula") {
  Image bright(16, 16, 3);
  for (std::size_t i = 0; i < bright.data.size(); ++i) bright.data[i] = static_cast<std::uint8_t>(i % 256);
  Random random(1);
  const Image dark = darken(bright, fixed(0.2, 1.2, 0, 0), random);
  for (std::size_t i = 0; i < bright.data.size(); ++i) {
    const double expected = 255 * std::pow(encode(0.2 * decode(bright.data[i] / 255.0)), 1.2);
    CHECK(std::abs(dark.data[i] - expected) <= 0.5 + 1e-6);
  }
  Random again(1);
  CHECK(darken(bright, fixed(1, 1, 0, 0), again).data == bright.data);
}

TEST_CASE("mean and variance of the noise follow the formula") {
  // A middling exposure, so that nothing is clipped and rounding (variance 1/12) is small.
  const double exposure = 0.5, shot = 0.004, read = 0.01;
  for (const double gamma : {1.0, 1.25}) {
    for (const int value : {140, 230}) {
      Random random(7, {static_cast<std::uint64_t>(value)});
      const Image dark = darken(flat(128, value), fixed(exposure, gamma, shot, read), random);
      const double light = exposure * decode(value / 255.0), h = 1e-5;
      const auto curve = [&](double v) { return 255 * std::pow(encode(v), gamma); };
      const double slope = (curve(light + h) - curve(light - h)) / (2 * h);
      const double curvature = (curve(light + h) - 2 * curve(light) + curve(light - h)) / (h * h);
      const double noise = shot * light + read * read;
      double sum = 0, squares = 0;
      for (const std::uint8_t v : dark.data) sum += v;
      const double n = static_cast<double>(dark.data.size()), mean = sum / n;
      for (const std::uint8_t v : dark.data) squares += (v - mean) * (v - mean);
      INFO("gamma " << gamma << ", value " << value << ", light " << light);
      CHECK(mean == Approx(curve(light) + curvature * noise / 2).margin(0.35).epsilon(0));
      CHECK(squares / n == Approx(slope * slope * noise + 1.0 / 12).epsilon(0.08));
    }
  }
}

TEST_CASE("exposures are drawn from their range, log-uniformly") {
  CameraConfig config = fixed(0.05, 1, 0, 0);
  config.exposure_high = 0.8;
  std::vector<double> drawn;
  Random random(5);
  for (int i = 0; i < 2000; ++i) drawn.push_back(decode(darken(flat(1, 255), config, random).data[0] / 255.0));
  std::sort(drawn.begin(), drawn.end());
  CHECK(drawn.front() >= 0.049);
  CHECK(drawn.front() < 0.053);
  CHECK(drawn.back() <= 0.805);
  CHECK(drawn.back() > 0.77);
  CHECK(drawn[1000] == Approx(0.2).epsilon(0.08));  // the geometric mean
}

TEST_CASE("noise at black and at white stays in range") {
  Random random(1);
  const Image black = darken(flat(32, 0), fixed(1, 1, 0, 0.5), random),
              white = darken(flat(32, 255), fixed(1, 1, 0, 0.5), random);
  CHECK(*std::min_element(black.data.begin(), black.data.end()) == 0);
  CHECK(*std::max_element(white.data.begin(), white.data.end()) == 255);
  CHECK(std::count(black.data.begin(), black.data.end(), 0) == Approx(32 * 32 * 3 / 2).epsilon(0.1));
}

}  // namespace
}  // namespace kind::testing
