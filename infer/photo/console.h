#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "infer/photo/picture.h"

namespace kind {

/// What became of a picture.
struct Outcome {
  enum class Status { kDone, kFailed, kSkipped, kNotDone } status = Status::kDone;
  bool claimed_elsewhere = false;  // of one that is skipped: its results do not exist yet
  std::string line;                // for stderr; empty: none
  std::string error;               // the same without the program's name
  Picture picture;                 // what the report says of it, and no more: there is one for every picture of a run
};

/// Names of files in messages.
std::string shown_name(const Job& job);

/// What people see: lines and progress on stderr, the names of results on stdout. All of it may be called from several
/// threads at once.
class Console {
 public:
  Console(const Options& options, const std::vector<Job>& jobs);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void say(const std::string& line);
  /// Outcomes come in any order and are said in the plan's.
  void finish(std::size_t i, Outcome outcome);
  void progress(std::size_t i, double share);
  /// Says what waits for pictures that will not be done any more. Nothing is finished after it. In a hurry it waits for
  /// nobody: what cannot be written at once is left out.
  void say_rest(bool hurry = false);

  /// Of every picture; kNotDone for those that did not finish. Call it after say_rest().
  const std::vector<Outcome>& outcomes() const { return outcomes_; }
  /// Seconds since the start.
  double elapsed() const;
  /// The error's number of a standard output that takes no names, 0 where it does. One that nobody reads any more is none.
  int output_error() const { return output_error_; }

 private:
  /// Not locked where there is a hurry and another thread has the lock.
  std::unique_lock<std::timed_mutex> lock();
  void print(const std::string& line);
  void print_next();
  void print_name(std::string name);
  void clear();
  void show_progress(std::size_t i);

  const std::vector<Job>& jobs_;
  const std::string page_;
  const bool names_;
  bool terminal_ = false, drawn_ = false;
  int output_error_ = 0;
  bool unread_ = false;  // nobody reads the standard output any more
  std::timed_mutex mutex_;
  std::atomic<bool> hurry_{false};
  std::vector<double> shares_;  // of each picture's work that is done; -1: skipped
  std::vector<Outcome> outcomes_;
  std::vector<bool> finished_;
  std::size_t next_ = 0;  // to be said
  bool closed_ = false;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

}  // namespace kind
