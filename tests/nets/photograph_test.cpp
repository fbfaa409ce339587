// Long because its cases share the models and the comparison of pictures.
#include "nets/photograph.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>

#include "core/kernels/kernels.h"
#include "nets/metering.h"
#include "tests/nets/models.h"
#include "tests/support/pictures.h"

namespace kind::testing {
namespace {

TEST_CASE("photograph: channels, bits and alpha are the picture's", "[unit]") {
  const Model<float> model = random_model(7, 0.25);
  for (const int bits : {8, 16}) {
    for (int channels = 1; channels <= 4; ++channels) {
      Image photo = test_picture(13, 9, channels, bits);
      // What is seen through is weighed less where the light is chosen.
      for (int i = 0; photo.has_alpha() && i < 13 * 9; ++i) {
        const int alpha = photo.sample(i % 13, i / 13, channels - 1);
        photo.set_sample(i % 13, i / 13, channels - 1, std::max(alpha, 1));
      }
      const EnhanceOptions given{{LightLevel::Mode::kRatio, 3}, Fusion::kNone};
      const EnhancedPhoto result = enhance_photo(model, photo, {.light = given.light, .fusion = given.fusion});
      const Enhanced whole = enhance(model, to_tensor(photo), given);
      CHECK(result.ratio == whole.ratio);
      REQUIRE((result.image.channels == channels && result.image.bits == bits));
      const Image expected = to_image(whole.output, bits);
      int wrong = 0;
      for (int y = 0; y < 9; ++y) {
        for (int x = 0; x < 13; ++x) {
          if (photo.has_alpha() && result.image.sample(x, y, channels - 1) != photo.sample(x, y, channels - 1)) ++wrong;
          if (channels >= 3) {
            for (int c = 0; c < 3; ++c) wrong += result.image.sample(x, y, c) != expected.sample(x, y, c) ? 1 : 0;
          } else {
            const double gray =
                0.299 * expected.sample(x, y, 0) + 0.587 * expected.sample(x, y, 1) + 0.114 * expected.sample(x, y, 2);
            if (std::abs(result.image.sample(x, y, 0) - gray) > 1.001) ++wrong;
          }
        }
      }
      CHECK(wrong == 0);
    }
  }
}

/// A gray picture (and alpha) as RGB (and alpha).
Image stored_as_rgb(const Image& gray) {
  Image rgb(gray.width, gray.height, gray.channels + 2, gray.bits);
  for (int y = 0; y < gray.height; ++y) {
    for (int x = 0; x < gray.width; ++x) {
      for (int c = 0; c < rgb.channels; ++c) rgb.set_sample(x, y, c, gray.sample(x, y, c < 3 ? 0 : 1));
    }
  }
  return rgb;
}

TEST_CASE("photograph: a gray picture stored as RGB has the values of the gray one", "[unit][isa]") {
  using Mode = LightLevel::Mode;
  const Model<float> model = random_model(7, 0.25);
  const int height = current_isa() == "ref" ? 9 : 40;  // the reference is ten times as slow
  for (const int bits : {8, 16}) {
    for (const int channels : {1, 2}) {
      const Image gray = test_picture(5, height, channels, bits), rgb = stored_as_rgb(gray);
      REQUIRE((is_gray(gray) && is_gray(rgb)));
      for (const auto& [light, fusion] : {std::pair{LightLevel{}, Fusion::kNone},
                                          {LightLevel{}, Fusion::kAuto},
                                          {LightLevel{Mode::kRatio, 3}, Fusion::kOfficial},
                                          {LightLevel{Mode::kTargetMean, 0.4}, Fusion::kNone}}) {
        PhotoOptions options{.light = light, .fusion = fusion, .denoise = 0.8, .strength = 0.7};
        for (const bool bands : {false, true}) {
          options.bands = bands;
          INFO(bits << " bits, " << channels << " channels, bands " << bands);
          const EnhancedPhoto expected = enhance_photo(model, gray, options),
                              result = enhance_photo(model, rgb, options);
          CHECK(result.ratio == expected.ratio);
          CHECK(result.image.data == stored_as_rgb(expected.image).data);
        }
        for (const auto& [wanted, alpha] : {std::pair{24 - bits, true}, {bits, false}}) {
          options.bits = wanted;
          options.alpha = alpha;
          CHECK(enhance_photo(model, rgb, options).image.data ==
                stored_as_rgb(enhance_photo(model, gray, options).image).data);
        }
      }
      // One sample anywhere makes it a picture with colour.
      Image colored = rgb;
      const int last = colored.sample(4, height - 1, 2);
      colored.set_sample(4, height - 1, 2, last == 0 ? 1 : last - 1);
      CHECK_FALSE(is_gray(colored));
      CHECK_FALSE(is_gray(enhance_photo(model, colored).image));
    }
  }
}

TEST_CASE("photograph: other bits and no alpha where asked for", "[unit]") {
  const Model<float> model = random_model(7, 0.25);
  const Image photo = test_picture(13, 9, 4, 8);
  const Image deep = enhance_photo(model, photo, {.bits = 16}).image;
  const Image bare = enhance_photo(model, photo, {.alpha = false}).image;
  CHECK((deep.bits == 16 && deep.channels == 4 && bare.channels == 3 && bare.bits == 8));
  const Image back = enhance_photo(model, test_picture(13, 9, 2, 16), {.bits = 8}).image;
  CHECK((back.bits == 8 && back.channels == 2));
  int wrong = 0;
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 13; ++x) {
      if (deep.sample(x, y, 3) != 257 * photo.sample(x, y, 3)) ++wrong;
      const int wide = test_picture(13, 9, 2, 16).sample(x, y, 1);
      if (back.sample(x, y, 1) != (wide + 128) / 257) ++wrong;
      for (int c = 0; c < 3; ++c) wrong += (deep.sample(x, y, c) + 128) / 257 != bare.sample(x, y, c) ? 1 : 0;
    }
  }
  CHECK(wrong == 0);
}

