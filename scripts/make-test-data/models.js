// The test models: one function each, which builds the graph and returns its output or outputs.
// Each is as small as its point allows. Keys name the file; `opset` and `packed` stand beside the function.
'use strict';
const { FLOAT, INT64 } = require('./onnx.js');

const LAST = '9223372036854775807'; // "to the end", as exporters write it
const FIRST = '-9223372036854775807'; // "down to the first", with a negative step

const bias = (g, n) => g.weights([n], -0.5, 0.5);
// He-like range, so that values neither die nor explode.
function filter(g, shape) {
  const fanIn = shape.slice(1).reduce((a, b) => a * b, 1);
  return g.weights(shape, -Math.sqrt(3 / fanIn), Math.sqrt(3 / fanIn));
}
function conv(g, x, out, perGroup, k, attributes = {}, withBias = true) {
  const kernel = Array.isArray(k) ? k : [k, k];
  const inputs = [x, filter(g, [out, perGroup, ...kernel])];
  if (withBias) inputs.push(bias(g, out));
  return g.node('Conv', inputs, { kernel_shape: kernel, ...attributes });
}
function batchNorm(g, x, n, epsilon = 1e-5) {
  return g.node('BatchNormalization', [x, g.weights([n], 0.5, 1.5), bias(g, n), bias(g, n), g.weights([n], 0.2, 2)],
    { epsilon: { float: epsilon } });
}
const relu = (g, x) => g.node('Relu', [x]);
function dense(g, x, n, k) { return g.node('Gemm', [x, filter(g, [n, k]), bias(g, n)], { transB: 1 }); }

// F.pad of channels as torch exports it: the pad list is computed from [w0, w1, h0, h1, c0, c1].
function torchPadChannels(g, x, before, after) {
  const given = g.constantNode([0, 0, 0, 0, before, after], [6]);
  const rest = g.node('ConstantOfShape', [g.constantNode([2], [1])], { value: { tensor: { data: [0], shape: [1], type: INT64 } } });
  const pairs = g.node('Reshape', [g.node('Concat', [given, rest], { axis: 0 }), g.constantNode([-1, 2], [2])]);
  const reversed = g.node('Slice', [pairs, g.ints([-1]), g.ints([FIRST]), g.ints([0]), g.ints([-1])]);
  const flat = g.node('Reshape', [g.node('Transpose', [reversed], { perm: [1, 0] }), g.constantNode([-1], [1])]);
  return g.node('Pad', [x, g.node('Cast', [flat], { to: INT64 }), g.constantNode([0], [], FLOAT)], { mode: 'constant' });
}
// x[:, :, ::2, ::2] as torch exports it: one Slice for each axis.
function torchStride2(g, x) {
  for (const axis of [2, 3]) x = g.node('Slice', [x, g.ints([0]), g.ints([LAST]), g.ints([axis]), g.ints([2])]);
  return x;
}
// x.view(x.size(0), -1) as torch exports it.
function torchFlatten(g, x) {
  const n = g.node('Gather', [g.node('Shape', [x]), g.constantNode([0], [])], { axis: 0 });
  const shape = g.node('Concat', [g.node('Unsqueeze', [n, g.ints([0])]), g.ints([-1])], { axis: 0 });
  return g.node('Reshape', [x, shape]);
}

const models = {};
function model(name, build, options = {}) { models[name] = { build, opset: 13, packed: false, ...options }; }

// ---- convolutions
model('conv_basic', (g) => conv(g, g.input([1, 3, 9, 8]), 4, 3, 3, { pads: [1, 1, 1, 1] }));
model('conv_1x1', (g) => conv(g, g.input([1, 5, 4, 6]), 7, 5, 1), { packed: true });
model('conv_stride_pads', (g) => conv(g, g.input([1, 3, 10, 9]), 5, 3, [3, 2], { strides: [2, 1], pads: [1, 0, 2, 1] }, false));
model('conv_same_upper', (g) => conv(g, g.input([1, 2, 9, 10]), 3, 2, 3, { auto_pad: 'SAME_UPPER', strides: [2, 2] }));
model('conv_same_lower', (g) => conv(g, g.input([1, 2, 9, 10]), 3, 2, [2, 3], { auto_pad: 'SAME_LOWER', strides: [2, 2] }));
model('conv_valid', (g) => conv(g, g.input([1, 2, 7, 7]), 3, 2, 3, { auto_pad: 'VALID', strides: [2, 1] }));
model('conv_dilated', (g) => conv(g, g.input([1, 2, 11, 12]), 3, 2, 3, { dilations: [2, 3], pads: [2, 3, 2, 3] }));
model('conv_group', (g) => conv(g, g.input([1, 6, 6, 6]), 4, 3, 3, { group: 2, pads: [1, 1, 1, 1] }));
model('conv_depthwise', (g) => conv(g, g.input([1, 6, 7, 6]), 6, 1, 3, { group: 6, pads: [1, 1, 1, 1], strides: [2, 2] }));
model('conv_depthwise_multiplier', (g) => conv(g, g.input([1, 4, 6, 7]), 8, 1, 3, { group: 4, pads: [0, 1, 1, 0] }));
model('conv_batch_symbolic', (g) => conv(g, g.input(['N', 3, 6, 6]), 4, 3, 3, { pads: [1, 1, 1, 1] }));

