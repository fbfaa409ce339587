// Long because both layers of the format are read and checked here, and nobody else needs either.
// The format: TensorFlow's tensor_bundle (tensorflow/core/util/tensor_bundle,
// tensorflow/core/protobuf/tensor_bundle.proto) inside a table of LevelDB (its doc/table_format.md); values are
// protocol buffers.

#include "nets/tensorflow/tensorflow_checkpoint.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"

namespace kind {
namespace {

using Bytes = std::span<const std::uint8_t>;

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are in the file");

constexpr std::size_t kFooterBytes = 48;
constexpr std::size_t kTrailerBytes = 5;  // behind each block: the compression's number and a checksum
constexpr std::uint64_t kMagic = 0xdb4775248b80fb57;
// A name may repeat the start of the one before by its length alone, so that a small file could hold huge names.
constexpr std::size_t kMaxNameBytes = 1024;
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{1} << 24;

// --- Checksums: CRC-32C (Castagnoli), reflected polynomial 0x82F63B78, stored rotated so that a checksum of data that
// holds checksums keeps its strength.

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) * 0x82F63B78u);
    table[i] = crc;
  }
  return table;
}();

std::uint32_t masked_crc32c(Bytes bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const std::uint8_t byte : bytes) crc = kCrcTable[(crc ^ byte) & 0xFFu] ^ (crc >> 8);
  crc = ~crc;
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <class T>
T read_fixed(Bytes from) {
  T value;
  std::memcpy(&value, from.data(), sizeof(T));
  return value;
}

// --- Pieces of a buffer, each taken with its length checked.

/// Reads on and on from some bytes; `where` names them in errors.
class Cursor {
 public:
  Cursor(Bytes bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  bool at_end() const { return position_ == bytes_.size(); }
  std::size_t position() const { return position_; }
  const std::string& where() const { return where_; }

  Bytes take(std::uint64_t count) {
    if (count > bytes_.size() - position_) bad("it ends early");
    const Bytes taken = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += taken.size();
    return taken;
  }

  /// A number of up to 64 bits, seven to a byte, the lowest first.
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      const std::uint64_t byte = take(1)[0];
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7fu) << shift;
      if (byte < 0x80u) return value;
    }
    bad("a number has more than 64 bits");
  }

  std::uint64_t varint32() {
    const std::uint64_t value = varint();
    if (value > std::numeric_limits<std::uint32_t>::max()) bad("a length has more than 32 bits");
    return value;
  }

  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    fail("cannot read ", where_, ": ", parts...);
  }

 private:
  Bytes bytes_;
  std::string where_;
  std::size_t position_ = 0;
};

// --- Protocol buffers.

/// One field of a message: a number, or the bytes of a text or of a message inside.
struct Field {
  enum Type { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  std::uint64_t number = 0;
  std::uint64_t type = kVarint;
  std::uint64_t value = 0;
  Bytes bytes;
};

Field next_field(Cursor& cursor) {
  Field field;
  const std::uint64_t tag = cursor.varint();
  field.number = tag >> 3;
  field.type = tag & 7u;
  if (field.number == 0) cursor.bad("a field has the number 0");
  switch (field.type) {
    case Field::kVarint:
      field.value = cursor.varint();
      break;
    case Field::kFixed64:
      field.value = read_fixed<std::uint64_t>(cursor.take(8));
      break;
    case Field::kBytes:
      field.bytes = cursor.take(cursor.varint());
      break;
    case Field::kFixed32:
      field.value = read_fixed<std::uint32_t>(cursor.take(4));
      break;
    default:
      cursor.bad("field ", field.number, " is of the unknown type ", field.type);
  }
  return field;
}

constexpr int kPassOver = -1;  // a field that is not ours to judge
constexpr int kAnyType = -2;

/// Calls known(field) for each field of a message that is of interest; `types` are the expected types by field number.
template <class Known>
void read_message(Bytes bytes, const std::string& where, std::initializer_list<int> types, const Known& known) {
  Cursor cursor(bytes, where);
  while (!cursor.at_end()) {
    const Field field = next_field(cursor);
    const int type = field.number < types.size() ? types.begin()[field.number] : kPassOver;
    if (type == kPassOver) continue;
    if (type != kAnyType && static_cast<std::uint64_t>(type) != field.type) {
      cursor.bad("field ", field.number, " is of the type ", field.type, ", expected ", type);
    }
    known(field);
  }
}

std::int64_t as_signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }

