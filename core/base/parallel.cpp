#include "core/base/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/base/machine.h"

namespace kind {
namespace {

constexpr int kMostThreads = 1024;
/// Pieces of work for each thread: what is lost when one is held up is less than a piece.
constexpr std::int64_t kPiecesPerThread = 16;

std::atomic<int> requested_threads{0};
std::atomic<int> assumed_processors{0};  // 0: those that there are
thread_local int own_threads = 0;        // 0: as all others
thread_local bool serial = false;        // in a SerialScope, in a body of parallel_for, or a thread of the pool

void check_threads(int threads, int least) {
  check(threads >= least && threads <= kMostThreads, "threads: expected ", least, " to ", kMostThreads, ", got ",
        threads);
}

/// OMP_NUM_THREADS, which other numerical programs obey as well; where it is no number from 1 to 1024, the processors.
int default_threads() {
  static const int threads = [] {
    const char* const text = std::getenv("OMP_NUM_THREADS");
    char* end = nullptr;
    const long value = text ? std::strtol(text, &end, 10) : 0;
    if (value >= 1 && value <= kMostThreads && (*end == '\0' || *end == ',')) return static_cast<int>(value);
    return std::min(available_processors(), kMostThreads);
  }();
  return threads;
}

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits awake until done() says so, for at most `most`; returns what it said last.
template <class Done>
bool spin(std::chrono::nanoseconds most, const Done& done) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + most;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      relax();
    }
  } while (Clock::now() < end);
  return done();
}

int processors() {
  const int assumed = assumed_processors.load(std::memory_order_relaxed);
  return assumed > 0 ? assumed : available_processors();
}

/// Moves a thread of the pool off the processor of the thread that it helps, if there are others that it may use. Where
/// other programs want processors as well, the system often leaves both threads on one, and all of another one to a
/// program that could share it. Afterwards the thread may run wherever it could before.
class KeptApart {
 public:
  void keep(int callers_processor) {
    if (callers_processor < 0 || callers_processor >= CPU_SETSIZE || sched_getcpu() != callers_processor) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - moved_ < kBetweenMoves) return;
    moved_ = now;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    cpu_set_t others = allowed;
    CPU_CLR(static_cast<std::size_t>(callers_processor), &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
      sched_setaffinity(0, sizeof allowed, &allowed);
    }
  }

 private:
  static constexpr std::chrono::microseconds kBetweenMoves{500};

  std::chrono::steady_clock::time_point moved_ = {};
};

/// A call of parallel_for: pieces that threads take in turn, so that one that the system holds up leaves its share to
/// the others. Each thread begins with its own share, if possible the same one in every call: what it made in the call
/// before, it then reads from its own caches. Between the caches of distant cores data moves at a third of the speed.
class Job {
 public:
  Job(const std::function<void(std::int64_t, std::int64_t)>& body, std::int64_t count, std::int64_t pieces, int threads)
      : most_helpers(threads - 1),
        body_(body),
        count_(count),
        pieces_(pieces),
        share_count_(static_cast<std::size_t>(std::min(threads, kMostShares))) {
    for (std::size_t i = 0; i < share_count_; ++i) {
      shares_[i].next.store(first_piece(i), std::memory_order_relaxed);
      shares_[i].end = first_piece(i + 1);
    }
    shares_[0].owned = true;  // the caller's
  }

  bool has_work() const {
    return std::any_of(shares_.begin(), shares_.begin() + static_cast<std::ptrdiff_t>(share_count_),
                       [](const Share& share) { return share.next.load(std::memory_order_relaxed) < share.end; });
  }

  /// A share that no other thread begins with, if possible `wanted`. Called with the pool's mutex held.
  std::size_t own_share(std::size_t wanted) {
    std::size_t share = wanted % share_count_;
    for (std::size_t i = 0; i < share_count_ && shares_[share].owned; ++i) share = (share + 1) % share_count_;
    shares_[share].owned = true;
    return share;
  }

