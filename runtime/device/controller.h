/* Which variant to run now: from a deadline, an energy budget, measured times and the confidence of outputs.
 * This text ships in generated code: integers of 32 bits, no division, no allocation, no globals, some hundred
 * instructions an inference.
 *
 *   IDLE --begin(budget)--> RUNNING v --end(confidence)--> IDLE               the output is there
 *                              ^               |
 *                              +---------------+ unsure: a wider one, if it still fits what is left
 *
 *   for (v = begin(c, &budget); v >= 0; v = end(c, confidence)) run variant v;
 *
 * Times. A clock of the firmware's counts units (any, wrapping at 2^32). Each run gives a sample r of measured : stated
 * cycles; like a round trip of TCP (Jacobson 1988) its mean and mean deviation are kept:
 *     mean += (r - mean) / 8      deviation += (|r - mean| - deviation) / 4      the first r as it is, 1.0 before
 * A variant's corrected cost is its cycles x (mean + slack x deviation): a slow flash or a busy bus makes all of them
 * dearer within a run or two. Fractions have 12 bits; r saturates at 16.
 *
 * Choice ("the best"). Of the variants whose corrected cost and RAM are within the budget, and whose energy x mean is within
 * budget and reserve, the best by mistify_select's rule (accuracy). None is: the cheapest of all, and `tight` says why.
 *
 * Hysteresis. From the variant chosen last one goes at once to a narrower one where it does not fit, but to a better one only
 * where that fits with an eighth to spare, and, under a budget that did not change, for `hold` inferences on end.
 *
 * Energy. With a reserve, income x time fills it up to its size, each run takes its variant's nanojoules out, and an
 * inference may take an eighth of it: over time income is spent, bursts come out of the reserve.
 *
 * Cascade (sure > 0). The best one is the target; a narrower one, `first`, runs before it where both together are within the
 * budget, and its output stands where confidence >= sure. Otherwise the target runs: the widest that fits what is left of
 * the measured time. So a cascade saves time and energy and costs no accuracy beyond what `sure` lets pass. It does not pay
 * where first's cost >= (1 - share of unsure ones) x the target's: then `first` becomes one wider, up to the target, and
 * after 256 inferences the narrowest is tried again.
 *
 * Exits (mistify_controller_exits): a wider variant goes on where a narrower one ended, and costs then the difference of both.
 * A cascade goes from exit to exit, as long as outputs are unsure, up to the target, and costs what the target alone does.
 */
#ifndef MF_CONTROLLER_H
#define MF_CONTROLLER_H

#include "runtime/device/variant.h"

#ifndef MISTIFY_CONTROLLER
#define MISTIFY_CONTROLLER 2 /* version of these types */
/* How a controller is to work; 0 everywhere: by stated costs, budgets alone. Must live as long as the controller. */
typedef struct mistify_control {
  uint32_t (*now)(void *clock); /* units of time, wrapping at 2^32; NULL: times are not measured */
  void *clock;
  uint32_t
      cycles_per_unit; /* 80: a clock of 1 MHz beside a core of 80 MHz; 0 is 1: the clock counts cycles */
  uint32_t sure;       /* confidence from which an output stands; 0: no cascade */
  uint32_t reserve;    /* nanojoules that can be held, some ten inferences' worth; 0: no reserve */
  uint32_t income;     /* nanojoules in 256 units of time, or, without a clock, for each inference */
  uint8_t slack;       /* mean deviations by which a run may take longer than usual (4 is cautious) */
  uint8_t hold;        /* inferences for which a better variant must have fitted */
} mistify_control;

/* Its state: the program's to hold, nothing in it to set. */
typedef struct mistify_controller {
  const mistify_variant *table;
  const mistify_control *how;
  mistify_budget budget;           /* of this inference; time in cycles */
  uint32_t stored;                 /* nanojoules in the reserve */
  uint32_t begun, started, filled; /* times: of the inference, of the run, of the reserve's last filling */
  uint16_t mean, deviation;        /* measured : stated, 4096: 1.0 */
  uint16_t doubt;                  /* share of unsure outputs of `first`, 65536: all */
  uint16_t probe;                  /* inferences since `first` was made wider */
  int8_t n, best, target, running; /* best: chosen last; running -1: none */
  int8_t first;
  uint8_t waited;
  uint8_t measured; /* a run has been measured */
  uint8_t tight;    /* the budget is too small for any variant: bits 1 time, 2 RAM, 4 energy */
  uint8_t exits;    /* a wider variant goes on where a narrower one ended */
  int8_t ran;       /* then: of this inference; -1: none */
} mistify_controller;
#endif

/* Begin with table's n <= 127 variants, widest first, and a full reserve. */
MF_KERNEL void mistify_controller_init(mistify_controller *c, const mistify_variant *table, int32_t n,
                                       const mistify_control *how);

/* The variants are exits of one model. Behind init. */
MF_KERNEL void mistify_controller_exits(mistify_controller *c);

/* An inference begins: the variant to run. budget->time in units of the clock, counted from here. */
MF_KERNEL int32_t mistify_controller_begin(mistify_controller *c, const mistify_budget *budget);

/* The run has ended; confidence is of its output, in the unit of `sure` (any, where there is no cascade). Returns the
 * variant to run next on the same input, or -1: the last output stands. */
MF_KERNEL int32_t mistify_controller_end(mistify_controller *c, uint32_t confidence);

/* What variant v is thought to take now, in cycles. */
MF_KERNEL uint32_t mistify_controller_cost(const mistify_controller *c, int32_t v);

#endif
