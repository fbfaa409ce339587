#include "train/data/camera.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>
#include <utility>

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

/// Mean and variance of a channel's values.
std::pair<double, double> moments(const Image& image, std::size_t channel) {
  double sum = 0, squares = 0, n = 0;
  for (std::size_t i = channel; i < image.data.size(); i += 3, ++n) sum += image.data[i];
  for (std::size_t i = channel; i < image.data.size(); i += 3) squares += std::pow(image.data[i] - sum / n, 2);
  return {sum / n, squares / n};
}

/// Linear light of an 8-bit value.
double light_of(int value) { return decode(value / 255.0); }

TEST_CASE("with its new parts left out, the camera draws and rounds as it always has") {
  Image bright(64, 48, 3);
  for (std::size_t i = 0; i < bright.data.size(); ++i) bright.data[i] = static_cast<std::uint8_t>(i * 7 % 256);
  for (const double gamma : {0.3, 0.9, 1.0, 1.17, 4.0}) {
    const CameraConfig config = fixed(0.3, gamma, 0.003, 0.01);
    Random random(11), same(11);
    const Image dark = darken(bright, config, random);
    for (int i = 0; i < 2; ++i) same.uniform();  // exposure and gamma
    int wrong = 0;
    for (std::size_t i = 0; i < bright.data.size(); ++i) {
      const double light = std::exp(std::log(0.3)) * decode(bright.data[i] / 255.0);
      const double seen = std::clamp(light + std::sqrt(0.003 * light + 0.01 * 0.01) * same.normal(), 0.0, 1.0);
      wrong += dark.data[i] != static_cast<int>(std::floor(255 * std::pow(encode(seen), gamma) + 0.5)) ? 1 : 0;
    }
    INFO("gamma " << gamma);
    CHECK(wrong == 0);
  }
}

TEST_CASE("noise of fresh pictures, drawn the quick way, has the same mean and variance") {
  CameraConfig config = fixed(0.5, 1, 0.004, 0.01);
  Random a(3), b(4);
  const Image slow = darken(flat(200, 200), config, a);
  config.fresh = true;
  const Image quick = darken(flat(200, 200), config, b);
  CHECK(slow.data != quick.data);
  CHECK(moments(quick, 1).first == Approx(moments(slow, 1).first).margin(0.2));
  CHECK(moments(quick, 1).second == Approx(moments(slow, 1).second).epsilon(0.05));
}

TEST_CASE("gains leave the light and raise the noise of red and blue, and the noise factor raises all") {
  const auto variance = [](const CameraConfig& config, std::size_t channel) {
    Random random(5);
    return moments(darken(flat(200, 190), config, random), channel).second - 1.0 / 12;
  };
  const CameraConfig shot = fixed(0.5, 1, 0.002, 0), read = fixed(0.5, 1, 0, 0.012);
  for (const CameraConfig& plain : {shot, read}) {
    CameraConfig gained = plain, stronger = plain;
    gained.red_gain_low = gained.red_gain_high = 2;
    gained.blue_gain_low = gained.blue_gain_high = 1.5;
    stronger.noise_low = stronger.noise_high = 1.5;
    const bool is_shot = plain.shot_noise > 0;  // its variance grows with the gain, that of read noise with its square
    CHECK(variance(gained, 0) == Approx(variance(plain, 0) * std::pow(2, is_shot ? 1 : 2)).epsilon(0.06));
    CHECK(variance(gained, 1) == Approx(variance(plain, 1)).epsilon(0.03));
    CHECK(variance(gained, 2) == Approx(variance(plain, 2) * std::pow(1.5, is_shot ? 1 : 2)).epsilon(0.06));
    CHECK(variance(stronger, 1) == Approx(variance(plain, 1) * 2.25).epsilon(0.06));
    Random random(5);
    CHECK(moments(darken(flat(200, 190), gained, random), 0).first ==
          Approx(255 * encode(0.5 * light_of(190))).margin(1));
  }
}

