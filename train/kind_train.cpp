// kind-train. Long because all its options are listed here, and what they ask for is told apart.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/files/file.h"
#include "core/image/image.h"
#include "core/kernels/kernels.h"
#include "core/program/command_line.h"
#include "core/program/program.h"
#include "train/parallel/communicator.h"
#include "train/sweep/branch.h"
#include "train/sweep/sweep_run.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/estimate.h"
#include "train/trainer/export_pairs.h"
#include "train/trainer/profile.h"
#include "train/trainer/run_config.h"
#include "train/trainer/trainer.h"

namespace {

using namespace kind;

StopSignal stop_signal = 0;

// The first signal asks the run to save and leave, the second leaves at once.
extern "C" void on_signal(int signal) {
  if (stop_signal) std::_Exit(128 + signal);
  stop_signal = signal;
}

void listen_to_signals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  // nohup ignores it, and that stays so.
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
  expect_file_limits();
}

struct Options {
  std::string config, out;
  std::vector<std::string> set, data;
  bool skip_unusable = false, no_estimate = false, retry_failed = false, resume = false, dry_run = false,
       reference = false, sweep_reference = false, profile = false;
  std::int64_t seed = -1, batches = 8;
  int threads = 0, jobs = 1;
  std::string sweep, emit, branch_from, share_maps, export_to;
  double minutes = 0;      // 0: as long as it takes
  std::int64_t until = 0;  // 0: to the end
};

/// `missing`: the paths of the config that are nowhere.
TrainConfig read_config(const Options& options, MissingPlaces& missing) {
  RunConfigFile file = read_run_config(options.config);
  missing = std::move(file.missing);
  TrainConfig config = parse_run_config(file.config, {options.set, options.data}, options.config);
  if (options.seed >= 0) config.seed = options.seed;
  return config;
}

std::string progress_line(const TrainProgress& p) {
  char head[160];
  std::snprintf(head, sizeof head, "%s %lld/%lld  epoch %lld  loss %.5g", p.stage.c_str(),
                static_cast<long long>(p.stage_step), static_cast<long long>(p.stage_steps),
                static_cast<long long>(p.epoch), p.total_loss);
  std::string line = head;
  for (const LossTerm& term : p.terms) {
    char text[96];
    std::snprintf(text, sizeof text, "  %s %.4g (%.4g)", term.name.c_str(), term.raw, term.weighted);
    line += text;
  }
  char tail[96];
  std::snprintf(tail, sizeof tail, "  lr %.3g  %.1f images/s  ETA %s", p.learning_rate, p.images_per_s,
                duration_text(p.seconds_left).c_str());
  return line + tail;
}

/// Progress on stderr: one line that is written over on a terminal, a line now and then elsewhere.
class Console {
 public:
  explicit Console(const TrainConfig& config) : terminal_(::isatty(2) != 0) {
    for (const StageConfig& stage : config.stages) every_[stage.name] = stage.log_every;
  }

  void progress(const TrainProgress& p) {
    if (terminal_) {
      std::cerr << '\r' << progress_line(p) << "\033[K" << std::flush;
      open_ = true;
    } else if (p.stage_step % every_[p.stage] == 0 || p.stage_step == p.stage_steps) {
      std::cerr << progress_line(p) << std::endl;
    }
  }

  /// While pairs are checked: at once on a terminal, elsewhere a line where it takes long.
  void checking(std::size_t done, std::size_t all) {
    const auto now = std::chrono::steady_clock::now();
    const bool last = done == all;
    if (now >= next_ ? terminal_ || !last : open_ && last) {
      std::cerr << (terminal_ ? "\r" : "") << "checking " << counted(all, "pair") << ": " << 100 * done / all << " %"
                << (terminal_ ? "\033[K" : "\n") << std::flush;
      next_ = now + (terminal_ ? std::chrono::milliseconds(100) : kLinesApart);
      open_ = terminal_;
    }
    if (last) close();
  }

  void message(const std::string& text) {
    close();
    std::cerr << text << std::endl;
  }

  void close() {
    if (open_) std::cerr << '\n';
    open_ = false;
  }

 private:
  static constexpr std::chrono::milliseconds kQuiet{3000}, kLinesApart{10000};
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point next_ =
      std::chrono::steady_clock::now() + (terminal_ ? std::chrono::milliseconds(500) : kQuiet);
  std::map<std::string, std::int64_t> every_;
};

