#include "train/data/augment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace kind {
namespace {

/// Log-uniform in [low, high).
double log_uniform(Random& random, double low, double high) {
  return std::exp(random.uniform(std::log(low), std::log(high)));
}

/// One light: `inside(y, x)` is how far within its edge a pixel lies, negative outside; the edge is `softness` wide.
template <class Distance>
void put_lamp(Tensor<float>& sample, std::int64_t pictures, double softness, Random& random, const Distance& inside) {
  constexpr double kDimmest = 0.3, kStrongestTint = 0.5;
  const std::int64_t size = sample.shape()[1], plane = size * size;
  const double dark = random.below(2) == 0 ? 1 : random.uniform(kDimmest, 1);
  double tint[3];
  const double strength = random.uniform(0, kStrongestTint);
  for (double& channel : tint) channel = 1 - strength * random.uniform();
  const double most = std::max({tint[0], tint[1], tint[2]});
  for (std::int64_t y = 0; y < size; ++y) {
    for (std::int64_t x = 0; x < size; ++x) {
      const double share =
          std::clamp(inside(static_cast<double>(y), static_cast<double>(x)) / softness + 0.5, 0.0, 1.0);
      if (share == 0) continue;
      for (std::int64_t p = 0; p < pictures; ++p) {
        for (std::int64_t c = 0; c < 3; ++c) {
          float& value = sample[(3 * p + c) * plane + y * size + x];
          const double light = tint[c] / most * (p == 0 ? dark : 1);
          value += static_cast<float>(share * (light - static_cast<double>(value)));
        }
      }
    }
  }
}

/// A rotation about the gray axis: cos I + sin K in the plane across it, K the product with (1, 1, 1) / sqrt 3.
struct GrayAxisTurn {
  float cosine, sine;

  explicit GrayAxisTurn(double angle)
      : cosine(static_cast<float>(std::cos(angle))), sine(static_cast<float>(std::sin(angle) / std::sqrt(3.0))) {}

