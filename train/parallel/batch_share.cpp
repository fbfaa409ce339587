#include "train/parallel/batch_share.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/sum.h"

namespace kind {
namespace {

/// Sums over the parts of the first ranks, which hold one node each of the tree of pairs.
class RanksPart : public BatchPart {
 public:
  RanksPart(Communicator& ranks, std::int64_t pairs, std::int64_t whole) : BatchPart(pairs, whole), ranks_(ranks) {}

 protected:
  void add_parts(std::span<double> sums) const override {
    const std::size_t count = sums.size();
    std::vector<double> all(count * static_cast<std::size_t>(ranks_.size()));
    ranks_.gather(sums.data(), count * sizeof(double), all.data());
    for (std::size_t i = 0; i < count; ++i) {
      sums[i] = sum_of_pairs(ranks_.size(), all.data() + i, static_cast<std::int64_t>(count));
    }
  }
  void extend_parts(double& least, double& greatest) const override {
    const double mine[2] = {least, greatest};
    std::vector<double> all(2 * static_cast<std::size_t>(ranks_.size()));
    ranks_.gather(mine, sizeof mine, all.data());
    for (std::size_t i = 0; i < all.size(); i += 2) {
      least = std::min(least, all[i]);
      greatest = std::max(greatest, all[i + 1]);
    }
  }

 private:
  Communicator& ranks_;
};

void divide(std::int64_t first, std::int64_t pairs, int ranks, std::vector<PairRange>& ranges) {
  if (ranks == 1) {
    ranges.push_back({first, pairs});
    return;
  }
  const std::int64_t half = (pairs + 1) / 2;
  divide(first, half, (ranks + 1) / 2, ranges);
  divide(first + half, pairs - half, ranks / 2, ranges);
}

}  // namespace

std::vector<PairRange> divide_pairs(std::int64_t pairs, int ranks) {
  std::vector<PairRange> ranges;
  divide(0, pairs, static_cast<int>(std::min<std::int64_t>(pairs, ranks)), ranges);
  ranges.resize(static_cast<std::size_t>(ranks), {pairs, 0});
  return ranges;
}

/// Adds gradients up in buckets, the last parameters' first, since theirs are complete first. All ranks exchange the same
/// buckets in the same order, on a thread of their own where MPI allows it.
class BatchShare::Sums {
 public:
  Sums(Communicator& ranks, int active, bool has_pairs, const Parameters<float>& parameters)
      : ranks_(ranks.first(ranks.size())),
        active_(active),
        has_pairs_(has_pairs),
        sums_(count_of(parameters)),
        parts_(0) {
    std::int64_t at = 0;
    for (std::size_t i = parameters.size(); i-- > 0;) {
      if (buckets_.empty() || at - buckets_.back().begin >= kBucketFloats) buckets_.push_back({{}, at, at, 0});
      buckets_.back().parameters.push_back({parameters[i].variable, at});
      at += parameters[i].variable.value().size();
      buckets_.back().end = at;
    }
    std::int64_t largest = 0;
    for (const Bucket& bucket : buckets_) largest = std::max(largest, bucket.end - bucket.begin);
    parts_ = Buffer<float>(active_ * (largest / ranks.size() + 1));
    if (ranks.concurrent()) thread_ = std::thread([this] { work(); });
  }
  ~Sums() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      end_ = true;
      if (adding_) ranks_->cancel();
    }
    changed_.notify_all();
    thread_.join();
    if (adding_) keep_for_ever();
  }
  Sums(const Sums&) = delete;
  Sums& operator=(const Sums&) = delete;

  /// Before a step's first gradient.
  void begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Bucket& bucket : buckets_) bucket.awaited = bucket.parameters.size();
    complete_ = summed_ = 0;
    adding_ = true;
  }

  void ready(const Variable<float>& variable) {
    if (!thread_.joinable()) return;
    const auto same = [&](const Part& part) { return &part.variable.value() == &variable.value(); };
    for (Bucket& bucket : buckets_) {
      if (std::none_of(bucket.parameters.begin(), bucket.parameters.end(), same)) continue;
      if (--bucket.awaited > 0) return;
      std::size_t complete = complete_;
      while (complete < buckets_.size() && buckets_[complete].awaited == 0) ++complete;
      send_until(complete);
      return;
    }
  }

  /// No more gradients will come: waits for all sums.
  void finish() {
    if (thread_.joinable()) {
      send_until(buckets_.size());
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [&] { return summed_ == buckets_.size() || failure_; });
      if (failure_) std::rethrow_exception(failure_);
    } else {
      for (const Bucket& bucket : buckets_) add_up(bucket);
    }
    adding_ = false;
  }

  /// Gives the parameters that are marked the sums of their gradients.
  void give(const std::vector<char>& marked) const {
    std::size_t i = marked.size();  // the last one comes first
    for (const Bucket& bucket : buckets_) {
      for (const Part& part : bucket.parameters) {
        if (!marked[--i]) continue;
        Variable<float> variable = part.variable;
        Tensor<float> sum(variable.shape());
        std::copy_n(sums_.data() + part.at, sum.size(), sum.data());
        variable.zero_grad();
        variable.add_grad(sum);
      }
    }
  }

 private:
  // Large enough that a message's own cost does not count, small enough that some are sent early.
  static constexpr std::int64_t kBucketFloats = 1 << 19;

  struct Part {
    Variable<float> variable;
    std::int64_t at;  // in sums_
  };
  struct Bucket {
    std::vector<Part> parameters;
    std::int64_t begin, end;  // in sums_
    std::size_t awaited;      // parameters whose gradients are not complete
  };

  static std::int64_t count_of(const Parameters<float>& parameters) {
    std::int64_t count = 0;
    for (const Parameter<float>& parameter : parameters) count += parameter.variable.value().size();
    return count;
  }

  /// What a cancelled exchange may still read and write until the program ends.
  void keep_for_ever() {
    struct Kept {
      std::unique_ptr<Communicator> ranks;
      Buffer<float> sums, parts;
    };
    static std::mutex mutex;
    static std::vector<std::unique_ptr<Kept>> all;
    const std::lock_guard<std::mutex> lock(mutex);
    all.push_back(std::make_unique<Kept>(Kept{std::move(ranks_), std::move(sums_), std::move(parts_)}));
  }

  void send_until(std::size_t complete) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      complete_ = complete;
    }
    changed_.notify_all();
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return end_ || (summed_ < complete_ && !failure_); });
      if (end_) return;
      const Bucket& bucket = buckets_[summed_];
      lock.unlock();
      std::exception_ptr failure;
      try {
        add_up(bucket);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      failure_ = failure;
      if (!failure_) ++summed_;
      changed_.notify_all();
    }
  }

  /// What each rank adds up.
  std::vector<Communicator::Piece> pieces(std::int64_t floats) const {
    std::vector<Communicator::Piece> all;
    const std::int64_t size = ranks_->size();
    for (std::int64_t r = 0; r < size; ++r) {
      const std::int64_t begin = floats * r / size;
      all.push_back({begin, floats * (r + 1) / size - begin});
    }
    return all;
  }

  // Without parallel loops: the others compute.
  void add_up(const Bucket& bucket) {
    for (const Part& part : bucket.parameters) {
      if (!has_pairs_) break;
      const Tensor<float>& gradient = part.variable.grad();
      if (gradient.defined()) {
        std::copy_n(gradient.data(), gradient.size(), sums_.data() + part.at);
      } else {
        std::fill_n(sums_.data() + part.at, part.variable.value().size(), 0.0f);
      }
    }
    // Every rank adds one piece of all gradients, then all get all sums.
    float* const sums = sums_.data() + bucket.begin;
    const std::vector<Communicator::Piece> all = pieces(bucket.end - bucket.begin), nothing(all.size());
    const std::int64_t own = all[static_cast<std::size_t>(ranks_->rank())].count;
    std::vector<Communicator::Piece> received(all.size());
    for (int r = 0; r < active_; ++r) received[static_cast<std::size_t>(r)] = {r * own, own};
    ranks_->exchange(sums, has_pairs_ ? all : nothing, parts_.data(), received);
    merge_pairs(0, active_, [&](std::int64_t into, std::int64_t from) {
      float* to = parts_.data() + into * own;
      const float* add = parts_.data() + from * own;
      for (std::int64_t i = 0; i < own; ++i) to[i] += add[i];
    });
    ranks_->exchange(parts_.data(), std::vector<Communicator::Piece>(all.size(), {0, own}), sums, all);
  }

  std::unique_ptr<Communicator> ranks_;
  int active_;
  bool has_pairs_;
  Buffer<float> sums_, parts_;  // of all ranks, and all ranks' of what this one adds up
  std::vector<Bucket> buckets_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t complete_ = 0, summed_ = 0;  // buckets that may be sent, and that are added up
  std::exception_ptr failure_;
  bool adding_ = false;  // between begin() and finish()
  bool end_ = false;
};

