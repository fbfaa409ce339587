#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace kind::testing {

inline std::string number(std::size_t value, int bytes, bool little) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * (little ? i : bytes - 1 - i)) & 0xff);
  return out;
}

/// An EXIF block as cameras write them: maker, orientation, and in a directory of their own the sizes and a maker's
/// note; then, where `thumbnail` is not empty, the thumbnail's directory and itself.
inline std::string exif_block(bool little, unsigned orientation, unsigned width, unsigned height,
                              const std::string& thumbnail = "") {
  constexpr unsigned kAscii = 2, kShort = 3, kLong = 4, kUndefined = 7;
  const auto entry = [&](unsigned tag, unsigned type, std::size_t count, std::size_t value) {
    const bool small = type == kShort;
    return number(tag, 2, little) + number(type, 2, little) + number(count, 4, little) +
           number(value, small ? 2 : 4, little) + (small ? std::string(2, '\0') : "");
  };
  const std::string maker = std::string("A maker of cameras") + '\0', note = "note with offsets";
  const std::size_t first = 8, inner = first + 2 + 36 + 4, maker_at = inner + 2 + 36 + 4,
                    note_at = maker_at + maker.size(), second = note_at + note.size(),
                    thumbnail_at = second + 2 + 24 + 4;
  std::string out = (little ? "II" : "MM") + number(42, 2, little) + number(first, 4, little);
  out += number(3, 2, little) + entry(0x010f, kAscii, maker.size(), maker_at) + entry(0x0112, kShort, 1, orientation) +
         entry(0x8769, kLong, 1, inner) + number(thumbnail.empty() ? 0 : second, 4, little);
  out += number(3, 2, little) + entry(0x927c, kUndefined, note.size(), note_at) + entry(0xa002, kLong, 1, width) +
         entry(0xa003, kShort, 1, height) + number(0, 4, little);
  out += maker + note;
  if (thumbnail.empty()) return out;
  return out + number(2, 2, little) + entry(0x0201, kLong, 1, thumbnail_at) +
         entry(0x0202, kLong, 1, thumbnail.size()) + number(0, 4, little) + thumbnail;
}

/// A colour profile as far as it is looked at: its size, what pixels it is for, its signature.
inline std::string profile(const std::string& pixels, std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 2654435761u >> 7);
  out.replace(0, 4, number(size, 4, false));
  out.replace(16, 4, pixels);
  out.replace(36, 4, "acsp");
  return out;
}

/// A colour profile that programs understand: Display P3's primaries, or gray, with a gamma of 2.2 (ICC.1:2001-04).
inline std::string whole_profile(bool gray) {
  const auto fixed = [](double value) {
    const auto scaled = static_cast<std::int64_t>(value * 65536 + (value < 0 ? -0.5 : 0.5));
    return number(static_cast<std::uint32_t>(scaled), 4, false);
  };
  const auto xyz = [&](double x, double y, double z) {
    return "XYZ " + std::string(4, '\0') + fixed(x) + fixed(y) + fixed(z);
  };
  const std::string curve = "curv" + std::string(4, '\0') + number(1, 4, false) + number(0x0233, 2, false);
  const std::string name = "test";
  const std::string description = "desc" + std::string(4, '\0') + number(name.size() + 1, 4, false) + name +
                                  std::string(1 + 4 + 4 + 2 + 1 + 67, '\0');
  std::vector<std::pair<std::string, std::string>> tags = {
      {"desc", description},
      {"cprt", "text" + std::string(4, '\0') + "none" + std::string(1, '\0')},
      {"wtpt", xyz(0.9642, 1, 0.8249)}};
  if (gray) {
    tags.emplace_back("kTRC", curve);
  } else {
    tags.insert(tags.end(), {{"rXYZ", xyz(0.51512, 0.24120, -0.00105)},
                             {"gXYZ", xyz(0.29198, 0.69225, 0.04189)},
                             {"bXYZ", xyz(0.15710, 0.06657, 0.78407)},
                             {"rTRC", curve},
                             {"gTRC", curve},
                             {"bTRC", curve}});
  }
  std::string table = number(tags.size(), 4, false), content;
  for (const auto& [tag, value] : tags) {
    const std::size_t at = 128 + 4 + 12 * tags.size() + content.size();
    table += tag + number(at, 4, false) + number(value.size(), 4, false);
    content += value + std::string((4 - value.size() % 4) % 4, '\0');
  }
  const std::size_t size = 128 + table.size() + content.size();
  std::string header = number(size, 4, false) + std::string(4, '\0') + number(0x02100000, 4, false) + "mntr" +
                       (gray ? "GRAY" : "RGB ") + "XYZ " + number(2020, 2, false) + number(1, 2, false) +
                       number(1, 2, false) + std::string(6, '\0') + "acsp" + std::string(28, '\0') + fixed(0.9642) +
                       fixed(1) + fixed(0.8249);
  header.resize(128, '\0');
  return header + table + content;
}

inline std::string segment(int marker, const std::string& content) {
  return std::string("\xff") + static_cast<char>(marker) + number(content.size() + 2, 2, false) + content;
}

inline std::string chunk(const std::string& type, const std::string& content) {
  const std::string checked = type + content;
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
  return number(content.size(), 4, false) + checked + number(sum, 4, false);
}

inline std::string packed(const std::string& content) {
  uLongf size = compressBound(static_cast<uLong>(content.size()));
  std::string out(size, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(content.data()),
           static_cast<uLong>(content.size()));
  out.resize(size);
  return out;
}

/// The file with more behind its start: a JPEG's 2 bytes, a PNG's signature and header of 33.
inline std::vector<std::uint8_t> with_inserted(const std::vector<std::uint8_t>& file, const std::string& more) {
  std::vector<std::uint8_t> out = file;
  out.insert(out.begin() + (file[0] == 0xff ? 2 : 33), more.begin(), more.end());
  return out;
}

inline std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace kind::testing