TEST_CASE("a mosaic's noise is that of the nearest sensor pixels: weaker, and common to neighbours") {
  CameraConfig config = fixed(0.6, 1, 0, 0.02);
  Random a(7), b(8);
  const Image plain = darken(flat(240, 200), config, a);
  for (const char* const form : {"noise", "picture"}) {
    config.mosaic = form;
    const Image dark = darken(flat(240, 200), config, b);
    INFO(form);
    // Red and blue: a quarter of the pixels keep their own, half are means of two, a quarter of four; green: half
    // keep their own, half are means of four.
    const double whole = moments(plain, 1).second - 1.0 / 12;
    CHECK(moments(dark, 0).second - 1.0 / 12 == Approx(0.5625 * whole).epsilon(0.05));
    CHECK(moments(dark, 1).second - 1.0 / 12 == Approx(0.625 * whole).epsilon(0.05));
    CHECK(moments(dark, 2).second - 1.0 / 12 == Approx(0.5625 * whole).epsilon(0.05));
    // Neighbours across: of red in its rows own and mean, correlation (1/2) / sqrt(1/2); in others mean of two and of
    // four, (1/4) / sqrt(1/8): covariances 1/2 and 1/4 of the sensor's variance, none where there is no mosaic.
    const auto covariance = [](const Image& image) {
      const double mean = moments(image, 0).first;
      double sum = 0, n = 0;
      for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x + 1 < image.width; ++x, ++n) {
          sum += (image.sample(x, y, 0) - mean) * (image.sample(x + 1, y, 0) - mean);
        }
      }
      return sum / n;
    };
    CHECK(covariance(dark) == Approx(0.375 * whole).epsilon(0.08));
    CHECK(std::abs(covariance(plain)) < 0.02 * whole);
  }
}

TEST_CASE("without noise a mosaic leaves flat pictures, and edges where only the noise passes it") {
  Image step(12, 9, 3);
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 12; ++x) {
      for (int c = 0; c < 3; ++c) step.set_sample(x, y, c, x < 6 ? 60 : 220);
    }
  }
  CameraConfig config = fixed(0.5, 1, 0, 0);
  Random a(1), b(1), c(1), d(1);
  const Image plain = darken(step, config, a), plain_flat = darken(flat(9, 130), config, a);
  config.mosaic = "noise";
  CHECK(darken(step, config, b).data == plain.data);
  config.mosaic = "picture";
  CHECK(darken(flat(9, 130), config, c).data == plain_flat.data);
  const Image blurred = darken(step, config, d);
  const int low = plain.sample(0, 0, 0), high = plain.sample(11, 0, 0);
  const double half = 255 * encode(0.25 * (light_of(60) + light_of(220)));
  int between = 0;
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 12; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        const int value = blurred.sample(x, y, channel);
        if (x < 5 || x > 6) CHECK(value == (x < 6 ? low : high));
        CHECK((value >= low && value <= high));
        between += value > low && value < high ? 1 : 0;
      }
    }
    // In its own rows, red or blue is the mean of both sides at one of the two pixels beside the edge.
    bool found = false;
    for (const int x : {5, 6}) {
      for (const int channel : {0, 2}) found = found || std::abs(blurred.sample(x, y, channel) - half) <= 0.5 + 1e-4;
    }
    CHECK(found);
  }
  CHECK(between > 9);
}

TEST_CASE("an error of the white balance moves red and blue, each its own way") {
  CameraConfig config = fixed(0.4, 1, 0, 0);
  config.white_balance = 0.5;
  double least[3] = {9, 9, 9}, most[3] = {0, 0, 0};
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    const Image dark = darken(flat(1, 230), config, random);
    for (std::size_t c = 0; c < 3; ++c) {
      const double gain = light_of(dark.data[c]) / (0.4 * light_of(230));
      least[c] = std::min(least[c], gain);
      most[c] = std::max(most[c], gain);
    }
  }
  CHECK(most[1] - least[1] == 0);
  for (const std::size_t c : {std::size_t{0}, std::size_t{2}}) {
    CHECK((least[c] > 0.69 && least[c] < 0.74));
    CHECK((most[c] < 1.44 && most[c] > 1.36));
  }
}

