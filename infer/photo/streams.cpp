#include "infer/photo/streams.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "core/image/image.h"

namespace kind {
namespace {

/// Signals that come between the question and the wait would go unnoticed, so waits are short.
constexpr int kWaitMilliseconds = 100;
/// Of a stream that is no picture so much is read.
constexpr std::size_t kTellsTheType = std::size_t{1} << 16;

std::string reason(int error) { return std::system_category().message(error); }

class Closer {
 public:
  explicit Closer(int descriptor) : descriptor_(descriptor) {}
  ~Closer() { ::close(descriptor_); }
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

 private:
  int descriptor_;
};

/// 63 of /dev/fd/63.
std::optional<int> descriptor_of(std::string_view path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    const std::string_view number = path.substr(folder.size());
    int value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc() && end == number.data() + number.size() && value >= 0) return value;
  }
  return std::nullopt;
}

/// Opens for writing, once there is a reader.
int open_direct(const std::string& path, const Stopping& stopping) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor >= 0) return descriptor;
    check(errno == ENXIO || errno == EINTR, "cannot write ", path, ": ", reason(errno));
    stopping.check_wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

std::size_t read_some(int descriptor, const std::string& name, std::uint8_t* to, std::size_t count,
                      const std::function<bool()>& stopped) {
  while (!stopped()) {
    struct pollfd waiting = {descriptor, POLLIN, 0};
    if (::poll(&waiting, 1, kWaitMilliseconds) <= 0) continue;
    const ssize_t got = ::read(descriptor, to, count);
    if (got >= 0) return static_cast<std::size_t>(got);
    check(errno == EINTR || errno == EAGAIN, "cannot read ", name, ": ", reason(errno));
  }
  return 0;
}

std::vector<std::uint8_t> read_stream(int descriptor, const std::string& name, std::vector<std::uint8_t> start,
                                      std::uint64_t max_bytes, const Stopping& stopping) {
  std::vector<std::uint8_t> bytes = std::move(start);
  std::vector<std::uint8_t> buffer(std::size_t{1} << 16);
  for (;;) {
    const std::size_t got = read_some(descriptor, name, buffer.data(), buffer.size(), [&] { return stopping.asked(); });
    stopping.check_wait();
    if (got == 0) break;
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
    check(bytes.size() <= max_bytes, "cannot read ", name, ": it has more than ", max_bytes, " bytes, the limit");
    if (bytes.size() >= kTellsTheType && !image_format_from_content(bytes)) break;
  }
  check(!bytes.empty(), "cannot read ", name, ": it is empty");
  return bytes;
}

bool is_pipe(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

int open_pipe(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  check(descriptor >= 0, "cannot read ", path, ": ", [] { return reason(errno); });
  return descriptor;
}

std::vector<std::uint8_t> read_pipe(const std::string& path, std::uint64_t max_bytes, const Stopping& stopping) {
  const int descriptor = open_pipe(path);
  const Closer closer(descriptor);
  return read_stream(descriptor, path, {}, max_bytes, stopping);
}

void write_stdout(std::span<const std::uint8_t> bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t now =
        ::write(STDOUT_FILENO, bytes.data() + done, std::min<std::size_t>(bytes.size() - done, 1 << 20));
    if (now < 0 && errno == EINTR) continue;
    check(now >= 0, "cannot write to the standard output: ", reason(errno));
    done += static_cast<std::size_t>(now);
  }
}

bool is_direct_output(const std::string& path) {
  if (descriptor_of(path)) return true;
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 &&
         (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) || S_ISSOCK(status.st_mode));
}

bool is_stdout_name(const std::string& path) { return descriptor_of(path) == STDOUT_FILENO; }

void write_direct(const std::string& path, std::span<const std::uint8_t> bytes, const Stopping& stopping) {
  const std::optional<int> open = descriptor_of(path);
  const int descriptor = open ? ::fcntl(*open, F_DUPFD_CLOEXEC, 0) : open_direct(path, stopping);
  check(descriptor >= 0, "cannot write ", path, ": ", [] { return reason(errno); });
  const Closer closer(descriptor);
  struct stat status {};
  // So much a pipe with room takes without a wait.
  const bool pipe = ::fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode);
  const std::size_t most = pipe ? PIPE_BUF : std::size_t{1} << 20;
  while (!bytes.empty()) {
    stopping.check_wait();
    struct pollfd waiting = {descriptor, POLLOUT, 0};
    if (::poll(&waiting, 1, kWaitMilliseconds) <= 0) continue;
    const ssize_t now = ::write(descriptor, bytes.data(), std::min(bytes.size(), most));
    if (now < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    check(now >= 0, "cannot write ", path, ": ", reason(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(now));
  }
}

}  // namespace kind
