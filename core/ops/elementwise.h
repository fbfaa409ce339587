#pragma once

#include "core/autograd/variable.h"

namespace kind {

// Elementwise operations. Binary ones broadcast as NumPy does and throw Error naming both shapes if they cannot. All
// throw Error for undefined variables.
// `g` below is dE/dy for the result y.

/// a + b; gradients g, g.
template <class T>
Variable<T> add(const Variable<T>& a, const Variable<T>& b);
/// a - b; gradients g, -g.
template <class T>
Variable<T> sub(const Variable<T>& a, const Variable<T>& b);
/// a * b; gradients g b, g a.
template <class T>
Variable<T> mul(const Variable<T>& a, const Variable<T>& b);
/// a / b; gradients g / b and -g a / b^2, the second as -(g / b) (a / b) where b^2 overflows or underflows. Division by
/// zero follows IEEE 754.
template <class T>
Variable<T> div(const Variable<T>& a, const Variable<T>& b);
/// The smaller / larger of a and b; the gradient goes to the selected one, half to each if they are equal.
template <class T>
Variable<T> minimum(const Variable<T>& a, const Variable<T>& b);
template <class T>
Variable<T> maximum(const Variable<T>& a, const Variable<T>& b);

/// a + s, a * s for a number s; gradients g, g s.
template <class T>
Variable<T> add(const Variable<T>& a, T s);
template <class T>
Variable<T> mul(const Variable<T>& a, T s);

/// -x; gradient -g.
template <class T>
Variable<T> neg(const Variable<T>& x);
/// exp(x); gradient g exp(x).
template <class T>
Variable<T> exp(const Variable<T>& x);
/// Natural logarithm; gradient g / x. Non-positive values give -inf or NaN.
template <class T>
Variable<T> log(const Variable<T>& x);
/// Square root; gradient g / (2 sqrt(x)), infinite at 0.
template <class T>
Variable<T> sqrt(const Variable<T>& x);
/// x to the fixed power p; gradient g p x^(p - 1).
template <class T>
Variable<T> pow(const Variable<T>& x, T p);
/// x * x; gradient 2 g x.
template <class T>
Variable<T> square(const Variable<T>& x);
/// |x|; gradient g sign(x) with sign(0) = 0.
template <class T>
Variable<T> abs(const Variable<T>& x);
/// x clamped to [low, high]; gradient g within the limits (inclusive), 0 outside. Throws Error unless low <= high.
template <class T>
Variable<T> clamp(const Variable<T>& x, T low, T high);
/// 1 / (1 + exp(-x)); gradient g y (1 - y).
template <class T>
Variable<T> sigmoid(const Variable<T>& x);
/// max(x, 0); gradient g where x > 0, else 0.
template <class T>
Variable<T> relu(const Variable<T>& x);
/// max(slope x, x) for 0 <= slope <= 1; gradient g where x > 0, else slope g (at 0 too, as the authors' program).
template <class T>
Variable<T> leaky_relu(const Variable<T>& x, T slope);

template <class T>
Variable<T> operator+(const Variable<T>& a, const Variable<T>& b) {
  return add(a, b);
}
template <class T>
Variable<T> operator-(const Variable<T>& a, const Variable<T>& b) {
  return sub(a, b);
}
template <class T>
Variable<T> operator*(const Variable<T>& a, const Variable<T>& b) {
  return mul(a, b);
}
template <class T>
Variable<T> operator/(const Variable<T>& a, const Variable<T>& b) {
  return div(a, b);
}
template <class T>
Variable<T> operator-(const Variable<T>& x) {
  return neg(x);
}

}  // namespace kind
