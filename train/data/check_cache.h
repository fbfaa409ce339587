#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace kind {

/// What checking a pair finds out of its pictures, which takes decoding them.
struct PairCheck {
  int low_width = 0, low_height = 0, high_width = 0, high_height = 0;
  std::uint64_t pixels = 0;   // hash of stem and pixels, of the dark picture that the camera model makes, too
  std::uint64_t content = 0;  // hash of stem, sizes and pixels of the files

  bool operator==(const PairCheck&) const = default;
};

/// Results of earlier checks, in a file, so that all runs on the same pictures but the first begin at once. A result is
/// found by the files' paths, sizes, inodes and times of modification and change (in ns): a file that is written to gets
/// another time of change, which nobody can set. Results of files that changed in the last two seconds are not kept, since
/// another change might get the same time. Whoever decodes a picture later compares its hash.
class CheckCache {
 public:
  /// Of the folder `folder` (empty: nothing is kept); `what` is all else that results depend on. Reads what is there; a
  /// damaged file has nothing in it.
  CheckCache(const std::string& folder, const std::string& what);

  /// Nothing where results of these files are not to be kept, or one of them is not there.
  std::optional<std::uint64_t> key_of(const std::vector<std::string>& files, const std::string& stem) const;
  /// Both may be called by several threads.
  std::optional<PairCheck> find(std::uint64_t key);
  void put(std::uint64_t key, const PairCheck& result);

  /// Writes what was found or put since the constructor, if anything was put. A folder that cannot be written to is no
  /// error: nothing is kept then.
  void save() const;
  /// Removes the file.
  void forget() const;

 private:
  std::string path_;  // empty: none
  std::string head_;
  std::mutex mutex_;
  std::map<std::uint64_t, PairCheck> before_, used_;
  bool changed_ = false;
};

/// $KIND_CACHE_DIR, else $XDG_CACHE_HOME/kind, else ~/.cache/kind; empty if KIND_CACHE_DIR is empty or there is no home.
std::string cache_folder();

}  // namespace kind
