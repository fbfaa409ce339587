#include "core/files/zip.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/base/error.h"

namespace kind {
namespace {

/// CRC-32 of ISO 3309, reflected, as APPNOTE.TXT 4.4.7 has it.
std::uint32_t crc_of(const std::vector<std::uint8_t>& bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> all{};
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
      all[i] = value;
    }
    return all;
  }();
  std::uint32_t crc = 0xffffffffu;
  for (const std::uint8_t byte : bytes) crc = crc >> 8 ^ table[(crc ^ byte) & 0xff];
  return ~crc;
}

class Writer {
 public:
  void put(int size, std::uint64_t value) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void put(const std::string& text) { bytes.insert(bytes.end(), text.begin(), text.end()); }

  std::vector<std::uint8_t> bytes;
};

void check_name(const std::string& name) {
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  check(!name.empty() && name[0] != '/' && ascii, "zip: expected a relative name in ASCII, got '", name, "'");
}

constexpr std::uint64_t kVersion = 20, kUnix = 3, kDate = 0x21;  // 1980-01-01
constexpr std::uint64_t kMode = 0100644;

/// What both headers of an entry have: version to .. length of the extra field.
void put_common(Writer& out, const ZipEntry& entry, std::uint32_t crc) {
  out.put(2, kVersion);
  out.put(2, 0);  // flags
  out.put(2, 0);  // stored
  out.put(2, 0);  // time
  out.put(2, kDate);
  out.put(4, crc);
  out.put(4, entry.bytes.size());
  out.put(4, entry.bytes.size());
  out.put(2, entry.name.size());
  out.put(2, 0);
}

}  // namespace

std::vector<std::uint8_t> stored_zip(const std::vector<ZipEntry>& entries) {
  constexpr std::uint64_t kHeaders = 30 + 46, kEnd = 22;
  check(entries.size() < 65535, "zip: expected fewer than 65535 entries, got ", entries.size());
  std::uint64_t size = kEnd;
  for (const ZipEntry& entry : entries) {
    check_name(entry.name);
    check(entry.name.size() <= 65535, "zip: expected names of at most 65535 bytes, got ", entry.name.size());
    size += kHeaders + 2 * entry.name.size() + entry.bytes.size();
  }
  check(size <= std::numeric_limits<std::uint32_t>::max(), "zip: expected less than 4 GiB, got ", size, " bytes");
  Writer out, directory;
  out.bytes.reserve(size);
  for (const ZipEntry& entry : entries) {
    const std::uint64_t offset = out.bytes.size();
    const std::uint32_t crc = crc_of(entry.bytes);
    out.put(4, 0x04034b50);
    put_common(out, entry, crc);
    out.put(entry.name);
    out.bytes.insert(out.bytes.end(), entry.bytes.begin(), entry.bytes.end());
    directory.put(4, 0x02014b50);
    directory.put(2, kUnix << 8 | kVersion);
    put_common(directory, entry, crc);
    directory.put(2, 0);  // comment
    directory.put(2, 0);  // disk
    directory.put(2, 0);  // internal attributes
    directory.put(4, kMode << 16);
    directory.put(4, offset);
    directory.put(entry.name);
  }
  const std::uint64_t start = out.bytes.size();
  out.bytes.insert(out.bytes.end(), directory.bytes.begin(), directory.bytes.end());
  out.put(4, 0x06054b50);
  out.put(4, 0);  // disks
  out.put(2, entries.size());
  out.put(2, entries.size());
  out.put(4, directory.bytes.size());
  out.put(4, start);
  out.put(2, 0);
  return std::move(out.bytes);
}

}  // namespace kind
