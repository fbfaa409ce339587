#include "core/base/memory.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

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
#elif defined(__wasm__)
constexpr std::size_t kMostHeld = 0;  // its memory only grows, and costs no page faults the second time
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

/// Blocks that arenas gave up, for the next ones: a program that enhances picture after picture faults its pages in
/// once, and one that does so in several threads once for each.
struct Spares {
  struct Block {
    void* data;
    std::size_t bytes;
  };
  std::mutex mutex;
  std::vector<Block> blocks;  // smallest first
  std::size_t held = 0;
};

Spares& spares() {
  static Spares* const instance = new Spares;
  return *instance;
}

void release_arena(void* data) { ::operator delete (data, std::align_val_t{kHugePage}); }

/// Keeps a block, for which smaller ones make room where that is enough: what is kept should serve the largest work.
bool keep_spare(void* data, std::size_t bytes) noexcept {
  Spares& s = spares();
  const std::lock_guard<std::mutex> lock(s.mutex);
  std::size_t smaller = 0;
  for (const Spares::Block& block : s.blocks) smaller += block.bytes < bytes ? block.bytes : 0;
  if (bytes > kMostHeld || s.held - smaller + bytes > kMostHeld) return false;
  while (s.held + bytes > kMostHeld) {
    s.held -= s.blocks.front().bytes;
    release_arena(s.blocks.front().data);
    s.blocks.erase(s.blocks.begin());
  }
  try {
    const auto larger = [](std::size_t size, const Spares::Block& block) { return size < block.bytes; };
    s.blocks.insert(std::upper_bound(s.blocks.begin(), s.blocks.end(), bytes, larger), {data, bytes});
  } catch (...) {
    return false;  // no memory for the list
  }
  s.held += bytes;
  return true;
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
  void* const data = std::exchange(data_, nullptr);
  const std::size_t bytes = std::exchange(bytes_, 0);
  if (!keep_spare(data, bytes)) release_arena(data);
}

void* Arena::take_bytes(std::size_t bytes) {
  if (data_ && bytes <= bytes_) return data_;
  clear();
  Spares& s = spares();
  {
    const std::lock_guard<std::mutex> lock(s.mutex);
    const auto found = std::find_if(s.blocks.begin(), s.blocks.end(),
                                    [bytes](const Spares::Block& block) { return block.bytes >= bytes; });
    if (found != s.blocks.end()) {
      data_ = found->data;
      bytes_ = found->bytes;
      s.held -= found->bytes;
      s.blocks.erase(found);
      return data_;
    }
    // None serves. They are freed first, so that the new block does not add to them.
    for (const Spares::Block& block : s.blocks) release_arena(block.data);
    s.blocks.clear();
    s.held = 0;
  }
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
