#include "nets/onnx/onnx_graph.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/half.h"

namespace kind {
namespace {

constexpr std::int64_t kIrVersion = 8, kOperatorSet = 17;

// The messages' fields by their numbers in onnx.proto.
namespace model_field {
constexpr std::uint32_t kIrVersion = 1, kProducer = 2, kDescription = 6, kGraph = 7, kOperatorSet = 8, kMetadata = 14;
}
namespace graph_field {
constexpr std::uint32_t kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12;
}
namespace node_field {
constexpr std::uint32_t kInput = 1, kOutput = 2, kName = 3, kOperator = 4, kAttribute = 5;
}
namespace attribute_field {
constexpr std::uint32_t kName = 1, kFloat = 2, kInteger = 3, kString = 4, kIntegers = 8, kType = 20;
}
namespace tensor_field {
constexpr std::uint32_t kDimension = 1, kType = 2, kName = 8, kData = 9;
}

static_assert(std::endian::native == std::endian::little, "raw_data holds little-endian numbers");

/// A message of Protocol Buffers: varints (wire type 0), numbers of 32 bits (5), and what has a length (2).
class Message {
 public:
  using Bytes = std::vector<std::uint8_t>;

  void integer(std::uint32_t field, std::int64_t value) {
    varint(field << 3);
    varint(static_cast<std::uint64_t>(value));
  }
  void number(std::uint32_t field, float value) {
    varint(field << 3 | 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<std::uint8_t>(bits >> shift));
  }
  void raw(std::uint32_t field, const void* data, std::size_t size) {
    varint(field << 3 | 2);
    varint(size);
    const auto* const from = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
  }
  void text(std::uint32_t field, const std::string& value) { raw(field, value.data(), value.size()); }
  void message(std::uint32_t field, const Bytes& value) { raw(field, value.data(), value.size()); }

  Bytes take() { return std::move(bytes_); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<std::uint8_t>(value | 0x80));
    bytes_.push_back(static_cast<std::uint8_t>(value));
  }

  Bytes bytes_;
};

/// ValueInfoProto: a name and the type of a tensor of floats.
Message::Bytes value_info(const std::string& name, const std::vector<OnnxGraph::Dimension>& shape) {
  Message dimensions, tensor, type, info;
  for (const OnnxGraph::Dimension& dimension : shape) {
    Message size;
    if (const auto* const known = std::get_if<std::int64_t>(&dimension)) {
      size.integer(1, *known);
    } else {
      size.text(2, std::get<std::string>(dimension));
    }
    dimensions.message(1, size.take());
  }
  tensor.integer(1, static_cast<std::int64_t>(OnnxGraph::Type::kFloat));
  tensor.message(2, dimensions.take());
  type.message(1, tensor.take());
  info.text(1, name);
  info.message(2, type.take());
  return info.take();
}

Message::Bytes attribute_message(const std::string& name, const OnnxGraph::Attribute& value) {
  // The numbers of AttributeProto.AttributeType.
  constexpr std::int64_t kFloat = 1, kInt = 2, kString = 3, kInts = 7;
  Message message;
  message.text(attribute_field::kName, name);
  std::int64_t type = kInts;
  if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
    message.integer(attribute_field::kInteger, *integer);
    type = kInt;
  } else if (const auto* const number = std::get_if<float>(&value)) {
    message.number(attribute_field::kFloat, *number);
    type = kFloat;
  } else if (const auto* const text = std::get_if<std::string>(&value)) {
    message.text(attribute_field::kString, *text);
    type = kString;
  } else {
    for (const std::int64_t one : std::get<std::vector<std::int64_t>>(value)) {
      message.integer(attribute_field::kIntegers, one);
    }
  }
  message.integer(attribute_field::kType, type);
  return message.take();
}

Message::Bytes tensor_message(const std::string& name, OnnxGraph::Type type, const std::vector<std::int64_t>& shape,
                              const void* data, std::size_t bytes) {
  Message message;
  for (const std::int64_t size : shape) message.integer(tensor_field::kDimension, size);
  message.integer(tensor_field::kType, static_cast<std::int64_t>(type));
  message.text(tensor_field::kName, name);
  message.raw(tensor_field::kData, data, bytes);
  return message.take();
}

Message::Bytes pair_message(const std::string& key, const std::string& value) {
  Message message;
  message.text(1, key);
  message.text(2, value);
  return message.take();
}

}  // namespace

OnnxGraph::Name OnnxGraph::input(const Name& name, const std::vector<Dimension>& shape) {
  inputs_.push_back(value_info(name, shape));
  return name;
}

