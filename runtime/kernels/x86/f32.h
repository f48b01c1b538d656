/* What the float kernels for x86-64 share: lines of an image with zeros around it, and stores of eight results.
 */
#ifndef MF_X86_F32_H
#define MF_X86_F32_H

#include "runtime/kernels/x86/x86.h"

/* The lines of a window over an image: a ring of `span` lines of `size` elements in scratch, columns -pad_left and on,
 * zeros outside the image. Where no window leaves the image, the lines are its own and room is not used. */
typedef struct mf_flines {
  const mf_view *in;
  float *room;
  int32_t inside, size, span, next;
} mf_flines;

MF_HELPER int32_t mf_window_inside(const mf_window *g) {
  return g->pad_top == 0 && g->pad_left == 0 &&
         (g->out_h - 1) * g->stride_h + (g->k_h - 1) * g->dil_h < g->in_h &&
         (g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w < g->in_w;
}

MF_HELPER mf_flines mf_flines_of(const mf_window *g, const mf_view *in, void *scratch, int32_t inside) {
  mf_flines l;
  l.in = in;
  l.room = (float *)scratch;
  l.inside = inside;
  l.size = ((g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w + 1) * g->in_c + MF_LINE_SLACK;
  l.span = (g->k_h - 1) * g->dil_h + 1;
  l.next = INT32_MIN;
  return l;
}

/* A walk over lines: line number i at room + slot * size, slots counted round. */
typedef struct mf_fwalk {
  const float *room;
  int32_t size, span, slot;
} mf_fwalk;

/* From line iy on. */
MF_HELPER mf_fwalk mf_fwalk_from(const mf_flines *l, int32_t iy) {
  mf_fwalk w;
  w.room = l->inside ? (const float *)l->in->base : l->room;
  w.size = l->inside ? l->in->row / 4 : l->size;
  w.span = !l->inside ? l->span : l->in->ring ? l->in->ring : INT32_MAX;
  w.slot = mf_ring_slot(iy, w.span);
  return w;
}

/* This line, and on by `lines`, no more than the span. */
MF_HELPER const float *mf_fwalk_next(mf_fwalk *w, int32_t lines) {
  const float *line = w->room + (ptrdiff_t)w->slot * w->size;
  w->slot += lines;
  if (w->slot >= w->span) w->slot -= w->span;
  return line;
}

/* Make the lines of output row y be there. */
MF_X86_INLINE void mf_flines_load(mf_flines *l, const mf_window *g, int32_t y) {
  const int32_t top = y * g->stride_h - g->pad_top, end = top + l->span;
  const int32_t left = g->pad_left * g->in_c, all = l->size - MF_LINE_SLACK;
  const int32_t n = all - left < g->in_w * g->in_c ? all - left : g->in_w * g->in_c;
  int32_t iy, i;
  if (l->inside) return;
  for (iy = l->next > top ? l->next : top; iy < end; iy++) {
    float *line = l->room + (ptrdiff_t)mf_ring_slot(iy, l->span) * l->size;
    int32_t at = 0;
    if (iy >= 0 && iy < g->in_h && n > 0) {
      const float *x = (const float *)mf_row(l->in, iy);
      for (i = 0; i < left; i++) line[i] = 0;
      line += left;
      for (i = 0; i + 8 <= n; i += 8) mf_storef(line + i, mf_loadf(x + i));
      for (; i < n; i++) line[i] = x[i];
      line += n;
      at = left + n;
    }
    for (i = at; i < l->size; i++) *line++ = 0;
  }
  l->next = end;
}

/* Eight results, limited, to the first n places at y. */
MF_X86_INLINE void mf_store_f32(float *y, int32_t n, mf_vf v, mf_vf lo, mf_vf hi) {
  v = mf_limitf(v, lo, hi);
  if (n >= 8) {
    mf_storef(y, v);
  } else {
    float last[8];
    int32_t i;
    mf_storef(last, v);
    if (n >= 4) { /* the second half may begin within the first */
      __builtin_memcpy(y, last, 16);
      __builtin_memcpy(y + n - 4, last + n - 4, 16);
    } else {
      for (i = 0; i < n; i++) y[i] = last[i];
    }
  }
}

#endif
