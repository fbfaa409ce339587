#include "core/base/memory.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
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
constexpr std::size_t kPage = std::size_t{4} << 10;
constexpr std::size_t kSmallestHeld = std::size_t{64} << 10;
#if defined(__linux__) && !defined(KIND_WITH_ASAN)
constexpr bool kHugePages = true;
#else
constexpr bool kHugePages = false;    // nor with the sanitizer, which sees little of what lies in whole huge pages
#endif
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
/// Asks for huge pages in `bytes` bytes from a multiple of kHugePage on. Advice alone: without them everything works.
void advise_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  static_cast<void>(madvise(data, bytes, MADV_HUGEPAGE));
#endif
}

#if defined(__linux__)
// Large blocks have mappings of their own: in the heap, blocks that are aligned so far would leave gaps that serve no
// other. A product's matrices and the transforms around it need only a few huge pages at a time. What does not fill one
// keeps small pages, so that no memory is spent on it.
void* map_block(std::size_t bytes) {
  void* const mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const std::size_t before = kHugePage - reinterpret_cast<std::uintptr_t>(mapped) % kHugePage;
  char* const block = static_cast<char*>(mapped) + before;
  static_cast<void>(munmap(mapped, before));
  const std::size_t pages = (bytes + kPage - 1) / kPage * kPage;
  if (before + pages < kHugePage + bytes) static_cast<void>(munmap(block + pages, kHugePage + bytes - before - pages));
  const std::size_t huge = bytes / kHugePage * kHugePage;
  advise_huge_pages(block, huge);
  if (pages > huge) static_cast<void>(madvise(block + huge, pages - huge, MADV_NOHUGEPAGE));
  return block;
}
void unmap_block(void* block, std::size_t bytes) {
  static_cast<void>(munmap(block, (bytes + kPage - 1) / kPage * kPage));
}
#else
void* map_block(std::size_t) { throw std::bad_alloc(); }
void unmap_block(void*, std::size_t) {}
#endif

void* allocate(std::size_t bytes) {
  if (kHugePages && bytes >= kHugePage) return map_block(bytes);
  return ::operator new (bytes, std::align_val_t{kAlignment});
}
void release(void* block, std::size_t bytes) {
  if (kHugePages && bytes >= kHugePage) return unmap_block(block, bytes);
  ::operator delete (block, std::align_val_t{kAlignment});
}

/// The calling thread's number.
int own_number() {
  static std::atomic<int> threads{0};
  thread_local const int number = threads++;
  return number;
}

/// Freed blocks, kept for the next request of the same size: every training step asks for the same sizes again, and
/// fresh pages from the system cost a fifth of its time.
struct Pool {
  struct Block {
    void* data;
    int thread;  // which gave it
  };
  using Blocks = std::multimap<std::size_t, Block>;

  std::mutex mutex;
  Blocks blocks;
  std::size_t held = 0;

  /// Of blocks first <= block < end one that the calling thread gave, which it may still have in its caches, else the first.
  Blocks::iterator nearest(Blocks::iterator first, Blocks::iterator end) {
    const int own = own_number();
    const auto found =
        std::find_if(first, end, [own](const auto& held_block) { return held_block.second.thread == own; });
    return found != end ? found : first;
  }
};

Pool& pool() {
  // Never destroyed: tensors with static lifetime may outlive any other static object.
  static Pool* const instance = new Pool;
  return *instance;
}

/// Freed scratch memory, which serves whatever it is large enough for.
Pool& scratch() {
  static Pool* const instance = new Pool;
  return *instance;
}

void release_all(Pool& p) {
  const std::lock_guard<std::mutex> lock(p.mutex);
  for (const auto& [bytes, block] : p.blocks) release(block.data, bytes);
  p.blocks.clear();
  p.held = 0;
}

void release_all() {
  release_all(pool());
  release_all(scratch());
}

/// Takes a block that is held out of the pool.
void* taken(Pool& p, Pool::Blocks::iterator at) {
  void* const block = at->second.data;
  p.held -= at->first;
  p.blocks.erase(at);
  return block;
}

/// A new block; if there is no memory, those that are held make room.
void* allocate_anyhow(std::size_t size) {
  try {
    return allocate(size);
  } catch (const std::bad_alloc&) {
    release_all();
    return allocate(size);
  }
}

void hold_or_release(Pool& p, void* block, std::size_t size) noexcept {
  {
    const std::lock_guard<std::mutex> lock(p.mutex);
    if (p.held + size <= kMostHeld) {
      try {
        p.blocks.emplace(size, Pool::Block{block, own_number()});
        p.held += size;
        return;
      } catch (...) {  // no memory for the list
      }
    }
  }
  release(block, size);
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
    const auto [first, end] = p.blocks.equal_range(size);
    if (first != end) return taken(p, p.nearest(first, end));
  }
  return allocate_anyhow(size);
}

void give_block(void* block, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  if (size < kSmallestHeld) return release(block, size);
  hold_or_release(pool(), block, size);
}

void* take_scratch(std::size_t& bytes) {
  if (!kHugePages || bytes < kHugePage / 2) return take_block(bytes);
  if (bytes > kMostBytes) throw std::bad_alloc();
  const std::size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  Pool& p = scratch();
  void* smaller = nullptr;
  std::size_t smaller_bytes = 0;
  {
    const std::lock_guard<std::mutex> lock(p.mutex);
    auto found = p.blocks.lower_bound(size);
    // Not a far larger one: some keep theirs for a whole pass or stage.
    const auto end = p.blocks.upper_bound(2 * size);
    if (found != end) {
      found = p.nearest(found, end);
      bytes = found->first;
      return taken(p, found);
    }
    // One that has become too small makes room, as if it had grown.
    if (found != p.blocks.begin()) {
      smaller_bytes = std::prev(found)->first;
      smaller = taken(p, std::prev(found));
    }
  }
  if (smaller) release(smaller, smaller_bytes);
  bytes = size;
  return allocate_anyhow(size);
}

void give_scratch(void* block, std::size_t bytes) noexcept {
  if (!kHugePages || bytes < kHugePage / 2) return give_block(block, bytes);
  hold_or_release(scratch(), block, bytes);
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
  advise_huge_pages(data_, size);
  return data_;
}

}  // namespace kind
