#include "layers/conv2d.h"

#include <algorithm>

#include "core/autograd/batch_part.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/kernels/kernels.h"

namespace kind {
namespace {

/// Sizes that can be added without overflow.
bool is_size(std::int64_t size) { return size >= 1 && size <= Shape::kMaxSize; }

WindowAxis window_axis(const char* op, std::int64_t size, std::int64_t kernel, std::int64_t stride, bool same,
                       std::int64_t before, std::int64_t after) {
  check(is_size(size) && is_size(kernel), op, ": expected a size and a kernel from 1 to ", Shape::kMaxSize, ", got ",
        size, " and ", kernel);
  check(stride >= 1, op, ": expected a stride of at least 1, got ", stride);
  if (same) {
    check(before == 0 && after == 0, op, ": paddings of ", before, " and ", after,
          " were given, but `same` chooses them; set it to false");
    const std::int64_t out = (size - 1) / stride + 1;
    return {std::max<std::int64_t>(0, (out - 1) * stride + kernel - size) / 2, out};
  }
  check(before >= 0 && after >= 0, op, ": expected paddings of at least 0, got ", before, " and ", after);
  check(std::max(before, after) <= Shape::kMaxSize, op, ": paddings of ", before, " and ", after,
        " are more than memory can address");
  const std::int64_t room = size + before + after - kernel;
  check(room >= 0, op, ": a kernel of ", kernel, " does not fit into ", size, " elements padded by ", before, " and ",
        after);
  return {before, room / stride + 1};
}

/// A stride as the kernels take it: beyond the padded size and the kernel it makes no difference, but overflows.
std::int64_t limited(std::int64_t stride, std::int64_t padded, std::int64_t kernel) {
  return std::min(stride, padded + kernel);
}

/// Kernels may copy a picture with all that its windows cover: throws Error where nothing could hold that.
void check_padded(const Conv2dGeometry& g) {
  Shape{g.n, g.ic, std::max(g.h + g.pad_top, (g.oh - 1) * g.stride_h + g.kh),
        std::max(g.w + g.pad_left, (g.ow - 1) * g.stride_w + g.kw)};
}

Conv2dGeometry geometry(const Shape& x, const Shape& weight, const WindowSpec& spec) {
  check_pictures("conv2d", x);
  check(weight.rank() == 4 && weight.size() > 0 && weight[1] == x[1], "conv2d: expected a weight [oc, ", x[1],
        ", kh, kw] for x ", x, ", got ", weight);
  const WindowAxis rows = window_rows("conv2d", spec, x[2], weight[2]);
  const WindowAxis cols = window_cols("conv2d", spec, x[3], weight[3]);
  const Conv2dGeometry g{x[0],
                         x[1],
                         x[2],
                         x[3],
                         weight[0],
                         rows.out,
                         cols.out,
                         weight[2],
                         weight[3],
                         limited(spec.stride_h, x[2] + spec.pad_top + spec.pad_bottom, weight[2]),
                         limited(spec.stride_w, x[3] + spec.pad_left + spec.pad_right, weight[3]),
                         rows.pad,
                         cols.pad};
  check_padded(g);
  return g;
}

/// A weight as it starts: [oc, ic, kernel, kernel], or [ic, oc, kernel, kernel] where `transposed`.
template <class T>
Variable<T> first_weight(const char* op, std::int64_t ic, std::int64_t oc, std::int64_t kernel, Initializer initializer,
                         Random& random, bool transposed) {
  check(ic >= 1 && oc >= 1 && kernel >= 1, op, ": expected at least one channel and a kernel of at least 1, got ", ic,
        " to ", oc, " channels and ", kernel);
  const Shape shape = transposed ? Shape{ic, oc, kernel, kernel} : Shape{oc, ic, kernel, kernel};
  const std::int64_t area = kernel * kernel;
  return Variable<T>(initialize<T>(initializer, shape, ic * area, oc * area, random), true);
}

/// Adds bias [oc] to all of y [n, oc, h, w].
template <class T>
void add_bias(const Tensor<T>& bias, Tensor<T>& y) {
  const std::int64_t oc = y.shape()[1], plane = y.shape()[2] * y.shape()[3];
  const T* const from = bias.data();
  T* const to = y.data();
  parallel_for(y.shape()[0] * oc, 1, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::int64_t i = p * plane; i < (p + 1) * plane; ++i) to[i] += from[p % oc];
    }
  });
}