// ---- matrix products
model('gemm', (g) => g.node('Gemm', [g.input([2, 6]), filter(g, [6, 4]), bias(g, 4)]));
model('gemm_transb', (g) => dense(g, g.input(['N', 6]), 4, 6));
model('gemm_transa', (g) => g.node('Gemm', [g.input([6, 2]), filter(g, [6, 4]), bias(g, 4)], { transA: 1 }));
model('gemm_alpha_beta', (g) => g.node('Gemm', [g.input([2, 6]), filter(g, [4, 6]), g.weights([2, 4])],
  { transB: 1, alpha: { float: 0.5 }, beta: { float: -1.5 } }), { packed: true });
model('gemm_no_bias', (g) => g.node('Gemm', [g.input([1, 6]), filter(g, [6, 4])]), { opset: 11 });
model('matmul_bias', (g) => g.node('Add', [g.node('MatMul', [g.input(['N', 6]), filter(g, [6, 4])]), bias(g, 4)]));
model('matmul_batched', (g) => g.node('MatMul', [g.input([2, 3, 5]), filter(g, [5, 4])]));
model('matmul_two_inputs', (g) => g.node('MatMul', [g.input([3, 5]), g.input([5, 2])]));

// ---- normalisation, activations, arithmetic
model('batchnorm', (g) => batchNorm(g, g.input([1, 4, 5, 3]), 4, 1e-3));
model('batchnorm_2d', (g) => batchNorm(g, g.input(['N', 5]), 5), { opset: 9 });
model('relu', (g) => relu(g, g.input([2, 3, 4])));
model('clip_inputs', (g) => g.node('Clip', [g.input([1, 3, 4, 4]), g.scalar(-0.25), g.scalar(0.75)]));
model('clip_max_only', (g) => g.node('Clip', [g.input([1, 12]), '', g.scalar(0.5)]), { opset: 11 });
model('clip_attributes', (g) => g.node('Clip', [g.input([1, 3, 4, 4])], { min: { float: 0 }, max: { float: 0.6 } }), { opset: 6 });
model('sigmoid', (g) => g.node('Sigmoid', [g.input([2, 9])]));
model('tanh', (g) => g.node('Tanh', [g.input([2, 9])]));
model('leakyrelu', (g) => g.node('LeakyRelu', [g.input([2, 9])], { alpha: { float: 0.2 } }));
model('leakyrelu_default', (g) => g.node('LeakyRelu', [g.input([2, 9])]));
model('softmax_last', (g) => g.node('Softmax', [g.input([2, 3, 5])]));
model('softmax_axis1', (g) => g.node('Softmax', [g.input([2, 3, 5])], { axis: 1 }));
model('softmax_flattening', (g) => g.node('Softmax', [g.input([2, 3, 5])], { axis: 1 }), { opset: 11 });
model('add_channel', (g) => g.node('Add', [g.input([1, 3, 4, 5]), g.weights([3, 1, 1])]));
model('mul_scalar', (g) => g.node('Mul', [g.input([1, 3, 4, 5]), g.scalar(-1.75)]));
model('sub_constant_first', (g) => g.node('Sub', [g.weights([4, 1]), g.input([2, 1, 5])]));
model('div_row', (g) => g.node('Div', [g.input([2, 3, 5]), g.weights([5], 0.5, 2)]));
model('add_two_inputs', (g) => g.node('Add', [g.input([2, 3, 1, 5]), g.input([3, 4, 1])]));
model('mul_two_inputs', (g) => g.node('Mul', [g.input([1, 6, 4, 4]), g.input([1, 6, 1, 1])]));

