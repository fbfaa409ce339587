#pragma once

#include <cstdint>

namespace kind {

/// Bytes of memory that this process may still take without pushing others out: what the system says is available, or
/// what is left of its control group's limit where that is less. 1 GiB where neither can be found out.
std::uint64_t available_memory();

/// The most bytes of memory that this process has had so far (VmHWM); 0 where that cannot be found out.
std::uint64_t peak_memory();

}  // namespace kind
