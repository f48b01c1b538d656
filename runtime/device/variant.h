/* Variants of one model in one image, and which of them fits a budget. This text ships in generated code.
 *
 * A table of variants has the widest first; a variant's number is its place there. What is measured in cycles is
 * what `mistify verify` reports for the target; a figure of 0 is unknown and limits nothing.
 *
 * What stands between #ifndef MISTIFY_... and its #endif are types for the program: emission prints them into model.h,
 * everything else into model.c.
 */
#ifndef MF_VARIANT_H
#define MF_VARIANT_H

#include "runtime/kernels/kernel.h"

#ifndef MISTIFY_VARIANT
#define MISTIFY_VARIANT 1 /* version of these types */
/* What a variant costs and is worth. 0: unknown. What does not fit 32 bits is 0xffffffff. */
typedef struct mistify_variant {
  uint32_t cycles;       /* of one inference */
  uint32_t ram;          /* bytes of its arena */
  uint32_t nanojoules;   /* of one inference, where the board's file says what a cycle takes */
  uint32_t accuracy_ppm; /* parts per million of the validation split that it gets right */
} mistify_variant;

/* What one inference may take. 0: no limit. */
typedef struct mistify_budget {
  uint32_t time; /* cycles; for NAME_controller_*: units of the firmware's clock */
  uint32_t ram;  /* bytes of arena */
  uint32_t nanojoules;
  uint32_t
      accuracy_ppm; /* this is enough: then the cheapest that has it, or the best there is; 0: the best */
} mistify_budget;
#endif

/* Whether a is to be preferred to b, both within the budget; neither: the wider one. Accuracy beyond `enough` (0: there is
 * no such) counts for nothing. */
MF_HELPER int mf_better(const mistify_variant *a, const mistify_variant *b, uint32_t enough) {
  const int a_does = enough != 0 && a->accuracy_ppm >= enough;
  const int b_does = enough != 0 && b->accuracy_ppm >= enough;
  if (a_does && b_does) return a->cycles < b->cycles;
  return a->accuracy_ppm > b->accuracy_ppm;
}

/* The variant to run: among those within the budget's time, RAM and energy the most accurate one, or, where
 * accuracy_ppm asks for no more, the one of fewest cycles that is as accurate. Of equal ones, the first.
 * Returns its number; -1: none is within the budget. Integers only, no division.
 *
 *   v  [n]  the table, widest first; n >= 1
 */
MF_KERNEL int32_t mistify_select(const mistify_variant *v, int32_t n, const mistify_budget *budget);

#endif
