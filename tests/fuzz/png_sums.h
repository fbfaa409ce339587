#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kind::testing {

/// Makes the checksums of a PNG's chunks right again after libFuzzer has changed its bytes; other files stay as they
/// are. Without that nearly every change would be refused for its checksum alone.
inline void repair_png_sums(std::uint8_t* file, std::size_t size) {
  if (size < 8 || std::memcmp(file, "\x89PNG", 4) != 0) return;
  for (std::size_t at = 8; at + 12 <= size;) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | file[at + i];
    if (length > size - at - 12) return;
    const unsigned long sum = crc32(0, file + at + 4, static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i) file[at + 8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

}  // namespace kind::testing
