#include "infer/eval_metrics.h"

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/sum.h"
#include "core/io/config.h"
#include "losses/metrics/color.h"
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
      {"chroma", 3, "mean CIELAB chroma over the bright picture's; 1 is best, less is washed out"},
      {"loe", 1, "lightness order error against the dark picture; lower is better"},
      {"niqe", 3, "distance from good photographs' statistics (--niqe-model); lower is better"},
  };
  return all;
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

std::optional<double> measure(const Metric& metric, const Scored& pictures) {
  const Tensor<float>&a = pictures.output, &b = pictures.target;
  if (metric.name == "psnr") return psnr_rgb(a, b);
  if (metric.name == "ssim") return ssim_rgb(a, b);
  if (metric.name == "psnr-gray") return psnr_gray(a, b);
  if (metric.name == "ssim-gray") return ssim_gray(a, b);
  if (metric.name == "mae") return mean_absolute_error(a, b);
  if (metric.name == "delta-e") return mean_delta_e(a, b);
  if (metric.name == "chroma") {
    constexpr double kGray = 0.001;  // what rounding leaves of grays
    const double target = mean_chroma(b);
    if (target < kGray) return std::nullopt;
    return mean_chroma(a) / target;
  }
  if (metric.name == "loe") {
    check(pictures.low != nullptr, "loe: there is no dark picture to compare with");
    return lightness_order_error(a, *pictures.low);
  }
  if (metric.name == "niqe") {
    check(pictures.niqe != nullptr, "niqe: there is no model to compare with");
    return niqe(a, *pictures.niqe);
  }
  fail("there is no metric ", quote(metric.name));
}

}  // namespace kind
