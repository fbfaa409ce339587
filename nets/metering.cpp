#include "nets/metering.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace kind {
namespace {

constexpr int kSteps = 65536;
constexpr float kSmallestSpan = 0.001f;
/// The values that an end of the range is the mean of are those between `outliers` and this many times as many.
constexpr double kEndShare = 4;
/// Of the outliers, that are passed over where lights are looked for: less than a lamp, more than a few hot pixels.
constexpr double kLightsShare = 0.02;

/// True where the `count` pixels from (x, y) on, `dx` and `dy` apart, are as plain as a frame is and of the colour of
/// the pixel at (from_x, from_y), or fully transparent.
bool is_plain(const Image& image, int tolerance, int x, int y, int dx, int dy, int count, int from_x, int from_y) {
  const int colors = image.channels < 3 ? 1 : 3;
  int first[3];
  for (int c = 0; c < colors; ++c) first[c] = image.sample(from_x, from_y, c);
  const bool seen = !image.has_alpha() || image.sample(from_x, from_y, image.channels - 1) > 0;
  for (int i = 0; i < count; ++i, x += dx, y += dy) {
    const bool visible = !image.has_alpha() || image.sample(x, y, image.channels - 1) > 0;
    if (visible != seen) return false;
    if (!visible) continue;
    for (int c = 0; c < colors; ++c) {
      if (std::abs(image.sample(x, y, c) - first[c]) > tolerance) return false;
    }
  }
  return true;
}

/// The mean of the values between the quantiles `from` and `to` (shares of all, counted from the end that `value_at`
/// begins with): each value fills as much of 0..1 as it has of the counts.
template <class At>
double mean_between(double from, double to, const std::vector<std::uint64_t>& counts, double all, const At& at) {
  double before = 0, sum = 0, weight = 0;
  for (int i = 0; i < kSteps && before < to * all; ++i) {
    const auto here = static_cast<double>(counts[static_cast<std::size_t>(at(i))]);
    const double share = std::min(before + here, to * all) - std::max(before, from * all);
    if (share > 0) {
      sum += share * at(i);
      weight += share;
    }
    before += here;
  }
  return sum / weight / (kSteps - 1);
}

/// As Meter::range() says. A picture of which nothing is visible has no values: (0, 1).
InputRange range_between(const std::vector<std::uint64_t>& counts, double outliers) {
  double all = 0;
  for (const std::uint64_t count : counts) all += static_cast<double>(count);
  if (all == 0) return {};
  const double low = mean_between(outliers, kEndShare * outliers, counts, all, [](int i) { return i; }),
               high = mean_between(outliers, kEndShare * outliers, counts, all, [](int i) { return kSteps - 1 - i; });
  return {static_cast<float>(low), std::max(static_cast<float>(high - low), kSmallestSpan)};
}

}  // namespace

PictureArea framed_area(const Image& image, const ColorEncoding* color) {
  check(image.width > 0 && image.height > 0, "picture: it is empty");
  constexpr int kSmallest = 16;  // of a few pixels many are alike
  const PictureArea whole{0, image.height, 0, image.width};
  PictureArea area = whole;
  const int w = image.width, h = image.height;
  if (w < kSmallest || h < kSmallest) return whole;
  float step = image.bits == 16 ? 0.25f / 255 : 1.0f / 255;
  if (color) {
    float other[] = {step, step};
    float* const planes[] = {&step, &other[0], &other[1]};
    color->from_srgb(planes, 1);
  }
  const int tolerance =
      std::clamp(static_cast<int>(step * static_cast<float>(image.maximum()) + 0.5f), 0, image.maximum() / 255);
  const auto is_plain = [&](int x, int y, int dx, int dy, int count, int from_x, int from_y) {
    return kind::is_plain(image, tolerance, x, y, dx, dy, count, from_x, from_y);
  };
  while (area.top < h && is_plain(0, area.top, 1, 0, w, 0, 0)) ++area.top;
  while (area.bottom > area.top && is_plain(0, area.bottom - 1, 1, 0, w, 0, h - 1)) --area.bottom;
  if (4 * area.height() < h) return whole;
  const int rows = area.height();
  while (area.left < w && is_plain(area.left, area.top, 0, 1, rows, 0, area.top)) ++area.left;
  while (area.right > area.left && is_plain(area.right - 1, area.top, 0, 1, rows, w - 1, area.top)) --area.right;
  return 4 * area.width() < w ? whole : area;
}

Image cut_out(const Image& image, const PictureArea& area) {
  Image part(area.width(), area.height(), image.channels, image.bits);
  const std::size_t pixel = image.row_bytes() / static_cast<std::size_t>(image.width);
  for (int y = 0; y < part.height; ++y) {
    std::memcpy(part.row(y), image.row(area.top + y) + static_cast<std::size_t>(area.left) * pixel, part.row_bytes());
  }
  return part;
}

