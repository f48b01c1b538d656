/* The form of emitted C as users ask for it: options of `compile`, the group `code` of a target in deploy.yaml. */
#ifndef FRONTEND_CLI_CODE_FORM_H
#define FRONTEND_CLI_CODE_FORM_H

#include "backend/backend.h"

typedef struct CodeForm {
  const char *format;  /* "single", "split"; NULL: single */
  const char *weights; /* "code", "blob"; NULL: code */
  const char *section; /* of the weights; NULL: the compiler's */
  int64_t align;       /* of the weights; 0: what kernels ask for */
  bool step;
  int64_t drift;        /* NAME_drift_*: inferences between two false alarms; 0: no monitor */
  const char *adapt;    /* layers that learn on the device (device_adapt_named); NULL, "none": none */
  int64_t adapt_memory; /* most bytes for it; 0: no limit */
  int adapt_k;          /* most layers before the last one; 0: no limit */
  int adapt_rank;       /* of adapters; 0: nothing is said */
} CodeForm;
enum { ADAPT_K_MAX = 1000 };

/* Checks the words, and sets what they say in *out. */
bool code_form_apply(const CodeForm *f, EmitOptions *out, Diag *d);

/* "last", "bias,memory=16KiB", "last-k,k=2", "adapters,rank=4", as `compile --adapt` has it. */
bool code_form_adapt(Arena *a, const char *text, CodeForm *f, Diag *d);

/* ",format=split,step=1" for a step's params, "" for the default; and back. */
const char *code_form_params(Arena *a, const CodeForm *f);
bool code_form_parse(Arena *a, const char *params, CodeForm *out, Diag *d);

/* The designer's normalization of a camera's bytes, for model_io.h; n 0: none. As params (",pixels=1,scale0=...", "" for
 * none) and back. */
struct Normalize;
void code_pixels(const struct Normalize *nz, EmitOptions *out);
const char *code_pixels_params(Arena *a, const struct Normalize *nz);
bool code_pixels_parse(const char *params, EmitOptions *out, Diag *d);

#endif
