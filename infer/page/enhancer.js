// Divides the work on pictures among workers, one for each processor. Memory is not shared between them, which would need
// special headers from the server: each has the model, and gets the rows that its parts of a picture depend on. The parts
// have the bits of the whole.

/** Pixels of a picture up to which its parts stay with the workers, so that a change of a slider needs little. */
const kMostHeld = 4e6;
/** Pixels of a part of a larger picture: enough that the rows that neighbours share cost little, few enough for memory. */
const kPartPixels = 2.5e6;
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

  /** @param source {width, height, rows(from, to)}: rows gives RGBA pixels, a Uint8ClampedArray of its own each time */
  constructor(enhancer, source) {
    this.#enhancer = enhancer;
    this.#source = source;
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
      const done = new Map();
      const progress = (part, share) => {
        done.set(part, share);
        on_progress([...done.values()].reduce((sum, one) => sum + one, 0) / this.#parts.length);
      };
      const left = [...this.#parts];
      const ends = await Promise.allSettled(this.#enhancer.workers.map(async (worker) => {
        for (;;) {
          signal?.throwIfAborted();
          // A part that a worker has already, else one that none has.
          let next = left.findIndex((part) => part.worker === worker);
          if (next < 0) next = left.findIndex((part) => !part.worker);
          if (next < 0) return;
          const [part] = left.splice(next, 1);
          part.worker = worker;
          await this.#run(part, light, options, {on_rows, on_progress: (share) => progress(part, share)});
          progress(part, 1);
        }
      }));
      const failed = ends.find(({status}) => status === "rejected");
      if (failed) throw failed.reason;
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

  get #held() { return this.#source.width * this.#source.height <= kMostHeld; }

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
    const workers = this.#enhancer.workers.length, [, , top, bottom, left, right] = light;
    const most = Math.max(1, Math.floor((bottom - top) / kLeastRows));
    const wanted = this.#held ? workers
                              : workers * Math.ceil((bottom - top) * (right - left) / kPartPixels / workers);
    this.#parts = await this.#enhancer.workers[0].call("plan", {light, count: Math.min(most, wanted)});
  }

  async #run(part, light, options, {on_rows, on_progress}) {
    const {width} = this.#source, {denoise = 1, strength = 1} = options;
    if (part.id === undefined) {
      const pixels = this.#source.rows(part.from, part.to);
      part.id = await part.worker.call("open_part", {width, light, part: {...part, worker: undefined}, pixels},
                                       {transfer: [pixels.buffer]});
    }
    const size = 4 * width * (part.end - part.first);
    const pixels = await part.worker.call("run_part", {part: part.id, light, options: {denoise, strength}, size},
                                          {on_progress});
    if (!this.#held) await this.#close(part);
    on_rows?.(part.first, part.end, pixels);
  }

  async #close(part) {
    if (part.id !== undefined) await part.worker.call("close_part", {part: part.id});
    delete part.id;
    delete part.worker;
  }
}
