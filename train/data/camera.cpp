#include "train/data/camera.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace kind {
namespace {

double decode_srgb(double v) { return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4); }
double encode_srgb(double v) { return v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055; }

/// Log-uniform from low to high; draws nothing where they are the same.
double log_uniform(Random& random, double low, double high) {
  return low == high ? low : std::exp(random.uniform(std::log(low), std::log(high)));
}

/// floor(255 encode(light)^gamma + 0.5) of light in 0..1, by the 255 places where the result changes.
class ToneCurve {
 public:
  explicit ToneCurve(double gamma) {
    const auto value = [gamma](double light) {
      return static_cast<int>(std::floor(255 * std::pow(encode_srgb(light), gamma) + 0.5));
    };
    for (int v = 1; v < 256; ++v) {
      // Inverted, then to the last bit: the least light that gives v.
      const double about = decode_srgb(std::pow((v - 0.5) / 255, 1 / gamma));
      double below = about * (1 - 1e-9), from = about * (1 + 1e-9);
      while (value(below) >= v) below *= 1 - 1e-7;
      while (value(from) < v) from *= 1 + 1e-7;
      for (double middle = (below + from) / 2; middle > below && middle < from; middle = (below + from) / 2) {
        (value(middle) >= v ? from : below) = middle;
      }
      starts_[static_cast<std::size_t>(v)] = from;
    }
    starts_[256] = 2;  // never
    std::size_t v = 0;
    for (std::size_t i = 0; i < kCells; ++i) {
      while (static_cast<double>(i) / kCells >= starts_[v + 1]) ++v;
      first_[i] = static_cast<std::uint8_t>(v);
    }
  }

  std::uint8_t operator()(double light) const {
    std::size_t v = first_[std::min(static_cast<std::size_t>(light * kCells), kCells - 1)];
    while (light >= starts_[v + 1]) ++v;
    return static_cast<std::uint8_t>(v);
  }

 private:
  static constexpr std::size_t kCells = 1 << 14;
  std::array<double, 257> starts_{};
  std::array<std::uint8_t, kCells> first_{};
};

/// Of each pixel, the exposure over the one that the picture as a whole was drawn; empty where it is the same
/// everywhere.
std::vector<float> exposure_map(int width, int height, double exposure, const CameraConfig& config, Random& random) {
  constexpr double kPi = 3.14159265358979323846;
  const bool falls = config.falloff_high > 0, shines = config.windows > 0 && random.uniform() < config.windows;
  if (!falls && !shines) return {};
  std::vector<float> map(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 1.0f);
  if (falls) {
    const double stops = random.uniform(config.falloff_low, config.falloff_high);
    const double angle = random.uniform(0, 2 * kPi), dy = std::sin(angle), dx = std::cos(angle);
    // t = 0.5 at the centre, and 0 and 1 at the two corners that are first and last in this direction.
    const double extent = std::abs(dy) * std::max(1, height - 1) + std::abs(dx) * std::max(1, width - 1);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const double t = 0.5 + (dy * (y - 0.5 * (height - 1)) + dx * (x - 0.5 * (width - 1))) / extent;
        map[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)] =
            static_cast<float>(std::exp2(-stops * t));
      }
    }
  }
  if (!shines) return map;
  const double own = log_uniform(random, config.window_exposure_low, config.window_exposure_high) / exposure;
  const auto side = [&](int whole) {
    return std::max(1.0, whole * log_uniform(random, config.window_size_low, config.window_size_high)) / 2;
  };
  const double half_h = side(height), half_w = side(width), y0 = random.uniform(0, height),
               x0 = random.uniform(0, width);
  const std::uint64_t form = random.below(3);
  const double tilt = random.uniform(-0.2, 0.2), horizon = 2 * half_h;
  const double softness = random.below(2) == 0 ? 1 : log_uniform(random, 1, std::max(1.0, std::min(half_h, half_w)));
  /// How far within the edge a pixel lies.
  const auto inside = [&](double y, double x) {
    if (form == 0) return std::min(half_h - std::abs(y - y0), half_w - std::abs(x - x0));
    if (form == 1) return (1 - std::hypot((y - y0) / half_h, (x - x0) / half_w)) * std::min(half_h, half_w);
    return horizon + tilt * (x - 0.5 * width) - y;
  };
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float share = static_cast<float>(std::clamp(inside(y + 0.5, x + 0.5) / softness + 0.5, 0.0, 1.0));
      float& at = map[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
      at += share * (static_cast<float>(own) - at);
    }
  }
  return map;
}

