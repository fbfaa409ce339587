#pragma once

#include <string>

#include "infer/plan.h"

namespace kind {

/// Reads, enhances and writes one picture; returns a line on what was done. If one of its files cannot be written none
/// of them is left.
std::string enhance_file(const Model<float>& model, const Options& options, const Job& job);

}  // namespace kind