// --- The table of PREFIX.index.

struct Handle {
  std::uint64_t offset, size;
};

Handle read_handle(Cursor& cursor) {
  const std::uint64_t offset = cursor.varint();
  return {offset, cursor.varint()};
}

/// Calls entry(key, value) for each entry of the block, in order.
template <class Entry>
void read_block(Bytes file, const std::string& path, const std::string& name, Handle handle, const Entry& entry) {
  const std::string where = path + ": " + name;
  // Blocks lie before the footer, whose presence was checked.
  const std::uint64_t end = file.size() - kFooterBytes;
  check(
      handle.offset <= end && handle.size <= end - handle.offset && kTrailerBytes <= end - handle.offset - handle.size,
      "cannot read ", where, ": it would lie outside of the file");
  const Bytes stored =
      file.subspan(static_cast<std::size_t>(handle.offset), static_cast<std::size_t>(handle.size) + kTrailerBytes);
  const Bytes content = stored.first(stored.size() - kTrailerBytes);
  const unsigned compression = stored[content.size()];
  check(masked_crc32c(stored.first(content.size() + 1)) == read_fixed<std::uint32_t>(stored.last(4)), "cannot read ",
        where, ": its checksum is wrong, the file is damaged");
  check(compression == 0, "cannot read ", where, ": it is compressed (type ", compression,
        "), which TensorFlow's own checkpoints never are");

  check(content.size() >= 4, "cannot read ", where, ": it ends early");
  const std::uint64_t restarts = read_fixed<std::uint32_t>(content.last(4));
  check(restarts >= 1 && 4 + 4 * restarts <= content.size(), "cannot read ", where, ": it cannot have ", restarts,
        " restart points");
  const Bytes entries = content.first(content.size() - 4 - 4 * static_cast<std::size_t>(restarts));
  std::uint64_t restart = 0;  // how many were passed
  const auto restart_offset = [&] {
    return read_fixed<std::uint32_t>(content.subspan(entries.size() + 4 * static_cast<std::size_t>(restart)));
  };

  Cursor cursor(entries, where);
  std::string key;
  while (!cursor.at_end()) {
    const bool starts_anew = restart < restarts && restart_offset() == cursor.position();
    if (starts_anew) ++restart;
    const bool first = cursor.position() == 0;
    const std::uint64_t shared = cursor.varint32(), unshared = cursor.varint32(), value_bytes = cursor.varint32();
    if (shared > (starts_anew ? 0 : key.size())) cursor.bad("a name repeats more of the one before than there is");
    if (shared + unshared > kMaxNameBytes) cursor.bad("a name has more than ", kMaxNameBytes, " bytes");
    std::string next = key.substr(0, static_cast<std::size_t>(shared));
    const Bytes rest = cursor.take(unshared);
    next.append(rest.begin(), rest.end());
    if (!first && next <= key) cursor.bad("the name ", quote(next), " does not come after ", quote(key));
    key = std::move(next);
    entry(key, cursor.take(value_bytes));
  }
  // The one restart point of an empty block is 0, too.
  if (entries.empty() && restarts == 1 && restart_offset() == 0) ++restart;
  if (restart != restarts) cursor.bad("a restart point is not the start of an entry");
}

// --- What the table says.

struct DtypeNumber {
  std::uint64_t number;  // TensorFlow's DataType
  Dtype dtype;
};

constexpr DtypeNumber kDtypeNumbers[] = {{1, Dtype::kF32}, {2, Dtype::kF64},   {3, Dtype::kI32},
                                         {4, Dtype::kU8},  {5, Dtype::kI16},   {6, Dtype::kI8},
                                         {9, Dtype::kI64}, {10, Dtype::kBool}, {19, Dtype::kF16}};
