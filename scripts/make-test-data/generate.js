// Write each model of a list (models.js, models_quant.js, models_ops.js) and its inputs and outputs: generate.js FOLDER LIST.
// The oracle is ONNX Runtime, its graph optimisations off, one thread.
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');
const { Model, npy, typeOf, FLOAT, BOOL } = require('./onnx.js');
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

// An input's values: see Model.input. Floats of { low, high } are in [low, high).
function fill(g, n, type, { low, high, step, list }, range) {
  const { array } = typeOf(type), whole = type !== FLOAT, wrap = array === BigInt64Array ? BigInt : Number;
  if (type === BOOL) [low, high] = [0, 1];
  return array.from({ length: n }, (_, i) => {
    if (list) return wrap(list[i % list.length]);
    const r = g.random();
    if (low === undefined) return (2 * r - 1) * range;
    if (step) return low + step * Math.floor(r * ((high - low) / step + 1));
    return wrap(whole ? low + Math.floor(r * (high - low + 1)) : low + r * (high - low));
  });
}

async function run(session, g, batch, range) {
  const feeds = {}, inputs = [];
  for (const { name, shape, type, values } of g.inputs) {
    const dims = shape.map((d) => (d === 'N' ? batch : d));
    const n = dims.reduce((a, b) => a * b, 1);
    const data = fill(g, n, type, values, range);
    feeds[name] = new ort.Tensor(typeOf(type).name, data, dims);
    inputs.push({ dims, data, type });
  }
  const result = await session.run(feeds);
  return { inputs, outputs: g.outputs.map((o) => result[o.name]) };
}

function saysNothing(t) {
  const finite = [...t.data].every((x) => typeof x === 'bigint' || Number.isFinite(x));
  return !finite || (t.data.length > 2 && t.data.every((x) => x === t.data[0]));
}

async function make(name, { build, opset, packed, ranges = [1, 3] }, dir) {
  const g = new Model(name, opset, randomFor(name));
  g.packed = packed;
  for (const out of [build(g)].flat()) g.output(out);
  const symbolic = g.inputs.some((i) => i.shape.includes('N'));

  // The outputs' shapes are declared as exporters do: from a first run.
  let session = await ort.InferenceSession.create(g.encode(), options);
  const probe = await run(session, g, 1, 1);
  g.outputs.forEach((o, i) => {
    o.type = typeOf(probe.outputs[i].type).type;
    o.shape = [...probe.outputs[i].dims];
    if (symbolic) o.shape[0] = 'N';
  });
  const file = g.encode();
  fs.writeFileSync(path.join(dir, `${name}.onnx`), file);
  session = await ort.InferenceSession.create(file, options);

  const sets = ranges.map((range) => [1, range]);
  if (symbolic) sets.push([3, 2]);
  for (const [k, [batch, range]] of sets.entries()) {
    const { inputs, outputs } = await run(session, g, batch, range);
    inputs.forEach((t, i) => fs.writeFileSync(path.join(dir, `${name}.${k}.in${i}.npy`), npy(t.dims, t.data, t.type)));
    outputs.forEach((t, i) => {
      if (saysNothing(t)) throw new Error(`output ${i} says nothing`);
      fs.writeFileSync(path.join(dir, `${name}.${k}.out${i}.npy`), npy(t.dims, t.data, typeOf(t.type).type));
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
