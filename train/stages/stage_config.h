#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "losses/loss.h"
#include "nets/model.h"

/// The config of a stage. Each field is listed once: the list parses it, prints it and generates docs/config.md.
namespace kind {

struct OptimizerConfig {
  std::string type = "adam";
  std::string form = "tensorflow";
  double learning_rate = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double momentum = 0.9;
  double weight_decay = 0;

  template <class V>
  void fields(V& v) {
    v.field("type", type, "Adam, or stochastic gradient descent with momentum.", one_of("adam", "sgd"));
    v.field("form", form,
            "Position of Adam's epsilon: outside the bias correction (TensorFlow 1, as the authors trained) or "
            "inside it (the Adam paper).",
            one_of("tensorflow", "standard"));
    v.field("learning_rate", learning_rate, "Learning rate before the schedule.", greater_than(0));
    v.field("beta1", beta1, "Adam: decay of the mean of gradients.", between(0, 0.999999));
    v.field("beta2", beta2, "Adam: decay of the mean of squared gradients.", between(0, 0.999999999));
    v.field("epsilon", epsilon, "Adam: keeps the division finite.", greater_than(0));
    v.field("momentum", momentum, "SGD: decay of the velocity.", between(0, 0.999999));
    v.field("weight_decay", weight_decay,
            "Decoupled weight decay (AdamW): each step first multiplies weights, but not biases, by 1 - learning "
            "rate times this.",
            between(0, 1));
  }
};

struct ScheduleConfig {
  std::string type = "constant";
  std::int64_t warmup_steps = 0;
  std::vector<double> milestones;
  double factor = 0.1;
  double final_factor = 0;

  template <class V>
  void fields(V& v) {
    v.field("type", type, "How the learning rate decays.", one_of("constant", "steps", "cosine"));
    v.field("warmup_steps", warmup_steps,
            "Warm-up: steps over which the learning rate first rises linearly from "
            "0.",
            at_least(0));
    v.field("milestones", milestones, "steps: fractions of the stage at which the learning rate drops.", between(0, 1));
    v.field("factor", factor, "steps: factor of the learning rate at each milestone.", greater_than(0), at_most(1));
    v.field("final_factor", final_factor, "cosine: factor of the learning rate at the end.", between(0, 1));
  }
};

struct ValidationConfig {
  std::int64_t every = 1000;
  std::int64_t pairs = 0;
  std::int64_t sheet_rows = 4;

  template <class V>
  void fields(V& v) {
    v.field("every", every, "Steps between validations (there is one after the last step, too); 0: none.", at_least(0));
    v.field("pairs", pairs, "Number of held-out pairs to use, evenly spaced; 0: all.", at_least(0));
    v.field("sheet_rows", sheet_rows, "Pairs on the picture sheet; 0: no sheet.", between(0, 64));
  }
};

struct CheckpointConfig {
  std::int64_t every = 500;
  std::int64_t keep_last = 2;

  template <class V>
  void fields(V& v) {
    v.field("every", every, "Steps between checkpoints (there is one after the last step of a stage, too).",
            at_least(1));
    v.field("keep_last", keep_last, "Number of checkpoints to keep.", at_least(1));
  }
};

/// One of the three, or several together: restoration and adjustment, or all three.
struct NetConfig {
  std::optional<DecompositionConfig> decomposition;
  std::optional<RestorationConfig> restoration;
  std::optional<AdjustmentConfig> adjustment;

  template <class V>
  void fields(V& v) {
    v.field("decomposition", decomposition, "Train the decomposition net of this form.");
    v.field("restoration", restoration, "Train the restoration net of this form; decomposition is frozen.");
    v.field("adjustment", adjustment,
            "Train the adjustment net of this form; decomposition is frozen. Together with restoration (and with "
            "decomposition, which then is not frozen) the output R_hat L_hat is compared with the bright picture.");
  }
  /// Whether the nets are trained jointly, by their output.
  bool joint() const { return restoration && adjustment; }
  void validate(const std::string& path) const;
};

/// The terms of every net's loss; which of them a stage may use depends on its net.
struct StageLosses {
  DecompositionLossConfig decomposition;
  ImageLossConfig image;
  PartsLossConfig parts;

  template <class V>
  void fields(V& v) {
    decomposition.fields(v);
    image.fields(v);
    parts.fields(v);
  }
  bool any_of_output() const { return !image.empty() || !parts.empty(); }
};

/// Random augmentation; each number is the share of samples that are changed.
struct AugmentConfig {
  double brighter_inputs = 0;
  double darker_targets = 0;
  double color_shuffle = 0;
  double color_jitter = 0;
  double gray_inputs = 0;
  double mixup = 0;
  double lamps = 0;
  double noisy_inputs = 0;

