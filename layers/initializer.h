#pragma once

#include <string>

#include "core/base/random.h"
#include "core/tensor/tensor.h"

namespace kind {

/// Initialisation of a weight.
enum class Initializer {
  kXavierUniform,    // uniform in +-sqrt(6 / (fan_in + fan_out)); Glorot and Bengio, AISTATS 2010
  kHeNormal,         // normal, variance 2 / fan_in; He et al., ICCV 2015
  kTruncatedNormal,  // normal, deviation 0.02, redrawn beyond two deviations (the authors' up-convolutions)
  kZeros,
};

/// "xavier_uniform", "he_normal", "truncated_normal", "zeros"; throws Error for others.
Initializer initializer_from_name(const std::string& name);

/// While an object is alive, initialize() on this thread leaves the elements uninitialised: for nets whose weights are
/// loaded right afterwards, where drawing would take longer than loading.
class NoDrawing {
 public:
  NoDrawing();
  ~NoDrawing();
  NoDrawing(const NoDrawing&) = delete;
  NoDrawing& operator=(const NoDrawing&) = delete;

 private:
  bool before_;
};

/// A weight [out, in, kh, kw] (or [in, out, kh, kw]: pass the fans, which are channels times kh kw). Throws Error for a
/// fan below 1.
template <class T>
Tensor<T> initialize(Initializer initializer, const Shape& shape, std::int64_t fan_in, std::int64_t fan_out,
                     Random& random);

}  // namespace kind
