// The page: photographs come in, one of them is shown before and after, and results go out.
import {Compare} from "./compare.js";
import {Enhancer, Picture} from "./enhancer.js";
import {files} from "./files.js";
import {load} from "./load.js";
import {BitmapRows, canvas_of, decode, encode, reduced, result_name} from "./photograph.js";

const at = (id) => document.getElementById(id);
const compare = new Compare(at("compare"), at("frame"));

/** Workers: one for each processor. Each takes some hundred megabytes for large pictures. */
const kMostWorkers = 8;
const workers = Math.max(1, Math.min(kMostWorkers, navigator.hardwareConcurrency || 1));
/** Pixels of the copy that larger photographs are shown by: about two seconds of work. Downloads have the full size. */
const kShownPixels = Math.min(2e6, Math.max(6e5, 3e5 * workers));

/** All photographs: {file, options, thumbnail} and, for the one that is shown, what belongs to it. */
const photographs = [];
let shown = null;
let selected = null;  // which is to be shown, when the one before is put away
/** The work on the shown photograph. */
let work = new AbortController();
let enhancing = null;  // the photograph that is being enhanced
let newer = false;     // whether its options have changed since that began
let saving = null;  // an AbortController while a download is being made

const automatic = () => ({stops: 0, denoise: 1, strength: 1});

// ---- The nets

const enhancer = start();

async function start() {
  try {
    const parts = {module: 0, model: 0};
    const progress = (name, share) => {
      parts[name] = share;
      const all = files.module.size + files.model.size;
      const done = (parts.module * files.module.size + parts.model * files.model.size) / all;
      at("loading").textContent = `Loading the nets … ${Math.round(100 * done)} %`;
      if (shown && !shown.picture) say(at("loading").textContent);
    };
    const [module, model] = await Promise.all([
      load(files.module, (share) => progress("module", share)).then((bytes) => WebAssembly.compile(bytes)),
      load(files.model, (share) => progress("model", share)),
    ]);
    const opened = await Enhancer.open(module, model, workers);
    at("loading").textContent = "Ready. It works offline from here on.";
    document.documentElement.dataset.ready = "";
    return opened;
  } catch (error) {
    at("loading").textContent = `The page could not start: ${error.message}`;
    throw error;
  }
}
enhancer.catch(() => {});  // said above; whoever needs it says it again

// ---- Photographs come in

function add(list) {
  const fresh = [...list].filter((file) => file.type.startsWith("image/") || file.type === "");
  for (const file of fresh) photographs.push({file, options: automatic(), thumbnail: null});
  if (fresh.length === 0) return;
  at("empty").hidden = true;
  at("frame").hidden = at("panel").hidden = false;
  at("main").classList.add("open");
  if (!saving) select(photographs[photographs.length - fresh.length]);
  make_thumbnails();
}

let selections = 0;

/** Shows a photograph and enhances it. Of several calls that wait, the newest one counts. */
async function select(photograph) {
  const mine = ++selections;
  selected = photograph;
  await leave();
  if (mine !== selections || !photographs.includes(photograph)) return;
  shown = photograph;
  show_strip();
  show_options();
  at("name").textContent = photograph.file.name || "Pasted picture";
  at("name").title = at("name").textContent;
  say("Opening …");
  try {
    const bitmap = await decode(photograph.file);
    if (mine !== selections) return bitmap.close();
    photograph.bitmap = bitmap;  // leave() closes it
    const copy = await reduced(bitmap, kShownPixels);
    if (mine !== selections) return copy.close();
    photograph.copy = copy;
    at("saving-help").textContent = photograph.copy === bitmap
        ? "" : "Shown smaller. The download is computed in full size.";
    compare.show(photograph.copy, photograph.copy.width, photograph.copy.height);
    const opened = await enhancer;
    if (mine !== selections) return;
    photograph.picture = new Picture(opened, new BitmapRows(photograph.copy));
    enhance();
  } catch (error) {
    if (mine === selections) say(error.message, true);
  }
}

/** Ends the work on the photograph that is shown and lets go of its pixels. */
async function leave() {
  work.abort();
  busy(null);
  const before = shown;
  shown = enhancing = null;
  await before?.picture?.release();
  for (const bitmap of [before?.bitmap, before?.copy]) bitmap?.close();
  if (before) before.picture = before.bitmap = before.copy = null;
}

