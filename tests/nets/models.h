#pragma once

#include <cstdint>

#include "nets/model.h"

namespace kind::testing {

/// A copy of a model with parameters of another type.
template <class T>
Model<T> as(const Model<float>& from) {
  Model<T> model;
  model.config = from.config;
  model.build(0);
  const Parameters<float> source = from.parameters();
  const Parameters<T> target = model.parameters();
  for (std::size_t i = 0; i < source.size(); ++i) {
    Variable<T> variable = target[i].variable;
    variable.mutable_value() = cast<T>(source[i].variable.value());
  }
  return model;
}

/// A model of three nets with random parameters; `width` is restoration's.
inline Model<float> random_model(std::uint64_t seed, double width) {
  Model<float> model;
  model.config.decomposition.emplace();
  model.config.restoration.emplace().width = width;
  model.config.adjustment.emplace();
  model.build(seed);
  return model;
}

}  // namespace kind::testing
