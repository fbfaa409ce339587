#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/kernels/block_conv.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "layers/conv2d.h"
#include "tests/nets/models.h"
#include "tests/support/reference.h"

/// The nets in pieces, so that single and double precision can be made to take the same branches. A net is piecewise
/// smooth: leaky ReLU asks for a sign, pooling for the largest of four. Where the answer hangs on less than a rounding
/// error, single and double precision answer differently, values hardly differ, and gradients jump. To see rounding
/// errors of gradients alone, the nets in single precision write down their branches and the net in double takes them.
namespace kind::testing {

/// What a net decided, element by element and layer by layer: whether a value is above zero, or which of a window's
/// four is the largest (row by row).
struct Branches {
  std::vector<std::vector<unsigned char>> layers;
  std::size_t next = 0;  // of those that are taken again

  // Filled where given branches are taken: how many of them, how many elsewhere than the values themselves would go,
  // and how far the values are from the branch at most, as a part of the layer's largest.
  std::int64_t all = 0, others = 0;
  double furthest = 0;
};

/// What pooling leaves of a side.
inline std::int64_t half(std::int64_t size) { return (size + 1) / 2; }

/// The parameters of a model by name.
template <class T>
std::map<std::string, Variable<T>> by_name(const Model<T>& model) {
  std::map<std::string, Variable<T>> all;
  for (const Parameter<T>& p : model.parameters()) all.emplace(p.name, p.variable);
  return all;
}

/// Layers one by one on the public operations, with the branches they find themselves, which are appended to
/// `branches`, or, where `given`, with those that `branches` holds.
template <class T>
class PlainLayers {
 public:
  using Value = Variable<T>;

  PlainLayers(const Model<T>& model, Branches& branches, bool given)
      : parameters_(by_name(model)), branches_(branches), given_(given) {}

  Value input(const std::vector<Variable<T>>& x) const { return concat<T>(x, 1); }
  Value conv(const std::vector<Value>& x, const std::string& name, double slope) {
    return activated(sum(x, name), slope);
  }
  /// Before the sigmoid; slope 1 for none.
  Value output(const std::vector<Value>& x, const std::string& name, double slope) {
    const Value z = sum(x, name);
    return sigmoid(slope < 1 ? activated(z, slope) : z);
  }
  /// Added to the input's first channels.
  Value residual(const std::vector<Value>& x, const std::string& name, const Value& input) {
    const Value z = sum(x, name);
    return z + slice(input, 1, 0, z.shape()[1]);
  }
  Value up(const Value& x, const std::string& name, const Value& skip) const {
    return conv_transpose2d(x, parameters_.at(name + ".weight"), skip.shape()[2], skip.shape()[3]);
  }
  Value pool(const Value& x) {
    const Tensor<T> in = x.value();
    const std::int64_t h = in.shape()[2], w = in.shape()[3], oh = half(h), ow = half(w),
                       planes = in.shape()[0] * in.shape()[1];
    Tensor<T> y(in.shape().with(2, oh).with(3, ow));
    std::vector<unsigned char> own(static_cast<std::size_t>(y.size()));
    const auto at = [=](std::int64_t i, unsigned which) {
      return (i / (oh * ow) * h + i / ow % oh * 2 + which / 2) * w + i % ow * 2 + which % 2;
    };
    for (std::int64_t i = 0; i < planes * oh * ow; ++i) {
      unsigned best = 0;
      for (unsigned which = 1; which < 4; ++which) {
        const bool inside = i / ow % oh * 2 + which / 2 < h && i % ow * 2 + which % 2 < w;
        if (inside && in[at(i, which)] > in[at(i, best)]) best = which;
      }
      own[static_cast<std::size_t>(i)] = static_cast<unsigned char>(best);
    }
    const auto taken = std::make_shared<std::vector<unsigned char>>(
        decide(std::move(own), x.value(), [&](std::int64_t i, unsigned mine, unsigned theirs) {
          return static_cast<double>(in[at(i, mine)] - in[at(i, theirs)]);
        }));
    for (std::int64_t i = 0; i < y.size(); ++i) y[i] = in[at(i, (*taken)[static_cast<std::size_t>(i)])];
    return Value::from_op(std::move(y), {x}, [=](std::vector<Value>& inputs, const Tensor<T>& g) {
      Tensor<T> dx = Tensor<T>::zeros(inputs[0].shape());
      for (std::int64_t i = 0; i < g.size(); ++i) dx[at(i, (*taken)[static_cast<std::size_t>(i)])] += g[i];
      inputs[0].add_grad(dx);
    });
  }

