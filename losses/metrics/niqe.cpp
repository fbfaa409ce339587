#include "losses/metrics/niqe.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "losses/metrics/psnr.h"

namespace kind {
namespace {

/// Patches whose mean deviation (in steps of 8 bits) is below this have no contrast.
constexpr double kContrast = 0.001;
constexpr Eigen::Index kCount = static_cast<Eigen::Index>(kNiqeFeatures);

struct Plane {
  std::int64_t height, width;
  std::vector<double> values;

  double at(std::int64_t y, std::int64_t x) const { return values[static_cast<std::size_t>(y * width + x)]; }
  double& at(std::int64_t y, std::int64_t x) { return values[static_cast<std::size_t>(y * width + x)]; }
};

Plane make_plane(std::int64_t height, std::int64_t width) {
  return {height, width, std::vector<double>(static_cast<std::size_t>(height * width))};
}

/// Gaussian window of 7 x 7, sigma 7/6, edges replicated.
Plane blurred(const Plane& in) {
  constexpr std::int64_t kRadius = 3;
  constexpr double kSigma = 7.0 / 6.0;
  std::array<double, 2 * kRadius + 1> taps{};
  double sum = 0;
  for (std::int64_t k = -kRadius; k <= kRadius; ++k) {
    const double tap = std::exp(-static_cast<double>(k * k) / (2 * kSigma * kSigma));
    taps[static_cast<std::size_t>(k + kRadius)] = tap;
    sum += tap;
  }
  for (double& tap : taps) tap /= sum;
  Plane rows = make_plane(in.height, in.width), out = rows;
  for (std::int64_t y = 0; y < in.height; ++y) {
    for (std::int64_t x = 0; x < in.width; ++x) {
      double value = 0;
      for (std::int64_t k = -kRadius; k <= kRadius; ++k) {
        value +=
            taps[static_cast<std::size_t>(k + kRadius)] * in.at(y, std::clamp<std::int64_t>(x + k, 0, in.width - 1));
      }
      rows.at(y, x) = value;
    }
  }
  for (std::int64_t y = 0; y < in.height; ++y) {
    for (std::int64_t x = 0; x < in.width; ++x) {
      double value = 0;
      for (std::int64_t k = -kRadius; k <= kRadius; ++k) {
        value +=
            taps[static_cast<std::size_t>(k + kRadius)] * rows.at(std::clamp<std::int64_t>(y + k, 0, in.height - 1), x);
      }
      out.at(y, x) = value;
    }
  }
  return out;
}

/// x becomes (x - m) / (s + 1); returns s.
Plane normalise(Plane& picture) {
  Plane squares = picture;
  for (double& v : squares.values) v *= v;
  const Plane means = blurred(picture);
  Plane deviations = blurred(squares);
  for (std::size_t i = 0; i < picture.values.size(); ++i) {
    const double m = means.values[i];
    deviations.values[i] = std::sqrt(std::abs(deviations.values[i] - m * m));
    const double n = (picture.values[i] - m) / (deviations.values[i] + 1);
    picture.values[i] = std::abs(n) > 1e-9 ? n : 0;  // the signs of rounding errors say nothing
  }
  return deviations;
}

/// Keys' cubic convolution (IEEE Transactions on Acoustics, Speech, and Signal Processing 29, 1981) with a = -1/2.
double cubic(double x) {
  const double t = std::abs(x);
  if (t <= 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

/// Half the size by cubic interpolation, stretched by 2 against aliasing: 8 taps a direction, symmetric at the edges.
Plane halved(const Plane& in) {
  constexpr std::int64_t kTaps = 8;
  std::array<double, kTaps> taps{};
  double sum = 0;
  for (std::int64_t k = 0; k < kTaps; ++k) {
    sum += taps[static_cast<std::size_t>(k)] = cubic((static_cast<double>(k) - 3.5) / 2);
  }
  for (double& tap : taps) tap /= sum;
  const auto mirrored = [](std::int64_t i, std::int64_t count) {
    return i < 0 ? -1 - i : i >= count ? 2 * count - 1 - i : i;
  };
  Plane rows = make_plane(in.height / 2, in.width), out = make_plane(in.height / 2, in.width / 2);
  for (std::int64_t y = 0; y < rows.height; ++y) {
    for (std::int64_t x = 0; x < in.width; ++x) {
      double value = 0;
      for (std::int64_t k = 0; k < kTaps; ++k) {
        value += taps[static_cast<std::size_t>(k)] * in.at(mirrored(2 * y + k - 3, in.height), x);
      }
      rows.at(y, x) = value;
    }
  }
  for (std::int64_t y = 0; y < out.height; ++y) {
    for (std::int64_t x = 0; x < out.width; ++x) {
      double value = 0;
      for (std::int64_t k = 0; k < kTaps; ++k) {
        value += taps[static_cast<std::size_t>(k)] * rows.at(y, mirrored(2 * x + k - 3, in.width));
      }
      out.at(y, x) = value;
    }
  }
  return out;
}

/// The shapes that a fit chooses from, 0.2, 0.201 ... 10, and E|x|^2 / E x^2 of a generalised Gaussian of each:
/// Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)), which grows with a.
struct Shapes {
  static constexpr int kFirst = 200, kLast = 10000;  // in thousandths
  std::vector<double> ratios;

  Shapes() {
    for (int i = kFirst; i <= kLast; ++i) {
      const double shape = value(static_cast<std::size_t>(i - kFirst)), g2 = std::tgamma(2 / shape);
      ratios.push_back(g2 * g2 / (std::tgamma(1 / shape) * std::tgamma(3 / shape)));
    }
  }
  static double value(std::size_t index) { return static_cast<double>(kFirst + index) / 1000; }

  /// The shape whose ratio is nearest.
  double of(double ratio) const {
    const auto above = std::lower_bound(ratios.begin(), ratios.end(), ratio);
    auto at = static_cast<std::size_t>(above - ratios.begin());
    if (at == ratios.size() || (at > 0 && ratio - ratios[at - 1] <= ratios[at] - ratio)) --at;
    return value(at);
  }
};

struct Fit {
  double shape, left, right;
};

/// An asymmetric generalised Gaussian by its moments (Lasmar, Stitou and Berthoumieu, "Multiscale skewed heavy tailed
/// model for texture analysis", ICIP 2009). Nothing where a side is empty.
std::optional<Fit> fit_gaussian(const std::vector<double>& values) {
  static const Shapes shapes;
  double left = 0, right = 0, magnitudes = 0;
  std::int64_t lefts = 0, rights = 0;
  for (const double v : values) {
    magnitudes += std::abs(v);
    if (v < 0) {
      left += v * v;
      ++lefts;
    } else if (v > 0) {
      right += v * v;
      ++rights;
    }
  }
  if (lefts == 0 || rights == 0) return std::nullopt;
  const double count = static_cast<double>(values.size()), mean = magnitudes / count, square = (left + right) / count;
  left = std::sqrt(left / static_cast<double>(lefts));
  right = std::sqrt(right / static_cast<double>(rights));
  const double g = left / right, g2 = g * g;
  const double shape = shapes.of(mean * mean / square * (g2 * g + 1) * (g + 1) / ((g2 + 1) * (g2 + 1)));
  const double scale = std::sqrt(std::tgamma(1 / shape) / std::tgamma(3 / shape));
  return Fit{shape, left * scale, right * scale};
}

/// The 18 features of a patch at one scale; false where it has no contrast.
bool patch_features(const Plane& n, std::int64_t top, std::int64_t left, std::int64_t side, double* features) {
  constexpr std::int64_t kShifts[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, -1}};
  std::vector<double> values;
  for (const auto& [down, across] : kShifts) {
    values.clear();
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t x = 0; x < side; ++x) {
        // Neighbours beyond an edge of the patch are those at its other edge.
        const std::int64_t other_y = (y + down) % side, other_x = (x + across + side) % side;
        const double value = n.at(top + y, left + x);
        values.push_back(down == 0 && across == 0 ? value : value * n.at(top + other_y, left + other_x));
      }
    }
    const std::optional<Fit> fit = fit_gaussian(values);
    if (!fit) return false;
    *features++ = fit->shape;
    if (down == 0 && across == 0) {
      *features++ = (fit->left + fit->right) / 2;
    } else {
      *features++ = (fit->right - fit->left) * std::tgamma(2 / fit->shape) / std::tgamma(1 / fit->shape);
      *features++ = fit->left;
      *features++ = fit->right;
    }
  }
  return true;
}

struct Gaussian {
  Eigen::VectorXd mean;
  Eigen::MatrixXd covariance;
};

Gaussian gaussian_of(const std::vector<NiqeFeatures>& features) {
  Eigen::MatrixXd x(static_cast<Eigen::Index>(features.size()), kCount);
  for (std::size_t i = 0; i < features.size(); ++i) {
    for (std::size_t k = 0; k < kNiqeFeatures; ++k) {
      x(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(k)) = features[i][k];
    }
  }
  const Eigen::RowVectorXd mean = x.colwise().mean();
  x.rowwise() -= mean;
  return {mean.transpose(), x.transpose() * x / static_cast<double>(features.size() - 1)};
}

}  // namespace

