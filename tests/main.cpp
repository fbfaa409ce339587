#define CATCH_CONFIG_RUNNER
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/kernels/kernels.h"
#include "tests/support/source_dir.h"

std::string kind::testing::source_dir() { return KIND_SOURCE_DIR; }

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

/// A test case that lacks something says WARN("skipped: what") and returns. Where it did, and nothing failed before, this
/// prints a line of its own that starts with "skipped: ", by which ctest tells that the case was skipped; Catch's own,
/// indented, would hide a failure.
struct SkipListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    TestEventListenerBase::testCaseStarting(info);
    reason_.clear();
  }
  bool assertionEnded(const Catch::AssertionStats& stats) override {
    const Catch::AssertionResult& result = stats.assertionResult;
    if (result.getResultType() != Catch::ResultWas::Warning) return false;
    const std::string message(result.getMessage());
    if (message.rfind("skipped: ", 0) == 0) reason_ = message;
    return false;
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    if (!reason_.empty() && stats.totals.assertions.failed == 0) std::cout << "\n" << reason_ << std::endl;
    TestEventListenerBase::testCaseEnded(stats);
  }

 private:
  std::string reason_;
};
CATCH_REGISTER_LISTENER(SkipListener)

/// Whether KIND_ISA names a kernel set that exists somewhere, but not on this machine or in this build.
bool isa_is_missing(const std::string& isa) {
  std::istringstream all(KIND_ISAS);
  const std::vector<std::string> known{std::istream_iterator<std::string>(all), {}}, here = kind::available_isas();
  return std::count(known.begin(), known.end(), isa) > 0 && std::count(here.begin(), here.end(), isa) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Catch::Session session;
  if (session.applyCommandLine(argc, argv) != 0) return kUsage;
  const auto& config = session.configData();
  if (config.listTests || config.listTestNamesOnly || config.listTags || config.listReporters) {
    return session.run() == 0 ? 0 : kFailed;
  }
  const std::string isa = environment("KIND_ISA");
  if (isa_is_missing(isa)) {
    std::cout << "skipped: this machine cannot run the kernel set '" << isa << "'\n";
    return 0;
  }
  ::setenv("KIND_CACHE_DIR", "", 1);  // programs under test leave nothing in the user's own
  try {
    kind::current_isa();
    kind::assume_processors(1024);  // more threads at once than this machine may have processors
  } catch (const kind::Error& error) {
    std::cerr << "kind_tests: " << error.what() << "\n";
    return kUsage;
  }
  // Catch returns the number of failures, which a process's status cannot hold.
  return session.run() == 0 ? 0 : kFailed;
}
