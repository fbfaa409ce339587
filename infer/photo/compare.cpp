#include "infer/photo/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/base/error.h"
#include "core/files/html.h"
#include "infer/photo/shrink.h"

namespace kind {
namespace {

/// Longest side of the pictures in a page, and their quality.
constexpr int kSide = 1600, kQuality = 88;

constexpr const char* kHead = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
* { box-sizing: border-box; }
html, body { margin: 0; height: 100%; background: #181818; color: #ddd; font: 15px/1.4 system-ui, sans-serif; }
body { display: flex; flex-direction: column; align-items: center; gap: 10px; padding: 10px; }
h1 { font-size: 15px; font-weight: 500; margin: 0; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#stage { position: relative; overflow: hidden; touch-action: pan-y; cursor: ew-resize; user-select: none; -webkit-user-select: none;
  aspect-ratio: var(--w) / var(--h); width: min(100%, calc((100dvh - 130px) * var(--w) / var(--h))); max-width: calc(var(--w) * 1px * 2); flex: none; }
#stage:focus-visible, input:focus-visible { outline: 2px solid #6cf; outline-offset: 2px; }
#stage img { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
#stage .after { clip-path: inset(0 0 0 var(--at)); visibility: hidden; }
#stage .after.on { visibility: visible; }
#line { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: #fff; box-shadow: 0 0 4px #000; pointer-events: none; }
#line::after { content: "\2194"; position: absolute; top: 50%; left: 50%; width: 38px; height: 38px; margin: -19px; border-radius: 50%;
  background: #fff; color: #222; font-size: 22px; line-height: 36px; text-align: center; box-shadow: 0 0 5px #000; }
.tag { position: absolute; top: 8px; padding: 1px 8px; border-radius: 3px; background: #000a; pointer-events: none; }
#level-row { display: flex; gap: 10px; align-items: center; width: min(100%, 560px); min-height: 44px; }
#level-row input { flex: 1; min-width: 0; height: 32px; accent-color: #6cf; }
#ratio { min-width: 8.5em; text-align: right; font-variant-numeric: tabular-nums; }
p { margin: 0; color: #999; font-size: 13px; text-align: center; }
</style>
)html";

constexpr const char* kScript = R"html(<script>
"use strict";
const stage = document.getElementById("stage"), level = document.getElementById("level"), ratio = document.getElementById("ratio");
const after = [...document.querySelectorAll(".after")];
let at = 50;
function place(percent) {
  at = Math.min(100, Math.max(0, percent));
  stage.style.setProperty("--at", at + "%");
  stage.setAttribute("aria-valuenow", Math.round(at));
}
function show() {
  after.forEach((image, i) => image.classList.toggle("on", i == level.value));
  ratio.textContent = after[level.value].dataset.name;
  level.setAttribute("aria-valuetext", ratio.textContent);
}
function follow(event) {
  const box = stage.getBoundingClientRect();
  place(100 * (event.clientX - box.left) / box.width);
}
stage.addEventListener("pointerdown", event => { stage.setPointerCapture(event.pointerId); follow(event); });
stage.addEventListener("pointermove", event => { if (stage.hasPointerCapture(event.pointerId)) follow(event); });
document.addEventListener("keydown", event => {
  const step = { ArrowLeft: -2, ArrowRight: 2, PageUp: -10, PageDown: 10, Home: -100, End: 100 }[event.key];
  const turn = { ArrowUp: 1, ArrowDown: -1, "+": 1, "-": -1 }[event.key];
  if (step !== undefined && event.target != level) place(at + step);
  else if (turn && event.target != level) { level.value = +level.value + turn; show(); }
  else return;
  event.preventDefault();
});
level.addEventListener("input", show);
place(50);
show();
</script>
)html";

}  // namespace

std::string ComparePage::data_of(const Image& image) const {
  return "data:image/jpeg;base64," + base64(encode_image("the page", shrink(image, kSide), ImageFormat::kJpeg,
                                                         {kQuality, Chroma::k444, &profile_}));
}

void ComparePage::set_before(const Image& image) {
  before_ = data_of(image);
  const Image small = shrink(image, kSide);
  width_ = small.width;
  height_ = small.height;
}

void ComparePage::add_level(const Image& image, double ratio, bool chosen) {
  levels_.push_back({data_of(image), ratio, chosen});
}

std::string ComparePage::html() const {
  check(!levels_.empty() && !before_.empty(), "page: expected a picture and a level at least");
  std::vector<const Level*> order;
  for (const Level& level : levels_) order.push_back(&level);
  std::stable_sort(order.begin(), order.end(), [](const Level* a, const Level* b) { return a->ratio < b->ratio; });
  std::size_t start = 0;
  std::string images;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double ratio = std::round(order[i]->ratio * 100) / 100;
    if (order[i]->chosen) start = i;
    images += join("<img class=\"after\" draggable=\"false\" alt=\"after, ratio ", ratio, "\" data-name=\"ratio ",
                   ratio, order[i]->chosen ? " (chosen)" : "", "\" src=\"", order[i]->data, "\">\n");
  }
  const std::string title = html_text(title_);
  return join(
      kHead, "<title>", title, "</title>\n</head>\n<body>\n<h1>", title, "</h1>\n<div id=\"stage\" role=\"slider\" ",
      "tabindex=\"0\" aria-label=\"Line between before and after\" aria-valuemin=\"0\" aria-valuemax=\"100\" ",
      "style=\"--w: ", width_, "; --h: ", height_, "; --at: 50%\">\n<img draggable=\"false\" alt=\"before\" src=\"",
      before_, "\">\n", images, "<div id=\"line\"></div>\n<span class=\"tag\" style=\"left: 8px\">before</span>\n",
      "<span class=\"tag\" style=\"right: 8px\">after</span>\n</div>\n",
      "<label id=\"level-row\">Light <input id=\"level\" type=\"range\" min=\"0\" max=\"", order.size() - 1,
      "\" step=\"1\" value=\"", start, "\"> <output id=\"ratio\"></output></label>\n",
      "<p>Drag the line, or use the arrow keys: left and right for the line, up and down for the light.</p>\n", kScript,
      "</body>\n</html>\n");
}

}  // namespace kind
