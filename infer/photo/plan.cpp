#include "infer/photo/plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/image/y4m.h"
#include "infer/photo/listing.h"
#include "infer/photo/output.h"
#include "infer/photo/streams.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

/// The extension of a result in a folder: what -f asks for, or the input's own type. An input whose name says nothing
/// gets PNG; if it turns out to be no picture, nothing is written anyway. What only gray pictures have (pgm) stays.
std::string result_extension(const Options& options, const fs::path& input) {
  const std::optional<ImageFormat> own = image_format_from_extension(input.extension().string());
  if (!options.format && !options.sheet && is_gray_name(input.string()))
    return lower_extension(input.string()).substr(1);
  return image_extension(options.format.value_or(result_format(own.value_or(ImageFormat::kPng))));
}

std::string stem_of(const Job& job) { return job.from_stdin() ? "stdin" : job.input.stem().string(); }

/// DIR/STEM-x2.png for DIR/STEM.png.
fs::path level_path(const fs::path& output, double ratio) {
  return output.parent_path() / (output.stem().string() + join("-x", ratio) + output.extension().string());
}

std::vector<fs::path> results(const Options& options, const fs::path& output) {
  if (options.ladder.empty() || options.sheet) return {output};
  std::vector<fs::path> all;
  for (const double ratio : options.ladder) all.push_back(level_path(output, ratio));
  return all;
}

/// The results in a folder; `number` counts the inputs from 1 on.
std::vector<fs::path> results_in_folder(const Options& options, const Job& job, bool video, std::size_t number) {
  const fs::path folder = fs::path(options.output) / job.folder;
  const std::string extension = video ? "y4m" : result_extension(options, job.input);
  if (!options.names) return results(options, folder / (stem_of(job) + "." + extension));
  std::error_code ignored;
  const fs::path around =
      job.from_stdin() ? fs::current_path(ignored) : real_path(fs::absolute(job.input).parent_path());
  NameParts parts{stem_of(job), extension, around.filename().string(), "", number};
  if (!options.names->has_ratio()) return results(options, folder / options.names->name(parts));
  std::vector<fs::path> all;
  const bool ladder = !options.ladder.empty() && !options.sheet;
  for (const double ratio : ladder ? options.ladder : std::vector<double>{options.photo.light.value}) {
    parts.ratio = join(ratio);
    all.push_back(folder / options.names->name(parts));
  }
  return all;
}

/// The result takes the input's place, and that of what a link leads to.
void set_in_place(const Options& options, Job& job) {
  check(!job.from_stdin(), "--in-place: the standard input is no file that can be replaced");
  std::error_code ignored;
  const fs::path file = fs::is_symlink(job.input, ignored) ? fs::canonical(job.input, ignored) : job.input;
  job.outputs = {file.empty() ? job.input : file};
  job.backup = job.outputs[0].native() + options.backup;
  if (!fs::exists(fs::symlink_status(job.backup, ignored)) || is_unfinished_backup(job)) return;
  job.skipped = options.skip_existing;
  if (job.skipped) return;
  job.error = join(job.input.native(), ": its backup ", job.backup.native(),
                   " exists already and is kept; --skip-existing passes over such pictures");
}

Job make_job(const Options& options, const Listing::Input& input, bool folder, bool video, std::size_t number) {
  Job job;
  job.input = input.file;
  job.folder = input.folder;
  if (options.in_place) {
    set_in_place(options, job);
  } else if (options.output.empty()) {
    return job;
  } else if (folder) {
    job.outputs = results_in_folder(options, job, video, number);
    check_inside(options.output, fs::path(options.output) / input.folder);
    if (!options.maps.empty()) check_inside(options.maps, fs::path(options.maps) / input.folder);
  } else if (options.to_stdout()) {
    job.outputs = {"-"};
  } else if (is_direct_output(options.output)) {
    check(options.ladder.empty() || options.sheet, options.output,
          ": expected --sheet with --ladder, since this is one "
          "output");
    job.outputs = {options.output};
  } else if (video) {
    check(lower_extension(options.output) == ".y4m", options.output,
          ": expected a name that ends in .y4m, the input is a video");
    job.outputs = {options.output};
  } else {
    const fs::path output = options.output;
    const std::optional<ImageFormat> named = image_format_from_extension(output.extension().string());
    const bool only_read = named.has_value() && !can_write_image(*named);
    check(named.has_value() && !only_read, options.output, only_read ? ": such files are only read here" : "",
          ": expected a name that ends in one of the types we write: ", writable_image_types());
    check(options.format.value_or(*named) == *named, options.output, ": its name asks for another type than --format ",
          image_extension(options.format.value_or(*named)));
    job.outputs = results(options, output);
  }
  return job;
}

