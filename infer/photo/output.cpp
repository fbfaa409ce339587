#include "infer/photo/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <system_error>

#include "core/base/error.h"
#include "core/files/npy.h"
#include "infer/photo/streams.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

/// A map [1, c, h, w] as [h, w, c], in 0..1.
Tensor<float> channels_last(const Tensor<float>& map) {
  const std::int64_t c = map.shape()[1], h = map.shape()[2], w = map.shape()[3];
  Tensor<float> result(Shape{h, w, c});
  for (std::int64_t p = 0; p < h * w; ++p) {
    for (std::int64_t i = 0; i < c; ++i) result[p * c + i] = kind::clipped(map[i * h * w + p]);
  }
  return result;
}

/// Adds a path that is written to those to be removed if the rest fails. What replaced an earlier file is not: that one is
/// gone.
class Written {
 public:
  template <class F>
  void add(const fs::path& path, const F& write) {
    std::error_code ignored;
    const bool existed = fs::exists(path, ignored);
    write();
    if (!existed) paths_.push_back(path);
  }
  void remove() const {
    std::error_code ignored;
    for (const fs::path& path : paths_) fs::remove(path, ignored);
  }

 private:
  std::vector<fs::path> paths_;
};

/// Writes the maps, each as soon as it is there.
void write_maps(const Options& options, const Job& job, const Enhanced& result, Written& written) {
  const Tensor<float>* const maps[] = {&result.reflectance, &result.illumination, &result.restored, &result.adjusted};
  for (std::size_t i = 0; i < std::size(maps); ++i) {
    const fs::path png = map_path(options, job, kMapNames[i], "png"), npy = map_path(options, job, kMapNames[i], "npy");
    written.add(png, [&] { write_image(png.string(), to_image(*maps[i]), ImageFormat::kPng); });
    written.add(npy, [&] { write_npy(npy.string(), channels_last(*maps[i])); });
  }
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  struct stat first {
  }, second{};
  return ::lstat(a.c_str(), &first) == 0 && ::lstat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

/// Gives the input a second name, the backup's, or where the file system knows no second names, that name alone.
/// Returns whether the input still has its own.
bool keep_backup(const fs::path& input, const fs::path& backup) {
  const auto reason = [](int error) { return std::system_category().message(error); };
  const auto exists = [&] {
    fail("cannot write ", input.native(), ": its backup ", backup.native(), " exists already and is kept");
  };
  if (::link(input.c_str(), backup.c_str()) == 0) return true;
  if (errno == EEXIST) exists();
  check(errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK, "cannot write ", backup.native(),
        ": ", [&] { return reason(errno); });
#ifdef RENAME_NOREPLACE
  if (::renameat2(AT_FDCWD, input.c_str(), AT_FDCWD, backup.c_str(), RENAME_NOREPLACE) == 0) return false;
  if (errno == EEXIST) exists();
#endif
  struct stat status {};
  if (::lstat(backup.c_str(), &status) == 0) exists();
  check(::rename(input.c_str(), backup.c_str()) == 0, "cannot write ", backup.native(), ": ",
        [&] { return reason(errno); });
  return false;
}

/// Waits until the names in a folder are on the disk, where that can be asked for.
void flush_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

/// The file takes the place of the job's input. At any moment the original is there, as itself or as its backup.
void replace_input(const Job& job, AtomicFile& file) {
  const fs::path& input = job.outputs[0];
  struct stat status {};
  check(::stat(input.c_str(), &status) == 0, "cannot write ", input.native(), ": ",
        [] { return std::system_category().message(errno); });
  // Whose it was, where the system lets us; who may read it.
  if (::fchown(file.descriptor(), status.st_uid, status.st_gid) != 0) errno = 0;
  check(::fchmod(file.descriptor(), status.st_mode & 07777) == 0 || errno == EPERM || errno == ENOSYS, "cannot write ",
        input.native(), ": ", [] { return std::system_category().message(errno); });
  file.flush();
  const bool named = keep_backup(input, job.backup);
  flush_folder(input.parent_path());
  try {
    file.commit(named ? Existing::kReplace : Existing::kKeep);
  } catch (...) {
    // As it was: a file with both names loses the new one.
    if (named) {
      ::unlink(job.backup.c_str());
    } else {
      ::rename(job.backup.c_str(), input.c_str());
    }
    throw;
  }
  flush_folder(input.parent_path());
}

void write_result(const Options& options, Picture& picture, std::size_t i, const Stopping& stopping) {
  const std::string path = picture.job.outputs[i].string();
  Picture::Result& result = picture.results[i];
  AtomicFile file(path);
  const auto put = [&](std::span<const std::uint8_t> bytes) {
    stopping.check_time();
    file.write(bytes);
  };
  if (result.file.empty()) {
    encode_image(path, result.image, picture.format, write_options(options, picture), put);
  } else {
    put(result.file);
  }
  if (picture.modified) set_time(file, path, *picture.modified);
  if (options.in_place) return replace_input(picture.job, file);
  file.commit(picture.may_replace.at(i) ? Existing::kReplace : Existing::kKeep);
}

}  // namespace