TEST_CASE("light falls off by so many stops from one corner to the opposite one") {
  CameraConfig config = fixed(0.8, 1, 0, 0);
  config.falloff_low = config.falloff_high = 2;
  Random random(3);
  std::set<int> brightest;
  for (int i = 0; i < 40; ++i) {
    Image white(33, 21, 3);
    std::fill(white.data.begin(), white.data.end(), std::uint8_t{250});
    const Image dark = darken(white, config, random);
    const int corners[] = {dark.sample(0, 0, 1), dark.sample(32, 0, 1), dark.sample(0, 20, 1), dark.sample(32, 20, 1)};
    const auto [low, high] = std::minmax_element(std::begin(corners), std::end(corners));
    brightest.insert(static_cast<int>(high - corners));
    CHECK(light_of(*high) == Approx(0.8 * light_of(250)).epsilon(0.02));
    CHECK(light_of(*low) == Approx(0.2 * light_of(250)).epsilon(0.02));
    CHECK((low - corners) + (high - corners) == 3);  // opposite
    CHECK(light_of(dark.sample(16, 10, 0)) == Approx(0.4 * light_of(250)).epsilon(0.02));
  }
  CHECK(brightest.size() == 4);
}

TEST_CASE("windows keep their own exposure, in their share of pictures, and clip as a camera does") {
  CameraConfig config = fixed(0.05, 1, 0, 0);
  config.windows = 0.25;
  config.window_exposure_low = config.window_exposure_high = 4;
  const Image bright = flat(40, 200);
  const int dim = static_cast<int>(std::lround(255 * encode(0.05 * light_of(200))));
  int with = 0, soft = 0;
  double area = 0;
  Random random(4);
  for (int i = 0; i < 400; ++i) {
    const Image dark = darken(bright, config, random);
    const auto full = std::count(dark.data.begin(), dark.data.end(), 255);
    const auto rest = std::count(dark.data.begin(), dark.data.end(), dim);
    const auto size = static_cast<std::ptrdiff_t>(dark.data.size());
    if (rest == size) continue;
    ++with;
    area += static_cast<double>(full) / static_cast<double>(size);
    soft += full + rest < size * 19 / 20 ? 1 : 0;
    CHECK(*std::min_element(dark.data.begin(), dark.data.end()) >= dim);
  }
  CHECK(with == Approx(100).margin(25));
  CHECK((area / with > 0.03 && area / with < 0.5));
  CHECK(soft > 3);
  CHECK(soft < with);
  // Beside the window nothing is different.
  config.windows = 0;
  CHECK(darken(bright, config, random).data == flat(40, dim).data);
}

TEST_CASE("dark pictures pass JPEG in their share, at the quality that is asked for") {
  Image bright(64, 64, 3);
  for (int i = 0; i < 64 * 64 * 3; ++i) {
    bright.data[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i / 3 % 64 * 3 + i % 3 * 20);
  }
  const auto error = [&](double share, int quality, std::uint64_t seed) {
    CameraConfig config = fixed(0.4, 1, 0.002, 0.005);
    Random a(seed), b(seed);
    const Image plain = darken(bright, config, a);
    config.jpeg = share;
    config.jpeg_quality_low = config.jpeg_quality_high = quality;
    const Image dark = darken(bright, config, b);
    double sum = 0;
    for (std::size_t i = 0; i < dark.data.size(); ++i) sum += std::abs(dark.data[i] - plain.data[i]);
    return sum / static_cast<double>(dark.data.size());
  };
  CHECK(error(0, 60, 1) == 0);
  CHECK(error(1, 95, 1) > 0);
  CHECK(error(1, 30, 1) > 2 * error(1, 95, 1));
  int compressed = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) compressed += error(0.5, 60, seed) > 0 ? 1 : 0;
  CHECK((compressed > 15 && compressed < 45));
}

TEST_CASE("pictures of any size pass every part of the camera, the same way for the same generator") {
  CameraConfig config;
  config.noise_high = 2;
  config.red_gain_high = 2;
  config.white_balance = 0.3;
  config.falloff_high = 3;
  config.windows = 1;
  config.jpeg = 0.5;
  for (const char* const mosaic : {"none", "noise", "picture"}) {
    config.mosaic = mosaic;
    for (const auto& [width, height] : {std::pair(1, 1), {1, 5}, {6, 1}, {2, 2}, {17, 31}}) {
      Image bright(width, height, 3);
      std::fill(bright.data.begin(), bright.data.end(), std::uint8_t{180});
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Random a(seed), b(seed);
        const Image dark = darken(bright, config, a);
        CHECK((dark.width == width && dark.height == height && dark.channels == 3 && dark.bits == 8));
        CHECK(dark.data == darken(bright, config, b).data);
      }
    }
  }
}

}  // namespace
}  // namespace kind::testing