/// Without the picture's alpha, what enhance() and to_image() make of it.
Image whole_picture(const Model<float>& model, const Image& photo, const PhotoOptions& options) {
  return to_image(enhance(model, to_tensor(photo), {options.light, options.fusion, false, options.denoise}).output,
                  photo.bits);
}

TEST_CASE("photograph: in bands of rows or with all maps, the bits are those of the whole", "[unit][isa]") {
  using Mode = LightLevel::Mode;
  std::vector<std::pair<int, int>> sizes{{1, 1}, {1, 70}, {17, 33}};
  // The reference is ten times as slow, and has no blocks of pixels of its own.
  if (current_isa() != "ref") sizes.insert(sizes.end(), {{70, 1}, {64, 64}, {17, 200}, {130, 129}});
  Model<float> model = random_model(7, 0.25);
  for (const int form : {0, 1, 2}) {
    if (form == 2) {
      model.config.restoration->output = "residual";
      for (const Parameter<float>& p : model.restoration->parameters()) {
        // What the last convolution adds leaves 0..1 at both ends.
        if (p.name.find("conv10.bias") != std::string::npos) Variable<float>(p.variable).mutable_value()[0] = 2;
      }
      const Parameters<float> before = model.restoration->parameters();
      model.restoration.reset();
      model.build(7);
      const Parameters<float> after = model.restoration->parameters();
      for (std::size_t i = 0; i < after.size(); ++i) {
        Variable<float>(after[i].variable).mutable_value() = before[i].variable.value();
      }
    }
    if (form == 1) {
      model.config.light.emplace().weights = std::vector<double>(LightStatistics::kCount, 0.3);
      model.config.input.mirror = 4;
    }
    for (const auto& [width, height] : sizes) {
      for (const LightLevel light : {LightLevel{}, LightLevel{Mode::kRatio, 3}, LightLevel{Mode::kTargetMean, 0.4}}) {
        if (form != 0 && light.mode != Mode::kAuto) continue;  // form 1's rule applies only to automatic light
        const Image photo = test_picture(width, height, 3, width % 2 == 0 ? 16 : 8);
        PhotoOptions options{.light = light};
        const Image expected = whole_picture(model, photo, options);
        for (const bool bands : {false, true}) {
          options.bands = bands;
          INFO(width << " x " << height << ", bands " << bands << ", mode " << static_cast<int>(light.mode));
          CHECK(enhance_photo(model, photo, options).image.data == expected.data);
        }
      }
    }
  }
}

