#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/error.h"
#include "layers/fused/fused_layers.h"
#include "layers/fused/fused_net.h"

// How a FusedNet is written down, and what is checked of it.

namespace kind {
namespace {

/// What the blocks of every kernel set divide.
constexpr std::int64_t kBlockChannels = 32;
constexpr std::int64_t kMostInputs = 4, kMostOutputs = 4;
/// Of a picture's sides, so that they fit an int.
constexpr std::int64_t kLongestSide = 0x7fffffff;

}  // namespace

FusedNet::FusedNet(float slope) : slope_(slope) {
  check(slope >= 0 && slope <= 1, "fused net: expected a slope from 0 to 1, got ", slope);
}

FusedNet::Value FusedNet::add_layer(std::shared_ptr<FusedLayer> layer, const ValueShape& makes) {
  values_.push_back(makes);
  layer->y = static_cast<Value>(values_.size()) - 1;
  layers_.push_back(std::move(layer));
  return layers_.back()->y;
}

void FusedNet::check_value(const char* layer, Value x) const {
  check(x >= 0 && static_cast<std::size_t>(x) < values_.size(), "fused net: ", layer, ": expected one of the ",
        values_.size(), " values so far, got ", x);
}

void FusedNet::check_convolution(const char* layer, const std::vector<Value>& x, const Variable<float>& weight,
                                 const Variable<float>& bias) const {
  check(x.size() == 1 || x.size() == 2, "fused net: ", layer, ": expected one or two values, got ", x.size());
  std::int64_t channels = 0;
  for (const Value value : x) {
    check_value(layer, value);
    channels += shape_of(value).channels;
  }
  if (x.size() == 2) {
    check(x[0] != x[1] && x[0] != 0 && x[1] != 0, "fused net: ", layer,
          ": expected two different values, neither of them the input, got ", x[0], " and ", x[1]);
    check(shape_of(x[0]).level == shape_of(x[1]).level, "fused net: ", layer, ": expected values of one level, got ",
          shape_of(x[0]).level, " and ", shape_of(x[1]).level);
  }
  check(weight.defined() && bias.defined(), "fused net: ", layer, ": expected a weight and a bias, got none");
  const Shape& w = weight.shape();
  check(w.rank() == 4 && w[0] >= 1 && w[1] == channels && w[2] >= 1 && w[2] == w[3], "fused net: ", layer,
        ": expected a weight [oc, ", channels, ", k, k], got ", w);
  check(bias.shape() == Shape{w[0]}, "fused net: ", layer, ": expected a bias [", w[0], "], got ", bias.shape());
}

FusedNet::Value FusedNet::input(const std::vector<std::int64_t>& channels) {
  std::int64_t sum = 0;
  bool positive = true;
  for (const std::int64_t c : channels) {
    positive = positive && c >= 1;
    sum += std::clamp<std::int64_t>(c, 0, kMostInputs + 1);
  }
  check(values_.empty() && positive && sum >= 1 && sum <= kMostInputs,
        "fused net: expected one input of 1 to 4 channels");
  input_sizes_ = channels;
  return add_layer(std::make_shared<InputLayer>(), {sum, 0, false});
}

FusedNet::Value FusedNet::conv(const std::vector<Value>& x, const Variable<float>& weight,
                               const Variable<float>& bias) {
  check_convolution("conv", x, weight, bias);
  auto layer = std::make_shared<ConvLayer>();
  layer->x = x;
  layer->weight = weight;
  layer->bias = bias;
  return add_layer(std::move(layer), {weight.shape()[0], shape_of(x[0]).level, true});
}

FusedNet::Value FusedNet::pool(Value x) {
  check_value("pool", x);
  auto layer = std::make_shared<PoolLayer>();
  layer->x = {x};
  return add_layer(std::move(layer), {shape_of(x).channels, shape_of(x).level + 1, false});
}

FusedNet::Value FusedNet::up(Value x, const Variable<float>& weight) {
  check_value("up", x);
  const ValueShape from = shape_of(x);
  check(from.level >= 1, "fused net: up: expected a value of level 1 or more, got one of level ", from.level);
  check(weight.defined(), "fused net: up: expected a weight, got none");
  const Shape& w = weight.shape();
  check(w.rank() == 4 && w[0] == from.channels && w[1] >= 1 && w[2] == 2 && w[3] == 2,
        "fused net: up: expected a weight [", from.channels, ", oc, 2, 2], got ", w);
  auto layer = std::make_shared<UpLayer>();
  layer->x = {x};
  layer->weight = weight;
  return add_layer(std::move(layer), {w[1], from.level - 1, false});
}

void FusedNet::output(const std::vector<Value>& x, const Variable<float>& weight, const Variable<float>& bias,
                      OutputForm form) {
  check_convolution("output", x, weight, bias);
  const std::int64_t channels = weight.shape()[0];
  check(channels <= kMostOutputs, "fused net: output: expected 1 to ", kMostOutputs, " channels, got ", channels);
  check(shape_of(x[0]).level == 0, "fused net: output: expected values of level 0, got level ", shape_of(x[0]).level);
  check(form != OutputForm::kAddInput || input_sizes_[0] == channels, "fused net: an output of ", channels,
        " channels cannot be added to an input of ", input_sizes_[0]);
  auto layer = std::make_shared<OutputLayer>(form);
  layer->x = x;
  layer->weight = weight;
  layer->bias = bias;
  layer->first_output = output_channels_;
  layers_.push_back(std::move(layer));
  output_channels_ += channels;
}

bool FusedNet::runnable() const {
  if (!block_kernels() || output_channels_ == 0) return false;
  for (const auto& layer : layers_) {
    if (!layer->runnable()) return false;
    if (!layer->x.empty() && !layer->is_output() && shape_of(layer->y).channels % kBlockChannels != 0) return false;
  }
  return true;
}

void FusedNet::check_runnable(std::int64_t h, std::int64_t w) const {
  check(output_channels_ > 0, "fused net: it has no output, expected one at least");
  check(
      block_kernels() != nullptr, "fused net: the kernel set ", [] { return current_isa(); },
      " has no channel blocks; run the net layer by layer, as where runnable() is false");
  check(runnable(), "fused net: expected kernels of 1x1 or 3x3 and multiples of ", kBlockChannels,
        " channels in all layers; run the net layer by layer, as where runnable() is false");
  check(h >= 1 && h <= kLongestSide && w >= 1 && w <= kLongestSide, "fused net: expected sides from 1 to ",
        kLongestSide, ", got ", h, " and ", w);
}

}  // namespace kind