  template <class V>
  void fields(V& v) {
    v.field("brighter_inputs", brighter_inputs,
            "joint training: share of samples whose input is an exposure between the two pictures, their "
            "geometric mean with a random weight. This teaches the nets pictures that are hardly dark.",
            between(0, 1));
    v.field("darker_targets", darker_targets,
            "joint training: share of samples whose target and ratio are lowered by one random factor from 0.3 "
            "to 1. This teaches the nets to follow the ratio.",
            between(0, 1));
    v.field("color_shuffle", color_shuffle,
            "decomposition and joint training: share of samples whose red, green and blue are permuted, equally "
            "in all pictures. This adds colours that are rare in the pairs.",
            between(0, 1));
    v.field("color_jitter", color_jitter,
            "decomposition and joint training: share of samples whose colours are rotated about the gray axis by "
            "a random angle and scaled by 0 to 1.6, equally in all pictures. So only the input's colours predict "
            "the output's.",
            between(0, 1));
    v.field("gray_inputs", gray_inputs,
            "decomposition and joint training: share of samples whose pictures all become gray. This teaches the "
            "nets to keep gray.",
            between(0, 1));
    v.field("mixup", mixup,
            "joint training: share of samples that are mixed with the next one of their batch, including ratio "
            "and level, with a random weight.",
            between(0, 1));
    v.field("lamps", lamps,
            "decomposition and joint training: share of samples that get round lamps, a bright window or a "
            "bright border, equally in all pictures. This adds light sources, which the pairs lack.",
            between(0, 1));
    v.field("noisy_inputs", noisy_inputs,
            "decomposition and joint training: share of samples whose input gets white noise with a standard "
            "deviation from 0 to 0.06. This adds stronger grain than that of the pairs.",
            between(0, 1));
  }
};

/// Another weight of a source, in one stage.
struct SourceWeight {
  std::string name;
  double weight = 1;

  template <class V>
  void fields(V& v) {
    v.field("name", name, "The source's name in data.sources.", kRequired);
    v.field("weight", weight,
            "Its weight in this stage; 0: the stage does not draw from it, though its epochs count the pairs.",
            at_least(0));
  }
};

struct StageConfig {
  std::string name;
  NetConfig net;
  std::optional<std::string> init;
  std::string init_missing = "error";
  StageLosses losses;
  std::int64_t batch = 10;
  std::int64_t patch = 48;
  std::int64_t epochs = 2000;
  std::optional<std::int64_t> steps;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  std::optional<double> clip_norm;
  std::optional<double> ema;
  double target_power = 1;
  std::string ratio = "paper";
  bool ratio_gradient = false;
  AugmentConfig augment;
  std::vector<SourceWeight> source_weights;
  ValidationConfig validation;
  CheckpointConfig checkpoints;
  std::int64_t log_every = 50;

  template <class V>
  void fields(V& v) {
    v.field("name", name, "The stage's name, for --set, metrics and messages.", kRequired);
    v.field("net", net, "What is trained.", kRequired);
    v.field("init", init,
            "A model that initialises the stage's own net and provides the frozen ones. Nets of earlier stages of "
            "the same run are kept.");
    v.field("init_missing", init_missing,
            "If the model in init lacks a net that the stage trains and no earlier stage has trained: error, or start "
            "that net at random.",
            one_of("error", "random"));
    v.field("losses", losses, "The terms of the loss; it is their weighted sum.", kRequired);
    v.field("batch", batch, "Samples per step.", between(1, 4096));
    v.field("patch", patch, "Width and height of the crops in pixels.", between(1, 65535));
    v.field("epochs", epochs, "Passes over the training pairs.", at_least(1));
    v.field("steps", steps, "Stop after this many steps instead.", at_least(1));
    v.field("optimizer", optimizer, "How gradients update the weights.");
    v.field("schedule", schedule, "How the learning rate changes.");
    v.field("clip_norm", clip_norm, "Gradients with a larger global norm are scaled down to this norm.",
            greater_than(0));
    v.field("ema", ema,
            "Decay of the exponential moving average of the weights, which is then validated and kept; it starts "
            "lower, at (1 + step) / (10 + step).",
            between(0, 0.9999999));
    v.field("target_power", target_power,
            "restoration: the target is R_high to this power (1.2 in the authors' program: more contrast).",
            greater_than(0), at_most(10));
    v.field(
        "ratio", ratio,
        "adjustment: the ratio of a crop is mean(target / (source + 1e-4)) (paper), or from r = mean(L_low / (L_high + "
        "1e-4)) as 1 / r + 1e-4 upwards and r downwards (official); or mean(target / (source + 1e-4)) of the whole "
        "picture (picture), for which decomposition must be frozen.",
        one_of("paper", "official", "picture"));
    v.field("ratio_gradient", ratio_gradient,
            "joint training of all three nets: the gradient of the loss also flows through the ratio, so "
            "decomposition learns illuminations whose ratio predicts the light level.");
    v.field("augment", augment, "Random augmentation of samples.");
    earlier_fields(v, "augment", augment);
    v.field("source_weights", source_weights, "Weights of sources in this stage that differ from data.sources' own.");
    v.field("validation", validation, "Validation on held-out pairs.");
    v.field("checkpoints", checkpoints, "Files from which a stopped run resumes.");
    v.field("log_every", log_every, "Steps between lines of metrics.jsonl.", at_least(1));
  }
  void validate(const std::string& path) const;
};

}  // namespace kind
