#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace kind {

/// FNV-1a of 64 bits (http://www.isthe.com/chongo/tech/comp/fnv): names texts and files, resists nobody.
inline std::uint64_t fnv1a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return hash;
}

/// 16 digits: "00000000000000ff".
inline std::string hash_text(std::uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace kind
