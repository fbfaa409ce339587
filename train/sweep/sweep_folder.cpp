#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/file.h"
#include "train/data/check_cache.h"
#include "train/sweep/branch.h"
#include "train/sweep/halving.h"
#include "train/sweep/sweep_lock.h"
#include "train/sweep/sweep_plan.h"
#include "train/sweep/sweep_run.h"
#include "train/sweep/sweep_state.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/trainer.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

/// Throws unless all runs that have more steps now can go on to them: a table has runs of one length.
void check_growth(const SweepPlan& plan, const SweepOptions& options) {
  std::size_t count = 0;
  std::int64_t from = 0;
  const SweepTask* grown = nullptr;
  for (const SweepTask& run : plan.runs) {
    const std::optional<std::int64_t> before = grown_from(run, options.out);
    if (!before) continue;
    const std::string folder = options.out + "/" + run.folder;
    const bool checkpoint = Checkpoints(folder).newest().has_value(), model = is_there(folder + "/model.safetensors");
    if (!checkpoint && !model) continue;                        // it begins at its start
    if (failure_of(folder) && !options.retry_failed) continue;  // it stays as it is
    const auto refuse = [&](const std::string& why) {
      fail(folder, ": its last stage has ", *before, " steps and shall have ", last_steps(run.config).value_or(0),
           ", but ", why, "; a longer budget makes another sweep: name another folder with --out");
    };
    const StageConfig stage = parse_config<TrainConfig>(run.config, folder).stages.back();
    if (plan.config.budget.minutes) refuse("the budget counts minutes");
    if (stage.schedule.type != "constant") {
      refuse("with a schedule of type \"" + stage.schedule.type +
             "\" its learning rates depend on the number of steps (only \"constant\" can go on)");
    }
    if (!checkpoint) refuse("its checkpoints were not kept (\"keep\": \"all\" keeps them)");
    ++count;
    from = *before;
    grown = &run;
  }
  if (grown) {
    options.message(join(options.out, ": ", counted(count, "run"), count == 1 ? " goes" : " go", " on from ", from,
                         " to ", last_steps(grown->config).value_or(0), " steps of the last stage"));
  }
}

/// Throws unless the validation of such runs has the metric of their rungs.
void check_halving(const SweepHalving& halving, const TrainConfig& config) {
  const std::size_t slash = halving.metric.find('/');
  if (slash == std::string::npos) return;
  const std::string name = halving.metric.substr(0, slash);
  std::string known;
  bool found = false;
  for (const SourceConfig& source : config.data.all()) {
    known += (known.empty() ? "\"" : ", \"") + source.name + "\"";
    found = found || source.name == name;
  }
  check(config.data.sources.size() > 1, "halving.metric: expected a metric alone, such as \"",
        halving.metric.substr(slash + 1), "\", got \"", halving.metric, "\": the data have a single source");
  check(found, "halving.metric: there is no source \"", name, "\"; the config's sources are ", known);
}

}  // namespace

SweepLock::SweepLock(const std::string& out) {
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

SweepLock::~SweepLock() { ::close(file_); }

std::vector<std::string> task_arguments(const SweepTask& task, const SweepPlan& plan, const std::string& out) {
  std::vector<std::string> arguments{out + "/points/" + task.name + ".json", "--out", out + "/" + task.folder,
                                     "--resume", "--no-estimate"};
  if (!task.branch_from.empty()) {
    const auto from = std::find_if(plan.shared.begin(), plan.shared.end(),
                                   [&](const SweepTask& other) { return other.name == task.branch_from; });
    arguments.insert(arguments.end(), {"--branch-from", out + "/" + from->folder});
  }
  if (!task.maps.empty()) arguments.insert(arguments.end(), {"--share-maps", out + "/" + task.maps});
  if (plan.config.halving && !task.shared) {
    // Up to the next rung that is not decided; the last one is the stage's end.
    const std::vector<std::int64_t>& rungs = plan.config.halving->rungs;
    const std::size_t decided = read_rungs(out).size();
    if (decided + 1 < rungs.size()) arguments.insert(arguments.end(), {"--until", std::to_string(rungs[decided])});
  }
  if (plan.config.budget.minutes && !task.shared) {
    arguments.insert(arguments.end(), {"--minutes", nlohmann::json(*plan.config.budget.minutes).dump()});
  }
  return arguments;
}

void check_sweep(const SweepPlan& plan, const SweepOptions& options) {
  const std::string file = options.out + "/sweep.json";
  SweepPlan grown = plan;
  if (is_there(file)) {
    check(options.resume, options.out,
          ": there is a sweep in it; go on with it with --resume, or name another folder with --out");
    const std::size_t more = adopt_names(grown, read_json_file(file), file);
    if (more > 0) options.message(file + ": the sweep grows by " + counted(more, "run"));
    check_growth(grown, options);
  }
  // Where some have begun, one of these: all runs of a sweep have the same data.
  const SweepTask* first = &grown.runs.front();
  std::string begun;
  for (const SweepTask& run : grown.runs) {
    const std::string folder = options.out + "/" + run.folder;
    if (!is_there(folder + "/provenance.json")) continue;
    first = &run;
    begun = folder;
    break;
  }
  const auto config = parse_config<TrainConfig>(first->config, "point \"" + grown.points[first->point].label + "\"");
  if (grown.config.halving) check_halving(*grown.config.halving, config);
  plan_training(config, false, {{}, cache_folder()}, begun);
}

void write_plan(const SweepPlan& plan, const std::string& out) {
  for (const char* folder : {"", "/points", "/logs"}) make_folder(out + folder);
  for (const SweepTask& run : plan.runs) {
    if (!grown_from(run, out)) continue;
    const std::string model = out + "/" + run.folder + "/model.safetensors";
    std::error_code error;
    fs::remove(model, error);
    check(!error, model, ": cannot be removed: ", [&] { return error.message(); });
  }
  write_file_atomic(out + "/sweep.json", to_json(plan).dump(2) + "\n");
}

void write_task(const SweepTask& task, const std::string& out) {
  write_file_atomic(out + "/points/" + task.name + ".json", task.config.dump(2) + "\n");
}

std::string keep_program(const SweepOptions& options) {
  const std::string folder = options.out + "/bin";
  std::string kept = folder + "/" + fs::path(options.program).filename().string();
  if (is_there(kept)) {
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

}  // namespace kind
