#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace kind {

/// What a caller can do something about: a bad file, option, config or shape. The message is one line that
/// says what was wrong, where, what was expected and, where it helps, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The parts, streamed one after the other, as one string.
template <class... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws Error with the parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(join(parts...));
}

/// Throws Error with the parts as its message unless `condition` holds.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) fail(parts...);
}

}  // namespace kind