void NiqeModel::validate(const std::string& path) const {
  check(format == 2, key_path(path, "format"), ": expected 2, got ", format,
        "; features were defined otherwise then: make the model again with kind-eval --fit-niqe");
  check(patch % 2 == 0, key_path(path, "patch"), ": expected an even number, got ", patch);
  check(mean.size() == kNiqeFeatures, key_path(path, "mean"), ": expected ", kNiqeFeatures, " numbers, got ",
        mean.size());
  bool square = covariance.size() == kNiqeFeatures;
  for (const std::vector<double>& row : covariance) square = square && row.size() == kNiqeFeatures;
  check(square, key_path(path, "covariance"), ": expected ", kNiqeFeatures, " rows of ", kNiqeFeatures, " numbers");
}

std::vector<NiqeFeatures> niqe_features(const Tensor<float>& rgb, std::int64_t patch, double sharpness) {
  check_rgb_pair("niqe", rgb.shape(), rgb.shape());
  check(patch >= 16 && patch % 2 == 0, "niqe: expected an even patch of at least 16, got ", patch);
  const std::int64_t rows = rgb.shape()[2] / patch, columns = rgb.shape()[3] / patch;
  if (rows == 0 || columns == 0) return {};
  Plane full = make_plane(rows * patch, columns * patch);
  const std::int64_t pixels = rgb.shape()[2] * rgb.shape()[3];
  for (std::int64_t y = 0; y < full.height; ++y) {
    for (std::int64_t x = 0; x < full.width; ++x) {
      // The luminance of YIQ, of 8-bit values to an 8-bit value, as the authors' program has it of MATLAB's rgb2gray.
      constexpr double kWeights[] = {0.298936021293775, 0.587043074451121, 0.114020904255103};
      double gray = 0.5;
      for (std::int64_t c = 0; c < 3; ++c) {
        const double value = std::floor(static_cast<double>(rgb[c * pixels + y * rgb.shape()[3] + x]) + 0.5);
        gray += kWeights[c] * value;
      }
      full.at(y, x) = std::floor(gray);
    }
  }
  Plane half = halved(full);
  const Plane deviations = normalise(full);
  normalise(half);
  std::vector<NiqeFeatures> all;
  std::vector<double> sharp;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::int64_t y = i * patch; y < (i + 1) * patch; ++y) {
        for (std::int64_t x = j * patch; x < (j + 1) * patch; ++x) sum += deviations.at(y, x);
      }
      NiqeFeatures features;
      if (sum < kContrast * static_cast<double>(patch * patch) ||
          !patch_features(full, i * patch, j * patch, patch, features.data()) ||
          !patch_features(half, i * patch / 2, j * patch / 2, patch / 2, features.data() + kNiqeFeatures / 2)) {
        continue;
      }
      all.push_back(features);
      sharp.push_back(sum);
    }
  }
  if (all.empty()) return all;
  const double least = sharpness * *std::max_element(sharp.begin(), sharp.end());
  std::vector<NiqeFeatures> kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (sharp[i] > least) kept.push_back(all[i]);
  }
  return kept;
}