constexpr std::uint64_t kStringNumber = 7;

struct Entry {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  std::int64_t shard = 0;
  std::uint64_t offset = 0, size = 0;
  std::uint32_t checksum = 0;
};

/// VersionDef: throws Error where this reader is not to read the file.
void check_version(Bytes bytes, const std::string& where) {
  constexpr std::int64_t kVersion = 1;  // of the format that this reader knows
  const auto refuse_bad = [&](std::uint64_t version) {
    check(as_signed(version) != kVersion, "cannot read ", where, ": it refuses readers of version ", kVersion);
  };
  // The versions that are refused are a repeated number: one to a field, or many in one.
  read_message(bytes, where, {kPassOver, kPassOver, Field::kVarint, kAnyType}, [&](const Field& field) {
    if (field.number == 2) {
      check(as_signed(field.value) <= kVersion, "cannot read ", where, ": it asks for a reader of version ",
            as_signed(field.value), ", this one knows version ", kVersion);
    } else if (field.type == Field::kVarint) {
      refuse_bad(field.value);
    } else {
      Cursor packed(field.bytes, where);
      while (!packed.at_end()) refuse_bad(packed.varint());
    }
  });
}

/// BundleHeaderProto; returns the number of data files.
std::int64_t read_header(Bytes bytes, const std::string& path) {
  const std::string where = path + ": its header";
  std::int64_t shards = 0;
  read_message(bytes, where, {kPassOver, Field::kVarint, Field::kVarint, Field::kBytes}, [&](const Field& field) {
    if (field.number == 1) shards = as_signed(field.value);
    if (field.number == 3) check_version(field.bytes, where);
    check(field.number != 2 || field.value == 0, "cannot read ", where,
          ": the values are big-endian, expected little-endian");
  });
  constexpr std::int64_t kMaxShards = 99'999;  // what file names have room for
  check(shards >= 1 && shards <= kMaxShards, "cannot read ", where, ": expected 1 to ", kMaxShards, " data files, got ",
        shards);
  return shards;
}

/// TensorShapeProto.
std::vector<std::int64_t> read_shape(Bytes bytes, const std::string& where) {
  std::vector<std::int64_t> shape;
  read_message(bytes, where, {kPassOver, kPassOver, Field::kBytes, Field::kVarint}, [&](const Field& field) {
    if (field.number == 3) {
      check(field.value == 0, "cannot read ", where, ": its shape is unknown");
      return;
    }
    std::int64_t size = 0;
    read_message(field.bytes, where, {kPassOver, Field::kVarint},
                 [&](const Field& dim) { size = as_signed(dim.value); });
    check(size >= 0, "cannot read ", where, ": its shape has the negative size ", size);
    shape.push_back(size);
  });
  return shape;
}

