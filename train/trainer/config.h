#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "nets/model.h"
#include "train/data/data_config.h"
#include "train/stages/stage_config.h"

/// The config of kind-train. Each field is listed once: the list parses it, prints it and generates docs/config.md.
namespace kind {

struct TrainConfig {
  std::int64_t seed = 1;
  DataConfig data;
  InputConfig input;
  bool fit_light = false;
  bool exact = false;
  bool recompute_activations = false;
  bool tensorboard = false;
  std::string keep = "all";
  std::vector<StageConfig> stages;

  template <class V>
  void fields(V& v) {
    v.field("seed", seed, "Seed of all random numbers; --seed overrides it.", at_least(0));
    v.field("data", data, "The training data.");
    v.field("input", input, "Preprocessing of the nets' input; stored in the model.");
    v.field("fit_light", fit_light,
            "After the last stage, fit the automatic light level on the training pairs (needs decomposition).");
    v.field("exact", exact,
            "Do not use Winograd's algorithm: rounding errors are a tenth as large, steps take more than twice "
            "as long.");
    v.field("recompute_activations", recompute_activations,
            "Recompute half of the activations in the backward pass instead of keeping them: less memory, the "
            "same result, steps about a sixth longer.");
    v.field("tensorboard", tensorboard,
            "Also write the metrics, the config and the sheets as event files for TensorBoard, in the run's folder "
            "tensorboard.");
    v.field("keep", keep,
            "What stays of a finished run beside its metrics and sheets: all; models (model.safetensors and "
            "best.safetensors, no checkpoints); model (model.safetensors alone). More steps need the checkpoints.",
            one_of("all", "models", "model"));
    v.field("stages", stages, "Trained one after the other.", kRequired);
  }
  /// How the nets run.
  FusedOptions fused_options() const { return {exact, recompute_activations}; }
  void validate(const std::string& path) const;
};

}  // namespace kind
