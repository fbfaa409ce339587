// Long because a sweep's processes, their folders and their outcomes are one class that goes on after a kill.

#include "train/sweep/sweep_run.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/file.h"
#include "core/program/program.h"
#include "train/sweep/branch.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/estimate.h"
#include "train/trainer/trainer.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  check(!error, path, ": cannot be made: ", [&] { return error.message(); });
}

/// One sweep is worked on by one program. The runs it has started hold the lock with it, so that it is free only when
/// all of them are gone.
class SweepLock {
 public:
  explicit SweepLock(const std::string& out) {
    const std::string path = out + "/lock";
    file_ = ::open(path.c_str(), O_RDWR | O_CREAT, 0666);  // runs inherit it
    check(file_ >= 0, path, ": cannot be made: ", std::strerror(errno));
    // Runs of a sweep that was just killed may be about to end.
    for (int i = 0; ::flock(file_, LOCK_EX | LOCK_NB) != 0; ++i) {
      if (i < 100) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        continue;
      }
      ::close(file_);
      fail(out, ": another kind-train works on the sweep in it; wait until it ends");
    }
  }
  ~SweepLock() { ::close(file_); }
  SweepLock(const SweepLock&) = delete;
  SweepLock& operator=(const SweepLock&) = delete;

 private:
  int file_;
};

bool is_done(const SweepTask& task, const SweepPlan& plan, const std::string& out) {
  const std::string folder = out + "/" + task.folder;
  return exists(folder + "/model.safetensors") || (plan.config.budget.minutes && exists(folder + "/stopped.json"));
}

/// Holds the process of a run while it runs.
std::string pid_file(const SweepTask& task, const std::string& out) { return out + "/logs/" + task.name + ".pid"; }

/// Whether the run's process is there: that number may have become another program's.
bool is_running(const SweepTask& task, const std::string& out) {
  std::ifstream file(pid_file(task, out));
  long pid = 0;
  if (!(file >> pid)) return false;
  std::ifstream command(join("/proc/", pid, "/cmdline"), std::ios::binary);
  const std::string arguments{std::istreambuf_iterator<char>(command), std::istreambuf_iterator<char>()};
  return arguments.find(std::string(1, '\0') + out + "/" + task.folder + std::string(1, '\0')) != std::string::npos;
}

/// The last line of a text file that is not empty.
std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

/// The validation that a run ends with, for the line that says it is done.
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

/// Of a run that is done: they are most of its bytes.
void remove_checkpoints(const std::string& folder) {
  if (!exists(folder + "/model.safetensors")) return;  // out of time: a checkpoint is its model
  std::error_code ignored;
  for (const std::string& path : list_folder(Checkpoints(folder).folder())) fs::remove(path, ignored);
}

class Sweep {
 public:
  Sweep(const SweepPlan& plan, const SweepOptions& options) : plan_(plan), options_(options) {
    for (const SweepTask& task : plan.shared) tasks_.push_back({&task});
    for (const SweepTask& task : plan.runs) tasks_.push_back({&task});
    for (std::size_t i = 0; i < tasks_.size(); ++i) index_[tasks_[i].task->name] = i;
  }

