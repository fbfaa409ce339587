#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kind {

/// The limits of the control groups of this process (version 1 or 2, including all ancestors).
struct GroupLimits {
  std::optional<double> processors;          ///< Processor seconds per second: 1.5 is one and a half processors.
  std::optional<std::uint64_t> memory_left;  ///< Bytes that can still be allocated, including reclaimable memory.
};

/// Reads them from proc/self and the control group mounts listed there. `root` is prepended to all paths, so that tests
/// can use trees of their own.
GroupLimits group_limits(const std::string& root = "");

/// Number of processors that this process may use: those of its affinity and cpuset, limited by its control group's
/// quota, rounded up. At least 1. Determined once.
int available_processors();

/// Bytes of memory that this process can still allocate without causing swapping: the memory that the system reports as
/// available, limited by the rest of its control group's limit. 1 GiB if neither can be determined.
std::uint64_t available_memory();

/// Peak resident memory of this process in bytes (VmHWM); 0 if it cannot be determined.
std::uint64_t peak_memory();

}  // namespace kind
