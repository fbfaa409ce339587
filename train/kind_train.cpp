#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"
#include "train/trainer.h"

namespace {

using namespace kind;

volatile std::sig_atomic_t stop_signal = 0;

// The first signal asks the run to save and leave, the second leaves at once.
extern "C" void on_signal(int signal) {
  if (stop_signal) std::_Exit(128 + signal);
  stop_signal = signal;
}

struct Options {
  std::string config, data, out;
  std::vector<std::string> set;
  bool resume = false, dry_run = false, reference = false;
  std::int64_t seed = -1;
  int threads = 0;
};

TrainConfig read_config(const Options& options) {
  nlohmann::json json = read_json_file(options.config);
  const SetScope scope{field_names<TrainConfig>(), "stages", field_names<StageConfig>()};
  for (const std::string& assignment : options.set) set_path(json, assignment, scope);
  TrainConfig config = parse_config<TrainConfig>(json, options.config);
  if (!options.data.empty()) config.data.root = options.data;
  if (options.seed >= 0) config.seed = options.seed;
  return config;
}

std::string duration(double seconds) {
  const long total = std::lround(std::clamp(seconds, 0.0, 1e8));
  char text[32];
  std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  return text;
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
                duration(p.seconds_left).c_str());
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

  void message(const std::string& text) {
    close();
    std::cerr << text << std::endl;
  }

  void close() {
    if (open_) std::cerr << '\n';
    open_ = false;
  }

 private:
  bool terminal_, open_ = false;
  std::map<std::string, std::int64_t> every_;
};

int run(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  const TrainConfig config = read_config(options);
  if (options.dry_run) {
    const std::string plan = plan_training(config);
    std::cout << to_json(config).dump(2) << std::endl;
    std::cerr << plan << std::endl;
    return kExitDone;
  }
  const std::string out =
      options.out.empty() ? "runs/" + std::filesystem::path(options.config).stem().string() : options.out;
  Console console(config);
  const TrainCallbacks callbacks{[&](const TrainProgress& p) { console.progress(p); },
                                 [&](const std::string& text) { console.message(text); },
                                 [] { return stop_signal != 0; }};
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  try {
    if (train(config, out, options.resume, callbacks)) {
      console.close();
      std::cout << out << "/model.safetensors" << std::endl;
      return kExitDone;
    }
  } catch (const NotFinite& error) {
    console.close();
    std::cerr << error_line("kind-train", error) << std::endl;
    return kExitSomeFailed;
  } catch (...) {
    console.close();
    throw;
  }
  console.message("stopped; go on with --resume");
  return 128 + stop_signal;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains KinD's nets from pairs of dark and bright pictures.", "kind-train");
  Options options;
  try {
    app.set_version_flag(
        "--version", [] { return version_text("kind-train", available_isas(), current_isa()); },
        "Print version, kernel sets and picture types");
    CLI::Option* config = app.add_option("config", options.config, "JSON config (docs/config.md)")->type_name("CONFIG");
    app.add_flag("--config-reference", options.reference, "Print the reference page of configs, in Markdown")
        ->excludes(config);
    app.add_option("--data", options.data, "Folder of low/ and high/, in place of the config's data.root")
        ->type_name("DIR");
    app.add_option("--out", options.out, "Where the run goes (default: runs/NAME-OF-CONFIG)")->type_name("DIR");
    app.add_option("--set", options.set,
                   "Set a value of the config: --set stages.decom.epochs=5, or epochs=5 for every stage")
        ->type_name("PATH=JSON")
        ->take_all()
        ->allow_extra_args(false);
    app.add_flag("--resume", options.resume, "Go on from the last checkpoint in the run's folder");
    app.add_option("--seed", options.seed, "Seed of everything random")->check(CLI::NonNegativeNumber)->type_name("N");
    app.add_option("-t,--threads", options.threads, "Threads (default: all)")
        ->check(CLI::Range(1, 1024))
        ->type_name("N");
    app.add_flag("--dry-run", options.dry_run, "Check everything, print the resolved config, train nothing");
    app.parse(argc, argv);
    if (options.reference) {
      std::cout << describe_config<TrainConfig>("Config reference");
      return kExitDone;
    }
    check(!options.config.empty(), "expected a config, such as configs/quick.json; see kind-train --help");
    // What comes from an unset variable of a script is no wish for the default.
    for (const char* name : {"--data", "--out"}) {
      const CLI::Option* option = app.get_option(name);
      check(!option->count() || !option->as<std::string>().empty(), name, ": expected a value, got an empty one");
    }
    const int code = run(options);
    check(static_cast<bool>(std::cout), "cannot write to the standard output");
    return code;
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    std::cerr << "kind-train: " << error.what() << "; see kind-train --help" << std::endl;
    return kExitError;
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-train", error) << std::endl;
    return kExitError;
  }
}
