// TIFF 6.0: byte order, 42, offset of the first directory; a directory is a count, entries (tag, type, count, value or
// its offset) and the offset of the next directory. BigTIFF has 43 and wider numbers.

#include "core/image/tiff_tags.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace kind {
namespace {

constexpr unsigned kOrientation = 274, kXResolution = 282, kYResolution = 283, kResolutionUnit = 296,
                   kSubDirectories = 330, kExifDirectory = 34665, kGpsDirectory = 34853, kInteropDirectory = 40965,
                   kMakerNote = 37500;
constexpr unsigned kShort = 3, kLong = 4, kLong8 = 16, kIfd = 13, kIfd8 = 18;

/// Tags of the first directory that say how the pixels are stored, or speak of the old pixels.
constexpr unsigned kTiffWhitePoint = 318, kTiffPrimaries = 319;

bool is_structure(unsigned tag) {
  constexpr std::pair<unsigned, unsigned> kRanges[] = {{254, 259}, {262, 266}, {273, 273}, {277, 281},
                                                       {284, 284}, {288, 292}, {297, 301}, {317, 317},
                                                       {320, 329}, {332, 347}, {512, 532}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const auto& range) { return tag >= range.first && tag <= range.second; });
}

/// Tags of the first directory that EXIF blocks have as well.
bool is_description(unsigned tag) {
  constexpr unsigned kTags[] = {
      269, 270,   271,    272,    kOrientation, kXResolution, kYResolution, kResolutionUnit, 305,    306,   315,
      316, 33432, 0xc4a5, 0x4746, 0x4749,       0x9c9b,       0x9c9c,       0x9c9d,          0x9c9e, 0x9c9f};
  return std::find(std::begin(kTags), std::end(kTags), tag) != std::end(kTags);
}

/// Whether the value is of a type of TIFF 6.0 (wide numbers are BigTIFF's own) and inside of the file.
bool is_whole(const TiffTags& tags, const TiffEntry& entry) {
  return entry.type >= 1 && entry.type <= 12 && entry.bytes > 0 && tags.value(entry).size() == entry.bytes;
}

void put_number(std::vector<std::uint8_t>& to, std::uint64_t value, int bytes, bool little) {
  for (int i = 0; i < bytes; ++i) {
    to.push_back(static_cast<std::uint8_t>(value >> 8 * (little ? i : bytes - 1 - i) & 0xff));
  }
}

void set_number(std::vector<std::uint8_t>& in, std::size_t at, std::uint64_t value, bool little) {
  for (std::size_t i = 0; i < 4; ++i) in[at + i] = static_cast<std::uint8_t>(value >> 8 * (little ? i : 3 - i) & 0xff);
}

/// An EXIF block that is being put together.
class BlockWriter {
 public:
  BlockWriter(const TiffTags& tags, MetadataParts& parts)
      : tags_(tags), metadata_(parts.metadata), budget_(parts.budget()) {}

  /// Appends the directory, and behind it its values and the directories that it leads to. Returns its offset.
  std::size_t add(const std::vector<TiffEntry>& entries, unsigned parent) {
    if (block_.empty()) {
      block_ = {std::uint8_t(tags_.little() ? 'I' : 'M'), std::uint8_t(tags_.little() ? 'I' : 'M')};
      put_number(block_, 42, 2, tags_.little());
      put_number(block_, 8, 4, tags_.little());
    }
    if (block_.size() % 2 != 0) block_.push_back(0);
    const std::size_t start = block_.size();
    std::vector<TiffEntry> kept;
    for (const TiffEntry& entry : entries) {
      if (wanted(entry, parent)) kept.push_back(entry);
    }
    put_number(block_, kept.size(), 2, tags_.little());
    block_.resize(block_.size() + 12 * kept.size() + 4);
    for (std::size_t i = 0; i < kept.size(); ++i) add_entry(kept[i], start + 2 + 12 * i, parent);
    return start;
  }
  std::vector<std::uint8_t> take() { return std::move(block_); }

