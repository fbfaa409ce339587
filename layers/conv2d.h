#pragma once

#include "core/base/random.h"
#include "layers/initializer.h"
#include "layers/module.h"

namespace kind {

/// How a convolution or pooling window moves over a picture. With `same`, the padding is TensorFlow's SAME: the result
/// has ceil(size / stride) rows and columns, the zeros are distributed around the picture and an odd one goes to the
/// end; the four paddings must then be 0. Otherwise they apply.
struct WindowSpec {
  std::int64_t stride_h = 1, stride_w = 1;
  bool same = true;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

/// Where the windows of one axis lie: window o covers positions o * stride - pad .. o * stride - pad + kernel - 1.
struct WindowAxis {
  std::int64_t pad;  // before the first element
  std::int64_t out;  // number of windows
};

/// Windows of `kernel` along the height or width of a picture of `size`. Throws Error, with a message that starts with
/// `op`, if a size, the kernel or the stride is not positive, a padding is negative or given despite `same`, or the
/// kernel is larger than the padded picture.
WindowAxis window_rows(const char* op, const WindowSpec& spec, std::int64_t size, std::int64_t kernel);
WindowAxis window_cols(const char* op, const WindowSpec& spec, std::int64_t size, std::int64_t kernel);

/// Throws Error, with a message that starts with `op`, unless the shape is that of pictures [n, c, h, w] with positive
/// sizes.
void check_pictures(const char* op, const Shape& shape);

/// The shape [n, oc, oh, ow] of conv2d of x [n, ic, h, w] by weight [oc, ic, kh, kw]; throws Error if they do not
/// fit.
Shape conv2d_out_shape(const Shape& x, const Shape& weight, const WindowSpec& spec);

/// Cross-correlation, zeros outside the picture:
///   y[n, oc, i, j] = bias[oc] + sum over ic, a, b of x[n, ic, i sh + a - top, j sw + b - left] weight[oc, ic, a, b]
/// Shapes: x [n, ic, h, w], weight [oc, ic, kh, kw], bias [oc] or undefined, y as conv2d_out_shape.
/// Gradients of dot(y, g):
///   dx[n, ic, p, q]       = sum over oc, a, b, i, j with i sh + a - top = p and j sw + b - left = q
///                           of g[n, oc, i, j] weight[oc, ic, a, b]
///   dweight[oc, ic, a, b] = sum over n, i, j of g[n, oc, i, j] x[n, ic, i sh + a - top, j sw + b - left]
///   dbias[oc]             = sum over n, i, j of g[n, oc, i, j]
template <class T>
Variable<T> conv2d(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                   const WindowSpec& spec = {});

/// Transposed convolution: the gradient of conv2d to its input as an operation of its own.
///   y[n, oc, p, q] = bias[oc] + sum over ic, a, b, i, j with i sh + a - pad_top = p and j sw + b - pad_left = q
///                    of x[n, ic, i, j] weight[ic, oc, a, b]
/// Shapes: x [n, ic, h, w], weight [ic, oc, kh, kw], bias [oc] or undefined, y [n, oc, out_h, out_w]. The result is
/// (h - 1) sh + kh - pad_top rows high before it is cut, or extended by less than a stride (by the bias alone), to out_h;
/// so for the width. Throws Error for other sizes.
/// Gradients of dot(y, g): dx is conv2d of g by the weight; dweight[ic, oc, a, b] = sum of x[n, ic, i, j] g[n, oc, p, q]
/// over the n, i, j and p, q above; dbias[oc] = sum over n, p, q of g[n, oc, p, q].
struct TransposedSpec {
  std::int64_t stride_h = 2, stride_w = 2;
  std::int64_t pad_top = 0, pad_left = 0;
};
template <class T>
Variable<T> conv_transpose2d(const Variable<T>& x, const Variable<T>& weight, const Variable<T>& bias,
                             std::int64_t out_h, std::int64_t out_w, const TransposedSpec& spec = {});
/// The same without a bias.
template <class T>
Variable<T> conv_transpose2d(const Variable<T>& x, const Variable<T>& weight, std::int64_t out_h, std::int64_t out_w,
                             const TransposedSpec& spec = {}) {
  return conv_transpose2d(x, weight, Variable<T>(), out_h, out_w, spec);
}

/// A convolution's parameters: weight [oc, ic, kernel, kernel] and, optionally, bias [oc] (initialised to 0). Throws
/// Error for less than one channel or a kernel of less than 1.
template <class T>
class Conv2d {
 public:
  Conv2d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel, Initializer initializer,
         Random& random, const WindowSpec& spec = {}, bool with_bias = true);

  Variable<T> operator()(const Variable<T>& x) const { return conv2d(x, weight_, bias_, spec_); }
  /// Appends `prefix`.weight and `prefix`.bias.
  void collect(const std::string& prefix, Parameters<T>& parameters) const;
  const Variable<T>& weight() const { return weight_; }
  const Variable<T>& bias() const { return bias_; }

 private:
  WindowSpec spec_;
  Variable<T> weight_, bias_;
};

/// A transposed convolution's parameters: weight [ic, oc, kernel, kernel] and, where it has one, bias [oc] (zeros at the
/// start). KinD's nets have none. Throws Error for less than one channel or a kernel of less than 1.
template <class T>
class ConvTranspose2d {
 public:
  ConvTranspose2d(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel, Initializer initializer,
                  Random& random, const TransposedSpec& spec = {}, bool with_bias = false);

  Variable<T> operator()(const Variable<T>& x, std::int64_t out_h, std::int64_t out_w) const {
    return conv_transpose2d(x, weight_, bias_, out_h, out_w, spec_);
  }
  /// Appends `prefix`.weight and, where there is one, `prefix`.bias.
  void collect(const std::string& prefix, Parameters<T>& parameters) const;
  const Variable<T>& weight() const { return weight_; }
  const Variable<T>& bias() const { return bias_; }

 private:
  TransposedSpec spec_;
  Variable<T> weight_, bias_;
};

}  // namespace kind