async function remove(photograph) {
  const place = photographs.indexOf(photograph);
  if (place < 0) return;  // a second click
  photographs.splice(place, 1);
  show_strip();
  if (photograph.thumbnail) URL.revokeObjectURL(photograph.thumbnail);
  if (photograph !== selected) return;
  if (photographs.length > 0) return select(photographs[Math.min(place, photographs.length - 1)]);
  ++selections;
  selected = null;
  await leave();
  if (photographs.length > 0) return;  // others have come meanwhile
  at("empty").hidden = false;
  at("frame").hidden = at("panel").hidden = true;
  at("main").classList.remove("open");
}

let thumbnails = Promise.resolve();  // one after the other: each is decoded in full

function make_thumbnails() {
  for (const photograph of photographs) {
    thumbnails = thumbnails.then(async () => {
      if (photograph.thumbnail || !photographs.includes(photograph)) return;
      const bitmap = await decode(photograph.file);
      photograph.thumbnail = await thumbnail_of(bitmap);
      bitmap.close();
      show_strip();
    }).catch(() => {});  // a file that is no picture: selecting it says so
  }
}

async function thumbnail_of(bitmap) {
  const side = 120, scale = side / Math.min(bitmap.width, bitmap.height);
  const canvas = new OffscreenCanvas(side, side), pen = canvas.getContext("2d");
  const w = bitmap.width * scale, h = bitmap.height * scale;
  pen.drawImage(bitmap, (side - w) / 2, (side - h) / 2, w, h);
  return URL.createObjectURL(await canvas.convertToBlob({type: "image/jpeg", quality: 0.8}));
}

function show_strip() {
  const buttons = () => [...at("pictures").querySelectorAll("button")];
  const focused = buttons().indexOf(document.activeElement);
  at("pictures").replaceChildren(...photographs.map((photograph) => {
    const name = photograph.file.name || "pasted picture";
    const one = Object.assign(document.createElement("button"), {type: "button", className: "one", title: name});
    one.setAttribute("aria-label", `Show ${name}`);
    one.setAttribute("aria-current", photograph === shown);
    if (photograph.thumbnail) one.append(Object.assign(new Image(), {src: photograph.thumbnail, alt: ""}));
    one.onclick = () => select(photograph);
    const gone = Object.assign(document.createElement("button"), {type: "button", className: "remove", textContent: "×"});
    gone.setAttribute("aria-label", `Remove ${name}`);
    gone.onclick = () => remove(photograph);
    const item = document.createElement("li");
    item.append(one, gone);
    return item;
  }));
  buttons()[focused]?.focus({preventScroll: true});
  at("strip").inert = saving !== null;  // which photograph is shown stays while a download is made of it
  at("download-all").hidden = photographs.length < 2 || saving !== null;
}

// ---- The shown photograph

/** Enhances it with its options. Where it is being enhanced already, it is once more when that is done: a slider that is
 *  dragged shows what is between its ends. */
async function enhance() {
  newer = enhancing === shown;
  if (newer) return;
  const photograph = enhancing = shown;
  work = new AbortController();
  const {signal} = work;
  const silent = () => signal.aborted || saving;
  do {
    newer = false;
    const began = performance.now();
    if (!silent()) {
      busy(0);
      say("Enhancing …");
    }
    try {
      const light = await photograph.picture.enhance(photograph.options, {
        signal,
        on_rows: (first, end, pixels) => { if (shown === photograph) compare.put(first, end, pixels); },
        on_progress: (share) => { if (!silent()) busy(share); },
      });
      if (!silent() && !newer) say(described(photograph, light, performance.now() - began));
    } catch (error) {
      if (!silent() && !newer) say(error.message, true);
    }
  } while (newer && !signal.aborted);
  if (signal.aborted) return;
  enhancing = null;
  if (!saving) busy(null);
}

function described({bitmap, options}, {strength}, milliseconds) {
  const size = `${bitmap.width} × ${bitmap.height}`, seconds = (milliseconds / 1000).toFixed(1);
  if (options.strength === 0) return `${size}. Strength 0: nothing was changed.`;
  if (strength === 0) return `${size}. Bright enough: nothing was changed.`;
  return `${size}, enhanced in ${seconds} s`;
}

function say(text, failed = false) {
  at("status").textContent = text;
  at("status").classList.toggle("failed", failed);
}

/** Shows the share that is done; null: nothing is being done. */
function busy(share) {
  at("busy").hidden = share === null;
  if (share !== null) at("progress").value = share;
}