// ---- pooling and reductions
const pool = (kernel, more = {}) => ({ kernel_shape: kernel, ...more });
model('maxpool', (g) => g.node('MaxPool', [g.input([1, 3, 8, 7])], pool([2, 3], { strides: [2, 2] })));
model('maxpool_pads', (g) => g.node('MaxPool', [g.input([1, 2, 7, 7])], pool([3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })));
model('maxpool_ceil', (g) => g.node('MaxPool', [g.input([1, 2, 8, 8])], pool([3, 3], { strides: [2, 2], ceil_mode: 1 })));
model('maxpool_same_upper', (g) => g.node('MaxPool', [g.input([1, 2, 7, 8])], pool([2, 2], { strides: [2, 2], auto_pad: 'SAME_UPPER' })));
model('avgpool', (g) => g.node('AveragePool', [g.input([1, 3, 6, 8])], pool([2, 4], { strides: [2, 4] })));
model('avgpool_pad_excluded', (g) => g.node('AveragePool', [g.input([1, 2, 6, 7])], pool([3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })));
model('avgpool_pad_included', (g) => g.node('AveragePool', [g.input([1, 2, 6, 7])],
  pool([3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 })));
model('globalavgpool', (g) => g.node('GlobalAveragePool', [g.input(['N', 4, 5, 6])]));
model('reducemean', (g) => g.node('ReduceMean', [g.input(['N', 4, 5, 6])], { axes: [2, 3], keepdims: 0 }));
model('reducemean_keepdims', (g) => g.node('ReduceMean', [g.input([2, 4, 5])], { axes: [-1], keepdims: 1 }));
model('reducemean_all', (g) => g.node('ReduceMean', [g.input([2, 4, 5])], { keepdims: 1 }));

// ---- shapes and movement
model('flatten', (g) => g.node('Flatten', [g.input(['N', 3, 2, 4])]));
model('flatten_axis2', (g) => g.node('Flatten', [g.input([2, 3, 2, 4])], { axis: 2 }));
model('reshape_zero_minus_one', (g) => g.node('Reshape', [g.input([2, 3, 4, 5]), g.ints([0, -1, 5])]));
model('reshape_symbolic', (g) => g.node('Reshape', [g.input(['N', 3, 4]), g.ints([-1, 12])]));
model('transpose', (g) => g.node('Transpose', [g.input([2, 3, 4, 5])], { perm: [0, 2, 3, 1] }));
model('transpose_default', (g) => g.node('Transpose', [g.input([2, 3, 4])]));
model('concat_channels', (g) => {
  const x = g.input([1, 3, 4, 4]);
  return g.node('Concat', [x, relu(g, x), g.weights([1, 2, 4, 4])], { axis: 1 });
});
model('concat_last', (g) => g.node('Concat', [g.input([2, 3, 2]), g.input([2, 3, 5])], { axis: -1 }));
model('pad', (g) => g.node('Pad', [g.input([1, 2, 3, 4]), g.ints([0, 1, 2, 0, 0, 0, 1, 3]), g.scalar(0.5)]));
model('pad_default_value', (g) => g.node('Pad', [g.input([1, 2, 3, 4]), g.ints([0, 0, 1, 1, 0, 0, 1, 1])]), { opset: 11 });
model('pad_attributes', (g) => g.node('Pad', [g.input([1, 2, 3, 4])],
  { mode: 'constant', pads: [0, 0, 1, 0, 0, 2, 0, 1], value: { float: -1.25 } }), { opset: 10 });
model('slice', (g) => g.node('Slice', [g.input([2, 6, 7]), g.ints([1, 0]), g.ints([-1, LAST]), g.ints([1, 2]), g.ints([2, 3])]));
model('slice_negative_steps', (g) => g.node('Slice',
  [g.input([2, 6, 7]), g.ints([-1, 5]), g.ints([FIRST, 0]), g.ints([1, -1]), g.ints([-1, -2])]));
model('slice_attributes', (g) => g.node('Slice', [g.input([2, 6, 7])], { axes: [0, 2], starts: [1, -4], ends: [2, 100] }), { opset: 9 });
model('gather', (g) => g.node('Gather', [g.input([2, 5, 3]), g.ints([4, 0, -1, 2], [2, 2])], { axis: 1 }));
model('gather_scalar', (g) => g.node('Gather', [g.input([2, 5, 3]), g.ints([1], [])], { axis: 2 }));
model('squeeze_attribute', (g) => g.node('Squeeze', [g.input([1, 3, 1, 4])], { axes: [0, -2] }), { opset: 11 });
model('squeeze_input', (g) => g.node('Squeeze', [g.input([1, 3, 1, 4]), g.ints([2])]));
model('squeeze_all', (g) => g.node('Squeeze', [g.input([1, 3, 1, 4])]));
model('unsqueeze_attribute', (g) => g.node('Unsqueeze', [g.input([3, 4])], { axes: [0, 3] }), { opset: 11 });
model('unsqueeze_input', (g) => g.node('Unsqueeze', [g.input([3, 4]), g.ints([1, -1])]));
model('identity_dropout', (g) => g.node('Dropout', [g.node('Identity', [g.input([2, 7])])], { ratio: { float: 0.4 } }), { opset: 10 });
model('dropout_input', (g) => relu(g, g.node('Dropout', [g.input([2, 7]), g.scalar(0.4)])));
model('two_outputs', (g) => {
  const x = g.input(['N', 2, 4, 4]);
  const y = conv(g, x, 3, 2, 3);
  return [relu(g, y), g.node('GlobalAveragePool', [y])];
});

