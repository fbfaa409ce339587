#include "nets/pipeline.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/ops/filter.h"
#include "nets/enhancement.h"
#include "nets/product.h"

namespace kind {
namespace {

constexpr std::int64_t kGrain = 16384;
constexpr float kSmallestSpan = 0.001f;

void check_picture(const Tensor<float>& picture) {
  const Shape& shape = picture.shape();
  // One alone: the stretch of several would depend on one another.
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == 3 && picture.size() > 0,
        "picture: expected RGB [1, 3, h, w], got ", shape);
}

/// A map [1, channels, h, w] of h x w pixels.
void check_map(const char* what, const Tensor<float>& map, std::int64_t channels, std::int64_t h, std::int64_t w) {
  const Shape wanted{1, channels, h, w};
  check(map.defined() && map.shape() == wanted, what, ": expected a map ", wanted, ", got ",
        [&] { return map.defined() ? map.shape().text() : "none"; });
}

/// A picture as the nets take it, in place where nobody else holds it.
Tensor<float> stretched(Tensor<float> picture, InputRange range) {
  Tensor<float> result = picture.unique() ? picture : Tensor<float>(picture.shape());
  parallel_for(picture.size(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result[i] = range.stretched(picture[i]);
  });
  return result;
}

/// Rows of a picture in memory, as a source.
EnhancementInput input_of(const Tensor<float>& picture, const InputConfig& config) {
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3];
  const auto rows = [&picture, plane = h * w, w](std::int64_t y0, std::int64_t y1, float* const* planes) {
    for (std::int64_t c = 0; c < 3; ++c) std::copy_n(picture.data() + c * plane + y0 * w, (y1 - y0) * w, planes[c]);
  };
  const MeteredPicture metered = meter(picture, config);
  return {h, w, rows, {}, metered, metered.range};
}

/// Rows y0 <= y < y1 of all planes of a tensor [1, c, h, w].
void put_planes(std::int64_t y0, std::int64_t y1, const float* const* planes, Tensor<float>& to) {
  const std::int64_t h = to.shape()[2], w = to.shape()[3];
  for (std::int64_t c = 0; c < to.shape()[1]; ++c) {
    std::copy_n(planes[c], (y1 - y0) * w, to.data() + (c * h + y0) * w);
  }
}

/// Rows into an Enhanced.
class TensorSink : public EnhancementSink {
 public:
  TensorSink(const Tensor<float>& picture, bool maps) : maps_(maps) {
    // Rows of the picture are read before those of the output are there.
    enhanced.output = picture.unique() ? picture : Tensor<float>(picture.shape());
    if (maps) enhanced.allocate_maps(picture.shape()[2], picture.shape()[3]);
  }
  void rows(std::size_t, std::int64_t y0, std::int64_t y1, const float* const* planes) override {
    put_planes(y0, y1, planes, enhanced.output);
  }
  void done(std::size_t, const LightChoice& light) override {
    enhanced.ratio = light.ratio;
    enhanced.strength = light.strength;
  }
  bool wants_maps() const override { return maps_; }
  void map_rows(Map map, std::int64_t y0, std::int64_t y1, const float* const* planes) override {
    enhanced.put_rows(map, y0, y1, planes);
  }

  Enhanced enhanced;

 private:
  bool maps_;
};

}  // namespace

InputRange input_range(const Tensor<float>& picture, const InputConfig& config) {
  check_picture(picture);
  if (!config.stretch) return {};
  if (config.outliers.value_or(0) > 0) return meter(picture, config).range;
  const auto [low, high] = std::minmax_element(picture.data(), picture.data() + picture.size());
  return {*low, std::max(*high - *low, kSmallestSpan)};
}

Tensor<float> net_input(Tensor<float> picture, const InputConfig& config) {
  check_picture(picture);
  if (!config.stretch) return picture;
  const InputRange range = input_range(picture, config);
  return stretched(std::move(picture), range);
}

Variable<float> ratio_map(const Shape& illumination, double ratio) {
  check(illumination.rank() == 4 && illumination[1] == 1, "ratio: expected the shape of a map [n, 1, h, w], got ",
        illumination);
  check(std::isfinite(ratio), "ratio: expected a finite number, got ", ratio);
  return Variable<float>(Tensor<float>::full(illumination, static_cast<float>(ratio)));
}

