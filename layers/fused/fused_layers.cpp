#include "layers/fused/fused_layers.h"

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "layers/fused/fused_gradient.h"

namespace kind {
namespace {

std::string convolution_name(const char* layer, std::int64_t kernel, const LayerSizes& sizes) {
  const std::int64_t tile = algorithm_rows(sizes.algorithm);
  return join(layer, " ", kernel, "x", kernel, " ", sizes.ic, ">", sizes.oc,
              tile == 1   ? " direct"
              : tile == 4 ? " winograd4"
                          : " winograd6");
}

double pixels_of(const LayerSizes& sizes) { return static_cast<double>(sizes.h * sizes.w); }

}  // namespace

bool FusedLayer::reads(Value v) const {
  return (adds_input() && v == 0) || std::find(x.begin(), x.end(), v) != x.end();
}

BlockParts FusedLayer::parts(const std::vector<BlockMap>& maps) const {
  const BlockMap& first = maps[static_cast<std::size_t>(x[0])];
  return x.size() == 1 ? BlockParts(first) : BlockParts(first, maps[static_cast<std::size_t>(x[1])]);
}

// Input

void InputLayer::run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const {
  const auto channels = static_cast<std::int64_t>(pass.inputs.size());
  for (std::int64_t c = 0; c < channels; ++c) {
    const FusedPass::Plane& plane = pass.inputs[static_cast<std::size_t>(c)];
    block_pack(plane.data, plane.image, 1, c, c + 1 == channels, pass.maps[0], y0, y1, pass.first_row);
  }
}

LayerCost InputLayer::cost(const LayerSizes& sizes) const { return {join("input ", sizes.oc)}; }

// Convolution

BlockConvolution ConvLayer::convolution() const {
  return {.kernel = kernel(), .weight = weight.value().data(), .bias = bias.value().data()};
}

ConvAlgorithm ConvLayer::algorithm(const FusedOptions& options, std::int64_t n, std::int64_t h, std::int64_t w,
                                   bool in_steps) const {
  if (kernel() != 3) return ConvAlgorithm::kDirect;
  const std::int64_t oc = weight.shape()[0], ic = weight.shape()[1];
  // Pictures that go through in several steps: smaller tiles let fewer rows wait, and their weights are sooner made.
  if (!options.exact && in_steps && weights_by_slices(ic, oc)) return ConvAlgorithm::kWinograd4;
  return choose_algorithm(ic, oc, n, h, w, options.exact);
}

std::int64_t ConvLayer::prepared_floats(const BlockKernels& kernels, ConvAlgorithm algorithm) const {
  return kind::prepared_floats(kernels, algorithm, weight.shape()[1], weight.shape()[0]);
}

void ConvLayer::prepare(const BlockKernels& kernels, ConvAlgorithm algorithm, float* prepared) const {
  prepare_weights(kernels, algorithm, weight.value().data(), weight.shape()[1], weight.shape()[0], prepared);
}

void ConvLayer::run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const {
  BlockConvolution conv = convolution();
  conv.algorithm = pass.algorithm;
  conv.prepared = pass.prepared;
  const BlockTarget target{pass.maps[static_cast<std::size_t>(y)], nullptr, nullptr, pass.slope};
  block_conv(pass.kernels, conv, parts(pass.maps), {&target, 1}, y0, y1);
}

void ConvLayer::backward(FusedGradient& pass) const { backward_from(pass, pass.gradient(y)); }

void ConvLayer::backward_from(FusedGradient& pass, const BlockMap& dy) const {
  Variable<float>&dw = pass.weight(), &db = pass.bias();
  if (dw.requires_grad() || db.requires_grad()) {
    Tensor<float> dweight(weight.shape()), dbias(bias.shape());
    block_weight_gradient(pass.kernels(), pass.algorithm(), kernel(), parts(pass.maps()), dy, pass.pairs(),
                          dweight.data(), dbias.data());
    dw.add_grad(dweight);
    db.add_grad(dbias);
  }
  if (x[0] == 0) return backward_to_inputs(pass, dy);
  std::vector<BlockTarget> targets;
  for (const Value v : x) targets.push_back(pass.share(v));
  BlockConvolution conv = convolution();
  conv.bias = nullptr;
  conv.use = WeightUse::kInputGradient;
  conv.algorithm = pass.algorithm();
  block_conv(pass.kernels(), conv, dy, targets, 0, dy.h);
}

void ConvLayer::backward_to_inputs(FusedGradient& pass, const BlockMap& dy) const {
  if (!pass.inputs_want_gradients()) return;
  // All inputs at once, in groups of the four channels that one projection makes.
  const std::int64_t channels = weight.shape()[1], plane = dy.h * dy.w, taps = kernel() * kernel();
  Tensor<float> all(Shape{dy.n, channels, dy.h, dy.w});
  const std::int64_t oc = weight.shape()[0];
  for (std::int64_t first = 0; first < channels; first += 4) {
    const std::int64_t count = std::min<std::int64_t>(4, channels - first);
    Buffer<float> part(oc * count * taps);
    for (std::int64_t o = 0; o < oc; ++o) {
      std::copy_n(weight.value().data() + (o * channels + first) * taps, count * taps, part.data() + o * count * taps);
    }
    float* planes[4] = {};
    for (std::int64_t c = 0; c < count; ++c) planes[c] = all.data() + (first + c) * plane;
    const BlockConvolution conv{.kernel = kernel(), .weight = part.data(), .use = WeightUse::kInputGradient};
    block_project(pass.kernels(), conv, dy, {.planes = planes, .channels = count, .image = channels * plane}, 0, dy.h);
  }
  pass.add_to_inputs(all, 0);
}

LayerCost ConvLayer::cost(const LayerSizes& sizes) const {
  const std::int64_t tile = algorithm_rows(sizes.algorithm);
  const double both = static_cast<double>(sizes.ic * sizes.oc),
               weights = both * static_cast<double>(kernel() * kernel());
  const std::int64_t tiles_down = (sizes.h + tile - 1) / tile, tiles_across = (sizes.w + tile - 1) / tile;
  const auto tiles = static_cast<double>(tiles_down * tiles_across);
  LayerCost cost{convolution_name("conv", kernel(), sizes)};
  cost.weights = weights;
  cost.products = tile == 1 ? pixels_of(sizes) * weights : tiles * static_cast<double>((tile + 2) * (tile + 2)) * both;
  cost.flops = 2 * pixels_of(sizes) * weights;
  return cost;
}

// Output

void OutputLayer::run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const {
  const PlaneTarget target{.planes = pass.outputs + first_output,
                           .channels = weight.shape()[0],
                           .image = pass.output_image,
                           .first_row = pass.first_row,
                           .sigmoid = !adds_input(),
                           .slope = form_ == FusedNet::OutputForm::kActivatedSigmoid ? pass.slope : 1.0f,
                           .add = adds_input() ? &pass.maps[0] : nullptr};
  block_project(pass.kernels, convolution(), parts(pass.maps), target, y0, y1);
}

void OutputLayer::backward(FusedGradient& pass) const {
  const Tensor<float>&dy = pass.output_gradient(), &result = pass.output();
  const std::int64_t n = dy.shape()[0], channels = dy.shape()[1], h = dy.shape()[2], w = dy.shape()[3];
  const std::int64_t oc = weight.shape()[0], plane = h * w;
  BlockMap map(pass.kernels().lanes, n, oc, h, w, h);
  Buffer<float> memory(map.floats());
  map.place(memory.data());
  if (adds_input()) {
    block_pack(dy.data() + first_output * plane, channels * plane, oc, 0, true, map, 0, h);
    pass.add_to_inputs(dy, first_output, 1);
    return backward_from(pass, map);
  }
  // Through the sigmoid y, whose value is above a half where the activation before it was above zero.
  Buffer<float> dz(n * oc * plane);
  const float below = form_ == FusedNet::OutputForm::kActivatedSigmoid ? pass.slope() : 1.0f;
  parallel_for(n * oc, std::max<std::int64_t>(1, 16384 / plane), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t from = (p / oc * channels + first_output + p % oc) * plane;
      const float *s = result.data() + from, *d = dy.data() + from;
      float* to = dz.data() + p * plane;
      for (std::int64_t k = 0; k < plane; ++k) to[k] = d[k] * (s[k] * (1 - s[k])) * (s[k] > 0.5f ? 1.0f : below);
    }
  });
  block_pack(dz.data(), oc * plane, oc, 0, true, map, 0, h);
  backward_from(pass, map);
}

