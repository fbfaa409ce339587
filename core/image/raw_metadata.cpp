// Metadata of RAW files through exiv2 0.27 or later.

#include "core/image/raw_metadata.h"

#if KIND_HAS_EXIV2

#include <algorithm>
#include <exception>
#include <exiv2/exiv2.hpp>
#include <iterator>
#include <mutex>
#include <new>
#include <set>

#include "core/base/error.h"
#include "core/image/exif.h"

namespace kind {
namespace {

constexpr std::uint16_t kOrientation = 0x0112, kMakerNote = 0x927c, kColorSpace = 0xa001, kPadding = 0xea1c;

#if EXIV2_TEST_VERSION(0, 28, 0)
constexpr auto kUnknownType = Exiv2::ErrorCode::kerMemoryContainsUnknownImageType;
#else
constexpr int kUnknownType = Exiv2::kerMemoryContainsUnknownImageType;
#endif

/// Tags of a RAW file's first directory that describe the picture and not how it is stored.
bool is_description(std::uint16_t tag) {
  constexpr std::uint16_t kTags[] = {0x010d, 0x010e, 0x010f, 0x0110, kOrientation, 0x011a, 0x011b,
                                     0x0128, 0x0131, 0x0132, 0x013b, 0x013c,       0x8298, 0x4746,
                                     0x4749, 0x9c9b, 0x9c9c, 0x9c9d, 0x9c9e,       0x9c9f};
  return std::find(std::begin(kTags), std::end(kTags), tag) != std::end(kTags);
}

/// Tags that TIFF/EP (ISO 12234-2) has in the first directory and EXIF, by the same numbers, in its own.
bool is_exposure(std::uint16_t tag) {
  return tag == 0x829a || tag == 0x829d || tag == 0x8822 || tag == 0x8827 || tag == 0x9003 ||
         (tag >= 0x9201 && tag <= 0x920a);
}

/// The lens as people call it, which many cameras say in the maker's note alone; empty where it is not known.
std::string lens_of(const Exiv2::ExifData& exif) {
  const auto lens = Exiv2::lensName(exif);
  const std::string name = lens == exif.end() ? "" : lens->print(&exif);
  // "(23 0 0)" is what exiv2 prints of a lens that it does not know.
  const bool known = std::any_of(name.begin(), name.end(), [](unsigned char c) { return std::isalpha(c) != 0; });
  return known && name[0] != '(' && name != "n/a" && name != "None" && name.find("nknown") == std::string::npos ? name
                                                                                                                : "";
}

/// The block for the developed picture.
std::vector<std::uint8_t> block_of(const Exiv2::ExifData& exif, Exiv2::ByteOrder order, Metadata& metadata) {
  Exiv2::ExifData kept;
  std::set<std::uint16_t> photo;
  for (const Exiv2::Exifdatum& datum : exif) {
    if (datum.groupName() == "Photo") photo.insert(datum.tag());
  }
  for (const Exiv2::Exifdatum& datum : exif) {
    const std::string group = datum.groupName();
    const std::uint16_t tag = datum.tag();
    if (group == "Image" && is_description(tag)) kept.add(datum);
    if (group == "Image" && is_exposure(tag) && photo.count(tag) == 0) {
      kept.add(Exiv2::ExifKey(tag, "Photo"), &datum.value());
    }
    if (group == "GPSInfo") kept.add(datum);
    if (group == "Photo" && tag == kMakerNote) leave_out(metadata, "maker's note");
    if (group == "Photo" && tag != kMakerNote && tag != kPadding) kept.add(datum);
  }
  if (kept.empty()) return {};
  kept["Exif.Image.Orientation"] = std::uint16_t{1};
  // What the camera's own JPEG files have may be another one.
  if (photo.count(kColorSpace) > 0) kept["Exif.Photo.ColorSpace"] = std::uint16_t{1};
  const std::string lens = lens_of(exif);
  if (kept.findKey(Exiv2::ExifKey("Exif.Photo.LensModel")) == kept.end() && !lens.empty()) {
    kept["Exif.Photo.LensModel"] = lens;
  }
  Exiv2::Blob block;
  Exiv2::ExifParser::encode(block, order == Exiv2::bigEndian ? Exiv2::bigEndian : Exiv2::littleEndian, kept);
  return {block.begin(), block.end()};
}

/// The packet without what tells programs how to develop the RAW file, and how its pixels are stored.
std::string packet_of(const Exiv2::XmpData& xmp) {
  Exiv2::XmpData kept;
  for (const Exiv2::Xmpdatum& datum : xmp) {
    const std::string group = datum.groupName(), name = datum.tagName();
    const bool develops = group == "crs" || group == "crss" || (group == "photoshop" && name == "SidecarForExtension");
    const bool stored = group == "tiff" && name != "Make" && name != "Model" && name != "Orientation" &&
                        name != "ImageDescription" && name != "Artist" && name != "Copyright" && name != "Software";
    if (!develops && !stored) kept.add(datum);
  }
  std::string packet;
  if (!kept.empty()) Exiv2::XmpParser::encode(packet, kept, Exiv2::XmpParser::useCompactFormat);
  return packet;
}

std::vector<std::uint8_t> bytes_of(const Exiv2::DataBuf& buffer) {
#if EXIV2_TEST_VERSION(0, 28, 0)
  return {buffer.begin(), buffer.end()};
#else
  return {buffer.pData_, buffer.pData_ + buffer.size_};
#endif
}

void take_all(Exiv2::Image& image, MetadataParts& parts) {
  image.readMetadata();
  const std::vector<std::uint8_t> block = block_of(image.exifData(), image.byteOrder(), parts.metadata);
  if (!block.empty()) parts.exif(block);
  const std::string packet = packet_of(image.xmpData());
  parts.xmp({reinterpret_cast<const std::uint8_t*>(packet.data()), packet.size()});
  if (!image.iptcData().empty()) {
    const std::vector<std::uint8_t> iptc = bytes_of(Exiv2::IptcParser::encode(image.iptcData()));
    parts.budget().take(iptc.size());
    add_iptc(parts.metadata.photoshop, iptc);
  }
}

}  // namespace

Metadata read_raw_metadata(const std::string& path, Bytes file, std::size_t max_bytes) {
  // Parts of exiv2 and of the XMP toolkit in it are shared by all threads.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  static const bool ready = [] {
    Exiv2::LogMsg::setLevel(Exiv2::LogMsg::mute);
    return Exiv2::XmpParser::initialize();
  }();
  static_cast<void>(ready);
  MetadataParts parts(path, max_bytes);
  try {
    const auto image = Exiv2::ImageFactory::open(file.data(), static_cast<long>(file.size()));
    if (image.get() == nullptr) {
      leave_out(parts.metadata, kExifName);
    } else {
      take_all(*image, parts);
    }
  } catch (const Error&) {
    throw;  // a limit
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& damaged) {  // of damaged data the standard library's, too
    const auto* const error = dynamic_cast<const Exiv2::Error*>(&damaged);
    error != nullptr && error->code() == kUnknownType ? leave_out(parts.metadata, kExifName)
                                                      : drop(parts.metadata, kExifName);
  }
  return std::move(parts.metadata);
}

}  // namespace kind

#else

namespace kind {

Metadata read_raw_metadata(const std::string&, Bytes, std::size_t) {
  Metadata metadata;
  leave_out(metadata, "EXIF and XMP data, which this build cannot read of RAW files (exiv2)");
  return metadata;
}

}  // namespace kind

#endif
