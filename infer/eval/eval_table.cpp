#include "infer/eval/eval_table.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>

#include "core/base/count.h"
#include "core/base/error.h"

namespace kind {
namespace {

/// The figures of an entry for one metric and protocol, by picture.
std::map<std::string, double> figures_of(const EvalEntry& entry, const std::string& way, std::size_t metric) {
  std::map<std::string, double> figures;
  for (const EvalRow& row : entry.report.rows) {
    if (row.way == way && row.values[metric]) figures[row.pair] = *row.values[metric];
  }
  return figures;
}

std::vector<const EvalEntry*> entries_of(const EvalTable& table, std::size_t row) {
  std::vector<const EvalEntry*> found;
  for (const EvalEntry& entry : table.entries) {
    if (entry.name == table.rows[row]) found.push_back(&entry);
  }
  return found;
}

/// Each picture's mean over the entries that have a figure for it.
std::map<std::string, double> picture_means(const std::vector<const EvalEntry*>& entries, const std::string& way,
                                            std::size_t metric) {
  std::map<std::string, double> sums;
  std::map<std::string, int> counts;
  for (const EvalEntry* entry : entries) {
    for (const auto& [picture, value] : figures_of(*entry, way, metric)) {
      sums[picture] += value;
      ++counts[picture];
    }
  }
  for (auto& [picture, sum] : sums) sum /= counts[picture];
  return sums;
}

/// One row's mean and its interval. Seeds differ more than pictures where training is short, so that an interval over
/// pictures alone would promise too much.
void set_mean(const EvalTable& table, std::size_t row, const std::string& way, std::size_t metric, EvalCell& cell) {
  const std::vector<const EvalEntry*> entries = entries_of(table, row);
  std::vector<double> means;
  for (const auto& [picture, mean] : picture_means(entries, way, metric)) means.push_back(mean);
  cell.mean = mean_interval(means);
  cell.interval = means.size() > 1;
  if (!cell.mean || entries.size() < 2 || !std::isfinite(cell.mean->mean)) return;
  std::vector<std::vector<double>> figures;  // [seed][picture], of pictures that all have
  for (const EvalEntry* entry : entries) {
    figures.emplace_back();
    for (const auto& [picture, value] : figures_of(*entry, way, metric)) figures.back().push_back(value);
    if (figures.back().size() != means.size()) return;
  }
  const Estimate both = paired_difference(figures).estimate;
  cell.interval = both.interval;
  cell.mean->low = cell.mean->mean - both.half;
  cell.mean->high = cell.mean->mean + both.half;
}

/// One row's figures less the reference's, [seed][picture].
std::vector<std::vector<double>> differences(const EvalTable& table, std::size_t row, const std::string& way,
                                             std::size_t metric) {
  const std::vector<const EvalEntry*> ours = entries_of(table, row), theirs = entries_of(table, table.reference);
  std::vector<std::pair<std::map<std::string, double>, std::map<std::string, double>>> pairs;
  for (const EvalEntry* a : ours) {
    for (const EvalEntry* b : theirs) {
      if (a->seed != b->seed) continue;
      pairs.emplace_back(figures_of(*a, way, metric), figures_of(*b, way, metric));
      break;
    }
  }
  if (pairs.empty()) pairs.emplace_back(picture_means(ours, way, metric), picture_means(theirs, way, metric));
  std::vector<std::vector<double>> d(pairs.size());
  for (const auto& [picture, unused] : pairs[0].first) {
    std::vector<double> column;
    for (const auto& [a, b] : pairs) {
      const auto x = a.find(picture), y = b.find(picture);
      if (x != a.end() && y != b.end() && std::isfinite(x->second - y->second)) column.push_back(x->second - y->second);
    }
    if (column.size() != pairs.size()) continue;
    for (std::size_t s = 0; s < column.size(); ++s) d[s].push_back(column[s]);
  }
  return d;
}

std::vector<EvalCell> make_cells(const EvalTable& table, const Way& way, std::size_t metric) {
  std::vector<EvalCell> cells(table.rows.size());
  std::vector<double> p;
  std::vector<std::size_t> compared;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    set_mean(table, r, way.name, metric, cells[r]);
    if (r == table.reference) continue;
    cells[r].difference = paired_difference(differences(table, r, way.name, metric));
    if (!cells[r].difference.estimate.interval) continue;
    compared.push_back(r);
    p.push_back(cells[r].difference.p);
  }
  const std::vector<double> adjusted = holm(p);
  for (std::size_t i = 0; i < compared.size(); ++i) cells[compared[i]].adjusted_p = adjusted[i];
  const Better better = table.metrics[metric].better;
  if (better == Better::kNeither || table.rows.size() < 2) return cells;
  const auto merit = [better](const EvalCell& cell) {
    const double mean = cell.mean->mean;
    return better == Better::kHigher ? mean : better == Better::kLower ? -mean : -std::abs(mean - 1);
  };
  std::optional<double> best;
  for (const EvalCell& cell : cells) {
    if (cell.mean && (!best || merit(cell) > *best)) best = merit(cell);
  }
  for (EvalCell& cell : cells) cell.best = cell.mean && merit(cell) >= *best;
  return cells;
}

std::string signed_text(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%+.*f", digits, value);
  return text;
}

std::string mean_text(const EvalCell& cell, const Metric& metric) {
  if (!cell.mean) return "-";
  if (!cell.interval) return figure_text(cell.mean->mean, metric.digits);
  return figure_text(cell.mean->mean, metric.digits) + " [" + figure_text(cell.mean->low, metric.digits) + ", " +
         figure_text(cell.mean->high, metric.digits) + "]";
}

std::string difference_text(const EvalCell& cell, const Metric& metric) {
  const Estimate& d = cell.difference.estimate;
  if (d.count == 0) return "-";
  std::string text = signed_text(d.mean, metric.digits);
  if (d.interval) {
    text +=
        " [" + signed_text(d.mean - d.half, metric.digits) + ", " + signed_text(d.mean + d.half, metric.digits) + "]";
    if (cell.adjusted_p < 0.05) text += "*";
  }
  return text;
}

/// What Markdown would take for emphasis, code, HTML or the end of a cell gets a backslash. An underscore within a word
/// is none of these.
std::string markdown_text(const std::string& text) {
  const auto is_word = [&text](std::size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i]));
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool within = c == '_' && i > 0 && is_word(i - 1) && is_word(i + 1);
    if (!within && std::string("|*_`\\<").find(c) != std::string::npos) out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string escaped(const std::string& text, EvalTableFormat format) {
  if (format == EvalTableFormat::kMarkdown) return markdown_text(text);
  std::string out;
  for (const char c : text) {
    if (format == EvalTableFormat::kLatex && c == '\\') {
      out += "\\textbackslash{}";
    } else if (format == EvalTableFormat::kLatex && (c == '~' || c == '^')) {
      out += std::string("\\") + c + "{}";
    } else if (format == EvalTableFormat::kLatex && std::string("&%$#_{}").find(c) != std::string::npos) {
      out += std::string("\\") + c;
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out;
}

/// Rows of cells as a table; the first row is the heading.
std::string laid_out(const std::vector<std::vector<std::string>>& rows, EvalTableFormat format) {
  std::string text;
  std::vector<std::size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  if (format == EvalTableFormat::kLatex)
    text += "\\begin{tabular}{l" + std::string(rows[0].size() - 1, 'r') + "}\n\\hline\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      const std::string& cell = rows[r][i];
      const std::string space(widths[i] - cell.size(), ' ');
      if (format == EvalTableFormat::kText) {
        line += cell + (i + 1 < rows[r].size() ? space + "  " : "");
      } else {
        line += (format == EvalTableFormat::kMarkdown ? "| "
                 : i == 0                             ? ""
                                                      : " & ") +
                cell + (format == EvalTableFormat::kMarkdown ? " " : "");
      }
    }
    if (format == EvalTableFormat::kMarkdown) line += "|";
    if (format == EvalTableFormat::kLatex) line += " \\\\";
    text += line + "\n";
    if (r > 0) continue;
    if (format == EvalTableFormat::kLatex) text += "\\hline\n";
    if (format != EvalTableFormat::kMarkdown) continue;
    for (std::size_t i = 0; i < rows[0].size(); ++i) text += "|---";
    text += "|\n";
  }
  return format == EvalTableFormat::kLatex ? text + "\\hline\n\\end{tabular}\n" : text;
}

