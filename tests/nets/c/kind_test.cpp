// Long because it has the C interface as a whole: pictures, options, refusals and the nets one by one.

#include "nets/c/kind.h"

#include <cstring>
#include <thread>
#include <tuple>

#include "core/image/image.h"
#include "nets/photograph.h"
#include "nets/pipeline.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/scopes.h"

// libkind is tested as the shared library that programs load; the rest of this program has the static ones.

namespace kind::testing {
namespace {

using Pixels = std::vector<std::uint8_t>;

/// A model of the C interface until the end of the scope.
struct Opened {
  kind_model* model = nullptr;
  explicit Opened(const std::string& path) {
    INFO(kind_last_error());
    REQUIRE(kind_open(path.c_str(), &model) == KIND_OK);
  }
  ~Opened() { kind_free(model); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
};

kind_picture view(Image& image) {
  return {image.data.data(), static_cast<std::ptrdiff_t>(image.row_bytes()), image.width, image.height, image.channels,
          image.bits};
}

Image enhanced(const kind_model* model, Image image, const kind_options* options = nullptr) {
  const kind_picture picture = view(image);
  INFO(kind_last_error());
  REQUIRE(kind_enhance(model, &picture, &picture, options, nullptr) == KIND_OK);
  return image;
}

TEST_CASE("libkind gives the bits of kind-infer") {
  const TempDir dir;
  const Opened opened(models().whole);
  struct Case {
    const char* arguments;
    kind_options options = KIND_OPTIONS;
  } cases[5] = {{"--auto"},
                {"--ratio 3 --strength 0.75"},
                {"--target-mean 0.4"},
                {"--denoise 0.5 --ratio 2"},
                {"--fusion official"}};
  cases[1].options.light = cases[3].options.light = KIND_LIGHT_RATIO;
  cases[1].options.light_value = 3;
  cases[1].options.strength = 0.75;
  cases[2].options.light = KIND_LIGHT_TARGET_MEAN;
  cases[2].options.light_value = 0.4;
  cases[3].options.light_value = 2;
  cases[3].options.denoise = 0.5;
  cases[4].options.fusion = KIND_FUSION_OFFICIAL;
  for (const int bits : {8, 16}) {
    for (int channels = 1; channels <= 4; ++channels) {
      Image image = test_picture(37, 29, channels, bits);
      for (int i = 0; i < 37 * 29 * channels; ++i) {  // darker
        const int value = image.sample(i / channels % 37, i / channels / 37, i % channels);
        image.set_sample(i / channels % 37, i / channels / 37, i % channels, value / 4);
      }
      write_image(dir / "in.png", image, ImageFormat::kPng);
      for (const Case& each : cases) {
        if (channels != 3 && &each != cases) continue;
        INFO(each.arguments << ", " << bits << " bits, " << channels << " channels");
        success(dir, std::string("in.png -o out.png --overwrite ") + each.arguments);
        const Image expected = read_image(dir / "out.png");
        CHECK(expected.data != image.data);
        CHECK(enhanced(opened.model, image, &each.options).data == expected.data);
      }
    }
  }
}

TEST_CASE("libkind: gray stored as RGB comes out gray") {
  const Opened opened(models().whole);
  for (const int bits : {8, 16}) {
    Image gray = test_picture(17, 40, 1, bits), rgb(17, 40, 3, bits);
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 17; ++x) {
        for (int c = 0; c < 3; ++c) rgb.set_sample(x, y, c, gray.sample(x, y, 0));
      }
    }
    gray = enhanced(opened.model, gray);
    rgb = enhanced(opened.model, rgb);
    int wrong = 0;
    for (int y = 0; y < 40; ++y) {
      for (int x = 0; x < 17; ++x) {
        for (int c = 0; c < 3; ++c) wrong += rgb.sample(x, y, c) != gray.sample(x, y, 0) ? 1 : 0;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("libkind: rows may lie anywhere, upside down and in place") {
  const Opened opened(models().whole);
  Image image = smooth_picture(23, 17, 4);
  const Image expected = enhanced(opened.model, image);
  const std::ptrdiff_t row = 23 * 4, step = row + 13;
  Pixels from(static_cast<std::size_t>(1 + 17 * step), 7), to = from;
  for (int y = 0; y < 17; ++y) std::memcpy(&from[static_cast<std::size_t>(1 + (16 - y) * step)], image.row(y), 23 * 4);
  const kind_picture source{&from[static_cast<std::size_t>(1 + 16 * step)], -step, 23, 17, 4, KIND_8_BITS};
  kind_picture target{&to[1], step, 23, 17, 4, KIND_8_BITS};
  kind_result result{0, 0};
  REQUIRE(kind_enhance(opened.model, &source, &target, nullptr, &result) == KIND_OK);
  CHECK(result.ratio > 0);
  bool same = to[0] == 7, untouched = true;
  for (int y = 0; y < 17; ++y) {
    const std::uint8_t* at = &to[static_cast<std::size_t>(1 + y * step)];
    same = same && std::memcmp(at, expected.row(y), 23 * 4) == 0;
    for (std::ptrdiff_t i = row; y < 16 && i < step; ++i) untouched = untouched && at[i] == 7;
  }
  CHECK(same);
  CHECK(untouched);  // between the rows

  SECTION("without alpha, and with 16 bits") {
    const Model<float> model = load_model<float>(models().whole);
    PhotoOptions photo;
    photo.alpha = false;
    photo.bits = 16;
    const Image want = enhance_photo(model, image, photo).image;
    Image got(23, 17, 3, 16);
    const kind_picture picture = view(image), into = view(got);
    REQUIRE(kind_enhance(opened.model, &picture, &into, nullptr, nullptr) == KIND_OK);
    CHECK(got.data == want.data);
  }
}

TEST_CASE("libkind: floats are pictures of 16 bits") {
  const Opened opened(models().whole);
  Image image = test_picture(19, 11, 2, 16);
  std::vector<float> values;
  for (int i = 0; i < 19 * 11 * 2; ++i) {
    values.push_back(static_cast<float>(image.sample(i / 2 % 19, i / 2 / 19, i % 2)) / 65535.0f);
  }
  kind_picture picture{values.data(), 19 * 2 * 4, 19, 11, 2, KIND_FLOATS};
  const Image expected = enhanced(opened.model, image);
  std::vector<float> out(values.size());
  kind_picture into = picture;
  into.pixels = out.data();
  REQUIRE(kind_enhance(opened.model, &picture, &into, nullptr, nullptr) == KIND_OK);
  for (int i = 0; i < 19 * 11 * 2; ++i) {
    const float want = static_cast<float>(expected.sample(i / 2 % 19, i / 2 / 19, i % 2) / 65535.0);
    if (out[static_cast<std::size_t>(i)] != want) FAIL("value " << i);
  }
  values[7] = std::nanf("");
  CHECK(kind_enhance(opened.model, &picture, &into, nullptr, nullptr) == KIND_INVALID);
  CHECK_THAT(kind_last_error(), Contains("there is a NaN in row 0"));
  values[7] = 12;
  values[8] = -1;
  CHECK(kind_enhance(opened.model, &picture, &into, nullptr, nullptr) == KIND_OK);
}

TEST_CASE("libkind: several threads use one model, each with threads of its own") {
  const Opened opened(models().whole);
  const Image image = smooth_picture(61, 47, 3);
  const Image expected = enhanced(opened.model, image);
  constexpr int kCallers = 4, kTimes = 3;
  int same[kCallers] = {};
  std::string errors[kCallers];
  std::vector<std::thread> callers;
  for (int t = 0; t < kCallers; ++t) {
    callers.emplace_back([&, t] {
      kind_options options = KIND_OPTIONS;
      options.threads = t;  // 0: all
      for (int i = 0; i < kTimes; ++i) {
        Image own = image;
        const kind_picture picture = view(own);
        if (kind_enhance(opened.model, &picture, &picture, &options, nullptr) != KIND_OK) return;
        same[t] += own.data == expected.data;
        options.light = 7 + t;
        if (kind_enhance(opened.model, &picture, &picture, &options, nullptr) != KIND_INVALID) return;
        options.light = KIND_LIGHT_AUTO;
      }
      errors[t] = kind_last_error();
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (int t = 0; t < kCallers; ++t) {
    CHECK(same[t] == kTimes);
    CHECK(errors[t] == "options: light: expected one of KIND_LIGHT_..., got " + std::to_string(7 + t));
  }
}

TEST_CASE("libkind: a limit of memory changes no bit, or is an error") {
  const Opened opened(models().whole);
  const Image image = smooth_picture(200, 150, 3);
  kind_options options = KIND_OPTIONS;
  options.light = KIND_LIGHT_RATIO;
  options.light_value = 2;
  const Image expected = enhanced(opened.model, image, &options);
  Image copy = image;
  const kind_picture picture = view(copy);
  const PhotoMemory needed =
      photo_memory(load_model<float>(models().whole), image, {}, {{LightLevel::Mode::kRatio, 2}});
  options.max_memory = needed.held;
  CHECK(enhanced(opened.model, image, &options).data == expected.data);
  options.max_memory = 1 << 20;
  CHECK(kind_enhance(opened.model, &picture, &picture, &options, nullptr) == KIND_FAILED);
  CHECK_THAT(kind_last_error(), Contains("the limit is 1 MiB"));
  CHECK(copy.data == image.data);
}

TEST_CASE("libkind: progress, and an end from there") {
  const Opened opened(models().whole);
  Image image = smooth_picture(200, 150, 3);
  const Image before = image;
  const kind_picture picture = view(image);
  struct Seen {
    std::vector<double> done;
    std::thread::id caller = std::this_thread::get_id();
    bool elsewhere = false;
    double stop_at = 2;
  } seen;
  kind_options options = KIND_OPTIONS;
  options.user = &seen;
  options.progress = [](double done, void* user) {
    auto* s = static_cast<Seen*>(user);
    s->done.push_back(done);
    s->elsewhere = s->elsewhere || std::this_thread::get_id() != s->caller;
    return done >= s->stop_at ? 1 : 0;
  };
  SECTION("to the end") {
    CHECK(kind_enhance(opened.model, &picture, &picture, &options, nullptr) == KIND_OK);
    CHECK(seen.done.size() >= 3);
    CHECK_FALSE(seen.elsewhere);
    CHECK(std::is_sorted(seen.done.begin(), seen.done.end()));
    CHECK(seen.done.back() == Approx(1));
  }
  SECTION("stopped") {
    seen.stop_at = 0.5;
    CHECK(kind_enhance(opened.model, &picture, &picture, &options, nullptr) == KIND_STOPPED);
    CHECK(kind_last_error() == std::string("stopped, as `progress` asked for"));
    CHECK(image.data == before.data);
    options.progress = nullptr;
    CHECK(kind_enhance(opened.model, &picture, &picture, &options, nullptr) == KIND_OK);
  }
}

std::string refused(const kind_model* model, const kind_picture* from, const kind_picture* to,
                    const kind_options* options) {
  CHECK(kind_enhance(model, from, to, options, nullptr) == KIND_INVALID);
  return kind_last_error();
}

TEST_CASE("libkind: what cannot be is refused with a line that says why (models)") {
  const TempDir dir;
  kind_model* model = nullptr;
  CHECK(kind_open((dir / "none").c_str(), &model) == KIND_FAILED);
  CHECK_THAT(kind_last_error(), Contains("none"));
  CHECK(kind_open("", &model) == KIND_INVALID);
  CHECK(kind_open("x", nullptr) == KIND_INVALID);
  CHECK(kind_open(dir.put("bad.st", "no model\n").c_str(), &model) == KIND_FAILED);
  CHECK_THAT(kind_last_error(), Contains("bad.st"));
  CHECK(model == nullptr);
  kind_free(nullptr);
}

TEST_CASE("libkind: what cannot be is refused with a line that says why (pictures)") {
  const Opened opened(models().whole);
  Image image = smooth_picture(8, 8, 3);
  const kind_picture good = view(image);
  CHECK(kind_enhance(nullptr, &good, &good, nullptr, nullptr) == KIND_INVALID);
  CHECK(refused(opened.model, nullptr, &good, nullptr) == "from: expected a picture with pixels, got NULL");
  CHECK(refused(opened.model, &good, nullptr, nullptr) == "to: expected a picture with pixels, got NULL");
  const auto changed = [&](const auto& change) {
    kind_picture bad = good;
    change(bad);
    return refused(opened.model, &bad, &bad, nullptr);
  };
  CHECK_THAT(changed([](kind_picture& p) { p.width = 0; }), Contains("expected sides from 1 to 65535, got 0 x 8"));
  CHECK_THAT(changed([](kind_picture& p) { p.height = -8; }), Contains("got 8 x -8"));
  CHECK_THAT(changed([](kind_picture& p) { p.width = 65536; }), Contains("got 65536 x 8"));
  CHECK_THAT(changed([](kind_picture& p) { p.channels = 5; }), Contains("expected 1 to 4 channels, got 5"));
  CHECK_THAT(changed([](kind_picture& p) { p.samples = 12; }), Contains("samples"));
  CHECK_THAT(changed([](kind_picture& p) { p.row_bytes = 23; }), Contains("expected at least 24"));
  CHECK_THAT(changed([](kind_picture& p) { p.row_bytes = -23; }), Contains("expected at least 24"));
  CHECK_THAT(changed([](kind_picture& p) { p.row_bytes = PTRDIFF_MAX; }), Contains("row_bytes"));
  CHECK_THAT(changed([](kind_picture& p) { p.row_bytes = PTRDIFF_MIN; }), Contains("row_bytes"));
  kind_picture other = good;
  other.height = 7;
  CHECK_THAT(refused(opened.model, &good, &other, nullptr),
             Contains("expected sides as those of `from`, 8 x 8, got 8 x 7"));
  other = good;
  other.channels = 2;
  CHECK_THAT(refused(opened.model, &good, &other, nullptr), Contains("expected 3 channels, got 2"));
}

TEST_CASE("libkind: what cannot be is refused with a line that says why (options)") {
  const Opened opened(models().whole);
  Image image = smooth_picture(8, 8, 3);
  const kind_picture good = view(image);
  const auto asked = [&](const auto& change) {
    kind_options options = KIND_OPTIONS;
    change(options);
    return refused(opened.model, &good, &good, &options);
  };
  CHECK_THAT(asked([](kind_options& o) { o.size = 8; }), Contains("begin with KIND_OPTIONS"));
  CHECK_THAT(asked([](kind_options& o) { o.light = -1; }), Contains("light"));
  CHECK_THAT(asked([](kind_options& o) { o.light = KIND_LIGHT_RATIO; }), Contains("got 0"));
  CHECK_THAT(asked([](kind_options& o) {
               o.light = KIND_LIGHT_TARGET_MEAN;
               o.light_value = std::nan("");
             }),
             Contains("got nan"));
  CHECK_THAT(asked([](kind_options& o) { o.light_value = 11; }), Contains("stops"));  // of the automatic light
  CHECK_THAT(asked([](kind_options& o) { o.strength = 2; }), Contains("strength"));
  CHECK_THAT(asked([](kind_options& o) { o.denoise = -1; }), Contains("denoise"));
  CHECK_THAT(asked([](kind_options& o) { o.fusion = 3; }), Contains("fusion"));
  CHECK_THAT(asked([](kind_options& o) { o.threads = 1025; }), Contains("threads"));
  CHECK_THAT(asked([](kind_options& o) { o.reserved = 1; }), Contains("reserved"));
}

TEST_CASE("libkind: options that only a later version knows are refused, unless they are 0") {
  const Opened opened(models().whole);
  Image image = smooth_picture(8, 8, 3);
  const kind_picture good = view(image);
  struct Later {
    kind_options known = KIND_OPTIONS;
    double more = 0;
  } later;
  later.known.size = sizeof later;
  CHECK(kind_enhance(opened.model, &good, &good, &later.known, nullptr) == KIND_OK);
  later.more = 1;
  CHECK_THAT(refused(opened.model, &good, &good, &later.known), Contains("does not know"));
}

/// A map of floats in rows that are a little longer than they need to be.
struct FloatMap {
  FloatMap(int w, int h, int channels)
      : values(static_cast<std::size_t>(h * (w * channels + 3)), -7.0f),
        picture{values.data(), (w * channels + 3) * 4, w, h, channels, KIND_FLOATS} {}
  FloatMap(const FloatMap&) = delete;
  FloatMap& operator=(const FloatMap&) = delete;

  float& at(int x, int y, int c) {
    return values[static_cast<std::size_t>(y * (picture.width * picture.channels + 3) + x * picture.channels + c)];
  }
  /// How many values differ from those of a tensor [1, c, h, w], and of those between the rows from what they were.
  int differences(const Tensor<float>& tensor) {
    int wrong = 0;
    for (int y = 0; y < picture.height; ++y) {
      for (int x = 0; x < picture.width; ++x) {
        for (int c = 0; c < picture.channels; ++c) {
          wrong += at(x, y, c) != tensor[(std::int64_t{c} * picture.height + y) * picture.width + x];
        }
      }
      for (int i = 0; i < 3; ++i) wrong += at(picture.width, y, i) != -7;
    }
    return wrong;
  }

  std::vector<float> values;
  kind_picture picture;
};

TEST_CASE("libkind: the nets one by one") {
  const Opened opened(models().whole);
  const Model<float> model = load_model<float>(models().whole);
  CHECK(kind_describe(opened.model) == to_json(model.config).dump());
  CHECK(kind_describe(nullptr) == std::string());
  Image image = smooth_picture(23, 17, 3);
  const kind_picture picture = view(image);
  FloatMap input(23, 17, 3), reflectance(23, 17, 3), illumination(23, 17, 1), restored(23, 17, 3), adjusted(23, 17, 1);
  REQUIRE(kind_stretch(opened.model, &picture, &input.picture, 0) == KIND_OK);
  const Tensor<float> seen = net_input(to_tensor(image), model.config.input);
  CHECK(input.differences(seen) == 0);
  REQUIRE(kind_decompose(opened.model, &input.picture, &reflectance.picture, &illumination.picture, 1) == KIND_OK);
  PictureNets nets(model);
  const PictureNets::Parts parts = nets.decompose(seen);
  CHECK(reflectance.differences(parts.reflectance) == 0);
  CHECK(illumination.differences(parts.illumination) == 0);
  REQUIRE(kind_restore(opened.model, &reflectance.picture, &illumination.picture, &restored.picture, 2) == KIND_OK);
  CHECK(restored.differences(nets.restore(parts.reflectance, parts.illumination)) == 0);
  REQUIRE(kind_adjust(opened.model, &illumination.picture, 2.5, &adjusted.picture, 0) == KIND_OK);
  CHECK(adjusted.differences(nets.adjust(parts.illumination, 2.5)) == 0);

  SECTION("in place, and of gray") {
    REQUIRE(kind_restore(opened.model, &reflectance.picture, &illumination.picture, &reflectance.picture, 0) ==
            KIND_OK);
    CHECK(reflectance.values == restored.values);
    Image gray(23, 17, 1, 16), rgb(23, 17, 3, 16);
    for (int i = 0; i < 23 * 17 * 3; ++i) {
      const int x = i / 3 % 23, y = i / 3 / 23, value = 100 * (x + y) + 7;
      gray.set_sample(x, y, 0, value);
      rgb.set_sample(x, y, i % 3, value);
    }
    const kind_picture one = view(gray);
    REQUIRE(kind_stretch(opened.model, &one, &input.picture, 0) == KIND_OK);
    CHECK(input.differences(net_input(to_tensor(rgb), model.config.input)) == 0);
  }
  SECTION("what cannot be") {
    const std::vector<float> before = restored.values;
    const auto refused = [](int code) {
      CHECK(code == KIND_INVALID);
      return std::string(kind_last_error());
    };
    FloatMap small(22, 17, 1);
    const auto& [m, r, l, to] = std::tie(opened.model, reflectance.picture, illumination.picture, restored.picture);
    CHECK_THAT(refused(kind_restore(nullptr, &r, &l, &to, 0)), Contains("model: expected one from kind_open"));
    CHECK_THAT(refused(kind_restore(m, &r, nullptr, &to, 0)), Contains("illumination: expected a picture with pixels"));
    CHECK_THAT(refused(kind_restore(m, &r, &small.picture, &to, 0)),
               Contains("illumination: expected 23 x 17, as the other maps, got 22 x 17"));
    CHECK_THAT(refused(kind_restore(m, &l, &l, &to, 0)), Contains("reflectance: expected 3 channels, got 1"));
    CHECK_THAT(refused(kind_decompose(m, &picture, &r, &l, 0)),
               Contains("input: samples: expected KIND_FLOATS, got 8"));
    CHECK_THAT(refused(kind_adjust(m, &l, 0, &adjusted.picture, 0)), Contains("at most 100, got 0"));
    CHECK_THAT(refused(kind_adjust(m, &l, 2, &adjusted.picture, 2000)), Contains("threads: expected 0 to 1024"));
    illumination.at(3, 4, 0) = std::nanf("");
    CHECK_THAT(refused(kind_restore(m, &r, &l, &to, 0)),
               Contains("illumination: there is a value that is not finite in row 4"));
    CHECK(restored.values == before);
  }
}

}  // namespace
}  // namespace kind::testing