/// The sum over the `pairs` pairs of a batch of n pictures, in the order of merge_pairs, of gradients of this shape;
/// of_picture(i, to) makes that of picture i.
template <class T, class OfPicture>
Tensor<T> sum_over_pairs(const Shape& shape, std::int64_t n, std::int64_t pairs, const OfPicture& of_picture) {
  std::vector<Tensor<T>> sums;
  const auto add = [](Tensor<T>& to, const Tensor<T>& from) {
    parallel_for(to.size(), 32768, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to.data()[i] += from.data()[i];
    });
  };
  const auto of_pair = [&](std::int64_t pair) {
    Tensor<T> sum(shape);
    of_picture(pair, sum.data());
    for (std::int64_t i = pair + pairs; i < n; i += pairs) {
      Tensor<T> other(shape);
      of_picture(i, other.data());
      add(sum, other);
    }
    return sum;
  };
  // Depth first, so that few sums are held at once.
  const auto of_node = [&](const auto& self, std::int64_t first, std::int64_t count) -> Tensor<T> {
    if (count == 1) return of_pair(first);
    const std::int64_t half = (count + 1) / 2;
    Tensor<T> sum = self(self, first, half);
    add(sum, self(self, first + half, count - half));
    return sum;
  };
  return of_node(of_node, 0, pairs);
}

/// The gradient to the weight of a convolution of n pictures, summed over pairs.
template <class T>
Tensor<T> weight_gradient(Conv2dGeometry g, std::int64_t pairs, const Shape& weight, const T* x, const T* dy) {
  const std::int64_t n = g.n, x_size = g.ic * g.h * g.w, y_size = g.oc * g.oh * g.ow;
  g.n = 1;
  return sum_over_pairs<T>(weight, n, pairs, [&](std::int64_t i, T* to) {
    kernels<T>().conv2d_weight_gradient(g, x + i * x_size, dy + i * y_size, to);
  });
}

/// Sums of g [n, oc, h, w] over the pixels, in double and in a fixed order, and over the pairs.
template <class T>
Tensor<T> bias_gradient(const Tensor<T>& g, std::int64_t pairs) {
  const std::int64_t n = g.shape()[0], oc = g.shape()[1], plane = g.shape()[2] * g.shape()[3];
  Tensor<T> sums(Shape{oc});
  parallel_for(oc, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      std::vector<double> of_pairs(static_cast<std::size_t>(pairs));
      for (std::int64_t i = 0; i < n; ++i) {
        const T* from = g.data() + (i * oc + c) * plane;
        // Four sums at once, since one addition waits for the last.
        double part[4] = {0, 0, 0, 0};
        std::int64_t p = 0;
        for (; p + 4 <= plane; p += 4) {
          for (int lane = 0; lane < 4; ++lane) part[lane] += static_cast<double>(from[p + lane]);
        }
        for (; p < plane; ++p) part[0] += static_cast<double>(from[p]);
        of_pairs[static_cast<std::size_t>(i % pairs)] += (part[0] + part[1]) + (part[2] + part[3]);
      }
      std::vector<T> rounded(of_pairs.begin(), of_pairs.end());
      sums[c] = sum_of_pairs(pairs, rounded.data());
    }
  });
  return sums;
}

void check_transposed(const char* axis, std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                      std::int64_t out) {
  check(stride >= 1 && pad >= 0, "conv_transpose2d: expected a stride of at least 1 and a padding of at least 0, got ",
        stride, " and ", pad);
  check(pad <= Shape::kMaxSize && stride <= Shape::kMaxSize / std::max<std::int64_t>(1, size - 1),
        "conv_transpose2d: a stride of ", stride, " and a padding of ", pad, " of ", size,
        " elements are more than memory can address");
  const std::int64_t full = (size - 1) * stride + kernel - pad;
  check(out >= 1 && out < full + stride, "conv_transpose2d: expected an output ", axis, " of 1 to ", full + stride - 1,
        ", got ", out);
}

}  // namespace

void check_pictures(const char* op, const Shape& shape) {
  check(shape.rank() != 4 || shape[0] > 0, op, ": expected at least one picture, got n = 0 in ", shape);
  check(shape.rank() == 4 && shape.size() > 0, op, ": expected a picture [n, c, h, w], got ", shape);
}

WindowAxis window_rows(const char* op, const WindowSpec& spec, std::int64_t size, std::int64_t kernel) {
  return window_axis(op, size, kernel, spec.stride_h, spec.same, spec.pad_top, spec.pad_bottom);
}

WindowAxis window_cols(const char* op, const WindowSpec& spec, std::int64_t size, std::int64_t kernel) {
  return window_axis(op, size, kernel, spec.stride_w, spec.same, spec.pad_left, spec.pad_right);
}

Shape conv2d_out_shape(const Shape& x, const Shape& weight, const WindowSpec& spec) {
  const Conv2dGeometry g = geometry(x, weight, spec);
  return Shape{g.n, g.oc, g.oh, g.ow};
}

