// EXIF blocks are TIFF files: byte order, 42, offset of the first directory; a directory is a count, entries of 12
// bytes (tag, type, count, value or its offset) and the offset of the next directory.

#include "core/image/exif.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace kind {
namespace {

constexpr unsigned kXResolution = 0x011a, kYResolution = 0x011b, kOrientation = 0x0112, kImageWidth = 0x0100,
                   kImageLength = 0x0101, kStrips = 0x0111, kStripSizes = 0x0117, kThumbnail = 0x0201,
                   kThumbnailSize = 0x0202, kExifDirectory = 0x8769, kGpsDirectory = 0x8825, kInteropDirectory = 0xa005,
                   kPixelWidth = 0xa002, kPixelHeight = 0xa003;
constexpr unsigned kByte = 1, kShort = 3, kLong = 4, kSignedByte = 6, kSignedShort = 8, kSignedLong = 9,
                   kDirectory = 13;

/// The bytes of a whole number of this type; 0 for other types.
std::size_t number_size(unsigned type) {
  switch (type) {
    case kByte:
    case kSignedByte:
      return 1;
    case kShort:
    case kSignedShort:
      return 2;
    case kLong:
    case kSignedLong:
    case kDirectory:
      return 4;
    default:
      return 0;
  }
}

struct Range {
  std::size_t begin, end;
};

struct Entry {
  std::size_t at;
  unsigned tag, type;
  std::size_t count;
};

/// Reads and writes numbers in the block's byte order. Positions are checked by the callers.
template <class Bytes>
class Tiff {
 public:
  explicit Tiff(Bytes& bytes) : bytes_(bytes), little_(!bytes.empty() && bytes[0] == 'I') {}

  bool has_header() const {
    return bytes_.size() >= 8 && bytes_[0] == bytes_[1] && (bytes_[0] == 'I' || bytes_[0] == 'M') && u16(2) == 42;
  }
  std::size_t size() const { return bytes_.size(); }
  unsigned u16(std::size_t at) const {
    const unsigned first = bytes_[at], second = bytes_[at + 1];
    return little_ ? second << 8 | first : first << 8 | second;
  }
  std::size_t u32(std::size_t at) const {
    return little_ ? u16(at) | std::size_t{u16(at + 2)} << 16 : std::size_t{u16(at)} << 16 | u16(at + 2);
  }
  void put(std::size_t at, unsigned type, std::size_t value) {
    const std::size_t size = number_size(type);
    for (std::size_t i = 0; i < size; ++i) {
      bytes_[at + i] = static_cast<std::uint8_t>(value >> 8 * (little_ ? i : size - 1 - i) & 0xff);
    }
  }

  /// The directory's entries; nothing where it is not whole.
  std::optional<std::vector<Entry>> directory(std::size_t at) const {
    if (at < 8 || at + 2 > size() || at + 2 + std::size_t{12} * u16(at) > size()) return std::nullopt;
    std::vector<Entry> entries(u16(at));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::size_t entry = at + 2 + 12 * i;
      entries[i] = {entry, u16(entry), u16(entry + 2), u32(entry + 4)};
    }
    return entries;
  }
  /// The bytes of a directory with the offset of the next one: of as many entries as it says, whole or not.
  Range directory_range(std::size_t at) const {
    if (at + 2 > size()) return {size(), size()};
    return {at, std::min(size(), at + 2 + std::size_t{12} * u16(at) + 4)};
  }
  /// Where the entry's value lies.
  Range value(const Entry& entry) const {
    static constexpr std::size_t kSizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4};
    const std::size_t bytes = entry.type < std::size(kSizes) ? kSizes[entry.type] * entry.count : 0;
    const std::size_t begin = bytes > 4 ? u32(entry.at + 8) : entry.at + 8;
    return {std::min(begin, size()), std::min(begin + bytes, size())};
  }
  /// A single whole number, negative ones as very large; nothing for other values. The standard has SHORT and LONG, some
  /// programs write others.
  std::optional<std::size_t> number(const Entry& entry) const {
    const std::size_t size = number_size(entry.type);
    if (entry.count != 1 || size == 0) return std::nullopt;
    return size == 1 ? bytes_[entry.at + 8] : size == 2 ? u16(entry.at + 8) : u32(entry.at + 8);
  }

 private:
  Bytes& bytes_;
  bool little_;
};

