// What the shipped model does with pictures unlike those it was trained on. Each was once a fault to be seen: dark
// rings around lamps and along white borders, a black sky turned gray, grain, casts.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <vector>

#include "nets/photograph.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

using Color = std::array<double, 3>;

constexpr std::int64_t kHeight = 144, kWidth = 176;

/// In 8 bits, as photographs come.
Tensor<float> picture_of(const std::function<Color(double y, double x)>& color) {
  Tensor<float> picture(Shape{1, 3, kHeight, kWidth});
  for (std::int64_t i = 0; i < kHeight * kWidth; ++i) {
    const Color rgb = color(static_cast<double>(i / kWidth), static_cast<double>(i % kWidth));
    for (std::int64_t c = 0; c < 3; ++c) {
      const double value = std::clamp(rgb[static_cast<std::size_t>(c)], 0.0, 1.0);
      picture[c * kHeight * kWidth + i] = static_cast<float>(std::round(255 * value) / 255);
    }
  }
  return picture;
}

Tensor<float> enhanced(const Tensor<float>& picture) {
  static const Model<float> model = load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors");
  return to_tensor(enhance_photo(model, to_image(picture)).image);
}

/// The values of a channel where `where(y, x)` holds, from the least to the greatest.
std::vector<double> values_at(const Tensor<float>& picture, std::int64_t channel,
                              const std::function<bool(double y, double x)>& where) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < kHeight * kWidth; ++i) {
    if (where(static_cast<double>(i / kWidth), static_cast<double>(i % kWidth))) {
      values.push_back(static_cast<double>(picture[channel * kHeight * kWidth + i]));
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

double mean_at(const Tensor<float>& picture, std::int64_t channel,
               const std::function<bool(double y, double x)>& where) {
  double sum = 0;
  const std::vector<double> values = values_at(picture, channel, where);
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double v : values) sum += v, squares += v * v;
  const double mean = sum / static_cast<double>(values.size());
  return std::sqrt(std::max(0.0, squares / static_cast<double>(values.size()) - mean * mean));
}

/// A dark room: a wall with soft stripes, and some grain.
Color room(double y, double x, Random& random) {
  const double wall = 0.02 + 0.007 * std::sin(x / 9) * std::sin(y / 13);
  Color color{wall * 1.1, wall, wall * 0.85};
  for (double& c : color) c += 0.002 * random.normal();
  return color;
}

TEST_CASE("shipped model: a lamp in a dark room keeps its shape and its color, without a ring around it") {
  for (const double radius : {4.0, 12.0, 25.0}) {
    const auto distance = [](double y, double x) { return std::hypot(y - 70, x - 90); };
    Random random(1);
    // Its light falls on the wall around it.
    const Tensor<float> output = enhanced(picture_of([&](double y, double x) {
      if (distance(y, x) < radius) return Color{1, 0.97, 0.88};
      Color color = room(y, x, random);
      for (double& c : color) c *= 1 + 3 * std::exp(-distance(y, x) / 50);
      return color;
    }));
    const auto ring = [&](std::int64_t channel, double from, double to) {
      return mean_at(output, channel, [&](double y, double x) {
        return distance(y, x) >= radius + from && distance(y, x) < radius + to;
      });
    };
    INFO("radius " << radius);
    for (std::int64_t c = 0; c < 3; ++c) {
      INFO("channel " << c);
      CHECK(ring(c, 25, 35) > 0.12);
      CHECK(ring(c, 2, 6) > 0.75 * ring(c, 25, 35));
      CHECK(ring(c, 2, 6) < 1.6 * ring(c, 25, 35));  // it is 1.45 times as bright before
      CHECK(mean_at(output, c, [&](double y, double x) { return distance(y, x) < radius - 2; }) > 0.85);
    }
  }
}

TEST_CASE("shipped model: a black sky with stars stays dark, and the stars stay") {
  Random random(2);
  const auto star = [](double y, double x) { return std::fmod(y, 29) < 2 && std::fmod(x, 31) < 2; };
  const Tensor<float> output = enhanced(picture_of([&](double y, double x) {
    const double value = star(y, x) ? 0.95 : 0.012 + 0.004 * random.normal();
    return Color{value, value, value};
  }));
  for (std::int64_t c = 0; c < 3; ++c) {
    const std::vector<double> sky = values_at(output, c, [&](double y, double x) { return !star(y, x); });
    CHECK(sky[sky.size() / 2] < 0.15);
    CHECK(mean_at(output, c, star) > 0.5);
  }
}

TEST_CASE("shipped model: a dark picture in a white frame is as bright at the frame as further in") {
  Random random(3);
  const auto inside = [](double y, double x, double by) {
    return y >= 8 + by && y < kHeight - 8 - by && x >= 8 + by && x < kWidth - 8 - by;
  };
  const Tensor<float> output = enhanced(picture_of([&](double y, double x) {
    return inside(y, x, 0) ? room(y, x, random) : Color{1, 1, 1};
  }));
  for (std::int64_t c = 0; c < 3; ++c) {
    const auto band = [&](double from, double to) {
      return mean_at(output, c, [&](double y, double x) { return inside(y, x, from) && !inside(y, x, to); });
    };
    CHECK(band(2, 6) > 0.85 * band(20, 28));
    CHECK(mean_at(output, c, [&](double y, double x) { return !inside(y, x, -4); }) > 0.96);
  }
}

TEST_CASE("shipped model: gray stays gray, and an even color the color it is") {
  Random random(4);
  const Tensor<float> gray = enhanced(picture_of([&](double y, double x) {
    const double value = room(y, x, random)[1] + 0.1 * (x > 100);
    return Color{value, value, value};
  }));
  double apart = 0;
  for (std::int64_t i = 0; i < kHeight * kWidth; ++i) {
    const auto [least, most] = std::minmax({gray[i], gray[kHeight * kWidth + i], gray[2 * kHeight * kWidth + i]});
    apart += static_cast<double>(most - least) / (kHeight * kWidth);
  }
  CHECK(apart < 0.03);
  for (const Color& color : {Color{0.1, 0.05, 0.02}, Color{0, 0, 0}, Color{0.02, 0.02, 0.02}, Color{1, 1, 1}}) {
    const Tensor<float> picture = picture_of([&](double, double) { return color; });
    const std::vector<float> before = picture.to_vector(), after = enhanced(picture).to_vector();
    for (std::size_t i = 0; i < before.size(); ++i) REQUIRE(after[i] == Approx(before[i]).margin(1e-6));
  }
}

TEST_CASE("shipped model: a bright picture hardly changes") {
  const Tensor<float> picture = picture_of([](double y, double x) {
    return Color{0.6 + 0.25 * std::sin(x / 20), 0.6 + 0.25 * std::cos(y / 17), 0.55 + 0.2 * std::sin((x + y) / 25)};
  });
  const std::vector<float> before = picture.to_vector(), after = enhanced(picture).to_vector();
  double sum = 0;
  for (std::size_t i = 0; i < before.size(); ++i) sum += static_cast<double>(std::abs(after[i] - before[i]));
  CHECK(sum / static_cast<double>(before.size()) < 0.01);
}

TEST_CASE("shipped model: grain is taken away, edges are not") {
  Random random(5);
  const auto right = [](double, double x) { return x >= 100; };
  const Tensor<float> picture = picture_of([&](double y, double x) {
    Color color = right(y, x) ? Color{0.12, 0.1, 0.08} : Color{0.05, 0.06, 0.07};
    for (double& c : color) c += 0.008 * random.normal();
    return color;
  });
  const Tensor<float> output = enhanced(picture);
  const auto middle_of = [&](const Tensor<float>& p, std::int64_t c, double from, double to) {
    return values_at(p, c, [&](double y, double x) { return x >= from && x < to && y > 20 && y < kHeight - 20; });
  };
  for (std::int64_t c = 0; c < 3; ++c) {
    for (const auto& columns : {std::pair{20.0, 80.0}, std::pair{120.0, 156.0}}) {
      const auto relative = [&](const Tensor<float>& p) {
        return deviation(middle_of(p, c, columns.first, columns.second)) /
               mean_at(p, c, [&](double, double x) { return x >= columns.first && x < columns.second; });
      };
      CHECK(relative(output) < 0.4 * relative(picture));
    }
    const auto step = [&](const Tensor<float>& p, double apart) {
      return mean_at(p, c, [&](double, double x) { return x >= 100 + apart && x < 102 + apart; }) -
             mean_at(p, c, [&](double, double x) { return x < 100 - apart && x >= 98 - apart; });
    };
    // The edge is as steep as it was: the pixels beside it are as far apart as those further away.
    CHECK(step(output, 0) > 0.6 * step(output, 12));
  }
}

}  // namespace
}  // namespace kind::testing
