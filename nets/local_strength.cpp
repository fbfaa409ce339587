#include "nets/local_strength.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

/// Half a window's side as a share of the longer side of the reduced picture, and the variance of a window from which on
/// what is in it are parts of different light, and no pattern.
constexpr double kRadius = 0.05, kVariance = 0.004;
/// As shares of the level: surroundings that count as dark, and those that do not at all.
constexpr float kDark = 0.4f, kNotDark = 0.7f;
/// Surroundings that stay as they are in pictures of which at least kMuchLight is that bright; where less than kFewLight is,
/// there are none. Those from kLightFrom on count in part.
constexpr float kBright = 0.6f, kLightFrom = 0.4f, kFewLight = 0.01f, kMuchLight = 0.05f;
/// The gain falls with this power of the brightness; 1 would make all between dark and bright alike.
constexpr float kFall = 0.77f;
/// So many times as bright as in the stretched picture surroundings may become before they count as all but black.
constexpr float kHighestGain = 3.5f;

/// The means of a map [rows, columns] over windows of 2 radius + 1, fewer at the border: along rows, then along columns.
std::vector<double> box_mean(const std::vector<double>& map, std::int64_t rows, std::int64_t columns,
                             std::int64_t radius) {
  std::vector<double> across(map.size()), both(map.size());
  const auto at = [columns](std::int64_t y, std::int64_t x) { return static_cast<std::size_t>(y * columns + x); };
  for (std::int64_t y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < columns; ++x) {
      const std::int64_t first = std::max<std::int64_t>(0, x - radius), last = std::min(columns - 1, x + radius);
      double sum = 0;
      for (std::int64_t i = first; i <= last; ++i) sum += map[at(y, i)];
      across[at(y, x)] = sum / static_cast<double>(last - first + 1);
    }
  }
  for (std::int64_t y = 0; y < rows; ++y) {
    const std::int64_t first = std::max<std::int64_t>(0, y - radius), last = std::min(rows - 1, y + radius);
    for (std::int64_t x = 0; x < columns; ++x) {
      double sum = 0;
      for (std::int64_t i = first; i <= last; ++i) sum += across[at(i, x)];
      both[at(y, x)] = sum / static_cast<double>(last - first + 1);
    }
  }
  return both;
}

/// Between which two of `count` reduced pixels, each of `factor` pixels, one lies, and how far from the first to the second.
struct Between {
  std::int64_t first, second;
  float share;
};
Between between(std::int64_t pixel, std::int64_t factor, std::int64_t count) {
  const double at = std::clamp((static_cast<double>(pixel) + 0.5) / static_cast<double>(factor) - 0.5, 0.0,
                               static_cast<double>(count - 1));
  const auto first = static_cast<std::int64_t>(at);
  return {first, std::min(first + 1, count - 1), static_cast<float>(at - static_cast<double>(first))};
}

}  // namespace

LocalStrength::LocalStrength(const Tensor<float>& reduced, std::int64_t h, std::int64_t w, InputRange range,
                             double level, double brighter)
    : h_(h), w_(w), factor_(reduction_factor(h, w)), range_(range), level_(level), brighter_(brighter) {
  const Shape& shape = reduced.shape();
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 3 && reduced.size() > 0,
        "light: expected a picture [1, 3, h, w], got ", shape);
  check(level > 0 && brighter > 0, "light: expected a level and a factor above 0, got ", level, " and ", brighter);
  rows_ = shape[2];
  columns_ = shape[3];
  check(rows_ == (h + factor_ - 1) / factor_ && columns_ == (w + factor_ - 1) / factor_, "light: a picture of ", h,
        " rows of ", w, " is not reduced to ", shape);
  const std::int64_t plane = rows_ * columns_;
  const auto radius = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(std::lround(kRadius * static_cast<double>(std::max(rows_, columns_)))));
  std::vector<double> guide(static_cast<std::size_t>(plane)), squares(guide.size());
  for (std::int64_t i = 0; i < plane; ++i) {
    const double mean = (static_cast<double>(reduced[i]) + static_cast<double>(reduced[plane + i]) +
                         static_cast<double>(reduced[2 * plane + i])) /
                        3;
    guide[static_cast<std::size_t>(i)] = mean;
    squares[static_cast<std::size_t>(i)] = mean * mean;
  }
  const std::vector<double> mean = box_mean(guide, rows_, columns_, radius),
                            square = box_mean(squares, rows_, columns_, radius);
  std::vector<double> slopes(guide.size()), offsets(guide.size());
  for (std::size_t i = 0; i < guide.size(); ++i) {
    const double variance = std::max(0.0, square[i] - mean[i] * mean[i]);
    slopes[i] = variance / (variance + kVariance);
    offsets[i] = (1 - slopes[i]) * mean[i];
  }
  slopes = box_mean(slopes, rows_, columns_, radius);
  offsets = box_mean(offsets, rows_, columns_, radius);
  for (std::size_t i = 0; i < guide.size(); ++i) {
    slope_.push_back(static_cast<float>(slopes[i]));
    offset_.push_back(static_cast<float>(offsets[i]));
  }
  for (std::size_t i = 0; i < guide.size(); ++i) {
    brightness_.push_back(static_cast<float>(slopes[i] * guide[i] + offsets[i]));
  }
  double dark = 0, light = 0;
  for (const float b : brightness_)
    light += static_cast<double>(std::clamp((b - kLightFrom) / (kBright - kLightFrom), 0.0f, 1.0f));
  const auto share = static_cast<float>(light / static_cast<double>(plane));
  const float mixed = std::clamp((share - kFewLight) / (kMuchLight - kFewLight), 0.0f, 1.0f);
  bright_ = kBright * static_cast<float>(brighter) / mixed;
  for (const float weight : weights()) dark += static_cast<double>(weight);
  kept_black_ = mixed * static_cast<float>(std::min(1.0, 2 * (1 - dark / static_cast<double>(plane))));
}

