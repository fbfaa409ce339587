// Metadata of JPEG files.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/image/metadata.h"
#include "core/image/metadata_parts.h"
#include "core/image/xmp.h"

namespace kind {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kExtensionStart = "http://ns.adobe.com/xmp/extension/\0"sv, kIccStart = "ICC_PROFILE\0"sv,
                           kPhotoshopStart = "Photoshop 3.0\0"sv, kMpfStart = "MPF\0"sv,
                           kGainMapStart = "urn:iso:std:iso:ts:21496:-1\0"sv;
constexpr std::size_t kMostInSegment = 65533;
static_assert(MetadataHolder::kJpeg.xmp == kMostInSegment - kXmpStart.size() &&
              MetadataHolder::kJpeg.icc == 255 * (kMostInSegment - kIccStart.size() - 2));
constexpr int kApp0 = 0xe0, kApp1 = 0xe1, kApp2 = 0xe2, kApp13 = 0xed, kApp14 = 0xee, kApp15 = 0xef, kComment = 0xfe;

/// Calls use(marker, content, whether pixels came before it) for each segment. Returns where what follows the end marker
/// begins; the file's end where there is none.
std::size_t for_each_segment(Bytes file, const std::function<void(int, Bytes, bool)>& use) {
  bool pixels = false;
  for (std::size_t at = 2; at + 2 <= file.size();) {
    if (file[at] != 0xff) {  // pixels, or stray bytes, which libjpeg skips as well
      const auto* next = static_cast<const std::uint8_t*>(std::memchr(&file[at], 0xff, file.size() - at));
      if (next == nullptr) break;
      at = static_cast<std::size_t>(next - file.data());
      continue;
    }
    constexpr int kEnd = 0xd9, kScan = 0xda;
    const int marker = file[at + 1];
    if (marker == 0xff) {  // fill
      ++at;
      continue;
    }
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {  // without content, or none
      at += 2;
      continue;
    }
    if (marker == kEnd) return at + 2;
    if (file.size() - at < 4) break;
    const std::size_t length = big_endian(file, at + 2, 2);
    if (length < 2 || file.size() - at - 2 < length) break;
    if (marker == kScan) {
      pixels = true;
    } else {
      use(marker, file.subspan(at + 4, length - 2), pixels);
    }
    at += 2 + length;
  }
  return file.size();
}

/// Whether EXIF data begins here: byte order and 42.
bool is_block_start(Bytes bytes) { return starts_with(bytes, "II*\0"sv) || starts_with(bytes, "MM\0*"sv); }

/// The parts of a profile, each with its number from 1 and the number of all.
struct IccParts {
  std::map<std::size_t, std::vector<std::uint8_t>> parts;
  std::size_t count = 0;
  bool damaged = false;

