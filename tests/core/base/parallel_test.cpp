#include "core/base/parallel.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/machine.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

TEST_CASE("parallel_for covers every index exactly once, in ranges of at least the grain") {
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    CHECK(num_threads() == threads);
    for (const std::int64_t count : {1, 2, 3, 6, 7, 8, 13, 100, 1001}) {
      for (const std::int64_t grain : {1, 2, 10, 2000}) {
        CAPTURE(threads, count, grain);
        std::vector<int> visits(static_cast<std::size_t>(count));
        std::mutex mutex;
        std::set<std::thread::id> users;
        bool in_bounds = true;
        std::int64_t shortest = count;
        parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
          const std::lock_guard<std::mutex> lock(mutex);
          users.insert(std::this_thread::get_id());
          in_bounds = in_bounds && 0 <= begin && begin < end && end <= count;
          shortest = std::min(shortest, end - begin);
          for (std::int64_t i = begin; in_bounds && i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        CHECK(in_bounds);
        CHECK(visits == std::vector<int>(static_cast<std::size_t>(count), 1));
        CHECK(static_cast<int>(users.size()) <= threads);
        CHECK(shortest >= std::min(count, grain));
      }
    }
  }
}

TEST_CASE("parallel_for really uses the threads that it was given") {
  const ThreadScope scope(3);
  // Each thread waits in its first range until all three have come.
  std::mutex mutex;
  std::condition_variable arrived;
  std::set<std::thread::id> users;
  parallel_for(3, 1, [&](std::int64_t, std::int64_t) {
    std::unique_lock<std::mutex> lock(mutex);
    users.insert(std::this_thread::get_id());
    arrived.notify_all();
    arrived.wait_for(lock, std::chrono::seconds(20), [&] { return users.size() == 3; });
  });
  CHECK(users.size() == 3);
}

TEST_CASE("parallel_for: each thread begins with a share of its own, the caller with the first") {
  const ThreadScope scope(3);
  for (int call = 0; call < 20; ++call) {
    // Each thread waits in its first range until all three have come.
    std::mutex mutex;
    std::condition_variable arrived;
    std::map<std::thread::id, std::int64_t> began;
    parallel_for(30, 1, [&](std::int64_t begin, std::int64_t) {
      std::unique_lock<std::mutex> lock(mutex);
      began.emplace(std::this_thread::get_id(), begin);
      arrived.notify_all();
      arrived.wait_for(lock, std::chrono::seconds(20), [&] { return began.size() == 3; });
    });
    REQUIRE(began.size() == 3);
    std::set<std::int64_t> all;
    for (const auto& [thread, begin] : began) all.insert(begin);
    CHECK(all == std::set<std::int64_t>{0, 10, 20});
    CHECK(began[std::this_thread::get_id()] == 0);
  }
}

TEST_CASE("parallel_for calls nothing for a count of zero or less, and takes any grain") {
  int calls = 0;
  parallel_for(0, 1, [&](std::int64_t, std::int64_t) { ++calls; });
  parallel_for(-5, 1, [&](std::int64_t, std::int64_t) { ++calls; });
  CHECK(calls == 0);
  std::atomic<std::int64_t> covered{0};
  parallel_for(10, 0, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
  parallel_for(10, -3, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
  CHECK(covered == 20);
}

TEST_CASE("parallel_for passes on an exception of a body, from whichever thread, and works afterwards") {
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    for (const std::int64_t bad : {0, 50, 99}) {
      CAPTURE(threads, bad);
      const auto run = [&] {
        parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) {
          if (begin <= bad && bad < end) fail("index ", bad);
        });
      };
      CHECK(error_of(run) == "index " + std::to_string(bad));
    }
    const auto all_throw = [] {
      parallel_for(100, 1, [](std::int64_t, std::int64_t) { throw std::out_of_range("every range"); });
    };
    CHECK_THROWS_AS(all_throw(), std::out_of_range);
    std::atomic<std::int64_t> covered{0};
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
    CHECK(covered == 100);
  }
}

TEST_CASE("nested parallel_for runs serially and covers its range once, exceptions included") {
  for (const int threads : kThreadCounts) {
    CAPTURE(threads);
    const ThreadScope scope(threads);
    std::vector<std::atomic<int>> visits(7 * 11);
    std::atomic<bool> stayed{true};
    parallel_for(7, 1, [&](std::int64_t outer_begin, std::int64_t outer_end) {
      for (std::int64_t i = outer_begin; i < outer_end; ++i) {
        const std::thread::id self = std::this_thread::get_id();
        parallel_for(11, 1, [&](std::int64_t begin, std::int64_t end) {
          if (threads > 1 && self != std::this_thread::get_id()) stayed = false;
          for (std::int64_t j = begin; j < end; ++j) ++visits[static_cast<std::size_t>(i * 11 + j)];
        });
      }
    });
    CHECK(stayed);
    for (const std::atomic<int>& n : visits) CHECK(n == 1);
    const auto inner_throws = [] {
      parallel_for(7, 1, [](std::int64_t, std::int64_t) {
        parallel_for(3, 1, [](std::int64_t, std::int64_t) { fail("inner"); });
      });
    };
    CHECK(error_of(inner_throws) == "inner");
  }
}

