#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/config/config.h"
#include "losses/metrics/color.h"
#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

namespace {

using Catch::Contains;
using kind::mean_chroma;
using kind::psnr_gray;
using kind::psnr_rgb;
using kind::Shape;
using kind::srgb_to_lab;
using kind::ssim_gray;
using kind::ssim_rgb;
using kind::Tensor;
using kind::testing::error_of;
using kind::testing::random_tensor;
using kind::testing::read_reference_nhwc;
using kind::testing::reference_dir;

Tensor<double> pixel(double r, double g, double b) { return Tensor<double>({1, 3, 1, 1}, {r, g, b}); }

TEST_CASE("psnr by hand", "[metrics]") {
  CHECK(psnr_rgb(pixel(0, 0, 0), pixel(255, 255, 255)) == 0);
  CHECK(psnr_rgb(pixel(10, 20, 30), pixel(13, 20, 30)) == Approx(10 * std::log10(65025.0 / 3)));
  CHECK(psnr_gray(pixel(10, 20, 30), pixel(13, 20, 30)) == Approx(20 * std::log10(255 / (3 * 0.299))));
  CHECK(psnr_rgb(pixel(1, 2, 3), pixel(1, 2, 3)) == std::numeric_limits<double>::infinity());
  CHECK(psnr_gray(pixel(1, 2, 3), pixel(1, 2, 3)) == std::numeric_limits<double>::infinity());
  const Tensor<float> a({1, 3, 1, 2}, {1, 2, 3, 4, 5, 6}), b({1, 3, 1, 2}, {1, 2, 3, 4, 5, 7});
  CHECK(psnr_rgb(a, b) == Approx(10 * std::log10(65025.0 * 6)));
  CHECK_THAT(error_of([&] {
               psnr_rgb(a, Tensor<float>::zeros({1, 3, 2, 1}));
             }),
             Contains("psnr_rgb: expected two RGB pictures") && Contains("[1, 3, 1, 2] and [1, 3, 2, 1]"));
  CHECK_THAT(error_of([] {
               psnr_gray(Tensor<float>::zeros({2, 3, 2, 1}), Tensor<float>::zeros({2, 3, 2, 1}));
             }),
             Contains("psnr_gray: "));
  // NaN is no small difference.
  CHECK(std::isnan(psnr_rgb(pixel(1, 2, 3), pixel(1, 2, std::nan("")))));
}

TEST_CASE("ssim of 8-bit pictures", "[metrics]") {
  const Shape shape{1, 3, 13, 11};
  const Tensor<double> x = random_tensor(shape, 61, 0, 255), black = Tensor<double>::zeros(shape);
  CHECK(ssim_rgb(x, x) == std::optional<double>(1));
  CHECK(ssim_gray(x, x) == std::optional<double>(1));
  const double c1 = std::pow(0.01 * 255, 2);
  const Tensor<double> white = Tensor<double>::full(shape, 255);
  CHECK(*ssim_rgb(black, white) == Approx(c1 / (65025 + c1)).epsilon(1e-9));
  CHECK(*ssim_rgb(black, x) < 0.1);
  CHECK(*ssim_rgb(kind::cast<float>(black), kind::cast<float>(white)) == *ssim_rgb(black, white));
  // Only the green channel differs: a third of the windows' values does.
  Tensor<double> green = black.clone();
  for (std::int64_t i = 0; i < 13 * 11; ++i) green[13 * 11 + i] = 255;
  CHECK(*ssim_rgb(black, green) == Approx((2 + c1 / (65025 + c1)) / 3).epsilon(1e-9));
}

TEST_CASE("pictures smaller than the window have no ssim", "[metrics]") {
  for (const Shape& shape : {Shape{1, 3, 10, 40}, Shape{1, 3, 40, 10}, Shape{1, 3, 1, 1}}) {
    const Tensor<double> x = Tensor<double>::full(shape, 3);
    CHECK_FALSE(ssim_rgb(x, x).has_value());
    CHECK_FALSE(ssim_gray(x, x).has_value());
  }
  CHECK(ssim_rgb(Tensor<double>::zeros({1, 3, 11, 11}), Tensor<double>::zeros({1, 3, 11, 11})).has_value());
  CHECK_THAT(error_of([] {
               ssim_rgb(Tensor<double>::zeros({1, 1, 1, 1}), Tensor<double>::zeros({1, 1, 1, 1}));
             }),
             Contains("ssim_rgb: expected two RGB pictures"));
}

// The corners of the sRGB cube, computed apart from this program; sources that round the matrix elsewhere differ by
// 0.01.
TEST_CASE("CIELAB of known colours", "[metrics]") {
  const auto check = [](double r, double g, double b, double l, double a_star, double b_star) {
    INFO("sRGB " << r << ", " << g << ", " << b);
    const Tensor<double> lab = srgb_to_lab(pixel(r, g, b));
    CHECK(std::abs(lab[0] - l) < 0.01);
    CHECK(std::abs(lab[1] - a_star) < 0.01);
    CHECK(std::abs(lab[2] - b_star) < 0.01);
    CHECK(std::abs(mean_chroma(pixel(r, g, b)) - std::hypot(a_star, b_star)) < 0.01);
  };
  check(255, 0, 0, 53.2408, 80.0925, 67.2032);
  check(0, 255, 0, 87.7347, -86.1827, 83.1793);
  check(0, 0, 255, 32.2970, 79.1875, -107.8602);
  check(255, 255, 0, 97.1393, -21.5537, 94.4780);
  check(0, 0, 0, 0, 0, 0);
  check(255, 255, 255, 100, 0, 0);
  check(128, 128, 128, 53.5850, 0, 0);
  check(2, 2, 2, 0.5484, 0, 0);
}

TEST_CASE("chroma is the mean over the pixels of all pictures", "[metrics]") {
  for (const double v : {1.0, 77.0, 200.0}) CHECK(mean_chroma(pixel(v, v, v)) == Approx(0).margin(1e-4));
  // Red, gray; gray, blue.
  const Tensor<double> x({2, 3, 1, 2}, {255, 90, 0, 90, 0, 90, 30, 0, 30, 0, 30, 255});
  CHECK(mean_chroma(x) == Approx((mean_chroma(pixel(255, 0, 0)) + mean_chroma(pixel(0, 0, 255))) / 4).epsilon(1e-6));
  CHECK(mean_chroma(kind::cast<float>(x)) == mean_chroma(x));
  CHECK_THAT(error_of([] { mean_chroma(Tensor<double>::zeros({1, 4, 1, 1})); }), Contains("mean_chroma: expected RGB"));
  CHECK_THAT(error_of([] { srgb_to_lab(Tensor<double>::zeros({1, 1, 2, 2})); }), Contains("[1, 1, 2, 2]"));
}

// The pairs that Sharma, Wu and Dalal published for checking programs; they sit on the formula's branches.
TEST_CASE("CIEDE2000 of Sharma's pairs", "[metrics]") {
  const double pairs[][7] = {
      {50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425},
      {50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615},
      {50, 2.8361, -74.0200, 50, 0, -82.7485, 3.4412},
      {50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0000},
      {50, -1.1848, -84.8006, 50, 0, -82.7485, 1.0000},
      {50, -0.9009, -85.5211, 50, 0, -82.7485, 1.0000},
      {50, 0, 0, 50, -1, 2, 2.3669},
      {50, -1, 2, 50, 0, 0, 2.3669},
      {50, 2.4900, -0.0010, 50, -2.4900, 0.0009, 7.1792},
      {50, 2.4900, -0.0010, 50, -2.4900, 0.0010, 7.1792},
      {50, 2.4900, -0.0010, 50, -2.4900, 0.0011, 7.2195},
      {50, 2.4900, -0.0010, 50, -2.4900, 0.0012, 7.2195},
      {50, -0.0010, 2.4900, 50, 0.0009, -2.4900, 4.8045},
      {50, -0.0010, 2.4900, 50, 0.0010, -2.4900, 4.8045},
      {50, -0.0010, 2.4900, 50, 0.0011, -2.4900, 4.7461},
      {50, 2.5, 0, 50, 0, -2.5, 4.3065},
      {50, 2.5, 0, 73, 25, -18, 27.1492},
      {50, 2.5, 0, 61, -5, 29, 22.8977},
      {50, 2.5, 0, 56, -27, -3, 31.9030},
      {50, 2.5, 0, 58, 24, 15, 19.4535},
      {50, 2.5, 0, 50, 3.1736, 0.5854, 1.0000},
      {50, 2.5, 0, 50, 3.2972, 0, 1.0000},
      {50, 2.5, 0, 50, 1.8634, 0.5757, 1.0000},
      {50, 2.5, 0, 50, 3.2592, 0.3350, 1.0000},
      {60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644},
      {63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630},
      {61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731},
      {35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645},
      {22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373},
      {36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146},
      {90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441},
      {90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381},
      {6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377},
      {2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082},
  };
  for (const double* p : pairs) {
    INFO(p[0] << " " << p[1] << " " << p[2] << " and " << p[3] << " " << p[4] << " " << p[5]);
    CHECK(std::abs(kind::ciede2000({p[0], p[1], p[2]}, {p[3], p[4], p[5]}) - p[6]) < 0.00006);
    CHECK(std::abs(kind::ciede2000({p[3], p[4], p[5]}, {p[0], p[1], p[2]}) - p[6]) < 0.00006);
    CHECK(kind::ciede2000({p[0], p[1], p[2]}, {p[0], p[1], p[2]}) == 0);
  }
}

TEST_CASE("delta-e and mae are means over the picture", "[metrics]") {
  const Tensor<float> a({1, 3, 1, 2}, {255, 90, 0, 90, 0, 90}), b({1, 3, 1, 2}, {250, 90, 0, 90, 7, 90});
  const Tensor<double> x = srgb_to_lab(a), y = srgb_to_lab(b);
  const double first = kind::ciede2000({x[0], x[2], x[4]}, {y[0], y[2], y[4]});
  CHECK(first > 0.1);
  CHECK(kind::mean_delta_e(a, b) == Approx(first / 2));
  CHECK(kind::mean_absolute_error(a, b) == Approx((5 + 7) / (6 * 255.0)));
  // Black and white are 100 apart, by either.
  CHECK(kind::mean_delta_e(pixel(0, 0, 0), pixel(255, 255, 255)) == Approx(100));
  CHECK(kind::mean_absolute_error(pixel(0, 0, 0), pixel(255, 255, 255)) == 1);
  const Shape shape{1, 3, 70, 150};
  const Tensor<double> p = random_tensor(shape, 1, 0, 255), q = random_tensor(shape, 2, 0, 255);
  std::vector<double> seen;
  for (const int threads : kind::testing::kThreadCounts) {
    const kind::testing::ThreadScope scope(threads);
    seen.push_back(kind::mean_delta_e(p, q));
    CHECK(seen.back() == seen.front());
  }
  CHECK_THAT(error_of([&] {
               kind::mean_delta_e(a, Tensor<float>::zeros({1, 3, 2, 1}));
             }),
             Contains("mean_delta_e: expected two RGB pictures"));
  CHECK_THAT(error_of([&] {
               kind::mean_absolute_error(a, Tensor<float>::zeros({1, 3, 2, 1}));
             }),
             Contains("mean_absolute_error: expected"));
}

/// L* of 50 and these (a*, b*), pixel by pixel.
Tensor<double> lab_of(const std::vector<std::array<double, 2>>& colors) {
  const auto n = static_cast<std::int64_t>(colors.size());
  Tensor<double> lab = Tensor<double>::full({1, 3, 1, n}, 50);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t c = 0; c < 2; ++c) {
      lab[(c + 1) * n + i] = colors[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)];
    }
  }
  return lab;
}

