#include <algorithm>

#include "core/base/count.h"
#include "core/files/html.h"
#include "train/report/page_parts.h"
#include "train/report/report.h"

namespace kind {
namespace {

std::string figure_text(const RungPointRecord& point, std::size_t rung) {
  if (rung >= point.figures.size()) return "";
  return point.figures[rung] ? number_text(*point.figures[rung]) : "failed";
}

std::string steps_text(double steps) { return number_text(steps, "%.0f"); }

std::string introduction(const HalvingRecord& halving) {
  const auto stopped = std::count_if(halving.points.begin(), halving.points.end(),
                                     [](const RungPointRecord& point) { return point.stopped.has_value(); });
  return halving.metric + " at each rung, the mean over seeds. " + counted(stopped, "point") + " of " +
         std::to_string(halving.points.size()) + (stopped == 1 ? " was stopped and is" : " were stopped and are") +
         " in no other table or chart.";
}

}  // namespace

std::string outcome_of(const RungPointRecord& point) {
  return point.stopped ? "stopped after " + steps_text(*point.stopped) + " steps" : "went on";
}

std::string rungs_section(const Report& report) {
  std::string html;
  for (const HalvingRecord& halving : report.records.halvings) {
    html += "<h2>Rungs</h2>\n<p>" + html_text(halving.folder + ": " + introduction(halving)) +
            "</p>\n<div class=\"w\"><table class=\"left\"><thead><tr><th>point</th>";
    for (const double steps : halving.steps) html += "<th>" + steps_text(steps) + " steps</th>";
    html += "<th>outcome</th></tr></thead><tbody>\n";
    for (const RungPointRecord& point : halving.points) {
      html += "<tr><td>" + breakable(point.label) + "</td>";
      for (std::size_t i = 0; i < halving.steps.size(); ++i) html += "<td>" + figure_text(point, i) + "</td>";
      html += "<td>" + outcome_of(point) + "</td></tr>\n";
    }
    html += "</tbody></table></div>\n";
  }
  return html;
}

std::string markdown_rungs(const Report& report) {
  std::string text;
  for (const HalvingRecord& halving : report.records.halvings) {
    text +=
        "\nRungs of " + markdown_text(halving.folder) + ": " + markdown_text(introduction(halving)) + "\n\n| point |";
    std::string rule = "|---|";
    for (const double steps : halving.steps) {
      text += " " + steps_text(steps) + " steps |";
      rule += "---|";
    }
    text += " outcome |\n" + rule + "---|\n";
    for (const RungPointRecord& point : halving.points) {
      text += "| " + markdown_text(point.label) + " |";
      for (std::size_t i = 0; i < halving.steps.size(); ++i) text += " " + figure_text(point, i) + " |";
      text += " " + outcome_of(point) + " |\n";
    }
  }
  return text;
}

}  // namespace kind
