#include <csignal>
#include <cstdlib>
#include <iostream>

#include "core/program/program.h"
#include "infer/photo/batch.h"
#include "infer/photo/claim.h"
#include "infer/photo/options.h"

namespace {

kind::StopSignal stop_signal = 0;

// The first signal gives the current pictures a moment, the second leaves at once; files appear whole or not at all.
extern "C" void on_signal(int signal) {
  if (stop_signal) {
    kind::Claim::remove_all();
    std::_Exit(128 + signal);
  }
  stop_signal = signal;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::optional<kind::Options> options = kind::parse_options(argc, argv);
    if (!options) return kind::kExitDone;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    // nohup ignores it, and that stays so.
    if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
    kind::expect_file_limits();
    // Who stops reading names does not stop the work. A result that nobody reads does.
    if (!options->to_stdout()) std::signal(SIGPIPE, SIG_IGN);
    return kind::run_batch(*options, stop_signal, [](int code) { std::_Exit(code); });
  } catch (const std::exception& error) {
    std::cerr << kind::error_line("kind-infer", error) << std::endl;
    return kind::kExitError;
  }
}
