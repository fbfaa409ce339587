#include "train/trainer/optimizer.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"

namespace kind {
namespace {

constexpr std::int64_t kGrain = 16384;

Tensor<float> load_like(const SafeTensors& content, const std::string& name, const Shape& shape) {
  Tensor<float> tensor = content.get_tensor<float>(name);
  check(tensor.shape() == shape, content.source, ": tensor ", name, " has shape ", tensor.shape(), ", expected ",
        shape);
  return tensor;
}

}  // namespace

double schedule_factor(const ScheduleConfig& config, std::int64_t step, std::int64_t total) {
  const double t = static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, total));
  double factor = 1;
  if (config.type == "steps") {
    for (const double milestone : config.milestones) {
      if (t >= milestone) factor *= config.factor;
    }
  } else if (config.type == "cosine") {
    constexpr double kPi = 3.14159265358979323846;
    factor = config.final_factor + (1 - config.final_factor) * (1 + std::cos(kPi * std::min(1.0, t))) / 2;
  }
  if (step < config.warmup_steps) {
    factor *= static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps);
  }
  return factor;
}

Optimizer::Optimizer(const OptimizerConfig& config, Parameters<float> parameters)
    : config_(config), parameters_(std::move(parameters)) {
  for (const Parameter<float>& parameter : parameters_) {
    first_.push_back(Tensor<float>::zeros(parameter.variable.shape()));
    if (config_.type == "adam") second_.push_back(Tensor<float>::zeros(parameter.variable.shape()));
  }
}

void Optimizer::step(double factor) {
  ++steps_;
  const double lr = config_.learning_rate * factor;
  const double t = static_cast<double>(steps_);
  const double correction1 = 1 - std::pow(config_.beta1, t), correction2 = 1 - std::pow(config_.beta2, t);
  const bool adam = config_.type == "adam";
  // Both forms are p -= size m / (sqrt(v) * root_scale + epsilon).
  const bool tensorflow = config_.form == "tensorflow";
  const float size = static_cast<float>(tensorflow ? lr * std::sqrt(correction2) / correction1 : lr / correction1);
  const float root_scale = static_cast<float>(tensorflow ? 1.0 : 1 / std::sqrt(correction2));
  const float b1 = static_cast<float>(config_.beta1), b2 = static_cast<float>(config_.beta2);
  const float a1 = static_cast<float>(1 - config_.beta1), a2 = static_cast<float>(1 - config_.beta2);
  const float epsilon = static_cast<float>(config_.epsilon), momentum = static_cast<float>(config_.momentum);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Variable<float> variable = parameters_[i].variable;
    if (!variable.grad().defined()) continue;
    const bool decays = variable.shape().rank() > 1;
    const float keep = static_cast<float>(1 - (decays ? lr * config_.weight_decay : 0));
    float* p = variable.mutable_value().data();
    const float* g = variable.grad().data();
    float* m = first_[i].data();
    float* v = adam ? second_[i].data() : nullptr;
    parallel_for(variable.value().size(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      if (adam) {
        for (std::int64_t j = begin; j < end; ++j) {
          m[j] = b1 * m[j] + a1 * g[j];
          v[j] = b2 * v[j] + a2 * (g[j] * g[j]);
          p[j] = p[j] * keep - size * m[j] / (std::sqrt(v[j]) * root_scale + epsilon);
        }
      } else {
        for (std::int64_t j = begin; j < end; ++j) {
          m[j] = momentum * m[j] + g[j];
          p[j] = p[j] * keep - static_cast<float>(lr) * m[j];
        }
      }
    });
  }
}

void Optimizer::save(SafeTensors& content) const {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    content.put_tensor("optimizer.m." + parameters_[i].name, first_[i]);
    if (!second_.empty()) content.put_tensor("optimizer.v." + parameters_[i].name, second_[i]);
  }
}

void Optimizer::load(const SafeTensors& content, std::int64_t steps) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    first_[i] = load_like(content, "optimizer.m." + parameters_[i].name, first_[i].shape());
    if (!second_.empty()) second_[i] = load_like(content, "optimizer.v." + parameters_[i].name, second_[i].shape());
  }
  steps_ = steps;
}

double gradient_norm(const Parameters<float>& parameters) {
  double squares = 0;
  for (const Parameter<float>& parameter : parameters) {
    const Tensor<float>& g = parameter.variable.grad();
    if (!g.defined()) continue;
    const float* from = g.data();
    squares += parallel_sum(
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a tensor with values has memory
        g.size(), [=](std::int64_t i) { return static_cast<double>(from[i]) * static_cast<double>(from[i]); });
  }
  return std::sqrt(squares);
}

void scale_gradients(const Parameters<float>& parameters, float factor) {
  for (const Parameter<float>& parameter : parameters) {
    Variable<float> variable = parameter.variable;
    if (!variable.grad().defined()) continue;
    if (!variable.grad().unique()) variable.mutable_grad() = variable.grad().clone();
    float* g = variable.mutable_grad().data();
    parallel_for(variable.value().size(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) g[i] *= factor;
    });
  }
}

WeightAverage::WeightAverage(double decay, const Parameters<float>& parameters)
    : decay_(decay), parameters_(parameters) {
  for (const Parameter<float>& parameter : parameters_) averages_.push_back(parameter.variable.value().clone());
}

void WeightAverage::update(std::int64_t step) {
  const double t = static_cast<double>(step);
  const float keep = static_cast<float>(std::min(decay_, (1 + t) / (10 + t)));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    float* a = averages_[i].data();
    const float* p = parameters_[i].variable.value().data();
    parallel_for(averages_[i].size(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) a[j] = keep * a[j] + (1 - keep) * p[j];
    });
  }
}

void WeightAverage::swap() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Variable<float> variable = parameters_[i].variable;
    std::swap(variable.mutable_value(), averages_[i]);
  }
}

void WeightAverage::save(SafeTensors& content) const {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    content.put_tensor("average." + parameters_[i].name, averages_[i]);
}

void WeightAverage::load(const SafeTensors& content) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    averages_[i] = load_like(content, "average." + parameters_[i].name, averages_[i].shape());
  }
}

}  // namespace kind