 private:
  Value sum(const std::vector<Value>& x, const std::string& name) const {
    return conv2d(concat<T>(x, 1), parameters_.at(name + ".weight"), parameters_.at(name + ".bias"));
  }

  Value activated(const Value& z, double slope) {
    const Tensor<T> in = z.value();
    std::vector<unsigned char> own(static_cast<std::size_t>(in.size()));
    for (std::int64_t i = 0; i < in.size(); ++i) own[static_cast<std::size_t>(i)] = in[i] > 0;
    const auto taken = std::make_shared<std::vector<unsigned char>>(
        decide(std::move(own), in, [&](std::int64_t i, unsigned, unsigned) { return static_cast<double>(in[i]); }));
    const auto through = [taken, slope = static_cast<T>(slope)](const Tensor<T>& x) {
      Tensor<T> y(x.shape());
      for (std::int64_t i = 0; i < x.size(); ++i) y[i] = (*taken)[static_cast<std::size_t>(i)] ? x[i] : slope * x[i];
      return y;
    };
    return Value::from_op(through(in), {z}, [through](std::vector<Value>& inputs, const Tensor<T>& g) {
      inputs[0].add_grad(through(g));
    });
  }

  /// The layer's branches: `own`, or the given ones, which are compared with them. margin(i, own, given): how far
  /// element i is from the given branch.
  template <class Margin>
  std::vector<unsigned char> decide(std::vector<unsigned char> own, const Tensor<T>& values, const Margin& margin) {
    if (!given_) {
      branches_.layers.push_back(own);
      return own;
    }
    check(branches_.next < branches_.layers.size() && branches_.layers[branches_.next].size() == own.size(),
          "branches: those of another net or size were given");
    std::vector<unsigned char> taken = std::move(branches_.layers[branches_.next++]);
    double largest = 0, furthest = 0;
    for (std::int64_t i = 0; i < values.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(values[i])));
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (own[i] == taken[i]) continue;
      ++branches_.others;
      furthest = std::max(furthest, std::abs(margin(static_cast<std::int64_t>(i), own[i], taken[i])));
    }
    branches_.all += static_cast<std::int64_t>(own.size());
    branches_.furthest = std::max(branches_.furthest, furthest / std::max(largest, 1e-30));
    return taken;
  }

  std::map<std::string, Variable<T>> parameters_;
  Branches& branches_;
  bool given_;
};

/// The layers that the fast nets call, on whole pictures in channel blocks. They only write down branches and results:
/// whoever uses them checks that the results have the bits of the nets themselves, and so the branches are theirs.
class BlockLayers {
 public:
  using Value = const BlockMap*;

  BlockLayers(const Model<float>& model, Branches& branches)
      : exact_(model.options.exact), parameters_(by_name(model)), branches_(branches) {}

  Value input(const std::vector<Variable<float>>& x) {
    const Shape& s = x[0].shape();
    height_ = s[2], width_ = s[3];
    std::int64_t channels = 0, first = 0;
    for (const Variable<float>& part : x) channels += part.shape()[1];
    BlockMap& map = add(s[0], channels, s[2], s[3]);
    for (const Variable<float>& part : x) {
      const std::int64_t count = part.shape()[1];
      block_pack(part.value().data(), count * s[2] * s[3], count, first, &part == &x.back(), map, 0, s[2]);
      first += count;
    }
    return &map;
  }
  Value conv(const std::vector<Value>& x, const std::string& name, double slope) {
    const Tensor<float>& weight = parameters_.at(name + ".weight").value();
    const std::int64_t oc = weight.shape()[0], ic = weight.shape()[1];
    BlockMap& y = add(x[0]->n, oc, x[0]->h, x[0]->w);
    const BlockTarget target{y, nullptr, nullptr, static_cast<float>(slope)};
    block_conv(kernels_,
               {.kernel = weight.shape()[2],
                .weight = weight.data(),
                .bias = parameters_.at(name + ".bias").value().data(),
                .algorithm = choose_algorithm(ic, oc, y.n, y.h, y.w, exact_)},
               parts(x), {&target, 1}, 0, y.h);
    each(y, [](float value) { return value > 0; });
    return &y;
  }
  Value up(Value x, const std::string& name, Value skip) {
    const Tensor<float>& weight = parameters_.at(name + ".weight").value();
    BlockMap& y = add(x->n, weight.shape()[1], skip->h, skip->w);
    block_up(kernels_, *x, weight.data(), y, 0, x->h);
    return &y;
  }
  Value pool(Value x) {
    BlockMap& y = add(x->n, x->channels, half(x->h), half(x->w));
    block_pool(kernels_, *x, y, 0, y.h);
    std::vector<unsigned char> layer;
    for (std::int64_t p = 0; p < y.n * y.channels; ++p) {
      for (std::int64_t r = 0; r < y.h; ++r) {
        for (std::int64_t c = 0; c < y.w; ++c) {
          unsigned char which = 0;  // the first that is the maximum
          while (2 * r + which / 2 >= x->h || 2 * c + which % 2 >= x->w ||
                 value(*x, p, 2 * r + which / 2, 2 * c + which % 2) != value(y, p, r, c)) {
            check(++which < 4, "branches: pooling made a value that is not in its window");
          }
          layer.push_back(which);
        }
      }
    }
    branches_.layers.push_back(std::move(layer));
    return &y;
  }
  Variable<float> output(const std::vector<Value>& x, const std::string& name, double slope) {
    const Tensor<float> y = project(x, name, slope, nullptr);
    if (slope < 1) {
      branches_.layers.emplace_back();
      for (std::int64_t i = 0; i < y.size(); ++i) branches_.layers.back().push_back(y[i] > 0.5f);
    }
    return Variable<float>(y);
  }
  Variable<float> residual(const std::vector<Value>& x, const std::string& name, Value input) {
    return Variable<float>(project(x, name, 1, input));
  }

