// A writer of ONNX files and .npy files, as small as the test models need: a graph builder over hand-written protobuf.
// Field numbers are those of onnx.proto (IR version 8).
'use strict';

const FLOAT = 1, UINT8 = 2, INT8 = 3, INT16 = 5, INT32 = 6, INT64 = 7, BOOL = 9, FLOAT16 = 10, UINT32 = 12;

// Types of a model's inputs and outputs: ONNX's number, the oracle's name, numpy's, the array.
const types = [
  { type: FLOAT, name: 'float32', descr: '<f4', array: Float32Array }, { type: UINT8, name: 'uint8', descr: '|u1', array: Uint8Array },
  { type: INT8, name: 'int8', descr: '|i1', array: Int8Array }, { type: INT32, name: 'int32', descr: '<i4', array: Int32Array },
  { type: INT64, name: 'int64', descr: '<i8', array: BigInt64Array }, { type: BOOL, name: 'bool', descr: '|b1', array: Uint8Array },
  { type: INT16, name: 'int16', descr: '<i2', array: Int16Array },
];
const typeOf = (key) => types.find((t) => t.type === key || t.name === key);

// ---- protobuf wire format
function varint(n) {
  let v = BigInt.asUintN(64, BigInt(n));
  const out = [];
  do {
    out.push(Number(v & 127n) | (v > 127n ? 128 : 0));
    v >>= 7n;
  } while (v > 0n);
  return Buffer.from(out);
}
const int = (field, n) => Buffer.concat([varint(field * 8), varint(n)]);
const bytes = (field, b) => Buffer.concat([varint(field * 8 + 2), varint(b.length), b]);
const text = (field, s) => bytes(field, Buffer.from(s));
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));
function float(field, x) {
  const b = Buffer.alloc(4);
  b.writeFloatLE(x);
  return Buffer.concat([varint(field * 8 + 5), b]);
}

// A tensor is { shape, data, type }: data a Float32Array or an array of integers.
function rawData(t) {
  if (t.type === INT8 || t.type === UINT8 || t.type === BOOL) return Buffer.from(Uint8Array.from(t.data, (x) => x & 255).buffer);
  if (t.type === FLOAT) return Buffer.from(Float32Array.from(t.data).buffer);
  if (t.type === INT16) return Buffer.from(Int16Array.from(t.data).buffer);
  if (t.type === UINT32) return Buffer.from(Uint32Array.from(t.data).buffer);
  return Buffer.from((t.type === INT32 ? Int32Array.from(t.data) : BigInt64Array.from(t.data, BigInt)).buffer);
}

// PACKED: data in float_data or int64_data, as some exporters write it, rather than in raw_data.
function tensorFields(t, name, packed) {
  const dims = t.shape.map((d) => int(1, d));
  const head = [...dims, int(2, t.type)];
  const label = name ? [text(8, name)] : [];
  if (!packed) return [...head, ...label, bytes(9, rawData(t))];
  const body = t.type === FLOAT ? bytes(4, rawData(t)) : bytes(7, Buffer.concat(Array.from(t.data, varint)));
  return [...head, body, ...label];
}

function attribute(name, v) {
  const head = [text(1, name)];
  if (typeof v === 'string') return message(5, ...head, text(4, v), int(20, 3));
  if (v && v.float !== undefined) return message(5, ...head, float(2, v.float), int(20, 1));
  if (v && v.floats) return message(5, ...head, ...v.floats.map((f) => float(7, f)), int(20, 6));
  if (v && v.strings) return message(5, ...head, ...v.strings.map((t) => text(9, t)), int(20, 8));
  if (v && v.graph) return message(5, ...head, bytes(6, v.graph.graph()), int(20, 5));
  if (v && v.tensor) return message(5, ...head, message(5, ...tensorFields(v.tensor, '', false)), int(20, 4));
  if (Array.isArray(v)) return message(5, ...head, ...v.map((i) => int(8, i)), int(20, 7));
  return message(5, ...head, int(3, v), int(20, 2));
}

// Without a type: the oracle infers it.
function valueInfo(field, name, type, shape) {
  if (!type) return message(field, text(1, name));
  const dims = shape && shape.map((d) => message(1, typeof d === 'string' ? text(2, d) : int(1, d)));
  const shapeProto = shape ? [message(2, ...dims)] : [];
  return message(field, text(1, name), message(2, message(1, int(1, type), ...shapeProto)));
}

// ---- graph builder: methods return the name of the value they make
class Model {
  constructor(name, opset, random) {
    Object.assign(this, { name, opset, random, packed: false });
    Object.assign(this, { nodes: [], initializers: [], inputs: [], outputs: [] });
    this.count = 0;
  }

