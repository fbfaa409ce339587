#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/files/html.h"
#include "train/report/page_parts.h"
#include "train/report/report_charts.h"

namespace kind {
namespace {

/// The estimate of a figure over all points with that value on an axis: means over the points for each seed, then over
/// the seeds.
Estimate axis_estimate(const Records& records, const std::string& axis, const nlohmann::json& value,
                       const std::string& figure) {
  std::map<std::int64_t, std::vector<double>> by_seed;
  for (const PointRecord& point : records.points) {
    const auto at = point.values.find(axis);
    if (at == point.values.end() || at->second != value) continue;
    for (const RunRecord* run : counted_runs(records, point)) {
      const auto found = run->last.find(figure);
      if (found != run->last.end()) by_seed[run->seed].push_back(found->second);
    }
  }
  std::vector<double> means;
  means.reserve(by_seed.size());
  for (const auto& [seed, values] : by_seed) means.push_back(estimate(values).mean);
  return estimate(means);
}

/// What all values of an axis are, as numbers and as words.
struct AxisValues {
  explicit AxisValues(const AxisRecord& axis) {
    for (const nlohmann::json& value : axis.values) {
      numbers = numbers && value.is_number();
      x.push_back(value.is_number() ? value.get<double>() : 0);
      names.push_back(value_text(value));
    }
  }
  bool numbers = true;
  std::vector<double> x;
  std::vector<std::string> names;
};

}  // namespace

std::string axes_section(const Report& report) {
  const Records& records = report.records;
  std::string html;
  for (const AxisRecord& axis : records.axes) {
    const AxisValues values(axis);
    const AxisEffects effects = axis_effects(report, axis);
    const bool paired = std::any_of(effects.change.begin(), effects.change.end(), [](const auto& change) {
      return std::any_of(change.begin(), change.end(), [](const Difference& d) { return d.estimate.count > 0; });
    });
    html += "<h3>" + html_text(axis.name) + "</h3>\n<p class=\"s\">" +
            (paired ? "Change from " + html_text(values.names[effects.base]) +
                          ", of the same seed, picture and values of the other axes, with its 95% interval."
                    : std::string("Means of all points with a value; no two points differ in this axis alone.")) +
            "</p>\n<div class=\"c\">";
    for (std::size_t f = 0; f < report.figures.size(); ++f) {
      const std::string& name = report.figures[f].name;
      std::vector<Estimate> estimates;
      for (std::size_t v = 0; v < axis.values.size(); ++v) {
        estimates.push_back(paired ? effects.change[f][v].estimate
                                   : axis_estimate(records, axis.name, axis.values[v], name));
      }
      if (paired) estimates[effects.base] = {0, 0, false, 1};  // itself
      html += values.numbers && axis.values.size() > 2 ? interval_chart(name, values.x, estimates, paired)
                                                       : category_chart(name, values.names, estimates);
    }
    html += "</div>\n";
  }
  return html;
}

std::string shares_section(const Report& report) {
  std::vector<std::string> names;
  for (const AxisRecord& axis : report.records.axes) names.push_back(axis.name);
  if (names.size() < 2) return "";
  std::string charts;
  for (const ReportColumn& column : report.figures) {
    const std::vector<Estimate> shares = axis_shares(report, column.name);
    if (std::any_of(shares.begin(), shares.end(), [](const Estimate& share) { return share.count > 0; })) {
      charts += category_chart(column.name, names, shares);
    }
  }
  if (charts.empty()) return "";
  return "<h2>Importance of each axis</h2>\n<p class=\"s\">The share of the variance between points that the means "
         "of an axis' values make, for each seed; the mean over seeds with its 95% interval. The rest is what axes do "
         "together, and chance, which gives an axis of k values about (k − 1) / (points − 1).</p>\n<div class=\"c\">" +
         charts + "</div>\n";
}

namespace {

/// Whether all cells that have a value lie in one row and one column: then one axis at a time was changed, and charts of
/// single axes say all.
bool is_cross(const std::vector<std::vector<HeatCell>>& cells) {
  const auto filled = [&](std::size_t r, std::size_t c) { return cells[r][c].value.count > 0; };
  const auto outside = [&](std::size_t row, std::size_t column) {
    for (std::size_t r = 0; r < cells.size(); ++r) {
      for (std::size_t c = 0; c < cells[r].size(); ++c) {
        if (filled(r, c) && r != row && c != column) return true;
      }
    }
    return false;
  };
  for (std::size_t r = 0; r < cells.size(); ++r) {
    for (std::size_t c = 0; c < cells[r].size(); ++c) {
      if (filled(r, c) && !outside(r, c)) return true;
    }
  }
  return false;
}

/// The mean of a figure for each two values of two axes, over what the others are set to.
std::string heat_map(const Report& report, const AxisRecord& across, const AxisRecord& down,
                     const ReportColumn& column) {
  const Records& records = report.records;
  std::vector<std::vector<HeatCell>> cells(down.values.size(), std::vector<HeatCell>(across.values.size()));
  double low = 0, high = 0;
  bool any = false;
  for (std::size_t r = 0; r < down.values.size(); ++r) {
    for (std::size_t c = 0; c < across.values.size(); ++c) {
      std::vector<double> values;
      for (std::size_t i = 0; i < records.points.size(); ++i) {
        const auto& on = records.points[i].values;
        const auto x = on.find(across.name), y = on.find(down.name);
        const bool here =
            x != on.end() && y != on.end() && x->second == across.values[c] && y->second == down.values[r];
        if (here && column.cells[i].estimate.count > 0) values.push_back(column.cells[i].estimate.mean);
      }
      if (values.empty()) continue;
      const Estimate mean = estimate(values);
      cells[r][c].value = {mean.mean, 0, false, mean.count};
      low = any ? std::min(low, mean.mean) : mean.mean;
      high = any ? std::max(high, mean.mean) : mean.mean;
      any = true;
    }
  }
  if (!any || is_cross(cells)) return "";
  for (std::vector<HeatCell>& row : cells) {
    for (HeatCell& cell : row) {
      const double part = high > low ? (cell.value.mean - low) / (high - low) : 0.5;
      cell.strength = column.direction == Direction::kLower ? 1 - part : part;
    }
  }
  return heat_chart(column.name, AxisValues(across).names, AxisValues(down).names, cells);
}

}  // namespace

std::string heat_section(const Report& report) {
  constexpr std::size_t kMostPairs = 6;
  const std::vector<AxisRecord>& axes = report.records.axes;
  std::string html;
  std::size_t pairs = 0;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    for (std::size_t b = a + 1; b < axes.size() && pairs < kMostPairs; ++b) {
      std::string charts;
      for (const ReportColumn& column : report.figures) {
        if (column.direction != Direction::kNone) charts += heat_map(report, axes[b], axes[a], column);
      }
      if (charts.empty()) continue;
      ++pairs;
      html += "<h3>" + html_text(axes[a].name) + " (down) and " + html_text(axes[b].name) +
              " (across)</h3>\n<div class=\"c\">" + charts + "</div>\n";
    }
  }
  if (html.empty()) return "";
  return "<h2>Two axes at a time</h2>\n<p class=\"s\">Means over seeds and over what the other axes are set to. "
         "Stronger is better; of color_slope and the like, higher.</p>\n" +
         html;
}

