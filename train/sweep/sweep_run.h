#pragma once

#include <functional>
#include <string>
#include <vector>

#include "train/sweep/sweep.h"

namespace kind {

/// Options of a sweep run. Each task runs as `PROGRAM CONFIG --out FOLDER --resume ...`.
struct SweepOptions {
  std::string program;  // kind-train
  std::string out;      // the sweep's folder
  int jobs = 1;         // runs at once
  int threads = 1;      // of all of them together
  bool resume = false;
  bool retry_failed = false;
  std::function<void(const std::string&)> message;  // one line
  std::function<int()> stop;                        // a signal that ends the sweep, 0 while there is none
};

struct SweepOutcome {
  std::size_t done = 0, failed = 0, left = 0;  // runs; those left are none of the others
  std::size_t stopped = 0;                     // by halving
};

/// Carries out the remaining tasks, starting with those that others branch from. `out` contains sweep.json (the plan),
/// points/NAME.json (configs), logs/NAME.txt (output of the runs), a folder per run, and shared/ (stages and
/// decomposition outputs that several runs need), bin/ (the program). A run that fails records its reason in
/// FOLDER/failed.json, and the others continue; `retry_failed` tries such runs again. `resume` retries runs that a
/// signal ended, and runs that had to wait for them. Runs stop when this program ends for any reason. With halving, all
/// runs go to a rung before it is decided, in halving.json; the decision stays. Throws Error if `out` contains another
/// sweep, or this one and `resume` is false, if another program works on it, or if the pictures or models that the first
/// run needs are not there: nothing is written then.
SweepOutcome run_sweep(const SweepPlan& plan, const SweepOptions& options);

/// The progress of a task: "done", "failed: REASON", "stopped at rung R, after N steps", "running, step N of M, about
/// H:MM:SS left", "step N of M" or "-".
std::string task_state(const SweepTask& task, const SweepPlan& plan, const std::string& out);

/// A line for each run: name, point and state.
std::string list_sweep(const SweepPlan& plan, const std::string& out);

/// While some of its runs are running: how many, and how long the sweep still takes with as many at once. Else empty.
std::string time_of_sweep(const SweepPlan& plan, const std::string& out);

/// The command that carries out a task, without the program's name.
std::vector<std::string> task_arguments(const SweepTask& task, const SweepPlan& plan, const std::string& out);

/// Checks the inputs of the first run before anything is written; refuses a folder with other content, and more steps
/// of runs that cannot go on.
void check_sweep(const SweepPlan& plan, const SweepOptions& options);
/// Writes sweep.json and makes the folders. Models of runs that have more steps now are removed first: wherever there
/// is a model, it is of all steps.
void write_plan(const SweepPlan& plan, const std::string& out);
/// Copies the program into the sweep's folder, as bin/NAME, so that building it anew changes no run to come; returns
/// the copy's path. A copy that is there already stays, with a message if it is another program.
std::string keep_program(const SweepOptions& options);
/// Writes points/NAME.json.
void write_task(const SweepTask& task, const std::string& out);

enum class SweepScript { kSlurm, kParallel };

/// Writes the plan and all configs into options.out and a script (slurm.sh or parallel.sh) that carries out the same
/// tasks elsewhere; returns the script's path. Slurm: the script submits itself as job arrays, one for each level of
/// tasks that depends on another. Errors as for run_sweep; sweeps with halving are refused, since a rung waits for all of
/// its runs.
std::string emit_sweep(const SweepPlan& plan, const SweepOptions& options, SweepScript kind);

}  // namespace kind