 private:
  struct Map {
    BlockMap map;
    Buffer<float> memory;
  };

  /// With the sigmoid, or plus `add`.
  Tensor<float> project(const std::vector<Value>& x, const std::string& name, double slope, const BlockMap* add) {
    const Tensor<float>& weight = parameters_.at(name + ".weight").value();
    const std::int64_t oc = weight.shape()[0], plane = height_ * width_;
    Tensor<float> y(Shape{x[0]->n, oc, height_, width_});
    std::vector<float*> planes;
    for (std::int64_t c = 0; c < oc; ++c) planes.push_back(y.data() + c * plane);
    block_project(
        kernels_,
        {.kernel = weight.shape()[2], .weight = weight.data(), .bias = parameters_.at(name + ".bias").value().data()},
        parts(x),
        {.planes = planes.data(),
         .channels = oc,
         .image = oc * plane,
         .sigmoid = add == nullptr,
         .slope = static_cast<float>(slope),
         .add = add},
        0, height_);
    return y;
  }
  BlockMap& add(std::int64_t n, std::int64_t channels, std::int64_t h, std::int64_t w) {
    BlockMap map(kernels_.lanes, n, channels, h, w, h);
    maps_.push_back({map, Buffer<float>(map.floats())});
    maps_.back().map.place(maps_.back().memory.data());
    return maps_.back().map;
  }
  static BlockParts parts(const std::vector<Value>& x) {
    return x.size() == 1 ? BlockParts(*x[0]) : BlockParts(*x[0], *x[1]);
  }
  /// Element (row, column) of plane `p` of all images' channels.
  static float value(const BlockMap& map, std::int64_t p, std::int64_t row, std::int64_t column) {
    const std::int64_t channel = p % map.channels;
    return map.row(p / map.channels, channel / map.lanes, row)[column * map.lanes + channel % map.lanes];
  }
  template <class Decide>
  void each(const BlockMap& map, const Decide& decide) {
    std::vector<unsigned char> layer;
    for (std::int64_t p = 0; p < map.n * map.channels; ++p) {
      for (std::int64_t r = 0; r < map.h; ++r) {
        for (std::int64_t c = 0; c < map.w; ++c) layer.push_back(decide(value(map, p, r, c)));
      }
    }
    branches_.layers.push_back(std::move(layer));
  }

  const BlockKernels& kernels_ = *block_kernels();
  bool exact_;
  std::map<std::string, Variable<float>> parameters_;
  Branches& branches_;
  std::list<Map> maps_;
  std::int64_t height_ = 0, width_ = 0;
};

/// Reads a net's description out to PlainLayers or BlockLayers.
template <class Layers>
class LayerReader {
 public:
  using Value = typename Layers::Value;

  template <class Config, class T>
  LayerReader(Layers& layers, const Config& config, const std::vector<Variable<T>>& x)
      : layers_(layers),
        name_(std::string(Config::kName) + "."),
        slope_(config.activation == "relu" ? 0.0 : config.slope),
        input_(layers.input(x)) {}