TEST_CASE("photograph: so in pictures that do not go through the nets at once", "[slow]") {
  Model<float> model = random_model(7, 0.25);
  model.config.input.mirror = 3;
  // All have more pixels than go through the nets in one step (kWaitingPixels of layers/fused/fused_net.cpp).
  for (const auto& [width, height] : {std::pair{700, 601}, {97, 4200}, {4200, 97}}) {
    const Image photo = test_picture(width, height, 3);
    PhotoOptions options;
    const Image expected = whole_picture(model, photo, options);
    const PhotoMemory memory = photo_memory(model, photo, options, {options.light});
    INFO(width << " x " << height << ": " << memory.held << ", " << memory.bands);
    for (const std::uint64_t most : {memory.bands, memory.held}) {
      options.max_bytes = most;
      CHECK(enhance_photo(model, photo, options).image.data == expected.data);
    }
    options.max_bytes = 0;
    options.bands = true;
    CHECK(enhance_photo(model, photo, options).image.data == expected.data);
    options.max_bytes = std::min(memory.bands, memory.held) - 1;
    CHECK_THROWS_WITH(enhance_photo(model, photo, options), Catch::Contains("MiB of memory, the limit is"));
  }
}

TEST_CASE("photograph: strength and denoise", "[unit]") {
  const Model<float> model = random_model(7, 0.25);
  Image photo = test_picture(40, 70, 4);
  for (int i = 0; i < 40 * 70; ++i) photo.set_sample(i % 40, i / 40, 3, std::max(photo.sample(i % 40, i / 40, 3), 1));
  PhotoOptions options{.light = {LightLevel::Mode::kRatio, 4}, .fusion = Fusion::kNone};
  const Image full = enhance_photo(model, photo, options).image;
  for (const Fusion fusion : {Fusion::kNone, Fusion::kOfficial}) {
    for (const bool bands : {false, true}) {
      options.bands = bands;
      options.fusion = fusion;
      options.strength = 0;
      CHECK(enhance_photo(model, photo, options).image.data == photo.data);
      options.strength = 0.5;
      const Image half = enhance_photo(model, photo, options).image;
      options.strength = 1;
      const Image all = enhance_photo(model, photo, options).image;
      if (fusion == Fusion::kNone) CHECK(all.data == full.data);
      int wrong = 0;
      for (std::size_t i = 0; i < half.data.size(); ++i) {
        if (std::abs(2 * half.data[i] - photo.data[i] - all.data[i]) > 2) ++wrong;
      }
      CHECK(wrong == 0);
    }
  }
  options.fusion = Fusion::kNone;
  for (const double denoise : {0.0, 0.3}) {
    options.denoise = denoise;
    Model<float> plain = random_model(7, 0.25);
    if (denoise == 0) plain.restoration.reset();
    options.bands = false;
    const Image held = enhance_photo(model, photo, options).image;
    options.bands = true;
    CHECK(enhance_photo(model, photo, options).image.data == held.data);
    CHECK(held.data != full.data);
    const Enhanced whole = enhance(model, to_tensor(photo), {options.light, Fusion::kNone, true, denoise});
    PhotoOptions same = options;
    same.alpha = false;
    CHECK(enhance_photo(model, photo, same).image.data == to_image(whole.output).data);
    if (denoise == 0)
      CHECK(enhance_photo(plain, photo, {.light = options.light, .fusion = Fusion::kNone}).image.data == held.data);
  }
  CHECK_THROWS_WITH(enhance_photo(model, photo, {.denoise = 1.5}),
                    Catch::Contains("denoise: expected a number from 0"));
  CHECK_THROWS_WITH(enhance_photo(model, photo, {.strength = -1}), Catch::Contains("strength: expected a number"));
}

