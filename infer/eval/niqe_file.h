#pragma once

#include <string>

#include "losses/metrics/niqe.h"

namespace kind {

/// Reads a model for NIQE: the JSON of --fit-niqe, or the file in which the authors of NIQE publish theirs, a MAT-file with
/// mu_prisparam (1 x 36) and cov_prisparam (36 x 36) for patches of 96x96. Throws Error naming the path.
NiqeModel read_niqe_model(const std::string& path);

}  // namespace kind
