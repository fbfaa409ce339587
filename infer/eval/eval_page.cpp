#include "infer/eval/eval_page.h"

#include <algorithm>
#include <cstdint>

#include "core/base/error.h"
#include "core/files/html.h"
#include "core/image/image.h"

namespace kind {
namespace {

constexpr std::int64_t kLongestSide = 640;  // pictures on the page are reduced to at most this
constexpr int kJpegQuality = 88;

const char* const kHead = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kind-eval</title>
<style>
:root { color-scheme: light dark; --line: #d5d5d5; --soft: #666; --back: #fff; --text: #1a1a1a; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #a5a5a5; --back: #161616; --text: #e8e8e8; } }
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 90rem; font: 15px/1.5 system-ui, sans-serif;
  background: var(--back); color: var(--text); }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; }
small, .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  font-variant-numeric: tabular-nums; }
th, td small { white-space: nowrap; }
td.soft { min-width: 18rem; }
p { overflow-wrap: anywhere; }
.row { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; background: #808080; }
figcaption { padding-top: .25rem; font-size: .85rem; font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
)html";

/// Means of squares of pixels, so that the longer side has at most kLongestSide.
Image reduced(const Tensor<float>& picture) {
  const std::int64_t h = picture.shape()[2], w = picture.shape()[3];
  const std::int64_t factor = (std::max(h, w) + kLongestSide - 1) / kLongestSide;
  const std::int64_t rows = std::max<std::int64_t>(1, h / factor), columns = std::max<std::int64_t>(1, w / factor);
  Image image(static_cast<int>(columns), static_cast<int>(rows), 3);
  for (std::int64_t y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < columns; ++x) {
      for (int c = 0; c < 3; ++c) {
        float sum = 0;
        int count = 0;
        for (std::int64_t i = y * factor; i < std::min(h, (y + 1) * factor); ++i) {
          for (std::int64_t j = x * factor; j < std::min(w, (x + 1) * factor); ++j, ++count) {
            sum += picture[(c * h + i) * w + j];
          }
        }
        image.set_sample(static_cast<int>(x), static_cast<int>(y), c,
                         static_cast<int>(sum / static_cast<float>(count) + 0.5f));
      }
    }
  }
  return image;
}

std::string interval_cell(const std::optional<MeanInterval>& mean, int digits) {
  if (!mean) return "<td>-</td>";
  return "<td>" + figure_text(mean->mean, digits) + "<br><small>" + figure_text(mean->low, digits) + " to " +
         figure_text(mean->high, digits) + "</small></td>";
}

std::string means_table(const EvalReport& report) {
  std::string html = "<div class=\"wide\"><table>\n<tr><th>protocol</th>";
  for (const Metric& metric : report.metrics) html += "<th>" + metric.name + "</th>";
  html += "<th>what is compared with the bright picture</th></tr>\n";
  for (const Way& way : report.ways) {
    html += "<tr><th>" + html_text(way.name) + "</th>";
    for (std::size_t m = 0; m < report.metrics.size(); ++m) {
      html += interval_cell(report.mean(way.name, m), report.metrics[m].digits);
    }
    html += "<td class=\"soft\">" + html_text(way.what) + "</td></tr>\n";
  }
  return html + "</table></div>\n";
}

std::string costs_table(const EvalReport& report) {
  const std::vector<std::size_t> metrics = report.cost_metrics();
  std::string rows, heads;
  for (const std::size_t m : metrics) {
    heads += "<th>" + (report.metrics[m].name == "psnr" ? "dB" : report.metrics[m].name) + "</th>";
  }
  for (const Cost& cost : report.costs) {
    std::string cells;
    bool any = false;
    for (const std::size_t m : metrics) {
      const std::optional<MeanInterval> loss = report.cost(cost, m);
      any |= loss.has_value();
      cells += interval_cell(loss, report.metrics[m].digits);
    }
    if (!any) continue;
    rows += "<tr>" + cells + "<td>" + html_text(cost.what) + "</td><td class=\"soft\">" + html_text(cost.without) +
            " &rarr; " + html_text(cost.with) + "</td></tr>\n";
  }
  if (rows.empty()) return "";
  return "<h2>What each net costs</h2>\n<div class=\"wide\"><table>\n<tr>" + heads + "<th></th><th></th></tr>\n" +
         rows + "</table></div>\n";
}

std::string figures_text(const EvalReport& report, const EvalRow& row) {
  std::string text = row.ratio ? "ratio " + figure_text(row.ratio, 2) : "";
  for (std::size_t m = 0; m < report.metrics.size(); ++m) {
    text += (text.empty() ? "" : " &middot; ") + report.metrics[m].name + " " +
            figure_text(row.values[m], report.metrics[m].digits);
  }
  return text;
}

}  // namespace

void EvalPage::add(const std::string& pair, const std::string& label, const std::string& way,
                   const Tensor<float>& picture) {
  const Image image = reduced(picture);
  WriteOptions options;
  options.jpeg_quality = kJpegQuality;
  pictures_.push_back(
      {pair, label, way, base64(encode_image(pair, image, ImageFormat::kJpeg, options)), image.width, image.height});
}

std::string EvalPage::html(const EvalReport& report) const {
  std::string html = kHead;
  html += "<h1>kind-eval</h1>\n<p>" + html_text(report.scored) + " on " + html_text(report.data) +
          (report.split.empty() ? "" : ", split " + report.split) +
          join(", ", report.pairs.size(), report.pairs.size() == 1 ? " pair" : " pairs") + "</p>\n";
  html +=
      "<p class=\"soft\">Means, and below them the interval that holds them with 95 % confidence (bootstrap over the "
      "pairs). Figures are of the pictures with all bits of their files; those shown here are compressed, and large "
      "ones reduced.</p>\n";
  html += "<h2>Means</h2>\n" + means_table(report) + costs_table(report);
  html += "<p class=\"soft\">";
  for (const Metric& metric : report.metrics) html += metric.name + ": " + html_text(metric.what) + "<br>\n";
  html += "</p>\n";
  for (const std::string& pair : report.pairs) {
    html += "<h2>" + html_text(pair) + "</h2>\n<div class=\"row\">\n";
    for (const Picture& picture : pictures_) {
      if (picture.pair != pair) continue;
      const auto row = std::find_if(report.rows.begin(), report.rows.end(),
                                    [&](const EvalRow& r) { return r.pair == pair && r.way == picture.way; });
      html += join("<figure><img loading=\"lazy\" width=\"", picture.width, "\" height=\"", picture.height, "\" alt=\"",
                   html_text(picture.label), "\" src=\"data:image/jpeg;base64,", picture.jpeg, "\"><figcaption><b>",
                   html_text(picture.label), "</b>");
      if (row != report.rows.end()) html += "<br>" + figures_text(report, *row);
      html += "</figcaption></figure>\n";
    }
    html += "</div>\n";
  }
  return html + "</body>\n</html>\n";
}

}  // namespace kind
