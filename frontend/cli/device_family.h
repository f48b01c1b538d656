/* Deployment of a family: the narrower variants' graphs are the step's last inputs, "variants=N,accuracy=A;B;.." is among
 * its parameters; of a model with early exits "exits=1,accuracy=A;B;..". */
#ifndef FRONTEND_CLI_DEVICE_FAMILY_H
#define FRONTEND_CLI_DEVICE_FAMILY_H

#include "backend/backend.h"
#include "ir/step.h"

typedef struct DeviceFamily {
  int n;      /* 1: one model, no family */
  bool exits; /* of one model: its outputs */
  FamilyMember m[EMIT_VARIANTS];
  Graph *narrower[EMIT_VARIANTS]; /* from 1 on; owned */
} DeviceFamily;

/* What the call asks for beside `widest`, which the caller owns. device_family_free in any case. */
bool device_family_read(const StepCall *c, const Graph *widest, DeviceFamily *out, Diag *d);
void device_family_free(DeviceFamily *f);
/* emit_c or emit_family. */
bool device_emit(const DeviceFamily *f, const Target *t, const EmitOptions *o, Diag *d);
/* harness_verify; a family is counted variant by variant, and emitted once more with what was measured. */
bool device_verify(DeviceFamily *f, const Target *t, const EmitOptions *o, const Host *host, Measured *m,
                   Diag *d);
/* "cycles0", "cycles1", ..: as measured, -1: not known; nothing of one model. */
struct StrBuf;
void device_put_family(const DeviceFamily *f, struct StrBuf *out);

#endif
