#include "infer/photo/claim.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include "core/base/hash.h"
#include "core/base/quote.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

/// Paths of the claims there are, for signal handlers. More than there can be at a time, unless someone asks for 64
/// pictures at once with ladders of 32 steps; those beyond are left to be taken over.
std::array<std::atomic<char*>, 1024> slots;
constexpr std::size_t kNoSlot = slots.size();

std::size_t remember(const fs::path& path) {
  char* const copy = ::strdup(path.c_str());
  for (std::size_t i = 0; i < slots.size() && copy != nullptr; ++i) {
    char* free = nullptr;
    if (slots[i].compare_exchange_strong(free, copy)) return i;
  }
  std::free(copy);
  return kNoSlot;
}

/// When a process began, in the system's ticks: a number that no later process of the same id has. Empty where there is
/// no such process.
std::string start_of(long process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  // The name of the program, the second field, may hold spaces and parentheses.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return fields ? field : "";
}

std::string host() {
  char name[256] = "";
  ::gethostname(name, sizeof(name) - 1);
  std::string text = name;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) <= ' ') c = '-';
  }
  return text.empty() ? "unknown" : text;
}

/// What process numbers are counted in: containers may share a host's name and have numbers of their own.
std::string process_space() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? std::to_string(status.st_ino) : "-";
}

struct Holder {
  std::string host, start, space;
  long process = 0;

  bool lives() const {
    if (host != kind::host() || space != process_space()) return true;  // who could tell
    if (process <= 0 || (::kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH)) return false;
    const std::string now = start_of(process);
    return now.empty() || start == "-" || now == start;
  }
};

std::string own_text() {
  const std::string start = start_of(::getpid());
  return join(host(), " ", ::getpid(), " ", start.empty() ? "-" : start, " ", process_space(), "\n");
}

std::string read_text(int descriptor) {
  char text[512];
  const ssize_t got = ::pread(descriptor, text, sizeof(text), 0);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : "";
}

/// Writes a claim's content; returns the error's number or 0.
int write_text(int descriptor) {
  const std::string text = own_text();
  errno = EIO;  // of a write that does a part
  if (::ftruncate(descriptor, 0) != 0) return errno;
  return ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
}

/// Who holds the claim that is there. One that has just been made is still empty for a moment.
Holder holder_of(int descriptor) {
  std::string text = read_text(descriptor);
  for (int i = 0; i < 20 && text.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    text = read_text(descriptor);
  }
  Holder holder;
  std::istringstream fields(text);
  fields >> holder.host >> holder.process >> holder.start >> holder.space;
  if (!fields) holder = {host(), "", process_space(), 0};  // cut short: nobody's
  return holder;
}

bool is_file_at(int descriptor, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

enum class Try { kTaken, kAgain };

/// Takes over the claim that is there, if its process is gone. Those who try at the same time take turns by a lock.
Try take_over(const fs::path& path, const fs::path& result) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) {
    if (errno == ENOENT) return Try::kAgain;  // given up in the meantime
    throw ClaimedElsewhere(join(result.native(), ": another run is working on it (its claim ", path.native(),
                                " cannot be read: ", std::system_category().message(errno), ")"));
  }
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  ::flock(descriptor, LOCK_EX);  // where there are no locks the file is written all the same
  if (!is_file_at(descriptor, path)) return Try::kAgain;
  const Holder holder = holder_of(descriptor);
  if (holder.lives()) {
    throw ClaimedElsewhere(join(result.native(), ": another run is working on it (process ", holder.process, " on ",
                                printable(holder.host), "); if that run is gone, remove ", path.native()));
  }
  const int error = write_text(descriptor);
  check(error == 0, "cannot write ", result.native(), ": ", std::system_category().message(error));
  return Try::kTaken;
}

}  // namespace

fs::path Claim::path_of(const fs::path& result) {
  constexpr std::size_t kLongest = 230;  // file systems take 255 bytes
  std::string name = result.filename().string();
  if (name.size() > kLongest) {
    name = name.substr(0, kLongest - 20) + "~" + hash_text(fnv1a(name));
  }
  return result.parent_path() / ("." + name + ".kind-claim");
}

Claim::Claim(const fs::path& result) : path_(path_of(result)), slot_(kNoSlot) {
  for (int attempt = 0;; ++attempt) {
    check(attempt < 1000, "cannot write ", result.native(), ": its claim ", path_.native(), " comes and goes");
    const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) {
      // One that stays empty for long is taken for nobody's; then it belongs to whoever wrote into it.
      ::flock(descriptor, LOCK_EX);
      const bool ours = is_file_at(descriptor, path_) && read_text(descriptor).empty();
      if (ours) slot_ = remember(path_);
      const int error = ours ? write_text(descriptor) : 0;
      ::close(descriptor);
      if (!ours) continue;
      if (error == 0) return;
      ::unlink(path_.c_str());
      if (slot_ != kNoSlot) std::free(slots[slot_].exchange(nullptr));
      fail("cannot write ", result.native(), ": ", std::system_category().message(error));
    }
    if (errno == EINTR) continue;
    check(errno == EEXIST, "cannot write ", result.native(), ": ", std::system_category().message(errno));
    if (take_over(path_, result) == Try::kAgain) continue;
    slot_ = remember(path_);
    return;
  }
}

Claim::~Claim() {
  const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor >= 0) {
    // Somebody may have removed it by hand, and another run made its own.
    if (read_text(descriptor) == own_text()) ::unlink(path_.c_str());
    ::close(descriptor);
  }
  if (slot_ != kNoSlot) std::free(slots[slot_].exchange(nullptr));
}

void Claim::remove_all() noexcept {
  for (std::atomic<char*>& slot : slots) {
    const char* const path = slot.exchange(nullptr);
    if (path != nullptr) ::unlink(path);
  }
}

}  // namespace kind
