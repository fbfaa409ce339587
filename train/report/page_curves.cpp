#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/files/html.h"
#include "train/report/page_parts.h"
#include "train/report/report_charts.h"

namespace kind {
namespace {

/// The mean over runs of a series that all of them have at the same steps; the first run's where they differ. Of
/// several runs also the least and the greatest.
struct Curve {
  std::vector<double> x, y, low, high;
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
      if (count == 0) curve = {x, std::vector<double>(x.size()), *y, *y};
      if (x != curve.x) continue;
      ++count;
      for (std::size_t i = 0; i < y->size(); ++i) {
        curve.y[i] += (*y)[i];
        curve.low[i] = std::min(curve.low[i], (*y)[i]);
        curve.high[i] = std::max(curve.high[i], (*y)[i]);
      }
    }
  }
  for (double& y : curve.y) y /= std::max(count, 1.0);
  if (count < 2) curve.low = curve.high = {};
  return curve;
}

/// At most so many points, each the mean of its neighbours.
Curve thinned(const Curve& curve, std::size_t most) {
  const std::size_t n = curve.x.size();
  if (n <= most) return curve;
  Curve result;
  for (std::vector<double> Curve::*part : {&Curve::x, &Curve::y, &Curve::low, &Curve::high}) {
    const std::vector<double>& from = curve.*part;
    for (std::size_t i = 0; i < most && !from.empty(); ++i) {
      const std::size_t first = i * n / most, last = (i + 1) * n / most;
      double sum = 0;
      for (std::size_t j = first; j < last; ++j) sum += from[j];
      (result.*part).push_back(sum / static_cast<double>(last - first));
    }
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

ChartLine line_of(const Records& records, std::size_t point, const Curve& curve) {
  return {short_label(records, records.points[point]), point, curve.x, curve.y, curve.low, curve.high};
}

}  // namespace

std::string curves_section(const Report& report) {
  const Records& records = report.records;
  constexpr std::size_t kMost = 60;
  std::string html = "<ul class=\"n\">";
  for (std::size_t i = 0; i < records.points.size(); ++i) {
    html += "<li><button type=\"button\" aria-pressed=\"false\" data-pick=\"" + std::to_string(i) +
            "\"><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><line x1=\"0\" y1=\"4\" x2=\"26\" y2=\"4\" "
            "stroke-width=\"2\" style=\"" +
            line_style(i) + "\"/></svg>" + html_text(short_label(records, records.points[i])) + "</button></li>";
  }
  html +=
      "</ul>\n<p class=\"k script\"><label class=\"box\">smoothing <input class=\"smooth\" type=\"range\" min=\"0\" "
      "max=\"95\" value=\"0\"></label></p>\n<div class=\"c curves";
  constexpr std::size_t kFewBands = 8;  // of more points a script shows the bands of those that are chosen
  html += records.points.size() > kFewBands ? " many\">" : "\">";
  for (const std::string& stage : stage_names(records)) {
    std::vector<ChartLine> losses;
    std::map<std::string, std::vector<ChartLine>> figures;
    for (std::size_t i = 0; i < records.points.size(); ++i) {
      const std::vector<const RunRecord*> runs = counted_runs(records, records.points[i]);
      const Curve loss = thinned(mean_curve(
                                     runs, stage, [](const StageRecord& s) -> const auto& { return s.steps; },
                                     [](const StageRecord& s) { return &s.total; }),
                                 kMost);
      if (!loss.x.empty()) losses.push_back(line_of(records, i, loss));
      for (const char* figure : {"psnr", "color_slope", "psnr_reflectance"}) {
        const Curve curve =
            thinned(mean_curve(
                        runs, stage, [](const StageRecord& s) -> const auto& { return s.validation_steps; },
                        [&](const StageRecord& s) {
                          const auto at = s.validation.find(figure);
                          return at == s.validation.end() ? nullptr : &at->second;
                        }),
                    kMost);
        if (curve.x.size() > 1) figures[figure].push_back(line_of(records, i, curve));
      }
    }
    if (!losses.empty()) html += line_chart(stage + ": loss by step", losses, true);
    for (const auto& [figure, lines] : figures) html += line_chart(stage + ": " + figure + " by step", lines, false);
  }
  return html + "</div>\n";
}

namespace {

/// Steps, and at each of them the share of each term in the weighted loss.
using Shares = std::pair<std::vector<double>, std::vector<std::vector<double>>>;

Shares shares_of(const Records& records, const PointRecord& point, const std::string& stage,
                 const std::set<std::string>& names) {
  constexpr std::size_t kMost = 40;
  std::vector<Curve> terms;
  terms.reserve(names.size());
  for (const std::string& name : names) {
    terms.push_back(
        thinned(mean_curve(
                    counted_runs(records, point), stage, [](const StageRecord& s) -> const auto& { return s.steps; },
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

}  // namespace

std::string contributions_section(const Report& report) {
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

}  // namespace kind
