#include "train/report/report_charts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/files/html.h"

namespace kind {
namespace {

constexpr double kWidth = 360, kHeight = 210, kLeft = 46, kRight = 10, kTop = 24, kBottom = 26;

std::string number(double value, const char* how = "%.4g") {
  char text[32];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

/// A coordinate; a tenth of a unit is less than anyone sees.
std::string at(double value) { return number(value, "%.1f"); }

/// From values to a place between two ends.
struct Scale {
  enum class Kind { kLinear, kLog, kSymlog };

  double low, high, from, to;
  Kind kind = Kind::kLinear;
  double around = 1;  // of kSymlog: the scale is linear to about this distance from 0

  double curve(double value) const {
    if (kind == Kind::kLog) return std::log10(value);
    return kind == Kind::kSymlog ? std::copysign(std::log10(1 + std::abs(value) / around), value) : value;
  }
  double unit(double value) const {
    return high > low ? (curve(value) - curve(low)) / (curve(high) - curve(low)) : 0.5;
  }
  double place(double value) const { return from + (to - from) * unit(value); }
  std::string text() const {
    const char* const name = kind == Kind::kLog ? "log" : kind == Kind::kSymlog ? "symlog" : "linear";
    return number(low, "%.9g") + " " + number(high, "%.9g") + " " + number(from) + " " + number(to) + " " + name + " " +
           number(around, "%.9g");
  }

  std::vector<double> ticks() const {
    std::vector<double> result;
    if (kind == Kind::kLog) {
      // Decades; where there is less than two of them also 2 and 5, where there are many every few.
      const int first = static_cast<int>(std::floor(std::log10(low))),
                last = static_cast<int>(std::ceil(std::log10(high)));
      const int step = std::max(1, (last - first) / 5);
      for (int e = first; e <= last; e += step) {
        for (const double m : {1.0, 2.0, 5.0}) {
          if (m > 1 && last - first > 2) break;
          const double tick = m * std::pow(10, e);
          if (tick >= low * 0.999 && tick <= high * 1.001) result.push_back(tick);
        }
      }
      if (result.size() >= 2) return result;
      return {low, high};
    }
    const double rough = (high - low) / 4;
    if (rough <= 0) return {low};
    const double power = std::pow(10, std::floor(std::log10(rough)));
    double step = power * 10;
    for (const double m : {1.0, 2.0, 5.0}) {
      if (m * power >= rough) {
        step = m * power;
        break;
      }
    }
    for (double tick = std::ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) {
      result.push_back(std::abs(tick) < step * 1e-9 ? 0 : tick);
    }
    return result;
  }
};

struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  /// A little room on both sides, and some for a single value.
  void widen() {
    const double room = high > low ? 0.05 * (high - low) : std::max(1e-6, 0.05 * std::abs(high));
    low -= room;
    high += room;
  }
};

std::string begin(const std::string& title, double height, const std::string& scales = "") {
  return "<figure><svg viewBox=\"0 0 " + at(kWidth) + " " + at(height) + "\" role=\"img\" aria-label=\"" +
         html_text(title) + "\"" + scales + "><text class=\"t\" x=\"" + at(kWidth / 2) + "\" y=\"13\">" +
         html_text(title) + "</text>";
}

std::string end() { return "</svg></figure>\n"; }

std::string line(double x1, double y1, double x2, double y2, const std::string& kind) {
  return "<line class=\"" + kind + "\" x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" +
         at(y2) + "\"/>";
}

std::string text(double x, double y, const std::string& kind, const std::string& what) {
  return "<text class=\"" + kind + "\" x=\"" + at(x) + "\" y=\"" + at(y) + "\">" + html_text(what) + "</text>";
}

std::string y_axis(const Scale& y) {
  std::string svg;
  for (const double tick : y.ticks()) {
    svg += line(kLeft, y.place(tick), kWidth - kRight, y.place(tick), "g") +
           text(kLeft - 4, y.place(tick) + 3, "e", number(tick));
  }
  return svg;
}

constexpr double kLetter = 6;  // the width of one of 10px, about

/// A label below an axis, moved inwards where it would be cut at the chart's edge.
std::string x_label(double x, double y, const std::string& what) {
  const double half = kLetter * static_cast<double>(what.size()) / 2;
  return text(std::clamp(x, half, std::max(half, kWidth - half)), y, "m", what);
}

/// Ticks with labels, of which those that would overlap the one before are left out.
std::string x_axis(const Scale& x, double bottom, const std::vector<double>& ticks) {
  std::string svg = line(kLeft, bottom, kWidth - kRight, bottom, "a");
  double free = 0;
  for (const double tick : ticks) {
    const std::string label = number(tick);
    const double half = kLetter * static_cast<double>(label.size()) / 2, place = x.place(tick);
    svg += line(place, bottom, place, bottom + 3, "a");
    if (place - half < free) continue;
    svg += x_label(place, bottom + 14, label);
    free = place + half + kLetter;
  }
  return svg;
}

std::string points_text(const Scale& x, const Scale& y, const std::vector<double>& xs, const std::vector<double>& ys) {
  std::string points;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    points += (i ? " " : "") + at(x.place(xs[i])) + "," + at(y.place(ys[i]));
  }
  return points;
}

/// Hues that differ, in an order where neighbours differ most.
double hue(std::size_t i) { return std::fmod(210 + 137.508 * static_cast<double>(i), 360.0); }

std::string band_style(std::size_t i) { return "fill:hsl(" + number(hue(i), "%.0f") + " 70% 48%)"; }

/// A mean with its interval and what a pointer that rests on it is told.
std::string dot(double x, double y, const std::string& title) {
  return "<circle class=\"p\" r=\"3.5\" cx=\"" + at(x) + "\" cy=\"" + at(y) + "\"><title>" + html_text(title) +
         "</title></circle>";
}

std::string estimate_text(const Estimate& e) {
  return number(e.mean) + (e.interval ? " ± " + number(e.half, "%.2g") : "");
}

/// At most so many bytes, cut between characters: continuation bytes of UTF-8 go with the one before them.
std::string shortened(const std::string& name, std::size_t most) {
  std::size_t cut = std::min(name.size(), most);
  while (cut < name.size() && cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) --cut;
  return name.substr(0, cut) + (cut < name.size() ? "…" : "");
}

Extent extent_of(const std::vector<Estimate>& y) {
  Extent extent;
  for (const Estimate& e : y) {
    if (e.count == 0) continue;
    extent.add(e.mean - e.half);
    extent.add(e.mean + e.half);
  }
  return extent;
}

}  // namespace

