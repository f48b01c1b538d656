/* What tailoring needs of the back end: the cost of a graph on a target, and the steps that emit, build, run and
 * prove it. Only the command sees both sides (passes and back end never include one another).
 */
#ifndef FRONTEND_CLI_DEVICE_H
#define FRONTEND_CLI_DEVICE_H

#include "backend/backend.h"
#include "ir/cost.h"
#include "passes/tailor/kinds.h"
#include "passes/tailor/tailor.h"

/* A target, and how memory is planned there: `ram` bytes at most (0: no limit), the input as a whole or by rows. raw: the
 * device gives stored bytes, of which float graphs are to take care (passes/input_raw.h) by this; NULL: it does not. */
typedef struct Device {
  const Target *target;
  int64_t ram;
  bool input_rows;
  bool whole; /* PlanOptions' */
  const Normalize *raw;
  PlanRegion region
      [PLAN_REGIONS_MAX]; /* memories, and the most that may lie in each (0: no limit); `ram` is of their sum */
  int n_regions;          /* 0: all of it is one memory */
} Device;

/* A device as passes see it; it must outlive the model. cost(ctx, g, precision): DT_I8 or DT_F32 for a float graph that is to be deployed so;
 * DT_NONE for a graph as it stands. The key binds target, board and compiler flags. */
CostModel device_cost_model(const Device *dev, const Board *board);

/* TailorTarget.regions of devices with several memories; ctx: the Device. */
int device_regions(const void *ctx, const Graph *g, DType precision, TailorRegion out[TAILOR_REGIONS],
                   Diag *d);
/* ",fast=65536,main=131072": parameters of the steps below; "": there is one memory. */
const char *device_region_params(Arena *a, const Device *dev);

/* StepCall.env of the two steps below. */
typedef struct DeviceEnv {
  TailorData *data;
} DeviceEnv;

/* in: graph, target.  params: "target=cortex-m4,name=model,raw=1,ram=0,rows=0" (raw: the graph takes bytes; ram, rows, and fast, main, external where there are several memories: as Device).  out: the emitted folder (ART_FILES); a measure:
 * flash ram stack instructions vectors vectors_equal second_ran; of several memories ram_over, what is too much for one (bytes; -1: not known) */
extern const StepKind step_deploy;

/* in: graph, target, test data.  params: as above.  out: a measure: n correct (the emitted C on the whole test split,
 * built for this host), vectors vectors_equal (the emitted C on the target, against the reference evaluation, on the
 * first PROOF_VECTORS test inputs). */
enum { PROOF_VECTORS = 100 };
extern const StepKind step_proof;

#endif
