#include "losses/lab.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <complex>

#include "core/ops/elementwise.h"
#include "losses/metrics/color.h"
#include "tests/losses/values.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;

/// CIE94 of one pixel, from CIELAB as the metrics compute it.
double cie94(const Tensor<double>& x, const Tensor<double>& t, std::int64_t i, double epsilon) {
  const Tensor<double> a = srgb_to_lab(mul(Variable<double>(x), 255.0).value()),
                       b = srgb_to_lab(mul(Variable<double>(t), 255.0).value());
  const std::int64_t plane = x.shape()[2] * x.shape()[3];
  const auto at = [&](const Tensor<double>& of, std::int64_t c) { return of[c * plane + i]; };
  const double dl = at(a, 0) - at(b, 0), ca = std::hypot(at(a, 1), at(a, 2)), cb = std::hypot(at(b, 1), at(b, 2));
  const double dab = std::hypot(at(a, 1) - at(b, 1), at(a, 2) - at(b, 2)), dc = ca - cb;
  const double sc = 1 + 0.045 * cb, sh = 1 + 0.015 * cb;
  return std::sqrt(dl * dl + dc * dc / (sc * sc) + (dab * dab - dc * dc) / (sh * sh) + epsilon * epsilon) - epsilon;
}

TEST_CASE("lab is CIE94 of the metrics' CIELAB", "[losses]") {
  const Tensor<double> x = random_pictures({1, 3, 6, 5}, 1), t = random_pictures({1, 3, 6, 5}, 2);
  for (const double epsilon : {1e-6, 1.0, 5.0}) {
    double sum = 0;
    for (std::int64_t i = 0; i < 30; ++i) sum += cie94(x, t, i, epsilon);
    const Variable<double> term = LabDifference{epsilon}(Variable<double>(x), Variable<double>(t));
    // Chroma has a constant under its root, and the matrices are rounded.
    CHECK(term.value().item() == Approx(sum / 30 / 100).epsilon(1e-4));
  }
  const Variable<double> same(x);
  CHECK(LabDifference{}(same, same).value().item() == Approx(0).margin(1e-12));
  // White against black is 100 of L*; a step of dark gray counts more than the same step of light gray.
  const auto gray = [](double v) { return data({1, 3, 1, 1}, {v, v, v}); };
  const LabDifference term{1e-6};
  CHECK(term(gray(1), gray(0)).value().item() == Approx(1).epsilon(1e-4));
  CHECK(term(gray(0.2), gray(0.1)).value().item() > term(gray(0.9), gray(0.8)).value().item());
}

TEST_CASE("lab agrees with finite differences", "[losses][grad]") {
  for (const Shape& size : {Shape{2, 3, 5, 4}, Shape{1, 3, 1, 1}, Shape{3, 3, 2, 7}}) {
    for (const double epsilon : {0.5, 1.0}) {
      INFO(size.text() << ", epsilon " << epsilon);
      CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return LabDifference{epsilon}(in[0], in[1]); },
                      {random_pictures(size, 11), random_pictures(size, 12)}));
    }
  }
  // Outside of 0..1, at gray and at black every derivative is finite.
  for (const double v : {-0.5, 0.0, 0.3, 1.0, 2.0}) {
    Variable<double> x(Tensor<double>::full({1, 3, 1, 1}, v), true), t(Tensor<double>::full({1, 3, 1, 1}, 0.3), true);
    Variable<double> loss = LabDifference{}(x, t);
    loss.backward();
    for (std::int64_t c = 0; c < 3; ++c) {
      CHECK(std::isfinite(x.grad()[c]));
      CHECK(std::isfinite(t.grad()[c]));
    }
  }
}

/// A pixel's distance of hues, from CIELAB as the metrics compute it.
double hue_distance(const Tensor<double>& x, const Tensor<double>& t, std::int64_t i, const HueDifference& term) {
  const std::int64_t plane = x.shape()[2] * x.shape()[3];
  const auto vector = [&](const Tensor<double>& of) {
    const Tensor<double> lab = srgb_to_lab(mul(Variable<double>(of), 255.0).value());
    const double a = lab[plane + i], b = lab[2 * plane + i];
    return std::complex<double>(a, b) / std::hypot(a, b, term.chroma);
  };
  return std::hypot(std::abs(vector(x) - vector(t)), term.epsilon) - term.epsilon;
}

