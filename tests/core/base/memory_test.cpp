#include "core/base/memory.h"

#include <barrier>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace kind::testing {
namespace {

bool aligned(const void* block) { return reinterpret_cast<std::uintptr_t>(block) % kAlignment == 0; }

TEST_CASE("memory: every block is aligned, distinct and writable to its end") {
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  for (const std::size_t bytes :
       std::initializer_list<std::size_t>{0, 1, 63, 64, 65, 1000, 65535, 65536, 65537, 1 << 20}) {
    for (int copy = 0; copy < 2; ++copy) {
      auto* const block = static_cast<unsigned char*>(take_block(bytes));
      CAPTURE(bytes);
      REQUIRE(block != nullptr);
      CHECK(aligned(block));
      std::memset(block, static_cast<int>(blocks.size()), bytes);
      blocks.emplace_back(block, bytes);
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto [block, bytes] = blocks[i];
    for (std::size_t b = 0; b < bytes; ++b) REQUIRE(block[b] == static_cast<unsigned char>(i));
    give_block(block, bytes);
  }
}

TEST_CASE("memory: a block that comes back from the pool is large enough and belongs to one owner") {
  // Sizes that round to the same block size may exchange blocks; others may not.
  for (int round = 0; round < 3; ++round) {
    void* const a = take_block(100000);
    void* const b = take_block(100000);
    CHECK(a != b);
    give_block(a, 100000);
    void* const larger = take_block(100100);
    CHECK(larger != b);
    std::memset(larger, 1, 100100);
    void* const c = take_block(100000);
    CHECK(c != b);
    CHECK(c != larger);
    std::memset(c, 2, 100000);
    CHECK(static_cast<unsigned char*>(larger)[100099] == 1);
    give_block(larger, 100100);
    give_block(b, 100000);
    give_block(c, 100000);
  }
}

TEST_CASE("memory: scratch blocks are large enough, belong to one owner and serve what is smaller") {
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  const auto take = [](std::size_t bytes) {
    std::size_t size = bytes;
    auto* const block = static_cast<unsigned char*>(take_scratch(size));
    REQUIRE(block != nullptr);
    CHECK(aligned(block));
    CHECK(size >= bytes);
    std::memset(block, 1, size);
    return std::pair(block, size);
  };
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1000}, kHuge / 2 - 1, kHuge / 2, kHuge, 3 * kHuge + 1}) {
    CAPTURE(bytes);
    const auto [a, a_bytes] = take(bytes);
    const auto [b, b_bytes] = take(bytes);
    CHECK(a != b);
    std::memset(a, 2, a_bytes);
    CHECK(b[b_bytes - 1] == 1);
    CHECK(b[0] == 1);
    give_scratch(a, a_bytes);
    give_scratch(b, b_bytes);
  }
  // A block that is given back serves a request of more than half, whole, and none far smaller.
  const auto [large, large_bytes] = take(100 * kHuge);
  CHECK(large_bytes == 100 * kHuge);
  give_scratch(large, large_bytes);
  const auto [tiny, tiny_bytes] = take(kHuge);
  CHECK(tiny_bytes <= 2 * kHuge);
  const auto [smaller, smaller_bytes] = take(60 * kHuge + 1);
  // Where there are no huge pages, blocks serve requests of their own size alone.
  const bool huge_pages = smaller_bytes != 60 * kHuge + 1;
  CHECK((!huge_pages || (smaller == large && smaller_bytes == large_bytes)));
  give_scratch(tiny, tiny_bytes);
  give_scratch(smaller, smaller_bytes);
  std::size_t too_much = std::numeric_limits<std::size_t>::max();
  CHECK_THROWS_AS(take_scratch(too_much), std::bad_alloc);
}

TEST_CASE("memory: a thread gets the blocks back that it gave") {
  constexpr std::size_t kBytes = 777 * 1024;
  for (const int first : {0, 1}) {
    void* before[2];
    void* after[2];
    std::barrier turn(2);
    const auto run = [&](int thread) {
      before[thread] = take_block(kBytes);
      turn.arrive_and_wait();
      if (thread == first) give_block(before[thread], kBytes);
      turn.arrive_and_wait();
      if (thread != first) give_block(before[thread], kBytes);
      turn.arrive_and_wait();
      if (thread == 0) after[0] = take_block(kBytes);
      turn.arrive_and_wait();
      if (thread == 1) after[1] = take_block(kBytes);
      turn.arrive_and_wait();
      give_block(after[thread], kBytes);
    };
    std::thread other([&] { run(0); });
    run(1);
    other.join();
    // Where no blocks are kept, as with the address sanitizer, neither comes back.
    const bool kept = after[0] == before[0] || after[0] == before[1];
    CHECK((!kept || (after[0] == before[0] && after[1] == before[1])));
  }
}

TEST_CASE("memory: more than there can be is std::bad_alloc, not a small block") {
  CHECK_THROWS_AS(take_block(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS(take_block(std::numeric_limits<std::size_t>::max() - 62), std::bad_alloc);
  CHECK_THROWS_AS(Buffer<double>(std::int64_t{1} << 61), std::bad_alloc);
  CHECK_THROWS_AS(Buffer<double>(std::numeric_limits<std::int64_t>::max()), std::bad_alloc);
  CHECK_THROWS_AS(Buffer<float>(-1), std::bad_alloc);
}

TEST_CASE("memory: a Buffer is aligned and holds its elements") {
  for (const std::int64_t count : {0, 1, 7, 1000}) {
    Buffer<double> buffer(count);
    CHECK(aligned(buffer.data()));
    for (std::int64_t i = 0; i < count; ++i) buffer[i] = static_cast<double>(i);
    for (std::int64_t i = 0; i < count; ++i) CHECK(buffer.data()[i] == static_cast<double>(i));
  }
}

TEST_CASE("memory: blocks may be taken and given from many threads") {
  std::vector<std::thread> threads;
  std::vector<int> damaged(4);
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&damaged, t] {
      for (std::size_t i = 0; i < 300; ++i) {
        const std::size_t bytes = 60000 + i % 5 * 4000;
        auto* const block = static_cast<unsigned char*>(take_block(bytes));
        std::memset(block, static_cast<int>(t), bytes);
        for (std::size_t b = 0; b < bytes; b += 997) damaged[t] += block[b] != t;
        give_block(block, bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(damaged == std::vector<int>(4));
}

}  // namespace
}  // namespace kind::testing
