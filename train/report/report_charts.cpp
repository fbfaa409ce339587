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
  double low, high, from, to;
  bool log;

  double unit(double value) const {
    const auto f = [this](double v) { return log ? std::log10(v) : v; };
    return high > low ? (f(value) - f(low)) / (f(high) - f(low)) : 0.5;
  }
  double place(double value) const { return from + (to - from) * unit(value); }

  std::vector<double> ticks() const {
    std::vector<double> result;
    if (log) {
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

std::string begin(const std::string& title, double height) {
  return "<figure><svg viewBox=\"0 0 " + at(kWidth) + " " + at(height) + "\" role=\"img\" aria-label=\"" +
         html_text(title) + "\"><text class=\"t\" x=\"" + at(kWidth / 2) + "\" y=\"13\">" + html_text(title) +
         "</text>";
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

std::string x_axis(const Scale& x, double bottom) {
  std::string svg = line(kLeft, bottom, kWidth - kRight, bottom, "a");
  for (const double tick : x.ticks()) {
    svg += line(x.place(tick), bottom, x.place(tick), bottom + 3, "a") +
           text(x.place(tick), bottom + 14, "m", number(tick));
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

/// A mean with its interval and what a pointer that rests on it is told.
std::string dot(double x, double y, const std::string& title) {
  return "<circle class=\"p\" r=\"3.5\" cx=\"" + at(x) + "\" cy=\"" + at(y) + "\"><title>" + html_text(title) +
         "</title></circle>";
}

std::string estimate_text(const Estimate& e) {
  return number(e.mean) + (e.interval ? " ± " + number(e.half, "%.2g") : "");
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
    for (const double y : l.y) ys.add(y);
  }
  std::string svg = begin(title, kHeight);
  if (xs.empty()) return svg + end();
  log_y = log_y && ys.low > 0;
  if (!log_y) ys.widen();
  const Scale x{xs.low, xs.high, kLeft, kWidth - kRight, false};
  const Scale y{ys.low, ys.high, kHeight - kBottom, kTop, log_y};
  svg += y_axis(y) + x_axis(x, kHeight - kBottom);
  for (const ChartLine& l : lines) {
    svg += "<polyline class=\"l l" + std::to_string(l.index) + "\" style=\"" + line_style(l.index) + "\" points=\"" +
           points_text(x, y, l.x, l.y) + "\"><title>" + html_text(l.name) + "</title></polyline>";
  }
  return svg + end();
}

std::string area_chart(const std::string& title, const std::vector<double>& x,
                       const std::vector<std::vector<double>>& shares) {
  const double height = 150, bottom = height - kBottom;
  std::string svg = begin(title, height);
  if (x.size() < 2) return svg + end();
  const Scale across{x.front(), x.back(), kLeft, kWidth - kRight, false}, up{0, 1, bottom, kTop, false};
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
  return svg + x_axis(across, bottom) + end();
}

std::string interval_chart(const std::string& title, const std::vector<double>& x, const std::vector<Estimate>& y) {
  std::string svg = begin(title, kHeight);
  Extent xs, ys = extent_of(y);
  for (const double v : x) xs.add(v);
  if (ys.empty()) return svg + end();
  ys.widen();
  const bool log_x = xs.low > 0 && xs.high / xs.low >= 20;
  if (!log_x) xs.widen();
  const Scale across{xs.low, xs.high, kLeft + (log_x ? 8 : 0), kWidth - kRight - (log_x ? 8 : 0), log_x};
  const Scale up{ys.low, ys.high, kHeight - kBottom, kTop, false};
  svg += y_axis(up) + x_axis(across, kHeight - kBottom);
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
  constexpr double kRow = 18, kLetter = 5.2;  // of 10px, about
  constexpr std::size_t kShown = 34;
  std::size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, std::min(name.size(), kShown));
  const double width = 16 + kLetter * static_cast<double>(longest);
  const double height = kTop + kRow * static_cast<double>(names.size()) + kBottom, bottom = height - kBottom;
  std::string svg = begin(title, height);
  Extent extent = extent_of(y);
  if (extent.empty()) return svg + end();
  extent.widen();
  const Scale across{extent.low, extent.high, width, kWidth - kRight, false};
  for (const double tick : across.ticks()) {
    svg += line(across.place(tick), kTop - 4, across.place(tick), bottom, tick == 0 ? "a" : "g") +
           text(across.place(tick), bottom + 14, "m", number(tick));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double py = kTop + kRow * (static_cast<double>(i) + 0.5);
    // Cut between characters: continuation bytes of UTF-8 go with the one before them.
    std::size_t cut = std::min(names[i].size(), kShown);
    while (cut < names[i].size() && cut > 0 && (static_cast<unsigned char>(names[i][cut]) & 0xC0) == 0x80) --cut;
    svg += "<g><title>" + html_text(names[i]) + "</title>" +
           text(width - 8, py + 3, "e", names[i].substr(0, cut) + (cut < names[i].size() ? "…" : "")) + "</g>";
    if (y[i].count == 0) continue;
    svg += line(across.place(y[i].mean - y[i].half), py, across.place(y[i].mean + y[i].half), py, "i") +
           dot(across.place(y[i].mean), py, names[i] + ": " + estimate_text(y[i]));
  }
  return svg + end();
}

}  // namespace kind
