/* Cost tables: what kernels cost on a target. One table per target, in backend/targets/NAME/, written by
 * mistify calibrate (backend/calibrate/) from emulator counts and the linker's sizes; never by hand. Cycles: instructions weighted by
 * the documented cycles of their classes on Cortex-M, plain instructions elsewhere.
 *
 *   cycles of a layer = per_call * calls + per_row * rows + per_out * outs + per_tap * taps + per_mac * macs
 *                       + per_rest * rest + per_line * lines + per_move * moves
 *
 * The features are exact counts of what a kernel's loops do (call_work): border taps that fall outside the image are
 * not counted, runs of contiguous taps count as one. A layer that is computed row by row is as many calls, and its
 * kernel may group pixels otherwise than over the whole image.
 */
#ifndef BACKEND_COSTS_H
#define BACKEND_COSTS_H

#include <stdint.h>

#include "backend/backend.h"

/* Of generic kernels. rows: pixels, or lines of a strided loop. outs: elements written. taps: inner loops entered. macs:
 * innermost steps in whole blocks, as vectors take them; rest: those that are left over. lines: of windows, entered. moves:
 * none. Kernels of sets have their own (backend/work_sets.c, backend/work_x86.c). */
#define WORK_FEATURES(X) X(call) X(row) X(out) X(tap) X(mac) X(rest) X(line) X(move)
enum {
#define X(name) WORK_##name,
  WORK_FEATURES(X)
#undef X
      WORK_COUNT
};

typedef struct CallWork {
  double v[WORK_COUNT];
} CallWork;

/* Bytes of code. A kernel that is called once is smaller: the compiler makes the call's shapes part of the code.
 * ram: data of the C library's functions (errno), which all kernels that need them share. copy: of each of several calls,
 * where the compiler makes one of the kernel for each (-O3, as long as the program is small); 0: it makes none. shared:
 * what the first kernel of its family (int8, or float32) brings beside, for all: helpers, the compiler's run time. */
typedef struct SizeCost {
  int32_t many, once, ram, copy, shared;
} SizeCost;

typedef struct KernelCost {
  const char *kernel, *set; /* set: the kernel's tag */
  SizeCost size; /* code with tables: what the kernel adds to a program of its family (int8, or float32) */
  double per[WORK_COUNT];
} KernelCost;

typedef struct TargetCosts {
  const char *origin;    /* compiler and emulator that the figures come from */
  int32_t pointer;       /* bytes */
  int32_t base_code;     /* bytes of code of a model without layers */
  int32_t code_per_call; /* bytes of NAME_run per kernel call */
  int32_t code_per_turn; /* more of them where a layer is computed row by row */
  int32_t code_per_io;   /* of an input and an output beyond the first ones */
  /* What the first int8, the first float32 kernel brings for all, where its row does not say more. */
  int32_t int8_shared, float_shared;
  /* Kernels' code in all up to which the compiler makes copies of them, for each call its own. */
  int32_t copies_most;
  double base_cycles;     /* of an inference without layers */
  double cycles_per_call; /* of NAME_run per kernel call */
  const KernelCost *kernels;
  int n_kernels;
} TargetCosts;

/* The features of a layer's call, or of its calls where it is computed row by row; all batch items together. */
CallWork call_work(const Graph *g, const KernelCall *k, bool by_rows);

/* -- backend/work_sets.c: of kernels that work otherwise than the generic ones; false: as the generic one -- */
bool set_work(const Graph *g, const KernelCall *k, bool by_rows, CallWork *out);

/* -- backend/work_x86.c: of the kernels of one set; block: elements of a vector, or channels at a time -- */
CallWork work_x86_conv_s8(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_conv_f32(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_winograd_s8(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_winograd_f32(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_depthwise_s8(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_depthwise_f32(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_fc_s8(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_fc_f32(const Graph *g, const KernelCall *k, int block);
CallWork work_x86_add_s8(const Graph *g, const KernelCall *k, int block);

/* -- backend/cost.c -- */
/* The kernel's row; NULL: the table has none. */
const KernelCost *kernel_cost(const TargetCosts *t, const KernelDef *k);
double kernel_cycles(const KernelCost *cost, const CallWork *w);
/* Bytes of a params struct on a machine with such pointers. */
int64_t params_bytes(const ParamsDesc *desc, int32_t pointer);
/* Estimated cycles of one call of a plan. */
double call_cycles(const TargetCosts *t, const Graph *g, const KernelCall *k, bool by_rows);
/* How many layers of the plan are computed row by row. */
int plan_turns(const Calls *calls, const MemoryPlan *plan);
/* Estimated cycles of an inference: calls that have their kernels, by their plan. */
double plan_cycles(const TargetCosts *t, const Graph *g, const Calls *calls, const MemoryPlan *plan);
/* Flash of calls that have their kernels: constants (bytes of the pool), `turns` of them computed row by row. Sets flash and
 * flash_weights. g: its inputs and outputs. */
void cost_flash(const Graph *g, const Calls *calls, int64_t constants, int turns, const TargetCosts *t,
                Cost *out);
/* Their RAM: arena, the context's bytes, what the C library keeps. */
int64_t cost_ram(const Calls *calls, int64_t arena, int64_t context, const TargetCosts *t);

#endif
