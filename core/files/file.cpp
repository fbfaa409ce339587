#include "core/files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <mutex>
#include <random>
#include <set>
#include <system_error>
#include <utility>

#include "core/base/error.h"

namespace kind {
namespace {

/// One call to read or write never asks for more: some systems fail beyond 2 GiB instead of doing a part.
constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;

/// Where the process's open files have names, by which those that have none elsewhere are given one.
constexpr const char* kDescriptors = "/proc/self/fd/";

/// The temporary files that have names.
struct Temporaries {
  std::mutex mutex;
  std::set<std::string> paths;

  static Temporaries& all() {
    static Temporaries* const only = new Temporaries;  // never destroyed: threads may write until the very end
    return *only;
  }
  void add(const std::string& path) {
    const std::lock_guard lock(mutex);
    paths.insert(path);
  }
  void drop(const std::string& path) {
    const std::lock_guard lock(mutex);
    paths.erase(path);
  }
};

std::string reason(int error) { return std::system_category().message(error); }

int open_retrying(const std::string& path, int flags, mode_t mode = 0) {
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

std::string folder_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

FileReader::FileReader(std::string path, std::uint64_t max_bytes) : path_(std::move(path)), max_bytes_(max_bytes) {
  struct stat status {};
  descriptor_ = open_retrying(path_, O_RDONLY);
  int error = descriptor_ < 0 || ::fstat(descriptor_, &status) != 0 ? errno : 0;
  if (error == 0 && S_ISDIR(status.st_mode)) error = EISDIR;
  // The size is only a hint: a pipe has none, and a file may grow while it is read.
  if (error == 0 && S_ISREG(status.st_mode)) size_hint_ = static_cast<std::uint64_t>(status.st_size);
  if (error == 0 && size_hint_ <= max_bytes_) return;
  if (descriptor_ >= 0) ::close(descriptor_);  // the destructor does not run when the constructor throws
  if (error == EISDIR) fail("cannot read ", path_, ": it is a folder, expected a file");
  if (error != 0) fail("cannot read ", path_, ": ", reason(error));
  fail("cannot read ", path_, ": it has ", size_hint_, " bytes, the limit is ", max_bytes_);
}

FileReader::~FileReader() { ::close(descriptor_); }

std::span<const std::uint8_t> FileReader::read_until(std::uint64_t count) {
  while (!at_end_ && used_ < count) {
    if (used_ == bytes_.size()) {
      // The first time for all that is wanted, and one byte more so that the end of the file is seen at once; later,
      // for a file that is longer than it said, half as much again.
      const std::uint64_t wanted = std::min(count, std::max<std::uint64_t>(size_hint_, 4095)) + 1;
      bytes_.resize(std::max(static_cast<std::size_t>(wanted), used_ + used_ / 2));
    }
    const ssize_t got = ::read(descriptor_, bytes_.data() + used_, std::min(bytes_.size() - used_, kMaxTransfer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read ", path_, ": ", reason(errno));
    at_end_ = got == 0;
    used_ += static_cast<std::size_t>(got);
    check(used_ <= max_bytes_, "cannot read ", path_, ": it has more than ", max_bytes_, " bytes, the limit");
  }
  check(used_ > 0, "cannot read ", path_, ": the file is empty");
  return std::span(bytes_).first(used_);
}

std::vector<std::uint8_t> FileReader::read_all() {
  read_until(std::numeric_limits<std::uint64_t>::max() - 1);
  bytes_.resize(used_);
  return std::move(bytes_);
}

std::vector<std::uint8_t> read_file(const std::string& path, std::uint64_t max_bytes) {
  return FileReader(path, max_bytes).read_all();
}

std::vector<std::string> list_folder(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  // Not a range-for: its increment would throw the standard library's own exception.
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    paths.push_back(at->path().string());
  }
  check(!error, "cannot list ", folder, ": ", [&] { return error.message(); });
  std::sort(paths.begin(), paths.end());
  return paths;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  check(!path_.empty(), "cannot write a file with an empty name");
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0) {
    check(!S_ISDIR(status.st_mode), "cannot write ", path_, ": it is a folder, expected the name of a file");
    check(S_ISREG(status.st_mode), "cannot write ", path_, ": it is not a regular file, and would be replaced by one");
  }
  // Where the file system knows files without a name, nothing is left behind even if the program is killed.
  if (::access(kDescriptors, X_OK) == 0) descriptor_ = open_retrying(folder_of(path_), O_WRONLY | O_TMPFILE, 0666);
  if (descriptor_ >= 0) return;
  descriptor_ = try_names([&] { return open_retrying(temporary_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666); });
  if (descriptor_ < 0) {
    temporary_.clear();
    fail_with(errno);
  }
}

int AtomicFile::try_names(const std::function<int()>& make) {
  std::random_device random;
  // A name that exists already is somebody else's file, and another name is tried.
  int made = -1;
  for (int attempt = 0; made < 0 && attempt < 100; ++attempt) {
    std::array<char, 40> name{};
    std::snprintf(name.data(), name.size(), "/.kind-%08x%08x.tmp", random(), random());
    temporary_ = folder_of(path_) + name.data();
    made = make();
    if (made < 0 && errno != EEXIST) break;
  }
  if (made >= 0) Temporaries::all().add(temporary_);
  return made;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) remove_temporary();
}

void AtomicFile::remove_temporary() {
  ::unlink(temporary_.c_str());
  Temporaries::all().drop(std::exchange(temporary_, {}));
}

void AtomicFile::remove_all() {
  Temporaries& all = Temporaries::all();
  const std::lock_guard lock(all.mutex);
  for (const std::string& path : all.paths) ::unlink(path.c_str());
}

void AtomicFile::fail_with(int error) const { fail("cannot write ", path_, ": ", reason(error)); }

void AtomicFile::write(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMaxTransfer));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_with(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

void AtomicFile::flush() {
  while (::fsync(descriptor_) != 0) {
    if (errno != EINTR) fail_with(errno);
  }
}

void AtomicFile::take_name() {
  const auto unknown = [](int error) {
    return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM || error == EMLINK;
  };
  const auto taken = [this](int error) {
    if (error != EEXIST) fail_with(error);
    fail("cannot write ", path_, ": a file of this name has appeared in the meantime, and is kept");
  };
  const char *const from = temporary_.c_str(), *const to = path_.c_str();
#ifdef RENAME_NOREPLACE
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
    Temporaries::all().drop(std::exchange(temporary_, {}));
    return;
  }
  if (!unknown(errno)) taken(errno);
#endif
  if (::link(from, to) == 0) return remove_temporary();
  if (!unknown(errno)) taken(errno);
  // An empty file holds the name until it is replaced.
  const int holder = open_retrying(path_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
  if (holder < 0) taken(errno);
  ::close(holder);
  if (::rename(from, to) != 0) {
    const int error = errno;
    ::unlink(to);
    fail_with(error);
  }
  Temporaries::all().drop(std::exchange(temporary_, {}));
}

void AtomicFile::commit(Existing existing) {
  flush();
  if (temporary_.empty()) {
    const std::string nameless = kDescriptors + std::to_string(descriptor_);
    const int linked = try_names(
        [&] { return ::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW); });
    if (linked < 0) {
      temporary_.clear();
      fail_with(errno);
    }
  }
  // Network file systems may report a failed write only here. The descriptor is gone even if close fails.
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) fail_with(errno);
  if (existing == Existing::kKeep) return take_name();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with(errno);
  Temporaries::all().drop(std::exchange(temporary_, {}));
}

void write_file_atomic(const std::string& path, std::span<const std::uint8_t> bytes, Existing existing) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit(existing);
}

void write_file_atomic(const std::string& path, std::string_view text, Existing existing) {
  AtomicFile file(path);
  file.write(text);
  file.commit(existing);
}

}  // namespace kind
