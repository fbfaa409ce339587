#include "losses/ssim.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/losses/values.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"

namespace {

using Catch::Contains;
using kind::Shape;
using kind::SsimSpec;
using kind::Tensor;
using kind::Variable;
using kind::testing::data;
using kind::testing::error_of;
using kind::testing::gradcheck;
using kind::testing::random_pictures;

/// SSIM as its definition reads: weighted moments about the means, window by window.
double plain_ssim(const Tensor<double>& x, const Tensor<double>& y, const SsimSpec& spec) {
  const Shape& s = x.shape();
  const std::int64_t h = s[2], w = s[3], k = spec.window, oh = h - k + 1, ow = w - k + 1;
  const auto weight = [&](std::int64_t a, std::int64_t b) {
    const double i = static_cast<double>(a - k / 2), j = static_cast<double>(b - k / 2);
    return std::exp(-(i * i + j * j) / (2 * spec.sigma * spec.sigma));
  };
  const double c1 = std::pow(0.01 * spec.range, 2), c2 = std::pow(0.03 * spec.range, 2);
  double total = 0;
  for (std::int64_t p = 0; p < s[0] * s[1]; ++p) {
    for (std::int64_t i = 0; i < oh; ++i) {
      for (std::int64_t j = 0; j < ow; ++j) {
        const auto moment = [&](const auto& f) {
          double sum = 0, weights = 0;
          for (std::int64_t a = 0; a < k; ++a) {
            for (std::int64_t b = 0; b < k; ++b) {
              const std::int64_t at = (p * h + i + a) * w + j + b;
              sum += weight(a, b) * f(x[at], y[at]);
              weights += weight(a, b);
            }
          }
          return sum / weights;
        };
        const double mx = moment([](double u, double) { return u; }), my = moment([](double, double v) { return v; });
        const double vx = moment([&](double u, double) { return (u - mx) * (u - mx); });
        const double vy = moment([&](double, double v) { return (v - my) * (v - my); });
        const double vxy = moment([&](double u, double v) { return (u - mx) * (v - my); });
        total += (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
      }
    }
  }
  return total / static_cast<double>(s[0] * s[1] * oh * ow);
}

double ssim_of(const Tensor<double>& x, const Tensor<double>& y, const SsimSpec& spec = {}) {
  return ssim(Variable<double>(x), Variable<double>(y), spec).value().item();
}

TEST_CASE("ssim of flat pictures and of windows of one pixel by hand", "[losses]") {
  const double c1 = 1e-4, c2 = 9e-4;
  const Tensor<double> dark = Tensor<double>::full({1, 1, 11, 13}, 0.2),
                       bright = Tensor<double>::full({1, 1, 11, 13}, 0.8);
  CHECK(ssim_of(dark, bright) == Approx((2 * 0.16 + c1) / (0.04 + 0.64 + c1)).epsilon(1e-12));
  // One pixel has no variance, so only the means count.
  CHECK(ssim_of(Tensor<double>::full({1, 1, 1, 1}, 1), Tensor<double>::full({1, 1, 1, 1}, 0), {1, 1.5, 1}) ==
        Approx(c1 / (1 + c1)));
  // A window of three with all but all of its weight in the middle, and one with equal weights: t and its mirror image.
  const Tensor<double> t({1, 1, 3, 3}, {0, 0, 0, 0, 0, 1, 0, 0, 0}),
      mirrored({1, 1, 3, 3}, {0, 0, 0, 1, 0, 0, 0, 0, 0});
  const double m = 1.0 / 9, var = m - m * m, cov = -m * m;
  CHECK(ssim_of(t, mirrored, {3, 1e6, 1}) ==
        Approx((2 * m * m + c1) * (2 * cov + c2) / ((2 * m * m + c1) * (2 * var + c2))).epsilon(1e-9));
  CHECK(ssim_of(t, mirrored, {3, 0.01, 1}) == Approx(1));
}

TEST_CASE("ssim is 1 for the same picture and agrees with its definition", "[losses]") {
  for (const Shape& shape : {Shape{1, 1, 11, 11}, Shape{2, 3, 13, 17}, Shape{1, 2, 12, 31}}) {
    INFO(shape.text());
    const Tensor<double> x = random_pictures(shape, 21), y = random_pictures(shape, 22);
    CHECK(ssim_of(x, x) == 1);
    for (const SsimSpec& spec : {SsimSpec{}, SsimSpec{5, 0.8, 1}, SsimSpec{3, 2.5, 0.5}}) {
      CHECK(std::abs(ssim_of(x, y, spec) - plain_ssim(x, y, spec)) < 1e-10);
    }
  }
}

TEST_CASE("ssim of tall pictures, which are filtered in bands", "[losses][grad]") {
  const SsimSpec spec{5, 1.1, 1};
  const Tensor<double> x = random_pictures({1, 2, 140, 9}, 27), y = random_pictures({1, 2, 140, 9}, 28);
  CHECK(std::abs(ssim_of(x, y, spec) - plain_ssim(x, y, spec)) < 1e-10);
  CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return ssim(in[0], in[1], spec); }, {x, y},
                  {.atol = 1e-9, .entries = 300}));
}

TEST_CASE("ssim has the same bits for any number of threads", "[losses]") {
  const Tensor<double> x = random_pictures({2, 3, 61, 67}, 23), y = random_pictures({2, 3, 61, 67}, 24);
  const double once = ssim_of(x, y);
  for (const int threads : kind::testing::kThreadCounts) {
    const kind::testing::ThreadScope scope(threads);
    CHECK(ssim_of(x, y) == once);
  }
}

TEST_CASE("ssim agrees with finite differences", "[losses][grad]") {
  const auto check = [](const Shape& shape, const SsimSpec& spec) {
    INFO(shape.text() << ", window " << spec.window);
    CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return ssim(in[0], in[1], spec); },
                    {random_pictures(shape, 25), random_pictures(shape, 26)}));
  };
  check({1, 1, 11, 12}, {});
  check({2, 3, 4, 5}, {3, 1.5, 1});
  check({1, 2, 5, 5}, {5, 0.7, 2});
  check({1, 3, 1, 1}, {1, 1.5, 1});
}

TEST_CASE("ssim refuses what it cannot compare", "[losses]") {
  const auto of = [](const Shape& shape) { return Tensor<double>::full(shape, 0.5); };
  CHECK_THAT(error_of([&] {
               ssim_of(of({1, 3, 10, 40}), of({1, 3, 10, 40}));
             }),
             Contains("[1, 3, 10, 40]") && Contains("smaller than the window of 11 x 11") &&
                 Contains("use larger pictures or a smaller window"));
  CHECK_THAT(error_of([&] { ssim_of(of({1, 3, 40, 10}), of({1, 3, 40, 10})); }), Contains("smaller than the window"));
  CHECK_THAT(error_of([&] {
               ssim_of(of({1, 3, 20, 20}), of({1, 1, 20, 20}));
             }),
             Contains("ssim: expected two pictures") && Contains("[1, 3, 20, 20] and [1, 1, 20, 20]"));
  CHECK_THAT(error_of([&] {
               ssim_of(of({1, 3, 20, 20}), of({1, 3, 20, 20}), {4, 1.5, 1});
             }),
             Contains("odd size, got 4"));
  CHECK_THAT(error_of([&] { ssim_of(of({1, 3, 20, 20}), of({1, 3, 20, 20}), {3, 1.5, 0}); }), Contains("range"));
}

}  // namespace
