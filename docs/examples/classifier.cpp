// classifier: trains a net of two layers to classify the points of two rings, with only kind's tensors, operations and
// backward(), and prints the percentage of new points that it classifies correctly.
#include <cmath>
#include <iostream>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/ops/elementwise.h"
#include "core/ops/matmul.h"
#include "core/ops/reduce.h"

using kind::Shape;
using Tensor = kind::Tensor<float>;
using Variable = kind::Variable<float>;

struct Points {
  Tensor places, labels;  // [n, 2]; [n, 1]: 1 on the outer ring, -1 on the inner one
};

Points points_on_rings(std::int64_t n, std::uint64_t seed) {
  Points points{Tensor(Shape{n, 2}), Tensor(Shape{n, 1})};
  kind::Random random(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    const bool outer = i % 2 == 0;
    const double angle = random.uniform(0, 6.2832), radius = random.uniform(0, 0.5) + (outer ? 1.0 : 0.2);
    points.places[2 * i] = static_cast<float>(radius * std::cos(angle));
    points.places[2 * i + 1] = static_cast<float>(radius * std::sin(angle));
    points.labels[i] = outer ? 1.0f : -1.0f;
  }
  return points;
}

Variable parameter(const Shape& shape, kind::Random& random) {
  Tensor value(shape);
  for (std::int64_t i = 0; i < value.size(); ++i) value[i] = static_cast<float>(random.normal());
  return Variable(value, true);  // true: it gets a gradient
}

int main() {
  constexpr std::int64_t kHidden = 16;
  constexpr float kRate = 0.3f;
  kind::Random random(1);
  std::vector<Variable> parameters{parameter({2, kHidden}, random), Variable(Tensor::zeros({1, kHidden}), true),
                                   parameter({kHidden, 1}, random), Variable(Tensor::zeros({1, 1}), true)};
  const auto net = [&](const Tensor& places) {
    const Variable hidden = relu(add(matmul(Variable(places), parameters[0]), parameters[1]));
    return add(matmul(hidden, parameters[2]), parameters[3]);
  };

  const Points training = points_on_rings(200, 2);
  for (int step = 0; step < 400; ++step) {
    const Variable agreement = mul(net(training.places), Variable(training.labels));
    Variable loss = mean(log(add(exp(neg(agreement)), 1.0f)));
    if (step % 100 == 0) std::cerr << "step " << step << ": loss " << loss.value()[0] << "\n";
    loss.backward();
    for (Variable& p : parameters) {
      for (std::int64_t i = 0; i < p.value().size(); ++i) p.mutable_value()[i] -= kRate * p.grad()[i];
      p.zero_grad();
    }
  }

  const Points other = points_on_rings(1000, 3);
  const kind::NoGrad no_grad;
  const Tensor answers = net(other.places).value();
  int right = 0;
  for (std::int64_t i = 0; i < 1000; ++i) right += answers[i] * other.labels[i] > 0 ? 1 : 0;
  std::cout << right / 10.0 << " %\n";
}
