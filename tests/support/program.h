#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"

namespace kind::testing {

inline std::string text_of(const std::string& path) {
  const std::vector<std::uint8_t> bytes = slurp(path);
  return {bytes.begin(), bytes.end()};
}

/// A program, running in a folder; its output goes to files.
class RunningProgram {
 public:
  RunningProgram(const std::string& program, const std::string& folder, std::vector<std::string> arguments) {
    const std::string out = streams_ / "out", err = streams_ / "err";
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int in = ::open("/dev/null", O_RDONLY), o = ::open(out.c_str(), O_WRONLY | O_CREAT, 0600);
      const int e = ::open(err.c_str(), O_WRONLY | O_CREAT, 0600);
      if (in < 0 || o < 0 || e < 0 || ::dup2(in, 0) < 0 || ::dup2(o, 1) < 0 || ::dup2(e, 2) < 0 ||
          ::chdir(folder.c_str()) != 0) {
        ::_exit(126);
      }
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~RunningProgram() {
    if (status_ || pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  void send(int signal) const {
    if (!status_) ::kill(pid_, signal);
  }

  /// The exit code, or minus the signal that ended it.
  int wait() {
    for (int status = 0; !status_;) {
      if (::waitpid(pid_, &status, 0) == pid_) status_ = status;
    }
    return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -WTERMSIG(*status_);
  }

  /// The same, or nothing where it still runs after so many seconds.
  std::optional<int> wait_for(double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < end) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        status_ = status;
        return wait();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return std::nullopt;
  }

  /// Waits until its stderr holds the text; false where it ended, or a minute passed, without.
  bool says(const std::string& text) {
    for (int i = 0; i < 1200; ++i) {
      if (std::filesystem::exists(streams_ / "err") && err().find(text) != std::string::npos) return true;
      if (wait_for(0.05)) return err().find(text) != std::string::npos;
    }
    return false;
  }

  std::string out() const { return text_of(streams_ / "out"); }
  std::string err() const { return text_of(streams_ / "err"); }

 private:
  TempDir streams_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace kind::testing
