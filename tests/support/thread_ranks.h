#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "train/parallel/communicator.h"

/// Ranks that are threads of this program.
namespace kind::testing {

class ThreadRanks : public Communicator {
 public:
  struct Group {
    explicit Group(int ranks) : size(ranks), sent(static_cast<std::size_t>(ranks)), pieces(sent.size()) {}

    /// Until all ranks are here. A lost rank makes the others fail, after a while that no test takes.
    void meet() {
      std::unique_lock<std::mutex> lock(mutex);
      const int now = round;
      check(!cancelled, "cancelled");
      if (++here == size) {
        here = 0;
        ++round;
        all_here.notify_all();
      } else if (!all_here.wait_for(lock, std::chrono::seconds(120), [&] { return round != now || cancelled; })) {
        fail("a rank is lost");
      }
      check(!cancelled, "cancelled");
    }
    void cancel() {
      const std::lock_guard<std::mutex> lock(mutex);
      cancelled = true;
      all_here.notify_all();
    }

    int size, here = 0, round = 0;
    bool cancelled = false, concurrent = true;
    std::mutex mutex;
    std::condition_variable all_here;
    std::vector<const void*> sent;
    std::vector<const std::vector<Piece>*> pieces;
    std::shared_ptr<Group> part;
    std::atomic<int> exchanges{0};  // ended ones, counted by each rank
  };

  ThreadRanks(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size; }
  std::string name() const override { return join("rank ", rank_, " (thread)"); }
  void gather(const void* mine, std::size_t bytes, void* all) override {
    sent() = mine;
    group_->meet();
    for (std::size_t r = 0; r < group_->sent.size(); ++r) {
      std::memcpy(static_cast<char*>(all) + r * bytes, group_->sent[r], bytes);
    }
    group_->meet();
  }
  void broadcast(void* data, std::size_t bytes) override {
    sent() = data;
    group_->meet();
    if (rank_ > 0) std::memcpy(data, group_->sent[0], bytes);
    group_->meet();
  }
  void exchange(const float* send, const std::vector<Piece>& pieces, float* receive,
                const std::vector<Piece>& received) override {
    sent() = send;
    group_->pieces[static_cast<std::size_t>(rank_)] = &pieces;
    group_->meet();
    bool fits = true;
    for (std::size_t r = 0; r < group_->sent.size(); ++r) {
      const Piece from = (*group_->pieces[r])[static_cast<std::size_t>(rank_)];
      fits = fits && from.count == received[r].count;
      if (!fits) continue;
      std::copy_n(static_cast<const float*>(group_->sent[r]) + from.offset, from.count, receive + received[r].offset);
    }
    group_->meet();
    ++group_->exchanges;
    check(fits, "a rank sends another number of floats than is expected");
  }
  std::unique_ptr<Communicator> first(int count) override {
    if (rank_ == 0) group_->part = std::make_shared<Group>(count);
    group_->meet();
    std::unique_ptr<Communicator> part;
    if (rank_ < count) part = std::make_unique<ThreadRanks>(group_->part, rank_);
    group_->meet();
    return part;
  }
  bool concurrent() const override { return group_->concurrent; }
  /// Of MPI's each rank has its own; here all of them end.
  void cancel() override { group_->cancel(); }
  void abort(int) override { fail("aborted"); }

  /// How many exchanges have ended among the ranks that first() has given last.
  int exchanges_of_part() const { return group_->part ? group_->part->exchanges.load() : 0; }

 private:
  const void*& sent() { return group_->sent[static_cast<std::size_t>(rank_)]; }

  std::shared_ptr<Group> group_;
  int rank_;
};

/// Runs `body` on that many ranks, each with one thread of its own; returns what each of them threw, "" for nothing.
inline std::vector<std::string> on_ranks(int count, const std::function<void(Communicator&)>& body,
                                         bool concurrent = true) {
  const auto group = std::make_shared<ThreadRanks::Group>(count);
  group->concurrent = concurrent;
  std::vector<std::string> errors(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      const OwnThreads one(1);
      ThreadRanks ranks(group, rank);
      try {
        body(ranks);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace kind::testing
