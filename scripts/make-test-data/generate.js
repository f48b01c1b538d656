// Write each model of a list (models.js, models_quant.js) and its inputs and outputs: generate.js FOLDER LIST.
// The oracle is ONNX Runtime, its graph optimisations off, one thread.
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');
const { Model, npy } = require('./onnx.js');
const models = require(`./${process.argv[3]}.js`);

// A generator for each model, seeded by its name, so that adding one changes no other (mulberry32; FNV-1a).
// Multiples of 2^-16 in [0, 1): exact in float32.
function randomFor(name) {
  let s = 2166136261;
  for (const c of name) s = Math.imul(s ^ c.charCodeAt(0), 16777619) >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) >>> 16) / 65536;
  };
}

const options = { graphOptimizationLevel: 'disabled', executionMode: 'sequential', intraOpNumThreads: 1, interOpNumThreads: 1 };

async function run(session, g, batch, range) {
  const feeds = {}, inputs = [];
  for (const { name, shape } of g.inputs) {
    const dims = shape.map((d) => (d === 'N' ? batch : d));
    const n = dims.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: n }, () => (2 * g.random() - 1) * range);
    feeds[name] = new ort.Tensor('float32', data, dims);
    inputs.push({ dims, data });
  }
  const result = await session.run(feeds);
  return { inputs, outputs: g.outputs.map((o) => result[o.name]) };
}

async function make(name, { build, opset, packed }, dir) {
  const g = new Model(name, opset, randomFor(name));
  g.packed = packed;
  for (const out of [build(g)].flat()) g.output(out, null);
  const symbolic = g.inputs.some((i) => i.shape.includes('N'));

  // The outputs' shapes are declared as exporters do: from a first run.
  let session = await ort.InferenceSession.create(g.encode(), options);
  const probe = await run(session, g, 1, 1);
  g.outputs.forEach((o, i) => {
    o.shape = [...probe.outputs[i].dims];
    if (symbolic) o.shape[0] = 'N';
  });
  const file = g.encode();
  fs.writeFileSync(path.join(dir, `${name}.onnx`), file);
  session = await ort.InferenceSession.create(file, options);

  const sets = [[1, 1], [1, 3]];
  if (symbolic) sets.push([3, 2]);
  for (const [k, [batch, range]] of sets.entries()) {
    const { inputs, outputs } = await run(session, g, batch, range);
    inputs.forEach((t, i) => fs.writeFileSync(path.join(dir, `${name}.${k}.in${i}.npy`), npy(t.dims, t.data)));
    outputs.forEach((t, i) => {
      const wrong = t.type !== 'float32' || !t.data.every(Number.isFinite) || t.data.every((x) => x === t.data[0]) && t.data.length > 2;
      if (wrong) throw new Error(`${name}: output ${i} says nothing`);
      fs.writeFileSync(path.join(dir, `${name}.${k}.out${i}.npy`), npy(t.dims, t.data));
    });
  }
}

async function main() {
  const dir = process.argv[2];
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  for (const [name, spec] of Object.entries(models)) {
    try {
      await make(name, spec, dir);
    } catch (e) {
      throw new Error(`${name}: ${e.message}`);
    }
  }
  console.log(`${Object.keys(models).length} models, onnxruntime-node ${ort.env.versions.node}`);
}

main().catch((e) => {
  console.error(e.message);
  process.exit(1);
});
