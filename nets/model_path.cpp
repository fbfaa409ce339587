#include "nets/model_path.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"

namespace kind {

namespace fs = std::filesystem;

std::string find_model(const std::string& option, const std::vector<std::string>& more) {
  if (!option.empty()) return option;
  const char* named = std::getenv("KIND_MODEL");
  if (named && *named) return named;
  std::vector<std::string> places;
  const std::string built = KIND_SOURCE_MODEL;  // empty where the build is to be carried to other machines
  if (!built.empty()) places.push_back(built);
  places.insert(places.end(), more.begin(), more.end());
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) places.push_back((program.parent_path().parent_path() / "share/kind/kind.safetensors").string());
  std::string looked;
  for (const std::string& place : places) {
    if (fs::exists(place, error)) return place;
    looked += (looked.empty() ? "" : ", ") + place;
  }
  fail("no model found: looked for ", looked, "; name one, or set the environment variable KIND_MODEL");
}

}  // namespace kind
