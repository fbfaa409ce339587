#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/html.h"
#include "core/image/image.h"
#include "train/report/page_assets.h"
#include "train/report/page_parts.h"
#include "train/report/report.h"
#include "train/report/report_charts.h"

namespace kind {
namespace {

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
  std::string text = number_text(d.mean, "%+.4g") + " than the reference";
  if (d.interval) {
    text += " [" + number_text(d.mean - d.half) + ", " + number_text(d.mean + d.half) + "], p " +
            number_text(cell.difference.p, "%.2g") + ", after Holm " + number_text(cell.adjusted_p, "%.2g");
  }
  return " title=\"" + html_text(text) + "\"";
}

/// The start of a point's row: scripts find it by its number.
std::string row_start(std::size_t point) { return "<tr data-point=\"" + std::to_string(point) + "\"><td>"; }

/// What a script sorts a cell by.
std::string sort_value(double value) { return " data-v=\"" + number_text(value, "%.9g") + "\""; }

std::string table(const Report& report, const std::vector<ReportColumn>& columns) {
  std::string html = "<div class=\"w\"><table class=\"d\"><thead><tr><th>" + html_text(points_name(report.records)) +
                     "</th><th>runs</th>";
  for (const ReportColumn& column : columns) html += "<th>" + breakable(column.name) + arrow_of(column) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    const PointRecord& point = report.records.points[i];
    html += row_start(i) + breakable(short_label(report.records, point)) +
            (i == report.reference ? " <span class=\"s\">(reference)</span>" : "") + "</td><td class=\"runs\">" +
            html_text(state_of(report, point)) + "</td>";
    for (const ReportColumn& column : columns) {
      const ReportCell& cell = column.cells[i];
      if (cell.estimate.count == 0) {
        html += "<td class=\"s\">–</td>";
        continue;
      }
      html += std::string("<td") +
              (cell.best          ? " class=\"best\""
               : cell.provisional ? " class=\"s\""
                                  : "") +
              sort_value(cell.estimate.mean) + difference_title(cell) + ">" + number_text(cell.estimate.mean) +
              mark_html(column, cell);
      if (cell.estimate.interval) html += " <small>± " + number_text(cell.estimate.half, "%.2g") + "</small>";
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

/// With a sign, and a minus that is as wide as the plus.
std::string signed_number(double value) {
  const std::string text = number_text(std::abs(value), "%.3g");
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
    html += row_start(i) + breakable(short_label(report.records, report.records.points[i])) + "</td>";
    for (const ReportColumn& column : columns) {
      const ReportCell& cell = column.cells[i];
      const Estimate& d = cell.difference.estimate;
      if (d.count == 0) {
        html += "<td class=\"s\">–</td>";
        continue;
      }
      html +=
          "<td" + sort_value(d.mean) + difference_title(cell) + ">" + signed_number(d.mean) + mark_html(column, cell);
      if (d.interval && (d.mean != 0 || d.half != 0)) {  // what points have in common needs no interval
        html += " <small>[" + signed_number(d.mean - d.half) + ", " + signed_number(d.mean + d.half) + "]</small>";
      }
      html += "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
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
  for (const RunRecord* run : counted_runs(records, point)) {
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

/// Which points are shown by runs that go on; empty if none is.
std::string provisional_text(const Report& report) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    const auto shown = [&](const ReportColumn& column) {
      return column.cells[i].provisional && column.cells[i].estimate.count > 0;
    };
    count += std::any_of(report.figures.begin(), report.figures.end(), shown);
  }
  if (count == 0) return "";
  return join(
      "<p class=\"warn\">", count, " of ", report.records.points.size(),
      " points have no run that is done. They are shown as far as their runs have come, and are not compared.</p>\n");
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

/// "11 points, 33 runs, 30 of them done".
std::string counts_text(const Records& records) {
  std::size_t done = 0;
  for (const RunRecord& run : records.runs) done += run.state == RunRecord::State::kDone;
  std::size_t stopped = 0;
  for (const HalvingRecord& halving : records.halvings) {
    for (const RungPointRecord& point : halving.points) stopped += point.stopped.has_value();
  }
  return join(counted(records.points.size(), "point"), ", ", counted(records.runs.size(), "run"), ", ", done,
              " of them done", stopped > 0 ? join("; ", counted(stopped, "point"), " stopped by halving") : "");
}

}  // namespace

std::string report_page(const Report& report, const PageOptions& options) {
  const Records& records = report.records;
  Pictures store;
  const std::string pictures = pictures_section(report, options, store);
  std::string html = std::string(kReportPageStart) +
                     "<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>" +
                     html_text(records.title) + "</title>\n<style>" + kPageStyle + store.style() +
                     "</style></head><body>\n<h1>" + html_text(records.title) + "</h1>\n<p class=\"s\">" +
                     counts_text(records) + "</p>\n" + facts_section(report);
  html += provisional_text(report) +
          "<input class=\"filter script\" type=\"search\" placeholder=\"only points with these words\" "
          "aria-label=\"only points with these words\">\n";
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
  html += rungs_section(report);
  // The points of a single axis of words are compared above, and better: paired.
  if (!records.axes.empty() && !named_by_axis(records)) {
    html += "<h2>Effect of each axis</h2>\n" + axes_section(report);
  }
  html += shares_section(report) + heat_section(report) + explore_section(report);
  if (!pictures.empty()) html += "<h2>Pictures</h2>\n" + pictures;
  html +=
      "<h2>Learning curves</h2>\n<p class=\"s\">Means over seeds; bands from the lowest "
      "to the highest.</p>\n" +
      curves_section(report);
  html +=
      "<h2>What each term contributes</h2>\n<p class=\"s\">Weighted terms as shares of the loss, by step, means over "
      "seeds.</p>\n" +
      contributions_section(report);
  html += "<h2>Runs that are not done</h2>\n" + runs_section(report);
  return html + page_data(report) + "<script>" + kPageScript + "</script>\n</body></html>\n";
}

}  // namespace kind
