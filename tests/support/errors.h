#pragma once

#include <string>

#include "core/base/error.h"

namespace kind::testing {

/// The message of the Error that f() throws, or "no error". Any other exception passes through and fails the test.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace kind::testing
