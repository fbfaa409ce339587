#pragma once

#include "core/autograd/variable.h"

namespace kind {

/// The product of matrices a [..., m, k] and b [..., k, n]: y [..., m, n], y_ij = sum over l of a_il b_lj, for each
/// matrix of the leading axes, which are the same in both. Sums are in double, in the order of l.
///
///   da = g b^T,   db = a^T g
///
/// Throws Error for less than two axes, or sizes that do not fit. With k = 0 all of y is 0.
template <class T>
Variable<T> matmul(const Variable<T>& a, const Variable<T>& b);

}  // namespace kind
