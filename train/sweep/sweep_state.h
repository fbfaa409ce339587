#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "train/sweep/halving.h"
#include "train/sweep/sweep.h"

/// What the folders of a sweep tell of its tasks.
namespace kind {

/// Whether a file or folder is there; false where that cannot be told.
bool is_there(const std::string& path);
/// Throws Error where it cannot be made.
void make_folder(const std::string& path);
/// The last line of a text file that is not empty.
std::string last_line(const std::string& path);

/// ", psnr 20.13" of the last validation of a run, for a message; empty if there is none.
std::string result_text(const std::string& folder);

/// Where the task has more steps in its last stage than the run in its folder was begun with: those.
std::optional<std::int64_t> grown_from(const SweepTask& task, const std::string& out);
/// Whether a task has nothing left to do: it has a model of all its steps, or was stopped by a budget in minutes.
bool is_done(const SweepTask& task, const SweepPlan& plan, const std::string& out);

/// Holds the process of a run while it runs.
std::string pid_file(const SweepTask& task, const std::string& out);

/// Steps of the stages of a run that have been taken, and how long they took.
struct RunPace {
  std::map<std::string, std::int64_t> steps;  // by stage
  std::map<std::string, double> seconds;      // the time of all of them, validations included
  std::int64_t all() const;                   // of all stages
};
/// By the lines of metrics.jsonl in a run's folder.
RunPace read_pace(const std::string& folder);

/// How long a sweep takes, by the runs so far: what a step of each stage took in them, or of all stages where none has
/// come to one.
class SweepClock {
 public:
  /// Adds what a run tells; of a run that was there before what is new.
  void add(const std::string& folder, const RunPace& pace);
  /// Notes that a run will tell no more.
  void close(const std::string& folder) { closed_.insert(folder); }
  bool is_closed(const std::string& folder) const { return closed_.count(folder) > 0; }
  /// Seconds that the rest of a task takes, of which `done` has been done; nothing while no step has been timed.
  /// `until` steps of the last stage are its end, 0: as the config says.
  std::optional<double> left(const SweepTask& task, const RunPace& done, std::int64_t until) const;
  /// Seconds of `steps` steps of a stage.
  std::optional<double> steps(const std::string& stage, std::int64_t steps) const;

 private:
  std::map<std::string, RunPace> runs_;  // by folder
  std::set<std::string> closed_;
  std::map<std::string, double> seconds_;
  std::map<std::string, std::int64_t> steps_;
};

/// The seconds that a sweep still takes with `jobs` runs at once, by its folders; nothing while that cannot be told.
/// `clock` keeps what was read from call to call.
std::optional<double> sweep_seconds_left(const SweepPlan& plan, const std::string& out, int jobs, SweepClock& clock);

}  // namespace kind