void OnnxGraph::output(const Name& name, const Name& from, const std::vector<Dimension>& shape) {
  node("Identity", {from}, {}, name);
  outputs_.push_back(value_info(name, shape));
}

OnnxGraph::Name OnnxGraph::weights(const Name& name, const Tensor<float>& values, bool float16) {
  std::vector<std::int64_t> shape;
  shape.reserve(static_cast<std::size_t>(values.shape().rank()));
  for (int axis = 0; axis < values.shape().rank(); ++axis) shape.push_back(values.shape()[axis]);
  const auto count = static_cast<std::size_t>(values.size());
  if (!float16) {
    initializers_.push_back(tensor_message(name, Type::kFloat, shape, values.data(), count * sizeof(float)));
    return name;
  }
  std::vector<std::uint16_t> halves(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = values.data()[i];
    halves[i] = float_to_half(value);
    check(!std::isfinite(value) || std::isfinite(half_to_float(halves[i])), "tensor ", name, " holds ", value,
          ", which is too large for float16; export it without --float16");
  }
  const Name stored = name + ".float16";
  initializers_.push_back(tensor_message(stored, Type::kFloat16, shape, halves.data(), count * sizeof(std::uint16_t)));
  return node("Cast", {stored}, {{"to", static_cast<std::int64_t>(Type::kFloat)}}, name);
}

OnnxGraph::Name OnnxGraph::constant(const Name& name, Type type, const std::vector<std::int64_t>& shape,
                                    const void* data, std::size_t bytes) {
  const Bytes key = tensor_message("", type, shape, data, bytes);
  const auto [found, is_new] = constants_.try_emplace({type, key}, name);
  if (is_new) {
    found->second += "_" + std::to_string(constants_.size() - 1);
    initializers_.push_back(tensor_message(found->second, type, shape, data, bytes));
  }
  return found->second;
}

OnnxGraph::Name OnnxGraph::integers(const std::vector<std::int64_t>& values) {
  return constant("integers", Type::kInt64, {static_cast<std::int64_t>(values.size())}, values.data(),
                  values.size() * sizeof(std::int64_t));
}

OnnxGraph::Name OnnxGraph::integer(std::int64_t value) {
  return constant("integer", Type::kInt64, {}, &value, sizeof value);
}

OnnxGraph::Name OnnxGraph::number(float value) { return constant("number", Type::kFloat, {}, &value, sizeof value); }

OnnxGraph::Name OnnxGraph::real(double value) { return constant("real", Type::kDouble, {}, &value, sizeof value); }

OnnxGraph::Name OnnxGraph::floats(const std::vector<float>& values, const std::vector<std::int64_t>& shape) {
  return constant("floats", Type::kFloat, shape, values.data(), values.size() * sizeof(float));
}

OnnxGraph::Name OnnxGraph::node(const std::string& op, const std::vector<Name>& inputs, const Attributes& attributes,
                                const Name& name) {
  Name result = name.empty() ? op + "_" + std::to_string(counts_[op]++) : name;
  Message message;
  for (const Name& input : inputs) message.text(node_field::kInput, input);
  message.text(node_field::kOutput, result);
  if (op == "TopK") message.text(node_field::kOutput, result + "_indices");
  message.text(node_field::kName, result);
  message.text(node_field::kOperator, op);
  for (const auto& [key, value] : attributes) {
    message.message(node_field::kAttribute, attribute_message(key, value));
  }
  nodes_.push_back(message.take());
  return result;
}

std::vector<std::uint8_t> OnnxGraph::serialized(const std::string& graph_name, const std::string& description,
                                                const std::map<std::string, std::string>& metadata) const {
  Message graph, operators, model;
  for (const Bytes& node : nodes_) graph.message(graph_field::kNode, node);
  graph.text(graph_field::kName, graph_name);
  for (const Bytes& tensor : initializers_) graph.message(graph_field::kInitializer, tensor);
  for (const Bytes& info : inputs_) graph.message(graph_field::kInput, info);
  for (const Bytes& info : outputs_) graph.message(graph_field::kOutput, info);
  operators.text(1, "");  // ONNX's own operators
  operators.integer(2, kOperatorSet);
  model.integer(model_field::kIrVersion, kIrVersion);
  model.text(model_field::kProducer, "kind");
  model.text(model_field::kDescription, description);
  model.message(model_field::kGraph, graph.take());
  model.message(model_field::kOperatorSet, operators.take());
  for (const auto& [key, value] : metadata) model.message(model_field::kMetadata, pair_message(key, value));
  return model.take();
}

}  // namespace kind
