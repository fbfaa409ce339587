#include "nets/light.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/base/error.h"

namespace kind {
namespace {

constexpr double kFloor = 1e-3;  // keeps the logarithm of black finite

/// The value below which a fraction of all lie; moves the values about.
double quantile(std::vector<float>& values, double fraction) {
  const auto at = static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return static_cast<double>(values[static_cast<std::size_t>(at)]);
}

}  // namespace

const char* const LightStatistics::kNames[LightStatistics::kCount] = {"log mean gray",
                                                                      "deviation of gray",
                                                                      "log median gray",
                                                                      "log mean illumination",
                                                                      "deviation of illumination",
                                                                      "log median illumination",
                                                                      "95th percentile of gray",
                                                                      "mean saturation"};

LightStatistics light_statistics(const Tensor<float>& picture, const Tensor<float>& illumination) {
  const std::int64_t count = illumination.size();
  check(count > 0 && picture.size() == 3 * count,
        "light: expected a picture [1, 3, h, w] and its illumination [1, 1, h, w], got ", picture.shape().text(),
        " and ", illumination.shape().text());
  std::vector<float> values(static_cast<std::size_t>(count));
  double gray_sum = 0, gray_squares = 0, light_sum = 0, light_squares = 0, saturation = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float r = picture[i], g = picture[count + i], b = picture[2 * count + i];
    const float y = 0.299f * r + 0.587f * g + 0.114f * b, l = illumination[i];
    values[static_cast<std::size_t>(i)] = y;
    gray_sum += static_cast<double>(y);
    gray_squares += static_cast<double>(y) * static_cast<double>(y);
    light_sum += static_cast<double>(l);
    light_squares += static_cast<double>(l) * static_cast<double>(l);
    saturation += static_cast<double>(std::max({r, g, b}) - std::min({r, g, b}));
  }
  const double gray_median = quantile(values, 0.5), gray_bright = quantile(values, 0.95);
  std::copy_n(illumination.data(), count, values.begin());
  const double light_median = quantile(values, 0.5);
  const double n = static_cast<double>(count);
  const auto deviation = [n](double sum, double squares) {
    return std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)));
  };
  return {{std::log(gray_sum / n + kFloor), deviation(gray_sum, gray_squares), std::log(gray_median + kFloor),
           std::log(light_sum / n + kFloor), deviation(light_sum, light_squares), std::log(light_median + kFloor),
           gray_bright, saturation / n}};
}

void LightConfig::validate(const std::string& path) const {
  check(weights.size() == LightStatistics::kCount, key_path(path, "weights"), ": expected ",
        static_cast<int>(LightStatistics::kCount), " numbers, got ", weights.size());
  check(lowest <= highest, key_path(path, "lowest"), ": expected at most highest (", highest, "), got ", lowest);
}

double automatic_ratio(const LightConfig& config, const LightStatistics& statistics) {
  double log_ratio = config.bias;
  for (std::size_t i = 0; i < config.weights.size(); ++i) log_ratio += config.weights[i] * statistics.values[i];
  return std::clamp(std::exp(log_ratio), config.lowest, config.highest);
}

LightConfig fit_light(const std::vector<LightStatistics>& statistics, const std::vector<double>& ratios,
                      double penalty) {
  constexpr int k = LightStatistics::kCount;
  const std::size_t count = ratios.size();
  check(count >= 2 && statistics.size() == count,
        "light: expected the statistics and ratios of at least two pictures, got ", statistics.size(), " and ", count);
  Eigen::MatrixXd x(static_cast<Eigen::Index>(count), static_cast<Eigen::Index>(k));
  Eigen::VectorXd y(static_cast<Eigen::Index>(count));
  for (std::size_t s = 0; s < count; ++s) {
    check(ratios[s] > 0 && std::isfinite(ratios[s]), "light: expected ratios greater than 0, got ", ratios[s]);
    const Eigen::Index row = static_cast<Eigen::Index>(s);
    y[row] = std::log(ratios[s]);
    for (int i = 0; i < k; ++i) x(row, i) = statistics[s].values[i];
  }
  const double n = static_cast<double>(count), mean_log = y.mean();
  const Eigen::RowVectorXd mean = x.colwise().mean();
  x.rowwise() -= mean;
  const Eigen::RowVectorXd deviation = (x.colwise().squaredNorm() / n).cwiseSqrt();
  // A statistic that is the same in all pictures says nothing; dividing by 1 leaves its column at 0.
  const Eigen::RowVectorXd scale = deviation.unaryExpr([](double d) { return d > 1e-6 ? d : 1.0; });
  x.array().rowwise() /= scale.array();
  const Eigen::MatrixXd normal = x.transpose() * x / n + penalty * Eigen::MatrixXd::Identity(k, k);
  const Eigen::VectorXd solution = normal.ldlt().solve(x.transpose() * (y.array() - mean_log).matrix() / n);
  LightConfig config;
  config.bias = mean_log;
  for (int i = 0; i < k; ++i) {
    config.weights[static_cast<std::size_t>(i)] = solution[i] / scale[i];
    config.bias -= solution[i] / scale[i] * mean[i];
  }
  config.lowest = *std::min_element(ratios.begin(), ratios.end());
  config.highest = *std::max_element(ratios.begin(), ratios.end());
  return config;
}

}  // namespace kind
