#include "train/stages/shared_maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"
#include "core/base/random.h"

namespace kind {
namespace {

constexpr std::int64_t kAlign = 64;
constexpr std::int64_t kEntry = static_cast<std::int64_t>(sizeof(std::uint64_t));

/// Holds the bytes of one checksum for itself among all open descriptions of the file: other programs' and other
/// objects' of this one. The system lets go of it when the program ends, however it ends.
class EntryLock {
 public:
  EntryLock(int file, std::int64_t at, const std::string& path) : file_(file), at_(at) {
    while (set(F_WRLCK) != 0) check(errno == EINTR, path, ": cannot be locked: ", std::strerror(errno));
  }
  ~EntryLock() { set(F_UNLCK); }
  EntryLock(const EntryLock&) = delete;
  EntryLock& operator=(const EntryLock&) = delete;

 private:
  int set(int type) const {
    struct flock lock {};
    lock.l_type = static_cast<short>(type);
    lock.l_whence = SEEK_SET;
    lock.l_start = at_;
    lock.l_len = kEntry;
    return ::fcntl(file_, F_OFD_SETLKW, &lock);
  }

  int file_;
  std::int64_t at_;
};

}  // namespace

SharedMaps::SharedMaps(const std::string& path, const std::vector<std::int64_t>& elements)
    : path_(path), elements_(elements), verified_(elements.size()) {
  size_ = kEntry * static_cast<std::int64_t>(elements.size());
  for (const std::int64_t count : elements) {
    size_ = (size_ + kAlign - 1) / kAlign * kAlign;
    offsets_.push_back(size_);
    size_ += count * static_cast<std::int64_t>(sizeof(float));
  }
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  check(file_ >= 0, path, ": cannot be made: ", std::strerror(errno));
  struct stat status {};
  const bool known = ::fstat(file_, &status) == 0;
  // Whoever comes first makes it as long as it has to be; zeros are no checksum.
  const bool usable = known && (status.st_size == size_ || (status.st_size == 0 && ::ftruncate(file_, size_) == 0));
  void* const memory =
      usable ? ::mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_SHARED, file_, 0) : MAP_FAILED;
  if (memory == MAP_FAILED) {
    const std::string reason = usable || !known || status.st_size == 0 ? std::strerror(errno) : "it has another size";
    ::close(file_);
    fail(path, ": cannot be used for outputs of frozen nets: ", reason);
  }
  memory_ = static_cast<const char*>(memory);
}

SharedMaps::~SharedMaps() {
  ::munmap(const_cast<char*>(memory_), static_cast<std::size_t>(size_));
  ::close(file_);
}

std::uint64_t SharedMaps::checksum(std::size_t index) const {
  const char* data = memory_ + offsets_[index];
  std::uint64_t hash = 0x9e3779b97f4a7c15u + index;
  for (std::int64_t i = 0; i < elements_[index]; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, data + i * static_cast<std::int64_t>(sizeof(float)), sizeof bits);
    hash = (hash ^ bits) * 0x100000001b3u;
    hash ^= hash >> 29;
  }
  return mix64(hash) | 1;  // never that of an empty place
}

void SharedMaps::write(std::int64_t at, const void* data, std::size_t bytes) {
  // Not through the memory: on a full disk that would end the program.
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t count =
        ::pwrite(file_, static_cast<const char*>(data) + done, bytes - done, at + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    check(count > 0, path_, ": cannot be written: ", count < 0 ? std::strerror(errno) : "nothing more fits");
    done += static_cast<std::size_t>(count);
  }
}

const float* SharedMaps::get(std::size_t index, const std::function<Tensor<float>()>& make) {
  const float* const maps = reinterpret_cast<const float*>(memory_ + offsets_[index]);
  if (verified_[index]) return maps;
  const std::int64_t entry = kEntry * static_cast<std::int64_t>(index);
  const EntryLock lock(file_, entry, path_);
  std::uint64_t noted;
  std::memcpy(&noted, memory_ + entry, sizeof noted);
  if (noted == 0 || noted != checksum(index)) {
    const Tensor<float> made = make();
    check(made.size() == elements_[index], path_, ": maps of ", made.size(), " numbers where ", elements_[index],
          " are expected");
    write(offsets_[index], made.data(), static_cast<std::size_t>(made.size()) * sizeof(float));
    const std::uint64_t sum = checksum(index);
    write(entry, &sum, sizeof sum);
  }
  verified_[index] = true;
  return maps;
}

}  // namespace kind
