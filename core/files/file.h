#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kind {

/// Default limit of file sizes (4 GiB).
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 32;

/// Reads a file incrementally from its start, so that a header can be validated before the rest is read.
///
/// Every function throws Error naming the path if the file is missing, a folder, empty, cannot be read, or has more
/// than `max_bytes` bytes (checked before allocating).
class FileReader {
 public:
  explicit FileReader(std::string path, std::uint64_t max_bytes = kMaxFileBytes);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// Reads until `count` bytes from the start are available or the file ends. Returns everything read so far.
  std::span<const std::uint8_t> read_until(std::uint64_t count);
  /// Reads the rest and returns the whole content.
  std::vector<std::uint8_t> read_all();
  /// Whether the end of the file was reached: everything has been read.
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

/// The paths of a folder's entries, sorted by name. Throws Error naming the folder if it cannot be listed.
std::vector<std::string> list_folder(const std::string& folder);

/// What becomes of a file that has the name already: it is replaced, or it is kept and Error thrown.
enum class Existing { kReplace, kKeep };

/// An atomic write: the file appears under its name complete or not at all. Writes go to a new file in the same folder,
/// without a name or, if the file system does not support that, with an unpredictable one. commit() flushes it to the
/// disk and renames it to `path`, replacing an existing file (a symbolic link itself, not its target). Without commit()
/// the temporary file is removed and `path` is unchanged.
///
/// Every error throws Error with the path and the system's reason ("No space left on device").
class AtomicFile {
 public:
  /// Throws if the folder is missing or not writable, or `path` is a folder, a device or another special file.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::uint8_t> bytes);
  void write(std::string_view text);
  /// Waits until everything written is on the disk, as commit() does first: for files that belong together.
  void flush();
  void commit(Existing existing = Existing::kReplace);

  /// For what else a file has: its time, its permissions. -1 after commit().
  int descriptor() const { return descriptor_; }

  /// Removes the temporary files of all objects, for a process that is about to end without their destructors.
  static void remove_all();

 private:
  [[noreturn]] void fail_with(int error) const;
  /// Gives the file its name unless something has it: the first of several ways that the file system knows.
  void take_name();
  void remove_temporary();
  /// Calls make(), which returns -1 on failure, with new names in `temporary_` until it succeeds or fails for another
  /// reason than an existing file.
  int try_names(const std::function<int()>& make);

  std::string path_;
  std::string temporary_;  // empty while the file has no name, and once it is renamed
  int descriptor_ = -1;
};

/// Writes the bytes as the whole content of `path` through AtomicFile.
void write_file_atomic(const std::string& path, std::span<const std::uint8_t> bytes,
                       Existing existing = Existing::kReplace);
void write_file_atomic(const std::string& path, std::string_view text, Existing existing = Existing::kReplace);

}  // namespace kind
