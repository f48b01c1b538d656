// Models of operators on elements, reductions, and those that move elements by constant or computed places. Small operators
// of one kind share a model, an output each.
'use strict';
const { FLOAT, UINT8, INT8, INT32, INT64, BOOL, FLOAT16 } = require('./onnx.js');

const models = {};
// One set of inputs, floats in [-2, 2), unless a model says otherwise.
const model = (name, opset, build, more = {}) => { models[name] = { build, opset, packed: false, ranges: [2], ...more }; };
// Operators of one input, each an output; [NAME, ATTRIBUTES] or NAME.
const each = (g, x, list) => list.map((op) => [op].flat()).map(([op, attributes]) => g.node(op, [x], attributes));
const pairs = (g, a, b, list) => list.map((op) => g.node(op, [a, b]));
const f = (x) => ({ float: x });
const between = (low, high, more = {}) => ({ low, high, ...more });
const steps = between(-4, 4, { step: 0.25 });

// ---- functions
model('unary_trig', 13, (g) => each(g, g.input([3, 17], between(-0.95, 0.95)), ['Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Atanh']));
model('unary_far', 13, (g) => each(g, g.input([3, 17], between(-30, 30)), ['Sin', 'Cos', 'Atan', 'Asinh', 'Tanh', 'Sigmoid', 'Erf']));
model('unary_hyperbolic', 13, (g) => each(g, g.input([2, 9]), ['Sinh', 'Cosh', 'Asinh']));
model('unary_positive', 13, (g) => each(g, g.input([3, 9], between(1, 6)), ['Acosh', 'Log', 'Sqrt', 'Reciprocal', 'Exp']));
model('unary_small', 13, (g) => each(g, g.input([3, 9], between(1e-6, 1e-2)), ['Log', 'Sqrt', 'Erf', 'Tanh', 'Reciprocal']));
model('unary_round', 13, (g) => each(g, g.input([3, 20], steps), ['Floor', 'Ceil', 'Round', 'Sign', 'Abs', 'Neg']));
model('unary_integers', 13, (g) => {
  const a = g.input([2, 9], { type: INT32, low: -50, high: 50 }), b = g.input([2, 9], { type: INT64, low: -50, high: 50 });
  return [a, b].flatMap((x) => each(g, x, ['Abs', 'Neg', 'Sign']));
});
model('activations', 15, (g) => each(g, g.input([2, 3, 8]), [['Elu', { alpha: f(0.7) }], 'Selu', ['Celu', { alpha: f(1.5) }],
  ['ThresholdedRelu', { alpha: f(0.4) }], ['Shrink', { bias: f(0.3), lambd: f(0.6) }], 'Softplus', 'Softsign']));
model('activations_hard', 14, (g) => each(g, g.input([2, 30], between(-5, 5)), ['HardSigmoid', ['HardSigmoid', { alpha: f(0.15), beta: f(0.6) }],
  'HardSwish', 'Elu', ['Selu', { alpha: f(1.2), gamma: f(0.8) }], ['Shrink'], ['ThresholdedRelu']]));
model('activations_late', 20, (g) => each(g, g.input([2, 30], between(-5, 5)), ['Mish', 'Gelu', ['Gelu', { approximate: 'tanh' }], 'Softplus']));
model('swish', 24, (g) => each(g, g.input([2, 30], between(-5, 5)), ['Swish', ['Swish', { alpha: f(1.7) }]]));
model('prelu', 16, (g) => {
  const x = g.input([2, 3, 4, 5]);
  return [g.node('PRelu', [x, g.weights([3, 1, 1], 0, 0.5)]), g.node('PRelu', [x, g.constant([0.2], [1])]), g.node('PRelu', [x, g.weights([4, 5], -1, 1)])];
});

// ---- two or more inputs
model('pow', 15, (g) => {
  const x = g.input([3, 5], between(0.1, 3)), y = g.input([2, 5], between(-3, 3, { step: 1 }));
  return [g.node('Pow', [x, g.input([5])]), g.node('Pow', [y, g.constant([2], [])]), g.node('Pow', [y, g.constant([3], [], INT64)]), g.node('Pow', [x, g.constant([0.5], [])])];
});
model('pow_integers', 15, (g) => [g.node('Pow', [g.input([7], { type: INT32, low: -9, high: 9 }), g.ints([3], [])]),
  g.node('Pow', [g.input([7], { type: INT64, low: -9, high: 9 }), g.input([7], { type: INT64, low: 0, high: 4 })])]);
