// A library to be preloaded into a program (LD_PRELOAD), in which a disk then fails: KIND_FAULT is
// "CALL ERROR SKIP FOLDER". CALL is write, read (SKIP bytes are still let through), fsync, rename, link, take (a name by
// renameat2 or link, that nothing has), stat or open (for writing; SKIP calls are let through); only files in FOLDER fail,
// with the error of that number, from then on.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Fault {
  char call[16] = "";
  int error = 0;
  std::atomic<long> left{0};
  char folder[PATH_MAX] = "";

  Fault() {
    const char* const text = std::getenv("KIND_FAULT");
    long skip = 0;
    if (text == nullptr || std::sscanf(text, "%15s %d %ld %4095s", call, &error, &skip, folder) != 4) call[0] = '\0';
    left = skip;
  }
};

Fault& fault() {
  static Fault only;
  return only;
}

bool in_folder(const char* path) {
  char whole[2 * PATH_MAX] = "";
  if (path[0] != '/') {
    if (::getcwd(whole, PATH_MAX) == nullptr) return false;
    std::strcat(whole, "/");
  }
  std::strncat(whole, path, PATH_MAX - 1);
  return std::strncmp(whole, fault().folder, std::strlen(fault().folder)) == 0;
}

bool in_folder(int descriptor) {
  char link[64], path[PATH_MAX] = "";
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  return ::readlink(link, path, sizeof(path) - 1) > 0 && in_folder(path);
}

/// Whether it is this call's turn: `amount` more is asked for. What is left of a write or read is let through first.
template <class Where>
bool fails(const char* call, Where where, std::size_t& amount) {
  if (std::strcmp(fault().call, call) != 0 || !in_folder(where)) return false;
  const long before = fault().left.fetch_sub(static_cast<long>(amount));
  if (before >= static_cast<long>(amount)) return false;
  if (before > 0) {
    amount = static_cast<std::size_t>(before);
    return false;
  }
  errno = fault().error;
  return true;
}

template <class Where>
bool fails(const char* call, Where where) {
  std::size_t once = 1;
  return fails(call, where, once);
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* from, std::size_t count) {
  static auto* const call = real<ssize_t(int, const void*, std::size_t)>("write");
  return fails("write", descriptor, count) ? -1 : call(descriptor, from, count);
}

ssize_t pwrite(int descriptor, const void* from, std::size_t count, off_t at) {
  static auto* const call = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
  return fails("write", descriptor, count) ? -1 : call(descriptor, from, count, at);
}

ssize_t writev(int descriptor, const struct iovec* parts, int count) {
  static auto* const call = real<ssize_t(int, const struct iovec*, int)>("writev");
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return fails("write", descriptor, bytes) ? -1 : call(descriptor, parts, count);
}

ssize_t read(int descriptor, void* to, std::size_t count) {
  static auto* const call = real<ssize_t(int, void*, std::size_t)>("read");
  return fails("read", descriptor, count) ? -1 : call(descriptor, to, count);
}

int fsync(int descriptor) {
  static auto* const call = real<int(int)>("fsync");
  return fails("fsync", descriptor) ? -1 : call(descriptor);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("rename");
  return fails("rename", to) ? -1 : call(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  static auto* const call = real<int(int, const char*, int, const char*, unsigned)>("renameat2");
  return fails("rename", to) || fails("take", to) ? -1 : call(from_folder, from, to_folder, to, flags);
}

int link(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("link");
  return fails("link", to) || fails("take", to) ? -1 : call(from, to);
}

int stat(const char* path, struct stat* status) noexcept {
  static auto* const call = real<int(const char*, struct stat*)>("stat");
  return fails("stat", path) ? -1 : call(path, status);
}

int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  static auto* const call = real<int(int, const char*, int, const char*, int)>("linkat");
  return fails("link", to) ? -1 : call(from_folder, from, to_folder, to, flags);
}

int open(const char* path, int flags, ...) {
  static auto* const call = real<int(const char*, int, ...)>("open");
  std::va_list more;
  va_start(more, flags);
  const auto mode = static_cast<mode_t>(va_arg(more, unsigned));  // unused, whatever it is, where no file is made
  va_end(more);
  return (flags & O_ACCMODE) != O_RDONLY && fails("open", path) ? -1 : call(path, flags, mode);
}
}
