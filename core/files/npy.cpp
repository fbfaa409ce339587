// The format: numpy/lib/format.py, "NPY format" in NumPy's reference manual. Six magic bytes, two version bytes, the
// header's length (16 bits in version 1, 32 in version 2), the header (a Python dictionary as text), the elements.

#include "core/files/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"

namespace kind {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they are in the file");

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY"sv;

struct NpyHeader {
  std::string type;  // "<f4", ...
  bool fortran_order = false;
  std::vector<std::int64_t> sizes;
};

/// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } with the keys in any order, and nothing wider.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  NpyHeader parse() {
    std::optional<std::string> type;
    std::optional<bool> fortran_order;
    std::optional<std::vector<std::int64_t>> sizes;
    expect('{');
    while (!accept('}')) {
      const std::string key = read_string();
      expect(':');
      if (key == "descr" && !type) {
        type = read_string();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = read_bool();
      } else if (key == "shape" && !sizes) {
        sizes = read_sizes();
      } else {
        bad(join("the key ", quote(key), " is unknown or there twice"));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) bad("there is text behind the dictionary");
    if (!type || !fortran_order || !sizes) bad("expected the keys 'descr', 'fortran_order' and 'shape'");
    return {*type, *fortran_order, *sizes};
  }

 private:
  [[noreturn]] void bad(const std::string& what) const { fail("cannot read ", path_, " as npy: bad header: ", what); }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) bad(join("expected '", c, "' at byte ", at_));
  }

  std::string read_string() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) bad("a string has no end");
    const std::string_view value = text_.substr(at_, end - at_);
    if (value.find('\\') != std::string_view::npos) bad("a string has an escape, expected none");
    at_ = end + 1;
    return std::string(value);
  }

  bool read_bool() {
    skip_space();
    for (const auto& [word, value] : {std::pair{"True"sv, true}, std::pair{"False"sv, false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    bad("'fortran_order' is neither True nor False");
  }

  std::vector<std::int64_t> read_sizes() {
    std::vector<std::int64_t> sizes;
    expect('(');
    bool comma = true;
    while (!accept(')')) {
      if (!comma) bad("expected ',' or ')' in the shape");
      if (sizes.size() == static_cast<std::size_t>(Shape::kMaxRank)) {
        bad(join("the shape has more than ", Shape::kMaxRank, " axes"));
      }
      sizes.push_back(read_integer());
      comma = accept(',');
    }
    if (sizes.size() == 1 && !comma) bad("a shape of one axis needs a comma");
    return sizes;
  }

  std::int64_t read_integer() {
    skip_space();
    const std::size_t start = at_;
    std::int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      const int digit = text_[at_++] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) bad("an axis of the shape is too long");
      value = value * 10 + digit;
    }
    if (at_ == start) bad("expected a whole number in the shape");
    return value;
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

template <class Element, class T>
void convert(std::span<const std::uint8_t> bytes, Tensor<T>& tensor) {
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    Element value;
    std::memcpy(&value, bytes.data() + static_cast<std::size_t>(i) * sizeof(Element), sizeof(Element));
    tensor[i] = static_cast<T>(value);
  }
}

}  // namespace

template <class T>
Tensor<T> read_npy(const std::string& path) {
  return parse_npy<T>(read_file(path), path);
}

template <class T>
Tensor<T> parse_npy(std::span<const std::uint8_t> bytes, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  check(text.starts_with(kMagic), "cannot read ", path, " as npy: it is not a NumPy .npy file");
  check(bytes.size() >= 10, "cannot read ", path, " as npy: the file ends early");
  const int version = bytes[6];
  check((version == 1 || version == 2) && bytes[7] == 0, "cannot read ", path, " as npy: it has format version ",
        version, ".", int{bytes[7]}, ", expected 1.0 or 2.0");
  const std::size_t header_start = version == 1 ? 10 : 12;
  check(bytes.size() >= header_start, "cannot read ", path, " as npy: the file ends early");
  std::uint32_t header_size = 0;
  std::memcpy(&header_size, bytes.data() + 8, header_start - 8);
  check(header_size <= bytes.size() - header_start, "cannot read ", path, " as npy: the file ends early");

  const NpyHeader header = HeaderParser(path, text.substr(header_start, header_size)).parse();
  check(!header.fortran_order, "cannot read ", path,
        " as npy: its elements are in Fortran order, expected C order: ", "save numpy.ascontiguousarray(array)");
  const std::size_t element_size = header.type == "<f8" ? 8 : header.type == "<f4" ? 4 : header.type == "|u1" ? 1 : 0;
  check(element_size != 0, "cannot read ", path, " as npy: its elements are ", Quoted{header.type},
        ", expected '<f4', '<f8' or '|u1'");
  const std::size_t data_size = bytes.size() - header_start - header_size;
  const bool empty = std::find(header.sizes.begin(), header.sizes.end(), 0) != header.sizes.end();
  std::uint64_t expected = empty ? 0 : element_size;
  bool fits = true;  // the product of the sizes may overflow
  for (const std::int64_t size : header.sizes) {
    if (empty) break;
    fits = fits && expected <= data_size / static_cast<std::uint64_t>(size);
    expected *= static_cast<std::uint64_t>(size);
  }
  check(fits && expected == data_size, "cannot read ", path, " as npy: its ", data_size,
        " bytes of elements do not fit its shape");

  const Shape shape(header.sizes);
  Tensor<T> tensor(shape);
  const auto data = bytes.subspan(header_start + header_size);
  if (element_size == 8) {
    convert<double>(data, tensor);
  } else if (element_size == 4) {
    convert<float>(data, tensor);
  } else {
    convert<std::uint8_t>(data, tensor);
  }
  return tensor;
}

template <class T>
void write_npy(const std::string& path, const Tensor<T>& tensor) {
  check(tensor.defined(), "cannot write ", path, ": the tensor is undefined");
  std::string header = join("{'descr': '<f", sizeof(T), "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < tensor.shape().rank(); ++i) header += join(i > 0 ? " " : "", tensor.shape()[i], ",");
  if (tensor.shape().rank() > 1) header.pop_back();  // only one axis alone needs the comma
  header += "), }";
  // Spaces and a line end, so that the elements start at a multiple of 64 bytes.
  const std::size_t used = kMagic.size() + 4 + header.size() + 1;
  header.append((64 - used % 64) % 64, ' ');
  header += '\n';
  const std::string lead = {'\x01', '\0', static_cast<char>(header.size() & 0xff),
                            static_cast<char>(header.size() >> 8)};

  AtomicFile file(path);
  file.write(join(kMagic, lead, header));
  file.write(std::span(reinterpret_cast<const std::uint8_t*>(tensor.data()),
                       static_cast<std::size_t>(tensor.size()) * sizeof(T)));
  file.commit();
}

template Tensor<float> read_npy<float>(const std::string&);
template Tensor<double> read_npy<double>(const std::string&);
template Tensor<float> parse_npy<float>(std::span<const std::uint8_t>, const std::string&);
template Tensor<double> parse_npy<double>(std::span<const std::uint8_t>, const std::string&);
template void write_npy<float>(const std::string&, const Tensor<float>&);
template void write_npy<double>(const std::string&, const Tensor<double>&);

}  // namespace kind