TEST_CASE("hue is the distance of the metrics' colours on the unit circle", "[losses]") {
  const Tensor<double> x = random_pictures({1, 3, 6, 5}, 1), t = random_pictures({1, 3, 6, 5}, 2);
  for (const HueDifference& term : {HueDifference{}, HueDifference{1e-3, 1e-6}, HueDifference{40, 0.5}}) {
    double sum = 0;
    for (std::int64_t i = 0; i < 30; ++i) sum += hue_distance(x, t, i, term);
    CHECK(term(Variable<double>(x), Variable<double>(t)).value().item() == Approx(sum / 30).epsilon(1e-4));
  }
  const Variable<double> same(x);
  CHECK(HueDifference{}(same, same).value().item() == Approx(0).margin(1e-12));
  // Yellow against blue is nearly 2; two grays, or one hue at two lightnesses, are nearly alike.
  const auto pixel = [](double r, double g, double b) { return data({1, 3, 1, 1}, {r, g, b}); };
  const HueDifference term{1, 1e-6};
  CHECK(term(pixel(1, 1, 0), pixel(0, 0, 1)).value().item() > 1.8);
  CHECK(term(pixel(0.2, 0.2, 0.2), pixel(0.9, 0.9, 0.9)).value().item() < 0.01);
  CHECK(term(pixel(0.8, 0.4, 0.4), pixel(0.4, 0.2, 0.2)).value().item() < 0.1);
}

TEST_CASE("hue agrees with finite differences", "[losses][grad]") {
  for (const Shape& size : {Shape{2, 3, 5, 4}, Shape{1, 3, 1, 1}, Shape{3, 3, 2, 7}}) {
    for (const HueDifference& term : {HueDifference{}, HueDifference{3, 0.5}}) {
      INFO(size.text() << ", chroma " << term.chroma);
      CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return term(in[0], in[1]); },
                      {random_pictures(size, 11), random_pictures(size, 12)}));
    }
  }
  for (const double v : {-0.5, 0.0, 0.3, 1.0, 2.0}) {
    Variable<double> x(Tensor<double>::full({1, 3, 1, 1}, v), true);
    Variable<double> loss = HueDifference{}(x, data({1, 3, 1, 1}, {0.9, 0.1, 0.1}));
    loss.backward();
    for (std::int64_t c = 0; c < 3; ++c) CHECK(std::isfinite(x.grad()[c]));
  }
}

TEST_CASE("lab: threads do not change a bit", "[losses]") {
  const Tensor<float> x = random_tensor<float>({3, 3, 67, 51}, 1, 0, 1),
                      t = random_tensor<float>({3, 3, 67, 51}, 2, 0, 1);
  std::vector<float> first;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    Variable<float> output(x, true);
    Variable<float> loss = LabDifference{}(output, Variable<float>(t));
    std::vector<float> bits{loss.value().item()};
    loss.backward();
    bits.insert(bits.end(), output.grad().data(), output.grad().data() + output.grad().size());
    if (first.empty()) first = bits;
    CHECK((bits == first));
  }
}

TEST_CASE("lab refuses what does not fit", "[losses]") {
  const auto of = [](const Shape& shape) { return Variable<double>(Tensor<double>::full(shape, 0.5)); };
  const Variable<double> x = of({2, 3, 4, 5});
  CHECK_THAT(error_of([&] { LabDifference{}(x, of({2, 3, 4, 4})); }), Contains("lab: ") && Contains("[2, 3, 4, 4]"));
  CHECK_THAT(error_of([&] {
               LabDifference{}(of({2, 1, 4, 5}), of({2, 1, 4, 5}));
             }),
             Contains("lab: ") && Contains("[2, 1, 4, 5]"));
  CHECK_THAT(error_of([&] { LabDifference{0}(x, x); }), Contains("lab: ") && Contains("epsilon"));
  CHECK_THAT(error_of([&] { HueDifference{}(x, of({2, 3, 4, 4})); }), Contains("hue: ") && Contains("[2, 3, 4, 4]"));
  CHECK_THAT(error_of([&] {
               HueDifference{}(of({2, 1, 4, 5}), of({2, 1, 4, 5}));
             }),
             Contains("hue: ") && Contains("[2, 1, 4, 5]"));
  CHECK_THAT(error_of([&] { HueDifference{0}(x, x); }), Contains("hue: ") && Contains("chroma"));
  CHECK_THAT(error_of([&] { HueDifference{10, 0}(x, x); }), Contains("hue: ") && Contains("epsilon"));
}

}  // namespace
}  // namespace kind::testing
