#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace kind {

/// The element types of the format, in the order in which its reference writer lays tensors out (last first).
enum class Dtype { kBool, kU8, kI8, kF8E5M2, kF8E4M3, kI16, kU16, kF16, kBF16, kI32, kU32, kF32, kF64, kI64, kU64 };

/// The name that files use, such as "F32".
const char* dtype_name(Dtype dtype);
/// Bytes of one element.
std::size_t dtype_size(Dtype dtype);

/// Immutable bytes, shared by copies and slices; a slice keeps the whole alive.
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(std::vector<std::uint8_t> bytes);  // not explicit: a vector is given where bytes are wanted
  SharedBytes(std::initializer_list<std::uint8_t> bytes) : SharedBytes(std::vector<std::uint8_t>(bytes)) {}

  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }
  std::span<const std::uint8_t> bytes() const { return bytes_; }
  /// The slice of `count` bytes from `start`, which must lie within.
  SharedBytes part(std::size_t start, std::size_t count) const;
  bool operator==(const SharedBytes& other) const;

 private:
  std::shared_ptr<const std::vector<std::uint8_t>> owner_;
  std::span<const std::uint8_t> bytes_;
};

/// One tensor of a file: its elements in C order, little-endian.
struct SafeTensor {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  SharedBytes data;
};

/// The content of a safetensors file: tensors and texts by name. The get functions throw Error naming `source` and the
/// tensor if it is missing or of another type; the put functions add or replace.
struct SafeTensors {
  std::map<std::string, SafeTensor> tensors;
  std::map<std::string, std::string> metadata;
  /// The file this was read from, for messages.
  std::string source = "safetensors";

  bool contains(const std::string& name) const { return tensors.count(name) != 0; }
  const SafeTensor& get(const std::string& name) const;

  /// The values of an F64, F32, F16 or BF16 tensor as T. Exact except for F64 to float, which rounds to nearest.
  template <class T>
  Tensor<T> get_tensor(const std::string& name) const;
  /// The elements of an I64 / U8 tensor of any shape.
  std::vector<std::int64_t> get_int64(const std::string& name) const;
  std::vector<std::uint8_t> get_bytes(const std::string& name) const;

  /// Stored as F32 or F64, bit for bit.
  template <class T>
  void put_tensor(const std::string& name, const Tensor<T>& tensor);
  /// Stored as F16, rounded to nearest even. Throws Error if a finite value is too large (65520 and more).
  void put_half(const std::string& name, const Tensor<float>& tensor);
  /// Stored as an I64 / U8 tensor of one axis.
  void put_int64(const std::string& name, const std::vector<std::int64_t>& values);
  void put_bytes(const std::string& name, const std::vector<std::uint8_t>& bytes);
};

/// Reads a safetensors file. Every rule of the format is checked, and Error thrown with `path` if one is broken: a
/// header of at most 100 MB that starts with '{' and is valid JSON in UTF-8 without a key twice, padded by spaces at
/// most; known element types; sizes that match the shape; tensors that follow one another without gap or overlap from
/// the first byte behind the header to the last of the file; texts only under "__metadata__".
SafeTensors read_safetensors(const std::string& path);

/// The same from a file's bytes, which the tensors share; `source` names them in errors.
SafeTensors parse_safetensors(const SharedBytes& bytes, const std::string& source);

/// Writes the file as the whole content of `path` (see AtomicFile). The same content gives the same bytes: tensors by
/// element type (widest first, as the reference writer orders them) and name, texts by name. Throws Error for a tensor
/// whose data does not fit its shape, and for names that are not UTF-8 or "__metadata__".
void write_safetensors(const std::string& path, const SafeTensors& content);

extern template Tensor<float> SafeTensors::get_tensor<float>(const std::string&) const;
extern template Tensor<double> SafeTensors::get_tensor<double>(const std::string&) const;
extern template void SafeTensors::put_tensor<float>(const std::string&, const Tensor<float>&);
extern template void SafeTensors::put_tensor<double>(const std::string&, const Tensor<double>&);

}  // namespace kind
