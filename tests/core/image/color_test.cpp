#include "core/image/color.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/base/random.h"
#include "core/image/exif.h"
#include "tests/support/errors.h"
#include "tests/support/ink_profile.h"
#include "tests/support/pictures.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;

bool skipped() {
  if (!has_color_management()) WARN("skipped: this build is without lcms2");
  return !has_color_management();
}

PngChunk numbers(const char* type, const std::vector<std::uint32_t>& values) {
  PngChunk chunk{type, {}};
  for (const std::uint32_t value : values) {
    for (int shift = 24; shift >= 0; shift -= 8) chunk.data.push_back(static_cast<std::uint8_t>(value >> shift & 255));
  }
  return chunk;
}
PngChunk gamma(std::uint32_t value) { return numbers("gAMA", {value}); }
PngChunk primaries_of_p3() { return numbers("cHRM", {31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000}); }
PngChunk code_points(std::uint8_t primaries, std::uint8_t transfer) { return {"cICP", {primaries, transfer, 0, 1}}; }

Metadata with(std::vector<PngChunk> chunks) {
  Metadata metadata;
  metadata.color = std::move(chunks);
  return metadata;
}

/// An EXIF block whose Exif directory has a colour space, or whose interoperability directory has an index.
std::vector<std::uint8_t> exif(std::uint8_t color_space, const std::string& index) {
  std::vector<std::uint8_t> b;
  const auto put = [&](std::initializer_list<int> bytes) {
    for (const int byte : bytes) b.push_back(static_cast<std::uint8_t>(byte));
  };
  put({'M', 'M', 0, 42, 0, 0, 0, 8});
  const auto entry = [&](std::uint16_t tag, std::uint8_t type, std::uint8_t count, std::vector<std::uint8_t> value) {
    value.resize(4);
    put({tag >> 8, tag & 255, 0, int{type}, 0, 0, 0, int{count}});
    put({value[0], value[1], value[2], value[3]});
  };
  const auto ends = [&] { put({0, 0, 0, 0}); };
  put({0, 1});
  entry(0x8769, 4, 1, {0, 0, 0, 26});
  ends();  // 26
  put({0, 2});
  entry(0xa001, 3, 1, {0, color_space});
  entry(0xa005, 4, 1, {0, 0, 0, 56});
  ends();  // 56
  put({0, 1});
  entry(1, 2, 4, {index.begin(), index.end()});
  ends();
  return b;
}

/// One pixel in sRGB.
std::array<float, 3> srgb_of(const ColorEncoding& encoding, std::array<float, 3> pixel) {
  float* const planes[] = {&pixel[0], &pixel[1], &pixel[2]};
  encoding.to_srgb(planes, 1);
  return pixel;
}

void check_pixel(const std::array<float, 3>& pixel, const std::array<double, 3>& expected, double tolerance) {
  for (std::size_t c = 0; c < 3; ++c) CHECK(static_cast<double>(pixel[c]) == Approx(expected[c]).margin(tolerance));
}

double encoded(double light) { return light <= 0.0031308 ? 12.92 * light : 1.055 * std::pow(light, 1 / 2.4) - 0.055; }

TEST_CASE("color: what is sRGB has no encoding of its own", "[unit]") {
  if (skipped()) return;
  for (const bool gray : {false, true}) {
    for (const Metadata& metadata :
         {Metadata(), with({numbers("sRGB", {})}), with({gamma(45455)}), with({gamma(45000)}),
          with({code_points(1, 13)}),
          with({gamma(45455), numbers("cHRM", {31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000})}),
          with({{"sRGB", {0}}, gamma(100000)})}) {
      const ColorReading reading = read_color("a.png", metadata, gray);
      CHECK(reading.encoding == nullptr);
      CHECK(reading.problem.empty());
    }
  }
  Metadata metadata;
  metadata.exif = exif(1, "R98");
  CHECK(read_color("a.jpg", metadata, false).encoding == nullptr);
}