/// Every file that will be written, and for which job: nothing may be written twice or over an input.
class Places {
 public:
  Places(const Options& options, const std::vector<Listing::Input>& inputs) : options_(options) {
    struct stat status {};
    for (const Listing::Input& input : inputs) {
      if (::stat(input.file.c_str(), &status) == 0) read_.emplace(status.st_dev, status.st_ino);
    }
  }

  /// The number of the job that has the place already, or nothing: it is this one's then.
  std::optional<std::size_t> take(const fs::path& path, std::size_t job) {
    // Two names of one folder make one file; two names of one file are two, since each is replaced on its own.
    const fs::path place = real_path(fs::absolute(path).parent_path()) / path.filename();
    const auto [at, fresh] = writers_.emplace(place, job);
    return fresh ? std::nullopt : std::optional(at->second);
  }

  /// Throws Error for an input and for what exists, unless --skip-existing is for such files and given.
  void check_free(const fs::path& path, bool skippable) const {
    struct stat status {};
    check(::stat(path.c_str(), &status) != 0 || !read_.count({status.st_dev, status.st_ino}), path.native(),
          ": this is an input; inputs are never overwritten");
    std::error_code ignored;
    check((skippable && options_.skip_existing) || options_.overwrite || !fs::exists(fs::symlink_status(path, ignored)),
          path.native(), ": exists already; --overwrite replaces it",
          skippable ? ", --skip-existing passes over what is done" : "");
  }

 private:
  const Options& options_;
  std::map<fs::path, std::size_t> writers_;
  std::set<std::pair<dev_t, ino_t>> read_;
};

/// Two jobs would write one file: neither does.
void clash(std::vector<Job>& jobs, std::size_t first, std::size_t second, const fs::path& path) {
  const std::string error = join(path.native(), ": both ", jobs[first].input.native(), " and ",
                                 jobs[second].input.native(), " would be written to it");
  // One line for both; of more than two, one for each of the others.
  if (jobs[first].error.empty()) jobs[second].said = true;
  for (const std::size_t i : {first, second}) {
    if (jobs[i].error.empty()) jobs[i].error = error;
  }
}

/// Gives all files of the job, the last one of `jobs`, their places.
void place(const Options& options, Places& places, std::vector<Job>& jobs) {
  const std::size_t i = jobs.size() - 1;
  std::vector<fs::path> all;
  const bool written_elsewhere =
      options.to_stdout() || (jobs[i].outputs.size() == 1 && is_direct_output(jobs[i].outputs[0].string()));
  if (!written_elsewhere) all = jobs[i].outputs;
  for (const char* map : kMapNames) {
    if (options.maps.empty()) break;
    for (const char* extension : {"png", "npy"}) all.push_back(map_path(options, jobs[i], map, extension));
  }
  for (const fs::path& path : all) {
    const std::optional<std::size_t> other = places.take(path, i);
    if (other && *other != i) return clash(jobs, *other, i, path);
    check(!other, path.native(), ": two results of ", jobs[i].input.native(), " would be written to it");
    // A ladder that was not finished is made again.
    if (path != (options.in_place ? jobs[i].outputs[0] : fs::path())) places.check_free(path, true);
  }
}

/// A file that belongs to no picture alone.
void place(Places& places, const std::vector<Job>& jobs, const fs::path& path, const char* what, bool skippable) {
  const std::optional<std::size_t> other = places.take(path, jobs.size());
  check(
      !other || *other == jobs.size(), path.native(), ": both ", [&] { return jobs[*other].input.native(); }, " and ",
      what, " would be written to it");
  check(!other, path.native(), ": the page of --compare and the report would be written to it");
  places.check_free(path, skippable);
}

/// Throws Error for a sequence whose results are of several types.
void check_types(const std::vector<Job>& jobs) {
  const auto type = [](const fs::path& path) { return image_format_from_extension(path.extension().string()); };
  const fs::path* first = nullptr;
  for (const Job& job : jobs) {
    if (job.outputs.empty()) continue;
    if (first == nullptr) first = &job.outputs[0];
    check(type(job.outputs[0]) == type(*first), "--sequence: its results would be of several types, as ",
          first->native(), " and ", job.outputs[0].native(), "; --format chooses one");
  }
}

