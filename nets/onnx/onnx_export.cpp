#include "nets/onnx/onnx_export.h"

#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "nets/onnx/onnx_graph.h"

namespace kind {
namespace {

using Name = OnnxGraph::Name;

const std::vector<std::int64_t> kRowsAndColumns{2, 3};  // axes of [n, c, h, w]

std::vector<OnnxGraph::Dimension> picture_shape(std::int64_t channels) {
  return {std::int64_t{1}, channels, "height", "width"};
}

/// Builds a net's graph from its description, see nets/net.h.
class OnnxBuilder {
 public:
  struct Value {
    Name name;
  };

  OnnxBuilder(OnnxGraph& graph, std::string net, const Activation& activation, const Parameters<float>& parameters,
              std::vector<Value> inputs, bool float16)
      : graph_(graph),
        net_(std::move(net)),
        activation_(activation),
        parameters_(parameters),
        inputs_(std::move(inputs)),
        float16_(float16) {}

  Value input(const std::vector<std::int64_t>&) { return {joined(inputs_, net_ + ".input")}; }
  Value conv(const std::vector<Value>& x, const std::string& name, std::int64_t) {
    return activated(convolved(x, name));
  }
  /// SAME: padding counts as -inf and goes to the end.
  Value pool(const Value& x) {
    return {graph_.node("MaxPool", {x.name},
                        {{"kernel_shape", std::vector<std::int64_t>{2, 2}},
                         {"strides", std::vector<std::int64_t>{2, 2}},
                         {"auto_pad", "SAME_UPPER"}})};
  }
  Value up(const Value& x, const std::string& name, std::int64_t, const Value& skip) {
    const Name whole =
        graph_.node("ConvTranspose", {x.name, next()},
                    {{"kernel_shape", std::vector<std::int64_t>{2, 2}}, {"strides", std::vector<std::int64_t>{2, 2}}},
                    net_ + "." + name);
    const Name size = graph_.node("Shape", {skip.name}, {{"start", std::int64_t{2}}, {"end", std::int64_t{4}}});
    return {graph_.node("Slice", {whole, graph_.integers({0, 0}), size, graph_.integers(kRowsAndColumns)})};
  }
  void output(const std::vector<Value>& x, const std::string& name, std::int64_t, std::int64_t, OutputForm form,
              std::optional<Initializer> = {}) {
    const Value y = convolved(x, name);
    switch (form) {
      case OutputForm::kSigmoid:
        outputs_.push_back({graph_.node("Sigmoid", {y.name})});
        break;
      case OutputForm::kActivatedSigmoid:
        outputs_.push_back({graph_.node("Sigmoid", {activated(y).name})});
        break;
      case OutputForm::kAddInput:
        outputs_.push_back({graph_.node("Add", {inputs_[0].name, y.name})});
        break;
    }
  }
  const std::vector<Value>& outputs() const { return outputs_; }

 private:
  Name next() {
    const Parameter<float>& parameter = parameters_[next_++];
    return graph_.weights(parameter.name, parameter.variable.value(), float16_);
  }
  Name joined(const std::vector<Value>& x, const Name& name = {}) {
    if (x.size() == 1) return x[0].name;
    std::vector<Name> names;
    names.reserve(x.size());
    for (const Value& value : x) names.push_back(value.name);
    return graph_.node("Concat", names, {{"axis", std::int64_t{1}}}, name);
  }
  Value convolved(const std::vector<Value>& x, const std::string& name) {
    const Shape& shape = parameters_[next_].variable.shape();
    const std::int64_t kernel = shape[2], before = (kernel - 1) / 2, after = kernel / 2;  // SAME
    const Name weight = next(), bias = next();
    return {graph_.node("Conv", {joined(x), weight, bias},
                        {{"kernel_shape", std::vector<std::int64_t>{kernel, kernel}},
                         {"pads", std::vector<std::int64_t>{before, before, after, after}}},
                        net_ + "." + name)};
  }
  Value activated(const Value& x) {
    if (activation_.type == Activation::Type::kRelu) return {graph_.node("Relu", {x.name})};
    check(activation_.type == Activation::Type::kLeakyRelu, net_, ": its activation cannot be exported yet");
    return {graph_.node("LeakyRelu", {x.name}, {{"alpha", static_cast<float>(activation_.slope)}})};
  }

  OnnxGraph& graph_;
  std::string net_;
  Activation activation_;
  const Parameters<float>& parameters_;
  std::vector<Value> inputs_, outputs_;
  bool float16_;
  std::size_t next_ = 0;
};

/// The parts of the graph around the nets.
class Exporter {
 public:
  Exporter(const Model<float>& model, const OnnxOptions& options) : model_(model), options_(options) {}

