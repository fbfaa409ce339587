#include "losses/gt_mean.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/ops/reduce.h"
#include "core/ops/shape_ops.h"
#include "losses/distance.h"
#include "losses/gradient.h"

namespace kind {

double gt_mean_weight(double a, double b, double sigma) {
  const double va = sigma * a * sigma * a, vb = sigma * b * sigma * b;
  const double distance = (a - b) * (a - b) / (4 * (va + vb)) + std::log((va + vb) / (2 * std::sqrt(va * vb))) / 2;
  return std::clamp(distance, 0.0, 1.0);
}

template <class T>
std::vector<LevelledPicture<T>> levelled_pictures(double sigma, const Variable<T>& output, const Variable<T>& target) {
  constexpr double kLeastMean = 1e-3;
  check_same_pictures("gt_mean", output.shape(), target.shape());
  check(output.shape()[1] == 3, "gt_mean: expected RGB pictures [n, 3, h, w], got ", output.shape());
  std::vector<LevelledPicture<T>> pictures;
  for (std::int64_t n = 0; n < output.shape()[0]; ++n) {
    LevelledPicture<T> p{slice(output, 0, n, n + 1), {}, slice(target, 0, n, n + 1), 1};
    const Variable<T> of_picture = mean(gray(p.picture)), of_target = mean(gray(p.target));
    const double a = static_cast<double>(of_picture.value().item()), b = static_cast<double>(of_target.value().item());
    if (a >= kLeastMean && b >= kLeastMean) p.weight = gt_mean_weight(a, b, sigma);
    if (p.weight < 1) p.scaled = clamp(p.picture * (of_target / of_picture), T(0), T(1));
    pictures.push_back(std::move(p));
  }
  return pictures;
}

template std::vector<LevelledPicture<float>> levelled_pictures(double, const Variable<float>&, const Variable<float>&);
template std::vector<LevelledPicture<double>> levelled_pictures(double, const Variable<double>&,
                                                                const Variable<double>&);

}  // namespace kind
