// A worker: one Engine that does what the page asks for, one call after the other.
import {Engine} from "./engine.js";

let engine;
let answered;  // the call at hand, for its progress

const calls = {
  async open({module, model}) {
    engine = await Engine.open(module, model, (done) => postMessage({id: answered, progress: done}));
  },
  picture({width, height}) { engine.picture(width, height); },
  piece({pixels}) { engine.piece(pixels); },
  measure() { engine.measure(); },
  choose(options) { return engine.choose(options); },
  plan({light, count, sharing}) { return engine.plan(light, count, sharing); },
  part_memory({light, count, sharing}) { return engine.part_memory(light, count, sharing); },
  open_part({width, light, part, pixels}) { return engine.open_part(width, light, part, pixels); },
  decompose_part({part, light, rows}) { return engine.decompose_part(part, light, rows); },
  put_maps({part, light, rows, maps}) { engine.put_maps(part, light, rows, maps); },
  restore_part({part}) { return engine.restore_part(part); },
  exchange_part({part, spans, floats}) { return engine.exchange_part(part, spans, floats); },
  put_rows({part, span, rows}) { engine.put_rows(part, span, rows); },
  run_part({part, light, options, size}) { return engine.run_part(part, light, options, size); },
  close_part({part}) { engine.close_part(part); },
  memory() { return engine.memory; },
};

// Calls wait for those before them: opening takes a while.
let before = Promise.resolve();
onmessage = ({data: {id, call, args}}) => {
  before = before.then(async () => {
    answered = id;
    try {
      const result = await calls[call](args ?? {});
      postMessage({id, result}, [result].flat().filter(ArrayBuffer.isView).map(({buffer}) => buffer));
    } catch (error) {
      postMessage({id, error: String(error?.message ?? error)});
    }
  });
};
