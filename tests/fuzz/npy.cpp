// NumPy arrays.

#include "core/files/npy.h"

#include "tests/fuzz/fuzz.h"

using namespace kind;
using namespace kind::testing;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Tensor<float> narrow;
  Tensor<double> wide;
  const bool read = accepts([&] { narrow = parse_npy<float>({data, size}, "input"); });
  promise(accepts([&] { wide = parse_npy<double>({data, size}, "input"); }) == read, "both types read the same files");
  if (!read) return 0;
  promise(narrow.shape() == wide.shape(), "both types have the same shape");
  promise(static_cast<std::uint64_t>(narrow.size()) <= size, "an element takes a byte at least");
  return 0;
}
