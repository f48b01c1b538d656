/* Adaptation on the device in emitted code (runtime/device/adapt.h): what adapts, the way back to it, and where its codes and
 * gradients lie.
 *
 *   adapt_find.c   the last layer, and the layers that a gradient reaches from it
 *   adapt_place.c  how many of them adapt within the memory; masks and gradients in the arena
 *   adapt_cost.c   what a run takes more
 *   adapt_tables.c constants and tables
 *   adapt_c.c      what a run does more, functions, declarations
 */
#ifndef BACKEND_EMIT_ADAPT_C_H
#define BACKEND_EMIT_ADAPT_C_H

#include "backend/emit/emit.h"
#include "runtime/device/adapt.h"

/* What a layer whose weights learn has beside them: pool indices. */
typedef struct AdaptCodes {
  int scale, bias, mult, shift; /* scale: of a weight; bias -1: none */
} AdaptCodes;

/* One layer on the way back: mf_adapt_back. Values are roots of their storage. */
typedef struct AdaptStep {
  const KernelCall *k; /* as lowered */
  int kind;            /* MF_BACK_... */
  ValId y, x[2];       /* NO_VAL: none */
  int32_t lo, hi;      /* of y */
  bool limited;        /* by an activation: codes that are lo or hi have no gradient */
  bool lifts;          /* of an activation without an upper limit of its own: mf_adapt_affine */
  bool minus;          /* of a Sub's second summand */
  bool affine;         /* could have one */
  int number;          /* of its affine; -1: none */
  int word;            /* of its affine */
  int adapter;         /* number of its adapter; -1: none */
  int adapter_word;    /* of its adapter */
  bool active;         /* adapts, or one before it does */
  bool dx[2], first[2];
  bool keep_y;        /* codes of y are kept */
  int64_t bits, held; /* bytes of its mask or taps, and of what its adapter holds in front of them; 0: none */
  int64_t at;         /* where these lie in the arena */
  int w, w_scale;     /* pool indices */
  bool learns;        /* its weights do: words from weights_word on, number `learner` of them; x is kept */
  int weights_word, learner;
  AdaptCodes codes;    /* of weights that learn */
  int32_t w_bits, w_e; /* mf_adapt_conv's bits and scale_e */
} AdaptStep;

typedef struct AdaptEmit {
  Calls calls; /* as lowered, in the graph's order */
  const KernelCall *last;
  ValId x, logits;
  int64_t k, n; /* of the last layer */
  AdaptStep *step;
  int n_steps, n_affines;    /* affines: those that could be */
  int chosen;                /* affines that adapt: the nearest to the logits */
  ValId *same;               /* by value: the one in whose place its gradient is; itself */
  int64_t *gradient;         /* by value: bytes into the arena; -1: none */
  int64_t words, work, most; /* of the state */
  bool gains;                /* affines have them */
  int rank;                  /* of adapters; 0: there are none */
  int adapters, narrow;      /* affines that have one; of these, with fewer channels than rank */
  int learning;              /* layers whose weights learn */
  bool turns;                /* layers go row by row for it */
  int64_t arena_without;     /* bytes of the arena without adaptation */
  int w;                     /* pool index of the last layer's */
  AdaptCodes codes;
  const char *ends; /* at what the way back ends; NULL: at the input */
  int beyond;       /* layers behind that, whose gradient would be a part of theirs */
  Hash content;
} AdaptEmit;

/* Layers within reach, into e->adapt. */
bool emit_adapt_find(Emit *e);
/* Channels of a value: of one pixel. */
int64_t emit_adapt_channels(const Emit *e, ValId root);
int64_t emit_adapt_elements(const Emit *e, ValId root);
/* The call of e->calls that makes the layer's output. */
int32_t emit_adapt_call(const Emit *e, const AdaptStep *s);
static inline bool adapt_step_is_conv(const AdaptStep *s) {
  return s->kind == MF_BACK_CONV || s->kind == MF_BACK_DEPTHWISE;
}
/* The first `chosen` affines adapt: which steps are made, who needs a gradient. */
void emit_adapt_choose(Emit *e, int chosen);
/* Lower, select and plan with what adapts, as much of it as the memory allows. */
bool emit_adapt_plan(Emit *e);
/* Its constants, behind all others of the pool. */
void emit_adapt_collect(Emit *e);
/* V's of adapters of so many channels, row by row of U: 1 or -1. */
const int8_t *emit_adapt_signs(Arena *a, int64_t channels, int rank);
/* mf_adapt_adapter's fit and down of c channels: together the root of them. */
void emit_adapt_shifts(int64_t c, int *fit, int *down);
int64_t emit_adapt_state_bytes(const AdaptEmit *ad);
/* Instructions that a run takes more where a state is bound. */
int64_t emit_adapt_learned(const Emit *e);
/* Of a run by its plan, as backend_cost counts: where none is. */
int64_t emit_adapt_cycles(const Emit *e);

#endif
