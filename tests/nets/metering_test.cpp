#include "nets/metering.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "nets/local_strength.h"
#include "nets/photograph.h"
#include "tests/support/pictures.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

/// The picture with `border` pixels of one colour around it.
Image framed(const Image& image, int border, int value) {
  Image result(image.width + 2 * border, image.height + 2 * border, image.channels, image.bits);
  for (int y = 0; y < result.height; ++y) {
    for (int x = 0; x < result.width; ++x) {
      for (int c = 0; c < image.channels; ++c) result.set_sample(x, y, c, value);
    }
  }
  put_back(image, {border, border + image.height, border, border + image.width}, result);
  return result;
}

TEST_CASE("metering: what a frame of one colour holds is found, whatever its width", "[unit]") {
  for (const int channels : {1, 3}) {
    const Image photo = test_picture(40, 30, channels);
    for (const int border : {0, 1, 2, 20, 22}) {
      for (const int value : {0, 255, 77}) {
        const Image whole = framed(photo, border, value);
        const PictureArea area = framed_area(whole);
        CAPTURE(channels, border, value);
        CHECK((area.top == border && area.left == border && area.width() == 40 && area.height() == 30));
        CHECK(cut_out(whole, area).data == photo.data);
      }
    }
  }
}

TEST_CASE("metering: a plain picture, a small one and what is no frame are all of the picture", "[unit]") {
  const auto is_all = [](const Image& image) {
    const PictureArea area = framed_area(image);
    return area.top == 0 && area.left == 0 && area.bottom == image.height && area.right == image.width;
  };
  CHECK(is_all(Image(30, 20, 3)));
  CHECK(is_all(framed(test_picture(8, 8, 3), 30, 0)));  // too little of it would be left
  CHECK(is_all(framed(test_picture(8, 8, 3), 3, 255)));
  Image one_off = framed(test_picture(40, 30, 3), 2, 100);
  one_off.set_sample(7, 0, 1, 98);
  CHECK(framed_area(one_off).top == 0);
  CHECK(framed_area(one_off).left == 2);
}

TEST_CASE("metering: fully transparent rows and columns are a frame", "[unit]") {
  Image photo = framed(test_picture(40, 30, 4), 5, 0);
  for (int y = 5; y < 35; ++y) {
    for (int x = 5; x < 45; ++x) photo.set_sample(x, y, 3, 255);
  }
  for (int x = 0; x < 50; ++x) photo.set_sample(x, 2, 0, 7 * x % 256);  // of any hidden colour
  const PictureArea area = framed_area(photo);
  CHECK((area.top == 5 && area.left == 5 && area.width() == 40 && area.height() == 30));
}

/// The range from its definition: all values in order, each filling a share of 0..1.
InputRange range_by_sorting(const Tensor<float>& picture, double outliers) {
  std::vector<float> values = picture.to_vector();
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  const auto mean = [&](bool from_above) {
    double sum = 0, weight = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double from = static_cast<double>(i) / n, to = static_cast<double>(i + 1) / n;
      const double share = std::min(to, 4 * outliers) - std::max(from, outliers);
      if (share <= 0) continue;
      sum += share * static_cast<double>(values[from_above ? values.size() - 1 - i : i]);
      weight += share;
    }
    return sum / weight;
  };
  const double low = mean(false), high = mean(true);
  return {static_cast<float>(low), static_cast<float>(high - low)};
}

TEST_CASE("metering: the range is that of the definition, and of an image the same", "[unit]") {
  for (const auto& [w, h] : {std::pair{5, 4}, {40, 30}, {200, 90}}) {
    const Image image = test_picture(w, h, 3);
    const Tensor<float> picture = to_tensor(image);
    for (const double outliers : {0.0, 0.0025, 0.01, 0.05}) {
      InputConfig config;
      config.outliers = outliers;
      const InputRange range = meter(picture, config).range, of_image = range_of_image(image, config);
      CAPTURE(w, h, outliers);
      CHECK((range.low == of_image.low && range.span == of_image.span));
      if (outliers == 0) {
        CHECK(range.low == *std::min_element(picture.data(), picture.data() + picture.size()));
        continue;
      }
      const InputRange expected = range_by_sorting(picture, outliers);
      CHECK(range.low == Approx(expected.low).margin(2e-5));
      CHECK(range.span == Approx(expected.span).margin(4e-5));
    }
  }
}