/// Sorts the ranges and joins those that touch, so that whether another one overlaps any of them is soon said.
void join_ranges(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (const Range& range : ranges) {
    if (kept > 0 && range.begin <= ranges[kept - 1].end) {
      ranges[kept - 1].end = std::max(ranges[kept - 1].end, range.end);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

bool overlaps(const Range& range, const std::vector<Range>& joined) {
  if (range.begin >= range.end) return false;
  // The last one that begins before this one ends.
  auto next = std::lower_bound(joined.begin(), joined.end(), range.end,
                               [](const Range& other, std::size_t end) { return other.begin < end; });
  return next != joined.begin() && std::prev(next)->end > range.begin;
}

/// The directory itself and the values that lie outside of it.
template <class Bytes>
void add_ranges(const Tiff<Bytes>& tiff, std::size_t directory, const std::vector<Entry>& entries,
                std::vector<Range>& ranges) {
  ranges.push_back(tiff.directory_range(directory));
  for (const Entry& entry : entries) ranges.push_back(tiff.value(entry));
}

/// Whether a tag of the second directory describes the thumbnail (TIFF 6.0, EXIF 2.3; Microsoft's 0x5012 to 0x502f).
bool is_of_thumbnail(unsigned tag) {
  constexpr std::pair<unsigned, unsigned> kRanges[] = {{0xfe, 0x10a},  {0x111, 0x11c}, {0x122, 0x125},
                                                       {0x128, 0x129}, {0x12d, 0x12d}, {0x13d, 0x147},
                                                       {0x152, 0x15b}, {0x200, 0x214}, {0x5012, 0x502f}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const auto& range) { return tag >= range.first && tag <= range.second; });
}

/// Takes the entries out of a directory that are not to be kept. What becomes free behind it is left to the caller.
void keep_entries(Tiff<std::vector<std::uint8_t>>& tiff, std::vector<std::uint8_t>& bytes, std::size_t directory,
                  const std::vector<Entry>& kept) {
  std::size_t to = directory + 2;
  for (const Entry& entry : kept) {
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(entry.at), 12,
                bytes.begin() + static_cast<std::ptrdiff_t>(to));
    to += 12;
  }
  tiff.put(directory, kShort, kept.size());
  tiff.put(to, kLong, 0);
}

/// Takes out the second directory, which is the thumbnail's, and the thumbnail. `used`: what is in use outside of them.
/// What the directory says of something else and the first one does not say stays.
void remove_thumbnail(Tiff<std::vector<std::uint8_t>>& tiff, std::vector<std::uint8_t>& bytes, std::size_t first,
                      const std::vector<Entry>& entries, std::vector<Range> used) {
  const std::size_t next = first + 2 + 12 * entries.size();
  if (next + 4 > tiff.size()) return;
  const std::size_t second = tiff.u32(next);
  const auto thumbnail = tiff.directory(second);
  join_ranges(used);
  std::vector<Entry> kept;
  if (thumbnail && second + 6 + 12 * thumbnail->size() <= tiff.size() &&
      !overlaps(tiff.directory_range(second), used)) {
    std::vector<unsigned> known;
    known.reserve(entries.size());
    for (const Entry& entry : entries) known.push_back(entry.tag);
    std::sort(known.begin(), known.end());
    std::copy_if(thumbnail->begin(), thumbnail->end(), std::back_inserter(kept), [&](const Entry& entry) {
      return !is_of_thumbnail(entry.tag) && !std::binary_search(known.begin(), known.end(), entry.tag);
    });
  }
  if (kept.empty()) tiff.put(next, kLong, 0);
  if (!thumbnail) return;
  std::vector<Range> cleared;
  add_ranges(tiff, second, *thumbnail, cleared);
  for (const auto& [start, length] : {std::pair{kThumbnail, kThumbnailSize}, {kStrips, kStripSizes}}) {
    std::optional<std::size_t> from, count;
    for (const Entry& entry : *thumbnail) {
      if (entry.tag == start) from = tiff.number(entry);
      if (entry.tag == length) count = tiff.number(entry);
    }
    if (from && count) {
      const std::size_t begin = std::min(*from, tiff.size());
      cleared.push_back({begin, begin + std::min(*count, tiff.size() - begin)});
    }
  }
  if (!kept.empty()) {
    const std::size_t end = tiff.directory_range(second).end;
    for (const Entry& entry : kept) {
      const Range value = tiff.value(entry);
      if (value.begin != entry.at + 8) used.push_back(value);  // those in the entries move with them
    }
    keep_entries(tiff, bytes, second, kept);
    used.push_back(tiff.directory_range(second));
    cleared[0] = {used.back().end, end};  // the directory's own
    join_ranges(used);
  }
  std::erase_if(cleared, [&](const Range& range) { return overlaps(range, used); });
  for (const Range& range : cleared) std::fill(&bytes[0] + range.begin, &bytes[0] + range.end, std::uint8_t{0});
  // What lies at the end is cut off, also before a zero that makes an even number of bytes. From the back, so that what
  // comes to lie at the end in this way is seen.
  std::sort(cleared.begin(), cleared.end(), [](const Range& a, const Range& b) { return a.begin > b.begin; });
  for (const Range& range : cleared) {
    if (range.begin >= range.end || range.begin >= bytes.size() || range.end + 1 < bytes.size()) continue;
    const bool fill = range.end >= bytes.size() || (bytes.back() == 0 && !overlaps({range.end, bytes.size()}, used));
    if (fill) bytes.resize(range.begin);
  }
}

}  // namespace

