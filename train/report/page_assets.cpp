#include "train/report/page_assets.h"

// Long lines are the page's own: they are shipped with every report.

namespace kind {

const char* const kPageStyle = R"css(
:root { color-scheme: light dark; --b: #fff; --f: #1b1f24; --s: #667; --r: #d5d9e0; --h: #f2f4f7; --up: #0a7d38;
  --down: #b3261e; --k: #1d5fbf; }
@media (prefers-color-scheme: dark) { :root { --b: #14171c; --f: #e4e7ec; --s: #99a1ad; --r: #343b46; --h: #1d222a;
  --up: #58c97f; --down: #ff8a80; --k: #7db0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--b); color: var(--f);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p, li { max-width: 48rem; } .s { color: var(--s); }
.w { overflow-x: auto; border: 1px solid var(--r); border-radius: 6px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--r); }
th { background: var(--h); font-weight: 600; white-space: normal; vertical-align: bottom; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--b); min-width: 8rem;
  max-width: 16rem; white-space: normal; }
th:first-child { background: var(--h); }
@media (max-width: 40rem) { th:first-child, td:first-child { min-width: 0; max-width: 8rem; font-size: .78rem; } }
td.runs { white-space: normal; } .d small { display: block; } .left td, .left th { text-align: left; }
td.best { font-weight: 700; } td small { color: var(--s); font-weight: 400; }
.up { color: var(--up); } .down { color: var(--down); } .other { color: var(--k); }
td.reason { white-space: normal; text-align: left; overflow-wrap: anywhere; min-width: 12rem; }
.c { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .5rem; margin: .5rem 0; }
figure { margin: 0; border: 1px solid var(--r); border-radius: 6px; padding: .3rem; break-inside: avoid; min-width: 0; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--s); font-size: 10px; }
svg .t { fill: var(--f); font-size: 11px; font-weight: 600; text-anchor: middle; }
svg .e { text-anchor: end; } svg .m { text-anchor: middle; }
svg .g { stroke: var(--r); stroke-width: .5; } svg .a { stroke: var(--s); stroke-width: .7; }
svg .l { fill: none; stroke-width: 1.4; stroke-linejoin: round; } svg .q { stroke: var(--k); }
svg .i { stroke: var(--k); stroke-width: 1.4; } svg .p { fill: var(--k); }
.n { display: flex; flex-wrap: wrap; gap: .15rem .9rem; margin: .4rem 0; padding: 0; list-style: none; font-size: .82rem; }
.n li { max-width: 100%; overflow-wrap: anywhere; }
.n button { all: unset; cursor: pointer; } .n button:focus-visible { outline: 2px solid var(--k); }
.n svg { display: inline-block; width: 26px; height: 8px; vertical-align: middle; margin-right: .3rem; }
.dim { opacity: .12; } tr.dim { opacity: .35; }
figure { position: relative; } .save { position: absolute; top: .25rem; right: .25rem; font: 11px system-ui, sans-serif;
  color: var(--s); background: var(--b); border: 1px solid var(--r); border-radius: 4px; cursor: pointer; opacity: 0; }
figure:hover .save, .save:focus { opacity: 1; } @media (hover: none) { .save { opacity: .6; } }
#tip { display: none; position: fixed; z-index: 2; pointer-events: none; white-space: pre-line; max-width: 20rem; padding: .15rem .4rem;
  font-size: .78rem; background: var(--f); color: var(--b); border-radius: 4px; }
th[tabindex] { cursor: pointer; } th[aria-sort=ascending]::after { content: " ▴"; } th[aria-sort=descending]::after { content: " ▾"; }
.filter { font: inherit; font-size: .85rem; padding: .2rem .4rem; margin: .3rem 0; width: min(100%, 22rem); color: inherit;
  background: var(--b); border: 1px solid var(--r); border-radius: 4px; }
