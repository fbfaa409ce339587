#pragma once

#include <functional>
#include <string>

#include "train/data/pairs.h"
#include "train/trainer/config.h"

namespace kind {

/// Writes the pairs of every source with synthesize, with the permanent dark twin of each picture: OUT/low/STEM.png,
/// OUT/high/STEM.png and OUT/split.json, which kind-eval and kind-train read; OUT/SOURCE/... if there are several such
/// sources. `message` gets a line for each. Throws Error if there is no such source, `out` is not empty, or anything
/// cannot be read or written.
void export_pairs(const TrainConfig& config, const std::string& out,
                  const std::function<void(const std::string&)>& message, const PairsOptions& options = {});

}  // namespace kind
