#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "train/trainer/config.h"

/// What each term of a loss asks of the weights, before anything is trained: how large it is, how hard it pulls, and
/// whether it pulls where the others do.
namespace kind {

/// The gradients of a stage's terms to some of its weights. g_i is that of term i times its weight, G their sum.
struct GradientProfile {
  struct Term {
    double norm = 0;                             // |g_i|
    std::optional<double> share;                 // g_i G / G G; the shares add up to 1. Nothing where G is zero
    std::optional<double> cosine_total;          // between g_i and G; nothing where either is zero
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

/// For each stage, the mean over the first `batches` batches that it would train on, with the nets as the stage would
/// find them if none before it were trained: from `init`, or as drawn from the seed. Each term passes the net on its
/// own, so a step is taken per term and batch; no weight changes. `progress` is told a line before each stage. Throws
/// Error as training does before its first step, NotFinite where a term or gradient is not finite.
std::vector<StageProfile> profile_losses(const TrainConfig& config, std::int64_t batches,
                                         const std::function<void(const std::string&)>& progress);

/// {"stages": [{"stage", "weights", "batches", "batch", "patch", "terms": {NAME: {"weight", "raw", "weighted"}},
/// "gradients": [{"layer", "parameters", "norm", "terms": {NAME: {"norm", "share", "cosine_total", "cosine": {NAME:
/// ·}}}}]}]}; null where something is not defined.
nlohmann::ordered_json to_json(const std::vector<StageProfile>& profile);

/// The same as tables for people.
std::string profile_text(const std::vector<StageProfile>& profile);

}  // namespace kind
