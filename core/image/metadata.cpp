// Metadata of PNG files, and what is done with those of all formats. Long because what PNG hides in texts is here as well.

#include "core/image/metadata.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/image/animation.h"
#include "core/image/color.h"
#include "core/image/exif.h"
#include "core/image/metadata_parts.h"
#include "core/image/xmp.h"

namespace kind {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr std::string_view kXmpKeyword = "XML:com.adobe.xmp\0"sv, kRawStart = "Raw profile type "sv;
/// ImageMagick writes IPTC data into a PNG without the resource around it: records, which begin so.
constexpr std::string_view kIptcStart = "\x1c"sv;

/// A zlib stream's content; nothing where it is damaged.
std::optional<std::vector<std::uint8_t>> inflate(Bytes packed, const MetadataBudget& budget) {
  std::vector<std::uint8_t> out;
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) fail("there is not enough memory");
  stream.next_in = const_cast<Bytef*>(packed.data());  // only read; the interface lacks the const
  stream.avail_in = static_cast<uInt>(packed.size());
  int status = Z_OK;
  std::vector<std::uint8_t> buffer(std::size_t{1} << 16);
  while (status == Z_OK && out.size() <= budget.left()) {
    stream.next_out = buffer.data();
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = ::inflate(&stream, Z_NO_FLUSH);
    out.insert(out.end(), buffer.begin(), buffer.end() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > budget.left()) budget.refuse();
  if (status != Z_STREAM_END) return std::nullopt;
  return out;
}

std::vector<std::uint8_t> deflate(Bytes bytes) {
  uLongf size = compressBound(static_cast<uLong>(bytes.size()));
  std::vector<std::uint8_t> out(size);
  if (compress2(out.data(), &size, bytes.data(), static_cast<uLong>(bytes.size()), Z_BEST_COMPRESSION) != Z_OK) {
    fail("there is not enough memory");
  }
  out.resize(size);
  return out;
}

/// A chunk of a PNG that says something of the picture and has no place in Metadata.
void leave_out_chunk(Metadata& metadata, const std::string& type, Bytes data) {
  // Transparency is in the pixels; the others speak of the old pixels, the old file or the frames that acTL announces.
  for (const char* silent : {"tRNS", "tIME", "sBIT", "hIST", "sPLT", "iDOT", "fcTL", "fdAT"}) {
    if (type == silent) return;
  }
  const bool letters =
      std::all_of(type.begin(), type.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
  if (type != "acTL") return leave_out(metadata, letters ? type + " chunk" : "unknown chunk");
  if (data.size() >= 4 && big_endian(data, 0, 4) > 1) leave_out(metadata, kFurtherFrames);
}

/// A PNG text that holds other metadata as digits, as ImageMagick and ExifTool write them: a line with the name, one
/// with the number of bytes, then two digits a byte.
std::optional<std::vector<std::uint8_t>> raw_profile(std::string_view text) {
  const std::size_t name_end = text.find('\n', 1);
  const std::size_t size_end = name_end == std::string_view::npos ? name_end : text.find('\n', name_end + 1);
  if (size_end == std::string_view::npos) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  int pending = -1;
  for (const char c : text.substr(size_end)) {
    if (c == '\n') continue;
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    if (pending < 0) {
      pending = digit;
    } else {
      bytes.push_back(static_cast<std::uint8_t>(pending << 4 | digit));
      pending = -1;
    }
  }
  if (pending >= 0 || bytes.empty()) return std::nullopt;
  return bytes;
}

/// A JPEG's comment without the zeros that some programs end it with.
std::string comment_text(const std::string& comment) { return comment.substr(0, comment.find_last_not_of('\0') + 1); }

/// Whether the text is UTF-8 and not ASCII: PNG's tEXt is Latin-1, its iTXt UTF-8, a JPEG's comment either.
bool needs_utf8(std::string_view text) {
  bool found = false;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned lead = byte(at++);
    if (lead < 0x80) continue;
    found = true;
    const int more = lead >= 0xc2 && lead < 0xe0   ? 1
                     : lead >= 0xe0 && lead < 0xf0 ? 2
                     : lead >= 0xf0 && lead < 0xf5 ? 3
                                                   : 0;
    // No long forms of short codes, no surrogates, none beyond the last (RFC 3629).
    const unsigned least = lead == 0xe0   ? 0xa0
                           : lead == 0xf0 ? 0x90
                                          : 0x80,
                   most = lead == 0xed   ? 0x9f
                          : lead == 0xf4 ? 0x8f
                                         : 0xbf;
    if (more == 0 || byte(at) < least || byte(at) > most) return false;
    for (int i = 0; i < more; ++i, ++at) {
      if ((byte(at) & 0xc0) != 0x80) return false;
    }
  }
  return found;
}

/// Collects what the chunks of a PNG say beside the pixels.
class PngMetadataReader {
 public:
  PngMetadataReader(const std::string& path, std::size_t max_bytes) : budget_(path, max_bytes) {}

