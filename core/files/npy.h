#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/tensor/tensor.h"

namespace kind {

/// Reads a NumPy .npy file (format versions 1.0 and 2.0) of little-endian float32 ('<f4'), float64 ('<f8') or uint8
/// ('|u1') elements in C order, of any shape up to Shape::kMaxRank axes; values are converted to T (float64 to float
/// rounds to nearest). Throws Error naming the path for anything else, and for a file that is shorter or longer than
/// its header says.
template <class T>
Tensor<T> read_npy(const std::string& path);

/// The same from a file's bytes; `path` names them in errors.
template <class T>
Tensor<T> parse_npy(std::span<const std::uint8_t> bytes, const std::string& path);

/// Writes the tensor as a .npy file, '<f4' or '<f8', as the whole content of `path` (see AtomicFile).
template <class T>
void write_npy(const std::string& path, const Tensor<T>& tensor);

extern template Tensor<float> read_npy<float>(const std::string&);
extern template Tensor<double> read_npy<double>(const std::string&);
extern template Tensor<float> parse_npy<float>(std::span<const std::uint8_t>, const std::string&);
extern template Tensor<double> parse_npy<double>(std::span<const std::uint8_t>, const std::string&);
extern template void write_npy<float>(const std::string&, const Tensor<float>&);
extern template void write_npy<double>(const std::string&, const Tensor<double>&);

}  // namespace kind
