#pragma once

#include "core/autograd/variable.h"
#include "core/config/config.h"

namespace kind {

/// Which gradient of a picture t a loss compares.
///
/// paper: signed forward differences, as in the paper (arXiv 1905.04161):
///   x[i, j] = t[i, j + 1] - t[i, j],  y[i, j] = t[i + 1, j] - t[i, j]
/// official: as in the authors' training program, 2x2 kernels with zero padding beyond the last row and column:
///   x[i, j] = |t[i + 1, j + 1] - t[i + 1, j]|,  y[i, j] = |t[i + 1, j + 1] - t[i, j + 1]|
/// then (g - min) / (max - min + 1e-4), with min and max over the whole map of the batch. The derivative includes min
/// and max; equal elements share it equally.
enum class GradientForm { kPaper, kOfficial };

/// The border of the paper's form, where there is no next pixel: `zero` sets the last column (x) or row (y) of a map of
/// the picture's size to 0, `valid` omits it. The mean of a map differs by the factor (w - 1) / w or (h - 1) / h. The
/// official form has its own border and ignores this.
enum class GradientBorder { kZero, kValid };

/// Listed by each term with gradients among its own fields.
struct GradientSpec {
  GradientForm form = GradientForm::kPaper;
  GradientBorder border = GradientBorder::kZero;

  template <class V>
  void fields(V& v) {
    choice_field(v, "gradient", form,
                 "Form of picture gradients: signed forward differences (paper), or those of the authors' "
                 "program (official: of the zero-padded picture, absolute, stretched to 0..1 over the batch).",
                 {{"paper", GradientForm::kPaper}, {"official", GradientForm::kOfficial}});
    choice_field(v, "border", border, "Where the paper's gradient has no next pixel: 0, or the column or row omitted.",
                 {{"zero", GradientBorder::kZero}, {"valid", GradientBorder::kValid}});
  }
  void validate(const std::string& path) const;
};

/// Both maps, [n, c, h, w]; with valid borders x is [n, c, h, w - 1] and y [n, c, h - 1, w].
template <class T>
struct ImageGradients {
  Variable<T> x, y;
};

/// The gradient of pictures [n, c, h, w]. Throws Error if x is no picture, or has only one row or column and the
/// borders are valid.
template <class T>
ImageGradients<T> image_gradients(const Variable<T>& x, const GradientSpec& spec);

/// The same without signs: the absolute value of the paper's form; the official form is already unsigned.
template <class T>
ImageGradients<T> gradient_magnitudes(const Variable<T>& x, const GradientSpec& spec);

/// 0.2989 R + 0.5870 G + 0.1140 B of pictures [n, 3, h, w], as [n, 1, h, w] (the weights of TensorFlow's
/// rgb_to_grayscale, which the authors' program uses). Throws Error if there are not three channels.
template <class T>
Variable<T> gray(const Variable<T>& x);

}  // namespace kind