std::string line_style(std::size_t i) {
  static const char* const kDashes[] = {"", ";stroke-dasharray:6 3", ";stroke-dasharray:2 2",
                                        ";stroke-dasharray:8 2 2 2"};
  return "stroke:hsl(" + number(hue(i), "%.0f") + " 70% 48%)" + kDashes[i / 8 % 4];
}

std::string area_style(std::size_t i) { return "fill:hsl(" + number(hue(i), "%.0f") + " 60% 55%)"; }

std::string line_chart(const std::string& title, const std::vector<ChartLine>& lines, bool log_y) {
  Extent xs, ys;
  for (const ChartLine& l : lines) {
    for (const double x : l.x) xs.add(x);
    for (const std::vector<double>* values : {&l.y, &l.low, &l.high}) {
      for (const double y : *values) ys.add(y);
    }
  }
  if (xs.empty()) return begin(title, kHeight) + end();
  log_y = log_y && ys.low > 0;
  if (!log_y) ys.widen();
  const Scale x{xs.low, xs.high, kLeft, kWidth - kRight};
  const Scale y{ys.low, ys.high, kHeight - kBottom, kTop, log_y ? Scale::Kind::kLog : Scale::Kind::kLinear};
  std::string svg = begin(title, kHeight, " data-x=\"" + x.text() + "\" data-y=\"" + y.text() + "\"") + y_axis(y) +
                    x_axis(x, kHeight - kBottom, x.ticks());
  for (const ChartLine& l : lines) {
    const std::string point = " data-point=\"" + std::to_string(l.index) + "\"";
    if (!l.low.empty()) {
      std::vector<double> around_x = l.x, around_y = l.high;
      around_x.insert(around_x.end(), l.x.rbegin(), l.x.rend());
      around_y.insert(around_y.end(), l.low.rbegin(), l.low.rend());
      svg += "<polygon class=\"b\"" + point + " style=\"" + band_style(l.index) + "\" points=\"" +
             points_text(x, y, around_x, around_y) + "\"/>";
    }
    svg += "<polyline class=\"l\"" + point + " style=\"" + line_style(l.index) + "\" points=\"" +
           points_text(x, y, l.x, l.y) + "\"><title>" + html_text(l.name) + "</title></polyline>";
  }
  return svg + end();
}

