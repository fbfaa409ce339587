#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kind {

/// Text escaped for HTML, between tags and in double quotes: & < > " as entities.
std::string html_text(const std::string& text);

/// Base64 encoding of bytes for data: URLs (RFC 4648, section 4).
std::string base64(const std::vector<std::uint8_t>& bytes);

}  // namespace kind
