#include "core/base/memory.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace kind {
namespace {

#if defined(__SANITIZE_ADDRESS__)
#define KIND_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KIND_WITH_ASAN 1
#endif
#endif

constexpr std::size_t kMostBytes = std::numeric_limits<std::size_t>::max() / 2;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallestHeld = std::size_t{64} << 10;
#if defined(KIND_WITH_ASAN)
constexpr std::size_t kMostHeld = 0;  // so that the sanitizer sees a use after free
#else
constexpr std::size_t kMostHeld = std::size_t{512} << 20;
#endif

// Large blocks come in eight sizes an octave, so that a block serves again for what is nearly as large.
std::size_t rounded(std::size_t bytes) {
  std::size_t unit = kAlignment;
  while (unit < bytes / 16) unit *= 2;
  return (std::max<std::size_t>(bytes, 1) + unit - 1) / unit * unit;
}
void* allocate(std::size_t bytes) { return ::operator new (bytes, std::align_val_t{kAlignment}); }
void release(void* block) { ::operator delete (block, std::align_val_t{kAlignment}); }

/// Freed blocks, kept for the next request of the same size: every training step asks for the same sizes again, and
/// fresh pages from the system cost a fifth of its time.
struct Pool {
  std::mutex mutex;
  std::multimap<std::size_t, void*> blocks;
  std::size_t held = 0;
};

Pool& pool() {
  // Never destroyed: tensors with static lifetime may outlive any other static object.
  static Pool* const instance = new Pool;
  return *instance;
}

void release_all(Pool& p) {
  const std::lock_guard<std::mutex> lock(p.mutex);
  for (const auto& [bytes, block] : p.blocks) release(block);
  p.blocks.clear();
  p.held = 0;
}

/// The last arena's block, for the next one: a program that enhances picture after picture faults its pages in once.
struct Spare {
  std::mutex mutex;
  void* data = nullptr;
  std::size_t bytes = 0;
};

Spare& spare() {
  static Spare* const instance = new Spare;
  return *instance;
}

}  // namespace

std::size_t block_bytes(std::int64_t count, std::size_t size) {
  // Half of what a size_t holds: rounding up cannot wrap around, and no system has more.
  if (count < 0 || static_cast<std::size_t>(count) > kMostBytes / size) throw std::bad_alloc();
  return static_cast<std::size_t>(count) * size;
}

void* take_block(std::size_t bytes) {
  if (bytes > kMostBytes) throw std::bad_alloc();
  const std::size_t size = rounded(bytes);
  Pool& p = pool();
  {
    const std::lock_guard<std::mutex> lock(p.mutex);
    const auto found = p.blocks.find(size);
    if (found != p.blocks.end()) {
      void* block = found->second;
      p.blocks.erase(found);
      p.held -= size;
      return block;
    }
  }
  try {
    return allocate(size);
  } catch (const std::bad_alloc&) {
    release_all(p);
    return allocate(size);
  }
}

void give_block(void* block, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  if (size >= kSmallestHeld) {
    Pool& p = pool();
    const std::lock_guard<std::mutex> lock(p.mutex);
    if (p.held + size <= kMostHeld) {
      try {
        p.blocks.emplace(size, block);
        p.held += size;
        return;
      } catch (...) {
        // No memory for the map's node: the block goes back to the system instead.
      }
    }
  }
  release(block);
}

void Arena::clear() noexcept {
  if (!data_) return;
  Spare& s = spare();
  {
    // The larger of the two stays for the next one.
    const std::lock_guard<std::mutex> lock(s.mutex);
    if (bytes_ <= kMostHeld && bytes_ > s.bytes) {
      std::swap(data_, s.data);
      std::swap(bytes_, s.bytes);
    }
  }
  if (data_) ::operator delete (data_, std::align_val_t{kHugePage});
  data_ = nullptr;
  bytes_ = 0;
}

void* Arena::take_bytes(std::size_t bytes) {
  if (data_ && bytes <= bytes_) return data_;
  clear();
  Spare& s = spare();
  {
    const std::lock_guard<std::mutex> lock(s.mutex);
    std::swap(data_, s.data);
    std::swap(bytes_, s.bytes);
  }
  if (data_ && bytes <= bytes_) return data_;
  if (data_) ::operator delete (data_, std::align_val_t{kHugePage});
  data_ = nullptr;
  bytes_ = 0;
  const std::size_t size = (std::max<std::size_t>(bytes, 1) + kHugePage - 1) / kHugePage * kHugePage;
  data_ = ::operator new (size, std::align_val_t{kHugePage});
  bytes_ = size;
#if defined(__linux__)
  // Advice alone: without huge pages everything works as before.
  static_cast<void>(madvise(data_, size, MADV_HUGEPAGE));
#endif
  return data_;
}

}  // namespace kind