TEST_CASE("slope, hue and error of colour by hand", "[metrics]") {
  const Tensor<double> target = lab_of({{30, 40}, {0, -20}, {-3, 4}});
  const kind::LabPair same{target, target};
  CHECK(kind::color_slope(same) == std::optional<double>(1));
  CHECK(kind::hue_error(same) == std::optional<double>(0));
  CHECK(kind::chroma_error(same) == 0);
  CHECK(kind::chroma_ratio(same) == std::optional<double>(1));

  const kind::LabPair half{lab_of({{15, 20}, {0, -10}, {-1.5, 2}}), target};
  CHECK(kind::color_slope(half) == std::optional<double>(0.5));
  CHECK(*kind::hue_error(half) == Approx(0).margin(1e-12));
  CHECK(kind::chroma_error(half) == Approx((25 + 10 + 2.5) / 3));

  // A right angle, then the opposite, then no pixel that counts: of (-3, 4) the hue is not looked at.
  const kind::LabPair turned{lab_of({{-40, 30}, {0, 10}, {50, 50}}), target};
  CHECK(*kind::color_slope(turned) == Approx((0 - 200 + 50) / (2500.0 + 400 + 25)));
  CHECK(*kind::hue_error(turned) == Approx((90 + 180) / 2.0));
  CHECK(kind::chroma_error(turned) == Approx((std::hypot(70, 10) + 30 + std::hypot(53, 46)) / 3));
  // Across the ends of the circle: 170 and -170 degrees are 20 apart.
  const double t = std::acos(-1.0) * 170 / 180;
  const kind::LabPair ends{lab_of({{20 * std::cos(t), 20 * std::sin(t)}}),
                           lab_of({{15 * std::cos(t), -15 * std::sin(t)}})};
  CHECK(*kind::hue_error(ends) == Approx(20));
  // 10 is enough, in both.
  CHECK(kind::hue_error({lab_of({{10, 0}}), lab_of({{0, 10}})}) == std::optional<double>(90));
  CHECK_FALSE(kind::hue_error({lab_of({{9.99, 0}}), lab_of({{0, 50}})}).has_value());
  CHECK_FALSE(kind::hue_error({lab_of({{0, 50}}), lab_of({{9.99, 0}})}).has_value());
}

