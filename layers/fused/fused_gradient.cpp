#include "layers/fused/fused_gradient.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/base/memory.h"
#include "core/base/parallel.h"

namespace kind {

/// One pass of a net with gradients: the activations, and what becomes of them on the way back.
class FusedGradient {
 public:
  FusedGradient(const FusedNet& net, const std::vector<Variable<float>>& inputs)
      : net_(net),
        kernels_(*block_kernels()),
        n_(inputs[0].shape()[0]),
        h_(inputs[0].shape()[2]),
        w_(inputs[0].shape()[3]),
        recompute_(net.options().recompute),
        maps_(net.values_.size()),
        memory_(net.values_.size()),
        readers_(net.values_.size(), 0),
        used_(net.nodes_.size()) {
    for (const Node& node : net.nodes_) algorithms_.push_back(net.algorithm(node, n_, h_, w_));
    // From the end, so that all readers of a value come before its node.
    for (std::size_t i = net.nodes_.size(); i-- > 0;) {
      const Node& node = net.nodes_[i];
      used_[i] = node.y < 0 || readers_[index(node.y)] > 0;
      if (!used_[i]) continue;
      for (const auto x : node.x) ++readers_[index(x)];
    }
    for (const Variable<float>& input : inputs) inputs_.push_back(input.value());
  }

  Tensor<float> forward() {
    output_ = Tensor<float>(Shape{n_, net_.output_channels(), h_, w_});
    std::vector<int> left = readers_;
    for (std::size_t i = 0; i < net_.nodes_.size(); ++i) {
      if (!used_[i]) continue;
      run(i);
      for (const auto x : net_.nodes_[i].x) {
        if (--left[index(x)] == 0 && recompute_ && !kept(x)) memory_[index(x)].reset();
      }
    }
    return output_;
  }

  /// Adds the gradients to `leaves` (inputs, then the layers' parameters), given that to the outputs.
  void backward(std::vector<Variable<float>>& leaves, const Tensor<float>& grad_out) {
    gradients_ = std::vector<Gradient>(net_.values_.size());
    std::size_t parameter = leaves.size();
    for (std::size_t i = net_.nodes_.size(); i-- > 0;) {
      const Node& node = net_.nodes_[i];
      if (node.kind == Kind::kInput) continue;
      Variable<float>* bias = node.bias.defined() ? &leaves[--parameter] : nullptr;
      Variable<float>* weight = node.weight.defined() ? &leaves[--parameter] : nullptr;
      if (!used_[i]) continue;
      for (const auto x : node.x) ensure(x);
      if (node.kind == Kind::kOutput) {
        back_output(i, grad_out, weight, bias, leaves);
      } else {
        const std::size_t y = index(node.y);
        if (node.kind == Kind::kConv) back_conv(i, gradients_[y].map, weight, bias, leaves);
        if (node.kind == Kind::kPool) back_pool(node);
        if (node.kind == Kind::kUp) back_up(node, weight);
        gradients_[y].memory.reset();
        memory_[y].reset();
      }
    }
    memory_.clear();
    gradients_.clear();
  }

 private:
  using Kind = FusedNet::Kind;
  using Node = FusedNet::Node;
  using Value = FusedNet::Value;

  struct Gradient {
    std::optional<Buffer<float>> memory;
    BlockMap map;
    int arrived = 0;  // readers whose share is in
  };

  static std::size_t index(Value v) { return static_cast<std::size_t>(v); }
  std::int64_t height(Value v) const { return FusedNet::at_level(h_, net_.values_[index(v)].level); }
  std::int64_t width(Value v) const { return FusedNet::at_level(w_, net_.values_[index(v)].level); }
  BlockMap shape_of(Value v) const {
    return {kernels_.lanes, n_, net_.values_[index(v)].channels, height(v), width(v), height(v)};
  }

  // When activations are computed again, the input stays, and what a later block starts from: values with several
  // readers, and those that an up-convolution or an output reads.
  bool kept(Value v) const {
    if (v == 0 || readers_[index(v)] > 1) return true;
    for (const Node& node : net_.nodes_) {
      const bool reads = std::find(node.x.begin(), node.x.end(), v) != node.x.end();
      if (reads && (node.kind == Kind::kUp || node.kind == Kind::kOutput)) return true;
    }
    return false;
  }

