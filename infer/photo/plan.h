#pragma once

#include <filesystem>
#include <map>
#include <mutex>
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
  /// Why nothing can be done: a folder in a tree cannot be listed, two pictures would have one result.
  std::string error;
  bool said = false;             // the error is another job's as well, which comes before
  std::filesystem::path backup;  // of --in-place: what the input is kept as

  bool from_stdin() const { return input == "-"; }
};

/// All that is to be done, and what was found beside it.
struct Plan {
  std::vector<Job> jobs;
  std::map<std::string, std::size_t> passed_over;  // see Listing
  std::size_t broken_links = 0;                    // see Listing
  std::size_t earlier_results = 0;                 // that were passed over, too
};

/// Where a picture's maps go: DIR/STEM-reflectance.png, .npy and so on.
inline constexpr const char* kMapNames[] = {"reflectance", "illumination", "restored", "adjusted"};
std::filesystem::path map_path(const Options& options, const Job& job, const char* map, const char* extension);

/// Whether the output is a folder.
bool into_folder(const Options& options);

/// Whether the only input is a YUV4MPEG2 video: a file by its content, a pipe by its name.
bool is_video_file(const Options& options);

/// Every picture and where its results go, or the one `video`. Frames of a sequence are in the order of their names, with
/// numbers in them by their value. Pictures whose results would have the same name have an error. Throws Error where
/// a file would be written over an input, over a file that exists and may not be replaced, a sequence's results would be
/// of several types, or, by way of a symbolic link, outside of the output folder.
Plan plan(const Options& options, bool video = false);

/// What of the options has no effect on the plan, a line each.
std::vector<std::string> options_without_effect(const Options& options, const Plan& plan);

/// Throws Error where a folder below `outer`, a folder for results, lies, by way of a symbolic link, outside of it.
void check_inside(const std::filesystem::path& outer, const std::filesystem::path& folder);

/// Folders for results. Those that were made and in the end hold nothing, since every picture failed, are removed. May be
/// used from several threads at once.
class Folders {
 public:
  Folders() = default;
  ~Folders();
  Folders(const Folders&) = delete;
  Folders& operator=(const Folders&) = delete;

  /// Throws Error where it cannot be made.
  void make(const std::filesystem::path& folder);
  /// Those for the job's results and maps. Throws Error where the output folder is gone, or a link leads out of it.
  void make_for(const Options& options, const Job& job);
  /// What the destructor does.
  void remove_empty();

 private:
  std::mutex mutex_;
  std::vector<std::filesystem::path> made_;  // each behind the one that it lies in
};

}  // namespace kind