TEST_CASE("color: encodings by their chunks", "[unit]") {
  if (skipped()) return;
  const auto encoding = [](std::vector<PngChunk> chunks, bool gray = false) {
    const ColorReading reading = read_color("a.png", with(std::move(chunks)), gray);
    CHECK(reading.problem.empty());
    REQUIRE(reading.encoding != nullptr);
    CHECK(reading.encoding->two_way());
    CHECK(!reading.encoding->profile().empty());
    return reading.encoding;
  };
  const auto linear = encoding({gamma(100000)});
  CHECK(linear->name() == "gamma 1");
  check_pixel(srgb_of(*linear, {0.5f, 0.1f, 1.0f}), {encoded(0.5), encoded(0.1), 1}, 1e-3);
  check_pixel(srgb_of(*encoding({gamma(100000)}, true), {0.5f, 0.5f, 0.5f}), {encoded(0.5), encoded(0.5), encoded(0.5)},
              1e-3);
  check_pixel(srgb_of(*encoding({gamma(55556)}), {0.5f, 0.5f, 0.5f}),
              {encoded(std::pow(0.5, 1.8)), encoded(std::pow(0.5, 1.8)), encoded(std::pow(0.5, 1.8))}, 1e-3);
  // Display P3's red lies beyond sRGB, its white does not. Its light in sRGB's primaries is 1.2249, -0.0420 and -0.0196,
  // and the curve goes on straight below 0.
  for (const auto& p3 : {encoding({code_points(12, 13)}), encoding({gamma(45455), primaries_of_p3()}),
                         encoding({primaries_of_p3()}), encoding({gamma(100000), code_points(12, 13)})}) {
    check_pixel(srgb_of(*p3, {1, 0, 0}), {encoded(1.2249), encoded(-0.0420), encoded(-0.0196)}, 3e-3);
    check_pixel(srgb_of(*p3, {1, 1, 1}), {1, 1, 1}, 1e-3);
  }
  // 1 / 2.2 means sRGB's curve with sRGB's primaries alone.
  const auto p3_gamma = encoding({gamma(45455), primaries_of_p3()});
  CHECK(p3_gamma->name() == "gamma 2.2, cHRM");
  const double gray = encoded(std::pow(0.1, 2.2));
  check_pixel(srgb_of(*p3_gamma, {0.1f, 0.1f, 0.1f}), {gray, gray, gray}, 1e-3);
  CHECK(encoding({primaries_of_p3()})->name() == "cHRM");
  // The first that counts is the code points, then the profile.
  Metadata both = with({gamma(100000)});
  both.icc = encoding({code_points(12, 13)})->profile();
  check_pixel(srgb_of(*read_color("a.png", both, false).encoding, {1, 0, 0}),
              {encoded(1.2249), encoded(-0.0420), encoded(-0.0196)}, 3e-3);
}