  void decomposition() {
    const Name input = graph_.input("input", picture_shape(3));
    const auto parts = run(model_.config.decomposition, model_.decomposition, {input});
    graph_.output("reflectance", parts[0], picture_shape(3));
    graph_.output("illumination", parts[1], picture_shape(1));
  }
  void restoration() {
    const Name reflectance = graph_.input("reflectance", picture_shape(3)),
               illumination = graph_.input("illumination", picture_shape(1));
    const Name restored = run(model_.config.restoration, model_.restoration, {reflectance, illumination})[0];
    graph_.output("restored", restored, picture_shape(3));
  }
  void adjustment() {
    const Name illumination = graph_.input("illumination", picture_shape(1));
    graph_.output("adjusted", adjusted(illumination), picture_shape(1));
  }
  void all() {
    const Name input = graph_.input("input", picture_shape(3));
    const auto parts = run(model_.config.decomposition, model_.decomposition, {stretched(input)});
    const Name color =
        model_.restoration ? run(model_.config.restoration, model_.restoration, {parts[0], parts[1]})[0] : parts[0];
    Name product = graph_.node("Mul", {color, adjusted(parts[1])});
    if (model_.restoration && model_.config.restoration->output != "sigmoid") product = less_bright(product);
    graph_.output("output", clipped(product), picture_shape(3));
  }

  const OnnxGraph& graph() const { return graph_; }

 private:
  /// The outputs of a net, with reflection padding around its inputs that is cropped from its outputs.
  template <class Config, class Net>
  std::vector<Name> run(const std::optional<Config>& config, const std::optional<Net>& net,
                        const std::vector<Name>& inputs) {
    check(config && net, "model: it has no ", Config::kName, " net, which the graph is to hold");
    std::vector<OnnxBuilder::Value> padded;
    padded.reserve(inputs.size());
    for (const Name& input : inputs) padded.push_back({mirrored(input)});
    OnnxBuilder builder(graph_, Config::kName, Activation::from_name(config->activation, config->slope),
                        net->parameters(), padded, options_.float16);
    config->describe(builder);
    std::vector<Name> outputs;
    for (const OnnxBuilder::Value& output : builder.outputs()) outputs.push_back(cropped(output.name));
    return outputs;
  }

  std::int64_t margin() const { return model_.config.input.margin() + options_.more_padding; }
  /// With reflection padding, edge pixels repeated, which Pad has not: a Gather of mirrored_index() along each axis.
  Name mirrored(Name x) {
    const std::int64_t margin = this->margin();
    for (std::size_t axis = 0; margin > 0 && axis < 2; ++axis) {
      if (indices_[axis].empty()) indices_[axis] = mirrored_indices(x, kRowsAndColumns[axis], margin);
      x = graph_.node("Gather", {x, indices_[axis]}, {{"axis", kRowsAndColumns[axis]}});
    }
    return x;
  }
  /// mirrored_index(i, size) for -margin <= i < size + margin.
  Name mirrored_indices(const Name& x, std::int64_t axis, std::int64_t margin) {
    const Name shape = graph_.node("Shape", {x}, {{"start", axis}, {"end", axis + 1}}),
               size = graph_.node("Squeeze", {shape, graph_.integers({0})}),
               end = graph_.node("Add", {size, graph_.integer(margin)}),
               all = graph_.node("Range", {graph_.integer(-margin), end, graph_.integer(1)}),
               period = graph_.node("Mul", {size, graph_.integer(2)}), at = graph_.node("Mod", {all, period}),
               last = graph_.node("Sub", {period, graph_.integer(1)});
    return graph_.node("Min", {at, graph_.node("Sub", {last, at})});
  }
  Name cropped(const Name& x) {
    const std::int64_t margin = this->margin();
    if (margin == 0) return x;
    return graph_.node("Slice", {x, graph_.integers({margin, margin}), graph_.integers({-margin, -margin}),
                                 graph_.integers(kRowsAndColumns)});
  }

  Name adjusted(const Name& illumination) {
    const Name ratio = options_.ratio ? graph_.floats({static_cast<float>(*options_.ratio)}, {1})
                                      : graph_.input("ratio", {std::int64_t{1}});
    const Name map = graph_.node("Expand", {ratio, graph_.node("Shape", {illumination})});
    return run(model_.config.adjustment, model_.adjustment, {illumination, map})[0];
  }

  /// InputRange::stretched() of the picture.
  Name stretched(const Name& picture) {
    if (!model_.config.input.stretch && !options_.range) return picture;
    Range range;
    if (options_.range) {
      range = {graph_.number(options_.range->low), graph_.number(options_.range->span)};
    } else {
      range = measured(picture);
    }
    const Name x = graph_.node("Div", {graph_.node("Sub", {picture, range.low}), range.span});
    const Name above = graph_.node("Max", {graph_.node("Sub", {x, graph_.number(1)}), graph_.number(0)}),
               soft = graph_.node("Div", {above, graph_.node("Add", {above, graph_.number(0.25f)})});
    return graph_.node("Add", {clipped(x), graph_.node("Mul", {soft, graph_.number(0.25f)})});
  }