  Value input(const std::vector<std::int64_t>&) { return input_; }
  Value conv(const std::vector<Value>& x, const std::string& name, std::int64_t) {
    return layers_.conv(x, name_ + name, slope_);
  }
  Value pool(const Value& x) { return layers_.pool(x); }
  Value up(const Value& x, const std::string& name, std::int64_t, const Value& skip) {
    return layers_.up(x, name_ + name, skip);
  }
  void output(const std::vector<Value>& x, const std::string& name, std::int64_t, std::int64_t, OutputForm form,
              std::optional<Initializer> = {}) {
    outputs.push_back(form == OutputForm::kAddInput
                          ? layers_.residual(x, name_ + name, input_)
                          : layers_.output(x, name_ + name, form == OutputForm::kActivatedSigmoid ? slope_ : 1.0));
  }

  std::vector<decltype(std::declval<Layers&>().output({}, "", 1.0))> outputs;

 private:
  Layers& layers_;
  std::string name_;
  double slope_;
  Value input_;
};

/// One net from its layers, in the form of `config`; all its outputs.
template <class Layers, class T>
std::vector<Variable<T>> run_layers(Layers&& layers, const std::string& net, const ModelConfig& config,
                                    const std::vector<Variable<T>>& x) {
  const auto read = [&](const auto& form) {
    LayerReader<std::remove_reference_t<Layers>> reader(layers, form, x);
    form.describe(reader);
    return reader.outputs;
  };
  if (net == "adjustment") return read(*config.adjustment);
  return net == "decomposition" ? read(*config.decomposition) : read(*config.restoration);
}

/// The same net as its users run it.
template <class T>
std::vector<Variable<T>> run_net(const Model<T>& model, const std::string& net, const std::vector<Variable<T>>& x) {
  if (net == "restoration") return {(*model.restoration)(x[0], x[1])};
  if (net == "adjustment") return {(*model.adjustment)(x[0], x[1])};
  const auto parts = (*model.decomposition)(x[0]);
  return {parts.reflectance, parts.illumination};
}

/// The branches that run_net(model, net, x) took on its way to `y`. Throws Error where they could not be followed to
/// the last bit of y.
inline Branches branches_of(const Model<float>& model, const std::string& net, const std::vector<Variable<float>>& x,
                            const std::vector<Variable<float>>& y) {
  const NoGrad no_grad;
  const bool fused = net == "restoration"  ? model.restoration->fused().runnable()
                     : net == "adjustment" ? model.adjustment->fused().runnable()
                                           : model.decomposition->fused().runnable();
  Branches branches;
  const std::vector<Variable<float>> again =
      fused ? run_layers(BlockLayers(model, branches), net, model.config, x)
            : run_layers(PlainLayers<float>(model, branches, false), net, model.config, x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    check(again[i].value().to_vector() == y[i].value().to_vector(), "branches: ", net, ", output ", i,
          ": the layers' result is not the net's");
  }
  return branches;
}

/// Sends `given` back from a net's outputs, concatenated along the channels. The gradients by the parameter's name, and
/// "input 0" and so on.
template <class T>
std::map<std::string, Tensor<T>> gradients_of(const Model<T>& model, const std::vector<Variable<T>>& x,
                                              const std::vector<Variable<T>>& y, const Tensor<float>& given) {
  for (const Parameter<T>& p : model.parameters()) Variable<T>(p.variable).zero_grad();
  Variable<T> all = concat<T>(y, 1);
  all.backward(cast<T>(given));
  std::map<std::string, Tensor<T>> gradients;
  for (std::size_t i = 0; i < x.size(); ++i) gradients.emplace("input " + std::to_string(i), x[i].grad());
  for (const Parameter<T>& p : model.parameters()) {
    if (p.variable.grad().defined()) gradients.emplace(p.name, p.variable.grad().clone());
  }
  return gradients;
}

/// The largest difference of all gradients, each as a part of its tensor's largest element (of `least`, where that is
/// less); infinite where one of the two has gradients that the other has not.
inline double gradient_error(const std::map<std::string, Tensor<float>>& got,
                             const std::map<std::string, Tensor<double>>& exact, double least = 0) {
  double worst = got.size() == exact.size() ? 0 : std::numeric_limits<double>::infinity();
  for (const auto& [name, gradient] : exact) {
    const auto found = got.find(name);
    if (found == got.end()) return std::numeric_limits<double>::infinity();
    const double error = largest_difference(cast<double>(found->second), gradient);
    const double relative = error / std::max(least, largest_magnitude(gradient));
    if (!(relative <= worst)) worst = relative;
  }
  return worst;
}

}  // namespace kind::testing