// ---- Sliders

const sliders = {
  stops: {scale: 1, text: (value) => value === 0 ? "automatic" : `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(1)} stops`},
  denoise: {scale: 100, text: (value) => `${Math.round(100 * value)} %`},
  strength: {scale: 100, text: (value) => `${Math.round(100 * value)} %`},
};

function show_options() {
  if (!shown) return;
  for (const [name, {scale, text}] of Object.entries(sliders)) {
    const value = shown.options[name];
    at(name).value = scale * value;
    at(name).setAttribute("aria-valuetext", text(value));
    at(`${name}-text`).textContent = text(value);
  }
  at("reset").disabled = JSON.stringify(shown.options) === JSON.stringify(automatic());
}

for (const [name, {scale}] of Object.entries(sliders)) {
  at(name).addEventListener("input", () => {
    if (!shown) return show_options();
    shown.options = {...shown.options, [name]: at(name).valueAsNumber / scale};
    show_options();
    if (shown.picture) enhance();
  });
}
at("reset").onclick = () => {
  if (!shown) return;
  shown.options = automatic();
  show_options();
  if (shown.picture) enhance();
};

// ---- Results go out

const file_type = () => document.querySelector("input[name=type]:checked").value;

/** Enhances a photograph in full size; where that is what is shown, it is there already. */
async function full_result(photograph, signal, on_progress) {
  const own = photograph === shown && photograph.bitmap, bitmap = own || await decode(photograph.file);
  const canvas = canvas_of(bitmap);
  const held = own && photograph.copy === bitmap && photograph.picture;
  const picture = held ? photograph.picture : new Picture(await enhancer, new BitmapRows(bitmap));
  try {
    await picture.enhance(photograph.options, {
      signal, on_progress,
      on_rows: (first, end, pixels) => {
        const data = new ImageData(new Uint8ClampedArray(pixels.buffer), canvas.width, end - first);
        canvas.getContext("2d").putImageData(data, 0, first);
      },
    });
  } finally {
    if (!held) await picture.release();
    if (!own) bitmap.close();
  }
  return canvas;
}

async function save(list) {
  if (saving) return;
  saving = new AbortController();
  const {signal} = saving, type = file_type();
  for (const id of ["download", "download-all"]) at(id).hidden = true;
  at("cancel").hidden = false;
  at("sliders").disabled = true;
  show_strip();
  const done = [], failed = [];
  for (const [i, photograph] of list.entries()) {
    try {
      const name = result_name(photograph.file.name, type);
      say(list.length > 1 ? `Making ${name}, ${i + 1} of ${list.length} …` : `Making ${name} …`);
      const canvas = await full_result(photograph, signal, (share) => busy((i + share) / list.length));
      const blob = await encode(canvas, type, photograph.file);
      signal.throwIfAborted();
      const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      done.push(`${name}: ${canvas.width} × ${canvas.height}, ${(blob.size / 1e6).toFixed(1)} MB`);
    } catch (error) {
      if (signal.aborted) break;
      failed.push(error.message);
    }
  }
  const count = list.length > 1 ? `${done.length} of ${list.length} files saved.` : done.join();
  say(signal.aborted ? "Canceled." : [count, ...failed].filter(Boolean).join(" "), failed.length > 0 && !signal.aborted);
  saving = null;
  busy(null);
  at("download").hidden = false;
  at("cancel").hidden = true;
  at("sliders").disabled = false;
  show_strip();
}

at("download").onclick = () => { if (shown) save([shown]); };
at("download-all").onclick = () => save([...photographs]);
at("cancel").onclick = () => saving?.abort();
addEventListener("keydown", ({key}) => { if (key === "Escape") saving?.abort(); });

// ---- Choosing, dropping, pasting

at("choose").onclick = at("add").onclick = () => at("file").click();
at("file").onchange = () => {
  add(at("file").files);
  at("file").value = "";  // so that the same file can be chosen again
};
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length === 0) return;
  event.preventDefault();
  add(event.clipboardData.files);
});
let inside = 0;  // drag events come for each element below
addEventListener("dragenter", (event) => {
  event.preventDefault();
  at("over").hidden = ++inside === 0;
});
addEventListener("dragleave", () => { at("over").hidden = --inside <= 0; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  at("over").hidden = true;
  add(event.dataTransfer.files);
});
