/* ONNX Runtime beside our code, for bench/cpu.c: reads commands on standard input, answers each by one line.
 *
 *   node cpu_onnxruntime.js FOLDER     FOLDER/node_modules holds onnxruntime-node
 *
 *   load MODEL     a session of one thread, and one of an identity model with this model's input, which shows what the
 *                  call from node costs; answers "ok VERSION"
 *   run N          N inferences; answers their microseconds
 *   call N         N runs of the identity model, the same
 */
'use strict';
const path = require('path');
const ort = require(path.join(process.argv[2], 'node_modules', 'onnxruntime-node'));
const version = ort.env.versions.node;

/* -- as much of ONNX's wire format as an identity model takes -- */

const TYPES = {float32: [1, Float32Array], uint8: [2, Uint8Array], int8: [3, Int8Array], int32: [6, Int32Array]};

function varint(n) {
  const bytes = [];
  for (; n > 127; n = Math.floor(n / 128)) bytes.push((n & 127) | 128);
  return Buffer.from([...bytes, n]);
}
const number = (field, n) => Buffer.concat([varint(field * 8), varint(n)]);
function message(field, ...parts) {
  const body = Buffer.concat(parts.map((p) => Buffer.from(p)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}
function tensorOf(name, type, shape) {
  const dims = shape.map((d) => message(1, number(1, d)));
  return [message(1, name), message(2, message(1, number(1, type), message(2, ...dims)))];
}
function identity(type, shape) {
  return Buffer.concat([
    number(1, 8), message(8, number(2, 13)),
    message(7, message(1, message(1, 'x'), message(2, 'y'), message(4, 'Identity')), message(2, 'g'),
      message(11, ...tensorOf('x', type, shape)), message(12, ...tensorOf('y', type, shape)))]);
}

/* -- sessions -- */

const options = {intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
  logSeverityLevel: 3};
ort.env.logLevel = 'error';
let model, call;

function feedsOf(inputs) {
  const feeds = {};
  for (const i of inputs) {
    const shape = i.shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1));
    const data = new TYPES[i.type][1](shape.reduce((a, b) => a * b, 1));
    for (let k = 0; k < data.length; k++) data[k] = i.type === 'float32' ? (k * 7919 % 1000) / 1000 : k * 7919 % 100;
    feeds[i.name] = new ort.Tensor(i.type, data, shape);
  }
  return feeds;
}

async function load(file) {
  const session = await ort.InferenceSession.create(file, options);
  model = {session, feeds: feedsOf(session.inputMetadata)};
  const first = Object.values(model.feeds)[0];
  const same = await ort.InferenceSession.create(identity(TYPES[first.type][0], first.dims), options);
  call = {session: same, feeds: {x: first}};
}

async function time({session, feeds}, n) {
  const took = [];
  for (let i = 0; i < n; i++) {
    const begin = performance.now();
    await session.run(feeds);
    took.push(((performance.now() - begin) * 1e3).toFixed(3));
  }
  return took.join(' ');
}

async function main() {
  for await (const line of require('readline').createInterface({input: process.stdin})) {
    const [command, argument] = [line.split(' ')[0], line.slice(line.indexOf(' ') + 1)];
    try {
      if (command === 'load') await load(argument);
      console.log(command === 'load' ? `ok ${version}` : await time(command === 'run' ? model : call, +argument));
    } catch (e) {
      console.log(`error ${String(e.message).split('\n')[0]}`);
    }
  }
}
main();
