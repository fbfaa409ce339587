#pragma once

#include <functional>
#include <string>

#include "train/trainer/config.h"

namespace kind {

/// Writes the pairs of every source that synthesizes, with the one dark twin that each picture keeps: OUT/low/STEM.png,
/// OUT/high/STEM.png and OUT/split.json, which kind-eval and kind-train read; OUT/SOURCE/... where there are several
/// such sources. `message` gets a line for each. Throws Error where there is no such source, `out` has something in it
/// already, or anything cannot be read or written.
void export_pairs(const TrainConfig& config, const std::string& out,
                  const std::function<void(const std::string&)>& message);

}  // namespace kind
