// Long because a sweep's processes, their folders and their outcomes are one class that goes on after a kill.

#include "train/sweep/sweep_run.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/file.h"
#include "core/program/program.h"
#include "train/sweep/branch.h"
#include "train/sweep/halving.h"
#include "train/sweep/sweep_lock.h"
#include "train/sweep/sweep_state.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/estimate.h"
#include "train/trainer/trainer.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class Sweep {
 public:
  Sweep(const SweepPlan& plan, const SweepOptions& options) : plan_(plan), options_(options) {
    for (const SweepTask& task : plan.shared) tasks_.push_back({&task});
    for (const SweepTask& task : plan.runs) tasks_.push_back({&task});
    for (std::size_t i = 0; i < tasks_.size(); ++i) index_[tasks_[i].task->name] = i;
  }

  SweepOutcome run() {
    started_ = told_time_ = Clock::now();
    rungs_ = read_rungs(options_.out);
    look_at_folder();
    remove_idle_maps();
    while (true) {
      const int signal = options_.stop();
      if (signal && !told_) {
        for (const Entry& entry : tasks_) {
          if (entry.pid > 0) ::kill(entry.pid, SIGTERM);
        }
        told_ = true;
      }
      for (std::size_t next; !signal && running_ < options_.jobs && find_next(next);) start(tasks_[next]);
      if (running_ == 0 && (signal || !next_rung())) break;
      if (!reap()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      tell_time();
    }
    return count();
  }

 private:
  /// kPaused: it has come to the rung that is to be decided; kStopped: others go on in its place.
  enum class State { kWaiting, kRunning, kPaused, kStopped, kDone, kFailed };
  struct Entry {
    const SweepTask* task;
    State state = State::kWaiting;
    bool wanted = true;  // of a shared task: a run needs it
    pid_t pid = 0;
    Clock::time_point begun = {};
  };

  std::string folder(const SweepTask& task) const { return options_.out + "/" + task.folder; }

  void look_at_folder() {
    stopped_ = stopped_points(rungs_);
    for (Entry& entry : tasks_) {
      const bool behind = !entry.task->shared && stopped_.count(plan_.points[entry.task->point].name) > 0;
      if (is_done(*entry.task, plan_, options_.out)) {
        entry.state = State::kDone;
        if (!entry.task->shared) thin_run(folder(*entry.task), plan_.keep);
      } else if (behind) {
        stop(entry);
      } else if (at_rung(entry)) {
        entry.state = State::kPaused;
      } else if (failure_of(folder(*entry.task))) {
        if (options_.retry_failed) {
          std::error_code ignored;  // a reason that stays is the run's to complain of
          fs::remove(folder(*entry.task) + "/failed.json", ignored);
        } else {
          entry.state = State::kFailed;
        }
      }
      entry.wanted = !entry.task->shared;
    }
    // Runs come after the tasks they branch from.
    for (std::size_t i = tasks_.size(); i-- > 0;) {
      const Entry& entry = tasks_[i];
      if (entry.wanted && entry.state == State::kWaiting && !entry.task->branch_from.empty() &&
          !Checkpoints(folder(*entry.task)).newest()) {
        tasks_[index_.at(entry.task->branch_from)].wanted = true;
      }
    }
    const SweepOutcome before = count();
    if (before.done + before.failed + before.stopped > 0) {
      options_.message(join(options_.out, ": ", before.done, " of ", counted(plan_.runs.size(), "run"),
                            plan_.runs.size() == 1 ? " is done, " : " are done, ", before.failed, " have failed",
                            plan_.config.halving ? join(", ", before.stopped, " were stopped") : ""));
    }
  }

  SweepOutcome count() const {
    SweepOutcome outcome;
    for (const Entry& entry : tasks_) {
      if (entry.task->shared) continue;
      ++(entry.state == State::kDone      ? outcome.done
         : entry.state == State::kFailed  ? outcome.failed
         : entry.state == State::kStopped ? outcome.stopped
                                          : outcome.left);
    }
    return outcome;
  }

  /// The first run that can begin, or the task it waits for.
  bool find_next(std::size_t& next) {
    for (std::size_t i = plan_.shared.size(); i < tasks_.size(); ++i) {
      if (tasks_[i].state != State::kWaiting) continue;
      next = i;
      // Down to what has nothing left to wait for.
      while (!tasks_[next].task->branch_from.empty()) {
        const std::size_t from = index_.at(tasks_[next].task->branch_from);
        if (tasks_[from].state == State::kDone || Checkpoints(folder(*tasks_[next].task)).newest()) break;
        next = from;
      }
      if (tasks_[next].state == State::kRunning) continue;
      if (tasks_[next].state == State::kFailed) {
        const std::string first = folder(*tasks_[next].task);
        if (const std::optional<std::string> reason = failure_of(first)) {
          set_failed(tasks_[i], "its first stages, " + first + ", failed: " + *reason);
        } else {
          tasks_[i].state = State::kFailed;  // a signal ended them: --resume tries them again, and this run
        }
        continue;
      }
      return true;
    }
    return false;
  }

  void start(Entry& entry) {
    const SweepTask& task = *entry.task;
    write_task(task, options_.out);
    std::vector<std::string> arguments = task_arguments(task, plan_, options_.out);
    arguments.insert(arguments.begin(), options_.program);
    arguments.insert(arguments.end(), {"-t", std::to_string(std::max(1, options_.threads / options_.jobs))});
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string log = options_.out + "/logs/" + task.name + ".txt";
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    check(out >= 0, log, ": cannot be written: ", std::strerror(errno));
    const pid_t parent = ::getpid(), pid = ::fork();
    if (pid == 0) {
      // Between fork and exec nothing that allocates: the signal that ends a run when the sweep is gone, its input and
      // its outputs. A terminal's Ctrl-C is the sweep's alone, which then ends its runs.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setpgid(0, 0);
      const int in = ::open("/dev/null", O_RDONLY);
      if (::getppid() != parent || in < 0 || ::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) {
        ::_exit(126);
      }
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    const int error = errno;
    ::close(out);
    check(pid > 0, "cannot start a run: ", std::strerror(error));
    entry.pid = pid;
    write_file_atomic(pid_file(task, options_.out), std::to_string(pid) + "\n");
    entry.state = State::kRunning;
    entry.begun = Clock::now();
    ++running_;
    options_.message(task.shared ? task.name + ": begins, for several runs"
                                 : task.name + ": begins, " + plan_.points[task.point].label);
  }

  bool reap() {
    bool any = false;
    for (Entry& entry : tasks_) {
      int status = 0;
      if (entry.state != State::kRunning || ::waitpid(entry.pid, &status, WNOHANG) != entry.pid) continue;
      any = true;
      --running_;
      entry.pid = 0;
      finish(entry, status);
    }
    return any;
  }

  void finish(Entry& entry, int status) {
    const SweepTask& task = *entry.task;
    std::error_code ignored;
    fs::remove(pid_file(task, options_.out), ignored);
    const std::string log = options_.out + "/logs/" + task.name + ".txt";
    const bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    std::string no_figure = "it has no validation at the rung: halving needs held-out pairs (data.validation)";
    const auto is_at_rung = [&] {
      try {
        return at_rung(entry);
      } catch (const Error& error) {
        no_figure = error.what();
        return false;
      }
    };
    if (ended && is_done(task, plan_, options_.out)) {
      entry.state = State::kDone;
      if (!task.shared) thin_run(folder(task), plan_.keep);
      const double seconds = std::chrono::duration<double>(Clock::now() - entry.begun).count();
      options_.message(join(task.name, ": done in ", duration_text(seconds), result_text(folder(task)), progress()));
      remove_idle_maps();
    } else if (ended && is_at_rung()) {
      entry.state = State::kPaused;
      options_.message(join(task.name, ": at rung ", rungs_.size() + 1, result_text(folder(task)), progress()));
    } else if (ended && plan_.config.halving && !task.shared) {
      set_failed(entry, no_figure);
    } else if (told_) {
      entry.state = State::kWaiting;  // stopped with the sweep; it goes on with --resume
    } else if (WIFSIGNALED(status)) {
      // Out of memory, or somebody's wish: not the run's own doing, so there is no failed.json and --resume tries
      // again.
      entry.state = State::kFailed;
      options_.message(
          join(task.name, ": ended by signal ", WTERMSIG(status), "; --resume tries it again", progress()));
    } else {
      const std::string said =
          failure_of(folder(task))
              .value_or(WEXITSTATUS(status) == 127 ? options_.program + " cannot be run" : last_line(log));
      set_failed(entry, said);
    }
  }

  void set_failed(Entry& entry, const std::string& reason) {
    entry.state = State::kFailed;
    put_failure(folder(*entry.task), reason);
    options_.message(join(entry.task->name, ": failed: ", reason, progress()));
    remove_idle_maps();
  }

  std::string progress() {
    const SweepOutcome now = count();
    std::string left;
    if (now.left > 0) {
      const std::optional<double> seconds = sweep_seconds_left(plan_, options_.out, options_.jobs, clock_);
      if (seconds) left = ", about " + duration_text(*seconds) + " left";
    }
    return join(" (", now.done + now.failed + now.stopped, " of ", counted(plan_.runs.size(), "run"), ", ",
                duration_text(std::chrono::duration<double>(Clock::now() - started_).count()), left, ")");
  }

  /// Says now and then how long all takes, where no run does by ending: first as soon as that is known.
  void tell_time() {
    constexpr std::chrono::seconds kFirst{60}, kEvery{600};
    if (running_ == 0 || Clock::now() - told_time_ < (told_any_ ? kEvery : kFirst)) return;
    told_time_ = Clock::now();
    const std::optional<double> left = sweep_seconds_left(plan_, options_.out, options_.jobs, clock_);
    if (!left) return;
    told_any_ = true;
    const SweepOutcome now = count();
    options_.message(join(now.done, " of ", counted(plan_.runs.size(), "run"), " done, ", running_, " running, about ",
                          duration_text(*left), " left"));
  }

  /// Whether a run has come to the rung that is to be decided next; at the last one it is done.
  bool at_rung(const Entry& entry) const {
    if (!plan_.config.halving || entry.task->shared || rungs_.size() + 1 >= plan_.config.halving->rungs.size()) {
      return false;
    }
    return figure_of(*entry.task).has_value();
  }

  std::optional<double> figure_of(const SweepTask& task) const {
    const SweepHalving& halving = *plan_.config.halving;
    return rung_figure(folder(task), task.config.at("stages").back().at("name").get<std::string>(),
                       halving.rungs[rungs_.size()], halving.metric);
  }

  /// Decides a rung when all of its runs have come to it, so that the better ones go on. False where nothing goes on.
  bool next_rung() {
    std::map<std::size_t, RungPoint> points;
    std::map<std::size_t, std::size_t> counts;  // of runs with a figure
    bool paused = false;
    for (const Entry& entry : tasks_) {
      if (entry.task->shared || entry.state == State::kStopped || entry.state == State::kDone) continue;
      RungPoint& point = points[entry.task->point];
      point.point = plan_.points[entry.task->point].name;
      if (entry.state == State::kPaused) {
        paused = true;
        point.figure = point.figure.value_or(0) + *figure_of(*entry.task);
        ++counts[entry.task->point];
      } else if (!failure_of(folder(*entry.task))) {
        if (plan_.config.halving)
          options_.message(
              join("rung ", rungs_.size() + 1, " waits for ", entry.task->name, "; --resume tries it again"));
        return false;
      }
    }
    if (!paused) return false;
    std::vector<RungPoint> entrants;
    bool any = false;
    for (auto& [index, point] : points) {
      if (stopped_.count(point.point)) continue;  // its failed runs
      const auto count = static_cast<double>(counts[index]);
      point.figure = counts[index] == plan_.config.seeds.size() ? std::optional(*point.figure / count) : std::nullopt;
      any = any || point.figure;
      entrants.push_back(point);
    }
    if (!any) {
      options_.message(join("rung ", rungs_.size() + 1, ": a run of every point has failed, so none goes on"));
      return false;
    }
    apply(decide_rung(*plan_.config.halving, plan_.config.halving->rungs[rungs_.size()], std::move(entrants)));
    return true;
  }

  void apply(const Rung& rung) {
    rungs_.push_back(rung);
    write_rungs(options_.out, plan_.config.halving->metric, rungs_);
    std::string kept;
    std::size_t count = 0;
    for (const RungPoint& point : rung.points) {
      if (!point.kept) continue;
      kept += (kept.empty() ? "" : ", ") + point.point;
      ++count;
    }
    options_.message(join("rung ", rungs_.size(), ", after ", counted(rung.steps, "step"), ": ", count, " of ",
                          counted(rung.points.size(), "point"), count == 1 ? " goes on: " : " go on: ", kept));
    stopped_ = stopped_points(rungs_);
    for (Entry& entry : tasks_) {
      if (entry.task->shared || entry.state != State::kPaused) continue;
      if (stopped_.count(plan_.points[entry.task->point].name)) {
        stop(entry);
      } else {
        entry.state = State::kWaiting;
      }
    }
    remove_idle_maps();
  }

  /// It goes no further, so nobody needs its checkpoints.
  void stop(Entry& entry) {
    entry.state = failure_of(folder(*entry.task)) ? State::kFailed : State::kStopped;
    std::error_code ignored;
    const std::string checkpoints = Checkpoints(folder(*entry.task)).folder();
    if (plan_.keep == "all" || !is_there(checkpoints)) return;
    for (const std::string& path : list_folder(checkpoints)) fs::remove(path, ignored);
    if (plan_.keep == "model") fs::remove(folder(*entry.task) + "/best.safetensors", ignored);
  }

  /// Removes outputs of decompositions that no task will ask for again; they take gigabytes.
  void remove_idle_maps() {
    std::set<std::string> used, all;
    for (const Entry& entry : tasks_) {
      if (entry.task->maps.empty()) continue;
      all.insert(entry.task->maps);
      const bool to_come =
          entry.state == State::kRunning || entry.state == State::kWaiting || entry.state == State::kPaused;
      if (to_come && (entry.wanted || entry.state == State::kRunning)) used.insert(entry.task->maps);
    }
    for (const std::string& maps : all) {
      std::error_code ignored;
      if (used.count(maps) == 0) fs::remove_all(options_.out + "/" + maps, ignored);
    }
  }

  const SweepPlan& plan_;
  const SweepOptions& options_;
  std::vector<Entry> tasks_;  // the shared ones first
  std::map<std::string, std::size_t> index_;
  int running_ = 0;
  bool told_ = false;
  std::vector<Rung> rungs_;                     // that are decided
  std::map<std::string, std::size_t> stopped_;  // points, by the rung
  SweepClock clock_;
  Clock::time_point started_, told_time_;
  bool told_any_ = false;
};

}  // namespace

SweepOutcome run_sweep(const SweepPlan& plan, const SweepOptions& options) {
  check_sweep(plan, options);
  make_folder(options.out);
  const SweepLock lock(options.out);
  write_plan(plan, options.out);
  options.message(summary_of(plan));
  SweepOptions kept = options;
  kept.program = keep_program(options);
  return Sweep(plan, kept).run();
}

}  // namespace kind
