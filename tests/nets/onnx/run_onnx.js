// node run_onnx.js MODEL FOLDER NAME=1,3,H,W ...: runs a model in ONNX Runtime. Each input is FOLDER/NAME, raw float32; each
// output is written to FOLDER/NAME.out. The package onnxruntime-node is looked for from $KIND_NODE_MODULES.
const fs = require('fs'), path = require('path'), {createRequire} = require('module');
const ort = createRequire(path.join(path.resolve(process.env.KIND_NODE_MODULES), 'x.js'))('onnxruntime-node');
const [model, folder, ...inputs] = process.argv.slice(2);
(async () => {
  const session = await ort.InferenceSession.create(model, {logSeverityLevel: 3});
  const feeds = {};
  for (const input of inputs) {
    const [name, shape] = input.split('=');
    const bytes = fs.readFileSync(path.join(folder, name));
    const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    feeds[name] = new ort.Tensor('float32', values, shape.split(',').map(Number));
  }
  const results = await session.run(feeds);
  for (const name in results) {
    const data = results[name].data;
    fs.writeFileSync(path.join(folder, name + '.out'), Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
  process.exit(0);
})().catch(error => { console.error(String(error)); process.exit(1); });
