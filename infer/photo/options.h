#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "infer/photo/names.h"
#include "nets/photograph.h"

namespace kind {

/// The command line of kind-infer, checked.
struct Options {
  std::vector<std::string> inputs;  // "-": the standard input
  std::string output;               // "-": the standard output; empty where there is only `compare`
  std::string weights, maps, report, compare;
  std::optional<ImageFormat> format;  // of results in a folder or on the standard output
  PhotoOptions photo;
  std::vector<double> ladder;               // ratios of several results a picture; empty: one
  bool sheet = false;                       // the ladder's results as one picture
  bool sequence = false;                    // the pictures, or the frames of a video, are of one scene
  std::optional<double> frames_per_second;  // as given; see rate()
  bool recursive = false, overwrite = false, skip_existing = false, dry_run = false;
  std::optional<NamePattern> names;  // of results in a folder; else they have the inputs' names
  bool in_place = false;             // results replace the inputs, which are kept with `backup` behind their names
  std::string backup = "~";
  bool keep_time = false;     // results have the inputs' time of modification
  bool tolerant = false;      // what can be decoded of a damaged picture is enhanced
  bool strip = false;         // results hold pixels alone
  bool ignore_color = false;  // all values are taken for sRGB
  WriteOptions write;
  bool quality_given = false, chroma_given = false;
  ReadLimits limits;
  std::uint64_t max_memory = 0;
  int jobs = 1;
  int threads = 0;  // 0: all
  bool exact = false;

  bool to_stdout() const { return output == "-"; }
  double rate() const { return frames_per_second.value_or(25); }
};

/// Nothing where all that was asked for was help or the version, which is then printed. Throws Error for anything else
/// that does not lead to work.
std::optional<Options> parse_options(int argc, char** argv);

}  // namespace kind
