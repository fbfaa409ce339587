#include "train/report/report.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/error.h"
#include "losses/metrics/metrics.h"

namespace kind {
namespace {

constexpr double kSignificant = 0.05;

Direction direction_of(const std::string& name) {
  const std::string figure = name.substr(name.find('/') + 1);  // npos + 1 is 0
  // Restored R is compared with the same net's R of the bright picture: an R that shows nothing is nearest to itself.
  if (figure == "psnr_reflectance") return Direction::kNone;
  if (figure == "psnr_reconstruction") return Direction::kHigher;
  for (const Metric& metric : all_metrics()) {
    if (metric.figure() != figure) continue;
    return metric.better == Better::kHigher    ? Direction::kHigher
           : metric.better == Better::kLower   ? Direction::kLower
           : metric.better == Better::kNearOne ? Direction::kNearOne
                                               : Direction::kNone;
  }
  return Direction::kNone;
}

const double* find(const Figures& figures, const std::string& name) {
  const auto at = figures.find(name);
  return at == figures.end() ? nullptr : &at->second;
}

/// Runs that are compared with one another, by seed.
using Pairs = std::map<std::int64_t, std::vector<std::pair<const RunRecord*, const RunRecord*>>>;

/// Adds the runs of two points that have the same seed.
void add_pairs(const Records& records, const PointRecord& point, const PointRecord& reference, Pairs& pairs) {
  for (const RunRecord* ours : counted_runs(records, point)) {
    for (const RunRecord* theirs : counted_runs(records, reference)) {
      if (ours->seed == theirs->seed) pairs[ours->seed].emplace_back(ours, theirs);
    }
  }
}

const double* find(const RunRecord& run, const std::string& picture, const std::string& name) {
  const auto at = run.pictures.find(picture);
  return at == run.pictures.end() ? nullptr : find(at->second, name);
}

/// The pictures of which every run has the figure.
std::vector<std::string> common_pictures(const Pairs& pairs, const std::string& name) {
  std::vector<std::string> pictures;
  if (pairs.empty()) return pictures;
  for (const auto& entry : pairs.begin()->second.front().first->pictures) {
    const bool everywhere = std::all_of(pairs.begin(), pairs.end(), [&](const auto& seed) {
      return std::all_of(seed.second.begin(), seed.second.end(), [&](const auto& pair) {
        return find(*pair.first, entry.first, name) && find(*pair.second, entry.first, name);
      });
    });
    if (everywhere) pictures.push_back(entry.first);
  }
  return pictures;
}

/// Differences of a figure, a row for each seed and a column for each picture that all have; by seed alone where pictures
/// say nothing of it. Several pairs of a seed count as their mean.
std::vector<std::vector<double>> differences(const Pairs& pairs, const std::string& name, Figures RunRecord::*whole,
                                             bool by_picture) {
  const std::vector<std::string> pictures = by_picture ? common_pictures(pairs, name) : std::vector<std::string>();
  std::vector<std::vector<double>> rows;
  for (const auto& [seed, compared] : pairs) {
    std::vector<double> row(std::max<std::size_t>(1, pictures.size()));
    double count = 0;
    for (const auto& [ours, theirs] : compared) {
      const double *a = find(ours->*whole, name), *b = find(theirs->*whole, name);
      if (pictures.empty() && !(a && b)) continue;
      ++count;
      if (pictures.empty()) row[0] += *a - *b;
      for (std::size_t i = 0; i < pictures.size(); ++i) {
        row[i] += *find(*ours, pictures[i], name) - *find(*theirs, pictures[i], name);
      }
    }
    if (count == 0) continue;
    for (double& value : row) value /= count;
    rows.push_back(std::move(row));
  }
  return rows;
}

/// How good a mean is; higher is better.
double merit(Direction direction, double mean) {
  if (direction == Direction::kLower) return -mean;
  return direction == Direction::kNearOne ? -std::abs(mean - 1) : mean;
}

/// Whether a point has no run that is done.
bool is_provisional(const Records& records, const PointRecord& point) {
  return std::none_of(point.runs.begin(), point.runs.end(),
                      [&](std::size_t i) { return records.runs[i].state == RunRecord::State::kDone; });
}

ReportColumn make_column(const Records& records, std::size_t reference, const std::string& name, Direction direction,
                         Figures RunRecord::*whole, bool by_picture) {
  ReportColumn column{name, direction, {}};
  std::vector<double> p;
  std::vector<std::size_t> compared;
  for (std::size_t i = 0; i < records.points.size(); ++i) {
    const PointRecord& point = records.points[i];
    ReportCell cell;
    cell.provisional = is_provisional(records, point);
    std::vector<double> values;
    for (const RunRecord* run : counted_runs(records, point)) {
      if (const double* value = find(run->*whole, name)) values.push_back(*value);
    }
    cell.estimate = estimate(values);
    if (i != reference) {
      Pairs pairs;
      add_pairs(records, point, records.points[reference], pairs);
      cell.difference = paired_difference(differences(pairs, name, whole, by_picture));
      if (cell.difference.estimate.interval && !cell.provisional &&
          !is_provisional(records, records.points[reference])) {
        compared.push_back(i);
        p.push_back(cell.difference.p);
      }
    }
    column.cells.push_back(cell);
  }
  const std::vector<double> adjusted = holm(p);
  for (std::size_t i = 0; i < compared.size(); ++i) {
    column.cells[compared[i]].adjusted_p = adjusted[i];
    column.cells[compared[i]].significant = adjusted[i] < kSignificant;
  }
  if (direction == Direction::kNone) return column;
  const ReportCell* best = nullptr;
  for (const ReportCell& cell : column.cells) {
    if (cell.estimate.count > 0 && !cell.provisional &&
        (!best || merit(direction, cell.estimate.mean) > merit(direction, best->estimate.mean))) {
      best = &cell;
    }
  }
  for (ReportCell& cell : column.cells) {
    cell.best = best && cell.estimate.count > 0 && !cell.provisional && column.cells.size() > 1 &&
                merit(direction, cell.estimate.mean) >= merit(direction, best->estimate.mean);
  }
  return column;
}

/// Whether two points differ in this axis alone.
bool differ_in(const PointRecord& a, const PointRecord& b, const std::string& axis) {
  if (a.values.size() != b.values.size()) return false;
  return std::all_of(a.values.begin(), a.values.end(), [&](const auto& entry) {
    const auto other = b.values.find(entry.first);
    return other != b.values.end() && (entry.first == axis || other->second == entry.second);
  });
}

/// The value of a point on an axis, or nothing.
const nlohmann::json* value_on(const PointRecord& point, const std::string& axis) {
  const auto at = point.values.find(axis);
  return at == point.values.end() ? nullptr : &at->second;
}

}  // namespace

std::vector<const RunRecord*> counted_runs(const Records& records, const PointRecord& point) {
  std::map<std::int64_t, const RunRecord*> done, begun;
  for (const std::size_t i : point.runs) {
    const RunRecord& run = records.runs[i];
    if (run.state == RunRecord::State::kDone) done[run.seed] = &run;
    if (!run.stages.empty()) begun[run.seed] = &run;
  }
  std::vector<const RunRecord*> runs;
  for (const auto& [seed, run] : done.empty() ? begun : done) runs.push_back(run);
  return runs;
}

Report make_report(Records records, const std::string& reference) {
  Report report{std::move(records), 0, {}, {}};
  const std::vector<PointRecord>& points = report.records.points;
  if (!reference.empty()) {
    const auto at = std::find_if(points.begin(), points.end(), [&](const PointRecord& point) {
      return point.name == reference || point.label == reference;
    });
    check(at != points.end(), "--reference: there is no point \"", reference, "\"; points are named as in the tables");
    report.reference = static_cast<std::size_t>(at - points.begin());
  }
  std::vector<std::string> figures;
  for (const Metric& metric : all_metrics()) {
    if (metric.taken != Taken::kNamed && metric.better != Better::kNeither) figures.push_back(metric.figure());
  }
  for (const char* name : {"psnr_reflectance", "psnr_reconstruction", "illumination_std", "illumination_gradient"}) {
    figures.emplace_back(name);
  }
  std::vector<std::string> terms;
  std::set<std::string> seen, present, sets;
  for (const RunRecord& run : report.records.runs) {
    for (const auto& [name, value] : run.last) {
      present.insert(name);
      const std::size_t set = name.find('/') + 1;  // npos + 1 is 0
      if (set > 0) sets.insert(name.substr(0, set));
      if (set == 0 && std::find(figures.begin(), figures.end(), name) == figures.end()) figures.push_back(name);
    }
    for (const StageRecord& stage : run.stages) {
      for (const auto& [term, values] : stage.raw) {
        if (seen.insert(stage.name + "/" + term).second) terms.push_back(stage.name + "/" + term);
      }
    }
  }
  // Behind the figures of all pairs, those of each set in the same order.
  const std::vector<std::string> of_all = figures;
  for (const std::string& set : sets) {
    for (const std::string& name : of_all) figures.push_back(set + name);
  }
  for (const std::string& name : figures) {
    if (present.count(name) == 0) continue;
    report.figures.push_back(
        make_column(report.records, report.reference, name, direction_of(name), &RunRecord::last, true));
  }
  for (const std::string& name : terms) {
    report.terms.push_back(
        make_column(report.records, report.reference, name, Direction::kLower, &RunRecord::terms, false));
  }
  return report;
}

AxisEffects axis_effects(const Report& report, const AxisRecord& axis) {
  const Records& records = report.records;
  AxisEffects effects;
  if (axis.values.empty()) return effects;
  if (const nlohmann::json* value = value_on(records.points.at(report.reference), axis.name)) {
    const auto at = std::find(axis.values.begin(), axis.values.end(), *value);
    if (at != axis.values.end()) effects.base = static_cast<std::size_t>(at - axis.values.begin());
  }
  for (const ReportColumn& column : report.figures) {
    std::vector<Difference>& change = effects.change.emplace_back();
    for (const nlohmann::json& value : axis.values) {
      Pairs pairs;
      for (const PointRecord& point : records.points) {
        const nlohmann::json* own = value_on(point, axis.name);
        if (!own || *own != value || value == axis.values[effects.base]) continue;
        for (const PointRecord& base : records.points) {
          const nlohmann::json* other = value_on(base, axis.name);
          if (!other || *other != axis.values[effects.base] || !differ_in(point, base, axis.name)) continue;
          add_pairs(records, point, base, pairs);
        }
      }
      change.push_back(paired_difference(differences(pairs, column.name, &RunRecord::last, true)));
    }
  }
  return effects;
}

std::vector<Estimate> axis_shares(const Report& report, const std::string& figure) {
  const Records& records = report.records;
  struct Sum {
    double sum = 0, count = 0;
    double mean() const { return sum / count; }
  };
  std::map<std::int64_t, std::vector<std::pair<const PointRecord*, double>>> seeds;
  for (const PointRecord& point : records.points) {
    for (const RunRecord* run : counted_runs(records, point)) {
      if (const double* value = find(run->last, figure)) seeds[run->seed].emplace_back(&point, *value);
    }
  }
  std::vector<Estimate> result;
  for (const AxisRecord& axis : records.axes) {
    std::vector<double> shares;
    for (const auto& [seed, points] : seeds) {
      Sum all;
      std::map<std::string, Sum> by_value;
      for (const auto& [point, value] : points) {
        const nlohmann::json* on = value_on(*point, axis.name);
        if (!on) continue;
        Sum& sum = by_value[on->dump()];
        for (Sum* each : {&all, &sum}) {
          each->sum += value;
          ++each->count;
        }
      }
      double total = 0, between = 0;
      for (const auto& [point, value] : points) {
        const nlohmann::json* on = value_on(*point, axis.name);
        if (!on) continue;
        total += (value - all.mean()) * (value - all.mean());
        const double mean = by_value[on->dump()].mean();
        between += (mean - all.mean()) * (mean - all.mean());
      }
      // Equal figures whose mean was rounded are equal.
      if (total > 1e-20 * all.count * all.mean() * all.mean()) shares.push_back(between / total);
    }
    result.push_back(estimate(shares));
  }
  return result;
}

}  // namespace kind
