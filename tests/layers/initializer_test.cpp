#include "layers/initializer.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/errors.h"

namespace kind::testing {
namespace {

constexpr std::int64_t kIn = 30, kOut = 90;  // the fans
const Shape kShape{40, 50, 3, 3};

struct Moments {
  double mean = 0, deviation = 0, smallest = 0, largest = 0, fourth = 0;
};

Moments moments_of(Initializer initializer) {
  Random random(7);
  const Tensor<double> w = initialize<double>(initializer, kShape, kIn, kOut, random);
  REQUIRE(w.shape() == kShape);
  Moments m;
  const auto n = static_cast<double>(w.size());
  for (std::int64_t i = 0; i < w.size(); ++i) {
    m.mean += w[i] / n;
    m.smallest = std::min(m.smallest, w[i]);
    m.largest = std::max(m.largest, w[i]);
  }
  for (std::int64_t i = 0; i < w.size(); ++i) {
    m.deviation += std::pow(w[i] - m.mean, 2) / n;
    m.fourth += std::pow(w[i] - m.mean, 4) / n;
  }
  m.fourth /= m.deviation * m.deviation;
  m.deviation = std::sqrt(m.deviation);
  return m;
}

TEST_CASE("initializers: distributions") {
  SECTION("xavier_uniform") {
    const Moments m = moments_of(Initializer::kXavierUniform);
    const double limit = std::sqrt(6.0 / (kIn + kOut));
    CHECK(m.largest <= limit);
    CHECK(m.smallest >= -limit);
    CHECK(m.largest > 0.999 * limit);
    CHECK(m.smallest < -0.999 * limit);
    CHECK(std::abs(m.mean) < 0.01);
    CHECK(m.deviation == Approx(limit / std::sqrt(3.0)).epsilon(0.02));
  }
  SECTION("he_normal") {
    const Moments m = moments_of(Initializer::kHeNormal);
    CHECK(std::abs(m.mean) < 0.01);
    CHECK(m.deviation == Approx(std::sqrt(2.0 / kIn)).epsilon(0.02));
    CHECK(m.largest > 3 * m.deviation);  // it is not cut
    CHECK(m.fourth == Approx(3).epsilon(0.1));
  }
  SECTION("truncated_normal") {
    const Moments m = moments_of(Initializer::kTruncatedNormal);
    CHECK(m.largest <= 0.04);
    CHECK(m.smallest >= -0.04);
    CHECK(m.largest > 0.0395);
    // A normal cut at two deviations keeps 0.8796 of its deviation.
    CHECK(m.deviation == Approx(0.02 * 0.8796).epsilon(0.02));
  }
  SECTION("zeros") {
    const Moments m = moments_of(Initializer::kZeros);
    CHECK(m.smallest == 0);
    CHECK(m.largest == 0);
  }
}

TEST_CASE("initializers: what is drawn depends on the generator alone") {
  for (const char* name : {"xavier_uniform", "he_normal", "truncated_normal"}) {
    const Initializer initializer = initializer_from_name(name);
    Random a(1), b(1), c(2);
    const auto draw = [&](Random& random) { return initialize<float>(initializer, {2, 3}, 3, 2, random).to_vector(); };
    const auto first = draw(a);
    CHECK(first == draw(b));
    CHECK(first != draw(c));
    CHECK(first != draw(a));  // the generator has moved on
  }
}

TEST_CASE("initializers: by name") {
  CHECK(initializer_from_name("xavier_uniform") == Initializer::kXavierUniform);
  CHECK(initializer_from_name("he_normal") == Initializer::kHeNormal);
  CHECK(initializer_from_name("truncated_normal") == Initializer::kTruncatedNormal);
  CHECK(initializer_from_name("zeros") == Initializer::kZeros);
  CHECK(error_of([] { initializer_from_name("ones"); }) ==
        "initializer: expected xavier_uniform, he_normal, truncated_normal or zeros, got 'ones'");
}

}  // namespace
}  // namespace kind::testing
