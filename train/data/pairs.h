#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "nets/data/pair_folder.h"
#include "train/data/check_cache.h"
#include "train/data/data_config.h"

namespace kind {

/// How pairs are checked.
struct PairsOptions {
  /// After each pair: how many of how many are checked. One thread at a time calls it, but not always the same.
  std::function<void(std::size_t done, std::size_t all)> progress = {};
  /// Folder for what is found out of the files (CheckCache), such as cache_folder(); empty: nothing is kept.
  std::string cache = {};
};

/// The training pictures: pairs of the same scene, dark and bright, found and read before the first step.
///
/// They come from one folder or from several sources. nets/data/pair_folder.h describes folders; with synthesize a
/// folder contains only bright pictures, and camera.h makes the dark ones. Its split_file or split.json assigns pairs
/// to training, validation and test.
class Pairs {
 public:
  /// Reads every picture once, with all threads; those of earlier checks are read when they are used. Throws one Error
  /// that lists all pairs of a source with a missing twin, different sizes, an unreadable file, or a side smaller than
  /// `smallest_side`. With skip_unusable it leaves these out, and throws if a source has no others.
  Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed, const PairsOptions& options = {});

  struct Pair {
    std::string stem;  // with several sources "SOURCE/STEM"
    int width = 0, height = 0;
    std::size_t source = 0;
    std::uint64_t number = 0;  // of its name in the source's list, in which those that were left out count
  };
  const std::vector<Pair>& all() const { return pairs_; }
  /// Indices into all(), source by source, in the order of the sorted names (numbers by value).
  const std::vector<std::size_t>& train() const { return train_; }
  const std::vector<std::size_t>& validation() const { return validation_; }

  struct Source {
    SourceConfig config;
    PairFolder folder;
    std::size_t first = 0;                             // of its pairs in all(); they are in the folder's order
    std::vector<std::size_t> train, validation, test;  // indices into all()
    std::int64_t turns = 0;                            // shared_turns of the weights in the config
  };
  /// At least one; their turns add up to kTurns.
  const std::vector<Source>& sources() const { return sources_; }

  static constexpr std::int64_t kTurns = 1000;
  /// The samples that each source gets of kTurns in a row: its share by weight, rounded such that all add up; at least
  /// one where the weight is above 0. Throws Error if there are too many sources for that, or no weight is above 0.
  static std::vector<std::int64_t> shared_turns(const std::vector<double>& weights);

  /// With skip_unusable a text for each pair that is left out: "SOURCE/STEM: what is wrong".
  const std::vector<std::string>& left_out() const { return left_out_; }

  /// The dark and the bright picture of a pair, RGB, each of the 8 or 16 bits of its file; a made dark picture has 8. If
  /// they did not fit into memory_mb, they are decoded again, and the reference is valid until the next call. Throws Error
  /// if the pictures are not those that were checked.
  struct Pictures {
    Image low, high;
  };
  const Pictures& pictures(std::size_t index) const;

  /// Whether training uses a new dark picture of this pair each time.
  bool fresh(std::size_t index) const;
  /// A dark picture made from a pair's bright one; depends only on seed, pair and `draw`. The source must have
  /// synthesize. As for pictures(), one thread at a time.
  Image dark_twin(std::size_t index, std::uint64_t draw) const;

  /// A hash of all names and pixels (and, of listed sources, of the splits), so that a run is not resumed on other
  /// pictures.
  std::uint64_t fingerprint() const { return fingerprint_; }
  /// A hash of the stem, size and pixels of a pair's files; it depends neither on the split nor on a camera model.
  std::uint64_t content_hash(std::size_t index) const { return checks_[index].content; }

 private:
  const PairFolder::Pair& files(std::size_t index) const;
  Image darken_pair(std::size_t index, const Image& high, std::uint64_t draw) const;
  Pictures read(std::size_t index) const;
  PairCheck check_of(std::size_t index, const Pictures& pictures) const;
  /// Keeps them if they fit into memory_mb.
  bool keep(std::size_t index, Pictures& pictures) const;
  /// A text for each pair, empty for those that can be used.
  std::vector<std::string> check_all(std::int64_t smallest_side, const PairsOptions& options);
  void leave_out(const std::vector<std::string>& found);
  void split(Source& source);

  DataConfig config_;
  std::uint64_t seed_;
  std::vector<Source> sources_;
  std::vector<Pair> pairs_;
  std::vector<std::size_t> train_, validation_;
  mutable std::vector<Pictures> kept_;
  mutable std::atomic<std::size_t> kept_bytes_ = 0;
  mutable Pictures last_;  // of a pair that is not kept
  mutable std::optional<std::size_t> last_index_;
  std::uint64_t fingerprint_ = 0;
  std::vector<PairCheck> checks_;
  std::vector<std::unique_ptr<CheckCache>> caches_;  // of the sources
  std::vector<std::string> left_out_;
};

/// One of the 8 flips and rotations of planes [c, s, s] (mode 0 leaves them): as the authors' program numbers them,
/// where "up-down" reverses rows and rotations are counter-clockwise: 0 none, 1 up-down, 2 rotated by 90, 3 that and
/// up-down, 4 rotated by 180, 5 that and up-down, 6 rotated by 270, 7 that and up-down.
Tensor<float> flip_rotate(const Tensor<float>& planes, int mode);

}  // namespace kind
