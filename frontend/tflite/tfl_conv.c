/* TFLite's windows and products: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, pools. Layouts are ours already:
 * NHWC, OHWI, [1,Kh,Kw,O]. Padding is SAME or VALID and is written out here.
 * Source: schema version 3; SAME as in TensorFlow Lite's padding.h: out = ceil(in / stride), the odd one of an
 * odd total goes to the bottom and the right. */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

enum { PADDING_SAME, PADDING_VALID };

typedef struct Window {
  Ints strides, pads, dilations;
} Window;

void tfl_same_pads(int64_t in, int64_t k, int64_t stride, int64_t dilation, int64_t *before, int64_t *after) {
  int64_t out = (in + stride - 1) / stride;
  int64_t total = (out - 1) * stride + (k - 1) * dilation + 1 - in;
  if (total < 0) total = 0;
  *before = total / 2;
  *after = total - *before;
}

/* Strides and dilations as options give them (w before h), and padding written out for image x. */
static bool read_window(TflNode *n, const Shape *x, int64_t kh, int64_t kw, int32_t stride_id,
                        int32_t dilation_id, Window *w) {
  int32_t sw = fb_i32(&n->options, (uint32_t)stride_id, 1),
          sh = fb_i32(&n->options, (uint32_t)stride_id + 1, 1);
  int32_t dw = 1, dh = 1;
  if (dilation_id >= 0) {
    dw = fb_i32(&n->options, (uint32_t)dilation_id, 1);
    dh = fb_i32(&n->options, (uint32_t)dilation_id + 1, 1);
  }
  const int32_t most = 1 << 15;
  FAIL_IF(sw < 1 || sh < 1 || dw < 1 || dh < 1 || sw > most || sh > most || dw > most || dh > most, n->m->d,
          &n->loc,
          "has strides %" PRId32 ",%" PRId32 " and dilations %" PRId32 ",%" PRId32 "; want 1 to %" PRId32
          " each",
          sh, sw, dh, dw, most);
  FAIL_IF(kh < 1 || kw < 1 || kh > most || kw > most, n->m->d, &n->loc,
          "has a window of %" PRId64 " by %" PRId64 "; want 1 to %" PRId32 " each", kh, kw, most);
  *w = (Window){.strides = {2, {sh, sw}}, .pads = {4, {0}}, .dilations = {2, {dh, dw}}};
  uint8_t padding = fb_u8(&n->options, 0, PADDING_SAME);
  FAIL_IF(padding > PADDING_VALID, n->m->d, &n->loc, "has padding %u; want SAME (0) or VALID (1)", padding);
  if (padding == PADDING_SAME) {
    tfl_same_pads(x->d[1], kh, sh, dh, &w->pads.v[0], &w->pads.v[2]);
    tfl_same_pads(x->d[2], kw, sw, dw, &w->pads.v[1], &w->pads.v[3]);
  }
  return true;
}

static bool want_rank4(TflNode *n, ValId v) {
  int32_t rank = graph_val(n->m->g, v)->shape.rank;
  FAIL_IF(rank != 4, n->m->d, &n->loc, "has \"%s\" of %" PRId32 " dimensions; want 4",
          graph_val(n->m->g, v)->name, rank);
  return true;
}

/* x, weights and bias of a convolution. */
static bool conv_inputs(TflNode *n, bool depthwise, ValId in[3]) {
  in[0] = tfl_data16(n, 0);
  TRY(in[0] != NO_VAL);
  in[1] = (depthwise ? tfl_weights : tfl_weights4)(n, 1, in[0]);
  TRY(in[1] != NO_VAL);
  TRY(want_rank4(n, in[0]) && want_rank4(n, in[1]));
  return tfl_bias(n, 2, in[0], &in[2]);
}

