// TensorFlow checkpoints. An input is the size of the index file (2 bytes, little-endian), the index file, and the data
// file, which stands for every shard.

#include "nets/tensorflow/tensorflow_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "tests/fuzz/fuzz.h"
#include "tests/nets/bundle_writer.h"

using namespace kind;
using namespace kind::testing;

namespace {

constexpr std::size_t kFooter = 48, kTrailer = 5;

std::size_t index_size(const std::uint8_t* data, std::size_t size) {
  return size < 2 ? 0 : std::min<std::size_t>(size - 2, data[0] + std::size_t{256} * data[1]);
}

/// A number of the index as the format has them; 0 where it is cut short.
std::size_t take_varint(const std::uint8_t*& at, const std::uint8_t* end) {
  std::size_t value = 0;
  for (unsigned shift = 0; at < end && shift < 63; shift += 7) {
    const std::uint8_t byte = *at++;
    value |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return 0;
}

/// Writes the right checksum behind the block at the handle; false where it does not lie in the file.
bool repair_block(std::uint8_t* file, std::size_t size, std::size_t offset, std::size_t bytes) {
  if (offset > size || bytes > size - offset || kTrailer > size - offset - bytes) return false;
  const std::uint32_t sum = bundle_checksum(std::string(file + offset, file + offset + bytes + 1));
  std::memcpy(file + offset + bytes + 1, &sum, sizeof(sum));
  return true;
}

/// Makes the checksums of all blocks right again, which otherwise nearly every change would break. Those of the
/// tensors, in the entries, stay.
void repair_sums(std::uint8_t* file, std::size_t size) {
  if (size < kFooter) return;
  const std::uint8_t* at = file + size - kFooter;
  const std::uint8_t* const end = file + size - 8;
  for (const bool index : {false, true}) {
    const std::size_t offset = take_varint(at, end), bytes = take_varint(at, end);
    if (offset > size || bytes > size - offset) continue;
    if (index) {
      // Its entries lead to the blocks; each is a name's two lengths, the value's length, the name, the value.
      const std::uint8_t *entry = file + offset, *const entries_end = entry + bytes;
      while (entry < entries_end) {
        take_varint(entry, entries_end);
        const std::size_t name = take_varint(entry, entries_end), value = take_varint(entry, entries_end);
        const auto left = static_cast<std::size_t>(entries_end - entry);
        if (name > left || value > left - name || value == 0) break;
        entry += name;
        const std::uint8_t* handle = entry;
        const std::size_t block = take_varint(handle, entries_end);
        repair_block(file, size, block, take_varint(handle, entries_end));
        entry += value;
      }
    }
    repair_block(file, size, offset, bytes);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t index = index_size(data, size);
  const auto read = [&](const std::string& name, std::uint64_t) {
    const std::uint8_t *const begin = size < 2 ? data : data + 2, *const middle = begin + index;
    return name.ends_with(".index") ? std::vector<std::uint8_t>(begin, middle)
                                    : std::vector<std::uint8_t>(middle, data + size);
  };
  SafeTensors content;
  if (!accepts([&] { content = read_tensorflow_bundle("input", read); })) return 0;
  for (const auto& [name, tensor] : content.tensors) {
    promise(tensor.data.size() <= size, "tensors lie in the file");
    accepts([&, &key = name] { content.get_tensor<float>(key); });
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned) {
  const std::size_t changed = LLVMFuzzerMutate(data, size, max_size);
  if (changed >= 2) repair_sums(data + 2, index_size(data, changed));
  return changed;
}
