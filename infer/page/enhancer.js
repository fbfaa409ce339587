// Divides the work on pictures among workers, one for each processor. Memory is not shared between them, which would need
// special headers from the server: each has the model, and gets the rows that its parts of a picture depend on. Of smaller
// pictures each decomposes its own rows, and the parts give each other the rows of the maps that they need; and so inside
// restoration, whose layers reach far. The parts have the bits of the whole.
import {kAlone, kExchanges, kMaps} from "./engine.js";

/** Pixels of a picture up to which its parts stay with the workers, so that a change of a slider needs little. */
const kMostHeld = 4e6;
/** Share of the time that decomposition and restoration take, about. */
const kDecomposition = 0.2, kRestoration = 0.75;
/** Pixels of a part of a larger picture: enough that the rows that neighbours share cost little, few enough for memory. */
const kPartPixels = 6e6;
/** Bytes that the workers may take together: half of what the device has, as far as the browser says. */
const kMostBytes = (navigator.deviceMemory ?? 4) / 2 * 2 ** 30;
/** Rows that are measured at a time, in pixels. */
const kPiecePixels = 1e6;
/** Rows that are worth a part of their own. */
const kLeastRows = 48;

/** A worker as calls with results. */
class Remote {
  #worker = new Worker(new URL("worker.js", import.meta.url), {type: "module"});
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#worker.onmessage = ({data: {id, result, error, progress}}) => {
      const {resolve, reject, on_progress} = this.#waiting.get(id);
      if (progress !== undefined) return on_progress?.(progress);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      for (const {reject} of this.#waiting.values()) reject(new Error(event.message || "a worker did not start"));
      this.#waiting.clear();
    };
  }

  call(call, args, {transfer = [], on_progress} = {}) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {resolve, reject, on_progress});
      this.#worker.postMessage({id, call, args}, transfer);
    });
  }
}

export class Enhancer {
  #busy = Promise.resolve();
  /** The picture that the first worker has measured. */
  measured = null;

  /** @param module the compiled WebAssembly.Module @param model the bytes of a model file @param count of workers */
  static async open(module, model, count) {
    const enhancer = new Enhancer();
    enhancer.workers = Array.from({length: count}, () => new Remote());
    await Promise.all(enhancer.workers.map((worker) => worker.call("open", {module, model})));
    // Browsers compile quickly first, and for speed what turns out to be used: a small picture shows them what that is.
    const side = 64, gray = {width: side, height: side, rows: (from, to) => new Uint8ClampedArray(4 * side * (to - from)).fill(99)};
    const first = new Picture(enhancer, gray);
    first.enhance({ratio: 2}).catch(() => {}).then(() => first.release());
    return enhancer;
  }

  /** Runs it when all that was asked for before is done. */
  alone(work) {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => {});
    return result;
  }

  /** The bytes that all workers have taken. */
  async memory() {
    const all = await Promise.all(this.workers.map((worker) => worker.call("memory")));
    return all.reduce((sum, bytes) => sum + bytes, 0);
  }
}

/** A picture on its way through an Enhancer. */
export class Picture {
  #enhancer;
  #source;
  #light = null;
  #chosen = "";  // the options that #light was chosen for
  #parts = null;
  #workers;  // those that take part
  #held;     // whether parts stay with them
  #part_pixels;

  /** @param source {width, height, rows(from, to)}: rows gives RGBA pixels, a Uint8ClampedArray of its own each time */
  constructor(enhancer, source, {most_held = kMostHeld, part_pixels = kPartPixels} = {}) {
    this.#enhancer = enhancer;
    this.#source = source;
    this.#held = source.width * source.height <= most_held;
    this.#part_pixels = part_pixels;
  }

