#pragma once

#include <filesystem>
#include <vector>

#include "infer/options.h"

namespace kind {

/// One picture and what is to become of it.
struct Job {
  std::filesystem::path input, output;
};

/// Where a picture's maps go: DIR/STEM-reflectance.png, .npy and so on.
inline constexpr const char* kMapNames[] = {"reflectance", "illumination", "restored", "adjusted"};
std::filesystem::path map_path(const Options& options, const Job& job, const char* map, const char* extension);

/// The type that a file is written as by its name's extension.
ImageFormat format_of(const std::filesystem::path& path);

/// Whether the output is a folder.
bool into_folder(const Options& options);

/// Every picture and where its result goes. Throws Error where a result would be written twice, over an input, or over
/// a file that exists and may not be replaced.
std::vector<Job> plan(const Options& options);

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
