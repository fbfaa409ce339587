#include "train/data/augment.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <utility>
#include <vector>

namespace kind::testing {
namespace {

constexpr std::int64_t kPictures = 3, kPlanes = 11;
const float kValues[kPictures] = {0.1f, 0.5f, 0.4f};  // of the dark picture and the bright ones

/// A sample of even pictures with two more planes.
Tensor<float> even_sample(std::int64_t size) {
  Tensor<float> sample(Shape{kPlanes, size, size});
  for (std::int64_t p = 0; p < kPlanes; ++p) {
    std::fill_n(sample.data() + p * size * size, size * size, p < 9 ? kValues[p / 3] : 7.0f);
  }
  return sample;
}

TEST_CASE("lamps shine at the same places in all pictures, in one color, and brightest in the bright ones") {
  constexpr std::int64_t kSize = 40, kPlane = kSize * kSize;
  Random random(1);
  int small = 0, large = 0, clipped = 0, tinted = 0;
  for (int i = 0; i < 300; ++i) {
    Tensor<float> sample = even_sample(kSize);
    put_lamps(sample, kPictures, random);
    for (std::int64_t k = 9 * kPlane; k < sample.size(); ++k) REQUIRE(sample[k] == 7);
    std::int64_t changed = 0, full = -1;
    for (std::int64_t k = 0; k < kPlane; ++k) {
      const float* const pixel = sample.data() + k;
      float least = 1, most = 0, most_dark = 0;
      for (std::int64_t c = 0; c < 3; ++c) {
        REQUIRE((pixel[c * kPlane] >= 0 && pixel[c * kPlane] <= 1.00001f));
        least = std::min(least, pixel[(3 + c) * kPlane]), most = std::max(most, pixel[(3 + c) * kPlane]);
        most_dark = std::max(most_dark, pixel[c * kPlane]);
        // Of both bright pictures the same share is covered.
        const double covered = static_cast<double>(pixel[(3 + c) * kPlane] - pixel[(6 + c) * kPlane]) / 0.1;
        REQUIRE((covered >= -1e-5 && covered <= 1 + 1e-5));
        if (covered < 1e-5 && c == 0) full = k;
      }
      REQUIRE(least > 0.49f);
      REQUIRE((most_dark == 0.1f) == (most == 0.5f));
      changed += most_dark == 0.1f ? 0 : 1;
    }
    small += changed < 25 ? 1 : 0;
    large += changed > kPlane / 2 ? 1 : 0;
    if (full < 0) continue;
    // All of this pixel shines: a tint whose largest channel is 1 in the bright pictures.
    const float* const pixel = sample.data() + full;
    const auto largest = [&](std::int64_t p) {
      return std::max({pixel[3 * p * kPlane], pixel[(3 * p + 1) * kPlane], pixel[(3 * p + 2) * kPlane]});
    };
    CHECK(largest(1) == Approx(1));
    const float dark = largest(0);
    CHECK(dark >= 0.3f);
    clipped += dark > 0.999f ? 1 : 0;
    for (std::int64_t c = 0; c < 3; ++c) {
      CHECK(pixel[c * kPlane] == Approx(dark * pixel[(3 + c) * kPlane]).epsilon(1e-4));
      tinted += pixel[(3 + c) * kPlane] < 0.9f ? 1 : 0;
    }
  }
  CHECK(small > 20);
  CHECK(large > 20);
  CHECK((clipped > 60 && clipped < 200));
  CHECK(tinted > 50);
}

TEST_CASE("lamps and noise fit into a sample of any size") {
  for (const std::int64_t size : {1, 2, 3}) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      Random random(seed);
      Tensor<float> sample = even_sample(size);
      put_lamps(sample, kPictures, random);
      add_noise(sample, random);
      shuffle_colors(sample, kPictures, random);
      for (std::int64_t k = 0; k < 9 * size * size; ++k) REQUIRE((sample[k] >= 0 && sample[k] <= 1.00001f));
      for (std::int64_t k = 9 * size * size; k < sample.size(); ++k) REQUIRE(sample[k] == 7);
    }
  }
}

