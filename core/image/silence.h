#pragma once

#include <cstdio>
#include <mutex>
#include <utility>

#include "core/base/error.h"

namespace kind {

/// Some libraries print what they find wrong with a file (dav1d; libjxl as Debian 12 builds it). While one of these is
/// alive, what this thread prints by way of C's stderr is left out; other threads' text passes, and C++ streams and the
/// descriptor are untouched. Elsewhere than with glibc, whose `stderr` is a variable, nothing is done.
class Silence {
 public:
  Silence() {
#ifdef __GLIBC__
    const std::lock_guard lock(mutex());
    std::FILE*& other = filter();  // which may throw
    if (count()++ == 0) std::swap(stderr, other);
#endif
    ++depth();
  }
  ~Silence() {
    --depth();
#ifdef __GLIBC__
    const std::lock_guard lock(mutex());
    if (--count() == 0) std::swap(stderr, filter());
#endif
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  static int& depth() {
    static thread_local int value = 0;
    return value;
  }
#ifdef __GLIBC__
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static int& count() {
    static int value = 0;
    return value;
  }
  /// The stream that is not in use: ours, or the true one.
  static std::FILE*& filter() {
    static std::FILE* other = [] {
      std::FILE* ours = fopencookie(stderr, "w", {nullptr, pass_on, nullptr, nullptr});
      if (ours == nullptr) fail("there is not enough memory");
      std::setvbuf(ours, nullptr, _IONBF, 0);
      return ours;
    }();
    return other;
  }
  static ssize_t pass_on(void* stream, const char* text, std::size_t size) {
    if (depth() == 0) std::fwrite(text, 1, size, static_cast<std::FILE*>(stream));
    return static_cast<ssize_t>(size);
  }
#endif
};

}  // namespace kind
