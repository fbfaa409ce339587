// Long because every rule of the format is checked where it is read, before memory is taken.
// The format: https://github.com/huggingface/safetensors#format. Eight bytes of header length (little-endian), the
// header (a JSON object), the tensors' bytes one after the other.

#include "core/files/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

#include "core/base/error.h"
#include "core/base/half.h"
#include "core/base/parallel.h"
#include "core/base/quote.h"
#include "core/files/file.h"

namespace kind {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they are in the file");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr const char* kMetadataKey = "__metadata__";

struct DtypeInfo {
  const char* name;
  std::size_t size;
};

/// By Dtype.
constexpr auto kDtypes = std::to_array<DtypeInfo>({{"BOOL", 1},
                                                   {"U8", 1},
                                                   {"I8", 1},
                                                   {"F8_E5M2", 1},
                                                   {"F8_E4M3", 1},
                                                   {"I16", 2},
                                                   {"U16", 2},
                                                   {"F16", 2},
                                                   {"BF16", 2},
                                                   {"I32", 4},
                                                   {"U32", 4},
                                                   {"F32", 4},
                                                   {"F64", 8},
                                                   {"I64", 8},
                                                   {"U64", 8}});

/// product(shape) * size of an element, or nothing where that overflows.
std::optional<std::uint64_t> count_bytes(Dtype dtype, const std::vector<std::int64_t>& shape) {
  std::uint64_t bytes = 1;
  const auto multiply = [&bytes](std::uint64_t factor) {
    if (factor != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / factor) return false;
    bytes *= factor;
    return true;
  };
  for (const std::int64_t size : shape) {
    if (size < 0 || !multiply(static_cast<std::uint64_t>(size))) return std::nullopt;
  }
  if (!multiply(dtype_size(dtype))) return std::nullopt;
  return bytes;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += join(i > 0 ? ", " : "", shape[i]);
  return printable(text + "]");
}

/// A tensor as the header describes it.
struct Description {
  std::string name;
  Dtype dtype = Dtype::kU8;
  std::vector<std::int64_t> shape;
  std::int64_t start = 0;
  std::int64_t end = 0;  // one behind the last byte
};

/// Takes the header's JSON piece by piece, so that it can see a key that is there twice, and so that a hostile header
/// is never turned into a tree. The document is an object with, for each tensor, an object of its dtype, shape and
/// data_offsets (other fields are skipped, as the reference reader does), and maybe a "__metadata__" object of strings.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& source) : source_(source) {}

  std::vector<Description> descriptions;
  std::map<std::string, std::string> metadata;

  bool null() override { return other_value("null"); }
  bool boolean(bool) override { return other_value("a boolean"); }
  bool number_integer(number_integer_t) override { return other_value("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return other_value("a fraction or too large a number");
  }
  bool binary(binary_t&) override { return other_value("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (skipping()) return true;
    if (!in_array_) return other_value("a number");
    constexpr std::uint64_t kMaximum = std::numeric_limits<std::int64_t>::max();
    if (value > kMaximum) return other_value("too large a number");
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool string(string_t& value) override {
    if (skipping()) return true;
    if (depth_ == 2 && in_metadata_) {
      metadata[key_] = value;
    } else if (depth_ == 2 && field_ == "dtype") {
      const auto found =
          std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeInfo& d) { return value == d.name; });
      if (found == kDtypes.end()) {
        bad("tensor ", quote(descriptions.back().name), " has the unknown element type ", quote(value));
      }
      descriptions.back().dtype = static_cast<Dtype>(found - kDtypes.begin());
    } else {
      return other_value("a string");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (skip_start()) return true;
    // The document, then one object for each tensor or for the metadata.
    if (depth_ >= 2 || in_array_) return other_value("an object");
    ++depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (skipped_depth_ > 0) return true;
    if (depth_ == 1) {
      if (!names_.insert(name).second) bad("the name ", quote(name), " is there twice");
      in_metadata_ = name == kMetadataKey;
      if (!in_metadata_) {
        descriptions.emplace_back();
        descriptions.back().name = name;
      }
      fields_.clear();
      key_ = name;
    } else {
      if (!fields_.insert(name).second) bad("the field ", quote(name), " of ", name_of_object(), " is there twice");
      field_ = name;
      if (in_metadata_) key_ = name;
    }
    return true;
  }

  bool end_object() override {
    if (skip_end()) return true;
    if (depth_ == 2 && !in_metadata_) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        if (fields_.count(field) == 0) bad("tensor ", quote(descriptions.back().name), " lacks the field ", field);
      }
    }
    --depth_;
    return true;
  }

