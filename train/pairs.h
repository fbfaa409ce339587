#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/io/image.h"
#include "nets/pair_folder.h"
#include "train/config.h"

namespace kind {

/// The training pictures: pairs of the same scene, dark and bright, found and read before the first step.
///
/// The folder is as nets/pair_folder.h has it; with data.synthesize it holds bright pictures alone, and camera.h makes
/// the dark ones. Its split.json, where it has one, says which pair serves what.
class Pairs {
 public:
  /// Reads every picture once. Throws one Error that lists, by name, all pairs with a missing twin, different sizes, an
  /// unreadable file, or a side smaller than `smallest_side`.
  Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed);

  /// Smallest and largest value of a picture, in 0..1.
  struct Range {
    float low = 0, high = 0;
  };
  struct Pair {
    std::string stem;
    int width = 0, height = 0;
    Range low, high;  // of the dark and the bright picture
  };
  const std::vector<Pair>& all() const { return pairs_; }
  /// Indices into all(), in the order of the sorted names (numbers by value).
  const std::vector<std::size_t>& train() const { return train_; }
  const std::vector<std::size_t>& validation() const { return validation_; }

  /// The dark and the bright picture of a pair, 8-bit RGB. Where memory_mb did not allow to keep them they are decoded
  /// again, and the reference holds until the next call.
  struct Pictures {
    Image low, high;
  };
  const Pictures& pictures(std::size_t index) const;

  /// A hash of all names and pixels, so that a run is not resumed on other pictures.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  Pictures read(std::size_t index) const;
  void read_all(std::int64_t smallest_side, std::vector<std::string>& problems);
  void split();

  DataConfig config_;
  std::uint64_t seed_;
  PairFolder folder_;
  std::vector<Pair> pairs_;
  std::vector<std::size_t> train_, validation_;
  mutable std::vector<Pictures> kept_;
  mutable Pictures last_;  // of a pair that is not kept
  mutable std::optional<std::size_t> last_index_;
  std::uint64_t fingerprint_ = 0;
};

/// One of the 8 flips and rotations of planes [c, s, s] (mode 0 leaves them): as the authors' program numbers them,
/// where "up-down" reverses rows and rotations are counter-clockwise: 0 none, 1 up-down, 2 rotated by 90, 3 that and
/// up-down, 4 rotated by 180, 5 that and up-down, 6 rotated by 270, 7 that and up-down.
Tensor<float> flip_rotate(const Tensor<float>& planes, int mode);

}  // namespace kind