std::vector<float> LocalStrength::weights() const {
  std::vector<float> weights;
  const auto level = static_cast<float>(level_);
  for (const float b : brightness_) {
    weights.push_back(std::clamp((kNotDark * level - b) / ((kNotDark - kDark) * level), 0.0f, 1.0f));
  }
  return weights;
}

void LocalStrength::set_gain(double gain) {
  check(std::isfinite(gain) && gain >= 0, "light: expected a gain of 0 and more, got ", gain);
  gain_ = gain;
}

void LocalStrength::set_curve(const Curve& curve) {
  check(curve.bright > 0 && curve.kept_black >= 0 && curve.kept_black <= 1,
        "light: expected a brightness above 0 and a share from 0 to 1, got ", curve.bright, " and ", curve.kept_black);
  set_gain(curve.gain);
  bright_ = static_cast<float>(curve.bright);
  kept_black_ = static_cast<float>(curve.kept_black);
}

double LocalStrength::mean() const {
  double sum = 0;
  for (const float b : brightness_) sum += static_cast<double>(strength_at(b));
  return sum / static_cast<double>(brightness_.size());
}

float LocalStrength::strength_at(float brightness) const {
  const auto gain = static_cast<float>(gain_), level = static_cast<float>(level_ / brighter_);
  float strength = 1;
  if (!(brightness * std::pow(gain, 1 / kFall) <= bright_)) {
    const float wanted = brightness < bright_ ? std::pow(bright_ / brightness, kFall) : 1.0f;
    strength = gain > 1 ? std::clamp((wanted - 1) / (gain - 1), 0.0f, 1.0f) : 0.0f;
  }
  if (kept_black_ == 0) return strength;
  const float seen = std::clamp(kHighestGain * (brightness - range_.low) / range_.span / level, 0.0f, 1.0f);
  return strength * (1 - kept_black_ * (1 - seen));
}

void LocalStrength::rows(std::int64_t y0, std::int64_t y1, const float* const* planes, float* strength) const {
  check(0 <= y0 && y0 <= y1 && y1 <= h_, "light: expected rows of a picture of ", h_, ", got ", y0, " to ", y1);
  std::vector<Between> columns;
  for (std::int64_t x = 0; x < w_; ++x) columns.push_back(between(x, factor_, columns_));
  parallel_for(y1 - y0, std::max<std::int64_t>(1, 16384 / w_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = y0 + begin; y < y0 + end; ++y) {
      const Between row = between(y, factor_, rows_);
      const float* const slopes[] = {slope_.data() + row.first * columns_, slope_.data() + row.second * columns_};
      const float* const offsets[] = {offset_.data() + row.first * columns_, offset_.data() + row.second * columns_};
      for (std::int64_t x = 0; x < w_; ++x) {
        const Between column = columns[static_cast<std::size_t>(x)];
        const auto mixed = [&](const float* const* map) {
          const float upper = map[0][column.first] + column.share * (map[0][column.second] - map[0][column.first]);
          const float lower = map[1][column.first] + column.share * (map[1][column.second] - map[1][column.first]);
          return upper + row.share * (lower - upper);
        };
        const std::int64_t i = (y - y0) * w_ + x;
        const float mean = (planes[0][i] + planes[1][i] + planes[2][i]) / 3;
        strength[i] = strength_at(mixed(slopes) * mean + mixed(offsets));
      }
    }
  });
}

}  // namespace kind