/// product(shape) * bytes of an element, or nothing where that overflows.
std::optional<std::uint64_t> count_bytes(const Entry& entry) {
  std::uint64_t bytes = dtype_size(entry.dtype);
  // A size of 0 makes the tensor empty whatever the others are.
  if (std::count(entry.shape.begin(), entry.shape.end(), 0) > 0) return 0;
  for (const std::int64_t size : entry.shape) {
    const auto factor = static_cast<std::uint64_t>(size);
    if (bytes > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
    bytes *= factor;
  }
  return bytes;
}

/// BundleEntryProto.
Entry read_entry(const std::string& name, Bytes bytes, const std::string& path, std::int64_t shards) {
  const std::string where = path + ": tensor " + quote(name);
  Entry entry;
  entry.name = name;
  std::uint64_t dtype = 0;
  constexpr int v = Field::kVarint, b = Field::kBytes;
  read_message(bytes, where, {kPassOver, v, b, v, v, v, Field::kFixed32, b}, [&](const Field& field) {
    if (field.number == 1) dtype = field.value;
    if (field.number == 2) entry.shape = read_shape(field.bytes, where);
    if (field.number == 3) entry.shard = as_signed(field.value);
    if (field.number == 4) entry.offset = field.value;
    if (field.number == 5) entry.size = field.value;
    if (field.number == 6) entry.checksum = static_cast<std::uint32_t>(field.value);
    check(field.number != 7, "cannot read ", where,
          ": it is a slice of a partitioned variable, which is not supported");
  });
  check(dtype != kStringNumber, "cannot read ", where, ": it holds strings, expected numbers");
  const auto* const known = std::find_if(std::begin(kDtypeNumbers), std::end(kDtypeNumbers),
                                         [&](const DtypeNumber& d) { return d.number == dtype; });
  check(known != std::end(kDtypeNumbers), "cannot read ", where, ": its element type ", dtype, " is unknown");
  entry.dtype = known->dtype;
  check(entry.shard >= 0 && entry.shard < shards, "cannot read ", where, ": it would be in data file ", entry.shard,
        " of ", shards);
  check(count_bytes(entry) == entry.size, "cannot read ", where, ": its ", entry.size,
        " bytes do not fit its shape and type");
  return entry;
}

/// The entries of PREFIX.index; `shards` becomes the number of data files.
std::vector<Entry> read_index(const std::string& path, const ReadFile& read, std::int64_t& shards) {
  const std::vector<std::uint8_t> content = read(path, kMaxIndexBytes);
  const Bytes file(content);
  check(file.size() >= kFooterBytes, "cannot read ", path, " as the index of a TensorFlow checkpoint: the file has ",
        file.size(), " bytes, expected at least ", kFooterBytes);
  const Bytes footer = file.last(kFooterBytes);
  check(read_fixed<std::uint64_t>(footer.last(8)) == kMagic, "cannot read ", path,
        " as the index of a TensorFlow checkpoint: its last bytes are not those of one; it is cut short or of another "
        "type");
  Cursor cursor(footer.first(kFooterBytes - 8), path + ": its footer");
  const Handle metaindex = read_handle(cursor), index = read_handle(cursor);
  while (!cursor.at_end()) {
    if (cursor.take(1)[0] != 0) cursor.bad("expected zeros behind the places of the two blocks");
  }

  read_block(file, path, "its metaindex block", metaindex, [&](const std::string& key, Bytes) {
    fail("cannot read ", path, ": its metaindex block should be empty, but has ", quote(key));
  });
  std::vector<Entry> entries;
  std::optional<std::string> last;  // of the names so far
  std::uint64_t name_bytes = 0;
  read_block(file, path, "its index block", index, [&](const std::string& limit, Bytes value) {
    Cursor at(value, path + ": its index block");
    const Handle block = read_handle(at);
    if (!at.at_end()) at.bad("an entry is longer than the place of a block");
    // A limit lies between the names of its block and of the next.
    read_block(file, path, "the block up to " + quote(limit), block, [&](const std::string& name, Bytes bytes) {
      check(name <= limit, "cannot read ", path, ": the name ", Quoted{name}, " lies behind the end of its block, ",
            Quoted{limit});
      if (!last) {
        check(name.empty(), "cannot read ", path, ": expected the header as its first entry, got ", Quoted{name});
        shards = read_header(bytes, path);
      } else {
        check(name > *last, "cannot read ", path, ": the name ", Quoted{name}, " does not come after ", Quoted{*last});
        name_bytes += name.size();
        check(name_bytes <= kMaxIndexBytes, "cannot read ", path, ": its names have more than ", kMaxIndexBytes,
              " bytes in all");
        entries.push_back(read_entry(name, bytes, path, shards));
      }
      last = name;
    });
    last = limit;
  });
  check(!entries.empty(), "cannot read ", path, ": it names no tensors");
  return entries;
}

std::string shard_path(const std::string& prefix, std::int64_t shard, std::int64_t shards) {
  std::array<char, 64> ending{};
  std::snprintf(ending.data(), ending.size(), ".data-%05lld-of-%05lld", static_cast<long long>(shard),
                static_cast<long long>(shards));
  return prefix + ending.data();
}

// --- Where a checkpoint is.

constexpr std::string_view kIndexEnding = ".index";

bool is_file(const std::string& path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  return std::filesystem::exists(status) && !std::filesystem::is_directory(status);
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

/// The prefix that the text file `checkpoint` of a folder names: the line model_checkpoint_path: "PREFIX".
std::string prefix_from_folder(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / "checkpoint").string();
  check(is_file(path), "cannot read ", folder,
        ": it is a folder without a file named checkpoint; expected that file in it, or the path of PREFIX.index");
  constexpr std::uint64_t kMaxBytes = 1 << 20;
  const std::vector<std::uint8_t> content = read_file(path, kMaxBytes);
  std::string text(content.begin(), content.end());
  std::replace(text.begin(), text.end(), '\r', '\n');
  text = "\n" + text + "\n";
  constexpr std::string_view kKey = "\nmodel_checkpoint_path:";
  const std::size_t found = text.find(kKey);
  const std::size_t start = found == std::string::npos ? found : found + kKey.size();
  const std::string line = start == std::string::npos ? "" : text.substr(start, text.find('\n', start) - start);
  const std::size_t open = line.find('"'), close = line.rfind('"');
  const std::string prefix = open == std::string::npos || close <= open ? "" : line.substr(open + 1, close - open - 1);
  check(!prefix.empty() && prefix.find_first_of("\"\\") == std::string::npos && prefix.find('\0') == std::string::npos,
        "cannot read ", path, ": expected a line model_checkpoint_path: \"PREFIX\" in it; name PREFIX.index instead");
  return (std::filesystem::path(folder) / prefix).string();  // an absolute prefix stays as it is
}

std::string prefix_of(const std::string& path) {
  if (is_folder(path)) return prefix_from_folder(path);
  return path.ends_with(kIndexEnding) ? path.substr(0, path.size() - kIndexEnding.size()) : path;
}

}  // namespace

