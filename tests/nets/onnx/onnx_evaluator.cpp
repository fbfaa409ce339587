// Long because it has a reader of the format and every operator that the graphs of kind use.

#include "tests/nets/onnx/onnx_evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "core/base/half.h"
#include "layers/conv2d.h"

namespace kind::testing {
namespace {

using Ints = std::vector<std::int64_t>;

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error("onnx: " + what);
}

// --- Reading

/// The fields of a message, in order.
struct Field {
  std::uint64_t number = 0, value = 0;  // a varint, or 32 bits
  const std::uint8_t* data = nullptr;   // else
  std::size_t size = 0;

  std::string text() const { return {reinterpret_cast<const char*>(data), size}; }
};

std::vector<Field> fields_of(const std::uint8_t* data, std::size_t size) {
  std::vector<Field> fields;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      require(at < size && shift < 64, "a varint ends too late");
      value |= static_cast<std::uint64_t>(data[at] & 0x7f) << shift;
      if ((data[at++] & 0x80) == 0) return value;
    }
  };
  while (at < size) {
    const std::uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    if ((tag & 7) == 0) {
      field.value = varint();
    } else if ((tag & 7) == 5) {
      require(size - at >= 4, "a number is cut off");
      std::uint32_t bits;
      std::memcpy(&bits, data + at, 4);
      field.value = bits;
      at += 4;
    } else {
      require((tag & 7) == 2, "a field of an unknown type");
      field.size = varint();
      require(field.size <= size - at, "a field is cut off");
      field.data = data + at;
      at += field.size;
    }
    fields.push_back(field);
  }
  return fields;
}

std::vector<Field> fields_of(const Field& field) { return fields_of(field.data, field.size); }

template <class T, class Read>
void read_numbers(const Field& data, std::vector<double>& to, const Read& read) {
  require(data.size % sizeof(T) == 0, "raw_data of an odd size");
  for (std::size_t i = 0; i < data.size; i += sizeof(T)) {
    T value;
    std::memcpy(&value, data.data + i, sizeof(T));
    to.push_back(static_cast<double>(read(value)));
  }
}

void read_tensor(const Field& message, OnnxFile& file) {
  OnnxValue tensor;
  std::int64_t type = 0;
  std::string name;
  const auto same = [](auto value) { return value; };
  for (const Field& field : fields_of(message)) {
    if (field.number == 1) tensor.shape.push_back(static_cast<std::int64_t>(field.value));
    if (field.number == 2) type = static_cast<std::int64_t>(field.value);
    if (field.number == 8) name = field.text();
    if (field.number != 9) continue;
    if (type == 1) read_numbers<float>(field, tensor.values, same);
    if (type == 7) read_numbers<std::int64_t>(field, tensor.values, same);
    if (type == 10) read_numbers<std::uint16_t>(field, tensor.values, half_to_float);
    if (type == 11) read_numbers<double>(field, tensor.values, same);
  }
  const std::int64_t count =
      std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
  require(count == static_cast<std::int64_t>(tensor.values.size()), name + ": shape and data differ");
  require(file.initializers.emplace(name, tensor).second, name + " is there twice");
  file.types[name] = type;
}

OnnxFile::Info read_info(const Field& message) {
  OnnxFile::Info info;
  for (const Field& field : fields_of(message)) {
    if (field.number == 1) info.name = field.text();
    if (field.number != 2) continue;
    for (const Field& tensor : fields_of(fields_of(field).at(0))) {
      if (tensor.number == 1) info.type = static_cast<std::int64_t>(tensor.value);
      if (tensor.number != 2) continue;
      for (const Field& dimension : fields_of(tensor)) {
        const Field size = fields_of(dimension).at(0);
        info.shape.push_back(size.number == 1 ? OnnxDimension{static_cast<std::int64_t>(size.value), ""}
                                              : OnnxDimension{-1, size.text()});
      }
    }
  }
  return info;
}

