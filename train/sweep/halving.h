#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/sweep/sweep.h"

/// Successive halving of a sweep: after each rung, a number of steps of the last stage, the better points go on.
namespace kind {

/// The figure that decides, of the validation after `steps` steps of the last stage of the run in `folder`. Nothing if
/// the run has not come so far, or its checkpoint has not. Throws Error if the validation does not have the figure.
std::optional<double> rung_figure(const std::string& folder, const std::string& last_stage, std::int64_t steps,
                                  const std::string& metric);

/// A point at a rung.
struct RungPoint {
  std::string point;             // p07
  std::optional<double> figure;  // its mean over the seeds; nothing if a run has failed
  bool kept = false;             // goes on to the next rung
};

/// A rung that is decided, its points from the best to the worst.
struct Rung {
  std::int64_t steps = 0;
  std::vector<RungPoint> points;
};

/// Ranks the points by the figure, those that are equal in their order, and keeps the best share, rounded to the nearest
/// number, at least one. Points without a figure come last and are never kept.
Rung decide_rung(const SweepHalving& halving, std::int64_t steps, std::vector<RungPoint> points);

/// The rungs that are decided, in OUT/halving.json; none if there is no such file. Throws Error if it is not what
/// kind-train writes.
std::vector<Rung> read_rungs(const std::string& out);
void write_rungs(const std::string& out, const std::string& metric, const std::vector<Rung>& rungs);

/// The rung that stopped each point, by its number from 0; points that were not stopped are missing.
std::map<std::string, std::size_t> stopped_points(const std::vector<Rung>& rungs);

}  // namespace kind
