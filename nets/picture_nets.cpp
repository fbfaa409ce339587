#include "nets/picture_nets.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/ops/shape_ops.h"

namespace kind {
namespace {

void check_map(const char* what, const Tensor<float>& map, std::int64_t channels, const Shape& like) {
  const Shape wanted{1, channels, like[2], like[3]};
  check(map.defined() && map.shape() == wanted, what, ": expected a map ", wanted, ", got ",
        [&] { return map.defined() ? map.shape().text() : "none"; });
}

void check_picture(const char* what, const Tensor<float>& picture, std::int64_t channels) {
  const Shape& shape = picture.shape();
  check(shape.rank() == 4 && shape[0] == 1 && shape[1] == channels && picture.size() > 0, what, ": expected ",
        channels == 3 ? "RGB [1, 3, h, w]" : "a map [1, 1, h, w]", ", got ", shape);
}

Variable<float> channels(const Tensor<float>& x, std::int64_t first, std::int64_t end) {
  return slice(Variable<float>(x), 1, first, end);
}

/// The planes of some tensors [1, c, h, w], one after the other. Their rows are copied, so that an output may have the
/// memory of an input: a run asks for rows before it gives any in their place.
std::vector<float*> planes_of(const std::vector<Tensor<float>*>& tensors) {
  std::vector<float*> planes;
  for (Tensor<float>* const tensor : tensors) {
    const std::int64_t count = tensor->shape()[1], plane = tensor->size() / count;
    for (std::int64_t c = 0; c < count; ++c) planes.push_back(tensor->data() + c * plane);
  }
  return planes;
}

template <class Net>
void run(const Net& net, std::int64_t margin, const std::vector<const Tensor<float>*>& inputs,
         const std::vector<Tensor<float>*>& outputs, Arena& arena) {
  const std::int64_t h = inputs[0]->shape()[2], w = inputs[0]->shape()[3];
  std::vector<const float*> from;
  for (const Tensor<float>* const input : inputs) {
    for (std::int64_t c = 0; c < input->shape()[1]; ++c) from.push_back(input->data() + c * h * w);
  }
  const std::vector<float*> to = planes_of(outputs);
  PictureRun(
      net, h, w, margin,
      [&](std::int64_t y0, std::int64_t y1, float* const* planes) {
        for (std::size_t c = 0; c < from.size(); ++c) std::copy_n(from[c] + y0 * w, (y1 - y0) * w, planes[c]);
      },
      [&](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes) {
        for (std::int64_t c = 0; c < count; ++c) {
          std::copy_n(planes[c], (y1 - y0) * w, to[static_cast<std::size_t>(first + c)] + y0 * w);
        }
      },
      arena)
      .advance(h);
}

}  // namespace

PictureRun::PictureRun(const FusedNet& net, Layers layers, std::int64_t h, std::int64_t w, std::int64_t margin,
                       RowSpan part, FusedRun::Source source, FusedRun::Sink sink, Arena& arena) {
  if (net.runnable()) {
    run_.emplace(net, h, w, margin, part, std::move(source), std::move(sink), arena);
    return;
  }
  check(h >= 1 && w >= 1, "picture: expected sides of at least 1, got ", h, " x ", w);
  check(part.first == 0 && part.end == h, "picture: with this instruction set a net cannot make a part of a picture");
  check(source && sink, "picture: a run needs a source and a sink, got none");
  whole_ = [layers = std::move(layers), inputs = net.input_channels(), h, w, margin, source = std::move(source),
            sink = std::move(sink)] {
    const NoGrad no_grad;
    Tensor<float> input(Shape{1, inputs, h, w});
    source(0, h, planes_of({&input}).data());
    const Tensor<float> output = margin > 0 ? cropped(layers(mirrored(input, margin)), margin) : layers(input);
    std::vector<const float*> planes;
    for (std::int64_t c = 0; c < output.shape()[1]; ++c) planes.push_back(output.data() + c * h * w);
    sink(0, output.shape()[1], 0, h, planes.data());
  };
}

void PictureRun::advance(std::int64_t rows) {
  if (run_) return run_->advance(rows);
  if (whole_) std::exchange(whole_, nullptr)();
}

PictureRun::Layers PictureRun::layers_of(const Decomposition<float>& net) {
  return [&net](const Tensor<float>& x) {
    const auto parts = net(Variable<float>(x));
    return concat<float>({parts.reflectance, parts.illumination}, 1).value();
  };
}

PictureRun::Layers PictureRun::layers_of(const Restoration<float>& net) {
  return [&net](const Tensor<float>& x) { return net(channels(x, 0, 3), channels(x, 3, 4)).value(); };
}

PictureRun::Layers PictureRun::layers_of(const Adjustment<float>& net) {
  return [&net](const Tensor<float>& x) { return net(channels(x, 0, 1), channels(x, 1, 2)).value(); };
}

PictureNets::Parts PictureNets::decompose(const Tensor<float>& input) {
  check(model_.decomposition.has_value(), "model: it has no decomposition net");
  check_picture("picture", input, 3);
  const NoGrad no_grad;
  Parts parts{Tensor<float>(input.shape()), Tensor<float>(Shape{1, 1, input.shape()[2], input.shape()[3]})};
  run(*model_.decomposition, model_.config.input.margin(), {&input}, {&parts.reflectance, &parts.illumination}, arena_);
  return parts;
}

Tensor<float> PictureNets::restore(const Tensor<float>& reflectance, const Tensor<float>& illumination) {
  check_picture("picture", reflectance, 3);
  check_map("illumination", illumination, 1, reflectance.shape());
  if (!model_.restoration) return reflectance;
  const NoGrad no_grad;
  Tensor<float> restored(reflectance.shape());
  run(*model_.restoration, model_.config.input.margin(), {&reflectance, &illumination}, {&restored}, arena_);
  return restored;
}

void PictureNets::restore_in_place(Tensor<float>& reflectance, const Tensor<float>& illumination) {
  check_picture("picture", reflectance, 3);
  check_map("illumination", illumination, 1, reflectance.shape());
  if (!model_.restoration) return;
  const NoGrad no_grad;
  run(*model_.restoration, model_.config.input.margin(), {&reflectance, &illumination}, {&reflectance}, arena_);
}

Tensor<float> PictureNets::adjust(const Tensor<float>& illumination, double ratio) {
  check(model_.adjustment.has_value(), "model: it has no adjustment net");
  check_picture("illumination", illumination, 1);
  check(std::isfinite(ratio), "ratio: expected a finite number, got ", ratio);
  const NoGrad no_grad;
  Tensor<float> adjusted = Tensor<float>::full(illumination.shape(), static_cast<float>(ratio));
  run(*model_.adjustment, model_.config.input.margin(), {&illumination, &adjusted}, {&adjusted}, arena_);
  return adjusted;
}

}  // namespace kind
