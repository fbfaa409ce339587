#include "core/image/xmp.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <utility>

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

/// Namespaces, by how they begin, of properties that hold no longer, and what they speak of; empty where the properties
/// themselves say that.
constexpr std::pair<std::string_view, const char*> kStale[] = {
    {"http://ns.adobe.com/hdr-gain-map/", "gain map"},
    {"http://ns.apple.com/HDRGainMap/", "gain map"},
    {"http://ns.google.com/photos/1.0/depthmap/", "depth map"},
    {"http://ns.google.com/photos/dd/1.0/", "depth map"},
    {"http://ns.google.com/photos/1.0/image/", "further pictures"},
    {"http://ns.google.com/photos/1.0/camera/", ""},
    {"http://ns.google.com/photos/1.0/container/", ""},
};

/// The row of kStale; -1 for other namespaces.
int stale_namespace(std::string_view uri) {
  for (std::size_t i = 0; i < std::size(kStale); ++i) {
    if (uri.starts_with(kStale[i].first)) return static_cast<int>(i);
  }
  return -1;
}

/// Goes over a packet's tags (XML 1.0, Namespaces in XML 1.0) and finds the parts that are to be taken out.
class StaleFinder {
 public:
  explicit StaleFinder(std::string_view text) : text_(text) {}

  /// False where the packet is not well-formed.
  bool run() {
    for (std::size_t at = text_.find('<'); at != std::string_view::npos; at = text_.find('<', at)) {
      const std::string_view rest = text_.substr(at);
      const std::string_view end = rest.starts_with("<!--")        ? "-->"
                                   : rest.starts_with("<![CDATA[") ? "]]>"
                                   : rest.starts_with("<?")        ? "?>"
                                   : rest.starts_with("<!")        ? ">"
                                                                   : "";
      at = !end.empty() ? behind(at, end) : rest.starts_with("</") ? close(at) : open(at);
      if (at == std::string_view::npos) return false;
    }
    return open_.empty();
  }
  /// Without the parts.
  std::string kept() const {
    std::string out;
    std::size_t done = 0;
    for (const auto& [begin, end] : parts_) {
      out.append(text_, done, begin - done);
      done = end;
    }
    return out.append(text_, done);
  }
  bool found() const { return !parts_.empty(); }
  const std::vector<std::string>& names() const { return names_; }

 private:
  struct Attribute {
    std::size_t begin, end;  ///< With the white space before it.
    std::string_view name, value;
  };
  struct Element {
    std::string_view name;
    std::size_t declared;  ///< How many prefixes were declared outside of it.
  };

  std::size_t behind(std::size_t from, std::string_view end) const {
    const std::size_t at = text_.find(end, from);
    return at == std::string_view::npos ? at : at + end.size();
  }

  int stale_prefix(std::string_view name) const {
    const std::size_t colon = name.find(':');
    const auto prefix = prefixes_.find(name.substr(0, colon));
    return colon == std::string_view::npos || prefix == prefixes_.end() || prefix->second.empty()
               ? -1
               : prefix->second.back();
  }

  void name_part(const char* what) {
    if (std::find(names_.begin(), names_.end(), what) == names_.end()) names_.emplace_back(what);
  }
  /// Names what a part speaks of.
  void name_part(int row, std::string_view part) {
    const auto& [uri, what] = kStale[row];
    if (*what != '\0') return name_part(what);
    constexpr std::pair<std::string_view, const char*> kWords[] = {{"MotionPhoto", "motion video"},
                                                                   {"MicroVideo", "motion video"},
                                                                   {"GainMap", "gain map"},
                                                                   {"Depth", "depth map"}};
    bool named = false;
    for (const auto& [word, meaning] : kWords) {
      if (part.find(word) == std::string_view::npos) continue;
      name_part(meaning);
      named = true;
    }
    if (!named && uri.ends_with("camera/")) name_part("camera data in XMP");
  }

  /// The attributes from `at` on; returns where the tag's `>` or `/>` begins.
  std::size_t read_attributes(std::size_t at) {
    attributes_.clear();
    for (;;) {
      const std::size_t begin = at;
      at = text_.find_first_not_of(kSpace, at);
      if (at == std::string_view::npos) return at;
      if (text_[at] == '>' || text_.substr(at, 2) == "/>") return at;
      const std::size_t name_end = text_.find_first_of(" \t\r\n=<>/", at);
      const std::size_t equals =
          name_end == std::string_view::npos ? name_end : text_.find_first_not_of(kSpace, name_end);
      if (equals == std::string_view::npos || text_[equals] != '=' || begin == at) return std::string_view::npos;
      const std::size_t quote = text_.find_first_not_of(kSpace, equals + 1);
      if (quote == std::string_view::npos || (text_[quote] != '"' && text_[quote] != '\''))
        return std::string_view::npos;
      const std::size_t end = text_.find(text_[quote], quote + 1);
      if (end == std::string_view::npos) return end;
      attributes_.push_back(
          {begin, end + 1, text_.substr(at, name_end - at), text_.substr(quote + 1, end - quote - 1)});
      at = end + 1;
    }
  }

