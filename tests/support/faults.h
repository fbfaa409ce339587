#pragma once

// A disk that fails, for programs run by a shell. Sources that include this are told where the library is.

#include <cerrno>
#include <cstdlib>
#include <string>

namespace kind::testing {

/// What goes in front of a command so that, of what it does with files in `folder` (a whole path), a call fails with
/// `error` once `skip` bytes (write, read) or calls (fsync, rename, link, open for writing, stat, take) went well.
inline std::string with_fault(const std::string& call, int error, long skip, const std::string& folder) {
  const char* const own = std::getenv("ASAN_OPTIONS");
  // The sanitizer wants to be the first library of a program.
  return "env LD_PRELOAD='" KIND_FAULTS "' KIND_FAULT='" + call + " " + std::to_string(error) + " " +
         std::to_string(skip) + " " + folder + "' ASAN_OPTIONS='" + (own ? own + std::string(":") : "") +
         "verify_asan_link_order=0' ";
}

}  // namespace kind::testing
