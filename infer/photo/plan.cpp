#include "infer/photo/plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/image/y4m.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

/// Folders in folders are followed so far.
constexpr int kDeepest = 100;

struct Input {
  fs::path file, folder;
  std::string error = {};  // of a folder that cannot be listed
};

/// The path with links resolved as far as it exists.
fs::path real_path(const fs::path& path) {
  if (path.empty()) return path;
  std::error_code error;
  const fs::path real = fs::weakly_canonical(fs::absolute(path), error);
  return error ? fs::absolute(path).lexically_normal() : real;
}

class Lister {
 public:
  explicit Lister(const Options& options)
      : options_(options), outputs_{real_path(options.output), real_path(options.maps)} {}

  /// The input files, folders replaced by the pictures in them, in the order of their names.
  std::vector<Input> list() {
    for (const std::string& input : options_.inputs) {
      std::error_code ignored;  // of what is no folder; why, reading it will tell
      if (input == "-" || !fs::is_directory(input, ignored)) {
        files_.push_back({input, {}});
        continue;
      }
      const std::size_t before = files_.size();
      list_folder_of(input, {}, 0);
      check(files_.size() > before, input,
            ": there are no pictures that are read (", readable_image_types(), ") in this folder; develop camera RAW "
            "files, and convert others, first");
    }
    return std::move(files_);
  }

 private:
  void list_folder_of(const fs::path& folder, const fs::path& below, int depth) {
    check(depth <= kDeepest, folder.native(), ": folders are nested more than ", kDeepest, " deep");
    std::error_code ignored;
    for (const std::string& entry : list_folder(folder.string())) {
      const fs::path path = entry;
      const bool hidden = path.filename().string().front() == '.';
      std::error_code why;
      if (options_.recursive && fs::is_directory(path, why)) {
        // Links to folders may lead round in a circle, and results are no inputs.
        const auto is_this = [&](const fs::path& output) { return real_path(path) == output; };
        if (hidden || fs::is_symlink(path, ignored) || std::any_of(outputs_, std::end(outputs_), is_this)) continue;
        try {
          list_folder_of(path, below / path.filename(), depth + 1);
        } catch (const Error& error) {
          files_.push_back({path, below, error.what()});  // does not stop the rest
        }
      } else if (has_picture_name(entry)) {
        // In a folder that may be listed and not entered its kind cannot be told: reading it says why. Links that lead
        // nowhere or round in a circle are passed over.
        const bool regular = fs::is_regular_file(path, why);
        if (regular || why == std::errc::permission_denied) files_.push_back({path, below});
      } else if (why == std::errc::permission_denied && !hidden && !fs::is_symlink(path, ignored)) {
        files_.push_back({path, below, path.string() + ": " + why.message()});  // it may be a folder of pictures
      }
    }
  }

  const Options& options_;
  const fs::path outputs_[2];
  std::vector<Input> files_;
};

/// Whether a comes before b: byte by byte, but runs of digits by their value. What is equal that way, as 7 and 07, goes
/// by its bytes.
bool comes_before(const std::string& a, const std::string& b) {
  const auto digits_at = [](std::string_view text) {
    std::size_t count = 0;
    while (count < text.size() && std::isdigit(static_cast<unsigned char>(text[count]))) ++count;
    return text.substr(0, count);
  };
  const auto value = [](std::string_view digits) {
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
    return std::pair(digits.size(), digits);
  };
  std::string_view x = a, y = b;
  while (!x.empty() && !y.empty()) {
    const std::string_view n = digits_at(x), m = digits_at(y);
    if (!n.empty() && !m.empty()) {
      if (value(n) != value(m)) return value(n) < value(m);
      x.remove_prefix(n.size());
      y.remove_prefix(m.size());
      continue;
    }
    if (x[0] != y[0]) return static_cast<unsigned char>(x[0]) < static_cast<unsigned char>(y[0]);
    x.remove_prefix(1);
    y.remove_prefix(1);
  }
  return x.empty() && y.empty() ? a < b : x.empty();
}