OnnxFile::Node read_node(const Field& message) {
  OnnxFile::Node node;
  for (const Field& field : fields_of(message)) {
    if (field.number == 1) node.inputs.push_back(field.text());
    if (field.number == 2) node.outputs.push_back(field.text());
    if (field.number == 4) node.op = field.text();
    if (field.number != 5) continue;
    OnnxFile::Attribute attribute;
    std::string name;
    for (const Field& part : fields_of(field)) {
      if (part.number == 1) name = part.text();
      if (part.number == 2) {
        float value;
        const auto bits = static_cast<std::uint32_t>(part.value);
        std::memcpy(&value, &bits, 4);
        attribute.number = static_cast<double>(value);
      }
      if (part.number == 3) attribute.integer = static_cast<std::int64_t>(part.value);
      if (part.number == 4) attribute.text = part.text();
      if (part.number == 8) attribute.integers.push_back(static_cast<std::int64_t>(part.value));
    }
    node.attributes[name] = attribute;
  }
  return node;
}

void read_graph(const Field& message, OnnxFile& file) {
  for (const Field& field : fields_of(message)) {
    if (field.number == 1) file.nodes.push_back(read_node(field));
    if (field.number == 5) read_tensor(field, file);
    if (field.number == 11) file.inputs.push_back(read_info(field));
    if (field.number == 12) file.outputs.push_back(read_info(field));
  }
}

// --- Evaluating

std::int64_t count_of(const Ints& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

Ints integers_of(const OnnxValue& value) {
  Ints all;
  for (const double v : value.values) all.push_back(static_cast<std::int64_t>(v));
  return all;
}

Tensor<double> tensor_of(const OnnxValue& value) {
  return Tensor<double>(Shape(value.shape), std::vector<double>(value.values));
}

OnnxValue value_of(const Tensor<double>& tensor) {
  OnnxValue value;
  for (int i = 0; i < tensor.shape().rank(); ++i) value.shape.push_back(tensor.shape()[i]);
  value.values.assign(tensor.data(), tensor.data() + tensor.size());
  return value;
}

/// f of the elements of two tensors, broadcast as NumPy does.
OnnxValue broadcast(const OnnxValue& a, const OnnxValue& b, const std::function<double(double, double)>& f) {
  const std::size_t rank = std::max(a.shape.size(), b.shape.size());
  const auto padded = [rank](Ints shape) {
    shape.insert(shape.begin(), rank - shape.size(), 1);
    return shape;
  };
  const Ints left = padded(a.shape), right = padded(b.shape);
  OnnxValue y;
  for (std::size_t i = 0; i < rank; ++i) {
    require(left[i] == right[i] || left[i] == 1 || right[i] == 1, "shapes that cannot be broadcast");
    y.shape.push_back(std::max(left[i], right[i]));
  }
  y.values.resize(static_cast<std::size_t>(count_of(y.shape)));
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    std::int64_t at_a = 0, at_b = 0, rest = static_cast<std::int64_t>(i), step_a = 1, step_b = 1;
    for (std::size_t axis = rank; axis-- > 0;) {
      const std::int64_t index = rest % y.shape[axis];
      rest /= y.shape[axis];
      if (left[axis] > 1) at_a += index * step_a;
      if (right[axis] > 1) at_b += index * step_b;
      step_a *= left[axis];
      step_b *= right[axis];
    }
    y.values[i] = f(a.values[static_cast<std::size_t>(at_a)], b.values[static_cast<std::size_t>(at_b)]);
  }
  return y;
}

OnnxValue each(OnnxValue x, const std::function<double(double)>& f) {
  std::transform(x.values.begin(), x.values.end(), x.values.begin(), f);
  return x;
}

/// The elements of x at `indices` along one axis.
OnnxValue gather(const OnnxValue& x, const Ints& indices, std::size_t axis) {
  OnnxValue y{x.shape, {}};
  y.shape.at(axis) = static_cast<std::int64_t>(indices.size());
  std::int64_t inner = 1, outer = 1;
  for (std::size_t i = 0; i < x.shape.size(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : x.shape[i];
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : indices) {
      require(index >= 0 && index < x.shape[axis], "an index out of range");
      const auto from = x.values.begin() + (o * x.shape[axis] + index) * inner;
      y.values.insert(y.values.end(), from, from + inner);
    }
  }
  return y;
}

