#include "infer/photo/stopping.h"

#include <utility>

#include "core/files/file.h"
#include "infer/photo/claim.h"

namespace kind {

Stopping::Stopping(const StopSignal& signal, std::function<void(int)> leave)
    : signal_(signal), leave_(std::move(leave)), watcher_([this] { watch(); }) {}

Stopping::~Stopping() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  watcher_.join();
}

void Stopping::set_last_words(std::function<void()> say) {
  const std::lock_guard lock(mutex_);
  last_words_ = std::move(say);
}

void Stopping::watch() {
  // Signals wake nobody up.
  constexpr std::chrono::milliseconds kLook{20};
  std::unique_lock lock(mutex_);
  const auto ended = [this] { return ended_; };
  while (!asked()) {
    if (changed_.wait_for(lock, kLook, ended)) return;
  }
  if (changed_.wait_for(lock, kGrace, ended)) return;
  over_ = true;
  if (changed_.wait_for(lock, kLeave - kGrace, ended) || !leave_) return;
  if (last_words_) last_words_();
  Claim::remove_all();
  AtomicFile::remove_all();
  leave_(exit_code());
}

}  // namespace kind