  void add(Bytes segment) {
    damaged |= segment.size() < 2 || segment[0] == 0 || (count != 0 && segment[1] != count);
    if (damaged) return;
    count = segment[1];
    damaged = !parts.emplace(segment[0], std::vector<std::uint8_t>(segment.begin() + 2, segment.end())).second;
  }
  std::vector<std::uint8_t> whole() const {
    std::vector<std::uint8_t> icc;
    for (const auto& [number, part] : parts) icc.insert(icc.end(), part.begin(), part.end());
    return icc;
  }
};

/// Puts an extension together from its parts: name (32 bytes), size of the whole, where the part begins, the part.
void take_extension(Metadata& metadata, const std::vector<Bytes>& extensions, MetadataBudget& budget) {
  const std::string name = xmp_extension_name(metadata.xmp);
  std::size_t filled = 0;
  bool sized = false, others = false;
  for (const Bytes part : extensions) {
    if (part.size() < 40 || name.empty() || std::memcmp(part.data(), name.data(), 32) != 0) {
      others = true;
      continue;
    }
    const std::size_t size = big_endian(part, 32, 4), begin = big_endian(part, 36, 4);
    if (!std::exchange(sized, true)) {
      budget.take(size);
      metadata.xmp_extension.resize(size);
    }
    if (size != metadata.xmp_extension.size() || begin > size || part.size() - 40 > size - begin) continue;
    std::copy(part.begin() + 40, part.end(), metadata.xmp_extension.begin() + static_cast<std::ptrdiff_t>(begin));
    filled += part.size() - 40;
  }
  if (filled != metadata.xmp_extension.size() || (!extensions.empty() && filled == 0)) {
    metadata.xmp_extension.clear();
    drop(metadata, "extended XMP data");
  } else if (others) {
    leave_out(metadata, "second extended XMP data");
  }
}

/// Names what lies behind the picture: the pictures of a multi-picture file (CIPA DC-007), an MP4 video, anything else
/// but fill. `pictures`: the file says that there are some.
void name_trailer(Metadata& metadata, Bytes rest, bool pictures) {
  constexpr std::string_view kFill = "\0\xff \t\r\n"sv;
  const bool empty = std::all_of(rest.begin(), rest.end(), [&](std::uint8_t byte) {
    return kFill.find(static_cast<char>(byte)) != std::string_view::npos;
  });
  if (empty) {
    if (pictures) leave_out(metadata, "further pictures");
    return;
  }
  // An MP4 begins with a box of this type: its size, then the four letters. Programs put data of their own before it.
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  std::size_t video = text.find("ftyp");
  while (video != std::string_view::npos) {
    const std::size_t size = video < 4 ? 0 : big_endian(rest, video - 4, 4);
    if (size >= 16 && size <= 1024 && size <= rest.size() - (video - 4)) break;
    video = text.find("ftyp", video + 1);
  }
  const Bytes before = rest.first(video == std::string_view::npos ? rest.size() : video - 4);
  const auto name = [&](const char* what, std::size_t bytes) {
    metadata.dropped.push_back(join(what, " (", bytes, " bytes)"));
  };
  pictures |= starts_with(before, "\xff\xd8\xff"sv);
  if (pictures && !before.empty()) name("further pictures", before.size());
  if (video != std::string_view::npos) {
    name("motion video", rest.size() - (pictures ? before.size() : 0));
  } else if (!pictures) {
    name("data behind the picture", rest.size());
  }
}

/// JFIF's density, per metre where it has a unit; nothing where it makes no sense.
std::optional<Metadata::Density> jfif_density(Bytes content) {
  if (content.size() < 12) return std::nullopt;
  const std::size_t x = big_endian(content, 8, 2), y = big_endian(content, 10, 2);
  const double unit = content[7] == 1 ? 1 / 0.0254 : 100;  // a metre's inches, or centimetres
  const auto metres = [&](std::size_t value) {
    return static_cast<std::uint32_t>(std::lround(static_cast<double>(value) * (content[7] == 0 ? 1 : unit)));
  };
  if (x == 0 || y == 0 || content[7] > 2) return std::nullopt;
  return Metadata::Density{metres(x), metres(y), content[7] != 0};
}

/// Collects what the segments of a JPEG say beside the pixels.
class JpegMetadataReader {
 public:
  JpegMetadataReader(const std::string& path, std::size_t max_bytes) : budget_(path, max_bytes) {}

  /// Takes a segment; `late`: pixels came before it.
  void take(int marker, Bytes content, bool late);
  /// What was found, its parts put together; `behind`: what follows the picture. Once, at the end.
  Metadata finish(Bytes behind);

 private:
  void take_exif(Bytes exif);

  Metadata metadata_;
  MetadataBudget budget_;
  IccParts icc_;
  std::vector<std::uint8_t> photoshop_;
  std::vector<Bytes> extensions_;
  bool jfif_ = false, pictures_ = false;
};

void JpegMetadataReader::take(int marker, Bytes content, bool late) {
  const bool app = marker >= kApp0 && marker <= kApp15;
  if (late) {  // where nobody looks for metadata
    if (app || marker == kComment) leave_out(metadata_, "metadata behind the pixels");
    return;
  }
  constexpr int kFrame = 0xc0, kLastFrame = 0xcf, kHuffmanTables = 0xc4, kExtension = 0xc8, kArithmetic = 0xcc;
  const bool frame = marker >= kFrame && marker <= kLastFrame && marker != kHuffmanTables && marker != kExtension &&
                     marker != kArithmetic;
  if (frame && content.size() > 5 && content[5] == 4 && !std::exchange(metadata_.inks, true)) {  // components
    metadata_.file_bits = 8;
  }
  const auto is = [&](int number, std::string_view start) { return marker == number && starts_with(content, start); };
  const auto rest = [&](std::string_view start) {
    budget_.take(content.size() + 64);  // what it costs to hold, also of very small ones
    return content.subspan(start.size());
  };
  if (is(kApp0, "JFIF\0"sv) && !std::exchange(jfif_, true)) {
    if (const auto density = jfif_density(content)) metadata_.density = density;
  } else if (is(kApp1, kExifStart)) {
    take_exif(rest(kExifStart));
  } else if (is(kApp1, kXmpStart)) {
    if (!metadata_.xmp.empty()) return leave_out(metadata_, "second XMP data");
    metadata_.xmp = text_of(rest(kXmpStart));
  } else if (is(kApp1, kExtensionStart)) {
    extensions_.push_back(rest(kExtensionStart));
  } else if (is(kApp2, kIccStart)) {
    icc_.add(rest(kIccStart));
  } else if (is(kApp13, kPhotoshopStart)) {
    const Bytes more = rest(kPhotoshopStart);
    photoshop_.insert(photoshop_.end(), more.begin(), more.end());
  } else if (marker == kComment) {
    metadata_.comments.push_back(text_of(rest("")));
  } else if (is(kApp2, kMpfStart)) {
    pictures_ = true;  // smaller ones, or the gain map of a picture for bright screens
  } else if (is(kApp2, kGainMapStart)) {
    leave_out(metadata_, "gain map");
  } else if (app && !is(kApp14, "Adobe"sv)) {
    leave_out(metadata_, "APP" + std::to_string(marker - kApp0) + " data");
  }
}

void JpegMetadataReader::take_exif(Bytes exif) {
  if (!metadata_.exif.empty() && is_block_start(exif)) return leave_out(metadata_, "second EXIF data");
  metadata_.exif.insert(metadata_.exif.end(), exif.begin(), exif.end());  // more of the first, which is long
}

Metadata JpegMetadataReader::finish(Bytes behind) {
  name_trailer(metadata_, behind, pictures_);

  metadata_.icc = icc_.whole();
  if (icc_.damaged || icc_.parts.size() != icc_.count || (icc_.count > 0 && !is_profile(metadata_.icc))) {
    metadata_.icc.clear();
    drop(metadata_, kIccName);
  }
  if (auto kept = kept_resources(photoshop_, metadata_)) {
    metadata_.photoshop = std::move(*kept);
  } else {
    drop(metadata_, kPhotoshopName);
  }
  take_extension(metadata_, extensions_, budget_);
  return std::move(metadata_);
}

}  // namespace

