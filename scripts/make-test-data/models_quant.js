// Quantized test models: operators between DequantizeLinear and QuantizeLinear, QLinear operators, integer products.
// Inputs and outputs are float32; the codes are inside. Ranges are guessed, so that some values saturate.
'use strict';
const { FLOAT, UINT8, INT8, INT32 } = require('./onnx.js');

const MS = '@com.microsoft';
const scale = (g, s) => g.constant(Array.isArray(s) ? s : [s], Array.isArray(s) ? [s.length] : [], FLOAT);
const zero = (g, z, type) => g.constant(Array.isArray(z) ? z : [z], Array.isArray(z) ? [z.length] : [], type);

// An activation's quantization: real values lo .. hi.
function affine(lo, hi, type) {
  const s = Math.fround((hi - lo) / 255);
  return { s, z: Math.round(-lo / s) - (type === INT8 ? 128 : 0), type };
}
const pair = (g, q) => [scale(g, q.s), zero(g, q.z, q.type)];
const quant = (g, x, q) => g.node('QuantizeLinear', [x, ...pair(g, q)]);
const dequant = (g, x, q) => g.node('DequantizeLinear', [x, ...pair(g, q)]);
const qdq = (g, x, q) => dequant(g, quant(g, x, q), q);
const input = (g, shape, q) => qdq(g, g.input(shape), q);

const random = (g, n, lo, hi) => Array.from({ length: n }, () => lo + Math.floor(g.random() * (hi - lo + 1)));
// Codes of weights with a scale for each of the first axis (or of `axis`), or one of all; { codes, s, z, type }.
function codes(g, shape, { channels = true, type = INT8, z = 0 } = {}) {
  const n = shape.reduce((a, b) => a * b, 1), fanIn = n / shape[0], top = Math.sqrt(3 / fanIn) / 127;
  const s = channels ? Array.from({ length: shape[0] }, () => Math.fround(top * (0.5 + g.random()))) : Math.fround(top);
  const data = type === INT8 ? random(g, n, -127, 127) : random(g, n, 0, 255);
  return { c: g.constant(data, shape, type), s, z: channels ? Array(shape[0]).fill(z) : z, type };
}
const weights = (g, w, attributes = {}) => g.node('DequantizeLinear', [w.c, ...pair(g, w)], attributes);
const biasCodes = (g, n) => g.constant(random(g, n, -3000, 3000), [n], INT32);
function bias(g, n, x, w) {
  const s = Array.isArray(w.s) ? w.s.map((v) => Math.fround(v * x.s)) : Math.fround(w.s * x.s);
  return g.node('DequantizeLinear', [biasCodes(g, n), scale(g, s)], Array.isArray(s) ? { axis: 0 } : {});
}

const models = {};
const model = (name, build, opset = 13) => { models[name] = { build, opset, packed: false }; };

