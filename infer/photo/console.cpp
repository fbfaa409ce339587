#include "infer/photo/console.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"

namespace kind {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::size_t kMaxName = 4096;

/// How long those in a hurry wait.
constexpr std::chrono::milliseconds kHurry{100};

bool takes_more(int descriptor) {
  struct pollfd waiting = {descriptor, POLLOUT, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

std::string time_text(double seconds) {
  const auto all = std::lround(seconds);
  char text[32];
  if (all >= 3600) {
    std::snprintf(text, sizeof(text), "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
  } else {
    std::snprintf(text, sizeof(text), "%ld:%02ld", all / 60, all % 60);
  }
  return text;
}

}  // namespace

std::string shown_name(const Job& job) {
  return job.from_stdin() ? "the standard input" : printable(job.input.string(), kMaxName);
}

Console::Console(const Options& options, const std::vector<Job>& jobs)
    : jobs_(jobs),
      page_(options.compare),
      names_(!options.to_stdout()),
      shares_(jobs.size(), 0.0),
      outcomes_(jobs.size()),
      finished_(jobs.size(), false) {
  terminal_ = ::isatty(STDERR_FILENO) == 1;
  for (Outcome& outcome : outcomes_) outcome.status = Outcome::Status::kNotDone;
}

Console::~Console() { clear(); }

std::unique_lock<std::timed_mutex> Console::lock() {
  std::unique_lock held(mutex_, std::defer_lock);
  // Another thread may wait for whoever reads the names, with the lock in its hands.
  if (!hurry_) {
    held.lock();
  } else {
    (void)held.try_lock_for(kHurry);
  }
  return held;
}

void Console::say(const std::string& line) {
  if (const auto held = lock()) print(line);
}

void Console::finish(std::size_t i, Outcome outcome) {
  const auto held = lock();
  if (!held || closed_) return;
  shares_[i] = outcome.status == Outcome::Status::kSkipped ? -1 : 1;
  outcomes_[i] = std::move(outcome);
  finished_[i] = true;
  while (next_ < finished_.size() && finished_[next_]) print_next();
  show_progress(i);
}

void Console::say_rest(bool hurry) {
  hurry_ = hurry;
  const auto held = lock();
  if (!held) return;
  closed_ = true;
  while (next_ < finished_.size()) print_next();
}

void Console::progress(std::size_t i, double share) {
  const auto held = lock();
  if (!held || closed_) return;
  shares_[i] = std::min(share, 0.999);
  show_progress(i);
}

double Console::elapsed() const { return Seconds(std::chrono::steady_clock::now() - start_).count(); }

void Console::print(const std::string& line) {
  if (hurry_ && !takes_more(STDERR_FILENO)) return;
  clear();
  std::cerr << line << std::endl;
}

void Console::print_next() {
  const Job& job = jobs_[next_];
  const Outcome& next = outcomes_[next_];
  ++next_;
  if (!next.line.empty()) print(next.line);
  if (next.status != Outcome::Status::kDone || !names_) return;
  for (const auto& path : job.outputs) print_name(path.string());
  // Without --output the page of --compare is the result.
  if (job.outputs.empty()) print_name(page_);
}

void Console::print_name(std::string name) {
  name += '\n';
  for (std::size_t done = 0; done < name.size() && !unread_ && output_error_ == 0;) {
    // A pipe that takes anything takes as much as this.
    const std::size_t most = hurry_ ? 512 : name.size();
    if (hurry_ && !takes_more(STDOUT_FILENO)) unread_ = true;
    if (unread_) return;
    const ssize_t now = ::write(STDOUT_FILENO, name.data() + done, std::min(most, name.size() - done));
    if (now >= 0) {
      done += static_cast<std::size_t>(now);
    } else if (errno == EPIPE) {
      unread_ = true;
    } else if (errno != EINTR) {
      output_error_ = errno;
    }
  }
}

void Console::clear() {
  if (std::exchange(drawn_, false)) std::cerr << "\r\x1b[K" << std::flush;
}

void Console::show_progress(std::size_t i) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || (drawn_ && Seconds(now - last_).count() < 0.2)) return;
  double done = 0, total = 0;
  std::size_t finished = 0;
  for (const double share : shares_) {
    if (share >= 0) {
      done += share;
      total += 1;
    }
    if (share >= 1 || share < 0) ++finished;
  }
  if (done <= 0 || finished == shares_.size()) return;
  const double elapsed = Seconds(now - start_).count(), left = elapsed * (total - done) / done;
  std::string line = join("[", finished, "/", shares_.size(), "] ", static_cast<int>(100 * done / total), " %");
  if (elapsed > 1) line += join(", ", time_text(left), " left");
  line += ": " + shown_name(jobs_[i]);
  struct winsize size {};
  const std::size_t columns = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  std::cerr << "\r" << line.substr(0, columns - 1) << "\x1b[K" << std::flush;
  drawn_ = true;
  last_ = now;
}

}  // namespace kind
