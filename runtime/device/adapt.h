/* Training on the device, on top of the int8 forward pass. This text ships in generated code.
 *
 * What adapts are 32-bit words in the caller's memory, behind a head of settings:
 *
 *   | mf_adapt_state | last: w [n][k], bias [n] | affine 1: (gain [c],) offset [c] | affine 2 ... | work, words  |
 *                    |<------------------- words, what is saved ------------------------------->|
 *
 *   last    the layer that gives the logits. w: codes of its weights in Q16, bias: of its sums in Q8. So a run computes on
 *           integers alone, and a state that has learned nothing gives the bytes of the model without one.
 *   affine  of a layer of int8 outputs: y = zero + gain * (y - zero) + offset for each channel, in Q24; offset in codes; gain 1
 *           where it has none. The layer's kernel and its weights in flash stay as they are: a row is changed right behind
 *           the kernel.
 *   weights of layers before the last (mf_adapt_weights), as its own, in front of the layer's affine.
 *   adapter of low rank (mf_adapt_adapter), in front of the layer's affine, with whose offset it is one: adapt_adapter.c.
 *
 * A step runs the model, then goes back from the logits:
 *
 *   logits -> softmax, cross-entropy -> last -> [pool, copy, Add, convolution ...], last first -> until no affine is left
 *
 * Of what a run computes the way back reads few bits of each layer: whether a code was at a limit of its activation (mf_adapt_mask),
 * which tap of a pool was the largest (mf_adapt_where). They are taken right behind, or before, the layer's kernel and stay in the arena,
 * as does more where more learns: what an adapter's V gave, a number for each rank and pixel; all codes of outputs that have gains; all codes of
 * inputs of weights that learn, and of the last layer. Gradients are block floating point (adapt_grad.h), in the arena too. Only integers, and +, -, *,
 * / and conversions of float: compiled without contraction (-ffp-contract=off) the same step gives the same bytes on every
 * machine.
 */
#ifndef MF_ADAPT_H
#define MF_ADAPT_H

#include "runtime/kernels/requantize.h"

#ifndef MISTIFY_ADAPT
#define MISTIFY_ADAPT 1 /* version of these types */
/* How far a step goes: parameters move by rate * gradient. */
typedef struct mistify_rates {
  float last;   /* weights and biases of the last layer */
  float offset; /* biases of the other ones; 0: they stay */
  float gain;   /* their multipliers, weights or adapters; 0: they stay */
  float clip;   /* largest norm of a layer's gradient, longer ones are shortened; 0: none */
} mistify_rates;

/* Where a state is kept: two slots of `slot` bytes each, one behind the other from offset 0. Each function returns 0 where
 * it is done. erase is called before a slot is written anew; NULL where the memory needs none. Offsets and lengths are
 * multiples of 4, of writes and slots of 32, and nothing is written twice; slots of flash begin at a sector. What a power cut
 * left half written (flash with error correction) is to be read as any bytes, without a fault: a save does not touch storage
 * of which a slot cannot be read. */
typedef struct mistify_storage {
  void *ctx;
  uint32_t slot; /* NAME_ADAPT_SLOT_SIZE or more */
  int (*read)(void *ctx, uint32_t offset, void *data, uint32_t n);
  int (*write)(void *ctx, uint32_t offset, const void *data, uint32_t n);
  int (*erase)(void *ctx, uint32_t offset, uint32_t n);
} mistify_storage;
#endif

enum { MF_ADAPT_ONE = 1 << 24 }; /* gain 1, an offset of one code */
enum { MF_ADAPT_NOWHERE = 255 };
enum { MF_ADAPTER_RANKS = 8, MF_ADAPTER_CHANNELS = 1 << 14 }; /* largest rank; most channels of a layer */
enum { MF_ADAPT_HEAD = 64, MF_ADAPT_UNIT = 32 }; /* bytes: of a slot's head; what is written is a multiple */

/* What a step returns in place of a loss, and other functions as an int. */
enum {
  MF_ADAPT_UNBOUND = -1, /* no state is bound */
  MF_ADAPT_LABEL = -2,   /* no such class */
  MF_ADAPT_STORAGE = -3, /* a callback reported a fault, or a slot is too small */
  MF_ADAPT_EMPTY = -4,   /* no slot holds a state of this model */
  MF_ADAPT_UNSURE = -5   /* the model is not sure enough of its own label */
};

