#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/metadata.h"

/// MATLAB files of level 5, written from their description.
namespace kind::testing {

/// An element: its tag, the data, and padding to 8 bytes.
inline std::string mat_element(std::uint32_t type, const std::string& data, bool little = true) {
  std::string text = number(type, 4, little) + number(data.size(), 4, little) + data;
  if (type != 15) text.resize((text.size() + 7) / 8 * 8, '\0');
  return text;
}

inline std::string mat_header(bool little = true) {
  std::string text = "MATLAB 5.0 MAT-file, Platform: tests";
  text.resize(124, ' ');
  return text + number(0x0100, 2, little) + (little ? "IM" : "MI");
}

/// A variable of class `kind` (6: double); `values` is the element with its numbers.
inline std::string mat_variable(const std::string& name, std::size_t rows, std::size_t columns,
                                const std::string& values, std::uint32_t kind = 6, bool little = true) {
  return mat_element(14,
                     mat_element(6, number(kind, 4, little) + number(0, 4, little), little) +
                         mat_element(5, number(rows, 4, little) + number(columns, 4, little), little) +
                         mat_element(1, name, little) + values,
                     little);
}

/// The element with these numbers as doubles.
inline std::string mat_doubles(const std::vector<double>& values, bool little = true) {
  std::string data;
  for (const double value : values) data += number(std::bit_cast<std::uint64_t>(value), 8, little);
  return mat_element(9, data, little);
}

/// The variable as a compressed element.
inline std::string mat_packed(const std::string& variable) { return mat_element(15, packed(variable)); }

}  // namespace kind::testing
