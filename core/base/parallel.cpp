#include "core/base/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/base/error.h"

namespace kind {
namespace {

std::atomic<int> requested_threads{0};
thread_local int own_threads = 0;  // 0: as all others
thread_local bool serial = false;

void check_threads(int threads, int least) {
  check(threads >= least && threads <= 1024, "threads: expected ", least, " to 1024, got ", threads);
}

}  // namespace

int num_threads() {
  if (own_threads > 0) return own_threads;
  const int requested = requested_threads.load(std::memory_order_relaxed);
  return requested > 0 ? requested : std::max(1, omp_get_max_threads());
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
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), most));
  if (threads == 1 || serial || omp_in_parallel()) {
    body(0, count);
    return;
  }
  // More pieces than threads, taken in turn: a thread that the system holds up leaves its share to the others.
  const std::int64_t pieces = std::min<std::int64_t>(most, std::int64_t{8} * threads);
  std::atomic<std::int64_t> next{0};
  std::exception_ptr error;
#pragma omp parallel num_threads(threads)
  {
    try {
      for (std::int64_t piece = next++; piece < pieces; piece = next++) {
        body(count * piece / pieces, count * (piece + 1) / pieces);
      }
    } catch (...) {
      next = pieces;
#pragma omp critical(kind_parallel_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace kind