TEST_CASE("a target without colour has no slope", "[metrics]") {
  const Tensor<double> tinted = lab_of({{30, 40}, {30, 40}});
  CHECK_FALSE(kind::color_slope({tinted, lab_of({{0, 0}, {0, 0}})}).has_value());
  CHECK_FALSE(kind::color_slope({tinted, lab_of({{0.9, 0}, {0, 1}})}).has_value());
  CHECK(*kind::color_slope({tinted, lab_of({{1, 0}, {0, 1}})}) == Approx(35));
  // Gray output, on the other hand: none of the colour is there.
  CHECK(kind::color_slope({lab_of({{0, 0}, {0, 0}}), tinted}) == std::optional<double>(0));
  const auto gray = pixel(90, 90, 90), red = pixel(200, 40, 40);
  const kind::LabPair onto_gray = kind::to_lab_pair(red, gray);
  CHECK_FALSE(kind::color_slope(onto_gray).has_value());
  CHECK_FALSE(kind::hue_error(onto_gray).has_value());
  CHECK_FALSE(kind::chroma_ratio(onto_gray).has_value());
  CHECK(kind::chroma_error(onto_gray) == Approx(kind::mean_chroma(red)));
}

TEST_CASE("noise raises the ratio of chromas, not the slope", "[metrics]") {
  // Weak colours, in half of the pixels none, and noise of 12 in a* and b*.
  const std::int64_t n = 40000;
  Tensor<double> target = Tensor<double>::full({1, 3, 200, 200}, 50), output = target.clone();
  const Tensor<double> noise = random_tensor({2, n}, 5, -12 * std::sqrt(3.0), 12 * std::sqrt(3.0));
  for (std::int64_t i = 0; i < n; ++i) {
    target[n + i] = i % 2 == 0 ? 10 : 0;
    target[2 * n + i] = i % 4 == 0 ? -10 : 0;
    output[n + i] = 0.5 * target[n + i] + noise[i];
    output[2 * n + i] = 0.5 * target[2 * n + i] + noise[n + i];
  }
  const kind::LabPair pictures{output, target};
  CHECK(std::abs(*kind::color_slope(pictures) - 0.5) < 0.02);
  CHECK(*kind::chroma_ratio(pictures) > 2);
  CHECK(kind::chroma_error(pictures) > 12);
}

