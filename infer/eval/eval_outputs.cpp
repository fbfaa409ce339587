#include "infer/eval/eval_outputs.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "losses/metrics/psnr.h"

namespace kind {
namespace {

constexpr double kLargestRatio = 100;

const std::string kUnstretched = "unstretched(R_high*L_high)", kUpperBound = "R_high*L_high",
                  kRestored = "restored*L_high", kUnrestored = "R_low*L_high", kAdjusted = "R_high*L_hat(gt-ratio)",
                  kAdjustedBest = "R_high*L_hat(best)", kTrue = "restored*L_hat(gt-ratio)",
                  kBest = "restored*L_hat(best)", kAuto = "restored*L_hat(auto)", kNoisy = "R_low*L_hat(gt-ratio)",
                  kMean = "gt-mean", kLight = "gt-light";

/// True where the three channels of a picture are equal in every pixel.
bool is_gray(const Tensor<float>& picture) {
  const std::int64_t plane = picture.size() / 3;
  const float* red = picture.data();
  return std::equal(red, red + 2 * plane, red + plane);
}

/// BT.601 gray in all three channels.
Tensor<float> to_gray(const Tensor<float>& picture) {
  const Tensor<double> gray = gray_bt601(picture);
  Tensor<float> result(picture.shape());
  for (std::int64_t i = 0; i < result.size(); ++i) result[i] = static_cast<float>(gray[i % gray.size()]);
  return result;
}

double mean_gray(const Tensor<float>& picture) {
  const Tensor<double> gray = gray_bt601(picture);
  double sum = 0;
  for (std::int64_t i = 0; i < gray.size(); ++i) sum += gray[i];
  return sum / static_cast<double>(gray.size());
}

template <class F>
Tensor<float> mapped(const Tensor<float>& x, const F& f) {
  Tensor<float> y(x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
  return y;
}

Tensor<float> product(const Tensor<float>& color, const Tensor<float>& light) {
  const NoGrad no_grad;
  return mul(Variable<float>(color), Variable<float>(light)).value();
}

/// True where a way is all of the method on the dark picture.
bool is_whole_method(const std::string& way) {
  return way == "none" || way == "gt-ratio" || way == kMean || way == kTrue || way == kBest || way == kAuto;
}

bool has(const std::vector<Way>& ways, const std::string& name) {
  return std::any_of(ways.begin(), ways.end(), [&](const Way& way) { return way.name == name; });
}

}  // namespace

const std::vector<Way>& protocols() {
  static const std::vector<Way> all = {
      {"none", "light level from the dark picture alone (--auto)"},
      {"gt-ratio", "ratio from the bright picture"},
      {"gt-mean", "the output of none, scaled to the bright picture's mean gray"},
      {kLight,
       "the reflectance, restored if there is a net for it, in the bright picture's light; needs no adjustment net"},
      {"input", "the dark picture as it is"},
      {"gamma", "the dark picture to the power 1/2.2"},
  };
  return all;
}

bool needs_adjustment(const std::string& protocol) {
  return protocol != kLight && protocol != "input" && protocol != "gamma";
}

std::vector<Way> stages(const Model<float>& model) {
  const bool restores = model.restoration.has_value(), adjusts = model.adjustment.has_value();
  std::vector<Way> ways;
  const auto add = [&ways](bool there, const std::string& name, const char* what) {
    if (there) ways.push_back({name, what});
  };
  add(model.config.input.stretch, kUnstretched, "the next with the stretch of the bright picture to 0..1 taken back");
  add(true, kUpperBound, "both parts of the bright picture: the decomposition's upper bound");
  add(restores, kRestored, "what restoration leaves, in the bright picture's light");
  add(true, kUnrestored, "the dark picture's reflectance as it is, in the bright picture's light");
  add(adjusts, kAdjusted, "what adjustment makes of the ratio from the bright picture");
  add(adjusts, kAdjustedBest, "the same with the best ratio for each picture");
  add(restores && adjusts, kTrue, "the whole method, ratio from the bright picture (gt-ratio)");
  add(restores && adjusts, kBest, "the whole method, best ratio for each picture");
  add(restores && adjusts, kAuto, "the whole method, ratio from the dark picture alone (none)");
  add(adjusts, kNoisy, "without restoration, ratio from the bright picture");
  add(adjusts, kMean, "the whole method with --auto, scaled to the bright picture's mean gray");
  return ways;
}

std::vector<Cost> stage_costs(const Model<float>& model) {
  const std::vector<Cost> all = {
      {"the stretch of the bright picture, which the target has not", kUpperBound, kUnstretched},
      {"restoration: what it does not bring back", kRestored, kUpperBound},
      {"no restoration at all, in the bright picture's light", kUnrestored, kUpperBound},
      {"adjustment, with the ratio from the bright picture", kAdjusted, kUpperBound},
      {"adjustment, with the best ratio for each picture", kAdjustedBest, kUpperBound},
      {"restoration, behind adjustment", kTrue, kAdjusted},
      {"adjustment, behind restoration", kTrue, kRestored},
      {"ratio from the bright picture instead of the best one", kTrue, kBest},
      {"ratio from the dark picture alone instead of the best one", kAuto, kBest},
      {"ratio from the dark picture alone instead of the bright one", kAuto, kTrue},
      {"no restoration, with the ratio from the bright picture", kNoisy, kTrue},
  };
  const std::vector<Way> ways = stages(model);
  std::vector<Cost> there;
  for (const Cost& cost : all) {
    if (has(ways, cost.with) && has(ways, cost.without)) there.push_back(cost);
  }
  return there;
}

Tensor<float> rounded(const Tensor<float>& picture) {
  return mapped(picture, [](float v) { return std::floor(255.0f * std::clamp(v, 0.0f, 1.0f) + 0.5f); });
}

Outputs::Outputs(const Model<float>& model, const Tensor<float>& low, const Tensor<float>& high)
    : model_(&model), low_(&low), high_(&high) {}

Outputs::Outputs(const Tensor<float>& result, const Tensor<float>& high) : high_(&high), automatic_(result) {}

/// The whole method by itself; the dark picture's maps come with it.
const Tensor<float>& Outputs::automatic() {
  if (automatic_.defined()) return automatic_;
  const Enhanced maps = enhance(*model_, *low_);
  low_maps_ = {maps.reflectance, maps.illumination};
  restored_ = maps.restored;
  automatic_ratio_ = maps.ratio;
  return automatic_ = maps.output;
}

const PictureNets::Parts& Outputs::low_maps() {
  if (!low_maps_ && model_->adjustment) automatic();
  if (!low_maps_) low_maps_ = PictureNets(*model_).decompose(net_input(*low_, model_->config.input));
  return *low_maps_;
}

const PictureNets::Parts& Outputs::high_maps() {
  if (!high_maps_) high_maps_ = PictureNets(*model_).decompose(net_input(*high_, model_->config.input.of_reference()));
  return *high_maps_;
}

/// The dark picture's own reflectance where the model has no restoration.
const Tensor<float>& Outputs::restored() {
  const PictureNets::Parts& low = low_maps();
  if (!restored_.defined()) restored_ = PictureNets(*model_).restore(low.reflectance, low.illumination);
  return restored_;
}

Tensor<float> Outputs::adjusted(double ratio) { return PictureNets(*model_).adjust(low_maps().illumination, ratio); }

double Outputs::true_ratio() {
  return std::min(kLargestRatio, ratio_between(low_maps().illumination, high_maps().illumination));
}

/// The ratio with the highest PSNR: the best of a coarse grid and of the ratios that the protocols use, made better by
/// golden sections between its neighbours. So it is never worse than those.
double Outputs::best_ratio(const Tensor<float>& reflectance) {
  const Tensor<float> target = rounded(*high_);
  const auto score = [&](double log_ratio) {
    return psnr_rgb(rounded(product(reflectance, adjusted(std::exp(log_ratio)))), target);
  };
  const double step = std::log(2.0);
  std::vector<double> grid = {std::log(true_ratio()), std::log(automatic_ratio_)};
  for (double ratio = 0.5; ratio < kLargestRatio; ratio *= 2) grid.push_back(std::log(ratio));
  double best = 0, highest = -1;
  const auto consider = [&](double at) {
    const double psnr = score(at);
    if (psnr > highest) {
      highest = psnr;
      best = at;
    }
    return psnr;
  };
  for (const double at : grid) consider(at);
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = best - step, high = std::min(best + step, std::log(kLargestRatio));
  double a = high - golden * (high - low), b = low + golden * (high - low), at_a = consider(a), at_b = consider(b);
  while (high - low > 0.01) {
    if (at_a >= at_b) {
      high = b;
      b = a;
      at_b = at_a;
      at_a = consider(a = high - golden * (high - low));
    } else {
      low = a;
      a = b;
      at_a = at_b;
      at_b = consider(b = low + golden * (high - low));
    }
  }
  return std::exp(best);
}

Tensor<float> Outputs::with_ratio(const std::string& way, const Tensor<float>& reflectance, double ratio) {
  ratios_[way] = ratio;
  return product(reflectance, adjusted(ratio));
}

std::optional<double> Outputs::ratio(const std::string& way) const {
  const auto found = ratios_.find(way);
  return found == ratios_.end() ? std::nullopt : std::optional<double>(found->second);
}

Tensor<float> Outputs::of(const std::string& way) {
  Tensor<float> picture = made(way);
  return low_ && is_whole_method(way) && is_gray(*low_) ? to_gray(picture) : picture;
}

Tensor<float> Outputs::made(const std::string& way) {
  if (way == "none" || way == kAuto || way == kMean) {
    const Tensor<float>& picture = automatic();
    if (model_) ratios_[way] = automatic_ratio_;
    if (way != kMean) return picture;
    const float factor = static_cast<float>(mean_gray(*high_) / std::max(mean_gray(picture), 1e-6));
    return mapped(picture, [factor](float v) { return v * factor; });
  }
  check(model_ != nullptr, "protocol ", way, ": not for results of another program");
  if (way == "input") return *low_;
  if (way == "gamma") return mapped(*low_, [](float v) { return std::pow(v, 1 / 2.2f); });
  check(model_->decomposition.has_value(), "model: it has no decomposition net, which ", way, " needs");
  if (way == kUpperBound) return product(high_maps().reflectance, high_maps().illumination);
  if (way == kUnstretched) {
    const auto [low, high] = std::minmax_element(high_->data(), high_->data() + high_->size());
    const float first = *low, span = *high - *low;
    return mapped(product(high_maps().reflectance, high_maps().illumination),
                  [first, span](float v) { return first + span * v; });
  }
  if (way == kRestored || way == kLight) return product(restored(), high_maps().illumination);
  if (way == kUnrestored) return product(low_maps().reflectance, high_maps().illumination);
  check(model_->adjustment.has_value(), "model: it has no adjustment net, which ", way, " needs");
  if (way == kAdjusted) return with_ratio(way, high_maps().reflectance, true_ratio());
  if (way == kAdjustedBest) return with_ratio(way, high_maps().reflectance, best_ratio(high_maps().reflectance));
  if (way == kBest) return with_ratio(way, restored(), best_ratio(restored()));
  if (way == kNoisy) return with_ratio(way, low_maps().reflectance, true_ratio());
  if (way == "gt-ratio" || way == kTrue) return with_ratio(way, restored(), true_ratio());
  fail("there is no protocol ", way);
}

}  // namespace kind