OnnxValue slice(OnnxValue x, const Ints& starts, const Ints& ends, const Ints& axes) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<std::size_t>(axes[i]);
    const std::int64_t size = x.shape.at(axis);
    const auto limited = [size](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size); };
    Ints indices;
    for (std::int64_t at = limited(starts[i]); at < limited(ends[i]); ++at) indices.push_back(at);
    x = gather(x, indices, axis);
  }
  return x;
}

OnnxValue concat(const std::vector<OnnxValue>& parts) {
  OnnxValue y{parts[0].shape, {}};
  y.shape.at(1) = 0;
  require(y.shape[0] == 1, "only single pictures are concatenated");
  for (const OnnxValue& part : parts) {
    require(part.shape[2] == y.shape[2] && part.shape[3] == y.shape[3], "concatenated sizes differ");
    y.shape[1] += part.shape[1];
    y.values.insert(y.values.end(), part.values.begin(), part.values.end());
  }
  return y;
}

/// 2x2 windows with stride 2; what is outside at the end does not count.
OnnxValue max_pool(const OnnxValue& x) {
  const std::int64_t h = x.shape[2], w = x.shape[3], oh = (h + 1) / 2, ow = (w + 1) / 2;
  OnnxValue y{{x.shape[0], x.shape[1], oh, ow}, {}};
  for (std::int64_t plane = 0; plane < x.shape[0] * x.shape[1]; ++plane) {
    for (std::int64_t i = 0; i < oh * ow; ++i) {
      double most = -std::numeric_limits<double>::infinity();
      for (std::int64_t r = 2 * (i / ow); r < std::min(h, 2 * (i / ow) + 2); ++r) {
        for (std::int64_t c = 2 * (i % ow); c < std::min(w, 2 * (i % ow) + 2); ++c) {
          most = std::max(most, x.values[static_cast<std::size_t>((plane * h + r) * w + c)]);
        }
      }
      y.values.push_back(most);
    }
  }
  return y;
}

/// Over the whole tensor, or over axis 1 of [n, c, h, w].
OnnxValue reduced(const OnnxValue& x, bool over_channels, const std::function<double(double, double)>& f) {
  if (!over_channels) {
    return {{}, {std::accumulate(x.values.begin() + 1, x.values.end(), x.values[0], f)}};
  }
  const std::int64_t plane = x.shape[2] * x.shape[3];
  require(x.shape[0] == 1, "only single pictures are reduced");
  OnnxValue y{{1, 1, x.shape[2], x.shape[3]}, {x.values.begin(), x.values.begin() + plane}};
  for (std::size_t i = static_cast<std::size_t>(plane); i < x.values.size(); ++i) {
    double& to = y.values[i % static_cast<std::size_t>(plane)];
    to = f(to, x.values[i]);
  }
  return y;
}

struct Call {
  const OnnxFile::Node& node;
  std::vector<OnnxValue> x;

  std::int64_t integer(const std::string& name, std::int64_t otherwise) const {
    const auto found = node.attributes.find(name);
    return found == node.attributes.end() ? otherwise : found->second.integer;
  }
  Ints integers(const std::string& name) const {
    const auto found = node.attributes.find(name);
    return found == node.attributes.end() ? Ints{} : found->second.integers;
  }
};

using Operator = std::function<OnnxValue(const Call&)>;

OnnxValue conv(const Call& call) {
  const NoGrad no_grad;
  const Ints kernel = call.integers("kernel_shape");
  Ints pads = call.integers("pads");
  if (pads.empty()) pads = {0, 0, 0, 0};
  require(kernel == Ints({call.x[1].shape[2], call.x[1].shape[3]}), "the kernel is not of the weights' size");
  const WindowSpec spec{1, 1, false, pads[0], pads[1], pads[2], pads[3]};
  const Variable<double> bias = call.x.size() > 2 ? Variable<double>(tensor_of(call.x[2])) : Variable<double>();
  return value_of(
      conv2d(Variable<double>(tensor_of(call.x[0])), Variable<double>(tensor_of(call.x[1])), bias, spec).value());
}

