#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/io/config.h"
#include "losses/metrics/color.h"
#include "losses/metrics/psnr.h"
#include "losses/metrics/ssim.h"
#include "tests/support/errors.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"

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
