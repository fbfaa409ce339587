#pragma once

#include <cstdint>
#include <functional>

namespace kind {

/// How many threads parallel_for uses, called from this one: what OwnThreads or set_num_threads say, else
/// OMP_NUM_THREADS where that is set, but no more than available_processors() of core/base/machine.h, the default.
/// At least 1.
int num_threads();

/// Sets the number of threads of the whole process; throws Error if it is not in 1..1024.
void set_num_threads(int threads);

/// For tests: lets as many threads work as if there were this many processors; 0 for those that there are. Throws Error
/// for less.
void assume_processors(int processors);

/// Calls body(begin, end) on disjoint ranges that cover [0, count), each at least `grain` long where count allows.
/// How the ranges are cut depends on the number of threads, so the body must not let a result depend on
/// where a range ends: write each output from one index alone. Nested calls run serially. The first exception
/// that a body throws is thrown again here.
///
/// The calling thread works too, beside the threads of one pool for the whole process, which all callers share. Threads
/// that have nothing to do wait for some microseconds and then sleep, so that other programs get their processors.
/// After fork() the child has a pool of its own.
void parallel_for(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body);

/// While one is alive, num_threads() is another for work on this thread: for callers who do not know of each other.
class OwnThreads {
 public:
  /// 0 leaves it as it is; throws Error for other numbers than 0..1024.
  explicit OwnThreads(int threads);
  ~OwnThreads();
  OwnThreads(const OwnThreads&) = delete;
  OwnThreads& operator=(const OwnThreads&) = delete;

 private:
  int before_;
};

/// While one is alive, parallel_for on this thread runs serially: for work beside that of the other threads.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  bool before_;
};

}  // namespace kind