// ---- constant chains, as torch writes them
model('chain_flatten', (g) => dense(g, torchFlatten(g, g.input(['N', 3, 2, 2])), 4, 12));
model('chain_pad', (g) => torchPadChannels(g, g.input([1, 2, 3, 4]), 1, 2));
model('chain_stride_pad', (g) => torchPadChannels(g, torchStride2(g, g.input(['N', 4, 6, 5])), 2, 2));
model('chain_constant_of_shape', (g) => {
  const x = g.input([2, 3, 4]);
  const ones = g.node('ConstantOfShape', [g.node('Shape', [x])], { value: { tensor: { data: [1], shape: [1], type: FLOAT } } });
  const rank = g.node('Cast', [g.node('Shape', [g.node('Shape', [x])])], { to: FLOAT });
  return g.node('Sub', [g.node('Mul', [x, rank]), ones]);
});

// ---- nets
function residualBlock(g, x, from, to) {
  const stride = from === to ? 1 : 2;
  const attributes = { pads: [1, 1, 1, 1], strides: [stride, stride] };
  let y = relu(g, batchNorm(g, conv(g, x, to, from, 3, attributes, false), to));
  y = batchNorm(g, conv(g, y, to, to, 3, { pads: [1, 1, 1, 1], strides: [1, 1] }, false), to);
  const more = (to - from) / 2;
  const shortcut = from === to ? x : torchPadChannels(g, torchStride2(g, x), more, more);
  return relu(g, g.node('Add', [y, shortcut]));
}
model('net_residual', (g) => {
  let x = g.input(['N', 3, 16, 16]);
  x = relu(g, batchNorm(g, conv(g, x, 8, 3, 3, { pads: [1, 1, 1, 1] }, false), 8));
  x = residualBlock(g, x, 8, 8);
  x = residualBlock(g, x, 8, 16);
  x = residualBlock(g, x, 16, 24);
  x = g.node('AveragePool', [x], { kernel_shape: [4, 4], strides: [4, 4] });
  return dense(g, torchFlatten(g, x), 10, 24);
});
model('net_depthwise', (g) => {
  let x = g.input([1, 1, 20, 10]);
  const relu6 = (v) => g.node('Clip', [v, g.scalar(0), g.scalar(6)]);
  x = relu6(batchNorm(g, conv(g, x, 8, 1, [5, 3], { pads: [2, 1, 2, 1], strides: [2, 2] }, false), 8));
  for (const [from, to, stride] of [[8, 12, 1], [12, 16, 2]]) {
    x = relu6(batchNorm(g, conv(g, x, from, 1, 3, { group: from, pads: [1, 1, 1, 1], strides: [stride, stride] }, false), from));
    x = relu6(batchNorm(g, conv(g, x, to, from, 1, {}, false), to));
  }
  x = g.node('Flatten', [g.node('GlobalAveragePool', [x])]);
  return g.node('Softmax', [dense(g, x, 6, 16)]);
});
// As tf2onnx writes a Keras net: NHWC at the boundary, SAME padding, and a Reshape after a Transpose back to NHWC.
model('net_tf_nhwc', (g) => {
  let x = g.node('Transpose', [g.input([1, 12, 12, 3])], { perm: [0, 3, 1, 2] });
  x = relu(g, conv(g, x, 8, 3, 3, { auto_pad: 'SAME_UPPER', strides: [2, 2] }));
  x = relu(g, batchNorm(g, conv(g, x, 8, 1, 3, { group: 8, auto_pad: 'SAME_UPPER', strides: [1, 1] }), 8, 1e-3));
  x = g.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  x = g.node('Transpose', [x], { perm: [0, 2, 3, 1] });
  x = g.node('Reshape', [x, g.ints([-1, 72])]);
  x = g.node('Add', [g.node('MatMul', [x, g.weights([72, 5], -0.2, 0.2)]), bias(g, 5)]);
  return g.node('Softmax', [x], { axis: 1 });
}, { opset: 11 });
model('net_autoencoder', (g) => {
  let x = g.input(['N', 20]), width = 20;
  for (const next of [16, 4, 16]) {
    x = relu(g, batchNorm(g, dense(g, x, next, width), next, 1e-3));
    width = next;
  }
  return dense(g, x, 20, width);
});

module.exports = models;