/// Whether a file's name is that of a picture or video that we write.
bool is_file_name(const std::string& name) {
  const std::optional<ImageFormat> format = image_format_from_extension(fs::path(name).extension().string());
  return (format && can_write_image(*format)) || lower_extension(name) == ".y4m";
}

}  // namespace

fs::path map_path(const Options& options, const Job& job, const char* map, const char* extension) {
  return fs::path(options.maps) / job.folder / (stem_of(job) + "-" + map + "." + extension);
}

bool into_folder(const Options& options) {
  if (options.output.empty() || options.to_stdout()) return false;
  std::error_code ignored;  // what cannot be told fails when it is read or written
  if (options.inputs.size() > 1 || options.output.back() == '/' || fs::is_directory(options.output, ignored)) {
    return true;
  }
  return fs::is_directory(options.inputs[0], ignored);
}

bool is_video_file(const Options& options) {
  if (options.inputs.size() != 1 || options.inputs[0] == "-") return false;
  std::error_code ignored;  // of what cannot be looked at; why, reading it will tell
  const fs::path path = options.inputs[0];
  if (!fs::exists(path, ignored) || fs::is_directory(path, ignored)) return false;
  if (!fs::is_regular_file(path, ignored)) return lower_extension(path.string()) == ".y4m";
  std::ifstream file(path, std::ios::binary);
  std::string start(kY4mMagic.size(), '\0');
  return file.read(start.data(), static_cast<std::streamsize>(start.size())) && start == kY4mMagic;
}

Plan plan(const Options& options, bool video) {
  check(!options.in_place || !video, "--in-place: this is for pictures, the input is a video");
  Listing found = list_inputs(options);
  std::vector<Listing::Input>& inputs = found.inputs;
  if (options.sequence) {
    std::stable_sort(inputs.begin(), inputs.end(), [](const Listing::Input& a, const Listing::Input& b) {
      return comes_before(a.file.string(), b.file.string());
    });
  }
  const bool folder = into_folder(options);
  std::error_code ignored;
  const bool exists = folder && fs::exists(options.output, ignored);
  check(!exists || fs::is_directory(options.output), options.output,
        ": expected a folder for several results, this is a file");
  check(!folder || exists || options.output.back() == '/' || !is_file_name(options.output), options.output,
        ": this is the name of a file, expected a folder for several results; end it in '/' for a folder of that name");
  check(options.compare.empty() || inputs.size() == 1, "--compare: expected one picture, ", options.inputs[0], " has ",
        inputs.size());
  check(folder || options.in_place || inputs.size() == 1, "-: expected one input, there are ", inputs.size());
  std::vector<Job> jobs;
  Places places(options, inputs);
  for (const Listing::Input& input : inputs) {
    if (!input.error.empty()) {
      jobs.emplace_back();
      jobs.back().input = input.file;
      jobs.back().folder = input.folder;
      jobs.back().error = input.error;
      continue;
    }
    Job job = make_job(options, input, folder, video, jobs.size() + 1);
    if (!options.in_place) {
      job.skipped = options.skip_existing && !job.outputs.empty() && !options.to_stdout() &&
                    std::all_of(job.outputs.begin(), job.outputs.end(), [&](const fs::path& path) {
                      return fs::exists(path, ignored) && !is_direct_output(path.string());
                    });
    }
    jobs.push_back(std::move(job));
    place(options, places, jobs);
  }
  if (options.sequence) check_types(jobs);
  if (!options.compare.empty()) place(places, jobs, options.compare, "the page of --compare", false);
  if (!options.report.empty()) place(places, jobs, options.report, "the report", true);
  return {std::move(jobs), std::move(found.passed_over), found.broken_links, found.results};
}