 private:
  bool leads_on(unsigned tag, unsigned parent) const {
    return parent == 0 ? tag == kExifDirectory || tag == kGpsDirectory
                       : parent == kExifDirectory && tag == kInteropDirectory;
  }

  bool wanted(const TiffEntry& entry, unsigned parent) {
    if (leads_on(entry.tag, parent)) {
      // Of each kind the first alone: entries could lead to thousands of directories that share their bytes.
      if (std::find(followed_.begin(), followed_.end(), entry.tag) != followed_.end()) return false;
      followed_.push_back(entry.tag);
      const bool whole = tags_.number(entry) && tags_.directory(*tags_.number(entry));
      if (!whole) drop(metadata_, kExifName);
      return whole;
    }
    if (parent == 0 && !is_description(entry.tag)) return false;
    if (parent == kExifDirectory && entry.tag == kMakerNote) {
      leave_out(metadata_, "maker's note");
      return false;
    }
    const bool whole = is_whole(tags_, entry);
    if (!whole) drop(metadata_, kExifName);
    if (whole) budget_.take(static_cast<std::size_t>(entry.bytes) + 12);
    return whole;
  }

  void add_entry(const TiffEntry& entry, std::size_t at, unsigned parent) {
    const bool little = tags_.little(), directory = leads_on(entry.tag, parent);
    std::vector<std::uint8_t> head;
    put_number(head, entry.tag, 2, little);
    put_number(head, directory ? kLong : entry.type, 2, little);
    put_number(head, directory ? 1 : entry.count, 4, little);
    if (directory) {
      put_number(head, add(*tags_.directory(*tags_.number(entry)), entry.tag), 4, little);
    } else {
      const Bytes value = tags_.value(entry);
      if (value.size() <= 4) {
        head.insert(head.end(), value.begin(), value.end());
        head.resize(12);
      } else {
        if (block_.size() % 2 != 0) block_.push_back(0);
        put_number(head, block_.size(), 4, little);
        block_.insert(block_.end(), value.begin(), value.end());
      }
    }
    std::copy(head.begin(), head.end(), block_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  const TiffTags& tags_;
  Metadata& metadata_;
  MetadataBudget& budget_;
  std::vector<std::uint8_t> block_;
  std::vector<unsigned> followed_;
};

}  // namespace

TiffTags::TiffTags(Bytes file) : file_(file) {
  if (file.size() < 8 || file[0] != file[1] || (file[0] != 'I' && file[0] != 'M')) return;
  little_ = file[0] == 'I';
  big_ = read(2, 2) == 43;
  constexpr std::uint64_t kOlympus = 0x4f52, kOlympusToo = 0x5352, kPanasonic = 0x55;
  const std::uint64_t kind = read(2, 2);
  if (kind != 42 && kind != kOlympus && kind != kOlympusToo && kind != kPanasonic && !big_) return;
  if (big_ && (file.size() < 16 || read(4, 2) != 8)) return;
  auto first = directory(big_ ? read(8, 8) : read(4, 4), &next_);
  if (!first) return;
  first_ = std::move(*first);
  whole_ = true;
}

std::uint64_t TiffTags::read(std::uint64_t at, int bytes) const {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value = value << 8 | file_[static_cast<std::size_t>(at) + static_cast<std::size_t>(little_ ? bytes - 1 - i : i)];
  }
  return value;
}

