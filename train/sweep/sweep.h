#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "train/trainer/run_config.h"

/// Sweeps: many runs of one config that differ in a few of its values, planned here, carried out by sweep_run.h.
namespace kind {

struct SweepRange {
  double from = 0, to = 1;
  std::int64_t count = 5;
  std::string scale = "linear";

  template <class V>
  void fields(V& v) {
    v.field("from", from, "First value.", kRequired);
    v.field("to", to, "Last value.", kRequired);
    v.field("count", count, "Number of values, including both ends.", between(2, 10000), kRequired);
    v.field("scale", scale, "Constant difference (linear) or constant factor (log) between neighbours.",
            one_of("linear", "log"));
  }
  void validate(const std::string& path) const;
};

struct SweepRandom {
  double from = 0, to = 1;
  std::int64_t count = 10;
  std::string scale = "linear";
  std::int64_t seed = 1;

  template <class V>
  void fields(V& v) {
    v.field("from", from, "Smallest value.", kRequired);
    v.field("to", to, "Upper limit, exclusive.", kRequired);
    v.field("count", count, "Number of draws.", between(1, 10000), kRequired);
    v.field("scale", scale, "Uniform distribution of the values (linear) or of their logarithms (log).",
            one_of("linear", "log"));
    v.field("seed", seed, "The same seed and axis name draw the same values.", at_least(0));
  }
  void validate(const std::string& path) const;
};

struct SweepDraw {
  double low = 0, high = 1;
  bool log = false;

  template <class V>
  void fields(V& v) {
    v.field("low", low, "Smallest value.", kRequired);
    v.field("high", high, "Largest value.", kRequired);
    v.field("log", log, "Uniform distribution of the values' logarithms.");
  }
  void validate(const std::string& path) const;
};

struct SweepChoice {
  std::string name;
  std::map<std::string, nlohmann::json> set;

  template <class V>
  void fields(V& v) {
    v.field("name", name, "The name in tables.", kRequired);
    v.field("set", set, "Values by path, as for --set.", kRequired);
  }
};

/// Exactly one of values, range, random, draw (with a path) and choices.
struct SweepAxis {
  std::string name;
  std::optional<std::string> path;
  std::optional<std::vector<nlohmann::json>> values;
  std::optional<SweepRange> range;
  std::optional<SweepRandom> random;
  std::optional<SweepDraw> draw;
  std::optional<std::vector<SweepChoice>> choices;

  template <class V>
  void fields(V& v) {
    v.field("name", name, "The name in tables.", kRequired);
    v.field("path", path, "The value to change, a path as for --set; for all but choices.");
    v.field("values", values, "A list of values.");
    v.field("range", range, "Evenly spaced numbers.");
    v.field("random", random, "Numbers drawn at random.");
    v.field("draw", draw, "Numbers that a random search draws, one for each point.");
    v.field("choices", choices, "Named changes, each to any number of paths.");
  }
  void validate(const std::string& here) const;
};

struct SweepBudget {
  std::optional<std::int64_t> steps;
  std::map<std::string, std::int64_t> stages;
  std::optional<double> minutes;

  template <class V>
  void fields(V& v) {
    v.field("steps", steps, "Steps of every stage.", at_least(1));
    v.field("stages", stages, "Steps by stage; takes precedence over steps.", at_least(1));
    v.field("minutes", minutes,
            "A run that takes longer is saved, and its last validation counts. With this budget runs share "
            "nothing, and a resumed run gets its full minutes again.",
            greater_than(0));
  }
};

struct SweepSearch {
  std::string type = "random";
  std::int64_t runs = 10;
  std::int64_t seed = 1;

  template <class V>
  void fields(V& v) {
    v.field("type", type, "random: each point has a value of every axis, drawn independently of the others.",
            one_of("random"));
    v.field("runs", runs, "Number of points; each runs once with each of the sweep's seeds.", between(1, 10000),
            kRequired);
    v.field("seed", seed, "The same seed and axis name draw the same values; more runs draw further ones.",
            at_least(0));
  }
};

struct SweepHalving {
  std::string metric = "psnr";
  std::vector<std::int64_t> rungs;
  double keep = 0.33;

