#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>

namespace kind {

/// Text from a file, escaped for a one-line message: control characters as \xNN, truncated after `max_bytes` bytes.
inline std::string printable(std::string_view text, std::size_t max_bytes = 100) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return text.size() > max_bytes ? out + "..." : out;
}

/// The same in single quotes, for names.
inline std::string quote(std::string_view text) {
  std::string out(1, '\'');
  out += printable(text);
  out += '\'';
  return out;
}

/// quote(text) as a part of a check's message: evaluated only if the check fails.
struct Quoted {
  std::string_view text;
};

inline std::ostream& operator<<(std::ostream& out, const Quoted& quoted) { return out << quote(quoted.text); }

}  // namespace kind
