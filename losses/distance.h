#pragma once

#include "core/autograd/variable.h"
#include "core/config/config.h"

namespace kind {

/// l1: mean |a - b|, l2: mean (a - b)^2, over all elements.
enum class Norm { kL1, kL2 };

// Shared parts of the field lists of several terms.
inline constexpr const char* kWeightHelp = "Factor of the term in the total; 0: logged only.";
inline constexpr const char* kBlurHelp = "Standard deviation in pixels of the blur applied before the comparison.";
template <class V>
void norm_field(V& v, Norm& norm) {
  choice_field(v, "norm", norm, "Mean absolute (l1) or squared (l2) difference.",
               {{"l1", Norm::kL1}, {"l2", Norm::kL2}});
}

/// The mean distance, over the whole batch, of two pictures of the same shape [n, c, h, w], as a scalar. Throws Error naming `term` and both
/// shapes if they differ or are no pictures.
template <class T>
Variable<T> mean_distance(const char* term, const Variable<T>& a, const Variable<T>& b, Norm norm);

/// The mean of all elements of x [n, c, h, w] over the whole batch (core/autograd/batch_part.h), as a scalar. Terms take
/// it, not mean() of core/ops/reduce.h, which would be that of the part of the batch at hand.
template <class T>
Variable<T> batch_mean(const Variable<T>& x);

/// The same with every difference multiplied by the weight of its pixel, [n, 1, h, w], before its norm is taken: mean
/// |w (a - b)| or mean (w (a - b))^2. No gradient flows into the weight. Throws Error if it has another shape, too.
template <class T>
Variable<T> mean_weighted_distance(const char* term, const Variable<T>& a, const Variable<T>& b,
                                   const Tensor<T>& weight, Norm norm);

/// Throw Error naming `term` and both shapes unless a and b are pictures [n, c, h, w] of the same shape ...
void check_same_pictures(const char* term, const Shape& a, const Shape& b);
/// ... unless l is the one-channel illumination [n, 1, h, w] of a picture [n, c, h, w].
void check_illumination(const char* term, const Shape& l, const Shape& picture);

}  // namespace kind
