#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/shape.h"

namespace kind {

/// A contiguous array of float or double, row-major over its shape (pictures: NCHW), 64-byte aligned.
///
/// Copying a Tensor shares its elements; clone() copies them. A default-constructed Tensor is undefined: it has no
/// storage, no elements and the shape of a scalar; functions that need elements throw Error.
template <class T>
class Tensor {
 public:
  Tensor() = default;
  /// The elements are uninitialised. Throws std::bad_alloc if memory is exhausted.
  explicit Tensor(const Shape& shape);
  /// Elements copied from `values`, whose count must match.
  Tensor(const Shape& shape, const std::vector<T>& values);

  static Tensor zeros(const Shape& shape) { return full(shape, T(0)); }
  static Tensor full(const Shape& shape, T value);
  static Tensor scalar(T value) { return full(Shape{}, value); }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return size_; }
  T* data() { return storage_.get(); }
  const T* data() const { return storage_.get(); }
  /// Element 0 <= i < size(), unchecked.
  T& operator[](std::int64_t i) { return storage_.get()[i]; }
  T operator[](std::int64_t i) const { return storage_.get()[i]; }
  /// The only element; throws Error if there are more or fewer.
  T item() const;
  std::vector<T> to_vector() const { return std::vector<T>(data(), data() + size_); }
  /// Throws Error, with a message that starts with `what`, for an undefined tensor.
  void check_defined(const char* what) const {
    check(defined(), what, ": the tensor is undefined, expected one made with a shape");
  }

  /// A deep copy.
  Tensor clone() const;
  /// The same elements under another shape of the same size (throws Error otherwise).
  Tensor reshape(const Shape& shape) const;
  void fill(T value);
  /// Whether no other Tensor shares these elements.
  bool unique() const { return storage_.use_count() == 1; }

 private:
  Shape shape_;
  std::int64_t size_ = 0;
  std::shared_ptr<T> storage_;
};

extern template class Tensor<float>;
extern template class Tensor<double>;

/// Elementwise conversion between float and double.
template <class To, class From>
Tensor<To> cast(const Tensor<From>& x) {
  x.check_defined("cast");
  Tensor<To> y(x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) y[i] = static_cast<To>(x[i]);
  return y;
}

}  // namespace kind
