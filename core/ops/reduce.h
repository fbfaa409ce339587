#pragma once

#include <vector>

#include "core/autograd/variable.h"

namespace kind {

// Reductions over the given axes (negative ones count from the end); no axes means over all. Reduced axes stay with
// size 1 if `keep_axes`, otherwise they are removed. They throw Error for an axis that does not exist or is repeated,
// or if there is nothing to reduce. Sums accumulate in double, in an order that depends only on the shape.

/// Sum; gradient g, broadcast back.
template <class T>
Variable<T> sum(const Variable<T>& x, const std::vector<int>& axes = {}, bool keep_axes = false);
/// Mean; gradient g / count, broadcast back.
template <class T>
Variable<T> mean(const Variable<T>& x, const std::vector<int>& axes = {}, bool keep_axes = false);
/// Smallest / largest element; the gradient is shared equally among the elements that equal it.
template <class T>
Variable<T> min(const Variable<T>& x, const std::vector<int>& axes = {}, bool keep_axes = false);
template <class T>
Variable<T> max(const Variable<T>& x, const std::vector<int>& axes = {}, bool keep_axes = false);

}  // namespace kind
