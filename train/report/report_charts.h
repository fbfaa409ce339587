#pragma once

#include <string>
#include <vector>

#include "losses/metrics/statistics.h"

/// Charts as inline SVG, in the page's own colours; text is escaped here.
namespace kind {

/// The colour and dash of the i-th of several lines, as a style attribute's content: "stroke:hsl(...)".
std::string line_style(std::size_t i);
/// The colour of the i-th of several areas, "fill:hsl(...)".
std::string area_style(std::size_t i);

struct ChartLine {
  std::string name;
  std::size_t index = 0;  // decides its style; scripts find it by data-point
  std::vector<double> x, y;
  std::vector<double> low = {}, high = {};  // a band around y; empty: none
};

/// Lines over steps. log_y where all values are positive and it is asked for. The scales are told in data-x and data-y
/// ("low high from to kind unit"), so that a script can read values off the lines.
std::string line_chart(const std::string& title, const std::vector<ChartLine>& lines, bool log_y);

/// Areas on top of each other, of shares that add up to 1 at each x.
std::string area_chart(const std::string& title, const std::vector<double>& x,
                       const std::vector<std::vector<double>>& shares);

/// A mean and its interval for each number x, in x on a logarithmic scale where that spreads them better, and where some
/// are 0 or negative on one that is linear around 0. With `zero`, a line at y = 0.
std::string interval_chart(const std::string& title, const std::vector<double>& x, const std::vector<Estimate>& y,
                           bool zero);

/// A mean and its interval for each name, one below the other.
std::string category_chart(const std::string& title, const std::vector<std::string>& names,
                           const std::vector<Estimate>& y);

/// A cell of a table of colours: stronger where `strength` (0..1) is greater; without runs it is empty.
struct HeatCell {
  Estimate value;
  double strength = 0;
};
std::string heat_chart(const std::string& title, const std::vector<std::string>& columns,
                       const std::vector<std::string>& rows, const std::vector<std::vector<HeatCell>>& cells);

}  // namespace kind
