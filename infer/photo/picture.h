#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/image/animation.h"
#include "infer/photo/claim.h"
#include "infer/photo/plan.h"
#include "infer/photo/stopping.h"
#include "nets/sequence.h"

namespace kind {

/// One picture on its way: read, enhanced, written, each by a function below. All throw Error.
struct Picture {
  Job job;
  std::vector<std::unique_ptr<Claim>> claims;  // to its results
  std::vector<bool> may_replace;               // each of the results: there was one when the work began
  bool read = false;
  std::optional<timespec> modified;  // when, for --keep-time
  std::string damage;                // of what is not all there, for --tolerant
  int width = 0, height = 0;
  Image image;          // empty once it is enhanced
  int bits = 8;         // of the file's samples
  Animation animation;  // all frames of an animated picture, if its result is to be one; the image is the first of them
  std::size_t frames = 1;
  Metadata metadata;
  std::shared_ptr<const ColorEncoding> color;  // of the image and the results; null: sRGB
  std::string color_note;                      // what was done about it
  ImageFormat format = ImageFormat::kPng;      // of the results

  struct Result {
    double ratio = 1, strength = 1;
    std::optional<double> mean;      // of its colours, 0..1, where it is not the one asked for
    std::string limit;               // that --brighter or --darker came to
    Image image;                     // either this ...
    std::vector<std::uint8_t> file;  // ... or, where there are several, what is to be written
  };
  std::vector<Result> results;
  Enhanced maps;
  std::string page;                   // of --compare
  std::vector<std::string> left_out;  // what of the picture its results do not hold
  double read_seconds = 0, enhance_seconds = 0, write_seconds = 0;
};

/// What all works on pictures share.
struct Limits {
  ReadLimits read;
  std::uint64_t max_bytes = 0;            // of the work on one picture
  std::vector<std::uint8_t> stdin_start;  // what was read of the standard input already
};

/// Throws Error where --max-mem does not leave any memory for pictures.
Limits make_limits(const Options& options);

/// The model of --weights; `say` gets what is to be said of it on stderr. Throws Error where it cannot enhance.
Model<float> load_enhancer(const Options& options, const std::function<void(const std::string&)>& say);

/// Whether a picture can be read before its turn: it is an ordinary file and not so large that two of its kind are too
/// much. Throws Error where its header says that it will not be read at all.
bool can_read_ahead(const Job& job, const Limits& limits);
/// Throws Stopped as well, where a signal ends the wait for a pipe.
void read_picture(const Options& options, const Limits& limits, const Stopping& stopping, Picture& picture);
void enhance_picture(const Model<float>& model, const Options& options, const Limits& limits, Picture& picture,
                     const std::function<void(double)>& progress);
/// The same of frames of one scene, without maps, pages and sheets; the sequence is made with frame_options() of its first
/// picture.
PhotoOptions frame_options(const Options& options, const Limits& limits, const Picture& picture,
                           const std::function<void(double)>& progress);
void enhance_frame(SequenceEnhancer& sequence, const Options& options, Picture& picture);
/// As the results are to be written.
WriteOptions write_options(const Options& options, const Picture& picture);

/// "a.png: 600x400, ratio 2.5; left out: transparency".
std::string result_line(const Picture& picture);

}  // namespace kind