TEST_CASE("metering: the range of an image of 16 bits", "[unit]") {
  Image image(40, 30, 3, 16);
  for (int y = 0; y < 30; ++y) {
    for (int x = 0; x < 40; ++x) {
      for (int c = 0; c < 3; ++c) image.set_sample(x, y, c, 517 + (x * 1201 + y * 739 + c * 97) % 40001);
    }
  }
  const Tensor<float> picture = to_tensor(image);
  for (const double outliers : {0.0, 0.01, 0.05}) {
    InputConfig config;
    config.outliers = outliers;
    const InputRange range = meter(picture, config).range, of_image = range_of_image(image, config);
    CAPTURE(outliers);
    CHECK((range.low == of_image.low && range.span == of_image.span));
  }
  CHECK(range_of_image(image, {}).low == *std::min_element(picture.data(), picture.data() + picture.size()));
}

TEST_CASE("metering: pixels that are hidden do not count, half-transparent ones count half", "[unit]") {
  InputConfig config;
  config.outliers = 0.01;
  const auto meter_of = [&](const std::vector<float>& opacity) {
    std::vector<float> values(400);
    for (std::size_t i = 0; i < 400; ++i) values[i] = opacity[i] > 0 ? static_cast<float>(i % 100) / 200 : 1.0f;
    const float* const planes[] = {values.data(), values.data(), values.data()};
    Meter meter(20, 20, config);
    meter.add_rows(0, 20, planes, opacity.data());
    return meter;
  };
  std::vector<float> hidden(400, 1.0f), half(400, 1.0f);
  for (std::size_t i = 0; i < 200; ++i) hidden[i] = 0, half[i] = 0.5f;
  // Both halves hold the same values, so neither changes the range.
  CHECK(meter_of(hidden).range().span == Approx(meter_of(std::vector<float>(400, 1.0f)).range().span).margin(2e-3));
  CHECK(meter_of(half).range().span == Approx(meter_of(std::vector<float>(400, 1.0f)).range().span).margin(2e-3));
  CHECK(meter_of(hidden).mean_color()[0] == Approx(0.2475));
  const std::vector<float> weights = meter_of(half).weights();
  CHECK((weights[0] == 0.5f && weights[399] == 1));
  CHECK(meter_of(std::vector<float>(400, 0.0f)).range().span == 1);
}

TEST_CASE("metering: values beyond the range go on, more and more slowly", "[unit]") {
  const InputRange range{0.1f, 0.5f};
  CHECK(range.stretched(0.1f) == 0);
  CHECK(range.stretched(0.05f) == 0);
  CHECK(range.stretched(0.35f) == Approx(0.5));
  float before = range.stretched(0.59f);
  for (const float value : {0.6f, 0.61f, 0.7f, 0.9f, 1.0f, 5.0f, 1000.0f}) {
    CHECK(range.stretched(value) > before);
    before = range.stretched(value);
  }
  CHECK(before <= 1.25f);
  CHECK((range.stretched(0.602f) - range.stretched(0.6f)) / 0.004f == Approx(1).margin(0.03));  // no kink
}

// ---- LocalStrength

/// A picture whose left part has one value and the right part another.
Tensor<float> two_parts(std::int64_t h, std::int64_t w, std::int64_t split, float left, float right) {
  Tensor<float> picture(Shape{1, 3, h, w});
  for (std::int64_t i = 0; i < picture.size(); ++i) picture[i] = i % w < split ? left : right;
  return picture;
}

std::vector<float> strength_of(const LocalStrength& local, const Tensor<float>& picture) {
  const std::int64_t plane = picture.size() / 3;
  const float* const planes[] = {picture.data(), picture.data() + plane, picture.data() + 2 * plane};
  std::vector<float> strength(static_cast<std::size_t>(plane));
  local.rows(0, picture.shape()[2], planes, strength.data());
  return strength;
}

TEST_CASE("local strength: all of a picture that is dark throughout", "[unit]") {
  const Tensor<float> picture = two_parts(60, 80, 40, 0.02f, 0.3f);
  LocalStrength local(reduced_for_light(picture), 60, 80, {0, 0.3f}, 0.4);
  local.set_gain(8);
  for (const float s : strength_of(local, picture)) REQUIRE(s == 1);
}

