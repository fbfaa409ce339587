#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kind {

/// Text as it may stand in HTML, between tags and in double quotes: & < > " as entities.
std::string html_text(const std::string& text);

/// Bytes in letters, as data: URLs have them (base64, RFC 4648, section 4).
std::string base64(const std::vector<std::uint8_t>& bytes);

}  // namespace kind
