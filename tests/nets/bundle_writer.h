#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/files/safetensors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {

/// CRC-32C bit by bit, rotated and shifted as TensorFlow stores it.
inline std::uint32_t bundle_checksum(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1u) ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  return bytes + static_cast<char>(value);
}

template <class T>
std::string fixed(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// A field of a protocol buffer.
inline std::string number_field(unsigned number, std::uint64_t value) { return varint(number << 3) + varint(value); }
inline std::string bytes_field(unsigned number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
inline std::string fixed32_field(unsigned number, std::uint32_t value) {
  return varint(number << 3 | 5) + fixed(value);
}

/// A checkpoint, written from its parts so that a test can bend each of them. What is made here is what TensorFlow
/// writes unless a test changes it.
class BundleWriter {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;  // key, value

  /// The header's value, and whole values of tensors in place of those made from what was added.
  std::string header = number_field(1, 1) + bytes_field(3, number_field(1, 1));
  std::map<std::string, std::string> values;
  std::int64_t shards = 1;
  std::size_t block_entries = 1000;   // of a data block
  std::size_t restart_interval = 16;  // entries between restart points
  char compression = 0;               // as written after each block
  std::uint32_t spoil_checksum = 0;   // added to each block's
  std::string metaindex = fixed<std::uint32_t>(0) + fixed<std::uint32_t>(1);
  std::string footer_padding = {};  // in place of zeros
  std::uint64_t magic = 0xdb4775248b80fb57;
  std::vector<std::string> data;  // of each shard

  /// Adds a tensor at the end of a shard. dtype is TensorFlow's number.
  void add(const std::string& name, std::uint64_t dtype, const std::vector<std::int64_t>& shape,
           const std::string& bytes, std::size_t shard = 0) {
    if (data.size() <= shard) data.resize(shard + 1);
    values[name] = entry(dtype, shape, shard, data[shard].size(), bytes.size(), bundle_checksum(bytes));
    data[shard] += bytes;
  }
  void add(const std::string& name, const Tensor<float>& tensor) {
    std::vector<std::int64_t> shape;
    for (int i = 0; i < tensor.shape().rank(); ++i) shape.push_back(tensor.shape()[i]);
    add(name, 1, shape,
        std::string(reinterpret_cast<const char*>(tensor.data()),
                    static_cast<std::size_t>(tensor.size()) * sizeof(float)));
  }
  void add(const SafeTensors& tensors) {
    for (const auto& [name, tensor] : tensors.tensors) add(name, tensors.get_tensor<float>(name));
  }

  /// BundleEntryProto; what is 0 is left out.
  static std::string entry(std::uint64_t dtype, const std::vector<std::int64_t>& shape, std::uint64_t shard,
                           std::uint64_t offset, std::uint64_t size, std::uint32_t checksum) {
    std::string dims;
    for (const std::int64_t dim : shape) {
      dims += bytes_field(2, dim == 0 ? "" : number_field(1, static_cast<std::uint64_t>(dim)));
    }
    std::string value = number_field(1, dtype) + bytes_field(2, dims);
    if (shard) value += number_field(3, shard);
    if (offset) value += number_field(4, offset);
    if (size) value += number_field(5, size);
    return value + fixed32_field(6, checksum);
  }

  /// One block's contents: entries that share the start of their keys, and the restart points.
  std::string block(const Entries& entries) const {
    std::string bytes, last, restarts;
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto& [key, value] = entries[i];
      std::size_t shared = 0;
      if (i % restart_interval == 0) {
        restarts += fixed(static_cast<std::uint32_t>(bytes.size()));
        ++count;
      } else {
        while (shared < key.size() && shared < last.size() && key[shared] == last[shared]) ++shared;
      }
      bytes += varint(shared) + varint(key.size() - shared) + varint(value.size()) + key.substr(shared) + value;
      last = key;
    }
    if (count == 0) restarts = fixed(std::uint32_t{0}), count = 1;
    return bytes + restarts + fixed(count);
  }

  /// Adds a block with its trailer to a file; returns its handle.
  std::string append_block(std::string& file, const std::string& content) const {
    const std::string handle = varint(file.size()) + varint(content.size()), stored = content + compression;
    file += stored + fixed(bundle_checksum(stored) + spoil_checksum);
    return handle;
  }

  /// The entries of all data blocks.
  Entries entries() const {
    Entries all{{"", header}};
    all.insert(all.end(), values.begin(), values.end());
    return all;
  }

  /// The index file of these data blocks, each with the key that its entry in the index block has.
  std::string index(const std::vector<std::pair<std::string, std::string>>& blocks) const {
    std::string file;
    Entries handles;
    for (const auto& [limit, content] : blocks) handles.emplace_back(limit, append_block(file, content));
    const std::string metaindex_handle = append_block(file, metaindex);
    BundleWriter every = *this;
    every.restart_interval = 1;
    const std::string index_handle = append_block(file, every.block(handles));
    std::string footer = metaindex_handle + index_handle + footer_padding;
    footer.resize(40, '\0');
    return file + footer + fixed(magic);
  }
  std::string index() const {
    const Entries all = entries();
    std::vector<std::pair<std::string, std::string>> blocks;
    for (std::size_t i = 0; i < all.size(); i += block_entries) {
      const std::size_t end = std::min(i + block_entries, all.size());
      const Entries some(all.begin() + static_cast<std::ptrdiff_t>(i), all.begin() + static_cast<std::ptrdiff_t>(end));
      blocks.emplace_back(some.back().first, block(some));
    }
    return index(blocks);
  }

  /// Writes all files and returns the prefix.
  std::string write(const TempDir& dir, const std::string& name = "model.ckpt") const {
    dir.put(name + ".index", index());
    for (std::size_t i = 0; i < data.size(); ++i) dir.put(shard_name(name, i), data[i]);
    return dir / name;
  }
  std::string shard_name(const std::string& name, std::size_t shard) const {
    char ending[64];
    std::snprintf(ending, sizeof(ending), ".data-%05d-of-%05d", static_cast<int>(shard), static_cast<int>(shards));
    return name + ending;
  }
};

}  // namespace kind::testing