  /// Takes a chunk: its type, its data, its checksum.
  void take(Bytes chunk);
  /// What was found, with what stands in texts where no chunk of its own has it. Once, at the end.
  Metadata finish();

 private:
  void take_profile(Bytes data);
  void take_density(Bytes data);
  void take_background(Bytes data);
  void take_text(const std::string& type, Bytes data);
  void take_hidden(std::string_view kind, const char* what, const std::vector<std::uint8_t>& content);
  std::optional<std::vector<std::uint8_t>> text_content(const std::string& type, Bytes data) const;

  Metadata metadata_;
  MetadataBudget budget_;
  std::vector<std::uint8_t> raw_exif_, raw_iptc_;
  std::string raw_xmp_;
  int color_type_ = 0, bits_ = 0;  // of the pixels, see IHDR
};

void PngMetadataReader::take(Bytes chunk) {
  const std::string type = text_of(chunk.first(4));
  const Bytes checked = chunk.first(chunk.size() - 4), data = checked.subspan(4);
  const bool text = type == "tEXt" || type == "zTXt" || type == "iTXt";
  const bool color = type == "gAMA" || type == "cHRM" || type == "sRGB" || type == "cICP";
  const bool known = text || color || type == "eXIf" || type == "iCCP" || type == "pHYs";
  if (type == "IHDR" && data.size() == 13) {
    bits_ = data[8];
    color_type_ = data[9];
  }
  constexpr char kAncillary = 0x20;
  if (!known && !(type[0] & kAncillary)) return;
  if (crc32(0, checked.data(), static_cast<uInt>(checked.size())) != big_endian(chunk, checked.size(), 4)) {
    // Also of unknown ones: the damage may be in the name of one that bears on the picture.
    drop(metadata_, !known           ? "chunk"
                    : type == "eXIf" ? kExifName
                    : type == "iCCP" ? kIccName
                    : text           ? "text"
                                     : "colour data");
  } else if (type == "eXIf") {
    budget_.take(data.size());
    metadata_.exif.assign(data.begin(), data.end());
  } else if (type == "iCCP") {
    take_profile(data);
  } else if (type == "pHYs") {
    take_density(data);
  } else if (color) {
    budget_.take(data.size() + 64);
    metadata_.color.push_back({type, {data.begin(), data.end()}});
  } else if (text) {
    take_text(type, data);
  } else if (type == "bKGD") {
    take_background(data);
  } else {
    leave_out_chunk(metadata_, type, data);
  }
}

/// A name of at most 79 bytes and a zero, the method, the packed profile.
void PngMetadataReader::take_profile(Bytes data) {
  const auto zero = std::find(data.begin(), data.end(), std::uint8_t{0});
  const auto start = static_cast<std::size_t>(zero - data.begin()) + 2;
  const auto icc = start <= data.size() ? inflate(data.subspan(start), budget_) : std::nullopt;
  if (!icc || !is_profile(*icc)) return drop(metadata_, kIccName);
  budget_.take(icc->size());
  metadata_.icc = *icc;
}

void PngMetadataReader::take_density(Bytes data) {
  if (data.size() != 9) return;
  const std::size_t x = big_endian(data, 0, 4), y = big_endian(data, 4, 4);
  metadata_.density = {static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), data[8] == 1};
}

