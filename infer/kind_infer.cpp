#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/io/file.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "core/io/program.h"
#include "core/kernels/kernels.h"
#include "nets/model_path.h"
#include "nets/pipeline.h"

namespace {

using namespace kind;
namespace fs = std::filesystem;

volatile std::sig_atomic_t stop_signal = 0;

// The first signal lets the current picture finish, the second leaves at once; files appear whole or not at all.
extern "C" void on_signal(int signal) {
  if (stop_signal) std::_Exit(128 + signal);
  stop_signal = signal;
}

struct Options {
  std::vector<std::string> inputs;
  std::string output, weights, format, maps, fusion = "none";
  double ratio = 0, target_mean = 0;
  bool overwrite = false;
  int threads = 0;
  bool exact = false;
  EnhanceOptions enhance;
};

constexpr std::size_t kMaxName = 4096;

/// One picture and what is to become of it.
struct Job {
  fs::path input, output;
};

/// Where a picture's maps go: DIR/STEM-reflectance.png, .npy and so on.
constexpr const char* kMapNames[] = {"reflectance", "illumination", "restored", "adjusted"};

fs::path map_path(const Options& options, const Job& job, const char* map, const char* extension) {
  return fs::path(options.maps) / (job.input.stem().string() + "-" + map + "." + extension);
}

/// The input files, folders replaced by the pictures in them, in the order of their names.
std::vector<fs::path> list_inputs(const std::vector<std::string>& inputs) {
  std::vector<fs::path> files;
  std::error_code ignored;  // of what is no folder; why, reading it will tell
  for (const std::string& input : inputs) {
    if (!fs::is_directory(input, ignored)) {
      files.emplace_back(input);
      continue;
    }
    const std::size_t before = files.size();
    for (const std::string& path : list_folder(input)) {
      if (has_picture_name(path) && fs::is_regular_file(path, ignored)) files.emplace_back(path);
    }
    check(files.size() > before, input,
          ": there are no pictures that are read (PNG, JPEG, BMP, PPM, PGM) in this folder; develop camera RAW files, "
          "and "
          "convert others, first");
  }
  return files;
}

/// The type that a file is written as by its name's extension.
ImageFormat format_of(const fs::path& path) {
  const std::optional<ImageFormat> format = image_format_from_extension(path.extension().string());
  check(format.has_value(), path.string(),
        ": expected a name that ends in one of the types we write: ", writable_image_types());
  return *format;
}

/// What --format asks for, where it is given.
std::optional<ImageFormat> asked_format(const Options& options) {
  if (options.format.empty()) return std::nullopt;
  const std::optional<ImageFormat> format = image_format_from_extension(options.format);
  check(format.has_value(), "--format: expected one of ", writable_image_types(), ", got ", quote(options.format));
  return format;
}

/// The extension of a result in a folder: what -f asks for, or the input's own type. An input whose name says nothing
/// gets PNG; if it turns out to be no picture, nothing is written anyway.
std::string result_extension(const Options& options, const fs::path& input) {
  if (const auto asked = asked_format(options)) return image_extension(*asked);
  const std::optional<ImageFormat> own = image_format_from_extension(input.extension().string());
  return image_extension(own.value_or(ImageFormat::kPng));
}

bool into_folder(const Options& options) {
  std::error_code ignored;  // what cannot be told fails when it is read or written
  if (options.inputs.size() > 1 || options.output.back() == '/' || fs::is_directory(options.output, ignored))
    return true;
  return fs::is_directory(options.inputs[0], ignored);
}

std::vector<Job> plan(const Options& options) {
  const std::vector<fs::path> files = list_inputs(options.inputs);
  std::vector<Job> jobs;
  const bool folder = into_folder(options);
  std::error_code error;
  check(!folder || !fs::exists(options.output, error) || fs::is_directory(options.output), options.output,
        ": expected a folder for several results, this is a file");
  for (const fs::path& input : files) {
    if (folder) {
      jobs.push_back(
          {input, fs::path(options.output) / (input.stem().string() + "." + result_extension(options, input))});
    } else {
      const ImageFormat named = format_of(options.output);
      check(asked_format(options).value_or(named) == named, options.output,
            ": its name asks for another type than --format ", options.format);
      jobs.push_back({input, options.output});
    }
  }
  // Every file that will be written, and for whom: nothing may be written twice or over an input.
  std::map<fs::path, fs::path> writers;
  std::set<std::pair<dev_t, ino_t>> read;
  struct stat status {};
  for (const fs::path& file : files) {
    if (::stat(file.c_str(), &status) == 0) read.emplace(status.st_dev, status.st_ino);
  }
  const auto claim = [&](const fs::path& path, const fs::path& input) {
    // Two names of one folder make one file; two names of one file are two, since each is replaced on its own.
    const fs::path folder_of = fs::absolute(path).parent_path(), real = fs::weakly_canonical(folder_of, error);
    const fs::path place = (error ? folder_of : real) / path.filename();
    const auto [at, fresh] = writers.emplace(place, input);
    check(fresh, path.string(), ": both ", at->second.string(), " and ", input.string(), " would be written to it");
    check(::stat(path.c_str(), &status) != 0 || !read.count({status.st_dev, status.st_ino}), path.string(),
          ": this is an input; inputs are never overwritten");
    check(options.overwrite || !fs::exists(path, error), path.string(), ": exists already; --overwrite replaces it");
  };
  for (const Job& job : jobs) {
    claim(job.output, job.input);
    if (options.maps.empty()) continue;
    for (const char* map : kMapNames) {
      claim(map_path(options, job, map, "png"), job.input);
      claim(map_path(options, job, map, "npy"), job.input);
    }
  }
  return jobs;
}

/// A map [1, c, h, w] as [h, w, c].
Tensor<float> channels_last(const Tensor<float>& map) {
  const std::int64_t c = map.shape()[1], h = map.shape()[2], w = map.shape()[3];
  Tensor<float> result(Shape{h, w, c});
  for (std::int64_t p = 0; p < h * w; ++p) {
    for (std::int64_t i = 0; i < c; ++i) result[p * c + i] = map[i * h * w + p];
  }
  return result;
}

/// Folders for results. Those that were made and in the end hold nothing, since every picture failed, are removed.
class Folders {
 public:
  Folders() = default;
  ~Folders() {
    std::error_code ignored;  // of those that hold something
    for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) fs::remove(*folder, ignored);
  }
  Folders(const Folders&) = delete;
  Folders& operator=(const Folders&) = delete;