TEST_CASE("color: Adobe RGB by EXIF", "[unit]") {
  if (skipped()) return;
  for (const auto& [space, index] : {std::pair{std::uint8_t{2}, "R98"}, {std::uint8_t{255}, "R03"}}) {
    Metadata metadata;
    metadata.exif = exif(space, index);
    const ColorReading reading = read_color("a.jpg", metadata, false);
    REQUIRE(reading.encoding != nullptr);
    CHECK_THAT(reading.encoding->name(), Contains("Adobe RGB"));
    check_pixel(srgb_of(*reading.encoding, {0.5f, 0.5f, 0.5f}),
                {encoded(std::pow(0.5, 2.2)), encoded(std::pow(0.5, 2.2)), encoded(std::pow(0.5, 2.2))}, 2e-3);
    CHECK(srgb_of(*reading.encoding, {0, 1, 0})[0] < -0.3f);
    CHECK(read_color("a.jpg", metadata, true).encoding == nullptr);
    Metadata srgb = metadata;
    set_exif_srgb(srgb.exif);
    CHECK(read_color("a.jpg", srgb, false).encoding == nullptr);
    CHECK(srgb.exif.size() == metadata.exif.size());
    // Any shorter block is no reason for anything.
    for (std::size_t size = 0; size < metadata.exif.size(); ++size) {
      Metadata cut;
      cut.exif.assign(metadata.exif.begin(), metadata.exif.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK(read_color("a.jpg", cut, false).problem.empty());
    }
  }
}

TEST_CASE("color: there and back, on any number of threads, gray stays gray", "[unit]") {
  if (skipped()) return;
  for (const PngChunk& chunk : {code_points(12, 13), code_points(9, 1), gamma(100000), gamma(55556)}) {
    for (const bool gray : {false, true}) {
      const ColorReading reading = read_color("a.png", with({chunk}), gray);
      if (gray && chunk.type == "cICP") {
        CHECK(reading.encoding == nullptr);  // only the curve counts, and that is sRGB's
        continue;
      }
      REQUIRE(reading.encoding != nullptr);
      constexpr std::int64_t kCount = 10007;
      Random random(1);
      std::vector<float> planes[3];
      for (std::int64_t i = 0; i < kCount; ++i) {
        for (auto& plane : planes) plane.push_back(static_cast<float>(random.uniform()));
        if (gray) planes[1].back() = planes[2].back() = planes[0].back();
      }
      std::vector<float> first[3];
      for (const int threads : {1, 2, 5}) {
        const ThreadScope scope(threads);
        std::vector<float> there[] = {planes[0], planes[1], planes[2]};
        float* const data[] = {there[0].data(), there[1].data(), there[2].data()};
        reading.encoding->to_srgb(data, kCount);
        if (gray) CHECK((there[0] == there[1] && there[1] == there[2]));
        if (threads == 1) std::copy(there, there + 3, first);
        for (std::size_t c = 0; c < 3; ++c) CHECK((there[c] == first[c]));
        reading.encoding->from_srgb(data, kCount);
        float worst = 0;
        for (std::size_t c = 0; c < 3; ++c) {
          for (std::size_t i = 0; i < planes[c].size(); ++i) {
            worst = std::max(worst, std::abs(there[c][i] - planes[c][i]));
          }
        }
        CHECK(worst < 1e-3f);
      }
    }
  }
}

TEST_CASE("color: JPEG XL whose code points are HDR's is refused", "[unit]") {
  if (skipped()) return;
  if (!can_read_image(ImageFormat::kJxl)) {
    WARN("skipped: this build is without libjxl");
    return;
  }
  // 4 x 4 pixels by cjxl 0.7, RGB_D65_202_Rel_PeQ and RGB_D65_202_Rel_HLG.
  const auto file = [](const std::string& start) {
    std::vector<std::uint8_t> bytes;
    const std::string hex = start +
                            "08020100dc004b12c582852452abbba88a12dff791ce011029a57418303c0d2734a6fbe7e389896da91087c9"
                            "46edb8de5476d42f858392a81b7ea22960";
    for (std::size_t i = 0; i < hex.size(); i += 2)
      bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
  };
  const std::vector<std::uint8_t> pq = file("ff0a18100104e4d1230e0700000080"),
                                  hlg = file("ff0a18100104e41908f4180000000002");
  for (const auto& [bytes, name] : {std::pair(pq, "PQ"), std::pair(hlg, "HLG")}) {
    Metadata metadata;
    CHECK(decode_image("a.jxl", bytes, {}, &metadata).width == 4);
    CHECK_THAT(error_of([&, name = name] { read_color("a.jxl", metadata, false); }), Contains("HDR") && Contains(name));
  }
}

TEST_CASE("color: HDR is refused, what makes no sense is said", "[unit]") {
  if (skipped()) return;
  CHECK_THAT(error_of([] { read_color("a.avif", with({code_points(9, 16)}), false); }),
             Contains("a.avif") && Contains("HDR") && Contains("PQ"));
  CHECK_THAT(error_of([] { read_color("a.png", with({code_points(9, 18)}), false); }), Contains("HLG"));
  // A profile with a cicp tag: header, one tag at 144.
  Metadata profile;
  profile.icc.resize(156);
  profile.icc[131] = 1;
  const std::string tag = "cicp";
  std::copy(tag.begin(), tag.end(), profile.icc.begin() + 132);
  profile.icc[139] = 144;
  profile.icc[153] = 16;
  CHECK_THAT(error_of([&] { read_color("a.jpg", profile, false); }), Contains("HDR"));
  profile.icc[153] = 1;
  CHECK_THAT(read_color("a.jpg", profile, false).problem, Contains("damaged"));
  for (const Metadata& metadata :
       {with({gamma(0)}), with({{"gAMA", {1, 2}}}), with({{"cHRM", {1, 2, 3}}}), with({code_points(77, 13)}),
        with({code_points(1, 17)}), with({{"cICP", {1}}}), with({numbers("cHRM", {0, 0, 0, 0, 0, 0, 0, 0})})}) {
    const ColorReading reading = read_color("a.png", metadata, false);
    CHECK(reading.encoding == nullptr);
    CHECK(!reading.problem.empty());
  }
}

TEST_CASE("color: a picture in sRGB", "[unit]") {
  if (skipped()) return;
  const auto encoding = read_color("a.png", with({gamma(100000)}), false).encoding;
  REQUIRE(encoding != nullptr);
  for (const int bits : {8, 16}) {
    const Image image = test_picture(70, 130, 4, bits), result = to_srgb(image, *encoding);
    REQUIRE((result.bits == 16 && result.channels == 4 && result.width == 70 && result.height == 130));
    for (const auto& [x, y] : {std::pair{0, 0}, {69, 129}, {33, 64}}) {
      for (int c = 0; c < 3; ++c) {
        const double light = double{1} * image.sample(x, y, c) / image.maximum();
        CHECK(result.sample(x, y, c) / 65535.0 == Approx(encoded(light)).margin(1e-3));
      }
      CHECK(result.sample(x, y, 3) == image.sample(x, y, 3) * (bits == 8 ? 257 : 1));
    }
  }
}

TEST_CASE("color: a file read in sRGB, whatever it is encoded in", "[unit]") {
  if (skipped()) return;
  const TempDir dir;
  const Image image = test_picture(40, 30, 3, 16);
  Metadata linear = with({gamma(100000)});
  WriteOptions options;
  options.metadata = &linear;
  write_image(dir / "linear.png", image, ImageFormat::kPng, options);
  write_image(dir / "plain.png", image, ImageFormat::kPng);
  const SrgbPicture converted = read_srgb(dir / "linear.png"), plain = read_srgb(dir / "plain.png");
  CHECK(plain.image.data == image.data);
  CHECK((converted.bits == 16 && plain.bits == 16));
  CHECK(converted.image.data == to_srgb(image, *read_color("a.png", linear, false).encoding).data);
  const Image coarse = test_picture(40, 30, 3, 8);
  write_image(dir / "linear.png", coarse, ImageFormat::kPng, options);
  const SrgbPicture fine = read_srgb(dir / "linear.png");
  CHECK((fine.bits == 8 && fine.image.bits == 16));
  CHECK(fine.note.empty());
  Metadata unknown = with({gamma(0)});
  options.metadata = &unknown;
  write_image(dir / "unknown.png", coarse, ImageFormat::kPng, options);
  const SrgbPicture assumed = read_srgb(dir / "unknown.png");
  CHECK(assumed.image.data == coarse.data);
  CHECK_THAT(assumed.note, Contains("taken for sRGB"));
  Metadata pq = with({code_points(9, 16)});
  options.metadata = &pq;
  write_image(dir / "pq.png", image, ImageFormat::kPng, options);
  CHECK_THAT(error_of([&] { read_srgb(dir / "pq.png"); }), Contains("pq.png"));
}

TEST_CASE("color: lossy JPEG XL with a profile keeps its dark colours") {
  if (skipped()) return;
  if (!can_write_image(ImageFormat::kJxl)) {
    WARN("skipped: this build is without libjxl");
    return;
  }
  Metadata adobe;
  adobe.exif = exif(2, "R98");
  const auto encoding = read_color("a.jpg", adobe, false).encoding;
  for (const int bits : {8, 16}) {
    Image image(64, 48, 3, bits);
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 64; ++x) {
        for (int c = 0; c < 3; ++c) image.set_sample(x, y, c, image.maximum() * (10 + x + (c == 1 ? y : 0)) / 900);
      }
    }
    WriteOptions options;
    options.jpeg_quality = 99;
    Metadata metadata;
    metadata.icc = encoding->profile();
    options.metadata = &metadata;
    Metadata found;
    const Image read = decode_image("a.jxl", encode_image("a.jxl", image, ImageFormat::kJxl, options), {}, &found);
    CHECK(read.bits == 16);
    CHECK(found.file_bits == (bits == 8 ? std::optional(8) : std::nullopt));
    const auto other = read_color("a.jxl", found, false).encoding;
    REQUIRE(other != nullptr);
    const Image expected = to_srgb(image, *encoding), result = to_srgb(read, *other);
    double sum = 0;
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 64; ++x) {
        for (int c = 0; c < 3; ++c) sum += std::abs(expected.sample(x, y, c) - result.sample(x, y, c)) / 257.0;
      }
    }
    CHECK(sum / (64 * 48 * 3) < 0.7);
  }
}

