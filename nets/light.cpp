#include "nets/light.h"

#include <Eigen/Dense>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "core/base/error.h"

namespace kind {
namespace {

constexpr double kFloor = 1e-3;  // keeps the logarithm of black finite

/// Finds the values below which fractions of all lie, in two passes over the values: the first counts them by the upper
/// half of their bits, the second those in the halves of interest by the lower. For numbers of at least 0, whose bits
/// have their order.
class Quantiles {
 public:
  Quantiles(std::int64_t count, std::initializer_list<double> fractions) : upper_(kBins, 0) {
    for (const double fraction : fractions) {
      wanted_.push_back({static_cast<std::int64_t>(fraction * static_cast<double>(count - 1) + 0.5), 0, {}});
    }
  }

  void add_first(float value) { ++upper_[bits_of(value) >> 16]; }
  void end_first() {
    for (Wanted& w : wanted_) {
      while (w.rank >= upper_[w.half]) w.rank -= upper_[w.half++];
      w.lower.assign(kBins, 0);
    }
  }
  void add_second(float value) {
    const std::uint32_t bits = bits_of(value);
    for (Wanted& w : wanted_) {
      if (bits >> 16 == w.half) ++w.lower[bits & (kBins - 1)];
    }
  }
  double value(std::size_t i) const {
    const Wanted& w = wanted_[i];
    std::int64_t rank = w.rank;
    std::uint32_t low = 0;
    while (rank >= w.lower[low]) rank -= w.lower[low++];
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(w.half) << 16 | low));
  }

 private:
  static constexpr std::size_t kBins = 1 << 16;
  struct Wanted {
    std::int64_t rank;  // in the end among those with the same upper half
    std::size_t half;
    std::vector<std::int64_t> lower;
  };
  // -0 as 0, and what cannot be compared as 0 too: the result will say that it is not a number.
  static std::uint32_t bits_of(float value) { return value > 0 ? std::bit_cast<std::uint32_t>(value) : 0; }

  std::vector<std::int64_t> upper_;
  std::vector<Wanted> wanted_;
};

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
  const float* r = picture.data();
  return light_statistics(count,
                          [&](const PixelRun& use) { use(count, r, r + count, r + 2 * count, illumination.data()); });
}

LightStatistics light_statistics(std::int64_t count, const PixelRuns& runs) {
  const auto gray = [](float r, float g, float b) { return 0.299f * r + 0.587f * g + 0.114f * b; };
  Quantiles grays(count, {0.5, 0.95}), lights(count, {0.5});
  double gray_sum = 0, gray_squares = 0, light_sum = 0, light_squares = 0, saturation = 0;
  runs([&](std::int64_t n, const float* r, const float* g, const float* b, const float* l) {
    for (std::int64_t i = 0; i < n; ++i) {
      const float y = gray(r[i], g[i], b[i]);
      grays.add_first(y);
      lights.add_first(l[i]);
      gray_sum += static_cast<double>(y);
      gray_squares += static_cast<double>(y) * static_cast<double>(y);
      light_sum += static_cast<double>(l[i]);
      light_squares += static_cast<double>(l[i]) * static_cast<double>(l[i]);
      saturation += static_cast<double>(std::max({r[i], g[i], b[i]}) - std::min({r[i], g[i], b[i]}));
    }
  });
  grays.end_first();
  lights.end_first();
  runs([&](std::int64_t n, const float* r, const float* g, const float* b, const float* l) {
    for (std::int64_t i = 0; i < n; ++i) {
      grays.add_second(gray(r[i], g[i], b[i]));
      lights.add_second(l[i]);
    }
  });
  const double gray_median = grays.value(0), gray_bright = grays.value(1), light_median = lights.value(0);
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