void put_back(const Image& part, const PictureArea& area, Image& image) {
  check(part.width == area.width() && part.height == area.height() && part.channels == image.channels &&
            part.bits == image.bits && area.right <= image.width && area.bottom <= image.height,
        "picture: the part is not of the size or kind of the area that it is for");
  const std::size_t pixel = image.row_bytes() / static_cast<std::size_t>(image.width);
  for (int y = 0; y < part.height; ++y) {
    std::memcpy(image.row(area.top + y) + static_cast<std::size_t>(area.left) * pixel, part.row(y), part.row_bytes());
  }
}

Meter::Meter(std::int64_t h, std::int64_t w, const InputConfig& config)
    : outliers_(config.outliers.value_or(0)), stretch_(config.stretch), w_(w), reduction_(h, w) {
  if (stretch_ && outliers_ > 0) counts_.assign(kSteps, 0);
}

void Meter::add_rows(std::int64_t y0, std::int64_t y1, const float* const* planes, const float* opacity) {
  reduction_.add_rows(y0, y1, planes, opacity);
  if (!stretch_) return;
  const std::int64_t count = (y1 - y0) * w_;
  constexpr std::int64_t kGrain = 1 << 18;
  std::mutex mutex;
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    float low = 1, high = 0;
    std::vector<std::uint64_t> counts(counts_.size());
    for (std::int64_t c = 0; c < 3; ++c) {
      const float* const values = planes[c];
      for (std::int64_t i = begin; i < end; ++i) {
        if (opacity && !(opacity[i] > 0)) continue;
        low = std::min(low, values[i]);
        high = std::max(high, values[i]);
      }
      if (counts.empty()) continue;
      for (std::int64_t i = begin; i < end; ++i) {
        const float value = values[i] > 0 ? std::min(values[i], 1.0f) : 0.0f;
        const float weight = opacity ? std::clamp(opacity[i], 0.0f, 1.0f) : 1.0f;
        counts[static_cast<std::size_t>(value * (kSteps - 1) + 0.5f)] +=
            static_cast<std::uint64_t>(weight * (kSteps - 1) + 0.5f);
      }
    }
    const std::lock_guard lock(mutex);  // sums of integers: the same in any order
    low_ = std::min(low_, low);
    high_ = std::max(high_, high);
    for (std::size_t i = 0; i < counts.size(); ++i) counts_[i] += counts[i];
  });
}

InputRange Meter::range() const {
  if (!stretch_) return {};
  if (counts_.empty()) return low_ > high_ ? InputRange{} : InputRange{low_, std::max(high_ - low_, kSmallestSpan)};
  return range_between(counts_, outliers_);
}

float Meter::lights() const {
  const InputRange usual = range();
  if (counts_.empty()) return usual.low + usual.span;
  const InputRange wide = range_between(counts_, kLightsShare * outliers_);
  return std::max(usual.low + usual.span, wide.low + wide.span);
}

InputRange range_of_image(const Image& image, const InputConfig& config) {
  check(image.channels == 3 && !image.data.empty(), "picture: expected RGB, got ", image.channels, " channels");
  if (!config.stretch) return {};
  const auto maximum = static_cast<std::size_t>(image.maximum()), steps = std::size_t{kSteps - 1} / maximum;
  std::vector<std::uint64_t> of_sample(maximum + 1);
  if (image.bits == 16) {
    for (std::size_t i = 0; i < image.data.size(); i += 2) {
      std::uint16_t sample;
      std::memcpy(&sample, image.data.data() + i, sizeof sample);
      ++of_sample[sample];
    }
  } else {
    for (const std::uint8_t sample : image.data) ++of_sample[sample];
  }
  if (config.outliers.value_or(0) == 0) {
    std::size_t low = 0, high = maximum;
    while (of_sample[low] == 0) ++low;
    while (of_sample[high] == 0) --high;
    const auto value = [&](std::size_t sample) { return static_cast<float>(sample) / static_cast<float>(maximum); };
    return {value(low), std::max(value(high) - value(low), kSmallestSpan)};
  }
  std::vector<std::uint64_t> counts(kSteps);
  for (std::size_t i = 0; i <= maximum; ++i) counts[steps * i] = of_sample[i] * (kSteps - 1);
  return range_between(counts, *config.outliers);
}

MeteredPicture meter(const Tensor<float>& picture, const InputConfig& config) {
  const Shape& shape = picture.shape();
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 3 && picture.size() > 0,
        "picture: expected RGB [1, 3, h, w], got ", shape);
  const std::int64_t h = shape[2], w = shape[3];
  Meter meter(h, w, config);
  const float* const planes[] = {picture.data(), picture.data() + h * w, picture.data() + 2 * h * w};
  meter.add_rows(0, h, planes);
  return {meter.range(), meter.reduced(), meter.weights(), meter.lights()};
}

}  // namespace kind
