/* What the kernels for x86-64 share: lines of an image widened to int16, codes of a pixel's channels put out. The vectors
 * are those of the set's header, avx2/avx2.h or sse41/sse41.h, which a kernel includes first; so each kernel is written once.
 */
#ifndef MF_X86_KERNELS_H
#define MF_X86_KERNELS_H

enum { MF_LINE_SLACK = 32 }; /* elements behind a line that may be read */

/* The lines of a window over an image, widened: a ring of `span` lines of `size` elements, columns -pad_left and on,
 * everything outside the image as the input's zero point. */
typedef struct mf_lines {
  int16_t *room;
  int32_t size, span, next; /* next: lines before it are there */
} mf_lines;

/* n elements or up to 15 more. */
MF_X86_INLINE void mf_fill16(int16_t *to, int32_t n, mf_v value) {
  int32_t i;
  for (i = 0; i < n; i += 16) mf_store8i(to + i, value);
}

MF_X86_INLINE void mf_widen(int16_t *to, const int8_t *x, int32_t n) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) mf_store8i(to + i, mf_widen16(x + i));
  if (i < n && n >= 16)
    mf_store8i(to + n - 16, mf_widen16(x + n - 16));
  else
    for (; i < n; i++) to[i] = x[i];
}

MF_HELPER int32_t mf_ring_slot(int32_t line, int32_t span) {
  const int32_t rest = line % span;
  return rest < 0 ? rest + span : rest;
}

