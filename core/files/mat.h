#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace kind {

/// A matrix of a MAT-file.
struct MatMatrix {
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;  // column by column

  double at(std::int64_t row, std::int64_t column) const {
    return values[static_cast<std::size_t>(column * rows + row)];
  }
};

/// The real numeric matrices of two dimensions in a MATLAB file of level 5 ("-v6", "-v7"; elements may be compressed), by
/// name. Values are converted to double; integers above 2^53 are rounded. Variables of other classes (cells, structs, texts,
/// sparse or complex matrices) are passed over. Throws Error naming the path for other files (levels 4 and 7.3 are named),
/// for damage, for a name used twice, and for more than 64 MiB of elements.
std::map<std::string, MatMatrix> read_mat(const std::string& path);

/// The same from a file's bytes; `path` names them in errors.
std::map<std::string, MatMatrix> parse_mat(std::span<const std::uint8_t> bytes, const std::string& path);

}  // namespace kind
