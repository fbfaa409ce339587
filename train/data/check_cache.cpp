#include "train/data/check_cache.h"

#include <sys/stat.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/random.h"
#include "core/files/file.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

constexpr std::time_t kSettledSeconds = 2;
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 30;

std::string line_of(std::uint64_t key, const PairCheck& c) {
  char line[160];
  std::snprintf(line, sizeof line, "%s %d %d %d %d %s %s\n", hash_text(key).c_str(), c.low_width, c.low_height,
                c.high_width, c.high_height, hash_text(c.pixels).c_str(), hash_text(c.content).c_str());
  return line;
}

/// The results of a file's text; none unless all of it is as save() wrote it.
std::map<std::uint64_t, PairCheck> results_of(const std::string& text, const std::string& head) {
  const std::size_t end = text.rfind("end ");
  if (!text.starts_with(head) || end == std::string::npos || end < head.size()) return {};
  if (text.substr(end) != "end " + hash_text(fnv1a(std::string_view(text).substr(0, end))) + "\n") return {};
  std::map<std::uint64_t, PairCheck> results;
  std::istringstream lines(text.substr(head.size(), end - head.size()));
  for (std::string line; std::getline(lines, line);) {
    std::uint64_t key = 0;
    PairCheck c;
    const int read = std::sscanf(line.c_str(), "%" SCNx64 " %d %d %d %d %" SCNx64 " %" SCNx64, &key, &c.low_width,
                                 &c.low_height, &c.high_width, &c.high_height, &c.pixels, &c.content);
    if (read == 7) results[key] = c;
  }
  return results;
}

}  // namespace

CheckCache::CheckCache(const std::string& folder, const std::string& what) {
  if (folder.empty()) return;
  const std::string name = hash_text(mix64(fnv1a(what)));
  path_ = (fs::path(folder) / ("pairs-" + name + ".txt")).string();
  head_ = "kind checked pairs 1 " + name + "\n";
  try {
    std::error_code error;
    if (!fs::exists(path_, error)) return;
    const std::vector<std::uint8_t> bytes = read_file(path_, kMaxBytes);
    before_ = results_of(std::string(bytes.begin(), bytes.end()), head_);
  } catch (const Error&) {
    // As good as none: everything is checked again.
  }
}

std::optional<std::uint64_t> CheckCache::key_of(const std::vector<std::string>& files, const std::string& stem) const {
  if (path_.empty()) return std::nullopt;
  std::string text = stem;
  for (const std::string& file : files) {
    struct stat status;
    if (::stat(file.c_str(), &status) != 0) return std::nullopt;
    if (std::max(status.st_ctim.tv_sec, status.st_mtim.tv_sec) + kSettledSeconds > std::time(nullptr)) {
      return std::nullopt;
    }
    std::error_code error;
    const fs::path path = fs::absolute(file, error);
    if (error) return std::nullopt;
    text += join("\n", path.native(), "\n", status.st_size, " ", status.st_ino, " ", status.st_mtim.tv_sec, ".",
                 status.st_mtim.tv_nsec, " ", status.st_ctim.tv_sec, ".", status.st_ctim.tv_nsec);
  }
  return mix64(fnv1a(text));
}

std::optional<PairCheck> CheckCache::find(std::uint64_t key) {
  const auto found = before_.find(key);
  if (found == before_.end()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  used_.insert(*found);
  return found->second;
}

void CheckCache::put(std::uint64_t key, const PairCheck& result) {
  const std::lock_guard lock(mutex_);
  used_[key] = result;
  changed_ = true;
}

void CheckCache::save() const {
  if (path_.empty() || !changed_) return;
  std::string text = head_;
  for (const auto& [key, result] : used_) text += line_of(key, result);
  text += "end " + hash_text(fnv1a(text)) + "\n";
  try {
    std::error_code error;
    fs::create_directories(fs::path(path_).parent_path(), error);
    write_file_atomic(path_, text);
  } catch (const Error&) {
    // The next run takes as long as this one.
  }
}

void CheckCache::forget() const {
  std::error_code ignored;
  if (!path_.empty()) fs::remove(path_, ignored);
}

std::string cache_folder() {
  if (const char* own = std::getenv("KIND_CACHE_DIR")) return own;
  if (const char* users = std::getenv("XDG_CACHE_HOME"); users && *users) return std::string(users) + "/kind";
  if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + "/.cache/kind";
  return "";
}

}  // namespace kind