TEST_CASE("photograph: several levels are what each alone is", "[unit]") {
  using Mode = LightLevel::Mode;
  const Model<float> model = random_model(7, 0.25);
  const Image photo = test_picture(40, 50, 3);
  const std::vector<LightLevel> levels = {{Mode::kRatio, 1}, {Mode::kTargetMean, 0.3}, {}, {Mode::kRatio, 8}};
  for (const bool bands : {false, true}) {
    std::size_t next = 0;
    double last = 0;
    PhotoOptions options;
    options.bands = bands;
    options.progress = [&](double share) {
      CHECK(share >= last);
      last = share;
    };
    enhance_levels(model, photo, options, levels, [&](std::size_t i, EnhancedPhoto result) {
      CHECK(i == next++);
      const EnhancedPhoto alone = enhance_photo(model, photo, {.light = levels[i]});
      CHECK(result.ratio == alone.ratio);
      CHECK(result.image.data == alone.image.data);
    });
    CHECK(next == levels.size());
    CHECK(last > 0.6);
  }
}

TEST_CASE("photograph: 16 bits reach the nets in full", "[unit]") {
  const Model<float> model = random_model(7, 0.25);
  // Two pictures that are the same in their upper 8 bits.
  Image first(16, 16, 3, 16), second = first;
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 16; ++x) {
      for (int c = 0; c < 3; ++c) {
        first.set_sample(x, y, c, 256 * (x + y + c) + 10);
        second.set_sample(x, y, c, 256 * (x + y + c) + 10 + (x * 7 + y * 3) % 200);
      }
    }
  }
  CHECK(enhance_photo(model, first).image.data != enhance_photo(model, second).image.data);
}

/// The encoding that a PNG chunk gives; null, which is said, where the build converts no colours.
std::shared_ptr<const ColorEncoding> encoding_of(PngChunk chunk, bool gray = false) {
  Metadata metadata;
  metadata.color = {std::move(chunk)};
  if (!has_color_management()) WARN("skipped: this build is without lcms2");
  return read_color("a.png", metadata, gray).encoding;
}
const PngChunk kLinear = {"gAMA", {0, 1, 0x86, 0xa0}}, kDisplayP3 = {"cICP", {12, 13, 0, 1}};

/// A picture of 16 bits in another encoding.
Image encoded_as(const ColorEncoding& encoding, const Image& srgb) {
  Tensor<float> values = to_tensor(srgb);
  const std::int64_t plane = values.size() / 3;
  float* const planes[] = {values.data(), values.data() + plane, values.data() + 2 * plane};
  encoding.from_srgb(planes, plane);
  Image image(srgb.width, srgb.height, srgb.channels, 16);
  put_rows(image, 0, image.height, planes);
  return image;
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE((a.width == b.width && a.height == b.height && a.channels == b.channels && a.bits == b.bits));
  int largest = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      for (int c = 0; c < a.channels; ++c) {
        largest = std::max(largest, std::abs(a.sample(x, y, c) - b.sample(x, y, c)));
      }
    }
  }
  return largest;
}

TEST_CASE("photograph: the same picture in another encoding gives the same result in that one", "[unit]") {
  const Model<float> model = random_model(7, 0.25);
  for (const PngChunk& chunk : {kLinear, kDisplayP3}) {
    for (const int channels : {1, 3}) {
      const auto color = encoding_of(chunk, channels == 1);
      if (!color && channels == 1 && has_color_management()) continue;  // P3's curve is sRGB's
      if (!color) return;
      const Image srgb = to_image(to_tensor(test_picture(40, 70, channels)), 16);
      Image photo = srgb;
      if (channels == 1) {
        photo = Image(40, 70, 1, 16);
        put_rows(photo, 0, 70, std::vector<const float*>(3, to_tensor(test_picture(40, 70, 1)).data()).data());
      }
      const Image coded = encoded_as(*color, photo);
      for (const bool bands : {false, true}) {
        PhotoOptions options;
        options.bands = bands;
        options.fusion = Fusion::kNone;
        options.light = {LightLevel::Mode::kRatio, 2};
        const Image expected = encoded_as(*color, enhance_photo(model, photo, options).image);
        options.color = color;
        const Image result = enhance_photo(model, coded, options).image;
        CHECK(largest_difference(result, expected) < 65535 / 255);
      }
    }
  }
}