  /// A tag that opens an element. Returns what is behind it.
  std::size_t open(std::size_t at) {
    const std::size_t name_end = text_.find_first_of(" \t\r\n/>", at + 1);
    if (name_end == std::string_view::npos || name_end == at + 1) return std::string_view::npos;
    const std::string_view name = text_.substr(at + 1, name_end - at - 1);
    const std::size_t end = read_attributes(name_end);
    if (end == std::string_view::npos) return end;
    open_.push_back({name, declared_.size()});
    constexpr std::string_view kDeclaration = "xmlns:";
    for (const Attribute& attribute : attributes_) {
      if (!attribute.name.starts_with(kDeclaration)) continue;
      declared_.push_back(attribute.name.substr(kDeclaration.size()));
      prefixes_[declared_.back()].push_back(stale_namespace(attribute.value));
    }
    if (removed_depth_ == 0) {
      removed_row_ = stale_prefix(name);
      if (removed_row_ >= 0) {
        removed_depth_ = open_.size();
        // With its indentation.
        const std::size_t before = text_.find_last_not_of(kSpace, at - 1);
        removed_from_ = at > 0 && before != std::string_view::npos && text_[before] == '>' ? before + 1 : at;
      } else {
        take_attributes();
      }
    }
    if (text_[end] == '>') return end + 1;
    leave(end + 2);
    return end + 2;
  }

  void take_attributes() {
    for (const Attribute& attribute : attributes_) {
      const bool declares = attribute.name.starts_with("xmlns:");
      const int row = declares ? stale_namespace(attribute.value) : stale_prefix(attribute.name);
      if (row < 0) continue;
      parts_.emplace_back(attribute.begin, attribute.end);
      if (!declares) name_part(row, text_.substr(attribute.begin, attribute.end - attribute.begin));
    }
  }

  std::size_t close(std::size_t at) {
    const std::size_t end = text_.find('>', at);
    if (end == std::string_view::npos || open_.empty()) return std::string_view::npos;
    std::string_view name = text_.substr(at + 2, end - at - 2);
    name = name.substr(0, name.find_last_not_of(kSpace) + 1);
    if (name != open_.back().name) return std::string_view::npos;
    leave(end + 1);
    return end + 1;
  }

  /// The innermost element ends here.
  void leave(std::size_t end) {
    if (removed_depth_ == open_.size()) {
      parts_.emplace_back(removed_from_, end);
      name_part(removed_row_, text_.substr(removed_from_, end - removed_from_));
      removed_depth_ = 0;
    }
    for (; declared_.size() > open_.back().declared; declared_.pop_back()) prefixes_[declared_.back()].pop_back();
    open_.pop_back();
  }

  std::string_view text_;
  std::vector<Element> open_;
  std::vector<Attribute> attributes_;
  std::vector<std::string_view> declared_;
  std::unordered_map<std::string_view, std::vector<int>> prefixes_;
  std::vector<std::pair<std::size_t, std::size_t>> parts_;
  std::size_t removed_depth_ = 0, removed_from_ = 0;  ///< Depth 0: nothing is being taken out.
  int removed_row_ = -1;
  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> remove_stale_xmp(std::string& packet) {
  const bool any = std::any_of(std::begin(kStale), std::end(kStale),
                               [&](const auto& row) { return packet.find(row.first) != std::string::npos; });
  if (!any) return {};
  StaleFinder finder(packet);
  if (!finder.run() || !finder.found()) return {};
  packet = finder.kept();
  return finder.names();
}

namespace {

/// Lets the first values of two properties change places.
void swap_values(std::string& packet, std::string_view one, std::string_view other) {
  Place first = find_value(packet, one, 0), second = find_value(packet, other, 0);
  if (first.begin == std::string::npos || second.begin == std::string::npos) return;
  if (second.begin < first.begin) std::swap(first, second);
  const std::string value = packet.substr(first.begin, first.end - first.begin);
  packet.replace(first.begin, first.end - first.begin, packet.substr(second.begin, second.end - second.begin));
  const std::size_t longer = (second.end - second.begin) - (first.end - first.begin);  // modulo 2^64, as positions are
  packet.replace(second.begin + longer, second.end - second.begin, value);
}

}  // namespace

void make_xmp_upright(std::string& packet, int width, int height, bool applied, bool quarter_turn) {
  if (quarter_turn) swap_values(packet, "tiff:XResolution", "tiff:YResolution");
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
