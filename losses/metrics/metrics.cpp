#include "losses/metrics/metrics.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/config/config.h"
#include "losses/metrics/loe.h"
#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"

namespace kind {
namespace {

using Value = std::optional<double>;

Value loe(Scored& s) {
  check(s.low != nullptr, "loe: there is no dark picture to compare with");
  return lightness_order_error(s.output, *s.low);
}

Value niqe_of(Scored& s) {
  check(s.niqe != nullptr, "niqe: there is no model to compare with");
  return niqe(s.output, *s.niqe);
}

}  // namespace

// A row is all that makes a metric known. Tables show metrics in this order.
const std::vector<Metric>& all_metrics() {
  using enum Better;
  using enum Taken;
  static const std::vector<Metric> all = {
      {"psnr", 2, "PSNR over all RGB values, dB; higher is better", kHigher, kAlways,
       [](Scored& s) -> Value { return psnr_rgb(s.output, s.target); }},
      {"ssim", 4, "SSIM, mean over R, G and B; 1 is the same", kHigher, kAlways,
       [](Scored& s) { return ssim_rgb(s.output, s.target); }},
      {"psnr-gray", 2, "PSNR of BT.601 gray, dB; higher is better", kHigher, kNamed,
       [](Scored& s) -> Value { return psnr_gray(s.output, s.target); }},
      {"ssim-gray", 4, "SSIM of BT.601 gray; 1 is the same", kHigher, kNamed,
       [](Scored& s) { return ssim_gray(s.output, s.target); }},
      {"mae", 4, "mean absolute difference, values as 0 to 1; lower is better", kLower, kNamed,
       [](Scored& s) -> Value { return mean_absolute_error(s.output, s.target); }},
      {"delta-e", 2, "mean CIEDE2000; lower is better, about 1 is just seen", kLower, kAlways,
       [](Scored& s) -> Value { return mean_delta_e(colors(s)); }},
      {"color-slope", 3, "share of the bright picture's colour that is there, CIELAB; 1 is all, 0 is gray", kNearOne,
       kAlways, [](Scored& s) { return color_slope(colors(s)); }},
      {"hue", 1, "mean difference of hue where both pictures have colour, degrees; lower is better", kLower,
       kByValidation, [](Scored& s) { return hue_error(colors(s)); }},
      {"chroma-error", 2, "mean distance in the a*b* plane of CIELAB; lower is better", kLower, kByValidation,
       [](Scored& s) -> Value { return chroma_error(colors(s)); }},
      {"chroma", 3, "mean CIELAB chroma over the bright picture's; misleads, noise counts as colour", kNeither,
       kByValidation, [](Scored& s) { return chroma_ratio(colors(s)); }},
      {"loe", 1, "lightness order error against the dark picture; lower is better", kLower, kNamed, loe},
      {"niqe", 3, "distance from good photographs' statistics (--niqe-model); lower is better", kLower, kNamed,
       niqe_of},
  };
  return all;
}

Tensor<float> file_values(const Tensor<float>& picture, int bits) {
  check(bits == 8 || bits == 16, "file_values: expected 8 or 16 bits, got ", bits);
  Tensor<float> values(picture.shape());
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const float value = std::clamp(picture[i], 0.0f, 1.0f);
    values[i] = bits == 8 ? std::floor(255.0f * value + 0.5f)
                          : static_cast<float>(std::floor(65535.0 * static_cast<double>(value) + 0.5) / 257);
  }
  return values;
}

const LabPair& colors(Scored& pictures) {
  if (!pictures.lab) pictures.lab = to_lab_pair(pictures.output, pictures.target);
  return *pictures.lab;
}

std::string Metric::figure() const {
  std::string text = name;
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::vector<std::string> default_metrics() {
  std::vector<std::string> names;
  for (const Metric& metric : all_metrics()) {
    if (metric.taken == Taken::kAlways) names.push_back(metric.name);
  }
  return names;
}

const Metric& find_metric(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const Metric& metric : all_metrics()) {
    if (metric.name == name) return metric;
    names.push_back(metric.name);
    list += (list.empty() ? "" : ", ") + metric.name;
  }
  const std::string nearest = nearest_name(name, names);
  fail("--metrics: there is no metric ", quote(name), nearest.empty() ? "" : "; did you mean " + nearest + "?",
       nearest.empty() ? "; known: " : " known: ", list);
}

}  // namespace kind
