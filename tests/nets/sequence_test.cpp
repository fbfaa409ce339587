#include "nets/sequence.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "core/base/random.h"
#include "tests/support/pictures.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

double mean_of(const Image& image) {
  double sum = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < image.channels; ++c) sum += image.sample(x, y, c);
    }
  }
  return sum / image.channels / image.width / image.height * 255 / image.maximum();
}

/// A part of a sample that moves with a hand-held camera, times `exposure`.
Image frame_of(const char* name, int number, double exposure = 1) {
  static const int kShake[] = {0, 2, 3, 1, 0, 4, 2, 1};
  const Image whole = read_image(source_dir() + "/docs/samples/" + name + ".jpg");
  const int left = 40 + kShake[number % 8], top = 30 + kShake[(number + 3) % 8];
  Image frame = cut_out(whole, {top, top + 120, left, left + 180});
  for (int y = 0; y < frame.height; ++y) {
    for (int x = 0; x < frame.width; ++x) {
      for (int c = 0; c < frame.channels; ++c) {
        frame.set_sample(x, y, c, std::min(255, static_cast<int>(exposure * frame.sample(x, y, c) + 0.5)));
      }
    }
  }
  return frame;
}

void put_lamp(Image& image) {
  for (int y = 10; y < 14; ++y) {
    for (int x = 150; x < 154; ++x) {
      for (int c = 0; c < image.channels; ++c) image.set_sample(x, y, c, 255);
    }
  }
}

const Model<float>& shipped() {
  static const Model<float> model = load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors");
  return model;
}

TEST_CASE("sequence: a far lamp in two of eight frames changes no frame's light", "[unit]") {
  for (const char* name : {"dogs", "stream"}) {
    CAPTURE(name);
    SequenceEnhancer dark(shipped(), {}, 25), lit(shipped(), {}, 25);
    for (int i = 0; i < 8; ++i) {
      CAPTURE(i);
      const Image frame = frame_of(name, i);
      Image with_lamp = frame;
      if (i == 3 || i == 4) put_lamp(with_lamp);
      const double expected = mean_of(dark.next(frame).image);
      CHECK(std::abs(mean_of(lit.next(with_lamp).image) - expected) < 2);
      CHECK(std::abs(mean_of(enhance_photo(shipped(), with_lamp).image) -
                     mean_of(enhance_photo(shipped(), frame).image)) < 6);
    }
  }
}

TEST_CASE("sequence: the first frame, and the first after a cut, are what each is by itself", "[unit]") {
  SequenceEnhancer sequence(shipped(), {}, 25);
  for (const char* name : {"dogs", "astronaut", "stream"}) {
    CAPTURE(name);
    const Image frame = frame_of(name, 0);
    CHECK(sequence.next(frame).image.data == enhance_photo(shipped(), frame).image.data);
    sequence.next(frame_of(name, 1));
  }
  const Image smaller = cut_out(frame_of("dogs", 2), {0, 80, 0, 100});
  CHECK(sequence.next(smaller).image.data == enhance_photo(shipped(), smaller).image.data);
}

TEST_CASE("sequence: the light follows that of the frames with its time constant", "[unit]") {
  // Frames that suddenly are darker by a stop and a half: after half a second 1 - 1/e of the way is made.
  constexpr int kRate = 8;
  const Image bright = frame_of("dogs", 0), dark = frame_of("dogs", 0, 0.35);
  SequenceEnhancer sequence(shipped(), {}, kRate);
  const double before = std::log(sequence.next(bright).ratio), after = std::log(enhance_photo(shipped(), dark).ratio);
  REQUIRE(after > before + 0.05);
  std::vector<double> way;
  for (int i = 0; i < 6 * kRate; ++i) way.push_back((std::log(sequence.next(dark).ratio) - before) / (after - before));
  CHECK(std::is_sorted(way.begin(), way.end()));
  CHECK(way[0] < 0.35);
  CHECK(way[kRate / 2 - 1] == Approx(1 - std::exp(-1.0)).margin(0.25));
  CHECK(way.back() == Approx(1).margin(0.02));
}

TEST_CASE("sequence: bars that come and go do not move the picture's light", "[unit]") {
  SequenceEnhancer sequence(shipped(), {}, 25);
  const Image frame = frame_of("dogs", 0);
  sequence.next(frame);
  Image barred = frame;
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < barred.width; ++x) {
      for (int c = 0; c < barred.channels; ++c) barred.set_sample(x, y, c, 0);
    }
  }
  const PictureArea below{20, frame.height, 0, frame.width};
  CHECK(std::abs(mean_of(cut_out(sequence.next(barred).image, below)) -
                 mean_of(cut_out(sequence.next(frame).image, below))) < 2);
}

TEST_CASE("sequence: bars of another scene begin at once", "[unit]") {
  SequenceEnhancer sequence(shipped(), {}, 25);
  sequence.next(frame_of("dogs", 0));
  Image letterboxed = frame_of("astronaut", 0);
  for (int y = 0; y < letterboxed.height; ++y) {
    if (y >= 20 && y < letterboxed.height - 20) continue;
    for (int x = 0; x < letterboxed.width; ++x) {
      for (int c = 0; c < letterboxed.channels; ++c) letterboxed.set_sample(x, y, c, 0);
    }
  }
  const Image result = sequence.next(letterboxed).image;
  CHECK(result.data == enhance_photo(shipped(), letterboxed).image.data);
  CHECK(result.sample(5, 5, 0) == 0);
}

TEST_CASE("sequence: a frame that cannot be enhanced is none", "[unit]") {
  SequenceEnhancer with(shipped(), {}, 25), without(shipped(), {}, 25);
  with.next(frame_of("dogs", 0)), without.next(frame_of("dogs", 0));
  CHECK_THROWS_WITH(with.next(Image()), Catch::Contains("empty"));
  const Image frame = frame_of("dogs", 1, 0.5);
  CHECK(with.next(frame).image.data == without.next(frame).image.data);
}

TEST_CASE("sequence: what it refuses", "[unit]") {
  CHECK_THROWS_WITH(SequenceEnhancer(shipped(), {}, 0), Catch::Contains("frames per second"));
  CHECK_THROWS_WITH(SequenceEnhancer(shipped(), {}, std::nan("")), Catch::Contains("frames per second"));
  PhotoOptions options;
  options.light = {LightLevel::Mode::kTargetMean, 0.5};
  CHECK_THROWS_WITH(SequenceEnhancer(shipped(), options, 25), Catch::Contains("target mean"));
}

}  // namespace
}  // namespace kind::testing
