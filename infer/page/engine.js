// The WebAssembly module (page.cpp) as a class. One instance computes in one thread; each worker has its own.

/** Functions of a system that the module may call, and that may fail: which processors there are, signals. */
const kAbsent = new Set(["sched_getaffinity", "sched_setaffinity", "sched_getcpu", "__sched_cpucount",
                         "__call_sighandler", "emscripten_notify_memory_growth"]);

/** What the module asks of a system. There is none: no files, no clock, no environment. */
function system_of(module) {
  const system = {};
  for (const {module: from, name, kind} of WebAssembly.Module.imports(module)) {
    if (kind !== "function") continue;
    system[from] ??= {};
    if (from.startsWith("wasi")) {
      system[from][name] = () => 52;  // ENOSYS
    } else if (kAbsent.has(name)) {
      system[from][name] = () => -1;
    } else if (from !== "page") {  // a source is missing in CMakeLists.txt
      throw new Error(`the module lacks the function ${name}`);
    }
  }
  return system;
}

/** What parts of a picture do for one another (Sharing in page.cpp). */
export const kAlone = 0, kMaps = 1, kExchanges = 2;

export class Engine {
  /**
   * @param module a compiled WebAssembly.Module
   * @param model the bytes of a model file
   * @param progress called with how much of a part is done, 0 to 1
   */
  static async open(module, model, progress = () => {}) {
    const engine = new Engine();
    const imports = system_of(module);
    imports.page.progress = progress;
    engine.calls = (await WebAssembly.instantiate(module, imports)).exports;
    engine.calls._initialize();
    const size = model.byteLength, place = engine.check(engine.calls.kind_take(size));
    engine.bytes(place, size).set(new Uint8Array(model));
    const opened = engine.calls.kind_open(place, size);
    engine.calls.kind_give(place);
    engine.check(opened);
    return engine;
  }

  /** Views of the module's memory, in which places from 2 GiB on are below 0. They end when it grows, with the next call. */
  bytes(place, count) { return new Uint8Array(this.calls.memory.buffer, place >>> 0, count); }
  numbers(place, count) { return new Float64Array(this.calls.memory.buffer, place >>> 0, count); }
  floats(place, count) { return new Float32Array(this.calls.memory.buffer, place >>> 0, count); }

  /** Throws the module's message where a call has failed. */
  check(result) {
    if (result) return result;
    const place = this.calls.kind_error() >>> 0, rest = this.calls.memory.buffer.byteLength - place;
    const text = this.bytes(place, Math.min(4096, rest)), end = text.indexOf(0);
    throw new Error(new TextDecoder().decode(text.slice(0, end < 0 ? text.length : end)));
  }

  /** Begins with a picture to measure; its rows of RGBA pixels follow in any number of pieces(). */
  picture(width, height) { this.at = this.check(this.calls.kind_picture(width, height)); }
  piece(pixels) {
    this.bytes(this.at, pixels.length).set(pixels);
    this.at += pixels.length;
  }
  /** Measures it: all that choose() needs of it. Its pixels are not needed any more. */
  measure() { this.check(this.calls.kind_measure()); }

  /**
   * Chooses the light of the picture measured last: the automatic one made brighter by `stops`, or a fixed ratio.
   * Returns numbers for run(). The first are the ratio, the strength, and the top, bottom, left and right of what is no
   * frame.
   */
  choose({stops = 0, ratio = 0, everywhere = false}) {
    const place = this.check(this.calls.kind_choose(stops, ratio, everywhere));
    return this.numbers(place, this.calls.kind_light_size()).slice();
  }

  /**
   * Divides the area of a light among `count` parts. Rows are the whole picture's: a part makes those from `first` to
   * `end` (not included) and needs those from `from` to `to`, and the maps' from `maps_first` to `maps_end`. Parts that
   * share work (kMaps) decompose their own rows only, and have to be given the rest of the maps; those that make
   * exchanges (kExchanges) also exchange rows inside restoration.
   */
  plan(light, count, sharing) {
    const [, , top, bottom, left, right] = light, height = bottom - top;
    count = Math.min(count, height);
    const place = this.check(this.calls.kind_plan(height, right - left, count, sharing));
    const numbers = this.numbers(place, 6 * count).map((row) => top + row), parts = [];
    for (let i = 0; i < 6 * count; i += 6) {
      const [first, end, from, to, maps_first, maps_end] = numbers.subarray(i, i + 6);
      parts.push({first, end, from, to, maps_first, maps_end, sharing});
    }
    return parts;
  }

