#include "infer/eval/eval_metrics.h"

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/sum.h"
#include "core/config/config.h"
#include "losses/metrics/loe.h"
#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"

namespace kind {

const std::vector<Metric>& all_metrics() {
  static const std::vector<Metric> all = {
      {"psnr", 2, "PSNR over all RGB values, dB; higher is better"},
      {"ssim", 4, "SSIM, mean over R, G and B; 1 is the same"},
      {"psnr-gray", 2, "PSNR of BT.601 gray, dB; higher is better"},
      {"ssim-gray", 4, "SSIM of BT.601 gray; 1 is the same"},
      {"mae", 4, "mean absolute difference, values as 0 to 1; lower is better"},
      {"delta-e", 2, "mean CIEDE2000; lower is better, about 1 is just seen"},
      {"color-slope", 3, "share of the bright picture's colour that is there, CIELAB; 1 is all, 0 is gray"},
      {"hue", 1, "mean difference of hue where both pictures have colour, degrees; lower is better"},
      {"chroma-error", 2, "mean distance in the a*b* plane of CIELAB; lower is better"},
      {"chroma", 3, "mean CIELAB chroma over the bright picture's; misleads, noise counts as colour"},
      {"loe", 1, "lightness order error against the dark picture; lower is better"},
      {"niqe", 3, "distance from good photographs' statistics (--niqe-model); lower is better"},
  };
  return all;
}

const std::vector<std::string>& default_metrics() {
  static const std::vector<std::string> names = {"psnr", "ssim", "delta-e", "color-slope"};
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

std::optional<double> measure(const Metric& metric, Scored& pictures) {
  const Tensor<float>&a = pictures.output, &b = pictures.target;
  if (metric.name == "psnr") return psnr_rgb(a, b);
  if (metric.name == "ssim") return ssim_rgb(a, b);
  if (metric.name == "psnr-gray") return psnr_gray(a, b);
  if (metric.name == "ssim-gray") return ssim_gray(a, b);
  if (metric.name == "mae") return mean_absolute_error(a, b);
  if (metric.name == "loe") {
    check(pictures.low != nullptr, "loe: there is no dark picture to compare with");
    return lightness_order_error(a, *pictures.low);
  }
  if (metric.name == "niqe") {
    check(pictures.niqe != nullptr, "niqe: there is no model to compare with");
    return niqe(a, *pictures.niqe);
  }
  if (!pictures.lab) pictures.lab = to_lab_pair(a, b);
  if (metric.name == "delta-e") return mean_delta_e(*pictures.lab);
  if (metric.name == "color-slope") return color_slope(*pictures.lab);
  if (metric.name == "hue") return hue_error(*pictures.lab);
  if (metric.name == "chroma-error") return chroma_error(*pictures.lab);
  if (metric.name == "chroma") return chroma_ratio(*pictures.lab);
  fail("there is no metric ", quote(metric.name));
}

}  // namespace kind
