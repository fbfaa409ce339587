#include "core/base/machine.h"

#include <sched.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

TEST_CASE("machine: memory that is there and that was taken") {
  CHECK(available_memory() > std::uint64_t{1} << 20);
  const std::uint64_t before = peak_memory();
  CHECK(before > std::uint64_t{1} << 20);
  constexpr std::size_t kSize = std::size_t{1} << 28;
  const std::vector<char> much(kSize, 1);
  CHECK(much[kSize / 2] == 1);
  CHECK(peak_memory() >= kSize);
  CHECK(peak_memory() >= before);
}

/// A tree of proc and control groups, for group_limits.
class Groups {
 public:
  Groups(const std::string& cgroup, const std::string& mountinfo) {
    put("proc/self/cgroup", cgroup);
    put("proc/self/mountinfo", mountinfo);
  }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(dir_ / name).parent_path());
    dir_.put(name, text);
  }
  GroupLimits limits() const { return group_limits(dir_.path()); }

 private:
  TempDir dir_;
};

constexpr const char* kVersion2 = "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kVersion1 =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

TEST_CASE("machine: limits of control groups of version 2 are the least of all groups above the process") {
  const Groups groups("0::/user.slice/mine/job\n", kVersion2);
  const std::string top = "sys/fs/cgroup/";
  for (const char* group : {"", "user.slice/", "user.slice/mine/", "user.slice/mine/job/"}) {
    groups.put(top + group + "cgroup.procs", "1\n");
  }
  CHECK(!groups.limits().processors);
  CHECK(!groups.limits().memory_left);
  groups.put(top + "user.slice/mine/job/cpu.max", "max 100000\n");
  CHECK(!groups.limits().processors);
  groups.put(top + "user.slice/mine/cpu.max", "150000 100000\n");
  groups.put(top + "user.slice/cpu.max", "400000 100000\n");
  CHECK(groups.limits().processors == 1.5);
  groups.put(top + "user.slice/mine/job/cpu.max", "25000 50000\n");
  CHECK(groups.limits().processors == 0.5);

  groups.put(top + "user.slice/mine/job/memory.max", "max\n");
  groups.put(top + "user.slice/mine/job/memory.current", "1000\n");
  CHECK(!groups.limits().memory_left);
  groups.put(top + "user.slice/mine/memory.max", "5000\n");
  groups.put(top + "user.slice/mine/memory.current", "3000\n");
  CHECK(groups.limits().memory_left == 2000);
  groups.put(top + "user.slice/mine/memory.stat", "anon 2000\nfile 900\ninactive_file 700\nactive_file 200\n");
  CHECK(groups.limits().memory_left == 2700);
  groups.put(top + "user.slice/mine/memory.current", "9000\n");
  CHECK(groups.limits().memory_left == 0);
}

TEST_CASE("machine: limits of control groups of version 1, each controller in a hierarchy of its own") {
  const Groups groups("4:memory:/batch\n3:cpuset:/\n2:cpu,cpuacct:/batch/7\n1:name=systemd:/x\n0::/y\n", kVersion1);
  const std::string cpu = "sys/fs/cgroup/cpu,cpuacct/batch/", memory = "sys/fs/cgroup/memory/batch/";
  for (const std::string& group : {cpu, cpu + "7/", memory}) groups.put(group + "cgroup.procs", "");
  groups.put(cpu + "7/cpu.cfs_quota_us", "-1\n");
  groups.put(cpu + "7/cpu.cfs_period_us", "100000\n");
  CHECK(!groups.limits().processors);
  groups.put(cpu + "cpu.cfs_quota_us", "30000\n");
  groups.put(cpu + "cpu.cfs_period_us", "20000\n");
  CHECK(groups.limits().processors == 1.5);
  groups.put(memory + "memory.limit_in_bytes", "10000\n");
  groups.put(memory + "memory.usage_in_bytes", "6000\n");
  groups.put(memory + "memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
  CHECK(groups.limits().memory_left == 4500);
}

TEST_CASE("machine: in a container the group is where its control groups are mounted") {
  // A path from outside, which the container's mount does not have.
  const Groups outside("0::/system.slice/docker-1.scope\n", kVersion2);
  outside.put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(outside.limits().processors == 2.0);
  // A mount that begins at the container's group.
  const Groups inside("2:cpu:/docker/1/job\n", "32 31 0:29 /docker/1 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  inside.put("sys/fs/cgroup/cpu/job/cgroup.procs", "");
  inside.put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n");
  inside.put("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  CHECK(inside.limits().processors == 0.5);
}

TEST_CASE("machine: control groups that are not there, or whose files are damaged, set no limit") {
  CHECK(!Groups("", "").limits().processors);
  for (const char* text : {"", "\n", "x\n", "-5 100000\n", "1000 0\n", "1000\n"}) {
    CAPTURE(text);
    const Groups groups("no colons\n0::/\n", std::string("short\n - \n") + kVersion2);
    groups.put("sys/fs/cgroup/cpu.max", text);
    groups.put("sys/fs/cgroup/memory.max", text);
    CHECK(!groups.limits().processors);
  }
}

TEST_CASE("machine: processors are no more than the affinity allows") {
  cpu_set_t allowed;
  REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  CHECK(available_processors() >= 1);
  CHECK(available_processors() <= CPU_COUNT(&allowed));
}

}  // namespace
}  // namespace kind::testing