/* At the beginning of the caller's memory. */
typedef struct mf_adapt_state {
  mistify_rates rates;
  uint32_t steps, saves; /* steps since the reset; number of the save that it came from or went to */
} mf_adapt_state;

/* The last layer: x [k] -> logits [n], codes. */
typedef struct mf_adapt_last {
  int32_t k, n, w_out;
  int32_t in_zero, out_zero, lo, hi, per_channel;
  const int8_t *w;
  const int32_t *bias; /* may be NULL */
  const int32_t *mult;
  const int8_t *shift;
  const float *w_scale; /* [n], real value of a code of w */
  float in_scale, out_scale;
} mf_adapt_last;

/* An affine: words offset [c] from `word` on, before them gain [c] where it has gains. Codes of its outputs are limited to
 * lo .. hi; lifts: lo is where an activation begins that has no upper limit of its own (hi is int8's). */
typedef struct mf_adapt_affine {
  int32_t word, c, zero, lo, hi, gains, lifts;
  float scale;
} mf_adapt_affine;

/* Where a gradient lies: bytes into the arena of pixels * c mantissas, behind which are exponents (adapt_grad.h); at -1: nobody
 * asks. first: nothing was added to it yet. */
typedef struct mf_adapt_place {
  int32_t at, pixels, c, first;
} mf_adapt_place;

struct mf_adapt_weights;
struct mf_adapt_adapter;
typedef struct mf_grad mf_grad; /* adapt_grad.h */
/* A layer on the way back. */
enum {
  MF_BACK_CONV,
  MF_BACK_DEPTHWISE,
  MF_BACK_ADD,
  MF_BACK_COPY,
  MF_BACK_AVERAGE,
  MF_BACK_MAX,
  MF_BACK_MEAN,
  MF_BACK_CLIP
};
typedef struct mf_adapt_back {
  int32_t kind;
  mf_adapt_place dy, dx, dx2; /* dx2: of an Add's second summand */
  int32_t y, bits, x;     /* codes of y, its mask (of MF_BACK_MAX: mf_adapt_where's), codes of x: bytes into
                                 the arena; -1: not kept */
  int32_t limited;        /* whether y has limits of an activation, where codes are kept */
  int32_t sign2;          /* of an Add's second summand */
  int32_t x_from, y_from; /* copy: first element of its views */
  const mf_adapt_affine *affine; /* of y; NULL */
  const void *params;            /* mf_adapt_conv, mf_copy, mf_pool_s8, mf_mean; NULL */
  /* Weights that learn, and how: from y's gradient and codes of x; NULL */
  const struct mf_adapt_weights *weights;
  void (*learn)(const struct mf_adapt_weights *p, mf_adapt_state *s, const mf_grad *dy, const int8_t *x,
                int32_t *acc);
  /* An adapter, what it held of the run (bytes into the arena), and its step; then affine is NULL: it has its own. */
  const struct mf_adapt_adapter *adapter;
  int32_t held;
  void (*adapt)(const struct mf_adapt_adapter *p, mf_adapt_state *s, const void *held,
                const unsigned char *mask, const mf_grad *dy, int32_t before, int32_t *acc, float *work);
} mf_adapt_back;

/* Of a convolution or, as one of which the window is the image, a FullyConnected: weights as the graph has them, [o][tap][i] by
 * w_out and w_tap. A product of a gradient and a weight's scale has `bits` bits, so that sums of it with weights have 29. */
typedef struct mf_adapt_conv {
  mf_window g;
  int32_t groups, w_tap, w_out, bits, scale_e;
  const int8_t *w;
  const int16_t *w_scale; /* [out_c], * 2^scale_e */
} mf_adapt_conv;

/* Weights that learn: words w [o][tap][i] from `word` on, codes in Q16. bias may be NULL. */
typedef struct mf_adapt_weights {
  int32_t word, in_zero, out_zero, lo, hi, per_channel;
  const mf_adapt_conv *conv;
  const int32_t *bias, *mult;
  const int8_t *shift;
  const float *w_scale; /* [out_c], real value of a code */
  float in_scale;
} mf_adapt_weights;

