#include "core/base/random.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <initializer_list>
#include <set>
#include <vector>

#include "tests/support/errors.h"

namespace kind::testing {
namespace {

std::vector<std::uint32_t> draw(Random random, int count) {
  std::vector<std::uint32_t> values;
  for (int i = 0; i < count; ++i) values.push_back(random.next_u32());
  return values;
}

TEST_CASE("random: the generator is Philox4x32-10") {
  // With seed 0 this stream hashes to 0, so that key and counter are zero; the numbers are the known-answer vector for
  // that case published with the generator (Random123, kat_vectors).
  const Random random(0, {0x7fa7de0d0597b63c});
  CHECK(draw(random, 4) == std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
}

TEST_CASE("random: recorded sequences, which checkpoints and data sets rely on") {
  // From an independent implementation that meets all three published known-answer vectors.
  CHECK(draw(Random(20190412345, {7, 3}), 10) ==
        std::vector<std::uint32_t>{0x80bd3179, 0x93fed710, 0x5c25052b, 0xc5fdd913, 0x776e9e6d, 0x69c539b3, 0xde1ed6b9,
                                   0xbdd2dc38, 0xc40b724b, 0x5119a5cd});
  CHECK(draw(Random(1), 6) ==
        std::vector<std::uint32_t>{0x37cf0b1c, 0x5219124a, 0xec28a59e, 0xf223af3f, 0x5471f7d6, 0x23b96d76});
  Random wide(1);
  CHECK(wide.next_u64() == 0x37cf0b1c5219124a);
  Random unit(1);
  CHECK(unit.uniform() == 0.21800298158095566);
  CHECK(unit.uniform() == 0.922495223336354);
  CHECK(unit.uniform() == 0.3298640153695708);
  CHECK(mix64(0) == 0xe220a8397b1dcdaf);
  CHECK(mix64(1) == 0x910a2dec89025cc1);
}

TEST_CASE("random: a generator is a function of its seed and stream, and a copy goes on where the original stood") {
  CHECK(draw(Random(5, {1, 2}), 100) == draw(Random(5, {1, 2}), 100));
  Random a(5, {1, 2});
  a.next_u32();
  const Random b = a;
  const std::vector<std::uint32_t> whole = draw(Random(5, {1, 2}), 20);
  CHECK(draw(b, 19) == std::vector<std::uint32_t>(whole.begin() + 1, whole.end()));
  CHECK(draw(a, 19) == draw(b, 19));
}

TEST_CASE("random: seeds and streams are independent of each other") {
  // 64 bits from each of many near generators: nothing may coincide.
  std::set<std::uint64_t> seen;
  int count = 0;
  const auto add = [&](Random random) {
    seen.insert(random.next_u64());
    ++count;
  };
  for (std::uint64_t i = 0; i < 50; ++i) {
    add(Random(i));
    add(Random(i << 32));
    for (std::uint64_t j = 0; j < 50; ++j) {
      add(Random(i + 1000, {j}));
      add(Random(7, {i, j}));
      add(Random(7, {i, j, 0}));
    }
  }
  CHECK(static_cast<int>(seen.size()) == count - 1);  // the seed 0 was there twice

  // Parts that equal the seed, or zeros at the end, are parts like all others.
  CHECK(draw(Random(7, {7}), 4) != draw(Random(7, {7, 0}), 4));
  CHECK(draw(Random(7, {0, 0}), 4) != draw(Random(7, {7, 7, 0}), 4));

  // Of the bits of two streams half agree: 64000 coins, whose standard deviation is 126.
  Random a(9, {1}), b(9, {2});
  int same = 0;
  for (int i = 0; i < 1000; ++i) {
    for (std::uint64_t bits = ~(a.next_u64() ^ b.next_u64()); bits; bits &= bits - 1) ++same;
  }
  CHECK(std::abs(same - 32000) < 600);
}

TEST_CASE("random: uniform() stays from 0 to below 1 and is uniform") {
  Random random(3);
  std::vector<int> bins(16);
  double sum = 0, lowest = 1, highest = 0;
  constexpr int kCount = 160000;
  for (int i = 0; i < kCount; ++i) {
    const double u = random.uniform();
    REQUIRE((u >= 0 && u < 1));
    ++bins[static_cast<std::size_t>(u * 16)];
    sum += u;
    lowest = std::min(lowest, u);
    highest = std::max(highest, u);
  }
  CHECK(std::abs(sum / kCount - 0.5) < 0.003);  // four standard deviations
  CHECK(lowest < 1e-4);
  CHECK(highest > 1 - 1e-4);
  double chi2 = 0;
  for (const int n : bins) chi2 += (n - kCount / 16.0) * (n - kCount / 16.0) / (kCount / 16.0);
  CHECK(chi2 < 37.7);  // 15 degrees of freedom, p = 0.001
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform(-3, 2);
    REQUIRE((u >= -3 && u < 2));
  }
}

TEST_CASE("random: below() covers 0..count-1 without bias") {
  Random random(4);
  for (const std::uint64_t count : std::initializer_list<std::uint64_t>{1, 2, 3, 6, 7, 10}) {
    CAPTURE(count);
    std::vector<int> seen(count);
    constexpr int kEach = 10000;
    for (std::uint64_t i = 0; i < kEach * count; ++i) {
      const std::uint64_t value = random.below(count);
      REQUIRE(value < count);
      ++seen[value];
    }
    double chi2 = 0;
    for (const int n : seen) chi2 += (n - kEach) * (n - kEach) / static_cast<double>(kEach);
    CHECK(chi2 < 27.9);  // p = 0.001 for 9 degrees of freedom, less for fewer
  }
  // A plain remainder would give the lowest third of these half of the draws.
  const std::uint64_t large = 0xC000000000000000;
  int low = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::uint64_t value = random.below(large);
    REQUIRE(value < large);
    if (value < large / 3) ++low;
  }
  CHECK(std::abs(low - 10000) < 350);  // four standard deviations
  CHECK(error_of([&] { random.below(0); }) == "random: below() needs a count of at least 1");
}

TEST_CASE("random: normal() has the moments and the tails of the normal distribution") {
  Random random(6);
  constexpr int kCount = 200000;
  double sum = 0, sum2 = 0, sum3 = 0, sum4 = 0, product = 0, before = 0;
  int beyond2 = 0, beyond4 = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    REQUIRE(std::isfinite(x));
    sum += x;
    sum2 += x * x;
    sum3 += x * x * x;
    sum4 += x * x * x * x;
    product += x * before;
    before = x;
    if (std::abs(x) > 2) ++beyond2;
    if (std::abs(x) > 4) ++beyond4;
  }
  // Each within four standard deviations of its estimate.
  CHECK(std::abs(sum / kCount) < 0.009);
  CHECK(std::abs(sum2 / kCount - 1) < 0.013);
  CHECK(std::abs(sum3 / kCount) < 0.035);
  CHECK(std::abs(sum4 / kCount - 3) < 0.09);
  CHECK(std::abs(product / kCount) < 0.009);
  CHECK(std::abs(beyond2 / static_cast<double>(kCount) - 0.0455) < 0.0019);
  CHECK(beyond4 >= 1);
  CHECK(beyond4 <= 30);
}

}  // namespace
}  // namespace kind::testing
