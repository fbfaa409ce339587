#include "core/tensor/tensor.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>

#include "core/base/memory.h"
#include "tests/support/errors.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KIND_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KIND_SANITIZED 1
#endif
#endif

namespace kind::testing {
namespace {

TEMPLATE_TEST_CASE("tensor: construction", "", float, double) {
  using T = TestType;
  CHECK_FALSE(Tensor<T>().defined());
  const Tensor<T> x(Shape{2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.defined());
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.size() == 6);
  CHECK(x[4] == T(5));
  CHECK(x.to_vector() == std::vector<T>{1, 2, 3, 4, 5, 6});
  CHECK(Tensor<T>::zeros(Shape{3}).to_vector() == std::vector<T>{0, 0, 0});
  CHECK(Tensor<T>::full(Shape{2}, T(-7)).to_vector() == std::vector<T>{-7, -7});
  CHECK(Tensor<T>::scalar(T(3)).shape() == Shape{});
  CHECK(Tensor<T>::scalar(T(3)).item() == T(3));
  CHECK(error_of([] { Tensor<T>(Shape{2, 2}, {1, 2, 3}); }) == "tensor: shape [2, 2] needs 4 values, got 3");
  CHECK(error_of([] { Tensor<T>(Shape{}, std::vector<T>{}); }) == "tensor: shape [] needs 1 values, got 0");
}

TEMPLATE_TEST_CASE("tensor: an empty tensor is defined and has no elements", "", float, double) {
  const Tensor<TestType> x(Shape{2, 0, 3});
  CHECK(x.defined());
  CHECK(x.size() == 0);
  CHECK(x.to_vector().empty());
  CHECK(x.clone().shape() == Shape{2, 0, 3});
  CHECK(x.reshape(Shape{0}).shape() == Shape{0});
  CHECK(error_of([&] { x.item(); }) == "tensor: item() needs exactly one element, the shape is [2, 0, 3]");
}

TEMPLATE_TEST_CASE("tensor: elements start at a multiple of 64 bytes", "", float, double) {
  for (const std::int64_t size : {0, 1, 3, 17, 1000, 100000}) {
    CHECK(reinterpret_cast<std::uintptr_t>(Tensor<TestType>(Shape{size}).data()) % kAlignment == 0);
  }
}

TEMPLATE_TEST_CASE("tensor: a copy shares its elements, a clone does not", "", float, double) {
  using T = TestType;
  Tensor<T> x(Shape{3}, {1, 2, 3});
  CHECK(x.unique());
  Tensor<T> shared = x;
  CHECK_FALSE(x.unique());
  CHECK_FALSE(shared.unique());
  Tensor<T> deep = x.clone();
  CHECK(deep.unique());
  shared[0] = T(9);
  CHECK(x[0] == T(9));
  CHECK(deep[0] == T(1));
  shared = Tensor<T>();
  CHECK(x.unique());
}

TEMPLATE_TEST_CASE("tensor: reshape keeps elements and their order", "", float, double) {
  using T = TestType;
  Tensor<T> x(Shape{2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor<T> y = x.reshape(Shape{3, 1, 2});
  CHECK(y.shape() == Shape{3, 1, 2});
  CHECK(x.shape() == Shape{2, 3});
  y[5] = T(0);
  CHECK(x[5] == T(0));
  CHECK(error_of([&] { x.reshape(Shape{4}); }) == "reshape: [2, 3] has 6 elements, [4] has 4");
}

TEMPLATE_TEST_CASE("tensor: item() wants exactly one element", "", float, double) {
  using T = TestType;
  CHECK(Tensor<T>(Shape{1, 1}, {5}).item() == T(5));
  CHECK(error_of([] { Tensor<T>::zeros(Shape{2}).item(); }) ==
        "tensor: item() needs exactly one element, the shape is [2]");
}

TEST_CASE("tensor: cast between float and double") {
  const Tensor<double> x(Shape{2, 2}, {0.1, -1e300, std::numeric_limits<double>::quiet_NaN(), 3});
  const Tensor<float> y = cast<float>(x);
  CHECK(y.shape() == Shape{2, 2});
  CHECK(y[0] == 0.1f);
  CHECK(y[1] == -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(y[2]));
  CHECK(cast<double>(y)[0] == static_cast<double>(0.1f));
}

#if !defined(KIND_SANITIZED)
TEST_CASE("tensor: more than the memory there is, is std::bad_alloc") {
  CHECK_THROWS_AS(Tensor<double>(Shape{std::int64_t{1} << 50}), std::bad_alloc);
}
#endif

}  // namespace
}  // namespace kind::testing
