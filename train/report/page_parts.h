#pragma once

#include <string>

#include "train/report/report.h"

/// What the page of a report is put together from.
namespace kind {

std::string number_text(double value, const char* how = "%.4g");
/// A value of an axis as a reader writes it.
std::string value_text(const nlohmann::json& value);

/// Whether the points are named by one axis of words alone: its name then stands once, above them.
bool named_by_axis(const Records& records);
/// What all points are: the axis that names them.
std::string points_name(const Records& records);
/// What a point is called in tables and pictures.
std::string short_label(const Records& records, const PointRecord& point);
/// Text for a cell of a table in Markdown.
std::string markdown_text(const std::string& text);
/// What became of a point under halving: "stopped after 200 steps" or "went on".
std::string outcome_of(const RungPointRecord& point);
/// A name that may go on in the next line behind / and _.
std::string breakable(const std::string& name);

// Sections with their headings, or without anything to show, nothing (page_curves.cpp, page_axes.cpp).

std::string curves_section(const Report& report);
std::string contributions_section(const Report& report);
/// The figures at the rungs of halving, as HTML and as Markdown (report_rungs.cpp).
std::string rungs_section(const Report& report);
std::string markdown_rungs(const Report& report);
/// What each value of each axis changes.
std::string axes_section(const Report& report);
/// The share that each axis has in what figures vary by; of several axes.
std::string shares_section(const Report& report);
/// Tables of colours for each two axes.
std::string heat_section(const Report& report);
/// Where the script draws scatter plots and parallel coordinates, and the choices that it offers.
std::string explore_section(const Report& report);
/// What it draws them of, an element "data".
std::string page_data(const Report& report);

}  // namespace kind