OnnxValue conv_transpose(const Call& call) {
  const NoGrad no_grad;
  require(call.integers("strides") == Ints{2, 2} && call.integers("kernel_shape") == Ints{2, 2},
          "an up-convolution of another size");
  return value_of(conv_transpose2d(Variable<double>(tensor_of(call.x[0])), Variable<double>(tensor_of(call.x[1])),
                                   2 * call.x[0].shape[2], 2 * call.x[0].shape[3])
                      .value());
}

OnnxValue shape_of(const Call& call) {
  const Ints& shape = call.x[0].shape;
  const std::int64_t end = std::min<std::int64_t>(call.integer("end", 4), static_cast<std::int64_t>(shape.size()));
  OnnxValue y;
  for (std::int64_t i = call.integer("start", 0); i < end; ++i) {
    y.values.push_back(static_cast<double>(shape[static_cast<std::size_t>(i)]));
  }
  y.shape = {static_cast<std::int64_t>(y.values.size())};
  return y;
}

OnnxValue reshape(const Call& call) {
  OnnxValue y = call.x[0];
  y.shape = integers_of(call.x[1]);
  for (std::int64_t& size : y.shape) {
    if (size == -1) size = static_cast<std::int64_t>(y.values.size());
  }
  require(count_of(y.shape) == static_cast<std::int64_t>(y.values.size()), "a reshape to another size");
  return y;
}

OnnxValue range(const Call& call) {
  OnnxValue y;
  for (double v = call.x[0].values[0]; v < call.x[1].values[0]; v += call.x[2].values[0]) y.values.push_back(v);
  y.shape = {static_cast<std::int64_t>(y.values.size())};
  return y;
}

OnnxValue top_k(const Call& call) {
  OnnxValue y = call.x[0];
  require(y.shape.size() == 1 && call.x[1].values[0] <= static_cast<double>(y.values.size()), "TopK of too few values");
  std::sort(y.values.begin(), y.values.end());
  if (call.integer("largest", 1) != 0) std::reverse(y.values.begin(), y.values.end());
  y.values.resize(static_cast<std::size_t>(call.x[1].values[0]));
  y.shape = {static_cast<std::int64_t>(y.values.size())};
  return y;
}