std::string bold(const std::string& text, EvalTableFormat format) {
  if (format == EvalTableFormat::kMarkdown) return "**" + text + "**";
  return format == EvalTableFormat::kLatex ? "\\textbf{" + text + "}" : text;
}

std::string exact(double value) {
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

EvalTable make_eval_table(std::vector<EvalEntry> entries, const std::string& reference) {
  EvalTable table;
  table.entries = std::move(entries);
  check(!table.entries.empty(), "there is nothing to compare");
  table.ways = table.entries[0].report.ways;
  table.metrics = table.entries[0].report.metrics;
  for (const EvalEntry& entry : table.entries) {
    const auto known = std::find(table.rows.begin(), table.rows.end(), entry.name);
    if (known == table.rows.end()) {
      table.rows.push_back(entry.name);
      table.seeds.push_back(1);
    } else {
      ++table.seeds[static_cast<std::size_t>(known - table.rows.begin())];
    }
    std::erase_if(table.ways, [&entry](const Way& way) {
      return std::none_of(entry.report.ways.begin(), entry.report.ways.end(),
                          [&way](const Way& other) { return other.name == way.name; });
    });
  }
  if (!reference.empty()) {
    const auto at = std::find(table.rows.begin(), table.rows.end(), reference);
    std::string names;
    for (const std::string& name : table.rows) names += (names.empty() ? "\"" : ", \"") + name + "\"";
    check(at != table.rows.end(), "--reference: there is no row \"", reference, "\"; the rows are ", names);
    table.reference = static_cast<std::size_t>(at - table.rows.begin());
  }
  for (const Way& way : table.ways) {
    table.cells.emplace_back();
    for (std::size_t m = 0; m < table.metrics.size(); ++m) table.cells.back().push_back(make_cells(table, way, m));
  }
  return table;
}

std::string eval_table_text(const EvalTable& table, EvalTableFormat format) {
  const bool latex = format == EvalTableFormat::kLatex;
  const std::string comment = latex ? "% " : "";
  // LaTeX passes over its lines.
  const auto line = [format](const std::string& words) {
    return format == EvalTableFormat::kMarkdown ? markdown_text(words) : words;
  };
  std::string text;
  for (std::size_t w = 0; w < table.ways.size(); ++w) {
    const EvalReport& first = table.entries[0].report;
    std::vector<std::vector<std::string>> means{{"scored", "seeds"}}, changes{{"difference"}};
    for (const Metric& metric : table.metrics) {
      means[0].push_back(escaped(metric.name, format));
      changes[0].push_back(escaped(metric.name, format));
    }
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      means.push_back({escaped(table.rows[r], format), std::to_string(table.seeds[r])});
      if (r != table.reference) changes.push_back({escaped(table.rows[r], format)});
      for (std::size_t m = 0; m < table.metrics.size(); ++m) {
        const EvalCell& cell = table.cells[w][m][r];
        const std::string mean = escaped(mean_text(cell, table.metrics[m]), format);
        means.back().push_back(cell.best ? bold(mean, format) : mean);
        if (r != table.reference) changes.back().push_back(escaped(difference_text(cell, table.metrics[m]), format));
      }
    }
    text +=
        (w == 0 ? "" : "\n") + comment +
        line("protocol " + table.ways[w].name + ", " + counted(first.pairs.size(), "pair") + " of " + first.data +
             (first.split.empty() ? "" : ", split " + first.split)) +
        ": means [95 % interval for other pictures" +
        (std::any_of(table.seeds.begin(), table.seeds.end(), [](std::size_t seeds) { return seeds > 1; }) ? " and seeds"
                                                                                                          : "") +
        "]\n" + (format == EvalTableFormat::kMarkdown ? "\n" : "") + laid_out(means, format);
    if (changes.size() < 2) continue;
    text += "\n" + comment +
            line("difference from " + table.rows[table.reference] +
                 ", paired by seed and picture [95 % interval]; *: p < 0.05 after Holm") +
            "\n" + (format == EvalTableFormat::kMarkdown ? "\n" : "") + laid_out(changes, format);
  }
  return text;
}