  struct Range {
    Name low, span;
  };
  /// Meter::range() of the picture.
  Range measured(const Name& picture) {
    const double outliers = model_.config.input.outliers.value_or(0);
    const auto span = [this](const Name& difference) {
      return graph_.node("Max", {difference, graph_.number(0.001f)});
    };
    if (outliers == 0) {
      const Name low = graph_.node("ReduceMin", {picture}, {{"keepdims", std::int64_t{0}}}),
                 high = graph_.node("ReduceMax", {picture}, {{"keepdims", std::int64_t{0}}});
      return {low, span(graph_.node("Sub", {high, low}))};
    }
    // In 65535 steps, as the meter counts them.
    const Name steps = graph_.node("Add",
                                   {graph_.node("Mul", {clipped(picture), graph_.number(65535)}), graph_.number(0.5f)}),
               values = graph_.node("Reshape", {graph_.node("Floor", {steps}), graph_.integers({-1})});
    // The mean of the sorted values between two positions, of which value i fills i to i + 1.
    const Name size = to(OnnxGraph::Type::kDouble, graph_.node("Size", {values})),
               from = graph_.node("Mul", {size, graph_.real(outliers)}),
               until = graph_.node("Mul", {size, graph_.real(4 * outliers)}),
               rounded = to(OnnxGraph::Type::kInt64, graph_.node("Ceil", {until})),
               count = graph_.node("Reshape", {rounded, graph_.integers({1})});
    const Name positions =
                   to(OnnxGraph::Type::kDouble, graph_.node("Range", {graph_.integer(0), rounded, graph_.integer(1)})),
               ends = graph_.node("Min", {graph_.node("Add", {positions, graph_.real(1)}), until}),
               starts = graph_.node("Max", {positions, from}),
               shares = graph_.node("Max", {graph_.node("Sub", {ends, starts}), graph_.real(0)}), all = sum(shares);
    const auto mean = [&](std::int64_t largest) {
      const Name first = to(OnnxGraph::Type::kDouble, graph_.node("TopK", {values, count}, {{"largest", largest}}));
      const Name weighted = sum(graph_.node("Mul", {first, shares}));
      return graph_.node("Div", {graph_.node("Div", {weighted, all}), graph_.real(65535)});
    };
    const Name low = mean(0), high = mean(1);
    return {to(OnnxGraph::Type::kFloat, low), span(to(OnnxGraph::Type::kFloat, graph_.node("Sub", {high, low})))};
  }
  Name sum(const Name& x) { return graph_.node("ReduceSum", {x}, {{"keepdims", std::int64_t{0}}}); }
  Name to(OnnxGraph::Type type, const Name& x) {
    return graph_.node("Cast", {x}, {{"to", static_cast<std::int64_t>(type)}});
  }
  Name clipped(const Name& x) { return graph_.node("Clip", {x, graph_.number(0), graph_.number(1)}); }

  /// The first part of clip_color: a colour with a value above 1 moves towards the gray of its luma.
  Name less_bright(const Name& color) {
    const Name greatest = graph_.node("ReduceMax", {color},
                                      {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{1}}}),
               luma = graph_.node("Conv", {color, graph_.floats({0.2126f, 0.7152f, 0.0722f}, {1, 3, 1, 1})},
                                  {{"kernel_shape", std::vector<std::int64_t>{1, 1}}}),
               left = graph_.node("Sub", {graph_.number(1), luma}), excess = graph_.node("Sub", {greatest, luma});
    // 1 where no value is above 1, and 0 where the luma is: white, once it is clipped. The excess is that of colours.
    const Name share = clipped(graph_.node("Div", {left, graph_.node("Max", {excess, graph_.number(1e-12f)})}));
    return graph_.node("Add", {luma, graph_.node("Mul", {share, graph_.node("Sub", {color, luma})})});
  }

  const Model<float>& model_;
  const OnnxOptions& options_;
  OnnxGraph graph_;
  Name indices_[2];  // of mirrored(), once they are there
};

void check_options(const OnnxOptions& options) {
  check(!options.ratio || (*options.ratio > 0 && *options.ratio <= 100),
        "ratio: expected a number above 0 and at most 100, got ", options.ratio.value_or(0));
  check(!options.range ||
            (std::isfinite(options.range->low) && std::isfinite(options.range->span) && options.range->span > 0),
        "range: expected finite numbers and a span above 0");
  check(!options.range || options.nets == OnnxNets::kAll,
        "range: a single net takes a picture that is stretched already; leave the range out");
  check(options.more_padding >= 0 && options.more_padding <= 256, "padding: expected 0 to 256, got ",
        options.more_padding);
}

}  // namespace

std::vector<std::uint8_t> export_onnx(const Model<float>& model, const OnnxOptions& options,
                                      const std::map<std::string, std::string>& notes) {
  check_options(options);
  Exporter exporter(model, options);
  switch (options.nets) {
    case OnnxNets::kDecomposition:
      exporter.decomposition();
      break;
    case OnnxNets::kRestoration:
      exporter.restoration();
      break;
    case OnnxNets::kAdjustment:
      exporter.adjustment();
      break;
    case OnnxNets::kAll:
      exporter.all();
  }
  return exporter.graph().serialized(
      "kind", "Low-light enhancement by the method KinD, made by kind-weights export-onnx.", notes);
}

}  // namespace kind