std::string area_chart(const std::string& title, const std::vector<double>& x,
                       const std::vector<std::vector<double>>& shares) {
  const double height = 150, bottom = height - kBottom;
  std::string svg = begin(title, height);
  if (x.size() < 2) return svg + end();
  const Scale across{x.front(), x.back(), kLeft, kWidth - kRight}, up{0, 1, bottom, kTop};
  std::vector<double> below(x.size()), forward;
  for (std::size_t s = 0; s < shares.size(); ++s) {
    std::vector<double> above(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) above[i] = below[i] + shares[s][i];
    std::vector<double> outline_x = x, outline_y = above;
    outline_x.insert(outline_x.end(), x.rbegin(), x.rend());
    outline_y.insert(outline_y.end(), below.rbegin(), below.rend());
    svg +=
        "<polygon style=\"" + area_style(s) + "\" points=\"" + points_text(across, up, outline_x, outline_y) + "\"/>";
    below = std::move(above);
  }
  for (const double tick : {0.0, 0.5, 1.0}) {
    svg += text(kLeft - 4, up.place(tick) + 3, "e", number(100 * tick) + "%");
  }
  return svg + x_axis(across, bottom, across.ticks()) + end();
}

std::string interval_chart(const std::string& title, const std::vector<double>& x, const std::vector<Estimate>& y,
                           bool zero) {
  std::string svg = begin(title, kHeight);
  Extent xs, ys = extent_of(y), sizes;
  for (const double v : x) {
    xs.add(v);
    if (v != 0) sizes.add(std::abs(v));
  }
  if (ys.empty()) return svg + end();
  if (zero) ys.add(0);
  ys.widen();
  const bool wide = !sizes.empty() && sizes.high / sizes.low >= 20;
  if (!wide) xs.widen();
  const double room = wide ? 8 : 0;
  const Scale across{xs.low,
                     xs.high,
                     kLeft + room,
                     kWidth - kRight - room,
                     !wide        ? Scale::Kind::kLinear
                     : xs.low > 0 ? Scale::Kind::kLog
                                  : Scale::Kind::kSymlog,
                     sizes.empty() ? 1 : sizes.low};
  const Scale up{ys.low, ys.high, kHeight - kBottom, kTop};
  // Few values are the best ticks.
  std::vector<double> ticks = x;
  std::sort(ticks.begin(), ticks.end());
  ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
  if (ticks.size() > 8 && across.kind != Scale::Kind::kSymlog) ticks = across.ticks();
  svg += y_axis(up) + x_axis(across, kHeight - kBottom, ticks);
  if (zero) svg += line(kLeft, up.place(0), kWidth - kRight, up.place(0), "z");
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (y[i].count > 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  std::vector<double> line_x, line_y;
  for (const std::size_t i : order) {
    line_x.push_back(x[i]);
    line_y.push_back(y[i].mean);
  }
  svg += "<polyline class=\"l q\" points=\"" + points_text(across, up, line_x, line_y) + "\"/>";
  for (const std::size_t i : order) {
    const double px = across.place(x[i]);
    svg += line(px, up.place(y[i].mean - y[i].half), px, up.place(y[i].mean + y[i].half), "i") +
           dot(px, up.place(y[i].mean), number(x[i]) + ": " + estimate_text(y[i]));
  }
  return svg + end();
}

std::string category_chart(const std::string& title, const std::vector<std::string>& names,
                           const std::vector<Estimate>& y) {
  constexpr double kRow = 18;
  constexpr std::size_t kShown = 30;
  std::size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, std::min(name.size(), kShown));
  const double width = 16 + kLetter * static_cast<double>(longest);
  const double height = kTop + kRow * static_cast<double>(names.size()) + kBottom, bottom = height - kBottom;
  std::string svg = begin(title, height);
  Extent extent = extent_of(y);
  if (extent.empty()) return svg + end();
  extent.widen();
  const Scale across{extent.low, extent.high, width, kWidth - kRight};
  for (const double tick : across.ticks()) {
    svg += line(across.place(tick), kTop - 4, across.place(tick), bottom, tick == 0 ? "a" : "g") +
           x_label(across.place(tick), bottom + 14, number(tick));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double py = kTop + kRow * (static_cast<double>(i) + 0.5);
    svg += "<g><title>" + html_text(names[i]) + "</title>" + text(width - 8, py + 3, "e", shortened(names[i], kShown)) +
           "</g>";
    if (y[i].count == 0) continue;
    svg += line(across.place(y[i].mean - y[i].half), py, across.place(y[i].mean + y[i].half), py, "i") +
           dot(across.place(y[i].mean), py, names[i] + ": " + estimate_text(y[i]));
  }
  return svg + end();
}

