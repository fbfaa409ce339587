#include "nets/photograph.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "nets/bands.h"
#include "nets/enhancement.h"
#include "nets/metering.h"

namespace kind {
namespace {

Image empty_result(const Image& photo, const PhotoOptions& options) {
  const bool gray = photo.channels < 3, alpha = options.alpha && photo.has_alpha();
  return Image(photo.width, photo.height, (gray ? 1 : 3) + (alpha ? 1 : 0),
               options.bits == 0 ? photo.bits : options.bits);
}

void copy_alpha(const Image& photo, Image& result) {
  if (!result.has_alpha()) return;
  const int from = photo.channels - 1, to = result.channels - 1;
  const std::int64_t maximum = photo.maximum(), wanted = result.maximum();
  parallel_for(photo.height, 64, [&](std::int64_t begin, std::int64_t end) {
    for (int y = static_cast<int>(begin); y < static_cast<int>(end); ++y) {
      for (int x = 0; x < photo.width; ++x) {
        const std::int64_t value = photo.sample(x, y, from);
        result.set_sample(x, y, to, static_cast<int>((2 * value * wanted + maximum) / (2 * maximum)));
      }
    }
  });
}

/// The frame of a picture, and all the rest, into a result of any kind.
void copy_frame(const Image& photo, Image& result) {
  std::vector<float> row(static_cast<std::size_t>(3 * photo.width));
  float* const planes[] = {row.data(), row.data() + photo.width, row.data() + 2 * photo.width};
  for (int y = 0; y < photo.height; ++y) {
    get_rows(photo, y, y + 1, planes);
    put_rows(result, y, y + 1, planes);
  }
  copy_alpha(photo, result);
}

/// A picture as rows: of its samples, and as the nets see it.
class PhotoRows {
 public:
  PhotoRows(Image& photo, const ColorEncoding* color)
      : photo_(photo), color_(color), transparent_(photo.has_alpha() && any_transparent()) {}

  /// What is known of the picture before it is enhanced.
  MeteredPicture meter(const InputConfig& config) {
    const std::int64_t h = photo_.height, w = photo_.width;
    Meter meter(h, w, config);
    std::vector<float> values(static_cast<std::size_t>(3 * kBand * w)), opacity;
    if (transparent_) opacity.resize(static_cast<std::size_t>(kBand * w));
    for (std::int64_t y = 0; y < h; y += kBand) {
      const std::int64_t end = std::min(y + kBand, h), count = (end - y) * w;
      float* const planes[] = {values.data(), values.data() + count, values.data() + 2 * count};
      read(y, end, planes);
      if (transparent_) read_opacity(y, end, opacity.data());
      meter.add_rows(y, end, planes, transparent_ ? opacity.data() : nullptr);
    }
    hidden_color_ = meter.mean_color();
    return {meter.range(), meter.reduced(), meter.weights(), meter.lights()};
  }

  /// In sRGB, with values below 0 and above 1 where a colour lies beyond it.
  void read_unclipped(std::int64_t y0, std::int64_t y1, float* const* planes) const {
    get_rows(photo_, static_cast<int>(y0), static_cast<int>(y1), planes);
    if (color_) color_->to_srgb(planes, (y1 - y0) * photo_.width);
  }
  void read(std::int64_t y0, std::int64_t y1, float* const* planes) const {
    read_unclipped(y0, y1, planes);
    if (!color_) return;
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::int64_t i = 0; i < (y1 - y0) * photo_.width; ++i) planes[c][i] = std::clamp(planes[c][i], 0.0f, 1.0f);
    }
  }
  /// With the mean colour of what is visible wherever nothing is; once it is metered.
  void read_visible(std::int64_t y0, std::int64_t y1, float* const* planes) const {
    read(y0, y1, planes);
    if (!transparent_) return;
    for (std::int64_t y = y0; y < y1; ++y) {
      for (int x = 0; x < photo_.width; ++x) {
        if (photo_.sample(x, static_cast<int>(y), photo_.channels - 1) > 0) continue;
        for (std::size_t c = 0; c < 3; ++c) planes[c][(y - y0) * photo_.width + x] = hidden_color_[c];
      }
    }
  }