  bool start_array(std::size_t) override {
    if (skip_start()) return true;
    if (depth_ != 2 || in_metadata_ || in_array_ || field_ == "dtype") return other_value("a list");
    in_array_ = true;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    if (skip_end()) return true;
    in_array_ = false;
    Description& last = descriptions.back();
    if (field_ == "shape") {
      last.shape = numbers_;
    } else {
      if (numbers_.size() != 2) bad("tensor ", quote(last.name), " has ", numbers_.size(), " data_offsets, expected 2");
      last.start = numbers_[0];
      last.end = numbers_[1];
    }
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
    std::string_view text = error.what();  // "[CODE] MESSAGE; last read: bytes of the file, as they are; ..."
    text = text.substr(0, text.find("; last read:"));
    const std::size_t end_of_code = text.find("] ");
    bad("not valid JSON: ",
        printable(end_of_code == std::string_view::npos ? text : text.substr(end_of_code + 2), 200));
  }

  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    fail("cannot read ", source_, " as safetensors: bad header: ", parts...);
  }

 private:
  std::string name_of_object() const { return in_metadata_ ? kMetadataKey : quote(descriptions.back().name); }

  /// True within a field of a tensor that is not ours to judge.
  bool skipping() const {
    return skipped_depth_ > 0 || (depth_ == 2 && !in_metadata_ && !in_array_ && field_ != "dtype" &&
                                  field_ != "shape" && field_ != "data_offsets");
  }

  bool skip_start() {
    if (!skipping()) return false;
    ++skipped_depth_;
    return true;
  }

  bool skip_end() {
    if (skipped_depth_ == 0) return false;
    --skipped_depth_;
    return true;
  }

  /// A value where the format has no place for it.
  bool other_value(const char* what) const {
    if (skipping()) return true;
    if (depth_ == 1) bad(quote(key_), " is ", what, ", expected an object");
    if (in_metadata_) bad(quote(key_), " of ", kMetadataKey, " is ", what, ", expected a string");
    bad("field ", field_, " of tensor ", quote(descriptions.back().name), " is or holds ", what, ", expected ",
        field_ == "dtype" ? "the name of a type" : "a list of whole numbers");
  }

  const std::string& source_;
  int depth_ = 0;          // 1 in the document, 2 in the object of a tensor or of the metadata
  int skipped_depth_ = 0;  // how deep below a skipped field
  bool in_metadata_ = false;
  bool in_array_ = false;
  std::string key_;    // of the document or of the metadata
  std::string field_;  // of the tensor
  std::set<std::string> names_;
  std::set<std::string> fields_;
  std::vector<std::int64_t> numbers_;
};

// Elements that a thread converts at least.
constexpr std::int64_t kGrain = 262144;

template <class From, class To, class Convert>
void convert_elements(const SharedBytes& data, Tensor<To>& tensor, const Convert& convert) {
  const std::uint8_t* from = data.data();
  To* to = tensor.data();
  parallel_for(tensor.size(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      From value;
      std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(From)), sizeof(From));
      to[i] = static_cast<To>(convert(value));
    }
  });
}

std::vector<std::int64_t> sizes_of(const Shape& shape) {
  std::vector<std::int64_t> sizes;
  sizes.reserve(static_cast<std::size_t>(shape.rank()));
  for (int i = 0; i < shape.rank(); ++i) sizes.push_back(shape[i]);
  return sizes;
}

std::vector<std::uint8_t> bytes_of(const void* from, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), from, size);
  return bytes;
}

const SafeTensor& get_typed(const SafeTensors& from, const std::string& name, Dtype dtype) {
  const SafeTensor& tensor = from.get(name);
  check(tensor.dtype == dtype, from.source, ": tensor ", Quoted{name}, " is of type ", dtype_name(tensor.dtype),
        ", expected ", dtype_name(dtype));
  return tensor;
}

}  // namespace

SharedBytes::SharedBytes(std::vector<std::uint8_t> bytes)
    : owner_(std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes))), bytes_(*owner_) {}

SharedBytes SharedBytes::part(std::size_t start, std::size_t count) const {
  SharedBytes part = *this;
  part.bytes_ = bytes_.subspan(start, count);
  return part;
}

bool SharedBytes::operator==(const SharedBytes& other) const {
  return std::equal(bytes_.begin(), bytes_.end(), other.bytes_.begin(), other.bytes_.end());
}

const char* dtype_name(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)].name; }

std::size_t dtype_size(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)].size; }

const SafeTensor& SafeTensors::get(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) fail(source, ": there is no tensor ", quote(name));
  return found->second;
}