  /** The bytes that one of so many parts of the area of a light takes, about. */
  part_memory(light, count, sharing) {
    const [, , top, bottom, left, right] = light, height = bottom - top;
    return this.check(this.calls.kind_part_memory(height, right - left, Math.ceil(height / count), sharing));
  }

  /** Opens a part of plan(), with the picture's rows from `from` to `to`. Returns its number. */
  open_part(width, light, part, pixels) {
    const [, , top, bottom, left, right] = light;
    const id = this.check(this.calls.kind_part(
        width, bottom - top, right - left, part.first - top, part.end - top, part.sharing));
    this.bytes(this.check(this.calls.kind_part_pixels(id)), pixels.length).set(pixels);
    return id;
  }

  /** Decomposes a part that shares work. Returns its own rows of the four maps, one map after the other. */
  decompose_part(id, light, {first, end}) {
    this.with_light(light, (place) => this.check(this.calls.kind_part_decompose(id, place)));
    const [, , , , left, right] = light, count = (end - first) * (right - left), maps = new Float32Array(4 * count);
    for (let i = 0; i < 4; ++i) maps.set(this.map_rows(id, light, i, first, end), i * count);
    return maps;
  }
  /** Gives a part that shares work rows of the maps that another part has made. */
  put_maps(id, light, {first, end}, maps) {
    const count = maps.length / 4;
    for (let i = 0; i < 4; ++i) {
      this.map_rows(id, light, i, first, end).set(maps.subarray(i * count, (i + 1) * count));
    }
  }
  map_rows(id, light, map, first, end) {
    const [, , top, , left, right] = light;
    const place = this.check(this.calls.kind_part_map_rows(id, map, first - top, end - top));
    return this.floats(place, (end - first) * (right - left));
  }

  /**
   * Begins restoration in a part that exchanges rows. Returns its exchanges: the rows that the part makes, those that it
   * needs, the numbers of a row. null without a restoration net.
   */
  restore_part(id) {
    const place = this.check(this.calls.kind_part_restore(id)) >>> 0, [count] = this.numbers(place, 1), exchanges = [];
    if (count < 0) return null;
    const numbers = this.numbers(place + 8, 5 * count);
    for (let i = 0; i < 5 * count; i += 5) {
      const [made_first, made_end, needed_first, needed_end, floats] = numbers.subarray(i, i + 5);
      exchanges.push({made_first, made_end, needed_first, needed_end, floats});
    }
    return exchanges;
  }
  /**
   * Restores up to the next exchange, or after the last one to the end. Returns a copy of the rows of each of `spans`,
   * {first, end}, with `floats` numbers each.
   */
  exchange_part(id, spans, floats) {
    this.check(this.calls.kind_part_exchange(id));
    return spans.map(({first, end}) => this.with_memory(4 * floats * (end - first), (place) => {
      this.check(this.calls.kind_part_get_rows(id, first, end, place));
      return this.floats(place, floats * (end - first)).slice();
    }));
  }
  /** Gives a part rows of the exchange at hand. */
  put_rows(id, {first, end}, rows) {
    this.with_memory(rows.byteLength, (place) => {
      this.floats(place, rows.length).set(rows);
      this.check(this.calls.kind_part_put_rows(id, first, end, place));
    });
  }

  /** Calls use(place) with so many bytes of the module's memory. */
  with_memory(bytes, use) {
    const place = this.check(this.calls.kind_take(bytes));
    try {
      return use(place);
    } finally {
      this.calls.kind_give(place);
    }
  }
  /** The same with the numbers of a light. */
  with_light(light, use) {
    return this.with_memory(8 * light.length, (place) => {
      this.numbers(place, light.length).set(light);
      return use(place);
    });
  }

  /** The part's rows of the result, `size` bytes of RGBA pixels. Only the nets run that something changed for. */
  run_part(id, light, {denoise = 1, strength = 1}, size) {
    const result = this.with_light(light, (place) => this.calls.kind_part_run(id, place, denoise, strength));
    return this.bytes(this.check(result), size).slice();
  }

  close_part(id) { this.calls.kind_part_close(id); }

  /** Bytes of memory that it has taken so far. */
  get memory() { return this.calls.memory.buffer.byteLength; }
}