 private:
  bool any_transparent() const {
    for (int y = 0; y < photo_.height; ++y) {
      for (int x = 0; x < photo_.width; ++x) {
        if (photo_.sample(x, y, photo_.channels - 1) < photo_.maximum()) return true;
      }
    }
    return false;
  }
  void read_opacity(std::int64_t y0, std::int64_t y1, float* opacity) const {
    const auto maximum = static_cast<float>(photo_.maximum());
    for (int y = static_cast<int>(y0); y < y1; ++y) {
      for (int x = 0; x < photo_.width; ++x) {
        *opacity++ = static_cast<float>(photo_.sample(x, y, photo_.channels - 1)) / maximum;
      }
    }
  }

  const Image& photo_;
  const ColorEncoding* color_;
  bool transparent_;  // in places
  std::vector<float> hidden_color_;
};

/// A picture without a frame on its way through the nets, and the results it becomes.
class Work : private EnhancementSink {
 public:
  using Use = std::function<void(std::size_t, EnhancedPhoto)>;

  Work(const Model<float>& model, Image photo, const PhotoOptions& options, std::size_t levels)
      : options_(options),
        photo_(std::move(photo)),
        gray_(is_gray(photo_)),
        rows_(photo_, options.color.get()),
        levels_(levels),
        enhancement_(model, input(model.config.input),
                     {options.fusion, options.denoise, options.strength, options.progress, options.hooks.light}) {}

  PhotoMemory memory(const std::vector<LightLevel>& levels) const {
    const Image one = empty_result(Image(1, 1, photo_.channels, photo_.bits), options_);
    const std::uint64_t pixels = static_cast<std::uint64_t>(photo_.width) * static_cast<std::uint64_t>(photo_.height),
                        images =
                            photo_.data.size() + (levels.size() == 1 && in_place(0) ? 0 : one.data.size() * pixels);
    const EnhancementMemory nets = enhancement_.memory(levels);
    return {nets.held + images, nets.bands == 0 ? 0 : nets.bands + images};
  }

  void run(const std::vector<LightLevel>& levels, const Use& use, Enhanced* maps) {
    const PhotoMemory needed = memory(levels);
    bool bands = options_.bands && needed.bands > 0;
    if (options_.max_bytes > 0) {
      const std::uint64_t least = needed.bands == 0 ? needed.held : std::min(needed.bands, needed.held);
      constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
      check(least <= options_.max_bytes, "a picture of ", photo_.width, " x ", photo_.height, " pixels needs ",
            least / kMebibyte + 1, " MiB of memory, the limit is ", options_.max_bytes / kMebibyte, " MiB");
      if (needed.held > options_.max_bytes && needed.bands > 0) bands = true;
    }
    use_ = &use;
    maps_ = maps;
    if (maps) maps->allocate_maps(photo_.height, photo_.width);
    enhancement_.run(levels, bands, *this);
  }

 private:
  EnhancementInput input(const InputConfig& config) {
    EnhancementInput input;
    input.h = photo_.height;
    input.w = photo_.width;
    input.picture = [this](auto y0, auto y1, auto planes) { rows_.read(y0, y1, planes); };
    input.seen = [this](auto y0, auto y1, auto planes) { rows_.read_visible(y0, y1, planes); };
    input.metered = rows_.meter(config);
    input.range = input.metered.range;
    if (options_.hooks.range) options_.hooks.range(input.metered, input.range);
    return input;
  }

  /// Whether a result takes the picture's place: the last one does where it is of the same kind.
  bool in_place(std::size_t level) const {
    const Image one = empty_result(Image(1, 1, photo_.channels, photo_.bits), options_);
    return level + 1 == levels_ && one.channels == photo_.channels && one.bits == photo_.bits;
  }

  void rows(std::size_t level, std::int64_t y0, std::int64_t y1, const float* const* planes) override {
    if (y0 == 0 && !in_place(level)) {
      result_ = empty_result(photo_, options_);
      copy_alpha(photo_, result_);
    }
    Image& result = in_place(level) ? photo_ : result_;
    if (options_.color) return put_encoded(y0, y1, planes, result);
    (gray_ ? put_gray_rows : put_rows)(result, static_cast<int>(y0), static_cast<int>(y1), planes);
  }

