#pragma once

// Directories of TIFF files and what of them is metadata; no pixels, no library. For tiff.cpp.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/image/metadata_parts.h"

namespace kind {

inline constexpr unsigned kTiffWidth = 256, kTiffHeight = 257, kTiffPhotometric = 262, kTiffSubDirectories = 330,
                          kTiffDngVersion = 50706, kTiffXmp = 700, kTiffIcc = 34675, kTiffPhotoshop = 34377,
                          kTiffIptc = 33723;
/// Of kTiffPhotometric: pixels behind a colour filter (TIFF/EP), pixels of a sensor with all colours (DNG).
inline constexpr unsigned kTiffFilterArray = 32803, kTiffLinearRaw = 34892;

/// A value of a directory: `bytes` bytes at `at`, which may end behind the file.
struct TiffEntry {
  unsigned tag, type;
  std::uint64_t count, at, bytes;
};

/// Reads the structure of a TIFF file, classic or BigTIFF, in either byte order. So are the RAW files of Olympus and Panasonic,
/// which have letters of their own for 42.
class TiffTags {
 public:
  explicit TiffTags(Bytes file);
  /// Whether the header is there and the first directory is whole.
  bool whole() const { return whole_; }
  bool little() const { return little_; }
  bool big() const { return big_; }
  /// Whether every value of the first directory lies inside of the file.
  bool values_whole() const;
  const std::vector<TiffEntry>& first() const { return first_; }
  /// Where the first directory's successor is, 0 for none.
  std::uint64_t next() const { return next_; }
  std::optional<std::vector<TiffEntry>> directory(std::uint64_t at, std::uint64_t* next = nullptr) const;
  const TiffEntry* find(unsigned tag) const;
  /// A single whole number (of 8, 16, 32 or 64 bits); nothing for other values.
  std::optional<std::uint64_t> number(const TiffEntry& entry) const;
  std::optional<std::uint64_t> number(unsigned tag) const;
  /// The whole numbers of a value, of which there are at most `most`; nothing where there are more, or for other values.
  std::optional<std::vector<std::uint64_t>> numbers(const TiffEntry& entry, std::uint64_t most) const;
  /// Calls use() for the first directory and those that it leads to by SubIFDs, then the same for those that follow it, until
  /// it returns false; at most 32 in all. Returns whether all of them are whole.
  bool each_directory(const std::function<bool(const std::vector<TiffEntry>&)>& use) const;
  /// The value's bytes; empty where it does not lie inside of the file.
  Bytes value(const TiffEntry& entry) const;

 private:
  std::uint64_t read(std::uint64_t at, int bytes) const;

  Bytes file_;
  bool little_ = true, big_ = false, whole_ = false;
  std::vector<TiffEntry> first_;
  std::uint64_t next_ = 0;
};

/// Whether a directory's pixels are those of a sensor.
bool holds_sensor_pixels(const TiffTags& tags, const std::vector<TiffEntry>& directory);

/// The metadata of a TIFF file. Its descriptions and camera data become an EXIF block, in the file's byte order, without
/// the maker's note, whose offsets would not be true there.
Metadata read_tiff_metadata(const std::string& path, Bytes file, std::size_t max_bytes);

/// `file` is a classic TIFF that has the EXIF block at its very start, header apart, so that all of the block's offsets
/// are true: gives it a directory, at its end, with the entries of its own and those of the block's first one that
/// are metadata. An empty block adds nothing.
void add_exif_entries(std::vector<std::uint8_t>& file, Bytes exif);

}  // namespace kind
