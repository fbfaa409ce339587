#pragma once

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/parallel.h"
#include "core/kernels/kernels.h"

namespace kind::testing {

/// Another number of threads until the end of the scope.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~ThreadScope() { set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// Another kernel set until the end of the scope.
class IsaScope {
 public:
  explicit IsaScope(const std::string& isa) : before_(current_isa()) { select_isa(isa); }
  ~IsaScope() { select_isa(before_); }
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  std::string before_;
};

/// KIND_ISA's set alone, or all that this machine can run.
inline std::vector<std::string> isas_under_test() {
  const char* const forced = std::getenv("KIND_ISA");
  return forced && *forced ? std::vector<std::string>{forced} : available_isas();
}

/// The thread counts under which results must have the same bits; more than most test machines have cores, too.
inline constexpr int kThreadCounts[] = {1, 2, 3, 7};

/// While it lives, files are accessed as a user who owns none of them, even where the tests run as root.
class UnprivilegedScope {
 public:
  UnprivilegedScope() : before_(::geteuid()) {
    constexpr uid_t kNobody = 65534;
    if (before_ == 0 && ::seteuid(kNobody) != 0) throw std::runtime_error("cannot become another user");
  }
  ~UnprivilegedScope() { static_cast<void>(::seteuid(before_) == 0); }
  UnprivilegedScope(const UnprivilegedScope&) = delete;
  UnprivilegedScope& operator=(const UnprivilegedScope&) = delete;

 private:
  uid_t before_;
};

}  // namespace kind::testing