/* An adapter: words U [c][rank] from `word` on in Q24 times 2^-down, signs [c][rank] 1 or -1. Sums of codes with signs fit 16 bits
 * times 2^-fit. */
typedef struct mf_adapt_adapter {
  int32_t word, rank, fit, down;
  const int8_t *signs;
  const mf_adapt_affine *affine;
} mf_adapt_adapter;

typedef struct mf_adapt_model {
  const mf_adapt_last *last;
  int32_t x, logits; /* codes, bytes into the arena */
  mf_adapt_place dx; /* gradient of the last layer's x */
  const mf_adapt_affine *affine;
  const mf_adapt_back *back; /* in the order of the way back */
  int32_t n_affine, n_back;
  int32_t words, work,
      most;            /* of the state: 32-bit words, those of working memory behind them; its first: a sum of
                                so many channels */
  uint32_t content[2]; /* hash of the model and of what adapts */
  mistify_rates rates; /* of a new state */
  void (*forget)(mf_adapt_state *s); /* mf_adapt_reset, and mf_adapt_reset_weights of all that learn */
} mf_adapt_model;

/* The words behind a state's head; and its working memory. */
MF_HELPER int32_t *mf_adapt_words(mf_adapt_state *s) { return (int32_t *)(void *)(s + 1); }
MF_HELPER int32_t *mf_adapt_sum(const mf_adapt_model *m, mf_adapt_state *s) {
  return mf_adapt_words(s) + m->words;
}
MF_HELPER float *mf_adapt_work(const mf_adapt_model *m, mf_adapt_state *s) {
  return (float *)(void *)(mf_adapt_sum(m, s) + m->most);
}
/* An affine's words; gain: NULL where it has none. */
MF_HELPER const int32_t *mf_adapt_gain(const mf_adapt_affine *p, const int32_t *words) {
  return p->gains ? words + p->word : NULL;
}
MF_HELPER const int32_t *mf_adapt_offset(const mf_adapt_affine *p, const int32_t *words) {
  return words + p->word + (p->gains ? p->c : 0);
}
/* What an offset in Q24 adds to a code. */
MF_HELPER int32_t mf_adapt_codes(int32_t offset) { return (offset + (MF_ADAPT_ONE >> 1)) >> 24; }
/* Bit i of a mask. */
MF_HELPER int32_t mf_adapt_bit(const unsigned char *mask, int32_t i) { return mask[i >> 3] >> (i & 7) & 1; }
MF_HELPER void mf_adapt_put_bit(unsigned char *mask, int32_t i, int32_t bit) {
  const int32_t at = i & 7;
  mask[i >> 3] = (unsigned char)((mask[i >> 3] & ~(1 << at)) | bit << at);
}
/* What a slot must hold. */
MF_HELPER uint32_t mf_adapt_slot_bytes(int32_t words) {
  return MF_ADAPT_HEAD + (4 * (uint32_t)words + MF_ADAPT_UNIT - 1) / MF_ADAPT_UNIT * MF_ADAPT_UNIT;
}

/* -- adapt_run.c -- */
/* sum * 2^-16, rounded, by a multiplier; saturated. */
MF_HELPER int32_t mf_adapt_requantize(int64_t sum, int32_t mult, int32_t shift) {
  const int32_t most = INT32_MAX >> (shift > 0 ? shift : 0); /* what is more would wrap in mf_requantize */
  sum = (sum + 32768) >> 16;
  return mf_requantize(sum > most ? most : sum < -most - 1 ? -most - 1 : (int32_t)sum, mult, shift);
}
/* As if nothing was learned, but for weights; rates stay. */
MF_KERNEL void mf_adapt_reset(const mf_adapt_model *m, mf_adapt_state *s);
/* The last layer by its words. x [k], y [n], codes. */
MF_KERNEL void mf_adapt_run_last(const mf_adapt_last *p, const int32_t *words, const int8_t *x, int8_t *y);
/* Rows y0 .. y1-1 of a layer's output, of n elements each, channels innermost. mask: bit r * n + i of row r is 1 where a code is
 * within its limits, before and after (written); NULL. */
MF_KERNEL void mf_adapt_run_affine(const mf_adapt_affine *p, const int32_t *words, const mf_view *out,
                                   int32_t n, int32_t y0, int32_t y1, unsigned char *mask);

