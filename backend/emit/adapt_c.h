/* Adaptation on the device in emitted code (runtime/device/adapt.h): what adapts, the way back to it, and where its codes and
 * gradients lie.
 *
 *   adapt_find.c   the last layer, and the layers that a gradient reaches from it
 *   adapt_place.c  how many of them adapt within the memory; codes that are kept, gradients in the arena
 *   adapt_c.c      tables, functions, declarations
 */
#ifndef BACKEND_EMIT_ADAPT_C_H
#define BACKEND_EMIT_ADAPT_C_H

#include "backend/emit/emit.h"
#include "runtime/device/adapt.h"

/* One layer on the way back: mf_adapt_back. Values are roots of their storage. */
typedef struct AdaptStep {
  const KernelCall *k; /* as lowered */
  int kind;            /* MF_BACK_..., NO_WAY: its gradient ends here */
  ValId y, x[2];       /* NO_VAL: none */
  int32_t lo, hi;      /* lo > hi: y has no limits to look at */
  bool keep_x, keep_y; /* whether it reads the codes */
  bool affine;         /* could have one */
  int number;          /* of its affine; -1: none */
  int word;            /* of its affine */
  bool active;         /* adapts, or one before it does */
  bool dx[2], first[2];
  int w, w_scale; /* pool indices */
} AdaptStep;

typedef struct AdaptEmit {
  Calls calls; /* as lowered, in the graph's order */
  const KernelCall *last;
  ValId x, logits;
  int64_t k, n; /* of the last layer */
  AdaptStep *step;
  int n_steps, n_affines;            /* affines: those that could be */
  int chosen;                        /* affines that adapt: the nearest to the logits */
  ValId *same;                       /* by value: the one in whose place its gradient is; itself */
  int64_t *gradient;                 /* by value: bytes into the arena; -1: none */
  int64_t words, work;               /* of the state */
  int64_t arena_without;             /* bytes of the arena without adaptation */
  int bias, mult, shift, w, w_scale; /* pool indices of the last layer's */
  const char *ends;                  /* at what the way back ends; NULL: at the input */
  int beyond;                        /* layers behind that, whose gradient would be a part of theirs */
  Hash content;
} AdaptEmit;

/* Layers within reach, into e->adapt. */
bool emit_adapt_find(Emit *e);
/* The first `chosen` affines adapt: which steps are made, who needs a gradient. */
void emit_adapt_choose(Emit *e, int chosen);
/* Lower, select and plan with what adapts, as much of it as the memory allows. */
bool emit_adapt_plan(Emit *e);
/* Its constants, behind all others of the pool. */
void emit_adapt_collect(Emit *e);
int64_t emit_adapt_state_bytes(const AdaptEmit *ad);

#endif
