#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "infer/photo/options.h"

namespace kind {

/// What is found where the command line says.
struct Listing {
  struct Input {
    std::filesystem::path file, folder;  // the folder: where below the one that was given
    std::string error = {};              // of what cannot be listed or looked at
  };
  std::vector<Input> inputs;  // folder by folder in the order of their names (comes_before)
  std::map<std::string, std::size_t>
      passed_over;               // files of folders that are no pictures, by extension (".txt", or "")
  std::size_t broken_links = 0;  // named like pictures that lead nowhere or round in a circle
  std::size_t results = 0;       // of earlier runs, by their names, that are no inputs
};

/// The input files, folders replaced by the pictures in them. Throws Error for a folder without any.
Listing list_inputs(const Options& options);

/// The path with links resolved as far as it exists.
std::filesystem::path real_path(const std::filesystem::path& path);

/// Whether a comes before b: byte by byte, but runs of digits by their value. What is equal that way, as 7 and 07, goes
/// by its bytes.
bool comes_before(const std::string& a, const std::string& b);

/// "12 files of other types (.mp4 8, .txt 4)".
std::string passed_over_text(const std::map<std::string, std::size_t>& passed_over);

}  // namespace kind
