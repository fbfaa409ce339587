#include "train/trainer/estimate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/parallel.h"
#include "train/stages/batch.h"
#include "train/trainer/optimizer.h"
#include "train/trainer/trainer.h"
#include "train/trainer/validation.h"

namespace kind {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostSteps = 4;
constexpr double kEnoughSeconds = 1;
constexpr double kLongestSecondStep = 5;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The seconds that `work` takes.
template <class Work>
double timed(const Work& work) {
  const Clock::time_point start = Clock::now();
  work();
  return since(start);
}

/// Times a stage with nets of its own. Returns nothing if `stop` says so.
class StageTimer {
 public:
  StageTimer(const TrainConfig& config, const StageConfig& stage, std::size_t index, const Pairs& pairs,
             const ModelConfig& forms)
      : config_(config), stage_(stage), index_(index), pairs_(pairs) {
    model_.config = forms;
    model_.options = config.fused_options();
    model_.build(static_cast<std::uint64_t>(config.seed));
    frozen_ =
        std::make_unique<FrozenDecomposition>(model_, pairs, static_cast<std::size_t>(config.data.memory_mb) << 20,
                                              std::filesystem::temp_directory_path().string());
    sampler_ = make_sampler(stage, model_, pairs, *frozen_);
  }

  bool run(std::int64_t first_step, StageEstimate& estimate, const std::function<bool()>& stop) {
    if (estimate.steps > 0 && !time_steps(first_step, estimate, stop)) return false;
    return !stop() && time_validation(estimate, stop);
  }

 private:
  bool time_steps(std::int64_t first_step, StageEstimate& estimate, const std::function<bool()>& stop) {
    const std::uint64_t seed = static_cast<std::uint64_t>(config_.seed);
    const auto prepare = [&] { prepare_batch(stage_, pairs_, *sampler_, seed, index_, first_step); };
    // What is made once for each pair is there the second time.
    const double cold = timed(prepare), warm = timed(prepare);
    const double samples = static_cast<double>(estimate.steps * stage_.batch);
    const double once = std::min(samples, static_cast<double>(pairs_.train().size()));
    estimate.prepare =
        std::max(0.0, cold - warm) /
        static_cast<double>(std::min<std::int64_t>(stage_.batch, static_cast<std::int64_t>(pairs_.train().size()))) *
        once;
    OptimizerConfig still = stage_.optimizer;
    still.learning_rate = 1e-20;
    const Parameters<float> parameters = stage_parameters(stage_, model_);
    Optimizer optimizer(still, parameters);
    Tensor<float> batch;
    double fastest = 0, total = 0;
    for (int i = 0; i < kMostSteps && (i < 2 || total < kEnoughSeconds); ++i) {
      if (i > 0 && stop()) return false;
      // A thread of its own makes the next batch during a step.
      const double making = timed([&] {
        const SerialScope serial;
        batch = make_batch(stage_, pairs_, *sampler_, seed, index_, first_step);
      });
      const double step = timed([&] {
        for (const Parameter<float>& parameter : parameters) Variable<float>(parameter.variable).zero_grad();
        stage_loss(stage_, model_, batch).total.backward();
        gradient_norm(parameters);
        optimizer.step(1);
      });
      // The first one also allocates what the others reuse, which can take several times as long as the step itself. Only
      // where it takes very long does nobody wait for a second one.
      const bool slow = i == 0 && step > kLongestSecondStep;
      if (i > 0 || slow) fastest = fastest == 0 ? std::max(step, making) : std::min(fastest, std::max(step, making));
      total += step + making;
      if (slow) break;
    }
    estimate.step = fastest + warm;
    return true;
  }

  bool time_validation(StageEstimate& estimate, const std::function<bool()>& stop) {
    const std::int64_t every = stage_.validation.every;
    if (every == 0 || pairs_.validation().empty() || estimate.steps == 0) return true;
    ValidationConfig one = stage_.validation;
    one.pairs = 1;
    one.sheet_rows = 0;
    const bool frozen = !stage_.net.decomposition.has_value();
    double maps = 0;
    if (frozen) maps = timed([&] { frozen_->maps(pairs_.validation().front()); });
    const double picture = timed([&] { validate(model_, pairs_, frozen ? frozen_.get() : nullptr, one, stop); });
    if (stop()) return false;
    const std::int64_t held = static_cast<std::int64_t>(pairs_.validation().size());
    const double count =
        static_cast<double>(stage_.validation.pairs == 0 ? held : std::min(held, stage_.validation.pairs));
    const std::int64_t times = (estimate.steps + every - 1) / every;
    estimate.validation = static_cast<double>(times) * count * picture;
    estimate.prepare += count * maps;
    return true;
  }

  const TrainConfig& config_;
  const StageConfig& stage_;
  std::size_t index_;
  const Pairs& pairs_;
  Model<float> model_;
  std::unique_ptr<FrozenDecomposition> frozen_;
  std::unique_ptr<StageSampler> sampler_;
};

}  // namespace

std::vector<StageEstimate> estimate_stages(const TrainConfig& config, const Pairs& pairs, const Model<float>& model,
                                           std::size_t first, std::int64_t stage_step, bool begun,
                                           std::int64_t fewest_steps, const std::function<bool()>& stop) {
  std::vector<StageEstimate> estimates;
  std::int64_t all = 0;
  for (std::size_t i = first; i < config.stages.size(); ++i) {
    const std::int64_t done = i == first ? stage_step : 0;
    estimates.push_back({config.stages[i].name, total_steps(config.stages[i], pairs.train().size()) - done, 0, 0, 0});
    all += estimates.back().steps;
  }
  if (all < fewest_steps) return {};
  Model<float> forms = model;  // beginning a stage replaces nets, it changes none
  for (std::size_t i = first; i < config.stages.size(); ++i) {
    const StageConfig& stage = config.stages[i];
    if (i > first || !begun) begin_stage(stage, static_cast<std::uint64_t>(config.seed), forms);
    const std::int64_t done = i == first ? stage_step : 0;
    if (!StageTimer(config, stage, i, pairs, forms.config).run(done, estimates[i - first], stop)) return {};
  }
  return estimates;
}

std::string estimate_text(const std::vector<StageEstimate>& stages) {
  double all = 0;
  for (const StageEstimate& stage : stages) all += stage.seconds();
  std::string text = "about " + duration_text(all) + " in all:";
  for (const StageEstimate& stage : stages) {
    char step[32];
    std::snprintf(step, sizeof step, "%.3g", stage.step);
    text += join(&stage == &stages[0] ? " " : ", ", stage.stage, " ", duration_text(stage.seconds()), " (",
                 counted(stage.steps, "step"), " of ", step, " s)");
  }
  return text;
}

std::string duration_text(double seconds) {
  const long total = std::lround(std::clamp(seconds, 0.0, 1e8));
  char text[32];
  std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", total / 3600, total / 60 % 60, total % 60);
  return text;
}

}  // namespace kind
