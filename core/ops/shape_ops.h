#pragma once

#include <vector>

#include "core/autograd/variable.h"

namespace kind {

/// Concatenates the parts along `axis`; the gradient is split the same way. Throws Error if there are no parts or
/// their other axes differ.
template <class T>
Variable<T> concat(const std::vector<Variable<T>>& parts, int axis);

/// Elements begin..end-1 of `axis`; the gradient is 0 elsewhere. Throws Error unless 0 <= begin <= end <= size.
template <class T>
Variable<T> slice(const Variable<T>& x, int axis, std::int64_t begin, std::int64_t end);

/// Pads `axis` with `before` and `after` elements of `value`; the gradient is cropped. Throws Error for negative
/// counts.
template <class T>
Variable<T> pad(const Variable<T>& x, int axis, std::int64_t before, std::int64_t after, T value = T(0));

/// Permutes the axes: axis i of the result is axis axes[i] of x. The gradient is permuted back. Throws Error unless
/// `axes` names each axis of x once.
template <class T>
Variable<T> permute(const Variable<T>& x, const std::vector<int>& axes);

/// The same elements under another shape of the same size.
template <class T>
Variable<T> reshape(const Variable<T>& x, const Shape& shape);

}  // namespace kind