bool tfl_import_conv(TflNode *n) {
  enum { STRIDE = 1, ACT = 3, DILATION = 4 };
  ValId in[3];
  TRY(conv_inputs(n, false, in));
  Shape x = graph_val(n->m->g, in[0])->shape, w = graph_val(n->m->g, in[1])->shape;
  FAIL_IF(x.d[3] % w.d[3] != 0, n->m->d, &n->loc,
          "has %" PRId64 " input channels; its weights are for %" PRId64, x.d[3], w.d[3]);
  Window win;
  int32_t act;
  TRY(read_window(n, &x, w.d[1], w.d[2], STRIDE, DILATION, &win));
  TRY(tfl_act(n, ACT, &act));
  conv_attrs a = {.strides = win.strides,
                  .pads = win.pads,
                  .dilations = win.dilations,
                  .group = (int32_t)(x.d[3] / w.d[3]),
                  .act = act};
  return tfl_emit(n, OP_conv, &a, in, 3);
}

bool tfl_import_depthwise_conv(TflNode *n) {
  enum { STRIDE = 1, ACT = 4, DILATION = 5 };
  ValId in[3];
  TRY(conv_inputs(n, true, in));
  Shape x = graph_val(n->m->g, in[0])->shape, w = graph_val(n->m->g, in[1])->shape;
  FAIL_IF(graph_val(n->m->g, in[0])->dtype == DT_I16 && in[2] != NO_VAL &&
              graph_val(n->m->g, in[2])->dtype != DT_I64,
          n->m->d, &n->loc, "has a bias of i32 elements for i16 data; want i64");
  Window win;
  int32_t act;
  TRY(read_window(n, &x, w.d[1], w.d[2], STRIDE, DILATION, &win));
  TRY(tfl_act(n, ACT, &act));
  depthwise_conv_attrs a = {.strides = win.strides, .pads = win.pads, .dilations = win.dilations, .act = act};
  return tfl_emit(n, OP_depthwise_conv, &a, in, 3);
}

