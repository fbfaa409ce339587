#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "train/data/pairs.h"
#include "train/trainer/config.h"

/// Profile of the terms of a loss before training: their values, gradient norms, and the angles between their
/// gradients.
namespace kind {

/// The gradients of a stage's terms with respect to some of its weights. g_i is that of the weighted term i, G their
/// sum.
struct GradientProfile {
  struct Term {
    double norm = 0;                             // |g_i|
    double raw_norm = 0;                         // of the gradient of the term itself: what weight 1 would give
    std::optional<double> share;                 // g_i G / G G; the shares add up to 1. Nothing if G is zero
    std::optional<double> cosine_total;          // between g_i and G; nothing if either is zero
    std::vector<std::optional<double>> cosines;  // to every term, itself included, whatever the weights are
  };
  std::string layer;            // "decomposition.conv1", or "all" for the whole net
  std::int64_t parameters = 0;  // how many numbers the layer has
  double norm = 0;              // |G|
  std::vector<Term> terms;      // in the order of StageProfile::terms
};

struct StageProfile {
  struct Term {
    std::string name;
    double weight = 0, raw = 0, weighted = 0;  // means over the batches
  };
  std::string stage, weights;  // `weights`: where the nets come from
  std::int64_t batches = 0, batch = 0, patch = 0;
  std::vector<Term> terms;
  std::vector<GradientProfile> gradients;  // the whole net, then its layers in order
};

/// For each stage, the mean over the first `batches` batches of its training, with the nets of `init` or as initialised
/// from the seed, as if no earlier stage were trained. Each term has its own forward and backward pass per batch; no
/// weight changes. `progress` gets a line before each stage. Throws Error as training does before its first step,
/// NotFinite if a term or gradient is not finite.
std::vector<StageProfile> profile_losses(const TrainConfig& config, std::int64_t batches,
                                         const std::function<void(const std::string&)>& progress,
                                         const PairsOptions& options = {});

/// {"stages": [{"stage", "weights", "batches", "batch", "patch", "terms": {NAME: {"weight", "raw", "weighted"}},
/// "gradients": [{"layer", "parameters", "norm", "terms": {NAME: {"norm", "raw_norm", "share", "cosine_total", "cosine": {NAME:
/// ·}}}}]}]}; null if something is not defined.
nlohmann::ordered_json to_json(const std::vector<StageProfile>& profile);

/// The same as text tables.
std::string profile_text(const std::vector<StageProfile>& profile);

}  // namespace kind