std::string page_data(const Report& report) {
  using nlohmann::json;
  json data{{"axes", json::array()}, {"figures", json::array()}, {"points", json::array()}};
  for (const AxisRecord& axis : report.records.axes) {
    const AxisValues values(axis);
    data["axes"].push_back({{"name", axis.name}, {"numbers", values.numbers}, {"values", values.names}});
  }
  for (const ReportColumn& column : report.figures) data["figures"].push_back(column.name);
  for (std::size_t i = 0; i < report.records.points.size(); ++i) {
    const PointRecord& point = report.records.points[i];
    json entry{{"label", short_label(report.records, point)},
               {"axes", json::array()},
               {"means", json::array()},
               {"halves", json::array()}};
    for (std::size_t a = 0; a < report.records.axes.size(); ++a) {
      const auto at = point.values.find(report.records.axes[a].name);
      const bool number = data["axes"][a]["numbers"].get<bool>();
      entry["axes"].push_back(at == point.values.end() ? json() : number ? at->second : json(value_text(at->second)));
    }
    for (const ReportColumn& column : report.figures) {
      const Estimate& e = column.cells[i].estimate;
      entry["means"].push_back(e.count > 0 ? json(e.mean) : json());
      entry["halves"].push_back(e.interval ? json(e.half) : json());
    }
    data["points"].push_back(std::move(entry));
  }
  // No text ends the element that it stands in.
  std::string text;
  for (const char c : data.dump(-1, ' ', false, json::error_handler_t::replace)) {
    text += c == '<' ? std::string("\\u003c") : std::string(1, c);
  }
  return "<script type=\"application/json\" id=\"data\">" + text + "</script>\n";
}

std::string explore_section(const Report& report) {
  const Records& records = report.records;
  if (records.points.size() < 2 || report.figures.empty()) return "";
  std::vector<std::string> names;
  for (const AxisRecord& axis : records.axes) names.push_back(axis.name);
  for (const ReportColumn& column : report.figures) names.push_back(column.name);
  const auto choices = [&](std::size_t chosen) {
    std::string html;
    for (std::size_t i = 0; i < names.size(); ++i) {
      html += join("<option value=\"", i, "\"", i == chosen ? " selected>" : ">") + html_text(names[i]) + "</option>";
    }
    return html;
  };
  const std::size_t first = records.axes.size();
  std::string boxes;
  for (std::size_t i = 0; i < report.figures.size(); ++i) {
    boxes += "<label class=\"box\"><input type=\"checkbox\" value=\"" + html_text(report.figures[i].name) + "\"" +
             (i < 4 ? " checked" : "") + "> " + html_text(report.figures[i].name) + "</label>";
  }
  return "<div class=\"script\"><h2>Explore</h2>\n<p class=\"s\">Drag over points, or along a line of the parallel "
         "coordinates, to choose some: the others are dimmed in every chart and table. A click chooses all again.</p>\n"
         "<div class=\"scatter\"><div class=\"k\"><label>across<select>" +
         choices(first > 0 ? 0 : first) + "</select></label><label>up<select>" +
         choices(std::min(first > 0 ? first : first + 1, names.size() - 1)) +
         "</select></label></div><figure></figure></div>\n<div class=\"parallel\"><div class=\"k\">" + boxes +
         "</div><figure></figure></div></div>\n";
}

}  // namespace kind
