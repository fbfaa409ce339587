#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace kind {

/// Every tensor and buffer starts at a multiple of this many bytes.
inline constexpr std::size_t kAlignment = 64;

/// Allocates at least `bytes` bytes, aligned and uninitialised, from the pool of released blocks or from the system.
/// Throws std::bad_alloc if both fail. Thread-safe.
void* take_block(std::size_t bytes);
/// count * size bytes; throws std::bad_alloc on overflow or for a negative count.
std::size_t block_bytes(std::int64_t count, std::size_t size);
/// Releases a block from take_block(bytes).
void give_block(void* block, std::size_t bytes) noexcept;

/// The same for memory that is needed for a while only: a released block of up to twice the size serves, too, and large
/// ones are whole huge pages if the system supports them. Sets `bytes` to the block's size, which give_scratch wants.
void* take_scratch(std::size_t& bytes);
/// Releases a block from take_scratch.
void give_scratch(void* block, std::size_t bytes) noexcept;

/// One large block for work that plans its memory layout in advance. Released blocks are kept for reuse, up to 512 MiB.
/// Uses huge pages if the system supports them, since first use would otherwise cost a page fault every 4 KiB.
class Arena {
 public:
  Arena() = default;
  ~Arena() { clear(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// At least `count` elements, aligned, with undefined contents: the same block as before if it is large enough.
  /// Invalidates the result of the previous call. Throws std::bad_alloc.
  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(take_bytes(block_bytes(count, sizeof(T))));
  }
  void clear() noexcept;
  /// Allocated bytes.
  std::size_t bytes() const { return bytes_; }

 private:
  void* take_bytes(std::size_t bytes);

  std::size_t bytes_ = 0;
  void* data_ = nullptr;
};

/// Memory of a kernel, a pass or a stage: `count` uninitialised elements, aligned, released with the object.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t count)
      : bytes_(block_bytes(count, sizeof(T))), data_(static_cast<T*>(take_scratch(bytes_))) {}
  ~Buffer() {
    if (data_) give_scratch(data_, bytes_);
  }
  Buffer(Buffer&& other) noexcept : bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::int64_t i) { return data_[i]; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace kind