for (const [name, type] of [['u8', UINT8], ['i8', INT8]]) {
  const x = affine(-3, 3, type), y = affine(-2, 2.5, type), pos = affine(0, 3, type);
  model(`qdq_conv_${name}`, (g) => {
    const w = codes(g, [6, 3, 3, 3]);
    const c = g.node('Conv', [input(g, ['N', 3, 8, 7], x), weights(g, w, { axis: 0 }), bias(g, 6, x, w)],
      { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 1] });
    return qdq(g, c, y);
  });
  model(`qdq_conv_relu_${name}`, (g) => {
    const w = codes(g, [4, 3, 1, 1], { channels: false });
    const c = g.node('Conv', [input(g, [1, 3, 6, 6], x), weights(g, w), bias(g, 4, x, w)], { kernel_shape: [1, 1] });
    return qdq(g, g.node('Relu', [c]), pos);
  });
  model(`qdq_depthwise_${name}`, (g) => {
    const w = codes(g, [6, 1, 3, 3]);
    const c = g.node('Conv', [input(g, [1, 6, 7, 7], x), weights(g, w, { axis: 0 })],
      { kernel_shape: [3, 3], pads: [1, 1, 1, 1], group: 6 });
    return qdq(g, g.node('Clip', [c, g.scalar(0), g.scalar(6)]), affine(0, 6, type));
  });
  model(`qdq_gemm_${name}`, (g) => {
    const w = codes(g, [5, 12]);
    return qdq(g, g.node('Gemm', [input(g, ['N', 12], x), weights(g, w, { axis: 0 }), bias(g, 5, x, w)], { transB: 1 }), y);
  });
  model(`qdq_add_${name}`, (g) => qdq(g, g.node('Add', [input(g, [1, 3, 5, 4], x), input(g, [1, 3, 5, 4], pos)]), y));
  model(`qdq_mul_${name}`, (g) => qdq(g, g.node('Mul', [input(g, [1, 3, 5, 4], x), input(g, [1, 3, 1, 1], pos)]), y));
  model(`qdq_concat_${name}`, (g) => qdq(g, g.node('Concat', [input(g, [1, 2, 5, 4], x), input(g, [1, 3, 5, 4], pos)], { axis: 1 }), y));
  model(`qdq_pools_${name}`, (g) => {
    const a = input(g, [1, 3, 8, 8], x);
    const m = qdq(g, g.node('MaxPool', [a], { kernel_shape: [2, 2], strides: [2, 2] }), x);
    const p = qdq(g, g.node('AveragePool', [m], { kernel_shape: [2, 2], strides: [2, 2] }), x);
    return [p, qdq(g, g.node('GlobalAveragePool', [m]), y)];
  });
  model(`qdq_net_${name}`, (g) => {
    const w = codes(g, [8, 3, 3, 3]), v = codes(g, [8, 8, 3, 3]), d = codes(g, [5, 8]);
    let a = g.node('Conv', [input(g, ['N', 3, 8, 8], x), weights(g, w, { axis: 0 }), bias(g, 8, x, w)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    a = qdq(g, g.node('Relu', [a]), pos);
    const b = qdq(g, g.node('Conv', [a, weights(g, v, { axis: 0 }), bias(g, 8, pos, v)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), y);
    let c = qdq(g, g.node('Relu', [g.node('Add', [a, b])]), pos);
    c = qdq(g, g.node('GlobalAveragePool', [c]), pos);
    c = g.node('Gemm', [g.node('Flatten', [c]), weights(g, d, { axis: 0 }), bias(g, 5, pos, d)], { transB: 1 });
    return g.node('Softmax', [qdq(g, c, y)]);
  });
}
{
  const x = affine(-3, 3, UINT8), y = affine(-2, 2.5, UINT8);
  model('qdq_functions', (g) => {
    const a = input(g, [2, 9], x);
    return [qdq(g, g.node('Sigmoid', [a]), affine(0, 1, UINT8)), qdq(g, g.node('Tanh', [a]), affine(-1, 1, UINT8)),
      qdq(g, g.node('LeakyRelu', [a], { alpha: { float: 0.2 } }), y), qdq(g, g.node('Softmax', [a]), affine(0, 1, UINT8))];
  });
  model('qdq_moves', (g) => {
    const a = input(g, [1, 4, 3, 6], x);
    const t = qdq(g, g.node('Transpose', [a], { perm: [0, 2, 3, 1] }), x);
    const r = qdq(g, g.node('Reshape', [t, g.ints([3, 24])]), x);
    return qdq(g, g.node('Slice', [r, g.ints([1, 2]), g.ints([3, 20]), g.ints([0, 1]), g.ints([1, 3])]), x);
  });
  model('qdq_matmul_computed', (g) => qdq(g, g.node('MatMul', [input(g, [2, 3, 5], x), input(g, [2, 5, 4], x)]), affine(-9, 9, UINT8)));
  model('qdq_float_between', (g) => qdq(g, g.node('Exp', [g.node('Neg', [input(g, [2, 9], x)])]), affine(0, 5, UINT8)));
  model('qlinear_conv_u8', (g) => {
    const w = codes(g, [4, 3, 3, 3], { channels: false, type: UINT8, z: 131 });
    const a = quant(g, g.input([1, 3, 6, 6]), x);
    return dequant(g, g.node('QLinearConv', [a, ...pair(g, x), w.c, ...pair(g, w), ...pair(g, y), biasCodes(g, 4)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), y);
  });
  model('qlinear_conv_channels', (g) => {
    const w = codes(g, [4, 1, 3, 3]);
    const a = quant(g, g.input([1, 4, 6, 6]), x);
    return dequant(g, g.node('QLinearConv', [a, ...pair(g, x), w.c, ...pair(g, w), ...pair(g, y), biasCodes(g, 4)], { kernel_shape: [3, 3], group: 4 }), y);
  });
  model('qlinear_matmul', (g) => {
    const w = codes(g, [12, 5], { channels: false });
    return dequant(g, g.node('QLinearMatMul', [quant(g, g.input(['N', 12]), x), ...pair(g, x), w.c, ...pair(g, w), ...pair(g, y)]), y);
  });
  model('qlinear_matmul_computed', (g) => {
    const a = quant(g, g.input([2, 3, 5]), x), b = quant(g, g.input([2, 5, 4]), x);
    return dequant(g, g.node('QLinearMatMul', [a, ...pair(g, x), b, ...pair(g, x), ...pair(g, y)]), y);
  });
  model('matmul_integer', (g) => {
    const w = codes(g, [12, 5], { channels: false });
    const s = g.node('MatMulInteger', [quant(g, g.input([3, 12]), x), w.c, zero(g, x.z, UINT8), zero(g, 3, INT8)]);
    return g.node('Cast', [s], { to: FLOAT });
  });
  model('conv_integer', (g) => {
    const w = codes(g, [4, 3, 3, 3], { channels: false });
    const s = g.node('ConvInteger', [quant(g, g.input([1, 3, 6, 6]), x), w.c, zero(g, x.z, UINT8)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    return g.node('Cast', [s], { to: FLOAT });
  });
  // As ONNX Runtime's quantizers write these.
  model('ms_add_mul', (g) => {
    const a = quant(g, g.input([1, 3, 5, 4]), x), b = quant(g, g.input([1, 3, 5, 4]), y);
    const s = g.node(`QLinearAdd${MS}`, [a, ...pair(g, x), b, ...pair(g, y), ...pair(g, x)]);
    return dequant(g, g.node(`QLinearMul${MS}`, [s, ...pair(g, x), b, ...pair(g, y), ...pair(g, y)]), y);
  });
  model('ms_pools', (g) => {
    const a = quant(g, g.input([1, 3, 6, 6]), x);
    const p = g.node(`QLinearAveragePool${MS}`, [a, ...pair(g, x), ...pair(g, x)], { kernel_shape: [2, 2], strides: [2, 2] });
    return dequant(g, g.node(`QLinearGlobalAveragePool${MS}`, [p, ...pair(g, x), ...pair(g, y)]), y);
  });
  model('ms_functions', (g) => {
    const a = quant(g, g.input([1, 3, 6, 6]), x), p = affine(0, 1, UINT8);
    const l = g.node(`QLinearLeakyRelu${MS}`, [a, ...pair(g, x), ...pair(g, y)], { alpha: { float: 0.1 } });
    const s = g.node(`QLinearSigmoid${MS}`, [a, ...pair(g, x), ...pair(g, p)]);
    return dequant(g, g.node(`QLinearConcat${MS}`, [...pair(g, y), l, ...pair(g, y), s, ...pair(g, p)], { axis: 1 }), y);
  });
}
{
  const x = affine(-3, 3, UINT8), y = affine(-2, 2.5, UINT8), p = affine(0, 1, UINT8);
  model('ms_gemm', (g) => {
    const a = quant(g, g.input([3, 12]), x), w = codes(g, [5, 12], { channels: false, type: UINT8, z: 126 });
    const one = g.node(`QGemm${MS}`, [a, ...pair(g, x), w.c, ...pair(g, w), biasCodes(g, 5), ...pair(g, y)], { transB: 1 });
    const v = codes(g, [12, 4], { channels: false });
    return [dequant(g, one, y), dequant(g, g.node(`QGemm${MS}`, [a, ...pair(g, x), v.c, ...pair(g, v), '', ...pair(g, y)]), y)];
  });
  model('ms_softmax', (g) => {
    const a = quant(g, g.input([2, 3, 5]), x);
    return dequant(g, g.node(`QLinearSoftmax${MS}`, [a, ...pair(g, x), ...pair(g, p)], { opset: 13 }), p);
  });
  model('ms_softmax_axis', (g) => {
    const a = quant(g, g.input([2, 3, 5]), x);
    return dequant(g, g.node(`QLinearSoftmax${MS}`, [a, ...pair(g, x), ...pair(g, p)], { opset: 13, axis: 1 }), p);
  });
  model('ms_quantize', (g) => {
    const a = g.node(`QuantizeLinear${MS}`, [g.input([3, 12]), ...pair(g, x)]);
    return g.node(`DequantizeLinear${MS}`, [a, ...pair(g, x)]);
  });
}
for (const [name, type] of [['u8', UINT8], ['i8', INT8]]) {
  const x = affine(-3, 3, type), y = affine(-2, 2.5, type), p = affine(0, 1, type);
  model(`qdq_means_${name}`, (g) => {
    const a = input(g, [2, 4, 5, 6], x);
    return [qdq(g, g.node('ReduceMean', [a], { axes: [2, 3], keepdims: 0 }), y), qdq(g, g.node('ReduceMean', [a], { axes: [-1] }), y)];
  });
  model(`qdq_probabilities_${name}`, (g) => {
    const a = input(g, [2, 12], x);
    return [qdq(g, g.node('Sigmoid', [a]), p), qdq(g, g.node('Softmax', [a]), p)];
  });
  model(`qdq_arithmetic_${name}`, (g) => {
    const a = input(g, [2, 3, 4], x), b = input(g, [3, 4], x);
    return [qdq(g, g.node('Sub', [a, b]), x), qdq(g, g.node('Max', [a, b]), x), qdq(g, g.node('Min', [a, b]), x)];
  });
  model(`qdq_conv_same_${name}`, (g) => {
    const w = codes(g, [4, 2, 3, 3], { channels: false });
    return qdq(g, g.node('Conv', [input(g, [1, 4, 7, 8], x), weights(g, w), bias(g, 4, x, w)], { auto_pad: 'SAME_UPPER', strides: [2, 2], group: 2 }), y);
  });
  model(`qdq_conv_1d_${name}`, (g) => {
    const w = codes(g, [4, 3, 3]);
    return qdq(g, g.node('Conv', [input(g, [1, 3, 12], x), weights(g, w, { axis: 0 }), bias(g, 4, x, w)], { pads: [1, 1], dilations: [2] }), y);
  });
  model(`qdq_matmul_${name}`, (g) => {
    const w = codes(g, [12, 5], { channels: false });
    return qdq(g, g.node('MatMul', [input(g, [3, 12], x), weights(g, w)]), affine(-6, 6, type));
  });
}
// Scales that are computed: what dynamic quantization makes of a layer.
model('dynamic_matmul', (g) => {
  const w = codes(g, [12, 5], { channels: false });
  const x = g.input([3, 12]);
  const d = g.dynamic(x);
  const s = g.node('Cast', [g.node('MatMulInteger', [d.codes, w.c, d.zero])], { to: FLOAT });
  return g.node('Mul', [s, g.node('Mul', [d.scale, scale(g, w.s)])]);
});
model('dynamic_conv', (g) => {
  const w = codes(g, [4, 3, 3, 3], { channels: false });
  const d = g.dynamic(g.input([1, 3, 6, 6]));
  const c = g.node('ConvInteger', [d.codes, w.c, d.zero], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  return g.node('Mul', [g.node('Cast', [c], { to: FLOAT }), d.scale]);
});

module.exports = models;
