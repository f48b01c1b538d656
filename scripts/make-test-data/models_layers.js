// Models of windows in one to three dimensions, resizing, padding, normalization, recurrent layers, bodies and the forms of
// quantization whose codes are inputs or outputs of the model. Several forms of an operator share a model, an output each.
'use strict';
const { FLOAT, UINT8, INT8, INT16, INT32, INT64 } = require('./onnx.js');

const models = {};
const model = (name, opset, build, more = {}) => { models[name] = { build, opset, packed: false, ranges: [2], ...more }; };
const f = (x) => ({ float: x });
const bias = (g, n) => g.weights([n], -0.5, 0.5);
const positive = (g, n) => g.weights([n], 0.5, 1.5);
// Range 1 / sqrt of what is summed.
function filter(g, shape, sum = shape.slice(1).reduce((a, b) => a * b, 1)) { return g.weights(shape, -1.7 / Math.sqrt(sum), 1.7 / Math.sqrt(sum)); }
const forms = (g, op, x, list) => list.map((attributes) => g.node(op, [x], attributes));

// ---- convolutions
model('conv_1d', 11, (g) => {
  const x = g.input([2, 4, 12]);
  return [g.node('Conv', [x, filter(g, [3, 4, 3]), bias(g, 3)], { kernel_shape: [3], pads: [1, 1], strides: [2] }),
    g.node('Conv', [x, filter(g, [4, 1, 5])], { group: 4, dilations: [2] }), g.node('Conv', [x, filter(g, [6, 2, 2]), bias(g, 6)], { group: 2, auto_pad: 'SAME_UPPER' })];
});
model('conv_3d', 11, (g) => {
  const x = g.input([1, 2, 5, 6, 4]);
  return [g.node('Conv', [x, filter(g, [3, 2, 3, 2, 2]), bias(g, 3)], { pads: [1, 0, 1, 1, 1, 0], strides: [2, 1, 1] }),
    g.node('Conv', [x, filter(g, [2, 1, 2, 3, 1])], { group: 2, dilations: [2, 1, 1] }), g.node('Conv', [x, filter(g, [2, 2, 2, 2, 2])], { auto_pad: 'SAME_LOWER', strides: [1, 2, 1] })];
});
model('conv_weights_computed', 11, (g) => g.node('Conv', [g.input([1, 2, 5, 5]), g.input([3, 2, 3, 3]), g.input([3])], { pads: [1, 1, 1, 1] }));
const transposed = (g, x, shape, attributes, withBias = true) =>
  g.node('ConvTranspose', [x, filter(g, shape, shape[0]), ...(withBias ? [bias(g, shape[1] * (attributes.group || 1))] : [])], attributes);
model('conv_transpose', 11, (g) => {
  const x = g.input([1, 4, 4, 5]);
  return [transposed(g, x, [4, 3, 3, 3], {}), transposed(g, x, [4, 3, 2, 2], { strides: [2, 2] }, false),
    transposed(g, x, [4, 2, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }), transposed(g, x, [4, 1, 3, 3], { group: 4, strides: [2, 1] }),
    transposed(g, x, [4, 3, 3, 2], { group: 2, dilations: [2, 1], pads: [0, 1, 1, 0] }), transposed(g, x, [4, 2, 3, 3], { strides: [2, 2], auto_pad: 'SAME_UPPER' }),
    transposed(g, x, [4, 2, 3, 3], { strides: [3, 2], output_shape: [11, 10] })];
});
model('conv_transpose_1d', 11, (g) => {
  const x = g.input([2, 4, 7]);
  return [transposed(g, x, [4, 3, 4], { strides: [2], pads: [1, 1] }), transposed(g, x, [4, 2, 3], { strides: [3], output_padding: [1], group: 2 }), transposed(g, x, [4, 2, 4], { strides: [2], auto_pad: 'SAME_LOWER' })];
});
model('conv_transpose_3d', 11, (g) => {
  const x = g.input([1, 2, 3, 3, 2]);
  return [transposed(g, x, [2, 2, 2, 3, 2], { strides: [2, 1, 2] }), transposed(g, x, [2, 1, 3, 2, 2], { pads: [1, 0, 1, 1, 0, 0], group: 2 }, false)];
});
model('col2im', 18, (g) => [g.node('Col2Im', [g.input([1, 8, 12]), g.ints([4, 5]), g.ints([2, 2])]),
  g.node('Col2Im', [g.input([2, 12, 4]), g.ints([5, 4]), g.ints([3, 2])], { pads: [1, 0, 1, 0], strides: [3, 2] })]);

