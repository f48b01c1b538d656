/* Windows of ONNX operators: their attributes, and images brought to channels last. For convolutions and pools.
 *
 *   x [N,C,H,W] -> Transpose -> NHWC operator -> Transpose -> [N,O,H',W']
 *   x [N,C,L]   -> Transpose -> [N,L,C] -> Reshape [N,1,L,C] -> NHWC operator -> Reshape, Transpose -> [N,O,L']
 *   x [N,C,D,H,W] -> Transpose -> [N,D,H,W,C]: what operators with three spatial axes are composed from
 */
#ifndef FRONTEND_ONNX_OPS_WINDOW_H
#define FRONTEND_ONNX_OPS_WINDOW_H

#include "frontend/onnx/onnx_op.h"

enum { OX_WINDOW_MAX = 1 << 15 }; /* strides, dilations, kernels, paddings */
enum { OX_LIST_MAX = 1 << 24 };   /* places of taps that an importer lists */

/* A window over D, H and W, each list from the right: an operator with fewer spatial axes has extents of 1 before. */
typedef struct OxWindow {
  int n; /* 1 to 3 spatial axes in the file */
  int64_t in[3], kernel[3], stride[3], dilation[3];
  int64_t before[3], after[3]; /* padding */
} OxWindow;

/* A list attribute with one entry per spatial axis, each from `least` on; other entries become `otherwise`. */
bool ox_axis_list(OxCall *c, const char *name, int n, int64_t least, int64_t otherwise, int64_t v[3]);
/* Input 0 with one to three spatial axes. */
bool ox_image(OxCall *c, ValId *x, Shape *s);
/* Strides, dilations and padding of the operator over image x; w->kernel is set. */
bool ox_window(OxCall *c, const Shape *x, OxWindow *w);
/* How auto_pad says to pad: 0 explicitly, 1 VALID, 2 SAME_UPPER, 3 SAME_LOWER; -1: a report. */
int ox_auto_pad(OxCall *c);
bool ox_explicit_pads(OxCall *c, OxWindow *w);
static inline int64_t ox_span(const OxWindow *w, int i) { return (w->kernel[i] - 1) * w->dilation[i] + 1; }

/* Channels last, of rank 4 (one and two spatial axes) or 5; and back to the file's layout: output 0 of the call. */
ValId ox_channels_last(OxCall *c, ValId x);
ValId ox_channels_second(OxCall *c, ValId y, int spatial, const char *suffix);

/* The two inner axes' parts of a window as attributes. */
static inline Ints ox_pair(const int64_t v[3]) { return (Ints){2, {v[1], v[2]}}; }
static inline Ints ox_pads(const OxWindow *w) {
  return (Ints){4, {w->before[1], w->before[2], w->after[1], w->after[2]}};
}

#endif
