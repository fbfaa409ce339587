#pragma once

// What the fuzz targets share. Each target is a program with one LLVMFuzzerTestOneInput, which libFuzzer calls with one
// input after the other (https://llvm.org/docs/LibFuzzer.html). Bad input must be refused with kind::Error: any other
// exception, a report of a sanitizer, a leak, or a broken promise is a finding, and ends the program.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "core/base/error.h"

namespace kind::testing {

/// Ends the program unless a promise of the library holds.
inline void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

/// Calls body(), which may refuse its input with an Error of one line. True where it did not.
template <class Body>
bool accepts(const Body& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    const std::string line = error.what();
    promise(!line.empty() && line.find('\n') == std::string::npos, "an error is one line");
    return false;
  }
}

/// The input's first byte chooses what is done with the rest.
struct Input {
  unsigned choice = 0;
  std::span<const std::uint8_t> bytes;

  Input(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return;
    choice = data[0];
    bytes = {data + 1, size - 1};
  }
  std::string text() const { return {bytes.begin(), bytes.end()}; }
};

}  // namespace kind::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed);
/// libFuzzer's own changes, for custom mutators to start from.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
