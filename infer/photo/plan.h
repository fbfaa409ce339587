#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "infer/photo/options.h"

namespace kind {

/// One picture and what is to become of it.
struct Job {
  std::filesystem::path input;   // "-": the standard input
  std::filesystem::path folder;  // where below the output folder its results go; empty: right in it
  /// The results: one, or one a step of the ladder. "-": the standard output; none where there is only a page.
  std::vector<std::filesystem::path> outputs;
  bool skipped = false;  // its results exist, and may
  std::string error;  // of a folder in a tree that cannot be listed: why; it has no results

  bool from_stdin() const { return input == "-"; }
};

/// Where a picture's maps go: DIR/STEM-reflectance.png, .npy and so on.
inline constexpr const char* kMapNames[] = {"reflectance", "illumination", "restored", "adjusted"};
std::filesystem::path map_path(const Options& options, const Job& job, const char* map, const char* extension);

/// Whether the output is a folder.
bool into_folder(const Options& options);

/// Whether the only input is a YUV4MPEG2 video: a file by its content, a pipe by its name.
bool is_video_file(const Options& options);

/// Every picture and where its results go, or the one `video`. Frames of a sequence are in the order of their names, with
/// numbers in them by their value. Throws Error where a file would be written twice, over an input, over a file
/// that exists and may not be replaced, a sequence's results would be of several types, or, by way of a symbolic link, outside of the output folder.
std::vector<Job> plan(const Options& options, bool video = false);

/// Throws Error where a folder below `outer`, a folder for results, lies, by way of a symbolic link, outside of it.
void check_inside(const std::filesystem::path& outer, const std::filesystem::path& folder);

/// Folders for results. Those that were made and in the end hold nothing, since every picture failed, are removed.
class Folders {
 public:
  Folders() = default;
  ~Folders();
  Folders(const Folders&) = delete;
  Folders& operator=(const Folders&) = delete;

  /// Throws Error where it cannot be made.
  void make(const std::filesystem::path& folder);

 private:
  std::vector<std::filesystem::path> made_;  // each behind the one that it lies in
};

}  // namespace kind