TEST_CASE("noise is white, up to 0.06 and mostly little, and the dark picture's alone") {
  constexpr std::int64_t kSize = 30, kCount = 3 * kSize * kSize;
  std::vector<double> deviations;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Tensor<float> sample = even_sample(kSize);
    std::fill_n(sample.data(), kCount, 0.5f);
    add_noise(sample, random);
    for (std::int64_t k = kCount; k < 2 * kCount; ++k) REQUIRE(sample[k] == 0.5f);
    double sum = 0, squares = 0, neighbours = 0;
    for (std::int64_t k = 0; k < kCount; ++k) {
      const double d = static_cast<double>(sample[k]) - 0.5;
      sum += d, squares += d * d;
      if (k > 0) neighbours += d * (static_cast<double>(sample[k - 1]) - 0.5);
    }
    deviations.push_back(std::sqrt(squares / kCount));
    CHECK(std::abs(sum) <= 5 * deviations.back() * std::sqrt(kCount));
    CHECK(std::abs(neighbours) <= 0.1 * squares);
  }
  std::sort(deviations.begin(), deviations.end());
  CHECK(deviations.front() < 0.001);
  CHECK(deviations[100] == Approx(0.015).margin(0.004));
  CHECK(deviations.back() == Approx(0.06).margin(0.003));
  // Values stay what a picture can hold.
  Random random(3);
  Tensor<float> black = Tensor<float>::zeros({3, kSize, kSize});
  add_noise(black, random);
  const auto [least, most] = std::minmax_element(black.data(), black.data() + kCount);
  CHECK((*least == 0 && *most > 0));
}

/// A sample of random pictures, of which the dark one is a tenth of the bright one, with two more planes.
Tensor<float> random_sample(std::int64_t size, double low, double high) {
  Tensor<float> sample(Shape{kPlanes, size, size});
  const std::int64_t picture = 3 * size * size;
  Random random(5);
  for (std::int64_t k = 0; k < sample.size(); ++k) {
    sample[k] = k < picture ? static_cast<float>(random.uniform(low, high)) : sample[k - picture];
  }
  for (std::int64_t k = 0; k < picture; ++k) sample[k] /= 10;
  return sample;
}

TEST_CASE("colors are turned about the gray axis and stretched, in all pictures alike") {
  constexpr std::int64_t kSize = 12, kPlane = kSize * kSize;
  const Tensor<float> before = random_sample(kSize, 0.42, 0.58);  // far enough from the ends for any stretch
  std::vector<double> angles, stretches;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    Tensor<float> after = before.clone();
    turn_colors(after, kPictures, random);
    double angle = 0, stretch = 0;
    for (std::int64_t p = 0; p < kPictures; ++p) {
      for (std::int64_t k = 0; k < kPlane; ++k) {
        // Axes across gray: (1, -1, 0) / sqrt 2 and (1, 1, -2) / sqrt 6.
        const auto across = [&](const Tensor<float>& sample) {
          const auto at = [&](std::int64_t c) { return static_cast<double>(sample[(3 * p + c) * kPlane + k]); };
          return std::pair((at(0) - at(1)) / std::sqrt(2.0), (at(0) + at(1) - 2 * at(2)) / std::sqrt(6.0));
        };
        const auto mean = [&](const Tensor<float>& sample) {
          double sum = 0;
          for (std::int64_t c = 0; c < 3; ++c) sum += static_cast<double>(sample[(3 * p + c) * kPlane + k]);
          return sum / 3;
        };
        REQUIRE(mean(after) == Approx(mean(before)).margin(1e-6));
        const auto [u, v] = across(before);
        const auto [a, b] = across(after);
        if (p == 0 && k == 0) {
          stretch = std::hypot(a, b) / std::hypot(u, v);
          angle = std::atan2(u * b - v * a, u * a + v * b);
          angles.push_back(angle), stretches.push_back(stretch);
        }
        REQUIRE(a == Approx(stretch * (std::cos(angle) * u - std::sin(angle) * v)).margin(2e-5));
        REQUIRE(b == Approx(stretch * (std::sin(angle) * u + std::cos(angle) * v)).margin(2e-5));
      }
    }
    for (std::int64_t k = 9 * kPlane; k < after.size(); ++k) REQUIRE(after[k] == before[k]);
  }
  std::sort(angles.begin(), angles.end());
  std::sort(stretches.begin(), stretches.end());
  constexpr double kPi = 3.14159265358979;
  CHECK((angles.front() < -0.95 * kPi && angles.back() > 0.95 * kPi && std::abs(angles[200]) < 0.2 * kPi));
  CHECK((stretches.front() < 0.05 && stretches.back() > 1.55 && stretches.back() <= 1.6001));
  CHECK(stretches[200] == Approx(0.8).margin(0.1));
}