std::optional<std::vector<TiffEntry>> TiffTags::directory(std::uint64_t at, std::uint64_t* next) const {
  const std::uint64_t count_size = big_ ? 8 : 2, entry_size = big_ ? 20 : 12, offset_size = big_ ? 8 : 4;
  const std::uint64_t size = file_.size();
  if (at < 8 || at > size || size - at < count_size) return std::nullopt;
  const std::uint64_t count = read(at, static_cast<int>(count_size));
  constexpr std::uint64_t kMostEntries = 65535;
  if (count > kMostEntries || size - at - count_size < count * entry_size + offset_size) return std::nullopt;
  std::vector<TiffEntry> entries;
  for (std::uint64_t i = 0; i < count; ++i) {
    static constexpr std::uint64_t kSizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
    const std::uint64_t from = at + count_size + i * entry_size, value_at = from + (big_ ? 12 : 8);
    TiffEntry entry{static_cast<unsigned>(read(from, 2)), static_cast<unsigned>(read(from + 2, 2)),
                    read(from + 4, big_ ? 8 : 4), value_at, 0};
    const std::uint64_t each = entry.type < std::size(kSizes) ? kSizes[entry.type] : 0;
    entry.bytes = each == 0 || entry.count <= ~std::uint64_t{0} / each ? each * entry.count : ~std::uint64_t{0};
    if (entry.bytes > offset_size) entry.at = read(value_at, static_cast<int>(offset_size));
    entries.push_back(entry);
  }
  if (next) *next = read(at + count_size + count * entry_size, static_cast<int>(offset_size));
  return entries;
}

bool TiffTags::each_directory(const std::function<bool(const std::vector<TiffEntry>&)>& use) const {
  constexpr std::size_t kMost = 32;
  bool whole = whole_;
  std::vector<TiffEntry> directory = first_;
  std::uint64_t next = next_;
  for (std::size_t seen = 1; whole_ && seen <= kMost; ++seen) {
    if (!use(directory)) return whole;
    for (const TiffEntry& entry : directory) {
      if (entry.tag != kTiffSubDirectories) continue;
      const auto all = numbers(entry, kMost);
      whole &= all.has_value();
      for (const std::uint64_t at : all.value_or(std::vector<std::uint64_t>())) {
        const auto below = this->directory(at);
        whole &= below.has_value();
        if (++seen > kMost || (below && !use(*below))) return whole;
      }
    }
    if (next == 0) break;
    auto following = this->directory(next, &next);
    whole &= following.has_value();
    if (!following) break;
    directory = std::move(*following);
  }
  return whole;
}

bool holds_sensor_pixels(const TiffTags& tags, const std::vector<TiffEntry>& directory) {
  return std::any_of(directory.begin(), directory.end(), [&](const TiffEntry& entry) {
    const auto kind = entry.tag == kTiffPhotometric ? tags.number(entry) : std::nullopt;
    return kind && (*kind == kTiffFilterArray || *kind == kTiffLinearRaw);
  });
}

bool TiffTags::values_whole() const {
  return std::all_of(first_.begin(), first_.end(), [&](const TiffEntry& entry) {
    return entry.bytes <= file_.size() && entry.at <= file_.size() - entry.bytes;
  });
}

const TiffEntry* TiffTags::find(unsigned tag) const {
  const auto at = std::find_if(first_.begin(), first_.end(), [&](const TiffEntry& each) { return each.tag == tag; });
  return at == first_.end() ? nullptr : &*at;
}

namespace {

bool is_whole_number(unsigned type) {
  constexpr unsigned kSigned[] = {6, 8, 9};  // of an orientation that some programs write so
  return type == 1 || type == kShort || type == kLong || type == kLong8 || type == kIfd || type == kIfd8 ||
         std::find(std::begin(kSigned), std::end(kSigned), type) != std::end(kSigned);
}

}  // namespace

std::optional<std::uint64_t> TiffTags::number(const TiffEntry& entry) const {
  if (entry.count != 1 || !is_whole_number(entry.type) || value(entry).size() != entry.bytes) return std::nullopt;
  return read(entry.at, static_cast<int>(entry.bytes));
}

std::optional<std::vector<std::uint64_t>> TiffTags::numbers(const TiffEntry& entry, std::uint64_t most) const {
  if (entry.count == 0 || entry.count > most || !is_whole_number(entry.type)) return std::nullopt;
  if (value(entry).size() != entry.bytes) return std::nullopt;
  const std::uint64_t each = entry.bytes / entry.count;
  std::vector<std::uint64_t> all;
  for (std::uint64_t i = 0; i < entry.count; ++i) all.push_back(read(entry.at + i * each, static_cast<int>(each)));
  return all;
}