model('mod', 13, (g) => {
  const a = [3, 8], x = g.input(a, between(-7, 7)), y = g.input(a, between(0.5, 3));
  const i = g.input(a, { type: INT32, low: -20, high: 20 }), j = g.input(a, { type: INT32, list: [3, -4, 5, -7, 1] });
  return [g.node('Mod', [x, y], { fmod: 1 }), g.node('Mod', [i, j]), g.node('Mod', [i, j], { fmod: 1 })];
});
model('variadic', 13, (g) => {
  const a = g.input([2, 3, 4]), b = g.input([3, 1]), c = g.input([4]);
  return [...['Min', 'Max', 'Sum', 'Mean'].map((op) => g.node(op, [a, b, c])), g.node('Max', [a]), g.node('Sum', [b, c])];
});
model('variadic_integers', 13, (g) => {
  const a = g.input([2, 5], { type: INT32, low: -9, high: 9 }), b = g.input([2, 5], { type: INT64, low: -9, high: 9 });
  const c = g.input([2, 5], { type: INT8, low: -9, high: 9 });
  return [...pairs(g, a, g.constant([1], [1], INT32), ['Min', 'Max']), ...pairs(g, b, g.ints([-2]), ['Min', 'Max']), ...pairs(g, c, g.constant([3], [1], INT8), ['Min', 'Max'])];
});
model('integers_32', 14, (g) => {
  const a = g.input([3, 6], { type: INT32, low: -99, high: 99 }), b = g.input([6], { type: INT32, list: [3, -4, 7, -1, 12, 5] });
  return [...pairs(g, a, b, ['Add', 'Sub', 'Mul', 'Div']), g.node('Relu', [a])];
});
model('integers_64', 14, (g) => {
  const a = g.input([3, 6], { type: INT64, low: -99, high: 99 }), b = g.input([3, 1], { type: INT64, list: [3, -4, 7] });
  return pairs(g, a, b, ['Add', 'Sub', 'Mul', 'Div']);
});
model('compare', 16, (g) => {
  const a = g.input([3, 20], steps), b = g.input([20], between(-1, 1, { step: 0.25 }));
  return pairs(g, a, b, ['Equal', 'Less', 'Greater', 'LessOrEqual', 'GreaterOrEqual']);
});
model('compare_integers', 16, (g) => {
  const a = g.input([3, 20], { type: INT32, low: -3, high: 3 }), b = g.input([3, 20], { type: INT64, low: -3, high: 3 });
  return [...pairs(g, a, g.constant([1], [1], INT32), ['Equal', 'Less', 'Greater', 'LessOrEqual']), ...pairs(g, b, g.ints([-1]), ['Equal', 'Less', 'GreaterOrEqual'])];
});
model('logic', 13, (g) => {
  const a = g.input([3, 9], { type: BOOL }), b = g.input([9], { type: BOOL });
  return [...pairs(g, a, b, ['And', 'Or', 'Xor', 'Equal']), g.node('Not', [a])];
});
model('bitwise', 18, (g) => {
  const a = g.input([3, 9], { type: INT32, low: -1000, high: 1000 }), b = g.input([9], { type: INT32, low: -1000, high: 1000 });
  const c = g.input([9], { type: UINT8, low: 0, high: 255 });
  return [...pairs(g, a, b, ['BitwiseAnd', 'BitwiseOr', 'BitwiseXor']), g.node('BitwiseNot', [a]), g.node('BitwiseXor', [c, g.constant([85], [1], UINT8)]), g.node('BitwiseNot', [c])];
});
model('bit_shift', 13, (g) => {
  const a = g.input([4, 9], { type: UINT8, low: 0, high: 255 }), b = g.input([9], { type: UINT8, low: 0, high: 7 });
  return ['LEFT', 'RIGHT'].map((direction) => g.node('BitShift', [a, b], { direction }));
});
model('where', 16, (g) => {
  const c = g.input([2, 3, 4], { type: BOOL }), x = g.input([3, 4]), i = g.input([4], { type: INT64, low: -9, high: 9 });
  return [g.node('Where', [c, x, g.constant([-1], [])]), g.node('Where', [c, i, g.ints([7], [])]), g.node('Where', [g.node('Greater', [x, g.constant([0], [])]), x, g.weights([2, 1, 4])])];
});
model('not_finite', 20, (g) => {
  const x = g.input([2, 30], between(-1, 1)), values = [-0.3, 0.3].map((v) => g.constant([v], []));
  let y = g.node('Where', [g.node('Less', [x, values[0]]), g.constant([-Infinity], []), x]);
  y = g.node('Where', [g.node('Greater', [x, values[1]]), g.constant([Infinity], []), y]);
  const nan = g.node('Log', [x]);
  return [g.node('IsNaN', [nan]), g.node('IsInf', [y]), g.node('IsInf', [y], { detect_negative: 0 }), g.node('IsInf', [y], { detect_positive: 0 }), g.node('Clip', [y, values[0], g.constant([0.7], [])])];
});
model('clip_integers', 13, (g) => [g.node('Clip', [g.input([3, 9], { type: INT8, low: -128, high: 127 }), g.constant([-30], [], INT8), g.constant([50], [], INT8)]),
  g.node('Clip', [g.input([3, 9], { type: INT64, low: -99, high: 99 }), g.ints([-5], [])]), g.node('Clip', [g.input([3, 9], { type: UINT8, low: 0, high: 255 }), '', g.constant([99], [], UINT8)])]);
