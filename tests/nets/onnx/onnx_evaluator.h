#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kind::testing {

/// A tensor of an ONNX graph; integers are held as doubles, too.
struct OnnxValue {
  std::vector<std::int64_t> shape;
  std::vector<double> values;
};

/// A dimension's size, or its name and -1.
struct OnnxDimension {
  std::int64_t size = -1;
  std::string name;
};

/// What a file of ONNX says, read without the code under test.
struct OnnxFile {
  struct Attribute {
    std::int64_t integer = 0;
    double number = 0;
    std::string text;
    std::vector<std::int64_t> integers;
  };
  struct Node {
    std::string op;
    std::vector<std::string> inputs, outputs;
    std::map<std::string, Attribute> attributes;
  };
  struct Info {
    std::string name;
    std::int64_t type = 0;
    std::vector<OnnxDimension> shape;
  };

  std::int64_t ir_version = 0, operator_set = 0;
  std::string description;
  std::map<std::string, std::string> metadata;
  std::vector<Node> nodes;
  std::vector<Info> inputs, outputs;
  std::map<std::string, OnnxValue> initializers;
  std::map<std::string, std::int64_t> types;  // of initializers
};

/// Throws std::runtime_error for bytes that are no such file.
OnnxFile read_onnx(const std::vector<std::uint8_t>& bytes);

/// Evaluates the graph in double, with the meaning that the specification gives the operators. Throws std::runtime_error
/// for operators and attributes that no graph of kind has, and for shapes that do not fit.
std::map<std::string, OnnxValue> evaluate(const OnnxFile& file, const std::map<std::string, OnnxValue>& inputs);

}  // namespace kind::testing