int exif_orientation(std::span<const std::uint8_t> bytes) {
  const Tiff tiff(bytes);
  if (!tiff.has_header()) return 1;
  const std::size_t directory = tiff.u32(4);
  if (directory > tiff.size() - 2) return 1;
  const unsigned count = tiff.u16(directory);
  for (unsigned i = 0; i < count; ++i) {
    const std::size_t at = directory + 2 + std::size_t{12} * i;
    if (at + 12 > tiff.size()) return 1;
    if (tiff.u16(at) != kOrientation) continue;
    // Of the same types as it is reset in, so that none is reset that was not applied.
    const std::size_t value = tiff.number({at, kOrientation, tiff.u16(at + 2), tiff.u32(at + 4)}).value_or(1);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

namespace {

/// Where a block says what colour space its picture is in: entries of the Exif and the interoperability directory.
struct ColorEntries {
  std::optional<Entry> space, index;
};

ColorEntries color_entries(std::span<const std::uint8_t> bytes) {
  constexpr unsigned kColorSpace = 0xa001, kInteropIndex = 1;
  const Tiff<std::span<const std::uint8_t>> tiff(bytes);
  if (!tiff.has_header()) return {};
  const auto entry_of = [&](std::size_t directory, unsigned tag) -> std::optional<Entry> {
    for (const Entry& entry : tiff.directory(directory).value_or(std::vector<Entry>())) {
      if (entry.tag == tag) return entry;
    }
    return std::nullopt;
  };
  const auto directory_in = [&](std::size_t directory, unsigned tag) {
    const std::optional<Entry> entry = entry_of(directory, tag);
    return entry ? tiff.number(*entry).value_or(0) : 0;
  };
  const std::size_t exif = directory_in(tiff.u32(4), kExifDirectory);
  ColorEntries found{entry_of(exif, kColorSpace), entry_of(directory_in(exif, kInteropDirectory), kInteropIndex)};
  if (found.space && !tiff.number(*found.space)) found.space.reset();
  if (found.index && (found.index->type != 2 || found.index->count != 4)) found.index.reset();
  return found;
}

bool is_r03(std::span<const std::uint8_t> bytes, const std::optional<Entry>& index) {
  return index && bytes[index->at + 8] == 'R' && bytes[index->at + 9] == '0' && bytes[index->at + 10] == '3';
}

}  // namespace

bool exif_is_adobe_rgb(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kAdobeRgb = 2;
  const ColorEntries entries = color_entries(bytes);
  const Tiff<std::span<const std::uint8_t>> tiff(bytes);
  return (entries.space && tiff.number(*entries.space) == kAdobeRgb) || is_r03(bytes, entries.index);
}

void set_exif_srgb(std::vector<std::uint8_t>& bytes) {
  if (!exif_is_adobe_rgb(bytes)) return;
  const ColorEntries entries = color_entries(bytes);
  if (entries.space) Tiff<std::vector<std::uint8_t>>(bytes).put(entries.space->at + 8, entries.space->type, 1);
  if (!is_r03(bytes, entries.index)) return;
  bytes[entries.index->at + 9] = '9';
  bytes[entries.index->at + 10] = '8';
}

bool make_exif_upright(std::vector<std::uint8_t>& bytes, int width, int height, bool quarter_turn) {
  Tiff tiff(bytes);
  if (!tiff.has_header()) return false;
  const std::size_t first = tiff.u32(4);
  const auto entries = tiff.directory(first);
  if (!entries) return false;

  // What is in use outside of the thumbnail, so that a block that lies about where that is loses nothing else.
  std::vector<Range> used = {{0, 8}};
  add_ranges(tiff, first, *entries, used);
  const auto set = [&](const Entry& entry, int value) {
    const bool fits = number_size(entry.type) > 1 || value <= 127;
    if (fits && tiff.number(entry)) tiff.put(entry.at + 8, entry.type, static_cast<std::size_t>(value));
  };
  const auto resolution = [&](unsigned tag) {
    return std::find_if(entries->begin(), entries->end(), [&](const Entry& entry) { return entry.tag == tag; });
  };
  const auto x = resolution(kXResolution), y = resolution(kYResolution);
  if (quarter_turn && x != entries->end() && y != entries->end() && x->type == y->type && x->count == y->count) {
    // The values, or where they lie.
    std::swap_ranges(bytes.data() + x->at + 8, bytes.data() + x->at + 12, bytes.data() + y->at + 8);
  }
  bool seen_exif = false, seen_gps = false;
  for (const Entry& entry : *entries) {
    if (entry.tag == kOrientation) set(entry, 1);
    if (entry.tag == kImageWidth) set(entry, width);
    if (entry.tag == kImageLength) set(entry, height);
    // Of each kind the first alone: entries could lead to thousands of directories that share their bytes.
    if (entry.tag != kExifDirectory && entry.tag != kGpsDirectory) continue;
    if (std::exchange(entry.tag == kExifDirectory ? seen_exif : seen_gps, true)) continue;
    bool seen_interop = false;
    const std::size_t at = tiff.number(entry).value_or(0);
    const auto inner = tiff.directory(at);
    if (!inner) {
      // Cleared with the thumbnail, its number of entries could make a whole one of it.
      used.push_back({std::min(at, tiff.size()), std::min(at + 2, tiff.size())});
      continue;
    }
    // One that shares bytes with the first would have its entries changed by what is set there, and the other way
    // round.
    const Range range = tiff.directory_range(at);
    if (overlaps(range, {tiff.directory_range(first)})) {
      used.push_back(range);
      continue;
    }
    add_ranges(tiff, at, *inner, used);
    for (const Entry& deeper : *inner) {
      if (entry.tag == kExifDirectory && deeper.tag == kPixelWidth) set(deeper, width);
      if (entry.tag == kExifDirectory && deeper.tag == kPixelHeight) set(deeper, height);
      if (deeper.tag != kInteropDirectory || std::exchange(seen_interop, true)) continue;
      const std::size_t interop_at = tiff.number(deeper).value_or(0);
      if (const auto interop = tiff.directory(interop_at)) add_ranges(tiff, interop_at, *interop, used);
    }
  }

  remove_thumbnail(tiff, bytes, first, *entries, used);
  return true;
}

}  // namespace kind
