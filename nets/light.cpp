#include "nets/light.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "core/base/error.h"

namespace kind {
namespace {

constexpr double kFloor = 1e-3;         // keeps the logarithm of black finite
constexpr double kBrightPicture = 0.3;  // from here on a picture's own mean says how bright it is meant to be

/// The value below which a fraction of all lie, by their weights, 1 each where there are none.
double quantile(std::vector<float> values, const std::vector<float>& weights, double fraction) {
  if (weights.empty()) {
    const auto at = static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return static_cast<double>(values[static_cast<std::size_t>(at)]);
  }
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
  double all = 0, below = 0;
  for (const float weight : weights) all += static_cast<double>(weight);
  for (const std::size_t i : order) {
    below += static_cast<double>(weights[i]);
    if (below > fraction * all) return static_cast<double>(values[i]);
  }
  return static_cast<double>(values[order.back()]);
}

void check_picture(const Tensor<float>& picture) {
  const Shape& shape = picture.shape();
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 3 && picture.size() > 0,
        "light: expected a picture [1, 3, h, w], got ", shape);
}

double log_of(double value) { return std::log(std::max(value, 0.0) + kFloor); }

}  // namespace

std::int64_t reduction_factor(std::int64_t h, std::int64_t w) {
  constexpr std::int64_t kMostPixels = 8192, kLongestSide = 0x7fffffff;
  check(h >= 1 && h <= kLongestSide && w >= 1 && w <= kLongestSide, "light: expected sides from 1 to ", kLongestSide,
        ", got ", h, " and ", w);
  std::int64_t factor = 1;
  while (((h + factor - 1) / factor) * ((w + factor - 1) / factor) > kMostPixels) ++factor;
  return factor;
}

Reduction::Reduction(std::int64_t h, std::int64_t w)
    : h_(h),
      w_(w),
      factor_(reduction_factor(h, w)),
      rows_((h + factor_ - 1) / factor_),
      columns_((w + factor_ - 1) / factor_) {
  sums_.assign(static_cast<std::size_t>(3 * rows_ * columns_), 0.0);
  weights_.assign(static_cast<std::size_t>(rows_ * columns_), 0.0);
}

void Reduction::add_rows(std::int64_t y0, std::int64_t y1, const float* const* planes, const float* weights) {
  check(0 <= y0 && y0 <= y1 && y1 <= h_, "light: expected rows of a picture of ", h_, ", got ", y0, " to ", y1);
  check(planes && planes[0] && planes[1] && planes[2], "light: expected three planes, got a null pointer");
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = y0; y < y1; ++y) {
      const float* from = planes[c] + (y - y0) * w_;
      double* to = sums_.data() + (c * rows_ + y / factor_) * columns_;
      if (weights) {
        const float* weight = weights + (y - y0) * w_;
        for (std::int64_t x = 0; x < w_; ++x) {
          to[x / factor_] += static_cast<double>(weight[x]) * static_cast<double>(from[x]);
        }
      } else {
        for (std::int64_t x = 0; x < w_; ++x) to[x / factor_] += static_cast<double>(from[x]);
      }
    }
  }
  weighted_ = weighted_ || weights;
  for (std::int64_t y = y0; y < y1; ++y) {
    double* to = weights_.data() + y / factor_ * columns_;
    for (std::int64_t x = 0; x < w_; ++x) {
      to[x / factor_] += weights ? static_cast<double>(weights[(y - y0) * w_ + x]) : 1.0;
    }
  }
}

/// Pixels that a pixel of the reduced picture is made of.
double Reduction::cell(std::int64_t i) const {
  const std::int64_t y = i / columns_ % rows_, x = i % columns_;
  return static_cast<double>(std::min(factor_, h_ - y * factor_) * std::min(factor_, w_ - x * factor_));
}

Tensor<float> Reduction::take() const {
  Tensor<float> picture(Shape{1, 3, rows_, columns_});
  const std::vector<float> mean = mean_color();
  const std::int64_t plane = rows_ * columns_;
  for (std::int64_t i = 0; i < picture.size(); ++i) {
    const double weight = weights_[static_cast<std::size_t>(i % plane)];
    picture[i] = weight > 0 ? static_cast<float>(sums_[static_cast<std::size_t>(i)] / weight)
                            : mean[static_cast<std::size_t>(i / plane)];
  }
  return picture;
}

