#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "nets/model.h"
#include "train/data/data_config.h"
#include "train/stages/stage_config.h"

/// The config of kind-train. Each field is listed once: the list parses it, prints it and writes docs/config.md.
namespace kind {

struct TrainConfig {
  std::int64_t seed = 1;
  DataConfig data;
  InputConfig input;
  bool fit_light = false;
  bool exact = false;
  bool recompute_activations = false;
  std::vector<StageConfig> stages;

  template <class V>
  void fields(V& v) {
    v.field("seed", seed, "Of everything random; --seed overrides it.", at_least(0));
    v.field("data", data, "The pairs.");
    v.field("input", input, "How pictures become the nets' input; kept in the model.");
    v.field("fit_light", fit_light,
            "After the last stage, fit the automatic light level on the training pairs (needs decomposition).");
    v.field("exact", exact,
            "Leave out Winograd's algorithm: rounding errors a tenth as large, steps more than twice as long.");
    v.field("recompute_activations", recompute_activations,
            "Compute half of the activations again for the gradients instead of keeping them: less memory, the same "
            "result, steps about a sixth longer.");
    v.field("stages", stages, "Trained one after the other.", kRequired);
  }
  /// How the nets run.
  FusedOptions fused_options() const { return {exact, recompute_activations}; }
  void validate(const std::string& path) const;
};

}  // namespace kind