// ---- pools
model('max_pool_forms', 12, (g) => {
  const x = g.input([1, 2, 9, 8]);
  return [...forms(g, 'MaxPool', x, [{ kernel_shape: [2, 3], dilations: [2, 1] }, { kernel_shape: [3, 3], strides: [3, 2], ceil_mode: 1, pads: [1, 1, 1, 1] }, { kernel_shape: [3, 2], strides: [2, 2], auto_pad: 'SAME_LOWER' }]),
    ...g.nodeOf('MaxPool', 2, [x], { kernel_shape: [2, 2], strides: [2, 2] }), g.node('GlobalMaxPool', [x])];
});
model('max_pool_dimensions', 12, (g) => [...forms(g, 'MaxPool', g.input([2, 3, 9]), [{ kernel_shape: [3], strides: [2] }, { kernel_shape: [2], pads: [1, 0], dilations: [3] }]),
  ...forms(g, 'MaxPool', g.input([1, 2, 4, 5, 6]), [{ kernel_shape: [2, 2, 3], strides: [2, 1, 2] }, { kernel_shape: [2, 3, 2], pads: [1, 1, 0, 0, 1, 1] }])]);
model('max_pool_codes', 12, (g) => forms(g, 'MaxPool', g.input([1, 2, 6, 6], { type: UINT8, low: 0, high: 255 }), [{ kernel_shape: [2, 2], strides: [2, 2] }, { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] }]));
model('max_unpool', 11, (g) => {
  const both = (x, attributes) => g.node('MaxUnpool', g.nodeOf('MaxPool', 2, [x], attributes), attributes);
  return [both(g.input([1, 2, 4, 6]), { kernel_shape: [2, 2], strides: [2, 2] }), both(g.input([2, 1, 4, 6]), { kernel_shape: [1, 3], strides: [1, 3] })];
});
model('average_pool_dimensions', 19, (g) => [...forms(g, 'AveragePool', g.input([2, 3, 9]), [{ kernel_shape: [3], strides: [2] }, { kernel_shape: [3], pads: [1, 1], count_include_pad: 1 }, { kernel_shape: [2], dilations: [3] }]),
  ...forms(g, 'AveragePool', g.input([1, 2, 4, 5, 6]), [{ kernel_shape: [2, 2, 3], strides: [2, 1, 2] }, { kernel_shape: [2, 3, 2], pads: [1, 1, 0, 0, 1, 1] }])]);