/// Normal numbers by the 65536 quantiles of the distribution: variance 0.9999, none beyond 4.2. Two for a draw.
class QuickNormal {
 public:
  explicit QuickNormal(Random& random) : random_(random), table_(quantiles()) {}

  float operator()() {
    if (left_ == 0) bits_ = random_.next_u32(), left_ = 2;
    const float value = table_[bits_ & 0xFFFF];
    bits_ >>= 16;
    --left_;
    return value;
  }

 private:
  /// The inverse of the distribution function at (i + 0.5) / 65536, by Newton's method from the neighbour's.
  static const std::vector<float>& quantiles() {
    static const std::vector<float> table = [] {
      constexpr std::size_t kCount = 65536;
      std::vector<float> values(kCount);
      double x = 0;
      for (std::size_t i = kCount / 2; i < kCount; ++i) {
        const double p = (static_cast<double>(i) + 0.5) / kCount;
        for (int step = 0; step < 8; ++step) {
          const double error = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
          x -= error * std::sqrt(2 * 3.14159265358979323846) * std::exp(x * x / 2);
        }
        values[i] = static_cast<float>(x);
        values[kCount - 1 - i] = -values[i];
      }
      return values;
    }();
    return table;
  }

  Random& random_;
  const std::vector<float>& table_;
  std::uint32_t bits_ = 0;
  int left_ = 0;
};

/// One channel a pixel, as a Bayer sensor sees it: green where row + column is odd, else red or blue by the row, all
/// moved by (dy, dx). It has a pixel of reflection padding, which keeps the pattern.
class Mosaic {
 public:
  Mosaic(int width, int height, Random& random)
      : width_(width),
        height_(height),
        pitch_(static_cast<std::size_t>(width) + 2),
        dy_(static_cast<int>(random.below(2))),
        dx_(static_cast<int>(random.below(2))),
        values_(pitch_ * (static_cast<std::size_t>(height) + 2)) {}

  float* row(int y) { return values_.data() + static_cast<std::size_t>(y + 1) * pitch_ + 1; }
  int channel(int y, int x) const { return (y + dy_ + x + dx_) % 2 == 1 ? 1 : (y + dy_) % 2 == 0 ? 0 : 2; }

  /// To be called when the values are set.
  void mirror() {
    const auto within = [](int i, int size) { return size == 1 ? 0 : i < 0 ? 1 : i == size ? size - 2 : i; };
    for (int y = 0; y < height_; ++y) {
      row(y)[-1] = row(y)[within(-1, width_)];
      row(y)[width_] = row(y)[within(width_, width_)];
    }
    std::copy_n(row(within(-1, height_)) - 1, pitch_, row(-1) - 1);
    std::copy_n(row(within(height_, height_)) - 1, pitch_, row(height_) - 1);
  }

  /// Red, green and blue of a row, each the mean of the nearest values of that channel.
  void demosaic(int y, std::vector<float>& rgb) {
    const float *up = row(y - 1), *at = row(y), *down = row(y + 1);
    const int own = channel(y, 0) == 1 ? channel(y, 1) : channel(y, 0);  // red or blue: what this row has beside green
    for (int x = 0; x < width_; ++x) {
      float* to = rgb.data() + 3 * x;
      const float across = 0.5f * (at[x - 1] + at[x + 1]), along = 0.5f * (up[x] + down[x]);
      if (channel(y, x) == 1) {
        to[own] = across;
        to[1] = at[x];
        to[2 - own] = along;
      } else {
        to[own] = at[x];
        to[1] = 0.5f * (across + along);
        to[2 - own] = 0.25f * (up[x - 1] + up[x + 1] + down[x - 1] + down[x + 1]);
      }
    }
  }

 private:
  int width_, height_;
  std::size_t pitch_;
  int dy_, dx_;
  std::vector<float> values_;
};

/// A dark picture before its noise: light of each 8-bit value and channel, times a map where there is one.
struct Light {
  const Image& bright;
  std::array<std::array<double, 256>, 3> of;
  std::vector<float> map;
  std::array<double, 3> gains;  // of the channels, after the sensor
  double shot, read;            // of the variance at gain 1: shot light + read

  double at(std::size_t pixel, std::size_t channel) const {
    const double light = of[channel][bright.data[3 * pixel + channel]];
    return map.empty() ? light : light * static_cast<double>(map[pixel]);
  }
  double deviation(double light, std::size_t channel) const {
    const double gain = gains[channel];
    return std::sqrt(shot * (gain * light) + gain * gain * read);
  }
};