  /// Takes pieces until there are none, those of the thread's own share first; `before_each` is called before each of
  /// them.
  template <class Before>
  void run(std::size_t own_share, const Before& before_each) {
    try {
      for (std::size_t i = 0; i < share_count_; ++i) {
        Share& share = shares_[(own_share + i) % share_count_];
        while (share.next.load(std::memory_order_relaxed) < share.end) {
          const std::int64_t piece = share.next++;
          if (piece >= share.end) break;
          before_each();
          body_(count_ * piece / pieces_, count_ * (piece + 1) / pieces_);
        }
      }
    } catch (...) {
      for (Share& share : shares_) share.next = share.end;
      const std::lock_guard lock(error_mutex_);
      if (!error) error = std::current_exception();
    }
  }

  const int most_helpers;
  int joined = 0;               // threads of the pool that have come so far; guarded by the pool's mutex
  std::atomic<int> helpers{0};  // threads of the pool that are in it now
  std::atomic<int> callers_processor{-1};
  std::exception_ptr error = {};

 private:
  static constexpr int kMostShares = 32;
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};
    std::int64_t end = 0;
    bool owned = false;  // guarded by the pool's mutex
  };

  std::int64_t first_piece(std::size_t share) const {
    return pieces_ * static_cast<std::int64_t>(share) / static_cast<std::int64_t>(share_count_);
  }

  const std::function<void(std::int64_t, std::int64_t)>& body_;
  const std::int64_t count_, pieces_;
  const std::size_t share_count_;
  std::mutex error_mutex_ = {};
  std::array<Share, kMostShares> shares_;
};

/// The threads that all calls of parallel_for share. They start when there is work for them and are joined when the
/// program ends or the library is unloaded.
class Pool {
 public:
  void run(Job& job) {
    bool sleepers = false;
    {
      const std::lock_guard lock(mutex_);
      ++callers_;
      wanted_ += job.most_helpers;
      grow(job.most_helpers);
      open_.push_back(&job);
      posted_.fetch_add(1);
      sleepers = sleeping_.load() > 0;
    }
    if (sleepers) posted_.notify_one();
    serial = true;
    job.run(0, [&] { job.callers_processor.store(sched_getcpu(), std::memory_order_relaxed); });
    serial = false;
    {
      const std::lock_guard lock(mutex_);
      --callers_;
      wanted_ -= job.most_helpers;
      std::erase(open_, &job);  // nobody joins from here on
    }
    const auto alone = [&] { return job.helpers.load(std::memory_order_acquire) == 0; };
    if (spin(kSpin, alone)) return;
    ++waiting_;
    for (;;) {
      const std::uint32_t seen = finished_.load();
      if (alone()) break;
      finished_.wait(seen);
    }
    --waiting_;
  }

  /// Ends the threads, once they have done what they are at. Calls of parallel_for go on without them.
  void stop() {
    std::vector<std::thread> threads;
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      threads.swap(threads_);
      posted_.fetch_add(1);
    }
    posted_.notify_all();
    for (std::thread& thread : threads) {
      // A body may have called exit().
      if (thread.get_id() == std::this_thread::get_id()) {
        thread.detach();
      } else {
        thread.join();
      }
    }
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  // Waking a thread takes tens of microseconds, about as long as the serial work between two layers; whoever waits
  // longer than that holds a processor that others may want.
  static constexpr std::chrono::microseconds kSpin{30};