/// --profile-losses: tables on stdout and, with --out, the figures in OUT/profile.json.
int profile(const Options& options, const TrainConfig& config, const PairsOptions& pairs) {
  const std::vector<StageProfile> stages = profile_losses(
      config, options.batches, [](const std::string& text) { std::cerr << text << std::endl; }, pairs);
  if (!options.out.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    check(!error, options.out, ": cannot be made: ", [&] { return error.message(); });
    write_file_atomic(options.out + "/profile.json", to_json(stages).dump(2) + "\n");
  }
  std::cout << profile_text(stages) << std::flush;
  return kExitDone;
}

/// The signal that asks any rank to stop, 0 for none.
int signal_of(Communicator& ranks) {
  const int mine = stop_signal;
  std::vector<int> all(static_cast<std::size_t>(ranks.size()));
  ranks.gather(&mine, sizeof mine, all.data());
  return *std::max_element(all.begin(), all.end());
}

/// Trains, or goes on, until the run is finished, out of time or stopped by a signal.
int run_training(const Options& options, const TrainConfig& config, Console& console, const PairsOptions& pairs,
                 Communicator& ranks) {
  const std::string out =
      options.out.empty() ? "runs/" + std::filesystem::path(options.config).stem().string() : options.out;
  const auto started = std::chrono::steady_clock::now();
  const auto out_of_time = [&] {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    return options.minutes > 0 && elapsed.count() > 60 * options.minutes;
  };
  const TrainCallbacks callbacks{[&](const TrainProgress& p) { console.progress(p); },
                                 [&](const std::string& text) { console.message(text); },
                                 [&] { return stop_signal != 0 || out_of_time(); },
                                 !options.no_estimate,
                                 options.until,
                                 pairs};
  listen_to_signals();
  bool finished = false;
  try {
    on_first(ranks, [&] {
      if (!options.branch_from.empty()) branch_run(config, options.branch_from, out);
      if (options.resume) std::filesystem::remove(out + "/failed.json");
    });
    finished = train(config, out, options.resume, callbacks, options.share_maps, ranks);
  } catch (const NotFinite& error) {
    console.close();
    if (ranks.rank() == 0) put_failure(out, error.what());
    throw;
  } catch (...) {
    console.close();
    throw;
  }
  console.close();
  // Which signal it was is told to all, since only some ranks may have got it.
  const int signal = signal_of(ranks);
  if (ranks.rank() > 0) return finished || signal == 0 ? kExitDone : 128 + signal;
  if (finished) {
    std::cout << out << "/model.safetensors" << std::endl;
    return kExitDone;
  }
  if (signal == 0 && !(options.minutes > 0 && out_of_time())) {
    console.message(join("stopped after ", counted(options.until, "step"), " of the last stage; go on with --resume"));
    return kExitDone;
  }
  if (signal == 0) {
    const nlohmann::json reason{{"minutes", options.minutes}, {"step", Checkpoints(out).newest().value_or(0)}};
    write_file_atomic(out + "/stopped.json", reason.dump() + "\n");
    console.message(join("stopped after ", options.minutes, options.minutes == 1 ? " minute" : " minutes",
                         "; go on with --resume"));
    return kExitDone;
  }
  console.message("stopped; go on with --resume");
  return 128 + signal;
}

/// Everything that takes one config.
int run(const Options& options, MissingPlaces& missing, Communicator& ranks) {
  if (options.threads > 0) set_num_threads(options.threads);
  TrainConfig config;
  together(ranks, [&] {
    check(ranks.size() == 1 || !(options.dry_run || options.profile || !options.export_to.empty()),
          "only training itself runs on several ranks; start this without mpirun");
    config = read_config(options, missing);
  });
  Console console(config);
  const PairsOptions pairs{[&](std::size_t done, std::size_t all) { console.checking(done, all); }, cache_folder()};
  if (options.dry_run) {
    const std::string plan = plan_training(config, !options.no_estimate, pairs);
    std::cout << to_json(config).dump(2) << std::endl;
    std::cerr << plan << std::endl;
    return kExitDone;
  }
  if (options.profile) return profile(options, config, pairs);
  if (!options.export_to.empty()) {
    export_pairs(
        config, options.export_to, [](const std::string& text) { std::cerr << text << std::endl; }, pairs);
    std::cout << options.export_to << std::endl;
    return kExitDone;
  }
  return run_training(options, config, console, pairs, ranks);
}