model('average_pool_forms', 19, (g) => forms(g, 'AveragePool', g.input([1, 2, 8, 8]), [{ kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, { kernel_shape: [3, 3], strides: [3, 3], ceil_mode: 1, pads: [1, 1, 1, 1], count_include_pad: 1 },
  { kernel_shape: [3, 2], auto_pad: 'SAME_UPPER', strides: [2, 2] }, { kernel_shape: [2, 2], dilations: [2, 3], pads: [1, 1, 1, 1] }]));
model('lp_pool', 18, (g) => {
  const x = g.input([1, 2, 7, 8]);
  return [...forms(g, 'LpPool', x, [{ kernel_shape: [3, 2], strides: [2, 2] }, { kernel_shape: [2, 2], p: 1, pads: [1, 1, 1, 1] }, { kernel_shape: [2, 2], p: 3, auto_pad: 'SAME_UPPER' }]),
    ...forms(g, 'GlobalLpPool', x, [{}, { p: 1 }]), g.node('LpPool', [g.input([1, 2, 9])], { kernel_shape: [3] })];
});

// ---- resizing and padding
const resize = (g, x, { scales, sizes, roi }, attributes) => g.node('Resize', [x, roi ? g.constant(roi, [roi.length]) : '', scales ? g.constant(scales, [scales.length]) : '', ...(sizes ? [g.ints(sizes)] : [])], attributes);
model('resize_nearest', 13, (g) => {
  const x = g.input([1, 2, 4, 5]), up = { scales: [1, 1, 2, 2.6] };
  return [...[['asymmetric', 'floor'], ['half_pixel', 'round_prefer_floor'], ['half_pixel', 'round_prefer_ceil'], ['align_corners', 'ceil'], ['pytorch_half_pixel', 'floor']]
    .map(([c, n]) => resize(g, x, up, { mode: 'nearest', coordinate_transformation_mode: c, nearest_mode: n })),
  resize(g, x, { sizes: [1, 2, 7, 3] }, { mode: 'nearest' }), resize(g, x, { scales: [1, 1, 0.5, 0.6] }, { mode: 'nearest' })];
});
const modes = ['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'];
model('resize_linear', 13, (g) => {
  const x = g.input([1, 2, 4, 5]);
  return [...modes.map((m) => resize(g, x, { scales: [1, 1, 2, 1.6] }, { mode: 'linear', coordinate_transformation_mode: m })), resize(g, x, { sizes: [1, 2, 3, 9] }, { mode: 'linear' }),
    resize(g, x, { scales: [1, 1, 0.75, 1.2], roi: [0, 0, 0.2, 0.3, 1, 1, 0.7, 1.1] }, { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize', extrapolation_value: f(0.5) })];
});
model('resize_cubic', 13, (g) => {
  const x = g.input([1, 2, 5, 5]);
  return [...modes.slice(0, 3).map((m) => resize(g, x, { scales: [1, 1, 2, 1.6] }, { mode: 'cubic', coordinate_transformation_mode: m })),
    resize(g, x, { sizes: [1, 2, 4, 8] }, { mode: 'cubic', cubic_coeff_a: f(-0.5), exclude_outside: 1 })];
});
model('resize_dimensions', 13, (g) => [resize(g, g.input([2, 3, 5]), { scales: [1, 1, 2] }, { mode: 'linear' }), resize(g, g.input([1, 1, 3, 4, 2]), { scales: [1, 1, 2, 1, 2] }, { mode: 'nearest' })]);
model('resize_antialias', 18, (g) => {
  const x = g.input([1, 2, 8, 9]);
  return ['linear', 'cubic'].map((mode) => resize(g, x, { scales: [1, 1, 0.5, 0.6] }, { mode, antialias: 1 }));
});
model('resize_axes', 18, (g) => {
  const x = g.input([1, 2, 4, 6]);
  return [resize(g, x, { sizes: [8, 7] }, { mode: 'linear', axes: [2, 3] }), resize(g, x, { sizes: [7, 8] }, { mode: 'nearest', axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' }),
    resize(g, x, { sizes: [6, 7] }, { mode: 'linear', axes: [2, 3], keep_aspect_ratio_policy: 'not_smaller' })];
});
model('resize_10', 10, (g) => ['nearest', 'linear'].map((mode) => g.node('Resize', [g.input([1, 2, 3, 4]), g.constant([1, 1, 2, 1.5], [4])], { mode })));
model('upsample', 9, (g) => ['nearest', 'linear'].map((mode) => g.node('Upsample', [g.input([1, 2, 3, 4]), g.constant([1, 1, 2, 3], [4])], { mode })));
model('upsample_attribute', 7, (g) => g.node('Upsample', [g.input([1, 2, 3, 4])], { mode: 'nearest', scales: { floats: [1, 1, 2, 2] } }));
model('pad_modes', 19, (g) => {
  const x = g.input([1, 2, 5, 6]), pads = g.ints([0, 0, 2, 1, 0, 0, 1, 3]);
  return [...['reflect', 'edge', 'wrap', 'constant'].map((mode) => g.node('Pad', [x, pads], { mode })), g.node('Pad', [x, g.ints([0, 0, -1, 2, 0, 0, 1, -2])]),
    g.node('Pad', [x, g.ints([2, 1, 0, 1]), g.constant([1.5], []), g.ints([3, 2])])];
});
model('pad_reflect_attributes', 10, (g) => g.node('Pad', [g.input([1, 2, 4, 5])], { mode: 'reflect', pads: [0, 0, 1, 2, 0, 0, 3, 1] }));
model('center_crop_pad', 18, (g) => {
  const x = g.input([5, 6, 3]);
  return [g.node('CenterCropPad', [x, g.ints([8, 3, 3])]), g.node('CenterCropPad', [x, g.ints([4, 7])], { axes: [0, 1] })];
});

// ---- normalization
model('layer_normalization', 17, (g) => {
  const x = g.input([2, 3, 8]);
  return [g.node('LayerNormalization', [x, positive(g, 8), bias(g, 8)]), g.node('LayerNormalization', [x, g.weights([3, 8], 0.5, 1.5)], { axis: 1, epsilon: f(1e-3) }),
    ...g.nodeOf('LayerNormalization', 3, [x, positive(g, 8), bias(g, 8)], { axis: -1 })];
});
model('instance_normalization', 13, (g) => [g.node('InstanceNormalization', [g.input([2, 3, 4, 5]), positive(g, 3), bias(g, 3)]), g.node('InstanceNormalization', [g.input([2, 3, 7]), positive(g, 3), bias(g, 3)], { epsilon: f(1e-2) })]);
model('group_normalization', 21, (g) => g.node('GroupNormalization', [g.input([2, 6, 3, 4]), positive(g, 6), bias(g, 6)], { num_groups: 2 }));
model('rms_normalization', 23, (g) => {
  const x = g.input([2, 3, 8]);
  return [g.node('RMSNormalization', [x, positive(g, 8)]), g.node('RMSNormalization', [x, g.weights([3, 8], 0.5, 1.5)], { axis: 1, epsilon: f(1e-3) })];
});
model('lp_normalization', 13, (g) => {
  const x = g.input([2, 3, 4]);
  return [g.node('LpNormalization', [x]), g.node('LpNormalization', [x], { p: 1, axis: 1 }), g.node('MeanVarianceNormalization', [g.input([2, 3, 4, 5])]), g.node('MeanVarianceNormalization', [x], { axes: [1, 2] })];
});
model('lrn', 13, (g) => {
  const x = g.input([1, 7, 3, 4]);
  return [g.node('LRN', [x], { size: 3 }), g.node('LRN', [x], { size: 5, alpha: f(0.2), beta: f(0.5), bias: f(2) })];
});
model('batch_normalization_1d', 15, (g) => g.node('BatchNormalization', [g.input([2, 4, 6]), positive(g, 4), bias(g, 4), bias(g, 4), positive(g, 4)]));

// ---- recurrent layers: x [sequence, batch, in]
const gates = { LSTM: 4, GRU: 3, RNN: 1 };
function recurrent(g, op, x, attributes, { inits = 0, peepholes = false, lens = '' } = {}) {
  const [t, batch, n] = [5, 2, 3], h = 4, d = attributes.direction === 'bidirectional' ? 2 : 1, rows = gates[op] * h;
  const w = g.weights([d, rows, n], -0.6, 0.6), r = g.weights([d, rows, h], -0.5, 0.5), b = g.weights([d, 2 * rows], -0.3, 0.3);
  const states = Array.from({ length: inits }, () => g.weights([d, batch, h]));
  const inputs = [x, w, r, b, lens, ...states];
  if (peepholes) inputs.push(...(inits === 0 ? ['', ''] : []), g.weights([d, 3 * h], -0.4, 0.4));
  while (inputs[inputs.length - 1] === '') inputs.pop();
  return g.nodeOf(op, op === 'LSTM' ? 3 : 2, inputs, { hidden_size: h, ...attributes });
}
const sequence = (g) => g.input([5, 2, 3]);
model('lstm', 14, (g) => {
  const x = sequence(g);
  return [...recurrent(g, 'LSTM', x, {}), ...recurrent(g, 'LSTM', x, { direction: 'reverse' }, { inits: 2 })];
});
model('lstm_bidirectional', 14, (g) => recurrent(g, 'LSTM', sequence(g), { direction: 'bidirectional' }, { inits: 2 }));
model('lstm_peepholes', 7, (g) => recurrent(g, 'LSTM', sequence(g), {}, { peepholes: true }));
model('lstm_forms', 14, (g) => {
  const x = sequence(g);
  return [recurrent(g, 'LSTM', x, { activations: { strings: ['HardSigmoid', 'Softsign', 'Relu'] } })[0], recurrent(g, 'LSTM', x, { clip: f(0.3) })[0],
    ...recurrent(g, 'LSTM', x, {}, { lens: g.constant([3, 5], [2], INT32) })];
});
model('gru', 14, (g) => {
  const x = sequence(g);
  return [...recurrent(g, 'GRU', x, {}), ...recurrent(g, 'GRU', x, { linear_before_reset: 1 }, { inits: 1 }), recurrent(g, 'GRU', x, { direction: 'reverse', linear_before_reset: 1 })[0]];
});
model('gru_bidirectional', 14, (g) => [...recurrent(g, 'GRU', sequence(g), { direction: 'bidirectional', linear_before_reset: 1 }, { inits: 1 })]);
model('rnn', 14, (g) => {
  const x = sequence(g);
  return [...recurrent(g, 'RNN', x, {}), ...recurrent(g, 'RNN', x, { direction: 'bidirectional', activations: { strings: ['Relu', 'Tanh'] } }, { inits: 1 })];
});

// ---- bodies, whose conditions and counts are constants
model('if', 13, (g) => {
  const x = g.input([3, 4]);
  const branch = (op) => g.body((b) => [[b.node(op, [x, b.constant([0.5], [1])]), FLOAT, [3, 4]]]);
  const first = g.node('Less', [g.node('Gather', [g.node('Shape', [x]), g.ints([0], [])]), g.ints([4], [])]);
  return g.node('If', [first], { then_branch: branch('Mul'), else_branch: branch('Sub') });
});
model('loop', 13, (g) => {
  const x = g.input([4]);
  const body = g.body((b) => {
    b.input([], { type: INT64 });
    const go = b.input([], { type: 9 }), v = b.input([4]);
    const next = b.node('Add', [b.node('Mul', [v, b.constant([0.5], [1])]), x]);
    return [[b.node('Identity', [go]), 9, []], [next, FLOAT, [4]], [b.node('Relu', [next]), FLOAT, [4]]];
  });
  return g.nodeOf('Loop', 2, [g.ints([3], []), '', x], { body });
});
model('scan', 11, (g) => {
  const body = g.body((b) => {
    const state = b.input([2]), x = b.input([2]);
    const next = b.node('Add', [state, x]);
    return [[next, FLOAT, [2]], [b.node('Tanh', [next]), FLOAT, [2]]];
  });
  return g.nodeOf('Scan', 2, [g.input([2]), g.input([4, 2])], { body, num_scan_inputs: 1 });
});

// ---- codes at the model's boundary
const number = (g, x, type = FLOAT) => g.constant([x], [], type);
model('quant_linear', 13, (g) => {
  const x = g.input([3, 8]), s = number(g, 0.0157);
  return [g.node('QuantizeLinear', [x, s, number(g, 121, UINT8)]), g.node('QuantizeLinear', [x, s, number(g, -7, INT8)]), g.node('QuantizeLinear', [x, s]),
    g.node('QuantizeLinear', [x, g.constant([0.01, 0.02, 0.05], [3]), g.constant([0, 5, -9], [3], INT8)], { axis: 0 })];
});
model('quant_dequantize', 13, (g) => {
  const u = g.input([3, 5], { type: UINT8, low: 0, high: 255 }), s = g.input([3, 5], { type: INT8, low: -128, high: 127 });
  return [g.node('DequantizeLinear', [u, number(g, 0.02), number(g, 100, UINT8)]), g.node('DequantizeLinear', [s, g.constant([0.01, 0.02, 0.05], [3]), g.constant([0, 5, -9], [3], INT8)], { axis: 0 }),
    g.node('DequantizeLinear', [g.input([3, 5], { type: INT32, low: -9999, high: 9999 }), number(g, 0.001)]), g.node('DequantizeLinear', [s, number(g, 0.5)])];
});
model('quant_late', 21, (g) => {
  const x = g.input([2, 8]), scales = g.constant([0.01, 0.02, 0.05, 0.03], [2, 2]);
  return [g.node('QuantizeLinear', [x, number(g, 0.0001), number(g, 0, INT16)]), g.node('QuantizeLinear', [x, scales, g.constant([0, 3, -5, 8], [2, 2], INT8)], { axis: 1, block_size: 4 }),
    g.node('DequantizeLinear', [g.input([2, 8], { type: INT8, low: -128, high: 127 }), scales, g.constant([0, 3, -5, 8], [2, 2], INT8)], { axis: 1, block_size: 4 })];
});
const random = (g, n, low, high) => Array.from({ length: n }, () => low + Math.floor(g.random() * (high - low + 1)));
const codes = (g, shape, type, [low, high] = type === UINT8 ? [0, 255] : [-128, 127]) => g.constant(random(g, shape.reduce((a, b) => a * b, 1), low, high), shape, type);
model('quant_integer_products', 13, (g) => {
  const a = g.input([3, 6], { type: UINT8, low: 0, high: 255 }), b = g.input([1, 2, 5, 5], { type: UINT8, low: 0, high: 255 });
  return [g.node('MatMulInteger', [a, codes(g, [6, 4], INT8), number(g, 120, UINT8)]), g.node('MatMulInteger', [a, codes(g, [6, 4], UINT8)]),
    g.node('ConvInteger', [b, codes(g, [3, 2, 3, 3], UINT8), number(g, 128, UINT8), number(g, 120, UINT8)], { pads: [1, 1, 1, 1], strides: [2, 2] })];
});
model('quant_dynamic', 13, (g) => {
  const d = g.dynamic(g.input([3, 7]));
  return [d.codes, d.scale, d.zero];
});
model('quant_qlinear', 13, (g) => {
  const a = g.input([1, 2, 5, 5], { type: UINT8, low: 0, high: 255 }), b = g.input([3, 6], { type: INT8, low: -128, high: 127 });
  const q = (x, s, z, type) => [x, number(g, s), number(g, z, type)];
  return [g.node('QLinearConv', [...q(a, 0.02, 128, UINT8), ...q(codes(g, [4, 2, 3, 3], UINT8), 0.004, 125, UINT8), number(g, 0.03), number(g, 120, UINT8), g.constant(random(g, 4, -3000, 3000), [4], INT32)], { pads: [1, 1, 1, 1] }),
    g.node('QLinearMatMul', [...q(b, 0.02, 3, INT8), ...q(codes(g, [6, 4], INT8), 0.01, 0, INT8), number(g, 0.05), number(g, -4, INT8)])];
});

module.exports = models;
