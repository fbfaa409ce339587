#pragma once

#include <functional>
#include <string>
#include <vector>

#include "train/sweep/sweep.h"

namespace kind {

/// How a sweep is carried out. Each task is this program run as `PROGRAM CONFIG --out FOLDER --resume ...`.
struct SweepOptions {
  std::string program;  // kind-train
  std::string out;      // the sweep's folder
  int jobs = 1;         // runs at once
  int threads = 1;      // of all of them together
  bool resume = false;
  std::function<void(const std::string&)> message;  // one line
  std::function<int()> stop;                        // a signal that ends the sweep, 0 while there is none
};

struct SweepOutcome {
  std::size_t done = 0, failed = 0, left = 0;  // runs; those left are neither
};

/// Carries out the tasks that are still to be done, those that others branch from first. `out` holds sweep.json (the
/// plan), points/NAME.json (configs), logs/NAME.txt (what the runs said), a folder a run, and shared/ (stages and
/// decomposition outputs that several runs need). A run that fails leaves its reason in FOLDER/failed.json, and the
/// others go on; what a signal ended, and what its end kept from beginning, is tried again with `resume`. Runs end when
/// this program does, however it ends. Throws Error where `out` holds another sweep, or this one and `resume` is false,
/// where another program works on it, or where the pictures or models that the first run needs are not there: nothing
/// is written then.
SweepOutcome run_sweep(const SweepPlan& plan, const SweepOptions& options);

/// How far a task is: "done", "failed: REASON", "step N" or "-".
std::string task_state(const SweepTask& task, const SweepPlan& plan, const std::string& out);

/// A line for each run: name, point and state.
std::string list_sweep(const SweepPlan& plan, const std::string& out);

/// The command that carries out a task, without the program's name.
std::vector<std::string> task_arguments(const SweepTask& task, const SweepPlan& plan, const std::string& out);

/// Looks at what the first run needs, before anything is written; refuses a folder that holds something else.
void check_sweep(const SweepPlan& plan, const SweepOptions& options);
/// Writes sweep.json and makes the folders.
void write_plan(const SweepPlan& plan, const std::string& out);
/// Writes points/NAME.json.
void write_task(const SweepTask& task, const std::string& out);

enum class SweepScript { kSlurm, kParallel };

/// Writes the plan and all configs into options.out and a script (slurm.sh or parallel.sh) that carries out the same
/// tasks elsewhere; returns the script's path. Slurm: the script submits itself as job arrays, one for each level of
/// tasks that depends on another. Errors as for run_sweep.
std::string emit_sweep(const SweepPlan& plan, const SweepOptions& options, SweepScript kind);

}  // namespace kind
