#include <csignal>
#include <cstdlib>
#include <iostream>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"
#include "infer/options.h"
#include "infer/picture.h"
#include "infer/plan.h"
#include "nets/model_path.h"

namespace {

using namespace kind;

volatile std::sig_atomic_t stop_signal = 0;

// The first signal lets the current picture finish, the second leaves at once; files appear whole or not at all.
extern "C" void on_signal(int signal) {
  if (stop_signal) std::_Exit(128 + signal);
  stop_signal = signal;
}

constexpr std::size_t kMaxName = 4096;

int run(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  set_exact_kernels(options.exact);
  const std::vector<Job> jobs = plan(options);
  const Model<float> model = load_model<float>(find_model(options.weights));
  check(
      model.decomposition && model.adjustment, find_model(options.weights),
      ": enhancing needs a decomposition and an adjustment net, this model lacks one; kind-weights merge joins models");
  if (!model.restoration) {
    std::cerr << "kind-infer: the model has no restoration net; reflectances are used as they are, with their noise\n";
  }
  Folders folders;
  if (into_folder(options)) folders.make(options.output);
  if (!options.maps.empty()) folders.make(options.maps);
  std::size_t failed = 0;
  for (const Job& job : jobs) {
    if (stop_signal) {
      std::cerr << "kind-infer: stopped; " << printable(job.input.string(), kMaxName)
                << " and what follows it was not done\n";
      return 128 + stop_signal;
    }
    try {
      std::cerr << enhance_file(model, options, job) << std::endl;
      std::cout << job.output.string() << std::endl;
    } catch (const std::exception& error) {
      std::string line = error_line("kind-infer", error);
      // Most messages name their file.
      const std::string name = printable(job.input.string(), kMaxName);
      if (line.find(name) == std::string::npos) line += " (" + name + ")";
      std::cerr << line << std::endl;
      ++failed;
    }
  }
  check(static_cast<bool>(std::cout), "cannot write to the standard output; the results are there");
  return failed == 0 ? kExitDone : failed < jobs.size() ? kExitSomeFailed : kExitError;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::optional<Options> options = parse_options(argc, argv);
    if (!options) return kExitDone;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    return run(*options);
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-infer", error) << std::endl;
    return kExitError;
  }
}