bool is_tensorflow_checkpoint(const std::string& path) {
  return is_folder(path) || path.ends_with(kIndexEnding) ||
         (!is_file(path) && is_file(path + std::string(kIndexEnding)));
}

SafeTensors read_tensorflow_checkpoint(const std::string& path) {
  return read_tensorflow_bundle(prefix_of(path), read_file);
}

SafeTensors read_tensorflow_bundle(const std::string& prefix, const ReadFile& read) {
  check(read != nullptr, prefix, ": expected a function that reads files, got none");
  std::int64_t shards = 0;
  std::vector<Entry> entries = read_index(prefix + std::string(kIndexEnding), read, shards);
  // An empty tensor comes before the one that starts at the same place.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.shard, a.offset, a.size, a.name) < std::tie(b.shard, b.offset, b.size, b.name);
  });

  SafeTensors content;
  content.source = prefix;
  for (auto entry = entries.begin(); entry != entries.end();) {
    const std::int64_t shard = entry->shard;
    const std::string file = shard_path(prefix, shard, shards);
    const std::vector<std::uint8_t> data = read(file, kMaxFileBytes);
    std::uint64_t position = 0;
    for (; entry != entries.end() && entry->shard == shard; ++entry) {
      const std::string name = quote(entry->name);
      check(entry->offset == position, "cannot read ", file, ": tensor ", name, " would start at byte ", entry->offset,
            ", expected ", position, ", where the one before ends");
      check(entry->size <= data.size() - position, "cannot read ", file, ": the file ends early, it has ", data.size(),
            " bytes, tensor ", name, " ends at ", entry->offset + entry->size);
      const Bytes bytes =
          Bytes(data).subspan(static_cast<std::size_t>(position), static_cast<std::size_t>(entry->size));
      check(masked_crc32c(bytes) == entry->checksum, "cannot read ", file, ": the checksum of tensor ", name,
            " is wrong, the file is damaged");
      content.tensors[entry->name] = {entry->dtype, entry->shape,
                                      std::vector<std::uint8_t>(bytes.begin(), bytes.end())};
      position += entry->size;
    }
    check(position == data.size(), "cannot read ", file, ": it has ", data.size(), " bytes, its tensors end at ",
          position);
  }
  return content;
}

}  // namespace kind