MF_HELPER mf_lines mf_lines_of(const mf_window *g, void *scratch) {
  mf_lines l;
  l.room = (int16_t *)scratch;
  l.size = ((g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w + 1) * g->in_c + MF_LINE_SLACK;
  l.span = (g->k_h - 1) * g->dil_h + 1;
  l.next = INT32_MIN;
  return l;
}

/* Make the lines of output row y be there. */
MF_X86_INLINE void mf_lines_load(mf_lines *l, const mf_window *g, const mf_view *in, int32_t zero,
                                 int32_t y) {
  const int32_t top = y * g->stride_h - g->pad_top, end = top + l->span;
  const int32_t left = g->pad_left * g->in_c, all = l->size - MF_LINE_SLACK;
  const int32_t n = all - left < g->in_w * g->in_c ? all - left : g->in_w * g->in_c;
  const mf_v zeros = mf_set16(zero);
  int32_t iy;
  for (iy = l->next > top ? l->next : top; iy < end; iy++) {
    int16_t *line = l->room + (ptrdiff_t)mf_ring_slot(iy, l->span) * l->size;
    if (iy < 0 || iy >= g->in_h || n <= 0) {
      mf_fill16(line, l->size - 15, zeros);
      mf_store8i(line + l->size - 16, zeros);
      continue;
    }
    mf_fill16(line, left, zeros);
    mf_widen(line + left, (const int8_t *)mf_row(in, iy), n);
    mf_fill16(line + left + n, l->size - left - n - 15, zeros);
    mf_store8i(line + l->size - 16, zeros);
  }
  l->next = end;
}

/* How many rows of a convolution of single pixels may be taken as one line, as many as stay in the first-level cache:
 * narrow images so fill the registers. 1: each is its own. */
MF_HELPER int32_t mf_flat_rows(const mf_window *g) {
  const int32_t rows = 4096 / (g->in_w * g->in_c);
  if (g->k_h != 1 || g->k_w != 1 || g->stride_h != 1 || g->stride_w != 1 || g->pad_top || g->pad_left)
    return 1;
  if (g->in_w != g->out_w || g->out_h > g->in_h) return 1;
  return rows < 1 ? 1 : rows < g->out_h ? rows : g->out_h;
}

/* The same, where the rows of these views follow one another in memory; elem: bytes of an element. */
MF_HELPER int32_t mf_rows_at_once(const mf_window *g, const mf_view *in, const mf_view *out, int32_t elem) {
  if (in->ring || out->ring || in->row != g->in_w * g->in_c * elem || out->row != g->out_w * g->out_c * elem)
    return 1;
  return mf_flat_rows(g);
}

/* The taps of a window as runs of pairs of inputs: `rows` lines `dil` slots apart, in each `runs` runs `apart` elements
 * apart. A run of odd length ends with a pair whose second weight is 0. */
typedef struct mf_pairs {
  const int16_t *room;
  int32_t size, span, slot;                    /* slot: of the first line */
  int32_t rows, dil, runs, apart, pairs, step; /* step: elements from pixel to pixel */
} mf_pairs;

/* Channels come in units of eight. Of two units that make a block of 16 channels, the first holds 0 .. 3 and 8 .. 11, the
 * second 4 .. 7 and 12 .. 15: the order that packing undoes. */

/* The first n of 16 codes to y. */
MF_X86_INLINE void mf_store_some(int8_t *y, int32_t n, __m128i c) {
  if (n >= 16) {
    _mm_storeu_si128((__m128i *)(void *)y, c);
  } else {
    int8_t last[16];
    int32_t i;
    _mm_storeu_si128((__m128i *)(void *)last, c);
    if (n >= 8) { /* the second half may begin within the first */
      __builtin_memcpy(y, last, 8);
      __builtin_memcpy(y + n - 8, last + n - 8, 8);
    } else if (n >= 4) {
      __builtin_memcpy(y, last, 4);
      __builtin_memcpy(y + n - 4, last + n - 4, 4);
    } else {
      for (i = 0; i < n; i++) y[i] = last[i];
    }
  }
}

/* 16 channels of a pixel as int16. */
MF_X86_INLINE mf_v mf_codes16(mf_v first, mf_v second, const int32_t *q, int32_t positive) {
  return mf_pack32(mf_codes8(first, q, positive), mf_codes8(second, q + MF_Q8, positive));
}

/* A block's channels, the first n of them there, of one pixel and of two. */
MF_X86_INLINE void mf_put_pixel(int8_t *y, int32_t n, const mf_v *sum, const int32_t *q, const mf_limits *l,
                                int32_t positive) {
  mf_store_some(y, n, mf_limit16(mf_pack16(mf_codes16(sum[0], sum[1], q, positive)), l));
}

MF_X86_INLINE void mf_put_two(int8_t *y, int32_t next, int32_t n, const mf_v *sum, const int32_t *q,
                              const mf_limits *l, int32_t positive) {
  const mf_v c =
      mf_limit_two(mf_codes16(sum[0], sum[1], q, positive), mf_codes16(sum[2], sum[3], q, positive), l);
  mf_store_some(y, n, mf_first(c));
  mf_store_some(y + next, n, mf_second(c));
}

/* The same for n pixels, an even number of them or one. */
MF_X86_INLINE void mf_put_pixels(int8_t *y, int32_t next, int32_t n, int32_t left, const mf_v *sum,
                                 const int32_t *q, const mf_limits *l, int32_t positive) {
  if (n == 1) mf_put_pixel(y, left, sum, q, l, positive);
  if (n > 1) mf_put_two(y, next, left, sum, q, l, positive);
  if (n > 2) mf_put_two(y + 2 * next, next, left, sum + 4, q, l, positive);
}

/* A lone unit's eight channels, the first `left` of them there, of two pixels. */
MF_X86_INLINE void mf_put_two8(int8_t *y, int32_t next, int32_t n, int32_t left, const mf_v *sum,
                               const int32_t *q, const mf_limits *l, int32_t positive) {
  const mf_v c = mf_pack32(mf_codes8(sum[0], q, positive), mf_codes8(sum[n - 1], q, positive));
  const __m128i codes = mf_limit16(mf_pack16(mf_straighten(c)), l);
  if (left == 8) {
    _mm_storel_epi64((__m128i *)(void *)y, codes);
    if (n > 1) _mm_storel_epi64((__m128i *)(void *)(y + next), _mm_unpackhi_epi64(codes, codes));
  } else {
    mf_store_some(y, left, codes);
    if (n > 1) mf_store_some(y + next, left, _mm_unpackhi_epi64(codes, codes));
  }
}

#endif
