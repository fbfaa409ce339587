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
    v.field("count", count, "How many, both ends included.", between(2, 10000), kRequired);
    v.field("scale", scale, "Whether neighbours differ by the same amount or by the same factor.",
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
    v.field("from", from, "Least value.", kRequired);
    v.field("to", to, "Values stay below this.", kRequired);
    v.field("count", count, "How many are drawn.", between(1, 10000), kRequired);
    v.field("scale", scale, "Whether values or their logarithms are drawn evenly.", one_of("linear", "log"));
    v.field("seed", seed, "The same seed and axis name draw the same values.", at_least(0));
  }
  void validate(const std::string& path) const;
};

struct SweepChoice {
  std::string name;
  std::map<std::string, nlohmann::json> set;

  template <class V>
  void fields(V& v) {
    v.field("name", name, "What tables call it.", kRequired);
    v.field("set", set, "Values by path, as --set takes them.", kRequired);
  }
};

/// Exactly one of values, range, random (with a path) and choices.
struct SweepAxis {
  std::string name;
  std::optional<std::string> path;
  std::optional<std::vector<nlohmann::json>> values;
  std::optional<SweepRange> range;
  std::optional<SweepRandom> random;
  std::optional<std::vector<SweepChoice>> choices;

  template <class V>
  void fields(V& v) {
    v.field("name", name, "What tables call it.", kRequired);
    v.field("path", path, "What it changes, a path as --set takes it; for values, range and random.");
    v.field("values", values, "The values one after the other.");
    v.field("range", range, "Evenly spaced numbers.");
    v.field("random", random, "Numbers drawn at random.");
    v.field("choices", choices, "Named changes, each of any number of paths.");
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
    v.field("stages", stages, "Steps by stage; goes before steps.", at_least(1));
    v.field("minutes", minutes,
            "A run that takes longer is saved and counts with what it was last validated with. Nothing is then shared "
            "between runs, and a run that was killed has its minutes anew.",
            greater_than(0));
  }
};

struct SweepConfig {
  std::string base;
  std::map<std::string, nlohmann::json> set;
  std::vector<SweepAxis> axes;
  std::string combine = "cross";
  std::vector<std::int64_t> seeds = {1};
  SweepBudget budget;
  bool keep_checkpoints = false;

  template <class V>
  void fields(V& v) {
    v.field("base", base, "The config that all runs start from; a path from the sweep file's own folder.", kRequired);
    v.field("set", set, "Values by path, as --set takes them, that all runs have in place of the base's.");
    v.field("axes", axes, "What the runs differ in.", kRequired);
    v.field("combine", combine,
            "cross: every value with every other; zip: the first of each axis together, then the second ...; each: the "
            "base, then one axis at a time.",
            one_of("cross", "zip", "each"));
    v.field("seeds", seeds, "Each point is run once with each of them.", at_least(0));
    v.field("budget", budget, "How long a run takes.");
    v.field("keep_checkpoints", keep_checkpoints,
            "Whether runs keep their checkpoints when they are done; their models stay in any case.");
  }
  void validate(const std::string& path) const;
};

/// One combination of values, run once a seed.
struct SweepPoint {
  std::string name;                                   // p07
  std::string label;                                  // "weight=0.1, c=10"
  std::vector<std::optional<nlohmann::json>> values;  // of each axis (a choice's name); nothing where it is the base's
};

/// One training: a point with a seed, or first stages that several such runs have in common.
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
};

/// What a sweep may have: every run's config is held several times over while it is planned.
inline constexpr std::size_t kMaxSweepRuns = 10'000, kMaxSweepAxes = 100;

/// Reads a sweep and plans its runs; looks at no pictures. `set` are --set assignments and `data` the folder of
/// pictures, for every run; empty: the base's own. Points whose configs are the same become one. Throws Error naming
/// the file, and the axis and value where they make no valid config; more than `max_runs` runs are refused before any
/// of them is made. read(path) gives the content of the sweep's file and of its base.
SweepPlan plan_sweep(const std::string& path, const std::vector<std::string>& set, const std::vector<std::string>& data,
                     std::size_t max_runs = kMaxSweepRuns,
                     const std::function<nlohmann::json(const std::string& path)>& read = read_json_file);

/// "11 points, 3 seeds: 33 runs; 6 sets of stages that several need".
std::string summary_of(const SweepPlan& plan);

/// What the sweep's folder keeps of the plan (sweep.json): axes, points, seeds, and a hash of each run's config.
nlohmann::ordered_json to_json(const SweepPlan& plan);

}  // namespace kind