  /// The same in the picture's encoding, with what lies beyond sRGB. The rows of the picture are still its own.
  void put_encoded(std::int64_t y0, std::int64_t y1, const float* const* planes, Image& result) {
    const std::int64_t w = photo_.width;
    std::vector<float> before(static_cast<std::size_t>(3 * kBand * w)), after(before.size());
    for (std::int64_t y = y0; y < y1; y += kBand) {
      const std::int64_t end = std::min(y + kBand, y1), count = (end - y) * w;
      float* const from[] = {before.data(), before.data() + count, before.data() + 2 * count};
      float* const to[] = {after.data(), after.data() + count, after.data() + 2 * count};
      const std::vector<Kept> kept = unchanged(y, end, from, planes, y0, result);
      for (std::size_t c = 0; c < 3; ++c) std::copy_n(planes[c] + (y - y0) * w, count, to[c]);
      if (gray_) {
        for (std::int64_t i = 0; i < count; ++i) {
          to[0][i] = to[1][i] = to[2][i] = 0.299f * to[0][i] + 0.587f * to[1][i] + 0.114f * to[2][i];
        }
      } else {
        add_what_lies_beyond(from, count, 0.5f / static_cast<float>(photo_.maximum()), to);
      }
      options_.color->from_srgb(to, count);
      (gray_ ? put_gray_rows : put_rows)(result, static_cast<int>(y), static_cast<int>(end), to);
      for (const Kept& pixel : kept) {
        for (int c = 0; c < colors(photo_); ++c) {
          result.set_sample(pixel.x, pixel.y, c, pixel.samples[static_cast<std::size_t>(c)]);
        }
      }
    }
  }

  /// A pixel that has not been changed keeps its samples, which the way there and back might round.
  struct Kept {
    int x, y;
    std::array<int, 3> samples;
  };
  static int colors(const Image& image) { return image.channels < 3 ? 1 : 3; }

  /// Reads rows in sRGB (unclipped) into `from`, and finds the pixels that are the same in the result's rows, which begin
  /// with row `first`. Nothing where the result has other samples.
  std::vector<Kept> unchanged(std::int64_t y0, std::int64_t y1, float* const* from, const float* const* planes,
                              std::int64_t first, const Image& result) const {
    rows_.read_unclipped(y0, y1, from);
    std::vector<Kept> kept;
    if (result.bits != photo_.bits) return kept;
    const std::int64_t w = photo_.width;
    for (std::int64_t i = 0; i < (y1 - y0) * w; ++i) {
      bool same = true;
      for (std::size_t c = 0; c < 3 && same; ++c) {
        same = planes[c][(y0 - first) * w + i] == std::clamp(from[c][i], 0.0f, 1.0f);
      }
      if (!same) continue;
      Kept pixel{static_cast<int>(i % w), static_cast<int>(y0 + i / w), {}};
      for (int c = 0; c < colors(photo_); ++c) {
        pixel.samples[static_cast<std::size_t>(c)] = photo_.sample(pixel.x, pixel.y, c);
      }
      kept.push_back(pixel);
    }
    return kept;
  }

  /// To a result, what of the colours before is below 0 and above 1, times the pixel's gain. What may be the picture's
  /// rounding, up to `half_step`, is not made larger.
  static void add_what_lies_beyond(const float* const* before, std::int64_t count, float half_step,
                                   float* const* after) {
    for (std::int64_t i = 0; i < count; ++i) {
      float beyond[3], sum_before = 0, sum_after = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        const float clipped = std::clamp(before[c][i], 0.0f, 1.0f);
        beyond[c] = before[c][i] - clipped;
        sum_before += clipped;
        sum_after += after[c][i];
      }
      if (beyond[0] == 0 && beyond[1] == 0 && beyond[2] == 0) continue;
      // Of the noise of black pixels a gain makes colours: it is bounded by what saturated ones have.
      constexpr float kLeast = 1.0f / 64;
      const float gain = sum_after / std::max(sum_before, kLeast);
      for (std::size_t c = 0; c < 3; ++c) {
        const float certain = beyond[c] - std::clamp(beyond[c], -half_step, half_step);
        after[c][i] += beyond[c] + (gain - 1) * certain;
      }
    }
  }

  void done(std::size_t level, const LightChoice& light) override {
    (*use_)(level, {in_place(level) ? std::move(photo_) : std::move(result_), light.ratio, light.strength});
    maps_ = nullptr;
  }
  bool wants_maps() const override { return maps_ != nullptr; }
  void map_rows(Map map, std::int64_t y0, std::int64_t y1, const float* const* planes) override {
    maps_->put_rows(map, y0, y1, planes);
  }

  const PhotoOptions& options_;
  Image photo_, result_;
  const bool gray_;  // so is the result, also where it is stored as RGB
  PhotoRows rows_;
  std::size_t levels_;
  Enhancement enhancement_;
  const Use* use_ = nullptr;
  Enhanced* maps_ = nullptr;
};

