#include "train/camera.h"

#include <algorithm>
#include <cmath>

namespace kind {
namespace {

double decode_srgb(double v) { return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4); }
double encode_srgb(double v) { return v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055; }

}  // namespace

Image darken(const Image& bright, const CameraConfig& config, Random& random) {
  const double exposure = std::exp(random.uniform(std::log(config.exposure_low), std::log(config.exposure_high)));
  const double gamma = random.uniform(config.gamma_low, config.gamma_high);
  Image dark(bright.width, bright.height, 3);
  double linear[256];
  for (int i = 0; i < 256; ++i) linear[i] = exposure * decode_srgb(i / 255.0);
  for (std::size_t i = 0; i < dark.data.size(); ++i) {
    const double light = linear[bright.data[i]];
    const double deviation = std::sqrt(config.shot_noise * light + config.read_noise * config.read_noise);
    const double seen = std::clamp(light + deviation * random.normal(), 0.0, 1.0);
    dark.data[i] = static_cast<std::uint8_t>(std::floor(255 * std::pow(encode_srgb(seen), gamma) + 0.5));
  }
  return dark;
}

}  // namespace kind