TEST_CASE("within a SerialScope parallel_for stays on its thread, others are not concerned") {
  const ThreadScope scope(4);
  const auto ranges = [] {
    std::atomic<int> count{0};
    parallel_for(100, 1, [&](std::int64_t, std::int64_t) { ++count; });
    return count.load();
  };
  CHECK(ranges() > 1);
  {
    const SerialScope outer;
    { const SerialScope inner; }
    CHECK(ranges() == 1);
    int elsewhere = 0;
    std::thread([&] { elsewhere = ranges(); }).join();
    CHECK(elsewhere > 1);
  }
  CHECK(ranges() > 1);
}

TEST_CASE("OwnThreads are those of one thread") {
  const ThreadScope scope(3);
  {
    const OwnThreads outer(5);
    CHECK(num_threads() == 5);
    {
      const OwnThreads inner(1);
      CHECK(num_threads() == 1);
    }
    {
      const OwnThreads inner(0);
      CHECK(num_threads() == 5);
    }
    CHECK(num_threads() == 5);
    int elsewhere = 0;
    std::thread([&] { elsewhere = num_threads(); }).join();
    CHECK(elsewhere == 3);
    CHECK(error_of([] { const OwnThreads bad(-1); }) == "threads: expected 0 to 1024, got -1");
    CHECK(error_of([] { const OwnThreads bad(1025); }) == "threads: expected 0 to 1024, got 1025");
  }
  CHECK(num_threads() == 3);
}

TEST_CASE("parallel_for may be called from several threads at once") {
  const ThreadScope scope(3);
  std::atomic<std::int64_t> total{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        parallel_for(1000, 1, [&](std::int64_t begin, std::int64_t end) { total += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 3 * 20 * 1000);
}

TEST_CASE("parallel_for: callers with other numbers of threads share the pool, and none waits for another's work") {
  std::atomic<std::int64_t> total{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> callers;
  for (int t = 1; t <= 6; ++t) {
    callers.emplace_back([&, t] {
      const OwnThreads own(t);
      while (!go) std::this_thread::yield();
      for (int i = 0; i < 200; ++i) {
        std::int64_t sum = 0;
        std::mutex mutex;
        parallel_for(64, 1, [&](std::int64_t begin, std::int64_t end) {
          const std::lock_guard<std::mutex> lock(mutex);
          sum += end - begin;
        });
        total += sum;
      }
    });
  }
  go = true;
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 6 * 200 * 64);
}

TEST_CASE("parallel_for: threads that slept are there again") {
  const ThreadScope scope(3);
  for (int i = 0; i < 20; ++i) {
    std::atomic<std::int64_t> covered{0};
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { covered += end - begin; });
    CHECK(covered == 100);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_CASE("parallel_for: threads without work take no processor time") {
  const ThreadScope scope(4);
  parallel_for(100, 1, [](std::int64_t, std::int64_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  // Four threads that spin would take 600 ms on two cores.
  CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 0.1);
}

// ThreadSanitizer ends a process that starts threads after a fork.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KIND_NO_FORK
#endif
#endif
#if !defined(__SANITIZE_THREAD__) && !defined(KIND_NO_FORK)
TEST_CASE("parallel_for works in parent and child after a fork") {
  const ThreadScope scope(3);
  const auto covers = [] {
    std::atomic<std::int64_t> covered{0};
    std::set<std::thread::id> users;
    std::mutex mutex;
    parallel_for(1000, 1, [&](std::int64_t begin, std::int64_t end) {
      covered += end - begin;
      const std::lock_guard<std::mutex> lock(mutex);
      users.insert(std::this_thread::get_id());
    });
    return covered == 1000 && !users.empty();
  };
  CHECK(covers());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(covers() && covers() ? 0 : 1);
  REQUIRE(child > 0);
  CHECK(covers());
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
#endif

TEST_CASE("num_threads is no more than the processors") {
  const ThreadScope scope(num_threads());
  set_num_threads(1000);
  assume_processors(0);
  CHECK(num_threads() == available_processors());
  {
    const OwnThreads own(1000);
    CHECK(num_threads() == available_processors());
  }
  assume_processors(7);
  CHECK(num_threads() == 7);
  CHECK(error_of([] { assume_processors(-1); }) == "processors: expected 0 or more, got -1");
  assume_processors(1024);
  CHECK(num_threads() == 1000);
}

TEST_CASE("set_num_threads takes 1 to 1024") {
  const ThreadScope scope(num_threads());
  CHECK(num_threads() >= 1);
  CHECK(error_of([] { set_num_threads(0); }) == "threads: expected 1 to 1024, got 0");
  CHECK(error_of([] { set_num_threads(-2); }) == "threads: expected 1 to 1024, got -2");
  CHECK(error_of([] { set_num_threads(1025); }) == "threads: expected 1 to 1024, got 1025");
  set_num_threads(1024);
  CHECK(num_threads() == 1024);
}

}  // namespace
}  // namespace kind::testing