bool is_unfinished_backup(const Job& job) { return is_same_file(job.outputs[0], job.backup); }

bool claim_results(const Options& options, Picture& picture, Folders& folders) {
  const Job& job = picture.job;
  folders.make_for(options, job);
  picture.may_replace.assign(job.outputs.size(), true);
  if (options.to_stdout() || (job.outputs.size() == 1 && is_direct_output(job.outputs[0].string()))) return true;
  for (const fs::path& output : job.outputs) picture.claims.push_back(std::make_unique<Claim>(output));
  std::error_code ignored;
  const auto exists = [&](const fs::path& path) { return fs::exists(fs::symlink_status(path, ignored)); };
  const auto leads_to_file = [&](const fs::path& path) { return fs::exists(path, ignored); };
  if (options.in_place) {
    // A run that ended between backup and replacement: nothing has been replaced.
    if (is_unfinished_backup(job)) fs::remove(job.backup, ignored);
    if (exists(job.backup) && options.skip_existing) return false;
    check(!exists(job.backup), "cannot write ", job.outputs[0].native(), ": its backup ", job.backup.native(),
          " exists already and is kept");
    return true;
  }
  // What has come since the plan was made is another run's.
  if (options.skip_existing && !job.outputs.empty() &&
      std::all_of(job.outputs.begin(), job.outputs.end(), leads_to_file)) {
    return false;
  }
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    const bool there = exists(job.outputs[i]);
    check(!there || options.overwrite || options.skip_existing, "cannot write ", job.outputs[i].native(),
          ": a file of this name has appeared in the meantime, and is kept");
    picture.may_replace[i] = options.overwrite || there;
  }
  return true;
}

void set_time(const AtomicFile& file, const std::string& path, const timespec& modified) {
  const timespec times[] = {modified, modified};
  check(::futimens(file.descriptor(), times) == 0, "cannot write ", path,
        ": its time cannot be set: ", [] { return std::system_category().message(errno); });
}

void write_picture(const Options& options, Picture& picture, Folders& folders, const Stopping& stopping) {
  const auto start = std::chrono::steady_clock::now();
  const Job& job = picture.job;
  Written written;
  try {
    folders.make_for(options, job);
    if (!options.maps.empty()) write_maps(options, job, picture.maps, written);
    for (std::size_t i = 0; i < job.outputs.size(); ++i) {
      Picture::Result& result = picture.results[i];
      const std::string path = job.outputs[i].string();
      if (options.to_stdout() || is_direct_output(path)) {
        if (result.file.empty()) {
          result.file = encode_image(path, result.image, picture.format, write_options(options, picture));
        }
        if (options.to_stdout()) {
          write_stdout(result.file);
        } else {
          write_direct(path, result.file, stopping);
        }
      } else {
        written.add(path, [&] { write_result(options, picture, i, stopping); });
      }
      result.image = {};
      result.file = {};
    }
    if (!options.compare.empty()) {
      write_file_atomic(options.compare, picture.page, options.overwrite ? Existing::kReplace : Existing::kKeep);
    }
  } catch (...) {
    written.remove();
    throw;
  }
  picture.claims.clear();
  picture.write_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace kind