/// A hint for viewers, which nobody misses where the result is of another kind.
void PngMetadataReader::take_background(Bytes data) {
  constexpr int kColors = 2, kPalette = 3;
  const int colors = (color_type_ & kColors) != 0 ? 3 : 1;
  if (color_type_ == kPalette || data.size() != 2 * static_cast<std::size_t>(colors)) return;
  metadata_.background = {colors, bits_, {data.begin(), data.end()}};
}

/// A text of the picture's own, or one that holds other metadata.
void PngMetadataReader::take_text(const std::string& type, Bytes data) {
  const bool xmp = type == "iTXt" && starts_with(data, kXmpKeyword);
  const auto keyword = static_cast<std::size_t>(std::find(data.begin(), data.end(), std::uint8_t{0}) - data.begin());
  std::string_view kind(reinterpret_cast<const char*>(data.data()), keyword);
  kind = xmp ? "xmp" : kind.starts_with(kRawStart) ? kind.substr(kRawStart.size()) : "";
  const bool resources = kind == "iptc" || kind == "8bim";
  if (kind != "exif" && kind != "APP1" && kind != "xmp" && !resources) {
    budget_.take(data.size() + 64);
    metadata_.texts.push_back({type, {data.begin(), data.end()}});
    return;
  }
  const char* what = kind == "xmp" ? kXmpName : resources ? kPhotoshopName : kExifName;
  const auto content = text_content(type, data);
  if (!content) return drop(metadata_, what);
  budget_.take(content->size() + 64);
  if (!xmp) return take_hidden(kind, what, *content);
  if (metadata_.xmp.empty()) metadata_.xmp = text_of(*content);
}

/// The text of a text chunk, unpacked; nothing where it is damaged.
std::optional<std::vector<std::uint8_t>> PngMetadataReader::text_content(const std::string& type, Bytes data) const {
  // A keyword and a zero; zTXt: method, packed text; iTXt: whether packed, method, language, keyword again, text.
  const auto zero_behind = [&](std::size_t from) {
    return static_cast<std::size_t>(
        std::find(data.begin() + static_cast<std::ptrdiff_t>(from), data.end(), std::uint8_t{0}) - data.begin());
  };
  const std::size_t keyword = zero_behind(0);
  std::size_t start = keyword + 1;
  bool packed = false;
  if (type == "zTXt") {
    packed = true;
    start += 1;
  } else if (type == "iTXt") {
    packed = keyword + 1 < data.size() && data[keyword + 1] == 1;
    if (keyword + 3 <= data.size()) start = zero_behind(keyword + 3) + 1;
    if (start <= data.size()) start = zero_behind(start) + 1;
  }
  if (start > data.size()) return std::nullopt;
  const Bytes rest = data.subspan(start);
  if (packed) return inflate(rest, budget_);
  if (rest.size() > budget_.left()) budget_.refuse();  // before it is copied
  return std::vector<std::uint8_t>(rest.begin(), rest.end());
}

