/* What the part "trace" and its program on the emulated board have in common; files are arrays of these, as they lie in
 * memory. */
#ifndef BENCH_ADAPT_TRACE_H
#define BENCH_ADAPT_TRACE_H

#include "runtime/device/controller.h"

/* items.bin begins with one. */
typedef struct TraceHead {
  uint32_t n, sure, slack, hold;
} TraceHead;

/* One inference: on image k of images.bin for item k. Time is counted in instructions. */
typedef struct TraceItem {
  uint32_t deadline, energy; /* energy 0: no limit */
  uint32_t slow;             /* 256: as in the table; a busy bus makes runs take longer */
} TraceItem;

/* results.bin: one for each item, and the outputs' codes behind each. */
typedef struct TraceResult {
  uint32_t n_runs, first, last; /* variants that ran: first, and the one whose output stands */
  uint32_t time;                /* of the runs, slowed down, and of the controller */
  uint32_t control, confidence; /* instructions of the controller, and of telling how sure outputs are */
} TraceResult;

/* variants.c, which the benchmark writes: the models and their controller, of a family or of runtime/device as it is. */
enum { TRACE_VARIANTS = 8 };
extern const uint32_t trace_input_bytes, trace_output_bytes;
void trace_init(mistify_controller *c, const mistify_control *how);
int32_t trace_begin(mistify_controller *c, const mistify_budget *budget);
int32_t trace_end(mistify_controller *c, uint32_t confidence);
void trace_run(int32_t variant, const void *input, void *output);
uint32_t trace_confidence(const void *output);

#endif
