/* Windows of ONNX operators; see ops_window.h. Source: ONNX Conv-22, MaxPool-22, AveragePool-22. */
#include "frontend/onnx/ops_window.h"

#include <inttypes.h>

bool ox_axis_list(OxCall *c, const char *name, int n, int64_t least, int64_t otherwise, int64_t v[3]) {
  Ints list;
  v[0] = v[1] = v[2] = otherwise;
  if (!ox_ints(c, name, &list)) return !c->failed;
  OX_FAIL_IF(list.n != n, c, "attribute \"%s\" has %" PRId32 " entries; want %d", name, list.n, n);
  for (int i = 0; i < n; i++) {
    v[3 - n + i] = list.v[i];
    OX_FAIL_IF(list.v[i] < least || list.v[i] > OX_WINDOW_MAX, c,
               "attribute \"%s\" has %" PRId64 "; want %" PRId64 " to %d", name, list.v[i], least,
               OX_WINDOW_MAX);
  }
  return true;
}

bool ox_explicit_pads(OxCall *c, OxWindow *w) {
  Ints pads;
  if (!ox_ints(c, "pads", &pads)) return !c->failed;
  OX_FAIL_IF(pads.n != 2 * w->n, c, "attribute \"pads\" has %" PRId32 " entries; want %d", pads.n, 2 * w->n);
  for (int i = 0; i < w->n; i++) {
    int axis = 3 - w->n + i;
    w->before[axis] = pads.v[i];
    w->after[axis] = pads.v[w->n + i];
    for (int side = 0; side < 2; side++) {
      int64_t p = pads.v[side * w->n + i];
      OX_FAIL_IF(p < 0 || p > OX_WINDOW_MAX, c, "attribute \"pads\" has %" PRId64 "; want 0 to %d", p,
                 OX_WINDOW_MAX);
    }
  }
  return true;
}

/* SAME: out = ceil(in / stride); the odd one of an odd total goes after (upper) or before (lower). */
static void same_pads(OxWindow *w, bool lower) {
  for (int i = 0; i < 3; i++) {
    int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
    int64_t total = (out - 1) * w->stride[i] + ox_span(w, i) - w->in[i];
    if (total < 0) total = 0;
    w->before[i] = lower ? total - total / 2 : total / 2;
    w->after[i] = total - w->before[i];
  }
}

int ox_auto_pad(OxCall *c) {
  const OxAttr *a = ox_attr(c, "auto_pad", OX_ATTR_STRING);
  if (!a || a->s.n == 0 || wire_str_is(a->s, "NOTSET")) return 0;
  if (wire_str_is(a->s, "VALID")) return 1;
  if (wire_str_is(a->s, "SAME_UPPER")) return 2;
  if (wire_str_is(a->s, "SAME_LOWER")) return 3;
  ox_fail(c, "attribute \"auto_pad\" is \"%.*s\"; want NOTSET, VALID, SAME_UPPER or SAME_LOWER",
          a->s.n < 40 ? (int)a->s.n : 40, (const char *)a->s.p);
  return -1;
}

bool ox_window(OxCall *c, const Shape *x, OxWindow *w) {
  w->n = x->rank - 2;
  for (int i = 0; i < 3; i++) {
    w->in[i] = i >= 3 - w->n ? x->d[x->rank - 3 + i] : 1;
    w->before[i] = w->after[i] = 0;
  }
  TRY(ox_axis_list(c, "strides", w->n, 1, 1, w->stride) &&
      ox_axis_list(c, "dilations", w->n, 1, 1, w->dilation));
  int how = ox_auto_pad(c);
  if (how == 0) return ox_explicit_pads(c, w);
  if (how >= 2) same_pads(w, how == 3);
  return how > 0;
}

bool ox_image(OxCall *c, ValId *x, Shape *s) {
  *x = ox_in(c, 0);
  TRY(*x != NO_VAL);
  *s = ox_shape(c, *x);
  char text[80];
  shape_format(s, text, sizeof text);
  OX_FAIL_IF(s->rank < 3 || s->rank > 5, c, "input is %s; supported are [N,C,L], [N,C,H,W] and [N,C,D,H,W]",
             text);
  return true;
}

ValId ox_channels_last(OxCall *c, ValId x) {
  if (x == NO_VAL) return NO_VAL;
  Shape s = ox_shape(c, x);
  if (s.rank == 5) return ox_transpose(c, x, "02341", "ndhwc");
  if (s.rank == 4) return ox_transpose(c, x, "0231", "nhwc");
  ValId y = ox_transpose(c, x, "021", "nlc");
  return ox_reshape(c, y, &(Shape){4, {s.d[0], 1, s.d[2], s.d[1]}}, "nhwc");
}

ValId ox_channels_second(OxCall *c, ValId y, int spatial, const char *suffix) {
  if (y == NO_VAL) return NO_VAL;
  if (spatial == 3) return ox_transpose(c, y, "04123", suffix);
  if (spatial == 2) return ox_transpose(c, y, "0312", suffix);
  Shape s = ox_shape(c, y);
  y = ox_reshape(c, y, &(Shape){3, {s.d[0], s.d[2], s.d[3]}}, "nlc");
  return y == NO_VAL ? NO_VAL : ox_transpose(c, y, "021", suffix);
}
