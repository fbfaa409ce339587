#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/io/image.h"
#include "nets/photograph.h"

namespace kind {

/// The command line of kind-infer, checked.
struct Options {
  std::vector<std::string> inputs;
  std::string output, weights, maps;
  std::optional<ImageFormat> format;  // of results in a folder
  PhotoOptions photo;
  bool overwrite = false;
  bool strip = false;  // results hold pixels alone
  WriteOptions write;
  ReadLimits limits;
  int threads = 0;  // 0: all
  bool exact = false;
};

/// Nothing where all that was asked for was help or the version, which is then printed. Throws Error for anything else
/// that does not lead to work.
std::optional<Options> parse_options(int argc, char** argv);

}  // namespace kind
