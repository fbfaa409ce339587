#pragma once

#include <atomic>
#include <csignal>
#include <exception>
#include <string>
#include <vector>

namespace kind {

/// The signal that asks a program to stop, 0 for none: written by a signal handler, read by any thread.
using StopSignal = std::atomic<int>;
static_assert(StopSignal::is_always_lock_free, "a signal handler must not take a lock");

/// Exit codes of every program: success; some inputs failed and the others are done; a usage, config or data error,
/// with nothing done.
inline constexpr int kExitDone = 0;
inline constexpr int kExitSomeFailed = 1;
inline constexpr int kExitError = 2;

/// The output of `--version`, three lines without a line end after the last: the program's name and version; the kernel
/// sets that this machine can run (available_isas()), the one in use (current_isa()) in brackets; the picture types
/// that are read (image_codec_names()).
std::string version_text(const std::string& program, const std::vector<std::string>& isas,
                         const std::string& isa_in_use, const std::string& codecs);

/// Call at the start of `main`: exceeding the file size limit (`ulimit -f`) then is an ordinary write error instead of
/// ending the program.
inline void expect_file_limits() { std::signal(SIGXFSZ, SIG_IGN); }

/// The message that `main` prints to stderr for an exception that ended the program: "PROGRAM: what was wrong" as one
/// line, without a line end. The exit code is then kExitError.
std::string error_line(const std::string& program, const std::exception& error);

}  // namespace kind
