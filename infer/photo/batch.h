#pragma once

#include <functional>

#include "core/program/program.h"
#include "infer/photo/options.h"

namespace kind {

/// Enhances all pictures of the plan, several at once as options say; while one is computed the next is read and the
/// last one written. What was done is said on stderr, the results are named on stdout, both in the plan's order; a bad
/// picture is named and passed over. A video is enhanced by run_video(). After `stop` (a signal's number, else 0) nothing begins, and the pictures at hand
/// have the time that Stopping leaves them; what cannot be cancelled then ends by `leave`, which ends the process with
/// an exit code. Returns the exit code. Throws Error where nothing can be done at all.
int run_batch(const Options& options, const StopSignal& stop, const std::function<void(int)>& leave);

}  // namespace kind
