#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "core/base/error.h"
#include "core/program/program.h"

namespace kind {

/// Work was given up because a signal asked the program to stop.
class Stopped : public Error {
 public:
  Stopped() : Error("stopped by a signal") {}
};

/// What becomes of the work at hand after SIGHUP, SIGINT or SIGTERM. Waits end at once. Other work has kGrace to finish; then it
/// is cancelled where it can be. What has not ended after kLeave, such as an encoder that cannot be interrupted, ends
/// with the process.
class Stopping {
 public:
  static constexpr std::chrono::milliseconds kGrace{300}, kLeave{650};

  /// `leave` ends the process with an exit code, without destructors; claims and temporary files are removed before. Not
  /// called where it is empty.
  explicit Stopping(const StopSignal& signal, std::function<void(int)> leave = {});
  ~Stopping();
  Stopping(const Stopping&) = delete;
  Stopping& operator=(const Stopping&) = delete;

  bool asked() const { return signal_ != 0; }
  /// 129, 130 or 143.
  int exit_code() const { return 128 + signal_; }
  /// Throws Stopped where the time of the work at hand is over. May be called from any thread.
  void check_time() const {
    if (over_) throw Stopped();
  }
  /// Throws Stopped where a wait must end.
  void check_wait() const {
    if (asked()) throw Stopped();
  }
  /// Called before `leave`, from another thread. Once it has been set to something else it is not called any more.
  void set_last_words(std::function<void()> say);

 private:
  void watch();

  const StopSignal& signal_;
  const std::function<void(int)> leave_;
  std::atomic<bool> over_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> last_words_;
  bool ended_ = false;
  std::thread watcher_;
};

}  // namespace kind
