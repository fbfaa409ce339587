#include "train/report/page_parts.h"

#include <algorithm>
#include <cstdio>

#include "core/files/html.h"

namespace kind {

std::string number_text(double value, const char* how) {
  char text[48];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

std::string value_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool named_by_axis(const Records& records) {
  if (records.axes.size() != 1) return false;
  const std::vector<nlohmann::json>& values = records.axes[0].values;
  return std::all_of(values.begin(), values.end(), [](const nlohmann::json& value) { return value.is_string(); });
}

std::string points_name(const Records& records) { return named_by_axis(records) ? records.axes[0].name : "point"; }

std::string short_label(const Records& records, const PointRecord& point) {
  const std::string axis = named_by_axis(records) ? records.axes[0].name + "=" : "";
  return point.label.rfind(axis, 0) == 0 ? point.label.substr(axis.size()) : point.label;
}

std::string breakable(const std::string& name) {
  std::string html;
  for (const char c : html_text(name)) {
    html += c;
    if (c == '/' || c == '_') html += "<wbr>";
  }
  return html;
}

}  // namespace kind
