#include "layers/initializer.h"

#include <cmath>

#include "core/base/error.h"

namespace kind {
namespace {

thread_local bool no_drawing = false;

}  // namespace

NoDrawing::NoDrawing() : before_(no_drawing) { no_drawing = true; }
NoDrawing::~NoDrawing() { no_drawing = before_; }

Initializer initializer_from_name(const std::string& name) {
  if (name == "xavier_uniform") return Initializer::kXavierUniform;
  if (name == "he_normal") return Initializer::kHeNormal;
  if (name == "truncated_normal") return Initializer::kTruncatedNormal;
  if (name == "zeros") return Initializer::kZeros;
  fail("initializer: expected xavier_uniform, he_normal, truncated_normal or zeros, got '", name, "'");
}

template <class T>
Tensor<T> initialize(Initializer initializer, const Shape& shape, std::int64_t fan_in, std::int64_t fan_out,
                     Random& random) {
  constexpr double kDeviation = 0.02;
  check(fan_in >= 1 && fan_out >= 1 && fan_in <= Shape::kMaxSize && fan_out <= Shape::kMaxSize,
        "initializer: expected fans of at least 1, got ", fan_in, " and ", fan_out);
  const double limit = std::sqrt(6.0 / static_cast<double>(fan_in + fan_out));
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  Tensor<T> weight(shape);
  if (no_drawing) return weight;
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    double value = 0;
    switch (initializer) {
      case Initializer::kXavierUniform:
        value = random.uniform(-limit, limit);
        break;
      case Initializer::kHeNormal:
        value = deviation * random.normal();
        break;
      case Initializer::kTruncatedNormal:
        do value = random.normal();
        while (std::abs(value) > 2);
        value *= kDeviation;
        break;
      case Initializer::kZeros:
        break;
    }
    weight[i] = static_cast<T>(value);
  }
  return weight;
}

template Tensor<float> initialize(Initializer, const Shape&, std::int64_t, std::int64_t, Random&);
template Tensor<double> initialize(Initializer, const Shape&, std::int64_t, std::int64_t, Random&);

}  // namespace kind