std::vector<float> Reduction::weights() const {
  std::vector<float> means;
  if (!weighted_) return means;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    means.push_back(static_cast<float>(weights_[i] / cell(static_cast<std::int64_t>(i))));
  }
  return means;
}

std::vector<float> Reduction::mean_color() const {
  double all = 0;
  for (const double weight : weights_) all += weight;
  std::vector<float> mean(3, 0.0f);
  if (all == 0) return mean;
  for (std::size_t c = 0; c < 3; ++c) {
    double sum = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) sum += sums_[c * weights_.size() + i];
    mean[c] = static_cast<float>(sum / all);
  }
  return mean;
}

Tensor<float> reduced_for_light(const Tensor<float>& picture) {
  check_picture(picture);
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3];
  Reduction reduction(h, w);
  const float* const planes[] = {picture.data(), picture.data() + h * w, picture.data() + 2 * h * w};
  reduction.add_rows(0, h, planes);
  return reduction.take();
}

const char* const LightStatistics::kNames[LightStatistics::kCount] = {"log 25th percentile of value",
                                                                      "log 75th percentile of value",
                                                                      "log 95th percentile of value",
                                                                      "log mean value",
                                                                      "log mean value of the centre",
                                                                      "log mean value above 0.3",
                                                                      "mean saturation",
                                                                      "log 5th percentile of value",
                                                                      "log mean step of value over its mean",
                                                                      "log mean value before the stretch"};

namespace {

/// The mean difference of neighbours, dx columns and dy rows apart, of a map [h, w], by the smaller of their weights; 0
/// where there are none.
double mean_step(const std::vector<float>& map, std::int64_t h, std::int64_t w, std::int64_t dx, std::int64_t dy,
                 const std::vector<float>& weights) {
  double sum = 0, all = 0;
  for (std::int64_t y = 0; y < h - dy; ++y) {
    for (std::int64_t x = 0; x < w - dx; ++x) {
      const auto i = static_cast<std::size_t>(y * w + x), j = static_cast<std::size_t>((y + dy) * w + x + dx);
      const double weight = weights.empty() ? 1.0 : static_cast<double>(std::min(weights[i], weights[j]));
      sum += weight * static_cast<double>(std::abs(map[j] - map[i]));
      all += weight;
    }
  }
  return all > 0 ? sum / all : 0;
}

}  // namespace

LightStatistics light_statistics(const Tensor<float>& picture, InputRange range, const std::vector<float>& weights) {
  check_picture(picture);
  const Shape& shape = picture.shape();
  const std::int64_t h = shape[2], w = shape[3], count = h * w;
  // The middle half of each side, as cameras weigh it when they meter; one pixel at least.
  const std::int64_t top = h / 4, bottom = std::max(h - h / 4, top + 1), left = w / 4,
                     right = std::max(w - w / 4, left + 1);
  check(weights.empty() || static_cast<std::int64_t>(weights.size()) == count, "light: expected ", count,
        " weights, got ", weights.size());
  std::vector<float> values(static_cast<std::size_t>(count));
  double sum = 0, centre = 0, saturation = 0, all = 0, all_centre = 0;
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t x = 0; x < w; ++x) {
      const std::int64_t i = y * w + x;
      const float r = picture[i], g = picture[count + i], b = picture[2 * count + i];
      const float value = std::max({r, g, b});
      values[static_cast<std::size_t>(i)] = value;
      const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[static_cast<std::size_t>(i)]);
      check(weight >= 0, "light: expected weights from 0, got ", weight);
      sum += weight * static_cast<double>(value);
      all += weight;
      if (y >= top && y < bottom && x >= left && x < right) {
        centre += weight * static_cast<double>(value);
        all_centre += weight;
      }
      saturation += weight * static_cast<double>(value - std::min({r, g, b}));
    }
  }
  check(all > 0, "light: expected a weight above 0");
  const double plain_mean = sum / all, mean = log_of(plain_mean);
  if (all_centre == 0) centre = plain_mean, all_centre = 1;  // nothing to see in it
  const double steps = mean_step(values, h, w, 1, 0, weights) + mean_step(values, h, w, 0, 1, weights);
  const double step = log_of(steps / std::max(plain_mean, kFloor));
  const double given = log_of(static_cast<double>(range.low) + static_cast<double>(range.span) * plain_mean);
  const double lowest = quantile(values, weights, 0.05), low = quantile(values, weights, 0.25),
               high = quantile(values, weights, 0.75), highest = quantile(values, weights, 0.95);
  return {{log_of(low), log_of(high), log_of(highest), mean, log_of(centre / all_centre),
           std::max(0.0, mean - std::log(kBrightPicture)), saturation / all, log_of(lowest), step, given}};
}

