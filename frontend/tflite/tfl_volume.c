/* CONV_3D, float32: output slice by output slice, whose input slices lie side by side as channels of one Conv.
 *
 *   x [N,D,H,W,C] -> pad D -> slices picked [N,D'*Kd,H,W,C] -> [N*D',H,W,Kd*C] -> Conv -> [N,D',H',W',O]
 *
 * Source: TensorFlow Lite's conv3d.cc, reference/conv3d.h; weights [Kd,Kh,Kw,C,O].
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>

#include "ir/base/mem.h"

/* The window along one axis. */
typedef struct Span {
  int64_t in, k, stride, dilation, before, after, out;
} Span;

static bool read_span(TflNode *n, Span *s, int64_t in, int64_t k, uint32_t stride, uint32_t dilation,
                      bool same) {
  const int64_t most = 1 << 15;
  *s = (Span){.in = in,
              .k = k,
              .stride = fb_i32(&n->options, stride, 1),
              .dilation = fb_i32(&n->options, dilation, 1)};
  FAIL_IF(s->stride < 1 || s->stride > most || s->dilation < 1 || s->dilation > most || k < 1 || k > most,
          n->m->d, &n->loc, "has a window of %" PRId64 ", stride %" PRId64 ", dilation %" PRId64, k,
          s->stride, s->dilation);
  if (same) tfl_same_pads(in, k, s->stride, s->dilation, &s->before, &s->after);
  s->out = (in + s->before + s->after - (k - 1) * s->dilation - 1) / s->stride + 1;
  FAIL_IF((k - 1) * s->dilation + 1 > in + s->before + s->after, n->m->d, &n->loc,
          "has a window that is larger than its input");
  return true;
}

/* [Kd,Kh,Kw,C,O] as [O,Kh,Kw,Kd*C]. */
static ValId volume_weights(TflNode *n, ValId w) {
  const Shape s = graph_val(n->m->g, w)->shape;
  const int64_t kd = s.d[0], area = s.d[1] * s.d[2], c = s.d[3], outs = s.d[4];
  const float *from = val_data(n->m->g, w);
  float *to = mem_array((size_t)shape_count(&s), sizeof *to);
  for (int64_t d = 0; d < kd; d++)
    for (int64_t p = 0; p < area; p++)
      for (int64_t i = 0; i < c; i++)
        for (int64_t o = 0; o < outs; o++)
          to[((o * area + p) * kd + d) * c + i] = from[((d * area + p) * c + i) * outs + o];
  const Shape as = shape_of(4, outs, s.d[1], s.d[2], kd * c);
  ValId v = graph_const_data(n->m->g, "weights", DT_F32, &as, to);
  mem_free(to);
  return v;
}

/* The slices that each output slice reads, one behind the other. */
static ValId picked(TflNode *n, const Compose *k, ValId x, const Span *s) {
  const Shape list = {1, {s->out * s->k}};
  pad_attrs pad = {.pads = {.n = 10}};
  pad.pads.v[1] = s->before;
  pad.pads.v[6] = s->after;
  if (s->before || s->after) x = compose_1(k, OP_pad, &pad, x);
  int32_t *at = mem_array((size_t)list.d[0], sizeof *at);
  for (int64_t i = 0; i < list.d[0]; i++) at[i] = (int32_t)(i / s->k * s->stride + i % s->k * s->dilation);
  ValId in[2] = {x, graph_const_data(n->m->g, NULL, DT_I32, &list, at)};
  mem_free(at);
  return compose_node(k, OP_gather, &(gather_attrs){.axis = 1}, in, 2);
}

bool tfl_import_conv_3d(TflNode *n) {
  enum { PADDING = 0, STRIDE_D, STRIDE_W, STRIDE_H, ACT, DILATION_D, DILATION_W, DILATION_H };
  const Compose k = tfl_compose(n);
  ValId x = tfl_number(n, 0, "f"), w, bias;
  Span s[3];
  int32_t act;
  TRY(x != NO_VAL);
  w = tfl_weights(n, 1, x);
  TRY(w != NO_VAL && tfl_bias(n, 2, x, &bias) && tfl_act(n, ACT, &act));
  const Shape xs = graph_val(n->m->g, x)->shape, ws = graph_val(n->m->g, w)->shape;
  FAIL_IF(xs.rank != 5 || ws.rank != 5 || ws.d[3] != xs.d[4], n->m->d, &n->loc,
          "has %" PRId32 " dimensions and weights of %" PRId32 "; want 5 each, and as many channels", xs.rank,
          ws.rank);
  const bool same = fb_u8(&n->options, PADDING, 0) == 0;
  TRY(read_span(n, &s[0], xs.d[1], ws.d[0], STRIDE_D, DILATION_D, same));
  TRY(read_span(n, &s[1], xs.d[2], ws.d[1], STRIDE_H, DILATION_H, same));
  TRY(read_span(n, &s[2], xs.d[3], ws.d[2], STRIDE_W, DILATION_W, same));
  TRY(tfl_may_make(n->m, s[0].out * s[0].k, sizeof(int32_t), &n->loc));
  const int64_t slices = xs.d[0] * s[0].out;
  const Shape apart = shape_of(5, slices, s[0].k, xs.d[2], xs.d[3], xs.d[4]);
  const Shape deep = shape_of(4, slices, xs.d[2], xs.d[3], s[0].k * xs.d[4]);
  const Shape out = shape_of(5, xs.d[0], s[0].out, s[1].out, s[2].out, ws.d[4]);
  x = compose_reshape(&k, picked(n, &k, x, &s[0]), &apart);
  x = compose_1(&k, OP_transpose, &(transpose_attrs){.perm = {5, {0, 2, 3, 1, 4}}}, x);
  const conv_attrs a = {.strides = {2, {s[1].stride, s[2].stride}},
                        .pads = {4, {s[1].before, s[2].before, s[1].after, s[2].after}},
                        .dilations = {2, {s[1].dilation, s[2].dilation}},
                        .group = 1,
                        .act = act};
  ValId in[3] = {compose_reshape(&k, x, &deep), volume_weights(n, w), bias};
  TRY(in[0] != NO_VAL);
  const char *name = tfl_out_tensor(n, 0)->name;
  ValId y = graph_node(n->m->g, OP_conv, &a, in, 3, arena_printf(n->m->g->arena, "%s:conv", name), &n->loc,
                       n->m->d);
  return tfl_end(n, 0, compose_reshape(&k, y, &out));
}