BatchShare::BatchShare(Communicator& ranks, std::int64_t pairs, const Parameters<float>& parameters)
    : ranks_(ranks),
      active_(static_cast<int>(std::min<std::int64_t>(pairs, ranks.size()))),
      range_(divide_pairs(pairs, ranks.size())[static_cast<std::size_t>(ranks.rank())]),
      parameters_(parameters),
      active_ranks_(ranks.first(active_)) {
  if (range_.count > 0) part_ = std::make_unique<RanksPart>(*active_ranks_, range_.count, pairs);
  if (ranks.size() > 1) sums_ = std::make_unique<Sums>(ranks, active_, range_.count > 0, parameters);
}

BatchShare::~BatchShare() = default;

/// Which parameters rank 0 has a gradient of.
std::vector<char> BatchShare::of_first_rank() {
  std::vector<char> has;
  for (const Parameter<float>& parameter : parameters_) has.push_back(parameter.variable.grad().defined() ? 1 : 0);
  ranks_.broadcast(has.data(), has.size());
  return has;
}

void BatchShare::add_up(const std::function<void(const GradientReady<float>& ready)>& backward) {
  if (!sums_) return backward(nullptr);
  sums_->begin();
  backward([this](const Variable<float>& leaf) { sums_->ready(leaf); });
  sums_->finish();
  sums_->give(of_first_rank());
}

}  // namespace kind