std::vector<std::string> options_without_effect(const Options& options, const Plan& plan) {
  std::vector<std::string> lines;
  const bool direct = options.to_stdout() || (!options.output.empty() && is_direct_output(options.output));
  const bool folder = into_folder(options);
  const auto unless = [&](bool useful, bool given, const char* option, const char* why) {
    if (given && !useful) lines.push_back(join(option, " has no effect: ", why));
  };
  std::error_code ignored;
  const bool folders = std::any_of(options.inputs.begin(), options.inputs.end(),
                                   [&](const std::string& input) { return fs::is_directory(input, ignored); });
  const bool stdin_alone = options.inputs.size() == 1 && options.inputs[0] == "-";
  unless(folders, options.recursive, "--recursive", "there is no folder among the inputs");
  unless(!direct, options.overwrite, "--overwrite", "the result goes to no file of its own");
  unless(!options.in_place, options.overwrite, "--overwrite", "--in-place keeps a backup, which is never overwritten");
  unless(!direct, options.skip_existing, "--skip-existing", "the result goes to no file of its own");
  unless(!direct, options.keep_time, "--keep-time", "the result goes to no file of its own");
  unless(direct || !stdin_alone, options.keep_time, "--keep-time", "the standard input has no time");
  // What comes without a name may be one.
  const bool raw = std::any_of(plan.jobs.begin(), plan.jobs.end(), [](const Job& job) {
    return job.from_stdin() ||
           image_format_from_extension(job.input.extension().string()).value_or(ImageFormat::kRaw) == ImageFormat::kRaw;
  });
  unless(raw, options.limits.half_size, "--half-size", "there are no camera RAW files among the inputs");
  if (options.names) unless(folder, true, options.names->text().c_str(), "-o names the result");
  std::set<ImageFormat> types;  // of the results, where they are known
  for (const Job& job : plan.jobs) {
    if (job.skipped || !job.error.empty()) continue;
    for (const fs::path& output : job.outputs) {
      const bool named = !options.to_stdout() && !is_direct_output(output.string());
      const auto format = named ? image_format_from_extension(output.extension().string()) : options.format;
      if (format) types.insert(*format);
      if (!format) return lines;  // nobody knows yet
    }
  }
  const auto for_types = [&](bool given, const char* name, bool ImageFormatRow::*property) {
    if (!given || types.empty()) return;
    std::string are;
    for (const ImageFormat type : types) {
      if (image_format(type).*property) return;
      are += (are.empty() ? "" : " and ") + std::string(image_format(type).name);
    }
    lines.push_back(
        join(name, " has no effect: it is for ", image_types_with(property), " files, the results are ", are));
  };
  for_types(options.quality_given, "--quality", &ImageFormatRow::quality);
  for_types(options.chroma_given, "--chroma", &ImageFormatRow::chroma);
  return lines;
}

void check_inside(const fs::path& outer, const fs::path& folder) {
  const fs::path root = real_path(outer), real = real_path(folder);
  const auto [at, end] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  // A root that is written with a slash at its end has an empty last part.
  check(at == root.end() || (at->empty() && std::next(at) == root.end()), folder.native(),
        ": a symbolic link leads from here out of the output folder ", outer.native());
}

Folders::~Folders() { remove_empty(); }

void Folders::remove_empty() {
  const std::lock_guard lock(mutex_);
  std::error_code ignored;  // of those that hold something
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) fs::remove(*folder, ignored);
}

void Folders::make(const fs::path& folder) {
  const std::lock_guard lock(mutex_);
  std::error_code error;
  std::vector<fs::path> missing;  // the deepest first
  for (fs::path at = folder; !at.empty() && !fs::exists(at, error); at = at.parent_path()) missing.push_back(at);
  fs::create_directories(folder, error);
  std::error_code ignored;
  std::copy_if(missing.rbegin(), missing.rend(), std::back_inserter(made_),
               [&](const fs::path& at) { return fs::is_directory(at, ignored); });
  check(!error, folder.native(), ": cannot be made: ", [&] { return error.message(); });
}

void Folders::make_for(const Options& options, const Job& job) {
  if (!into_folder(options) || job.folder.empty()) return;
  // It was there when the run began: a disk that is gone is not replaced by a folder where it was.
  std::error_code ignored;
  check(fs::is_directory(options.output, ignored), "cannot write ", job.outputs[0].native(), ": the folder ",
        options.output, " is not there any more");
  check_inside(options.output, fs::path(options.output) / job.folder);
  if (!options.maps.empty()) check_inside(options.maps, fs::path(options.maps) / job.folder);
  make(fs::path(options.output) / job.folder);
  if (!options.maps.empty()) make(fs::path(options.maps) / job.folder);
}

}  // namespace kind