double ratio_between(const Tensor<float>& low, const Tensor<float>& high) {
  check(low.size() > 0, "ratio: expected illuminations [1, 1, h, w], got ", low.shape(), " without elements");
  check(low.shape() == high.shape(), "ratio: illuminations ", low.shape(), " and ", high.shape(), " differ in size");
  double sum = 0;
  for (std::int64_t i = 0; i < low.size(); ++i)
    sum += static_cast<double>(high[i]) / (static_cast<double>(low[i]) + 1e-4);
  return sum / static_cast<double>(low.size());
}

void Enhanced::allocate_maps(std::int64_t h, std::int64_t w) {
  for (Tensor<float>* const map : {&reflectance, &restored}) *map = Tensor<float>(Shape{1, 3, h, w});
  for (Tensor<float>* const map : {&illumination, &adjusted}) *map = Tensor<float>(Shape{1, 1, h, w});
}

void Enhanced::put_rows(Map map, std::int64_t y0, std::int64_t y1, const float* const* planes) {
  put_planes(y0, y1, planes,
             map == Map::kReflectance    ? reflectance
             : map == Map::kIllumination ? illumination
             : map == Map::kRestored     ? restored
                                         : adjusted);
}

// By value: a picture that is given away has one owner here, and the sink then takes its memory.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Enhanced enhance(const Model<float>& model, Tensor<float> picture, const EnhanceOptions& options) {
  check_picture(picture);
  TensorSink sink(picture, options.maps);
  Enhancement enhancement(model, input_of(picture, model.config.input),
                          {.fusion = options.fusion, .denoise = options.denoise});
  enhancement.run({options.light}, false, sink);
  return std::move(sink.enhanced);
}

Tensor<float> fuse_official(const Tensor<float>& picture, const Enhanced& maps) {
  constexpr std::int64_t kRadius = 12;
  check_picture(picture);
  for (const auto& [name, map, channels] : {std::tuple("reflectance", &maps.reflectance, 3),
                                            {"illumination", &maps.illumination, 1},
                                            {"restored", &maps.restored, 3},
                                            {"adjusted", &maps.adjusted, 1}}) {
    check_map(name, *map, channels, picture.shape()[2], picture.shape()[3]);
  }
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3], plane = h * w;
  // Gray of R_low, with its edges replicated, then blurred along each axis.
  Tensor<float> gray(Shape{1, 1, h + 2 * kRadius, w + 2 * kRadius});
  const Tensor<float>& r = maps.reflectance;
  for (std::int64_t y = 0; y < gray.shape()[2]; ++y) {
    const std::int64_t from_y = std::clamp<std::int64_t>(y - kRadius, 0, h - 1);
    for (std::int64_t x = 0; x < gray.shape()[3]; ++x) {
      const std::int64_t at = from_y * w + std::clamp<std::int64_t>(x - kRadius, 0, w - 1);
      gray[y * gray.shape()[3] + x] = 0.2125f * r[at] + 0.7154f * r[plane + at] + 0.0721f * r[2 * plane + at];
    }
  }
  const NoGrad no_grad;
  const Tensor<float> row = gaussian_row<float>(2 * kRadius + 1, 3.0);
  const Tensor<float> blurred =
      depthwise_filter(depthwise_filter(Variable<float>(gray), row), row.reshape(Shape{2 * kRadius + 1, 1})).value();
  Tensor<float> output(picture.shape());
  parallel_for(plane, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float contrast = std::min(std::sqrt(2 * blurred[i]), 1.0f);
      const float l = maps.illumination[i], light = (1 - l) * contrast * maps.adjusted[i];
      float color[3];
      for (std::int64_t c = 0; c < 3; ++c) {
        color[c] = l * picture[c * plane + i] + light * maps.restored[c * plane + i];
      }
      clip_color(color[0], color[1], color[2]);
      for (std::int64_t c = 0; c < 3; ++c) output[c * plane + i] = color[c];
    }
  });
  return output;
}

}  // namespace kind