  /**
   * Enhances it with `options`: {stops, ratio, everywhere} (Engine.choose), {denoise, strength} (Engine.run_part).
   * @param on_rows gets (first, end, pixels) of the result, in any order; rows of a frame do not come
   * @param on_progress gets the share that is done, 0 to 1
   * @param signal an AbortSignal; what was made stays for the next time
   * @returns {ratio, strength} of the light
   */
  enhance(options, {on_rows, on_progress = () => {}, signal} = {}) {
    return this.#enhancer.alone(async () => {
      const light = await this.#choose(options, signal);
      await this.#plan(light);
      const parts = this.#parts, done = new Map(parts.map((part) => [part, 0]));
      const progress = (part, share) => {
        done.set(part, share);
        on_progress([...done.values()].reduce((sum, one) => sum + one, 0) / parts.length);
      };
      let before = 0;  // the share that is done when each part goes its own way
      if (parts.some((part) => part.sharing !== kAlone && !part.complete)) {
        before = kDecomposition;
        await this.#for_all(signal, (part) => this.#decompose(part, light, (share) => progress(part, before * share)));
        signal?.throwIfAborted();
        await this.#exchange_maps(light);
      }
      if ((options.denoise ?? 1) > 0 && parts.some((part) => part.sharing === kExchanges && !part.restored)) {
        signal?.throwIfAborted();
        const first = before;
        await this.#restore((share) => {
          before = first + kRestoration * share;
          for (const part of parts) progress(part, before);
        });
      }
      await this.#for_all(signal, async (part) => {
        const on_part = (share) => progress(part, before + (1 - before) * share);
        await this.#run(part, light, options, {on_rows, on_progress: on_part});
        on_part(1);
      });
      return {ratio: light[0], strength: light[1]};
    });
  }

  /** Forgets what the workers hold of it. */
  release() {
    return this.#enhancer.alone(async () => {
      for (const part of this.#parts ?? []) await this.#close(part);
      this.#parts = null;
      this.#light = null;
    });
  }

  /** Each worker does `work` for one part after the other: those that it has already, and those that none has. */
  async #for_all(signal, work) {
    const left = [...this.#parts];
    const ends = await Promise.allSettled(this.#workers.map(async (worker) => {
      for (;;) {
        signal?.throwIfAborted();
        let next = left.findIndex((part) => part.worker === worker);
        if (next < 0) next = left.findIndex((part) => !part.worker);
        if (next < 0) return;
        const [part] = left.splice(next, 1);
        part.worker = worker;
        await work(part);
      }
    }));
    const failed = ends.find(({status}) => status === "rejected");
    if (failed) throw failed.reason;
  }

  async #choose(options, signal) {
    const {stops = 0, ratio = 0, everywhere = false} = options, wanted = JSON.stringify([stops, ratio, everywhere]);
    if (this.#light && this.#chosen === wanted) return this.#light;
    const [worker] = this.#enhancer.workers;
    if (this.#enhancer.measured !== this) {
      this.#enhancer.measured = null;
      const {width, height} = this.#source, rows = Math.max(1, Math.floor(kPiecePixels / width));
      await worker.call("picture", {width, height});
      for (let y = 0; y < height; y += rows) {
        signal?.throwIfAborted();
        const pixels = this.#source.rows(y, Math.min(height, y + rows));
        await worker.call("piece", {pixels}, {transfer: [pixels.buffer]});
      }
      await worker.call("measure");
      this.#enhancer.measured = this;
    }
    this.#light = await worker.call("choose", {stops, ratio, everywhere});
    this.#chosen = wanted;
    return this.#light;
  }

  async #plan(light) {
    if (this.#parts) return;
    const {workers} = this.#enhancer, [, , top, bottom, left, right] = light;
    const most = Math.max(1, Math.floor((bottom - top) / kLeastRows));
    this.#workers = workers;
    let count = Math.min(most, workers.length);
    if (!this.#held) {
      count = Math.min(most, Math.ceil((bottom - top) * (right - left) / this.#part_pixels));
      const bytes = await workers[0].call("part_memory", {light, count, sharing: kAlone});
      this.#workers = workers.slice(0, Math.max(1, Math.floor(kMostBytes / bytes)));
      // As many for each.
      count = Math.min(most, Math.ceil(count / this.#workers.length) * this.#workers.length);
    }
    this.#parts = await workers[0].call("plan", {light, count, sharing: await this.#sharing(light, count)});
  }

  /** What `count` parts do for one another: exchanges take less time, and more memory. */
  async #sharing(light, count) {
    if (!this.#held || count === 1) return kAlone;
    const bytes = await this.#workers[0].call("part_memory", {light, count, sharing: kExchanges});
    return count * bytes <= kMostBytes ? kExchanges : kMaps;
  }

  async #open(part, light) {
    if (part.id !== undefined) return;
    const {width} = this.#source, {worker, ...plan} = part, pixels = this.#source.rows(part.from, part.to);
    part.id = await worker.call("open_part", {width, light, part: plan, pixels}, {transfer: [pixels.buffer]});
  }

  /** The own maps of a part that shares work. */
  async #decompose(part, light, on_progress) {
    if (part.complete || part.maps) return;
    await this.#open(part, light);
    const rows = {first: part.first, end: part.end};
    part.maps = await part.worker.call("decompose_part", {part: part.id, light, rows}, {on_progress});
  }

  /** Gives each part the rows of the others' maps that it needs. */
  async #exchange_maps(light) {
    const [, , , , left, right] = light, w = right - left, sent = [];
    for (const to of this.#parts) {
      for (const from of this.#parts) {
        const first = Math.max(from.first, to.maps_first), end = Math.min(from.end, to.maps_end);
        if (from === to || first >= end) continue;
        const plane = (from.end - from.first) * w, maps = new Float32Array(4 * (end - first) * w);
        for (let i = 0; i < 4; ++i) {
          const at = i * plane + (first - from.first) * w;
          maps.set(from.maps.subarray(at, at + (end - first) * w), i * (end - first) * w);
        }
        sent.push(to.worker.call("put_maps", {part: to.id, light, rows: {first, end}, maps}, {transfer: [maps.buffer]}));
      }
    }
    await Promise.all(sent);
    for (const part of this.#parts) {
      part.complete = true;
      delete part.maps;
    }
  }

  /** Restores all parts, to the end: what a slider changes needs none of it again. */
  async #restore(on_progress) {
    const parts = this.#parts, call = (part, name, args, options) =>
      part.worker.call(name, {part: part.id, ...args}, options);
    for (const part of parts) part.restored = false;
    const exchanges = await Promise.all(parts.map((part) => call(part, "restore_part")));
    const count = exchanges[0]?.length ?? -1;
    for (let i = 0; i <= count; ++i) {
      const given = [];
      await Promise.all(parts.map(async (from, at) => {
        const to = [], spans = [], {made_first, made_end, floats} = exchanges[at][i] ?? {};
        for (let other = 0; i < count && other < parts.length; ++other) {
          const {needed_first, needed_end} = exchanges[other][i];
          const first = Math.max(made_first, needed_first), end = Math.min(made_end, needed_end);
          if (other === at || first >= end) continue;
          to.push(parts[other]);
          spans.push({first, end});
        }
        const rows = await call(from, "exchange_part", {spans, floats});
        rows.forEach((rows, k) => given.push({to: to[k], span: spans[k], rows}));
      }));
      // Only when all parts have made their own rows: put_rows is valid only at an exchange.
      await Promise.all(given.map(({to, span, rows}) => call(to, "put_rows", {span, rows}, {transfer: [rows.buffer]})));
      on_progress((i + 1) / (count + 1));
    }
    for (const part of parts) part.restored = true;
  }

  async #run(part, light, options, {on_rows, on_progress}) {
    const {width} = this.#source, {denoise = 1, strength = 1} = options;
    await this.#open(part, light);
    const size = 4 * width * (part.end - part.first);
    const pixels = await part.worker.call("run_part", {part: part.id, light, options: {denoise, strength}, size},
                                          {on_progress});
    if (!this.#held) await this.#close(part);
    on_rows?.(part.first, part.end, pixels);
  }

  async #close(part) {
    if (part.id !== undefined) await part.worker.call("close_part", {part: part.id});
    for (const name of ["id", "worker", "maps", "complete", "restored"]) delete part[name];
  }
}
