#include "core/image/xmp.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace kind {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// Where a property's value lies, whether it is an attribute (name="value") or an element (<name>value</name>), from
/// `from` on, and where its name begins; begin = npos where there is none.
struct Place {
  std::size_t begin = std::string::npos, end = std::string::npos, name = std::string::npos;
};

Place find_value(std::string_view packet, std::string_view name, std::size_t from) {
  for (std::size_t at = packet.find(name, from); at != std::string::npos; at = packet.find(name, at + 1)) {
    std::size_t next = packet.find_first_not_of(kSpace, at + name.size());
    if (next == std::string::npos) break;
    if (packet[next] == '>') {
      if (at == 0 || packet[at - 1] != '<') continue;  // first, since looking for the end of each would take too long
      const std::size_t end = packet.find('<', next);
      if (end == std::string::npos) break;  // nor is there one for any that follows
      return {next + 1, end, at};
    } else if (packet[next] == '=') {
      next = packet.find_first_not_of(kSpace, next + 1);
      if (next == std::string::npos || (packet[next] != '"' && packet[next] != '\'')) continue;
      const std::size_t end = packet.find(packet[next], next + 1);
      if (end == std::string::npos) break;
      return {next + 1, end, at};
    }
  }
  return {};
}

void set_numbers(std::string& packet, std::string_view name, int value) {
  std::string out;  // built anew: time must stay linear in the size of whatever a file holds
  std::size_t done = 0;
  const std::string_view all = packet;
  for (Place at = find_value(all, name, 0); at.begin != std::string::npos; at = find_value(all, name, at.end)) {
    if (all.substr(at.begin, at.end - at.begin).find_first_not_of("0123456789 \t\r\n") != std::string::npos) continue;
    out.append(all, done, at.begin - done).append(std::to_string(value));
    done = at.end;
  }
  packet = out.append(all, done);
}

/// The inside of rdf:RDF.
std::optional<Place> find_rdf(std::string_view packet) {
  const std::size_t start = packet.find("<rdf:RDF");
  const std::size_t begin = start == std::string::npos ? start : packet.find('>', start);
  const std::size_t end = packet.rfind("</rdf:RDF>");
  if (begin == std::string::npos || end == std::string::npos || begin >= end) return std::nullopt;
  // Prefixes that are declared here would be missing elsewhere.
  const std::string_view tag = packet.substr(start, begin - start);
  if (tag.find("xmlns:") != tag.rfind("xmlns:")) return std::nullopt;
  return Place{begin + 1, end, start};
}

constexpr std::string_view kExtensionProperty = "xmpNote:HasExtendedXMP";

}  // namespace

void make_xmp_upright(std::string& packet, int width, int height, bool applied) {
  if (applied) set_numbers(packet, "tiff:Orientation", 1);
  for (const char* name : {"tiff:ImageWidth", "exif:PixelXDimension"}) set_numbers(packet, name, width);
  for (const char* name : {"tiff:ImageLength", "exif:PixelYDimension"}) set_numbers(packet, name, height);
  constexpr std::string_view kStart = "<xmp:Thumbnails", kEnd = "</xmp:Thumbnails>";
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = packet.find(kStart); at != std::string::npos; at = packet.find(kStart, done)) {
    const std::size_t end = packet.find(kEnd, at);
    if (end == std::string::npos) break;
    out.append(packet, done, at - done);
    done = end + kEnd.size();
  }
  packet = out.append(packet, done);
}

std::string xmp_extension_name(std::string_view packet) {
  const Place place = find_value(packet, kExtensionProperty, 0);
  if (place.begin == std::string::npos || place.end - place.begin != 32) return "";
  return std::string(packet.substr(place.begin, 32));
}

void rename_xmp_extension(std::string& packet, std::string_view extension) {
  const Place place = find_value(packet, kExtensionProperty, 0);
  if (place.begin != std::string::npos) packet.replace(place.begin, place.end - place.begin, md5_text(extension));
}

std::optional<std::string> join_xmp(const std::string& packet, const std::string& extension) {
  const auto outer = find_rdf(packet), inner = find_rdf(extension);
  if (!outer || !inner) return std::nullopt;
  std::string whole = packet;
  whole.insert(outer->end, extension.substr(inner->begin, inner->end - inner->begin));
  const Place name = find_value(whole, kExtensionProperty, 0);
  if (name.begin == std::string::npos) return whole;
  if (whole[name.end] == '<') {
    const std::size_t end = whole.find('>', name.end);
    if (end != std::string::npos) whole.erase(name.name - 1, end + 1 - (name.name - 1));
  } else {
    whole.erase(name.name, name.end + 1 - name.name);
  }
  return whole;
}

SplitXmp split_xmp(const std::string& packet) {
  // The extension is the bare tree, without the packet's wrapper.
  const std::size_t begin = packet.find("<x:xmpmeta"), end = packet.rfind("</x:xmpmeta>");
  SplitXmp split;
  split.extension = begin == std::string::npos || end == std::string::npos || begin > end
                        ? packet
                        : packet.substr(begin, end + std::string_view("</x:xmpmeta>").size() - begin);
  split.packet =
      "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
      "<rdf:Description rdf:about=\"\" xmlns:xmpNote=\"http://ns.adobe.com/xmp/note/\" "
      "xmpNote:HasExtendedXMP=\"" +
      md5_text(split.extension) +
      "\"/></rdf:RDF></x:xmpmeta>\n"
      "<?xpacket end=\"w\"?>";
  return split;
}

std::string md5_text(std::string_view bytes) {
  constexpr std::array<std::array<int, 4>, 4> kTurns = {
      {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};
  std::array<std::uint32_t, 64> sines{};
  for (std::size_t i = 0; i < 64; ++i) {
    sines[i] = static_cast<std::uint32_t>(std::floor(std::abs(std::sin(static_cast<double>(i) + 1)) * 4294967296.0));
  }
  std::string padded(bytes);
  padded += '\x80';
  padded.append((120 - padded.size() % 64) % 64, '\0');
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  for (int i = 0; i < 8; ++i) padded += static_cast<char>(bits >> 8 * i & 0xff);

  std::array<std::uint32_t, 4> sum = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (std::size_t block = 0; block < padded.size(); block += 64) {
    std::array<std::uint32_t, 16> words{};
    for (std::size_t i = 0; i < 64; ++i) {
      words[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(padded[block + i])} << 8 * (i % 4);
    }
    auto [a, b, c, d] = sum;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::size_t round = i / 16;
      const std::uint32_t mixed = round == 0   ? (b & c) | (~b & d)
                                  : round == 1 ? (d & b) | (~d & c)
                                  : round == 2 ? b ^ c ^ d
                                               : c ^ (b | ~d);
      constexpr std::array<std::size_t, 4> kSteps = {1, 5, 3, 7}, kStarts = {0, 1, 5, 0};
      const std::uint32_t word = words[(kSteps[round] * i + kStarts[round]) % 16];
      const std::uint32_t turned = std::rotl(a + mixed + sines[i] + word, kTurns[round][i % 4]);
      a = d;
      d = c;
      c = b;
      b += turned;
    }
    sum = {sum[0] + a, sum[1] + b, sum[2] + c, sum[3] + d};
  }
  std::string text;
  for (const std::uint32_t word : sum) {
    for (int i = 0; i < 8; ++i) text += "0123456789ABCDEF"[word >> (8 * (i / 2) + (i % 2 == 0 ? 4 : 0)) & 15];
  }
  return text;
}

}  // namespace kind