LayerCost OutputLayer::cost(const LayerSizes& sizes) const {
  LayerCost cost = ConvLayer::cost(sizes);
  cost.what = convolution_name("output", kernel(), sizes);
  return cost;
}

// Pooling

void PoolLayer::run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const {
  block_pool(pass.kernels, pass.maps[static_cast<std::size_t>(x[0])], pass.maps[static_cast<std::size_t>(y)], y0, y1);
}

void PoolLayer::backward(FusedGradient& pass) const {
  const BlockTarget target = pass.share(x[0]);
  block_pool_gradient(pass.kernels(), pass.map(x[0]), pass.map(y), pass.gradient(y), target.add, target.slope,
                      target.map);
}

LayerCost PoolLayer::cost(const LayerSizes& sizes) const { return {join("pool ", sizes.oc)}; }

// Up-convolution

void UpLayer::run(const FusedPass& pass, std::int64_t y0, std::int64_t y1) const {
  block_up(pass.kernels, pass.maps[static_cast<std::size_t>(x[0])], weight.value().data(),
           pass.maps[static_cast<std::size_t>(y)], y0 / 2, (y1 + 1) / 2);
}

void UpLayer::backward(FusedGradient& pass) const {
  const BlockMap& dy = pass.gradient(y);
  if (pass.weight().requires_grad()) {
    Tensor<float> dweight(weight.shape());
    block_up_weight_gradient(pass.kernels(), pass.map(x[0]), dy, pass.pairs(), dweight.data());
    pass.weight().add_grad(dweight);
  }
  block_up_input_gradient(pass.kernels(), dy, weight.value().data(), pass.share(x[0]));
}

LayerCost UpLayer::cost(const LayerSizes& sizes) const {
  LayerCost cost{join("up ", sizes.ic, ">", sizes.oc)};
  const double both = static_cast<double>(sizes.ic * sizes.oc);
  cost.weights = 4 * both;
  cost.products = pixels_of(sizes) * both;
  cost.flops = 2 * cost.products;
  return cost;
}

}  // namespace kind
