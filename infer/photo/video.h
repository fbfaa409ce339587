#pragma once

#include <cstdint>
#include <vector>

#include "infer/photo/plan.h"
#include "infer/photo/stopping.h"

namespace kind {

/// Enhances the video of the job, frame by frame; `start` is what was read of the standard input already. While a frame
/// is computed the next is read and the last one written, and no more of them are held. A file appears when all is done;
/// the standard output gets each frame as soon as it is there. After a signal the frame at hand has a moment to finish. A video that ends
/// within a frame gives all frames before it, and kExitSomeFailed. Returns the exit code; throws Error where nothing can
/// be done at all, or no more of it.
int run_video(const Options& options, const Job& job, std::vector<std::uint8_t> start, Stopping& stopping);

}  // namespace kind
