#include "core/base/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/base/error.h"

namespace kind {
namespace {

std::atomic<int> requested_threads{0};

}  // namespace

int num_threads() {
  const int requested = requested_threads.load(std::memory_order_relaxed);
  return requested > 0 ? requested : std::max(1, omp_get_max_threads());
}

void set_num_threads(int threads) {
  check(threads >= 1 && threads <= 1024, "threads: expected 1 to 1024, got ", threads);
  requested_threads.store(threads, std::memory_order_relaxed);
}

void parallel_for(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), most));
  if (threads == 1 || omp_in_parallel()) {
    body(0, count);
    return;
  }
  std::exception_ptr error;
#pragma omp parallel num_threads(threads)
  {
    // The runtime may grant fewer threads than asked for, so the cut is made from what it granted.
    const std::int64_t team = omp_get_num_threads();
    const std::int64_t self = omp_get_thread_num();
    const std::int64_t begin = count * self / team;
    const std::int64_t end = count * (self + 1) / team;
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
#pragma omp critical(kind_parallel_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace kind