  // Values: floats in the set's range; { type, low, high } others, integers both included; { step } multiples of it; { list } these, in turn.
  input(shape, values = {}) {
    const name = values.name || `input${this.inputs.length || ''}`;
    this.inputs.push({ name, shape, type: values.type || FLOAT, values });
    return name;
  }

  constant(data, shape, type = FLOAT, name = `c${this.count++}`) {
    this.initializers.push({ name, tensor: { data, shape, type } });
    return name;
  }
  ints(list, shape = [list.length]) { return this.constant(list, shape, INT64); }
  scalar(x) { return this.constant([x], []); }
  // Uniform weights in [low, high].
  weights(shape, low = -1, high = 1) {
    const n = shape.reduce((a, b) => a * b, 1);
    return this.constant(Float32Array.from({ length: n }, () => low + (high - low) * this.random()), shape);
  }

  // A Constant node rather than an initializer.
  constantNode(data, shape, type = INT64) { return this.node('Constant', [], { value: { tensor: { data, shape, type } } }); }

  // "QLinearAdd@com.microsoft": of another domain than the standard one.
  node(name, inputs, attributes = {}) {
    const [op, domain] = name.split('@');
    const out = `${op.toLowerCase()}_${this.nodes.length}`;
    if (domain) this.domain = domain;
    this.nodes.push({ op, inputs, out, attributes, domain });
    return out;
  }

  // A node of `n` outputs, all of them.
  nodeOf(name, n, inputs, attributes = {}) {
    const first = this.node(name, inputs, attributes), last = this.nodes[this.nodes.length - 1];
    last.more = Array.from({ length: n - 1 }, (_, i) => `${first}_${i + 1}`);
    return [first, ...last.more];
  }

  // The body of If, Loop, Scan: names of its own; build(body) returns its outputs, [name, type, shape] each.
  body(build) {
    const b = new Model(`${this.name}_body${this.bodies = (this.bodies || 0) + 1}`, this.opset, this.random), own = Model.prototype;
    b.count = 1000 * this.bodies;
    b.input = (shape, values) => own.input.call(b, shape, { name: `${b.name}_in${b.inputs.length}`, ...values });
    b.node = (...a) => {
      own.node.apply(b, a);
      const last = b.nodes[b.nodes.length - 1];
      last.out = `${b.name}_${last.out}`;
      return last.out;
    };
    for (const [name, type, shape] of build(b)) b.outputs.push({ name, type, shape });
    return { graph: b };
  }

  // DynamicQuantizeLinear's three outputs.
  dynamic(x) {
    const [codes, scale, zero] = ['codes', 'scale', 'zero'].map((k) => `dynamic_${this.nodes.length}_${k}`);
    this.nodes.push({ op: 'DynamicQuantizeLinear', inputs: [x], out: codes, more: [scale, zero], attributes: {} });
    return { codes, scale, zero };
  }

  output(name) { this.outputs.push({ name }); }

  graph() {
    const nodes = this.nodes.map((n) => message(1, ...n.inputs.map((i) => text(1, i)), text(2, n.out), ...(n.more || []).map((i) => text(2, i)), text(3, `${n.op}_${n.out}`),
      text(4, n.op), ...(n.domain ? [text(7, n.domain)] : []), ...Object.entries(n.attributes).map(([k, v]) => attribute(k, v))));
    const initializers = this.initializers.map((c) => message(5, ...tensorFields(c.tensor, c.name, this.packed)));
    const inputs = this.inputs.map((v) => valueInfo(11, v.name, v.type, v.shape));
    const outputs = this.outputs.map((v) => valueInfo(12, v.name, v.type, v.shape));
    return Buffer.concat([...nodes, text(2, this.name), ...initializers, ...inputs, ...outputs]);
  }

  encode() {
    const graph = bytes(7, this.graph());
    return Buffer.concat([int(1, 8), text(2, 'mistify test data'), graph, message(8, text(1, ''), int(2, this.opset)),
      ...(this.domain ? [message(8, text(1, this.domain), int(2, 1))] : [])]);
  }
}

// .npy, C order
function npy(shape, data, type = FLOAT) {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  let head = `{'descr': '${typeOf(type).descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const size = Buffer.alloc(2);
  size.writeUInt16LE(head.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), size, Buffer.from(head), rawData({ data, type })]);
}

module.exports = { Model, npy, typeOf, FLOAT, UINT8, INT8, INT16, INT32, INT64, BOOL, FLOAT16, UINT32 };
