#pragma once

#include "core/files/file.h"
#include "infer/photo/picture.h"

namespace kind {

/// Whether the backup of a job in place is the input itself, by a second name: so it is between the making of the backup
/// and the replacement, and where a run has ended there.
bool is_unfinished_backup(const Job& job);

/// Claims the picture's results among all runs, and finds out which of them may be replaced. False where they are there
/// already and --skip-existing passes over the picture. Throws ClaimedElsewhere, or Error where they cannot be written
/// or have appeared since the run began.
bool claim_results(const Options& options, Picture& picture, Folders& folders);

/// Gives a file that is being written its time of modification. Throws Error.
void set_time(const AtomicFile& file, const std::string& path, const timespec& modified);

/// Writes the picture's results, maps and page; folders that are missing are made. If one of the files cannot be written
/// none of them is left. A result that has appeared in the meantime is never replaced, unless options say so. Throws
/// Error, or Stopped where a signal leaves no time.
void write_picture(const Options& options, Picture& picture, Folders& folders, const Stopping& stopping);

}  // namespace kind
