#include "nets/model_path.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"

namespace kind {

namespace fs = std::filesystem;

std::string find_model(const std::string& option) {
  if (!option.empty()) return option;
  const char* named = std::getenv("KIND_MODEL");
  if (named && *named) return named;
  std::error_code error;
  const fs::path built = KIND_SOURCE_MODEL;
  if (fs::exists(built, error)) return built.string();
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = program.parent_path().parent_path() / "share/kind/kind.safetensors";
  if (!error && fs::exists(installed, error)) return installed.string();
  fail("no model found: looked for ", built.string(), error ? "" : " and " + installed.string(),
       "; name one with --weights MODEL or the environment variable KIND_MODEL");
}

}  // namespace kind