/* -- adapt_weights.c -- */
/* Words as if nothing was learned; rows y0 .. y1-1 of the layer by them; they move by rates.gain against the gradient (acc: a sum
 * for the channels of x). */
MF_KERNEL void mf_adapt_reset_weights(const mf_adapt_weights *p, int32_t *words);
MF_KERNEL void mf_adapt_run_weights(const mf_adapt_weights *p, const int32_t *words, const mf_view *in,
                                    const mf_view *out, int32_t y0, int32_t y1);
MF_KERNEL void mf_adapt_step_weights(const mf_adapt_weights *p, mf_adapt_state *s, const mf_grad *dy,
                                     const int8_t *x, int32_t *acc);

/* -- adapt_adapter.c -- */
/* As mf_adapt_run_affine; held: int16_t [all pixels of the layer][rank], of these rows what the step wants (written). */
MF_KERNEL void mf_adapt_run_adapter(const mf_adapt_adapter *p, const int32_t *words, const mf_view *out,
                                    int32_t n, int32_t y0, int32_t y1, void *held, unsigned char *mask);
/* Adapter and offset move against the gradient dy; dy becomes that of what stood before them where `before` asks for it, but for
 * what the mask holds. A mask has one bit for both sides: of a code that was alive and that the adapter itself took to a limit the
 * caller drops what V gives back to it, which is left out for the bit that it would take. acc: a sum for the channels of y, work [1 + rank][c]. */
MF_KERNEL void mf_adapt_step_adapter(const mf_adapt_adapter *p, mf_adapt_state *s, const void *held,
                                     const unsigned char *mask, const mf_grad *dy, int32_t before,
                                     int32_t *acc, float *work);

/* -- adapt_mask.c -- */
/* The mask of rows that have no affine. */
MF_KERNEL void mf_adapt_mask(int32_t lo, int32_t hi, const mf_view *out, int32_t n, int32_t y0, int32_t y1,
                             unsigned char *mask);
/* Of each element of a MaxPool's rows y0 .. y1-1 the tap ky * k_w + kx that is the first of the largest, from its input;
 * MF_ADAPT_NOWHERE where that is not between lo and hi. */
MF_KERNEL void mf_adapt_where(const mf_pool_s8 *p, int32_t lo, int32_t hi, const mf_view *in, int32_t y0,
                              int32_t y1, unsigned char *where);

/* -- adapt_step.c -- */
/* Loss of the logits (codes) against the label, natural logarithm; dl [n]: its gradient by the real logits (written). */
MF_KERNEL float mf_adapt_loss(const mf_adapt_last *p, const int8_t *logits, int32_t label, float *dl);
/* The class of the largest logit where its probability is `least` or more; -1: it is not. */
MF_KERNEL int32_t mf_adapt_own_label(const mf_adapt_last *p, const int8_t *logits, float least);
/* One step of the last layer from its input's codes. */
MF_KERNEL void mf_adapt_step_last(const mf_adapt_last *p, mf_adapt_state *s, const int8_t *x,
                                  const float *dl);
/* The way back after a run with its input in arena a. Returns the loss before the step. */
MF_KERNEL float mf_adapt_step(const mf_adapt_model *m, mf_adapt_state *s, unsigned char *a, int32_t label);
/* The same of the last layer alone, from features: its input's codes as a run left them. */
MF_KERNEL float mf_adapt_step_features(const mf_adapt_model *m, mf_adapt_state *s, const int8_t *x,
                                       int32_t label);

/* -- adapt_back.c -- */
/* The gradient of the last layer's x by that of its logits. */
MF_KERNEL void mf_adapt_back_last(const mf_adapt_model *m, mf_adapt_state *s, unsigned char *a,
                                  const float *dl);
MF_KERNEL void mf_adapt_back_layer(const mf_adapt_back *b, const mf_adapt_model *m, mf_adapt_state *s,
                                   unsigned char *a);

/* -- adapt_store.c -- */
MF_KERNEL int mf_adapt_save(const mf_adapt_model *m, mf_adapt_state *s, const mistify_storage *to);
MF_KERNEL int mf_adapt_load(const mf_adapt_model *m, mf_adapt_state *s, const mistify_storage *from);

#endif