model('cast', 13, (g) => {
  const x = g.input([3, 9], between(-9, 9)), i = g.input([3, 9], { type: INT64, low: -300, high: 300 }), p = g.input([9], between(0, 255));
  return [...[INT32, INT64, INT8].map((to) => g.node('Cast', [x], { to })), g.node('Cast', [p], { to: UINT8 }), g.node('Cast', [i], { to: FLOAT }), g.node('Cast', [i], { to: INT8 }), g.node('Cast', [g.node('Cast', [x], { to: FLOAT16 })], { to: FLOAT }),
    g.node('Cast', [g.node('Greater', [x, g.constant([1], [])])], { to: FLOAT })];
});
model('cast_like', 15, (g) => {
  const x = g.input([3, 9], between(-9, 9)), i = g.input([3, 9], { type: INT32, low: -3, high: 3 });
  return [g.node('CastLike', [x, i]), g.node('CastLike', [i, x]), g.node('CastLike', [i, g.constant([1], [1], BOOL)])];
});

// ---- reductions
const reductions = ['L1', 'L2', 'Sum', 'SumSquare', 'Mean', 'Max', 'Min', 'Prod'].map((k) => `Reduce${k}`);
model('reduce', 13, (g) => {
  const x = g.input([3, 4, 5]), axes = g.ints([1]);
  return reductions.map((op) => (op === 'ReduceSum' ? g.node(op, [x, axes], { keepdims: 0 }) : g.node(op, [x], { axes: [1], keepdims: 0 })));
});
model('reduce_late', 18, (g) => {
  const x = g.input([3, 4, 5]), axes = g.ints([0, -1]);
  return reductions.map((op) => g.node(op, [x, axes]));
});
model('reduce_all', 18, (g) => {
  const x = g.input([2, 3, 4]);
  return [...['ReduceSum', 'ReduceMax', 'ReduceL2', 'ReduceProd'].map((op) => g.node(op, [x], { keepdims: 0 })), g.node('ReduceSum', [x], { noop_with_empty_axes: 1 })];
});
model('reduce_log', 18, (g) => {
  const x = g.input([3, 4, 5], between(0.1, 4)), axes = g.ints([2]);
  return ['ReduceLogSum', 'ReduceLogSumExp'].flatMap((op) => [g.node(op, [x, axes]), g.node(op, [x], { keepdims: 0 })]);
});
model('reduce_integers', 18, (g) => {
  const x = g.input([3, 7], { type: INT32, low: -9, high: 9 }), y = g.input([3, 7], { type: INT64, low: -5, high: 9 });
  const axes = g.ints([1]);
  return [...['ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceProd'].map((op) => g.node(op, [x, axes])), g.node('ReduceSum', [y, axes]), g.node('ReduceMax', [y, axes])];
});
model('arg', 13, (g) => {
  const x = g.input([3, 6, 4], steps);
  return ['ArgMax', 'ArgMin'].flatMap((op) => [g.node(op, [x], { axis: 1 }), g.node(op, [x], { axis: -1, keepdims: 0, select_last_index: 1 })]);
});
model('top_k', 11, (g) => {
  const x = g.input([3, 9, 2]), k = g.ints([3]);
  return [...g.nodeOf('TopK', 2, [x, k], { axis: 1 }), ...g.nodeOf('TopK', 2, [x, k], { axis: 1, largest: 0 }), ...g.nodeOf('TopK', 2, [x, g.ints([1])])];
});
model('cum_sum', 14, (g) => {
  const x = g.input([3, 5, 2]), axis = g.ints([1], []);
  return [g.node('CumSum', [x, axis]), g.node('CumSum', [x, axis], { exclusive: 1 }), g.node('CumSum', [x, g.ints([-1], [])], { reverse: 1 }), g.node('CumSum', [x, axis], { reverse: 1, exclusive: 1 })];
});
model('hardmax', 13, (g) => {
  const x = g.input([3, 4, 5], steps);
  return [g.node('Hardmax', [x]), g.node('Hardmax', [x], { axis: 1 })];
});
model('log_softmax', 13, (g) => {
  const x = g.input([2, 3, 5]);
  return [g.node('LogSoftmax', [x]), g.node('LogSoftmax', [x], { axis: 1 }), g.node('LogSoftmax', [x], { axis: 0 })];
});
model('log_softmax_flattening', 11, (g) => g.node('LogSoftmax', [g.input([2, 3, 5])], { axis: 1 }));

