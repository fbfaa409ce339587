#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "train/data/pairs.h"
#include "train/trainer/config.h"

namespace kind {

/// How long a stage takes, in seconds, by what was measured of it.
struct StageEstimate {
  std::string stage;
  std::int64_t steps = 0;  // left
  double step = 0;         // of one step
  double prepare = 0;      // outputs of frozen nets for the pairs, once each
  double validation = 0;   // of all validations together

  double seconds() const { return static_cast<double>(steps) * step + prepare + validation; }
};

/// Times a few steps and the validation of one picture in each stage that is left, from `stage_step` of stage number
/// `first` on; `begun`: that stage's nets are in `model` already. The steps are those of copies of the nets with random
/// weights: nothing of `model` or of the run changes. Leaves out checkpoints, sheets and fit_light. Returns nothing if
/// fewer than `fewest_steps` are left or `stop` returns true, which is asked between steps.
std::vector<StageEstimate> estimate_stages(const TrainConfig& config, const Pairs& pairs, const Model<float>& model,
                                           std::size_t first, std::int64_t stage_step, bool begun,
                                           std::int64_t fewest_steps, const std::function<bool()>& stop);

/// "about 1:02:03 in all: decom 0:20:00 (2000 steps of 0.55 s), ...".
std::string estimate_text(const std::vector<StageEstimate>& stages);

/// Seconds as H:MM:SS.
std::string duration_text(double seconds);

}  // namespace kind
