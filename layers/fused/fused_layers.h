#pragma once

#include <algorithm>

#include "layers/fused/fused_layer.h"

// The kinds of layers, each with the comment of the function of FusedNet that adds it.
namespace kind {

/// Planes to a blocked tensor. It has no gradient of its own: who reads it sends that to the inputs.
class InputLayer : public FusedLayer {
 public:
  Wait waits() const override { return Wait::kForSource; }
  std::int64_t rows_from(std::int64_t, std::int64_t, std::int64_t rows) const override { return rows; }
  std::int64_t first_needed(std::int64_t row) const override { return row; }
  void run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const override;
  void backward(FusedGradient&) const override {}
  LayerCost cost(const LayerSizes& sizes) const override;
};

class ConvLayer : public FusedLayer {
 public:
  bool runnable() const override { return kernel() == 1 || kernel() == 3; }
  std::int64_t rows_from(std::int64_t have, std::int64_t all, std::int64_t rows) const override {
    return have == all ? rows : have - kernel() / 2;
  }
  std::int64_t first_needed(std::int64_t row) const override { return row - kernel() / 2; }
  ConvAlgorithm algorithm(const FusedOptions& options, std::int64_t n, std::int64_t h, std::int64_t w,
                          bool in_steps) const override;
  std::int64_t prepared_floats(const BlockKernels& kernels, ConvAlgorithm algorithm) const override;
  void prepare(const BlockKernels& kernels, ConvAlgorithm algorithm, float* prepared) const override;
  void run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const override;
  void backward(FusedGradient& pass) const override;
  LayerCost cost(const LayerSizes& sizes) const override;

 protected:
  std::int64_t kernel() const { return weight.shape()[2]; }
  BlockConvolution convolution() const;
  /// The gradients, given that of the values before activation or sigmoid.
  void backward_from(FusedGradient& pass, const BlockMap& dy) const;

 private:
  void backward_to_inputs(FusedGradient& pass, const BlockMap& dy) const;
};

/// A convolution to planes.
class OutputLayer : public ConvLayer {
 public:
  explicit OutputLayer(FusedNet::OutputForm form) : form_(form) {}

  bool adds_input() const override { return form_ == FusedNet::OutputForm::kAddInput; }
  ConvAlgorithm algorithm(const FusedOptions&, std::int64_t, std::int64_t, std::int64_t, bool) const override {
    return ConvAlgorithm::kDirect;
  }
  std::int64_t prepared_floats(const BlockKernels&, ConvAlgorithm) const override { return 0; }
  void run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const override;
  bool keeps_input() const override { return true; }
  void backward(FusedGradient& pass) const override;
  LayerCost cost(const LayerSizes& sizes) const override;

 private:
  FusedNet::OutputForm form_;
};

class PoolLayer : public FusedLayer {
 public:
  Wait waits() const override { return Wait::kForLevel; }
  std::int64_t rows_from(std::int64_t have, std::int64_t all, std::int64_t rows) const override {
    return have == all ? rows : have / 2;
  }
  std::int64_t first_needed(std::int64_t row) const override { return 2 * row; }
  void run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const override;
  void backward(FusedGradient& pass) const override;
  LayerCost cost(const LayerSizes& sizes) const override;
};

class UpLayer : public FusedLayer {
 public:
  std::int64_t rows_from(std::int64_t have, std::int64_t, std::int64_t rows) const override {
    return std::min(rows, 2 * have);
  }
  std::int64_t first_needed(std::int64_t row) const override { return row / 2; }
  void run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const override;
  bool keeps_input() const override { return true; }
  void backward(FusedGradient& pass) const override;
  LayerCost cost(const LayerSizes& sizes) const override;
};

}  // namespace kind
