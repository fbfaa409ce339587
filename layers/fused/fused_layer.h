#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "layers/fused/fused_net.h"

namespace kind {

class FusedGradient;

/// What a layer's forward pass works on.
struct FusedPass {
  /// Channel c of the net's inputs, or of all its outputs: planes of h * w, or of the rows from `first_row` on.
  struct Plane {
    const float* data;
    std::int64_t image;  // floats from one picture of the batch to the next
  };

  const BlockKernels& kernels;
  float slope;                        // of the net's activation
  const std::vector<BlockMap>& maps;  // one a value
  ConvAlgorithm algorithm = ConvAlgorithm::kDirect;
  const float* prepared = nullptr;  // what FusedLayer::prepare made; null: nothing
  std::span<const Plane> inputs = {};
  float* const* outputs = nullptr;
  std::int64_t output_image = 0;
  std::int64_t first_row = 0;
};

/// Numbers for a LayerTime, of one picture.
struct LayerSizes {
  std::int64_t ic, oc, h, w;  // channels read, result
  ConvAlgorithm algorithm;
};
struct LayerCost {
  std::string what;
  double products = 0, flops = 0, weights = 0;
};

/// One layer of a FusedNet: all that a kind of layer has to say of itself. To add a kind: a class in fused_layers.h, and a
/// function of FusedNet that checks its arguments and adds one.
class FusedLayer {
 public:
  using Value = FusedNet::Value;

  virtual ~FusedLayer() = default;

  std::vector<Value> x;           // the values it reads; none: the net's input
  Value y = -1;                   // the value it makes; -1: an output of the net
  Variable<float> weight, bias;   // undefined: none
  std::int64_t first_output = 0;  // of an output: its first channel in the net's result

  bool reads(Value v) const;
  bool is_output() const { return y < 0; }
  /// Whether the net's first input is added to the result.
  virtual bool adds_input() const { return false; }
  /// Whether kernels exist for it.
  virtual bool runnable() const { return true; }

  // Rows. Layers run in steps of rows, so that few rows of each value are held.

  /// When a layer that could run does so: as soon as it can make a row, only with enough rows from the source, or only
  /// with enough rows for all layers below it.
  enum class Wait { kNone, kForSource, kForLevel };
  virtual Wait waits() const { return Wait::kNone; }
  /// Rows of the result, which has `rows`, that the first `have` of an input's `all` rows suffice for.
  virtual std::int64_t rows_from(std::int64_t have, std::int64_t all, std::int64_t rows) const = 0;
  /// The first row of an input that row `row` of the result needs; may be negative.
  virtual std::int64_t first_needed(std::int64_t row) const = 0;

  // Forward.

  /// The algorithm for n pictures of h x w at the layer's level.
  virtual ConvAlgorithm algorithm(const FusedOptions&, std::int64_t /*n*/, std::int64_t /*h*/, std::int64_t /*w*/,
                                  bool /*in_steps*/) const {
    return ConvAlgorithm::kDirect;
  }
  /// Transformed weights that all steps share: how many floats, and their making.
  virtual std::int64_t prepared_floats(const BlockKernels&, ConvAlgorithm) const { return 0; }
  virtual void prepare(const BlockKernels&, ConvAlgorithm, float*) const {}
  /// Rows y0 <= y < y1 of the result.
  virtual void run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const = 0;

  // Backward.

  /// Whether x stays until backward() where activations are computed again, instead of being computed once more.
  virtual bool keeps_input() const { return false; }
  /// Adds the gradients of the parameters and of x, given that of the result (FusedGradient::gradient,
  /// output_gradient).
  virtual void backward(FusedGradient& pass) const = 0;

  virtual LayerCost cost(const LayerSizes& sizes) const = 0;

 protected:
  BlockParts parts(const std::vector<BlockMap>& maps) const;
};

}  // namespace kind
