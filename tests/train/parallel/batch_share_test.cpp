#include "train/parallel/batch_share.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

#include "core/base/random.h"
#include "core/base/sum.h"
#include "tests/support/thread_ranks.h"

namespace kind::testing {
namespace {

/// The tree of sums over leaves first .. first + count - 1, written down.
std::string written(std::int64_t first, std::int64_t count) {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < count; ++i) texts.push_back(std::to_string(first + i));
  merge_pairs(0, count, [&](std::int64_t into, std::int64_t from) {
    texts[static_cast<std::size_t>(into)] =
        "(" + texts[static_cast<std::size_t>(into)] + "+" + texts[static_cast<std::size_t>(from)] + ")";
  });
  return texts[0];
}

TEST_CASE("merge_pairs: the first half, rounded up, plus the second") {
  CHECK(written(0, 1) == "0");
  CHECK(written(0, 2) == "(0+1)");
  CHECK(written(0, 3) == "((0+1)+2)");
  CHECK(written(0, 5) == "(((0+1)+2)+(3+4))");
  CHECK(written(0, 7) == "(((0+1)+(2+3))+((4+5)+6))");
}

TEST_CASE("divide_pairs: each rank has one node of the tree, in order") {
  for (std::int64_t pairs = 1; pairs <= 40; ++pairs) {
    for (int ranks = 1; ranks <= 17; ++ranks) {
      INFO(pairs << " pairs, " << ranks << " ranks");
      const std::vector<PairRange> ranges = divide_pairs(pairs, ranks);
      REQUIRE(ranges.size() == static_cast<std::size_t>(ranks));
      std::vector<std::string> nodes;
      std::int64_t next = 0, least = pairs, most = 0;
      for (const PairRange& range : ranges) {
        if (range.count == 0) continue;
        REQUIRE(range.first == next);
        next += range.count;
        least = std::min(least, range.count);
        most = std::max(most, range.count);
        nodes.push_back(written(range.first, range.count));
      }
      CHECK(next == pairs);
      CHECK(static_cast<std::int64_t>(nodes.size()) == std::min<std::int64_t>(pairs, ranks));
      if ((ranks & (ranks - 1)) == 0) CHECK(most - least <= 1);
      std::int64_t power = 1;
      while (2 * power <= ranks) power *= 2;
      CHECK(most <= (pairs + power - 1) / power);
      merge_pairs(0, static_cast<std::int64_t>(nodes.size()), [&](std::int64_t into, std::int64_t from) {
        nodes[static_cast<std::size_t>(into)] =
            "(" + nodes[static_cast<std::size_t>(into)] + "+" + nodes[static_cast<std::size_t>(from)] + ")";
      });
      CHECK(nodes[0] == written(0, pairs));
    }
  }
}

/// A number for each pair, far enough apart that the order of additions shows.
std::vector<float> numbers(std::int64_t pairs, std::uint64_t seed) {
  std::vector<float> all;
  Random random(seed);
  for (std::int64_t i = 0; i < pairs; ++i) all.push_back(static_cast<float>(std::exp(random.uniform(-8, 8))));
  return all;
}

TEST_CASE("BatchShare: sums, extremes and gradients of the whole batch, on every rank") {
  constexpr std::int64_t kPairs = 7, kFloats = 13;
  std::vector<std::vector<float>> gradients;  // of each element, by pair
  for (std::int64_t i = 0; i < kFloats; ++i) gradients.push_back(numbers(kPairs, static_cast<std::uint64_t>(i + 1)));
  const auto sum_of = [&](std::int64_t i, PairRange range) {
    std::vector<float> own(gradients[static_cast<std::size_t>(i)].begin() + range.first,
                           gradients[static_cast<std::size_t>(i)].begin() + range.first + range.count);
    return sum_of_pairs(range.count, own.data());
  };
  std::vector<double> doubles(gradients[0].begin(), gradients[0].end());
  const double expected_total = sum_of_pairs(kPairs, doubles.data());
  for (const int count : {1, 2, 3, 4, 7, 8, 11}) {
    INFO(count << " ranks");
    std::vector<int> right(static_cast<std::size_t>(count));
    const auto errors = on_ranks(count, [&](Communicator& ranks) {
      Variable<float> used(Tensor<float>::zeros(Shape{kFloats}), true), unused(Tensor<float>::zeros(Shape{2}), true);
      BatchShare share(ranks, kPairs, {{"used", used}, {"unused", unused}});
      bool fine = true;
      if (share.part()) {
        const BatchScope scope(share.part());
        const PairRange own = share.range();
        std::vector<double> mine(gradients[0].begin() + own.first, gradients[0].begin() + own.first + own.count);
        double least = *std::min_element(mine.begin(), mine.end()),
               greatest = *std::max_element(mine.begin(), mine.end());
        BatchPart::extend(least, greatest);
        fine = fine && least == static_cast<double>(*std::min_element(gradients[0].begin(), gradients[0].end()));
        fine = fine && greatest == static_cast<double>(*std::max_element(gradients[0].begin(), gradients[0].end()));
        fine = fine && BatchPart::total(mine) == expected_total;
        fine = fine && BatchPart::whole(own.count) == kPairs && BatchPart::pairs_of(2 * own.count) == own.count;
      }
      share.add_up([&](const GradientReady<float>& ready) {
        if (!share.part()) return;
        Tensor<float> gradient(Shape{kFloats});
        for (std::int64_t i = 0; i < kFloats; ++i) gradient[i] = sum_of(i, share.range());
        used.add_grad(gradient);
        if (ready) ready(used);
      });
      for (std::int64_t i = 0; i < kFloats; ++i) fine = fine && used.grad()[i] == sum_of(i, {0, kPairs});
      right[static_cast<std::size_t>(ranks.rank())] = fine && !unused.grad().defined();
    });
    for (const std::string& error : errors) CHECK(error == "");
    CHECK(std::accumulate(right.begin(), right.end(), 0) == count);
  }
}

/// Until a condition holds; false where it does not for a minute.
bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 60000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_CASE("BatchShare: complete gradients are added up while the backward pass goes on") {
  constexpr std::int64_t kPairs = 3, kFloats = 600000;
  constexpr int kParameters = 5;
  for (const auto& [count, concurrent] : {std::pair{2, true}, {3, true}, {4, true}, {3, false}}) {
    INFO(count << " ranks");
    std::vector<int> right(static_cast<std::size_t>(count));
    const auto body = [&, together = concurrent](Communicator& ranks) {
      Parameters<float> parameters;
      for (int i = 0; i < kParameters; ++i) {
        parameters.push_back({std::to_string(i), Variable<float>(Tensor<float>::zeros(Shape{kFloats - i}), true)});
      }
      BatchShare share(ranks, kPairs, parameters);
      bool fine = true;
      for (int step = 1; step <= 2; ++step) {
        for (const Parameter<float>& parameter : parameters) Variable<float>(parameter.variable).zero_grad();
        share.add_up([&](const GradientReady<float>& ready) {
          if (!share.part()) return;
          const auto& all_ranks = dynamic_cast<const ThreadRanks&>(ranks);
          const int before = all_ranks.exchanges_of_part();
          // The first one last, the middle one not at all.
          for (const int i : {3, 4, 1, 0}) {
            Variable<float> variable = parameters[static_cast<std::size_t>(i)].variable;
            variable.add_grad(
                Tensor<float>::full(variable.shape(), static_cast<float>(step * (i + 1) * share.range().count)));
            ready(variable);
            if (i == 4 && together) fine = fine && comes_true([&] { return all_ranks.exchanges_of_part() > before; });
          }
        });
        for (int i = 0; i < kParameters; ++i) {
          const Tensor<float>& sum = parameters[static_cast<std::size_t>(i)].variable.grad();
          fine = fine && sum.defined() == (i != 2);
          if (i == 2 || !fine) continue;
          const float expected = static_cast<float>(step * (i + 1) * kPairs);
          fine = std::all_of(sum.data(), sum.data() + sum.size(), [&](float value) { return value == expected; });
        }
      }
      right[static_cast<std::size_t>(ranks.rank())] = fine;
    };
    const auto errors = on_ranks(count, body, concurrent);
    for (const std::string& error : errors) CHECK(error == "");
    CHECK(std::accumulate(right.begin(), right.end(), 0) == count);
  }
}

TEST_CASE("BatchShare: an error in a backward pass ends the exchanges that others wait for") {
  const auto errors = on_ranks(2, [&](Communicator& ranks) {
    const Variable<float> weight(Tensor<float>::zeros(Shape{3}), true);
    BatchShare share(ranks, 2, {{"weight", weight}});
    share.add_up([&](const GradientReady<float>& ready) {
      Variable<float>(weight).add_grad(Tensor<float>::full(Shape{3}, 1));
      if (ranks.rank() == 0) ready(weight);
      check(ranks.rank() == 0, "out of memory");
    });
  });
  CHECK(errors == std::vector<std::string>{"cancelled", "out of memory"});
}

TEST_CASE("BatchPart: pictures that the pairs do not divide are refused") {
  struct Part : BatchPart {
    using BatchPart::BatchPart;
  } const part(2, 4);
  const BatchScope scope(&part);
  CHECK(BatchPart::whole(6) == 12);
  CHECK_THROWS_AS(BatchPart::pairs_of(5), Error);
  {
    const BatchScope none(nullptr);
    CHECK(BatchPart::pairs_of(5) == 5);
  }
  CHECK_THROWS_AS((Part{0, 4}), Error);
  CHECK_THROWS_AS((Part{5, 4}), Error);
}

TEST_CASE("together: an error on one rank is thrown on all") {
  std::vector<int> told(3);
  const auto errors = on_ranks(3, [&](Communicator& ranks) {
    together(ranks, [] {});
    on_first(ranks, [&] { check(ranks.rank() == 0, "only rank 0 runs this"); });
    try {
      together(ranks, [&] { check(ranks.rank() != 1, "the disk failed"); });
    } catch (const Error&) {
      told[static_cast<std::size_t>(ranks.rank())] = ranks.failed();
      throw;
    }
  });
  CHECK(errors == std::vector<std::string>{"rank 1 (thread): the disk failed", "the disk failed",
                                           "rank 1 (thread): the disk failed"});
  CHECK(told == std::vector<int>{1, 1, 1});
}

TEST_CASE("check_same, any_rank") {
  std::vector<int> any(3);
  const auto errors = on_ranks(3, [&](Communicator& ranks) {
    any[static_cast<std::size_t>(ranks.rank())] = any_rank(ranks, ranks.rank() == 2) && !any_rank(ranks, false);
    check_same(ranks, "the step", "12", "start again");
    check_same(ranks, "the kernel set", ranks.rank() == 2 ? "avx2" : "avx512", "name one");
  });
  CHECK(any == std::vector<int>{1, 1, 1});
  for (const std::string& error : errors) {
    CHECK(error == "the kernel set differs: 'avx2' on rank 2 (thread), 'avx512' on rank 0 (thread); name one");
  }
}

}  // namespace
}  // namespace kind::testing