TEST_CASE("local strength: the dark part of a picture with a bright one, which keeps its light", "[unit]") {
  const Tensor<float> picture = two_parts(60, 80, 40, 0.12f, 0.9f);
  LocalStrength local(reduced_for_light(picture), 60, 80, {0, 1}, 0.4);
  local.set_gain(3);
  const std::vector<float> strength = strength_of(local, picture);
  for (std::int64_t y : {0, 30, 59}) {
    CHECK(strength[static_cast<std::size_t>(y * 80 + 5)] == Approx(1));
    CHECK(strength[static_cast<std::size_t>(y * 80 + 37)] == Approx(1).margin(0.02));
    CHECK(strength[static_cast<std::size_t>(y * 80 + 42)] == 0);
    CHECK(strength[static_cast<std::size_t>(y * 80 + 75)] == 0);
  }
  const std::vector<float> weights = local.weights();
  CHECK((weights[10] == 1 && weights[70] == 0));
}

TEST_CASE("local strength: brighter places stay brighter, and night skies dark", "[unit]") {
  // Wide steps from black to white, each larger than a window.
  constexpr std::int64_t kSteps = 12, kStep = 80;
  Tensor<float> picture(Shape{1, 3, 30, kSteps * kStep});
  for (std::int64_t i = 0; i < picture.size(); ++i) {
    picture[i] = static_cast<float>(i % (kSteps * kStep) / kStep) / static_cast<float>(kSteps - 1);
  }
  for (const double gain : {1.5, 3.0, 10.0}) {
    LocalStrength local(reduced_for_light(picture), 30, kSteps * kStep, {0, 1}, 0.4);
    local.set_gain(gain);
    const std::vector<float> strength = strength_of(local, picture);
    double before = -1;
    for (std::int64_t step = 0; step < kSteps; ++step) {
      const std::int64_t x = step * kStep + kStep / 2;
      const double value = static_cast<double>(picture[x]);
      const double after = value * (1 + static_cast<double>(strength[static_cast<std::size_t>(x)]) * (gain - 1));
      CAPTURE(gain, step);
      CHECK(after > before);
      before = after;
    }
    CHECK(strength[static_cast<std::size_t>(kStep / 2)] < 0.5);
    CHECK(strength[static_cast<std::size_t>(kStep / 2)] < strength[static_cast<std::size_t>(kStep + kStep / 2)]);
  }
}

TEST_CASE("local strength: rows alone are those of the whole picture", "[unit]") {
  const Tensor<float> picture = to_tensor(test_picture(123, 150, 3));
  LocalStrength local(reduced_for_light(picture), 150, 123, {0, 1}, 0.4);
  local.set_gain(4);
  const std::vector<float> whole = strength_of(local, picture);
  for (const std::int64_t y : {0, 77, 149}) {
    const std::int64_t plane = picture.size() / 3;
    const float* const planes[] = {picture.data() + y * 123, picture.data() + plane + y * 123,
                                   picture.data() + 2 * plane + y * 123};
    std::vector<float> row(123);
    local.rows(y, y + 1, planes, row.data());
    CHECK(std::equal(row.begin(), row.end(), whole.begin() + y * 123));
  }
}

// ---- photographs

double mean_difference(const Image& a, const Image& b) {
  REQUIRE((a.width == b.width && a.height == b.height));
  double sum = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      for (int c = 0; c < 3; ++c) sum += std::abs(a.sample(x, y, c) - b.sample(x, y, c));
    }
  }
  return sum / (3.0 * a.width * a.height);
}

Image with_alpha(const Image& image) {
  Image result(image.width, image.height, 4);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < 3; ++c) result.set_sample(x, y, c, image.sample(x, y, image.channels < 3 ? 0 : c));
      result.set_sample(x, y, 3, 255);
    }
  }
  return result;
}