/// --sweep: lists, writes a script for, or carries out many runs.
int sweep(const Options& options, MissingPlaces& missing) {
  check(!started_as_ranks(),
        "a sweep runs on one machine; start it without mpirun, or write scripts for a cluster with "
        "--emit");
  if (options.threads > 0) set_num_threads(options.threads);
  SweepPlan plan = plan_sweep(options.sweep, options.set, options.data);
  missing = plan.missing;
  const std::string out = options.out.empty() ? "runs/" + plan.name : options.out;
  if (std::error_code ignored; std::filesystem::exists(out + "/sweep.json", ignored)) {
    adopt_names(plan, read_json_file(out + "/sweep.json"), out + "/sweep.json");
  }
  if (options.dry_run) {
    std::cout << list_sweep(plan, out) << std::flush;
    const std::string time = time_of_sweep(plan, out);
    std::cerr << summary_of(plan) << (time.empty() ? "" : "\n" + time) << std::endl;
    return kExitDone;
  }
  const SweepOptions how{std::filesystem::read_symlink("/proc/self/exe").string(),
                         out,
                         options.jobs,
                         num_threads(),
                         options.resume,
                         options.retry_failed,
                         [](const std::string& text) { std::cerr << text << std::endl; },
                         [] { return stop_signal.load(); }};
  if (!options.emit.empty()) {
    std::cout << emit_sweep(plan, how, options.emit == "slurm" ? SweepScript::kSlurm : SweepScript::kParallel)
              << std::endl;
    return kExitDone;
  }
  listen_to_signals();
  const SweepOutcome outcome = run_sweep(plan, how);
  std::cerr << join(outcome.done, outcome.done == 1 ? " run is done, " : " runs are done, ", outcome.failed,
                    " failed, ", plan.config.halving ? join(outcome.stopped, " stopped, ") : "", outcome.left, " left")
            << std::endl;
  if (stop_signal != 0) {
    std::cerr << "stopped; go on with --resume" << std::endl;
    return 128 + stop_signal;
  }
  std::cout << out << std::endl;
  return outcome.failed + outcome.left == 0 ? kExitDone : kExitSomeFailed;
}

void add_options(CLI::App& app, Options& options) {
  CLI::Option* config = app.add_option("config", options.config, "JSON config (docs/config.md)")->type_name("CONFIG");
  app.add_flag("--config-reference", options.reference, "Print the reference page of configs, in Markdown")
      ->excludes(config);
  app.add_flag("--sweep-reference", options.sweep_reference, "Print the reference page of sweep files, in Markdown")
      ->excludes(config);
  app.add_option("--data", options.data,
                 "Folder with low/ and high/, instead of the config's data.root; NAME=DIR for each of its sources")
      ->type_name("DIR")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--out", options.out, "Folder of the run (default: runs/NAME-OF-CONFIG)")->type_name("DIR");
  app.add_option("--set", options.set,
                 "Set a value of the config: --set stages.decom.epochs=5, or epochs=5 for every stage")
      ->type_name("PATH=JSON")
      ->take_all()
      ->allow_extra_args(false);
  app.add_flag("--skip-unusable", options.skip_unusable,
               "Train without the pairs that fail the check, and list them (data.skip_unusable)");
  app.add_flag("--resume", options.resume,
               "Continue from the last checkpoint in the run's folder; start if there is none");
  app.add_option("--seed", options.seed, "Seed of all random numbers")
      ->check(CLI::Validator(
          [](const std::string& text) {
            const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            return digits && text.size() <= 18 ? std::string() : "expected an integer of at least 0, got " + text;
          },
          ""))
      ->type_name("N");
  add_threads_option(app, options.threads);
  app.add_flag("--dry-run,--list", options.dry_run,
               "Do not train: check everything and print the resolved config, or the runs of a sweep");
  CLI::Option* profile_flag = app.add_flag("--profile-losses", options.profile,
                                           "Train nothing: print each term's value, gradient norm, share of the "
                                           "total gradient and cosines, per layer; --out DIR also gets profile.json");
  app.add_option("--batches", options.batches, "Number of batches for --profile-losses (default: 8)")
      ->needs(profile_flag)
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  profile_flag->excludes("--resume")->excludes("--dry-run");
  app.add_option("--export-pairs", options.export_to,
                 "Do not train: write the pairs of sources with synthesize, as low/, high/ and split.json")
      ->type_name("DIR")
      ->excludes(profile_flag)
      ->excludes("--resume")
      ->excludes("--dry-run")
      ->excludes("--out");
  app.add_flag("--no-estimate", options.no_estimate, "Do not time steps first to say how long the run will take");
  app.add_option("--minutes", options.minutes, "Save and exit after N minutes, as with SIGTERM")
      ->check(CLI::PositiveNumber)
      ->excludes(profile_flag);
  app.add_option(
         "--until", options.until,
         "Save and exit after N steps of the last stage, with a validation; schedules are those of the whole run")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->excludes(profile_flag)
      ->type_name("N");
  app.add_option("--branch-from", options.branch_from,
                 "Start from the stages of a finished run, which are the first ones of this config")
      ->type_name("RUN")
      ->needs("--resume");
  app.add_option("--share-maps", options.share_maps,
                 "Keep outputs of the frozen decomposition in a folder, shared with other runs")
      ->type_name("DIR");
  CLI::Option* sweep_option =
      app.add_option("--sweep", options.sweep, "Carry out the runs of a sweep, a JSON file (docs/sweeps.md)")
          ->type_name("SWEEP")
          ->excludes(config)
          ->excludes(profile_flag);
  for (const char* name : {"--seed", "--branch-from", "--share-maps", "--minutes", "--until", "--export-pairs"})
    sweep_option->excludes(name);
  app.add_option("--jobs", options.jobs, "Concurrent runs of a sweep; they share the threads (default: 1)")
      ->needs(sweep_option)
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  app.add_flag("--retry-failed", options.retry_failed, "Try the failed runs of a sweep again, with --resume")
      ->needs(sweep_option)
      ->needs("--resume");
  app.add_option("--emit", options.emit,
                 "Write a script that carries out the sweep on other machines, and "
                 "print its path")
      ->needs(sweep_option)
      ->check(CLI::IsMember({"slurm", "parallel"}))
      ->type_name("slurm|parallel");
  app.footer(
      "Exit codes: 0 success; 1 a loss or a gradient was not finite, or some runs of a sweep are not finished; 2 the\n"
      "command line, the config or the data is wrong; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM, after a "
      "checkpoint.");
  add_documents(app);
}

