#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace kind {

/// What a caller can do something about: a bad file, option, config or shape. The message is one line that
/// says what was wrong, where, what was expected and, where it helps, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Streams one part of a message. A part that can be called without arguments is called, and its result streamed: for
/// text that is costly to make.
template <class Part>
void write_part(std::ostream& out, const Part& part) {
  if constexpr (std::is_invocable_v<const Part&>) {
    out << part();
  } else {
    out << part;
  }
}

/// The parts, streamed one after the other, as one string.
template <class... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream out;
  (write_part(out, parts), ...);
  return out.str();
}

/// Throws Error with the parts as its message. Kept out of the code that calls it, which rarely gets here.
template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(const Parts&... parts) {
  throw Error(join(parts...));
}

/// Throws Error with the parts as its message unless `condition` holds. Where it holds, no part is streamed or called,
/// so a check costs a comparison as long as its parts are cheap: pass a Shape rather than its text(), and costly text
/// as [&] { return text; }.
template <class... Parts>
inline void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace kind