std::string heat_chart(const std::string& title, const std::vector<std::string>& columns,
                       const std::vector<std::string>& rows, const std::vector<std::vector<HeatCell>>& cells) {
  constexpr double kRow = 24;
  constexpr std::size_t kShown = 16;
  std::size_t longest = 0;
  for (const std::string& row : rows) longest = std::max(longest, std::min(row.size(), kShown));
  const double left = 12 + kLetter * static_cast<double>(longest),
               bottom = kTop + kRow * static_cast<double>(rows.size());
  const double width = (kWidth - kRight - left) / static_cast<double>(std::max<std::size_t>(1, columns.size()));
  std::string svg = begin(title, bottom + kBottom);
  const auto letters = static_cast<std::size_t>(std::max(1.0, width / kLetter - 1));
  for (std::size_t c = 0; c < columns.size(); ++c) {
    svg += text(left + width * (static_cast<double>(c) + 0.5), bottom + 14, "m", shortened(columns[c], letters));
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const double top = kTop + kRow * static_cast<double>(r);
    svg += text(left - 6, top + kRow / 2 + 3, "e", shortened(rows[r], kShown));
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const HeatCell& cell = cells[r][c];
      if (cell.value.count == 0) continue;
      const double x = left + width * static_cast<double>(c);
      svg += "<g><title>" + html_text(rows[r] + ", " + columns[c] + ": " + estimate_text(cell.value)) +
             "</title><rect class=\"h\" x=\"" + at(x) + "\" y=\"" + at(top) + "\" width=\"" + at(width - 1) +
             "\" height=\"" + at(kRow - 1) + "\" fill-opacity=\"" + number(0.06 + 0.94 * cell.strength, "%.2f") +
             "\"/>" +
             text(x + width / 2, top + kRow / 2 + 3, cell.strength > 0.5 ? "m on" : "m",
                  shortened(number(cell.value.mean), letters)) +
             "</g>";
    }
  }
  return svg + end();
}

}  // namespace kind
