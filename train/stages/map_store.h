#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace kind {

/// Maps [c, h, w] by index, kept so that a frozen net runs once per picture: in memory up to a limit, the rest in an
/// unnamed file that the system removes when the program ends.
class MapStore {
 public:
  /// `folder` is where the file goes if it is needed; it must exist by then.
  MapStore(std::size_t count, std::size_t memory_bytes, std::string folder);
  ~MapStore();
  MapStore(const MapStore&) = delete;
  MapStore& operator=(const MapStore&) = delete;

  bool has(std::size_t index) const { return !entries_[index].shape.empty(); }
  /// Throws Error if the file cannot be written.
  void put(std::size_t index, const Tensor<float>& maps);
  /// Maps of that shape that are owned by the caller, who keeps them as long as the store lives.
  void put_view(std::size_t index, const Shape& shape, const float* maps);
  /// Rows y.. and columns x.. of every map: [c, height, width].
  Tensor<float> crop(std::size_t index, std::int64_t y, std::int64_t x, std::int64_t height, std::int64_t width) const;
  /// All of it.
  Tensor<float> get(std::size_t index) const;

 private:
  struct Entry {
    std::vector<std::int64_t> shape;  // empty if there is none yet
    Tensor<float> tensor;             // keeps what `data` points to, where that is ours
    const float* data = nullptr;      // null if it is in the file
    std::int64_t offset = 0;          // in the file, in bytes
  };

  std::vector<Entry> entries_;
  std::size_t memory_left_;
  std::string folder_;
  int file_ = -1;
  std::int64_t file_size_ = 0;
};

}  // namespace kind
