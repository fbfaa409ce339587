#pragma once

// What RAW files say beside the pixels; between raw.cpp and raw_metadata.cpp.

#include <string>

#include "core/image/metadata_parts.h"

namespace kind {

/// The EXIF data, XMP and IPTC data of a RAW file, by exiv2, as they are for its developed picture: upright, without what is
/// said of the sensor's pixels, how they are stored and how another program develops them, without maker's note (whose
/// offsets count from the file's start) and thumbnails, and with sRGB as colour space. A lens that only the maker's note
/// names is named. What cannot be read is named; without exiv2 all is. Throws Error for more than `max_bytes`.
Metadata read_raw_metadata(const std::string& path, Bytes file, std::size_t max_bytes);

}  // namespace kind
