#pragma once

#include <optional>
#include <vector>

#include "core/base/memory.h"
#include "layers/fused/fused_layer.h"

namespace kind {

/// One pass of a net with gradients: the activations, and what becomes of them on the way back.
class FusedGradient {
 public:
  using Value = FusedNet::Value;

  /// inputs [n, c_i, h, w], as FusedNet::operator() has checked them.
  FusedGradient(const FusedNet& net, const std::vector<Variable<float>>& inputs);

  /// The outputs [n, c, h, w]; keeps the activations that backward() needs.
  Tensor<float> forward();
  /// Adds the gradients to `leaves` (inputs, then weight and bias of each layer in order), given that to the outputs.
  void backward(std::vector<Variable<float>>& leaves, const Tensor<float>& output_gradient);

  // For FusedLayer::backward, of the layer whose turn it is.

  const BlockKernels& kernels() const { return kernels_; }
  float slope() const { return net_.slope_; }
  /// Pairs of the batch at hand: image i belongs to pair i % pairs().
  std::int64_t pairs() const { return pairs_; }
  ConvAlgorithm algorithm() const { return algorithms_[current_]; }
  const std::vector<BlockMap>& maps() const { return maps_; }
  const BlockMap& map(Value v) const { return maps_[index(v)]; }
  /// To a value: whole, since all its readers come before its layer.
  const BlockMap& gradient(Value v) const { return gradients_[index(v)].map; }
  const Tensor<float>& output() const { return output_; }
  const Tensor<float>& output_gradient() const { return *output_gradient_; }
  /// The parameters, which get gradients.
  Variable<float>& weight() { return *weight_; }
  Variable<float>& bias() { return *bias_; }
  /// Where one more share of the gradient to `v` goes: added to what has arrived, and with the last one times the
  /// gradient of the activation that made `v`.
  BlockTarget share(Value v);
  bool inputs_want_gradients() const;
  /// Adds channels from `first` on of gradient [n, c, h, w] to the inputs that require gradients, the first `count` of
  /// them (all unless it is given).
  void add_to_inputs(const Tensor<float>& gradient, std::int64_t first, std::size_t count = ~std::size_t{0});

 private:
  struct Gradient {
    std::optional<Buffer<float>> memory;
    BlockMap map;
    int arrived = 0;  // readers whose share is in
  };

  static std::size_t index(Value v) { return static_cast<std::size_t>(v); }
  BlockMap shape_of(Value v) const;
  bool kept(Value v) const;
  void run(std::size_t i);
  void ensure(Value v);

  const FusedNet net_;  // its own, since the graph may outlive the caller's
  const BlockKernels& kernels_;
  const std::int64_t n_, h_, w_, pairs_;
  const bool recompute_;
  std::vector<ConvAlgorithm> algorithms_;
  std::vector<Tensor<float>> inputs_;
  Tensor<float> output_;
  std::vector<BlockMap> maps_;
  std::vector<std::optional<Buffer<float>>> memory_;
  std::vector<int> readers_;  // of each value, those that an output depends on
  std::vector<char> used_;    // of each layer, whether an output depends on it
  std::vector<Gradient> gradients_;
  // The layer whose backward() runs.
  std::size_t current_ = 0;
  Variable<float>*weight_ = nullptr, *bias_ = nullptr;
  std::vector<Variable<float>>* leaves_ = nullptr;
  const Tensor<float>* output_gradient_ = nullptr;
};

/// FusedNet::operator() with gradients. `leaves`: the inputs, then weight and bias of each layer in order.
Variable<float> fused_with_gradients(const FusedNet& net, const std::vector<Variable<float>>& inputs,
                                     const std::vector<Variable<float>>& leaves);

}  // namespace kind