  void allocate(Value v) {
    maps_[index(v)] = shape_of(v);
    memory_[index(v)].emplace(maps_[index(v)].floats());
    maps_[index(v)].place(memory_[index(v)]->data());
  }

  void run(std::size_t i) {
    const Node& node = net_.nodes_[i];
    if (node.y >= 0) allocate(node.y);
    if (node.kind == Kind::kInput) {
      std::int64_t first = 0;
      for (std::size_t k = 0; k < inputs_.size(); ++k) {
        const std::int64_t channels = net_.input_sizes_[k];
        block_pack(inputs_[k].data(), channels * h_ * w_, channels, first, k + 1 == inputs_.size(), maps_[0], 0, h_);
        first += channels;
      }
      return;
    }
    std::vector<float*> outputs;
    for (std::int64_t c = 0; c < net_.output_channels(); ++c) outputs.push_back(output_.data() + c * h_ * w_);
    const std::int64_t rows = node.y < 0 ? h_ : node.kind == Kind::kUp ? height(node.x[0]) : height(node.y);
    net_.run_node(kernels_, node, algorithms_[i], maps_, outputs, net_.output_channels() * h_ * w_, 0, rows);
  }

  /// Computes a value again that was given up.
  void ensure(Value v) {
    if (memory_[index(v)]) return;
    for (std::size_t i = 0; i < net_.nodes_.size(); ++i) {
      if (net_.nodes_[i].y != v) continue;
      for (const auto x : net_.nodes_[i].x) ensure(x);
      run(i);
    }
  }

  BlockParts parts(const Node& node) const {
    const BlockMap& first = maps_[index(node.x[0])];
    return node.x.size() == 1 ? BlockParts(first) : BlockParts(first, maps_[index(node.x[1])]);
  }

  /// Where one more share of the gradient to `v` goes: added to what has arrived, and with the last one times the
  /// gradient of the activation that made `v`.
  BlockTarget share(Value v) {
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
    if (++g.arrived == readers_[index(v)] && net_.values_[index(v)].activated) {
      target.mask = maps_[index(v)].data;
      target.slope = net_.slope_;
    }
    return target;
  }