template <class T>
Variable<T> conv2d(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias, const WindowSpec& spec) {
  const Conv2dGeometry g = geometry(x.shape(), weight.shape(), spec);
  check(!bias.defined() || bias.shape() == Shape{g.oc}, "conv2d: expected a bias [", g.oc, "], got ",
        [&] { return bias.shape(); });
  Tensor<T> y(Shape{g.n, g.oc, g.oh, g.ow});
  kernels<T>().conv2d(g, x.value().data(), weight.value().data(), bias.defined() ? bias.value().data() : nullptr,
                      y.data());
  std::vector<Variable<T>> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  const std::int64_t pairs = BatchPart::pairs_of(g.n);
  return Variable<T>::from_op(std::move(y), inputs, [g, pairs](std::vector<Variable<T>>& in, const Tensor<T>& dy) {
    if (in[0].requires_grad()) {
      Tensor<T> dx(in[0].shape());
      kernels<T>().conv2d_input_gradient(g, in[1].value().data(), dy.data(), dx.data());
      in[0].add_grad(dx);
    }
    if (in[1].requires_grad()) {
      in[1].add_grad(weight_gradient(g, pairs, in[1].shape(), in[0].value().data(), dy.data()));
    }
    if (in.size() > 2 && in[2].requires_grad()) in[2].add_grad(bias_gradient(dy, pairs));
  });
}

template <class T>
Variable<T> conv_transpose2d(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                             std::int64_t out_h, std::int64_t out_w, const TransposedSpec& spec) {
  check_pictures("conv_transpose2d", x.shape());
  const Shape &xs = x.shape(), &ws = weight.shape();
  check(ws.rank() == 4 && ws.size() > 0 && ws[0] == xs[1], "conv_transpose2d: expected a weight [", xs[1],
        ", oc, kh, kw] for x ", xs, ", got ", ws);
  check(!bias.defined() || bias.shape() == Shape{ws[1]}, "conv_transpose2d: expected a bias [", ws[1], "], got ",
        [&] { return bias.shape(); });
  check_transposed("height", xs[2], ws[2], spec.stride_h, spec.pad_top, out_h);
  check_transposed("width", xs[3], ws[3], spec.stride_w, spec.pad_left, out_w);
  // The convolution whose gradient this is: from y to x.
  const Conv2dGeometry g{xs[0],
                         ws[1],
                         out_h,
                         out_w,
                         ws[0],
                         xs[2],
                         xs[3],
                         ws[2],
                         ws[3],
                         limited(spec.stride_h, out_h + spec.pad_top, ws[2]),
                         limited(spec.stride_w, out_w + spec.pad_left, ws[3]),
                         spec.pad_top,
                         spec.pad_left};
  check_padded(g);
  Tensor<T> y(Shape{g.n, g.ic, g.h, g.w});
  kernels<T>().conv2d_input_gradient(g, weight.value().data(), x.value().data(), y.data());
  std::vector<Variable<T>> inputs{x, weight};
  if (bias.defined()) {
    add_bias(bias.value(), y);
    inputs.push_back(bias);
  }
  const std::int64_t pairs = BatchPart::pairs_of(g.n);
  return Variable<T>::from_op(std::move(y), inputs, [g, pairs](std::vector<Variable<T>>& in, const Tensor<T>& dy) {
    if (in[0].requires_grad()) {
      Tensor<T> dx(in[0].shape());
      kernels<T>().conv2d(g, dy.data(), in[1].value().data(), nullptr, dx.data());
      in[0].add_grad(dx);
    }
    if (in[1].requires_grad()) {
      in[1].add_grad(weight_gradient(g, pairs, in[1].shape(), dy.data(), in[0].value().data()));
    }
    if (in.size() > 2 && in[2].requires_grad()) in[2].add_grad(bias_gradient(dy, pairs));
  });
}

template <class T>
Conv2d<T>::Conv2d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel, Initializer initializer,
                  Random& random, const WindowSpec& spec, bool with_bias)
    : spec_(spec), weight_(first_weight<T>("conv2d", in_channels, out_channels, kernel, initializer, random, false)) {
  if (with_bias) bias_ = Variable<T>(Tensor<T>::zeros(Shape{out_channels}), true);
}

template <class T>
void Conv2d<T>::collect(const std::string& prefix, Parameters<T>& parameters) const {
  parameters.push_back({prefix + ".weight", weight_});
  if (bias_.defined()) parameters.push_back({prefix + ".bias", bias_});
}

template <class T>
ConvTranspose2d<T>::ConvTranspose2d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                                    Initializer initializer, Random& random, const TransposedSpec& spec, bool with_bias)
    : spec_(spec),
      weight_(first_weight<T>("conv_transpose2d", in_channels, out_channels, kernel, initializer, random, true)) {
  if (with_bias) bias_ = Variable<T>(Tensor<T>::zeros(Shape{out_channels}), true);
}

template <class T>
void ConvTranspose2d<T>::collect(const std::string& prefix, Parameters<T>& parameters) const {
  parameters.push_back({prefix + ".weight", weight_});
  if (bias_.defined()) parameters.push_back({prefix + ".bias", bias_});
}

#define KIND_INSTANTIATE(T)                                                                                       \
  template Variable<T> conv2d(const Variable<T>&, const Variable<T>&, const Variable<T>&, const WindowSpec&);     \
  template Variable<T> conv_transpose2d(const Variable<T>&, const Variable<T>&, const Variable<T>&, std::int64_t, \
                                        std::int64_t, const TransposedSpec&);                                     \
  template class Conv2d<T>;                                                                                       \
  template class ConvTranspose2d<T>;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
