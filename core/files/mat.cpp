// The format: "MAT-File Format" (The MathWorks), Level 5. 128 bytes of header, then elements: a tag with type and number of
// bytes, the data, and padding to a multiple of 8 bytes. A variable is an element of type matrix, which consists of elements,
// or such an element compressed by zlib. Elements of up to 4 bytes may have their tag and data in 8 bytes together.

#include "core/files/mat.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"

namespace kind {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kHeaderBytes = 128;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr std::uint32_t kInt8 = 1, kInt32 = 5, kUint32 = 6, kMatrix = 14, kCompressed = 15;
constexpr std::uint32_t kDoubleClass = 6, kUint64Class = 15;  // numeric classes are between them
constexpr std::uint32_t kComplex = 0x800;

/// Reads elements one behind the other.
class Elements {
 public:
  struct Element {
    std::uint32_t type;
    Bytes data;
  };

  Elements(Bytes bytes, bool swapped, const std::string& path) : bytes_(bytes), swapped_(swapped), path_(path) {}

  bool at_end() const { return at_ == bytes_.size(); }

  Element next() {
    if (bytes_.size() - at_ < 8) bad("it ends within the tag of an element");
    const auto first = number<std::uint32_t>(bytes_.subspan(at_)),
               second = number<std::uint32_t>(bytes_.subspan(at_ + 4));
    if (const std::uint32_t size = first >> 16; size != 0) {
      if (size > 4) bad("an element of the small form has more than 4 bytes");
      const Element element{first & 0xFFFF, bytes_.subspan(at_ + 4, size)};
      at_ += 8;
      return element;
    }
    at_ += 8;
    const std::size_t size = second;
    if (size > bytes_.size() - at_) bad("an element has more bytes than there are");
    const Element element{first, bytes_.subspan(at_, size)};
    at_ += size;
    // Nothing pads compressed elements, and some programs leave out the padding of the last one.
    if (first != kCompressed) at_ += std::min((8 - size % 8) % 8, bytes_.size() - at_);
    return element;
  }

  template <class T>
  T number(Bytes at) const {
    std::uint8_t own[sizeof(T)];
    std::memcpy(own, at.data(), sizeof own);
    if (swapped_) std::reverse(std::begin(own), std::end(own));
    return std::bit_cast<T>(own);
  }

  [[noreturn]] void bad(const std::string& what) const { fail("cannot read ", path_, " as a MAT-file: ", what); }

 private:
  Bytes bytes_;
  bool swapped_;
  const std::string& path_;
  std::size_t at_ = 0;
};

/// The element within a compressed one; `left` is how many bytes there may be of it, and is reduced.
std::vector<std::uint8_t> inflated(Bytes packed, std::size_t& left, const Elements& in) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) in.bad("there is no memory to decompress it");
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::vector<std::uint8_t> all;
  int result = Z_OK;
  while (result == Z_OK && all.size() <= left) {
    const std::size_t before = all.size();
    all.resize(std::min(left + 1, std::max<std::size_t>(4096, 2 * before)));
    stream.next_out = all.data() + before;
    stream.avail_out = static_cast<uInt>(all.size() - before);
    result = inflate(&stream, Z_NO_FLUSH);
    all.resize(all.size() - stream.avail_out);
    if (result == Z_OK && all.size() == before) break;  // there is nothing more to read
  }
  const bool rest = stream.avail_in > 0;
  inflateEnd(&stream);
  if (all.size() > left) in.bad(join("its elements have more than ", kMostBytes >> 20, " MiB"));
  if (result != Z_STREAM_END) in.bad("a compressed element is damaged");
  if (rest) in.bad("there are bytes behind the data of a compressed element");
  left -= all.size();
  return all;
}

template <class T>
void append(Bytes data, const Elements& in, std::vector<double>& values) {
  for (std::size_t i = 0; i + sizeof(T) <= data.size(); i += sizeof(T)) {
    values.push_back(static_cast<double>(in.number<T>(data.subspan(i))));
  }
}