std::optional<std::uint64_t> TiffTags::number(unsigned tag) const {
  const TiffEntry* entry = find(tag);
  return entry == nullptr ? std::nullopt : number(*entry);
}

Bytes TiffTags::value(const TiffEntry& entry) const {
  if (entry.bytes > file_.size() || entry.at > file_.size() - entry.bytes) return {};
  return file_.subspan(static_cast<std::size_t>(entry.at), static_cast<std::size_t>(entry.bytes));
}

namespace {

/// The fractions of a value, at most 8.
std::vector<double> fractions_of(const TiffTags& tags, unsigned tag) {
  const TiffEntry* entry = tags.find(tag);
  const Bytes value = entry == nullptr || entry->type != 5 ? Bytes() : tags.value(*entry);
  const auto part = [&](std::size_t at) {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum = sum * 256 + value[at + (tags.little() ? 3 - i : i)];
    return sum;
  };
  std::vector<double> all;
  for (std::size_t at = 0; at + 8 <= std::min<std::size_t>(value.size(), 64); at += 8) {
    all.push_back(part(at + 4) == 0 ? 0 : part(at) / part(at + 4));
  }
  return all;
}

std::optional<Metadata::Density> density_of(const TiffTags& tags) {
  const auto single = [&](unsigned tag) {
    const std::vector<double> all = fractions_of(tags, tag);
    return all.size() == 1 ? all[0] : 0;
  };
  const std::uint64_t unit = tags.number(kResolutionUnit).value_or(2);
  const double x = single(kXResolution), y = single(kYResolution),
               metres = unit == 2   ? 1 / 0.0254
                        : unit == 3 ? 100
                                    : 1;
  if (x <= 0 || y <= 0 || x * metres >= 4e9 || y * metres >= 4e9) return std::nullopt;
  const auto rounded = [&](double value) { return static_cast<std::uint32_t>(std::lround(value * metres)); };
  if (rounded(x) == 0 || rounded(y) == 0) return std::nullopt;
  return Metadata::Density{rounded(x), rounded(y), unit == 2 || unit == 3};
}

/// Some programs write sRGB's white point and primaries into every file.
bool are_primaries_of_srgb(const TiffTags& tags, unsigned tag) {
  const std::vector<double> all = fractions_of(tags, tag);
  constexpr double kWhite[] = {0.3127, 0.329}, kPrimaries[] = {0.64, 0.33, 0.3, 0.6, 0.15, 0.06};
  const auto near = [](double x, double y) { return std::abs(x - y) < 0.002; };
  return (tag == kTiffWhitePoint && std::equal(all.begin(), all.end(), std::begin(kWhite), std::end(kWhite), near)) ||
         (tag == kTiffPrimaries &&
          std::equal(all.begin(), all.end(), std::begin(kPrimaries), std::end(kPrimaries), near));
}

}  // namespace

