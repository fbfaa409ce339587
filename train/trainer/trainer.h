#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/data/pairs.h"
#include "train/parallel/communicator.h"
#include "train/trainer/config.h"

namespace kind {

/// Callbacks of a run; it prints nothing itself.
struct TrainProgress {
  std::string stage;
  std::int64_t stage_step = 0, stage_steps = 0;  // taken and in all, of this stage
  std::int64_t step = 0;                         // taken in all stages
  std::int64_t epoch = 0;
  double learning_rate = 0;
  double total_loss = 0;
  double gradient_norm = 0;  // before clipping
  std::vector<LossTerm> terms;
  double images_per_s = 0;
  double seconds_left = 0;  // of this stage
};

struct TrainCallbacks {
  std::function<void(const TrainProgress&)> progress;  // after every step
  std::function<void(const std::string&)> message;     // one line: a stage begins, a validation's figures, a checkpoint
  std::function<bool()> stop;                          // called between steps; true: save and stop
  bool estimate = false;    // time a few steps of each stage first, for a message that says how long all takes
  std::int64_t until = 0;   // > 0: save and end after so many steps of the last stage, which are validated
  PairsOptions pairs = {};  // how the pairs are checked
};

/// Trains the stages of a config in order. Everything is checked before anything is written: throws Error for unusable
/// data, frozen nets or output folder. Writes to `out`:
///   config.json               the resolved config
///   unusable.txt              with data.skip_unusable, a line for each pair that was left out, if there is one
///   metrics.jsonl             a line every log_every steps and at each validation
///   pictures.jsonl            each validation picture by picture
///   checkpoints/step-N.*      the state for --resume, and the model at that step
///   best.safetensors          the model of the stage's best validation (PSNR; with several sources the mean over them)
///   sheets/                   pictures of held-out pairs
///   model.safetensors         the finished model
/// With `resume`, continues from the last checkpoint in `out` (from the start if there is none; from an older one, and
/// says so, if the last is damaged), and reaches the same bytes as an uninterrupted run; the config and the pictures must
/// be the same. Only the last stage may have more steps than before, if its schedule is constant or it has not begun: the
/// model is then that of a run of so many steps; model.safetensors is removed until it is finished. A run that is
/// finished and whose checkpoints were not kept stays as it is. Without `resume`, an `out` that contains a run is
/// refused.
///
/// Returns true if the model is finished, false if `stop` or `until` ended the run after a checkpoint. Throws NotFinite if a loss
/// or gradient is NaN or infinite; the last checkpoint stays.
///
/// If the folder `shared_maps` is given, outputs of the frozen decomposition are kept there for other runs.
///
/// With several `ranks`, all call it with the same arguments, and each computes its share of every batch; the model has
/// the same bits for any number of them, and resuming may use another. Rank 0 alone writes to `out`, validates, and calls
/// `message` and `progress`; a resumed run is read from `out` by all. `stop` on any rank stops all. Throws Error if the
/// ranks do not run the same program with the same kernel set, config and pictures.
bool train(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks,
           const std::string& shared_maps = "");
bool train(const TrainConfig& config, const std::string& out, bool resume, const TrainCallbacks& callbacks,
           const std::string& shared_maps, Communicator& ranks);

/// Performs the initial checks of train without training: pairs, sizes, frozen nets. Returns a few lines that describe
/// the run; `timed`: also how long it takes, from a few steps of each stage. If `data_of` is the folder of another run,
/// throws Error where the data are not those of that run.
std::string plan_training(const TrainConfig& config, bool timed = false, const PairsOptions& pairs = {},
                          const std::string& data_of = "");

/// Prepares the model for a stage: nets from `init`, then the stage's own net if it is still missing. Returns where each
/// net comes from: "decomposition from FILE, frozen; restoration at random". Throws Error if `init` is unusable, lacks a
/// net that the stage would have to start at random without init_missing allowing it, or if the stage lacks a
/// decomposition net.
std::string begin_stage(const StageConfig& stage, std::uint64_t seed, Model<float>& model);

class NotFinite : public Error {
 public:
  using Error::Error;
};

}  // namespace kind