template <class T>
Tensor<T> SafeTensors::get_tensor(const std::string& name) const {
  const SafeTensor& from = get(name);
  const auto size = count_bytes(from.dtype, from.shape);
  check(size == from.data.size(), source, ": tensor ", Quoted{name}, " has ", from.data.size(),
        " bytes, which do not fit its shape ", [&] { return shape_text(from.shape); });
  check(from.shape.size() <= static_cast<std::size_t>(Shape::kMaxRank), source, ": tensor ", Quoted{name}, " has ",
        from.shape.size(), " axes, expected at most ", Shape::kMaxRank);
  Tensor<T> tensor{Shape(from.shape)};
  const auto same = [](auto value) { return value; };
  switch (from.dtype) {
    case Dtype::kF64:
      convert_elements<double>(from.data, tensor, same);
      return tensor;
    case Dtype::kF32:
      convert_elements<float>(from.data, tensor, same);
      return tensor;
    case Dtype::kF16:
      convert_elements<std::uint16_t>(from.data, tensor, [](std::uint16_t v) { return half_to_float(v); });
      return tensor;
    case Dtype::kBF16:
      convert_elements<std::uint16_t>(from.data, tensor, [](std::uint16_t v) { return bfloat16_to_float(v); });
      return tensor;
    default:
      fail(source, ": tensor ", quote(name), " is of type ", dtype_name(from.dtype),
           ", expected F64, F32, F16 or BF16");
  }
}

std::vector<std::int64_t> SafeTensors::get_int64(const std::string& name) const {
  const SafeTensor& from = get_typed(*this, name, Dtype::kI64);
  std::vector<std::int64_t> values(from.data.size() / sizeof(std::int64_t));
  if (!values.empty()) std::memcpy(values.data(), from.data.data(), values.size() * sizeof(std::int64_t));
  return values;
}

std::vector<std::uint8_t> SafeTensors::get_bytes(const std::string& name) const {
  const std::span<const std::uint8_t> bytes = get_typed(*this, name, Dtype::kU8).data.bytes();
  return {bytes.begin(), bytes.end()};
}

template <class T>
void SafeTensors::put_tensor(const std::string& name, const Tensor<T>& tensor) {
  check(tensor.defined(), source, ": tensor ", Quoted{name}, " is undefined");
  tensors[name] = {std::is_same_v<T, double> ? Dtype::kF64 : Dtype::kF32, sizes_of(tensor.shape()),
                   bytes_of(tensor.data(), static_cast<std::size_t>(tensor.size()) * sizeof(T))};
}

void SafeTensors::put_half(const std::string& name, const Tensor<float>& tensor) {
  check(tensor.defined(), source, ": tensor ", Quoted{name}, " is undefined");
  std::vector<std::uint16_t> halves(static_cast<std::size_t>(tensor.size()));
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const float value = tensor[static_cast<std::int64_t>(i)];
    halves[i] = float_to_half(value);
    constexpr unsigned kInfinity = 0x7c00;
    const bool overflow = (halves[i] & 0x7fffu) == kInfinity && std::isfinite(value);
    check(!overflow, source, ": tensor ", Quoted{name}, " holds ", value, ", too large for float16 (65504 at most)");
  }
  tensors[name] = {Dtype::kF16, sizes_of(tensor.shape()),
                   bytes_of(halves.data(), halves.size() * sizeof(std::uint16_t))};
}

void SafeTensors::put_int64(const std::string& name, const std::vector<std::int64_t>& values) {
  tensors[name] = {Dtype::kI64,
                   {static_cast<std::int64_t>(values.size())},
                   bytes_of(values.data(), values.size() * sizeof(std::int64_t))};
}

void SafeTensors::put_bytes(const std::string& name, const std::vector<std::uint8_t>& bytes) {
  tensors[name] = {Dtype::kU8, {static_cast<std::int64_t>(bytes.size())}, bytes};
}

