#include "train/sweep/sweep_state.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/base/count.h"
#include "core/base/error.h"
#include "train/sweep/branch.h"
#include "train/sweep/sweep_plan.h"
#include "train/sweep/sweep_run.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/estimate.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Whether the run's process is there: that number may have become another program's.
bool is_running(const SweepTask& task, const std::string& out) {
  std::ifstream file(pid_file(task, out));
  long pid = 0;
  if (!(file >> pid)) return false;
  std::ifstream command(join("/proc/", pid, "/cmdline"), std::ios::binary);
  const std::string arguments{std::istreambuf_iterator<char>(command), std::istreambuf_iterator<char>()};
  return arguments.find(std::string(1, '\0') + out + "/" + task.folder + std::string(1, '\0')) != std::string::npos;
}

/// Steps of a stage in a task's config; nothing where it counts epochs, whose steps depend on the pictures.
std::optional<std::int64_t> steps_of(const json& stage) {
  if (!stage.contains("steps") || !stage["steps"].is_number_integer()) return std::nullopt;
  return stage["steps"].get<std::int64_t>();
}

std::string last_stage_of(const SweepTask& task) {
  return task.config.at("stages").back().at("name").get<std::string>();
}

/// The steps of the last stage that a run has yet to take to, by halving.
std::int64_t rung_steps(const SweepPlan& plan, std::size_t decided) {
  if (!plan.config.halving) return 0;
  const std::vector<std::int64_t>& rungs = plan.config.halving->rungs;
  return rungs[std::min(decided, rungs.size() - 1)];
}

/// "running, step N of M, about H:MM:SS left", "step N of M", "-".
/// The time is that to `until` steps of the last stage, 0: to its end.
std::string progress_text(const SweepTask& task, const std::string& out, bool running, std::int64_t until) {
  const std::string folder = out + "/" + task.folder;
  const RunPace pace = read_pace(folder);
  const std::int64_t step = std::max(pace.all(), Checkpoints(folder).newest().value_or(0));
  std::int64_t all = 0;
  bool known = true;
  for (const json& stage : task.config.at("stages")) {
    const std::optional<std::int64_t> steps = steps_of(stage);
    known = known && steps;
    all += steps.value_or(0);
  }
  const std::string at = step == 0 ? "" : join("step ", step, known ? join(" of ", all) : "");
  if (!running) return at.empty() ? "-" : at;
  SweepClock clock;
  clock.add(folder, pace);
  const std::optional<double> left = clock.left(task, pace, until);
  return join("running", at.empty() ? "" : ", ", at,
              left && step > 0 ? ", about " + duration_text(*left) + " left" : "");
}

/// What several runs branch from is trained once: to all but the first of those that have not begun, it is done.
void add_shared(const SweepPlan& plan, const std::string& out,
                std::vector<std::pair<const SweepTask*, RunPace>>& open) {
  for (const SweepTask& task : plan.shared) {
    bool paid = is_done(task, plan, out);
    for (auto& [run, pace] : open) {
      if (run->branch_from != task.name || !pace.steps.empty()) continue;
      if (paid) {
        for (const json& stage : task.config.at("stages")) {
          pace.steps[stage.at("name").get<std::string>()] = steps_of(stage).value_or(0);
        }
      }
      paid = true;
    }
  }
}

/// Seconds of the rungs behind the next one, with as many points as they will have.
std::optional<double> later_rungs(const SweepPlan& plan, std::size_t decided, std::size_t points,
                                  const SweepClock& clock) {
  if (!plan.config.halving) return 0;
  const SweepHalving& halving = *plan.config.halving;
  auto left = static_cast<double>(points);
  double sum = 0;
  for (std::size_t i = decided + 1; i < halving.rungs.size(); ++i) {
    left = std::max(1.0, std::round(left * halving.keep));
    const std::optional<double> each =
        clock.steps(last_stage_of(plan.runs[0]), halving.rungs[i] - halving.rungs[i - 1]);
    if (!each) return std::nullopt;
    sum += *each * left * static_cast<double>(plan.config.seeds.size());
  }
  return sum;
}

}  // namespace

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, path, ": cannot be made: ", [&] { return error.message(); });
}

std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

std::string result_text(const std::string& folder) {
  std::ifstream file(folder + "/metrics.jsonl");
  std::string text;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    if (!entry.is_object() || !entry.contains("validation") || !entry["validation"].contains("psnr")) continue;
    text = join(", psnr ", std::round(100 * entry["validation"]["psnr"].get<double>()) / 100);
  }
  return text;
}

std::string pid_file(const SweepTask& task, const std::string& out) { return out + "/logs/" + task.name + ".pid"; }

std::optional<std::int64_t> grown_from(const SweepTask& task, const std::string& out) {
  const std::string file = out + "/" + task.folder + "/config.json";
  const std::optional<std::int64_t> now = last_steps(task.config);
  if (!now || !is_there(file)) return std::nullopt;
  const std::optional<std::int64_t> then = last_steps(read_json_file(file));
  return then && *then < *now ? then : std::nullopt;
}

bool is_done(const SweepTask& task, const SweepPlan& plan, const std::string& out) {
  const std::string folder = out + "/" + task.folder;
  if (is_there(folder + "/model.safetensors")) return !grown_from(task, out);
  return plan.config.budget.minutes && is_there(folder + "/stopped.json");
}

std::int64_t RunPace::all() const {
  std::int64_t sum = 0;
  for (const auto& [stage, count] : steps) sum += count;
  return sum;
}