  /// Starts threads for what all callers want together, but no more than the processors, or than one caller alone.
  void grow(int wanted_by_one) {
    const int most = std::min(wanted_, std::max(processors() - 1, wanted_by_one));
    if (static_cast<int>(threads_.size()) >= most || stopped_) return;
    // Signals are the program's own threads' to handle; what a fault raises is not blocked.
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    try {
      while (static_cast<int>(threads_.size()) < most) {
        threads_.emplace_back([this, number = threads_.size() + 1] { work(number); });
      }
    } catch (const std::system_error&) {
      // The system allows no more threads: those that there are do the work.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  /// A job that a thread may join, which it then has; null where there is none, or where the threads at work already
  /// take all processors: more of them only push each other's data out of the caches. Called with the mutex held.
  Job* join() {
    if (callers_ + helping_.load() >= processors()) return nullptr;
    for (Job* const job : open_) {
      if (job->joined < job->most_helpers && job->has_work()) {
        ++job->joined;
        job->helpers.fetch_add(1, std::memory_order_relaxed);
        ++helping_;
        return job;
      }
    }
    return nullptr;
  }

  void work(std::size_t number) {
    serial = true;
    KeptApart apart;
    for (;;) {
      Job* job = nullptr;
      bool more = false;
      std::uint32_t seen = 0;
      std::size_t share = 0;
      {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        seen = posted_.load();
        job = join();
        if (job) share = job->own_share(number);
        more = job && job->joined < job->most_helpers && sleeping_.load() > 0;
      }
      if (!job) {
        wait_for_post(seen);
        continue;
      }
      // Each one that has woken wakes the next, while there is work: a caller pays for one.
      if (more && job->has_work()) posted_.notify_one();
      job->run(share, [&] { apart.keep(job->callers_processor.load(std::memory_order_relaxed)); });
      --helping_;
      // The job may be gone as soon as its caller sees 0.
      if (job->helpers.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        finished_.fetch_add(1);
        if (waiting_.load() > 0) finished_.notify_all();
      }
    }
  }

  void wait_for_post(std::uint32_t seen) {
    const auto posted = [&] { return posted_.load() != seen; };
    // No more threads wait awake than there are processors for beside a caller's.
    const bool spins = spinning_.fetch_add(1) < processors() - 1;
    const bool found = spins && spin(kSpin, posted);
    --spinning_;
    if (found) return;
    ++sleeping_;
    posted_.wait(seen);
    --sleeping_;
  }

  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<Job*> open_;
  int wanted_ = 0, callers_ = 0;
  bool stopped_ = false;
  std::atomic<std::uint32_t> posted_{0};    // changes when there is a new job
  std::atomic<std::uint32_t> finished_{0};  // changes when the last helper leaves a job
  std::atomic<int> helping_{0}, sleeping_{0}, spinning_{0}, waiting_{0};
};

/// The pool, which is never destroyed: threads of the program that still compute while it ends must find it.
Pool*& pool() {
  static Pool* pool = [] {
    // The threads of a parent are not in its child, which gets a new pool; the mutex is held so that the old one is
    // whole in the parent.
    pthread_atfork([] { kind::pool()->lock(); }, [] { kind::pool()->unlock(); }, [] { kind::pool() = new Pool; });
    return new Pool;
  }();
  static const struct Stopper {
    ~Stopper() { pool->stop(); }
  } stopper;
  return pool;
}

}  // namespace

int num_threads() {
  const int requested = own_threads > 0 ? own_threads : requested_threads.load(std::memory_order_relaxed);
  return std::min(requested > 0 ? requested : default_threads(), processors());
}

void assume_processors(int processors) {
  check(processors >= 0, "processors: expected 0 or more, got ", processors);
  assumed_processors.store(processors, std::memory_order_relaxed);
}

void set_num_threads(int threads) {
  check_threads(threads, 1);
  requested_threads.store(threads, std::memory_order_relaxed);
}

OwnThreads::OwnThreads(int threads) : before_(own_threads) {
  check_threads(threads, 0);
  if (threads > 0) own_threads = threads;
}
OwnThreads::~OwnThreads() { own_threads = before_; }

SerialScope::SerialScope() : before_(serial) { serial = true; }
SerialScope::~SerialScope() { serial = before_; }

void parallel_for(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const std::int64_t threads = std::min<std::int64_t>(num_threads(), most);
  if (threads == 1 || serial) {
    body(0, count);
    return;
  }
  std::int64_t pieces = std::min(most, kPiecesPerThread * threads);
  if (pieces > 4 * threads) pieces -= pieces % threads;  // equal shares
  Job job(body, count, pieces, static_cast<int>(threads));
  pool()->run(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace kind
