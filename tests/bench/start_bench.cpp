// kind-start-bench: how the wall-clock time of one command on a small picture divides: start, weights, decoding, nets,
// encoding, end. Each run is a fresh process that does what kind-infer does, in the same order by the same functions,
// and notes the time between, and the processor time, which a busy machine does not change as much; kind-infer itself
// takes its turn beside it.

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/image/image.h"
#include "core/program/program.h"
#include "nets/model_path.h"
#include "nets/pipeline.h"

namespace {

using namespace kind;
namespace fs = std::filesystem;

constexpr int kRuns = 15, kWarmup = 2, kWidth = 600, kHeight = 400;
constexpr const char* kParts[] = {"start", "weights", "decode", "nets", "encode", "end"};

/// Milliseconds: of a clock that all processes share, and of a process on all its processors.
struct Moment {
  double wall = 0, processor = 0;
};

double milliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) * 1e-3;
}

double wall_now() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double processor_time(const rusage& usage) { return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime); }

Moment now() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return {wall_now(), processor_time(usage)};
}

/// A fresh process that nobody hears: when it was made, and when it has ended.
std::array<Moment, 2> run_program(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  bool well = ::posix_spawn_file_actions_init(&actions) == 0;
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    well = well && ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0) == 0;
  }
  const double before = wall_now();
  pid_t child = 0;
  int status = 0;
  struct rusage usage {};
  well = well && ::posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ) == 0 &&
         ::wait4(child, &status, 0, &usage) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  check(well, command[0], ": failed");
  const double after = wall_now();
  ::posix_spawn_file_actions_destroy(&actions);
  return {Moment{before, 0}, Moment{after, processor_time(usage)}};
}

/// What the fresh process does; writes when each part was over to the file `times`.
void run_once(const std::string& input, const std::string& output, const std::string& times) {
  std::vector<Moment> ends{now()};
  const Model<float> model = load_model<float>(find_model(""));
  ends.push_back(now());
  Tensor<float> picture = to_tensor(read_image(input));
  ends.push_back(now());
  EnhanceOptions options;
  options.maps = false;
  const Enhanced result = enhance(model, std::move(picture), options);
  ends.push_back(now());
  write_image(output, to_image(result.output), ImageFormat::kPng);
  ends.push_back(now());
  std::FILE* const file = std::fopen(times.c_str(), "w");
  check(file != nullptr, times, ": cannot be written");
  for (const Moment& end : ends) std::fprintf(file, "%.6f %.6f\n", end.wall, end.processor);
  check(std::fclose(file) == 0, times, ": cannot be written");
}

/// A sample, cut to the size.
void write_input(const std::string& path) {
  const std::string sample = KIND_SOURCE_DIR "/docs/samples/dandelions.jpg";
  const Image whole = read_image(sample);
  check(whole.width >= kWidth && whole.height >= kHeight, sample, ": expected a picture of at least ", kWidth, "x",
        kHeight);
  Image picture(kWidth, kHeight, whole.channels);
  for (int y = 0; y < kHeight; ++y) std::memcpy(picture.row(y), whole.row(y), picture.row_bytes());
  write_image(path, picture, ImageFormat::kJpeg);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Prints a JSON line of medians in ms by the clock, and one of processor time.
void run_all(const std::string& self, int threads) {
  std::string folder = fs::temp_directory_path() / "kind-start-bench-XXXXXX";  // mkdtemp replaces the six X
  check(::mkdtemp(folder.data()) != nullptr, folder, ": cannot be made");
  const std::string input = folder + "/in.jpg", output = folder + "/out.png", times = folder + "/times";
  write_input(input);
  const std::string count = std::to_string(threads);
  constexpr std::size_t kNets = 3;  // among the parts
  std::vector<std::vector<Moment>> runs;
  std::vector<Moment> programs;
  for (int i = 0; i < kWarmup + kRuns; ++i) {
    const auto [before, after] = run_program({self, "--once", input, output, times, count});
    std::vector<Moment> ends{before};
    std::FILE* const file = std::fopen(times.c_str(), "r");
    check(file != nullptr, times, ": cannot be read");
    for (Moment end; std::fscanf(file, "%lf %lf", &end.wall, &end.processor) == 2;) ends.push_back(end);
    std::fclose(file);
    ends.push_back(after);
    check(ends.size() == std::size(kParts) + 1, times, ": expected ", std::size(kParts) - 1, " lines");
    const auto [start, end] = run_program(
        {fs::path(self).parent_path() / "kind-infer", input, "-o", output, "--overwrite", "--threads", count});
    if (i < kWarmup) continue;
    runs.push_back(ends);
    programs.push_back({end.wall - start.wall, end.processor});
  }
  fs::remove_all(folder);
  for (const auto& [name, clock] : {std::pair{"clock", &Moment::wall}, std::pair{"processor", &Moment::processor}}) {
    nlohmann::ordered_json line{
        {"time", name}, {"size", join(kWidth, "x", kHeight)}, {"threads", threads}, {"runs", kRuns}};
    const auto add = [&](const char* part, const auto& of_run) {
      std::vector<double> values;
      for (const std::vector<Moment>& run : runs) values.push_back(of_run(run));
      line[part] = std::round(median(values) * 10) / 10;
    };
    const auto span = [clock = clock](const std::vector<Moment>& run, std::size_t from, std::size_t to) {
      return run[to].*clock - run[from].*clock;
    };
    for (std::size_t k = 0; k < std::size(kParts); ++k) {
      add(kParts[k], [&](const auto& run) { return span(run, k, k + 1); });
    }
    const std::size_t last = std::size(kParts);
    add("all", [&](const auto& run) { return span(run, 0, last); });
    add("all_but_nets", [&](const auto& run) { return span(run, 0, last) - span(run, kNets, kNets + 1); });
    std::vector<double> values;
    for (const Moment& program : programs) values.push_back(program.*clock);
    line["kind-infer"] = std::round(median(values) * 10) / 10;
    std::cout << line.dump() << std::endl;
  }
}

int threads_of(const char* text) {
  int threads = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), threads);
  check(error == std::errc() && *end == 0 && threads >= 1 && threads <= 1024, "expected 1 to 1024 threads, got ", text);
  return threads;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 6 && std::strcmp(argv[1], "--once") == 0) {
      set_num_threads(threads_of(argv[5]));
      run_once(argv[2], argv[3], argv[4]);
      return kExitDone;
    }
    check(argc <= 2, "expected the number of threads, or nothing for all");
    run_all(fs::read_symlink("/proc/self/exe"), argc == 2 ? threads_of(argv[1]) : num_threads());
    return kExitDone;
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-start-bench", error) << std::endl;
    return kExitError;
  }
}
