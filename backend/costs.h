/* Cost tables: what a kernel costs on a target. One table per target, in backend/targets/NAME/, written by
 * bench/calibrate_costs.c from emulator counts and the real compiler's sizes; never by hand.
 *
 *   instructions of a call = per_call + per_row * rows + per_out * outputs + per_tap * taps + per_mac * macs
 *
 * (all per batch item; outputs: elements written; taps: outputs times window positions, or elements read by reductions)
 */
#ifndef BACKEND_COSTS_H
#define BACKEND_COSTS_H

#include <stdint.h>

#include "ir/lower.h"

typedef struct KernelCost {
  const char *kernel, *set;
  int32_t code; /* bytes of code and tables of its own that the kernel adds to a firmware */
  float per_call, per_row, per_out, per_tap, per_mac;
} KernelCost;

typedef struct TargetCosts {
  int32_t base_code; /* bytes: NAME_init, NAME_run's frame, accessors */
  int32_t
      code_per_call; /* bytes of NAME_run and of the params struct beside its constants, per kernel call */
  const KernelCost *kernels;
  int n_kernels;
  const char *origin; /* compiler and emulator that the figures come from */
} TargetCosts;

/* The features of a call that the instruction estimate is linear in. */
typedef struct CallWork {
  double calls, rows, outs, taps, macs;
} CallWork;
CallWork call_work(const Graph *g, const KernelCall *k);

#endif
