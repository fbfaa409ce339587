#include "layers/fused/fused_gradient.h"

#include <algorithm>
#include <memory>

#include "core/autograd/batch_part.h"

namespace kind {

FusedGradient::FusedGradient(const FusedNet& net, const std::vector<Variable<float>>& inputs)
    : net_(net),
      kernels_(*block_kernels()),
      n_(inputs[0].shape()[0]),
      h_(inputs[0].shape()[2]),
      w_(inputs[0].shape()[3]),
      pairs_(BatchPart::pairs_of(n_)),
      recompute_(net.options().recompute),
      maps_(net.values_.size()),
      memory_(net.values_.size()),
      readers_(net.values_.size(), 0),
      used_(net.layers_.size()) {
  // That of the whole batch, so that a part of it has the same bits.
  const std::int64_t whole = BatchPart::whole(n_);
  for (const auto& layer : net.layers_) algorithms_.push_back(net.algorithm(*layer, whole, h_, w_));
  // From the end, so that all readers of a value come before its layer.
  for (std::size_t i = net.layers_.size(); i-- > 0;) {
    const FusedLayer& layer = *net.layers_[i];
    used_[i] = layer.is_output() || readers_[index(layer.y)] > 0;
    if (!used_[i]) continue;
    for (const Value x : layer.x) ++readers_[index(x)];
  }
  for (const Variable<float>& input : inputs) inputs_.push_back(input.value());
}

Tensor<float> FusedGradient::forward() {
  output_ = Tensor<float>(Shape{n_, net_.output_channels(), h_, w_});
  std::vector<int> left = readers_;
  for (std::size_t i = 0; i < net_.layers_.size(); ++i) {
    if (!used_[i]) continue;
    run(i);
    for (const Value x : net_.layers_[i]->x) {
      if (--left[index(x)] == 0 && recompute_ && !kept(x)) memory_[index(x)].reset();
    }
  }
  return output_;
}

void FusedGradient::backward(std::vector<Variable<float>>& leaves, const Tensor<float>& output_gradient) {
  gradients_ = std::vector<Gradient>(net_.values_.size());
  leaves_ = &leaves;
  output_gradient_ = &output_gradient;
  std::size_t parameter = leaves.size();
  for (std::size_t i = net_.layers_.size(); i-- > 0;) {
    const FusedLayer& layer = *net_.layers_[i];
    bias_ = layer.bias.defined() ? &leaves[--parameter] : nullptr;
    weight_ = layer.weight.defined() ? &leaves[--parameter] : nullptr;
    if (!used_[i] || layer.x.empty()) continue;
    for (const Value x : layer.x) ensure(x);
    current_ = i;
    layer.backward(*this);
    if (layer.is_output()) continue;
    gradients_[index(layer.y)].memory.reset();
    memory_[index(layer.y)].reset();
  }
  memory_.clear();
  gradients_.clear();
}

BlockMap FusedGradient::shape_of(Value v) const {
  const FusedNet::ValueShape& shape = net_.shape_of(v);
  const std::int64_t h = FusedNet::at_level(h_, shape.level), w = FusedNet::at_level(w_, shape.level);
  return {kernels_.lanes, n_, shape.channels, h, w, h};
}

// When activations are computed again, the input stays, and what a later block starts from: values with several
// readers, and those that an up-convolution or an output reads.
bool FusedGradient::kept(Value v) const {
  if (v == 0 || readers_[index(v)] > 1) return true;
  return std::any_of(net_.layers_.begin(), net_.layers_.end(), [&](const auto& layer) {
    return layer->keeps_input() && std::find(layer->x.begin(), layer->x.end(), v) != layer->x.end();
  });
}

void FusedGradient::run(std::size_t i) {
  const FusedLayer& layer = *net_.layers_[i];
  std::int64_t rows = h_;
  if (!layer.is_output()) {
    BlockMap& map = maps_[index(layer.y)];
    map = shape_of(layer.y);
    memory_[index(layer.y)].emplace(map.floats());
    map.place(memory_[index(layer.y)]->data());
    rows = map.h;
  }
  const std::int64_t plane = h_ * w_;
  std::vector<FusedPass::Plane> inputs;
  for (const Tensor<float>& input : inputs_) {
    const std::int64_t channels = input.shape()[1];
    for (std::int64_t c = 0; c < channels; ++c) inputs.push_back({input.data() + c * plane, channels * plane});
  }
  std::vector<float*> outputs;
  for (std::int64_t c = 0; c < net_.output_channels(); ++c) outputs.push_back(output_.data() + c * plane);
  layer.run({.kernels = kernels_,
             .slope = net_.slope_,
             .maps = maps_,
             .algorithm = algorithms_[i],
             .inputs = inputs,
             .outputs = outputs.data(),
             .output_image = net_.output_channels() * plane},
            0, rows);
}

/// Computes a value again that was given up.
void FusedGradient::ensure(Value v) {
  if (memory_[index(v)]) return;
  for (std::size_t i = 0; i < net_.layers_.size(); ++i) {
    if (net_.layers_[i]->y != v) continue;
    for (const Value x : net_.layers_[i]->x) ensure(x);
    run(i);
  }
}

BlockTarget FusedGradient::share(Value v) {
  Gradient& g = gradients_[index(v)];
  BlockTarget target;
  if (g.arrived == 0) {
    g.map = shape_of(v);
    g.memory.emplace(g.map.floats());
    g.map.place(g.memory->data());
  } else {
    target.add = g.map.data;
  }
  target.map = g.map;
  if (++g.arrived == readers_[index(v)] && net_.shape_of(v).activated) {
    target.mask = maps_[index(v)].data;
    target.slope = net_.slope_;
  }
  return target;
}

bool FusedGradient::inputs_want_gradients() const {
  return std::any_of(leaves_->begin(), leaves_->begin() + static_cast<std::ptrdiff_t>(inputs_.size()),
                     [](const Variable<float>& leaf) { return leaf.requires_grad(); });
}

void FusedGradient::add_to_inputs(const Tensor<float>& gradient, std::int64_t first, std::size_t count) {
  const std::int64_t channels = gradient.shape()[1], plane = h_ * w_;
  for (std::size_t k = 0; k < std::min(count, inputs_.size()); ++k) {
    const std::int64_t own = inputs_[k].shape()[1];
    if ((*leaves_)[k].requires_grad()) {
      Tensor<float> part(inputs_[k].shape());
      for (std::int64_t in = 0; in < n_; ++in) {
        std::copy_n(gradient.data() + (in * channels + first) * plane, own * plane, part.data() + in * own * plane);
      }
      (*leaves_)[k].add_grad(part);
    }
    first += own;
  }
}

Variable<float> fused_with_gradients(const FusedNet& net, const std::vector<Variable<float>>& inputs,
                                     const std::vector<Variable<float>>& leaves) {
  const auto pass = std::make_shared<FusedGradient>(net, inputs);
  Tensor<float> y = pass->forward();
  return Variable<float>::from_op(
      std::move(y), leaves,
      [pass](std::vector<Variable<float>>& all, const Tensor<float>& grad_out) { pass->backward(all, grad_out); });
}

}  // namespace kind