TEST_CASE("photographs: hot pixels, frames, bars and what is hidden change nothing of the visible picture", "[slow]") {
  Model<float> model = load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors");
  model.config.input.outliers = 0.0025;
  for (const char* name : {"astronaut", "camera", "dogs", "lamps", "rocket", "sky", "stream", "sunset"}) {
    const Image read = read_image(source_dir() + "/docs/samples/" + name + ".jpg");
    const Image photo = cut_out(with_alpha(read), {20, 180, 30, 270});
    const auto enhanced = [&](const Image& image) { return enhance_photo(model, image).image; };
    const Image expected = enhanced(photo);
    CAPTURE(name);
    Image hot = photo;
    for (int c = 0; c < 3; ++c) hot.set_sample(100, 60, c, 255);
    CHECK(mean_difference(enhanced(hot), expected) < 2);
    for (const int border : {1, 2, 20, 22}) {
      for (const int value : {0, 255}) {
        const Image result = enhanced(framed(photo, border, value));
        CHECK(result.sample(0, 0, 0) == value);
        CHECK(mean_difference(cut_out(result, {border, border + 160, border, border + 240}), expected) == 0);
      }
    }
    // Letterbox bars, and surroundings that are transparent: of black, of white.
    for (const int hidden : {0, 255}) {
      Image wide(240, 240, 4);
      for (int y = 0; y < 240; ++y) {
        for (int x = 0; x < 240; ++x) {
          for (int c = 0; c < 3; ++c) wide.set_sample(x, y, c, hidden);
        }
      }
      put_back(photo, {40, 200, 0, 240}, wide);
      CHECK(mean_difference(cut_out(enhanced(wide), {40, 200, 0, 240}), expected) == 0);
    }
    // A round picture: what its corners hide has no part in it.
    Image round = photo, other = photo;
    for (int y = 0; y < 160; ++y) {
      for (int x = 0; x < 240; ++x) {
        if (std::hypot((x - 120) / 120.0, (y - 80) / 80.0) < 1) continue;
        for (int c = 0; c < 3; ++c) round.set_sample(x, y, c, 255), other.set_sample(x, y, c, (7 * x + 3 * y) % 256);
        round.set_sample(x, y, 3, 0), other.set_sample(x, y, 3, 0);
      }
    }
    const Image a = enhanced(round), b = enhanced(other);
    int different = 0;
    for (int y = 0; y < 160; ++y) {
      for (int x = 0; x < 240; ++x) {
        for (int c = 0; c < 3 && round.sample(x, y, 3) > 0; ++c) different += a.sample(x, y, c) != b.sample(x, y, c);
      }
    }
    CHECK(different == 0);
  }
}

TEST_CASE("photographs: a dark scene before a bright sky is lifted, the sky stays", "[unit]") {
  const Model<float> model = load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors");
  const Image ground = cut_out(read_image(source_dir() + "/docs/samples/meadow.jpg"), {200, 360, 100, 340});
  Image photo(240, 240, 3);
  for (int y = 0; y < 80; ++y) {
    for (int x = 0; x < 240; ++x) {
      photo.set_sample(x, y, 0, 190 - y / 4), photo.set_sample(x, y, 1, 215 - y / 8), photo.set_sample(x, y, 2, 250);
    }
  }
  put_back(ground, {80, 240, 0, 240}, photo);
  const EnhancedPhoto result = enhance_photo(model, photo);
  const PictureArea sky{0, 70, 0, 240}, lower{100, 240, 0, 240};
  CHECK(mean_difference(cut_out(result.image, sky), cut_out(photo, sky)) < 3);
  CHECK(mean_difference(cut_out(result.image, lower), cut_out(photo, lower)) > 30);
  // Brighter and darker than that, by the stops that are asked for.
  const auto mean = [&](double stops) {
    PhotoOptions options;
    options.light.stops = stops;
    return mean_difference(cut_out(enhance_photo(model, photo, options).image, lower), Image(240, 140, 3));
  };
  CHECK(mean(1) > mean(0) + 10);
  CHECK(mean(-1) < mean(0) - 10);
  CHECK_THROWS_WITH(mean(11), Catch::Contains("stops"));
}

TEST_CASE("photographs: each stop darker takes light away, down to the picture itself", "[unit]") {
  const Model<float> model = load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors");
  const Image photo = cut_out(read_image(source_dir() + "/docs/samples/room.jpg"), {20, 180, 30, 270});
  const auto mean = [&](double stops) {
    PhotoOptions options;
    options.light.stops = stops;
    return mean_difference(enhance_photo(model, photo, options).image, Image(240, 160, 3));
  };
  double last = mean(0);
  for (const double stops : {-1, -2, -3}) {
    const double now = mean(stops);
    CAPTURE(stops, now, last);
    CHECK(now < last - 3);
    last = now;
  }
  CHECK(mean(-10) == Approx(mean_difference(photo, Image(240, 160, 3))));
}

}  // namespace
}  // namespace kind::testing