std::string eval_table_csv(const EvalTable& table) {
  std::string text =
      "kind,name,seed,picture,protocol,metric,value,low,high,difference,difference_low,difference_high,p,p_holm\r\n";
  for (std::size_t w = 0; w < table.ways.size(); ++w) {
    for (std::size_t m = 0; m < table.metrics.size(); ++m) {
      const std::string tail = "," + csv_cell(table.ways[w].name) + "," + table.metrics[m].name + ",";
      for (const EvalEntry& entry : table.entries) {
        const std::string head = csv_cell(entry.name) + "," + std::to_string(entry.seed) + ",";
        std::vector<double> values;
        for (const auto& [picture, value] : figures_of(entry, table.ways[w].name, m)) {
          values.push_back(value);
          text += "picture," + head + csv_cell(picture) + tail + exact(value) + ",,,,,,,\r\n";
        }
        if (const std::optional<MeanInterval> mean = mean_interval(values)) {
          text += "seed," + head + tail + exact(mean->mean) + "," + exact(mean->low) + "," + exact(mean->high) +
                  ",,,,,\r\n";
        }
      }
      for (std::size_t r = 0; r < table.rows.size(); ++r) {
        const EvalCell& cell = table.cells[w][m][r];
        if (!cell.mean) continue;
        const Estimate& d = cell.difference.estimate;
        text += "row," + csv_cell(table.rows[r]) + ",," + tail + exact(cell.mean->mean) + "," +
                (cell.interval ? exact(cell.mean->low) : "") + "," + (cell.interval ? exact(cell.mean->high) : "") +
                "," + (d.count > 0 ? exact(d.mean) : "") + ",";
        text += d.interval ? exact(d.mean - d.half) + "," + exact(d.mean + d.half) + "," + exact(cell.difference.p) +
                                 "," + exact(cell.adjusted_p)
                           : std::string(",,,");
        text += "\r\n";
      }
    }
  }
  return text;
}

}  // namespace kind
