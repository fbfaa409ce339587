#include "nets/nets.h"

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "layers/pool.h"

namespace kind {
namespace {

void check_picture(const char* net, const char* what, const Shape& shape, std::int64_t channels) {
  check(shape.rank() != 4 || shape[0] > 0, net, ": expected at least one picture, got n = 0 in ", shape);
  check(shape.rank() == 4 && shape[1] == channels && shape[0] > 0 && shape[2] > 0 && shape[3] > 0, net, ": expected ",
        what, " [n, ", channels, ", h, w], got ", shape);
}

/// A map of one channel, of the size of `like`.
void check_map(const char* net, const char* what, const Shape& shape, const Shape& like) {
  const Shape wanted{like[0], 1, like[2], like[3]};
  check(shape == wanted, net, ": expected ", what, " ", wanted, ", got ", shape);
}

}  // namespace

template <class T>
Variable<T> LayerBuilder<T>::joined(const std::vector<Value>& x) {
  return x.size() == 1 ? x[0] : concat<T>(x, 1);
}

template <class T>
Variable<T> LayerBuilder<T>::pool(const Value& x) {
  return max_pool2d(x);
}

template <class T>
void LayerBuilder<T>::output(const std::vector<Value>& x, const std::string&, std::int64_t, std::int64_t,
                             OutputForm form, std::optional<Initializer>) {
  const Value y = convolved(x);
  outputs_.push_back(form == OutputForm::kAddInput           ? inputs_[0] + y
                     : form == OutputForm::kActivatedSigmoid ? sigmoid(activation_(y))
                                                             : sigmoid(y));
}

template <class T>
typename Decomposition<T>::Output Decomposition<T>::operator()(const Variable<T>& picture) const {
  check_picture("decomposition", "a picture", picture.shape(), 3);
  const std::vector<Variable<T>> y = this->run({picture});
  // A fused net's outputs are concatenated.
  return y.size() > 1 ? Output{y[0], y[1]} : Output{slice(y[0], 1, 0, 3), slice(y[0], 1, 3, 4)};
}

template <class T>
Variable<T> Restoration<T>::operator()(const Variable<T>& reflectance, const Variable<T>& illumination) const {
  check_picture("restoration", "a reflectance", reflectance.shape(), 3);
  check_map("restoration", "an illumination", illumination.shape(), reflectance.shape());
  return this->run({reflectance, illumination})[0];
}

template <class T>
Variable<T> Adjustment<T>::operator()(const Variable<T>& illumination, const Variable<T>& ratio) const {
  check_picture("adjustment", "an illumination", illumination.shape(), 1);
  check_map("adjustment", "a ratio map", ratio.shape(), illumination.shape());
  return this->run({illumination, ratio})[0];
}

#define KIND_INSTANTIATE(T)                   \
  template class LayerBuilder<T>;             \
  template class Net<T, DecompositionConfig>; \
  template class Net<T, RestorationConfig>;   \
  template class Net<T, AdjustmentConfig>;    \
  template class Decomposition<T>;            \
  template class Restoration<T>;              \
  template class Adjustment<T>;
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
