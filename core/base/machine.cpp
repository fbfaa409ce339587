#include "core/base/machine.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>
#include <vector>

namespace kind {
namespace {

/// The number that a file begins with; nothing for a file that is missing or says "max".
std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// The number behind a name that a line of the file begins with.
std::optional<std::uint64_t> read_entry(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first;
    std::uint64_t value = 0;
    if (words >> first >> value && first == name) return value;
  }
  return std::nullopt;
}

/// "NAME   123 kB" in bytes.
std::optional<std::uint64_t> read_kilobytes(const std::string& path, const std::string& name) {
  const std::optional<std::uint64_t> value = read_entry(path, name);
  return value ? std::optional(*value * 1024) : std::nullopt;
}

/// Whether a list "a,b,c" has the word.
bool lists(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

/// The group of this process in the hierarchy of a controller of version 1, or of version 2 where it is empty:
/// a line "ID:CONTROLLERS:PATH" of proc/self/cgroup (cgroups(7)).
std::optional<std::string> group_of(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : lists(controllers, controller)) return line.substr(second + 1);
  }
  return std::nullopt;
}

/// The folder of the process's group and those of all groups above it, as far as they are mounted. A line of
/// proc/self/mountinfo (proc(5)): ID PARENT DEVICE ROOT FOLDER OPTIONS [TAG...] - TYPE SOURCE OPTIONS.
std::vector<std::string> group_folders(const std::string& root, const std::string& controller) {
  const std::optional<std::string> group = group_of(root, controller);
  if (!group) return {};
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string id, parent, device, top, folder, type, source, options;
    before >> id >> parent >> device >> top >> folder;
    after >> type >> source >> options;
    if (controller.empty() ? type != "cgroup2" : type != "cgroup" || !lists(options, controller)) continue;
    // In a container the mount begins at its group, and the path may be one from outside, which is not there.
    std::string path = *group;
    if (top != "/" && path.rfind(top, 0) == 0) path = path.substr(top.size());
    std::vector<std::string> folders;
    for (; path.size() > 1; path.resize(path.rfind('/'))) {
      const std::string here = root + folder + path;
      if (std::ifstream(here + "/cgroup.procs")) folders.push_back(here);
    }
    folders.push_back(root + folder);
    return folders;
  }
  return {};
}

/// A quota of processor time: microseconds in each period.
std::optional<double> quota_of(const std::string& folder, bool version_2) {
  double quota = 0, period = 0;
  if (version_2) {
    std::ifstream file(folder + "/cpu.max");
    if (!(file >> quota >> period)) return std::nullopt;  // "max 100000"
  } else {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
    if (!(quota_file >> quota && period_file >> period)) return std::nullopt;
  }
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

/// What is left of a group's limit. Files that were read stay in memory and count as taken until somebody needs their
/// place, so those not in use are left out.
std::optional<std::uint64_t> memory_left(const std::string& folder, bool version_2) {
  const auto limit = read_number(folder + (version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
  const auto taken = read_number(folder + (version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!limit || !taken) return std::nullopt;
  const std::uint64_t files =
      read_entry(folder + "/memory.stat", version_2 ? "inactive_file" : "total_inactive_file").value_or(0);
  const std::uint64_t used = *taken - std::min(*taken, files);
  return *limit > used ? *limit - used : 0;
}

template <class Value>
void lower(std::optional<Value>& least, const std::optional<Value>& value) {
  if (value && (!least || *value < *least)) least = value;
}

/// Processors that the scheduler may put this process on; 0 where that cannot be found out.
int processors_of_affinity() {
  // A mask that is too small for the kernel's is refused.
  for (int most = 1024; most <= 1 << 20; most *= 2) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(most));
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const int count = set && sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return 0;
}

}  // namespace

GroupLimits group_limits(const std::string& root) {
  GroupLimits limits;
  for (const bool version_2 : {true, false}) {
    for (const std::string& folder : group_folders(root, version_2 ? "" : "cpu")) {
      lower(limits.processors, quota_of(folder, version_2));
    }
    for (const std::string& folder : group_folders(root, version_2 ? "" : "memory")) {
      lower(limits.memory_left, memory_left(folder, version_2));
    }
  }
  return limits;
}

int available_processors() {
  static const int processors = [] {
    int count = processors_of_affinity();
    if (count == 0) count = static_cast<int>(std::thread::hardware_concurrency());
    const std::optional<double> quota = group_limits().processors;
    // A quota of 1.5 is best used by two threads, each of which waits a quarter of its time.
    if (quota) count = std::min(count, static_cast<int>(std::min(1e6, std::ceil(*quota))));
    return std::max(1, count);
  }();
  return processors;
}

std::uint64_t peak_memory() { return read_kilobytes("/proc/self/status", "VmHWM:").value_or(0); }

std::uint64_t available_memory() {
  std::optional<std::uint64_t> least = read_kilobytes("/proc/meminfo", "MemAvailable:");
  lower(least, group_limits().memory_left);
  return least.value_or(std::uint64_t{1} << 30);
}

}  // namespace kind
