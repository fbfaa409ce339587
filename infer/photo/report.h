#pragma once

#include <vector>

#include "infer/photo/console.h"

namespace kind {

/// Writes --report: the outcome of every job of the plan, after so many seconds. Throws Error.
void write_report(const Options& options, const Plan& plan, const std::vector<Outcome>& outcomes, double seconds);

}  // namespace kind