/// Other metadata, as the digits of a text: its `kind` as the keyword says, `what` it is called.
void PngMetadataReader::take_hidden(std::string_view kind, const char* what, const std::vector<std::uint8_t>& content) {
  const auto bytes = raw_profile(text_of(content));
  if (!bytes) return drop(metadata_, what);
  if (kind == "iptc" && starts_with(*bytes, kIptcStart)) {
    raw_iptc_ = *bytes;
  } else if (kind == "iptc" || kind == "8bim") {
    auto kept = kept_resources(*bytes, metadata_);
    if (!kept) return drop(metadata_, what);
    metadata_.photoshop = std::move(*kept);
  } else if (kind == "xmp" || starts_with(*bytes, kXmpStart)) {
    raw_xmp_ = text_of(Bytes(*bytes).subspan(starts_with(*bytes, kXmpStart) ? kXmpStart.size() : 0));
  } else {
    raw_exif_ = *bytes;
  }
}

Metadata PngMetadataReader::finish() {
  std::vector<std::uint8_t>& exif = metadata_.exif;
  if (exif.empty()) exif = std::move(raw_exif_);
  if (starts_with(exif, kExifStart)) exif.erase(exif.begin(), exif.begin() + 6);
  if (metadata_.xmp.empty()) metadata_.xmp = std::move(raw_xmp_);
  add_iptc(metadata_.photoshop, raw_iptc_);
  return std::move(metadata_);
}

}  // namespace

Metadata read_png_metadata(const std::string& path, Bytes file, std::size_t max_bytes) {
  PngMetadataReader reader(path, max_bytes);
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = big_endian(file, at, 4);
    if (length > file.size() - at - 12) break;
    const Bytes chunk = file.subspan(at + 4, length + 8);
    if (starts_with(chunk, "IEND"sv)) break;
    reader.take(chunk);
    at += 12 + length;
  }
  return reader.finish();
}

void make_upright(Metadata& metadata, int width, int height, int orientation) {
  if (!metadata.exif.empty() && !make_exif_upright(metadata.exif, width, height, orientation >= 5)) {
    metadata.exif.clear();
    drop(metadata, kExifName);
  }
  const auto make_true = [&](std::string& xmp) {
    make_xmp_upright(xmp, width, height, orientation != 1, orientation >= 5);
    for (const std::string& what : remove_stale_xmp(xmp)) {
      const bool sized = std::any_of(metadata.dropped.begin(), metadata.dropped.end(),
                                     [&](const std::string& name) { return name.starts_with(what + " ("); });
      if (!sized) leave_out(metadata, what);  // "motion video (1012 bytes)" says more
    }
  };
  make_true(metadata.xmp);
  std::string extension = metadata.xmp_extension;
  make_true(extension);
  if (extension != metadata.xmp_extension) {
    metadata.xmp_extension = std::move(extension);
    rename_xmp_extension(metadata.xmp, metadata.xmp_extension);
  }
  if (orientation >= 5 && metadata.density) std::swap(metadata.density->x, metadata.density->y);
}