  SweepOutcome run() {
    started_ = Clock::now();
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
      if (running_ == 0) break;
      if (!reap()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return count();
  }

 private:
  enum class State { kWaiting, kRunning, kDone, kFailed };
  struct Entry {
    const SweepTask* task;
    State state = State::kWaiting;
    bool wanted = true;  // of a shared task: a run needs it
    pid_t pid = 0;
    Clock::time_point begun = {};
  };

  std::string folder(const SweepTask& task) const { return options_.out + "/" + task.folder; }

  void look_at_folder() {
    for (Entry& entry : tasks_) {
      if (is_done(*entry.task, plan_, options_.out)) {
        entry.state = State::kDone;
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
    if (before.done + before.failed > 0) {
      options_.message(join(options_.out, ": ", before.done, " of ", counted(plan_.runs.size(), "run"),
                            plan_.runs.size() == 1 ? " is done, " : " are done, ", before.failed, " have failed"));
    }
  }

  SweepOutcome count() const {
    SweepOutcome outcome;
    for (const Entry& entry : tasks_) {
      if (entry.task->shared) continue;
      ++(entry.state == State::kDone ? outcome.done : entry.state == State::kFailed ? outcome.failed : outcome.left);
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
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && is_done(task, plan_, options_.out)) {
      entry.state = State::kDone;
      if (!task.shared && !plan_.config.keep_checkpoints) remove_checkpoints(folder(task));
      const double seconds = std::chrono::duration<double>(Clock::now() - entry.begun).count();
      if (!task.shared) spent_ += seconds, ++timed_;
      options_.message(join(task.name, ": done in ", duration_text(seconds), result_text(folder(task)), progress()));
      remove_idle_maps();
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

  std::string progress() const {
    const SweepOutcome now = count();
    return join(" (", now.done + now.failed, " of ", counted(plan_.runs.size(), "run"), ", ",
                duration_text(std::chrono::duration<double>(Clock::now() - started_).count()), time_left(now), ")");
  }

  /// What is left, by the mean of the runs that were done so far.
  std::string time_left(const SweepOutcome& now) const {
    if (timed_ == 0 || now.left == 0) return "";
    double seconds = static_cast<double>(now.left) * spent_ / static_cast<double>(timed_);
    for (const Entry& entry : tasks_) {
      if (entry.state != State::kRunning || entry.task->shared) continue;
      const double run = std::chrono::duration<double>(Clock::now() - entry.begun).count();
      seconds -= std::min(run, spent_ / static_cast<double>(timed_));
    }
    return ", about " + duration_text(seconds / options_.jobs) + " left";
  }

  /// Removes outputs of decompositions that no task will ask for again; they take gigabytes.
  void remove_idle_maps() {
    std::set<std::string> used, all;
    for (const Entry& entry : tasks_) {
      if (entry.task->maps.empty()) continue;
      all.insert(entry.task->maps);
      const bool to_come = entry.state == State::kRunning || entry.state == State::kWaiting;
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
  double spent_ = 0;       // seconds of runs that were done
  std::size_t timed_ = 0;  // how many they were
  Clock::time_point started_;
};

}  // namespace

std::vector<std::string> task_arguments(const SweepTask& task, const SweepPlan& plan, const std::string& out) {
  std::vector<std::string> arguments{out + "/points/" + task.name + ".json", "--out", out + "/" + task.folder,
                                     "--resume", "--no-estimate"};
  if (!task.branch_from.empty()) {
    const auto from = std::find_if(plan.shared.begin(), plan.shared.end(),
                                   [&](const SweepTask& other) { return other.name == task.branch_from; });
    arguments.insert(arguments.end(), {"--branch-from", out + "/" + from->folder});
  }
  if (!task.maps.empty()) arguments.insert(arguments.end(), {"--share-maps", out + "/" + task.maps});
  if (plan.config.budget.minutes && !task.shared) {
    arguments.insert(arguments.end(), {"--minutes", nlohmann::json(*plan.config.budget.minutes).dump()});
  }
  return arguments;
}

void check_sweep(const SweepPlan& plan, const SweepOptions& options) {
  const std::string file = options.out + "/sweep.json";
  if (exists(file)) {
    check(options.resume, options.out,
          ": there is a sweep in it; go on with it with --resume, or name another folder with --out");
    SweepPlan grown = plan;
    const std::size_t more = adopt_names(grown, read_json_file(file), file);
    if (more > 0) options.message(file + ": the sweep grows by " + counted(more, "run"));
  }
  const SweepTask& first = plan.runs.front();
  plan_training(parse_config<TrainConfig>(first.config, "point \"" + plan.points[first.point].label + "\""));
}

void write_plan(const SweepPlan& plan, const std::string& out) {
  for (const char* folder : {"", "/points", "/logs"}) make_folder(out + folder);
  write_file_atomic(out + "/sweep.json", to_json(plan).dump(2) + "\n");
}

void write_task(const SweepTask& task, const std::string& out) {
  write_file_atomic(out + "/points/" + task.name + ".json", task.config.dump(2) + "\n");
}

std::string task_state(const SweepTask& task, const SweepPlan& plan, const std::string& out) {
  const std::string folder = out + "/" + task.folder;
  if (is_done(task, plan, out)) return "done";
  if (const std::optional<std::string> reason = failure_of(folder)) return "failed: " + *reason;
  const nlohmann::json last = nlohmann::json::parse(last_line(folder + "/metrics.jsonl"), nullptr, false);
  const std::int64_t logged = last.is_object() ? last.value("step", std::int64_t{0}) : 0;
  const std::int64_t step = std::max(logged, Checkpoints(folder).newest().value_or(0));
  std::int64_t all = 0;  // unknown where a stage counts epochs, whose steps depend on the pictures
  bool known = true;
  for (const nlohmann::json& stage : task.config.at("stages")) {
    const bool steps = stage.contains("steps") && stage["steps"].is_number_integer();
    known = known && steps;
    if (steps) all += stage["steps"].get<std::int64_t>();
  }
  const std::string at = step == 0 ? "" : join("step ", step, known ? join(" of ", all) : "");
  if (is_running(task, out)) return at.empty() ? "running" : "running, " + at;
  return at.empty() ? "-" : at;
}

std::string list_sweep(const SweepPlan& plan, const std::string& out) {
  std::string text;
  const bool begun = exists(out);
  for (const SweepTask& run : plan.runs) {
    text += run.name + "\t" + plan.points[run.point].label + "\t" + (begun ? task_state(run, plan, out) : "-") + "\n";
  }
  return text;
}

std::string keep_program(const SweepOptions& options) {
  const std::string folder = options.out + "/bin", kept = folder + "/" + fs::path(options.program).filename().string();
  if (exists(kept)) {
    if (read_file(kept) != read_file(options.program)) {
      options.message(kept + ": the sweep goes on with this program, which it began with; remove it to use " +
                      options.program);
    }
    return kept;
  }
  make_folder(folder);
  const std::string partial = kept + ".part";
  std::error_code error;
  fs::copy_file(options.program, partial, fs::copy_options::overwrite_existing, error);
  if (!error) fs::rename(partial, kept, error);
  check(!error, kept, ": the program cannot be copied there: ", [&] { return error.message(); });
  return kept;
}

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
