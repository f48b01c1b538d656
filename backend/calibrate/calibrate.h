/* Calibration: what each kernel costs on a target, measured and fitted (backend/costs.h).
 *
 *   layers.c     models of one, two or many layers of a kernel, from templates
 *   fit.c        least squares of relative errors
 *   measure.c    one kernel: emitted, built and run by the harness, fitted
 *   calibrate.c  the whole table of a target, printed as C
 */
#ifndef BACKEND_CALIBRATE_CALIBRATE_H
#define BACKEND_CALIBRATE_CALIBRATE_H

#include "backend/backend.h"
#include "backend/costs.h"
#include "ir/base/strbuf.h"

/* -- layers.c -- */
enum { MAX_ROWS = 16, MAX_SAMPLES = 2 * MAX_ROWS, SIZES = 5 };

/* Layers of one kernel: a template of the text form, and the sizes that a fit is made from, ended by zeros. */
typedef struct Family {
  const char *kernel, *text;
  const int (*sizes)[SIZES];
} Family;
extern const Family families[];
extern const int n_families;

/* n copies of a template, each from its own input to its own output; and, where given, an anchor beside them
 * (measure.c). NULL: reported. */
Graph *layers_make(const char *text, const int *const *sizes, int n, const char *anchor, Diag *d);

/* -- fit.c -- */
typedef struct Sample {
  CallWork work;
  double cycles;
} Sample;
/* Minimise sum ((x.work - cycles) / cycles)^2, x >= 0. Returns the worst relative error. n <= MAX_SAMPLES. */
double fit(const Sample *s, int n, double x[WORK_COUNT]);

/* -- measure.c -- */
enum { MAX_KERNELS = 256, N_ANCHORS = 3, MAX_VARIANTS = 16 };

/* What kernels of a family share (helpers, division, the compiler's run time) is measured by an anchor, a net of two
 * layers that brings most of it: a kernel's code is what its layer adds to a program that has the anchor. The first
 * anchor serves all kernels but its own two, which have the others. */
typedef enum Kind { KIND_INT8, KIND_FLOAT, KIND_OTHER } Kind;
typedef struct Anchor {
  const char *text[2];   /* by Kind */
  int64_t alone_code[2]; /* bytes */
} Anchor;

typedef struct Calibration {
  const Target *target; /* in the first pass one that has the generic set alone */
  Target steered;       /* `target`, with costs that make selection take the kernel that is measured */
  TargetCosts steer;
  KernelCost steer_row[MAX_VARIANTS];
  const Host *host; /* may be NULL */
  Diag *diag;
  const char *dir;  /* for emitted C */
  bool cycles_only; /* known rows keep their bytes of code */
  KernelCost cost[MAX_KERNELS];
  int n;
  int32_t base_code, code_per_call, code_per_turn, code_per_io;
  int32_t int8_shared, float_shared, copies_most;
  double base_cycles, cycles_per_call;
  int64_t base_ram; /* data of a model without layers */
  Anchor anchors[N_ANCHORS];
  double worst; /* relative error of any fit */
} Calibration;

/* A model without layers; code of a call. */
bool measure_base(Calibration *c);
bool measure_anchors(Calibration *c);
/* The family's kernel of that tag, on the sizes that it accepts; nothing where fewer than three are. */
bool measure_kernel(Calibration *c, const Family *f, const char *tag);
#endif
