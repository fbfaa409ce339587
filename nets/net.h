#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layers/activation.h"
#include "layers/conv2d.h"
#include "layers/fused/fused_net.h"
#include "layers/initializer.h"

/// `describe(builder)` of a net's config describes the net once, layer by layer, and everything else is derived from
/// that list: builders draw the parameters, run the net on the public operations with gradients, and build the fused
/// net. A builder has a type Value, a layer's result, and
///
///   Value input(channels)                          the net's inputs, concatenated: channels of each
///   Value conv(values, name, channels)             3x3 SAME convolution of their concatenation, bias, activation
///   Value pool(value)                              2x2 max pooling
///   Value up(value, name, channels, skip)          2x2 stride-2 transposed convolution, cropped to the size of `skip`
///   void output(values, name, channels, kernel, form[, initializer])
///                                                  an output of the net: convolution, bias, and `form`
///
/// Parameters are named NET.name.weight and NET.name.bias; they are drawn, and stored in files, in the order of the
/// list.
namespace kind {

using OutputForm = FusedNet::OutputForm;

/// Draws a net's parameters. A value is its number of channels.
template <class T>
class ParameterBuilder {
 public:
  using Value = std::int64_t;

  ParameterBuilder(std::string net, Initializer initializer, Random& random, Parameters<T>& parameters)
      : net_(std::move(net)), initializer_(initializer), random_(random), parameters_(parameters) {}

  Value input(const std::vector<std::int64_t>& channels) { return sum(channels); }
  Value conv(const std::vector<Value>& x, const std::string& name, std::int64_t channels) {
    return add(x, name, channels, 3, initializer_);
  }
  Value pool(Value x) { return x; }
  /// The authors initialise every up-convolution with a truncated normal, independent of the convolutions' initialiser.
  Value up(Value x, const std::string& name, std::int64_t channels, Value) {
    ConvTranspose2d<T>(x, channels, 2, Initializer::kTruncatedNormal, random_).collect(net_ + "." + name, parameters_);
    return channels;
  }
  void output(const std::vector<Value>& x, const std::string& name, std::int64_t channels, std::int64_t kernel,
              OutputForm, std::optional<Initializer> initializer = {}) {
    add(x, name, channels, kernel, initializer.value_or(initializer_));
  }

 private:
  static std::int64_t sum(const std::vector<std::int64_t>& values) {
    std::int64_t all = 0;
    for (const std::int64_t value : values) all += value;
    return all;
  }
  Value add(const std::vector<Value>& x, const std::string& name, std::int64_t channels, std::int64_t kernel,
            Initializer initializer) {
    Conv2d<T>(sum(x), channels, kernel, initializer, random_).collect(net_ + "." + name, parameters_);
    return channels;
  }

  std::string net_;
  Initializer initializer_;
  Random& random_;
  Parameters<T>& parameters_;
};

/// Runs a net layer by layer on the public operations, with gradients.
template <class T>
class LayerBuilder {
 public:
  using Value = Variable<T>;

  LayerBuilder(const Activation& activation, const Parameters<T>& parameters, const std::vector<Variable<T>>& inputs)
      : activation_(activation), parameters_(parameters), inputs_(inputs) {}

  Value input(const std::vector<std::int64_t>&) { return joined(inputs_); }
  Value conv(const std::vector<Value>& x, const std::string&, std::int64_t) { return activation_(convolved(x)); }
  Value pool(const Value& x);
  Value up(const Value& x, const std::string&, std::int64_t, const Value& skip) {
    return conv_transpose2d(x, next(), skip.shape()[2], skip.shape()[3]);
  }
  void output(const std::vector<Value>& x, const std::string&, std::int64_t, std::int64_t, OutputForm form,
              std::optional<Initializer> = {});
  const std::vector<Variable<T>>& outputs() const { return outputs_; }

 private:
  const Variable<T>& next() { return parameters_[next_++].variable; }
  Value joined(const std::vector<Value>& x);
  Value convolved(const std::vector<Value>& x) {
    const Variable<T>&weight = next(), &bias = next();
    return conv2d(joined(x), weight, bias);
  }

  Activation activation_;
  const Parameters<T>& parameters_;
  const std::vector<Variable<T>>& inputs_;
  std::size_t next_ = 0;
  std::vector<Variable<T>> outputs_;
};

/// Builds a fused net.
class FusedBuilder {
 public:
  using Value = FusedNet::Value;

  FusedBuilder(const Activation& activation, const Parameters<float>& parameters)
      : net_(activation.type == Activation::Type::kRelu ? 0.0f : static_cast<float>(activation.slope)),
        parameters_(parameters) {}

  Value input(const std::vector<std::int64_t>& channels) { return net_.input(channels); }
  Value conv(const std::vector<Value>& x, const std::string&, std::int64_t) {
    const Variable<float>&weight = next(), &bias = next();
    return net_.conv(x, weight, bias);
  }
  Value pool(Value x) { return net_.pool(x); }
  Value up(Value x, const std::string&, std::int64_t, Value) { return net_.up(x, next()); }
  void output(const std::vector<Value>& x, const std::string&, std::int64_t, std::int64_t, OutputForm form,
              std::optional<Initializer> = {}) {
    const Variable<float>&weight = next(), &bias = next();
    net_.output(x, weight, bias, form);
  }
  FusedNet take() { return std::move(net_); }

 private:
  const Variable<float>& next() { return parameters_[next_++].variable; }

  FusedNet net_;
  const Parameters<float>& parameters_;
  std::size_t next_ = 0;
};

/// A net of the form that `Config` describes: its parameters and its layers.
template <class T, class Config>
class Net {
 public:
  /// Draws the parameters from `random`.
  Net(const Config& config, Random& random)
      : config_(config), activation_(Activation::from_name(config.activation, config.slope)) {
    ParameterBuilder<T> drawing(Config::kName, initializer_from_name(config.initializer), random, parameters_);
    config.describe(drawing);
    if constexpr (std::same_as<T, float>) {
      FusedBuilder builder(activation_, parameters_);
      config.describe(builder);
      fused_.emplace(builder.take());
    }
  }

  /// Named decomposition.conv1.weight and so on, in the order of the description.
  const Parameters<T>& parameters() const { return parameters_; }
  /// The fused net: inputs to outputs, each concatenated along the channels. Float only.
  const FusedNet& fused() const requires std::same_as<T, float> { return *fused_; }
  /// How fused() runs; of a net in double nothing changes, which runs layer by layer.
  void set_options(const FusedOptions& options) {
    if (fused_) fused_->set_options(options);
  }

 protected:
  /// The outputs, in order, of inputs [n, c_i, h, w]; fused where the kernels in use can.
  std::vector<Variable<T>> run(const std::vector<Variable<T>>& inputs) const {
    if constexpr (std::same_as<T, float>) {
      if (fused_->runnable()) return {(*fused_)(inputs)};
    }
    LayerBuilder<T> layers(activation_, parameters_, inputs);
    config_.describe(layers);
    return layers.outputs();
  }

 private:
  Config config_;
  Activation activation_;
  Parameters<T> parameters_;
  std::optional<FusedNet> fused_;  // of float
};

}  // namespace kind