template <class Normal>
void expose_plain(const Light& light, const ToneCurve& curve, Normal&& normal, Image& dark) {
  const std::size_t pixels = dark.data.size() / 3;
  for (std::size_t p = 0; p < pixels; ++p) {
    for (std::size_t c = 0; c < 3; ++c) {
      const double seen = light.at(p, c);
      dark.data[3 * p + c] =
          curve(std::clamp(seen + light.deviation(seen, c) * static_cast<double>(normal()), 0.0, 1.0));
    }
  }
}

void expose_mosaic(const Light& light, bool whole_picture, const ToneCurve& curve, Random& random, Image& dark) {
  Mosaic mosaic(dark.width, dark.height, random);
  QuickNormal normal(random);
  for (int y = 0; y < dark.height; ++y) {
    float* row = mosaic.row(y);
    std::size_t pixel = static_cast<std::size_t>(y) * static_cast<std::size_t>(dark.width);
    for (int x = 0; x < dark.width; ++x, ++pixel) {
      const std::size_t c = static_cast<std::size_t>(mosaic.channel(y, x));
      const double seen = light.at(pixel, c);
      const float noise = static_cast<float>(light.deviation(seen, c)) * normal();
      // The sensor is full at 1 before its gain.
      row[x] = whole_picture ? std::min(static_cast<float>(seen) + noise, static_cast<float>(light.gains[c])) : noise;
    }
  }
  mosaic.mirror();
  std::vector<float> rgb(3 * static_cast<std::size_t>(dark.width));
  for (int y = 0; y < dark.height; ++y) {
    mosaic.demosaic(y, rgb);
    std::uint8_t* to = dark.row(y);
    std::size_t pixel = static_cast<std::size_t>(y) * static_cast<std::size_t>(dark.width);
    for (std::size_t i = 0; i < rgb.size(); i += 3, ++pixel) {
      for (std::size_t c = 0; c < 3; ++c) {
        const double seen = static_cast<double>(rgb[i + c]) + (whole_picture ? 0 : light.at(pixel, c));
        to[i + c] = curve(std::clamp(seen, 0.0, 1.0));
      }
    }
  }
}

Image compressed(const Image& image, const CameraConfig& config, Random& random) {
  WriteOptions options;
  const std::int64_t span = config.jpeg_quality_high - config.jpeg_quality_low + 1;
  options.jpeg_quality =
      static_cast<int>(config.jpeg_quality_low) + static_cast<int>(random.below(static_cast<std::uint64_t>(span)));
  options.chroma = random.below(2) == 0 ? Chroma::k420 : Chroma::k444;
  constexpr const char* kName = "a darkened picture";
  return decode_image(kName, encode_image(kName, image, ImageFormat::kJpeg, options));
}

}  // namespace

Image darken(const Image& bright, const CameraConfig& config, Random& random) {
  const double exposure = std::exp(random.uniform(std::log(config.exposure_low), std::log(config.exposure_high)));
  const double gamma = random.uniform(config.gamma_low, config.gamma_high);
  const double noise = log_uniform(random, config.noise_low, config.noise_high);
  const double red_gain = log_uniform(random, config.red_gain_low, config.red_gain_high);
  const double blue_gain = log_uniform(random, config.blue_gain_low, config.blue_gain_high);
  double balance[3] = {1, 1, 1};
  if (config.white_balance > 0) {
    for (const std::size_t c : {0, 2}) {
      balance[c] = std::exp2(random.uniform(-config.white_balance, config.white_balance));
    }
  }
  Light light{bright,
              {},
              exposure_map(bright.width, bright.height, exposure, config, random),
              {red_gain, 1, blue_gain},
              noise * noise * config.shot_noise,
              noise * noise * (config.read_noise * config.read_noise)};
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 256; ++i) {
      light.of[c][i] = exposure * balance[c] * decode_srgb(static_cast<double>(i) / 255);
    }
  }
  const ToneCurve curve(gamma);
  Image dark(bright.width, bright.height, 3);
  if (config.mosaic != "none") {
    expose_mosaic(light, config.mosaic == "picture", curve, random, dark);
  } else if (config.fresh) {
    expose_plain(light, curve, QuickNormal(random), dark);
  } else {
    // As it has been since before there was the quick way, so that twins stay what they were.
    expose_plain(
        light, curve, [&] { return random.normal(); }, dark);
  }
  if (config.jpeg > 0 && random.uniform() < config.jpeg) return compressed(dark, config, random);
  return dark;
}

}  // namespace kind
