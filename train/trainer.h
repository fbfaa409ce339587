#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/config.h"

namespace kind {

/// What a run tells while it goes; it prints nothing itself.
struct TrainProgress {
  std::string stage;
  std::int64_t stage_step = 0, stage_steps = 0;  // taken and in all, of this stage
  std::int64_t step = 0;                         // taken in all stages
  std::int64_t epoch = 0;
  double learning_rate = 0;
  double total_loss = 0;
  std::vector<LossTerm> terms;
  double images_per_s = 0;
  double seconds_left = 0;  // of this stage
};

struct TrainCallbacks {
  std::function<void(const TrainProgress&)> progress;  // after every step
  std::function<void(const std::string&)> message;     // one line: a stage begins, a validation's figures, a checkpoint
  std::function<bool()> stop;                          // asked between steps; true: save and leave
};

/// Everything is refused before anything is written: throws Error for data, frozen nets or an output folder that do not
/// serve. Trains config's stages one after the other and keeps in `out`:
///   config.json               the resolved config
///   metrics.jsonl             a line every log_every steps and at each validation
///   checkpoints/step-N.*      what --resume goes on from, and the model of that moment
///   best.safetensors          the model of the stage's best validation (PSNR)
///   sheets/                   pictures of held-out pairs
///   model.safetensors         the finished model
/// With `resume`, goes on from the last checkpoint in `out` (from the start where there is none), to the same bytes as
/// if it had never stopped; the config and the pictures must be the same. Without it, an `out` that holds a run is
/// refused.
///
/// Returns true where the model was finished, false where `stop` ended it after a checkpoint. Throws NotFinite where a
/// loss or gradient is NaN or infinite; the last checkpoint stays.
bool train(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks);

/// What train checks first, without training: pairs, sizes, frozen nets. Returns a few lines on what it would do.
std::string plan_training(const TrainConfig& config);

class NotFinite : public Error {
 public:
  using Error::Error;
};

}  // namespace kind
