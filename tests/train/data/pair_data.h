#pragma once

#include <string>
#include <vector>

#include "tests/train/run_folder.h"
#include "train/data/pairs.h"

/// Small pairs, and what became of them, for the tests of pairs.
namespace kind::testing {

using Names = std::vector<std::string>;

inline DataConfig data(const std::string& root, std::int64_t validation = 0) {
  DataConfig config;
  config.root = root;
  config.validation = validation;
  return config;
}

inline Names stems(const Pairs& pairs, const std::vector<std::size_t>& indices) {
  Names names;
  for (const std::size_t i : indices) names.push_back(pairs.all()[i].stem);
  return names;
}

/// One pair by that stem.
inline void put_pair(const TempDir& dir, const std::string& stem, int index) {
  put_picture(dir / ("low/" + stem + ".png"), scene(6, 5, index, true));
  put_picture(dir / ("high/" + stem + ".png"), scene(6, 5, index, false));
}

}  // namespace kind::testing
