/* The input as a device has it: bytes. */
#ifndef PASSES_INPUT_RAW_H
#define PASSES_INPUT_RAW_H

#include "ir/graph.h"
#include "runtime/data/dataset.h"

/* What normalisation gives the real input of a graph that has been through `input_raw` (and perhaps `quantize`):
 * x = byte + offset. `bytes`: element type of the data, DT_U8 or DT_I8. Use it in place of the design's own wherever
 * such a graph is evaluated. */
Normalize input_raw_normalize(const Graph *g, DType bytes);
/* Whether its codes are the bytes: `input_raw` has come before `quantize`. */
bool input_raw_takes_bytes(const Graph *g);
/* What feeds g with elements of type `stored`: its own where it takes bytes, whatever the design says, else the design's. False: it
 * takes bytes, and the data are real numbers that the design normalizes. */
bool input_raw_feed(const Graph *g, DType stored, const Normalize *design, Normalize *out, Diag *d);

#endif