/// The exit code, once all that was printed has arrived.
int finish(int code) {
  check(static_cast<bool>(std::cout), "cannot write to the standard output");
  return code;
}

/// Ends a rank that has failed, other than one that has told the others: prints, and ends all.
void end_ranks(Communicator* ranks, const std::string& line, int code) {
  // Where all know, the first one speaks.
  if (!ranks || !ranks->failed() || ranks->rank() == 0) std::cerr << line << std::endl;
  if (ranks && ranks->size() > 1 && !ranks->failed()) ranks->abort(code);
}

/// What the command line, parsed, asks for; returns the exit code.
int carry_out(const CLI::App& app, const Options& options, std::unique_ptr<Communicator>& ranks) {
  if (options.reference) {
    std::cout << describe_config<TrainConfig>("Config reference");
    return kExitDone;
  }
  if (options.sweep_reference) {
    std::cout << describe_config<SweepConfig>("Sweep reference");
    return kExitDone;
  }
  check(!options.config.empty() || app.count("--sweep"),
        "expected a config, such as configs/quick.json; see kind-train --help");
  // What comes from an unset variable of a script is no wish for the default.
  for (const char* name : {"--data", "--out", "--sweep", "--branch-from", "--share-maps", "--export-pairs"}) {
    const CLI::Option* option = app.get_option(name);
    for (const std::string& value : option->results()) {
      check(!value.empty(), name, ": expected a value, got an empty one");
    }
  }
  MissingPlaces missing;
  try {
    if (!options.sweep.empty()) return finish(sweep(options, missing));
    ranks = started_ranks();
    return finish(run(options, missing, *ranks));
  } catch (const NotFinite&) {
    throw;
  } catch (const Error& error) {
    throw Error(with_places(error.what(), missing));
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains KinD's nets from pairs of dark and bright pictures.", "kind-train");
  Options options;
  std::unique_ptr<Communicator> ranks;
  try {
    app.set_version_flag(
        "--version",
        [] {
          return version_text("kind-train", available_isas(), current_isa(), image_codec_names()) +
                 "\nMPI: " + mpi_version();
        },
        "Print version, kernel sets, picture types and MPI");
    add_options(app, options);
    app.parse(argc, argv);
    if (options.skip_unusable) options.set.emplace_back("data.skip_unusable=true");
    return carry_out(app, options, ranks);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::cerr << "kind-train: " << usage_problem(error.what(), "kind-train", argc, argv) << std::endl;
    return kExitError;
  } catch (const NotFinite& error) {
    end_ranks(ranks.get(), error_line("kind-train", error), kExitSomeFailed);
    return kExitSomeFailed;
  } catch (const std::exception& error) {
    end_ranks(ranks.get(), error_line("kind-train", error), kExitError);
    return kExitError;
  }
}
