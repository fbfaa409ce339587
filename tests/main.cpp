#define CATCH_CONFIG_RUNNER
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/kernels/kernels.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kSkipped = 77;  // what ctest is told to report as skipped

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

/// Whether every test case that ran is a [golden] one.
bool all_golden = true;

struct GoldenListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    const std::vector<std::string>& tags = info.lcaseTags;
    if (std::find(tags.begin(), tags.end(), "golden") == tags.end()) all_golden = false;
  }
};
CATCH_REGISTER_LISTENER(GoldenListener)

/// Whether KIND_ISA names a kernel set that exists somewhere, but not on this machine or in this build.
bool isa_is_missing(const std::string& isa) {
  const std::vector<std::string> known{"avx512", "avx2", "baseline", "ref"}, here = kind::available_isas();
  return std::count(known.begin(), known.end(), isa) > 0 && std::count(here.begin(), here.end(), isa) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string isa = environment("KIND_ISA");
  if (isa_is_missing(isa)) {
    std::cout << "skipped: this machine cannot run the kernel set '" << isa << "'\n";
    return kSkipped;
  }
  try {
    kind::current_isa();
    kind::assume_processors(1024);  // more threads at once than this machine may have processors
  } catch (const kind::Error& error) {
    std::cerr << "kind_tests: " << error.what() << "\n";
    return kUsage;
  }
  Catch::Session session;
  if (session.applyCommandLine(argc, argv) != 0) return kUsage;
  // Catch returns the number of failures, which might be kSkipped.
  if (session.run() != 0) return kFailed;
  const auto& config = session.configData();
  const bool lists = config.showHelp || config.listTests || config.listTags || config.listReporters ||
                     config.listTestNamesOnly || config.libIdentify;
  return !lists && all_golden && environment("KIND_REFERENCE_DIR").empty() ? kSkipped : 0;
}
