/* What tailoring needs of the back end: the cost of a graph on a target, and the steps that emit, build, run and
 * prove it. Only the command sees both sides (passes and back end never include one another).
 */
#ifndef FRONTEND_CLI_DEVICE_H
#define FRONTEND_CLI_DEVICE_H

#include "backend/backend.h"
#include "ir/cost.h"
#include "passes/tailor/kinds.h"

/* A target, and how memory is planned there: `ram` bytes at most (0: no limit), the input as a whole or by rows. raw: the
 * device gives stored bytes, of which float graphs are to take care (passes/input_raw.h) by this; NULL: it does not. */
typedef struct Device {
  const Target *target;
  int64_t ram;
  bool input_rows;
  const Normalize *raw;
} Device;

/* A device as passes see it; it must outlive the model. cost(ctx, g, precision): DT_I8 or DT_F32 for a float graph that is to be deployed so;
 * DT_NONE for a graph as it stands. The key binds target, board and compiler flags. */
CostModel device_cost_model(const Device *dev, const Board *board);

/* StepCall.env of the two steps below. */
typedef struct DeviceEnv {
  TailorData *data;
} DeviceEnv;

/* in: graph, target.  params: "target=cortex-m4,name=model,raw=1,ram=0,rows=0" (raw: the graph takes bytes; ram, rows: as Device).  out: the emitted folder (ART_FILES); a measure:
 * flash ram stack instructions vectors vectors_equal second_ran (bytes; -1: not known) */
extern const StepKind step_deploy;

/* in: graph, target, test data.  params: as above.  out: a measure: n correct (the emitted C on the whole test split,
 * built for this host), vectors vectors_equal (the emitted C on the target, against the reference evaluation, on the
 * first PROOF_VECTORS test inputs). */
enum { PROOF_VECTORS = 100 };
extern const StepKind step_proof;

#endif