void LightConfig::validate(const std::string& path) const {
  check(weights.size() == LightStatistics::kCount || weights.size() == LightStatistics::kFirst,
        key_path(path, "weights"), ": expected ", static_cast<int>(LightStatistics::kCount), " numbers (",
        static_cast<int>(LightStatistics::kFirst), " in older models), got ", weights.size());
  check(lowest <= highest, key_path(path, "lowest"), ": expected at most highest (", highest, "), got ", lowest);
}

double automatic_level(const LightConfig& config, const LightStatistics& statistics) {
  config.validate("light");
  double log_level = config.bias;
  for (std::size_t i = 0; i < config.weights.size(); ++i) log_level += config.weights[i] * statistics.values[i];
  return std::clamp(std::exp(log_level), config.lowest, config.highest);
}

double level_limit(const LightConfig& config, const LightStatistics& statistics) {
  return config.highest_gain * std::exp(statistics.values[LightStatistics::kHigh]);
}

LightConfig fit_light(const std::vector<LightSample>& samples, double penalty) {
  constexpr int k = LightStatistics::kCount;
  const Eigen::Index n = static_cast<Eigen::Index>(samples.size());
  check(std::isfinite(penalty) && penalty >= 0, "light: expected a penalty of at least 0, got ", penalty);
  Eigen::MatrixXd x(n, k);
  Eigen::VectorXd y(n), weight(n);
  int used = 0;
  LightConfig config;
  config.lowest = 1, config.highest = 0;
  for (Eigen::Index row = 0; row < n; ++row) {
    const LightSample& s = samples[static_cast<std::size_t>(row)];
    check(s.level > 0 && s.level <= 1, "light: expected levels above 0 and at most 1, got ", s.level);
    check(s.weight >= 0 && std::isfinite(s.weight), "light: expected weights from 0, got ", s.weight);
    used += s.weight > 0 ? 1 : 0;
    y[row] = std::log(s.level);
    weight[row] = s.weight;
    for (int i = 0; i < k; ++i) {
      check(std::isfinite(s.statistics.values[i]), "light: expected finite statistics, got ", s.statistics.values[i]);
      x(row, i) = s.statistics.values[i];
    }
    config.lowest = std::min(config.lowest, s.level);
    config.highest = std::max(config.highest, s.level);
  }
  check(used >= 2, "light: expected at least two pictures with a weight above 0 to fit the rule on, got ", used);
  weight /= weight.sum();
  const double mean_log = weight.dot(y);
  const Eigen::RowVectorXd mean = weight.transpose() * x;
  x.rowwise() -= mean;
  const Eigen::RowVectorXd deviation = (weight.transpose() * x.cwiseAbs2()).cwiseSqrt();
  // A statistic that is the same in all pictures says nothing; dividing by 1 leaves its column at 0.
  const Eigen::RowVectorXd scale = deviation.unaryExpr([](double d) { return d > 1e-6 ? d : 1.0; });
  x.array().rowwise() /= scale.array();
  const Eigen::MatrixXd weighted = x.transpose() * weight.asDiagonal();
  const Eigen::MatrixXd normal = weighted * x + penalty * Eigen::MatrixXd::Identity(k, k);
  const Eigen::VectorXd solution = normal.ldlt().solve(weighted * (y.array() - mean_log).matrix());
  config.bias = mean_log;
  for (int i = 0; i < k; ++i) {
    config.weights[static_cast<std::size_t>(i)] = solution[i] / scale[i];
    config.bias -= solution[i] / scale[i] * mean[i];
  }
  return config;
}

}  // namespace kind