/// All but what Enhancement checks.
void check_options(const Image& photo, const PhotoOptions& options) {
  check_photo(photo);
  check(options.bits == 0 || options.bits == 8 || options.bits == 16, "bits: expected 0, 8 or 16, got ", options.bits);
  check(!options.color || options.color->two_way(), "color: expected an encoding that results can be converted to");
}

/// Puts maps of a part of a picture into those of all of it: outside, the reflectance is the picture and the light 1.
void frame_maps(const Tensor<float>& picture, const PictureArea& area, Enhanced& maps) {
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3];
  const Tensor<float> light = Tensor<float>::full(Shape{1, 1, h, w}, 1);
  for (Tensor<float>* const map : {&maps.reflectance, &maps.illumination, &maps.restored, &maps.adjusted}) {
    Tensor<float> framed = (map->shape()[1] == 3 ? picture : light).clone();
    for (std::int64_t c = 0; c < framed.shape()[1]; ++c) {
      for (std::int64_t y = 0; y < area.height(); ++y) {
        std::copy_n(map->data() + (c * area.height() + y) * area.width(), area.width(),
                    framed.data() + (c * h + area.top + y) * w + area.left);
      }
    }
    *map = std::move(framed);
  }
}

}  // namespace

void check_photo(const Image& photo) {
  check(photo.width > 0 && photo.height > 0, "picture: it is empty");
  check(photo.channels >= 1 && photo.channels <= 4 && (photo.bits == 8 || photo.bits == 16) &&
            photo.data.size() == photo.row_bytes() * static_cast<std::size_t>(photo.height),
        "picture: expected 1 to 4 channels of 8 or 16 bits and as many bytes as these take, got ", photo.channels,
        " channels of ", photo.bits, " bits in ", photo.data.size(), " bytes");
}

EnhancedPhoto enhance_photo(const Model<float>& model, Image photo, const PhotoOptions& options) {
  EnhancedPhoto only;
  enhance_levels(model, std::move(photo), options, {options.light},
                 [&](std::size_t, EnhancedPhoto result) { only = std::move(result); });
  return only;
}

void enhance_levels(const Model<float>& model, Image photo, const PhotoOptions& options,
                    const std::vector<LightLevel>& levels, const std::function<void(std::size_t, EnhancedPhoto)>& use,
                    Enhanced* maps) {
  check_options(photo, options);
  check(use != nullptr, "enhancing: expected a function that takes the results, got none");
  for (const LightLevel& level : levels) check_light(level);
  const NoGrad no_grad;
  PictureArea area = framed_area(photo, options.color.get());
  if (options.hooks.area) options.hooks.area(area);
  if (area.width() == photo.width && area.height() == photo.height) {
    return Work(model, std::move(photo), options, levels.size()).run(levels, use, maps);
  }
  Image whole = empty_result(photo, options), part = cut_out(photo, area);
  copy_frame(photo, whole);
  Tensor<float> picture = maps ? to_tensor(photo) : Tensor<float>();
  if (maps && options.color) {
    const std::int64_t plane = picture.size() / 3;
    float* const planes[] = {picture.data(), picture.data() + plane, picture.data() + 2 * plane};
    options.color->to_srgb(planes, plane);
  }
  photo = {};
  PhotoOptions inside = options;
  if (options.max_bytes > 0) {
    check(whole.data.size() < options.max_bytes, "a picture of ", whole.width, " x ", whole.height,
          " pixels does not fit into the limit of memory, ", options.max_bytes, " bytes");
    inside.max_bytes -= whole.data.size();
  }
  Work(model, std::move(part), inside, levels.size())
      .run(
          levels,
          [&](std::size_t i, EnhancedPhoto result) {
            Image framed = whole;
            put_back(result.image, area, framed);
            result.image = std::move(framed);
            use(i, std::move(result));
          },
          maps);
  if (maps) frame_maps(picture, area, *maps);
}

Enhanced photo_maps(const Model<float>& model, const Image& photo, const PhotoOptions& options) {
  Enhanced maps;
  PhotoOptions full = options;
  full.bits = 16;
  full.alpha = false;
  enhance_levels(
      model, photo, full, {options.light},
      [&](std::size_t, const EnhancedPhoto& result) {
        maps.output = to_tensor(result.image);
        maps.ratio = result.ratio;
        maps.strength = result.strength;
      },
      &maps);
  return maps;
}

PhotoMemory photo_memory(const Model<float>& model, const Image& photo, const PhotoOptions& options,
                         const std::vector<LightLevel>& levels) {
  check_options(photo, options);
  return Work(model, photo, options, levels.size()).memory(levels);
}

}  // namespace kind
