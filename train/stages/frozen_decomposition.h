#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nets/model.h"
#include "train/data/pairs.h"
#include "train/stages/map_store.h"
#include "train/stages/shared_maps.h"

namespace kind {

/// Decompositions of whole pictures by a frozen net, each computed once, at first use. With a `shared` folder they are
/// kept in a file there whose name identifies the net's weights, the pictures and the kernels: other runs with the same
/// ones share it, concurrently or later.
class FrozenDecomposition {
 public:
  /// The maps of a pair as planes: R_low 0..2, L_low 3, R_high 4..6, L_high 7.
  static constexpr std::int64_t kPlanes = 8;

  FrozenDecomposition(const Model<float>& model, const Pairs& pairs, std::size_t memory_bytes, std::string folder,
                      std::string shared = "");

  /// The store, holding that pair's maps.
  const MapStore& maps(std::size_t index);

  /// The ratios of adjustment for the whole picture of a pair, upwards and downwards (see ratio_between).
  struct Ratio {
    double up, down;
  };
  Ratio ratio(std::size_t index);
  /// The upward ratio with another dark picture instead of the pair's.
  double ratio_up(std::size_t index, const Image& low);

 private:
  Tensor<float> decompose(std::size_t index) const;
  std::string content_name() const;

  const Model<float>& model_;
  const Pairs& pairs_;
  MapStore store_;
  std::vector<std::optional<Ratio>> ratios_;
  MapStore bright_light_;  // L_high alone, for ratio_up
  std::string shared_folder_;
  std::unique_ptr<SharedMaps> shared_;  // opened when it is first needed
};

}  // namespace kind