  template <class V>
  void fields(V& v) {
    v.field("metric", metric,
            "The figure of the validation that decides, its mean over the seeds; of one of several sources "
            "SOURCE/FIGURE.");
    v.field("rungs", rungs,
            "Steps of the last stage: behind each rung the best points go on to the next. The last one is the "
            "stage's length.",
            at_least(1), kRequired);
    v.field("keep", keep, "The share of a rung's points that goes on, rounded to the nearest number, at least 1.",
            greater_than(0), less_than(1));
  }
  void validate(const std::string& path) const;
};

struct SweepConfig {
  std::string base;
  std::map<std::string, nlohmann::json> set;
  std::vector<SweepAxis> axes;
  std::string combine = "cross";
  std::vector<std::int64_t> seeds = {1};
  SweepBudget budget;
  std::optional<SweepSearch> search;
  std::optional<SweepHalving> halving;
  std::optional<std::string> keep;
  bool keep_checkpoints = false;

  template <class V>
  void fields(V& v) {
    v.field("base", base, "The base config of all runs; a path relative to the sweep file's folder.", kRequired);
    v.field("set", set, "Values by path, as for --set, that override those of the base in all runs.");
    v.field("axes", axes, "The differences between the runs.", kRequired);
    v.field("combine", combine,
            "cross: the Cartesian product; zip: the first values of all axes together, then the second ones, "
            "...; each: the base, then one axis at a time.",
            one_of("cross", "zip", "each"));
    v.field("seeds", seeds, "Each point runs once with each seed.", at_least(0));
    v.field("budget", budget, "The length of a run.");
    v.field("search", search, "Draws points at random in place of combining the axes.");
    v.field("halving", halving, "Successive halving: runs that are behind at a rung go no further.");
    v.field("keep", keep,
            "What stays of a finished run beside its metrics and sheets: all; models (model.safetensors and "
            "best.safetensors; the default, unless the base says otherwise); model (model.safetensors alone). More "
            "steps need the checkpoints.",
            one_of("all", "models", "model"));
    v.field("keep_checkpoints", keep_checkpoints, "The same as \"keep\": \"all\".");
  }
  void validate(const std::string& path) const;
};

/// One combination of values, run once per seed.
struct SweepPoint {
  std::string name;                                   // p07
  std::string label;                                  // "weight=0.1, c=10"
  std::vector<std::optional<nlohmann::json>> values;  // of each axis (a choice's name); nothing if it is the base's
};

/// A training task: a point with a seed, or first stages that several such runs share.
struct SweepTask {
  std::string name;         // p07-s1, or shared-0123456789abcdef
  std::string folder;       // in the sweep's folder
  nlohmann::json config;    // whole, with its seed
  std::string branch_from;  // the task whose stages it goes on from; empty: none
  std::string maps;         // folder, in the sweep's, of decomposition outputs that several tasks use; empty: none
  int level = 0;            // 0, or one more than that of branch_from
  std::size_t point = 0;    // of a run
  bool shared = false;
};

struct SweepPlan {
  std::string name;  // of the sweep file, without folder and extension
  SweepConfig config;
  std::vector<SweepPoint> points;
  std::vector<SweepTask> shared;  // each after the one it branches from
  std::vector<SweepTask> runs;    // all points with the first seed, then with the next
  std::string keep;               // of finished runs: "all", "models" or "model"
  MissingPlaces missing;          // paths of the base that are nowhere
};

/// Limits of a sweep: planning keeps several copies of every run's config.
inline constexpr std::size_t kMaxSweepRuns = 10'000, kMaxSweepAxes = 100;

/// Reads a sweep and plans its runs; reads no pictures. `set` are --set assignments and `data` the folder of pictures,
/// for every run; empty: the base's own. Points with equal configs are merged. Throws Error naming the file, and the
/// axis and value if they give no valid config; more than `max_runs` runs are refused before any is created. read(path)
/// returns the content of the sweep's file and of the configs that it builds on.
SweepPlan plan_sweep(const std::string& path, const std::vector<std::string>& set, const std::vector<std::string>& data,
                     std::size_t max_runs = kMaxSweepRuns, const ReadConfig& read = read_config_file);

/// Gives the points and runs of `plan` that the sweep in `before` (a sweep.json) has as well the names they have there,
/// and the others names that are free; so a sweep may grow, by runs and by steps of the last stage. Throws Error
/// beginning with `where` if that sweep has other axes or another base, search, halving, time or way to combine, or
/// runs that `plan` has not got, or if it has halving and would grow. Returns the number of runs that are new.
std::size_t adopt_names(SweepPlan& plan, const nlohmann::json& before, const std::string& where);

/// "11 points, 3 seeds: 33 runs; 6 sets of stages that several need".
std::string summary_of(const SweepPlan& plan);

/// The plan as stored in the sweep's folder (sweep.json): axes, points, seeds, and a hash of each run's config.
nlohmann::ordered_json to_json(const SweepPlan& plan);

}  // namespace kind
