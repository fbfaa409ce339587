// Long because the page's style and script are in it: a report is one file.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/html.h"
#include "core/image/image.h"
#include "train/report/report.h"
#include "train/report/report_charts.h"

namespace kind {
namespace {

// Colours by the reader's preference; tables and pictures scroll inside their own boxes, so that the page never does.
const char* const kStyle = R"css(
:root { color-scheme: light dark; --b: #fff; --f: #1b1f24; --s: #667; --r: #d5d9e0; --h: #f2f4f7; --up: #0a7d38;
  --down: #b3261e; --k: #1d5fbf; }
@media (prefers-color-scheme: dark) { :root { --b: #14171c; --f: #e4e7ec; --s: #99a1ad; --r: #343b46; --h: #1d222a;
  --up: #58c97f; --down: #ff8a80; --k: #7db0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--b); color: var(--f);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p, li { max-width: 48rem; } .s { color: var(--s); }
.w { overflow-x: auto; border: 1px solid var(--r); border-radius: 6px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--r); }
th { background: var(--h); font-weight: 600; white-space: normal; vertical-align: bottom; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--b); min-width: 8rem;
  max-width: 16rem; white-space: normal; }
th:first-child { background: var(--h); }
@media (max-width: 40rem) { th:first-child, td:first-child { min-width: 0; max-width: 8rem; font-size: .78rem; } }
td.runs { white-space: normal; } .d small { display: block; } .left td, .left th { text-align: left; }
td.best { font-weight: 700; } td small { color: var(--s); font-weight: 400; }
.up { color: var(--up); } .down { color: var(--down); } .other { color: var(--k); }
td.reason { white-space: normal; text-align: left; overflow-wrap: anywhere; min-width: 12rem; }
.c { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .5rem; margin: .5rem 0; }
figure { margin: 0; border: 1px solid var(--r); border-radius: 6px; padding: .3rem; break-inside: avoid; min-width: 0; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--s); font-size: 10px; }
svg .t { fill: var(--f); font-size: 11px; font-weight: 600; text-anchor: middle; }
svg .e { text-anchor: end; } svg .m { text-anchor: middle; }
svg .g { stroke: var(--r); stroke-width: .5; } svg .a { stroke: var(--s); stroke-width: .7; }
svg .l { fill: none; stroke-width: 1.4; stroke-linejoin: round; } svg .q { stroke: var(--k); }
svg .i { stroke: var(--k); stroke-width: 1.4; } svg .p { fill: var(--k); }
.n { display: flex; flex-wrap: wrap; gap: .15rem .9rem; margin: .4rem 0; padding: 0; list-style: none; font-size: .82rem; }
.n li { max-width: 100%; overflow-wrap: anywhere; }
.n button { all: unset; cursor: pointer; } .n button:focus-visible { outline: 2px solid var(--k); }
.n svg { display: inline-block; width: 26px; height: 8px; vertical-align: middle; margin-right: .3rem; }
.dim { opacity: .12; }
.x { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(9rem, 13rem); gap: .4rem; overflow-x: auto; padding: .3rem; }
.x figure { padding: .2rem; font-size: .78rem; } .x figcaption { overflow-wrap: anywhere; }
.pic { background-size: 100% 100%; width: 100%; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.v { position: relative; cursor: ew-resize; touch-action: pan-y; user-select: none; } .v .pic { border-radius: 4px; } .v .over { position: absolute; inset: 0; }
.v .bar { position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.k { display: flex; flex-wrap: wrap; gap: .4rem; margin: .4rem 0; }
.k label { flex: 1 1 10rem; font-size: .82rem; min-width: 0; } .k select { width: 100%; font: inherit; }
.viewer > * { max-width: min(40rem, 75vh * (var(--ratio, 1))); } .viewer > .k { max-width: 40rem; } .slide { width: 100%; }
@media print { :root { --b: #fff; --f: #000; --s: #444; --r: #bbb; --h: #eee; --up: #064; --down: #900; --k: #124; }
  body { max-width: none; padding: 0; font-size: 10pt; } .script { display: none; } .w, .x { overflow: visible; }
  .w { border: 0; } th, td { padding: .15rem .3rem; white-space: normal; } th:first-child, td:first-child { position: static; }
  table { font-size: 7pt; } td small { display: block; } .c { grid-template-columns: repeat(2, 1fr); }
  .x { grid-auto-flow: row; grid-template-columns: repeat(4, 1fr); } h2, h3 { break-after: avoid; } tr { break-inside: avoid; } }
)css";

// A legend's entry shows its line alone; the viewer lays one picture over another as far as the slider says.
const char* const kScript = R"js(
document.querySelectorAll('.n button').forEach(b => b.addEventListener('click', () => {
  const on = b.getAttribute('aria-pressed') !== 'true';
  document.querySelectorAll('.n button').forEach(o => o.setAttribute('aria-pressed', o === b && on));
  document.querySelectorAll('polyline.l:not(.q)').forEach(l =>
    l.classList.toggle('dim', on && !l.classList.contains(b.dataset.line)));
}));
document.querySelectorAll('.viewer').forEach(v => {
  const [map, a, b] = v.querySelectorAll('select'), [under, over] = v.querySelectorAll('.v .pic');
  const slide = v.querySelector('.slide'), bar = v.querySelector('.bar');
  const set = (to, point) => {
    const from = document.querySelector(`[data-pic="${v.dataset.picture}|${map.value}|${point}"]`);
    if (!from) return;
    to.className = from.className + (to === over ? ' over' : '');
    to.style.aspectRatio = from.style.aspectRatio;
    v.style.setProperty('--ratio', from.style.aspectRatio);
    to.setAttribute('aria-label', from.getAttribute('aria-label'));
  };
  const show = () => { set(under, b.value); set(over, a.value); cut(); };
  const cut = () => { over.style.clipPath = `inset(0 ${100 - slide.value}% 0 0)`; bar.style.left = slide.value + '%'; };
  [map, a, b].forEach(s => s.addEventListener('change', show));
  slide.addEventListener('input', cut);
  const box = v.querySelector('.v'), drag = e => {
    if (!(e.buttons & 1)) return;
    const at = box.getBoundingClientRect();
    slide.value = 100 * (e.clientX - at.left) / at.width;
    cut();
  };
  box.addEventListener('pointerdown', e => { box.setPointerCapture(e.pointerId); drag(e); });
  box.addEventListener('pointermove', drag);
  show();
});
)js";

std::string number(double value, const char* how = "%.4g") {
  char text[48];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

std::string value_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// Whether the points are named by one axis of words alone: its name then stands once, above them.
bool named_by_axis(const Records& records) {
  if (records.axes.size() != 1) return false;
  const std::vector<nlohmann::json>& values = records.axes[0].values;
  return std::all_of(values.begin(), values.end(), [](const nlohmann::json& value) { return value.is_string(); });
}

/// What all points are: the axis that names them.
std::string points_name(const Records& records) { return named_by_axis(records) ? records.axes[0].name : "point"; }

/// What a point is called in tables and pictures.
std::string short_label(const Records& records, const PointRecord& point) {
  const std::string axis = named_by_axis(records) ? records.axes[0].name + "=" : "";
  return point.label.rfind(axis, 0) == 0 ? point.label.substr(axis.size()) : point.label;
}

/// The runs of a point that are done.
std::vector<const RunRecord*> done_runs(const Records& records, const PointRecord& point) {
  std::vector<const RunRecord*> runs;
  for (const std::size_t i : point.runs) {
    if (records.runs[i].state == RunRecord::State::kDone) runs.push_back(&records.runs[i]);
  }
  return runs;
}

/// A name that may go on in the next line behind / and _.
std::string breakable(const std::string& name) {
  std::string html;
  for (const char c : html_text(name)) {
    html += c;
    if (c == '/' || c == '_') html += "<wbr>";
  }
  return html;
}

const char* arrow_of(const ReportColumn& column) {
  return column.direction == Direction::kHigher ? "&nbsp;↑" : column.direction == Direction::kLower ? "&nbsp;↓" : "";
}

std::string mark_html(const ReportColumn& column, const ReportCell& cell) {
  const std::string mark = mark_of(column, cell);
  if (mark == "+") return " <span class=\"up\">▲</span>";
  if (mark == "-") return " <span class=\"down\">▼</span>";
  return mark == "*" ? " <span class=\"other\">≠</span>" : "";
}

/// What the mouse shows of a cell that is compared with the reference.
std::string difference_title(const ReportCell& cell) {
  const Estimate& d = cell.difference.estimate;
  if (d.count == 0) return "";
  std::string text = number(d.mean, "%+.4g") + " than the reference";
  if (d.interval) {
    text += " [" + number(d.mean - d.half) + ", " + number(d.mean + d.half) + "], p " +
            number(cell.difference.p, "%.2g") + ", after Holm " + number(cell.adjusted_p, "%.2g");
  }
  return " title=\"" + html_text(text) + "\"";
}

std::string table(const Report& report, const std::vector<ReportColumn>& columns) {
  std::string html = "<div class=\"w\"><table class=\"d\"><thead><tr><th>" + html_text(points_name(report.records)) +
                     "</th><th>runs</th>";
  for (const ReportColumn& column : columns) html += "<th>" + breakable(column.name) + arrow_of(column) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    const PointRecord& point = report.records.points[i];
    html += "<tr><td>" + breakable(short_label(report.records, point)) +
            (i == report.reference ? " <span class=\"s\">(reference)</span>" : "") + "</td><td class=\"runs\">" +
            html_text(state_of(report, point)) + "</td>";
    for (const ReportColumn& column : columns) {
      const ReportCell& cell = column.cells[i];
      if (cell.estimate.count == 0) {
        html += "<td class=\"s\">–</td>";
        continue;
      }
      html += std::string("<td") + (cell.best ? " class=\"best\"" : "") + difference_title(cell) + ">" +
              number(cell.estimate.mean);
      html += mark_html(column, cell);
      if (cell.estimate.interval) html += " <small>± " + number(cell.estimate.half, "%.2g") + "</small>";
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

/// With a sign, and a minus that is as wide as the plus.
std::string signed_number(double value) {
  const std::string text = number(std::abs(value), "%.3g");
  return text == "0" ? text : (value < 0 ? "−" : "+") + text;
}

/// What every point differs from the reference by, with the interval of that.
std::string difference_table(const Report& report, const std::vector<ReportColumn>& columns) {
  std::string html =
      "<div class=\"w\"><table class=\"d\"><thead><tr><th>" + html_text(points_name(report.records)) + "</th>";
  for (const ReportColumn& column : columns) html += "<th>" + breakable(column.name) + arrow_of(column) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    if (i == report.reference) continue;
    html += "<tr><td>" + breakable(short_label(report.records, report.records.points[i])) + "</td>";
    for (const ReportColumn& column : columns) {
      const ReportCell& cell = column.cells[i];
      const Estimate& d = cell.difference.estimate;
      if (d.count == 0) {
        html += "<td class=\"s\">–</td>";
        continue;
      }
      html += "<td" + difference_title(cell) + ">" + signed_number(d.mean) + mark_html(column, cell);
      if (d.interval && (d.mean != 0 || d.half != 0)) {  // what points have in common needs no interval
        html += " <small>[" + signed_number(d.mean - d.half) + ", " + signed_number(d.mean + d.half) + "]</small>";
      }
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

/// The mean over runs of a series that all of them have at the same steps; the first run's where they differ.
struct Curve {
  std::vector<double> x, y;
};

template <class X, class Y>
Curve mean_curve(const std::vector<const RunRecord*>& runs, const std::string& stage, const X& x_of, const Y& y_of) {
  Curve curve;
  double count = 0;
  for (const RunRecord* run : runs) {
    for (const StageRecord& record : run->stages) {
      if (record.name != stage) continue;
      const std::vector<double>& x = x_of(record);
      const std::vector<double>* y = y_of(record);
      if (!y || x.size() != y->size()) continue;
      if (count == 0) curve = {x, std::vector<double>(x.size())};
      if (x != curve.x) continue;
      ++count;
      for (std::size_t i = 0; i < y->size(); ++i) curve.y[i] += (*y)[i];
    }
  }
  for (double& y : curve.y) y /= std::max(count, 1.0);
  return curve;
}

/// At most so many points, each the mean of its neighbours.
Curve thinned(const Curve& curve, std::size_t most) {
  const std::size_t n = curve.x.size();
  if (n <= most) return curve;
  Curve result;
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t first = i * n / most, last = (i + 1) * n / most;
    double x = 0, y = 0;
    for (std::size_t j = first; j < last; ++j) {
      x += curve.x[j];
      y += curve.y[j];
    }
    result.x.push_back(x / static_cast<double>(last - first));
    result.y.push_back(y / static_cast<double>(last - first));
  }
  return result;
}

/// The names of all stages, in the order in which runs have them.
std::vector<std::string> stage_names(const Records& records) {
  std::vector<std::string> names;
  for (const RunRecord& run : records.runs) {
    for (const StageRecord& stage : run.stages) {
      if (std::find(names.begin(), names.end(), stage.name) == names.end()) names.push_back(stage.name);
    }
  }
  return names;
}

std::string curves(const Report& report) {
  const Records& records = report.records;
  constexpr std::size_t kMost = 60;
  std::string html = "<ul class=\"n\">";
  for (std::size_t i = 0; i < records.points.size(); ++i) {
    html += "<li><button type=\"button\" aria-pressed=\"false\" data-line=\"l" + std::to_string(i) +
            "\"><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><line x1=\"0\" y1=\"4\" x2=\"26\" y2=\"4\" "
            "stroke-width=\"2\" style=\"" +
            line_style(i) + "\"/></svg>" + html_text(short_label(records, records.points[i])) + "</button></li>";
  }
  html += "</ul>\n<div class=\"c\">";
  for (const std::string& stage : stage_names(records)) {
    std::vector<ChartLine> losses;
    std::map<std::string, std::vector<ChartLine>> figures;
    for (std::size_t i = 0; i < records.points.size(); ++i) {
      const std::vector<const RunRecord*> runs = done_runs(records, records.points[i]);
      const Curve loss = thinned(mean_curve(
                                     runs, stage, [](const StageRecord& s) -> const auto& { return s.steps; },
                                     [](const StageRecord& s) { return &s.total; }),
                                 kMost);
      if (!loss.x.empty()) losses.push_back({short_label(records, records.points[i]), i, loss.x, loss.y});
      for (const char* figure : {"psnr", "color_slope", "psnr_reflectance"}) {
        const Curve curve =
            thinned(mean_curve(
                        runs, stage, [](const StageRecord& s) -> const auto& { return s.validation_steps; },
                        [&](const StageRecord& s) {
                          const auto at = s.validation.find(figure);
                          return at == s.validation.end() ? nullptr : &at->second;
                        }),
                    kMost);
        if (curve.x.size() > 1)
          figures[figure].push_back({short_label(records, records.points[i]), i, curve.x, curve.y});
      }
    }
    if (!losses.empty()) html += line_chart(stage + ": loss by step", losses, true);
    for (const auto& [figure, lines] : figures) html += line_chart(stage + ": " + figure + " by step", lines, false);
  }
  return html + "</div>\n";
}

/// Steps, and at each of them the share of each term in the weighted loss.
using Shares = std::pair<std::vector<double>, std::vector<std::vector<double>>>;

Shares shares_of(const Records& records, const PointRecord& point, const std::string& stage,
                 const std::set<std::string>& names) {
  constexpr std::size_t kMost = 40;
  std::vector<Curve> terms;
  for (const std::string& name : names) {
    terms.push_back(
        thinned(mean_curve(
                    done_runs(records, point), stage, [](const StageRecord& s) -> const auto& { return s.steps; },
                    [&](const StageRecord& s) {
                      const auto at = s.weighted.find(name);
                      return at == s.weighted.end() ? nullptr : &at->second;
                    }),
                kMost));
  }
  const auto longest = std::max_element(terms.begin(), terms.end(),
                                        [](const Curve& a, const Curve& b) { return a.x.size() < b.x.size(); });
  if (longest == terms.end()) return {};
  std::vector<std::vector<double>> shares(terms.size(), std::vector<double>(longest->x.size()));
  for (std::size_t i = 0; i < longest->x.size(); ++i) {
    double sum = 0;
    for (const Curve& term : terms) sum += i < term.y.size() ? term.y[i] : 0;
    for (std::size_t t = 0; t < terms.size(); ++t) {
      if (sum > 0 && i < terms[t].y.size()) shares[t][i] = terms[t].y[i] / sum;
    }
  }
  return {longest->x, shares};
}

std::string contributions(const Report& report) {
  const Records& records = report.records;
  std::string html;
  for (const std::string& stage : stage_names(records)) {
    std::set<std::string> names;
    for (const RunRecord& run : records.runs) {
      for (const StageRecord& record : run.stages) {
        if (record.name != stage) continue;
        for (const auto& [term, values] : record.weighted) names.insert(term);
      }
    }
    std::map<std::string, std::vector<std::string>> labels;  // by chart: points that share the stage look the same
    std::vector<std::string> order;
    std::map<std::string, Shares> areas;
    for (const PointRecord& point : records.points) {
      const auto [steps, shares] = shares_of(records, point, stage, names);
      if (steps.size() < 2) continue;
      const std::string key = area_chart("", steps, shares);
      if (labels.count(key) == 0) {
        order.push_back(key);
        areas[key] = {steps, shares};
      }
      labels[key].push_back(short_label(records, point));
    }
    if (order.empty()) continue;
    html += "<h3>" + html_text(stage) + "</h3>\n<ul class=\"n\">";
    std::size_t i = 0;
    for (const std::string& name : names) {
      html += "<li><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><rect width=\"26\" height=\"8\" style=\"" +
              area_style(i++) + "\"/></svg>" + html_text(name) + "</li>";
    }
    html += "</ul>\n<div class=\"c\">";
    for (const std::string& key : order) {
      const std::vector<std::string>& who = labels[key];
      const std::string more = who.size() > 1 ? join(" and ", who.size() - 1, " more") : "";
      html += area_chart(who[0] + more, areas[key].first, areas[key].second);
    }
    html += "</div>\n";
  }
  return html;
}

/// The estimate of a figure over all points with that value on an axis: means over the points for each seed, then over
/// the seeds.
Estimate axis_estimate(const Records& records, const std::string& axis, const nlohmann::json& value,
                       const std::string& figure) {
  std::map<std::int64_t, std::vector<double>> by_seed;
  for (const PointRecord& point : records.points) {
    const auto at = point.values.find(axis);
    if (at == point.values.end() || at->second != value) continue;
    for (const RunRecord* run : done_runs(records, point)) {
      const auto found = run->last.find(figure);
      if (found != run->last.end()) by_seed[run->seed].push_back(found->second);
    }
  }
  std::vector<double> means;
  for (const auto& [seed, values] : by_seed) means.push_back(estimate(values).mean);
  return estimate(means);
}

std::string axis_effects(const Report& report) {
  const Records& records = report.records;
  std::string html;
  for (const AxisRecord& axis : records.axes) {
    const bool numbers =
        std::all_of(axis.values.begin(), axis.values.end(), [](const nlohmann::json& v) { return v.is_number(); });
    html += "<h3>" + html_text(axis.name) + "</h3>\n<div class=\"c\">";
    for (const ReportColumn& column : report.figures) {
      std::vector<Estimate> estimates;
      std::vector<double> x;
      std::vector<std::string> names;
      for (const nlohmann::json& value : axis.values) {
        estimates.push_back(axis_estimate(records, axis.name, value, column.name));
        x.push_back(numbers ? value.get<double>() : 0);
        names.push_back(value_text(value));
      }
      html += numbers && axis.values.size() > 2 ? interval_chart(column.name, x, estimates)
                                                : category_chart(column.name, names, estimates);
    }
    html += "</div>\n";
  }
  return html;
}

/// The differences once more, to be seen: a chart for each figure. Empty for so many points that nobody could read it.
std::string difference_charts(const Report& report) {
  constexpr std::size_t kMost = 60;
  const std::vector<PointRecord>& points = report.records.points;
  if (points.size() > kMost) return "";
  std::string html = "<div class=\"c\">";
  for (const ReportColumn& column : report.figures) {
    std::vector<std::string> names;
    std::vector<Estimate> estimates;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (i == report.reference) continue;
      names.push_back(short_label(report.records, points[i]));
      estimates.push_back(column.cells[i].difference.estimate);
    }
    html += category_chart(column.name, names, estimates);
  }
  return html + "</div>\n";
}

/// Pictures as classes of the page's style, each content once.
class Pictures {
 public:
  /// The part of a sheet as a class name.
  std::string add(const Image& sheet, const RunRecord::SheetRow& row, int column, int columns) {
    const int gap = 4, left = column * (row.width + gap);
    check(row.top >= 0 && row.width > 0 && row.height > 0 && row.top + row.height <= sheet.height &&
              columns * (row.width + gap) - gap <= sheet.width,
          "the sheet has no such row");
    Image part(row.width, row.height, 3);
    for (int y = 0; y < row.height; ++y) {
      for (int x = 0; x < row.width; ++x) {
        for (int c = 0; c < 3; ++c) part.set_sample(x, y, c, sheet.sample(left + x, row.top + y, c));
      }
    }
    const std::string data = base64(encode_image("a picture of the report", part, ImageFormat::kJpeg, {85}));
    return "i" + std::to_string(classes_.try_emplace(data, classes_.size()).first->second);
  }

  std::string style() const {
    std::string css;
    for (const auto& [data, i] : classes_) {
      css += ".i" + std::to_string(i) + "{background-image:url(data:image/jpeg;base64," + data + ")}\n";
    }
    return css;
  }

 private:
  std::map<std::string, std::size_t> classes_;
};

/// The first run of a point that is done and shows a picture.
const RunRecord* shown_run(const Records& records, const PointRecord& point, const std::string& picture) {
  for (const RunRecord* run : done_runs(records, point)) {
    for (const RunRecord::SheetRow& row : run->rows) {
      if (row.picture == picture && !run->sheet.empty()) return run;
    }
  }
  return nullptr;
}

std::vector<std::string> chosen_pictures(const Records& records, const PageOptions& options) {
  std::vector<std::string> all;  // in the order of the first sheet, those that every point shows first
  std::map<std::string, std::size_t> counts;
  for (const RunRecord& run : records.runs) {
    for (const RunRecord::SheetRow& row : run.rows) {
      if (counts[row.picture]++ == 0) all.push_back(row.picture);
    }
  }
  for (const std::string& picture : options.pictures) {
    std::string list;
    for (const std::string& name : all) list += (list.empty() ? "" : ", ") + name;
    check(counts.count(picture) > 0, "--picture: no sheet shows \"", picture, "\"; they show ",
          list.empty() ? "none" : list);
  }
  if (!options.pictures.empty()) return options.pictures;
  std::stable_sort(all.begin(), all.end(),
                   [&](const std::string& a, const std::string& b) { return counts[a] > counts[b]; });
  all.resize(std::min(all.size(), options.count));
  return all;
}

std::string pictures_section(const Report& report, const PageOptions& options, Pictures& store) {
  constexpr int kInput = 0, kTarget = 6, kColumns = 7;
  static const std::pair<const char*, int> kMaps[] = {{"R", 1}, {"L", 2}, {"output", 5}};
  const Records& records = report.records;
  std::map<std::string, Image> sheets;
  std::string html;
  for (const std::string& picture : chosen_pictures(records, options)) {
    std::string cells[3], selects, both;
    for (std::size_t i = 0; i < records.points.size(); ++i) {
      const RunRecord* run = shown_run(records, records.points[i], picture);
      if (!run) continue;
      const std::string name = short_label(records, records.points[i]);
      if (sheets.count(run->sheet) == 0) sheets[run->sheet] = read_image(run->sheet);
      const Image& sheet = sheets[run->sheet];
      const RunRecord::SheetRow& row = *std::find_if(
          run->rows.begin(), run->rows.end(), [&](const RunRecord::SheetRow& r) { return r.picture == picture; });
      const auto cell = [&](const std::string& map, int column, const std::string& id, const std::string& label) {
        return "<figure><div class=\"pic " + store.add(sheet, row, column, kColumns) +
               "\" style=\"aspect-ratio:" + std::to_string(row.width) + "/" + std::to_string(row.height) +
               "\" role=\"img\" aria-label=\"" + html_text(map + ", " + label) + "\" data-pic=\"" + html_text(picture) +
               "|" + map + "|" + id + "\"></div><figcaption>" + breakable(label) + "</figcaption></figure>";
      };
      try {
        if (both.empty()) {
          both = cell("input", kInput, "", "input") + cell("target", kTarget, "", "bright picture");
          cells[2] = both;
        }
        for (int m = 0; m < 3; ++m) {
          cells[m] += cell(kMaps[m].first, kMaps[m].second, std::to_string(i), name);
        }
      } catch (const Error& error) {
        fail(run->sheet, ": ", error.what());
      }
      selects += "<option value=\"" + std::to_string(i) + "\">" + html_text(name) + "</option>";
    }
    if (selects.empty()) continue;
    html += "<h3>" + html_text(picture) + "</h3>\n";
    for (const int m : {2, 0, 1}) {
      html += std::string("<p class=\"s\">") + kMaps[m].first + "</p><div class=\"x\" tabindex=\"0\">" + cells[m] +
              "</div>\n";
    }
    // The second list begins with another point than the first.
    std::string second = selects;
    const std::size_t next = second.find("<option", 1);
    if (next != std::string::npos) second.insert(next + 7, " selected");
    html +=
        "<div class=\"viewer script\" data-picture=\"" + html_text(picture) +
        "\"><div class=\"k\"><label>map<select><option>output</option><option>R</option><option>L</option></select>"
        "</label><label>left<select>" +
        selects + "</select></label><label>right<select>" + second +
        "</select></label></div><div class=\"v\"><div class=\"pic\" role=\"img\" aria-label=\"\"></div><div "
        "class=\"pic over\" role=\"img\" aria-label=\"\"></div><div class=\"bar\"></div></div><input class=\"slide\" "
        "type=\"range\" min=\"0\" max=\"100\" value=\"50\" aria-label=\"how much of the left one\"></div>\n";
  }
  return html;
}

std::string runs_section(const Report& report) {
  std::string html;
  for (const RunRecord& run : report.records.runs) {
    if (run.state == RunRecord::State::kDone) continue;
    const char* const word = run.state == RunRecord::State::kFailed       ? "failed"
                             : run.state == RunRecord::State::kUnfinished ? "unfinished"
                                                                          : "not begun";
    html += "<tr><td>" + html_text(run.name) + "</td><td>" + html_text(report.records.points[run.point].label) +
            "</td><td>" + std::to_string(run.seed) + "</td><td>" + word + "</td><td class=\"reason\">" +
            html_text(run.reason) + "</td></tr>\n";
  }
  if (html.empty()) return "<p>All runs are done.</p>\n";
  return "<div class=\"w\"><table "
         "class=\"left\"><thead><tr><th>run</th><th>point</th><th>seed</th><th>state</th><th>reason</th></tr>"
         "</thead><tbody>\n" +
         html + "</tbody></table></div>\n";
}

std::string facts_section(const Report& report) {
  std::string html;
  for (const ReportFact& fact : report_facts(report.records)) {
    html += "<tr><td>" + html_text(fact.name) + "</td><td class=\"reason\">" +
            (fact.differs ? "<b>Warning: not the same for all runs.</b> " : "") + html_text(fact.text) + "</td></tr>\n";
  }
  if (html.empty()) return "";
  return "<div class=\"w\"><table class=\"left\"><tbody>\n" + html + "</tbody></table></div>\n";
}

}  // namespace

std::string report_page(const Report& report, const PageOptions& options) {
  const Records& records = report.records;
  std::size_t done = 0;
  for (const RunRecord& run : records.runs) done += run.state == RunRecord::State::kDone;
  Pictures store;
  const std::string pictures = pictures_section(report, options, store);
  std::string html = std::string(kReportPageStart) +
                     "<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>" +
                     html_text(records.title) + "</title>\n<style>" + kStyle + store.style() +
                     "</style></head><body>\n<h1>" + html_text(records.title) + "</h1>\n<p class=\"s\">" +
                     join(counted(records.points.size(), "point"), ", ", counted(records.runs.size(), "run"), ", ", done, " of them done") +
                     "</p>\n" + facts_section(report);
  html +=
      "<h2>Figures</h2>\n<p>Means over seeds ± half of the 95% interval, of each run's last validation. Bold: best. " +
      std::string(
          "<span class=\"up\">▲</span> better, <span class=\"down\">▼</span> worse, <span class=\"other\">≠"
          "</span> different than ") +
      html_text(records.points.empty() ? "" : records.points[report.reference].label) +
      ", paired by seed and picture, p &lt; 0.05 after Holm.</p>\n" + table(report, report.figures);
  if (records.points.size() > 1 && !report.figures.empty()) {
    html += "<h2>Differences</h2>\n<p>From " + html_text(records.points[report.reference].label) +
            ", of the same seed and picture, with the 95% interval for other seeds and pictures. The marks are those "
            "above.</p>\n" +
            difference_table(report, report.figures) + difference_charts(report);
  }
  if (!report.terms.empty()) {
    html +=
        "<h2>Loss terms</h2>\n<p>Raw, without their weights, over the last tenth of each stage's logged steps; paired "
        "by seed. Terms whose own parameters differ between points are not measured alike.</p>\n" +
        table(report, report.terms);
  }
  // The points of a single axis of words are compared above, and better: paired.
  if (!records.axes.empty() && !named_by_axis(records)) html += "<h2>Effect of each axis</h2>\n" + axis_effects(report);
  if (!pictures.empty()) html += "<h2>Pictures</h2>\n" + pictures;
  html += "<h2>Learning curves</h2>\n<p class=\"s\">Means over seeds.</p>\n" + curves(report);
  html +=
      "<h2>What each term contributes</h2>\n<p class=\"s\">Weighted terms as shares of the loss, by step, means over "
      "seeds.</p>\n" +
      contributions(report);
  html += "<h2>Runs that are not done</h2>\n" + runs_section(report);
  return html + "<script>" + kScript + "</script>\n</body></html>\n";
}

}  // namespace kind