/// The extension of a result in a folder: what -f asks for, or the input's own type. An input whose name says nothing
/// gets PNG; if it turns out to be no picture, nothing is written anyway. What only gray pictures have (pgm) stays.
std::string result_extension(const Options& options, const fs::path& input) {
  const std::optional<ImageFormat> own = image_format_from_extension(input.extension().string());
  if (!options.format && !options.sheet && is_gray_name(input.string())) return lower_extension(input.string()).substr(1);
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

Job make_job(const Options& options, const Input& input, bool folder, bool video) {
  Job job{input.file, input.folder, {}, false, {}};
  if (options.output.empty()) return job;
  if (folder) {
    const std::string name = stem_of(job) + "." + (video ? "y4m" : result_extension(options, input.file));
    job.outputs = results(options, fs::path(options.output) / input.folder / name);
    check_inside(options.output, fs::path(options.output) / input.folder);
    if (!options.maps.empty()) check_inside(options.maps, fs::path(options.maps) / input.folder);
  } else if (options.to_stdout()) {
    job.outputs = {"-"};
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

/// Every file that will be written, and for whom: nothing may be written twice or over an input.
class Claims {
 public:
  Claims(const Options& options, const std::vector<Input>& inputs) : options_(options) {
    struct stat status {};
    for (const Input& input : inputs) {
      if (::stat(input.file.c_str(), &status) == 0) read_.emplace(status.st_dev, status.st_ino);
    }
  }

  void claim(const fs::path& path, const std::string& whose, bool may_exist) {
    // Two names of one folder make one file; two names of one file are two, since each is replaced on its own.
    const fs::path place = real_path(fs::absolute(path).parent_path()) / path.filename();
    const auto [at, fresh] = writers_.emplace(place, whose);
    check(fresh, path.native(), ": both ", at->second, " and ", whose, " would be written to it");
    struct stat status {};
    check(::stat(path.c_str(), &status) != 0 || !read_.count({status.st_dev, status.st_ino}), path.native(),
          ": this is an input; inputs are never overwritten");
    std::error_code ignored;
    check(may_exist || options_.overwrite || !fs::exists(path, ignored), path.native(),
          ": exists already; --overwrite replaces it");
  }

 private:
  const Options& options_;
  std::map<fs::path, std::string> writers_;
  std::set<std::pair<dev_t, ino_t>> read_;
};

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

std::vector<Job> plan(const Options& options, bool video) {
  std::vector<Input> inputs = Lister(options).list();
  if (options.sequence) {
    std::stable_sort(inputs.begin(), inputs.end(),
                     [](const Input& a, const Input& b) { return comes_before(a.file.string(), b.file.string()); });
  }
  const bool folder = into_folder(options);
  std::error_code ignored;
  check(!folder || !fs::exists(options.output, ignored) || fs::is_directory(options.output), options.output,
        ": expected a folder for several results, this is a file");
  check(options.compare.empty() || inputs.size() == 1, "--compare: expected one picture, ", options.inputs[0], " has ",
        inputs.size());
  check(folder || inputs.size() == 1, "-: expected one input, there are ", inputs.size());
  std::vector<Job> jobs;
  Claims claims(options, inputs);
  for (const Input& input : inputs) {
    if (!input.error.empty()) {
      jobs.push_back({input.file, input.folder, {}, false, input.error});
      continue;
    }
    Job job = make_job(options, input, folder, video);
    job.skipped = options.skip_existing && !job.outputs.empty() && !options.to_stdout() &&
                  std::all_of(job.outputs.begin(), job.outputs.end(),
                              [&](const fs::path& path) { return fs::exists(path, ignored); });
    const std::string whose = input.file.string();
    for (const fs::path& output : job.outputs) {
      // A ladder that was not finished is made again.
      if (!options.to_stdout()) claims.claim(output, whose, options.skip_existing);
    }
    for (const char* map : kMapNames) {
      if (options.maps.empty()) break;
      for (const char* extension : {"png", "npy"}) {
        claims.claim(map_path(options, job, map, extension), whose, options.skip_existing);
      }
    }
    jobs.push_back(std::move(job));
  }
  const auto type = [](const fs::path& path) { return image_format_from_extension(path.extension().string()); };
  const fs::path* first = nullptr;
  for (const Job& job : jobs) {
    if (!options.sequence || job.outputs.empty()) continue;
    if (first == nullptr) first = &job.outputs[0];
    check(type(job.outputs[0]) == type(*first), "--sequence: its results would be of several types, as ",
          first->native(), " and ", job.outputs[0].native(), "; --format chooses one");
  }
  if (!options.compare.empty()) claims.claim(options.compare, "the page of --compare", false);
  if (!options.report.empty()) claims.claim(options.report, "the report", options.skip_existing);
  return jobs;
}

void check_inside(const fs::path& outer, const fs::path& folder) {
  const fs::path root = real_path(outer), real = real_path(folder);
  const auto [at, end] = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  // A root that is written with a slash at its end has an empty last part.
  check(at == root.end() || (at->empty() && std::next(at) == root.end()), folder.native(),
        ": a symbolic link leads from here out of the output folder ", outer.native());
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
  check(!error, folder.native(), ": cannot be made: ", [&] { return error.message(); });
}

}  // namespace kind