svg .b { opacity: .15; } svg .b.dim { opacity: .03; } .many .b { opacity: 0; } .many.picked .b:not(.dim) { opacity: .2; } svg .z { stroke: var(--s); stroke-dasharray: 3 2; stroke-width: .7; }
svg .h { fill: var(--k); } svg .h + text { fill: var(--f); } svg .h + .on { fill: var(--b); }
.scatter g line { opacity: .35; } .parallel text { paint-order: stroke; stroke: var(--b); stroke-width: 3px; }
.brush { fill: var(--k); fill-opacity: .15; stroke: var(--k); stroke-width: .7; } .hit { fill: none; pointer-events: all; }
.scatter svg, .parallel g[data-axis] { cursor: crosshair; touch-action: none; } .scatter figure { max-width: 44rem; }
.parallel figure { overflow-x: auto; } .k .box { flex: 0 1 auto; }
.warn { border-left: 3px solid var(--down); padding-left: .6rem; }
.x { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(9rem, 13rem); gap: .4rem; overflow-x: auto; padding: .3rem; }
.x figure { padding: .2rem; font-size: .78rem; } .x figcaption { overflow-wrap: anywhere; }
.pic { background-size: 100% 100%; width: 100%; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.v { position: relative; cursor: ew-resize; touch-action: pan-y; user-select: none; } .v .pic { border-radius: 4px; } .v .over { position: absolute; inset: 0; }
.v .bar { position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.k { display: flex; flex-wrap: wrap; gap: .4rem; margin: .4rem 0; }
.k label { flex: 1 1 10rem; font-size: .82rem; min-width: 0; } .k select { width: 100%; font: inherit; }
.viewer > * { max-width: min(40rem, 75vh * (var(--ratio, 1))); } .viewer > .k { max-width: 40rem; } .slide { width: 100%; }
@page { margin: 12mm; }
@media print { :root { --b: #fff; --f: #000; --s: #444; --r: #bbb; --h: #eee; --up: #064; --down: #900; --k: #124; }
  body { max-width: none; padding: 0; font-size: 10pt; } .script { display: none; } .w, .x { overflow: visible; }
  .w { border: 0; } th, td { padding: .1rem .2rem; white-space: normal; } th:first-child, td:first-child { position: static; }
  table { font-size: 6pt; } td small { display: block; } .c { grid-template-columns: repeat(2, 1fr); }
  .x { grid-auto-flow: row; grid-template-columns: repeat(4, 1fr); } h2, h3 { break-after: avoid; } tr { break-inside: avoid; } }
)css";

const char* const kPageScript = R"js(
const all = (selector, of = document) => [...of.querySelectorAll(selector)];
const data = JSON.parse(document.getElementById('data').textContent);
const escaped = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
const short = v => typeof v !== 'number' ? String(v)
  : Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(2) : String(+v.toPrecision(4));
const colour = i => `hsl(${(210 + 137.508 * i) % 360} 70% 48%)`;
// What a scale does to a value, and back; of charts made here and of those in the page (data-x, data-y).
const curve = (kind, unit) => kind === 'log' ? [Math.log10, t => 10 ** t]
  : kind === 'symlog' ? [v => Math.sign(v) * Math.log10(1 + Math.abs(v) / unit),
                         t => Math.sign(t) * unit * (10 ** Math.abs(t) - 1)]
  : [v => v, t => t];

// Points that are chosen by a legend's entry or by a brush; what shows others is dimmed everywhere.
const chosen = new Map();
const refresh = () => {
  const on = data.points.map((p, i) => [...chosen.values()].every(test => test(p, i)));
  all('[data-point]').forEach(e => e.classList.toggle('dim', !on[e.dataset.point]));
  all('.curves').forEach(e => e.classList.toggle('picked', chosen.size > 0));
};
const choose = (key, test) => { test ? chosen.set(key, test) : chosen.delete(key); refresh(); };
all('.n button').forEach(b => b.addEventListener('click', () => {
  const on = b.getAttribute('aria-pressed') !== 'true';
  all('.n button').forEach(o => o.setAttribute('aria-pressed', o === b && on));
  choose('legend', on && ((p, i) => i === +b.dataset.pick));
}));

// Tables: a click on a head sorts, the field above filters by words.
all('table.d').forEach(table => all('th', table).forEach((head, column) => {
  const sort = () => {
    const down = head.getAttribute('aria-sort') === 'ascending', body = table.tBodies[0];
    const key = row => column ? +(row.cells[column].dataset.v ?? 'x') : +row.dataset.point;
    const rows = all('tr', body), known = rows.filter(r => !column || row_has(r, column));
    known.sort((a, b) => (down ? -1 : 1) * (key(a) - key(b)));
    body.append(...known, ...rows.filter(r => !known.includes(r)));
    all('th', table).forEach(h => h.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  };
  head.tabIndex = 0;
  head.title = 'sort';
  head.addEventListener('click', sort);
  head.addEventListener('keydown', e => { if (e.key === 'Enter') sort(); });
}));
function row_has(row, column) { return row.cells[column].dataset.v !== undefined; }
all('.filter').forEach(field => field.addEventListener('input', () => {
  const words = field.value.toLowerCase().split(/\s+/);
  all('table.d tbody tr').forEach(row =>
    row.hidden = !words.every(w => row.cells[0].textContent.toLowerCase().includes(w)));
}));

// Values under the pointer.
const tip = document.body.appendChild(document.createElement('div'));
tip.id = 'tip';
const tell = (text, e) => {
  tip.textContent = text;
  tip.style.display = text ? 'block' : 'none';
  if (!text) return;
  const x = Math.min(e.clientX + 12, innerWidth - tip.offsetWidth - 4), y = e.clientY + 14;
  tip.style.left = Math.max(0, x) + 'px';
  tip.style.top = (y + tip.offsetHeight > innerHeight ? e.clientY - tip.offsetHeight - 8 : y) + 'px';
};
const titled = svg => all('title', svg).forEach(t => {
  t.parentNode.dataset.tip = t.textContent;
  t.remove();
});
const place_in = (svg, e) => {
  const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
  return [(e.clientX - box.left) * view.width / box.width, (e.clientY - box.top) * view.height / box.height];
};
const value_at = (text, at) => {
  const [low, high, from, to, kind, unit] = text.split(' '), [f, back] = curve(kind, +unit);
  return back(f(+low) + (at - from) / (to - from) * (f(+high) - f(+low)));
};
const points_of = line => line.getAttribute('points').split(' ').map(p => p.split(',').map(Number));
const nearest = (svg, x, y) => {
  let best = {distance: 24};
  for (const line of all('polyline[data-tip]:not(.dim)', svg)) {
    for (const [px, py] of points_of(line)) {
      const distance = Math.hypot(px - x, py - y);
      if (distance < best.distance) best = {distance, px, py, line};
    }
  }
  return best.line && best;
};
const listen = svg => {
  titled(svg);
  svg.addEventListener('pointerleave', () => tell('', null));
  svg.addEventListener('pointermove', e => {
    const own = e.target.closest('[data-tip]:not(polyline)');
    if (own) return tell(own.dataset.tip, e);
    if (!svg.dataset.x) return tell('', e);
    const at = nearest(svg, ...place_in(svg, e));
    tell(at ? `${at.line.dataset.tip}\n${short(value_at(svg.dataset.x, at.px))}: ` +
              short(value_at(svg.dataset.y, at.py)) : '', e);
  });
};

// A figure as a file of its own, in the colours in which it is shown.
const kLooks = ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linejoin', 'opacity',
  'font-size', 'font-weight', 'font-family', 'text-anchor'];
const save = svg => {
  const copy = svg.cloneNode(true), from = all('*', svg), view = svg.viewBox.baseVal;
  all('*', copy).forEach((e, i) => {
    const style = getComputedStyle(from[i]);
    e.setAttribute('style', kLooks.map(k => `${k}:${style.getPropertyValue(k)}`).join(';'));
  });
  copy.setAttribute('width', view.width);
  copy.setAttribute('height', view.height);
  copy.style.background = getComputedStyle(document.body).backgroundColor;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], {type: 'image/svg+xml'}));
  link.download = (svg.getAttribute('aria-label') || 'figure').replace(/[^\w.-]+/g, '-') + '.svg';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const furnish = figure => {
  const svg = figure.querySelector('svg'), button = figure.appendChild(document.createElement('button'));
  button.className = 'save script';
  button.type = 'button';
  button.textContent = 'SVG';
  button.title = 'save this figure';
  button.addEventListener('click', () => save(svg));
  listen(svg);
};
all('figure > svg').forEach(svg => furnish(svg.parentNode));