const std::map<std::string, Operator>& operators() {
  const auto binary = [](std::function<double(double, double)> f) -> Operator {
    return [f = std::move(f)](const Call& call) { return broadcast(call.x.at(0), call.x.at(1), f); };
  };
  const auto reduce = [](std::function<double(double, double)> f) -> Operator {
    return [f = std::move(f)](const Call& call) {
      const Ints axes = call.integers("axes");
      require(axes.empty() || axes == Ints{1}, "a reduction over other axes");
      require(call.integer("keepdims", 1) == (axes.empty() ? 0 : 1), "a reduction of another shape");
      return reduced(call.x[0], !axes.empty(), f);
    };
  };
  const auto of_each = [](std::function<double(double)> f) -> Operator {
    return [f = std::move(f)](const Call& call) { return each(call.x[0], f); };
  };
  const auto less = [](double a, double b) { return std::min(a, b); };
  const auto more = [](double a, double b) { return std::max(a, b); };
  static const std::map<std::string, Operator> all{
      {"Add", binary(std::plus<>())},
      {"Sub", binary(std::minus<>())},
      {"Mul", binary(std::multiplies<>())},
      {"Div", binary(std::divides<>())},
      {"Min", binary(less)},
      {"Max", binary(more)},
      {"Mod", binary([](double a, double b) { return a - b * std::floor(a / b); })},
      {"ReduceMin", reduce(less)},
      {"ReduceMax", reduce(more)},
      {"ReduceSum", reduce(std::plus<>())},
      {"Floor", of_each([](double v) { return std::floor(v); })},
      {"Ceil", of_each([](double v) { return std::ceil(v); })},
      {"Relu", of_each([](double v) { return std::max(v, 0.0); })},
      {"Sigmoid", of_each([](double v) { return 1 / (1 + std::exp(-v)); })},
      {"Identity", of_each([](double v) { return v; })},
      {"Cast",
       [](const Call& call) {
         return each(call.x[0], [to = call.integer("to", 0)](double v) {
           return to == 7 ? std::trunc(v) : to == 1 ? static_cast<double>(static_cast<float>(v)) : v;
         });
       }},
      {"LeakyRelu",
       [](const Call& call) {
         return each(call.x[0],
                     [slope = call.node.attributes.at("alpha").number](double v) { return v < 0 ? slope * v : v; });
       }},
      {"Clip",
       [](const Call& call) {
         return each(call.x[0], [&](double v) { return std::clamp(v, call.x[1].values[0], call.x[2].values[0]); });
       }},
      {"Size",
       [](const Call& call) {
         return OnnxValue{{}, {static_cast<double>(call.x[0].values.size())}};
       }},
      {"Squeeze",
       [](const Call& call) {
         return OnnxValue{{}, call.x[0].values};
       }},
      {"Gather",
       [](const Call& call) {
         return gather(call.x[0], integers_of(call.x[1]), static_cast<std::size_t>(call.integer("axis", 0)));
       }},
      {"Slice",
       [](const Call& call) {
         return slice(call.x[0], integers_of(call.x[1]), integers_of(call.x[2]), integers_of(call.x[3]));
       }},
      {"Expand",
       [](const Call& call) {
         const Ints shape = integers_of(call.x[1]);
         const OnnxValue zeros{shape, std::vector<double>(static_cast<std::size_t>(count_of(shape)))};
         return broadcast(call.x[0], zeros, std::plus<>());
       }},
      {"Concat",
       [](const Call& call) {
         require(call.integer("axis", 0) == 1, "a concatenation along another axis");
         return concat(call.x);
       }},
      {"MaxPool",
       [](const Call& call) {
         require(call.integers("kernel_shape") == Ints{2, 2} && call.integers("strides") == Ints{2, 2} &&
                     call.node.attributes.at("auto_pad").text == "SAME_UPPER",
                 "a pooling of another kind");
         return max_pool(call.x[0]);
       }},
      {"Conv", conv},
      {"ConvTranspose", conv_transpose},
      {"Shape", shape_of},
      {"Reshape", reshape},
      {"Range", range},
      {"TopK", top_k}};
  return all;
}

}  // namespace

OnnxFile read_onnx(const std::vector<std::uint8_t>& bytes) {
  OnnxFile file;
  for (const Field& field : fields_of(bytes.data(), bytes.size())) {
    if (field.number == 1) file.ir_version = static_cast<std::int64_t>(field.value);
    if (field.number == 6) file.description = field.text();
    if (field.number == 7) read_graph(field, file);
    if (field.number == 8) file.operator_set = static_cast<std::int64_t>(fields_of(field).at(1).value);
    if (field.number == 14) file.metadata[fields_of(field).at(0).text()] = fields_of(field).at(1).text();
  }
  return file;
}

std::map<std::string, OnnxValue> evaluate(const OnnxFile& file, const std::map<std::string, OnnxValue>& inputs) {
  std::map<std::string, OnnxValue> values = file.initializers;
  for (const OnnxFile::Info& info : file.inputs) {
    require(inputs.count(info.name) > 0, "input " + info.name + " is missing");
    values[info.name] = inputs.at(info.name);
  }
  for (const OnnxFile::Node& node : file.nodes) {
    require(operators().count(node.op) > 0, "unknown operator " + node.op);
    Call call{node, {}};
    for (const std::string& input : node.inputs) {
      require(values.count(input) > 0, node.op + " reads " + input + ", which no earlier node makes");
      call.x.push_back(values[input]);
    }
    require(values.emplace(node.outputs.at(0), operators().at(node.op)(call)).second,
            node.outputs[0] + " is made twice");
  }
  std::map<std::string, OnnxValue> outputs;
  for (const OnnxFile::Info& info : file.outputs) outputs[info.name] = values.at(info.name);
  return outputs;
}

}  // namespace kind::testing