// ---- places
const places = (g, shape, size, negative = true) => g.input(shape, { type: INT64, low: negative ? -size : 0, high: size - 1 });
model('gather_computed', 13, (g) => {
  const x = g.input([4, 5, 3]);
  return [g.node('Gather', [x, places(g, [2, 3], 4)]), g.node('Gather', [x, places(g, [4], 5)], { axis: 1 }), g.node('Gather', [g.weights([7, 3]), places(g, [2, 2], 7)])];
});
model('gather_elements', 13, (g) => {
  const x = g.input([4, 5]);
  return [g.node('GatherElements', [x, places(g, [2, 5], 4)]), g.node('GatherElements', [x, places(g, [4, 3], 5)], { axis: 1 })];
});
model('gather_nd', 13, (g) => {
  const x = g.input([3, 4, 5]);
  return [g.node('GatherND', [x, places(g, [2, 2], 3)]), g.node('GatherND', [x, places(g, [3, 2, 1], 4)], { batch_dims: 1 }), g.node('GatherND', [x, g.ints([0, 1, 2, 2, -1, 4], [2, 3])])];
});
model('scatter', 9, (g) => [g.node('Scatter', [g.input([3, 4]), g.input([2, 3], { type: INT64, list: [0, 2, 1, 2, 1, 0] }), g.input([2, 3])]),
  g.node('Scatter', [g.input([1, 5]), g.ints([1, 3], [1, 2]), g.input([1, 2])], { axis: 1 })]);
const reduced = (g, op, inputs, more = {}) => ['none', 'add', 'mul', 'max', 'min'].map((reduction) => g.node(op, inputs, { reduction, ...more }));
model('scatter_elements', 18, (g) => [...reduced(g, 'ScatterElements', [g.input([3, 5]), g.input([2, 3], { type: INT64, list: [0, 4, 1, 2, -2, 0] }), g.input([2, 3])], { axis: 1 }),
  g.node('ScatterElements', [g.input([3, 2]), g.ints([1, 1, 1, 1], [2, 2]), g.input([2, 2])], { reduction: 'add' })]);
model('scatter_nd', 18, (g) => [...reduced(g, 'ScatterND', [g.input([4, 3, 2]), g.input([2, 1], { type: INT64, list: [1, -1] }), g.input([2, 3, 2])]),
  g.node('ScatterND', [g.input([5]), g.ints([1, 1, 3], [3, 1]), g.input([3])], { reduction: 'add' })]);
model('one_hot', 11, (g) => {
  const i = places(g, [2, 3], 5);
  return [g.node('OneHot', [i, g.ints([5]), g.constant([-0.5, 2], [2])]), g.node('OneHot', [i, g.ints([5], []), g.ints([0, 1])], { axis: 0 })];
});
model('compress', 11, (g) => {
  const x = g.input([3, 4]);
  return [g.node('Compress', [x, g.constant([0, 1, 1], [3], BOOL)], { axis: 0 }), g.node('Compress', [x, g.constant([1, 0, 0, 1, 1], [5], BOOL)])];
});
model('reverse_sequence', 10, (g) => [g.node('ReverseSequence', [g.input([5, 3, 2]), g.ints([4, 1, 5])], { time_axis: 0, batch_axis: 1 }),
  g.node('ReverseSequence', [g.input([3, 4]), g.ints([3, 4, 2])], { time_axis: 1, batch_axis: 0 })]);