  void make(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> missing;  // the deepest first
    for (fs::path at = folder; !at.empty() && !fs::exists(at, error); at = at.parent_path()) missing.push_back(at);
    fs::create_directories(folder, error);
    std::error_code ignored;
    std::copy_if(missing.rbegin(), missing.rend(), std::back_inserter(made_),
                 [&](const fs::path& at) { return fs::is_directory(at, ignored); });
    check(!error, folder.string(), ": cannot be made: ", error.message());
  }

 private:
  std::vector<fs::path> made_;  // each behind the one that it lies in
};

/// Returns a line on what was done. If one of the picture's files cannot be written none of them is left.
std::string enhance_file(const Model<float>& model, const Options& options, const Job& job) {
  const Image image = read_image(job.input.string());
  EnhanceOptions enhancing = options.enhance;
  enhancing.maps = !options.maps.empty();
  const Enhanced result = enhance(model, to_tensor(image), enhancing);
  const Tensor<float>* const maps[] = {&result.reflectance, &result.illumination, &result.restored, &result.adjusted};
  std::vector<fs::path> written;
  try {
    for (std::size_t i = 0; !options.maps.empty() && i < std::size(maps); ++i) {
      const fs::path png = map_path(options, job, kMapNames[i], "png"),
                     npy = map_path(options, job, kMapNames[i], "npy");
      write_image(png.string(), to_image(*maps[i]), ImageFormat::kPng);
      written.push_back(png);
      write_npy(npy.string(), channels_last(*maps[i]));
      written.push_back(npy);
    }
    write_image(job.output.string(), to_image(result.output), format_of(job.output));
  } catch (...) {
    std::error_code ignored;
    for (const fs::path& path : written) fs::remove(path, ignored);
    throw;
  }
  return join(printable(job.input.string(), kMaxName), ": ", image.width, "x", image.height, ", ratio ",
              std::round(result.ratio * 100) / 100, image.has_alpha() ? ", transparency left out" : "");
}

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

int run_command_line(int argc, char** argv) {
  CLI::App app("Brightens dark photographs with KinD's nets.", "kind-infer");
  Options options;
  app.set_version_flag(
      "--version", [] { return version_text("kind-infer", available_isas(), current_isa()); },
      "Print version, kernel sets and picture types");
  app.add_option("input", options.inputs, "Photographs, or folders of them")->required()->type_name("INPUT...");
  app.add_option("-o,--output", options.output, "A file, or a folder (ends in '/', exists, or several inputs)")
      ->required()
      ->type_name("OUTPUT");
  app.add_option("-w,--weights", options.weights, "Model file (default: $KIND_MODEL or the shipped one)")
      ->type_name("MODEL");
  app.add_option("-f,--format", options.format, join("Type of results in a folder: ", writable_image_types()))
      ->type_name("TYPE");
  app.add_flag("--overwrite", options.overwrite, "Replace results that exist (never an input)");
  CLI::Option* ratio =
      app.add_option("--ratio", options.ratio, "Light level: how many times brighter, above 0, at most 100");
  CLI::Option* mean =
      app.add_option("--target-mean", options.target_mean, "Light level: mean of the result's RGB, 0 to 1");
  bool automatic_light = false;
  CLI::Option* automatic = app.add_flag("--auto", automatic_light, "Light level from the picture alone (default)");
  ratio->excludes(mean)->excludes(automatic);
  mean->excludes(automatic);
  app.add_option("--fusion", options.fusion, "How the parts are put together: none, or as the authors' program does")
      ->check(CLI::IsMember({"none", "official"}));
  app.add_option("--dump-maps", options.maps, "Also write reflectance, illumination, restored and adjusted maps")
      ->type_name("DIR");
  app.add_option("-t,--threads", options.threads, "Threads (default: all)")->check(CLI::Range(1, 1024))->type_name("N");
  app.add_flag("--exact", options.exact,
               "Smallest rounding errors: convolutions by plain sums, more than twice the time");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    fail(error.what(), "; see kind-infer --help");
  }
  // What comes from an unset variable of a script is no wish for the default.
  for (const char* name : {"--output", "--weights", "--format", "--dump-maps"}) {
    const CLI::Option* option = app.get_option(name);
    check(!option->count() || !option->as<std::string>().empty(), name, ": expected a value, got an empty one");
  }
  if (ratio->count()) {
    check(options.ratio > 0 && options.ratio <= 100, "--ratio: expected a number above 0 and at most 100, got ",
          options.ratio);
    options.enhance.light = {LightLevel::Mode::kRatio, options.ratio};
  }
  if (mean->count()) {
    check(options.target_mean >= 0 && options.target_mean <= 1, "--target-mean: expected a number from 0 to 1, got ",
          options.target_mean);
    options.enhance.light = {LightLevel::Mode::kTargetMean, options.target_mean};
  }
  if (options.fusion == "official") options.enhance.fusion = Fusion::kOfficial;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  return run(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error_line("kind-infer", error) << std::endl;
    return kExitError;
  }
}