// Smoothing: a moving mean with exponential weights, of the lines as they are drawn.
all('.smooth').forEach(slide => {
  const lines = all('.curves polyline').map(line => [line, points_of(line)]);
  slide.addEventListener('input', () => lines.forEach(([line, points]) => {
    let mean = points[0][1], weight = 0;
    const keep = slide.value / 100;
    line.setAttribute('points', points.map(([x, y]) => {
      weight = keep * weight + 1;
      mean += (y - mean) / weight;
      return `${x},${mean.toFixed(1)}`;
    }).join(' '));
  }));
});

// Scatter and parallel coordinates over axes and figures.
const dimensions = [...data.axes.map((axis, k) => ({name: axis.name, words: !axis.numbers && axis.values, of: p => p.axes[k]})),
  ...data.figures.map((name, k) => ({name, of: p => p.means[k], half: p => p.halves[k]}))];
for (const d of dimensions) {
  const values = data.points.map(d.of).filter(v => v !== null);
  if (d.words) {
    d.unit = v => (d.words.indexOf(v) + 0.5) / d.words.length;
    d.ticks = d.words;
    continue;
  }
  const positive = values.map(Math.abs).filter(v => v > 0), least = Math.min(...positive), most = Math.max(...positive);
  const wide = !d.half && most / least >= 20;
  const [f, back] = curve(wide ? (Math.min(...values) > 0 ? 'log' : 'symlog') : '', least);
  const half = p => (d.half && d.half(p)) || 0, known = data.points.filter(p => d.of(p) !== null);
  const low = f(Math.min(...known.map(p => d.of(p) - half(p)))), high = f(Math.max(...known.map(p => d.of(p) + half(p))));
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  d.unit = v => (f(v) - low + room) / (high - low + 2 * room);
  const few = [...new Set(values)].sort((a, b) => a - b);
  d.ticks = !d.half && few.length <= 8 ? few : [0, 0.25, 0.5, 0.75, 1].map(t => {
    const v = back(low + t * (high - low)), step = 10 ** Math.floor(Math.log10((high - low || 1) / 4));
    return wide ? +v.toPrecision(2) : Math.round(v / step) * step;
  });
}
const has = p => d => d.of(p) !== null && d.of(p) !== undefined;
const tick_text = t => escaped(short(typeof t === 'number' ? +t.toPrecision(6) : t)).slice(0, 24);
function draw_scatter(box) {
  const [sx, sy] = all('select', box), x = dimensions[sx.value], y = dimensions[sy.value];
  const W = 560, H = 340, L = 56, R = 14, T = 24, B = 40, px = v => L + (W - L - R) * x.unit(v), py = v => H - B - (H - T - B) * y.unit(v);
  let svg = `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escaped(y.name)} by ${escaped(x.name)}"><text class="t" x="${W / 2}" y="13">${escaped(y.name)} by ${escaped(x.name)}</text>`;
  for (const t of y.ticks) svg += `<line class="g" x1="${L}" x2="${W - R}" y1="${py(t)}" y2="${py(t)}"/><text class="e" x="${L - 4}" y="${py(t) + 3}">${tick_text(t)}</text>`;
  for (const t of x.ticks) svg += `<line class="a" x1="${px(t)}" x2="${px(t)}" y1="${H - B}" y2="${H - B + 3}"/><text class="m" x="${px(t)}" y="${H - B + 14}">${tick_text(t)}</text>`;
  svg += `<line class="a" x1="${L}" x2="${W - R}" y1="${H - B}" y2="${H - B}"/><rect class="brush"/>`;
  data.points.forEach((p, i) => {
    if (![x, y].every(has(p))) return;
    const cx = px(x.of(p)), cy = py(y.of(p));
    const hx = x.half && x.half(p), hy = y.half && y.half(p);
    svg += `<g data-point="${i}" style="stroke:${colour(i)}">` +
      (hx ? `<line x1="${px(x.of(p) - hx)}" x2="${px(x.of(p) + hx)}" y1="${cy}" y2="${cy}"/>` : '') +
      (hy ? `<line x1="${cx}" x2="${cx}" y1="${py(y.of(p) - hy)}" y2="${py(y.of(p) + hy)}"/>` : '') +
      `<circle r="4" cx="${cx}" cy="${cy}" style="fill:${colour(i)};stroke:none"><title>${escaped(p.label)}\n${escaped(x.name)} ${escaped(short(x.of(p)))}, ${escaped(y.name)} ${escaped(short(y.of(p)))}</title></circle></g>`;
  });
  const figure = box.querySelector('figure');
  figure.innerHTML = svg + '</svg>';
  furnish(figure);
  choose('scatter', null);
  const chart = figure.querySelector('svg'), brush = chart.querySelector('.brush');
  let start = null;
  chart.addEventListener('pointerdown', e => { start = place_in(chart, e); chart.setPointerCapture(e.pointerId); });
  chart.addEventListener('pointermove', e => {
    if (!start) return;
    const [a, b] = place_in(chart, e), x0 = Math.min(a, start[0]), x1 = Math.max(a, start[0]), y0 = Math.min(b, start[1]), y1 = Math.max(b, start[1]);
    Object.entries({x: x0, y: y0, width: x1 - x0, height: y1 - y0}).forEach(([k, v]) => brush.setAttribute(k, v));
    const inside = (at, low, high) => at >= low && at <= high;
    choose('scatter', x1 - x0 > 3 && (p => [x, y].every(has(p)) && inside(px(x.of(p)), x0, x1) && inside(py(y.of(p)), y0, y1)));
  });
  chart.addEventListener('pointerup', e => {
    const [a] = place_in(chart, e);
    if (start && Math.abs(a - start[0]) <= 3) { brush.setAttribute('width', 0); choose('scatter', null); }
    start = null;
  });
}
function draw_parallel(box) {
  const used = dimensions.filter(d => d.name && (!d.half || all('input:checked', box).some(c => c.value === d.name)));
  const T = 30, H = 300, B = 12, gap = 110, W = Math.max(360, 80 + gap * (used.length - 1) + 60);
  const px = k => 60 + gap * k, py = (d, v) => H - B - (H - T - B) * d.unit(v);
  let svg = `<svg viewBox="0 0 ${W} ${H}" style="min-width:${W * 0.8}px" role="img" aria-label="parallel coordinates">`;
  data.points.forEach((p, i) => {
    const at = used.map((d, k) => has(p)(d) ? `${px(k)},${py(d, d.of(p)).toFixed(1)}` : null).filter(a => a);
    svg += `<polyline class="l" data-point="${i}" data-tip="${escaped(p.label)}" style="stroke:${colour(i)}" points="${at.join(' ')}"/>`;
  });
  used.forEach((d, k) => {
    svg += `<g data-axis="${k}"><rect class="hit" x="${px(k) - 12}" y="${T}" width="24" height="${H - T - B}"/><line class="a" x1="${px(k)}" x2="${px(k)}" y1="${T}" y2="${H - B}"/><text class="m" x="${px(k)}" y="${k % 2 ? 12 : 24}">${escaped(d.name)}</text><rect class="brush" x="${px(k) - 6}" width="12" height="0"/>`;
    for (const t of d.ticks) svg += `<text x="${px(k) + 4}" y="${py(d, t) + 3}">${tick_text(t)}</text>`;
    svg += '</g>';
  });
  const figure = box.querySelector('figure');
  figure.innerHTML = svg + '</svg>';
  furnish(figure);
  const chart = figure.querySelector('svg');
  for (const key of [...chosen.keys()]) if (key.startsWith('axis ')) chosen.delete(key);
  refresh();
  all('[data-axis]', chart).forEach(g => {
    const d = used[g.dataset.axis], brush = g.querySelector('.brush');
    let start = null;
    g.addEventListener('pointerdown', e => { start = place_in(chart, e)[1]; g.setPointerCapture(e.pointerId); });
    g.addEventListener('pointermove', e => {
      if (start === null) return;
      const at = place_in(chart, e)[1], top = Math.min(at, start), bottom = Math.max(at, start);
      brush.setAttribute('y', top);
      brush.setAttribute('height', bottom - top > 3 ? bottom - top : 0);
      choose('axis ' + d.name, bottom - top > 3 && (p => has(p)(d) && py(d, d.of(p)) >= top && py(d, d.of(p)) <= bottom));
    });
    g.addEventListener('pointerup', () => { start = null; });
  });
}
for (const [kind, draw] of [['.scatter', draw_scatter], ['.parallel', draw_parallel]]) {
  all(kind).forEach(box => {
    box.querySelector('.k').addEventListener('change', () => draw(box));
    draw(box);
  });
}

