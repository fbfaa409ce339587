#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kind {

struct ZipEntry {
  std::string name;  ///< With "/" between folders, in ASCII.
  std::vector<std::uint8_t> bytes;
};

/// A ZIP archive (PKWARE's APPNOTE.TXT 6.3.10) of the entries, uncompressed, as files that anybody may read, dated
/// 1980-01-01. The same entries give the same bytes. Throws Error for a name that is empty, begins with "/" or is not
/// ASCII, for 65535 and more entries, or an archive of 4 GiB and more.
std::vector<std::uint8_t> stored_zip(const std::vector<ZipEntry>& entries);

}  // namespace kind
