#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/tensor/tensor.h"

namespace kind {

/// A graph in the ONNX format (https://github.com/onnx/onnx/blob/main/docs/IR.md), operator set 17, that is put together
/// node by node. Values are known by their names.
class OnnxGraph {
 public:
  using Name = std::string;
  /// The numbers of TensorProto.DataType.
  enum class Type { kFloat = 1, kInt64 = 7, kFloat16 = 10, kDouble = 11 };
  using Attribute = std::variant<std::int64_t, float, std::vector<std::int64_t>, std::string>;
  using Attributes = std::map<std::string, Attribute>;
  /// A size that is known, or the name of one that is not.
  using Dimension = std::variant<std::int64_t, std::string>;

  /// Inputs and outputs of the graph, of floats. `output` gives the value `from` the name.
  Name input(const Name& name, const std::vector<Dimension>& shape);
  void output(const Name& name, const Name& from, const std::vector<Dimension>& shape);

  /// Weights, stored as float32, or as float16 (rounded to nearest even) and cast to float32 in the graph. Throws Error
  /// naming the tensor where a finite value is too large for float16 (65520 and more).
  Name weights(const Name& name, const Tensor<float>& values, bool float16);
  /// Constants: a list of integers, a single integer without axes, and a float or double without axes. Equal ones are
  /// stored once.
  Name integers(const std::vector<std::int64_t>& values);
  Name integer(std::int64_t value);
  Name number(float value);
  Name real(double value);
  /// Floats of some shape.
  Name floats(const std::vector<float>& values, const std::vector<std::int64_t>& shape);

  /// A node, whose output it returns: `name`, or one made from the operator. Of operators with two outputs it is the first,
  /// and the other is used by nobody.
  Name node(const std::string& op, const std::vector<Name>& inputs, const Attributes& attributes = {},
            const Name& name = {});

  /// The file: a ModelProto, with texts as its metadata. The same calls give the same bytes.
  std::vector<std::uint8_t> serialized(const std::string& graph_name, const std::string& description,
                                       const std::map<std::string, std::string>& metadata) const;

 private:
  using Bytes = std::vector<std::uint8_t>;

  Name constant(const Name& name, Type type, const std::vector<std::int64_t>& shape, const void* data,
                std::size_t bytes);

  std::vector<Bytes> nodes_, initializers_, inputs_, outputs_;  // messages
  std::map<std::pair<Type, Bytes>, Name> constants_;            // by shape and content
  std::map<std::string, int> counts_;                           // of nodes, by operator
};

}  // namespace kind