Metadata read_tiff_metadata(const std::string& path, Bytes file, std::size_t max_bytes) {
  MetadataParts parts(path, max_bytes);
  const TiffTags tags(file);
  if (!tags.whole()) return {};
  const auto bytes = [&](unsigned tag) {
    const TiffEntry* entry = tags.find(tag);
    return entry == nullptr ? Bytes() : tags.value(*entry);
  };
  constexpr unsigned kBitsPerSample = 258;
  constexpr std::uint64_t kMostSamples = 1024;
  constexpr std::uint64_t kInks = 5;
  parts.metadata.inks = tags.number(kTiffPhotometric) == kInks;
  const TiffEntry* const bits = tags.find(kBitsPerSample);
  const auto depths = bits ? tags.numbers(*bits, kMostSamples) : std::nullopt;
  if (parts.metadata.inks && depths && !depths->empty() && depths->front() <= 8) {
    parts.metadata.file_bits = 8;
  }
  parts.icc(bytes(kTiffIcc));
  Bytes xmp = bytes(kTiffXmp);
  while (!xmp.empty() && xmp.back() == 0) xmp = xmp.first(xmp.size() - 1);
  parts.xmp(xmp);
  parts.resources(bytes(kTiffPhotoshop));
  parts.budget().take(bytes(kTiffIptc).size());
  add_iptc(parts.metadata.photoshop, bytes(kTiffIptc));

  parts.metadata.density = density_of(tags);
  bool block = tags.number(kOrientation).value_or(1) != 1;
  for (const TiffEntry& entry : tags.first()) {
    constexpr unsigned kTaken[] = {kTiffIcc, kTiffXmp, kTiffPhotoshop, kTiffIptc, kExifDirectory, kGpsDirectory};
    const bool taken = std::find(std::begin(kTaken), std::end(kTaken), entry.tag) != std::end(kTaken);
    if (entry.tag == kSubDirectories) leave_out(parts.metadata, "further pictures");
    block |= entry.tag == kExifDirectory || entry.tag == kGpsDirectory ||
             (is_description(entry.tag) && entry.tag != kOrientation && entry.tag != kXResolution &&
              entry.tag != kYResolution && entry.tag != kResolutionUnit);
    if (!taken && entry.tag != kSubDirectories && !is_structure(entry.tag) && !is_description(entry.tag) &&
        !are_primaries_of_srgb(tags, entry.tag)) {
      leave_out(parts.metadata, "TIFF tag " + std::to_string(entry.tag));
    }
  }
  if (tags.next() != 0) leave_out(parts.metadata, "further pages");
  if (!block) return std::move(parts.metadata);
  BlockWriter writer(tags, parts);
  writer.add(tags.first(), 0);
  parts.metadata.exif = writer.take();
  return std::move(parts.metadata);
}

void add_exif_entries(std::vector<std::uint8_t>& file, Bytes exif) {
  const TiffTags tags(file), block(exif);
  struct Raw {
    unsigned tag;
    std::vector<std::uint8_t> bytes;
  };
  std::vector<Raw> entries;
  const auto add_all = [&](const TiffTags& from, Bytes in, bool all) {
    // Entries lie one behind the other, 12 bytes each, behind the directory's count.
    std::size_t at = 2;
    for (int i = 0; i < 4; ++i) at += std::size_t{in[4 + static_cast<std::size_t>(from.little() ? i : 3 - i)]} << 8 * i;
    for (const TiffEntry& entry : from.first()) {
      // What says how the block's own picture was stored.
      const bool more = entry.tag == kTiffWhitePoint || entry.tag == kTiffPrimaries || entry.tag == kTiffXmp ||
                        entry.tag == kTiffIcc || entry.tag == kTiffPhotoshop || entry.tag == kTiffIptc ||
                        entry.tag == kSubDirectories || is_structure(entry.tag);
      if (all || (!more && is_whole(from, entry))) {
        entries.push_back(
            {entry.tag,
             {in.begin() + static_cast<std::ptrdiff_t>(at), in.begin() + static_cast<std::ptrdiff_t>(at + 12)}});
      }
      at += 12;
    }
  };
  add_all(tags, file, true);
  if (block.whole() && !block.big()) add_all(block, exif, false);
  std::stable_sort(entries.begin(), entries.end(), [](const Raw& a, const Raw& b) { return a.tag < b.tag; });
  // The file's own came first.
  const auto same = [](const Raw& a, const Raw& b) { return a.tag == b.tag; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  const bool little = tags.little();
  if (file.size() % 2 != 0) file.push_back(0);
  const std::size_t start = file.size();
  put_number(file, entries.size(), 2, little);
  for (const Raw& entry : entries) file.insert(file.end(), entry.bytes.begin(), entry.bytes.end());
  put_number(file, 0, 4, little);
  set_number(file, 4, start, little);
}

}  // namespace kind
