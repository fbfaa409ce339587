#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kind {

/// What the control groups of this process (version 1 or 2, with all groups above them) leave it.
struct GroupLimits {
  std::optional<double> processors;          ///< Processor time a second: 1.5 is one and a half processors.
  std::optional<std::uint64_t> memory_left;  ///< Bytes that may still be taken, what is easily given back counted in.
};

/// Reads them from proc/self and where that says control groups are mounted. `root` stands before all paths: tests read
/// trees of their own.
GroupLimits group_limits(const std::string& root = "");

/// Processors that this process may use: those of its affinity and cpuset, or its control group's quota, rounded up,
/// where that is less. At least 1. Found out once.
int available_processors();

/// Bytes of memory that this process may still take without pushing others out: what the system says is available, or
/// what is left of its control group's limit where that is less. 1 GiB where neither can be found out.
std::uint64_t available_memory();

/// The most bytes of memory that this process has had so far (VmHWM); 0 where that cannot be found out.
std::uint64_t peak_memory();

}  // namespace kind
