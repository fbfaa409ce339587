#pragma once

#include <string>
#include <vector>

#include "train/report/statistics.h"

/// Charts as inline SVG, in the page's own colours; text is escaped here.
namespace kind {

/// The colour and dash of the i-th of several lines, as a style attribute's content: "stroke:hsl(...)".
std::string line_style(std::size_t i);
/// The colour of the i-th of several areas, "fill:hsl(...)".
std::string area_style(std::size_t i);

struct ChartLine {
  std::string name;
  std::size_t index = 0;  // decides its style, and its class l<index> lets scripts find it
  std::vector<double> x, y;
};

/// Lines over steps. log_y where all values are positive and it is asked for.
std::string line_chart(const std::string& title, const std::vector<ChartLine>& lines, bool log_y);

/// Areas on top of each other, of shares that add up to 1 at each x.
std::string area_chart(const std::string& title, const std::vector<double>& x,
                       const std::vector<std::vector<double>>& shares);

/// A mean and its interval for each number x; logarithmic in x where that spreads them better.
std::string interval_chart(const std::string& title, const std::vector<double>& x, const std::vector<Estimate>& y);

/// A mean and its interval for each name, one below the other.
std::string category_chart(const std::string& title, const std::vector<std::string>& names,
                           const std::vector<Estimate>& y);

}  // namespace kind
