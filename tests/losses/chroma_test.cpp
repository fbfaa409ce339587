#include "losses/chroma.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/ops/elementwise.h"
#include "losses/blur.h"
#include "tests/losses/values.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("chroma by hand", "[losses]") {
  // Differences (0.3, 0, 0) and (0.1, 0.1, -0.2); all of what two gray pictures differ by is light.
  const Variable<double> x = data({1, 3, 1, 2}, {0.5, 0.3, 0.2, 0.6, 0.4, 0.1}),
                         t = data({1, 3, 1, 2}, {0.2, 0.2, 0.2, 0.5, 0.4, 0.3});
  const double o1[] = {0.3 / std::sqrt(2.0), 0}, o2[] = {0.3 / std::sqrt(6.0), 0.6 / std::sqrt(6.0)};
  CHECK(ChromaDifference{Norm::kL1}(x, t).value().item() == Approx((o1[0] + o2[0] + o2[1]) / 4));
  CHECK(ChromaDifference{Norm::kL2}(x, t).value().item() ==
        Approx((o1[0] * o1[0] + o2[0] * o2[0] + o2[1] * o2[1]) / 4));
  // Two pixels under a very wide blur are their mean.
  CHECK(ChromaDifference{Norm::kL1, 500}(x, t).value().item() ==
        Approx((o1[0] / 2 + (o2[0] + o2[1]) / 2) / 2).epsilon(1e-4));
  const Variable<double> gray = data({1, 3, 1, 1}, {0.3, 0.3, 0.3}), white = data({1, 3, 1, 1}, {1, 1, 1});
  for (const double sigma : {0.0, 2.0}) {
    CHECK(ChromaDifference{Norm::kL1, sigma}(gray, white).value().item() == Approx(0).margin(1e-15));
  }
}

TEST_CASE("saturation is the slope of colors, which noise does not raise", "[losses]") {
  const Tensor<double> target = random_pictures({2, 3, 40, 40}, 1);
  const auto faded = [&](double share, double noise) {
    Tensor<double> x = target.clone();
    Random random(2);
    for (std::int64_t n = 0; n < 2; ++n) {
      for (std::int64_t i = 0; i < 1600; ++i) {
        double* const pixel = x.data() + n * 4800 + i;
        const double mean = (pixel[0] + pixel[1600] + pixel[3200]) / 3;
        for (std::int64_t c = 0; c < 3; ++c) {
          double& v = pixel[c * 1600];
          // Its own light, too: the slope does not look at it.
          v = 0.5 * mean + share * (v - mean) + noise * random.normal();
        }
      }
    }
    return Variable<double>(x);
  };
  const Saturation term{1e-9};
  const Variable<double> t(target);
  CHECK(term(t, t).value().item() == Approx(0).margin(1e-15));
  CHECK(term(faded(0.5, 0), t).value().item() == Approx(0.25));
  CHECK(term(faded(1.2, 0), t).value().item() == Approx(0.04));
  CHECK(term(faded(0.5, 0.2), t).value().item() == Approx(0.25).margin(0.03));
  // One pixel by hand: the product less that of the means.
  const Variable<double> one = data({1, 3, 1, 1}, {0.5, 0.1, 0.0}), other = data({1, 3, 1, 1}, {0.2, 0.2, 0.5});
  const double whole = 0.25 + 0.01 - 0.36 / 3, product = 0.1 + 0.02 - 0.6 * 0.9 / 3;
  const double slope = (product + 0.02) / (whole + 0.02);
  CHECK(Saturation{0.02}(other, one).value().item() == Approx((slope - 1) * (slope - 1)));
  // Of a gray target nothing is asked.
  const Variable<double> gray = data({1, 3, 1, 1}, {0.3, 0.3, 0.3});
  CHECK(Saturation{0.02}(other, gray).value().item() == Approx(0).margin(1e-15));
}

TEST_CASE("color terms agree with finite differences", "[losses][grad]") {
  for (const Shape& size : {Shape{2, 3, 5, 4}, Shape{1, 3, 1, 1}, Shape{3, 3, 2, 7}}) {
    const Tensor<double> x = random_pictures(size, 11), t = random_pictures(size, 12);
    for (const Norm norm : {Norm::kL1, Norm::kL2}) {
      for (const double sigma : {0.0, 1.0}) {
        INFO(size.text() << ", norm " << static_cast<int>(norm) << ", sigma " << sigma);
        CHECK(gradcheck(
            [&](const std::vector<Variable<double>>& in) {
              return ChromaDifference{norm, sigma}(in[0], in[1]);
            },
            {x, t}));
      }
    }
    for (const double epsilon : {1e-3, 0.1}) {
      INFO(size.text() << ", epsilon " << epsilon);
      CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return Saturation{epsilon}(in[0], in[1]); },
                      {x, t}));
    }
  }
}

TEST_CASE("color terms: threads do not change a bit", "[losses]") {
  const Tensor<float> x = random_tensor<float>({3, 3, 67, 51}, 1, 0, 1),
                      t = random_tensor<float>({3, 3, 67, 51}, 2, 0, 1);
  std::vector<float> first;
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    Variable<float> output(x, true);
    const Variable<float> target(t);
    Variable<float> loss = add(ChromaDifference{Norm::kL1, 1.5}(output, target), Saturation{}(output, target));
    std::vector<float> bits{loss.value().item()};
    loss.backward();
    bits.insert(bits.end(), output.grad().data(), output.grad().data() + output.grad().size());
    if (first.empty()) first = bits;
    CHECK((bits == first));
  }
}

TEST_CASE("color terms refuse what does not fit", "[losses]") {
  const auto of = [](const Shape& shape) { return Variable<double>(Tensor<double>::full(shape, 0.5)); };
  const Variable<double> x = of({2, 3, 4, 5});
  CHECK_THAT(error_of([&] {
               ChromaDifference{}(x, of({2, 3, 4, 4}));
             }),
             Contains("chroma: ") && Contains("[2, 3, 4, 4]"));
  CHECK_THAT(error_of([&] {
               ChromaDifference{}(of({2, 1, 4, 5}), of({2, 1, 4, 5}));
             }),
             Contains("chroma: expected RGB pictures [n, 3, h, w], got [2, 1, 4, 5]"));
  CHECK_THAT(error_of([&] { ChromaDifference{Norm::kL1, -1}(x, x); }), Contains("sigma of at least 0, got -1"));
  CHECK_THAT(error_of([&] { ChromaDifference{Norm::kL1, 1001}(x, x); }), Contains("at most 1000, got 1001"));
  CHECK_THAT(error_of([&] { Saturation{}(x, of({1, 3, 4, 5})); }), Contains("saturation: "));
  CHECK_THAT(error_of([&] { Saturation{}(of({2, 4, 4, 5}), of({2, 4, 4, 5})); }), Contains("saturation: expected RGB"));
  CHECK_THAT(error_of([&] { Saturation{0}(x, x); }), Contains("epsilon greater than 0, got 0"));
  CHECK_THAT(error_of([&] {
               gaussian_blur("it", Variable<double>(Tensor<double>::zeros({3, 4})), 1);
             }),
             Contains("it: expected pictures [n, c, h, w], got [3, 4]"));
}

}  // namespace
}  // namespace kind::testing
