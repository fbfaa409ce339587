#include "losses/metrics/loe.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "losses/metrics/psnr.h"

namespace kind {
namespace {

constexpr std::int64_t kSamples = 50;  // along the shorter side

/// max(R, G, B) at the middles of rows x columns cells.
std::vector<float> sampled_lightness(const Tensor<float>& rgb, std::int64_t rows, std::int64_t columns) {
  const std::int64_t h = rgb.shape()[2], w = rgb.shape()[3];
  std::vector<float> lightness;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const std::int64_t at = (2 * i + 1) * h / (2 * rows) * w + (2 * j + 1) * w / (2 * columns);
      lightness.push_back(std::max({rgb[at], rgb[h * w + at], rgb[2 * h * w + at]}));
    }
  }
  return lightness;
}

}  // namespace

std::optional<double> lightness_order_error(const Tensor<float>& output, const Tensor<float>& low) {
  check_rgb_pair("lightness_order_error", output.shape(), low.shape());
  const std::int64_t h = low.shape()[2], w = low.shape()[3], shorter = std::min(h, w);
  if (shorter < kSamples) return std::nullopt;
  const auto samples = [shorter](std::int64_t side) { return (side * kSamples * 2 + shorter) / (2 * shorter); };
  const std::vector<float> a = sampled_lightness(output, samples(h), samples(w)),
                           b = sampled_lightness(low, samples(h), samples(w));
  std::int64_t errors = 0;
  for (std::size_t x = 0; x < a.size(); ++x) {
    for (std::size_t y = 0; y < a.size(); ++y) errors += (a[x] >= a[y]) != (b[x] >= b[y]);
  }
  return static_cast<double>(errors) / static_cast<double>(a.size());
}

}  // namespace kind
