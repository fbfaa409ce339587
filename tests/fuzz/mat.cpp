// MATLAB files of level 5.

#include "core/files/mat.h"

#include "tests/fuzz/fuzz.h"

using namespace kind;
using namespace kind::testing;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::map<std::string, MatMatrix> matrices;
  if (!accepts([&] { matrices = parse_mat({data, size}, "input"); })) return 0;
  for (const auto& [name, matrix] : matrices) {
    promise(matrix.rows >= 0 && matrix.columns >= 0, "sizes are not negative");
    promise(static_cast<std::uint64_t>(matrix.rows * matrix.columns) == matrix.values.size(), "there are all numbers");
  }
  return 0;
}
