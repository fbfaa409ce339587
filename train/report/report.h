#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "losses/metrics/statistics.h"
#include "train/report/run_record.h"

/// Reports on runs and sweeps: the figures in report.cpp, tables in report_tables.cpp, the page in report_page.cpp.
namespace kind {

/// The better direction.
enum class Direction { kHigher, kLower, kNearOne, kNone };

struct ReportCell {
  Estimate estimate;         // over seeds
  Difference difference;     // from the reference point
  double adjusted_p = 1;     // by Holm, for the number of points compared
  bool best = false;         // of all points
  bool significant = false;  // differs from the reference: adjusted_p < 0.05
  bool provisional = false;  // of runs that are not done; neither best nor significant
};

/// A figure of every point.
struct ReportColumn {
  std::string name;
  Direction direction = Direction::kNone;
  std::vector<ReportCell> cells;  // in the order of the points
};

struct Report {
  Records records;
  std::size_t reference = 0;          // the point that the others are compared with
  std::vector<ReportColumn> figures;  // of the last validation
  std::vector<ReportColumn> terms;    // raw loss terms at the ends of their stages, "STAGE/TERM"
};

/// Runs that are done make the estimates; of a point that has none, those that have figures so far, and they are
/// provisional. Differences are paired by seed and, for figures, by picture. `reference` is a point's name or label, or
/// empty for the first one; throws Error if there is no such point.
Report make_report(Records records, const std::string& reference);

/// The runs that count for a point, by seed: those that are done, or if none is, those that have figures so far.
std::vector<const RunRecord*> counted_runs(const Records& records, const PointRecord& point);

/// What the values of an axis change.
struct AxisEffects {
  std::size_t base = 0;                         // the value that others are compared with: the reference point's
  std::vector<std::vector<Difference>> change;  // of each figure, by value; count 0: no pairs
};
/// The differences between points that differ in this axis alone, paired by seed and picture; the mean over what the other
/// axes are set to. Without pairs (in random searches) every count is 0.
AxisEffects axis_effects(const Report& report, const AxisRecord& axis);

/// The share of a figure's variance between points that each axis makes: SS of the means of its values / SS of all points,
/// for each seed, then over the seeds. Chance alone makes (values - 1) / (points - 1) of it. Count 0 where nothing varies.
std::vector<Estimate> axis_shares(const Report& report, const std::string& figure);

/// Something that the runs of a report should have in common: base config, budget, data, split, protocol, program.
struct ReportFact {
  std::string name, text;
  bool differs = false;  // the text then has every value, with the runs that have it
};

/// Those that are known, of the runs that have begun. Throws Error if a run's config.json is not kind-train's.
std::vector<ReportFact> report_facts(const Records& records);

/// "+" better than the reference, "-" worse, "*" different where neither is better, "" otherwise.
std::string mark_of(const ReportColumn& column, const ReportCell& cell);
/// "3 done", "2 done, 1 failed".
std::string state_of(const Report& report, const PointRecord& point);

/// A line for each point and figure: point, label, axes, runs, figure, mean, 95% interval, difference and its interval,
/// p, adjusted p, mark. RFC 4180, numbers with all digits.
std::string report_csv(const Report& report);
/// Three tables, figures, their differences from the reference, and terms, and the runs that failed.
std::string report_markdown(const Report& report);

struct PageOptions {
  std::vector<std::string> pictures;  // stems; empty: the first `count` that all points show
  std::size_t count = 2;
};

/// A self-contained page: tables, curves, contributions, effects of axes, pictures. Throws Error if a requested picture
/// is on no sheet.
std::string report_page(const Report& report, const PageOptions& options);
/// The start of every such page.
inline constexpr std::string_view kReportPageStart =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" "
    "content=\"kind-report\">";

}  // namespace kind
