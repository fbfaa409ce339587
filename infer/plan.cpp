#include "infer/plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/io/file.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

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

/// The extension of a result in a folder: what -f asks for, or the input's own type. An input whose name says nothing
/// gets PNG; if it turns out to be no picture, nothing is written anyway.
std::string result_extension(const Options& options, const fs::path& input) {
  const std::optional<ImageFormat> own = image_format_from_extension(input.extension().string());
  return image_extension(options.format.value_or(own.value_or(ImageFormat::kPng)));
}

}  // namespace

fs::path map_path(const Options& options, const Job& job, const char* map, const char* extension) {
  return fs::path(options.maps) / (job.input.stem().string() + "-" + map + "." + extension);
}

ImageFormat format_of(const fs::path& path) {
  const std::optional<ImageFormat> format = image_format_from_extension(path.extension().string());
  check(format.has_value(), path.string(),
        ": expected a name that ends in one of the types we write: ", writable_image_types());
  return *format;
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
      check(options.format.value_or(named) == named, options.output, ": its name asks for another type than --format ",
            image_extension(options.format.value_or(named)));
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

Folders::~Folders() {
  std::error_code ignored;  // of those that hold something
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) fs::remove(*folder, ignored);
}

void Folders::make(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> missing;  // the deepest first
  for (fs::path at = folder; !at.empty() && !fs::exists(at, error); at = at.parent_path()) missing.push_back(at);
  fs::create_directories(folder, error);
  std::error_code ignored;
  std::copy_if(missing.rbegin(), missing.rend(), std::back_inserter(made_),
               [&](const fs::path& at) { return fs::is_directory(at, ignored); });
  check(!error, folder.string(), ": cannot be made: ", error.message());
}

}  // namespace kind
