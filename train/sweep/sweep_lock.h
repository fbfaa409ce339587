#pragma once

#include <string>

namespace kind {

/// One sweep is worked on by one program. The runs it has started hold the lock with it, so that it is free only when
/// all of them are gone. Throws Error if another program has it for more than a few seconds.
class SweepLock {
 public:
  explicit SweepLock(const std::string& out);
  ~SweepLock();
  SweepLock(const SweepLock&) = delete;
  SweepLock& operator=(const SweepLock&) = delete;

 private:
  int file_;
};

}  // namespace kind
