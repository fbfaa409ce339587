#pragma once

#include <cstdint>
#include <functional>

namespace kind {

/// Number of threads that parallel_for uses when called from this thread: set by OwnThreads or set_num_threads, else by
/// OMP_NUM_THREADS, else available_processors() of core/base/machine.h, which is also the maximum. At least 1.
int num_threads();

/// Sets the number of threads of the whole process; throws Error if it is not in 1..1024.
void set_num_threads(int threads);

/// For tests: assumes this number of processors; 0 restores the actual number. Throws Error for negative numbers.
void assume_processors(int processors);

/// Calls body(begin, end) on disjoint ranges that cover [0, count), each at least `grain` long if count allows. The
/// partition depends on the number of threads, so no result may depend on where a range ends: compute each output from
/// its index alone. Nested calls run serially. The first exception thrown by a body is rethrown here.
///
/// The calling thread takes part, together with the threads of one pool per process, which all callers share. If
/// possible, a thread begins with the same part of [0, count) in every call, so that bodies find what they made before
/// in its caches. Idle threads spin for some microseconds and then sleep, which leaves their processors to other
/// programs. After fork() the child has its own pool.
void parallel_for(std::int64_t count, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body);

/// Changes num_threads() for work on this thread while an object is alive: for independent callers.
class OwnThreads {
 public:
  /// 0 changes nothing; throws Error for numbers outside 0..1024.
  explicit OwnThreads(int threads);
  ~OwnThreads();
  OwnThreads(const OwnThreads&) = delete;
  OwnThreads& operator=(const OwnThreads&) = delete;

 private:
  int before_;
};

/// Makes parallel_for on this thread run serially while an object is alive: for background work.
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
