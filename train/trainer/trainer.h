#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/trainer/config.h"

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
///   pictures.jsonl            each validation picture by picture
///   checkpoints/step-N.*      what --resume goes on from, and the model of that moment
///   best.safetensors          the model of the stage's best validation (PSNR; with several sources the mean over them)
///   sheets/                   pictures of held-out pairs
///   model.safetensors         the finished model
/// With `resume`, goes on from the last checkpoint in `out` (from the start where there is none), to the same bytes as
/// if it had never stopped; the config and the pictures must be the same. Without it, an `out` that holds a run is
/// refused.
///
/// Returns true where the model was finished, false where `stop` ended it after a checkpoint. Throws NotFinite where a
/// loss or gradient is NaN or infinite; the last checkpoint stays.
///
/// Outputs of the frozen decomposition are kept in the folder `shared_maps`, where there is one, for other runs.
bool train(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks,
           const std::string& shared_maps = "");

/// What train checks first, without training: pairs, sizes, frozen nets. Returns a few lines on what it would do.
std::string plan_training(const TrainConfig& config);

/// Brings the model to the beginning of a stage: nets from `init`, then the stage's own net if it is still missing.
/// Throws Error where `init` does not serve or the stage lacks a decomposition net.
void begin_stage(const StageConfig& stage, std::uint64_t seed, Model<float>& model);

class NotFinite : public Error {
 public:
  using Error::Error;
};

}  // namespace kind