NiqeModel fit_niqe(const std::vector<NiqeFeatures>& features, std::int64_t patch,
                   const std::vector<std::string>& pictures) {
  check(features.size() > kNiqeFeatures, "niqe: a model needs at least ", kNiqeFeatures + 1, " sharp patches of ",
        patch, "x", patch, " pixels, these pictures have ", features.size(), "; add more or larger photographs");
  const Gaussian gaussian = gaussian_of(features);
  NiqeModel model;
  model.patch = patch;
  model.pictures = pictures;
  model.patches = static_cast<std::int64_t>(features.size());
  for (Eigen::Index i = 0; i < kCount; ++i) {
    model.mean.push_back(gaussian.mean[i]);
    model.covariance.emplace_back();
    for (Eigen::Index k = 0; k < kCount; ++k) model.covariance.back().push_back(gaussian.covariance(i, k));
  }
  return model;
}

std::optional<double> niqe(const Tensor<float>& rgb, const NiqeModel& model) {
  const std::vector<NiqeFeatures> features = niqe_features(rgb, model.patch);
  if (features.size() < 2) return std::nullopt;
  const Gaussian gaussian = gaussian_of(features);
  Eigen::MatrixXd middle = gaussian.covariance;
  Eigen::VectorXd difference = gaussian.mean;
  for (std::size_t i = 0; i < kNiqeFeatures; ++i) {
    const Eigen::Index row = static_cast<Eigen::Index>(i);
    difference[row] -= model.mean[i];
    for (std::size_t k = 0; k < kNiqeFeatures; ++k) {
      const Eigen::Index column = static_cast<Eigen::Index>(k);
      middle(row, column) = (middle(row, column) + model.covariance[i][k]) / 2;
    }
  }
  // Directions in which neither varies say nothing; the rest are the pseudo-inverse.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(middle);
  const double smallest =
      static_cast<double>(kNiqeFeatures) * std::numeric_limits<double>::epsilon() * solver.eigenvalues()[kCount - 1];
  const Eigen::VectorXd turned = solver.eigenvectors().transpose() * difference;
  double sum = 0;
  for (Eigen::Index i = 0; i < kCount; ++i) {
    if (solver.eigenvalues()[i] > smallest) sum += turned[i] * turned[i] / solver.eigenvalues()[i];
  }
  return std::sqrt(sum);
}

}  // namespace kind
