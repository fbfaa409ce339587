#include "core/base/machine.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace kind {
namespace {

/// The number that a file begins with; nothing for a file that is missing or says "max".
std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// "NAME   123 kB" of a file of such lines, in bytes.
std::optional<std::uint64_t> read_entry(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) == 0) return std::stoull(line.substr(name.size())) * 1024;
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t peak_memory() { return read_entry("/proc/self/status", "VmHWM:").value_or(0); }

std::uint64_t available_memory() {
  std::uint64_t least =
      read_entry("/proc/meminfo", "MemAvailable:").value_or(std::numeric_limits<std::uint64_t>::max());
  // Version 2 of control groups, then version 1, as a container sees them.
  for (const auto& [limit, used] :
       {std::pair{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    const auto most = read_number(limit), taken = read_number(used);
    if (most && taken) least = std::min(least, *most > *taken ? *most - *taken : 0);
  }
  return least == std::numeric_limits<std::uint64_t>::max() ? std::uint64_t{1} << 30 : least;
}

}  // namespace kind