TEST_CASE("stretched colors leave the range in a hundredth of the bright picture's pixels at most") {
  constexpr std::int64_t kSize = 30, kPlane = kSize * kSize;
  const Tensor<float> before = random_sample(kSize, 0, 1);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    Tensor<float> after = before.clone();
    turn_colors(after, kPictures, random);
    int clipped = 0;
    for (std::int64_t k = 0; k < kPlane; ++k) {
      bool at_end = false;
      for (std::int64_t c = 0; c < 3; ++c) {
        const float value = after[(3 + c) * kPlane + k];
        REQUIRE((value >= 0 && value <= 1));
        at_end = at_end || value == 0 || value == 1;
      }
      clipped += at_end ? 1 : 0;
    }
    CHECK(clipped <= kPlane / 100 + 1);
  }
}

TEST_CASE("gray pictures stay gray when colors are turned, and colored ones become gray") {
  for (const std::int64_t size : {1, 2, 7}) {
    Random random(3);
    Tensor<float> even = even_sample(size);
    turn_colors(even, kPictures, random);
    for (std::int64_t k = 0; k < 9 * size * size; ++k) {
      REQUIRE(even[k] == Approx(kValues[k / (3 * size * size)]).epsilon(1e-6));
    }
    const Tensor<float> before = random_sample(size, 0, 1);
    Tensor<float> after = before.clone();
    make_gray(after, kPictures);
    const std::int64_t plane = size * size;
    for (std::int64_t k = 0; k < plane; ++k) {
      for (std::int64_t p = 0; p < kPictures; ++p) {
        const auto at = [&](const Tensor<float>& s, std::int64_t c) { return s[(3 * p + c) * plane + k]; };
        REQUIRE(at(after, 0) == Approx((at(before, 0) + at(before, 1) + at(before, 2)) / 3));
        REQUIRE((at(after, 0) == at(after, 1) && at(after, 0) == at(after, 2)));
      }
    }
    for (std::int64_t k = 9 * plane; k < after.size(); ++k) REQUIRE(after[k] == before[k]);
  }
}

TEST_CASE("mixed samples are between their own and the next one, as often as asked") {
  constexpr std::int64_t kCount = 5, kSize = 3 * 4;
  Tensor<float> batch(Shape{kCount, 3, 2, 2});
  Random values(1);
  for (std::int64_t k = 0; k < batch.size(); ++k) batch[k] = static_cast<float>(values.uniform());
  std::vector<double> shares;
  int whole = 0;
  Random random(2);
  for (int i = 0; i < 400; ++i) {
    Tensor<float> mixed = batch.clone();
    mix_samples(mixed, 0.5, random);
    for (std::int64_t n = 0; n < kCount; ++n) {
      const float *x = batch.data() + n * kSize, *y = batch.data() + (n + 1) % kCount * kSize,
                  *z = mixed.data() + n * kSize;
      if (std::equal(x, x + kSize, z)) {
        ++whole;
        continue;
      }
      const double own = static_cast<double>((z[0] - y[0]) / (x[0] - y[0]));
      for (std::int64_t k = 0; k < kSize; ++k) {
        REQUIRE(z[k] == Approx(own * static_cast<double>(x[k]) + (1 - own) * static_cast<double>(y[k])).margin(1e-4));
      }
      shares.push_back(own);
    }
  }
  CHECK((whole > 900 && whole < 1100));
  // Mean and variance of Beta(1.2, 1.2): 1/2 and 1 / (4 * 3.4).
  double sum = 0, squares = 0;
  for (const double share : shares) {
    CHECK((share > -1e-4 && share < 1.0001));
    sum += share, squares += (share - 0.5) * (share - 0.5);
  }
  const double count = static_cast<double>(shares.size());
  CHECK(sum / count == Approx(0.5).margin(0.03));
  CHECK(squares / count == Approx(1 / (4 * 3.4)).margin(0.006));
  // Alone in its batch a sample stays what it is.
  Tensor<float> alone(Shape{1, 3, 1, 1}, {0.25f, 0.5f, 0.75f});
  mix_samples(alone, 1, random);
  CHECK(alone[0] == Approx(0.25));
  CHECK(alone[2] == Approx(0.75));
}

}  // namespace
}  // namespace kind::testing
