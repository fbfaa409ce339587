#pragma once

#include <string>

#include "train/trainer/config.h"

namespace kind {

/// Begins a run in `out` as a copy of the finished run in `from`, whose stages are the first ones of this config, so
/// that resuming it goes on with the next stage: to the same bytes as if it had trained them itself. Does nothing where
/// `out` has a checkpoint already. Seed, pictures and everything else but fit_light must be the same; where the
/// pictures lie may differ, and resuming looks at them. Throws Error where `from` is no such run or is not finished,
/// NotFinite where it has failed.
void branch_run(const TrainConfig& config, const std::string& from, const std::string& out);

/// RUN/failed.json: why a run ended before its model was finished. The text, or nothing where there is no such file.
std::optional<std::string> failure_of(const std::string& run);
/// Writes it, and makes the folder where it is missing.
void put_failure(const std::string& run, const std::string& reason);

}  // namespace kind