TEST_CASE("color: inks become sRGB by their profile", "[unit]") {
  if (skipped()) return;
#if KIND_HAS_LCMS
  const InkConversion convert = ink_conversion(ink_profile());
  REQUIRE(convert != nullptr);
  const std::uint8_t inks[] = {0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0};
  std::uint16_t rgb[15] = {};
  convert(inks, 5, reinterpret_cast<std::uint8_t*>(rgb));
  for (int c = 0; c < 3; ++c) {
    CHECK(rgb[c] >= 254 * 257);
    CHECK(rgb[3 + c] <= 257);
  }
  CHECK((rgb[6] < 80 * 257 && rgb[8] > 200 * 257));    // cyan
  CHECK((rgb[9] > 180 * 257 && rgb[10] < 80 * 257));   // magenta
  CHECK((rgb[12] > 200 * 257 && rgb[14] < 80 * 257));  // yellow
  // By the profile directly, not an intermediate table: enhancing enlarges errors in dark parts.
  const InkConversion deep = ink_conversion(ink_profile(), 16);
  const auto table = ink_profile();
  cmsHPROFILE const from = cmsOpenProfileFromMem(table.data(), static_cast<cmsUInt32Number>(table.size())),
                    to = cmsCreate_sRGBProfile();
  cmsHTRANSFORM const exact =
      cmsCreateTransform(from, TYPE_CMYK_FLT, to, TYPE_RGB_FLT, INTENT_RELATIVE_COLORIMETRIC,
                         cmsFLAGS_NOCACHE | cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOOPTIMIZE);
  REQUIRE(exact != nullptr);
  int largest = 0;
  for (int i = 0; i < 500; ++i) {
    std::uint16_t samples[4], result[3];
    float percent[4], wanted[3];
    for (int c = 0; c < 4; ++c) {
      samples[c] = static_cast<std::uint16_t>((i * 7919 + c * 104729 + i * i * (31 + c)) % 65536);
      percent[c] = static_cast<float>(samples[c] / 655.35);
    }
    deep(reinterpret_cast<const std::uint8_t*>(samples), 1, reinterpret_cast<std::uint8_t*>(result));
    cmsDoTransform(exact, percent, wanted, 1);
    for (int c = 0; c < 3; ++c) {
      const int value = static_cast<int>(std::lround(65535 * std::clamp(wanted[c], 0.0F, 1.0F)));
      largest = std::max(largest, std::abs(result[c] - value));
    }
  }
  CHECK(largest < 60);
  cmsDeleteTransform(exact);
  cmsCloseProfile(from);
  cmsCloseProfile(to);
  // A profile of inks beside pixels that are none.
  Metadata metadata;
  metadata.icc = ink_profile();
  check_profile(metadata, false);
  CHECK(metadata.icc.empty());
  CHECK(metadata.color_note.empty());
  CHECK(metadata.dropped == std::vector<std::string>{"colour profile for other pixels than the picture's"});
#endif
  CHECK(ink_conversion({}) == nullptr);
  CHECK(ink_conversion(std::vector<std::uint8_t>(200)) == nullptr);
  CHECK(ink_conversion(read_color("a.png", with({gamma(100000)}), false).encoding->profile()) == nullptr);
}

}  // namespace
}  // namespace kind::testing
