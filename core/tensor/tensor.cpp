#include "core/tensor/tensor.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/memory.h"

namespace kind {

template <class T>
Tensor<T>::Tensor(const Shape& shape) : shape_(shape), size_(shape.size()) {
  const std::size_t bytes = static_cast<std::size_t>(size_) * sizeof(T);
  storage_ = std::shared_ptr<T>(static_cast<T*>(take_block(bytes)), [bytes](T* block) { give_block(block, bytes); });
}

template <class T>
Tensor<T>::Tensor(const Shape& shape, const std::vector<T>& values) : Tensor(shape) {
  check(static_cast<std::int64_t>(values.size()) == size_, "tensor: shape ", shape, " needs ", size_, " values, got ",
        values.size());
  std::copy(values.begin(), values.end(), data());
}

template <class T>
Tensor<T> Tensor<T>::full(const Shape& shape, T value) {
  Tensor result(shape);
  result.fill(value);
  return result;
}

template <class T>
T Tensor<T>::item() const {
  check(size_ == 1, "tensor: item() needs exactly one element, the shape is ", shape_);
  return data()[0];
}

template <class T>
Tensor<T> Tensor<T>::clone() const {
  check_defined("clone");
  Tensor result(shape_);
  std::copy(data(), data() + size_, result.data());
  return result;
}

template <class T>
Tensor<T> Tensor<T>::reshape(const Shape& shape) const {
  check_defined("reshape");
  check(shape.size() == size_, "reshape: ", shape_, " has ", size_, " elements, ", shape, " has ", shape.size());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

template <class T>
void Tensor<T>::fill(T value) {
  check_defined("fill");
  std::fill(data(), data() + size_, value);
}

template class Tensor<float>;
template class Tensor<double>;

}  // namespace kind