TEST_CASE("slope, hue and error of sRGB pictures", "[metrics]") {
  const Shape shape{1, 3, 70, 150};
  const Tensor<double> x = random_tensor(shape, 1, 60, 200);
  // Halfway to the gray of the same luminance, in light.
  Tensor<double> faded = x.clone();
  const auto linear = [](double v) { return std::pow((v / 255 + 0.055) / 1.055, 2.4); };
  const auto encoded = [](double v) { return 255 * (1.055 * std::pow(v, 1 / 2.4) - 0.055); };
  const std::int64_t n = 70 * 150;
  for (std::int64_t i = 0; i < n; ++i) {
    const double y = 0.2126 * linear(x[i]) + 0.7152 * linear(x[n + i]) + 0.0722 * linear(x[2 * n + i]);
    for (std::int64_t c = 0; c < 3; ++c) faded[c * n + i] = encoded((y + linear(x[c * n + i])) / 2);
  }
  const kind::LabPair pictures = kind::to_lab_pair(faded, x);
  CHECK(*kind::color_slope(pictures) == Approx(0.5).margin(0.08));
  CHECK(*kind::hue_error(pictures) < 8);
  CHECK(kind::chroma_error(pictures) > 5);
  CHECK(kind::mean_delta_e(pictures) == kind::mean_delta_e(faded, x));
  CHECK(*kind::chroma_ratio(pictures) == kind::mean_chroma(faded) / kind::mean_chroma(x));
  CHECK(*kind::color_slope(kind::to_lab_pair(x, x)) == 1);
  // Threads change nothing.
  const Tensor<double> other = random_tensor(shape, 2, 0, 255);
  std::vector<std::array<double, 3>> seen;
  for (const int threads : kind::testing::kThreadCounts) {
    const kind::testing::ThreadScope scope(threads);
    const kind::LabPair pair = kind::to_lab_pair(x, other);
    seen.push_back({*kind::color_slope(pair), *kind::hue_error(pair), kind::chroma_error(pair)});
    CHECK(seen.back() == seen.front());
  }
  CHECK_THAT(error_of([&] { kind::to_lab_pair(x, pixel(1, 2, 3)); }),
             Contains("to_lab_pair: expected two RGB pictures"));
}

TEST_CASE("reference metrics", "[metrics][golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto all = kind::read_json_file(*folder + "/metrics/metrics.json");
  REQUIRE(all.size() == 4);
  for (const auto& entry : all.items()) {
    const std::string name = entry.key();
    const nlohmann::json& expected = entry.value();
    INFO(name);
    const auto a = read_reference_nhwc<double>(*folder + "/metrics/" + name + "_a.npy");
    const auto b = read_reference_nhwc<double>(*folder + "/metrics/" + name + "_b.npy");
    const auto check = [&](const char* key, double value, double tolerance) {
      INFO(key);
      if (expected.at(key).is_null()) {
        CHECK(value == std::numeric_limits<double>::infinity());
      } else {
        CHECK(std::abs(value - expected.at(key).get<double>()) < tolerance);
      }
    };
    check("psnr_rgb", psnr_rgb(a, b), 1e-9);
    check("psnr_gray_bt601_float", psnr_gray(a, b), 1e-9);
    check("ssim_rgb", ssim_rgb(a, b).value(), 1e-9);
    check("ssim_gray_bt601_float", ssim_gray(a, b).value(), 1e-9);
  }
}

}  // namespace