Metadata read_jpeg_metadata(const std::string& path, Bytes file, std::size_t max_bytes) {
  JpegMetadataReader reader(path, max_bytes);
  const std::size_t end =
      for_each_segment(file, [&](int marker, Bytes content, bool late) { reader.take(marker, content, late); });
  return reader.finish(file.subspan(end));
}

std::vector<JpegSegment> jpeg_segments(const Metadata& metadata) {
  std::vector<JpegSegment> segments;
  const auto add = [&](int marker, std::string_view start) -> std::vector<std::uint8_t>& {
    segments.push_back({marker, {}});
    append_text(segments.back().data, start);
    return segments.back().data;
  };
  const auto append = [](std::vector<std::uint8_t>& to, Bytes bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
  };
  /// `use` gets part after part, each at most `most` bytes.
  const auto in_parts = [](Bytes bytes, std::size_t most, const std::function<void(std::size_t, Bytes)>& use) {
    for (std::size_t at = 0; at < bytes.size(); at += most)
      use(at, bytes.subspan(at, std::min(most, bytes.size() - at)));
  };
  // More than fits a segment goes on in further ones, as ExifTool writes and reads it; others read the first. None of
  // the further ones may look like the start of a block.
  for (Bytes rest = metadata.exif; !rest.empty();) {
    std::size_t size = std::min(rest.size(), kMostInSegment - kExifStart.size());
    if (is_block_start(rest.subspan(size))) --size;
    append(add(kApp1, kExifStart), rest.first(size));
    rest = rest.subspan(size);
  }
  SplitXmp xmp{metadata.xmp, metadata.xmp_extension};
  if (xmp.packet.size() > kMostInSegment - kXmpStart.size() && xmp.extension.empty()) xmp = split_xmp(xmp.packet);
  if (!xmp.packet.empty() && xmp.packet.size() <= kMostInSegment - kXmpStart.size()) {
    append_text(add(kApp1, kXmpStart), xmp.packet);
    const Bytes extension(reinterpret_cast<const std::uint8_t*>(xmp.extension.data()), xmp.extension.size());
    in_parts(extension, kMostInSegment - kExtensionStart.size() - 40, [&](std::size_t at, Bytes part) {
      std::vector<std::uint8_t>& data = add(kApp1, kExtensionStart);
      append_text(data, xmp_extension_name(xmp.packet));
      append_big_endian(data, extension.size(), 4);
      append_big_endian(data, at, 4);
      append(data, part);
    });
  }
  const std::size_t icc_part = kMostInSegment - kIccStart.size() - 2;
  const std::size_t icc_parts = (metadata.icc.size() + icc_part - 1) / icc_part;
  if (icc_parts <= 255) {
    in_parts(metadata.icc, icc_part, [&](std::size_t at, Bytes part) {
      std::vector<std::uint8_t>& data = add(kApp2, kIccStart);
      append_big_endian(data, at / icc_part + 1, 1);
      append_big_endian(data, icc_parts, 1);
      append(data, part);
    });
  }
  in_parts(metadata.photoshop, kMostInSegment - kPhotoshopStart.size(),
           [&](std::size_t, Bytes part) { append(add(kApp13, kPhotoshopStart), part); });
  for (const std::string& comment : metadata.comments) append_text(add(kComment, ""), comment);
  return segments;
}

}  // namespace kind