  /// The mean of the channels; `off` is how far each lies from it after the turn.
  float apart(float r, float g, float b, float* off) const {
    const float mean = (r + g + b) / 3;
    off[0] = cosine * (r - mean) + sine * (b - g);
    off[1] = cosine * (g - mean) + sine * (r - b);
    off[2] = cosine * (b - mean) + sine * (g - r);
    return mean;
  }
};

/// The largest stretch that keeps 99 of 100 pixels of the second picture within 0..1.
float largest_stretch(const Tensor<float>& sample, const GrayAxisTurn& turn) {
  const std::int64_t plane = sample.shape()[1] * sample.shape()[2];
  const float *red = sample.data() + 3 * plane, *green = red + plane, *blue = green + plane;
  std::vector<float> limits(static_cast<std::size_t>(plane));
  for (std::int64_t i = 0; i < plane; ++i) {
    float off[3];
    const float mean = turn.apart(red[i], green[i], blue[i], off);
    float limit = std::numeric_limits<float>::max();
    for (const float o : off) {
      const float room = o > 0 ? 1 - mean : mean;
      if (room < limit * std::abs(o)) limit = std::max(room, 0.0f) / std::abs(o);
    }
    limits[static_cast<std::size_t>(i)] = limit;
  }
  const auto at = limits.begin() + plane / 100;
  std::nth_element(limits.begin(), at, limits.end());
  return *at;
}

/// A draw from Beta(a, a): two powers of uniform numbers whose sum is at most 1 (Joehnk, Metrika 8, 1964).
double symmetric_beta(double a, Random& random) {
  for (;;) {
    const double x = std::pow(random.uniform(), 1 / a), y = std::pow(random.uniform(), 1 / a);
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

}  // namespace

void put_lamps(Tensor<float>& sample, std::int64_t pictures, Random& random) {
  const double side = static_cast<double>(sample.shape()[1]);
  const std::uint64_t form = random.below(4);
  if (form < 2) {
    for (std::uint64_t count = 1 + random.below(3); count > 0; --count) {
      const double radius = log_uniform(random, 0.6, std::max(1.0, side / 3));
      const double y0 = random.uniform(0, side), x0 = random.uniform(0, side);
      const double softness = log_uniform(random, 1, 1 + radius);
      put_lamp(sample, pictures, softness, random,
               [&](double y, double x) { return radius - std::hypot(y - y0, x - x0); });
    }
    return;
  }
  const bool frame = form == 3;
  // A frame leaves the larger part of the sample, a window covers the smaller.
  const double least = frame ? side / 3 : 1, most = std::max(frame ? side : side / 2, least + 1);
  const double half_h = log_uniform(random, least, most) / 2, half_w = log_uniform(random, least, most) / 2;
  const double y0 = random.uniform(0, side), x0 = random.uniform(0, side);
  const double softness = log_uniform(random, 1, 4);
  put_lamp(sample, pictures, softness, random, [&](double y, double x) {
    const double distance = std::min(half_h - std::abs(y - y0), half_w - std::abs(x - x0));
    return frame ? -distance : distance;
  });
}

void add_noise(Tensor<float>& sample, Random& random) {
  constexpr double kStrongest = 0.06;
  // More often little than much, as among photographs.
  const double share = random.uniform(), deviation = kStrongest * share * share;
  for (std::int64_t i = 0; i < 3 * sample.shape()[1] * sample.shape()[2]; ++i) {
    sample[i] = std::clamp(sample[i] + static_cast<float>(deviation * random.normal()), 0.0f, 1.0f);
  }
}

void shuffle_colors(Tensor<float>& sample, std::int64_t pictures, Random& random) {
  constexpr std::int64_t kOrders[][3] = {{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  const std::int64_t* const order = kOrders[random.below(5)];
  const std::int64_t plane = sample.shape()[1] * sample.shape()[2];
  for (std::int64_t p = 0; p < pictures; ++p) {
    float* const to = sample.data() + 3 * p * plane;
    const std::vector<float> before(to, to + 3 * plane);
    for (std::int64_t c = 0; c < 3; ++c) std::copy_n(before.data() + order[c] * plane, plane, to + c * plane);
  }
}

void turn_colors(Tensor<float>& sample, std::int64_t pictures, Random& random) {
  constexpr double kLargestStretch = 1.6;
  const double angle = random.uniform(-std::numbers::pi, std::numbers::pi);
  const GrayAxisTurn turn(angle);
  const std::int64_t plane = sample.shape()[1] * sample.shape()[2];
  const float stretch = std::min(static_cast<float>(random.uniform(0, kLargestStretch)), largest_stretch(sample, turn));
  for (std::int64_t p = 0; p < pictures; ++p) {
    float *red = sample.data() + 3 * p * plane, *green = red + plane, *blue = green + plane;
    for (std::int64_t i = 0; i < plane; ++i) {
      float off[3];
      const float mean = turn.apart(red[i], green[i], blue[i], off);
      red[i] = std::clamp(mean + stretch * off[0], 0.0f, 1.0f);
      green[i] = std::clamp(mean + stretch * off[1], 0.0f, 1.0f);
      blue[i] = std::clamp(mean + stretch * off[2], 0.0f, 1.0f);
    }
  }
}

void make_gray(Tensor<float>& sample, std::int64_t pictures) {
  const std::int64_t plane = sample.shape()[1] * sample.shape()[2];
  for (std::int64_t p = 0; p < pictures; ++p) {
    float *red = sample.data() + 3 * p * plane, *green = red + plane, *blue = green + plane;
    for (std::int64_t i = 0; i < plane; ++i) red[i] = green[i] = blue[i] = (red[i] + green[i] + blue[i]) / 3;
  }
}

void mix_samples(Tensor<float>& batch, double share, Random& random, std::int64_t first,
                 std::optional<std::int64_t> whole) {
  constexpr double kShape = 1.2;
  const std::int64_t n = batch.shape()[0], size = batch.size() / std::max<std::int64_t>(1, n);
  const Tensor<float> before = batch.clone();
  // What is drawn for a sample depends on all samples before it.
  for (std::int64_t number = 0; number < whole.value_or(n); ++number) {
    if (random.uniform() >= share) continue;
    const float own = static_cast<float>(symmetric_beta(kShape, random));
    const std::int64_t i = number - first;
    if (i < 0 || i >= n) continue;
    const float *x = before.data() + i * size, *y = before.data() + (i + 1) % n * size;
    float* const to = batch.data() + i * size;
    for (std::int64_t k = 0; k < size; ++k) to[k] = own * x[k] + (1 - own) * y[k];
  }
}

}  // namespace kind