SafeTensors parse_safetensors(const SharedBytes& file, const std::string& source) {
  const std::span<const std::uint8_t> bytes = file.bytes();
  const auto bad = [&](const auto&... parts) { fail("cannot read ", source, " as safetensors: ", parts...); };
  if (bytes.size() < 8) bad("the file ends early, it has ", bytes.size(), " bytes, expected at least 8");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  if (header_size > kMaxHeaderBytes) {
    bad("its header would have ", header_size, " bytes, expected at most ", kMaxHeaderBytes,
        ": it is damaged or of another type");
  }
  if (header_size > bytes.size() - 8) {
    bad("the file ends early, it has ", bytes.size(), " bytes, expected at least ", header_size + 8);
  }
  const std::span<const std::uint8_t> header = bytes.subspan(8, static_cast<std::size_t>(header_size));
  const std::span<const std::uint8_t> data = bytes.subspan(8 + header.size());
  if (header.empty() || header[0] != '{') bad("bad header: expected '{' as its first byte");
  // The JSON parser would take this byte for the end of its input.
  if (std::find(header.begin(), header.end(), std::uint8_t{0}) != header.end()) bad("bad header: it holds a zero byte");

  HeaderReader reader(source);
  nlohmann::json::sax_parse(header.begin(), header.end(), &reader);

  // In the order of the data, where each must start where the one before ended.
  std::vector<Description>& descriptions = reader.descriptions;
  std::sort(descriptions.begin(), descriptions.end(), [](const Description& a, const Description& b) {
    return std::pair(a.start, a.end) < std::pair(b.start, b.end);
  });
  SafeTensors content;
  content.source = source;
  content.metadata = std::move(reader.metadata);
  std::uint64_t position = 0;
  for (const Description& from : descriptions) {
    const auto start = static_cast<std::uint64_t>(from.start);
    const auto end = static_cast<std::uint64_t>(from.end);
    if (start != position || end < start) {
      bad("tensor ", quote(from.name), " has the data_offsets [", start, ", ", end, "], expected to start at ",
          position);
    }
    if (end > data.size()) {
      bad("the file ends early, it has ", data.size(), " bytes of data, tensor ", quote(from.name), " ends at ", end);
    }
    if (count_bytes(from.dtype, from.shape) != end - start) {
      bad("tensor ", quote(from.name), " of type ", dtype_name(from.dtype), " and shape ", shape_text(from.shape),
          " has ", end - start, " bytes");
    }
    const std::size_t at = bytes.size() - data.size() + static_cast<std::size_t>(start);
    content.tensors[from.name] = {from.dtype, from.shape, file.part(at, static_cast<std::size_t>(end - start))};
    position = end;
  }
  if (position != data.size()) bad("it has ", data.size(), " bytes of data, its tensors end at ", position);
  return content;
}

SafeTensors read_safetensors(const std::string& path) { return parse_safetensors(read_file(path), path); }

void write_safetensors(const std::string& path, const SafeTensors& content) {
  std::vector<const std::pair<const std::string, SafeTensor>*> order;
  for (const auto& entry : content.tensors) order.push_back(&entry);
  // The widest types first, so that all are aligned; within a type the map's order, by name.
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->second.dtype > b->second.dtype; });

  std::string header;
  std::uint64_t position = 0;
  try {
    const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
    if (!content.metadata.empty()) header += join(quoted(kMetadataKey), ":", nlohmann::json(content.metadata).dump());
    for (const auto* entry : order) {
      const std::string& name = entry->first;
      const SafeTensor& tensor = entry->second;
      check(name != kMetadataKey, "cannot write ", path, ": a tensor cannot be called ", kMetadataKey);
      check(count_bytes(tensor.dtype, tensor.shape) == tensor.data.size(), "cannot write ", path, ": tensor ",
            Quoted{name}, " has ", tensor.data.size(), " bytes, which do not fit its shape ",
            [&] { return shape_text(tensor.shape); });
      nlohmann::ordered_json description;
      description["dtype"] = dtype_name(tensor.dtype);
      description["shape"] = tensor.shape;
      description["data_offsets"] = {position, position + tensor.data.size()};
      header += join(header.empty() ? "" : ",", quoted(name), ":", description.dump());
      position += tensor.data.size();
    }
  } catch (const nlohmann::json::type_error&) {
    fail("cannot write ", path, ": a name or text for its header is not valid UTF-8");
  }
  header = "{" + header + "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  check(header.size() <= kMaxHeaderBytes, "cannot write ", path, ": its header would have ", header.size(),
        " bytes, expected at most ", kMaxHeaderBytes);

  const std::uint64_t header_size = header.size();
  AtomicFile file(path);
  file.write(bytes_of(&header_size, sizeof(header_size)));
  file.write(header);
  for (const auto* entry : order) file.write(entry->second.data.bytes());
  file.commit();
}

template Tensor<float> SafeTensors::get_tensor<float>(const std::string&) const;
template Tensor<double> SafeTensors::get_tensor<double>(const std::string&) const;
template void SafeTensors::put_tensor<float>(const std::string&, const Tensor<float>&);
template void SafeTensors::put_tensor<double>(const std::string&, const Tensor<double>&);

}  // namespace kind