model('split', 13, (g) => {
  const x = g.input([2, 6, 3]);
  return [...g.nodeOf('Split', 3, [x], { axis: 1 }), ...g.nodeOf('Split', 2, [x, g.ints([1, 5])], { axis: 1 }), ...g.nodeOf('Split', 2, [x])];
});
model('split_late', 18, (g) => g.nodeOf('Split', 3, [g.input([2, 7])], { axis: -1, num_outputs: 3 }));
model('split_attribute', 11, (g) => g.nodeOf('Split', 2, [g.input([7, 2])], { split: [3, 4] }));
model('depth_to_space', 13, (g) => {
  const x = g.input([1, 8, 2, 3]);
  return [g.node('DepthToSpace', [x], { blocksize: 2 }), g.node('DepthToSpace', [x], { blocksize: 2, mode: 'CRD' }), g.node('SpaceToDepth', [g.input([2, 2, 4, 6])], { blocksize: 2 })];
});
model('expand_tile', 13, (g) => {
  const x = g.input([3, 1]);
  return [g.node('Expand', [x, g.ints([2, 1, 4])]), g.node('Expand', [x, g.ints([1, 1])]), g.node('Tile', [g.input([2, 3]), g.ints([2, 3])])];
});
model('trilu', 14, (g) => {
  const x = g.input([2, 4, 5]);
  return [g.node('Trilu', [x]), g.node('Trilu', [x], { upper: 0 }), g.node('Trilu', [x, g.ints([-1], [])]), g.node('Trilu', [x, g.ints([2], [])], { upper: 0 })];
});
// Made of shapes and constants alone, and added to what is computed.
model('from_shapes', 13, (g) => {
  const x = g.input([4, 5]);
  const range = g.node('Range', [g.constant([0.5], []), g.constant([3], []), g.constant([0.5], [])]);
  const count = g.node('Cast', [g.node('Size', [x])], { to: FLOAT });
  const places4 = g.node('Gather', [x, g.node('Squeeze', [g.node('NonZero', [g.constant([0, 3, 0, -1], [4])]), g.ints([0])])]);
  return [g.node('Add', [x, g.node('EyeLike', [x], { k: 1, dtype: FLOAT })]), g.node('Sub', [x, range]), g.node('Div', [x, count]), places4, g.node('Add', [x, g.node('EyeLike', [x])])];
});
model('einsum', 12, (g) => {
  const a = g.input([2, 3, 4]), b = g.input([2, 4, 5]), v = g.input([4]);
  const e = (equation, ...inputs) => g.node('Einsum', inputs, { equation });
  return [e('bij,bjk->bik', a, b), e('bij->bji', a), e('bij,j->bi', a, v), e('...ij->...i', a), e('i,j->ij', v, v), e('bij,bjk', a, b), e('bij,bkj->bik', a, a)];
});
model('matmul_forms', 13, (g) => {
  const a = g.input([2, 3, 4]), b = g.input([2, 4, 5]), v = g.input([4]);
  return [g.node('MatMul', [a, b]), g.node('MatMul', [a, v]), g.node('MatMul', [v, b]), g.node('MatMul', [g.weights([5, 3]), a]), g.node('MatMul', [v, g.weights([4])])];
});
model('matmul_integers', 13, (g) => [INT32, INT64].map((type) => g.node('MatMul', [g.input([2, 3], { type, low: -9, high: 9 }), g.input([3, 4], { type, low: -9, high: 9 })])));
model('moves_integers', 13, (g) => {
  const x = g.input([2, 3, 4], { type: INT64, low: -99, high: 99 }), y = g.input([2, 3, 4], { type: BOOL }), z = g.input([2, 3], { type: UINT8, low: 0, high: 255 });
  return [g.node('Transpose', [x], { perm: [2, 0, 1] }), g.node('Concat', [y, y], { axis: 2 }), g.node('Slice', [x, g.ints([1]), g.ints([3]), g.ints([2])]), g.node('Reshape', [y, g.ints([4, 6])]),
    g.node('Pad', [z, g.ints([0, 1, 1, 0]), g.constant([9], [], UINT8)]), g.node('Identity', [z]), g.node('Flatten', [x])];
});

module.exports = models;
