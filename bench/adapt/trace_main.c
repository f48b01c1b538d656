/* A trace of budgets on an emulated Cortex-M: the models of variants.c under their controller, each run and
 * each step of the controller counted by SysTick under -icount.
 *
 *   items.bin, images.bin -> results.bin
 *
 * The clock is a sum of what was counted, times the item's slowness.
 */
#include "backend/harness/bare.h"
#include "bench/adapt/trace.h"

enum { IMAGE_MOST = 3072, OUTPUT_MOST = 256 };

static uint32_t now, overhead; /* instructions; of counting itself */

static uint32_t read_clock(void *clock) { return *(const uint32_t *)clock; }

static uint32_t counted(void) {
  const uint32_t n = (uint32_t)bare_count_stop();
  return n > overhead ? n - overhead : 0;
}

static uint8_t image[IMAGE_MOST], output[OUTPUT_MOST];

/* A run, on the clock too. */
static void run(int32_t v, uint32_t slow) {
  bare_count_start();
  trace_run(v, image, output);
  now += (uint32_t)((uint64_t)counted() * slow / 256);
}

static TraceResult infer(mistify_controller *c, const TraceItem *item) {
  const mistify_budget budget = {.time = item->deadline, .nanojoules = item->energy};
  const uint32_t begun = now;
  TraceResult r = {0};
  bare_count_start();
  int32_t v = trace_begin(c, &budget);
  r.control = counted();
  now += r.control;
  r.first = (uint32_t)v;
  while (v >= 0) {
    run(v, item->slow);
    r.last = (uint32_t)v;
    r.n_runs++;
    bare_count_start();
    const uint32_t confidence = trace_confidence(output);
    r.confidence += counted();
    bare_count_start();
    v = trace_end(c, confidence);
    const uint32_t n = counted();
    r.control += n;
    now += n;
  }
  if (c->how->sure) now += r.confidence; /* nobody asks for it otherwise */
  r.time = now - begun;
  return r;
}

int main(void) {
  const int items = bare_open("items.bin", 0), images = bare_open("images.bin", 0),
            results = bare_open("results.bin", 1);
  TraceHead h;
  TraceItem item;
  mistify_controller c;
  if (items < 0 || images < 0 || results < 0 || trace_input_bytes > IMAGE_MOST ||
      trace_output_bytes > OUTPUT_MOST)
    return 1;
  bare_read(items, &h, sizeof h);
  bare_count_start();
  overhead = (uint32_t)bare_count_stop();
  const mistify_control how = {
      .now = read_clock, .clock = &now, .sure = h.sure, .slack = (uint8_t)h.slack, .hold = (uint8_t)h.hold};
  trace_init(&c, &how);
  for (uint32_t i = 0; i < h.n; i++) {
    if (bare_read(items, &item, sizeof item) != sizeof item) return 2;
    if (bare_read(images, image, trace_input_bytes) != trace_input_bytes) return 2;
    const TraceResult r = infer(&c, &item);
    bare_write(results, &r, sizeof r);
    bare_write(results, output, trace_output_bytes);
  }
  bare_close(results);
  return 0;
}