TEST_CASE("photograph: colours beyond sRGB stay where the encoding holds them", "[unit]") {
  const Model<float> model = random_model(7, 0.25);
  const auto color = encoding_of(kDisplayP3);
  if (!color) return;
  // Half of it the most colourful red and green that P3 has.
  Image photo(32, 32, 3, 16);
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      photo.set_sample(x, y, 0, x < 16 ? 30000 : 500 * y);
      photo.set_sample(x, y, 1, x < 16 && y < 16 ? 0 : 700 * y);
      photo.set_sample(x, y, 2, x < 16 ? 0 : 900 * y);
    }
  }
  PhotoOptions options;
  options.color = color;
  options.strength = 0;
  CHECK(enhance_photo(model, photo, options).image.data == photo.data);
  options.bits = 8;
  const Image small = enhance_photo(model, photo, options).image;
  for (int y = 0; y < 32; y += 7) CHECK(std::abs(small.sample(3, y, 0) - photo.sample(3, y, 0) / 257.0) <= 1);
}

TEST_CASE("photograph: rounding of dark pixels is no colour beyond sRGB", "[unit]") {
  const Model<float> model = random_model(7, 1);
  const auto color = encoding_of(kDisplayP3);
  if (!color) return;
  // Black and (0, 1, 0) by turns: the latter lies a quarter of a step outside of sRGB, which a ratio would make visible.
  Image photo(32, 32, 3, 8), plain(32, 32, 3, 8);
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      for (int c = 0; c < 3; ++c) photo.set_sample(x, y, c, y < 16 ? 120 : 0);
    }
  }
  plain = photo;
  for (int y = 16; y < 32; ++y) {
    for (int x = y % 2; x < 32; x += 2) photo.set_sample(x, y, 1, 1);
  }
  PhotoOptions options;
  options.bits = 16;
  options.fusion = Fusion::kNone;
  options.light = {LightLevel::Mode::kRatio, 8};
  options.color = color;
  const Image dark = enhance_photo(model, photo, options).image, even = enhance_photo(model, plain, options).image;
  int lowest = 65535;
  for (int y = 20; y < 28; ++y) {
    for (int x = 4; x < 28; ++x) lowest = std::min(lowest, dark.sample(x, y, 0) - even.sample(x, y, 0));
  }
  CHECK(lowest > -65535 / 255);
}

TEST_CASE("photograph: dark parts in linear light are no frame", "[unit]") {
  const auto color = encoding_of(kLinear);
  if (!color) return;
  // A sky of values up to 240 of 65535, which is less than 1 of 255 but a tenth of the range in sRGB.
  Image photo(40, 60, 3, 16);
  for (int y = 0; y < 60; ++y) {
    for (int x = 0; x < 40; ++x) {
      for (int c = 0; c < 3; ++c) photo.set_sample(x, y, c, y < 20 ? (7 * x + 5 * y) % 240 : 300 * y);
    }
  }
  CHECK(framed_area(photo, color.get()).top == 0);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 40; ++x) {
      for (int c = 0; c < 3; ++c) photo.set_sample(x, y, c, 7);
    }
  }
  CHECK(framed_area(photo, color.get()).top == 20);
}

TEST_CASE("photograph: an encoding there is no way back to is refused", "[unit]") {
  class OneWay : public ColorEncoding {
    bool two_way() const override { return false; }
    void to_srgb(float* const*, std::int64_t) const override {}
    void from_srgb(float* const*, std::int64_t) const override {}
  };
  PhotoOptions options;
  options.color = std::make_shared<OneWay>();
  CHECK_THROWS_WITH(enhance_photo(random_model(7, 0.25), test_picture(8, 8, 3), options), Catch::Contains("color: "));
}

}  // namespace
}  // namespace kind::testing
