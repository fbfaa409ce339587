#pragma once

#include <string>

#include "train/trainer/config.h"

namespace kind {

/// Starts a run in `out` as a copy of the finished run in `from`, whose stages are the first ones of this config, so
/// that resuming it continues with the next stage and reaches the same bytes as without branching. Does nothing if
/// `out` already has a checkpoint or a finished model. Seed, pictures and everything else except fit_light must be the same; the pictures'
/// location may differ, and resuming checks them. Throws Error if `from` is no such run or is not finished, NotFinite
/// if it has failed.
void branch_run(const TrainConfig& config, const std::string& from, const std::string& out);

/// The reason in RUN/failed.json why a run failed; nothing if there is no such file.
std::optional<std::string> failure_of(const std::string& run);
/// Writes that file, and creates the folder if necessary.
void put_failure(const std::string& run, const std::string& reason);

}  // namespace kind
