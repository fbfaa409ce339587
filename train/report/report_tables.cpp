#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/error.h"
#include "train/report/page_parts.h"
#include "train/report/report.h"

namespace kind {
namespace {

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string exact(double value) { return nlohmann::json(value).dump(); }

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

std::string markdown_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '*') out += '\\';  // the end of a cell, and emphasis
    out += c == '\n' ? ' ' : c;
  }
  return out;
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
  for (const HalvingRecord& halving : report.records.halvings) {
    for (const RungPointRecord& point : halving.points) {
      if (!point.stopped) continue;
      text += csv_field(point.name) + "," + csv_field(point.label);
      for (const AxisRecord& axis : report.records.axes) {
        const auto value = point.values.find(axis.name);
        text += "," + (value == point.values.end() ? "" : csv_field(value_text(value->second)));
      }
      text += "," + csv_field(outcome_of(point)) + ",,0,,,,,,,,,\r\n";
    }
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
  text += markdown_rungs(report);
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