/* x is flattened to rows of K where its innermost axis is not K, or the output is to be a matrix. */
bool tfl_import_fully_connected(TflNode *n) {
  enum { ACT = 0, WEIGHTS_FORMAT = 1 };
  Graph *g = n->m->g;
  ValId in[3];
  in[0] = tfl_data16(n, 0);
  TRY(in[0] != NO_VAL);
  in[1] = tfl_weights4(n, 1, in[0]);
  TRY(in[1] != NO_VAL);
  TRY(tfl_bias(n, 2, in[0], &in[2]));
  FAIL_IF(fb_u8(&n->options, WEIGHTS_FORMAT, 0) != 0, n->m->d, &n->loc,
          "has its weights in a shuffled format; want the default one");
  Shape x = graph_val(g, in[0])->shape, w = graph_val(g, in[1])->shape;
  FAIL_IF(w.rank != 2 || shape_count(&x) % w.d[1] != 0, n->m->d, &n->loc,
          "has weights of %" PRId32 " dimensions and %" PRId64 " columns for %" PRId64 " elements of input",
          w.rank, w.rank > 0 ? w.d[w.rank - 1] : 0, shape_count(&x));
  const Shape *out = &tfl_out_tensor(n, 0)->shape;
  Shape rows = shape_of(2, shape_count(&x) / w.d[1], w.d[1]);
  if (x.rank == 0 || x.d[x.rank - 1] != w.d[1] || out->rank != x.rank) in[0] = tfl_reshape(n, in[0], &rows);
  TRY(in[0] != NO_VAL);
  fully_connected_attrs a = {0};
  int32_t act;
  TRY(tfl_act(n, ACT, &act));
  a.act = act;
  ValId y = graph_node(g, OP_fully_connected, &a, in, 3, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
  TRY(y != NO_VAL);
  if (out->rank != graph_val(g, y)->shape.rank && shape_count(out) == shape_count(&graph_val(g, y)->shape)) {
    const TflTensor *t = tfl_out_tensor(n, 0);
    if (t->quant.n) graph_set_quant(g, y, t->quant.n, t->quant.axis, t->quant.scale, t->quant.zero);
    y = tfl_reshape(n, y, out);
  }
  return tfl_bind(n, 0, y);
}

typedef struct PoolParts {
  Window win;
  Ints kernel;
  int32_t act;
  ValId x;
} PoolParts;

static bool read_pool(TflNode *n, PoolParts *p) {
  enum { STRIDE = 1, WIDTH = 3, HEIGHT = 4, ACT = 5 };
  p->x = tfl_data16(n, 0);
  TRY(p->x != NO_VAL && want_rank4(n, p->x));
  int32_t kw = fb_i32(&n->options, WIDTH, 0), kh = fb_i32(&n->options, HEIGHT, 0);
  Shape x = graph_val(n->m->g, p->x)->shape;
  TRY(read_window(n, &x, kh, kw, STRIDE, -1, &p->win));
  TRY(tfl_act(n, ACT, &p->act));
  p->kernel = (Ints){2, {kh, kw}};
  return tfl_same_quant(n, tfl_in_tensor(n, 0), tfl_out_tensor(n, 0));
}

bool tfl_import_max_pool(TflNode *n) {
  PoolParts p;
  TRY(read_pool(n, &p));
  max_pool_attrs a = {.kernel = p.kernel, .strides = p.win.strides, .pads = p.win.pads, .act = p.act};
  return tfl_emit(n, OP_max_pool, &a, &p.x, 1);
}

/* Padding never counts in TensorFlow Lite's mean. */
bool tfl_import_average_pool(TflNode *n) {
  PoolParts p;
  TRY(read_pool(n, &p));
  average_pool_attrs a = {.kernel = p.kernel, .strides = p.win.strides, .pads = p.win.pads, .act = p.act};
  return tfl_emit(n, OP_average_pool, &a, &p.x, 1);
}

/* -- TRANSPOSE_CONV -- */

/* Pads of the output along one axis; what is left over at its end is `extra`. */
static bool outer_pads(TflNode *n, int64_t in, int64_t out, int64_t k, int64_t stride, bool same,
                       int64_t *before, int64_t *after, int64_t *extra) {
  int64_t b = 0, a = 0;
  if (same) tfl_same_pads(out, k, stride, 1, &b, &a);
  const int64_t rest = (in - 1) * stride + k - b - out;
  *before = b;
  *after = rest > 0 ? rest : 0;
  *extra = rest < 0 ? -rest : 0;
  FAIL_IF(out < 1 || b >= k, n->m->d, &n->loc,
          "makes %" PRId64 " of %" PRId64 " with a window of %" PRId64 " and stride %" PRId64, out, in, k,
          stride);
  return true;
}

/* Inputs: the output's shape, weights, x, bias. */
bool tfl_import_transpose_conv(TflNode *n) {
  enum { PADDING = 0, STRIDE = 1, ACT = 3 };
  ValId in[3];
  int32_t act, sw = fb_i32(&n->options, STRIDE, 1), sh = fb_i32(&n->options, STRIDE + 1, 1);
  in[0] = tfl_data(n, 2);
  TRY(in[0] != NO_VAL);
  in[1] = tfl_weights(n, 1, in[0]);
  TRY(in[1] != NO_VAL && want_rank4(n, in[0]) && want_rank4(n, in[1]));
  TRY(tfl_bias(n, 3, in[0], &in[2]) && tfl_act(n, ACT, &act));
  FAIL_IF(sw < 1 || sh < 1 || sw > 1 << 10 || sh > 1 << 10, n->m->d, &n->loc,
          "has strides %" PRId32 ",%" PRId32 "; want 1 to 1024 each", sh, sw);
  Shape x = graph_val(n->m->g, in[0])->shape, w = graph_val(n->m->g, in[1])->shape,
        y = tfl_out_tensor(n, 0)->shape;
  FAIL_IF(y.rank != 4, n->m->d, &n->loc, "writes %" PRId32 " dimensions; want 4", y.rank);
  conv_transpose_attrs a = {.strides = {2, {sh, sw}},
                            .pads = {.n = 4},
                            .dilations = {2, {1, 1}},
                            .extra = {.n = 2},
                            .group = 1,
                            .act = act};
  bool same = fb_u8(&n->options, PADDING, PADDING_SAME) == PADDING_SAME;
  TRY(outer_pads(n, x.d[1], y.d[1], w.d[1], sh, same, &a.pads.v[0], &a.pads.v[2], &a.extra.v[0]));
  TRY(outer_pads(n, x.d[2], y.d[2], w.d[2], sw, same, &a.pads.v[1], &a.pads.v[3], &a.extra.v[1]));
  return tfl_emit(n, OP_conv_transpose, &a, in, 3);
}
