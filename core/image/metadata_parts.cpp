#include "core/image/metadata_parts.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/image/animation.h"
#include "core/image/exif.h"
#include "core/image/xmp.h"

namespace kind {

using namespace std::string_view_literals;

void MetadataBudget::take(std::size_t bytes) {
  used_ += bytes;
  if (used_ > most_) refuse();
}

void MetadataBudget::refuse() const {
  fail("cannot read ", path_, ": its metadata (EXIF, XMP, colour profile, texts) have more than ", most_,
       " bytes, the limit");
}

std::size_t big_endian(Bytes bytes, std::size_t at, std::size_t count) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes[at + i];
  return value;
}

std::string text_of(Bytes bytes) { return std::string(bytes.begin(), bytes.end()); }

bool starts_with(Bytes bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

void append_big_endian(std::vector<std::uint8_t>& to, std::size_t value, int count) {
  for (int i = count - 1; i >= 0; --i) to.push_back(static_cast<std::uint8_t>(value >> 8 * i & 0xff));
}

void append_text(std::vector<std::uint8_t>& to, std::string_view text) {
  to.insert(to.end(), text.begin(), text.end());
}

void leave_out(Metadata& metadata, const std::string& text) {
  constexpr std::size_t kMostNames = 16;  // a file may hold thousands of kinds
  std::vector<std::string>& all = metadata.dropped;
  // By this name the frames are read, too (infer/photo/picture.cpp).
  const bool counts = all.size() < kMostNames || text == kFurtherFrames;
  if (counts && std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
}

void drop(Metadata& metadata, const char* what) {
  const std::string text = std::string("damaged ") + what;
  std::vector<std::string>& all = metadata.dropped;
  if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
}

bool is_profile(Bytes icc) {
  return icc.size() >= 128 && big_endian(icc, 0, 4) == icc.size() && std::memcmp(icc.data() + 36, "acsp", 4) == 0;
}

namespace {

struct ImageResource {
  std::size_t id, end;  // where the next one begins
  Bytes data;
};

/// Each resource: "8BIM", a number, a name (length and letters, an even number of bytes), the size, the data (likewise).
/// Nothing where that is not whole.
std::optional<ImageResource> resource_at(Bytes all, std::size_t at) {
  if (all.size() - at < 12 || std::memcmp(all.data() + at, "8BIM", 4) != 0) return std::nullopt;
  const std::size_t id = big_endian(all, at + 4, 2), name = (std::size_t{all[at + 6]} + 2) / 2 * 2;
  if (all.size() - at < 10 + name) return std::nullopt;
  const std::size_t size = big_endian(all, at + 6 + name, 4), start = at + 10 + name;
  if (all.size() - start < size) return std::nullopt;
  return ImageResource{id, std::min(all.size(), start + (size + 1) / 2 * 2), all.subspan(start, size)};
}

}  // namespace

std::optional<std::vector<std::uint8_t>> kept_resources(Bytes all, Metadata& metadata) {
  std::vector<std::uint8_t> kept;
  for (std::size_t at = 0; at < all.size();) {
    const auto resource = resource_at(all, at);
    if (!resource) return std::nullopt;
    const std::size_t id = resource->id;
    const bool thumbnail = id == 1033 || id == 1036, exif = id == 1058 || id == 1059, xmp = id == 1060;
    if (exif) leave_out(metadata, "EXIF data among Photoshop's");
    if (xmp) leave_out(metadata, "XMP data among Photoshop's");
    if (!thumbnail && !exif && !xmp) {
      kept.insert(kept.end(), all.begin() + static_cast<std::ptrdiff_t>(at),
                  all.begin() + static_cast<std::ptrdiff_t>(resource->end));
    }
    at = resource->end;
  }
  return kept;
}

void add_iptc(std::vector<std::uint8_t>& resources, Bytes iptc) {
  constexpr std::string_view kResource = "8BIM\x04\x04"sv;
  if (iptc.empty() || text_of(resources).find(kResource) != std::string::npos) return;
  if (resources.size() % 2 != 0) resources.push_back(0);  // the last one may lack it
  resources.insert(resources.end(), kResource.begin(), kResource.end());
  resources.insert(resources.end(), 2, 0);  // no name
  for (int shift = 24; shift >= 0; shift -= 8)
    resources.push_back(static_cast<std::uint8_t>(iptc.size() >> shift & 0xff));
  resources.insert(resources.end(), iptc.begin(), iptc.end());
  if (iptc.size() % 2 != 0) resources.push_back(0);
}

Bytes iptc_of(Bytes resources) {
  constexpr std::size_t kIptc = 0x0404;
  for (std::size_t at = 0; at < resources.size();) {
    const auto resource = resource_at(resources, at);
    if (!resource) break;
    if (resource->id == kIptc) return resource->data;
    at = resource->end;
  }
  return {};
}

void MetadataParts::exif(Bytes block) {
  if (!metadata.exif.empty()) return;
  budget_.take(block.size() + 64);
  if (starts_with(block, kExifStart)) block = block.subspan(kExifStart.size());
  metadata.exif.assign(block.begin(), block.end());
}

void MetadataParts::xmp(Bytes packet) {
  if (!metadata.xmp.empty()) return;
  budget_.take(packet.size() + 64);
  metadata.xmp = text_of(packet);
}

void MetadataParts::icc(Bytes profile) {
  if (!metadata.icc.empty() || profile.empty()) return;
  budget_.take(profile.size() + 64);
  is_profile(profile) ? metadata.icc.assign(profile.begin(), profile.end()) : drop(metadata, kIccName);
}

void MetadataParts::resources(Bytes photoshop) {
  budget_.take(photoshop.size() + 64);
  auto kept = kept_resources(photoshop, metadata);
  if (!kept) return drop(metadata, kPhotoshopName);
  metadata.photoshop = std::move(*kept);
}

void mark_upright(Metadata& metadata) {
  if (!metadata.exif.empty() && !make_exif_upright(metadata.exif, 1, 1)) {
    metadata.exif.clear();
    drop(metadata, kExifName);
  }
  make_xmp_upright(metadata.xmp, 1, 1, true);
}

std::string whole_xmp(const Metadata& metadata) {
  if (metadata.xmp_extension.empty()) return metadata.xmp;
  return join_xmp(metadata.xmp, metadata.xmp_extension).value_or(metadata.xmp);
}

}  // namespace kind