RunPace read_pace(const std::string& folder) {
  RunPace pace;
  std::ifstream file(folder + "/metrics.jsonl");
  std::string stage;
  std::int64_t begun = 0, newest = 0;  // steps of the stages before, and up to the last line
  double seconds_begun = 0, seconds = 0;
  for (std::string line; std::getline(file, line);) {
    const json entry = json::parse(line, nullptr, false);
    if (!entry.is_object() || !entry.contains("stage") || !entry.contains("step")) continue;  // cut short by a kill
    if (entry["stage"] != stage) {
      stage = entry["stage"].get<std::string>();
      begun = newest;
      seconds_begun = seconds;
    }
    newest = entry["step"].get<std::int64_t>();
    seconds = entry.value("seconds", seconds);
    pace.steps[stage] = newest - begun;
    pace.seconds[stage] = seconds - seconds_begun;
  }
  return pace;
}

void SweepClock::add(const std::string& folder, const RunPace& pace) {
  RunPace& before = runs_[folder];
  for (const auto& [stage, count] : pace.steps) {
    steps_[stage] += count - before.steps[stage];
    seconds_[stage] += pace.seconds.at(stage) - before.seconds[stage];
  }
  before = pace;
}

std::optional<double> SweepClock::steps(const std::string& stage, std::int64_t steps) const {
  if (steps <= 0) return 0;
  double seconds = 0;
  std::int64_t count = 0;
  const bool timed = steps_.count(stage) > 0 && steps_.at(stage) > 0;
  for (const auto& [name, all] : steps_) {  // a stage that none has come to counts as the others
    if (timed && name != stage) continue;
    seconds += seconds_.at(name);
    count += all;
  }
  if (count <= 0) return std::nullopt;
  return static_cast<double>(steps) * seconds / static_cast<double>(count);
}

std::optional<double> SweepClock::left(const SweepTask& task, const RunPace& done, std::int64_t until) const {
  double sum = 0;
  const json& stages = task.config.at("stages");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const std::string name = stages[i].at("name").get<std::string>();
    std::optional<std::int64_t> all = steps_of(stages[i]);
    if (until > 0 && i + 1 == stages.size()) all = until;
    if (!all) return std::nullopt;
    const auto taken = done.steps.find(name);
    const std::optional<double> seconds = steps(name, *all - (taken == done.steps.end() ? 0 : taken->second));
    if (!seconds) return std::nullopt;
    sum += *seconds;
  }
  return sum;
}

std::optional<double> sweep_seconds_left(const SweepPlan& plan, const std::string& out, int jobs, SweepClock& clock) {
  const std::vector<Rung> rungs = read_rungs(out);
  const std::map<std::string, std::size_t> stopped = stopped_points(rungs);
  const std::int64_t until = rung_steps(plan, rungs.size());
  std::vector<std::pair<const SweepTask*, RunPace>> open;
  for (const SweepTask& run : plan.runs) {
    const std::string folder = out + "/" + run.folder;
    if (clock.is_closed(folder)) continue;
    RunPace pace = read_pace(folder);
    clock.add(folder, pace);
    if (stopped.count(plan.points[run.point].name) || is_done(run, plan, out)) {
      clock.close(folder);
    } else if (!failure_of(folder)) {
      open.emplace_back(&run, std::move(pace));
    }
  }
  add_shared(plan, out, open);
  double sum = 0;
  for (const auto& [run, pace] : open) {
    const std::optional<double> left = clock.left(*run, pace, until);
    if (!left) return std::nullopt;
    sum += *left;
  }
  const std::optional<double> later = later_rungs(plan, rungs.size(), plan.points.size() - stopped.size(), clock);
  if (!later) return std::nullopt;
  return (sum + *later) / std::max(1, jobs);
}

std::string task_state(const SweepTask& task, const SweepPlan& plan, const std::string& out) {
  const std::string folder = out + "/" + task.folder;
  if (is_done(task, plan, out)) return "done";
  if (const std::optional<std::string> reason = failure_of(folder)) return "failed: " + *reason;
  if (!task.shared && plan.config.halving) {
    const std::map<std::string, std::size_t> stopped = stopped_points(read_rungs(out));
    const auto at = stopped.find(plan.points[task.point].name);
    if (at != stopped.end()) {
      return join("stopped at rung ", at->second + 1, ", after ",
                  counted(plan.config.halving->rungs[at->second], "step"));
    }
    return progress_text(task, out, is_running(task, out), rung_steps(plan, read_rungs(out).size()));
  }
  return progress_text(task, out, is_running(task, out), 0);
}

std::string list_sweep(const SweepPlan& plan, const std::string& out) {
  std::string text;
  const bool begun = is_there(out);
  for (const SweepTask& run : plan.runs) {
    text += run.name + "\t" + plan.points[run.point].label + "\t" + (begun ? task_state(run, plan, out) : "-") + "\n";
  }
  return text;
}

std::string time_of_sweep(const SweepPlan& plan, const std::string& out) {
  int running = 0;
  for (const auto* tasks : {&plan.shared, &plan.runs}) {
    for (const SweepTask& task : *tasks) running += is_running(task, out);
  }
  if (running == 0) return "";
  SweepClock clock;
  for (const SweepTask& task : plan.shared) clock.add(out + "/" + task.folder, read_pace(out + "/" + task.folder));
  const std::optional<double> left = sweep_seconds_left(plan, out, running, clock);
  return join(running, running == 1 ? " is" : " are", " running",
              left ? "; about " + duration_text(*left) + " left of the sweep" : "");
}

}  // namespace kind
