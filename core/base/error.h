#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace kind {

/// An error that the caller can fix: a bad file, option, config or shape. The message is one line that says what was
/// wrong, where, what was expected and, if helpful, what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Streams one part of a message. A part that is callable without arguments is called, and its result streamed: for
/// text that is expensive to make.
template <class Part>
void write_part(std::ostream& out, const Part& part) {
  if constexpr (std::is_invocable_v<const Part&>) {
    out << part();
  } else {
    out << part;
  }
}

/// Concatenates the streamed parts.
template <class... Parts>
std::string join(const Parts&... parts) {
  std::ostringstream out;
  (write_part(out, parts), ...);
  return out.str();
}

/// Throws Error with the parts as its message. Not inlined, since callers rarely get here.
template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(const Parts&... parts) {
  throw Error(join(parts...));
}

/// Throws Error with the parts as its message unless `condition` holds. If it holds, no part is streamed or called, so
/// a check costs one comparison as long as its arguments are cheap: pass a Shape rather than its text(), and expensive
/// text as [&] { return text; }.
template <class... Parts>
inline void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace kind
