#pragma once

#include <string>
#include <vector>

#include "core/files/safetensors.h"
#include "layers/module.h"
#include "train/stages/stage_config.h"

namespace kind {

/// The learning rate's factor at a step (0 is the first) of `total`:
///   constant: 1;  steps: factor^(milestones passed);  cosine: f + (1 - f) (1 + cos(pi t)) / 2 with t = step / total
/// times (step + 1) / warmup_steps while that is below 1.
double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t total);

/// Updates parameters from their gradients. State and arithmetic are float, as the parameters are.
///
/// Adam (Kingma and Ba, ICLR 2015), with g the gradient and t = 1, 2, ...:
///   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
///   tensorflow: p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)
///   standard:   p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
/// SGD: u = momentum u + g,  p -= lr u.
class Optimizer {
 public:
  Optimizer(const OptimizerConfig& config, Parameters<float> parameters);

  /// One step with learning rate config.learning_rate * factor. Parameters without a gradient are unchanged.
  void step(double factor);
  /// Steps taken so far.
  std::int64_t steps() const { return steps_; }

  /// Saves the state as tensors "optimizer.m.NAME" and so on, and loads it (Error if one is missing or of another
  /// shape). The caller keeps the step count.
  void save(SafeTensors& content) const;
  void load(const SafeTensors& content, std::int64_t steps);

 private:
  OptimizerConfig config_;
  Parameters<float> parameters_;
  std::vector<Tensor<float>> first_, second_;  // m and v of Adam; the velocity of SGD and nothing
  std::int64_t steps_ = 0;
};

/// Global norm of all gradients (accumulated in double, in order); parameters without a gradient count as 0.
double gradient_norm(const Parameters<float>& parameters);
/// Multiplies every gradient.
void scale_gradients(const Parameters<float>& parameters, float factor);

/// Exponential moving average (EMA) of parameters: a = d a + (1 - d) p with d = min(decay, (1 + step) / (10 + step)).
class WeightAverage {
 public:
  WeightAverage(double decay, const Parameters<float>& parameters);

  void update(std::int64_t step);
  /// Exchanges averages and parameters; a second call restores them.
  void swap();

  void save(SafeTensors& content) const;
  void load(const SafeTensors& content);

 private:
  double decay_;
  Parameters<float> parameters_;
  std::vector<Tensor<float>> averages_;
};

}  // namespace kind
