#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace kind {

/// Maps by index in a file that several programs use concurrently, so that shared maps are computed once. A checksum is
/// written after each map, so that maps left incomplete by a killed program are computed again.
class SharedMaps {
 public:
  /// Opens the file, or creates it, with its folder if necessary. `elements` is the number of values in the maps of
  /// each index. The file name should identify the content, since nothing else does. Throws Error if the file cannot be
  /// created or has another size.
  SharedMaps(const std::string& path, const std::vector<std::int64_t>& elements);
  ~SharedMaps();
  SharedMaps(const SharedMaps&) = delete;
  SharedMaps& operator=(const SharedMaps&) = delete;

  /// The maps of an index; where no program has made them, `make` does. While one makes them, others wait. They stay
  /// valid as long as the object. Throws what `make` throws, and Error where the file cannot be written.
  const float* get(std::size_t index, const std::function<Tensor<float>()>& make);

 private:
  std::uint64_t checksum(std::size_t index) const;
  void write(std::int64_t at, const void* data, std::size_t bytes);

  std::string path_;
  std::vector<std::int64_t> elements_, offsets_;  // offsets in bytes
  std::vector<bool> verified_;
  int file_ = -1;
  std::int64_t size_ = 0;
  const char* memory_ = nullptr;  // the file, for reading
};

}  // namespace kind
