#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "core/base/error.h"
#include "losses/metrics/metrics.h"
#include "train/report/report.h"

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

/// Runs of a point that are done, by seed.
std::map<std::int64_t, const RunRecord*> done_runs(const Records& records, const PointRecord& point) {
  std::map<std::int64_t, const RunRecord*> runs;
  for (const std::size_t i : point.runs) {
    if (records.runs[i].state == RunRecord::State::kDone) runs[records.runs[i].seed] = &records.runs[i];
  }
  return runs;
}

const double* find(const Figures& figures, const std::string& name) {
  const auto at = figures.find(name);
  return at == figures.end() ? nullptr : &at->second;
}

/// Differences of a figure between two points by seed and picture, of what both have; by seed alone where pictures say
/// nothing of it.
std::vector<std::vector<double>> differences(const Records& records, const PointRecord& point,
                                             const PointRecord& reference, const std::string& name,
                                             Figures RunRecord::*whole, bool by_picture) {
  const auto ours = done_runs(records, point), theirs = done_runs(records, reference);
  std::vector<std::pair<const RunRecord*, const RunRecord*>> pairs;
  for (const auto& [seed, run] : ours) {
    const auto other = theirs.find(seed);
    if (other != theirs.end()) pairs.emplace_back(run, other->second);
  }
  const auto value = [&](const RunRecord& run, const std::string& picture) -> const double* {
    const auto at = run.pictures.find(picture);
    return at == run.pictures.end() ? nullptr : find(at->second, name);
  };
  std::vector<std::string> pictures;
  if (by_picture && !pairs.empty()) {
    for (const auto& entry : pairs[0].first->pictures) {
      const std::string& picture = entry.first;
      const bool everywhere = std::all_of(pairs.begin(), pairs.end(), [&](const auto& pair) {
        return value(*pair.first, picture) && value(*pair.second, picture);
      });
      if (everywhere) pictures.push_back(picture);
    }
  }
  std::vector<std::vector<double>> rows;
  for (const auto& [run, other] : pairs) {
    std::vector<double> row;
    for (const std::string& picture : pictures) row.push_back(*value(*run, picture) - *value(*other, picture));
    const double *a = find(run->*whole, name), *b = find(other->*whole, name);
    if (pictures.empty() && a && b) row.push_back(*a - *b);
    if (!row.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

/// How good a mean is; higher is better.
double merit(Direction direction, double mean) {
  if (direction == Direction::kLower) return -mean;
  return direction == Direction::kNearOne ? -std::abs(mean - 1) : mean;
}

ReportColumn make_column(const Records& records, std::size_t reference, const std::string& name, Direction direction,
                         Figures RunRecord::*whole, bool by_picture) {
  ReportColumn column{name, direction, {}};
  std::vector<double> p;
  std::vector<std::size_t> compared;
  for (std::size_t i = 0; i < records.points.size(); ++i) {
    ReportCell cell;
    std::vector<double> values;
    for (const auto& [seed, run] : done_runs(records, records.points[i])) {
      if (const double* value = find(run->*whole, name)) values.push_back(*value);
    }
    cell.estimate = estimate(values);
    if (i != reference) {
      cell.difference = paired_difference(
          differences(records, records.points[i], records.points[reference], name, whole, by_picture));
      if (cell.difference.estimate.interval) {
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
    if (cell.estimate.count > 0 &&
        (!best || merit(direction, cell.estimate.mean) > merit(direction, best->estimate.mean))) {
      best = &cell;
    }
  }
  for (ReportCell& cell : column.cells) {
    cell.best = best && cell.estimate.count > 0 && column.cells.size() > 1 &&
                merit(direction, cell.estimate.mean) >= merit(direction, best->estimate.mean);
  }
  return column;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string exact(double value) { return nlohmann::json(value).dump(); }

std::string value_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string markdown_text(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : c == '\n' ? std::string(" ") : std::string(1, c);
  return out;
}

std::string number(const char* how, double value) {
  char text[48];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

std::string markdown_mark(const ReportColumn& column, const ReportCell& cell) {
  const std::string mark = mark_of(column, cell);
  return mark == "+" ? " ▲" : mark == "-" ? " ▼" : mark == "*" ? " ≠" : "";
}

std::string markdown_table(const Report& report, const std::vector<ReportColumn>& columns) {
  std::string text = "| point | runs |", rule = "|---|---|";
  for (const ReportColumn& column : columns) {
    text += " " + markdown_text(column.name) + " |";
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    const PointRecord& point = report.records.points[i];
    text += "| " + markdown_text(point.label) + (i == report.reference ? " (reference)" : "") + " | " +
            state_of(report, point) + " |";
    for (const ReportColumn& column : columns) {
      const ReportCell& cell = column.cells[i];
      std::string shown = "-";
      if (cell.estimate.count > 0) {
        shown = number("%.4g", cell.estimate.mean);
        if (cell.estimate.interval) shown += " ± " + number("%.2g", cell.estimate.half);
        if (cell.best) shown = "**" + shown + "**";
        shown += markdown_mark(column, cell);
      }
      text += " " + shown + " |";
    }
    text += "\n";
  }
  return text;
}

/// What every point differs from the reference by, with the interval of that.
std::string markdown_differences(const Report& report) {
  std::string text = "| point |", rule = "|---|";
  for (const ReportColumn& column : report.figures) {
    text += " " + markdown_text(column.name) + " |";
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    if (i == report.reference) continue;
    text += "| " + markdown_text(report.records.points[i].label) + " |";
    for (const ReportColumn& column : report.figures) {
      const ReportCell& cell = column.cells[i];
      const Estimate& d = cell.difference.estimate;
      const bool common = d.mean == 0 && d.half == 0;  // what points have in common needs no interval
      text += d.count == 0 ? " -" : common ? " 0" : number(" %+.3g", d.mean);
      if (d.interval && !common) text += number(" [%+.3g", d.mean - d.half) + number(", %+.3g]", d.mean + d.half);
      text += markdown_mark(column, cell) + " |";
    }
    text += "\n";
  }
  return text;
}

}  // namespace

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
    if (run.state != RunRecord::State::kDone) continue;
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

std::string mark_of(const ReportColumn& column, const ReportCell& cell) {
  if (!cell.significant) return "";
  const double mean = cell.difference.estimate.mean;
  if (column.direction == Direction::kHigher) return mean > 0 ? "+" : "-";
  if (column.direction == Direction::kLower) return mean < 0 ? "+" : "-";
  if (column.direction == Direction::kNearOne) {
    // On the same side of 1 a sure difference is a sure step towards it or away.
    const double ours = cell.estimate.mean - 1, theirs = ours - mean;
    if (ours * theirs >= 0) return std::abs(ours) < std::abs(theirs) ? "+" : "-";
  }
  return "*";
}

std::string state_of(const Report& report, const PointRecord& point) {
  std::map<RunRecord::State, int> counts;
  for (const std::size_t run : point.runs) ++counts[report.records.runs[run].state];
  std::string text;
  const auto add = [&](RunRecord::State state, const char* word) {
    if (counts[state] > 0) text += join(text.empty() ? "" : ", ", counts[state], " ", word);
  };
  add(RunRecord::State::kDone, "done");
  add(RunRecord::State::kFailed, "failed");
  add(RunRecord::State::kUnfinished, "unfinished");
  add(RunRecord::State::kMissing, "not begun");
  return text;
}

std::string report_csv(const Report& report) {
  std::string text = "point,label";
  for (const AxisRecord& axis : report.records.axes) text += "," + csv_field(axis.name);
  text += ",runs,figure,count,mean,low,high,difference,difference_low,difference_high,p,p_holm,mark\r\n";
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    const PointRecord& point = report.records.points[i];
    std::string head = csv_field(point.name) + "," + csv_field(point.label);
    for (const AxisRecord& axis : report.records.axes) {
      const auto value = point.values.find(axis.name);
      head += "," + (value == point.values.end() ? "" : csv_field(value_text(value->second)));
    }
    head += "," + csv_field(state_of(report, point));
    bool any = false;
    for (const std::vector<ReportColumn>* columns : {&report.figures, &report.terms}) {
      for (const ReportColumn& column : *columns) {
        const ReportCell& cell = column.cells[i];
        const Estimate &e = cell.estimate, &d = cell.difference.estimate;
        if (e.count == 0) continue;
        any = true;
        text += head + "," + csv_field(column.name) + "," + std::to_string(e.count) + "," + exact(e.mean);
        text += e.interval ? "," + exact(e.mean - e.half) + "," + exact(e.mean + e.half) : ",,";
        text += d.count > 0 ? "," + exact(d.mean) : ",";
        text += d.interval ? "," + exact(d.mean - d.half) + "," + exact(d.mean + d.half) + "," +
                                 exact(cell.difference.p) + "," + exact(cell.adjusted_p)
                           : ",,,,";
        text += "," + mark_of(column, cell) + "\r\n";
      }
    }
    if (!any) text += head + ",,0,,,,,,,,,\r\n";
  }
  return text;
}

std::string report_markdown(const Report& report) {
  std::string text = "# " + markdown_text(report.records.title) + "\n\n";
  text += markdown_table(report, report.figures);
  if (report.records.points.size() > 1 && !report.figures.empty()) {
    text += "\nDifferences from " + markdown_text(report.records.points[report.reference].label) +
            " [95% interval], paired by seed and picture:\n\n" + markdown_differences(report);
  }
  if (!report.terms.empty()) text += "\n" + markdown_table(report, report.terms);
  text +=
      "\nMeans over seeds ± half of the 95% interval. Bold: best. ▲ better, ▼ worse, ≠ different than the reference "
      "(paired by seed and picture, p < 0.05 after Holm).\n\n";
  for (const ReportFact& fact : report_facts(report.records)) {
    text += (fact.differs ? "- **Warning: runs differ in " + fact.name + ":** " : "- " + fact.name + ": ") +
            markdown_text(fact.text) + "\n";
  }
  for (const RunRecord& run : report.records.runs) {
    if (run.state == RunRecord::State::kFailed) {
      text += "\n- " + run.name + " failed: " + markdown_text(run.reason) + "\n";
    }
  }
  return text;
}

}  // namespace kind
