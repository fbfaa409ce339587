#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kind {

/// Files larger than this are refused unless the caller says otherwise (4 GiB).
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 32;

/// Reads a file from its start, as far as is asked for, so that a header can be judged before the rest is read.
///
/// Every function throws Error naming the path where the file is missing, a folder, empty, cannot be read, or has more
/// than `max_bytes` bytes (found out before anything of that size is allocated).
class FileReader {
 public:
  explicit FileReader(std::string path, std::uint64_t max_bytes = kMaxFileBytes);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// Reads on until `count` bytes from the start are there or the file ends. Returns all that was read so far.
  std::span<const std::uint8_t> read_until(std::uint64_t count);
  /// Reads the rest and hands over the whole content.
  std::vector<std::uint8_t> read_all();
  /// True once the file's end was seen: what was read is the whole.
  bool at_end() const { return at_end_; }

 private:
  std::string path_;
  std::uint64_t max_bytes_;
  std::uint64_t size_hint_ = 0;
  int descriptor_ = -1;
  bool at_end_ = false;
  std::vector<std::uint8_t> bytes_;  // longer than what was read
  std::size_t used_ = 0;
};

/// The whole file; errors as for FileReader.
std::vector<std::uint8_t> read_file(const std::string& path, std::uint64_t max_bytes = kMaxFileBytes);

/// The paths of a folder's entries, sorted by name. Throws Error naming the folder where it cannot be listed.
std::vector<std::string> list_folder(const std::string& folder);

/// A file that appears under its name whole or not at all. What is written goes to a new file without a name or, where
/// the file system has none such, with an unpredictable one in the same folder; commit() flushes it to the disk and
/// renames it to `path`, replacing what was there (a symbolic link itself, not what it points to). If commit() is not
/// reached the temporary file is removed and `path` is as before.
///
/// Every error throws Error with the path and the system's reason ("No space left on device").
class AtomicFile {
 public:
  /// Throws where the folder is missing or not writable, or `path` is a folder, a device or another special file.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::uint8_t> bytes);
  void write(std::string_view text);
  /// Waits until all that was written is on the disk, as commit() does first: for files that belong together.
  void flush();
  void commit();

 private:
  [[noreturn]] void fail_with(int error) const;
  /// Calls make(), which returns -1 where it fails, with names for `temporary_` until it does anything but find that
  /// one exists.
  int try_names(const std::function<int()>& make);

  std::string path_;
  std::string temporary_;  // empty while the file has no name, and once it is renamed
  int descriptor_ = -1;
};

/// Writes the bytes as the whole content of `path` through AtomicFile.
void write_file_atomic(const std::string& path, std::span<const std::uint8_t> bytes);
void write_file_atomic(const std::string& path, std::string_view text);

}  // namespace kind
