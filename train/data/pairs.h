#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "nets/data/pair_folder.h"
#include "train/data/data_config.h"

namespace kind {

/// The training pictures: pairs of the same scene, dark and bright, found and read before the first step.
///
/// They come from one folder or from several sources. nets/data/pair_folder.h describes folders; with synthesize a
/// folder contains only bright pictures, and camera.h makes the dark ones. Its split_file or split.json assigns pairs
/// to training, validation and test.
class Pairs {
 public:
  /// Reads every picture once. Throws one Error that lists all pairs of a source with a missing twin,
  /// different sizes, an unreadable file, or a side smaller than `smallest_side`.
  Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed);

  struct Pair {
    std::string stem;  // with several sources "SOURCE/STEM"
    int width = 0, height = 0;
    std::size_t source = 0;
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
    std::int64_t turns = 0;                            // samples that it gets of kTurns in a row
  };
  static constexpr std::int64_t kTurns = 1000;
  /// At least one; their turns add up to kTurns.
  const std::vector<Source>& sources() const { return sources_; }

  /// The dark and the bright picture of a pair, 8-bit RGB. If they did not fit into memory_mb, they are decoded again,
  /// and the reference is valid until the next call.
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
  std::uint64_t content_hash(std::size_t index) const { return content_[index]; }

 private:
  const PairFolder::Pair& files(std::size_t index) const;
  Image darken_pair(std::size_t index, const Image& high, std::uint64_t draw) const;
  Pictures read(std::size_t index) const;
  void read_all(std::int64_t smallest_side);
  void split(Source& source);
  void share_turns();

  DataConfig config_;
  std::uint64_t seed_;
  std::vector<Source> sources_;
  std::vector<Pair> pairs_;
  std::vector<std::size_t> train_, validation_;
  mutable std::vector<Pictures> kept_;
  mutable Pictures last_;  // of a pair that is not kept
  mutable std::optional<std::size_t> last_index_;
  std::uint64_t fingerprint_ = 0;
  std::vector<std::uint64_t> content_;
};

/// One of the 8 flips and rotations of planes [c, s, s] (mode 0 leaves them): as the authors' program numbers them,
/// where "up-down" reverses rows and rotations are counter-clockwise: 0 none, 1 up-down, 2 rotated by 90, 3 that and
/// up-down, 4 rotated by 180, 5 that and up-down, 6 rotated by 270, 7 that and up-down.
Tensor<float> flip_rotate(const Tensor<float>& planes, int mode);

}  // namespace kind