/// The numbers of an element, which may be stored as a smaller type than the variable's.
std::vector<double> numbers_of(const Elements::Element& element, std::size_t count, const Elements& in) {
  struct Type {
    std::uint32_t number;
    std::size_t bytes;
    void (*append)(Bytes, const Elements&, std::vector<double>&);
  };
  static constexpr Type kTypes[] = {
      {1, 1, append<std::int8_t>},    {2, 1, append<std::uint8_t>}, {3, 2, append<std::int16_t>},
      {4, 2, append<std::uint16_t>},  {5, 4, append<std::int32_t>}, {6, 4, append<std::uint32_t>},
      {7, 4, append<float>},          {9, 8, append<double>},       {12, 8, append<std::int64_t>},
      {13, 8, append<std::uint64_t>},
  };
  for (const Type& type : kTypes) {
    if (type.number != element.type) continue;
    if (element.data.size() % type.bytes != 0 || element.data.size() / type.bytes != count) {
      in.bad(join("a matrix has ", element.data.size(), " bytes for ", count, " numbers of ", type.bytes));
    }
    std::vector<double> values;
    values.reserve(count);
    type.append(element.data, in, values);
    return values;
  }
  in.bad(join("the numbers of a matrix are of type ", element.type));
}

/// Reads a variable; those that are no real numeric matrices are passed over.
void add_variable(Bytes data, bool swapped, const std::string& path, std::map<std::string, MatMatrix>& found) {
  Elements parts(data, swapped, path);
  const Elements::Element flags = parts.next();
  if (flags.type != kUint32 || flags.data.size() != 8) parts.bad("a variable does not begin with its flags");
  const auto word = parts.number<std::uint32_t>(flags.data);
  const std::uint32_t kind = word & 0xFF;
  if (kind < kDoubleClass || kind > kUint64Class || (word & kComplex) != 0) return;
  const Elements::Element sizes = parts.next();
  if (sizes.type != kInt32 || sizes.data.size() < 8 || sizes.data.size() % 4 != 0) {
    parts.bad("a variable has no sizes");
  }
  const Elements::Element name = parts.next();
  if (name.type != kInt8) parts.bad("a variable has no name");
  const Elements::Element values = parts.next();
  if (!parts.at_end()) parts.bad("there are bytes behind the numbers of a matrix");
  if (sizes.data.size() != 8) return;
  MatMatrix matrix;
  matrix.rows = parts.number<std::int32_t>(sizes.data);
  matrix.columns = parts.number<std::int32_t>(sizes.data.subspan(4));
  if (matrix.rows < 0 || matrix.columns < 0) parts.bad("a matrix has a negative size");
  // Both are below 2^31, so the product fits; it is compared before anything is allocated for it.
  matrix.values = numbers_of(values, static_cast<std::size_t>(matrix.rows * matrix.columns), parts);
  const std::string text(name.data.begin(), name.data.end());
  if (!found.emplace(text, std::move(matrix)).second) parts.bad(join("two variables are called ", quote(text)));
}

}  // namespace

std::map<std::string, MatMatrix> read_mat(const std::string& path) {
  return parse_mat(read_file(path, kMostBytes), path);
}

std::map<std::string, MatMatrix> parse_mat(std::span<const std::uint8_t> bytes, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  check(!text.starts_with("MATLAB 7.3"), "cannot read ", path,
        " as a MAT-file: it is of level 7.3 (HDF5), expected level 5: save it with -v7");
  const std::string_view end = bytes.size() >= kHeaderBytes ? text.substr(126, 2) : "";
  check(end == "IM" || end == "MI", "cannot read ", path,
        " as a MAT-file: it has no header of level 5 (MATLAB's -v6 and -v7)");
  const bool swapped = (end == "MI") == (std::endian::native == std::endian::little);
  Elements all(bytes.subspan(kHeaderBytes), swapped, path);
  const auto version = all.number<std::uint16_t>(bytes.subspan(124));
  check(version == 0x0100, "cannot read ", path, " as a MAT-file: it has version ", version,
        ", expected 256 (level 5)");
  std::map<std::string, MatMatrix> found;
  std::size_t left = kMostBytes;
  while (!all.at_end()) {
    const Elements::Element element = all.next();
    if (element.type == kMatrix) {
      add_variable(element.data, swapped, path, found);
    } else if (element.type == kCompressed) {
      const std::vector<std::uint8_t> content = inflated(element.data, left, all);
      Elements inside(content, swapped, path);
      const Elements::Element variable = inside.next();
      if (!inside.at_end()) all.bad("there are bytes behind a compressed variable");
      if (variable.type == kMatrix) add_variable(variable.data, swapped, path, found);
    }
  }
  return found;
}

}  // namespace kind