// The viewer lays one picture over another as far as the slider says.
document.querySelectorAll('.viewer').forEach(v => {
  const [map, a, b] = v.querySelectorAll('select'), [under, over] = v.querySelectorAll('.v .pic');
  const slide = v.querySelector('.slide'), bar = v.querySelector('.bar');
  const set = (to, point) => {
    const from = document.querySelector(`[data-pic="${v.dataset.picture}|${map.value}|${point}"]`);
    if (!from) return;
    to.className = from.className + (to === over ? ' over' : '');
    to.style.aspectRatio = from.style.aspectRatio;
    v.style.setProperty('--ratio', from.style.aspectRatio);
    to.setAttribute('aria-label', from.getAttribute('aria-label'));
  };
  const show = () => { set(under, b.value); set(over, a.value); cut(); };
  const cut = () => { over.style.clipPath = `inset(0 ${100 - slide.value}% 0 0)`; bar.style.left = slide.value + '%'; };
  [map, a, b].forEach(s => s.addEventListener('change', show));
  slide.addEventListener('input', cut);
  const box = v.querySelector('.v'), drag = e => {
    if (!(e.buttons & 1)) return;
    const at = box.getBoundingClientRect();
    slide.value = 100 * (e.clientX - at.left) / at.width;
    cut();
  };
  box.addEventListener('pointerdown', e => { box.setPointerCapture(e.pointerId); drag(e); });
  box.addEventListener('pointermove', drag);
  show();
});
)js";

}  // namespace kind
