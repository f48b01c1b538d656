/* The reference of the monitor of drift (NAME_drift_*), from a design's training data. */
#ifndef FRONTEND_CLI_DRIFT_H
#define FRONTEND_CLI_DRIFT_H

#include "backend/backend.h"
#include "runtime/data/dataset.h"

/* From 2,048 training examples (all, where there are fewer), evenly apart. nz: what makes them the graph's real input. rows:
 * the device gives the input row by row. interval: inferences between two false alarms; 0: the usual. */
bool cli_drift(const Graph *g, const Split *train, const Normalize *nz, bool rows, int64_t interval,
               DriftReference *out, Diag *d);

/* The same by a design, fed as the graph wants it (input_raw_feed). Opens the training split. */
bool cli_drift_design(const Graph *g, const DataSpec *data, bool rows, int64_t interval, DriftReference *out,
                      Diag *d);

#endif