std::vector<PngChunk> png_chunks(const Metadata& metadata) {
  std::vector<PngChunk> chunks = metadata.color;
  const auto add = [&](const char* type) -> std::vector<std::uint8_t>& {
    chunks.push_back({type, {}});
    return chunks.back().data;
  };
  if (!metadata.icc.empty()) {
    // An sRGB chunk and a profile exclude each other.
    std::erase_if(chunks, [](const PngChunk& chunk) { return chunk.type == "sRGB"; });
    std::vector<std::uint8_t>& data = add("iCCP");
    append_text(data, "ICC profile\0\0"sv);
    const std::vector<std::uint8_t> packed = deflate(metadata.icc);
    data.insert(data.end(), packed.begin(), packed.end());
  }
  if (metadata.density) {
    std::vector<std::uint8_t>& data = add("pHYs");
    append_big_endian(data, metadata.density->x, 4);
    append_big_endian(data, metadata.density->y, 4);
    data.push_back(metadata.density->metric ? 1 : 0);
  }
  if (!metadata.exif.empty()) add("eXIf") = metadata.exif;
  if (!metadata.xmp.empty()) {
    std::vector<std::uint8_t>& data = add("iTXt");
    append_text(data, kXmpKeyword);
    append_text(data, "\0\0\0\0"sv);  // not packed, no language, no keyword in it
    append_text(data, whole_xmp(metadata));
  }
  if (!metadata.photoshop.empty()) {
    // PNG has no place of its own for it; this is what ImageMagick and ExifTool write and read.
    std::string digits = join("\niptc\n", metadata.photoshop.size(), "\n");
    for (const std::uint8_t byte : metadata.photoshop) {
      digits += "0123456789abcdef"[byte >> 4];
      digits += "0123456789abcdef"[byte & 15];
      if (digits.size() % 73 == 72) digits += '\n';
    }
    digits += '\n';
    std::vector<std::uint8_t>& data = add("zTXt");
    append_text(data, "Raw profile type iptc\0\0"sv);
    const std::vector<std::uint8_t> packed =
        deflate(Bytes(reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()));
    data.insert(data.end(), packed.begin(), packed.end());
  }
  for (const std::string& comment : metadata.comments) {
    const std::string text = comment_text(comment);
    if (text.find('\0') != std::string::npos) continue;
    // Not packed, no language, no keyword in it.
    needs_utf8(text) ? append_text(add("iTXt"), "Comment\0\0\0\0\0"s + text)
                     : append_text(add("tEXt"), "Comment\0"s + text);
  }
  chunks.insert(chunks.end(), metadata.texts.begin(), metadata.texts.end());
  return chunks;
}

void check_profile(Metadata& metadata, bool gray) {
  const bool inks = std::exchange(metadata.inks, false);
  const bool by_profile = inks && !metadata.icc.empty() && std::memcmp(metadata.icc.data() + 16, "CMYK", 4) == 0 &&
                          ink_conversion(metadata.icc) != nullptr;
  if (inks && !by_profile) {
    metadata.color_note = "from inks (CMYK) to sRGB by a formula, since there is no profile of them";
  }
  if (metadata.icc.empty()) return;
  if (std::memcmp(metadata.icc.data() + 16, gray ? "GRAY" : "RGB ", 4) == 0) return;
  metadata.icc.clear();
  metadata.dropped.push_back(by_profile ? "inks (CMYK), which became sRGB by their profile"
                                        : std::string(kIccName) + " for other pixels than the picture's");
}

std::vector<std::string> metadata_left_out(const Metadata& metadata, const MetadataHolder& holder) {
  std::vector<std::string> out;
  const auto add = [&](bool there, const std::string& what) {
    if (there) out.push_back(what);
  };
  const bool extended = !metadata.xmp_extension.empty();
  // A large packet is split where there are extensions; one that has its extension already stays as it is.
  const bool xmp_fits = metadata.xmp.size() <= holder.xmp || (holder.xmp_extension && !extended);
  add(metadata.exif.size() > holder.exif, kExifName);
  add(!metadata.xmp.empty() && !xmp_fits, kXmpName);
  add(holder.xmp > 0 && !holder.xmp_extension && extended && !join_xmp(metadata.xmp, metadata.xmp_extension),
      "extended XMP data");
  add(metadata.icc.size() > holder.icc, kIccName);
  add(!metadata.photoshop.empty() && !holder.photoshop, kPhotoshopName);
  const bool zeros = std::any_of(metadata.comments.begin(), metadata.comments.end(), [](const std::string& comment) {
    return comment_text(comment).find('\0') != std::string::npos;
  });
  add(!metadata.comments.empty() && (!holder.comments || (zeros && !holder.zeros_in_comments)), "comments");
  const bool gamma = std::any_of(metadata.color.begin(), metadata.color.end(), [&](const PngChunk& chunk) {
    return chunk.type != "sRGB" && !(chunk.type == "cICP" && holder.cicp);
  });
  add(gamma && !holder.color && metadata.icc.empty(), "colour data (gamma)");
  add(!metadata.texts.empty() && !holder.texts, "texts");
  return out;
}

}  // namespace kind