  void back_output(std::size_t i, const Tensor<float>& grad_out, Variable<float>* weight, Variable<float>* bias,
                   std::vector<Variable<float>>& leaves) {
    const Node& node = net_.nodes_[i];
    const std::int64_t oc = node.weight.shape()[0], plane = h_ * w_, channels = net_.output_channels();
    BlockMap map(kernels_.lanes, n_, oc, h_, w_, h_);
    Buffer<float> memory(map.floats());
    map.place(memory.data());
    if (node.adds_input()) {
      const float* dy = grad_out.data() + node.first_output * plane;
      block_pack(dy, channels * plane, oc, 0, true, map, 0, h_);
      if (leaves[0].requires_grad()) {
        Tensor<float> part(inputs_[0].shape());
        for (std::int64_t in = 0; in < n_; ++in) {
          std::copy_n(dy + in * channels * plane, oc * plane, part.data() + in * oc * plane);
        }
        leaves[0].add_grad(part);
      }
      return back_conv(i, map, weight, bias, leaves);
    }
    // Through the sigmoid y, whose value is above a half where the activation before it was above zero.
    Buffer<float> dz(n_ * oc * plane);
    const float below = node.form == FusedNet::OutputForm::kActivatedSigmoid ? net_.slope_ : 1.0f;
    parallel_for(n_ * oc, std::max<std::int64_t>(1, 16384 / plane), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int64_t from = (p / oc * channels + node.first_output + p % oc) * plane;
        const float* y = output_.data() + from;
        const float* dy = grad_out.data() + from;
        float* to = dz.data() + p * plane;
        for (std::int64_t k = 0; k < plane; ++k) to[k] = dy[k] * (y[k] * (1 - y[k])) * (y[k] > 0.5f ? 1.0f : below);
      }
    });
    block_pack(dz.data(), oc * plane, oc, 0, true, map, 0, h_);
    back_conv(i, map, weight, bias, leaves);
  }

  void back_conv(std::size_t i, const BlockMap& dy, Variable<float>* weight, Variable<float>* bias,
                 std::vector<Variable<float>>& leaves) {
    const Node& node = net_.nodes_[i];
    if (weight->requires_grad() || bias->requires_grad()) {
      Tensor<float> dweight(weight->shape()), dbias(bias->shape());
      block_weight_gradient(kernels_, algorithms_[i], node.kernel(), parts(node), dy, dweight.data(), dbias.data());
      weight->add_grad(dweight);
      bias->add_grad(dbias);
    }
    if (node.x[0] == 0) return back_input(node, dy, leaves);
    BlockTarget targets[2];
    for (std::size_t k = 0; k < node.x.size(); ++k) targets[k] = share(node.x[k]);
    block_conv(kernels_, algorithms_[i], node.kernel(), WeightUse::kInputGradient, dy, node.weight.value().data(),
               nullptr, targets, static_cast<int>(node.x.size()), 0, dy.h);
  }

  void back_input(const Node& node, const BlockMap& dy, std::vector<Variable<float>>& leaves) {
    bool wanted = false;
    for (std::size_t k = 0; k < inputs_.size(); ++k) wanted = wanted || leaves[k].requires_grad();
    if (!wanted) return;
    // All inputs at once, in groups of the four channels that one projection makes.
    const std::int64_t channels = net_.input_channels(), plane = h_ * w_, taps = node.kernel() * node.kernel();
    Tensor<float> all(Shape{n_, channels, h_, w_});
    const std::int64_t oc = node.weight.shape()[0];
    for (std::int64_t first = 0; first < channels; first += 4) {
      const std::int64_t count = std::min<std::int64_t>(4, channels - first);
      Buffer<float> weight(oc * count * taps);
      for (std::int64_t o = 0; o < oc; ++o) {
        std::copy_n(node.weight.value().data() + (o * channels + first) * taps, count * taps,
                    weight.data() + o * count * taps);
      }
      float* planes[4] = {};
      for (std::int64_t c = 0; c < count; ++c) planes[c] = all.data() + (first + c) * plane;
      block_project(kernels_, node.kernel(), WeightUse::kInputGradient, dy, weight.data(), nullptr, count, false, 1,
                    planes, channels * plane, 0, h_);
    }
    std::int64_t first = 0;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      const std::int64_t count = net_.input_sizes_[k];
      Tensor<float> part(inputs_[k].shape());
      for (std::int64_t in = 0; in < n_; ++in) {
        std::copy_n(all.data() + (in * channels + first) * plane, count * plane, part.data() + in * count * plane);
      }
      leaves[k].add_grad(part);
      first += count;
    }
  }

  void back_pool(const Node& node) {
    const BlockTarget target = share(node.x[0]);
    block_pool_gradient(kernels_, maps_[index(node.x[0])], maps_[index(node.y)], gradients_[index(node.y)].map,
                        target.add, target.slope, target.map);
  }

  void back_up(const Node& node, Variable<float>* weight) {
    const BlockMap& dy = gradients_[index(node.y)].map;
    if (weight->requires_grad()) {
      Tensor<float> dweight(weight->shape());
      block_up_weight_gradient(kernels_, maps_[index(node.x[0])], dy, dweight.data());
      weight->add_grad(dweight);
    }
    block_up_input_gradient(kernels_, dy, node.weight.value().data(), share(node.x[0]));
  }

  const FusedNet net_;  // its own, since the graph may outlive the caller's
  const BlockKernels& kernels_;
  const std::int64_t n_, h_, w_;
  const bool recompute_;
  std::vector<ConvAlgorithm> algorithms_;
  std::vector<Tensor<float>> inputs_;
  Tensor<float> output_;
  std::vector<BlockMap> maps_;
  std::vector<std::optional<Buffer<float>>> memory_;
  std::vector<int> readers_;  // of each value, those that an output depends on
  std::vector<char> used_;    // of each node, whether an output depends on it
  std::vector<Gradient> gradients_;
};

Variable<float> fused_with_gradients(const FusedNet& net, const std::vector<Variable<float>>& inputs,
                                     const std::vector<Variable<float>>& leaves) {
  const auto pass = std::make_shared<FusedGradient>(net, inputs);
  Tensor<float> y = pass->forward();
  return Variable<float>::from_op(
      std::move(y), leaves,
      [pass](std::vector<Variable<float>>& all, const Tensor<float>& grad_out) { pass->backward(all, grad_out); });
}

}  // namespace kind
